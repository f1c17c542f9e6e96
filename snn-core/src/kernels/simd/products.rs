//! Matrix products whose left factor is not laid out as a matrix: `A[i][k]` is at `offsets[i] + bases[k]`.
//!
//! That is what a convolution is, its windows' positions being the offsets and its kernel's taps the bases, or, for the
//! gradient of the kernel, the other way round. Each number of the result has a sum of its own, to which the products are
//! added in order and fused, whatever the instruction set.

use crate::kernels::number::Number;

/// The factors of a product.
#[derive(Clone, Copy, Debug)]
pub struct Products<'a, S> {
    /// Where the numbers of the left factor are.
    pub x: &'a [S],
    /// For each row of the left factor.
    pub offsets: &'a [usize],
    /// For each column of the left factor.
    pub bases: &'a [usize],
    /// The right factor, row by row, one for each base.
    pub rows: &'a [S],
    /// Numbers from one of its rows to the next.
    pub stride: usize,
    /// Numbers of a row.
    pub width: usize,
}

impl<'a, S> Products<'a, S> {
    /// # Panics
    /// If `x`, the rows, or `to`, whose rows are `to_stride` apart, do not hold what the product says.
    #[inline(always)]
    fn check(&self, to: usize, to_stride: usize) {
        let last = |at: &[usize]| at.iter().copied().max();
        let reach = |n: usize, stride: usize| n.checked_sub(1).map_or(0, |last| last * stride + self.width);
        if let (Some(offset), Some(base)) = (last(self.offsets), last(self.bases)) {
            assert!(offset + base < self.x.len(), "products: the left factor ends before its last number");
        }
        assert!(
            reach(self.bases.len(), self.stride) <= self.rows.len(),
            "products: the right factor ends early"
        );
        assert!(reach(self.offsets.len(), to_stride) <= to, "products: no room");
    }

    /// Some columns of the product.
    #[inline(always)]
    fn columns(self, first: usize, width: usize) -> Self {
        Self { rows: &self.rows[first.min(self.rows.len())..], width, ..self }
    }
}

/// Adds the product to `to`, by plain loops.
#[inline(always)]
pub(super) fn add<S: Number>(
    p: &Products<'_, S>,
    (to, to_stride): (&mut [S], usize),
    add: impl Fn(S, S, &mut S),
) {
    for (i, &offset) in p.offsets.iter().enumerate() {
        let sums = &mut to[i * to_stride..][..p.width];
        for (k, &base) in p.bases.iter().enumerate() {
            let (x, row) = (p.x[offset + base], &p.rows[k * p.stride..][..p.width]);
            sums.iter_mut().zip(row).for_each(|(sum, &w)| add(x, w, sum));
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) mod x86 {
    use super::Products;
    use std::arch::x86_64::*;

    /// The sums of `M` rows, of `N` registers of the instruction set each, of which the last may be used in part.
    macro_rules! tile {
        ($name:ident, $features:literal, $lanes:literal, $mask:ident,
         $zero:ident, $set:ident, $load:ident, $load_rest:ident, $store:ident, $store_rest:ident, $fma:ident) => {
            /// Adds the products of the `M` rows from `first` on; rows behind the last are computed for nothing.
            ///
            /// # Safety
            /// All slices hold what [`Products::check`] asks for; there is a row `first`, and `p.width` needs `N` registers.
            #[target_feature(enable = $features)]
            unsafe fn $name<const M: usize, const N: usize>(
                p: &Products<'_, f32>,
                first: usize,
                (to, to_stride): (&mut [f32], usize),
            ) {
                let rest = $mask(p.width - $lanes * (N - 1));
                let n_rows = (p.offsets.len() - first).min(M);
                // SAFETY: the caller's; `rest` selects the numbers in the last register.
                unsafe {
                    let mut x = [p.x.as_ptr(); M];
                    let mut sums = [[$zero(); N]; M];
                    for i in 0..M {
                        let row = first + i.min(n_rows - 1);
                        x[i] = x[i].add(p.offsets[row]);
                        let to = to.as_ptr().add(row * to_stride);
                        for j in 0..N - 1 {
                            sums[i][j] = $load(to.add($lanes * j));
                        }
                        sums[i][N - 1] = $load_rest(to.add($lanes * (N - 1)), rest);
                    }
                    let mut row = p.rows.as_ptr();
                    for &base in p.bases {
                        let mut w = [$zero(); N];
                        for j in 0..N - 1 {
                            w[j] = $load(row.add($lanes * j));
                        }
                        w[N - 1] = $load_rest(row.add($lanes * (N - 1)), rest);
                        for i in 0..M {
                            let x = $set(*x[i].add(base));
                            for j in 0..N {
                                sums[i][j] = $fma(x, w[j], sums[i][j]);
                            }
                        }
                        row = row.wrapping_add(p.stride);
                    }
                    for i in 0..n_rows {
                        let to = to.as_mut_ptr().add((first + i) * to_stride);
                        for j in 0..N - 1 {
                            $store(to.add($lanes * j), sums[i][j]);
                        }
                        $store_rest(to.add($lanes * (N - 1)), rest, sums[i][N - 1]);
                    }
                }
            }
        };
    }

    /// Adds the product to `to` in blocks of columns that take two registers.
    macro_rules! add {
        ($name:ident, $features:literal, $lanes:literal, $tile:ident, $one:literal, $two:literal) => {
            /// Adds the product to `to`.
            ///
            /// # Panics
            /// As [`Products::check`].
            #[target_feature(enable = $features)]
            pub(in super::super) fn $name(p: &Products<'_, f32>, (to, to_stride): (&mut [f32], usize)) {
                p.check(to.len(), to_stride);
                if p.offsets.is_empty() || p.bases.is_empty() {
                    return;
                }
                for column in (0..p.width).step_by(2 * $lanes) {
                    let (width, to) = ((p.width - column).min(2 * $lanes), &mut to[column..]);
                    let (p, rows) = (p.columns(column, width), p.offsets.len());
                    // SAFETY: checked above; the blocks begin at a row.
                    unsafe {
                        if width > $lanes {
                            (0..rows)
                                .step_by($two)
                                .for_each(|i| $tile::<$two, 2>(&p, i, (&mut *to, to_stride)));
                        } else {
                            (0..rows)
                                .step_by($one)
                                .for_each(|i| $tile::<$one, 1>(&p, i, (&mut *to, to_stride)));
                        }
                    }
                }
            }
        };
    }

    /// The lowest `n` lanes of 16.
    #[inline(always)]
    fn lanes_of_16(n: usize) -> u16 {
        u16::MAX >> (16 - n)
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn load_16(from: *const f32, lanes: u16) -> __m512 {
        // SAFETY: the caller's.
        unsafe { _mm512_maskz_loadu_ps(lanes, from) }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn store_16(to: *mut f32, lanes: u16, numbers: __m512) {
        // SAFETY: the caller's.
        unsafe { _mm512_mask_storeu_ps(to, lanes, numbers) };
    }

    /// The lowest `n` lanes of 8.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn lanes_of_8(n: usize) -> __m256i {
        let order = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        _mm256_cmpgt_epi32(_mm256_set1_epi32(i32::try_from(n).unwrap_or(8)), order)
    }

    tile!(
        tile_512,
        "avx512f",
        16,
        lanes_of_16,
        _mm512_setzero_ps,
        _mm512_set1_ps,
        _mm512_loadu_ps,
        load_16,
        _mm512_storeu_ps,
        store_16,
        _mm512_fmadd_ps
    );
    add!(add_512, "avx512f", 16, tile_512, 12, 8);
    tile!(
        tile_256,
        "avx2,fma",
        8,
        lanes_of_8,
        _mm256_setzero_ps,
        _mm256_set1_ps,
        _mm256_loadu_ps,
        _mm256_maskload_ps,
        _mm256_storeu_ps,
        _mm256_maskstore_ps,
        _mm256_fmadd_ps
    );
    add!(add_256, "avx2,fma", 8, tile_256, 6, 4);
}

#[cfg(test)]
mod tests {
    use super::super::{Baseline, Lanes};
    use super::*;
    use proptest::prelude::*;

    fn numbers(n: usize, seed: u64) -> Vec<f32> {
        (0..n as u64).map(|i| crate::rng::counter_uniform(seed, i) - 0.5).collect()
    }

    /// A product of `sizes = [rows, sums, columns]` on top of what is there.
    fn product(lanes: impl Lanes, sizes: [usize; 3], spare: [usize; 2], seed: u64) -> Vec<u32> {
        let ([m, k, width], [stride, to_stride]) = (sizes, spare.map(|spare| sizes[2] + spare));
        let (x, rows) = (numbers(3 * m + 2 * k, seed), numbers(k * stride, seed ^ 1));
        let offsets: Vec<usize> = (0..m).map(|i| 3 * (m - 1 - i)).collect();
        let bases: Vec<usize> = (0..k).map(|i| 2 * i).collect();
        let mut to = numbers(m * to_stride, seed ^ 2);
        let products = Products { x: &x, offsets: &offsets, bases: &bases, rows: &rows, stride, width };
        lanes.add_products(&products, (&mut to, to_stride));
        to.into_iter().map(f32::to_bits).collect()
    }

    proptest! {
        #[test]
        fn all_instruction_sets_give_the_same_bits(
            sizes in [0_usize..30, 0_usize..9, 1_usize..70], spare in [0_usize..3, 0_usize..3], seed: u64,
        ) {
            let plain = product(Baseline, sizes, spare, seed);
            #[cfg(target_arch = "x86_64")]
            {
                use super::super::x86::{Avx2, Avx512};
                if let Some(lanes) = Avx512::detect() {
                    prop_assert_eq!(&product(lanes, sizes, spare, seed), &plain);
                }
                if let Some(lanes) = Avx2::detect() {
                    prop_assert_eq!(&product(lanes, sizes, spare, seed), &plain);
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "the left factor ends before its last number")]
    fn a_factor_that_is_too_short_is_refused() {
        let p = Products {
            x: &[1.0_f32; 4],
            offsets: &[0, 2],
            bases: &[0, 2],
            rows: &[1.0; 4],
            stride: 2,
            width: 2,
        };
        #[cfg(target_arch = "x86_64")]
        if let Some(lanes) = super::super::x86::Avx512::detect() {
            return lanes.add_products(&p, (&mut [0.0; 4], 2));
        }
        p.check(4, 2);
    }
}
