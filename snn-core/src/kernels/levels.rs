//! Values to their levels, in place, and the ranges that levels are found from.
//!
//! A table has rising `levels` and, between each two neighbors, the boundary up to which values belong to the lower one:
//! the level of `x` is the one whose number is the count of boundaries below `x`. NaN stays NaN.

use crate::vectorized;

/// Most levels that [`Search`] has room for.
pub const MAX_LEVELS: usize = 256;

/// A table, with the fastest way to find the level of a value. All ways give the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Search {
    /// Filled up with the last one.
    levels: Box<[f32; MAX_LEVELS]>,
    /// Filled up with infinity. If the way is [`Way::Halving`], a search tree by breadth; else rising.
    boundaries: Box<[f32; MAX_LEVELS]>,
    way: Way,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    /// 2, 4, 8 or 16 levels: one comparison for each boundary, without branches.
    Few(usize),
    /// Levels that are evenly spaced but for rounding: the cell of a value from its position, then one comparison.
    Even { first: f32, inverse: f32, last_cell: f32 },
    /// Levels anywhere: halving, without branches.
    Halving,
}

impl Search {
    /// The fastest search for a table; `is_even` vouches for even spacing to much better than half a step.
    ///
    /// # Panics
    /// If there are no levels, more than [`MAX_LEVELS`], or not one boundary fewer than levels.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "at most 256 levels")]
    pub fn new(levels: &[f32], boundaries: &[f32], is_even: bool) -> Self {
        assert!(!levels.is_empty() && levels.len() <= MAX_LEVELS, "{} levels", levels.len());
        assert_eq!(boundaries.len() + 1, levels.len(), "boundaries between {} levels", levels.len());
        let (first, last) = (levels[0], levels[levels.len() - 1]);
        let n_cells = boundaries.len() as f32;
        let inverse = n_cells / (last - first);
        let way = match levels.len() {
            n @ (2 | 4 | 8 | 16) => Way::Few(n),
            _ if is_even && inverse.is_finite() => Way::Even { first, inverse, last_cell: n_cells - 1.0 },
            _ => Way::Halving,
        };
        let padded =
            |values: &[f32], fill| Box::new(std::array::from_fn(|i| values.get(i).copied().unwrap_or(fill)));
        let rising = padded(boundaries, f32::INFINITY);
        let boundaries = if way == Way::Halving { tree(&rising) } else { rising };
        Self { levels: padded(levels, last), boundaries, way }
    }

    /// Replaces each value by its level.
    pub fn quantize(&self, x: &mut [f32]) {
        let Self { levels, boundaries, way } = self;
        match *way {
            Way::Few(2) => few(levels[0], head::<1>(&boundaries[..]), head(&levels[1..]), x),
            Way::Few(4) => few(levels[0], head::<3>(&boundaries[..]), head(&levels[1..]), x),
            Way::Few(8) => few(levels[0], head::<7>(&boundaries[..]), head(&levels[1..]), x),
            Way::Few(_) => few(levels[0], head::<15>(&boundaries[..]), head(&levels[1..]), x),
            Way::Even { first, inverse, last_cell } => {
                even([first, inverse, last_cell], levels, boundaries, x);
            }
            Way::Halving => halving(levels, boundaries, x),
        }
    }
}

type Table = [f32; MAX_LEVELS];

/// The first 255 of rising boundaries as a search tree, by breadth: in row `r`, from `2^r - 1` on, every `2^(8 - r)`th from the
/// middle of the first `2^(8 - r)` on.
fn tree(rising: &Table) -> Box<Table> {
    let mut tree = Box::new([f32::INFINITY; MAX_LEVELS]);
    for row in 0..8 {
        let (first, distance) = ((1 << row) - 1, MAX_LEVELS >> row);
        for i in 0..1 << row {
            tree[first + i] = rising[i * distance + distance / 2 - 1];
        }
    }
    tree
}

fn head<const N: usize>(values: &[f32]) -> [f32; N] {
    std::array::from_fn(|i| values[i])
}

vectorized! {
    fn few[const N: usize](lowest: f32, boundaries: [f32; N], above: [f32; N], x: &mut [f32]) {
        for x in x {
            let mut level = lowest;
            for i in 0..N {
                level = if *x > boundaries[i] { above[i] } else { level };
            }
            *x = if x.is_nan() { *x } else { level };
        }
    }
}

vectorized! {
    fn even[](position: [f32; 3], levels: &Table, boundaries: &Table, x: &mut [f32]) {
        /// Adding it rounds to a whole number, which then stands in the lowest bits.
        const WHOLE: f32 = 8_388_608.0;
        let [first, inverse, last_cell] = position;
        for x in x {
            // Between levels number `cell` and `cell + 1`; at a level either side will do.
            let cell = ((*x - first) * inverse - 0.5).max(0.0).min(last_cell);
            let cell = (cell + WHOLE).to_bits() & 0xff;
            let code = cell + u32::from(*x > boundaries[cell as usize]);
            let level = levels[(code & 0xff) as usize];
            *x = if x.is_nan() { *x } else { level };
        }
    }
}

vectorized! {
    fn halving[](lanes; levels: &Table, tree: &Table, x: &mut [f32]) {
        lanes.descend_f32(levels, tree, x);
    }
}

vectorized! {
    /// Replaces each value by the nearest whole multiple of `scale`, from `ends.0` to `ends.1` of them; of two equally near
    /// ones, by the even. NaN stays NaN.
    pub fn to_multiples[](scale: f32, ends: (f32, f32), x: &mut [f32]) {
        for x in x {
            *x = multiple(scale, ends, *x);
        }
    }
}

vectorized! {
    /// How many times its scale each of these multiples is: the inverse of [`to_multiples`], for at most 15 bits.
    pub fn how_many[](scale: f32, multiples: &[f32], to: &mut [i16]) {
        for (to, &x) in to.iter_mut().zip(multiples) {
            *to = nearest_i16(x / scale);
        }
    }
}

vectorized! {
    /// [`how_many`] with a scale for each column of row-major multiples.
    ///
    /// # Panics
    /// If there are no scales.
    pub fn how_many_by_column[](scales: &[f32], multiples: &[f32], to: &mut [i16]) {
        for (to, x) in to.chunks_mut(scales.len()).zip(multiples.chunks(scales.len())) {
            for ((to, &x), &scale) in to.iter_mut().zip(x).zip(scales) {
                *to = nearest_i16(x / scale);
            }
        }
    }
}

vectorized! {
    /// For each channel the sum of its codes below and that of those above zero: no sum of some of them lies outside. `size` is the
    /// number of channels and that of neighboring codes of one channel.
    ///
    /// # Panics
    /// If a size is zero.
    pub fn reach_of_channels[](size: [usize; 2], codes: &[i16]) -> Vec<[i64; 2]> {
        let [channels, inner] = size;
        let (mut below, mut above) = (vec![0_i64; channels], vec![0_i64; channels]);
        for block in codes.chunks(channels * inner) {
            if inner == 1 {
                for ((below, above), &code) in below.iter_mut().zip(&mut above).zip(block) {
                    *below += i64::from(code.min(0));
                    *above += i64::from(code.max(0));
                }
            } else {
                for ((below, above), run) in below.iter_mut().zip(&mut above).zip(block.chunks(inner)) {
                    *below += run.iter().map(|&code| i64::from(code.min(0))).sum::<i64>();
                    *above += run.iter().map(|&code| i64::from(code.max(0))).sum::<i64>();
                }
            }
        }
        below.into_iter().zip(above).map(|(below, above)| [below, above]).collect()
    }
}

vectorized! {
    /// [`to_multiples`] with a scale for each column of row-major `x`.
    ///
    /// # Panics
    /// If there are no scales.
    pub fn to_multiples_by_column[](scales: &[f32], ends: (f32, f32), x: &mut [f32]) {
        for row in x.chunks_mut(scales.len()) {
            for i in 0..row.len() {
                row[i] = multiple(scales[i], ends, row[i]);
            }
        }
    }
}

#[inline(always)]
fn multiple(scale: f32, ends: (f32, f32), x: f32) -> f32 {
    scale * nearest_whole(x / scale, ends)
}

/// The whole number nearest to `x` from `ends.0` to `ends.1`, whole numbers themselves and at most 2²² far from 0; of two
/// equally near ones the even. NaN stays NaN, and it is never `-0.0`.
///
/// It is `f32::round_ties_even` without a call into the C library on targets that lack a rounding instruction, so that loops
/// vectorize everywhere.
#[inline(always)]
#[must_use]
pub fn nearest_whole(x: f32, ends: (f32, f32)) -> f32 {
    without_fraction(x, ends) - NO_FRACTION
}

/// 1.5 · 2²³: a sum with it has no fraction bits, and its lowest bits are those of the other whole number.
const NO_FRACTION: f32 = 12_582_912.0;

/// [`nearest_whole`] plus [`NO_FRACTION`].
#[inline(always)]
fn without_fraction(x: f32, (lowest, highest): (f32, f32)) -> f32 {
    let x = if x < lowest { lowest } else { x };
    let x = if x > highest { highest } else { x };
    x + NO_FRACTION
}

/// [`nearest_whole`] of what 16 bits hold; conversions from floats do not vectorize as well.
#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "the lowest bits are asked for")]
fn nearest_i16(x: f32) -> i16 {
    without_fraction(x, (f32::from(i16::MIN), f32::from(i16::MAX))).to_bits() as i16
}

/// Numbers that are looked at side by side.
const SIDE_BY_SIDE: usize = 32;

vectorized! {
    /// The least and the greatest number, 0 among them. NaN does not count.
    pub fn extremes[](x: &[f32]) -> (f32, f32) {
        let (mut lo, mut hi) = ([0.0_f32; SIDE_BY_SIDE], [0.0_f32; SIDE_BY_SIDE]);
        for block in x.chunks(SIDE_BY_SIDE) {
            for i in 0..block.len() {
                lo[i] = if block[i] < lo[i] { block[i] } else { lo[i] };
                hi[i] = if block[i] > hi[i] { block[i] } else { hi[i] };
            }
        }
        (lo.into_iter().fold(0.0, f32::min), hi.into_iter().fold(0.0, f32::max))
    }
}

vectorized! {
    /// Whether no number is infinite or NaN.
    pub fn all_finite[](x: &[f32]) -> bool {
        let mut all = true;
        for x in x {
            all &= x.is_finite();
        }
        all
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "levels are compared exactly")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, one value at a time.
    fn slow(levels: &[f32], boundaries: &[f32], x: f32) -> f32 {
        levels[boundaries.iter().filter(|&&b| x > b).count()]
    }

    fn middles(levels: &[f32]) -> Vec<f32> {
        levels.windows(2).map(|pair| f32::midpoint(pair[0], pair[1])).collect()
    }

    proptest! {
        #[test]
        fn every_search_equals_the_definition(
            mut levels in prop::collection::vec(-2.0_f32..2.0, 2..=MAX_LEVELS), size in 0_usize..6,
            mut x in prop::collection::vec(-3.0_f32..3.0, 40),
        ) {
            let sizes = [2, 4, 8, 16, levels.len(), levels.len()];
            levels.truncate(sizes[size]);
            levels.sort_by(f32::total_cmp);
            let boundaries = middles(&levels);
            x.extend(&boundaries);
            x.extend([f32::INFINITY, f32::NEG_INFINITY, 1e30]);
            let search = Search::new(&levels, &boundaries, false);
            prop_assert_eq!(search.way == Way::Halving, !matches!(levels.len(), 2 | 4 | 8 | 16));
            let want: Vec<f32> = x.iter().map(|&x| slow(&levels, &boundaries, x)).collect();
            search.quantize(&mut x);
            prop_assert_eq!(x, want);
        }

        #[test]
        fn codes_of_multiples_are_those_they_were_made_from(
            scales in prop::collection::vec(1e-6_f32..1e3, 1..40), codes in prop::collection::vec(-16384_i16..16384, 200),
        ) {
            let multiples = |scale: f32| move |&code: &i16| scale * f32::from(code);
            let mut found = vec![0; codes.len()];
            let of_one: Vec<f32> = codes.iter().map(multiples(scales[0])).collect();
            how_many(scales[0], &of_one, &mut found);
            prop_assert_eq!(&found, &codes);
            let of_columns: Vec<f32> = codes.iter().zip(scales.iter().cycle()).map(|(c, &s)| multiples(s)(c)).collect();
            found.fill(0);
            how_many_by_column(&scales, &of_columns, &mut found);
            prop_assert_eq!(&found, &codes);
        }

        #[test]
        fn even_spacing_equals_the_definition(
            first in -3.0_f32..1.0, step in 0.001_f32..0.1, n in 17_u16..=256,
            mut x in prop::collection::vec(-4.0_f32..30.0, 60),
        ) {
            let levels: Vec<f32> = (0..n).map(|i| first + step * f32::from(i)).collect();
            let boundaries = middles(&levels);
            x.extend(&boundaries);
            x.extend(&levels);
            x.extend([f32::INFINITY, f32::NEG_INFINITY, -1e30]);
            let search = Search::new(&levels, &boundaries, true);
            let is_by_position = matches!(search.way, Way::Even { .. });
            prop_assert!(is_by_position);
            let want: Vec<f32> = x.iter().map(|&x| slow(&levels, &boundaries, x)).collect();
            search.quantize(&mut x);
            prop_assert_eq!(x, want);
        }
    }

    #[test]
    fn multiples_are_the_nearest_within_the_ends() {
        let x = [-9.0_f32, -0.75, -0.25, 0.2, 0.26, 0.75, 1.25, f32::INFINITY, f32::NEG_INFINITY];
        let want = [-1.0, -1.0, 0.0, 0.0, 0.5, 1.0, 1.0, 1.5, -1.0];
        for len in [x.len(), 3, 0] {
            let mut got = x[..len].to_vec();
            to_multiples(0.5, (-2.0, 3.0), &mut got);
            assert_eq!(got, want[..len]);
        }
        let mut nan = [f32::NAN];
        to_multiples(0.5, (-2.0, 3.0), &mut nan);
        assert!(nan[0].is_nan());
    }

    proptest! {
        #[test]
        fn the_nearest_whole_is_that_of_the_standard_library(x in -4.0e6_f32..4.0e6, half in -70_000_i32..70_000) {
            let ends = (-4.0e6, 4.0e6);
            prop_assert_eq!(nearest_whole(x, ends), x.round_ties_even());
            let tie = half as f32 + 0.5;
            prop_assert_eq!(nearest_whole(tie, ends), tie.round_ties_even());
        }

        #[test]
        fn columns_have_scales_of_their_own(
            x in prop::collection::vec(-3.0_f32..3.0, 0..200), scales in prop::collection::vec(0.01_f32..1.0, 1..40),
        ) {
            let mut got = x.clone();
            to_multiples_by_column(&scales, (-7.0, 7.0), &mut got);
            for (i, (mut x, got)) in x.into_iter().zip(got).enumerate() {
                to_multiples(scales[i % scales.len()], (-7.0, 7.0), std::slice::from_mut(&mut x));
                prop_assert_eq!(x, got);
            }
        }

        #[test]
        fn extremes_are_those_of_a_sorted_list(mut x in prop::collection::vec(-3.0_f32..3.0, 0..100)) {
            prop_assert!(all_finite(&x));
            let (lo, hi) = extremes(&x);
            x.push(0.0);
            x.sort_by(f32::total_cmp);
            prop_assert_eq!((lo, hi), (x[0], x[x.len() - 1]));
        }

        #[test]
        fn one_number_that_is_not_finite_shows(n in 1_usize..100, at in 0_usize..100, kind in 0_usize..3) {
            let mut x = vec![1.0_f32; n];
            x[at % n] = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY][kind];
            prop_assert!(!all_finite(&x));
        }
    }

    #[test]
    fn what_is_not_a_number_stays_so() {
        for (n, is_even) in [(4_u16, false), (100, false), (100, true)] {
            let levels: Vec<f32> = (0..n).map(f32::from).collect();
            let boundaries = middles(&levels);
            let mut x = [f32::NAN, 1.2];
            Search::new(&levels, &boundaries, is_even).quantize(&mut x);
            assert!(x[0].is_nan() && x[1] == 1.0);
        }
    }
}
