//! Sums of rows of low-bit weights by bit operations.
//!
//! A row of packed codes is a string of bits. Many rows are summed by counting, for each column of bits, how many rows
//! have a one there; 64 columns are counted at a time, in counters whose digits lie in 64-bit words (carry-save adders).
//! A code of `b` bits then sums to `Σ_k ± 2^k · count_k`, with minus for its highest bit; at 1 bit to `2 · count − rows`.

use crate::num::{count, low_i32};
use crate::weights::Sum;

/// Most rows of a batch: the counters have eight digits, and rows are taken by sevens.
pub(crate) const MAX_ROWS: usize = 252;

/// Fewest rows for which counting pays.
pub(crate) const MIN_ROWS: usize = 12;

/// Eight binary digits of 64 counters.
type Digits = [u64; 8];

/// Adds the rows to `sums`, one entry for each code of a row. `packed` holds rows of `sums.len()` codes without gaps;
/// `rows` are their numbers, at most [`MAX_ROWS`].
pub(crate) fn add_rows<S: Sum>(packed: &[u8], bits: u8, rows: &[u32], sums: &mut [S]) {
    let row_bits = sums.len() * usize::from(bits);
    for first in (0..row_bits).step_by(64) {
        let digits = count_columns(packed, row_bits, first, rows);
        add_counts(&digits, bits, first, rows.len(), sums);
    }
}

/// Counts the ones of 64 columns, from column `first`.
fn count_columns(packed: &[u8], row_bits: usize, first: usize, rows: &[u32]) -> Digits {
    let word = |&row: &u32| word_at(packed, crate::num::index(row) * row_bits + first);
    let mut digits = [0; 8];
    let (sevens, rest) = rows.as_chunks::<7>();
    for seven in sevens {
        add_seven(&mut digits, seven.each_ref().map(word));
    }
    for row in rest {
        add_three(&mut digits, [word(row), 0, 0]);
    }
    digits
}

/// 64 bits that begin at any bit; 0 beyond the end.
#[inline]
fn word_at(packed: &[u8], bit: usize) -> u64 {
    let (at, shift) = (bit / 8, bit % 8);
    let low = match packed.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        Some(&eight) => u64::from_le_bytes(eight),
        None => packed.iter().skip(at).rev().fold(0, |word, &byte| word << 8 | u64::from(byte)),
    };
    let next = packed.get(at + 8).copied().unwrap_or(0);
    if shift == 0 { low } else { low >> shift | u64::from(next) << (64 - shift) }
}

/// Sum and carry of three bits in each column.
#[inline]
fn full(a: u64, b: u64, c: u64) -> (u64, u64) {
    let half = a ^ b;
    (half ^ c, (a & b) | (half & c))
}

#[inline]
fn add_seven(digits: &mut Digits, r: [u64; 7]) {
    let (s1, c1) = full(r[0], r[1], r[2]);
    let (s2, c2) = full(r[3], r[4], r[5]);
    let (ones, c3) = full(s1, s2, r[6]);
    let (twos, fours) = full(c1, c2, c3);
    add_three(digits, [ones, twos, fours]);
}

/// Adds a number of three digits in each column.
#[inline]
fn add_three(digits: &mut Digits, low: [u64; 3]) {
    let mut carry = 0;
    for (digit, add) in digits.iter_mut().zip(low) {
        (*digit, carry) = full(*digit, add, carry);
    }
    for digit in &mut digits[3..] {
        (*digit, carry) = (*digit ^ carry, *digit & carry);
    }
}

/// Adds what the counters say to the sums of the codes whose bits they are.
fn add_counts<S: Sum>(digits: &Digits, bits: u8, first: usize, n_rows: usize, sums: &mut [S]) {
    let width = usize::from(bits);
    let rows = low_i32(i64::from(count(n_rows)));
    let end = (first + 64).min(sums.len() * width);
    for column in first..end {
        let at = column - first;
        let n = digits.iter().rev().fold(0, |n, digit| 2 * n + i32::from((digit >> at) & 1 == 1));
        let (code, bit) = (column / width, column % width);
        let weight = match (bits, bit + 1 == width) {
            (1, _) => 2 * n - rows,
            (_, true) => -(n << bit),
            (_, false) => n << bit,
        };
        sums[code] = sums[code].plus(S::low(weight));
    }
}

#[cfg(all(test, feature = "alloc"))]
mod tests {
    use super::*;
    use crate::weights::{Weights, pack};
    use alloc::vec;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn counting_equals_adding_row_by_row(
            bits in 1_u8..=3, n_out in 1_usize..150, n_in in 1_u32..30, seed in any::<u64>(),
            picks in prop::collection::vec(any::<u32>(), 0..MAX_ROWS),
        ) {
            let n = n_out * crate::num::index(n_in);
            let draw = |i: usize| seed.wrapping_add(i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
            let code = |i| match bits {
                1 => 2 * i16::from(draw(i) % 2 == 1) - 1,
                _ => i16::try_from(draw(i) % (1 << bits)).unwrap() - (1 << (bits - 1)),
            };
            let codes: Vec<i16> = (0..n).map(code).collect();
            let packed = pack(&codes, bits).unwrap();
            let rows: Vec<u32> = picks.iter().map(|p| p % n_in).collect();
            let (mut fast, mut slow) = (vec![7; n_out], vec![7; n_out]);
            add_rows(&packed, bits, &rows, &mut fast);
            for &row in &rows {
                Weights::new(bits, &packed).add(crate::num::index(row) * n_out, 1, &mut slow);
            }
            prop_assert_eq!(fast, slow);
        }
    }
}
