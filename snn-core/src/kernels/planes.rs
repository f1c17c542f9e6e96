//! Dual numbers taken apart into planes of reals, and put together again.

use crate::scalar::{Dual, Real, Scalar};
use crate::vectorized;

/// Numbers that are taken apart at a time: they stay in the first-level cache.
const BLOCK: usize = 64;

/// Values together, and the tangents of each lane together; none of a lane all of whose tangents are zero.
#[derive(Debug)]
pub struct Planes<T, const K: usize> {
    /// The values.
    pub values: Vec<T>,
    /// The tangents of each lane.
    pub tangents: [Vec<T>; K],
}

impl<T: Real, const K: usize> Planes<T, K> {
    /// The planes of these numbers.
    #[must_use]
    pub fn of(x: &[Dual<T, K>]) -> Self {
        let tangents = std::array::from_fn(|_| Vec::new());
        let mut planes = Self { values: Vec::with_capacity(x.len()), tangents };
        take_apart(x, &mut planes);
        planes
    }

    /// Numbers of these values, with the sums of two planes of tangents for each lane, of which an empty one stands for
    /// zeros.
    ///
    /// # Panics
    /// If a plane that is not empty is shorter than `values`.
    #[must_use]
    pub fn join(values: &[T], tangents: &[[Vec<T>; 2]; K]) -> Vec<Dual<T, K>> {
        let mut numbers = Vec::with_capacity(values.len());
        put_together(values, tangents, &mut numbers);
        numbers
    }
}

vectorized! {
    fn take_apart[T: Real, const K: usize](x: &[Dual<T, K>], planes: &mut Planes<T, K>) {
        for block in x.chunks(BLOCK) {
            let (n, mut values, mut tangents) = (block.len(), [T::ZERO; BLOCK], [[T::ZERO; BLOCK]; K]);
            for (i, &number) in block.iter().enumerate() {
                values[i] = number.value();
                for lane in 0..K {
                    tangents[lane][i] = number.tangent(lane);
                }
            }
            for (lane, plane) in tangents.iter().zip(&mut planes.tangents) {
                if plane.is_empty() {
                    if lane.iter().fold(true, |are_zero, t| are_zero & t.is_zero()) {
                        continue;
                    }
                    plane.reserve_exact(x.len());
                    plane.resize(planes.values.len(), T::ZERO);
                }
                plane.extend_from_slice(&lane[..n]);
            }
            planes.values.extend_from_slice(&values[..n]);
        }
    }
}

vectorized! {
    fn put_together[T: Real, const K: usize](
        values: &[T], tangents: &[[Vec<T>; 2]; K], numbers: &mut Vec<Dual<T, K>>,
    ) {
        for (block, values) in values.chunks(BLOCK).enumerate() {
            let (n, mut lanes) = (values.len(), [[T::ZERO; BLOCK]; K]);
            for (lane, planes) in lanes.iter_mut().zip(tangents) {
                for plane in planes.iter().filter(|plane| !plane.is_empty()) {
                    let plane = &plane[block * BLOCK..][..n];
                    lane.iter_mut().zip(plane).for_each(|(sum, &t)| *sum += t);
                }
            }
            let mut joined = [Dual::variable(T::ZERO, [T::ZERO; K]); BLOCK];
            for (i, &value) in values.iter().enumerate() {
                let mut number = [T::ZERO; K];
                for lane in 0..K {
                    number[lane] = lanes[lane][i];
                }
                joined[i] = Dual::variable(value, number);
            }
            numbers.extend_from_slice(&joined[..n]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn planes_hold_the_numbers(n in 0_usize..300, first_of_lane_1 in 0_usize..400, seed: u64) {
            let draw = |i: usize| crate::rng::counter_uniform(seed, i as u64) - 0.5;
            let lane_1 = |i: usize| if i < first_of_lane_1 { 0.0 } else { draw(3 * i + 1) };
            let number = |i: usize| Dual::<f32, 3>::variable(draw(3 * i), [draw(3 * i + 2), lane_1(i), 0.0]);
            let numbers: Vec<_> = (0..n).map(number).collect();
            let Planes { values, tangents } = Planes::of(&numbers);
            prop_assert_eq!(&values, &numbers.iter().map(|x| x.value()).collect::<Vec<_>>());
            prop_assert_eq!(tangents.each_ref().map(Vec::len), [n, if first_of_lane_1 < n { n } else { 0 }, 0]);
            let joined = Planes::join(&values, &tangents.clone().map(|lane| [vec![], lane]));
            prop_assert_eq!(&joined, &numbers);
            let twice = Planes::join(&values, &tangents.map(|lane| [lane.clone(), lane]));
            let doubled = |x: &Dual<f32, 3>| Dual::variable(x.value(), [0, 1, 2].map(|k| 2.0 * x.tangent(k)));
            prop_assert_eq!(twice, numbers.iter().map(doubled).collect::<Vec<_>>());
        }
    }
}
