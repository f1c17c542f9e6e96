//! Neurons and what stands around them, as one op.

use super::Dynamics;
use super::scan::{Before, Current, Part, Scan, steps};
use crate::kernels::par::{Columns, build_columns};
use crate::kernels::pool::{self, SideBySide};
use crate::kernels::scan;
use crate::op::{Backward, Op, Saved};
use crate::ops::{Norm, NormInputs};
use crate::scalar::Scalar;
use crate::tensor::Tensor;
use std::borrow::Cow;

/// Neurons that are worked on at a time: their state stays in the first-level cache.
pub(super) const CHUNK: usize = 4096;

/// What stands directly before and behind a layer of neurons.
#[derive(Clone, Copy, Debug, Default)]
pub struct Around {
    /// Normalization of the current.
    pub norm: Option<Norm>,
    /// Max-pooling of the output, of shape `[T, B, C, H, W]`.
    pub windows: Option<SideBySide>,
}

impl Around {
    /// Inputs before those of the neurons themselves.
    fn n_inputs(self) -> usize {
        if self.norm.is_some() { Norm::N_INPUTS } else { 1 }
    }

    /// Neurons worked on at a time: whole windows.
    fn chunk(self) -> usize {
        let unit = self.windows.map_or(1, SideBySide::unit);
        (CHUNK / unit).max(1) * unit
    }

    /// How many outputs so many neurons have; whole windows.
    fn outputs(self, n: usize) -> usize {
        self.windows.map_or(n, |windows| n / windows.unit() * windows.per_unit())
    }

    /// The shape of the outputs of neurons of this shape.
    pub(super) fn shape(self, of: &[usize]) -> Vec<usize> {
        let Some(windows) = self.windows else { return of.to_vec() };
        assert!(of.len() == 5 && of[3..] == windows.frame(), "neurons of shape {of:?} behind {windows:?}");
        [&of[..3], &windows.output()].concat()
    }
}

/// [`Scan`] with its neighbours: the same numbers as op after op, but the current is normalized and spikes are pooled while they
/// are in cache, and neither they nor their gradients are ever in memory.
///
/// Inputs: current, statistics, gain and shift as of [`BatchNorm`](crate::ops::BatchNorm), or the current alone; then what else
/// the neurons take. Saved: with pooling the index of each window's greatest output; what [`Scan`] saves, but not with
/// normalization, behind which parts of the neurons run again on the way back: what they run on is read there anyway, and a
/// batch-normalized layer is that of a whole batch, whose states no cache holds.
#[derive(Clone, Debug)]
pub(super) struct Block<D, S: Scalar, const N: usize> {
    scan: Scan<D, S, N>,
    around: Around,
}

impl<D: Dynamics<N>, S: Scalar, const N: usize> Block<D, S, N> {
    pub(super) fn new(scan: Scan<D, S, N>, around: Around) -> Self {
        Self { scan, around }
    }
}

impl<D: Dynamics<N>, S: Scalar, const N: usize> Op<S> for Block<D, S, N> {
    fn name(&self) -> &'static str {
        match (self.around.norm, self.around.windows) {
            (None, None) => self.scan.name(),
            (None, Some(_)) => "scan_max_pool",
            (Some(_), None) => "norm_scan",
            (Some(_), Some(_)) => "norm_scan_max_pool",
        }
    }

    fn forward(&self, x: &[&Tensor<S>], saved: &mut Saved<S>) -> Tensor<S> {
        forward(&self.scan, self.around, x, saved)
    }

    fn backward(&self, ctx: &Backward<'_, S>) -> Vec<Option<Tensor<S>>> {
        backward(&self.scan, self.around, ctx)
    }
}

/// A layer of neurons with the inputs of a call.
struct Call<'a, D, S: Scalar, const N: usize> {
    scan: Scan<D, S, N>,
    around: Around,
    x: &'a [S],
    norm: Option<(Norm, NormInputs<'a, S>)>,
    n_steps: usize,
    n: usize,
}

impl<'a, D: Dynamics<N>, S: Scalar, const N: usize> Call<'a, D, S, N> {
    fn of(scan: &Scan<D, S, N>, around: Around, x: &[&'a Tensor<S>]) -> Self {
        let (scan, norm) = (scan.bound(x, around.n_inputs()), around.norm.map(|norm| (norm, norm.inputs(x))));
        let (n_steps, n) = steps(x[0]);
        Self { scan, around, x: x[0].as_slice(), norm, n_steps, n }
    }

    fn part(&self, first: usize) -> Part {
        let len = self.around.chunk().min(self.n - first);
        Part { first, len, n: self.n, n_steps: self.n_steps, first_step: 0 }
    }

    /// Runs a part from rest; the other arguments are as of [`Scan::run_part`].
    fn run(
        &self,
        part: &Part,
        trace: Option<&mut [Vec<S>; N]>,
        into: impl FnMut(usize, &mut dyn FnMut(&mut [S])),
    ) {
        let mut cur = Current { part, x: self.x, norm: self.norm.as_ref().map(|(_, inputs)| inputs) };
        self.scan.run_part((self.scan.kept_for_backward(), part), &mut cur, part.zeros(), trace, into);
    }

    /// Runs a part, whose output goes to `y`. Returns the indices of what its windows chose.
    fn run_forward(&self, part: &Part, trace: Option<&mut [Vec<S>; N]>, y: &mut Columns<'_, S>) -> Vec<u8> {
        let Some(windows) = self.around.windows else {
            self.run(part, trace, |t, step| step(y.row(t)));
            return Vec::new();
        };
        let (mut spikes, outputs) = (vec![S::ZERO; part.len], self.around.outputs(part.len));
        let mut choices = vec![0; part.n_steps * outputs];
        self.run(part, trace, |t, step| {
            step(&mut spikes);
            pool::choose(windows, &spikes, y.row(t), &mut choices[t * outputs..][..outputs]);
        });
        choices
    }

    /// Goes back over a part, of which these states were kept. Returns the gradient by the numbers that the map learns.
    fn run_backward(
        &self,
        part: &Part,
        trace: [&[S]; N],
        (gy, choices): (&[S], &[u8]),
        g_cur: &mut Columns<'_, S>,
    ) -> Vec<S> {
        let [first, all, outputs] = [part.first, self.n, part.len].map(|n| self.around.outputs(n));
        let gy = |t: usize| &gy[t * all + first..][..outputs];
        let from_rest = (Before::Rest, &mut part.zeros());
        let Some(windows) = self.around.windows else {
            return self.scan.part_backward(part, trace, from_rest, |t, step| step(gy(t), g_cur.row(t)));
        };
        let choices = |t: usize| &choices[first * self.n_steps + t * outputs..][..outputs];
        let mut g_spikes = vec![S::ZERO; part.len];
        self.scan.part_backward(part, trace, from_rest, |t, step| {
            if let Some(next) = t.checked_sub(1).filter(|_| part.is_far::<S>()) {
                scan::ask_for(gy(next));
                scan::ask_for(choices(next));
            }
            pool::spread(windows, gy(t), choices(t), &mut g_spikes);
            step(&g_spikes, g_cur.row(t));
        })
    }

    /// The states of a part that were kept, or those that it has when it runs again.
    fn states<'s>(&self, part: &Part, saved: &'s Saved<S>) -> [Cow<'s, [S]>; N] {
        if self.norm.is_none() {
            let first = part.first / self.around.chunk() * N;
            return std::array::from_fn(|k| Cow::Borrowed(saved.tensor(first + k).as_slice()));
        }
        let (mut states, mut spikes) = (part.room(), vec![S::ZERO; part.len]);
        self.run(part, Some(&mut states), |_, step| step(&mut spikes));
        states.map(Cow::Owned)
    }

    /// This part of the sums that the gradients of a normalization take, if they do.
    fn norm_sums(&self, part: &Part, g_cur: &mut Columns<'_, S>, need: &[bool]) -> Option<Vec<[S; 2]>> {
        let (_, inputs) = self.norm.as_ref().filter(|(norm, _)| norm.takes_sums(need))?;
        let mut sums = inputs.no_sums();
        (0..self.n_steps).for_each(|t| inputs.add_sums(part.at(t).start, g_cur.row(t), &mut sums));
        Some(sums)
    }
}

/// The output of neurons and what stands around them.
pub(super) fn forward<D: Dynamics<N>, S: Scalar, const N: usize>(
    scan: &Scan<D, S, N>,
    around: Around,
    x: &[&Tensor<S>],
    saved: &mut Saved<S>,
) -> Tensor<S> {
    let (call, shape) = (Call::of(scan, around, x), around.shape(x[0].shape()));
    let keeps = saved.is_keeping() && around.norm.is_none();
    let (size, chunk) = ([call.n_steps, around.outputs(call.n)], around.outputs(around.chunk()));
    let (y, parts) = build_columns(size, chunk, |first, y| {
        let part = call.part(first / chunk * around.chunk());
        let mut trace = keeps.then(|| part.room());
        let choices = call.run_forward(&part, trace.as_mut(), y);
        (choices, trace.map(|trace| trace.map(|s| Tensor::new(&[call.n_steps, part.len], s))))
    });
    let (choices, traces): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
    saved.put_small_indices(choices.concat());
    traces.into_iter().flatten().flatten().for_each(|states| saved.put(states));
    Tensor::new(&shape, y)
}

/// The gradients of [`forward`].
pub(super) fn backward<D: Dynamics<N>, S: Scalar, const N: usize>(
    scan: &Scan<D, S, N>,
    around: Around,
    ctx: &Backward<'_, S>,
) -> Vec<Option<Tensor<S>>> {
    let (call, chunk) = (Call::of(scan, around, ctx.x), around.chunk());
    let from = (ctx.gy.as_slice(), ctx.saved.small_indices());
    let (g_cur, parts) = build_columns([call.n_steps, call.n], chunk, |first, g_cur| {
        let part = call.part(first);
        let states = call.states(&part, ctx.saved);
        let g_params = call.run_backward(&part, states.each_ref().map(|s| &s[..]), from, g_cur);
        (g_params, call.norm_sums(&part, g_cur, ctx.need))
    });
    let (g_params, sums): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
    let (shape, g_params) = (ctx.x[0].shape(), sum_of(&g_params, call.scan.no_params_grad()));
    let g_cur = Tensor::new(shape, g_cur);
    let mut grads = match &call.norm {
        None => vec![ctx.need[0].then_some(g_cur)],
        Some((norm, inputs)) => {
            norm.grads(inputs, &sums.into_iter().flatten().collect::<Vec<_>>(), g_cur, ctx.need)
        }
    };
    let params_grad = || call.scan.params_grad(g_params, shape[2..].iter().product());
    grads.extend(ctx.x.get(around.n_inputs()).map(|_| params_grad()));
    grads
}

/// The sum of gradients by learned numbers over parts of the neurons, on top of `sum`.
pub(super) fn sum_of<S: Scalar>(parts: &[Vec<S>], mut sum: Vec<S>) -> Vec<S> {
    parts.iter().for_each(|part| sum.iter_mut().zip(part).for_each(|(sum, &g)| *sum += g));
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::neuron::{CubaLif, Lif, NeuronOp, Placement, Site, StateMap};
    use crate::ops::testing::{backward, forward};
    use crate::ops::{BatchNorm, BatchStats, Normalize, Pool2d, PoolKind};
    use crate::scalar::Dual;
    use proptest::prelude::*;
    use snn_testkit::assert_close;
    use std::sync::Arc;

    /// Rounds to eighths, at every place in another way.
    #[derive(Debug)]
    struct Eighths(Placement);

    impl<S: Scalar> StateMap<S> for Eighths {
        fn placement(&self) -> Placement {
            self.0
        }
        fn apply(&self, site: Site, state: &mut [S]) {
            let more = |i: usize| 0.01 * ((site.offset + i) % 7 + site.step) as f64;
            let eighths = |v: f64| (v * 8.0).round_ties_even() / 8.0;
            for (i, s) in state.iter_mut().enumerate() {
                *s = s.jet(S::from_f64(eighths(s.to_f64() + more(i))).value(), S::ONE.value());
            }
        }
        fn backward(&self, _: Site, _: &[S], _: &mut [S]) {}
    }

    fn noise<S: Scalar>(shape: &[usize], seed: u64) -> Tensor<S> {
        let n = shape.iter().product::<usize>() as u64;
        let draw = |i: u64| S::from_f64(3.2 * f64::from(crate::rng::counter_uniform(seed, i)) - 0.4);
        Tensor::new(shape, (0..n).map(draw).collect())
    }

    /// Outputs and gradients of ops one after the other, each of the output of the one before and of inputs of its own.
    fn one_by_one<S: Scalar>(
        ops: &[(&dyn Op<S>, &[Tensor<S>])],
        x: &Tensor<S>,
        gy: &dyn Fn(&[usize]) -> Tensor<S>,
    ) -> (Tensor<S>, Vec<Tensor<S>>) {
        let Some(((op, own), rest)) = ops.split_first() else { return (x.clone(), vec![gy(x.shape())]) };
        let inputs: Vec<&Tensor<S>> = [x].into_iter().chain(*own).collect();
        let (y, mut later) = one_by_one(rest, &forward(*op, &inputs), gy);
        let mut grads = backward(*op, &inputs, &later.remove(0));
        grads.extend(later);
        (y, grads)
    }

    fn assert_same<S: Scalar>(
        scan: &dyn NeuronOp<S>,
        norm: Option<Norm>,
        pool: Option<Pool2d>,
        x: &Tensor<S>,
    ) {
        let channels = x.shape()[2];
        let stats = match norm {
            Some(Norm::Own(_)) => forward(&BatchStats, &[x]),
            _ => noise::<S>(&[2, channels], 5).map(|v| v * v + S::ONE),
        };
        let of_norm = [stats, noise(&[channels], 6), noise(&[channels], 7)];
        let norm_op = norm.map(Norm::op::<S>);
        let windows = pool.map(|pool| pool.side_by_side([x.shape()[3], x.shape()[4]]).unwrap());
        let mut ops: Vec<(&dyn Op<S>, &[Tensor<S>])> = vec![(scan, &[])];
        norm_op.iter().for_each(|op| ops.insert(0, (op.as_ref(), &of_norm)));
        pool.iter().for_each(|pool| ops.push((pool, &[])));
        let gy = |shape: &[usize]| noise(shape, 3);
        let (y, grads) = one_by_one(&ops, x, &gy);

        let fused = scan.with_around(Around { norm, windows }).unwrap();
        let of_norm = of_norm.iter().filter(|_| norm.is_some());
        let inputs: Vec<&Tensor<S>> = [x].into_iter().chain(of_norm).collect();
        assert_eq!(forward(fused.as_ref(), &inputs), y);
        // The sums of a normalization's gradient have another order.
        let tolerance = if norm.is_some() { 1e-4 } else { 0.0 };
        for (got, want) in backward(fused.as_ref(), &inputs, &gy(y.shape())).iter().zip(&grads) {
            let [got, want] =
                [got, want].map(|t| t.as_slice().iter().map(|v| v.to_f64()).collect::<Vec<_>>());
            assert_close("gradient", &got, &want, tolerance, tolerance);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn it_equals_the_ops_one_by_one(
            kernel in [1_usize..4, 1_usize..4], size in [3_usize..70, 3_usize..70], channels in 1_usize..5, seed: u64,
        ) {
            let pool = Pool2d { kind: PoolKind::Max, kernel, stride: kernel };
            let shape = [3, 2, channels, size[0], size[1]];
            let x = noise::<f32>(&shape, seed);
            let epsilon = 1e-5;
            let norms = [None, Some(Norm::Own(BatchNorm { epsilon })), Some(Norm::Given(Normalize { epsilon }))];
            for (norm, pool) in norms.into_iter().flat_map(|norm| [(norm, None), (norm, Some(pool))]) {
                let cuba = CubaLif { alpha: 0.7, beta: 0.9, firing: Lif::snntorch(0.9).firing };
                assert_same(&Scan::<_, f32, 1>::new(Lif::spikingjelly(2.0)), norm, pool, &x);
                assert_same(&Scan::<_, f32, 2>::new(cuba), norm, pool, &x);
                for placement in [Placement::BeforeSpike, Placement::OnStore] {
                    let scan = Box::new(Scan::<_, f32, 1>::new(Lif::snntorch(0.9)));
                    assert_same(scan.with_state_map(Arc::new(Eighths(placement))).as_ref(), norm, pool, &x);
                }
                let tangents = noise::<f32>(&shape, seed ^ 1);
                let dual = x.zip(&tangents, |x, d| Dual::<f32, 1>::variable(x, [d]));
                assert_same(&Scan::<_, Dual<f32, 1>, 1>::new(Lif::snntorch(0.9)), norm, pool, &dual);
            }
        }
    }
}
