//! A column of an event stream.

use std::fmt;
use std::ops::Deref;

use super::pages::{Pages, Plain};

/// Values that grow at the end: in a vector, or, once they are many, in pages of their own.
pub(super) enum Column<T> {
    Few(Vec<T>),
    Many(Pages<T>),
}

impl<T: Plain> Column<T> {
    pub(super) fn with_capacity(n: usize) -> Self {
        let mut column = Self::default();
        column.reserve(n);
        column
    }

    /// Makes room for `n` more.
    #[inline]
    pub(super) fn reserve(&mut self, n: usize) {
        if n > self.capacity() - self.len() {
            self.grow(n);
        }
    }

    #[cold]
    fn grow(&mut self, n: usize) {
        let wanted = self.len().saturating_add(n);
        // Room in pages costs nothing before it is used, moving the values does.
        if let Some(mut pages) = Pages::with_capacity(wanted.max(4 * self.capacity())) {
            pages.extend(self.iter().copied());
            *self = Self::Many(pages);
            return;
        }
        match self {
            Self::Few(values) => values.reserve(n),
            Self::Many(_) => {
                // There is no memory for pages; where a vector finds none either, it says so.
                let mut values = Vec::with_capacity(wanted);
                values.extend_from_slice(self);
                *self = Self::Few(values);
            }
        }
    }

    fn capacity(&self) -> usize {
        match self {
            Self::Few(values) => values.capacity(),
            Self::Many(pages) => pages.capacity(),
        }
    }

    /// Takes all values away and keeps the room.
    pub(super) fn clear(&mut self) {
        match self {
            Self::Few(values) => values.clear(),
            Self::Many(pages) => pages.clear(),
        }
    }

    #[inline]
    pub(super) fn push(&mut self, value: T) {
        match self {
            Self::Few(values) if values.len() < values.capacity() => values.push(value),
            Self::Many(pages) if pages.has_room() => pages.push(value),
            _ => self.grow_and_push(value),
        }
    }

    // Out of the way: decoders that push one event after the other were a tenth to a quarter slower with this in their loops.
    #[cold]
    #[inline(never)]
    fn grow_and_push(&mut self, value: T) {
        self.extend(std::iter::once(value));
    }

    #[inline]
    pub(super) fn extend(&mut self, values: impl ExactSizeIterator<Item = T>) {
        self.reserve(values.len());
        match self {
            Self::Few(few) => few.extend(values),
            Self::Many(pages) => pages.extend(values),
        }
    }
}

impl<T: Plain> Deref for Column<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        match self {
            Self::Few(values) => values,
            Self::Many(pages) => pages.values(),
        }
    }
}

impl<T> Default for Column<T> {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl<T> From<Vec<T>> for Column<T> {
    fn from(values: Vec<T>) -> Self {
        Self::Few(values)
    }
}

impl<T: Plain> Clone for Column<T> {
    fn clone(&self) -> Self {
        let mut column = Self::with_capacity(self.len());
        column.extend(self.iter().copied());
        column
    }
}

impl<T: Plain + PartialEq> PartialEq for Column<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Plain + Eq> Eq for Column<T> {}

impl<T: Plain + fmt::Debug> fmt::Debug for Column<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More values than a vector is used for.
    const MANY: u32 = 3 << 20;

    fn is_many(column: &Column<u32>) -> bool {
        matches!(column, Column::Many(_))
    }

    #[test]
    fn a_column_holds_what_a_vector_holds() {
        let (mut column, mut vector) = (Column::default(), Vec::new());
        let mut next = 0;
        while next < MANY {
            column.push(next);
            column.extend(next + 1..next + 1000);
            vector.extend(next..next + 1000);
            next += 1000;
        }
        assert_eq!(is_many(&column), cfg!(target_os = "linux"));
        assert!(*column == *vector);
        let copy = column.clone();
        assert!(copy == column && column == Column::from(vector));
        column.clear();
        assert_eq!(is_many(&column), is_many(&copy));
        column.push(5);
        assert_eq!(*column, [5]);
        assert_eq!(copy.len(), next as usize);
    }

    #[test]
    fn room_for_many_is_there_before_they_come() {
        let mut column = Column::from(vec![7_u32, 8]);
        column.reserve(MANY as usize);
        assert!(column.capacity() >= MANY as usize + 2);
        assert_eq!((is_many(&column), &*column), (cfg!(target_os = "linux"), &[7, 8][..]));
        let capacity = column.capacity();
        column.extend(0..MANY);
        assert_eq!((column.capacity(), column.len()), (capacity, MANY as usize + 2));
    }

    #[test]
    fn few_values_stay_in_a_vector() {
        let mut column = Column::with_capacity(1000);
        column.extend(0..1000_u32);
        assert!(!is_many(&column));
        assert_eq!(format!("{:?}", Column::from(vec![1_u32, 2])), "[1, 2]");
    }
}
