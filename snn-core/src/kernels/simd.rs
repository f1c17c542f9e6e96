//! Run-time dispatch: one loop, compiled for several instruction sets.

use crate::scalar::{Real, Scalar};
use std::any::TypeId;

/// Compiles a function generic in the scalar for AVX-512, AVX2 and the baseline, and picks one at run time.
///
/// The body is plain Rust that the compiler vectorizes; where it does not do so well, `lanes;` before the
/// arguments gives the body a [`Lanes`] to call vector kernels through. No fused multiply-add is ever contracted by the compiler, so all versions give
/// the same bits.
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
                #[target_feature(enable = "avx2")]
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

/// Vector kernels of an instruction set that this CPU has, for slices of `f32`; the methods of scalars of any other type
/// are plain loops.
pub trait Lanes: Copy {
    /// `y += a · x`, number by number; the shorter slice counts.
    fn axpy_f32(self, a: f32, x: &[f32], y: &mut [f32]);

    /// [`Lanes::add_rows`] of several `x`, which begin at `starts` in one slice: `y` stays in registers meanwhile. An empty `a`
    /// stands for ones.
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
            self.add_rows_f32(a, (&x[start as usize..], x_stride), (&mut *y, y_stride), size);
        }
    }

    /// Appends the indices, counted from `first`, and the values of the numbers that are not zero.
    fn append_nonzero_f32(self, x: &[f32], first: u32, sites: &mut Vec<u32>, values: &mut Vec<f32>) {
        append_nonzero(x, first, sites, values);
    }

    /// For each number of `best` the greatest of those at `taps[k] + i` in `rows`, and its `k`, the first of equals.
    fn choose_f32(self, rows: &[f32], taps: &[usize], best: &mut [f32], choices: &mut [u8]) {
        choose(rows, taps, best, choices);
    }

    /// Writes the numbers of `best` to `taps[k] + i` in `rows` for the chosen `k`, and zero for the others.
    fn spread_f32(self, best: &[f32], choices: &[u8], taps: &[usize], rows: &mut [f32]) {
        spread(best, choices, taps, rows);
    }

    /// `to[c · to_stride + r] = from[r · from_stride + c]` for `size = [rows, cols]`, both at most 16.
    fn transpose_tile_f32(self, from: (&[f32], usize), size: [usize; 2], to: (&mut [f32], usize)) {
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
    fn add_rows<S: Scalar>(self, a: S, x: (&[S], usize), y: (&mut [S], usize), size: [usize; 2]) {
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
    fn add_many<S: Scalar>(
        self,
        (a, starts): (&[S], &[u32]),
        (x, x_stride): (&[S], usize),
        (y, y_stride): (&mut [S], usize),
        size: [usize; 2],
    ) {
        if TypeId::of::<S>() != TypeId::of::<f32>() {
            for (i, &start) in starts.iter().enumerate() {
                let a = if a.is_empty() { S::ONE } else { a[i] };
                self.add_rows(a, (&x[start as usize..], x_stride), (&mut *y, y_stride), size);
            }
        } else if let (Some(a), Some(x), Some(y)) = (as_f32(a), as_f32(x), as_f32_mut(y)) {
            self.add_many_f32((a, starts), (x, x_stride), (y, y_stride), size);
        }
    }

    /// Appends the indices, counted from `first`, and the values of the numbers that are not zero.
    #[inline(always)]
    fn append_nonzero<S: Scalar>(self, x: &[S], first: u32, sites: &mut Vec<u32>, values: &mut Vec<S>) {
        match (as_f32(x), as_f32_vec(values)) {
            (Some(x), Some(values)) => self.append_nonzero_f32(x, first, sites, values),
            _ => append_nonzero(x, first, sites, values),
        }
    }

    /// For each number of `best` the greatest of those at `taps[k] + i` in `rows`, and its `k`, the first of equals.
    ///
    /// # Panics
    /// If a slice does not hold them, or there are no taps.
    #[inline(always)]
    fn choose<R: Real>(self, rows: &[R], taps: &[usize], best: &mut [R], choices: &mut [u8]) {
        match (as_f32(rows), as_f32_mut(best)) {
            (Some(rows), Some(best)) => self.choose_f32(rows, taps, best, choices),
            _ => choose(rows, taps, best, choices),
        }
    }

    /// Writes the numbers of `best` to `taps[k] + i` in `rows` for the chosen `k`, and zero for the others.
    ///
    /// # Panics
    /// If a slice does not hold them.
    #[inline(always)]
    fn spread<R: Real>(self, best: &[R], choices: &[u8], taps: &[usize], rows: &mut [R]) {
        match (as_f32(best), as_f32_mut(rows)) {
            (Some(best), Some(rows)) => self.spread_f32(best, choices, taps, rows),
            _ => spread(best, choices, taps, rows),
        }
    }

    /// `to[c · to_stride + r] = from[r · from_stride + c]` for `size = [rows, cols]`, both at most 16.
    ///
    /// # Panics
    /// If a slice does not hold them.
    #[inline(always)]
    fn transpose_tile<S: Scalar>(self, from: (&[S], usize), size: [usize; 2], to: (&mut [S], usize)) {
        if TypeId::of::<S>() != TypeId::of::<f32>() {
            return transpose_tile(from, size, to);
        }
        if let (Some(from_f32), Some(to_f32)) = (as_f32(from.0), as_f32_mut(to.0)) {
            self.transpose_tile_f32((from_f32, from.1), size, (to_f32, to.1));
        }
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
fn add_rows<S: Scalar>(
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
fn axpy<S: Scalar>(a: S, x: &[S], y: &mut [S]) {
    y.iter_mut().zip(x).for_each(|(y, &x)| *y += a * x);
}

#[inline(always)]
fn append_nonzero<S: Scalar>(x: &[S], first: u32, sites: &mut Vec<u32>, values: &mut Vec<S>) {
    for (site, &value) in (first..).zip(x).filter(|(_, v)| !v.is_zero()) {
        sites.push(site);
        values.push(value);
    }
}

#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "the callers have at most 256 taps")]
fn choose<R: Real>(rows: &[R], taps: &[usize], best: &mut [R], choices: &mut [u8]) {
    best.copy_from_slice(&rows[taps[0]..][..best.len()]);
    choices.fill(0);
    for (k, &tap) in taps.iter().enumerate().skip(1) {
        for ((best, choice), &v) in best.iter_mut().zip(choices.iter_mut()).zip(&rows[tap..]) {
            if v > *best {
                (*best, *choice) = (v, k as u8);
            }
        }
    }
}

#[inline(always)]
fn spread<R: Real>(best: &[R], choices: &[u8], taps: &[usize], rows: &mut [R]) {
    for (k, &tap) in taps.iter().enumerate() {
        let row = &mut rows[tap..][..best.len()];
        for ((v, &choice), &best) in row.iter_mut().zip(choices).zip(best) {
            *v = if usize::from(choice) == k { best } else { R::ZERO };
        }
    }
}

#[inline(always)]
fn transpose_tile<S: Scalar>(
    (from, from_stride): (&[S], usize),
    [rows, cols]: [usize; 2],
    (to, to_stride): (&mut [S], usize),
) {
    for c in 0..cols {
        let column = from[c..].iter().step_by(from_stride);
        to[c * to_stride..][..rows].iter_mut().zip(column).for_each(|(to, &from)| *to = from);
    }
}

#[inline(always)]
fn as_f32<S: Scalar>(x: &[S]) -> Option<&[f32]> {
    // SAFETY: the types are the same.
    (TypeId::of::<S>() == TypeId::of::<f32>()).then(|| unsafe { &*(std::ptr::from_ref(x) as *const [f32]) })
}

#[inline(always)]
fn as_f32_mut<S: Scalar>(x: &mut [S]) -> Option<&mut [f32]> {
    // SAFETY: the types are the same.
    (TypeId::of::<S>() == TypeId::of::<f32>()).then(|| unsafe { &mut *(std::ptr::from_mut(x) as *mut [f32]) })
}

#[inline(always)]
fn as_f32_vec<S: Scalar>(x: &mut Vec<S>) -> Option<&mut Vec<f32>> {
    // SAFETY: the types are the same.
    (TypeId::of::<S>() == TypeId::of::<f32>())
        .then(|| unsafe { &mut *std::ptr::from_mut(x).cast::<Vec<f32>>() })
}

/// Instruction sets of x86-64.
#[cfg(target_arch = "x86_64")]
pub mod x86 {
    use super::{Baseline, Lanes};
    use std::arch::x86_64::*;
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

    /// AVX2. There is a value only where the CPU has it.
    #[derive(Clone, Copy, Debug)]
    pub struct Avx2(());

    impl Avx2 {
        /// The instruction set, if this CPU has it and `SNN_VECTORS` allows it.
        #[inline]
        #[must_use]
        pub fn detect() -> Option<Self> {
            (allowed() >= Width::Avx2 && std::arch::is_x86_feature_detected!("avx2")).then_some(Self(()))
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
            (x, x_stride): (&[f32], usize),
            (y, y_stride): (&mut [f32], usize),
            [rows, len]: [usize; 2],
        ) {
            for first in (0..len).step_by(160) {
                let size = [rows, 160.min(len - first)];
                let (x, y) = ((&x[first..], x_stride), (&mut y[first..], y_stride));
                let n = size[1].div_ceil(16);
                in_registers!(add_many_registers, n of [1 2 3 4 5 6 7 8 9] or 10, (self, a, x, y, size));
            }
        }

        #[inline(always)]
        fn append_nonzero_f32(self, x: &[f32], first: u32, sites: &mut Vec<u32>, values: &mut Vec<f32>) {
            sites.reserve(x.len() + 16);
            values.reserve(x.len() + 16);
            let mut len = sites.len().min(values.len());
            let (to_sites, to_values) = (sites.as_mut_ptr(), values.as_mut_ptr());
            for (site, i) in (first..).step_by(16).zip((0..x.len()).step_by(16)) {
                // SAFETY: `self` exists, so the CPU has AVX-512F. The numbers of `x` from `i` are loaded, and zeros behind the
                // last. At most as many as `x` has are kept, so that behind the first `len` there is room for 16.
                unsafe {
                    let block = _mm512_maskz_loadu_ps(first_lanes(x.len() - i), x.as_ptr().add(i));
                    let kept = _mm512_cmp_ps_mask::<_CMP_NEQ_UQ>(block, _mm512_setzero_ps());
                    let index = _mm512_add_epi32(_mm512_set1_epi32(site.cast_signed()), numbers());
                    _mm512_storeu_ps(to_values.add(len), _mm512_maskz_compress_ps(kept, block));
                    _mm512_storeu_epi32(to_sites.add(len).cast(), _mm512_maskz_compress_epi32(kept, index));
                    len += kept.count_ones() as usize;
                }
            }
            // SAFETY: the numbers up to `len` were there or have just been written.
            unsafe {
                sites.set_len(len);
                values.set_len(len);
            }
        }

        #[inline(always)]
        fn choose_f32(self, rows: &[f32], taps: &[usize], best: &mut [f32], choices: &mut [u8]) {
            let n = best.len();
            assert!(choices.len() == n && taps.iter().all(|tap| tap + n <= rows.len()));
            for i in (0..n).step_by(16) {
                let lanes = first_lanes(n - i);
                // SAFETY: `self` exists, so the CPU has AVX-512 F, BW and VL. `lanes` selects numbers below `n`, which all
                // slices hold, as asserted.
                unsafe {
                    let row = |tap: usize| _mm512_maskz_loadu_ps(lanes, rows.as_ptr().add(tap + i));
                    let (mut most, mut choice) = (row(taps[0]), _mm512_setzero_si512());
                    for (k, &tap) in (0..).zip(taps).skip(1) {
                        let v = row(tap);
                        let greater = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(v, most);
                        most = _mm512_mask_blend_ps(greater, most, v);
                        choice = _mm512_mask_blend_epi32(greater, choice, _mm512_set1_epi32(k));
                    }
                    _mm512_mask_storeu_ps(best.as_mut_ptr().add(i), lanes, most);
                    _mm_mask_storeu_epi8(
                        choices.as_mut_ptr().add(i).cast(),
                        lanes,
                        _mm512_cvtepi32_epi8(choice),
                    );
                }
            }
        }

        #[inline(always)]
        fn spread_f32(self, best: &[f32], choices: &[u8], taps: &[usize], rows: &mut [f32]) {
            let n = best.len();
            assert!(choices.len() == n && taps.iter().all(|tap| tap + n <= rows.len()));
            for i in (0..n).step_by(16) {
                let lanes = first_lanes(n - i);
                // SAFETY: as in `choose_f32`.
                unsafe {
                    let best = _mm512_maskz_loadu_ps(lanes, best.as_ptr().add(i));
                    let choice =
                        _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(lanes, choices.as_ptr().add(i).cast()));
                    for (k, &tap) in (0..).zip(taps) {
                        let chosen = _mm512_cmpeq_epi32_mask(choice, _mm512_set1_epi32(k));
                        let row = _mm512_maskz_mov_ps(chosen, best);
                        _mm512_mask_storeu_ps(rows.as_mut_ptr().add(tap + i), lanes, row);
                    }
                }
            }
        }

        #[inline(always)]
        fn transpose_tile_f32(
            self,
            (from, from_stride): (&[f32], usize),
            [rows, cols]: [usize; 2],
            (to, to_stride): (&mut [f32], usize),
        ) {
            if rows == 0 || cols == 0 {
                return;
            }
            let holds = |slice: usize, stride: usize, n: usize, len: usize| (n - 1) * stride + len <= slice;
            assert!(rows <= 16 && cols <= 16);
            assert!(holds(from.len(), from_stride, rows, cols) && holds(to.len(), to_stride, cols, rows));
            // SAFETY: `self` exists, so the CPU has AVX-512F. Rows and columns below the sizes are in the slices, as
            // asserted, and the masks select no other numbers.
            unsafe {
                let mut tile = [_mm512_setzero_ps(); 16];
                for (r, row) in tile.iter_mut().enumerate().take(rows) {
                    *row = _mm512_maskz_loadu_ps(first_lanes(cols), from.as_ptr().add(r * from_stride));
                }
                let tile = transposed(tile);
                for (c, column) in tile.iter().enumerate().take(cols) {
                    _mm512_mask_storeu_ps(to.as_mut_ptr().add(c * to_stride), first_lanes(rows), *column);
                }
            }
        }
    }

    /// A mask of the first `n` lanes, or of all 16.
    #[inline(always)]
    fn first_lanes(n: usize) -> u16 {
        u16::MAX >> (16 - n.min(16))
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
                _mm512_mask_storeu_ps(y, rest, _mm512_add_ps(_mm512_maskz_loadu_ps(rest, y), product));
            }
        }
    }

    /// [`Lanes::add_many_f32`] with runs of `N` registers, of which the last may be used in part.
    #[inline(always)]
    fn add_many_registers<const N: usize>(
        _: Avx512,
        (a, starts): (&[f32], &[u32]),
        (x, x_stride): (&[f32], usize),
        (y, y_stride): (&mut [f32], usize),
        [rows, len]: [usize; 2],
    ) {
        let reach = |stride: usize| rows.saturating_sub(1) * stride + len;
        assert!(len.div_ceil(16) == N && reach(x_stride) <= x.len() && reach(y_stride) <= y.len());
        assert!(a.is_empty() || a.len() == starts.len());
        let last_start = x.len() - reach(x_stride);
        let rest = u16::MAX >> (16 * N - len);
        for row in 0..rows {
            // SAFETY: there is an `Avx512`, so the CPU has AVX-512F. The runs have `len` numbers, of which `rest` selects
            // those in the last register; `y` holds them, as asserted, and `x` for each start up to `last_start`.
            unsafe {
                let (x, y) = (x.as_ptr().add(row * x_stride), y.as_mut_ptr().add(row * y_stride));
                let mut sum = [_mm512_setzero_ps(); N];
                for i in 0..N - 1 {
                    sum[i] = _mm512_loadu_ps(y.add(16 * i));
                }
                sum[N - 1] = _mm512_maskz_loadu_ps(rest, y.add(16 * (N - 1)));
                if a.is_empty() {
                    for &start in starts {
                        assert!(start as usize <= last_start);
                        let x = x.add(start as usize);
                        for i in 0..N - 1 {
                            sum[i] = _mm512_add_ps(sum[i], _mm512_loadu_ps(x.add(16 * i)));
                        }
                        let x = _mm512_maskz_loadu_ps(rest, x.add(16 * (N - 1)));
                        sum[N - 1] = _mm512_add_ps(sum[N - 1], x);
                    }
                }
                for (&a, &start) in a.iter().zip(starts) {
                    assert!(start as usize <= last_start);
                    let (a, x) = (_mm512_set1_ps(a), x.add(start as usize));
                    for i in 0..N - 1 {
                        sum[i] = _mm512_add_ps(sum[i], _mm512_mul_ps(a, _mm512_loadu_ps(x.add(16 * i))));
                    }
                    let x = _mm512_maskz_loadu_ps(rest, x.add(16 * (N - 1)));
                    sum[N - 1] = _mm512_add_ps(sum[N - 1], _mm512_mul_ps(a, x));
                }
                for i in 0..N - 1 {
                    _mm512_storeu_ps(y.add(16 * i), sum[i]);
                }
                _mm512_mask_storeu_ps(y.add(16 * (N - 1)), rest, sum[N - 1]);
            }
        }
    }

    /// [`add_many_registers`] with registers of eight numbers.
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
                        sum[i] = _mm256_add_ps(sum[i], _mm256_mul_ps(a, _mm256_loadu_ps(x.add(8 * i))));
                    }
                    let x = _mm256_maskload_ps(x.add(8 * (N - 1)), rest);
                    sum[N - 1] = _mm256_add_ps(sum[N - 1], _mm256_mul_ps(a, x));
                }
                for i in 0..N - 1 {
                    _mm256_storeu_ps(y.add(8 * i), sum[i]);
                }
                _mm256_maskstore_ps(y.add(8 * (N - 1)), rest, sum[N - 1]);
            }
        }
    }
}
