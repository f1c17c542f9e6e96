//! Input that stays the same over time, such as an image that is shown in every step.

use crate::scalar::Scalar;
use crate::tensor::Tensor;
use std::borrow::Cow;

/// How often an input `[T, …]` shows the same step. What an op computes from one step alone is then computed once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Still {
    repeats: usize,
}

impl Still {
    /// `T` repeats of the first step if all steps are equal, else one "repeat" of all.
    pub(super) fn of<S: Scalar>(x: &Tensor<S>) -> Self {
        let (shape, x) = (x.shape(), x.as_slice());
        let steps = if shape.len() > 1 { shape[0] } else { 1 };
        let is_still = steps > 1 && !x.is_empty() && {
            let (first, rest) = x.split_at(x.len() / steps);
            rest.chunks(first.len()).all(|step| step == first)
        };
        Self { repeats: if is_still { steps } else { 1 } }
    }

    /// What has to be computed of `x`, or of anything else that has the same steps.
    pub(super) fn once<V>(self, x: &[V]) -> &[V] {
        &x[..x.len() / self.repeats]
    }

    /// All steps of what was computed once.
    pub(super) fn repeat<V: Copy>(self, once: Vec<V>) -> Vec<V> {
        if self.repeats == 1 { once } else { once.repeat(self.repeats) }
    }

    /// The gradient of what was computed once, given that of all steps: their sum.
    pub(super) fn sum<S: Scalar>(self, gy: &[S]) -> Cow<'_, [S]> {
        if self.repeats == 1 {
            return Cow::Borrowed(gy);
        }
        let (first, rest) = gy.split_at(gy.len() / self.repeats);
        let mut sum = first.to_vec();
        for step in rest.chunks(first.len().max(1)) {
            sum.iter_mut().zip(step).for_each(|(s, &v)| *s += v);
        }
        Cow::Owned(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::conv::{Conv, ConvShape};
    use crate::op::Op;
    use crate::ops::testing::{backward, forward};
    use crate::ops::{Conv2d, Conv2dMaxPool, Linear, Pool2d, PoolKind};

    fn numbers(shape: &[usize], seed: u64) -> Tensor<f64> {
        let n = shape.iter().map(|&n| n as u64).product();
        Tensor::new(shape, (0..n).map(|i| f64::from(crate::rng::counter_uniform(seed, i)) - 0.5).collect())
    }

    /// The op on three equal steps, against three calls with one step each.
    fn assert_equals_steps_apart(op: &dyn Op<f64>, step: &[usize], w: &Tensor<f64>, b: &Tensor<f64>) {
        let of = |steps: usize| [&[steps], step].concat();
        let one = numbers(&of(1), 1);
        let all = Tensor::new(&of(3), one.as_slice().repeat(3));
        let y = forward(op, &[&one, w, b]);
        assert_eq!(forward(op, &[&all, w, b]).as_slice(), y.as_slice().repeat(3));
        let gy = numbers(&[&[3], &y.shape()[1..]].concat(), 4);
        let [gx, gw, gb] = backward(op, &[&all, w, b], &gy).try_into().unwrap();
        let mut want = [vec![], vec![0.0; gw.len()], vec![0.0; gb.len()]];
        for gy in gy.as_slice().chunks(y.len()) {
            let [x, w, b] =
                backward(op, &[&one, w, b], &Tensor::new(y.shape(), gy.to_vec())).try_into().unwrap();
            want[0].extend_from_slice(x.as_slice());
            want[1].iter_mut().zip(w.as_slice()).for_each(|(sum, g)| *sum += g);
            want[2].iter_mut().zip(b.as_slice()).for_each(|(sum, g)| *sum += g);
        }
        for (got, want) in [gx, gw, gb].iter().zip(want) {
            snn_testkit::assert_close(op.name(), got.as_slice(), &want, 1e-12, 1e-12);
        }
    }

    #[test]
    fn an_image_shown_thrice_is_three_images() {
        let conv = Conv::from(ConvShape {
            c_in: 2,
            input: [6, 5],
            c_out: 3,
            kernel: [3, 2],
            stride: [1, 1],
            padding: [1, 0],
            dilation: [1, 1],
            groups: 1,
        });
        let fused = Conv2dMaxPool::fuse(&conv, &Pool2d::square(PoolKind::Max, 2)).unwrap();
        let (w, b) = (numbers(&[3, 2, 3, 2], 2), numbers(&[3], 3));
        let convs: [&dyn Op<f64>; 2] = [&Conv2d::new(conv), &fused];
        convs.into_iter().for_each(|op| assert_equals_steps_apart(op, &[2, 2, 6, 5], &w, &b));
        assert_equals_steps_apart(&Linear, &[2, 4], &numbers(&[4, 3], 2), &b);
    }

    #[test]
    fn equal_steps_are_taken_once_and_their_gradients_summed() {
        let still = Still::of(&Tensor::new(&[3, 2], vec![1.0, 2.0, 1.0, 2.0, 1.0, 2.0]));
        assert_eq!(still.once(&[1, 2, 1, 2, 1, 2]), [1, 2]);
        assert_eq!(still.repeat(vec![7, 8]), [7, 8, 7, 8, 7, 8]);
        assert_eq!(still.sum(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])[..], [9.0, 12.0]);
    }

    #[test]
    fn steps_that_differ_are_all_taken() {
        for x in [vec![1.0, 2.0, 1.0, 2.5], vec![f64::NAN; 4]] {
            let still = Still::of(&Tensor::new(&[2, 2], x));
            assert_eq!(still.once(&[1, 2, 3, 4]), [1, 2, 3, 4]);
            assert_eq!(still.repeat(vec![7, 8]), [7, 8]);
            assert_eq!(still.sum(&[1.0, 2.0])[..], [1.0, 2.0]);
        }
    }

    #[test]
    fn nothing_and_a_single_row_are_not_still() {
        for x in [Tensor::new(&[2, 0], vec![]), Tensor::new(&[2], vec![1.0, 1.0])] {
            assert_eq!(Still::of(&x).once(x.as_slice()), x.as_slice());
        }
    }
}
