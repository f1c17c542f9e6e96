//! Run-time dispatch: one loop, compiled for several instruction sets.

mod products;
#[cfg(target_arch = "x86_64")]
mod whole;

pub use products::Products;

use super::number::Number;
use crate::scalar::{Real, Scalar};
use std::any::TypeId;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Compiles a function generic in the scalar for AVX-512, AVX2 and the baseline, and picks one at run time.
///
/// The body is plain Rust that the compiler vectorizes; where it does not do so well, `lanes;` before the
/// arguments gives the body a [`Lanes`] to call vector kernels through. The compiler never contracts products and sums, and
/// vector kernels fuse them with all instruction sets or with none, so all versions give the same bits. (Where a CPU has no
/// fused multiply-add, `f32::mul_add` computes it in software.)
#[macro_export]
#[doc(hidden)]
macro_rules! vectorized {
    ($(#[$meta:meta])* $vis:vis fn $name:ident [$($gen:tt)*] ($($arg:ident : $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $crate::vectorized! {
            $(#[$meta])* $vis fn $name[$($gen)*](_lanes; $($arg: $ty),*) $(-> $ret)? $body
        }
    };
    ($(#[$meta:meta])* $vis:vis fn $name:ident [$($gen:tt)*] ($lanes:ident; $($arg:ident : $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        $vis fn $name<$($gen)*>($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            fn body<$($gen)*>($lanes: impl $crate::kernels::simd::Lanes, $($arg: $ty),*) $(-> $ret)? $body

            #[cfg(target_arch = "x86_64")]
            {
                use $crate::kernels::simd::x86::{Avx2, Avx512};
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,popcnt")]
                fn avx512<$($gen)*>(lanes: Avx512, $($arg: $ty),*) $(-> $ret)? {
                    body(lanes, $($arg),*)
                }
                #[target_feature(enable = "avx2,fma")]
                fn avx2<$($gen)*>(lanes: Avx2, $($arg: $ty),*) $(-> $ret)? {
                    body(lanes, $($arg),*)
                }
                if let Some(lanes) = Avx512::detect() {
                    // SAFETY: the features were detected on this CPU, or there would be no `lanes`.
                    return unsafe { avx512(lanes, $($arg),*) };
                }
                if let Some(lanes) = Avx2::detect() {
                    // SAFETY: as above.
                    return unsafe { avx2(lanes, $($arg),*) };
                }
            }
            body($crate::kernels::simd::Baseline, $($arg),*)
        }
    };
}

/// Gives a macro the numbers of sums, and of registers of 16 numbers for each, that slide in the registers of AVX-512.
macro_rules! with_slide_sizes {
    ($name:ident, $($args:tt)*) => {
        $name! {
            [(3, 1) (3, 2) (3, 3) (3, 4) (3, 6) (3, 8) (5, 1) (5, 2) (5, 3) (5, 4) (5, 5) (7, 1) (7, 2) (7, 4)] $($args)*
        }
    };
}

macro_rules! is_slide_size {
    ([$(($taps:literal, $n:literal))+] $size:expr) => { matches!($size, $(($taps, $n))|+) };
}

/// Whether so many sums of so many numbers slide in registers where a CPU has enough of them.
pub(super) fn slides(taps: usize, width: usize) -> bool {
    width.is_multiple_of(16) && with_slide_sizes!(is_slide_size, (taps, width / 16))
}

/// How many rows of so many numbers have room in the registers of AVX-512, beside what is added to them.
pub(super) fn rows_in_registers(len: usize) -> usize {
    match len.div_ceil(16) {
        0..=5 => 5,
        6..=8 => 3,
        9..=10 => 2,
        _ => 1,
    }
}

/// Sums that slide over the steps of a column, see [`Lanes::slide`].
#[derive(Clone, Copy, Debug)]
pub struct Slide<'a, S> {
    /// What is added: `[taps][bias.len()]` from each start on.
    pub kernels: &'a [S],
    /// Where the kernel of each event begins, plus `back`.
    pub starts: &'a [u32],
    /// What each kernel is multiplied by; empty for ones.
    pub values: &'a [S],
    /// Taken from all starts.
    pub back: u32,
    /// The events of each step.
    pub steps: &'a [Range<usize>],
    /// Sums that a kernel is added to.
    pub taps: usize,
    /// Steps whose complete sum nobody wants, before those that are written.
    pub skipped: usize,
    /// Whether the sums are added to what is there.
    pub adds: bool,
    /// What each sum starts from.
    pub bias: &'a [S],
}

impl<'a, S: Number> Slide<'a, S> {
    /// It, if these are its numbers.
    #[inline(always)]
    fn of_same<T: Number>(&self) -> Option<Slide<'a, T>> {
        let &Slide { starts, back, steps, taps, skipped, adds, .. } = self;
        let (kernels, values, bias) = (same(self.kernels)?, same(self.values)?, same(self.bias)?);
        Some(Slide { kernels, starts, values, back, steps, taps, skipped, adds, bias })
    }
}

/// Where the pixels of windows side by side are, see [`Lanes::choose`].
#[derive(Clone, Copy, Debug)]
pub struct Taps<'a> {
    /// For each tap of the first window, where its numbers begin.
    pub of_first: &'a [usize],
    /// Numbers from one window to the next.
    pub step: usize,
    /// Numbers of a pixel.
    pub pixel: usize,
}

impl Taps<'_> {
    /// Numbers of rows that hold so many windows.
    fn reach(&self, windows: usize) -> usize {
        let last = self.of_first.iter().fold(0, |last, &tap| last.max(tap));
        if windows == 0 { 0 } else { (windows - 1) * self.step + last + self.pixel }
    }
}

/// Vector kernels of an instruction set that this CPU has, for slices of `f32`, and for those of `i16` where codes of weights are
/// added up; the methods of numbers of any other type are plain loops.
pub trait Lanes: Copy {
    /// `y += a · x`, number by number; the shorter slice counts.
    fn axpy_f32(self, a: f32, x: &[f32], y: &mut [f32]);

    /// [`Lanes::add_rows`] of several `x`, which begin at `starts` in one slice: `y` stays in registers meanwhile, and products
    /// are not rounded before they are added. An empty `a` stands for ones.
    ///
    /// # Panics
    /// If a slice does not hold them.
    fn add_many_f32(
        self,
        (a, starts): (&[f32], &[u32]),
        (x, x_stride): (&[f32], usize),
        (y, y_stride): (&mut [f32], usize),
        size: [usize; 2],
    ) {
        for (i, &start) in starts.iter().enumerate() {
            let a = if a.is_empty() { 1.0 } else { a[i] };
            add_rows(size, (&x[start as usize..], x_stride), (&mut *y, y_stride), |x: &[f32], y| {
                y.iter_mut().zip(x).for_each(|(y, &x)| *y = a.mul_add(x, *y));
            });
        }
    }

    /// [`Lanes::add_to_many`].
    fn add_to_many_f32(
        self,
        (a, starts): (&[f32], &[u32]),
        x: (&[f32], usize),
        (y, y_stride): (&mut [f32], usize),
        size: [usize; 2],
    ) {
        for (i, &start) in starts.iter().enumerate() {
            let a = if a.is_empty() { 1.0 } else { a[i] };
            self.add_rows_f32(a, x, (&mut y[start as usize..], y_stride), size);
        }
    }

    /// [`Lanes::slide`].
    fn slide_f32(self, slide: &Slide<'_, f32>, to: (&mut [f32], usize)) {
        slide_down(slide, to, |a, x, sum| *sum = a.mul_add(x, *sum));
    }

    /// [`Lanes::add_many`] of ones.
    ///
    /// # Panics
    /// If a slice does not hold them.
    fn add_many_i16(
        self,
        starts: &[u32],
        (x, x_stride): (&[i16], usize),
        (y, y_stride): (&mut [i16], usize),
        size: [usize; 2],
    ) {
        for &start in starts {
            add_rows(size, (&x[start as usize..], x_stride), (&mut *y, y_stride), |x, y| axpy(1, x, y));
        }
    }

    /// [`Lanes::add_to_many`] of ones.
    ///
    /// # Panics
    /// If a slice does not hold them.
    fn add_to_many_i16(
        self,
        starts: &[u32],
        x: (&[i16], usize),
        (y, y_stride): (&mut [i16], usize),
        size: [usize; 2],
    ) {
        for &start in starts {
            add_rows(size, x, (&mut y[start as usize..], y_stride), |x, y| axpy(1, x, y));
        }
    }

    /// [`Lanes::slide`] of ones, nothing being added to what is there.
    ///
    /// # Panics
    /// If a slice does not hold what is asked for.
    fn slide_i16(self, slide: &Slide<'_, i16>, to: (&mut [i16], usize)) {
        slide_down(slide, to, |a, x, sum| sum.add_product(a, x));
    }

    /// [`Lanes::choose`].
    fn choose_i16(
        self,
        rows: &[i16],
        at: &Taps<'_>,
        best: &mut [i16],
        choices: (&mut [MaybeUninit<u8>], usize),
    ) {
        choose(rows, at, best, choices);
    }

    /// [`Lanes::add_products`].
    fn add_products_f32(self, products: &Products<'_, f32>, to: (&mut [f32], usize)) {
        products::add(products, to, |a, x, sum| *sum = a.mul_add(x, *sum));
    }

    /// [`Lanes::bits`].
    fn bits_f32(self, x: &[f32]) -> [u64; 2] {
        bits(x)
    }

    /// Writes `first + i · scale` for each bit `i` of a word that is set, and returns how many there are.
    ///
    /// # Panics
    /// If there is no room for 64.
    #[inline(always)]
    fn write_sites(self, word: u64, [first, scale]: [u32; 2], sites: &mut [u32]) -> usize {
        write_sites(word, [first, scale], &mut sites[..64])
    }

    /// How many of some sites are below `end`.
    #[inline(always)]
    fn count_below(self, sites: &[u32], end: u32) -> usize {
        sites.iter().map(|&site| usize::from(site < end)).sum()
    }

    /// Appends those numbers of `best` that chose `k` and are not zero, and `stride` times their indices.
    fn append_chosen_f32(
        self,
        best: &[f32],
        choices: &[u8],
        k: u8,
        stride: usize,
        starts: &mut Vec<u32>,
        values: &mut Vec<f32>,
    ) {
        append_chosen(best, choices, k, stride, starts, values);
    }

    /// [`Lanes::choose`].
    fn choose_f32(
        self,
        rows: &[f32],
        at: &Taps<'_>,
        best: &mut [f32],
        choices: (&mut [MaybeUninit<u8>], usize),
    ) {
        choose(rows, at, best, choices);
    }

    /// For each number of `chosen` that at `taps[k] + i` in `rows` for the chosen `k`.
    fn pick_f32(self, rows: &[f32], choices: &[u8], taps: &[usize], chosen: &mut [f32]) {
        pick(rows, choices, taps, chosen);
    }

    /// [`Lanes::spread`].
    fn spread_f32(self, best: &[f32], choices: (&[u8], usize), at: &Taps<'_>, rows: &mut [f32]) {
        spread(best, choices, at, rows);
    }

    /// Replaces each number by one of 256 levels: the one whose number is the count of smaller boundaries, of which `tree` is
    /// a search tree by breadth. NaN stays NaN.
    #[inline(always)]
    fn descend_f32(self, levels: &[f32; 256], tree: &[f32; 256], x: &mut [f32]) {
        descend(levels, tree, x);
    }

    /// `to[c · to_stride + r] = from[r · from_stride + c]` for `size = [rows, cols]`, both at most 16.
    fn transpose_tile_f32(
        self,
        from: (&[f32], usize),
        size: [usize; 2],
        to: (&mut [MaybeUninit<f32>], usize),
    ) {
        transpose_tile(from, size, to);
    }

    /// `y += a · x` for `rows` runs of `len` numbers that begin a stride apart: `([rows, len])`.
    ///
    /// # Panics
    /// If a slice does not hold them.
    fn add_rows_f32(self, a: f32, x: (&[f32], usize), y: (&mut [f32], usize), size: [usize; 2]) {
        add_rows(size, x, y, |x, y| self.axpy_f32(a, x, y));
    }

    /// `y += a · x` for `size = [rows, len]`: runs of `len` numbers, of which the first ones begin the slices and the next
    /// ones follow at a stride.
    ///
    /// # Panics
    /// If a slice does not hold them.
    #[inline(always)]
    fn add_rows<S: Number>(self, a: S, x: (&[S], usize), y: (&mut [S], usize), size: [usize; 2]) {
        if TypeId::of::<S>() != TypeId::of::<f32>() {
            return add_rows(size, x, y, |x, y| axpy(a, x, y));
        }
        if let (Some(&[a]), Some(x_f32), Some(y_f32)) = (as_f32(&[a]), as_f32(x.0), as_f32_mut(y.0)) {
            self.add_rows_f32(a, (x_f32, x.1), (y_f32, y.1), size);
        }
    }

    /// [`Lanes::add_rows`] of several `x`, which begin at `starts` in one slice, one after the other. An empty `a` stands for
    /// ones.
    ///
    /// # Panics
    /// If a slice does not hold them.
    #[inline(always)]
    fn add_many<S: Number>(
        self,
        (a, starts): (&[S], &[u32]),
        (x, x_stride): (&[S], usize),
        (y, y_stride): (&mut [S], usize),
        size: [usize; 2],
    ) {
        if let (Some(x), Some(y), true) = (same(x), same_mut(y), a.is_empty()) {
            self.add_many_i16(starts, (x, x_stride), (y, y_stride), size);
        } else if TypeId::of::<S>() != TypeId::of::<f32>() {
            for (i, &start) in starts.iter().enumerate() {
                let a = if a.is_empty() { S::ONE } else { a[i] };
                self.add_rows(a, (&x[start as usize..], x_stride), (&mut *y, y_stride), size);
            }
        } else if let (Some(a), Some(x), Some(y)) = (as_f32(a), as_f32(x), as_f32_mut(y)) {
            self.add_many_f32((a, starts), (x, x_stride), (y, y_stride), size);
        }
    }

    /// [`Lanes::add_rows`] to several `y`, which begin at `starts` in one slice, one after the other. An empty `a` stands for
    /// ones.
    ///
    /// # Panics
    /// If a slice does not hold them.
    #[inline(always)]
    fn add_to_many<S: Number>(
        self,
        (a, starts): (&[S], &[u32]),
        (x, x_stride): (&[S], usize),
        (y, y_stride): (&mut [S], usize),
        size: [usize; 2],
    ) {
        if let (Some(x), Some(y), true) = (same(x), same_mut(y), a.is_empty()) {
            self.add_to_many_i16(starts, (x, x_stride), (y, y_stride), size);
        } else if TypeId::of::<S>() != TypeId::of::<f32>() {
            for (i, &start) in starts.iter().enumerate() {
                let a = if a.is_empty() { S::ONE } else { a[i] };
                self.add_rows(a, (x, x_stride), (&mut y[start as usize..], y_stride), size);
            }
        } else if let (Some(a), Some(x), Some(y)) = (as_f32(a), as_f32(x), as_f32_mut(y)) {
            self.add_to_many_f32((a, starts), (x, x_stride), (y, y_stride), size);
        }
    }

    /// Adds at each step the kernels of its events, times their values, to `taps` sums of `bias.len()` numbers. Then the first
    /// sum is complete, the others move up, and a new last one starts from the bias. The sums complete from step `skipped` on
    /// are written to `to`, at a stride.
    ///
    /// # Panics
    /// If a slice does not hold them.
    #[inline(always)]
    fn slide<S: Number>(self, slide: &Slide<'_, S>, (to, stride): (&mut [S], usize)) {
        if let (Some(slide), Some(to)) = (slide.of_same(), same_mut(to)) {
            self.slide_f32(&slide, (to, stride));
        } else if let (Some(slide), Some(to)) = (slide.of_same(), same_mut(to)) {
            self.slide_i16(&slide, (to, stride));
        } else {
            slide_down(slide, (to, stride), |a, x, sum| sum.add_product(a, x));
        }
    }

    /// Adds a matrix product to the rows of `to`, which are a stride apart.
    ///
    /// # Panics
    /// If a slice does not hold what the product says.
    #[inline(always)]
    fn add_products<S: Number>(self, products: &Products<'_, S>, (to, to_stride): (&mut [S], usize)) {
        let &Products { x, offsets, bases, rows, stride, width } = products;
        match (as_f32(x), as_f32(rows), as_f32_mut(to)) {
            (Some(x), Some(rows), Some(to)) => {
                let products = Products { x, offsets, bases, rows, stride, width };
                self.add_products_f32(&products, (to, to_stride));
            }
            _ => products::add(products, (to, to_stride), |a, x, sum| sum.add_product(a, x)),
        }
    }

    /// Appends those numbers of `best` that chose `k` and are not zero, and `stride` times their indices.
    ///
    /// # Panics
    /// In debug builds, if such a product is more than `u32` counts.
    #[inline(always)]
    fn append_chosen<R: Real>(
        self,
        best: &[R],
        choices: &[u8],
        k: u8,
        stride: usize,
        starts: &mut Vec<u32>,
        values: &mut Vec<R>,
    ) {
        match (as_f32(best), as_f32_vec(values)) {
            (Some(best), Some(values)) => self.append_chosen_f32(best, choices, k, stride, starts, values),
            _ => append_chosen(best, choices, k, stride, starts, values),
        }
    }

    /// For each number of `best` `[windows][pixel]` the greatest of those at its taps in `rows`, the first of equals, and which
    /// tap that is: `[windows][stride]`, zero behind the pixel.
    ///
    /// # Panics
    /// If a slice does not hold them, or there are no taps.
    #[inline(always)]
    fn choose<S: Number>(
        self,
        rows: &[S],
        at: &Taps<'_>,
        best: &mut [S],
        choices: (&mut [MaybeUninit<u8>], usize),
    ) {
        if let (Some(rows), Some(best)) = (as_f32(rows), as_f32_mut(best)) {
            self.choose_f32(rows, at, best, choices);
        } else if let (Some(rows), Some(best)) = (same(rows), same_mut(best)) {
            self.choose_i16(rows, at, best, choices);
        } else {
            choose(rows, at, best, choices);
        }
    }

    /// For each number of `chosen` that at `taps[k] + i` in `rows` for the chosen `k`.
    ///
    /// # Panics
    /// If a slice does not hold them, or a choice is none of the taps.
    #[inline(always)]
    fn pick<R: Real>(self, rows: &[R], choices: &[u8], taps: &[usize], chosen: &mut [R]) {
        match (as_f32(rows), as_f32_mut(chosen)) {
            (Some(rows), Some(chosen)) => self.pick_f32(rows, choices, taps, chosen),
            _ => pick(rows, choices, taps, chosen),
        }
    }

    /// Writes each number of `best` `[windows][pixel]` to the chosen one of its taps in `rows`, and zero to the others; the
    /// choices are `[windows][stride]`.
    ///
    /// # Panics
    /// If a slice does not hold them.
    #[inline(always)]
    fn spread<S: Number>(self, best: &[S], choices: (&[u8], usize), at: &Taps<'_>, rows: &mut [S]) {
        match (as_f32(best), as_f32_mut(rows)) {
            (Some(best), Some(rows)) => self.spread_f32(best, choices, at, rows),
            _ => spread(best, choices, at, rows),
        }
    }

    /// `to[c · to_stride + r] = from[r · from_stride + c]` for `size = [rows, cols]`, both at most 16.
    ///
    /// # Panics
    /// If a slice does not hold them.
    #[inline(always)]
    fn transpose_tile<S: Number>(
        self,
        from: (&[S], usize),
        size: [usize; 2],
        to: (&mut [MaybeUninit<S>], usize),
    ) {
        if TypeId::of::<S>() != TypeId::of::<f32>() {
            return transpose_tile(from, size, to);
        }
        if let (Some(from_f32), Some(to_f32)) = (as_f32(from.0), as_f32_unwritten(to.0)) {
            self.transpose_tile_f32((from_f32, from.1), size, (to_f32, to.1));
        }
    }

    /// Asks for the beginning of `x` to be brought to the second-level cache meanwhile.
    #[inline(always)]
    fn prefetch<T>(self, _x: &[T]) {}

    /// Which of at most 64 numbers are not zero, and which of them are one: a bit for each, the lowest for the first.
    #[inline(always)]
    fn bits<S: Scalar>(self, x: &[S]) -> [u64; 2] {
        as_f32(x).map_or_else(|| bits(x), |x| self.bits_f32(x))
    }
}

/// What every CPU of the target has.
#[derive(Clone, Copy, Debug)]
pub struct Baseline;

impl Lanes for Baseline {
    #[inline(always)]
    fn axpy_f32(self, a: f32, x: &[f32], y: &mut [f32]) {
        axpy(a, x, y);
    }
}

#[inline(always)]
fn add_rows<S: Number>(
    [rows, len]: [usize; 2],
    (x, x_stride): (&[S], usize),
    (y, y_stride): (&mut [S], usize),
    add: impl Fn(&[S], &mut [S]),
) {
    for row in 0..rows {
        add(&x[row * x_stride..][..len], &mut y[row * y_stride..][..len]);
    }
}

#[inline(always)]
fn axpy<S: Number>(a: S, x: &[S], y: &mut [S]) {
    y.iter_mut().zip(x).for_each(|(y, &x)| y.add_product(a, x));
}

#[inline(always)]
fn slide_down<S: Number>(slide: &Slide<'_, S>, (to, stride): (&mut [S], usize), add: impl Fn(S, S, &mut S)) {
    let (width, len) = (slide.bias.len(), slide.taps * slide.bias.len());
    let mut sums = slide.bias.repeat(slide.taps);
    for (step, events) in slide.steps.iter().enumerate() {
        for i in events.clone() {
            let start = slide.starts[i].wrapping_sub(slide.back) as usize;
            let a = if slide.values.is_empty() { S::ONE } else { slide.values[i] };
            sums.iter_mut().zip(&slide.kernels[start..start + len]).for_each(|(sum, &x)| add(a, x, sum));
        }
        if let Some(i) = step.checked_sub(slide.skipped) {
            let to = &mut to[i * stride..][..width];
            if slide.adds {
                to.iter_mut().zip(&sums).for_each(|(to, &sum)| to.add_product(S::ONE, sum));
            } else {
                to.copy_from_slice(&sums[..width]);
            }
        }
        sums.copy_within(width.., 0);
        sums[len - width..].copy_from_slice(slide.bias);
    }
}

#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "the callers check the largest product")]
fn append_chosen<R: Real>(
    best: &[R],
    choices: &[u8],
    k: u8,
    stride: usize,
    starts: &mut Vec<u32>,
    values: &mut Vec<R>,
) {
    for (i, (&value, _)) in
        best.iter().zip(choices).enumerate().filter(|(_, (v, c))| **c == k && !v.is_zero())
    {
        starts.push((i * stride) as u32);
        values.push(value);
    }
}

#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "the callers have at most 256 taps")]
fn choose<S: Number>(
    rows: &[S],
    at: &Taps<'_>,
    best: &mut [S],
    (choices, stride): (&mut [MaybeUninit<u8>], usize),
) {
    for (i, (best, choices)) in best.chunks_mut(at.pixel).zip(choices.chunks_mut(stride)).enumerate() {
        let rows = &rows[i * at.step..];
        best.copy_from_slice(&rows[at.of_first[0]..][..at.pixel]);
        choices.fill(MaybeUninit::new(0));
        for (k, &tap) in at.of_first.iter().enumerate().skip(1) {
            for ((best, choice), &v) in best.iter_mut().zip(choices.iter_mut()).zip(&rows[tap..]) {
                if v.exceeds(*best) {
                    *best = v;
                    choice.write(k as u8);
                }
            }
        }
    }
}

#[inline(always)]
fn descend(levels: &[f32; 256], tree: &[f32; 256], x: &mut [f32]) {
    for x in x {
        // Four rows at once: how many of their boundaries are smaller is the place in the fifth.
        let mut place = 0_u32;
        for boundary in &tree[..15] {
            place += u32::from(*x > *boundary);
        }
        for first in [15, 31, 63, 127] {
            place = 2 * place + u32::from(*x > tree[((first + place) & 0xff) as usize]);
        }
        let level = levels[(place & 0xff) as usize];
        *x = if x.is_nan() { *x } else { level };
    }
}

#[inline(always)]
fn pick<R: Real>(rows: &[R], choices: &[u8], taps: &[usize], chosen: &mut [R]) {
    for (i, (chosen, &choice)) in chosen.iter_mut().zip(choices).enumerate() {
        *chosen = rows[taps[usize::from(choice)] + i];
    }
}

#[inline(always)]
fn spread<S: Number>(best: &[S], (choices, stride): (&[u8], usize), at: &Taps<'_>, rows: &mut [S]) {
    for (i, (best, choices)) in best.chunks(at.pixel).zip(choices.chunks(stride)).enumerate() {
        for (k, &tap) in at.of_first.iter().enumerate() {
            let row = &mut rows[i * at.step + tap..][..at.pixel];
            for ((v, &choice), &best) in row.iter_mut().zip(choices).zip(best) {
                *v = if usize::from(choice) == k { best } else { S::ZERO };
            }
        }
    }
}

#[inline(always)]
fn transpose_tile<S: Number>(
    (from, from_stride): (&[S], usize),
    [rows, cols]: [usize; 2],
    (to, to_stride): (&mut [MaybeUninit<S>], usize),
) {
    for c in 0..cols {
        let column = from[c..].iter().step_by(from_stride);
        to[c * to_stride..][..rows].iter_mut().zip(column).for_each(|(to, &from)| {
            to.write(from);
        });
    }
}

#[inline(always)]
fn bits<S: Scalar>(x: &[S]) -> [u64; 2] {
    assert!(x.len() <= 64);
    x.iter().enumerate().fold([0; 2], |[nonzero, ones], (i, v)| {
        [nonzero | u64::from(!v.is_zero()) << i, ones | u64::from(*v == S::ONE) << i]
    })
}

#[inline(always)]
fn write_sites(word: u64, [first, scale]: [u32; 2], sites: &mut [u32]) -> usize {
    let (mut rest, mut n) = (word, 0);
    while rest != 0 {
        sites[n] = first + rest.trailing_zeros() * scale;
        rest &= rest - 1;
        n += 1;
    }
    n
}

#[inline(always)]
fn as_f32<S: Number>(x: &[S]) -> Option<&[f32]> {
    same(x)
}

#[inline(always)]
fn as_f32_mut<S: Number>(x: &mut [S]) -> Option<&mut [f32]> {
    same_mut(x)
}

/// The slice, if these are its numbers.
#[inline(always)]
fn same<S: Number, T: Number>(x: &[S]) -> Option<&[T]> {
    // SAFETY: the types are the same.
    (TypeId::of::<S>() == TypeId::of::<T>()).then(|| unsafe { &*(std::ptr::from_ref(x) as *const [T]) })
}

#[inline(always)]
fn same_mut<S: Number, T: Number>(x: &mut [S]) -> Option<&mut [T]> {
    // SAFETY: the types are the same.
    (TypeId::of::<S>() == TypeId::of::<T>()).then(|| unsafe { &mut *(std::ptr::from_mut(x) as *mut [T]) })
}

#[inline(always)]
fn as_f32_unwritten<S: Number>(x: &mut [MaybeUninit<S>]) -> Option<&mut [MaybeUninit<f32>]> {
    // SAFETY: the types are the same.
    (TypeId::of::<S>() == TypeId::of::<f32>())
        .then(|| unsafe { &mut *(std::ptr::from_mut(x) as *mut [MaybeUninit<f32>]) })
}

#[inline(always)]
fn as_f32_vec<S: Number>(x: &mut Vec<S>) -> Option<&mut Vec<f32>> {
    // SAFETY: the types are the same.
    (TypeId::of::<S>() == TypeId::of::<f32>())
        .then(|| unsafe { &mut *std::ptr::from_mut(x).cast::<Vec<f32>>() })
}

/// Instruction sets of x86-64.
#[cfg(target_arch = "x86_64")]
pub mod x86 {
    use super::{Baseline, Lanes, Products, Slide, Taps, products, rows_in_registers, whole};
    use std::arch::x86_64::*;
    use std::mem::MaybeUninit;
    use std::sync::OnceLock;

    /// Calls a function for a number of registers that is known when compiling, one of the listed or else the last: its loops
    /// have no branches.
    macro_rules! in_registers {
        ($f:ident, $n:ident of [$($known:literal)+] or $last:literal, $args:tt) => {
            match $n {
                $($known => in_registers!($f, $known, $args),)+
                _ => in_registers!($f, $last, $args),
            }
        };
        ($f:ident, $n:literal, ($($arg:expr),+)) => { $f::<$n>($($arg),+) };
    }

    /// The methods of [`Lanes`] for whole numbers: by the kernels of the first instruction set, or where they do not do a size by
    /// those of the next, or by plain loops.
    macro_rules! whole_numbers {
        ($first:ident $($next:ident)?) => {
            #[inline(always)]
            fn add_many_i16(self, starts: &[u32], x: (&[i16], usize), y: (&mut [i16], usize), size: [usize; 2]) {
                // SAFETY: `self` exists, so the CPU has the features.
                unsafe { whole::$first::add_many(starts, x, y, size) };
            }

            #[inline(always)]
            fn add_to_many_i16(
                self,
                starts: &[u32],
                x: (&[i16], usize),
                y: (&mut [i16], usize),
                size: [usize; 2],
            ) {
                // SAFETY: as above.
                unsafe { whole::$first::add_to_many(starts, x, y, size) };
            }

            #[inline(always)]
            fn slide_i16(self, slide: &Slide<'_, i16>, (to, stride): (&mut [i16], usize)) {
                // SAFETY: as above; a CPU with AVX-512 has AVX2 too.
                let done = unsafe {
                    whole::$first::slide(slide, (&mut *to, stride))
                        $(|| whole::$next::slide(slide, (&mut *to, stride)))?
                };
                if !done {
                    Baseline.slide_i16(slide, (to, stride));
                }
            }

            #[inline(always)]
            fn choose_i16(
                self,
                rows: &[i16],
                at: &Taps<'_>,
                best: &mut [i16],
                (choices, stride): (&mut [MaybeUninit<u8>], usize),
            ) {
                // SAFETY: as above.
                let done = unsafe {
                    whole::$first::choose(rows, at, best, (&mut *choices, stride))
                        $(|| whole::$next::choose(rows, at, best, (&mut *choices, stride)))?
                };
                if !done {
                    Baseline.choose_i16(rows, at, best, (choices, stride));
                }
            }
        };
    }

    /// Instruction sets from the narrowest vectors to the widest.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    enum Width {
        Baseline,
        Avx2,
        Any,
    }

    /// The widest that may be used: what the environment variable `SNN_VECTORS` says at the first call, `baseline` or `avx2`,
    /// so that the kernels for other machines can be tested and timed on this one; without it, any.
    #[inline]
    fn allowed() -> Width {
        static ALLOWED: OnceLock<Width> = OnceLock::new();
        *ALLOWED.get_or_init(|| match std::env::var("SNN_VECTORS").as_deref() {
            Ok("baseline") => Width::Baseline,
            Ok("avx2") => Width::Avx2,
            _ => Width::Any,
        })
    }

    /// AVX2 and FMA. There is a value only where the CPU has them.
    #[derive(Clone, Copy, Debug)]
    pub struct Avx2(());

    impl Avx2 {
        /// The instruction set, if this CPU has it and `SNN_VECTORS` allows it.
        #[inline]
        #[must_use]
        pub fn detect() -> Option<Self> {
            let all = allowed() >= Width::Avx2
                && std::arch::is_x86_feature_detected!("avx2")
                && std::arch::is_x86_feature_detected!("fma");
            all.then_some(Self(()))
        }
    }

    impl Lanes for Avx2 {
        #[inline(always)]
        fn axpy_f32(self, a: f32, x: &[f32], y: &mut [f32]) {
            let n = x.len().min(y.len());
            let whole = n - n % 8;
            for i in (0..whole).step_by(8) {
                // SAFETY: `self` exists, so the CPU has AVX2; `i + 8 <= n`, the length of the shorter slice.
                unsafe {
                    let sum = _mm256_add_ps(
                        _mm256_loadu_ps(y.as_ptr().add(i)),
                        _mm256_mul_ps(_mm256_set1_ps(a), _mm256_loadu_ps(x.as_ptr().add(i))),
                    );
                    _mm256_storeu_ps(y.as_mut_ptr().add(i), sum);
                }
            }
            Baseline.axpy_f32(a, &x[whole..n], &mut y[whole..n]);
        }

        #[inline(always)]
        fn add_rows_f32(
            self,
            a: f32,
            (x, x_stride): (&[f32], usize),
            (y, y_stride): (&mut [f32], usize),
            [rows, len]: [usize; 2],
        ) {
            // Not by the closure that others take: intrinsics are not inlined into closures.
            for row in 0..rows {
                self.axpy_f32(a, &x[row * x_stride..][..len], &mut y[row * y_stride..][..len]);
            }
        }

        #[inline(always)]
        fn add_many_f32(
            self,
            a: (&[f32], &[u32]),
            (x, x_stride): (&[f32], usize),
            (y, y_stride): (&mut [f32], usize),
            [rows, len]: [usize; 2],
        ) {
            for first in (0..len).step_by(64) {
                let size = [rows, 64.min(len - first)];
                let (x, y) = ((&x[first..], x_stride), (&mut y[first..], y_stride));
                let n = size[1].div_ceil(8);
                in_registers!(add_many_halves, n of [1 2 3 4 5 6 7] or 8, (self, a, x, y, size));
            }
        }

        whole_numbers!(avx2);

        #[inline(always)]
        fn add_products_f32(self, products: &Products<'_, f32>, to: (&mut [f32], usize)) {
            // SAFETY: `self` exists, so the CPU has AVX2 and FMA.
            unsafe { products::x86::add_256(products, to) };
        }

        #[inline(always)]
        fn slide_f32(self, slide: &Slide<'_, f32>, (to, stride): (&mut [f32], usize)) {
            // SAFETY: `self` exists, so the CPU has AVX2 and FMA.
            unsafe {
                match (slide.taps, slide.bias.len() % 16) {
                    (3, 0) => slide_strips::<3>(slide, (to, stride)),
                    (5, 0) => slide_strips::<5>(slide, (to, stride)),
                    (7, 0) => slide_strips::<7>(slide, (to, stride)),
                    _ => Baseline.slide_f32(slide, (to, stride)),
                }
            }
        }

        #[inline(always)]
        fn bits_f32(self, x: &[f32]) -> [u64; 2] {
            assert!(x.len() <= 64);
            let whole = x.len() - x.len() % 8;
            let [mut nonzero, mut ones] = [0; 2];
            for i in (0..whole).step_by(8) {
                // SAFETY: `self` exists, so the CPU has AVX2; `i + 8 <= whole`.
                let [is_nonzero, is_one] = unsafe {
                    let block = _mm256_loadu_ps(x.as_ptr().add(i));
                    let differs = _mm256_cmp_ps::<_CMP_NEQ_UQ>(block, _mm256_setzero_ps());
                    let equals = _mm256_cmp_ps::<_CMP_EQ_OQ>(block, _mm256_set1_ps(1.0));
                    [_mm256_movemask_ps(differs), _mm256_movemask_ps(equals)]
                };
                nonzero |= u64::from(is_nonzero.cast_unsigned()) << i;
                ones |= u64::from(is_one.cast_unsigned()) << i;
            }
            let rest = super::bits(&x[whole..]);
            if whole < 64 { [nonzero | rest[0] << whole, ones | rest[1] << whole] } else { [nonzero, ones] }
        }

        #[inline(always)]
        fn prefetch<T>(self, x: &[T]) {
            // SAFETY: prefetching reads nothing.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(x.as_ptr().cast()) };
        }
    }

    /// [`Lanes::slide_f32`] with `K` sums of whole strips of 16 numbers, strip after strip: those of one fit the registers.
    #[target_feature(enable = "avx2,fma")]
    fn slide_strips<const K: usize>(slide: &Slide<'_, f32>, (to, stride): (&mut [f32], usize)) {
        let (width, n_out) = (slide.bias.len(), slide.steps.len().saturating_sub(slide.skipped));
        assert!(width.is_multiple_of(16) && slide.taps == K && width * K <= slide.kernels.len());
        assert!(n_out == 0 || (n_out - 1) * stride + width <= to.len());
        assert!(slide.values.is_empty() || slide.values.len() == slide.starts.len());
        for strip in (0..width).step_by(16) {
            // SAFETY: bias, kernels and `to` hold what is read and written, as asserted.
            unsafe { slide_strip::<K>(slide, strip, (to.as_mut_ptr().wrapping_add(strip), stride)) };
        }
    }

    /// The strip that begins at `strip` in each sum.
    ///
    /// # Safety
    /// The slices hold what [`slide_strips`] asserts.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn slide_strip<const K: usize>(
        slide: &Slide<'_, f32>,
        strip: usize,
        (to, stride): (*mut f32, usize),
    ) {
        let &Slide { kernels, starts, values, back, steps, skipped, adds, .. } = slide;
        let width = slide.bias.len();
        let last_start = kernels.len() - width * K;
        // SAFETY: the caller's; starts are checked.
        unsafe {
            let bias = slide.bias.as_ptr().add(strip);
            let bias = [_mm256_loadu_ps(bias), _mm256_loadu_ps(bias.add(8))];
            let mut sums = [bias; K];
            for (step, events) in steps.iter().enumerate() {
                for i in events.clone() {
                    let start = starts[i].wrapping_sub(back) as usize;
                    assert!(start <= last_start);
                    let x = kernels.as_ptr().add(start + strip);
                    let a = _mm256_set1_ps(if values.is_empty() { 1.0 } else { values[i] });
                    for k in 0..K {
                        for j in 0..2 {
                            sums[k][j] =
                                _mm256_fmadd_ps(a, _mm256_loadu_ps(x.add(k * width + 8 * j)), sums[k][j]);
                        }
                    }
                }
                if step >= skipped {
                    let to = to.add((step - skipped) * stride);
                    for j in 0..2 {
                        if adds {
                            sums[0][j] = _mm256_add_ps(_mm256_loadu_ps(to.add(8 * j)), sums[0][j]);
                        }
                        _mm256_storeu_ps(to.add(8 * j), sums[0][j]);
                    }
                }
                for k in 1..K {
                    sums[k - 1] = sums[k];
                }
                sums[K - 1] = bias;
            }
        }
    }

    /// AVX-512 F, BW, DQ and VL, and POPCNT. There is a value only where the CPU has them.
    #[derive(Clone, Copy, Debug)]
    pub struct Avx512(());

    impl Avx512 {
        /// The instruction set, if this CPU has it and `SNN_VECTORS` allows it.
        #[inline]
        #[must_use]
        pub fn detect() -> Option<Self> {
            let all = allowed() == Width::Any
                && std::arch::is_x86_feature_detected!("avx512f")
                && std::arch::is_x86_feature_detected!("avx512bw")
                && std::arch::is_x86_feature_detected!("avx512dq")
                && std::arch::is_x86_feature_detected!("avx512vl")
                && std::arch::is_x86_feature_detected!("popcnt");
            all.then_some(Self(()))
        }
    }

    impl Lanes for Avx512 {
        #[inline(always)]
        fn axpy_f32(self, a: f32, x: &[f32], y: &mut [f32]) {
            let n = x.len().min(y.len());
            let whole = n - n % 16;
            for i in (0..whole).step_by(16) {
                // SAFETY: `self` exists, so the CPU has AVX-512F; `i + 16 <= n`, the length of the shorter slice.
                unsafe {
                    let sum = _mm512_add_ps(
                        _mm512_loadu_ps(y.as_ptr().add(i)),
                        _mm512_mul_ps(_mm512_set1_ps(a), _mm512_loadu_ps(x.as_ptr().add(i))),
                    );
                    _mm512_storeu_ps(y.as_mut_ptr().add(i), sum);
                }
            }
            if whole < n {
                let rest = (1_u16 << (n - whole)) - 1;
                // SAFETY: as above; `rest` selects the `n - whole` numbers from `whole` on.
                unsafe {
                    let x = _mm512_maskz_loadu_ps(rest, x.as_ptr().add(whole));
                    let y_rest = _mm512_maskz_loadu_ps(rest, y.as_ptr().add(whole));
                    let sum = _mm512_add_ps(y_rest, _mm512_mul_ps(_mm512_set1_ps(a), x));
                    _mm512_mask_storeu_ps(y.as_mut_ptr().add(whole), rest, sum);
                }
            }
        }

        #[inline(always)]
        fn add_rows_f32(self, a: f32, x: (&[f32], usize), y: (&mut [f32], usize), size: [usize; 2]) {
            // A number of registers that is known when compiling makes a loop without branches.
            match size[1].div_ceil(16) {
                1 => add_registers::<1>(self, a, x, y, size),
                2 => add_registers::<2>(self, a, x, y, size),
                3 => add_registers::<3>(self, a, x, y, size),
                4 => add_registers::<4>(self, a, x, y, size),
                5 => add_registers::<5>(self, a, x, y, size),
                6 => add_registers::<6>(self, a, x, y, size),
                8 => add_registers::<8>(self, a, x, y, size),
                10 => add_registers::<10>(self, a, x, y, size),
                _ => {
                    for row in 0..size[0] {
                        self.axpy_f32(a, &x.0[row * x.1..][..size[1]], &mut y.0[row * y.1..][..size[1]]);
                    }
                }
            }
        }

        #[inline(always)]
        fn add_many_f32(
            self,
            a: (&[f32], &[u32]),
            x: (&[f32], usize),
            y: (&mut [f32], usize),
            size: [usize; 2],
        ) {
            add_rows_of_many(self, a, x, y, size);
        }

        #[inline(always)]
        fn add_to_many_f32(
            self,
            a: (&[f32], &[u32]),
            x: (&[f32], usize),
            y: (&mut [f32], usize),
            size: [usize; 2],
        ) {
            add_rows_to_many(self, a, x, y, size);
        }

        #[inline(always)]
        fn slide_f32(self, slide: &Slide<'_, f32>, to: (&mut [f32], usize)) {
            macro_rules! in_registers {
                ([$(($taps:literal, $n:literal))+] $size:expr) => {
                    match $size {
                        // SAFETY: `self` exists, so the CPU has AVX-512F.
                        $(($taps, $n) => unsafe { slide_registers::<$taps, $n>(slide, to) },)+
                        _ => Baseline.slide_f32(slide, to),
                    }
                };
            }
            let n = if slide.bias.len().is_multiple_of(16) { slide.bias.len() / 16 } else { 0 };
            with_slide_sizes!(in_registers, (slide.taps, n));
        }

        #[inline(always)]
        fn count_below(self, sites: &[u32], end: u32) -> usize {
            let mut n = 0;
            for i in (0..sites.len()).step_by(16) {
                let lanes = first_lanes(sites.len() - i);
                // SAFETY: `self` exists, so the CPU has AVX-512F and POPCNT; `lanes` selects sites of the slice.
                unsafe {
                    let block = _mm512_maskz_loadu_epi32(lanes, sites.as_ptr().add(i).cast());
                    let end = _mm512_set1_epi32(end.cast_signed());
                    n += _mm512_mask_cmplt_epu32_mask(lanes, block, end).count_ones() as usize;
                }
            }
            n
        }

        #[inline(always)]
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_possible_wrap,
            reason = "the callers check the largest product"
        )]
        fn append_chosen_f32(
            self,
            best: &[f32],
            choices: &[u8],
            k: u8,
            stride: usize,
            starts: &mut Vec<u32>,
            values: &mut Vec<f32>,
        ) {
            assert!(choices.len() == best.len());
            starts.reserve(best.len() + 16);
            values.reserve(best.len() + 16);
            for i in (0..best.len()).step_by(16) {
                let lanes = first_lanes(best.len() - i);
                // SAFETY: `self` exists, so the CPU has AVX-512 F, BW and VL, and POPCNT. `lanes` selects numbers that both
                // slices hold. At most as many as these have are kept, so that behind them there is room for 16.
                unsafe {
                    let block = _mm512_maskz_loadu_ps(lanes, best.as_ptr().add(i));
                    let choice = _mm_maskz_loadu_epi8(lanes, choices.as_ptr().add(i).cast());
                    let chosen = _mm_mask_cmpeq_epi8_mask(lanes, choice, _mm_set1_epi8(k.cast_signed()));
                    let kept = _mm512_mask_cmp_ps_mask::<_CMP_NEQ_UQ>(chosen, block, _mm512_setzero_ps());
                    let index = _mm512_add_epi32(_mm512_set1_epi32(i as i32), numbers());
                    let start = _mm512_mullo_epi32(index, _mm512_set1_epi32(stride as i32));
                    append_lanes(kept, start, block, starts, values);
                }
            }
        }

        #[inline(always)]
        fn choose_f32(
            self,
            rows: &[f32],
            at: &Taps<'_>,
            best: &mut [f32],
            choices: (&mut [MaybeUninit<u8>], usize),
        ) {
            // SAFETY: `self` exists, so the CPU has AVX-512 F, BW and VL.
            unsafe {
                match at.of_first.len() {
                    4 => choose_in_registers::<4>(rows, at, best, choices),
                    _ => choose_in_registers::<0>(rows, at, best, choices),
                }
            }
        }

        #[inline(always)]
        fn pick_f32(self, rows: &[f32], choices: &[u8], taps: &[usize], chosen: &mut [f32]) {
            // SAFETY: as above.
            unsafe {
                match taps.try_into() {
                    Ok(four) => pick_registers::<4>(rows, choices, four, chosen),
                    Err(_) => pick_in_registers(rows, choices, taps, chosen),
                }
            }
        }

        #[inline(always)]
        fn spread_f32(self, best: &[f32], choices: (&[u8], usize), at: &Taps<'_>, rows: &mut [f32]) {
            // SAFETY: as above.
            unsafe {
                match at.of_first.len() {
                    4 => spread_from_registers::<4>(best, choices, at, rows),
                    _ => spread_from_registers::<0>(best, choices, at, rows),
                }
            }
        }

        #[inline(always)]
        fn descend_f32(self, levels: &[f32; 256], tree: &[f32; 256], x: &mut [f32]) {
            for block in x.chunks_mut(16 * SIDE_BY_SIDE) {
                let lanes: [u16; SIDE_BY_SIDE] =
                    std::array::from_fn(|k| first_lanes(block.len().saturating_sub(16 * k)));
                // SAFETY: `self` exists, so the CPU has AVX-512F; `lanes` selects the numbers of the block.
                unsafe {
                    let mut x = [_mm512_setzero_ps(); SIDE_BY_SIDE];
                    for k in 0..SIDE_BY_SIDE {
                        x[k] = _mm512_maskz_loadu_ps(lanes[k], block.as_ptr().wrapping_add(16 * k));
                    }
                    let level = levels_by_tree(levels, tree, x);
                    for k in 0..SIDE_BY_SIDE {
                        let kept = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(x[k], x[k]);
                        let to = block.as_mut_ptr().wrapping_add(16 * k);
                        _mm512_mask_storeu_ps(to, lanes[k] & !kept, level[k]);
                    }
                }
            }
        }

        #[inline(always)]
        fn transpose_tile_f32(
            self,
            (from, from_stride): (&[f32], usize),
            [rows, cols]: [usize; 2],
            (to, to_stride): (&mut [MaybeUninit<f32>], usize),
        ) {
            if rows == 0 || cols == 0 {
                return;
            }
            let holds = |slice: usize, stride: usize, n: usize, len: usize| (n - 1) * stride + len <= slice;
            assert!(rows <= 16 && cols <= 16);
            assert!(holds(from.len(), from_stride, rows, cols) && holds(to.len(), to_stride, cols, rows));
            // SAFETY: `self` exists, so the CPU has AVX-512F. Rows and columns below the sizes are in the slices, as asserted;
            // of other columns the masks select no number, and instead of other rows the last is taken, which is not
            // stored. All 16 are written out, or the tile would be kept in memory.
            unsafe {
                let (lanes, last) = (first_lanes(cols), rows - 1);
                let row = |r: usize| {
                    _mm512_maskz_loadu_ps(lanes, from.as_ptr().wrapping_add(r.min(last) * from_stride))
                };
                let tile = transposed([
                    row(0),
                    row(1),
                    row(2),
                    row(3),
                    row(4),
                    row(5),
                    row(6),
                    row(7),
                    row(8),
                    row(9),
                    row(10),
                    row(11),
                    row(12),
                    row(13),
                    row(14),
                    row(15),
                ]);
                let (to, lanes): (*mut f32, u16) = (to.as_mut_ptr().cast(), first_lanes(rows));
                for c in 0..16 {
                    if c < cols {
                        store_lanes(to.wrapping_add(c * to_stride), lanes, tile[c]);
                    }
                }
            }
        }

        whole_numbers!(avx512 avx2);

        #[inline(always)]
        fn add_products_f32(self, products: &Products<'_, f32>, to: (&mut [f32], usize)) {
            // SAFETY: `self` exists, so the CPU has AVX-512F.
            unsafe { products::x86::add_512(products, to) };
        }

        #[inline(always)]
        fn bits_f32(self, x: &[f32]) -> [u64; 2] {
            assert!(x.len() <= 64);
            let [mut nonzero, mut ones] = [0; 2];
            let mut put = |i: usize, [is_nonzero, is_one]: [u16; 2]| {
                nonzero |= u64::from(is_nonzero) << i;
                ones |= u64::from(is_one) << i;
            };
            // SAFETY: `self` exists, so the CPU has AVX-512F. The numbers of `x` from `i` are loaded, and zeros behind the last.
            unsafe {
                if let Ok(x) = <&[f32; 64]>::try_from(x) {
                    for i in [0, 16, 32, 48] {
                        put(i, nonzero_and_one(_mm512_loadu_ps(x.as_ptr().add(i))));
                    }
                } else {
                    for i in (0..x.len()).step_by(16) {
                        let rest = first_lanes(x.len() - i);
                        put(i, nonzero_and_one(_mm512_maskz_loadu_ps(rest, x.as_ptr().add(i))));
                    }
                }
            }
            [nonzero, ones]
        }

        #[inline(always)]
        fn prefetch<T>(self, x: &[T]) {
            // SAFETY: prefetching reads nothing.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(x.as_ptr().cast()) };
        }

        #[inline(always)]
        fn write_sites(self, word: u64, [first, scale]: [u32; 2], sites: &mut [u32]) -> usize {
            assert!(sites.len() >= 64);
            let mut n = 0;
            for i in (0..64).step_by(16) {
                let kept = (word >> i & 0xffff) as u16;
                // SAFETY: `self` exists, so the CPU has AVX-512F. At most `i` sites were written before, so that there is room
                // for 16 more.
                unsafe {
                    let scale = _mm512_set1_epi32(scale.cast_signed());
                    let index = _mm512_add_epi32(_mm512_set1_epi32(i), numbers());
                    let site = _mm512_add_epi32(
                        _mm512_set1_epi32(first.cast_signed()),
                        _mm512_mullo_epi32(index, scale),
                    );
                    let site = _mm512_maskz_compress_epi32(kept, site);
                    _mm512_storeu_epi32(sites.as_mut_ptr().add(n).cast(), site);
                }
                n += kept.count_ones() as usize;
            }
            n
        }
    }

    /// [`Lanes::choose_f32`] for `K` taps, which are known when compiling, or for any number of them if `K` is zero.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        reason = "the callers have at most 256 taps"
    )]
    fn choose_in_registers<const K: usize>(
        rows: &[f32],
        at: &Taps<'_>,
        best: &mut [f32],
        (choices, stride): (&mut [MaybeUninit<u8>], usize),
    ) {
        let (n, pixel, taps) = (best.len() / at.pixel, at.pixel, at.of_first);
        let n_taps = if K == 0 { taps.len() } else { K };
        assert!(pixel <= stride && n * stride <= choices.len());
        assert!(n_taps > 0 && taps.len() == n_taps && at.reach(n) <= rows.len());
        for i in (0..pixel).step_by(16) {
            let lanes = first_lanes(pixel - i);
            for window in 0..n {
                // SAFETY: `lanes` selects numbers of a pixel. `best` has those of `n` windows, the others hold them, as asserted.
                unsafe {
                    let rows = rows.as_ptr().add(window * at.step + i);
                    let (mut most, mut choice) =
                        (_mm512_maskz_loadu_ps(lanes, rows.add(taps[0])), _mm512_setzero_si512());
                    for k in 1..n_taps {
                        let v = _mm512_maskz_loadu_ps(lanes, rows.add(taps[k]));
                        let greater = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(v, most);
                        most = _mm512_mask_blend_ps(greater, most, v);
                        choice = _mm512_mask_blend_epi32(greater, choice, _mm512_set1_epi32(k as i32));
                    }
                    store_lanes(best.as_mut_ptr().add(window * pixel + i), lanes, most);
                    let (to, choice) =
                        (choices.as_mut_ptr().add(window * stride + i), _mm512_cvtepi32_epi8(choice));
                    if lanes == u16::MAX {
                        _mm_storeu_si128(to.cast(), choice);
                    } else {
                        _mm_mask_storeu_epi8(to.cast(), lanes, choice);
                    }
                }
            }
        }
        for choices in choices.chunks_mut(stride).take(if pixel < stride { n } else { 0 }) {
            choices[pixel..].fill(MaybeUninit::new(0));
        }
    }

    /// Registers whose levels are looked up at once, so that one does not wait for the last row of another.
    const SIDE_BY_SIDE: usize = 4;

    /// The levels of numbers, see [`Lanes::descend_f32`].
    ///
    /// # Safety
    /// The CPU has AVX-512F.
    #[inline(always)]
    unsafe fn levels_by_tree(
        levels: &[f32; 256],
        tree: &[f32; 256],
        x: [__m512; SIDE_BY_SIDE],
    ) -> [__m512; SIDE_BY_SIDE] {
        // SAFETY: as the caller says; a row of up to 16 begins at 15 at the most, the longer ones end with the tree.
        unsafe {
            let mut place = [_mm512_setzero_si512(); SIDE_BY_SIDE];
            for row in 0..8 {
                let row_of_tree = tree.as_ptr().add((1 << row) - 1);
                for k in 0..SIDE_BY_SIDE {
                    let boundary = match row {
                        0..5 => _mm512_permutexvar_ps(place[k], _mm512_loadu_ps(row_of_tree)),
                        5 => look_up::<1>(row_of_tree, place[k]),
                        6 => look_up::<2>(row_of_tree, place[k]),
                        _ => look_up::<4>(row_of_tree, place[k]),
                    };
                    let above = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(x[k], boundary);
                    let twice = _mm512_add_epi32(place[k], place[k]);
                    place[k] = _mm512_mask_add_epi32(twice, above, twice, _mm512_set1_epi32(1));
                }
            }
            let mut found = [_mm512_setzero_ps(); SIDE_BY_SIDE];
            for k in 0..SIDE_BY_SIDE {
                found[k] = look_up::<8>(levels.as_ptr(), place[k]);
            }
            found
        }
    }

    /// The numbers at these places of a table of `PAIRS` times 32, a power of two.
    ///
    /// # Safety
    /// The CPU has AVX-512F, and the table is that long.
    #[inline(always)]
    unsafe fn look_up<const PAIRS: usize>(table: *const f32, place: __m512i) -> __m512 {
        // SAFETY: as the caller says.
        unsafe {
            let mut found = [_mm512_setzero_ps(); PAIRS];
            for (k, found) in found.iter_mut().enumerate() {
                let pair = table.add(32 * k);
                *found = _mm512_permutex2var_ps(_mm512_loadu_ps(pair), place, _mm512_loadu_ps(pair.add(16)));
            }
            // The lowest five bits of a place are its place in a pair; each of the others halves the pairs that are left.
            let (mut left, mut bit) = (PAIRS, 32);
            while left > 1 {
                left /= 2;
                let is_second = _mm512_test_epi32_mask(place, _mm512_set1_epi32(bit));
                for k in 0..left {
                    found[k] = _mm512_mask_blend_ps(is_second, found[2 * k], found[2 * k + 1]);
                }
                bit *= 2;
            }
            found[0]
        }
    }

    /// [`pick_in_registers`] for a number of taps that is known when compiling.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    fn pick_registers<const K: usize>(rows: &[f32], choices: &[u8], taps: &[usize; K], chosen: &mut [f32]) {
        pick_in_registers(rows, choices, taps, chosen);
    }

    /// [`Lanes::pick_f32`].
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        reason = "the callers have at most 256 taps"
    )]
    fn pick_in_registers(rows: &[f32], choices: &[u8], taps: &[usize], chosen: &mut [f32]) {
        let n = chosen.len();
        let last = taps.iter().fold(0, |last, &tap| last.max(tap));
        assert!(choices.len() == n && !taps.is_empty() && last + n <= rows.len());
        for i in (0..n).step_by(16) {
            let lanes = first_lanes(n - i);
            // SAFETY: as in `choose_in_registers`.
            unsafe {
                let choice =
                    _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(lanes, choices.as_ptr().add(i).cast()));
                let mut numbers = _mm512_setzero_ps();
                let mut found = 0;
                for k in 0..taps.len() {
                    let here = _mm512_mask_cmpeq_epi32_mask(lanes, choice, _mm512_set1_epi32(k as i32));
                    let row = _mm512_maskz_loadu_ps(lanes, rows.as_ptr().add(taps[k] + i));
                    numbers = _mm512_mask_mov_ps(numbers, here, row);
                    found |= here;
                }
                assert!(found == lanes, "choices among {} taps", taps.len());
                _mm512_mask_storeu_ps(chosen.as_mut_ptr().add(i), lanes, numbers);
            }
        }
    }

    /// [`Lanes::spread_f32`] for `K` taps, which are known when compiling, or for any number of them if `K` is zero.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        reason = "the callers have at most 256 taps"
    )]
    fn spread_from_registers<const K: usize>(
        best: &[f32],
        (choices, stride): (&[u8], usize),
        at: &Taps<'_>,
        rows: &mut [f32],
    ) {
        let (n, pixel, taps) = (best.len() / at.pixel, at.pixel, at.of_first);
        let n_taps = if K == 0 { taps.len() } else { K };
        assert!(pixel <= stride && n * stride <= choices.len());
        assert!(taps.len() == n_taps && at.reach(n) <= rows.len());
        for i in (0..pixel).step_by(16) {
            let lanes = first_lanes(pixel - i);
            for window in 0..n {
                // SAFETY: as in `choose_in_registers`.
                unsafe {
                    let best = _mm512_maskz_loadu_ps(lanes, best.as_ptr().add(window * pixel + i));
                    let choice = choices.as_ptr().add(window * stride + i).cast();
                    let choice = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(lanes, choice));
                    for k in 0..n_taps {
                        let chosen = _mm512_cmpeq_epi32_mask(choice, _mm512_set1_epi32(k as i32));
                        let to = rows.as_mut_ptr().add(window * at.step + taps[k] + i);
                        store_lanes(to, lanes, _mm512_maskz_mov_ps(chosen, best));
                    }
                }
            }
        }
    }

    /// Stores the lanes that a mask selects. All of them take a plain store: masked ones are not forwarded to loads behind
    /// them, and take much longer on some processors.
    ///
    /// # Safety
    /// These lanes can be written.
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn store_lanes(to: *mut f32, lanes: u16, x: __m512) {
        // SAFETY: the caller's.
        unsafe {
            if lanes == u16::MAX {
                _mm512_storeu_ps(to, x);
            } else {
                _mm512_mask_storeu_ps(to, lanes, x);
            }
        }
    }

    /// Which numbers are not zero, and which are one.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn nonzero_and_one(x: __m512) -> [u16; 2] {
        let is_nonzero = _mm512_cmp_ps_mask::<_CMP_NEQ_UQ>(x, _mm512_setzero_ps());
        [is_nonzero, _mm512_cmp_ps_mask::<_CMP_EQ_OQ>(x, _mm512_set1_ps(1.0))]
    }

    /// A mask of the first `n` lanes, or of all 16.
    #[inline(always)]
    fn first_lanes(n: usize) -> u16 {
        if n == 0 { 0 } else { u16::MAX >> (16 - n.min(16)) }
    }

    /// Appends the kept lanes of both registers.
    ///
    /// # Safety
    /// Both vectors have room for 16 more.
    #[inline]
    #[target_feature(enable = "avx512f,popcnt")]
    unsafe fn append_lanes(
        kept: u16,
        sites: __m512i,
        values: __m512,
        to_sites: &mut Vec<u32>,
        to_values: &mut Vec<f32>,
    ) {
        let n = kept.count_ones() as usize;
        // SAFETY: there is room, and the first `n` of the 16 that are written count.
        unsafe {
            let sites = _mm512_maskz_compress_epi32(kept, sites);
            _mm512_storeu_epi32(to_sites.as_mut_ptr().add(to_sites.len()).cast(), sites);
            let values = _mm512_maskz_compress_ps(kept, values);
            _mm512_storeu_ps(to_values.as_mut_ptr().add(to_values.len()), values);
            to_sites.set_len(to_sites.len() + n);
            to_values.set_len(to_values.len() + n);
        }
    }

    /// 0 to 15.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn numbers() -> __m512i {
        _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
    }

    /// The transpose of 16 rows of 16 numbers: within blocks of 4 x 4 first, then the blocks.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn transposed(rows: [__m512; 16]) -> [__m512; 16] {
        let mut blocks = rows;
        for (to, r) in blocks.chunks_exact_mut(4).zip(rows.chunks_exact(4)) {
            let (a, b) = (_mm512_unpacklo_ps(r[0], r[1]), _mm512_unpackhi_ps(r[0], r[1]));
            let (c, d) = (_mm512_unpacklo_ps(r[2], r[3]), _mm512_unpackhi_ps(r[2], r[3]));
            to[0] = _mm512_shuffle_ps::<0b01_00_01_00>(a, c);
            to[1] = _mm512_shuffle_ps::<0b11_10_11_10>(a, c);
            to[2] = _mm512_shuffle_ps::<0b01_00_01_00>(b, d);
            to[3] = _mm512_shuffle_ps::<0b11_10_11_10>(b, d);
        }
        let mut columns = rows;
        for c in 0..4 {
            let r = [blocks[c], blocks[4 + c], blocks[8 + c], blocks[12 + c]];
            let low = _mm512_shuffle_f32x4::<0b10_00_10_00>(r[0], r[1]);
            let high = _mm512_shuffle_f32x4::<0b11_01_11_01>(r[0], r[1]);
            let low_2 = _mm512_shuffle_f32x4::<0b10_00_10_00>(r[2], r[3]);
            let high_2 = _mm512_shuffle_f32x4::<0b11_01_11_01>(r[2], r[3]);
            columns[c] = _mm512_shuffle_f32x4::<0b10_00_10_00>(low, low_2);
            columns[4 + c] = _mm512_shuffle_f32x4::<0b10_00_10_00>(high, high_2);
            columns[8 + c] = _mm512_shuffle_f32x4::<0b11_01_11_01>(low, low_2);
            columns[12 + c] = _mm512_shuffle_f32x4::<0b11_01_11_01>(high, high_2);
        }
        columns
    }

    /// [`Lanes::add_rows_f32`] with runs of `N` registers, of which the last may be used in part.
    #[inline(always)]
    fn add_registers<const N: usize>(
        _: Avx512,
        a: f32,
        (x, x_stride): (&[f32], usize),
        (y, y_stride): (&mut [f32], usize),
        [rows, len]: [usize; 2],
    ) {
        let holds = |slice: usize, stride: usize| rows == 0 || (rows - 1) * stride + len <= slice;
        assert!(len.div_ceil(16) == N && holds(x.len(), x_stride) && holds(y.len(), y_stride));
        let rest = u16::MAX >> (16 * N - len);
        for row in 0..rows {
            // SAFETY: there is an `Avx512`, so the CPU has AVX-512F. The run begins at `row · stride` and has `len` numbers,
            // of which `rest` selects those in the last register; both slices hold them, as asserted.
            unsafe {
                let (x, y) = (x.as_ptr().add(row * x_stride), y.as_mut_ptr().add(row * y_stride));
                let a = _mm512_set1_ps(a);
                for i in 0..N - 1 {
                    let product = _mm512_mul_ps(a, _mm512_loadu_ps(x.add(16 * i)));
                    _mm512_storeu_ps(y.add(16 * i), _mm512_add_ps(_mm512_loadu_ps(y.add(16 * i)), product));
                }
                let (x, y) = (x.add(16 * (N - 1)), y.add(16 * (N - 1)));
                let product = _mm512_mul_ps(a, _mm512_maskz_loadu_ps(rest, x));
                store_lanes(y, rest, _mm512_add_ps(_mm512_maskz_loadu_ps(rest, y), product));
            }
        }
    }

    /// A function that does for all rows what a block does for so many rows, each of so many registers: in strips of at most 160
    /// numbers, as many rows at a time as have room in registers.
    macro_rules! by_blocks {
        ($(#[$meta:meta])* $name:ident, $block:ident, $one:ident $two:ident $three:ident $five:ident) => {
            $(#[$meta])*
            #[inline(always)]
            fn $name(
                lanes: Avx512,
                a: (&[f32], &[u32]),
                (x, x_stride): (&[f32], usize),
                (y, y_stride): (&mut [f32], usize),
                [rows, len]: [usize; 2],
            ) {
                for first in (0..len).step_by(160) {
                    let (mut row, len) = (0, 160.min(len - first));
                    let (n, at_once) = (len.div_ceil(16), rows_in_registers(len));
                    while row < rows {
                        let x = (&x[row * x_stride + first..], x_stride);
                        let y = (&mut y[row * y_stride + first..], y_stride);
                        row += match at_once.min(rows - row) {
                            5.. => {
                                in_registers!($five, n of [1 2 3 4] or 5, (lanes, a, x, y, len));
                                5
                            }
                            3.. => {
                                in_registers!($three, n of [1 2 3 4 5 6 7] or 8, (lanes, a, x, y, len));
                                3
                            }
                            2 => {
                                in_registers!($two, n of [1 2 3 4 5 6 7 8 9] or 10, (lanes, a, x, y, len));
                                2
                            }
                            _ => {
                                in_registers!($one, n of [1 2 3 4 5 6 7 8 9] or 10, (lanes, a, x, y, len));
                                1
                            }
                        };
                    }
                }
            }
            by_blocks!($block, $one, 1);
            by_blocks!($block, $two, 2);
            by_blocks!($block, $three, 3);
            by_blocks!($block, $five, 5);
        };
        ($block:ident, $name:ident, $rows:literal) => {
            #[inline(always)]
            fn $name<const N: usize>(
                _: Avx512,
                a: (&[f32], &[u32]),
                x: (&[f32], usize),
                y: (&mut [f32], usize),
                len: usize,
            ) {
                // SAFETY: there is an `Avx512`, so the CPU has AVX-512F.
                unsafe { $block::<$rows, N>(a, x, y, len) };
            }
        };
    }
    by_blocks!(
        /// [`Lanes::add_many_f32`].
        add_rows_of_many, add_block, add_one add_two add_three add_five
    );
    by_blocks!(
        /// [`Lanes::add_to_many_f32`].
        add_rows_to_many, add_block_to_many, to_many_one to_many_two to_many_three to_many_five
    );

    /// Where the last of several blocks of `R` runs of `N` registers may begin, given the length and the stride of what they
    /// begin in and of what holds one block; and the lanes of a run of `len` numbers in its last register.
    ///
    /// # Panics
    /// If there is no room for a block, or there are factors, but not one for each start.
    #[inline(always)]
    fn block_bounds<const R: usize, const N: usize>(
        (a, starts): (&[f32], &[u32]),
        [many, one]: [(usize, usize); 2],
        len: usize,
    ) -> (usize, u16) {
        let reach = |stride: usize| (R - 1) * stride + len;
        assert!(len.div_ceil(16) == N && reach(many.1) <= many.0 && reach(one.1) <= one.0);
        assert!(a.is_empty() || a.len() == starts.len());
        (many.0 - reach(many.1), u16::MAX >> (16 * N - len))
    }

    /// [`Lanes::add_to_many_f32`] with `R` runs of `N` registers, of which the last may be used in part: what is added stays in
    /// registers.
    #[target_feature(enable = "avx512f")]
    fn add_block_to_many<const R: usize, const N: usize>(
        (a, starts): (&[f32], &[u32]),
        (x, x_stride): (&[f32], usize),
        (y, y_stride): (&mut [f32], usize),
        len: usize,
    ) {
        let sizes = [(y.len(), y_stride), (x.len(), x_stride)];
        let (last_start, rest) = block_bounds::<R, N>((a, starts), sizes, len);
        // SAFETY: the runs have `len` numbers, of which `rest` selects those in the last register; `x` holds them, as asserted,
        // and `y` for each start up to `last_start`.
        unsafe {
            let mut added = [[_mm512_setzero_ps(); N]; R];
            for (row, added) in added.iter_mut().enumerate() {
                *added = load_run(x.as_ptr().add(row * x_stride), rest);
            }
            for (i, &start) in starts.iter().enumerate() {
                assert!(start as usize <= last_start);
                let a = a.get(i).map(|&a| _mm512_set1_ps(a));
                for (row, added) in added.iter().enumerate() {
                    let y = y.as_mut_ptr().add(start as usize + row * y_stride);
                    for i in 0..N {
                        let (lanes, y) = (if i < N - 1 { u16::MAX } else { rest }, y.add(16 * i));
                        let product = a.map_or(added[i], |a| _mm512_mul_ps(a, added[i]));
                        store_lanes(y, lanes, _mm512_add_ps(_mm512_maskz_loadu_ps(lanes, y), product));
                    }
                }
            }
        }
    }

    /// [`Lanes::add_many_f32`] with `R` runs of `N` registers, of which the last may be used in part: all sums are in registers.
    #[target_feature(enable = "avx512f")]
    fn add_block<const R: usize, const N: usize>(
        (a, starts): (&[f32], &[u32]),
        (x, x_stride): (&[f32], usize),
        (y, y_stride): (&mut [f32], usize),
        len: usize,
    ) {
        let sizes = [(x.len(), x_stride), (y.len(), y_stride)];
        let (last_start, rest) = block_bounds::<R, N>((a, starts), sizes, len);
        // SAFETY: the runs have `len` numbers, of which `rest` selects those in the last register; `y` holds them, as asserted,
        // and `x` for each start up to `last_start`.
        unsafe {
            let mut sums = [[_mm512_setzero_ps(); N]; R];
            for (row, sums) in sums.iter_mut().enumerate() {
                *sums = load_run(y.as_ptr().add(row * y_stride), rest);
            }
            if a.is_empty() {
                for &start in starts {
                    assert!(start as usize <= last_start);
                    for (row, sums) in sums.iter_mut().enumerate() {
                        let x = load_run::<N>(x.as_ptr().add(start as usize + row * x_stride), rest);
                        for i in 0..N {
                            sums[i] = _mm512_add_ps(sums[i], x[i]);
                        }
                    }
                }
            }
            for (&a, &start) in a.iter().zip(starts) {
                assert!(start as usize <= last_start);
                let a = _mm512_set1_ps(a);
                for (row, sums) in sums.iter_mut().enumerate() {
                    let x = load_run::<N>(x.as_ptr().add(start as usize + row * x_stride), rest);
                    for i in 0..N {
                        sums[i] = _mm512_fmadd_ps(a, x[i], sums[i]);
                    }
                }
            }
            for (row, sums) in sums.iter().enumerate() {
                let y = y.as_mut_ptr().add(row * y_stride);
                for i in 0..N - 1 {
                    _mm512_storeu_ps(y.add(16 * i), sums[i]);
                }
                store_lanes(y.add(16 * (N - 1)), rest, sums[N - 1]);
            }
        }
    }

    /// [`Lanes::slide_f32`] with `K` sums of `N` registers.
    #[target_feature(enable = "avx512f")]
    fn slide_registers<const K: usize, const N: usize>(
        slide: &Slide<'_, f32>,
        (to, stride): (&mut [f32], usize),
    ) {
        let &Slide { kernels, starts, values, back, steps, skipped, adds, .. } = slide;
        let n_out = steps.len().saturating_sub(skipped);
        assert!(slide.bias.len() == 16 * N && 16 * N * K <= kernels.len());
        assert!(n_out == 0 || (n_out - 1) * stride + 16 * N <= to.len());
        assert!(values.is_empty() || values.len() == starts.len());
        let last_start = kernels.len() - 16 * N * K;
        // SAFETY: bias, kernels up to `last_start` and `to` hold what is read and written, as asserted.
        unsafe {
            let bias = load_run::<N>(slide.bias.as_ptr(), u16::MAX);
            let mut sums = [bias; K];
            for (step, events) in steps.iter().enumerate() {
                let starts = &starts[events.clone()];
                let values = if values.is_empty() { values } else { &values[events.clone()] };
                for (i, &start) in starts.iter().enumerate() {
                    let start = start.wrapping_sub(back) as usize;
                    assert!(start <= last_start);
                    let x = kernels.as_ptr().add(start);
                    let a = values.get(i).map(|&a| _mm512_set1_ps(a));
                    for k in 0..K {
                        for j in 0..N {
                            let x = _mm512_loadu_ps(x.add(16 * (k * N + j)));
                            sums[k][j] = match a {
                                Some(a) => _mm512_fmadd_ps(a, x, sums[k][j]),
                                None => _mm512_add_ps(sums[k][j], x),
                            };
                        }
                    }
                }
                if step >= skipped {
                    let to = to.as_mut_ptr().add((step - skipped) * stride);
                    if adds {
                        let before = load_run::<N>(to, u16::MAX);
                        for j in 0..N {
                            sums[0][j] = _mm512_add_ps(before[j], sums[0][j]);
                        }
                    }
                    for j in 0..N {
                        _mm512_storeu_ps(to.add(16 * j), sums[0][j]);
                    }
                }
                for k in 1..K {
                    sums[k - 1] = sums[k];
                }
                sums[K - 1] = bias;
            }
        }
    }

    /// `N` registers of numbers from `from` on, of which `rest` selects those in the last one; the others are zero.
    ///
    /// # Safety
    /// The numbers can be read.
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn load_run<const N: usize>(from: *const f32, rest: u16) -> [__m512; N] {
        let mut run = [_mm512_setzero_ps(); N];
        // SAFETY: the caller's.
        unsafe {
            for i in 0..N - 1 {
                run[i] = _mm512_loadu_ps(from.add(16 * i));
            }
            run[N - 1] = _mm512_maskz_loadu_ps(rest, from.add(16 * (N - 1)));
        }
        run
    }

    /// [`Lanes::add_many_f32`] with runs of `N` registers of eight numbers, of which the last may be used in part.
    #[inline(always)]
    fn add_many_halves<const N: usize>(
        _: Avx2,
        (a, starts): (&[f32], &[u32]),
        (x, x_stride): (&[f32], usize),
        (y, y_stride): (&mut [f32], usize),
        [rows, len]: [usize; 2],
    ) {
        let reach = |stride: usize| rows.saturating_sub(1) * stride + len;
        assert!(len.div_ceil(8) == N && reach(x_stride) <= x.len() && reach(y_stride) <= y.len());
        assert!(a.is_empty() || a.len() == starts.len());
        let last_start = x.len() - reach(x_stride);
        let selected: [i32; 8] = std::array::from_fn(|i| if 8 * (N - 1) + i < len { -1 } else { 0 });
        for row in 0..rows {
            // SAFETY: there is an `Avx2`, so the CPU has AVX2. The runs have `len` numbers, of which `rest` selects those in
            // the last register; `y` holds them, as asserted, and `x` for each start up to `last_start`.
            unsafe {
                let rest = _mm256_loadu_si256(selected.as_ptr().cast());
                let (x, y) = (x.as_ptr().add(row * x_stride), y.as_mut_ptr().add(row * y_stride));
                let mut sum = [_mm256_setzero_ps(); N];
                for i in 0..N - 1 {
                    sum[i] = _mm256_loadu_ps(y.add(8 * i));
                }
                sum[N - 1] = _mm256_maskload_ps(y.add(8 * (N - 1)), rest);
                for (k, &start) in starts.iter().enumerate() {
                    assert!(start as usize <= last_start);
                    let a = _mm256_set1_ps(if a.is_empty() { 1.0 } else { a[k] });
                    let x = x.add(start as usize);
                    for i in 0..N - 1 {
                        sum[i] = _mm256_fmadd_ps(a, _mm256_loadu_ps(x.add(8 * i)), sum[i]);
                    }
                    let x = _mm256_maskload_ps(x.add(8 * (N - 1)), rest);
                    sum[N - 1] = _mm256_fmadd_ps(a, x, sum[N - 1]);
                }
                for i in 0..N - 1 {
                    _mm256_storeu_ps(y.add(8 * i), sum[i]);
                }
                _mm256_maskstore_ps(y.add(8 * (N - 1)), rest, sum[N - 1]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    vectorized! {
        fn add_many[S: Number](
            lanes; a: &[S], starts: &[u32], x: (&[S], usize), y: (&mut [S], usize), size: [usize; 2],
        ) {
            lanes.add_many((a, starts), x, y, size);
        }
    }

    vectorized! {
        fn add_to_many[S: Number](
            lanes; a: &[S], starts: &[u32], x: (&[S], usize), y: (&mut [S], usize), size: [usize; 2],
        ) {
            lanes.add_to_many((a, starts), x, y, size);
        }
    }

    /// Small whole numbers: sums of their products are exact.
    fn numbers(n: usize, seed: u64) -> Vec<f32> {
        (0..n as u64).map(|i| (crate::rng::counter_uniform(seed, i) * 9.0).floor() - 4.0).collect()
    }

    proptest! {
        #[test]
        fn rows_in_registers_are_added_like_rows_in_memory(
            rows in 0_usize..8, len in 1_usize..200, starts in prop::collection::vec(0_u32..50, 0..6), ones: bool, seed: u64,
        ) {
            let stride = len + 3;
            let many = numbers(rows * stride + len + 50, seed);
            let one = numbers(rows * stride + len, seed ^ 1);
            let a = if ones { Vec::new() } else { numbers(starts.len(), seed ^ 2) };
            let (mut gathered, mut scattered) = (one.clone(), many.clone());
            for (i, &start) in starts.iter().enumerate() {
                let a = a.get(i).copied().unwrap_or(1.0);
                for at in (0..rows * stride).filter(|at| at % stride < len) {
                    gathered[at] += a * many[start as usize + at];
                    scattered[start as usize + at] += a * one[at];
                }
            }
            let (mut got, mut got_many) = (one.clone(), many.clone());
            add_many(&a, &starts, (&many, stride), (&mut got, stride), [rows, len]);
            add_to_many(&a, &starts, (&one, stride), (&mut got_many, stride), [rows, len]);
            prop_assert_eq!(got, gathered);
            prop_assert_eq!(got_many, scattered);
        }
    }
}
