use super::*;
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A table of `(n_params, Ω at each width of widths)`, named `t0`, `t1`, ...
fn table(widths: &[u32], rows: &[(u64, Vec<f64>)]) -> SensitivityTable {
    let tensor = |(i, (n_params, omega)): (usize, &(u64, Vec<f64>))| {
        let omega = widths.iter().copied().zip(omega.iter().copied()).collect();
        (format!("t{i:02}"), TensorSensitivity { n_params: *n_params, omega, rel_std_err: 0.0 })
    };
    SensitivityTable::new(rows.iter().enumerate().map(tensor).collect()).unwrap()
}

/// Tables as they occur: `Ω` falls fourfold per bit, sizes and curvatures spread over decades.
fn realistic(n_tensors: usize, widths: &[u32], seed: u64) -> SensitivityTable {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let row = |_| {
        let n_params = 10u64.pow(rng.random_range(1..6)) * rng.random_range(1..=10);
        let curvature = 10f64.powf(rng.random_range(-3.0..3.0));
        let omega = |&b: &u32| curvature * 0.25f64.powi(b.cast_signed()) * rng.random_range(0.9..1.1);
        (n_params, widths.iter().map(omega).collect())
    };
    let rows: Vec<(u64, Vec<f64>)> = (0..n_tensors).map(row).collect();
    table(widths, &rows)
}

fn names(list: &[&str]) -> BTreeSet<String> {
    list.iter().map(|&name| name.to_owned()).collect()
}

/// Every plan, by trying all widths for all tensors.
fn all_plans(table: &SensitivityTable) -> Vec<Allocation> {
    let free = Constraints::default();
    let problem = Problem::new(table, &free, Unit::Bits).unwrap();
    let mut plans = vec![Vec::new()];
    for tensor in table.tensors().values() {
        let longer = |plan: &Vec<u32>| {
            tensor.omega.keys().map(|&b| plan.iter().copied().chain([b]).collect()).collect::<Vec<Vec<u32>>>()
        };
        plans = plans.iter().flat_map(longer).collect();
    }
    let sum_up = |plan: &Vec<u32>| {
        let bits: BTreeMap<String, u32> = table.tensors().keys().cloned().zip(plan.iter().copied()).collect();
        let tensors = || table.tensors().values().zip(plan);
        let n = problem.table.n_params() as f64;
        Allocation {
            bits,
            omega: tensors().map(|(t, b)| t.omega[b]).sum(),
            bytes: tensors().map(|(t, &b)| (t.n_params * u64::from(b)).div_ceil(8)).sum(),
            mean_bits: tensors().map(|(t, &b)| t.n_params * u64::from(b)).sum::<u64>() as f64 / n,
        }
    };
    plans.iter().map(sum_up).collect()
}

fn within(plan: &Allocation, budget: Budget) -> bool {
    match budget {
        Budget::MeanBits(mean) => plan.mean_bits <= mean * (1.0 + 1e-12),
        Budget::Bytes(bytes) => plan.bytes <= bytes,
    }
}

fn any_table() -> impl Strategy<Value = SensitivityTable> {
    let row = (1u64..200, prop::collection::vec(prop_oneof![0.0f64..10.0, Just(1.0)], 4));
    prop::collection::vec(row, 1..=6).prop_map(|rows| table(&[1, 3, 4, 9], &rows))
}

fn any_budget() -> impl Strategy<Value = Budget> {
    prop_oneof![(0.5f64..10.0).prop_map(Budget::MeanBits), (0u64..1200).prop_map(Budget::Bytes)]
}

proptest! {
    #[test]
    fn it_equals_brute_force(table in any_table(), budget in any_budget()) {
        let fitting: Vec<Allocation> = all_plans(&table).into_iter().filter(|p| within(p, budget)).collect();
        let best = fitting.iter().map(|p| p.omega).min_by(f64::total_cmp);
        match (allocate(&table, budget, &Constraints::default()), best) {
            (Ok(plan), Some(best)) => {
                prop_assert!((plan.omega - best).abs() <= 1e-12 * best, "{} instead of {}", plan.omega, best);
                prop_assert!(fitting.contains(&plan));
            }
            (Err(_), None) => {}
            (found, best) => prop_assert!(false, "found {found:?}, brute force {best:?}"),
        }
    }

    #[test]
    fn greedy_fits_and_is_never_better(table in any_table(), budget in any_budget()) {
        let exact = allocate(&table, budget, &Constraints::default());
        let greedy = allocate_greedy(&table, budget, &Constraints::default());
        match (exact, greedy) {
            (Ok(exact), Ok(greedy)) => {
                prop_assert!(within(&greedy, budget) && within(&exact, budget));
                prop_assert!(greedy.omega >= exact.omega * (1.0 - 1e-12));
            }
            (exact, greedy) => prop_assert_eq!(exact, greedy),
        }
    }

    #[test]
    fn more_budget_is_never_worse(table in any_table(), a in 1.0f64..10.0, b in 1.0f64..10.0) {
        let omega = |mean| allocate(&table, Budget::MeanBits(mean), &Constraints::default()).unwrap().omega;
        prop_assert!(omega(a.max(b)) <= omega(a.min(b)) * (1.0 + 1e-12));
    }

    #[test]
    fn constraints_are_kept(table in any_table(), fixed in 0usize..4, tie in any::<bool>()) {
        prop_assume!(table.tensors().len() >= 3);
        let bits = [1, 3, 4, 9][fixed];
        let constraints = Constraints {
            widths: Some(BTreeSet::from([3, 4])),
            fixed: BTreeMap::from([("t00".to_owned(), bits)]),
            tied: if tie { vec![names(&["t01", "t02"])] } else { Vec::new() },
        };
        let plan = allocate(&table, Budget::MeanBits(16.0), &constraints).unwrap();
        prop_assert_eq!(plan.bits["t00"], bits);
        prop_assert!(plan.bits.iter().skip(1).all(|(_, b)| [3, 4].contains(b)));
        prop_assert!(!tie || plan.bits["t01"] == plan.bits["t02"]);
    }
}

#[test]
fn fifty_tensors_at_sixteen_widths_are_solved_exactly() {
    let widths: Vec<u32> = (1..=16).collect();
    for seed in 0..4 {
        let table = realistic(50, &widths, seed);
        for mean in [2.0, 3.3, 4.0, 8.0] {
            let budget = Budget::MeanBits(mean);
            let exact = allocate(&table, budget, &Constraints::default()).unwrap();
            let greedy = allocate_greedy(&table, budget, &Constraints::default()).unwrap();
            assert!(exact.omega <= greedy.omega && within(&exact, budget));
            assert_eq!(exact, allocate(&table, budget, &Constraints::default()).unwrap());
        }
    }
}

#[test]
fn equal_sizes_and_curvatures_are_solved_too() {
    // Many plans tie here, the hard case for pruning.
    let widths: Vec<u32> = (1..=16).collect();
    let omega: Vec<f64> = widths.iter().map(|&b| 0.25f64.powi(b.cast_signed())).collect();
    let table = table(&widths, &vec![(1000, omega); 50]);
    let plan = allocate(&table, Budget::MeanBits(4.5), &Constraints::default()).unwrap();
    let bits: Vec<u32> = plan.bits.into_values().collect();
    assert_eq!(bits, [vec![4; 25], vec![5; 25]].concat(), "ties go to the first names");
}

#[test]
fn the_greedy_way_can_be_worse() {
    // The steep first step of t00 uses up what t01 needs.
    let table = table(&[1, 2], &[(10, vec![11.0, 0.0]), (19, vec![20.0, 0.0])]);
    let budget = Budget::MeanBits(48.0 / 29.0);
    let bits = |plan: Allocation| plan.bits.into_values().collect::<Vec<u32>>();
    assert_eq!(bits(allocate(&table, budget, &Constraints::default()).unwrap()), [1, 2]);
    assert_eq!(bits(allocate_greedy(&table, budget, &Constraints::default()).unwrap()), [2, 1]);
}

#[test]
fn decimal_means_are_met_exactly() {
    // 4.35 · 100 is 434.99999999999994 in f64.
    let table = table(&[4, 5], &[(35, vec![1.0, 0.0]), (65, vec![1.0, 0.5])]);
    let plan = allocate(&table, Budget::MeanBits(4.35), &Constraints::default()).unwrap();
    assert_eq!(plan.bits["t00"], 5);
}

#[test]
fn impossible_wishes_are_refused_with_reasons() {
    use AllocationError as E;
    let table = table(&[2, 4], &[(10, vec![1.0, 0.5]), (30, vec![1.0, 0.5])]);
    let refuse = |budget, constraints: &Constraints| allocate(&table, budget, constraints).unwrap_err();
    let free = Constraints::default();
    assert_eq!(refuse(Budget::Bytes(10), &free), E::BytesTooSmall { budget: 10, minimum: 11 });
    let mean = refuse(Budget::MeanBits(1.5), &free);
    assert_eq!(mean.to_string(), "budget of 1.5 mean bits is too small, the smallest plan takes 2");
    assert!(matches!(refuse(Budget::MeanBits(f64::NAN), &free), E::MeanBitsNotFinite { .. }));
    assert!(matches!(refuse(Budget::MeanBits(-1.0), &free), E::MeanBitsTooSmall { .. }));

    let fixed = |list: &[(&str, u32)], tied: &[&[&str]]| Constraints {
        widths: None,
        fixed: list.iter().map(|&(name, bits)| (name.to_owned(), bits)).collect(),
        tied: tied.iter().map(|group| names(group)).collect(),
    };
    let wide = Budget::MeanBits(16.0);
    assert!(matches!(refuse(wide, &fixed(&[("x", 2)], &[])), E::UnknownTensor { tensor } if tensor == "x"));
    assert!(matches!(refuse(wide, &fixed(&[], &[&["t00", "x"]])), E::UnknownTensor { .. }));
    assert!(matches!(refuse(wide, &fixed(&[("t00", 3)], &[])), E::NoWidth { tensor } if tensor == "t00"));
    let twice = fixed(&[], &[&["t00", "t01"], &["t01"]]);
    assert!(matches!(refuse(wide, &twice), E::TiedTwice { tensor } if tensor == "t01"));
    let apart = fixed(&[("t00", 2), ("t01", 4)], &[&["t00", "t01"]]);
    assert_eq!(refuse(wide, &apart), E::FixedApart { tensor: "t01".to_owned(), bits: 4, other: 2 });
    let none = Constraints { widths: Some(BTreeSet::from([7])), ..Constraints::default() };
    assert!(matches!(refuse(wide, &none), E::NoWidth { .. }));
    let empty = SensitivityTable::default();
    assert_eq!(allocate(&empty, wide, &free), Err(E::Empty));
}

#[test]
fn a_fixed_tensor_fixes_those_tied_to_it() {
    let table = table(&[2, 4], &[(10, vec![1.0, 0.5]), (30, vec![1.0, 0.5])]);
    let constraints = Constraints {
        fixed: BTreeMap::from([("t01".to_owned(), 2)]),
        tied: vec![names(&["t00", "t01"])],
        ..Constraints::default()
    };
    let plan = allocate(&table, Budget::MeanBits(16.0), &constraints).unwrap();
    assert_eq!(plan.bits.into_values().collect::<Vec<_>>(), [2, 2]);
}

#[test]
fn measured_looking_sensitivities_without_a_rule_are_solved_too() {
    // Random falls, no convexity, sizes alike: the relaxation says least about these.
    let widths: Vec<u32> = (1..=16).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let row = |_| {
        let mut omega: Vec<f64> = widths.iter().map(|_| rng.random_range(0.0..1.0)).collect();
        omega.sort_by(|a, b| b.total_cmp(a));
        (rng.random_range(100_000..110_000), omega)
    };
    let rows: Vec<(u64, Vec<f64>)> = (0..50).map(row).collect();
    let table = table(&widths, &rows);
    let budget = Budget::MeanBits(4.0);
    let exact = allocate(&table, budget, &Constraints::default()).unwrap();
    let greedy = allocate_greedy(&table, budget, &Constraints::default()).unwrap();
    assert!(exact.omega < greedy.omega && within(&exact, budget));
}
