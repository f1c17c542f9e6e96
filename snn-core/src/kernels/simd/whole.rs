//! Vector kernels of whole numbers of 16 bits, in which the codes of weights add up.
//!
//! Each is written once, for registers of 256 and of 512 bits.

use super::{Slide, Taps};
use std::arch::x86_64::*;
use std::mem::MaybeUninit;

/// A register of whole numbers of 16 bits.
///
/// # Safety
/// All functions need a CPU that has the register's instruction set, and memory for [`Self::LEN`] numbers where they take a
/// pointer.
trait Register: Copy {
    /// Numbers that it holds.
    const LEN: usize;

    unsafe fn all(v: i16) -> Self;
    unsafe fn load(from: *const i16) -> Self;
    unsafe fn store(self, to: *mut i16);
    /// The numbers as bytes, which they fit.
    unsafe fn store_bytes(self, to: *mut u8);
    unsafe fn plus(self, other: Self) -> Self;
    /// The greater of each pair, and where that is `v`, `k` instead of `choice`.
    unsafe fn greater(self, choice: Self, v: Self, k: Self) -> (Self, Self);
}

impl Register for __m256i {
    const LEN: usize = 16;

    #[inline(always)]
    unsafe fn all(v: i16) -> Self {
        // SAFETY: the caller's, as below.
        unsafe { _mm256_set1_epi16(v) }
    }

    #[inline(always)]
    unsafe fn load(from: *const i16) -> Self {
        // SAFETY: as above.
        unsafe { _mm256_loadu_si256(from.cast()) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut i16) {
        // SAFETY: as above.
        unsafe { _mm256_storeu_si256(to.cast(), self) }
    }

    #[inline(always)]
    unsafe fn store_bytes(self, to: *mut u8) {
        // SAFETY: as above.
        unsafe {
            let bytes = _mm_packus_epi16(_mm256_castsi256_si128(self), _mm256_extracti128_si256::<1>(self));
            _mm_storeu_si128(to.cast(), bytes);
        }
    }

    #[inline(always)]
    unsafe fn plus(self, other: Self) -> Self {
        // SAFETY: as above.
        unsafe { _mm256_add_epi16(self, other) }
    }

    #[inline(always)]
    unsafe fn greater(self, choice: Self, v: Self, k: Self) -> (Self, Self) {
        // SAFETY: as above.
        unsafe {
            let is_greater = _mm256_cmpgt_epi16(v, self);
            (_mm256_max_epi16(self, v), _mm256_blendv_epi8(choice, k, is_greater))
        }
    }
}

impl Register for __m512i {
    const LEN: usize = 32;

    #[inline(always)]
    unsafe fn all(v: i16) -> Self {
        // SAFETY: the caller's, as below.
        unsafe { _mm512_set1_epi16(v) }
    }

    #[inline(always)]
    unsafe fn load(from: *const i16) -> Self {
        // SAFETY: as above.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut i16) {
        // SAFETY: as above.
        unsafe { _mm512_storeu_si512(to.cast(), self) }
    }

    #[inline(always)]
    unsafe fn store_bytes(self, to: *mut u8) {
        // SAFETY: as above.
        unsafe { _mm256_storeu_si256(to.cast(), _mm512_cvtepi16_epi8(self)) }
    }

    #[inline(always)]
    unsafe fn plus(self, other: Self) -> Self {
        // SAFETY: as above.
        unsafe { _mm512_add_epi16(self, other) }
    }

    #[inline(always)]
    unsafe fn greater(self, choice: Self, v: Self, k: Self) -> (Self, Self) {
        // SAFETY: as above.
        unsafe {
            let is_greater = _mm512_cmpgt_epi16_mask(v, self);
            (_mm512_max_epi16(self, v), _mm512_mask_mov_epi16(choice, is_greater, k))
        }
    }
}

/// Numbers of a slice that `rows` runs of `len` reach, which begin a stride apart.
#[inline(always)]
fn reach([rows, len]: [usize; 2], stride: usize) -> usize {
    rows.checked_sub(1).map_or(0, |last| last * stride + len)
}

/// [`Lanes::slide_i16`](super::Lanes::slide_i16) with `K` sums, in strips of `N` registers.
///
/// # Safety
/// The CPU has the registers.
///
/// # Panics
/// If the width is not one of whole strips, or a slice does not hold what is asked for.
#[inline(always)]
unsafe fn slide<V: Register, const K: usize, const N: usize>(
    slide: &Slide<'_, i16>,
    (to, stride): (&mut [i16], usize),
) {
    let &Slide { kernels, starts, back, steps, skipped, adds, bias, .. } = slide;
    let (width, n_out) = (bias.len(), steps.len().saturating_sub(skipped));
    assert!(width.is_multiple_of(N * V::LEN) && slide.taps == K && width * K <= kernels.len());
    assert!(reach([n_out, width], stride) <= to.len() && slide.values.is_empty() && !adds);
    let last_start = kernels.len() - width * K;
    for strip in (0..width).step_by(N * V::LEN) {
        // SAFETY: the strip lies in the width, so that bias, kernels up to `last_start` and `to` hold it, as asserted.
        unsafe {
            let mut first = [V::all(0); N];
            for j in 0..N {
                first[j] = V::load(bias.as_ptr().add(strip + j * V::LEN));
            }
            let mut sums = [first; K];
            for (step, events) in steps.iter().enumerate() {
                for &start in &starts[events.clone()] {
                    let start = start.wrapping_sub(back) as usize;
                    assert!(start <= last_start);
                    let x = kernels.as_ptr().add(start + strip);
                    for k in 0..K {
                        for j in 0..N {
                            sums[k][j] = sums[k][j].plus(V::load(x.add(k * width + j * V::LEN)));
                        }
                    }
                }
                if step >= skipped {
                    let to = to.as_mut_ptr().add((step - skipped) * stride + strip);
                    for j in 0..N {
                        sums[0][j].store(to.add(j * V::LEN));
                    }
                }
                for k in 1..K {
                    sums[k - 1] = sums[k];
                }
                sums[K - 1] = first;
            }
        }
    }
}

/// `y += x` for the numbers of a run from `at` on that fill whole registers; the first that is left.
///
/// # Safety
/// The CPU has the registers, and both hold `len` numbers.
#[inline(always)]
unsafe fn add_run<V: Register>(x: *const i16, y: *mut i16, at: usize, len: usize) -> usize {
    let mut i = at;
    while i + V::LEN <= len {
        // SAFETY: the caller's.
        unsafe { V::load(y.add(i)).plus(V::load(x.add(i))).store(y.add(i)) };
        i += V::LEN;
    }
    i
}

/// [`Lanes::add_to_many_i16`](super::Lanes::add_to_many_i16), with registers of `V` first and of 256 bits for what is left.
///
/// # Safety
/// The CPU has the registers.
///
/// # Panics
/// If a slice does not hold what is asked for.
#[inline(always)]
unsafe fn add_to_many<V: Register>(
    starts: &[u32],
    (x, x_stride): (&[i16], usize),
    (y, y_stride): (&mut [i16], usize),
    [rows, len]: [usize; 2],
) {
    let of_y = reach([rows, len], y_stride);
    assert!(reach([rows, len], x_stride) <= x.len() && of_y <= y.len());
    let last_start = y.len() - of_y;
    for &start in starts {
        let start = start as usize;
        assert!(start <= last_start);
        for row in 0..rows {
            // SAFETY: both slices hold the run, as asserted.
            unsafe {
                let (x, y) = (x.as_ptr().add(row * x_stride), y.as_mut_ptr().add(start + row * y_stride));
                let done = add_run::<V>(x, y, 0, len);
                for i in add_run::<__m256i>(x, y, done, len)..len {
                    *y.add(i) = (*y.add(i)).wrapping_add(*x.add(i));
                }
            }
        }
    }
}

/// Adds to `N` registers of each of `rows` runs of `y` those of the runs of `x` that begin at the starts.
///
/// # Safety
/// The CPU has the registers, and the slices hold the runs from every start on.
#[inline(always)]
unsafe fn add_block<V: Register, const N: usize>(
    starts: &[u32],
    (x, x_stride): (*const i16, usize),
    (y, y_stride): (*mut i16, usize),
    rows: usize,
) {
    for row in 0..rows {
        // SAFETY: the caller's.
        unsafe {
            let (x, y) = (x.add(row * x_stride), y.add(row * y_stride));
            let mut sums = [V::all(0); N];
            for j in 0..N {
                sums[j] = V::load(y.add(j * V::LEN));
            }
            for &start in starts {
                for j in 0..N {
                    sums[j] = sums[j].plus(V::load(x.add(start as usize + j * V::LEN)));
                }
            }
            for j in 0..N {
                sums[j].store(y.add(j * V::LEN));
            }
        }
    }
}

/// [`Lanes::add_many_i16`](super::Lanes::add_many_i16), in blocks of four registers, of one, of 256 bits, and number by number.
///
/// # Safety
/// The CPU has the registers.
///
/// # Panics
/// If a slice does not hold what is asked for.
#[inline(always)]
unsafe fn add_many<V: Register>(
    starts: &[u32],
    (x, x_stride): (&[i16], usize),
    (y, y_stride): (&mut [i16], usize),
    [rows, len]: [usize; 2],
) {
    let last = starts.iter().fold(0, |last, &start| last.max(start as usize));
    assert!(last + reach([rows, len], x_stride) <= x.len() && reach([rows, len], y_stride) <= y.len());
    let mut i = 0;
    while i < len {
        // SAFETY: the slices hold the block, which ends with the run, from every start on, as asserted.
        unsafe {
            let (x, y) = ((x.as_ptr().add(i), x_stride), (y.as_mut_ptr().add(i), y_stride));
            i += match len - i {
                left if left >= 4 * V::LEN => {
                    add_block::<V, 4>(starts, x, y, rows);
                    4 * V::LEN
                }
                left if left >= V::LEN => {
                    add_block::<V, 1>(starts, x, y, rows);
                    V::LEN
                }
                left if left >= <__m256i as Register>::LEN => {
                    add_block::<__m256i, 1>(starts, x, y, rows);
                    <__m256i as Register>::LEN
                }
                _ => {
                    for row in 0..rows {
                        for &start in starts {
                            let y = y.0.add(row * y_stride);
                            *y = (*y).wrapping_add(*x.0.add(start as usize + row * x_stride));
                        }
                    }
                    1
                }
            };
        }
    }
}

/// [`Lanes::choose_i16`](super::Lanes::choose_i16) for pixels of whole registers.
///
/// # Safety
/// The CPU has the registers.
///
/// # Panics
/// If a slice does not hold what is asked for.
#[inline(always)]
#[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "at most 256 taps")]
unsafe fn choose<V: Register>(
    rows: &[i16],
    at: &Taps<'_>,
    best: &mut [i16],
    (choices, stride): (&mut [MaybeUninit<u8>], usize),
) {
    let (n, pixel, taps) = (best.len() / at.pixel, at.pixel, at.of_first);
    assert!(pixel.is_multiple_of(V::LEN) && pixel == stride && n * stride <= choices.len());
    assert!(!taps.is_empty() && at.reach(n) <= rows.len());
    for i in (0..pixel).step_by(V::LEN) {
        for window in 0..n {
            // SAFETY: a register lies in the pixel; `best` has those of `n` windows, the others hold them, as asserted.
            unsafe {
                let rows = rows.as_ptr().add(window * at.step + i);
                let (mut most, mut choice) = (V::load(rows.add(taps[0])), V::all(0));
                for k in 1..taps.len() {
                    (most, choice) = most.greater(choice, V::load(rows.add(taps[k])), V::all(k as i16));
                }
                most.store(best.as_mut_ptr().add(window * pixel + i));
                choice.store_bytes(choices.as_mut_ptr().add(window * stride + i).cast());
            }
        }
    }
}

/// For an instruction set the functions of whole numbers that [`Lanes`](super::Lanes) has, compiled for it.
macro_rules! for_instruction_set {
    ($name:ident, $register:ty, $features:literal) => {
        pub(in crate::kernels::simd) mod $name {
            use super::*;

            #[target_feature(enable = $features)]
            pub(in crate::kernels::simd) fn add_many(
                starts: &[u32],
                x: (&[i16], usize),
                y: (&mut [i16], usize),
                size: [usize; 2],
            ) {
                // SAFETY: this function has the features.
                unsafe { super::add_many::<$register>(starts, x, y, size) }
            }

            #[target_feature(enable = $features)]
            pub(in crate::kernels::simd) fn add_to_many(
                starts: &[u32],
                x: (&[i16], usize),
                y: (&mut [i16], usize),
                size: [usize; 2],
            ) {
                // SAFETY: this function has the features.
                unsafe { super::add_to_many::<$register>(starts, x, y, size) }
            }

            /// Whether it did, which it does for some sizes.
            #[target_feature(enable = $features)]
            pub(in crate::kernels::simd) fn slide(slide: &Slide<'_, i16>, to: (&mut [i16], usize)) -> bool {
                let width = slide.bias.len();
                let strips =
                    (width.is_multiple_of(2 * <$register>::LEN), width.is_multiple_of(<$register>::LEN));
                // SAFETY: this function has the features.
                unsafe {
                    match (slide.taps, strips) {
                        (3, (true, _)) => super::slide::<$register, 3, 2>(slide, to),
                        (5, (true, _)) => super::slide::<$register, 5, 2>(slide, to),
                        (7, (true, _)) => super::slide::<$register, 7, 2>(slide, to),
                        (3, (_, true)) => super::slide::<$register, 3, 1>(slide, to),
                        (5, (_, true)) => super::slide::<$register, 5, 1>(slide, to),
                        (7, (_, true)) => super::slide::<$register, 7, 1>(slide, to),
                        _ => return false,
                    }
                }
                true
            }

            /// Whether it did, which it does for pixels of whole registers.
            #[target_feature(enable = $features)]
            pub(in crate::kernels::simd) fn choose(
                rows: &[i16],
                at: &Taps<'_>,
                best: &mut [i16],
                choices: (&mut [MaybeUninit<u8>], usize),
            ) -> bool {
                let is_whole = at.pixel.is_multiple_of(<$register>::LEN);
                if is_whole {
                    // SAFETY: this function has the features.
                    unsafe { super::choose::<$register>(rows, at, best, choices) }
                }
                is_whole
            }
        }
    };
}

for_instruction_set!(avx2, __m256i, "avx2");
for_instruction_set!(avx512, __m512i, "avx512f,avx512bw,avx512vl");
