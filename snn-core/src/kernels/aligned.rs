//! Vectors that begin at a cache line.

use crate::kernels::number::Number;
use std::ops::{Deref, DerefMut};

/// Bytes of a cache line, which is also the widest vector register.
const LINE: usize = 64;

/// Numbers whose first one begins a cache line: vector loads that straddle two lines take twice as long.
pub(super) struct Aligned<S> {
    storage: Vec<S>,
    first: usize,
}

impl<S: Number> Aligned<S> {
    pub(super) fn zeros(len: usize) -> Self {
        let spare = LINE / size_of::<S>();
        let mut storage = vec![S::ZERO; len + spare];
        // A type whose size does not divide a line may have no such offset, and is slower but not wrong.
        let first = storage.as_ptr().align_offset(LINE).min(spare);
        storage.truncate(first + len);
        Self { storage, first }
    }
}

impl<S> Deref for Aligned<S> {
    type Target = [S];

    fn deref(&self) -> &[S] {
        &self.storage[self.first..]
    }
}

impl<S> DerefMut for Aligned<S> {
    fn deref_mut(&mut self) -> &mut [S] {
        &mut self.storage[self.first..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn begins_at_a_line_and_has_the_length_asked_for() {
        for len in [0, 1, 100, 100_000] {
            let zeros = Aligned::<f32>::zeros(len);
            assert_eq!((zeros.len(), zeros.as_ptr().align_offset(LINE)), (len, 0));
        }
    }
}
