//! The scan: a neuron layer over all time steps as one op.

use super::block::{self, Around, Block};
use super::carrying::{Carrying, CarryingScan};
use super::recurrent::RecurrentScan;
use super::stem::Stem;
use super::{Dynamics, Placement, Site, StateMap};
use crate::kernels::CACHE;
use crate::kernels::scan::{self, fire, fire_backward, integrate, integrate_backward};
use crate::op::{Backward, Op, Saved};
use crate::ops::{Conv2d, NormInputs};
use crate::scalar::Scalar;
use crate::tensor::Tensor;
use std::ops::Range;
use std::sync::Arc;

/// An op that runs neurons over time: an interpreter may give it a [`StateMap`], or ask for what happens inside.
pub trait NeuronOp<S: Scalar>: Op<S> {
    /// The same neurons with their state passed through `map` in every step.
    #[must_use]
    fn with_state_map(self: Box<Self>, map: Arc<dyn StateMap<S>>) -> Box<dyn NeuronOp<S>>;

    /// Runs from rest and tells everything: for recorders and calibration, not for training.
    fn trajectory(&self, x: &[&Tensor<S>]) -> Trajectory<S>;

    /// The same neurons with what stands around them as one op, if there is such: its inputs are those of the normalization, if
    /// there is one, or the current, and then what else the neurons take.
    fn with_around(&self, _around: Around) -> Option<Box<dyn Op<S>>> {
        None
    }

    /// The same with the convolution that the current comes from, if there is such an op: its inputs are those of the convolution,
    /// then statistics, gain and shift of the normalization, then what else the neurons take.
    fn with_stem(&self, _conv2d: &Conv2d, _around: Around) -> Option<Box<dyn Op<S>>> {
        None
    }

    /// The same neurons beginning from a given state instead of from rest, and handing on that at the end, if there is such an op:
    /// for runs of many steps in segments, of which this one begins with step `first_step`.
    fn carrying(&self, _first_step: usize) -> Option<Carrying<S>> {
        None
    }
}

/// All that happened in a run of a neuron layer.
#[derive(Clone, Debug)]
pub struct Trajectory<S> {
    /// The output, `[T, B, features…]`.
    pub spikes: Tensor<S>,
    /// Each state variable at the spike test, before a [`StateMap`], each `[T, B, features…]`; the membrane is first.
    pub states: Vec<Tensor<S>>,
    /// State at the end, from which a later run goes on.
    pub last: ScanState<S>,
}

/// The state of a neuron layer between runs: one vector of `B · features` values for each state variable.
#[derive(Clone, Debug, PartialEq)]
pub struct ScanState<S> {
    /// The state variables; the membrane is first.
    pub variables: Vec<Vec<S>>,
}

/// The state of a step that a scan keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// As it comes to the spike test, before a state map.
    BeforeMap,
    /// As the step fires from it, behind a state map that acts before the spike.
    FiredFrom,
}

/// What is carried from step to step on the way back.
pub(super) struct Carried<S, const N: usize> {
    /// The state that the step fired from.
    fired_from: [Vec<S>; N],
    /// Room for a state that was stored, and for spikes that nobody wants.
    stored: [Vec<S>; N],
    spikes: Vec<S>,
    /// Gradients by the numbers that the state map learns, so far.
    pub(super) g_params: Vec<S>,
}

/// What is known of a time step that is walked backwards.
pub(super) struct StepBack<'a, S, const N: usize> {
    pub(super) site: Site,
    /// The state that was kept.
    pub(super) kept: [&'a [S]; N],
    pub(super) before: Before<'a, S, N>,
    /// Gradient by the output.
    pub(super) g_out: &'a [S],
}

/// What is known of the state that a time step comes from.
#[derive(Clone, Copy)]
pub(super) enum Before<'a, S, const N: usize> {
    /// It is rest.
    Rest,
    /// It is this, given from outside.
    Given([&'a [S]; N]),
    /// The step before stored it, of which this was kept.
    Step([&'a [S]; N]),
}

/// Some neurons of a layer, over all steps.
pub(super) struct Part {
    /// The first of them, and how many.
    pub(super) first: usize,
    pub(super) len: usize,
    /// All neurons of the layer.
    pub(super) n: usize,
    pub(super) n_steps: usize,
    /// Number of the first step.
    pub(super) first_step: usize,
}

impl Part {
    /// Their places in step `t` among those of all neurons and steps.
    pub(super) fn at(&self, t: usize) -> Range<usize> {
        t * self.n + self.first..t * self.n + self.first + self.len
    }

    /// Their places in row `t` of rows of their own.
    fn row(&self, t: usize) -> Range<usize> {
        t * self.len..(t + 1) * self.len
    }

    /// Whether rows of numbers of all neurons are too large for a cache, so that the next is asked for ahead.
    pub(super) fn is_far<S>(&self) -> bool {
        self.n * self.n_steps * size_of::<S>() > CACHE
    }

    fn site(&self, t: usize) -> Site {
        Site { state: 0, step: self.first_step + t, offset: self.first }
    }

    /// Zeros for each of them and each state variable.
    pub(super) fn zeros<S: Scalar, const N: usize>(&self) -> [Vec<S>; N] {
        std::array::from_fn(|_| vec![S::ZERO; self.len])
    }

    /// Room for a row of their own for each step and each state variable.
    pub(super) fn room<S: Scalar, const N: usize>(&self) -> [Vec<S>; N] {
        std::array::from_fn(|_| Vec::with_capacity(self.len * self.n_steps))
    }
}

/// Where the current of some neurons comes from.
pub(super) trait Source<S> {
    /// That of step `t`, for which there is room. Steps are asked for once each and in order.
    fn row<'a>(&'a mut self, t: usize, room: &'a mut [S]) -> &'a [S];
}

/// The current of a part of the neurons from that of all neurons and steps.
pub(super) struct Current<'a, S> {
    pub(super) part: &'a Part,
    /// It, or what it is made from.
    pub(super) x: &'a [S],
    /// What is made of it first.
    pub(super) norm: Option<&'a NormInputs<'a, S>>,
}

impl<S: Scalar> Source<S> for Current<'_, S> {
    fn row<'a>(&'a mut self, t: usize, room: &'a mut [S]) -> &'a [S] {
        if t + 1 < self.part.n_steps && self.part.is_far::<S>() {
            scan::ask_for(&self.x[self.part.at(t + 1)]);
        }
        let at = self.part.at(t);
        let Some(norm) = self.norm else { return &self.x[at] };
        norm.normalize(at.start, room);
        room
    }
}

/// Runs [`Dynamics`] over time: input current `[T, B, features…]`, output of the same shape.
///
/// Forward, for each step: *integrate*, the state map if it acts before the spike, *fire*, the state map if it acts on
/// store. Backward is the mirrored loop (backpropagation through time). Saved: each state variable at the spike test,
/// behind a map that gradients pass as they are, before any other, part after part of the neurons; all else is recomputed.
#[derive(Clone, Debug)]
pub struct Scan<D, S: Scalar, const N: usize> {
    pub(super) dynamics: D,
    pub(super) map: Option<Arc<dyn StateMap<S>>>,
}

impl<D: Dynamics<N>, S: Scalar, const N: usize> Scan<D, S, N> {
    /// A scan without a state map.
    pub fn new(dynamics: D) -> Self {
        Self { dynamics, map: None }
    }

    /// Runs over `cur` (`[T, B, features…]`) from `start`, or from rest, and tells everything.
    ///
    /// # Panics
    /// If `cur` has fewer than two axes, or `start` was made by a layer of another size.
    pub fn run(&self, cur: &Tensor<S>, start: Option<&ScanState<S>>) -> Trajectory<S> {
        let (n_steps, n) = steps(cur);
        let part = Part { first: 0, len: n, n, n_steps, first_step: 0 };
        let (mut state, mut states, mut spikes) = (part.zeros(), part.room(), vec![S::ZERO; cur.len()]);
        if let Some(start) = start {
            assert_eq!(start.variables.len(), N, "state variables to start from");
            state.iter_mut().zip(&start.variables).for_each(|(to, from)| to.copy_from_slice(from));
        }
        let mut given = Current { part: &part, x: cur.as_slice(), norm: None };
        let last =
            self.run_part((Kept::BeforeMap, &part), &mut given, state, Some(&mut states), |t, step| {
                step(&mut spikes[part.at(t)]);
            });
        Trajectory {
            spikes: Tensor::new(cur.shape(), spikes),
            states: states.map(|s| Tensor::new(cur.shape(), s)).into(),
            last: ScanState { variables: last.into() },
        }
    }

    /// Runs some neurons over all steps, from this state to that after the last step. What is kept replaces what is in `trace`, a row
    /// for each step; `into(t, step)` calls `step` with where the output of step `t` goes. Returns the state at the end.
    pub(super) fn run_part(
        &self,
        (kept, part): (Kept, &Part),
        cur: &mut impl Source<S>,
        mut state: [Vec<S>; N],
        mut trace: Option<&mut [Vec<S>; N]>,
        mut into: impl FnMut(usize, &mut dyn FnMut(&mut [S])),
    ) -> [Vec<S>; N] {
        let (mut room, mut unkept) = (vec![S::ZERO; part.len], std::array::from_fn(|_| Vec::new()));
        trace.iter_mut().flat_map(|trace| trace.iter_mut()).for_each(Vec::clear);
        for t in 0..part.n_steps {
            let trace = trace.as_deref_mut().unwrap_or_else(|| {
                unkept.iter_mut().for_each(Vec::clear);
                &mut unkept
            });
            let mut state = planes(&mut state);
            let cur = cur.row(t, &mut room);
            into(t, &mut |out| self.step((part.site(t), kept), cur, &mut state, trace, out));
        }
        state
    }

    /// The way back of [`run_part`](Self::run_part), of which a row was kept for each step; `start` is the state that it began
    /// from, or rest, and `g` the gradient by that at the end, which becomes that by the one at the start. `walk(t, step)` calls
    /// `step` with the gradient by the output of step `t`, and with where that by the current goes. Returns the gradient by the
    /// numbers that the map learns.
    pub(super) fn part_backward(
        &self,
        part: &Part,
        trace: [&[S]; N],
        (start, g): (Before<'_, S, N>, &mut [Vec<S>; N]),
        mut walk: impl FnMut(usize, &mut dyn FnMut(&[S], &mut [S])),
    ) -> Vec<S> {
        let mut g = planes(g);
        let kept = |t: usize| trace.map(|s| &s[part.row(t)]);
        let Some(last) = part.n_steps.checked_sub(1) else { return self.no_params_grad() };
        let mut carried = self.carried(part.site(last), kept(last));
        for t in (0..part.n_steps).rev() {
            let (site, before) = (part.site(t), if t > 0 { Before::Step(kept(t - 1)) } else { start });
            walk(t, &mut |g_out, g_cur| {
                let step = StepBack { site, kept: kept(t), before, g_out };
                self.step_backward(&step, &mut carried, &mut g, g_cur);
            });
        }
        carried.g_params
    }

    /// The gradient by the learned numbers, when nothing has been added yet.
    pub(super) fn no_params_grad(&self) -> Vec<S> {
        vec![S::ZERO; self.map.as_ref().map_or(0, |map| map.n_params())]
    }

    /// The same scan with its map bound to the learned numbers, which come behind `n_inputs` other inputs.
    pub(super) fn bound(&self, x: &[&Tensor<S>], n_inputs: usize) -> Self {
        let bound = self.map.as_ref().zip(x.get(n_inputs)).and_then(|(map, p)| map.bind(p.as_slice()));
        Self { map: bound.or_else(|| self.map.clone()), ..self.clone() }
    }

    /// What the backward needs of the states.
    pub(super) fn kept_for_backward(&self) -> Kept {
        match &self.map {
            Some(map) if map.placement() == Placement::OnStore || !map.is_straight_through() => {
                Kept::BeforeMap
            }
            _ => Kept::FiredFrom,
        }
    }

    /// What is carried into the last step on the way back, of which `kept` was kept.
    pub(super) fn carried(&self, site: Site, kept: [&[S]; N]) -> Carried<S, N> {
        let mut fired_from = kept.map(<[S]>::to_vec);
        if self.kept_for_backward() == Kept::BeforeMap {
            self.map_states(Placement::BeforeSpike, site, &mut planes(&mut fired_from));
        }
        let (stored, spikes) = (fired_from.clone(), vec![S::ZERO; kept[0].len()]);
        Carried { fired_from, stored, spikes, g_params: self.no_params_grad() }
    }

    /// The gradient by the learned numbers from its sum over all neurons; none if there are none.
    pub(super) fn params_grad(&self, sums: Vec<S>, features: usize) -> Option<Tensor<S>> {
        let map = self.map.as_ref().filter(|map| map.n_params() > 0)?;
        let factor = map.param_grad_scale(features);
        Some(Tensor::new(&[sums.len()], sums.into_iter().map(|sum| sum * factor).collect()))
    }

    /// One time step of a slice of neurons; the state to keep is appended to `trace`.
    pub(super) fn step(
        &self,
        (site, kept): (Site, Kept),
        cur: &[S],
        state: &mut [&mut [S]; N],
        trace: &mut [Vec<S>; N],
        spikes: &mut [S],
    ) {
        if self.map.is_none() {
            return scan::step(self.dynamics, cur, state, trace, spikes);
        }
        integrate(self.dynamics, cur, state);
        if kept == Kept::FiredFrom {
            self.map_states(Placement::BeforeSpike, site, state);
        }
        for (trace, state) in trace.iter_mut().zip(state.iter()) {
            trace.extend_from_slice(state);
        }
        if kept == Kept::BeforeMap {
            self.map_states(Placement::BeforeSpike, site, state);
        }
        fire(self.dynamics, state, spikes);
        self.map_states(Placement::OnStore, site, state);
    }

    /// One time step backwards. What is carried is of this step, and ends as that of the step before;
    /// `g` holds the gradient by the stored state and ends as that of the step before; `g_cur` receives the gradient by the
    /// current.
    pub(super) fn step_backward(
        &self,
        step: &StepBack<'_, S, N>,
        carried: &mut Carried<S, N>,
        g: &mut [&mut [S]; N],
        g_cur: &mut [S],
    ) {
        match (self.kept_for_backward(), step.before) {
            (Kept::FiredFrom, Before::Step(before)) => {
                scan::step_backward(self.dynamics, step.kept, before, step.g_out, g, g_cur);
            }
            (Kept::FiredFrom, Before::Given(stored)) => {
                fire_backward(self.dynamics, step.kept, step.g_out, g);
                integrate_backward(self.dynamics, stored, g, g_cur);
            }
            (Kept::FiredFrom, Before::Rest) => {
                fire_backward(self.dynamics, step.kept, step.g_out, g);
                carried.stored.iter_mut().for_each(|plane| plane.fill(S::ZERO));
                integrate_backward(self.dynamics, slices(&carried.stored), g, g_cur);
            }
            (Kept::BeforeMap, _) => self.step_backward_through_map(step, carried, g, g_cur),
        }
    }

    fn step_backward_through_map(
        &self,
        step: &StepBack<'_, S, N>,
        carried: &mut Carried<S, N>,
        g: &mut [&mut [S]; N],
        g_cur: &mut [S],
    ) {
        let Carried { fired_from, stored, spikes, g_params } = carried;
        if self.acts(Placement::OnStore) {
            stored.clone_from(fired_from);
            fire(self.dynamics, &mut planes(stored), spikes);
            self.map_backward(step.site, slices(stored), g, g_params);
        }
        fire_backward(self.dynamics, slices(fired_from), step.g_out, g);
        if self.acts(Placement::BeforeSpike) {
            self.map_backward(step.site, step.kept, g, g_params);
        }
        self.look_back(step, carried);
        integrate_backward(self.dynamics, slices(&carried.stored), g, g_cur);
    }

    /// Finds what the step before fired from, and what it stored.
    fn look_back(&self, step: &StepBack<'_, S, N>, carried: &mut Carried<S, N>) {
        let Carried { fired_from, stored, spikes, .. } = carried;
        let before = match step.before {
            Before::Rest => return stored.iter_mut().for_each(|plane| plane.fill(S::ZERO)),
            Before::Given(start) => {
                return stored.iter_mut().zip(start).for_each(|(to, from)| to.copy_from_slice(from));
            }
            Before::Step(before) => before,
        };
        let earlier = Site { step: step.site.step - 1, ..step.site };
        fired_from.iter_mut().zip(before).for_each(|(to, from)| to.copy_from_slice(from));
        self.map_states(Placement::BeforeSpike, earlier, &mut planes(fired_from));
        stored.clone_from(fired_from);
        fire(self.dynamics, &mut planes(stored), spikes);
        self.map_states(Placement::OnStore, earlier, &mut planes(stored));
    }

    fn acts(&self, placement: Placement) -> bool {
        self.map.as_ref().is_some_and(|m| m.placement() == placement)
    }

    fn map_states(&self, placement: Placement, site: Site, state: &mut [&mut [S]; N]) {
        if let Some(map) = self.map.as_ref().filter(|m| m.placement() == placement) {
            for &k in self.dynamics.quantized_states() {
                map.apply(Site { state: k, ..site }, state[k]);
            }
        }
    }

    fn map_backward(&self, site: Site, before: [&[S]; N], g: &mut [&mut [S]; N], g_params: &mut [S]) {
        if let Some(map) = &self.map {
            for &k in self.dynamics.quantized_states() {
                let site = Site { state: k, ..site };
                map.add_param_grads(site, before[k], g[k], g_params);
                map.backward(site, before[k], g[k]);
            }
        }
    }

    /// These neurons with all-to-all recurrence.
    #[must_use]
    pub fn recurrent(self) -> RecurrentScan<D, S, N> {
        RecurrentScan::new(self)
    }
}

fn planes<S, const N: usize>(state: &mut [Vec<S>; N]) -> [&mut [S]; N] {
    state.each_mut().map(Vec::as_mut_slice)
}

fn slices<S, const N: usize>(state: &[Vec<S>; N]) -> [&[S]; N] {
    state.each_ref().map(Vec::as_slice)
}

/// Number of steps and values a step of `[T, B, features…]`.
pub(super) fn steps<S: Scalar>(x: &Tensor<S>) -> (usize, usize) {
    assert!(x.shape().len() >= 2, "neurons take [T, B, features…], not {:?}", x.shape());
    let n_steps = x.shape()[0];
    (n_steps, x.len().checked_div(n_steps).unwrap_or(0))
}

impl<D: Dynamics<N>, S: Scalar, const N: usize> Op<S> for Scan<D, S, N> {
    fn name(&self) -> &'static str {
        self.dynamics.name()
    }

    fn forward(&self, x: &[&Tensor<S>], saved: &mut Saved<S>) -> Tensor<S> {
        block::forward(self, Around::default(), x, saved)
    }

    fn backward(&self, ctx: &Backward<'_, S>) -> Vec<Option<Tensor<S>>> {
        block::backward(self, Around::default(), ctx)
    }
}

impl<D: Dynamics<N>, S: Scalar, const N: usize> NeuronOp<S> for Scan<D, S, N> {
    fn with_state_map(self: Box<Self>, map: Arc<dyn StateMap<S>>) -> Box<dyn NeuronOp<S>> {
        Box::new(Self { map: Some(map), ..*self })
    }

    fn trajectory(&self, x: &[&Tensor<S>]) -> Trajectory<S> {
        self.bound(x, 1).run(x[0], None)
    }

    fn with_around(&self, around: Around) -> Option<Box<dyn Op<S>>> {
        Some(Box::new(Block::new(self.clone(), around)))
    }

    fn with_stem(&self, conv2d: &Conv2d, around: Around) -> Option<Box<dyn Op<S>>> {
        Stem::new(self.clone(), conv2d.clone(), around).map(|stem| Box::new(stem) as Box<dyn Op<S>>)
    }

    fn carrying(&self, first_step: usize) -> Option<Carrying<S>> {
        let op = Box::new(CarryingScan::new(self.clone(), first_step));
        Some(Carrying { op, n_rows: N })
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "the same arithmetic gives the same bits")]
mod tests {
    use super::*;
    use crate::neuron::{CubaLif, Lif};

    /// Rounds to eighths, the gradient passing as it is; it may hide that it does.
    #[derive(Debug)]
    struct Eighths {
        placement: Placement,
        says_so: bool,
    }

    impl StateMap<f32> for Eighths {
        fn placement(&self) -> Placement {
            self.placement
        }
        fn apply(&self, _: Site, state: &mut [f32]) {
            state.iter_mut().for_each(|s| *s = (*s * 8.0).round_ties_even() / 8.0);
        }
        fn is_straight_through(&self) -> bool {
            self.says_so
        }
        fn backward(&self, _: Site, _: &[f32], _: &mut [f32]) {}
    }

    fn noise(shape: &[usize], seed: u64) -> Tensor<f32> {
        let n = shape.iter().product::<usize>() as u64;
        Tensor::new(shape, (0..n).map(|i| 3.2 * crate::rng::counter_uniform(seed, i) - 0.4).collect())
    }

    /// Output and gradients of neurons under the map.
    fn run(
        neurons: Box<dyn NeuronOp<f32>>,
        map: Eighths,
        x: &[&Tensor<f32>],
    ) -> (Tensor<f32>, Vec<Option<Tensor<f32>>>) {
        let (op, mut saved) = (neurons.with_state_map(Arc::new(map)), Saved::keeping());
        let y = op.forward(x, &mut saved);
        let (gy, need) = (noise(y.shape(), 2), vec![true; x.len()]);
        let gx = op.backward(&Backward { x, y: &y, saved: &saved, gy: &gy, need: &need });
        (y, gx)
    }

    fn assert_same(neurons: &dyn Fn() -> Box<dyn NeuronOp<f32>>, x: &[&Tensor<f32>]) {
        for placement in [Placement::BeforeSpike, Placement::OnStore] {
            let [short, long] =
                [true, false].map(|says_so| run(neurons(), Eighths { placement, says_so }, x));
            assert!(short.0.as_slice().contains(&1.0));
            assert_eq!(short, long, "{placement:?}");
        }
    }

    #[test]
    fn the_short_way_back_through_a_straight_map_gives_the_gradients_of_the_long_one() {
        let cuba = CubaLif { alpha: 0.7, beta: 0.9, firing: Lif::snntorch(0.9).firing };
        let cur = noise(&[6, 2, 37], 1);
        assert_same(&|| Box::new(Scan::<_, f32, 1>::new(Lif::snntorch(0.9))), &[&cur]);
        assert_same(&|| Box::new(Scan::<_, f32, 1>::new(Lif::spikingjelly(2.0))), &[&cur]);
        assert_same(&|| Box::new(Scan::<_, f32, 2>::new(cuba)), &[&cur]);
        let (weight, bias) = (noise(&[37, 37], 4).map(|w| 0.2 * w), noise(&[37], 3));
        let recurrent = || -> Box<dyn NeuronOp<f32>> { Box::new(Scan::<_, f32, 2>::new(cuba).recurrent()) };
        assert_same(&recurrent, &[&cur, &weight, &bias]);
    }
}
