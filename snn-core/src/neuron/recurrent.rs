//! Neurons whose spikes of the step before come back through a weight matrix.

use super::scan::{Kept, NeuronOp, Scan, ScanState, StepBack, Trajectory, steps};
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
}

impl<D: Dynamics<N>, S: Scalar, const N: usize> RecurrentScan<D, S, N> {
    /// Makes the neurons of `scan` recurrent.
    #[must_use]
    pub fn new(scan: Scan<D, S, N>) -> Self {
        Self { scan }
    }

    /// What happens, and which spikes of all steps but the last are not zero, of real numbers.
    fn run(&self, kept: Kept, x: &[&Tensor<S>]) -> (Trajectory<S>, Option<Pattern>) {
        let [cur, weight, bias] = [x[0], x[1], x[2]];
        let (n_steps, n) = steps(cur);
        let features = features(cur, weight);
        let mut state: [Vec<S>; N] = std::array::from_fn(|_| vec![S::ZERO; n]);
        let (mut spikes, rest) = (Vec::with_capacity(cur.len()), vec![S::ZERO; n]);
        let mut states: [Vec<S>; N] = std::array::from_fn(|_| Vec::with_capacity(cur.len()));
        let mut pattern = S::IS_REAL.then(|| Pattern::of::<S>(&[], features));
        for t in 0..n_steps {
            let at = t * n..(t + 1) * n;
            let earlier = if t > 0 { &spikes[(t - 1) * n..t * n] } else { &rest[..] };
            let active = S::IS_REAL.then(|| Pattern::of(earlier, features));
            let mut total = S::bilinear(earlier, weight.as_slice(), bias.as_slice(), &|x, w, b| {
                spike_matmul::forward([features; 2], &Sparse::new(x, features, active.as_ref()), w, b)
            });
            if let (Some(pattern), Some(active), true) = (&mut pattern, &active, t > 0) {
                pattern.append(active);
            }
            sums::add(&mut total, &cur.as_slice()[at.clone()]);
            // Zeros that are written just before the numbers in their place are still in cache.
            [&mut spikes].into_iter().chain(&mut states).for_each(|s| s.resize(at.end, S::ZERO));
            let site = Site { state: 0, step: t, offset: 0 };
            let mut trace: [&mut [S]; N] = states.each_mut().map(|s| &mut s[at.clone()]);
            let mut parts = state.each_mut().map(Vec::as_mut_slice);
            self.scan.step((site, kept), &total, &mut parts, &mut trace, &mut spikes[at]);
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
        Self { scan: self.scan.bound(x, 3) }
    }

    /// Gradients by the total current of every step, `[T, B, N]`, and by the numbers that the map learns.
    fn current_grad(
        &self,
        weight: &Tensor<S>,
        states: &[&Tensor<S>; N],
        gy: &Tensor<S>,
    ) -> (Tensor<S>, Option<Tensor<S>>) {
        let (n_steps, n) = steps(gy);
        let features = features(gy, weight);
        let mut g_cur = vec![S::ZERO; gy.len()];
        let mut g: [Vec<S>; N] = std::array::from_fn(|_| vec![S::ZERO; n]);
        let to_from = panels::of_transposed([features; 2], weight.as_slice());
        let slice = |t: usize| states.map(|s| &s.as_slice()[t * n..(t + 1) * n]);
        let site = |t: usize| Site { state: 0, step: t, offset: 0 };
        let mut carried = match n_steps.checked_sub(1) {
            Some(last) => self.scan.carried(site(last), slice(last)),
            None => self.scan.carried(site(0), [&[]; N]),
        };
        for t in (0..n_steps).rev() {
            let at = t * n..(t + 1) * n;
            let mut g_out = Cow::Borrowed(&gy.as_slice()[at.clone()]);
            if t + 1 < n_steps {
                let later = &g_cur[(t + 1) * n..(t + 2) * n];
                g_out = Cow::Owned(S::bilinear(later, &to_from, &g_out, &|later, to_from, g| {
                    panels::product([features; 2], later, to_from, g)
                }));
            }
            let before = (t > 0).then(|| slice(t - 1));
            let step = StepBack { site: site(t), kept: slice(t), before, g_out: &g_out };
            let mut parts = g.each_mut().map(Vec::as_mut_slice);
            self.scan.step_backward(&step, &mut carried, &mut parts, &mut g_cur[at]);
        }
        (Tensor::new(gy.shape(), g_cur), self.scan.params_grad(carried.g_params, features))
    }
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
fn weight_grad<S: Scalar>(ctx: &Backward<'_, S>, g_cur: &Tensor<S>, features: usize) -> Tensor<S> {
    let (_, n) = steps(g_cur);
    let earlier = &ctx.y.as_slice()[..g_cur.len().saturating_sub(n)];
    let later = &g_cur.as_slice()[n.min(g_cur.len())..];
    let grad = S::bilinear(earlier, later, &[], &|x, g, _| {
        spike_matmul::weight_grad([features; 2], &Sparse::new(x, features, ctx.saved.pattern()), g)
    });
    Tensor::new(&[features, features], grad)
}

impl<D: Dynamics<N>, S: Scalar, const N: usize> Op<S> for RecurrentScan<D, S, N> {
    fn name(&self) -> &'static str {
        "recurrent"
    }

    fn forward(&self, x: &[&Tensor<S>], saved: &mut Saved<S>) -> Tensor<S> {
        let bound = self.bound(x);
        let (run, pattern) = bound.run(bound.scan.kept_for_backward(), x);
        saved.put_pattern(pattern);
        run.states.into_iter().for_each(|s| saved.put(s));
        run.spikes
    }

    fn backward(&self, ctx: &Backward<'_, S>) -> Vec<Option<Tensor<S>>> {
        let states = std::array::from_fn(|k| ctx.saved.tensor(k));
        let features = features(ctx.gy, ctx.x[1]);
        let (g_cur, g_params) = self.bound(ctx.x).current_grad(ctx.x[1], &states, ctx.gy);
        let g_weight = ctx.grad(1, || weight_grad(ctx, &g_cur, features));
        let g_bias = ctx.grad(2, || crate::ops::sum_to_last_axis(&g_cur, features));
        let mut grads = vec![ctx.need[0].then_some(g_cur), g_weight, g_bias];
        grads.extend(ctx.x.get(3).map(|_| g_params));
        grads
    }
}

impl<D: Dynamics<N>, S: Scalar, const N: usize> NeuronOp<S> for RecurrentScan<D, S, N> {
    fn with_state_map(self: Box<Self>, map: Arc<dyn StateMap<S>>) -> Box<dyn NeuronOp<S>> {
        Box::new(Self { scan: Scan { map: Some(map), ..self.scan } })
    }

    fn trajectory(&self, x: &[&Tensor<S>]) -> Trajectory<S> {
        self.bound(x).run(Kept::BeforeMap, x).0
    }
}
