//! Values to their levels, in place.
//!
//! A table has rising `levels` and, between each two neighbors, the boundary up to which values belong to the lower one:
//! the level of `x` is the one whose number is the count of boundaries below `x`. NaN stays NaN.

use crate::vectorized;

/// Most levels that [`Search`] has room for.
pub const MAX_LEVELS: usize = 256;

/// How the level of a value is found. All ways give the same.
#[derive(Debug, Clone, PartialEq)]
pub enum Search {
    /// Up to 16 levels: one comparison for each boundary, without branches.
    Few,
    /// Levels that are evenly spaced but for rounding: the cell of a value from its position, then one comparison.
    Even {
        /// The lowest level.
        first: f32,
        /// Levels per unit.
        inverse: f32,
    },
    /// Levels anywhere: halving, without branches.
    Halving(Box<[f32; MAX_LEVELS]>),
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
        let inverse = boundaries.len() as f32 / (last - first);
        if matches!(levels.len(), 2 | 4 | 8 | 16) {
            Self::Few
        } else if is_even && inverse.is_finite() {
            Self::Even { first, inverse }
        } else {
            let mut padded = Box::new([f32::INFINITY; MAX_LEVELS]);
            padded[..boundaries.len()].copy_from_slice(boundaries);
            Self::Halving(padded)
        }
    }

    /// Replaces each value by its level.
    ///
    /// # Panics
    /// If the table is not the one that the search was made for.
    pub fn quantize(&self, levels: &[f32], boundaries: &[f32], x: &mut [f32]) {
        match (self, levels.len()) {
            (Self::Few, 2) => few::<1>(levels[0], head(boundaries), head(&levels[1..]), x),
            (Self::Few, 4) => few::<3>(levels[0], head(boundaries), head(&levels[1..]), x),
            (Self::Few, 8) => few::<7>(levels[0], head(boundaries), head(&levels[1..]), x),
            (Self::Few, _) => few::<15>(levels[0], head(boundaries), head(&levels[1..]), x),
            (Self::Even { first, inverse }, _) => even(*first, *inverse, levels, boundaries, x),
            (Self::Halving(padded), _) => halving(padded, levels, x),
        }
    }
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
    #[allow(clippy::cast_precision_loss, reason = "at most 256 levels")]
    fn even[](first: f32, inverse: f32, levels: &[f32], boundaries: &[f32], x: &mut [f32]) {
        /// Adding it rounds to a whole number, which then stands in the lowest bits.
        const WHOLE: f32 = 8_388_608.0;
        let last_cell = (boundaries.len() - 1) as f32;
        for x in x {
            // Between levels number `cell` and `cell + 1`; at a level either side will do.
            let cell = ((*x - first) * inverse - 0.5).clamp(0.0, last_cell);
            let cell = ((cell + WHOLE).to_bits() & 0xff) as usize;
            let level = levels[cell + usize::from(*x > boundaries[cell])];
            *x = if x.is_nan() { *x } else { level };
        }
    }
}

vectorized! {
    fn halving[](boundaries: &[f32; MAX_LEVELS], levels: &[f32], x: &mut [f32]) {
        for x in x {
            let mut code = 0_usize;
            let mut half = MAX_LEVELS / 2;
            while half > 0 {
                code += if *x > boundaries[(code + half - 1) & (MAX_LEVELS - 1)] { half } else { 0 };
                half /= 2;
            }
            *x = if x.is_nan() { *x } else { levels[code] };
        }
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

    fn is_search(search: &Search, name: &str) -> bool {
        format!("{search:?}").starts_with(name)
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
            let expected = if matches!(levels.len(), 2 | 4 | 8 | 16) { "Few" } else { "Halving" };
            prop_assert!(is_search(&search, expected));
            let want: Vec<f32> = x.iter().map(|&x| slow(&levels, &boundaries, x)).collect();
            search.quantize(&levels, &boundaries, &mut x);
            prop_assert_eq!(x, want);
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
            prop_assert!(is_search(&search, "Even"));
            let want: Vec<f32> = x.iter().map(|&x| slow(&levels, &boundaries, x)).collect();
            search.quantize(&levels, &boundaries, &mut x);
            prop_assert_eq!(x, want);
        }
    }

    #[test]
    fn what_is_not_a_number_stays_so() {
        for (n, is_even) in [(4_u16, false), (100, false), (100, true)] {
            let levels: Vec<f32> = (0..n).map(f32::from).collect();
            let boundaries = middles(&levels);
            let mut x = [f32::NAN, 1.2];
            Search::new(&levels, &boundaries, is_even).quantize(&levels, &boundaries, &mut x);
            assert!(x[0].is_nan() && x[1] == 1.0);
        }
    }
}
