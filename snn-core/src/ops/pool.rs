//! Pooling over image windows.

use crate::kernels::par::{build_from_zeros, for_row_chunks, for_row_chunks_2};
use crate::kernels::pool::{self, SideBySide};
use crate::op::{Backward, Op, Saved};
use crate::scalar::Scalar;
use crate::tensor::Tensor;

/// Frames per parallel task; fixed, so that results do not depend on the number of threads.
const FRAMES_PER_TASK: usize = 16;

/// How the entries of a window become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolKind {
    /// Their mean.
    Average,
    /// The greatest; the first of equals in row-major order.
    Max,
    /// Their sum, which keeps spike counts.
    Sum,
}

/// Pools windows of images, without padding: windows that would reach over the edge are left out.
///
/// Input: `x` of shape `[T, B, C, H, W]`; output `[T, B, C, (H − kh)/sh + 1, (W − kw)/sw + 1]` (rounded down). Forward:
/// the mean, maximum or sum of each window. Backward: each window's gradient goes to its entries (divided by
/// `kh · kw` for the mean), or to its greatest entry. Saved: for the maximum, the index of each window's greatest entry,
/// within the window if windows lie side by side, else within the frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pool2d {
    /// What is computed.
    pub kind: PoolKind,
    /// Height and width of the window.
    pub kernel: [usize; 2],
    /// Vertical and horizontal step between windows, at least 1.
    pub stride: [usize; 2],
}

impl Pool2d {
    /// A square window, and steps of its size.
    #[must_use]
    pub fn square(kind: PoolKind, kernel: usize) -> Self {
        Self { kind, kernel: [kernel; 2], stride: [kernel; 2] }
    }
}

/// Heights and widths of a call.
#[derive(Clone, Copy)]
struct Geometry {
    frame: [usize; 2],
    out: [usize; 2],
}

impl Geometry {
    fn frame_len(&self) -> usize {
        self.frame[0] * self.frame[1]
    }

    fn out_len(&self) -> usize {
        self.out[0] * self.out[1]
    }

    /// The shape of the output for inputs of this shape.
    fn output(&self, shape: &[usize]) -> [usize; 5] {
        [shape[0], shape[1], shape[2], self.out[0], self.out[1]]
    }
}

/// An index within a frame, in the width in which it is saved.
#[inline(always)]
#[allow(
    clippy::cast_possible_truncation,
    reason = "`geometry` refuses frames of more entries than u32 counts"
)]
fn to_u32(i: usize) -> u32 {
    i as u32
}

impl Pool2d {
    fn geometry(&self, shape: &[usize]) -> Geometry {
        let [kernel, stride] = [self.kernel, self.stride];
        let fits = shape.len() == 5
            && (0..2).all(|a| (1..=shape[3 + a]).contains(&kernel[a]) && stride[a] > 0)
            && shape[3].checked_mul(shape[4]).is_some_and(|n| u32::try_from(n).is_ok());
        assert!(fits, "pool2d: kernel {kernel:?}, stride {stride:?} on input of shape {shape:?}");
        let frame = [shape[3], shape[4]];
        Geometry { frame, out: std::array::from_fn(|a| (frame[a] - kernel[a]) / stride[a] + 1) }
    }

    /// Calls `f(out_row, first)` for each place in a window and each output row: window `i` of that row has the frame's
    /// entry `first + i · stride` at that place. Places of one window come in row-major order.
    #[inline(always)]
    fn for_each_tap(&self, g: Geometry, mut f: impl FnMut(usize, usize)) {
        for oy in 0..g.out[0] {
            for ky in 0..self.kernel[0] {
                for kx in 0..self.kernel[1] {
                    f(oy, (oy * self.stride[0] + ky) * g.frame[1] + kx);
                }
            }
        }
    }

    /// What each entry of a window counts.
    fn weight<S: Scalar>(&self) -> S {
        let n = if self.kind == PoolKind::Average { self.kernel[0] * self.kernel[1] } else { 1 };
        S::from_f64(1.0 / n as f64)
    }

    fn sum<S: Scalar>(&self, g: Geometry, x: &[S], y: &mut [S]) {
        let (width, stride, weight) = (g.out[1], self.stride[1], self.weight::<S>());
        for_row_chunks(y, g.out_len(), FRAMES_PER_TASK, |first, frames| {
            for (k, out) in frames.chunks_mut(g.out_len()).enumerate() {
                let frame = &x[(first + k) * g.frame_len()..][..g.frame_len()];
                self.for_each_tap(g, |oy, start| {
                    let entries = frame[start..].iter().step_by(stride);
                    out[oy * width..][..width].iter_mut().zip(entries).for_each(|(o, &v)| *o += v);
                });
                out.iter_mut().for_each(|o| *o *= weight);
            }
        });
    }

    fn sum_backward<S: Scalar>(&self, g: Geometry, gy: &[S], gx: &mut [S]) {
        let (width, stride, weight) = (g.out[1], self.stride[1], self.weight::<S>());
        for_row_chunks(gx, g.frame_len(), FRAMES_PER_TASK, |first, frames| {
            for (k, frame) in frames.chunks_mut(g.frame_len()).enumerate() {
                let out = &gy[(first + k) * g.out_len()..][..g.out_len()];
                self.for_each_tap(g, |oy, start| {
                    let entries = frame[start..].iter_mut().step_by(stride);
                    entries.zip(&out[oy * width..][..width]).for_each(|(v, &o)| *v += o * weight);
                });
            }
        });
    }

    /// The windows, if a maximum is taken over windows side by side.
    #[must_use]
    pub fn side_by_side(&self, frame: [usize; 2]) -> Option<SideBySide> {
        let windows = || SideBySide::new(frame, self.kernel);
        (self.kind == PoolKind::Max && self.kernel == self.stride).then(windows).flatten()
    }

    /// The greatest entry of each window, the first of equals, and its index within its frame: for ops that move other
    /// numbers than those that they compare.
    ///
    /// # Panics
    /// As the op.
    #[must_use]
    pub fn greatest<S: Scalar>(&self, x: &Tensor<S>) -> (Tensor<S>, Vec<u32>) {
        let g = self.geometry(x.shape());
        let mut y = Tensor::zeros(&g.output(x.shape()));
        let best = self.argmax(g, x.as_slice(), y.len());
        let out = y.as_mut_slice();
        for_each_best(g, &best, |i, o| out[o] = x.as_slice()[i]);
        (y, best)
    }

    /// For each of `n` windows the index, within its frame, of its greatest entry.
    fn argmax<S: Scalar>(&self, g: Geometry, x: &[S], n: usize) -> Vec<u32> {
        let (width, stride) = (g.out[1], self.stride[1]);
        let mut best = vec![0_u32; n];
        for_row_chunks(&mut best, g.out_len(), FRAMES_PER_TASK, |first, frames| {
            for (k, best) in frames.chunks_mut(g.out_len()).enumerate() {
                let frame = &x[(first + k) * g.frame_len()..][..g.frame_len()];
                self.for_each_tap(g, |oy, start| {
                    let is_first_tap = start == oy * self.stride[0] * g.frame[1];
                    for (ox, best) in best[oy * width..][..width].iter_mut().enumerate() {
                        let i = start + ox * stride;
                        if is_first_tap || frame[i].value() > frame[*best as usize].value() {
                            *best = to_u32(i);
                        }
                    }
                });
            }
        });
        best
    }
}

/// `f(entry of x, window)` for each window, in which `best` names the entry within its frame.
fn for_each_best(g: Geometry, best: &[u32], mut f: impl FnMut(usize, usize)) {
    for (frame, best) in best.chunks(g.out_len()).enumerate() {
        for (o, &i) in best.iter().enumerate() {
            f(frame * g.frame_len() + i as usize, frame * g.out_len() + o);
        }
    }
}

impl<S: Scalar> Op<S> for Pool2d {
    fn name(&self) -> &'static str {
        "pool2d"
    }

    fn forward(&self, x: &[&Tensor<S>], saved: &mut Saved<S>) -> Tensor<S> {
        let g = self.geometry(x[0].shape());
        if let Some(windows) = self.side_by_side(g.frame) {
            let (y, choices) = choose(windows, x[0].as_slice());
            saved.put_small_indices(choices);
            return Tensor::new(&g.output(x[0].shape()), y);
        }
        if self.kind == PoolKind::Max {
            let (y, best) = self.greatest(x[0]);
            saved.put_indices(best);
            return y;
        }
        let mut y = Tensor::zeros(&g.output(x[0].shape()));
        self.sum(g, x[0].as_slice(), y.as_mut_slice());
        y
    }

    fn backward(&self, ctx: &Backward<'_, S>) -> Vec<Option<Tensor<S>>> {
        let gx = || {
            let (shape, gy) = (ctx.x[0].shape(), ctx.gy.as_slice());
            let g = self.geometry(shape);
            if let Some(windows) = self.side_by_side(g.frame) {
                return Tensor::new(shape, spread(windows, gy, ctx.saved.small_indices()));
            }
            let mut gx = Tensor::zeros(shape);
            let entries = gx.as_mut_slice();
            if self.kind == PoolKind::Max {
                for_each_best(g, ctx.saved.indices(), |i, o| entries[i] += gy[o]);
            } else {
                self.sum_backward(g, gy, entries);
            }
            gx
        };
        vec![ctx.grad(0, gx)]
    }
}

/// The greatest number of each window of all frames, and its index in the window.
fn choose<S: Scalar>(windows: SideBySide, x: &[S]) -> (Vec<S>, Vec<u8>) {
    let (frame, count) = (windows.frame_len(), windows.count());
    let n = x.len() / frame * count;
    let (mut y, mut choices) = (vec![S::ZERO; n], vec![0; n]);
    for_row_chunks_2((&mut y, count), (&mut choices, count), FRAMES_PER_TASK, |first, y, choices| {
        let x = &x[first * frame..][..y.len() / count * frame];
        pool::choose(windows, x, y, choices);
    });
    (y, choices)
}

/// Frames with the number of each window where it was chosen, and zeros elsewhere.
fn spread<S: Scalar>(windows: SideBySide, gy: &[S], choices: &[u8]) -> Vec<S> {
    let (frame, count) = (windows.frame_len(), windows.count());
    build_from_zeros(gy.len() / count, frame, FRAMES_PER_TASK, |i, to| {
        let at = i * count..(i + 1) * count;
        pool::spread(windows, &gy[at.clone()], &choices[at], to);
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{backward, forward};
    use crate::scalar::Dual;
    use proptest::prelude::*;

    fn pool(kind: PoolKind) -> Pool2d {
        Pool2d { kind, kernel: [2, 2], stride: [2, 2] }
    }

    /// One frame of 3 × 4, whose last row no window of 2 × 2 reaches.
    fn frame() -> Tensor<f64> {
        Tensor::new(&[1, 1, 1, 3, 4], vec![1.0, 2.0, 0.0, 0.0, 5.0, 5.0, 0.0, -1.0, 9.0, 9.0, 9.0, 9.0])
    }

    #[test]
    fn windows_are_pooled_and_the_rest_is_left_out() {
        let cases =
            [(PoolKind::Sum, [13.0, -1.0]), (PoolKind::Average, [3.25, -0.25]), (PoolKind::Max, [5.0, 0.0])];
        for (kind, want) in cases {
            let y = forward(&pool(kind), &[&frame()]);
            assert_eq!(y, Tensor::new(&[1, 1, 1, 1, 2], want.to_vec()), "{kind:?}");
        }
    }

    #[test]
    fn gradients_go_to_the_window_or_to_the_first_of_its_greatest() {
        let gy = Tensor::new(&[1, 1, 1, 1, 2], vec![4.0, 8.0]);
        let cases = [
            (PoolKind::Sum, [4.0, 4.0, 8.0, 8.0, 4.0, 4.0, 8.0, 8.0]),
            (PoolKind::Average, [1.0, 1.0, 2.0, 2.0, 1.0, 1.0, 2.0, 2.0]),
            (PoolKind::Max, [0.0, 0.0, 8.0, 0.0, 4.0, 0.0, 0.0, 0.0]),
        ];
        for (kind, want) in cases {
            let grads = backward(&pool(kind), &[&frame()], &gy);
            assert_eq!(grads[0].as_slice()[..8], want, "{kind:?}");
            assert_eq!(grads[0].as_slice()[8..], [0.0; 4], "{kind:?}");
        }
    }

    #[test]
    #[should_panic(expected = "pool2d: kernel [4, 2], stride [2, 2] on input of shape [1, 1, 1, 3, 4]")]
    fn a_window_higher_than_the_frame_is_refused() {
        forward(&Pool2d { kernel: [4, 2], ..pool(PoolKind::Sum) }, &[&frame()]);
    }

    /// Window by window, as the definition says.
    fn by_definition(pool: &Pool2d, x: &Tensor<f64>) -> Vec<f64> {
        let g = pool.geometry(x.shape());
        let mut y = Vec::new();
        for frame in x.as_slice().chunks(g.frame_len()) {
            for oy in 0..g.out[0] {
                for ox in 0..g.out[1] {
                    let rows = oy * pool.stride[0]..oy * pool.stride[0] + pool.kernel[0];
                    let start = ox * pool.stride[1];
                    let window = rows.flat_map(|r| &frame[r * g.frame[1] + start..][..pool.kernel[1]]);
                    let max = window.clone().copied().fold(f64::NEG_INFINITY, f64::max);
                    let sum: f64 = window.sum();
                    let n = (pool.kernel[0] * pool.kernel[1]) as f64;
                    y.push(match pool.kind {
                        PoolKind::Average => sum / n,
                        PoolKind::Max => max,
                        PoolKind::Sum => sum,
                    });
                }
            }
        }
        y
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_window_follows_the_definition(
            kernel in [1_usize..4, 1_usize..4],
            stride in [1_usize..4, 1_usize..4],
            extra in [0_usize..4, 0_usize..4],
            seed in any::<u64>(),
        ) {
            let shape = [3, 2, 4, kernel[0] + extra[0], kernel[1] + extra[1]];
            let n: u64 = shape.iter().map(|&n| n as u64).product();
            let entries = (0..n).map(|i| f64::from(crate::rng::counter_uniform(seed, i)));
            let x = Tensor::new(&shape, entries.collect());
            for kind in [PoolKind::Average, PoolKind::Max, PoolKind::Sum] {
                let pool = Pool2d { kind, kernel, stride };
                let got = forward(&pool, &[&x]);
                snn_testkit::assert_close("pool", got.as_slice(), &by_definition(&pool, &x), 1e-12, 1e-12);
            }
        }

        /// Spikes, so that most windows have equals.
        #[test]
        fn windows_side_by_side_choose_as_any_others(
            kernel in [1_usize..4, 1_usize..4], extra in [0_usize..20, 0_usize..20], seed in any::<u64>(),
        ) {
            let pool = Pool2d { kind: PoolKind::Max, kernel, stride: kernel };
            let shape = [2, 1, 3, kernel[0] + extra[0], kernel[1] + extra[1]];
            let draw = |i: u64| crate::rng::counter_uniform(seed, i);
            let n = shape.iter().product::<usize>() as u64;
            let x = Tensor::new(&shape, (0..n).map(|i| (4.0 * draw(i)).floor()).collect());
            let (want, best) = pool.greatest(&x);
            prop_assert_eq!(&forward(&pool, &[&x]), &want);
            let gy = want.map(|y| y + 0.5);
            let (g, mut gx) = (pool.geometry(&shape), Tensor::zeros(&shape));
            for_each_best(g, &best, |i, o| gx.as_mut_slice()[i] = gy.as_slice()[o]);
            prop_assert_eq!(&backward(&pool, &[&x], &gy)[0], &gx);
            let dual = x.map(|x| Dual::<f32, 2>::variable(x, [-x, x]));
            prop_assert_eq!(forward(&pool, &[&dual]), pool.greatest(&dual).0);
        }
    }
}
