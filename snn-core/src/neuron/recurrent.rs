//! Neurons whose spikes of the step before come back through a weight matrix.

use super::carrying::{Carrying, assert_state};
use super::scan::{Before, Kept, NeuronOp, Scan, ScanState, StepBack, Trajectory, steps};
use super::{Dynamics, Site, StateMap};
use crate::kernels::panels;
use crate::kernels::pattern::Pattern;
use crate::kernels::spike_matmul::{self, Sparse};
use crate::kernels::sums;
use crate::op::{Backward, Op, Saved};
use crate::scalar::Scalar;
use crate::tensor::Tensor;
use std::borrow::Cow;
use std::sync::Arc;

/// [`Scan`] with all-to-all recurrence: the current of step `t` is `I[t] + S[t−1] · V + b`.
///
/// Inputs: current `[T, B, N]`, recurrent weight `V` `[N, N]` (from, to), bias `b` `[N]`. No spike comes before the first
/// step, but the bias acts there too, as in snnTorch's `RLeaky`. Saved: the states of [`Scan`], and of real numbers
/// which of the recurrent inputs are not zero; the output itself serves as these.
///
/// A zero reset clears the membrane alone; snnTorch's `RLeaky` and `Synaptic` also drop the current that arrives then.
#[derive(Clone, Debug)]
pub struct RecurrentScan<D, S: Scalar, const N: usize> {
    scan: Scan<D, S, N>,
    /// The number of the first step, if it comes from a state that is the first input, as of [`Carrying`], and not from rest.
    carries_from: Option<usize>,
}

/// Where a run begins.
#[derive(Clone, Copy)]
struct Start<'a, S> {
    first_step: usize,
    /// The output of the step before, and then the state variables; rest if there is none.
    state: Option<&'a Tensor<S>>,
}

impl<S: Scalar> Start<'_, S> {
    /// Row `k` of the state for `n` neurons.
    fn row(&self, k: usize, n: usize) -> Cow<'_, [S]> {
        match self.state {
            Some(state) => Cow::Borrowed(&state.as_slice()[k * n..(k + 1) * n]),
            None => Cow::Owned(vec![S::ZERO; n]),
        }
    }

    fn site(&self, t: usize) -> Site {
        Site { state: 0, step: self.first_step + t, offset: 0 }
    }
}

impl<D: Dynamics<N>, S: Scalar, const N: usize> RecurrentScan<D, S, N> {
    /// Makes the neurons of `scan` recurrent.
    #[must_use]
    pub fn new(scan: Scan<D, S, N>) -> Self {
        Self { scan, carries_from: None }
    }

    /// Where the run begins, and the inputs that do not tell this.
    fn start<'a, 'x>(&self, x: &'x [&'a Tensor<S>]) -> (Start<'a, S>, &'x [&'a Tensor<S>]) {
        let Some(first_step) = self.carries_from else { return (Start { first_step: 0, state: None }, x) };
        assert_state(x[0], N + 1, x[1]);
        (Start { first_step, state: Some(x[0]) }, &x[1..])
    }

    /// What happens, and which spikes of all steps but the last are not zero, of real numbers.
    fn run(&self, kept: Kept, start: Start<'_, S>, x: &[&Tensor<S>]) -> (Trajectory<S>, Option<Pattern>) {
        let [cur, weight, bias] = [x[0], x[1], x[2]];
        let (n_steps, n) = steps(cur);
        let features = features(cur, weight);
        let mut state: [Vec<S>; N] = std::array::from_fn(|k| start.row(1 + k, n).into_owned());
        let (mut spikes, first) = (Vec::with_capacity(cur.len()), start.row(0, n));
        let mut states: [Vec<S>; N] = std::array::from_fn(|_| Vec::with_capacity(cur.len()));
        let mut pattern = S::IS_REAL.then(|| Pattern::of::<S>(&[], features));
        for t in 0..n_steps {
            let at = t * n..(t + 1) * n;
            let earlier = if t > 0 { &spikes[(t - 1) * n..t * n] } else { &first[..] };
            let active = S::IS_REAL.then(|| Pattern::of(earlier, features));
            let mut total = S::bilinear(earlier, weight.as_slice(), bias.as_slice(), &|x, w, b| {
                spike_matmul::forward([features; 2], &Sparse::new(x, features, active.as_ref()), w, b)
            });
            if let (Some(pattern), Some(active), true) = (&mut pattern, &active, t > 0) {
                pattern.append(active);
            }
            sums::add(&mut total, &cur.as_slice()[at.clone()]);
            // Zeros that are written just before the numbers in their place are still in cache.
            spikes.resize(at.end, S::ZERO);
            let mut parts = state.each_mut().map(Vec::as_mut_slice);
            self.scan.step((start.site(t), kept), &total, &mut parts, &mut states, &mut spikes[at]);
        }
        let trajectory = Trajectory {
            spikes: Tensor::new(cur.shape(), spikes),
            states: states.map(|s| Tensor::new(cur.shape(), s)).into(),
            last: ScanState { variables: state.into() },
        };
        (trajectory, pattern)
    }

    /// The same neurons with their map bound to the learned numbers, which come behind current, weight and bias.
    fn bound(&self, x: &[&Tensor<S>]) -> Self {
        Self { scan: self.scan.bound(x, 3), carries_from: self.carries_from }
    }

    /// Gradients for those by the output of every step, and by the state at the end if they are told too.
    fn current_grad(
        &self,
        start: Start<'_, S>,
        (weight, states): (&Tensor<S>, &[&Tensor<S>; N]),
        gy: &[S],
    ) -> CurrentGrad<S> {
        let (n_steps, n) = steps(states[0]);
        let features = features(states[0], weight);
        let mut g_cur = vec![S::ZERO; states[0].len()];
        let at_end = |k: usize| gy.get((n_steps + k) * n..(n_steps + k + 1) * n);
        let mut g: [Vec<S>; N] =
            std::array::from_fn(|k| at_end(k).map_or_else(|| vec![S::ZERO; n], <[S]>::to_vec));
        let to_from = panels::of_transposed([features; 2], weight.as_slice());
        let through_weight = |later: &[S], g_out: &[S]| {
            S::bilinear(later, &to_from, g_out, &|later, to_from, g| {
                panels::product([features; 2], later, to_from, g)
            })
        };
        let slice = |t: usize| states.map(|s| &s.as_slice()[t * n..(t + 1) * n]);
        let given: [Cow<'_, [S]>; N] = std::array::from_fn(|k| start.row(1 + k, n));
        let mut carried = match n_steps.checked_sub(1) {
            Some(last) => self.scan.carried(start.site(last), slice(last)),
            None => self.scan.carried(start.site(0), [&[]; N]),
        };
        for t in (0..n_steps).rev() {
            let at = t * n..(t + 1) * n;
            let mut g_out = Cow::Borrowed(&gy[at.clone()]);
            if t + 1 < n_steps {
                g_out = Cow::Owned(through_weight(&g_cur[(t + 1) * n..(t + 2) * n], &g_out));
            }
            let before = match t.checked_sub(1) {
                Some(before) => Before::Step(slice(before)),
                None if start.state.is_some() => Before::Given(given.each_ref().map(|row| &row[..])),
                None => Before::Rest,
            };
            let step = StepBack { site: start.site(t), kept: slice(t), before, g_out: &g_out };
            let mut parts = g.each_mut().map(Vec::as_mut_slice);
            self.scan.step_backward(&step, &mut carried, &mut parts, &mut g_cur[at]);
        }
        let g_start = start.state.map(|state| {
            let spikes = through_weight(&g_cur[..n], &vec![S::ZERO; n]);
            Tensor::new(state.shape(), [&[spikes], &g[..]].concat().concat())
        });
        let g_params = self.scan.params_grad(carried.g_params, features);
        CurrentGrad { g_cur: Tensor::new(states[0].shape(), g_cur), g_start, g_params }
    }
}

/// What the way back over all steps finds.
struct CurrentGrad<S: Scalar> {
    /// Gradient by the total current of every step, `[T, B, N]`.
    g_cur: Tensor<S>,
    /// By the state at the start, if it was given.
    g_start: Option<Tensor<S>>,
    /// By the numbers that the map learns.
    g_params: Option<Tensor<S>>,
}

fn features<S: Scalar>(cur: &Tensor<S>, weight: &Tensor<S>) -> usize {
    let features = cur.shape().last().copied().unwrap_or(0);
    assert_eq!(
        weight.shape(),
        [features, features],
        "recurrent weight for currents of shape {:?}",
        cur.shape()
    );
    features
}

/// `Σ_t S[t−1]ᵀ · g[t]`, the gradient by the recurrent weight.
fn weight_grad<S: Scalar>(
    ctx: &Backward<'_, S>,
    start: Start<'_, S>,
    g_cur: &Tensor<S>,
    features: usize,
) -> Tensor<S> {
    let (_, n) = steps(g_cur);
    let product = |earlier: &[S], later: &[S], pattern| {
        let grad = S::bilinear(earlier, later, &[], &|x, g, _| {
            spike_matmul::weight_grad([features; 2], &Sparse::new(x, features, pattern), g)
        });
        Tensor::new(&[features, features], grad)
    };
    let earlier = &ctx.y.as_slice()[..g_cur.len().saturating_sub(n)];
    let (first, later) = g_cur.as_slice().split_at(n.min(g_cur.len()));
    let mut grad = product(earlier, later, ctx.saved.pattern());
    if start.state.is_some() {
        grad.add_assign(&product(&start.row(0, n), first, None));
    }
    grad
}

impl<D: Dynamics<N>, S: Scalar, const N: usize> Op<S> for RecurrentScan<D, S, N> {
    fn name(&self) -> &'static str {
        "recurrent"
    }

    fn forward(&self, x: &[&Tensor<S>], saved: &mut Saved<S>) -> Tensor<S> {
        let (start, x) = self.start(x);
        let bound = self.bound(x);
        let (run, pattern) = bound.run(bound.scan.kept_for_backward(), start, x);
        saved.put_pattern(pattern);
        run.states.into_iter().for_each(|s| saved.put(s));
        if start.state.is_none() {
            return run.spikes;
        }
        let shape = [&[x[0].shape()[0] + N], &x[0].shape()[1..]].concat();
        let mut all = run.spikes.into_vec();
        run.last.variables.iter().for_each(|variable| all.extend_from_slice(variable));
        Tensor::new(&shape, all)
    }

    fn backward(&self, ctx: &Backward<'_, S>) -> Vec<Option<Tensor<S>>> {
        let states = std::array::from_fn(|k| ctx.saved.tensor(k));
        let (start, x) = self.start(ctx.x);
        let n_before = ctx.x.len() - x.len();
        let features = features(x[0], x[1]);
        let found = self.bound(x).current_grad(start, (x[1], &states), ctx.gy.as_slice());
        let g_weight = ctx.grad(n_before + 1, || weight_grad(ctx, start, &found.g_cur, features));
        let g_bias = ctx.grad(n_before + 2, || crate::ops::sum_to_last_axis(&found.g_cur, features));
        let mut grads: Vec<_> = found.g_start.map(Some).into_iter().collect();
        grads.extend([ctx.need[n_before].then_some(found.g_cur), g_weight, g_bias]);
        grads.extend(x.get(3).map(|_| found.g_params));
        grads
    }
}

impl<D: Dynamics<N>, S: Scalar, const N: usize> NeuronOp<S> for RecurrentScan<D, S, N> {
    fn with_state_map(self: Box<Self>, map: Arc<dyn StateMap<S>>) -> Box<dyn NeuronOp<S>> {
        Box::new(Self { scan: Scan { map: Some(map), ..self.scan }, carries_from: self.carries_from })
    }

    fn trajectory(&self, x: &[&Tensor<S>]) -> Trajectory<S> {
        let (start, x) = self.start(x);
        self.bound(x).run(Kept::BeforeMap, start, x).0
    }

    fn carrying(&self, first_step: usize) -> Option<Carrying<S>> {
        let op = Box::new(Self { carries_from: Some(first_step), ..self.clone() });
        Some(Carrying { op, n_rows: N + 1 })
    }
}
