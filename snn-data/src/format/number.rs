//! Numbers of a type that only the file knows.

use crate::num::round_count;

/// All integers below are floats of 64 bits.
const TWO_TO_53: f64 = 9_007_199_254_740_992.0;

/// How a number is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Number {
    kind: Kind,
    size: usize,
    is_big_endian: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Signed,
    Unsigned,
    Float,
}

impl Number {
    /// `None` for a number of bytes that is not read.
    pub(crate) fn new(kind: Kind, size: usize, is_big_endian: bool) -> Option<Self> {
        let number = Self { kind, size, is_big_endian };
        let is_read = matches!((kind, size), (_, 2 | 4 | 8) | (Kind::Signed | Kind::Unsigned, 1));
        is_read.then_some(number)
    }

    #[cfg(feature = "hdf5")]
    pub(crate) fn is_float(self) -> bool {
        self.kind == Kind::Float
    }

    /// Number of bytes.
    pub(crate) fn size(self) -> usize {
        self.size
    }

    /// The bits of a stored number, with zeros above.
    pub(crate) fn bits(self, bytes: &[u8]) -> u64 {
        let place = |bits: u64, &byte: &u8| bits << 8 | u64::from(byte);
        if self.is_big_endian { bytes.iter().fold(0, place) } else { bytes.iter().rev().fold(0, place) }
    }

    /// The value of a stored number; `None` for integers beyond 63 bits.
    pub(crate) fn value(self, bytes: &[u8]) -> Option<Value> {
        let bits = self.bits(bytes);
        Some(match (self.kind, self.size) {
            (Kind::Float, 2) => Value::Float(half(u16::try_from(bits).ok()?)),
            (Kind::Float, 4) => Value::Float(f32::from_bits(u32::try_from(bits).ok()?).into()),
            (Kind::Float, _) => Value::Float(f64::from_bits(bits)),
            (Kind::Unsigned, _) => Value::Integer(i64::try_from(bits).ok()?),
            (Kind::Signed, _) => {
                let n_unused = u32::try_from(64 - 8 * self.size).ok()?;
                Value::Integer(bits.cast_signed() << n_unused >> n_unused)
            }
        })
    }
}

/// A float of 16 bits (IEEE 754 binary16): 1 of sign, 5 of exponent, 10 of mantissa.
fn half(bits: u16) -> f64 {
    let mantissa = f64::from(bits & 0x3FF);
    let magnitude = match bits >> 10 & 0x1F {
        0 => mantissa * 2f64.powi(-24),
        31 if mantissa > 0.0 => f64::NAN,
        31 => f64::INFINITY,
        exponent => (1024.0 + mantissa) * 2f64.powi(i32::from(exponent) - 25),
    };
    if bits >> 15 == 0 { magnitude } else { -magnitude }
}

/// The value of a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value {
    Integer(i64),
    Float(f64),
}

impl Value {
    /// `None` for fractions, and for floats of 2^53 or more.
    pub(crate) fn integer(self) -> Option<i64> {
        match self {
            Self::Integer(value) => Some(value),
            Self::Float(value) if value.fract() == 0.0 => self.rounded_times(1),
            Self::Float(_) => None,
        }
    }

    /// The value times `factor`, rounded half to even; `None` for what is too large, and for what is no number.
    pub(crate) fn rounded_times(self, factor: u32) -> Option<i64> {
        let value = match self {
            Self::Integer(value) => return value.checked_mul(factor.into()),
            Self::Float(value) => value * f64::from(factor),
        };
        let magnitude = Some(value.abs()).filter(|&magnitude| magnitude < TWO_TO_53).map(round_count)?;
        let magnitude = i64::try_from(magnitude).ok()?;
        Some(if value < 0.0 { -magnitude } else { magnitude })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(kind: Kind, is_big_endian: bool, bytes: &[u8]) -> Value {
        Number::new(kind, bytes.len(), is_big_endian).unwrap().value(bytes).unwrap()
    }

    #[test]
    fn integers_of_all_sizes_are_read() {
        assert_eq!(value(Kind::Signed, false, &[0xFE]), Value::Integer(-2));
        assert_eq!(value(Kind::Unsigned, false, &[0xFE]), Value::Integer(254));
        assert_eq!(value(Kind::Signed, true, &[0xFF, 0x01]), Value::Integer(-255));
        assert_eq!(value(Kind::Unsigned, false, &[1, 2, 3, 4]), Value::Integer(0x0403_0201));
        assert_eq!(value(Kind::Signed, false, &i64::MIN.to_le_bytes()), Value::Integer(i64::MIN));
        let large = Number::new(Kind::Unsigned, 8, false).unwrap();
        assert_eq!(large.value(&u64::MAX.to_le_bytes()), None);
        assert_eq!((Number::new(Kind::Float, 1, false), Number::new(Kind::Signed, 3, false)), (None, None));
    }

    #[test]
    fn floats_of_16_bits_are_those_of_the_standard() {
        let known = [
            (0x0001, 5.960_464_477_539_063e-8),
            (0x03FF, 6.097_555_160_522_461e-5),
            (0x0400, 6.103_515_625e-5),
            (0x3555, 0.333_251_953_125),
            (0x3C00, 1.0),
            (0x3C01, 1.000_976_562_5),
            (0xC000, -2.0),
            (0x7BFF, 65_504.0),
            (0x7C00, f64::INFINITY),
            (0xFC00, f64::NEG_INFINITY),
        ];
        for (bits, expected) in known {
            assert_eq!(
                value(Kind::Float, false, &u16::to_le_bytes(bits)),
                Value::Float(expected),
                "{bits:#x}"
            );
        }
        assert!(half(0x7C01).is_nan());
    }

    #[test]
    fn floats_are_rounded_half_to_even() {
        let times = |value: f64, factor| Value::Float(value).rounded_times(factor);
        assert_eq!(
            (times(0.002_5, 1_000), times(0.003_5, 1_000), times(-1.6, 1)),
            (Some(2), Some(4), Some(-2))
        );
        assert_eq!((times(f64::NAN, 1), times(1e16, 1), times(f64::INFINITY, 1)), (None, None, None));
        assert_eq!((Value::Float(7.0).integer(), Value::Float(7.5).integer()), (Some(7), None));
        assert_eq!(Value::Integer(i64::MAX).rounded_times(2), None);
    }
}
