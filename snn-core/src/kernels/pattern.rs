//! Where a matrix is not zero, as bits: a thirty-second of its bytes, and easily transposed.

use super::{CACHE, par};
use crate::scalar::Scalar;
use crate::vectorized;

/// Numbers that a word has bits for.
pub(super) const BITS: usize = u64::BITS as usize;

/// Rows that one task looks through.
const ROWS: usize = 1024;

/// Numbers from those looked at to those asked for meanwhile, of what no such cache has.
const AHEAD: usize = 1024;

/// 32-bit numbers of a cache line.
const LINE: usize = 16;

/// Which numbers of a matrix are not zero: a bit for each, row by row, of which each begins a word and goes on from its
/// lowest bit to its highest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pattern {
    n_cols: usize,
    words: Vec<u64>,
    n_nonzero: usize,
    n_ones: usize,
}

impl Pattern {
    /// The pattern of a matrix of `n_cols` columns.
    ///
    /// # Panics
    /// If `n_cols` is zero.
    #[must_use]
    pub fn of<S: Scalar>(x: &[S], n_cols: usize) -> Self {
        let mut parts = par::map_chunks(x.len() / n_cols, ROWS, |rows| {
            let mut words = Vec::with_capacity(rows.len() * n_cols.div_ceil(BITS));
            let [n_nonzero, n_ones] = find(&x[rows.start * n_cols..rows.end * n_cols], n_cols, &mut words);
            Self { n_cols, words, n_nonzero, n_ones }
        })
        .into_iter();
        let mut pattern = parts.next().unwrap_or(Self { n_cols, ..Self::default() });
        parts.for_each(|part| pattern.append(&part));
        pattern
    }

    /// Adds the rows of another at the end.
    ///
    /// # Panics
    /// If the numbers of columns differ.
    pub fn append(&mut self, rows: &Self) {
        assert_eq!(self.n_cols, rows.n_cols, "patterns to append");
        self.words.extend_from_slice(&rows.words);
        self.n_nonzero += rows.n_nonzero;
        self.n_ones += rows.n_ones;
    }

    /// How many numbers are not zero.
    #[must_use]
    pub fn n_nonzero(&self) -> usize {
        self.n_nonzero
    }

    /// Whether all these are one, as spikes are.
    #[must_use]
    pub fn are_ones(&self) -> bool {
        self.n_ones == self.n_nonzero
    }

    /// Number of rows.
    #[must_use]
    pub fn n_rows(&self) -> usize {
        self.words.len() / self.row_words().max(1)
    }

    /// Number of columns.
    #[must_use]
    pub fn n_cols(&self) -> usize {
        self.n_cols
    }

    /// Bytes of the bits.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of_val(&self.words[..])
    }

    /// Words of a row.
    pub(super) fn row_words(&self) -> usize {
        self.n_cols.div_ceil(BITS)
    }

    /// The bits of a row.
    #[inline(always)]
    pub(super) fn row(&self, row: usize) -> &[u64] {
        let n = self.row_words();
        &self.words[row * n..(row + 1) * n]
    }

    /// That of the transposed matrix.
    pub(super) fn transposed(&self) -> Self {
        let (n_rows, n_words) = (self.n_rows(), self.row_words());
        let columns = n_rows.div_ceil(BITS);
        let mut words = vec![0; self.n_cols * columns];
        for (column, first_row) in (0..n_rows).step_by(BITS).enumerate() {
            for word in 0..n_words {
                let mut block = [0; BITS];
                for (bits, row) in block.iter_mut().zip(first_row..n_rows) {
                    *bits = self.words[row * n_words + word];
                }
                transpose(&mut block);
                let rows = words[word * BITS * columns..].chunks_mut(columns);
                rows.zip(block).for_each(|(row, bits)| row[column] = bits);
            }
        }
        Self { n_cols: n_rows, words, ..*self }
    }
}

vectorized! {
    /// Appends the bits of rows of `n_cols` numbers. How many numbers are not zero, and how many are one.
    fn find[S: Scalar](lanes; x: &[S], n_cols: usize, words: &mut Vec<u64>) -> [usize; 2] {
        let mut counts = [0; 2];
        let is_far = size_of_val(x) > CACHE;
        for (i, row) in x.chunks_exact(n_cols).enumerate() {
            for (k, block) in row.chunks(BITS).enumerate() {
                if is_far {
                    let ahead = i * n_cols + k * BITS + AHEAD;
                    let lines = (ahead..ahead + BITS).step_by(LINE);
                    lines.for_each(|line| lanes.prefetch(x.get(line..).unwrap_or_default()));
                }
                let [nonzero, ones] = lanes.bits(block);
                words.push(nonzero);
                counts[0] += nonzero.count_ones() as usize;
                counts[1] += ones.count_ones() as usize;
            }
        }
        counts
    }
}

/// Exchanges the two off-diagonal quarters of the matrix of bits, then those of each quarter, and so on (H. S. Warren, "Hacker's
/// Delight", 2nd edition 2012, section 7-3).
fn transpose(rows: &mut [u64; BITS]) {
    let (mut shift, mut mask) = (BITS / 2, u64::MAX >> (BITS / 2));
    while shift > 0 {
        for i in (0..BITS).filter(|i| i & shift == 0) {
            let differing = ((rows[i] >> shift) ^ rows[i + shift]) & mask;
            rows[i] ^= differing << shift;
            rows[i + shift] ^= differing;
        }
        shift /= 2;
        mask ^= mask << shift;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bit(pattern: &Pattern, row: usize, col: usize) -> bool {
        pattern.row(row)[col / BITS] >> (col % BITS) & 1 == 1
    }

    proptest! {
        #[test]
        fn bits_are_where_numbers_are_not_zero(n_rows in 1_usize..150, n_cols in 1_usize..150, seed: u64) {
            let draw = |i: usize| crate::rng::counter_uniform(seed, i as u64);
            let value = |i| match draw(i) {
                u if u < 0.4 => -0.0,
                u if u < 0.6 => 1.0,
                u if u < 0.8 => f32::NAN,
                _ => 2.5,
            };
            let x: Vec<f32> = (0..n_rows * n_cols).map(value).collect();
            let pattern = Pattern::of(&x, n_cols);
            let turned = pattern.transposed();
            prop_assert_eq!([turned.n_rows(), turned.n_cols()], [n_cols, n_rows]);
            for (i, &v) in x.iter().enumerate() {
                let (row, col) = (i / n_cols, i % n_cols);
                prop_assert_eq!(bit(&pattern, row, col), v != 0.0);
                prop_assert_eq!(bit(&turned, col, row), v != 0.0);
            }
            prop_assert_eq!(pattern.n_nonzero(), x.iter().filter(|&&v| v != 0.0).count());
            prop_assert_eq!(&turned.transposed(), &pattern);
            let as_f64: Vec<f64> = x.iter().map(|&v| f64::from(v)).collect();
            prop_assert_eq!(&Pattern::of(&as_f64, n_cols), &pattern);
        }
    }

    #[test]
    fn rows_are_appended_and_ones_are_known() {
        let (mut both, mut ones) =
            (Pattern::of(&[1.0_f32, 0.0, 0.0], 3), Pattern::of(&[1.0_f32, 0.0, 0.0], 3));
        both.append(&Pattern::of(&[0.0, 2.0_f32, 1.0], 3));
        ones.append(&Pattern::of(&[0.0, 1.0_f32, 1.0], 3));
        assert_eq!(both, Pattern::of(&[1.0, 0.0, 0.0, 0.0, 2.0_f32, 1.0], 3));
        assert!(ones.are_ones() && !both.are_ones() && both.n_rows() == 2 && both.bytes() == 16);
    }
}
