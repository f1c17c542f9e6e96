//! Sums where an accumulation leaves them: with room behind each row.

use crate::weights::Sum;

/// The sums of a frame of neurons, row by row.
#[derive(Debug)]
pub(super) struct Outputs<'c, S> {
    /// At least all rows.
    pub(super) sums: &'c mut [S],
    /// Sums of a row.
    pub(super) row: usize,
    /// From row to row.
    pub(super) pitch: usize,
    /// Rows.
    pub(super) height: usize,
}

impl<'c, S: Sum> Outputs<'c, S> {
    /// Sums that lie one behind the other.
    #[inline(always)]
    pub(super) fn compact(sums: &'c mut [S]) -> Self {
        let n = sums.len();
        Self { sums, row: n, pitch: n, height: 1 }
    }

    /// All of them, one behind the other.
    #[inline(always)]
    pub(super) fn compacted(self) -> &'c mut [S] {
        let Self { sums, row, pitch, height } = self;
        for y in 1..height {
            sums.copy_within(y * pitch..y * pitch + row, y * row);
        }
        &mut sums[..height * row]
    }

    /// The same in 32 bits.
    #[inline(always)]
    pub(super) fn widened(self, wide: &mut [i32]) -> &mut [i32] {
        let Self { sums, row, pitch, height } = self;
        let wide = &mut wide[..height * row];
        for (wide, sums) in wide.chunks_exact_mut(row).zip(sums.chunks(pitch)) {
            wide.iter_mut().zip(sums).for_each(|(wide, &sum)| *wide = sum.into());
        }
        wide
    }
}
