//! A scan with max-pooling behind it, as one op.

use super::Dynamics;
use super::scan::{CHUNK, Scan};
use crate::kernels::pool::{self, SideBySide};
use crate::op::{Backward, Op, Saved};
use crate::scalar::Scalar;
use crate::tensor::Tensor;

/// [`Scan`] and max-pooling with windows side by side: the same numbers, but spikes are pooled while they are in cache, and
/// neither they nor their gradients are ever in memory.
///
/// Inputs as of [`Scan`], of shape `[T, B, C, H, W]`; output `[T, B, C, H/kh, W/kw]`. Saved: what the scan saves, and the
/// index of each window's greatest output.
#[derive(Clone, Debug)]
pub(super) struct PooledScan<D, S: Scalar, const N: usize> {
    scan: Scan<D, S, N>,
    windows: SideBySide,
}

impl<D: Dynamics<N>, S: Scalar, const N: usize> PooledScan<D, S, N> {
    pub(super) fn new(scan: Scan<D, S, N>, windows: SideBySide) -> Self {
        Self { scan, windows }
    }

    /// Neurons worked on at a time: whole frames.
    fn chunk(&self) -> usize {
        let frame = self.windows.frame_len();
        (CHUNK / frame).max(1) * frame
    }
}

impl<D: Dynamics<N>, S: Scalar, const N: usize> Op<S> for PooledScan<D, S, N> {
    fn name(&self) -> &'static str {
        "scan_max_pool"
    }

    fn forward(&self, x: &[&Tensor<S>], saved: &mut Saved<S>) -> Tensor<S> {
        let (scan, windows, shape) = (self.scan.bound(x, 1), self.windows, x[0].shape());
        assert!(
            shape.len() == 5 && shape[3..] == windows.frame(),
            "scan_max_pool: {windows:?}, input {shape:?}"
        );
        let n = x[0].len() / windows.frame_len() * windows.count();
        let (mut y, mut choices) = (Vec::with_capacity(n), Vec::with_capacity(n));
        let (states, _) = scan.run_chunks((scan.kept_for_backward(), self.chunk()), x[0], None, |spikes| {
            let first = y.len();
            let end = first + spikes.len() / windows.frame_len() * windows.count();
            y.resize(end, S::ZERO);
            choices.resize(end, 0);
            pool::choose(windows, spikes, &mut y[first..], &mut choices[first..]);
        });
        states.into_iter().for_each(|s| saved.put(s));
        saved.put_small_indices(choices);
        Tensor::new(&[&shape[..3], &windows.output()].concat(), y)
    }

    fn backward(&self, ctx: &Backward<'_, S>) -> Vec<Option<Tensor<S>>> {
        let states = std::array::from_fn(|k| ctx.saved.tensor(k));
        let (windows, gy, choices) = (self.windows, ctx.gy.as_slice(), ctx.saved.small_indices());
        let scan = self.scan.bound(ctx.x, 1);
        let (g_cur, g_params) = scan.backward_chunks(&states, self.chunk(), |at, g_out| {
            let pooled = |place: usize| place / windows.frame_len() * windows.count();
            let at = pooled(at.start)..pooled(at.end);
            pool::spread(windows, &gy[at.clone()], &choices[at], g_out);
        });
        let mut grads = vec![ctx.need[0].then_some(g_cur)];
        grads.extend(ctx.x.get(1).map(|_| g_params));
        grads
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::neuron::{CubaLif, Lif, NeuronOp, Placement, Site, StateMap};
    use crate::ops::testing::{backward, forward};
    use crate::ops::{Pool2d, PoolKind};
    use crate::scalar::Dual;
    use proptest::prelude::*;
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

    fn assert_same<S: Scalar>(scan: &dyn NeuronOp<S>, pool: Pool2d, x: &Tensor<S>) {
        let windows = pool.side_by_side([x.shape()[3], x.shape()[4]]).unwrap();
        let fused = scan.with_max_pool(windows).unwrap();
        let spikes = forward::<S>(scan, &[x]);
        let y = forward(&pool, &[&spikes]);
        assert_eq!(forward(fused.as_ref(), &[x]), y);
        let gy = noise(y.shape(), 3);
        let g_spikes = backward(&pool, &[&spikes], &gy);
        assert_eq!(backward(fused.as_ref(), &[x], &gy), backward::<S>(scan, &[x], &g_spikes[0]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn it_equals_the_two_ops(
            kernel in [1_usize..4, 1_usize..4], size in [3_usize..40, 3_usize..40], channels in 1_usize..5, seed: u64,
        ) {
            let pool = Pool2d { kind: PoolKind::Max, kernel, stride: kernel };
            let shape = [3, 2, channels, size[0], size[1]];
            let x = noise::<f32>(&shape, seed);
            let cuba = CubaLif { alpha: 0.7, beta: 0.9, firing: Lif::snntorch(0.9).firing };
            assert_same(&Scan::<_, f32, 1>::new(Lif::spikingjelly(2.0)), pool, &x);
            assert_same(&Scan::<_, f32, 2>::new(cuba), pool, &x);
            for placement in [Placement::BeforeSpike, Placement::OnStore] {
                let scan = Box::new(Scan::<_, f32, 1>::new(Lif::snntorch(0.9)));
                assert_same(scan.with_state_map(Arc::new(Eighths(placement))).as_ref(), pool, &x);
            }
            let tangents = noise::<f32>(&shape, seed ^ 1);
            let dual = x.zip(&tangents, |x, d| Dual::<f32, 1>::variable(x, [d]));
            assert_same(&Scan::<_, Dual<f32, 1>, 1>::new(Lif::snntorch(0.9)), pool, &dual);
        }
    }
}
