//! As much of FlatBuffers as event files need: tables with numbers, texts and vectors of structs. Every access is
//! checked.

/// A table in a buffer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table<'a> {
    buffer: &'a [u8],
    /// Where the table begins.
    start: usize,
    /// Where its list of fields begins, and its bytes.
    fields: usize,
    fields_len: usize,
}

impl<'a> Table<'a> {
    /// The root table of a buffer that begins with its length, and the identifier of the buffer.
    pub(super) fn size_prefixed(bytes: &'a [u8]) -> Option<(Self, [u8; 4])> {
        let (len, buffer) = bytes.split_first_chunk::<4>()?;
        let buffer = buffer.get(..to_usize(u32::from_le_bytes(*len))?)?;
        let identifier = *buffer.get(4..)?.first_chunk::<4>()?;
        Some((Self::at(buffer, to_usize(u32_at(buffer, 0)?)?)?, identifier))
    }

    fn at(buffer: &'a [u8], start: usize) -> Option<Self> {
        let back = i64::from(i32::from_le_bytes(*buffer.get(start..)?.first_chunk()?));
        let fields = usize::try_from(i64::try_from(start).ok()? - back).ok()?;
        let fields_len = usize::from(u16_at(buffer, fields)?);
        buffer.get(fields..fields.checked_add(fields_len)?)?;
        Some(Self { buffer, start, fields, fields_len })
    }

    /// Where field number `k` lies; none if it has its default value.
    fn field(&self, k: usize) -> Option<usize> {
        let at = 4 + 2 * k;
        if at + 2 > self.fields_len {
            return None;
        }
        match u16_at(self.buffer, self.fields + at)? {
            0 => None,
            distance => self.start.checked_add(distance.into()),
        }
    }

    /// A field that is a number.
    pub(super) fn i32(&self, k: usize) -> Option<i32> {
        Some(i32::from_le_bytes(*self.buffer.get(self.field(k)?..)?.first_chunk()?))
    }

    /// A field that is a number.
    pub(super) fn i64(&self, k: usize) -> Option<i64> {
        Some(i64::from_le_bytes(*self.buffer.get(self.field(k)?..)?.first_chunk()?))
    }

    /// A field that is a text.
    pub(super) fn text(&self, k: usize) -> Option<&'a str> {
        str::from_utf8(self.structs(k, 1)?).ok()
    }

    /// The bytes of a field that is a vector of structs of `size` bytes; empty without the field. None if it leads
    /// out of the buffer.
    pub(super) fn structs(&self, k: usize, size: usize) -> Option<&'a [u8]> {
        let Some(field) = self.field(k) else { return Some(&[]) };
        let vector = field.checked_add(to_usize(u32_at(self.buffer, field)?)?)?;
        let len = to_usize(u32_at(self.buffer, vector)?)?.checked_mul(size)?;
        let start = vector.checked_add(4)?;
        self.buffer.get(start..start.checked_add(len)?)
    }
}

fn u16_at(buffer: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*buffer.get(at..)?.first_chunk()?))
}

fn u32_at(buffer: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*buffer.get(at..)?.first_chunk()?))
}

fn to_usize(n: u32) -> Option<usize> {
    usize::try_from(n).ok()
}
