//! The multiple-choice knapsack: one choice from each class, the sum of costs within a capacity, the sum of
//! `Ω` least.

use std::cmp::Reverse;

/// One width of one class.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Choice {
    pub(crate) bits: u32,
    pub(crate) cost: u64,
    pub(crate) omega: f64,
}

/// How far above the best known `Ω` a partial plan's bound may lie, relatively, before it is dropped: far
/// more than rounding can amount to, so that nothing optimal is lost.
const SLACK: f64 = 1e-9;

/// The choices that no other matches at no higher cost, cheapest first; `Ω` falls strictly along them.
pub(crate) fn undominated(mut choices: Vec<Choice>) -> Vec<Choice> {
    choices.sort_by(|a, b| a.cost.cmp(&b.cost).then(a.omega.total_cmp(&b.omega)).then(a.bits.cmp(&b.bits)));
    let mut best = f64::INFINITY;
    choices.retain(|c| {
        c.omega < best && {
            best = c.omega;
            true
        }
    });
    choices
}

/// The picks of least `Ω`, of those the cheapest, of those the lexicographically first; `None` if nothing
/// fits.
pub(crate) fn solve(classes: &[Vec<Choice>], capacity: u64) -> Option<Vec<usize>> {
    let known = greedy(classes, capacity)?;
    let known: f64 = classes.iter().zip(&known).map(|(class, &pick)| class[pick].omega).sum();
    let limit = known * (1.0 + SLACK);
    let mut stages = Stages::new(classes);
    for k in 0..classes.len() {
        let bound = Bound::new(stages.undecided(k + 1));
        stages.decide(k, |s| s.cost <= capacity && s.omega + bound.least(capacity - s.cost) <= limit);
    }
    // The last state has the least Ω, and no cheaper one has the same.
    Some(stages.picks(stages.last().last()?))
}

/// All undominated picks from the cheapest on, or `None` when there are more than `max_states` at some class.
pub(crate) fn front(classes: &[Vec<Choice>], max_states: usize) -> Option<Vec<Vec<usize>>> {
    let mut stages = Stages::new(classes);
    for k in 0..classes.len() {
        stages.decide(k, |_| true);
        if stages.last().len() > max_states {
            return None;
        }
    }
    Some(stages.last().iter().map(|state| stages.picks(state)).collect())
}

/// Picks by marginal gain; `None` if even the cheapest do not fit.
pub(crate) fn greedy(classes: &[Vec<Choice>], capacity: u64) -> Option<Vec<usize>> {
    let mut picks = vec![0; classes.len()];
    let cheapest: u64 = classes.iter().map(|class| class[0].cost).sum();
    let mut left = capacity.checked_sub(cheapest)?;
    while let Some((class, pick, cost)) = best_widening(classes, &picks, left) {
        picks[class] = pick;
        left -= cost;
    }
    Some(picks)
}

/// The class, the pick and the extra cost of the widening with the steepest fall of `Ω` that fits; the first
/// of equals.
fn best_widening(classes: &[Vec<Choice>], picks: &[usize], left: u64) -> Option<(usize, usize, u64)> {
    let mut best = None;
    let mut steepest = 0.0;
    for (k, class) in classes.iter().enumerate() {
        let now = class[picks[k]];
        for (pick, choice) in class.iter().enumerate().skip(picks[k] + 1) {
            let cost = choice.cost - now.cost;
            let slope = (now.omega - choice.omega) / cost as f64;
            if cost <= left && slope > steepest {
                (best, steepest) = (Some((k, pick, cost)), slope);
            }
        }
    }
    best
}

/// A partial plan: the sums so far, and how it came about.
#[derive(Debug, Clone, Copy)]
struct State {
    cost: u64,
    omega: f64,
    n_decided: usize,
    parent: usize,
    pick: usize,
}

impl State {
    /// Whether the sums are the same.
    fn equals(&self, other: &State) -> bool {
        self.cost == other.cost && self.omega.total_cmp(&other.omega).is_eq()
    }
}

/// The undominated partial plans after each decision, by rising cost and falling `Ω`.
///
/// The dearest classes are decided first: once they are, little is left to deviate from the bound with, so
/// that few partial plans survive it. (In the order of names there were a thousand times more.)
struct Stages<'a> {
    classes: &'a [Vec<Choice>],
    /// The classes in the order in which they are decided.
    order: Vec<usize>,
    /// The states before the first decision, after the first, and so on.
    states: Vec<Vec<State>>,
}

impl<'a> Stages<'a> {
    fn new(classes: &'a [Vec<Choice>]) -> Self {
        let mut order: Vec<usize> = (0..classes.len()).collect();
        order.sort_by_key(|&k| Reverse(classes[k].last().map(|choice| choice.cost)));
        Stages {
            classes,
            order,
            states: vec![vec![State { cost: 0, omega: 0.0, n_decided: 0, parent: 0, pick: 0 }]],
        }
    }

    /// The states after the last decision.
    fn last(&self) -> &[State] {
        self.states.last().map_or(&[], Vec::as_slice)
    }

    /// The classes from the `k`-th decision on.
    fn undecided(&self, k: usize) -> impl Iterator<Item = &[Choice]> + Clone {
        self.order[k..].iter().map(|&class| self.classes[class].as_slice())
    }

    /// Takes the `k`-th decision: every partial plan with every choice, of which those are kept that are
    /// promising and undominated.
    fn decide(&mut self, k: usize, promising: impl Fn(&State) -> bool) {
        let class = &self.classes[self.order[k]];
        let mut found = Vec::new();
        for (parent, state) in self.last().iter().enumerate() {
            let with = |(pick, c): (usize, &Choice)| State {
                cost: state.cost + c.cost,
                omega: state.omega + c.omega,
                n_decided: k + 1,
                parent,
                pick,
            };
            found.extend(class.iter().enumerate().map(with).filter(&promising));
        }
        found.sort_unstable_by(|a, b| a.cost.cmp(&b.cost).then(a.omega.total_cmp(&b.omega)));
        let kept = self.undominated(&found);
        self.states.push(kept);
    }

    /// The undominated of sorted states; of equal ones, that whose picks come first.
    fn undominated(&self, sorted: &[State]) -> Vec<State> {
        let mut kept: Vec<State> = Vec::new();
        for state in sorted {
            match kept.last_mut() {
                Some(last) if last.equals(state) => {
                    if self.picks(state) < self.picks(last) {
                        *last = *state;
                    }
                }
                Some(last) if last.omega <= state.omega => {}
                _ => kept.push(*state),
            }
        }
        kept
    }

    /// The picks that lead to a state, by class; 0 for the classes that are undecided.
    fn picks(&self, state: &State) -> Vec<usize> {
        let mut picks = vec![0; self.classes.len()];
        let mut state = *state;
        for k in (0..state.n_decided).rev() {
            picks[self.order[k]] = state.pick;
            state = self.states[k][state.parent];
        }
        picks
    }
}

/// The linear relaxation of the classes that are still to come: the least `Ω` that any capacity could allow,
/// if neighboring choices of a class's lower convex hull could be mixed.
struct Bound {
    /// The cost of the cheapest choices.
    cheapest: u64,
    /// The steps along all hulls, steepest first: the cost of all before each, and one past the end.
    cost_before: Vec<u64>,
    /// The `Ω` that is left when all steps before each are taken, and one past the end. Summed from the far
    /// end, so that small numbers are not lost in large ones.
    omega_after: Vec<f64>,
}

impl Bound {
    fn new<'a>(classes: impl Iterator<Item = &'a [Choice]> + Clone) -> Self {
        let mut steps: Vec<(u64, f64)> = classes.clone().flat_map(hull_steps).collect();
        steps.sort_by(|a, b| slope(b).total_cmp(&slope(a)));
        let mut cost_before = vec![0];
        for (cost, _) in &steps {
            cost_before.push(cost_before[cost_before.len() - 1] + cost);
        }
        let mut omega_after = vec![classes.clone().filter_map(<[Choice]>::last).map(|c| c.omega).sum()];
        for (_, gain) in steps.iter().rev() {
            omega_after.push(omega_after[omega_after.len() - 1] + gain);
        }
        omega_after.reverse();
        Bound { cheapest: classes.map(|class| class[0].cost).sum(), cost_before, omega_after }
    }

    /// The least `Ω` within `capacity`; infinite if the cheapest choices do not fit.
    fn least(&self, capacity: u64) -> f64 {
        let Some(left) = capacity.checked_sub(self.cheapest) else {
            return f64::INFINITY;
        };
        let next = self.cost_before.partition_point(|&cost| cost <= left);
        let taken = next - 1;
        match self.cost_before.get(next) {
            None => self.omega_after[taken],
            Some(&end) => {
                let part = (left - self.cost_before[taken]) as f64 / (end - self.cost_before[taken]) as f64;
                self.omega_after[taken] * (1.0 - part) + self.omega_after[next] * part
            }
        }
    }
}

/// How much `Ω` falls for each unit of cost along a step.
fn slope(step: &(u64, f64)) -> f64 {
    step.1 / step.0 as f64
}

/// The steps (cost, fall of `Ω`) along the lower convex hull of a class, steepest first.
fn hull_steps(class: &[Choice]) -> Vec<(u64, f64)> {
    let step = |a: &Choice, b: &Choice| (b.cost - a.cost, a.omega - b.omega);
    let mut hull: Vec<Choice> = Vec::new();
    for choice in class {
        while let [.., a, b] = hull.as_slice() {
            if slope(&step(a, b)) > slope(&step(b, choice)) {
                break;
            }
            hull.pop();
        }
        hull.push(*choice);
    }
    hull.windows(2).map(|pair| step(&pair[0], &pair[1])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn class(choices: &[(u64, f64)]) -> Vec<Choice> {
        undominated(
            choices.iter().zip(1..).map(|(&(cost, omega), bits)| Choice { bits, cost, omega }).collect(),
        )
    }

    #[test]
    fn dominated_choices_go() {
        let kept = class(&[(1, 5.0), (1, 4.0), (2, 4.0), (3, 1.0)]);
        assert_eq!(kept.iter().map(|c| c.bits).collect::<Vec<_>>(), [2, 4]);
    }

    #[test]
    fn the_hull_skips_what_lies_above_it() {
        let steps = hull_steps(&class(&[(0, 10.0), (1, 9.0), (2, 2.0), (4, 1.0)]));
        assert_eq!(steps, [(2, 8.0), (2, 1.0)]);
    }

    #[test]
    fn equal_plans_are_settled_by_order() {
        let classes = vec![class(&[(1, 2.0), (2, 1.0)]); 2];
        assert_eq!(solve(&classes, 3), Some(vec![0, 1]));
        assert_eq!(solve(&classes, 1), None);
        let free = vec![class(&[(1, 0.0)]), class(&[(1, 3.0), (2, 3.0)])];
        assert_eq!(solve(&free, 9), Some(vec![0, 0]));
    }

    proptest! {
        #[test]
        fn the_bound_is_below_every_plan(
            raw in prop::collection::vec(prop::collection::vec((0u64..50, 0.0f64..9.0), 1..5), 1..5),
            capacity in 0u64..150,
        ) {
            let classes: Vec<Vec<Choice>> = raw.iter().map(|c| class(c)).collect();
            let bound = Bound::new(classes.iter().map(Vec::as_slice)).least(capacity);
            match solve(&classes, capacity) {
                None => prop_assert!(bound.is_infinite()),
                Some(picks) => {
                    let omega: f64 = classes.iter().zip(picks).map(|(class, pick)| class[pick].omega).sum();
                    prop_assert!(bound <= omega * (1.0 + 1e-12));
                }
            }
        }
    }
}
