//! Neurons that begin from a given state and hand on that at the end: a run of many steps in segments.

use super::Dynamics;
use super::block::{CHUNK, sum_of};
use super::scan::{Before, Current, Part, Scan, steps};
use crate::kernels::par::build_columns;
use crate::op::{Backward, Op, Saved};
use crate::scalar::Scalar;
use crate::tensor::Tensor;

/// Neurons for a segment of the steps of a longer run, as [`NeuronOp::carrying`](super::NeuronOp::carrying) gives them.
///
/// # Shapes
/// Inputs of the op: the state at the start, `[R, B, features…]`, zeros for rest; then those of the neurons, of which the current
/// is `[T, B, features…]`. Output: `[T + N, B, features…]`, the output of all `T` steps, which is at least one, and behind it the
/// `N` state variables after the last, the membrane first. The state at the end is the last `R` rows of it: for recurrent neurons,
/// whose `R` is `N + 1`, it begins with the output of the last step.
#[derive(Debug)]
pub struct Carrying<S: Scalar> {
    /// The op. Gradients reach the state at the start, and come from that at the end.
    pub op: Box<dyn Op<S>>,
    /// The rows `R` of a state.
    pub n_rows: usize,
}

/// [`Scan`] from a state to a state; see [`Carrying`]. Forward and backward are those of [`Scan`], and the same is saved.
#[derive(Clone, Debug)]
pub(super) struct CarryingScan<D, S: Scalar, const N: usize> {
    scan: Scan<D, S, N>,
    first_step: usize,
}

impl<D: Dynamics<N>, S: Scalar, const N: usize> CarryingScan<D, S, N> {
    pub(super) fn new(scan: Scan<D, S, N>, first_step: usize) -> Self {
        Self { scan, first_step }
    }

    fn call<'a>(&self, x: &[&'a Tensor<S>]) -> Call<'a, D, S, N> {
        let (start, cur) = (x[0], x[1]);
        let (n_steps, n) = steps(cur);
        assert_state(start, N, cur);
        let scan = self.scan.bound(&x[1..], 1);
        Call {
            scan,
            first_step: self.first_step,
            start: start.as_slice(),
            cur: cur.as_slice(),
            size: [n_steps, n],
        }
    }
}

/// Makes sure that a state has so many rows, each for the neurons of a current.
pub(super) fn assert_state<S: Scalar>(start: &Tensor<S>, n_rows: usize, cur: &Tensor<S>) {
    let expected = [&[n_rows], &cur.shape()[1..]].concat();
    assert_eq!(start.shape(), expected, "state to start from, for currents of shape {:?}", cur.shape());
}

/// Neurons with the inputs of a call.
struct Call<'a, D, S: Scalar, const N: usize> {
    scan: Scan<D, S, N>,
    first_step: usize,
    start: &'a [S],
    cur: &'a [S],
    /// Steps, and neurons of all samples.
    size: [usize; 2],
}

impl<D: Dynamics<N>, S: Scalar, const N: usize> Call<'_, D, S, N> {
    fn part(&self, first: usize) -> Part {
        let [n_steps, n] = self.size;
        Part { first, len: CHUNK.min(n - first), n, n_steps, first_step: self.first_step }
    }

    /// The state that a part starts from.
    fn start(&self, part: &Part) -> [&[S]; N] {
        std::array::from_fn(|k| &self.start[part.at(k)])
    }
}

impl<D: Dynamics<N>, S: Scalar, const N: usize> Op<S> for CarryingScan<D, S, N> {
    fn name(&self) -> &'static str {
        self.scan.name()
    }

    fn forward(&self, x: &[&Tensor<S>], saved: &mut Saved<S>) -> Tensor<S> {
        let (call, kept, keeps) = (self.call(x), self.scan.kept_for_backward(), saved.is_keeping());
        let [n_steps, n] = call.size;
        let (y, traces) = build_columns([n_steps + N, n], CHUNK, |first, y| {
            let part = call.part(first);
            let mut trace = keeps.then(|| part.room());
            let mut cur = Current { part: &part, x: call.cur, norm: None };
            let start = call.start(&part).map(<[S]>::to_vec);
            let last =
                call.scan.run_part((kept, &part), &mut cur, start, trace.as_mut(), |t, step| step(y.row(t)));
            last.iter().enumerate().for_each(|(k, last)| y.row(n_steps + k).copy_from_slice(last));
            trace.map(|trace| trace.map(|s| Tensor::new(&[n_steps, part.len], s)))
        });
        traces.into_iter().flatten().flatten().for_each(|states| saved.put(states));
        Tensor::new(&[&[n_steps + N], &x[1].shape()[1..]].concat(), y)
    }

    fn backward(&self, ctx: &Backward<'_, S>) -> Vec<Option<Tensor<S>>> {
        let (call, gy) = (self.call(ctx.x), ctx.gy.as_slice());
        let [n_steps, n] = call.size;
        let (mut g_cur, g_params) = build_columns([n_steps + N, n], CHUNK, |first, g_cur| {
            let part = call.part(first);
            let of_part = first / CHUNK * N;
            let trace = std::array::from_fn(|k| ctx.saved.tensor(of_part + k).as_slice());
            let mut g = std::array::from_fn(|k| gy[part.at(n_steps + k)].to_vec());
            let start = (Before::Given(call.start(&part)), &mut g);
            let g_params =
                call.scan.part_backward(&part, trace, start, |t, step| step(&gy[part.at(t)], g_cur.row(t)));
            g.iter().enumerate().for_each(|(k, g)| g_cur.row(n_steps + k).copy_from_slice(g));
            g_params
        });
        let g_start = g_cur.split_off(n_steps * n);
        let shape = ctx.x[1].shape();
        let mut grads = vec![
            ctx.grad(0, || Tensor::new(ctx.x[0].shape(), g_start)),
            ctx.grad(1, || Tensor::new(shape, g_cur)),
        ];
        let g_params = sum_of(&g_params, call.scan.no_params_grad());
        grads.extend(ctx.x.get(2).map(|_| call.scan.params_grad(g_params, shape[2..].iter().product())));
        grads
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "the same arithmetic gives the same bits")]
mod tests {
    use super::*;
    use crate::neuron::{CubaLif, Firing, Lif, NeuronOp, Placement, Reset, ResetTime, Site, StateMap};
    use crate::ops::testing::{backward, forward};
    use snn_testkit::assert_close;
    use std::sync::Arc;

    /// Rounds to eighths, at every step and place in another way, with factors that learn; gradients stop where they are far
    /// from zero.
    #[derive(Clone, Debug)]
    struct Eighths(Placement, Vec<f64>);

    impl<S: Scalar> StateMap<S> for Eighths {
        fn placement(&self) -> Placement {
            self.0
        }
        fn apply(&self, site: Site, state: &mut [S]) {
            for (i, s) in state.iter_mut().enumerate() {
                let more = 0.01 * ((site.offset + i) % 7 + site.step + 3 * site.state) as f64;
                let value = (s.to_f64() * 8.0 + more).round_ties_even() / 8.0 + self.1[0];
                *s = s.jet(S::from_f64(value).value(), S::ONE.value());
            }
        }
        fn backward(&self, _: Site, before: &[S], g: &mut [S]) {
            g.iter_mut()
                .zip(before)
                .for_each(|(g, b)| *g = if b.to_f64().abs() < 2.0 { *g } else { S::ZERO });
        }
        fn n_params(&self) -> usize {
            1
        }
        fn bind(&self, params: &[S]) -> Option<Arc<dyn StateMap<S>>> {
            Some(Arc::new(Self(self.0, params.iter().map(|p| p.to_f64()).collect())))
        }
        fn add_param_grads(&self, _: Site, _: &[S], g: &[S], sums: &mut [S]) {
            g.iter().for_each(|&g| sums[0] += g);
        }
    }

    fn noise(shape: &[usize], seed: u64) -> Tensor<f32> {
        let n = shape.iter().product::<usize>() as u64;
        Tensor::new(shape, (0..n).map(|i| 2.4 * crate::rng::counter_uniform(seed, i) - 0.6).collect())
    }

    fn rows(x: &Tensor<f32>, range: std::ops::Range<usize>) -> Tensor<f32> {
        let n = x.len() / x.shape()[0];
        let shape = [&[range.len()], &x.shape()[1..]].concat();
        Tensor::new(&shape, x.as_slice()[range.start * n..range.end * n].to_vec())
    }

    /// Output and gradients, those by the current first, of neurons run in segments of `k` steps.
    fn in_segments(
        neurons: &dyn NeuronOp<f32>,
        k: usize,
        x: &[&Tensor<f32>],
        gy: &Tensor<f32>,
    ) -> (Vec<f32>, Vec<Vec<f32>>) {
        let n_steps = x[0].shape()[0];
        let segments: Vec<_> = (0..n_steps).step_by(k).map(|at| at..(at + k).min(n_steps)).collect();
        let segment = |at: &std::ops::Range<usize>| {
            (neurons.carrying(at.start).unwrap(), rows(x[0], at.clone()), at.len())
        };
        let n_rows = segment(&segments[0]).0.n_rows;
        let (mut y, mut starts) =
            (Vec::new(), vec![Tensor::zeros(&[&[n_rows], &x[0].shape()[1..]].concat())]);
        for at in &segments {
            let (carrying, cur, n) = segment(at);
            let inputs = [&[starts.last().unwrap(), &cur], &x[1..]].concat();
            let all = forward(carrying.op.as_ref(), &inputs);
            y.extend_from_slice(rows(&all, 0..n).as_slice());
            let end = all.shape()[0];
            starts.push(rows(&all, end - n_rows..end));
        }
        let mut g_end = Tensor::zeros(starts[0].shape());
        let mut grads: Vec<Vec<f32>> = x.iter().map(|x| vec![0.0; x.len()]).collect();
        for (i, at) in segments.iter().enumerate().rev() {
            let (carrying, cur, n) = segment(at);
            let inputs = [&[&starts[i], &cur], &x[1..]].concat();
            let rest = forward(carrying.op.as_ref(), &inputs).shape()[0] - n;
            let mut g = rows(gy, at.clone()).into_vec();
            g.resize(g.len() / n * (n + rest), 0.0);
            let first = g.len() - g_end.len();
            g[first..].iter_mut().zip(g_end.as_slice()).for_each(|(g, e)| *g += e);
            let shape = [&[n + rest], &x[0].shape()[1..]].concat();
            let mut found = backward(carrying.op.as_ref(), &inputs, &Tensor::new(&shape, g)).into_iter();
            g_end = found.next().unwrap();
            let g_cur = found.next().unwrap();
            let begin = at.start * (x[0].len() / x[0].shape()[0]);
            grads[0][begin..begin + g_cur.len()].copy_from_slice(g_cur.as_slice());
            for (sum, g) in grads[1..].iter_mut().zip(found) {
                sum.iter_mut().zip(g.as_slice()).for_each(|(sum, g)| *sum += g);
            }
        }
        (y, grads)
    }

    fn assert_same(neurons: &dyn NeuronOp<f32>, x: &[&Tensor<f32>]) {
        let gy = noise(x[0].shape(), 2);
        let y = forward(neurons, x);
        let want = backward(neurons, x, &gy);
        assert!(y.as_slice().contains(&1.0), "{neurons:?}");
        for k in [1, 3, 4, 7, 9] {
            let (got_y, got) = in_segments(neurons, k, x, &gy);
            assert_eq!(got_y, y.as_slice(), "{neurons:?} {k}");
            assert_eq!(got.len(), want.len());
            for (got, want) in got.iter().zip(&want) {
                let [got, want] =
                    [&got[..], want.as_slice()].map(|v| v.iter().map(|&v| f64::from(v)).collect::<Vec<_>>());
                let scale = want.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
                assert_close("gradient", &got, &want, 1e-5, 1e-5 * scale);
            }
        }
    }

    /// Neurons without a map, and with one at each place.
    fn each_map(neurons: &dyn Fn() -> Box<dyn NeuronOp<f32>>, x: &[&Tensor<f32>]) {
        assert_same(neurons().as_ref(), x);
        let learned = Tensor::full(&[1], 0.05);
        for placement in [Placement::BeforeSpike, Placement::OnStore] {
            let mapped = neurons().with_state_map(Arc::new(Eighths(placement, vec![0.0])));
            assert_same(mapped.as_ref(), &[x, &[&learned]].concat());
        }
    }

    #[test]
    fn segments_give_the_outputs_and_gradients_of_the_whole() {
        let firing = |reset, reset_time| Firing { reset, reset_time, ..Firing::default() };
        let cur = noise(&[7, 2, 5], 1);
        for reset in [Reset::Subtract, Reset::Zero, Reset::None] {
            for reset_time in [ResetTime::NextStep, ResetTime::SameStep] {
                let firing = firing(reset, reset_time);
                let lif = Lif { firing, ..Lif::snntorch(0.9) };
                each_map(&|| Box::new(Scan::<_, f32, 1>::new(lif)), &[&cur]);
                let cuba = CubaLif { alpha: 0.7, beta: 0.9, firing };
                each_map(&|| Box::new(Scan::<_, f32, 2>::new(cuba)), &[&cur]);
            }
        }
        for lif in [Lif::snntorch(0.9), Lif::lui_neftci(0.8), Lif::spikingjelly(2.0), Lif::norse(0.5)] {
            each_map(&|| crate::neuron::lif_scan(lif), &[&cur]);
        }
    }

    #[test]
    fn so_do_those_of_recurrent_neurons() {
        let (cur, weight, bias) = (noise(&[7, 2, 5], 1), noise(&[5, 5], 4), noise(&[5], 3));
        let weight = weight.map(|w| 0.4 * w);
        let cuba = CubaLif { alpha: 0.7, beta: 0.9, firing: Firing::default() };
        let x = [&cur, &weight, &bias];
        each_map(&|| Box::new(Scan::<_, f32, 2>::new(cuba).recurrent()), &x);
        for lif in [Lif::snntorch(0.9), Lif::spikingjelly(2.0)] {
            each_map(&|| crate::neuron::recurrent_lif_scan(lif), &x);
        }
    }

    #[test]
    fn more_neurons_than_a_part_has_are_put_together() {
        let cur = noise(&[5, 3, CHUNK / 2 + 1], 1);
        assert_same(&Scan::<_, f32, 1>::new(Lif::snntorch(0.9)), &[&cur]);
    }

    #[test]
    #[should_panic(expected = "state to start from")]
    fn a_state_of_other_neurons_is_refused() {
        let carrying = Scan::<_, f32, 1>::new(Lif::snntorch(0.9)).carrying(0).unwrap();
        forward(carrying.op.as_ref(), &[&Tensor::zeros(&[1, 2, 4]), &noise(&[3, 2, 5], 1)]);
    }
}
