//! The bit width of a quantized tensor.

use crate::QuantError;
use serde::{Deserialize, Serialize};

/// A number of bits from 1 to 16: the width of the codes of one quantized tensor.
///
/// A width outside this range cannot be made, so nothing after the door has to check it again.
///
/// # Examples
/// ```
/// use snn_quant::BitWidth;
///
/// assert_eq!(BitWidth::new(4)?.get(), 4);
/// assert!(BitWidth::new(0).is_err());
/// assert!(BitWidth::new(17).is_err());
/// # Ok::<(), snn_quant::QuantError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct BitWidth(u32);

impl BitWidth {
    /// The smallest width, 1 bit.
    pub const MIN: BitWidth = BitWidth(1);
    /// The largest width, 16 bits.
    pub const MAX: BitWidth = BitWidth(16);

    /// The width of `bits` bits.
    ///
    /// # Errors
    /// [`QuantError::BitWidth`] unless `bits` lies in `1..=16`.
    pub fn new(bits: u32) -> Result<Self, QuantError> {
        let width = BitWidth(bits);
        if (Self::MIN..=Self::MAX).contains(&width) { Ok(width) } else { Err(QuantError::BitWidth { bits }) }
    }

    /// The number of bits.
    pub fn get(self) -> u32 {
        self.0
    }

    /// The bits left for the magnitude beside a sign, `b - 1`.
    pub(crate) fn n_magnitude(self) -> i32 {
        self.0.cast_signed() - 1
    }

    /// All widths, narrowest first.
    pub fn all() -> impl Iterator<Item = BitWidth> {
        (Self::MIN.0..=Self::MAX.0).map(BitWidth)
    }

    /// The exact number of bytes that `n_codes` packed codes of this width take: `ceil(bits * n_codes / 8)`.
    pub fn packed_bytes(self, n_codes: u64) -> u64 {
        (n_codes * u64::from(self.0)).div_ceil(8)
    }
}

impl TryFrom<u32> for BitWidth {
    type Error = QuantError;

    fn try_from(bits: u32) -> Result<Self, QuantError> {
        Self::new(bits)
    }
}

impl From<BitWidth> for u32 {
    fn from(bits: BitWidth) -> u32 {
        bits.get()
    }
}

impl std::fmt::Display for BitWidth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_1_to_16_bits_exist() {
        for bits in [0, 17, 32, u32::MAX] {
            assert!(matches!(BitWidth::new(bits), Err(QuantError::BitWidth { bits: b }) if b == bits));
        }
        let all: Vec<u32> = BitWidth::all().map(BitWidth::get).collect();
        assert_eq!(all, (1..=16).collect::<Vec<_>>());
    }

    #[test]
    fn packed_bytes_round_up() {
        let three = BitWidth::new(3).unwrap();
        let bytes: Vec<u64> = [0, 1, 2, 3, 8, 9].map(|n| three.packed_bytes(n)).to_vec();
        assert_eq!(bytes, [0, 1, 1, 2, 3, 4]);
    }
}
