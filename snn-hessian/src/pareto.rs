//! The Pareto front of bytes against total sensitivity: all plans that no other beats in both.

use crate::allocate::{Allocation, Constraints, Problem, Unit, knapsack};
use crate::error::AllocationError;
use crate::sensitivity::SensitivityTable;

/// Above this many undominated partial plans the front is sampled instead of enumerated.
const MAX_STATES: usize = 100_000;

/// Pareto-optimal plans by rising bytes and falling sensitivity.
#[derive(Debug, Clone, PartialEq)]
pub struct ParetoFront {
    /// The plans.
    pub points: Vec<Allocation>,
    /// Whether these are all Pareto-optimal plans (of plans with equal bytes and sensitivity, one).
    pub complete: bool,
}

/// The Pareto front of all plans under the constraints, with at most `max_points` points (but at least its
/// ends).
///
/// Every point is exactly Pareto-optimal under the additive model. When the front has more points than
/// `max_points`, those are returned that are best at evenly spaced budgets, the ends included.
///
/// # Errors
/// As [`allocate`](crate::allocate()), but for the budget.
///
/// # References
/// Dong et al., "HAWQ-V2", 2020, arXiv 1911.03852: the Pareto frontier of `Σ Ω` against model size.
/// Deviation: the front is found exactly, not from sampled plans.
pub fn pareto_front(
    table: &SensitivityTable,
    constraints: &Constraints,
    max_points: usize,
) -> Result<ParetoFront, AllocationError> {
    let problem = Problem::new(table, constraints, Unit::Bytes)?;
    match knapsack::front(&problem.choices, MAX_STATES) {
        Some(front) if front.len() <= max_points => {
            let points = front.iter().map(|picks| problem.allocation(picks)).collect();
            Ok(ParetoFront { points, complete: true })
        }
        _ => Ok(ParetoFront { points: sampled(&problem, max_points), complete: false }),
    }
}

/// The best plans at evenly spaced budgets, without repetition.
fn sampled(problem: &Problem<'_>, max_points: usize) -> Vec<Allocation> {
    let end = |pick: fn(&Vec<knapsack::Choice>) -> Option<&knapsack::Choice>| -> u64 {
        problem.choices.iter().filter_map(pick).map(|choice| choice.cost).sum()
    };
    let (least, most) = (end(|class| class.first()), end(|class| class.last()));
    let best_at = |budget| knapsack::solve(&problem.choices, budget).map(|picks| problem.allocation(&picks));
    let mut points: Vec<Allocation> = evenly_spaced(least, most, max_points).filter_map(best_at).collect();
    points.dedup_by(|a, b| a.bits == b.bits);
    points
}

/// `n` budgets (at least 2) from `least` to `most`.
fn evenly_spaced(least: u64, most: u64, n: usize) -> impl Iterator<Item = u64> {
    let last = u64::try_from(n.saturating_sub(1)).unwrap_or(u64::MAX).clamp(1, u64::from(u32::MAX));
    // At most 2^57 bytes in at most 2^32 parts: whole and rest of each part stay within u64.
    let (whole, rest) = ((most - least) / last, (most - least) % last);
    (0..=last).map(move |i| least + whole * i + rest * i / last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TensorSensitivity;
    use crate::{Budget, allocate};
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn table(rows: &[(u64, [f64; 3])]) -> SensitivityTable {
        let tensor = |(i, (n_params, omega)): (usize, &(u64, [f64; 3]))| {
            let omega = BTreeMap::from([(2, omega[0]), (4, omega[1]), (8, omega[2])]);
            (format!("t{i:02}"), TensorSensitivity { n_params: *n_params, omega, rel_std_err: 0.0 })
        };
        SensitivityTable::new(rows.iter().enumerate().map(tensor).collect()).unwrap()
    }

    /// Sizes that make nearly all sums differ, so that the front is long.
    fn long() -> SensitivityTable {
        let row = |i: u32| {
            let curvature = f64::from(i * 7919 % 31 + 1);
            (1000 + 8 * u64::from(i * i * 37 % 911), [curvature, curvature / 16.0, curvature / 4096.0])
        };
        table(&(0..30).map(row).collect::<Vec<_>>())
    }

    #[test]
    fn a_long_front_is_sampled_with_its_ends() {
        let table = long();
        let front = pareto_front(&table, &Constraints::default(), 20).unwrap();
        assert!(!front.complete);
        assert!((10..=20).contains(&front.points.len()), "{} points", front.points.len());
        assert!(front.points[0].bits.values().all(|&b| b == 2));
        assert!(front.points[front.points.len() - 1].bits.values().all(|&b| b == 8));
        for point in &front.points {
            let best = allocate(&table, Budget::Bytes(point.bytes), &Constraints::default()).unwrap();
            assert_eq!(&best, point, "each point is the best at its bytes");
        }
    }

    #[test]
    fn constraints_hold_along_the_front() {
        let table = table(&[(10, [4.0, 1.0, 0.1]), (20, [4.0, 1.0, 0.1])]);
        let constraints = Constraints {
            widths: Some(BTreeSet::from([2, 4])),
            fixed: BTreeMap::from([("t00".to_owned(), 8)]),
            ..Constraints::default()
        };
        let front = pareto_front(&table, &constraints, 100).unwrap();
        let bits: Vec<Vec<u32>> = front.points.iter().map(|p| p.bits.values().copied().collect()).collect();
        assert_eq!(bits, [[8, 2], [8, 4]]);
        assert!(front.complete);
    }

    #[test]
    fn budgets_are_even_and_reach_both_ends() {
        assert_eq!(evenly_spaced(10, 20, 5).collect::<Vec<_>>(), [10, 12, 15, 17, 20]);
        assert_eq!(evenly_spaced(3, 3, 0).collect::<Vec<_>>(), [3, 3]);
    }

    proptest! {
        #[test]
        fn the_front_is_what_brute_force_finds(
            rows in prop::collection::vec((1u64..50, [0.0f64..9.0, 0.0f64..9.0, 0.0f64..9.0]), 1..5),
        ) {
            let table = table(&rows);
            let front = pareto_front(&table, &Constraints::default(), 1000).unwrap();
            prop_assert!(front.complete);
            let found: Vec<(u64, f64)> = front.points.iter().map(|p| (p.bytes, p.omega)).collect();
            let expected = brute_front(&table);
            prop_assert_eq!(found.len(), expected.len());
            for (f, e) in found.iter().zip(&expected) {
                prop_assert!(f.0 == e.0 && (f.1 - e.1).abs() <= 1e-12 * e.1, "{f:?} {e:?}");
            }
        }
    }

    /// The undominated (bytes, Ω) of all plans.
    fn brute_front(table: &SensitivityTable) -> Vec<(u64, f64)> {
        let mut all = vec![(0u64, 0.0f64)];
        for t in table.tensors().values() {
            let with = |&(bytes, omega): &(u64, f64)| {
                let step =
                    |(&b, o): (&u32, &f64)| (bytes + (t.n_params * u64::from(b)).div_ceil(8), omega + o);
                t.omega.iter().map(step).collect::<Vec<_>>()
            };
            all = all.iter().flat_map(with).collect();
        }
        all.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let mut best = f64::INFINITY;
        all.retain(|p| {
            p.1 < best && {
                best = p.1;
                true
            }
        });
        all
    }
}
