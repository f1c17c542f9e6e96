//! Reading fields from bytes, and 32-bit numbers that stay in bytes.

use crate::error::ModelError;
use crate::num::index;

/// Reads little-endian fields in order; errors name the field and where it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    pub(crate) fn offset(&self) -> usize {
        self.at
    }

    pub(crate) fn take(&mut self, n: usize, field: &'static str) -> Result<&'a [u8], ModelError> {
        let end = self.at.checked_add(n).filter(|&end| end <= self.bytes.len());
        let end = end.ok_or(ModelError::Truncated { offset: self.at, field })?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], ModelError> {
        let taken = self.take(N, field)?;
        let mut array = [0; N];
        array.copy_from_slice(taken);
        Ok(array)
    }

    pub(crate) fn u8(&mut self, field: &'static str) -> Result<u8, ModelError> {
        self.array::<1>(field).map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self, field: &'static str) -> Result<u16, ModelError> {
        self.array(field).map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self, field: &'static str) -> Result<u32, ModelError> {
        self.array(field).map(u32::from_le_bytes)
    }

    pub(crate) fn i32(&mut self, field: &'static str) -> Result<i32, ModelError> {
        self.array(field).map(i32::from_le_bytes)
    }

    /// A byte that must lie in a range.
    pub(crate) fn u8_in(
        &mut self,
        field: &'static str,
        range: core::ops::RangeInclusive<u8>,
        expected: &'static str,
    ) -> Result<u8, ModelError> {
        let offset = self.at;
        let value = self.u8(field)?;
        if range.contains(&value) {
            return Ok(value);
        }
        Err(ModelError::Field { offset, field, value: value.into(), expected })
    }

    /// A size that must lie in `1..=max`, or `0..=max` where `min` is 0.
    pub(crate) fn size(&mut self, field: &'static str, min: u32, max: u32) -> Result<u32, ModelError> {
        let offset = self.at;
        let value = self.u32(field)?;
        if (min..=max).contains(&value) {
            return Ok(value);
        }
        Err(ModelError::Field { offset, field, value: value.into(), expected: "a size within limits" })
    }

    /// A list of 32-bit numbers with its length before it.
    pub(crate) fn i32s(&mut self, field: &'static str) -> Result<I32s<'a>, ModelError> {
        let n = index(self.size(field, 0, crate::model::MAX_SIZE)?);
        self.take(4 * n, field).map(|bytes| I32s { bytes })
    }
}

/// Little-endian 32-bit numbers in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct I32s<'a> {
    bytes: &'a [u8],
}

impl<'a> I32s<'a> {
    /// The numbers in these bytes; a rest of fewer than four is left out.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// How many there are.
    #[must_use]
    pub fn len(self) -> usize {
        self.bytes.len() / 4
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Number `i`; 0 beyond the end.
    #[inline]
    #[must_use]
    pub fn get(self, i: usize) -> i32 {
        let word = self.bytes.get(4 * i..4 * i + 4).and_then(|b| b.first_chunk::<4>());
        word.map_or(0, |&word| i32::from_le_bytes(word))
    }

    /// Number `i` of a list that has one entry for all, or one for each.
    #[inline]
    #[must_use]
    pub fn get_shared(self, i: usize) -> i32 {
        self.get(if self.len() == 1 { 0 } else { i })
    }

    /// All of them.
    pub fn iter(self) -> impl Iterator<Item = i32> + 'a {
        self.bytes.as_chunks::<4>().0.iter().map(|&word| i32::from_le_bytes(word))
    }
}
