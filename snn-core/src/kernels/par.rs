//! Splitting independent work over threads, in chunks whose size never depends on the number of threads.

use crate::scalar::Scalar;
use rayon::prelude::*;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Calls `f` on consecutive ranges of at most `chunk` items that cover `0..n`, on all threads, and returns the results
/// in order.
///
/// # Panics
/// If `chunk` is zero.
pub fn map_chunks<R: Send>(n: usize, chunk: usize, f: impl Fn(Range<usize>) -> R + Sync) -> Vec<R> {
    assert!(chunk > 0, "map_chunks: chunk must be positive");
    let run = |i: usize| f(i * chunk..((i + 1) * chunk).min(n));
    let n_chunks = n.div_ceil(chunk);
    if n_chunks <= 1 {
        return (0..n_chunks).map(run).collect();
    }
    (0..n_chunks).into_par_iter().map(run).collect()
}

/// Splits `out` into rows of `row_len` and calls `f(first_row, rows)` on groups of at most `chunk` rows, on all threads.
///
/// # Panics
/// If `chunk` or `row_len` is zero.
pub fn for_row_chunks<S: Send>(
    out: &mut [S],
    row_len: usize,
    chunk: usize,
    f: impl Fn(usize, &mut [S]) + Sync,
) {
    assert!(chunk > 0 && row_len > 0, "for_row_chunks: sizes must be positive");
    if out.len() <= chunk * row_len {
        return f(0, out);
    }
    out.par_chunks_mut(chunk * row_len).enumerate().for_each(|(i, rows)| f(i * chunk, rows));
}

/// `n_rows` rows of `row_len` that `f(first_row, rows)` writes in groups of at most `chunk`, on all threads: nothing is written
/// before, as a vector of zeros would be.
///
/// # Safety
/// `f` must write every number that it is given.
///
/// # Panics
/// If `chunk` or `row_len` is zero.
pub(super) unsafe fn build_rows<S: Copy + Send>(
    n_rows: usize,
    row_len: usize,
    chunk: usize,
    f: impl Fn(usize, &mut [MaybeUninit<S>]) + Sync,
) -> Vec<S> {
    let n = n_rows * row_len;
    let mut rows = Vec::with_capacity(n);
    for_row_chunks(&mut rows.spare_capacity_mut()[..n], row_len, chunk, f);
    // SAFETY: `f` wrote each of the `n` numbers, as the caller vouches for.
    unsafe { rows.set_len(n) };
    rows
}

/// `n_rows` rows of `row_len` zeros that `f(row, numbers)` works on, on all threads in groups of at most `chunk`: a row is made
/// just before, so that `f` finds it in cache.
///
/// # Panics
/// If `chunk` or `row_len` is zero.
pub fn build_from_zeros<S: Scalar>(
    n_rows: usize,
    row_len: usize,
    chunk: usize,
    f: impl Fn(usize, &mut [S]) + Sync,
) -> Vec<S> {
    let write = |first: usize, rows: &mut [MaybeUninit<S>]| {
        for (k, row) in rows.chunks_mut(row_len).enumerate() {
            f(first + k, zeros(row));
        }
    };
    // SAFETY: `write` fills each row.
    unsafe { build_rows(n_rows, row_len, chunk, write) }
}

/// A part of each of some rows, which becomes zeros where it is first asked for: it is in cache then.
#[derive(Debug)]
pub struct Columns<'a, S> {
    rows: Vec<&'a mut [MaybeUninit<S>]>,
    /// Whether a row has numbers.
    written: Vec<bool>,
}

impl<S: Scalar> Columns<'_, S> {
    /// The part of row `i`: zeros at first.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row(&mut self, i: usize) -> &mut [S] {
        let row = &mut *self.rows[i];
        if !std::mem::replace(&mut self.written[i], true) {
            return zeros(row);
        }
        // SAFETY: zeros were written when the row was first asked for.
        unsafe { &mut *(std::ptr::from_mut(row) as *mut [S]) }
    }
}

/// `n_rows` rows of `row_len` zeros, of which `f(first, columns)` works on at most `chunk` columns from `first` on, on all
/// threads; with what `f` returned, in order.
///
/// # Panics
/// If `chunk` is zero.
pub fn build_columns<S: Scalar, R: Send>(
    [n_rows, row_len]: [usize; 2],
    chunk: usize,
    f: impl Fn(usize, &mut Columns<'_, S>) -> R + Sync,
) -> (Vec<S>, Vec<R>) {
    let n = n_rows * row_len;
    let mut numbers = Vec::with_capacity(n);
    let no_rows = |_| Columns { rows: Vec::with_capacity(n_rows), written: vec![false; n_rows] };
    let mut parts: Vec<Columns<'_, S>> = (0..row_len.div_ceil(chunk)).map(no_rows).collect();
    for row in numbers.spare_capacity_mut()[..n].chunks_mut(row_len.max(1)) {
        parts.iter_mut().zip(row.chunks_mut(chunk)).for_each(|(part, columns)| part.rows.push(columns));
    }
    let work = |(i, mut part): (usize, Columns<'_, S>)| {
        let found = f(i * chunk, &mut part);
        for i in 0..n_rows {
            part.row(i);
        }
        found
    };
    let found = if parts.len() == 1 {
        parts.into_iter().enumerate().map(work).collect()
    } else {
        parts.into_par_iter().enumerate().map(work).collect()
    };
    // SAFETY: the parts are all the numbers, and each row of each was asked for.
    unsafe { numbers.set_len(n) };
    (numbers, found)
}

/// Writes zeros.
fn zeros<S: Scalar>(numbers: &mut [MaybeUninit<S>]) -> &mut [S] {
    numbers.fill(MaybeUninit::new(S::ZERO));
    // SAFETY: all of them were just written.
    unsafe { &mut *(std::ptr::from_mut(numbers) as *mut [S]) }
}

/// [`build_rows`] of two outputs with as many rows: `f(first_row, rows of the first, rows of the second)`.
///
/// # Safety
/// `f` must write every number that it is given.
///
/// # Panics
/// If `chunk` or a length of a row is zero.
pub(super) unsafe fn build_rows_2<A: Copy + Send, B: Copy + Send>(
    n_rows: usize,
    [a_len, b_len]: [usize; 2],
    chunk: usize,
    f: impl Fn(usize, &mut [MaybeUninit<A>], &mut [MaybeUninit<B>]) + Sync,
) -> (Vec<A>, Vec<B>) {
    let (mut a, mut b) = (Vec::with_capacity(n_rows * a_len), Vec::with_capacity(n_rows * b_len));
    let to_a = &mut a.spare_capacity_mut()[..n_rows * a_len];
    let to_b = &mut b.spare_capacity_mut()[..n_rows * b_len];
    for_row_chunks_2((to_a, a_len), (to_b, b_len), chunk, f);
    // SAFETY: `f` wrote all numbers, as the caller vouches for.
    unsafe {
        a.set_len(n_rows * a_len);
        b.set_len(n_rows * b_len);
    }
    (a, b)
}

/// [`for_row_chunks`] over two outputs with as many rows: `f(first_row, rows of the first, rows of the second)`.
///
/// # Panics
/// If `chunk` or a length of a row is zero.
pub fn for_row_chunks_2<A: Send, B: Send>(
    (a, a_len): (&mut [A], usize),
    (b, b_len): (&mut [B], usize),
    chunk: usize,
    f: impl Fn(usize, &mut [A], &mut [B]) + Sync,
) {
    assert!(chunk > 0 && a_len > 0 && b_len > 0, "for_row_chunks_2: sizes must be positive");
    if a.len() <= chunk * a_len {
        return f(0, a, b);
    }
    let rows = a.par_chunks_mut(chunk * a_len).zip(b.par_chunks_mut(chunk * b_len));
    rows.enumerate().for_each(|(i, (a, b))| f(i * chunk, a, b));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_cover_the_range_once_and_in_order() {
        let ranges = map_chunks(10, 4, |r| r);
        assert_eq!(ranges, [0..4, 4..8, 8..10]);
        assert!(map_chunks(0, 4, |r| r).is_empty());
    }

    #[test]
    fn columns_are_built_part_by_part() {
        let number = |row: usize, column: usize| (10 * row + column) as f64;
        for [n_rows, row_len] in [[3, 7], [3, 4], [1, 1], [0, 5], [5, 0]] {
            let (numbers, firsts) =
                build_columns([n_rows, row_len], 3, |first, columns: &mut Columns<'_, f64>| {
                    // The first row is never asked for, the others twice.
                    for row in (1..n_rows).chain(1..n_rows) {
                        let add = |(i, v): (usize, &mut f64)| *v += 0.5 * number(row, first + i);
                        columns.row(row).iter_mut().enumerate().for_each(add);
                    }
                    first
                });
            let number = |row, column| if row == 0 { 0.0 } else { number(row, column) };
            let expected = (0..n_rows).flat_map(|r| (0..row_len).map(move |c| number(r, c)));
            assert_eq!(numbers, expected.collect::<Vec<_>>());
            assert_eq!(firsts, (0..row_len).step_by(3).collect::<Vec<_>>());
        }
    }

    #[test]
    fn row_chunks_see_their_first_row() {
        let mut out = vec![0; 12];
        for_row_chunks(&mut out, 2, 2, |first, rows| {
            for (i, row) in rows.chunks_mut(2).enumerate() {
                row.fill(first + i);
            }
        });
        assert_eq!(out, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]);
    }
}
