//! The choice of a bit width for each tensor under a budget, with the least total sensitivity.
//!
//! Sensitivities add up, so the problem is a multiple-choice knapsack: for each tensor one width, the sum of
//! costs within the budget, the sum of `Ω` least. [`allocate`] solves it exactly.
//!
//! # References
//! - Dong et al., "HAWQ-V2", 2020, arXiv 1911.03852: picks from the Pareto frontier of `Σ Ω` against size.
//! - Yao et al., "HAWQ-V3: Dyadic Neural Network Quantization", 2021, arXiv 2011.10680: the same as an
//!   integer program.
//! - Pisinger, "A minimal algorithm for the Multiple-Choice Knapsack Problem", 1995: dynamic programming over
//!   undominated states, pruned by the bound of the linear relaxation. Deviation: no core of classes is
//!   expanded, tensors are taken in the order of their cost, dearest first.

use crate::error::AllocationError;
use crate::sensitivity::{SensitivityTable, TensorSensitivity};
use knapsack::Choice;
use std::collections::{BTreeMap, BTreeSet};

pub(crate) mod knapsack;
#[cfg(test)]
mod tests;

/// What a plan may cost. Only codes count: scales and zero points do not depend on the widths (but for the
/// zero points above 8 bits), so a caller who has a total in mind subtracts them first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Budget {
    /// The mean width over all parameters of the table, fixed tensors included.
    MeanBits(f64),
    /// The bytes of all packed codes, each tensor rounded up to whole bytes.
    Bytes(u64),
}

/// What else a plan must keep to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Constraints {
    /// The widths to choose from; `None` for all that a tensor has a sensitivity for.
    pub widths: Option<BTreeSet<u32>>,
    /// Tensors whose width is given, allowed by `widths` or not.
    pub fixed: BTreeMap<String, u32>,
    /// Groups of tensors that get the same width.
    pub tied: Vec<BTreeSet<String>>,
}

/// A width for each tensor, and what the plan comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Allocation {
    /// Tensor name to width.
    pub bits: BTreeMap<String, u32>,
    /// The total sensitivity, `Σ Ω_i(b_i)`.
    pub omega: f64,
    /// The bytes of all packed codes, each tensor rounded up to whole bytes.
    pub bytes: u64,
    /// The mean width over all parameters.
    pub mean_bits: f64,
}

/// The plan of least total sensitivity within the budget, exactly.
///
/// Of plans with equal sensitivity it is the one of the lowest cost, and of those the one whose widths, read
/// in the order of the tensors' names, are smaller at the first difference.
///
/// Time and memory grow with the number of undominated partial plans that the bound leaves, which is small in
/// practice (50 tensors at 16 widths take milliseconds) but exponential in the worst case.
///
/// # Errors
/// [`AllocationError::BytesTooSmall`] or [`AllocationError::MeanBitsTooSmall`], with the least possible
/// budget, and a variant for each way in which constraints can contradict the table or each other.
///
/// # Examples
/// ```
/// use snn_hessian::{Budget, Constraints, SensitivityTable, TensorSensitivity, allocate};
/// use std::collections::BTreeMap;
///
/// let tensor = |n_params, omega: [f64; 3]| TensorSensitivity {
///     n_params,
///     omega: [2, 4, 8].into_iter().zip(omega).collect(),
///     rel_std_err: 0.0,
/// };
/// let table = SensitivityTable::new(BTreeMap::from([
///     ("conv.weight".to_string(), tensor(100, [9.0, 1.0, 0.1])),
///     ("fc.weight".to_string(), tensor(100, [2.0, 0.5, 0.1])),
/// ]))?;
/// let plan = allocate(&table, Budget::MeanBits(3.0), &Constraints::default())?;
/// assert_eq!((plan.bits["conv.weight"], plan.bits["fc.weight"]), (4, 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn allocate(
    table: &SensitivityTable,
    budget: Budget,
    constraints: &Constraints,
) -> Result<Allocation, AllocationError> {
    allocate_by(knapsack::solve, table, budget, constraints)
}

/// A plan within the budget by marginal gains, for comparison: from the narrowest widths, again and again the
/// widening with the greatest fall of sensitivity for its cost that still fits.
///
/// # Errors
/// As [`allocate`].
pub fn allocate_greedy(
    table: &SensitivityTable,
    budget: Budget,
    constraints: &Constraints,
) -> Result<Allocation, AllocationError> {
    allocate_by(knapsack::greedy, table, budget, constraints)
}

/// Picks one choice of each group within a capacity; `None` if even the cheapest do not fit.
type Solver = fn(&[Vec<Choice>], u64) -> Option<Vec<usize>>;

fn allocate_by(
    solver: Solver,
    table: &SensitivityTable,
    budget: Budget,
    constraints: &Constraints,
) -> Result<Allocation, AllocationError> {
    let (unit, capacity) = budget.capacity(table)?;
    let problem = Problem::new(table, constraints, unit)?;
    let picks = solver(&problem.choices, capacity).ok_or_else(|| budget.too_small(&problem))?;
    Ok(problem.allocation(&picks))
}

/// What a code costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Its bits.
    Bits,
    /// The bytes of its tensor, rounded up.
    Bytes,
}

impl Unit {
    fn cost(self, n_params: u64, bits: u32) -> u64 {
        let total = n_params * u64::from(bits);
        match self {
            Unit::Bits => total,
            Unit::Bytes => total.div_ceil(8),
        }
    }
}

impl Budget {
    /// The budget as a whole number of units. A mean is widened by 1e-12 of itself, so that decimal fractions
    /// such as 4.35 mean what they say.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
    fn capacity(self, table: &SensitivityTable) -> Result<(Unit, u64), AllocationError> {
        match self {
            Budget::Bytes(bytes) => Ok((Unit::Bytes, bytes)),
            Budget::MeanBits(mean) if mean.is_finite() => {
                Ok((Unit::Bits, (mean * table.n_params() as f64 * (1.0 + 1e-12)).floor() as u64))
            }
            Budget::MeanBits(budget) => Err(AllocationError::MeanBitsNotFinite { budget }),
        }
    }

    fn too_small(self, problem: &Problem<'_>) -> AllocationError {
        let cheapest = problem.allocation(&vec![0; problem.choices.len()]);
        match self {
            Budget::Bytes(budget) => AllocationError::BytesTooSmall { budget, minimum: cheapest.bytes },
            Budget::MeanBits(budget) => {
                AllocationError::MeanBitsTooSmall { budget, minimum: cheapest.mean_bits }
            }
        }
    }
}

/// The knapsack that a table and constraints pose: groups of tied tensors, most of them single, in the order
/// of their first names, and the choices of each.
#[derive(Debug)]
pub(crate) struct Problem<'a> {
    table: &'a SensitivityTable,
    groups: Vec<Vec<&'a str>>,
    pub(crate) choices: Vec<Vec<Choice>>,
}

impl<'a> Problem<'a> {
    pub(crate) fn new(
        table: &'a SensitivityTable,
        constraints: &Constraints,
        unit: Unit,
    ) -> Result<Self, AllocationError> {
        if table.tensors().is_empty() {
            return Err(AllocationError::Empty);
        }
        check_names(table, constraints)?;
        let groups = groups(table, &constraints.tied);
        let group_choices = |group: &Vec<&str>| choices(table, group, constraints, unit);
        let choices = groups.iter().map(group_choices).collect::<Result<_, _>>()?;
        Ok(Problem { table, groups, choices })
    }

    /// The plan that takes `picks[i]` of the choices of group `i`.
    pub(crate) fn allocation(&self, picks: &[usize]) -> Allocation {
        let mut bits = BTreeMap::new();
        for ((group, choices), &pick) in self.groups.iter().zip(&self.choices).zip(picks) {
            bits.extend(group.iter().map(|&name| (name.to_owned(), choices[pick].bits)));
        }
        let tensors = || self.table.tensors().values().zip(bits.values());
        let total = |unit: Unit| tensors().map(|(t, &b)| unit.cost(t.n_params, b)).sum::<u64>();
        Allocation {
            omega: tensors().filter_map(|(t, b)| t.omega.get(b)).sum(),
            bytes: total(Unit::Bytes),
            mean_bits: total(Unit::Bits) as f64 / self.table.n_params() as f64,
            bits,
        }
    }
}

/// Every name of the constraints must be in the table, and in at most one group.
fn check_names(table: &SensitivityTable, constraints: &Constraints) -> Result<(), AllocationError> {
    let tied = constraints.tied.iter().flatten();
    if let Some(name) =
        constraints.fixed.keys().chain(tied.clone()).find(|&n| !table.tensors().contains_key(n))
    {
        return Err(AllocationError::UnknownTensor { tensor: name.clone() });
    }
    let mut seen = BTreeSet::new();
    match tied.into_iter().find(|&name| !seen.insert(name)) {
        Some(name) => Err(AllocationError::TiedTwice { tensor: name.clone() }),
        None => Ok(()),
    }
}

/// The tied groups and the single tensors, in the order of their first names.
fn groups<'a>(table: &'a SensitivityTable, tied: &[BTreeSet<String>]) -> Vec<Vec<&'a str>> {
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for name in table.tensors().keys() {
        let leader = tied.iter().find(|group| group.contains(name)).and_then(BTreeSet::first);
        let leader = leader.and_then(|l| table.tensors().get_key_value(l)).map_or(name, |(l, _)| l);
        groups.entry(leader).or_default().push(name);
    }
    groups.into_values().collect()
}

/// The undominated choices of a group, cheapest first.
fn choices(
    table: &SensitivityTable,
    group: &[&str],
    constraints: &Constraints,
    unit: Unit,
) -> Result<Vec<Choice>, AllocationError> {
    let tensors: Vec<&TensorSensitivity> =
        group.iter().filter_map(|&name| table.tensors().get(name)).collect();
    let fixed = fixed_bits(group, &constraints.fixed)?;
    let allowed = |bits: &u32| match (fixed, &constraints.widths) {
        (Some(fixed), _) => *bits == fixed,
        (None, Some(widths)) => widths.contains(bits),
        (None, None) => true,
    };
    let choice = |bits: u32| {
        let omega = tensors.iter().map(|t| t.omega.get(&bits).copied()).sum::<Option<f64>>()?;
        Some(Choice { bits, cost: tensors.iter().map(|t| unit.cost(t.n_params, bits)).sum(), omega })
    };
    let found = knapsack::undominated((1..=16).filter(allowed).filter_map(choice).collect());
    let unknown =
        || AllocationError::NoWidth { tensor: group.first().copied().unwrap_or_default().to_owned() };
    if found.is_empty() { Err(unknown()) } else { Ok(found) }
}

/// The width to which the group is fixed, if it is.
fn fixed_bits(group: &[&str], fixed: &BTreeMap<String, u32>) -> Result<Option<u32>, AllocationError> {
    let mut given = None;
    for &name in group {
        match (fixed.get(name), given) {
            (Some(&bits), Some(other)) if bits != other => {
                return Err(AllocationError::FixedApart { tensor: name.to_owned(), bits, other });
            }
            (Some(&bits), _) => given = Some(bits),
            (None, _) => {}
        }
    }
    Ok(given)
}
