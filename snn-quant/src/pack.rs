//! Codes packed into bytes at any width, without gaps.

use crate::num::len_u64;
use crate::{BitWidth, CodeSet, QuantError};

/// Packs codes, each in `bits` bits, lowest bit first and without gaps; the last byte is filled with zeros.
///
/// A code is stored as its distance from the smallest one, so that 1 bit is enough for `{-1, +1}`.
///
/// # Errors
/// [`QuantError::Code`] for a code outside `set`, or whose distance does not fit `bits`.
///
/// # Examples
/// ```
/// use snn_quant::{BitWidth, CodeSet, pack, unpack};
///
/// let bits = BitWidth::new(3)?;
/// let set = CodeSet::symmetric(bits);
/// let codes = [-3, 0, 3, 1, -1];
/// let bytes = pack(&codes, set, bits)?;
/// assert_eq!(bytes.len(), 2); // 15 bits
/// assert_eq!(unpack(&bytes, set, bits, codes.len())?, codes);
/// # Ok::<(), snn_quant::QuantError>(())
/// ```
pub fn pack(codes: &[i32], set: CodeSet, bits: BitWidth) -> Result<Vec<u8>, QuantError> {
    let mut bytes = Vec::new();
    let (mut pending, mut n_pending) = (0u32, 0);
    for (index, &code) in codes.iter().enumerate() {
        let refused = QuantError::Code { index, code: i64::from(code) };
        let stored = to_stored(code, set).filter(|s| s >> bits.get() == 0).ok_or(refused)?;
        pending |= stored << n_pending;
        n_pending += bits.get();
        while n_pending >= 8 {
            bytes.push(low_byte(pending));
            pending >>= 8;
            n_pending -= 8;
        }
    }
    if n_pending > 0 {
        bytes.push(low_byte(pending));
    }
    Ok(bytes)
}

/// The `n_codes` codes that [`pack`] put into `bytes`.
///
/// # Errors
/// [`QuantError::PackedLength`] unless `bytes` has exactly the length that they take, [`QuantError::Code`]
/// for bits that stand for no code of `set`.
pub fn unpack(bytes: &[u8], set: CodeSet, bits: BitWidth, n_codes: usize) -> Result<Vec<i32>, QuantError> {
    let expected = bits.packed_bytes(len_u64(n_codes));
    if len_u64(bytes.len()) != expected {
        return Err(QuantError::PackedLength { n_codes, bits: bits.get(), expected, found: bytes.len() });
    }
    let mut rest = bytes.iter();
    let (mut pending, mut n_pending) = (0u32, 0);
    let mut codes = Vec::with_capacity(n_codes);
    for index in 0..n_codes {
        while n_pending < bits.get() {
            pending |= u32::from(rest.next().copied().unwrap_or(0)) << n_pending;
            n_pending += 8;
        }
        let stored = pending & ((1 << bits.get()) - 1);
        codes.push(from_stored(stored, set).ok_or(QuantError::Code { index, code: i64::from(stored) })?);
        pending >>= bits.get();
        n_pending -= bits.get();
    }
    Ok(codes)
}

/// The distance of a code from the smallest one.
fn to_stored(code: i32, set: CodeSet) -> Option<u32> {
    match set {
        CodeSet::Sign if code == -1 || code == 1 => Some(u32::from(code == 1)),
        CodeSet::Range { min, max } if (min..=max).contains(&code) => Some(code.abs_diff(min)),
        _ => None,
    }
}

/// The code at a distance from the smallest one.
fn from_stored(stored: u32, set: CodeSet) -> Option<i32> {
    match set {
        CodeSet::Sign => [-1, 1].get(usize::try_from(stored).ok()?).copied(),
        CodeSet::Range { min, max } => min.checked_add_unsigned(stored).filter(|&code| code <= max),
    }
}

#[allow(clippy::cast_possible_truncation, reason = "the higher bits are taken later")]
fn low_byte(pending: u32) -> u8 {
    pending as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bits(b: u32) -> BitWidth {
        BitWidth::new(b).unwrap()
    }

    #[test]
    fn lowest_bits_come_first() {
        let set = CodeSet::unsigned(bits(4));
        assert_eq!(pack(&[0x1, 0x2, 0xf], set, bits(4)).unwrap(), [0x21, 0x0f]);
        assert_eq!(pack(&[-1, 1, 1, -1, 1], CodeSet::Sign, bits(1)).unwrap(), [0b10110]);
    }

    #[test]
    fn wrong_codes_and_lengths_are_refused() {
        let set = CodeSet::symmetric(bits(3));
        assert_eq!(pack(&[0, 4], set, bits(3)), Err(QuantError::Code { index: 1, code: 4 }));
        assert_eq!(pack(&[0], CodeSet::Sign, bits(1)), Err(QuantError::Code { index: 0, code: 0 }));
        assert_eq!(pack(&[3], set, bits(2)), Err(QuantError::Code { index: 0, code: 3 }));
        // The narrow range leaves one pattern unused.
        assert_eq!(unpack(&[0b111], set, bits(3), 1), Err(QuantError::Code { index: 0, code: 7 }));
        let wrong = unpack(&[0, 0], set, bits(3), 1);
        assert_eq!(wrong, Err(QuantError::PackedLength { n_codes: 1, bits: 3, expected: 1, found: 2 }));
    }

    proptest! {
        #[test]
        fn codes_round_trip(
            b in 1u32..=16, kind in 0u8..3, picks in prop::collection::vec(0i32..=0xffff, 0..80),
        ) {
            let bits = bits(b);
            let set = match kind {
                0 => CodeSet::symmetric(bits),
                1 => CodeSet::unsigned(bits),
                _ => CodeSet::twos_complement(bits),
            };
            let pick = |p: &i32| match set {
                CodeSet::Sign => 2 * (p % 2) - 1,
                CodeSet::Range { min, max } => min + p % (max - min + 1),
            };
            let codes: Vec<i32> = picks.iter().map(pick).collect();
            let bytes = pack(&codes, set, bits).unwrap();
            prop_assert_eq!(bytes.len() as u64, bits.packed_bytes(codes.len() as u64));
            prop_assert_eq!(unpack(&bytes, set, bits, codes.len()).unwrap(), codes);
        }

        #[test]
        fn no_bytes_make_it_panic(
            b in 1u32..=16, bytes in prop::collection::vec(any::<u8>(), 0..40), n in 0usize..100,
        ) {
            let _ = unpack(&bytes, CodeSet::symmetric(bits(b)), bits(b), n);
        }
    }
}
