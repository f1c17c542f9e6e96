//! Weights as packed codes.
//!
//! A code of `b` bits is kept as two's complement, lowest bit first and without gaps; at 1 bit the codes are −1 (bit 0)
//! and +1 (bit 1). Ternary weights are 2-bit codes −1, 0, 1.

use crate::num::index;

/// A number that weights are summed in; sums wrap.
pub trait Sum: Copy + Default + Ord + From<i16> + Into<i32> {
    /// Below all sums.
    const LEAST: Self;
    /// The low bits of a number.
    fn low(x: i32) -> Self;
    /// The sum of both.
    fn plus(self, other: Self) -> Self;
    /// The product.
    fn times(self, factor: Self) -> Self;
}

macro_rules! sum_in {
    ($width:ty, $low:path) => {
        impl Sum for $width {
            const LEAST: Self = <$width>::MIN;

            #[inline(always)]
            fn low(x: i32) -> Self {
                $low(x)
            }

            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                self.wrapping_add(other)
            }

            #[inline(always)]
            fn times(self, factor: Self) -> Self {
                self.wrapping_mul(factor)
            }
        }
    };
}

sum_in!(i32, core::convert::identity);
sum_in!(i16, crate::num::low_i16);

/// A tensor of packed codes.
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a> {
    bits: u8,
    packed: &'a [u8],
}

/// Bytes that `n` codes of `bits` bits take.
#[must_use]
pub const fn packed_bytes(n: usize, bits: u8) -> usize {
    (n * bits as usize).div_ceil(8)
}

impl<'a> Weights<'a> {
    /// The codes in these bytes.
    #[must_use]
    pub fn new(bits: u8, packed: &'a [u8]) -> Self {
        Self { bits, packed }
    }

    /// Bits of a code.
    #[must_use]
    pub fn bits(self) -> u8 {
        self.bits
    }

    /// The bytes of the packed codes.
    #[must_use]
    pub fn packed(self) -> &'a [u8] {
        self.packed
    }

    /// Code `i`; bits beyond the end count as 0.
    #[inline]
    #[must_use]
    pub fn code(self, i: usize) -> i32 {
        let at = i * usize::from(self.bits);
        let byte = |k: usize| u32::from(self.packed.get(at / 8 + k).copied().unwrap_or(0)) << (8 * k);
        decode((byte(0) | byte(1) | byte(2)) >> (at % 8), self.bits)
    }

    /// `n` codes from `first` that lie one in a byte.
    #[inline(always)]
    fn bytes(self, first: usize, n: usize) -> Option<&'a [u8]> {
        (self.bits == 8).then(|| self.packed.get(first..first + n))?
    }

    /// Adds `factor` times the codes `first..first + sums.len()` to `sums`; sums wrap.
    #[inline(always)]
    pub fn add<S: Sum>(self, first: usize, factor: i32, sums: &mut [S]) {
        if let Some(row) = self.bytes(first, sums.len()) {
            return add_bytes(row, factor, sums);
        }
        if self.bits == 16 {
            let row = self.packed.get(2 * first..2 * (first + sums.len())).unwrap_or_default();
            for (sum, code) in sums.iter_mut().zip(row.as_chunks::<2>().0) {
                *sum = sum.plus(S::low(factor).times(S::low(i16::from_le_bytes(*code).into())));
            }
        } else {
            self.add_packed(first, factor, sums);
        }
    }

    /// Adds the codes from each of four places.
    #[inline(always)]
    pub(crate) fn add_four<S: Sum>(self, first: [usize; 4], sums: &mut [S]) {
        let n = sums.len();
        if let [Some(a), Some(b), Some(c), Some(d)] = first.map(|first| self.bytes(first, n)) {
            for ((((sum, a), b), c), d) in sums.iter_mut().zip(a).zip(b).zip(c).zip(d) {
                *sum = sum.plus(byte::<S>(*a).plus(byte(*b))).plus(byte::<S>(*c).plus(byte(*d)));
            }
        } else {
            first.into_iter().for_each(|first| self.add(first, 1, sums));
        }
    }

    fn add_packed<S: Sum>(self, first: usize, factor: i32, sums: &mut [S]) {
        let bits = u32::from(self.bits);
        let at = first * index(bits);
        let mut bytes = self.packed.get(at / 8..).unwrap_or_default().iter();
        let mut next = || u32::from(bytes.next().copied().unwrap_or(0));
        let used = u32::from(crate::num::low_u8(crate::num::count(at % 8)));
        let (mut pending, mut n_pending) = (next() >> used, 8 - used);
        for sum in sums {
            while n_pending < bits {
                pending |= next() << n_pending;
                n_pending += 8;
            }
            *sum = sum.plus(S::low(factor.wrapping_mul(decode(pending, self.bits))));
            pending >>= bits;
            n_pending -= bits;
        }
    }
}

/// A code that lies in a byte.
#[inline(always)]
pub(crate) fn byte<S: Sum>(code: u8) -> S {
    S::low(code.cast_signed().into())
}

/// Adds `factor` times the codes of a row, which lie one in a byte.
#[inline(always)]
pub(crate) fn add_bytes<S: Sum>(row: &[u8], factor: i32, sums: &mut [S]) {
    if factor == 1 {
        sums.iter_mut().zip(row).for_each(|(sum, &code)| *sum = sum.plus(byte(code)));
    } else {
        let factor = S::low(factor);
        sums.iter_mut().zip(row).for_each(|(sum, &code)| *sum = sum.plus(factor.times(byte(code))));
    }
}

/// The code in the low bits of a word.
#[inline]
fn decode(word: u32, bits: u8) -> i32 {
    if bits == 1 {
        return if word & 1 == 1 { 1 } else { -1 };
    }
    let unused = 32 - u32::from(bits);
    (word << unused).cast_signed() >> unused
}

/// Packs codes; `None` names the first that does not fit.
///
/// # Errors
/// The index of a code that `bits` cannot hold.
#[cfg(feature = "alloc")]
pub fn pack(codes: &[i16], bits: u8) -> Result<alloc::vec::Vec<u8>, usize> {
    let mut packed = alloc::vec![0_u8; packed_bytes(codes.len(), bits)];
    for (i, &code) in codes.iter().enumerate() {
        let stored = stored(code, bits).ok_or(i)?;
        let at = i * usize::from(bits);
        for bit in 0..usize::from(bits) {
            packed[(at + bit) / 8] |= crate::num::low_u8((stored >> bit) & 1) << ((at + bit) % 8);
        }
    }
    Ok(packed)
}

#[cfg(feature = "alloc")]
fn stored(code: i16, bits: u8) -> Option<u32> {
    let code = i32::from(code);
    match bits {
        1 => (code.abs() == 1).then_some(u32::from(code == 1)),
        _ => {
            let half = 1 << (bits - 1);
            (-half..half).contains(&code).then_some(code.cast_unsigned() & ((1 << bits) - 1))
        }
    }
}

#[cfg(all(test, feature = "alloc"))]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn codes(bits: u8, picks: &[u16]) -> Vec<i16> {
        let pick = |&p: &u16| match bits {
            1 => 2 * i16::from(p % 2 == 1) - 1,
            _ => (p.cast_signed()) >> (16 - bits),
        };
        picks.iter().map(pick).collect()
    }

    proptest! {
        #[test]
        fn packed_codes_come_back_one_by_one_and_in_rows(
            bits in 1_u8..=16, picks in prop::collection::vec(any::<u16>(), 1..90), first in 0_usize..40, factor in -3..4_i32,
        ) {
            let codes = codes(bits, &picks);
            let packed = pack(&codes, bits).unwrap();
            prop_assert_eq!(packed.len(), packed_bytes(codes.len(), bits));
            let weights = Weights::new(bits, &packed);
            let back: Vec<i32> = (0..codes.len()).map(|i| weights.code(i)).collect();
            prop_assert_eq!(&back, &codes.iter().map(|&c| i32::from(c)).collect::<Vec<_>>());
            let first = first % codes.len();
            let mut sums = vec![5; codes.len() - first];
            weights.add(first, factor, &mut sums);
            let want: Vec<i32> = back[first..].iter().map(|c| 5 + factor * c).collect();
            prop_assert_eq!(&sums, &want);
            let mut narrow = vec![5_i16; codes.len() - first];
            weights.add(first, factor, &mut narrow);
            prop_assert_eq!(narrow, want.iter().map(|&sum| crate::num::low_i16(sum)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn codes_that_do_not_fit_are_named() {
        assert_eq!((pack(&[1, 0], 1), pack(&[1, 2], 2), pack(&[-2], 2)), (Err(1), Err(1), Ok(vec![2])));
    }
}
