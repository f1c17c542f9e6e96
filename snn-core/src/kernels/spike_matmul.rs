//! Products of sparse rows with a dense matrix: each active input adds one row of weights.
//!
//! Where there is much to add, outputs are worked on in strips of columns, and the weights (or, for the gradient of the
//! weights, the gradients) in tiles of rows: a tile is copied to where it fills most of the first-level cache, all its rows
//! are added to all outputs that they belong to, and the next follows. The sums of a strip stay in the second-level cache.

use super::aligned::Aligned;
use super::gemm::{self, Gemm, GemmOperand};
use super::number::Number;
use super::pattern::{BITS, Pattern};
use super::{panels, par};
use crate::codes::{Codes, Weights};
use crate::scalar::Real;
use crate::vectorized;
use std::borrow::Cow;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Above this share of nonzero inputs a dense matrix product is faster than adding rows.
const DENSE_ABOVE: f64 = 0.25;

/// Rows of a sparse product that one task works on.
const ROWS: usize = 1024;

/// The same of a dense one.
const DENSE_ROWS: usize = 256;

/// Outputs whose weights are so few that a general matrix product spends its time on bringing its factors in order.
const FEW: usize = 64;

/// Columns of a strip: eight registers of 16.
const STRIP: usize = 128;

/// Columns that a row of a narrower strip is filled up to: one register.
const REGISTER: usize = 16;

/// Bytes of a tile.
const TILE: usize = 32 << 10;

/// Additions to an output, on average, for which it pays to load and store it.
const AT_ONCE: usize = 8;

/// Bytes that stay in the second-level cache beside what is added to.
const CACHE: usize = 1 << 20;

/// A matrix many of whose numbers may be zero.
#[derive(Debug)]
pub struct Sparse<'a, R> {
    x: &'a [R],
    pattern: Cow<'a, Pattern>,
}

impl<'a, R: Real> Sparse<'a, R> {
    /// `x` of `n_cols` columns, whose pattern is found unless it is known.
    ///
    /// # Panics
    /// If the pattern is that of a matrix of another size.
    #[must_use]
    pub fn new(x: &'a [R], n_cols: usize, known: Option<&'a Pattern>) -> Self {
        let pattern = known.map_or_else(|| Cow::Owned(Pattern::of(x, n_cols)), Cow::Borrowed);
        assert_eq!(
            [pattern.n_rows() * n_cols, pattern.n_cols()],
            [x.len(), n_cols],
            "sparse: size of the pattern"
        );
        Self { x, pattern }
    }

    /// Whether adding rows is faster than a dense product.
    #[allow(clippy::cast_precision_loss, reason = "a share of a number of numbers")]
    fn is_sparse(&self) -> bool {
        self.pattern.n_nonzero() as f64 <= self.x.len() as f64 * DENSE_ABOVE
    }
}

impl<'a, S: Number> Sparse<'a, S> {
    /// A matrix of zeros and, where the pattern has something, ones.
    ///
    /// # Panics
    /// If the pattern is that of other numbers.
    #[must_use]
    pub(super) fn ones(pattern: &'a Pattern) -> Self {
        assert!(pattern.are_ones(), "sparse: a pattern of ones");
        Self { x: &[], pattern: Cow::Borrowed(pattern) }
    }

    /// All its numbers, row by row; none of [`ones`](Self::ones).
    pub(super) fn numbers(&self) -> &'a [S] {
        self.x
    }

    /// Where they are not zero.
    pub(super) fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    /// Its numbers row by row.
    fn factor(&self) -> Factor<'_, S> {
        Factor { pattern: &self.pattern, x: self.x, strides: [self.pattern.n_cols(), 1] }
    }
}

/// `y = x · w + b` with `size = [in, out]`: `x` `[rows, in]`, `w` `[in, out]`, `b` `[out]` or empty. Of weights with codes and few
/// spikes the sums are whole numbers.
///
/// # Panics
/// If `w` has more numbers than `u32` counts.
pub fn forward<'a, R: Real>(
    size: [usize; 2],
    x: &Sparse<'_, R>,
    w: impl Into<Weights<'a, R>>,
    b: &[R],
) -> Vec<R> {
    let ([n_in, n_out], w) = (size, w.into());
    if x.is_sparse() {
        let codes = w.codes.filter(|_| x.pattern.are_ones());
        return codes.map_or_else(|| product(&x.factor(), w.numbers, n_out, b), |w| in_codes(n_out, x, w, b));
    }
    let n_rows = x.x.len() / n_in;
    let mut y = if b.is_empty() { vec![R::ZERO; n_rows * n_out] } else { b.repeat(n_rows) };
    par::for_row_chunks(&mut y, n_out, DENSE_ROWS, |first, y| {
        let shape = Gemm { m: y.len() / n_out, k: n_in, n: n_out, into: gemm::Into::Add };
        let x = &x.x[first * n_in..][..shape.m * n_in];
        R::gemm(shape, GemmOperand::Rows(x), GemmOperand::Rows(w.numbers), y);
    });
    y
}

/// [`forward`] of a matrix of ones with the weights that these codes stand for.
fn in_codes<R: Real>(n_out: usize, x: &Sparse<'_, R>, w: &Codes, b: &[R]) -> Vec<R> {
    let sums = product(&Sparse::ones(&x.pattern).factor(), w.numbers(), n_out, &[]);
    let scales: Vec<R> = (0..n_out).map(|i| R::of_f64(f64::from(w.scale(i)))).collect();
    let no_bias = vec![R::ZERO; n_out];
    let b = if b.is_empty() { &no_bias } else { b };
    let rows = |first: usize, y: &mut [MaybeUninit<R>]| {
        scale_rows(&scales, b, &sums[first * n_out..][..y.len()], y);
    };
    // SAFETY: all columns of all rows are written.
    unsafe { par::build_rows(x.pattern.n_rows(), n_out, ROWS, rows) }
}

vectorized! {
    fn scale_rows[R: Real](scales: &[R], b: &[R], sums: &[i16], y: &mut [MaybeUninit<R>]) {
        for (y, sums) in y.chunks_exact_mut(scales.len()).zip(sums.chunks_exact(scales.len())) {
            for (((y, &sum), &scale), &b) in y.iter_mut().zip(sums).zip(scales).zip(b) {
                y.write(R::of_i16(sum) * scale + b);
            }
        }
    }
}

/// `gw = xᵀ · gy`.
///
/// # Panics
/// If `gy` has more numbers than `u32` counts.
pub fn weight_grad<R: Real>(size: [usize; 2], x: &Sparse<'_, R>, gy: &[R]) -> Vec<R> {
    let [n_in, n_out] = size;
    if x.is_sparse() && !x.x.is_empty() {
        let pattern = x.pattern.transposed();
        return product(&Factor { pattern: &pattern, x: x.x, strides: [1, n_in] }, gy, n_out, &[]);
    }
    let mut grad = vec![R::ZERO; n_in * n_out];
    let shape = Gemm { m: n_in, k: x.x.len() / n_in, n: n_out, into: gemm::Into::Overwrite };
    R::gemm(shape, GemmOperand::Transposed(x.x), GemmOperand::Rows(gy), &mut grad);
    grad
}

/// `gx = gy · wᵀ`.
pub fn input_grad<R: Real>(size: [usize; 2], w: &[R], gy: &[R]) -> Vec<R> {
    let [n_in, n_out] = size;
    if n_out <= FEW {
        let panels = panels::of_transposed(size, w);
        let mut gx = vec![R::ZERO; gy.len() / n_out * n_in];
        par::for_row_chunks(&mut gx, n_in, DENSE_ROWS, |first, gx| {
            let gy = &gy[first * n_out..][..gx.len() / n_in * n_out];
            panels::add([n_out, n_in], gy, &panels, gx);
        });
        return gx;
    }
    let rows = |first: usize, gx: &mut [MaybeUninit<R>]| {
        let shape = Gemm { m: gx.len() / n_in, k: n_out, n: n_in, into: gemm::Into::Overwrite };
        let gy = &gy[first * n_out..][..shape.m * n_out];
        R::gemm_new(shape, GemmOperand::Rows(gy), GemmOperand::Transposed(w), gx);
    };
    // SAFETY: the product overwrites all rows that it is given.
    unsafe { par::build_rows(gy.len() / n_out, n_in, DENSE_ROWS, rows) }
}

/// The sparse factor of a product, or its transpose.
struct Factor<'a, S> {
    pattern: &'a Pattern,
    x: &'a [S],
    /// From row to row and from column to column of the numbers.
    strides: [usize; 2],
}

impl<S: Number> Factor<'_, S> {
    /// Appends the values of a row at the sites, `scale` times their columns from `first` on, unless all are ones.
    #[inline(always)]
    fn append_values(&self, row: usize, first: usize, (sites, scale): (&[u32], usize), values: &mut Vec<S>) {
        if !self.pattern.are_ones() {
            let start = row * self.strides[0] + first * self.strides[1];
            values.extend(sites.iter().map(|&site| self.x[start + site as usize / scale * self.strides[1]]));
        }
    }
}

/// The rows of `init` (or zeros) and `a` · `b`, of `n` columns.
fn product<S: Number>(a: &Factor<'_, S>, b: &[S], n: usize, init: &[S]) -> Vec<S> {
    assert!(u32::try_from(b.len()).is_ok(), "product with {} numbers", b.len());
    let rows = |first: usize, y: &mut [MaybeUninit<S>]| {
        let rows = first..first + y.len() / n;
        let n_added =
            rows.clone().flat_map(|row| a.pattern.row(row)).map(|word| word.count_ones() as usize).sum();
        if tiles_pay(a, b, rows.len(), n_added) {
            add_by_tiles(a, b, (rows, n_added), init, y);
        } else {
            add_by_rows(a, b, [n, rows.start], init, y);
        }
    };
    // SAFETY: both write all columns of all rows.
    unsafe { par::build_rows(a.pattern.n_rows(), n, ROWS, rows) }
}

/// Whether copying all rows of `b` to tiles costs less than it saves when `n_added` of them are added to `n_rows` rows.
fn tiles_pay<S: Number>(a: &Factor<'_, S>, b: &[S], n_rows: usize, n_added: usize) -> bool {
    let many_at_once = AT_ONCE * a.pattern.row_words() * n_rows <= 2 * n_added;
    n_added >= 4 * a.pattern.n_cols() && (many_at_once || size_of_val(b) > CACHE)
}

/// Writes numbers where none were.
#[inline(always)]
fn write<S: Copy>(to: &mut [MaybeUninit<S>], from: impl ExactSizeIterator<Item = S>) -> &mut [S] {
    assert_eq!(to.len(), from.len(), "numbers to write");
    to.iter_mut().zip(from).for_each(|(to, from)| {
        to.write(from);
    });
    // SAFETY: all of them were just written.
    unsafe { &mut *(std::ptr::from_mut(to) as *mut [S]) }
}

vectorized! {
    /// One row after the other, straight from `b`.
    #[allow(clippy::cast_possible_truncation, reason = "checked by the caller")]
    fn add_by_rows[S: Number](
        lanes; a: &Factor<'_, S>, b: &[S], at: [usize; 2], init: &[S], y: &mut [MaybeUninit<S>],
    ) {
        let [n, first] = at;
        let (mut sites, mut values) = (vec![0; a.pattern.row_words() * BITS], Vec::new());
        for (row, y) in y.chunks_exact_mut(n).enumerate() {
            let mut n_sites = 0;
            for (k, &word) in a.pattern.row(first + row).iter().enumerate() {
                n_sites += lanes.write_sites(word, [(k * BITS * n) as u32, n as u32], &mut sites[n_sites..]);
            }
            values.clear();
            a.append_values(first + row, 0, (&sites[..n_sites], n), &mut values);
            let y = if init.is_empty() {
                write(y, std::iter::repeat_n(S::ZERO, n))
            } else {
                write(y, init.iter().copied())
            };
            lanes.add_many((&values, &sites[..n_sites]), (b, n), (y, n), [1, n]);
        }
    }
}

vectorized! {
    fn add_by_tiles[S: Number](
        lanes; a: &Factor<'_, S>, b: &[S], at: (Range<usize>, usize), init: &[S], y: &mut [MaybeUninit<S>],
    ) {
        let (rows, n_added) = at;
        let (n_rows, n_words) = (rows.len(), a.pattern.row_words());
        let n = y.len() / n_rows;
        let width = n.next_multiple_of(REGISTER).min(STRIP);
        let enough = (AT_ONCE * n_words * n_rows).div_ceil(n_added);
        let words = (TILE / size_of::<S>() / width / BITS).max(enough).min(n_words);
        let lists = Lists::of(a, rows, [words, width]);
        let (mut sums, mut tile) = (Aligned::zeros(n_rows * width), Aligned::zeros(words * BITS * width));
        for first in (0..n).step_by(width) {
            let columns = first..(first + width).min(n);
            start(&mut sums, width, init.get(columns.clone()));
            for (k, rows) in b.chunks(words * BITS * n).enumerate() {
                copy_columns(rows, n, columns.clone(), &mut tile, width);
                let mut ahead = Ahead::of(b, n, [k * words * BITS, words * BITS], columns.clone());
                for i in lists.tiles[k]..lists.tiles[k + 1] {
                    let (row, values, sites) = lists.entry(i);
                    let sums = &mut sums[row * width..][..width];
                    lanes.add_many((values, sites), (&tile, width), (sums, width), [1, width]);
                    ahead.next().into_iter().for_each(|line| lanes.prefetch(line));
                }
            }
            for (y, sums) in y.chunks_exact_mut(n).zip(sums.chunks_exact(width)) {
                write(&mut y[columns.clone()], sums[..columns.len()].iter().copied());
            }
        }
    }
}

/// Rows of `width` that begin with `init`, or are zero.
#[inline(always)]
fn start<S: Number>(sums: &mut [S], width: usize, init: Option<&[S]>) {
    match init {
        None => sums.fill(S::ZERO),
        Some(init) => sums.chunks_exact_mut(width).for_each(|row| row[..init.len()].copy_from_slice(init)),
    }
}

/// Copies columns of rows of `n` to the beginnings of rows of `width`.
#[inline(always)]
fn copy_columns<S: Number>(rows: &[S], n: usize, columns: Range<usize>, to: &mut [S], width: usize) {
    for (to, from) in to.chunks_exact_mut(width).zip(rows.chunks_exact(n)) {
        to[..columns.len()].copy_from_slice(&from[columns.clone()]);
    }
}

/// The lines of the tile that comes next.
struct Ahead<'a, S> {
    rows: std::slice::ChunksExact<'a, S>,
    columns: Range<usize>,
    line: std::slice::Chunks<'a, S>,
}

impl<'a, S: Number> Ahead<'a, S> {
    /// Behind the tile of these columns that begins with row `at[0]` of `b`, rows of `n`, and has at most `at[1]`.
    #[inline(always)]
    fn of(b: &'a [S], n: usize, at: [usize; 2], columns: Range<usize>) -> Self {
        let last = (at[0] + at[1]) * n >= b.len();
        let (row, columns) = if last {
            (0, columns.end.min(n)..(columns.end + STRIP).min(n))
        } else {
            (at[0] + at[1], columns)
        };
        let rows = b[row * n..((row + at[1]) * n).min(b.len())].chunks_exact(n);
        Self { rows, columns, line: [].chunks(REGISTER) }
    }
}

impl<'a, S: Number> Iterator for Ahead<'a, S> {
    type Item = &'a [S];

    #[inline(always)]
    fn next(&mut self) -> Option<&'a [S]> {
        self.line.next().or_else(|| {
            self.line = self.rows.next()?[self.columns.clone()].chunks(REGISTER);
            self.line.next()
        })
    }
}

/// What is added to which row, tile by tile.
struct Lists<S> {
    /// For each tile the index of its first entry in `rows`; one more at the end.
    tiles: Vec<usize>,
    /// Of each tile the rows to which something is added, those to which little is before those to which much is: the
    /// processor then guesses right where lists end.
    rows: Vec<u32>,
    /// For each of them the index of its first site; one more at the end.
    starts: Vec<u32>,
    /// Where the rows of the tile begin.
    sites: Vec<u32>,
    /// None if all are one.
    values: Vec<S>,
}

impl<S: Number> Lists<S> {
    /// Those of some rows of `a`, in tiles of `size = [words of columns, numbers of a row of the tile]`.
    fn of(a: &Factor<'_, S>, rows: Range<usize>, size: [usize; 2]) -> Self {
        let mut lists =
            Self { tiles: vec![0], rows: Vec::new(), starts: vec![0], sites: Vec::new(), values: Vec::new() };
        for first in (0..a.pattern.row_words()).step_by(size[0]) {
            lists.append(a, rows.clone(), first, size);
        }
        lists
    }

    /// Row, values and sites of an entry.
    #[inline(always)]
    fn entry(&self, i: usize) -> (usize, &[S], &[u32]) {
        let at = self.starts[i] as usize..self.starts[i + 1] as usize;
        let values = if self.values.is_empty() { &[] } else { &self.values[at.clone()] };
        (self.rows[i] as usize, values, &self.sites[at])
    }

    /// Adds the tile whose columns begin with word `first`.
    fn append(&mut self, a: &Factor<'_, S>, rows: Range<usize>, first: usize, size: [usize; 2]) {
        append_tile(self, a, rows, first, size);
    }
}

vectorized! {
    #[allow(clippy::cast_possible_truncation, reason = "checked by the caller")]
    fn append_tile[S: Number](
        lanes; lists: &mut Lists<S>, a: &Factor<'_, S>, rows: Range<usize>, first: usize, size: [usize; 2],
    ) {
        let [n_words, width] = size;
        let words = |row: usize| {
            let row = a.pattern.row(rows.start + row);
            &row[first..(first + n_words).min(row.len())]
        };
        let counts: Vec<usize> =
            (0..rows.len()).map(|row| words(row).iter().map(|word| word.count_ones() as usize).sum()).collect();
        let first_entry = lists.rows.len();
        append_order(&counts, n_words * BITS, &mut lists.rows);
        let n = lists.sites.len();
        lists.sites.resize(n + counts.iter().sum::<usize>() + BITS, 0);
        let mut end = n;
        for i in first_entry..lists.rows.len() {
            let (row, start) = (lists.rows[i] as usize, end);
            for (k, &word) in words(row).iter().enumerate() {
                end += lanes.write_sites(word, [(k * BITS * width) as u32, width as u32], &mut lists.sites[end..]);
            }
            lists.starts.push(end as u32);
            a.append_values(rows.start + row, first * BITS, (&lists.sites[start..end], width), &mut lists.values);
        }
        lists.sites.truncate(end);
        lists.tiles.push(lists.rows.len());
    }
}

/// Appends the indices of counts above 0, of which none is above `most`, from the least to the greatest.
#[allow(clippy::cast_possible_truncation, reason = "rows of a task")]
fn append_order(counts: &[usize], most: usize, order: &mut Vec<u32>) {
    let mut places = vec![0; most + 2];
    counts.iter().for_each(|&count| places[count + 1] += 1);
    let n_zero = std::mem::take(&mut places[1]);
    for i in 2..places.len() {
        places[i] += places[i - 1];
    }
    let first = order.len();
    order.resize(first + counts.len() - n_zero, 0);
    for (i, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        order[first + places[count]] = i as u32;
        places[count] += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn numbers<T: From<f32>>(n: usize, seed: u64, density: f32) -> Vec<T> {
        let draw = |i: u64| crate::rng::counter_uniform(seed, i);
        (0..n as u64)
            .map(|i| T::from(if draw(2 * i) < density { draw(2 * i + 1) - 0.5 } else { 0.0 }))
            .collect()
    }

    #[test]
    fn tiles_give_the_same_bits_as_loops() {
        let size @ [n_in, n_out] = [9 * BITS + 7, STRIP + 5];
        for (n_rows, are_ones) in [(2, false), (12, true), (300, false), (300, true)] {
            let x: Vec<f32> = numbers(n_rows * n_in, 1, 0.15);
            let x: Vec<f32> = if are_ones { x.iter().map(|x| x.abs().ceil()).collect() } else { x };
            let (w, gy): (Vec<f32>, Vec<f32>) =
                (numbers(n_in * n_out, 2, 1.0), numbers(n_rows * n_out, 3, 1.0));
            let (mut y, mut gw) = (vec![0.0_f32; n_rows * n_out], vec![0.0_f32; n_in * n_out]);
            for r in 0..n_rows {
                for (i, &x) in x[r * n_in..][..n_in].iter().enumerate().filter(|(_, x)| **x != 0.0) {
                    for o in 0..n_out {
                        let (y, gw) = (&mut y[r * n_out + o], &mut gw[i * n_out + o]);
                        *y = x.mul_add(w[i * n_out + o], *y);
                        *gw = x.mul_add(gy[r * n_out + o], *gw);
                    }
                }
            }
            let x = Sparse::new(&x, n_in, None);
            assert_eq!(tiles_pay(&x.factor(), &w, n_rows, x.pattern.n_nonzero()), n_rows == 300);
            assert_eq!(forward(size, &x, &w, &[]), y);
            assert_eq!(weight_grad(size, &x, &gy), gw);
        }
    }

    #[test]
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "small whole numbers")]
    fn sums_of_codes_are_exact() {
        for (n_rows, n_out, bias) in
            [(2, 10, true), (2, 133, false), (300, 10, false), (300, 2 * STRIP + 37, true)]
        {
            let n_in = 9 * BITS + 7;
            let x: Vec<f32> = numbers::<f32>(n_rows * n_in, 1, 0.15).iter().map(|x| x.abs().ceil()).collect();
            let whole: Vec<i16> =
                numbers::<f32>(n_in * n_out, 2, 0.9).iter().map(|w| (w * 14.0) as i16).collect();
            let scales: Vec<f32> = (0..n_out).map(|i| 0.1 + 0.01 * i as f32).collect();
            let b: Vec<f32> = if bias { numbers(n_out, 3, 1.0) } else { Vec::new() };
            let output = |i: usize| {
                let (x, o) = (&x[i / n_out * n_in..][..n_in], i % n_out);
                let sum: f32 =
                    x.iter().zip(whole[o..].iter().step_by(n_out)).map(|(x, &w)| x * f32::from(w)).sum();
                sum * scales[o] + b.get(o).unwrap_or(&0.0)
            };
            let codes = Codes::new(&[n_in, n_out], 1, whole.clone(), scales.clone()).unwrap();
            // Numbers that no path looks at.
            let unread = vec![f32::NAN; n_in * n_out];
            let x = Sparse::new(&x, n_in, None);
            let y = forward([n_in, n_out], &x, Weights::new(&unread, Some(&codes)), &b);
            assert_eq!(y, (0..n_rows * n_out).map(output).collect::<Vec<_>>(), "{n_rows} x {n_out}");
        }
    }

    proptest! {
        #[test]
        fn both_paths_equal_three_loops(
            rows in 0usize..6, n_in in 1usize..9, n_out in prop_oneof![1_usize..9, FEW - 1..FEW + 9], dense: bool, seed: u64,
        ) {
            let x: Vec<f64> = numbers(rows * n_in, seed, if dense { 1.0 } else { 0.1 });
            let (w, b, gy): (Vec<f64>, Vec<f64>, Vec<f64>) = (numbers(n_in * n_out, seed ^ 1, 1.0), numbers(n_out, seed ^ 2, 1.0), numbers(rows * n_out, seed ^ 3, 1.0));
            let size = [n_in, n_out];
            let input = Sparse::new(&x, n_in, None);
            let (y, gw, gx) = (forward(size, &input, &w, &b), weight_grad(size, &input, &gy), input_grad(size, &w, &gy));
            let at = |v: &[f64], i: usize| v[i];
            for r in 0..rows {
                for o in 0..n_out {
                    let want = b[o] + (0..n_in).map(|i| x[r * n_in + i] * w[i * n_out + o]).sum::<f64>();
                    prop_assert!((at(&y, r * n_out + o) - want).abs() < 1e-12);
                }
                for i in 0..n_in {
                    let want: f64 = (0..n_out).map(|o| gy[r * n_out + o] * w[i * n_out + o]).sum();
                    prop_assert!((at(&gx, r * n_in + i) - want).abs() < 1e-12);
                }
            }
            for i in 0..n_in {
                for o in 0..n_out {
                    let want: f64 = (0..rows).map(|r| x[r * n_in + i] * gy[r * n_out + o]).sum();
                    prop_assert!((at(&gw, i * n_out + o) - want).abs() < 1e-12);
                }
            }
        }
    }
}
