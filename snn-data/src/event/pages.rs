//! Memory for many values, in huge pages where the kernel has them.
//!
//! Memory that a program has not had before is handed out and cleared by the kernel, page by page: in pages of 4 KiB that
//! took twice as long as all else in reading a file of events. Linux has pages of 2 MiB, but with its setting
//! `madvise` only for those who ask, which glibc's allocator does not. So columns from a few MiB on ask for themselves,
//! as NumPy's arrays do (docs/loading.md).

use std::marker::PhantomData;

use memmap2::MmapMut;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Bytes from which on values get pages of their own; that of NumPy.
const MANY: usize = 1 << 22;
/// Bytes of a huge page. Newer kernels align maps of whole ones.
const HUGE_PAGE: usize = 1 << 21;

/// A number of which any bytes are one.
pub(super) trait Plain: Copy + FromBytes + IntoBytes + Immutable {}

impl Plain for u16 {}
impl Plain for u32 {}

/// Values in an anonymous map; room is fixed.
pub(super) struct Pages<T> {
    map: MmapMut,
    len: usize,
    values: PhantomData<T>,
}

impl<T: Plain> Pages<T> {
    /// Room for `n` values; `None` for few, where there is no memory, and on other systems than Linux.
    pub(super) fn with_capacity(n: usize) -> Option<Self> {
        let n_bytes = n.checked_mul(size_of::<T>()).filter(|&n_bytes| n_bytes >= MANY)?;
        let map = map(n_bytes.checked_next_multiple_of(HUGE_PAGE)?)?;
        Some(Self { map, len: 0, values: PhantomData })
    }

    #[inline]
    pub(super) fn capacity(&self) -> usize {
        self.map.len() / size_of::<T>()
    }

    #[inline]
    pub(super) fn has_room(&self) -> bool {
        self.len < self.capacity()
    }

    pub(super) fn clear(&mut self) {
        self.len = 0;
    }

    #[inline]
    pub(super) fn values(&self) -> &[T] {
        // A map begins with a page and ends with one: no part of a value is left.
        let all = <[T]>::ref_from_bytes(&self.map).unwrap_or_default();
        all.get(..self.len).unwrap_or_default()
    }

    /// Appends a value, for which there has to be room.
    #[inline]
    pub(super) fn push(&mut self, value: T) {
        let at = self.len * size_of::<T>();
        if let Some(to) = self.map.get_mut(at..at + size_of::<T>()) {
            to.copy_from_slice(value.as_bytes());
            self.len += 1;
        }
    }

    /// Appends values, for which there has to be room.
    #[inline]
    pub(super) fn extend(&mut self, values: impl ExactSizeIterator<Item = T>) {
        let end = self.len + values.len();
        let all = <[T]>::mut_from_bytes(&mut self.map).unwrap_or_default();
        if let Some(to) = all.get_mut(self.len..end) {
            to.iter_mut().zip(values).for_each(|(to, value)| *to = value);
            self.len = end;
        }
    }
}

#[cfg(target_os = "linux")]
fn map(n_bytes: usize) -> Option<MmapMut> {
    let map = MmapMut::map_anon(n_bytes).ok()?;
    // A kernel without huge pages refuses, and gives small ones.
    map.advise(memmap2::Advice::HugePage).ok();
    Some(map)
}

#[cfg(not(target_os = "linux"))]
fn map(_: usize) -> Option<MmapMut> {
    None
}
