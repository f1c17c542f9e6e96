//! Sums beyond what `f32` holds exactly, as two sums below it.
//!
//! A code is `low + 2^shift · high` with parts of half its bits. Each part goes through ordinary products, pools and
//! layers, whose sums stay below 2^24 and so are exact; neurons put both together in integers. Gradients by weights come
//! through the low part alone, gradients by inputs through both.

use super::codes::real;
use crate::BitWidth;
use crate::num::exp2;
use snn_core::op::{Backward, Op, Saved, SynOps};
use snn_core::ops::{Pool2d, PoolKind};
use snn_core::{Exec, Scalar, Tensor};

/// How codes are divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Split {
    shift: u32,
}

/// Which part of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Whole,
    Low(Split),
    High(Split),
}

impl Split {
    /// In the middle of codes of these bits.
    pub(super) fn of(bits: BitWidth) -> Self {
        Self { shift: bits.get().div_ceil(2) }
    }

    /// `[low, high]`, of which the low one has a magnitude of at most `2^(shift − 1)`.
    pub(super) fn parts(self, code: i32) -> [i32; 2] {
        let high = (code + ((1 << self.shift) >> 1)) >> self.shift;
        [code - (high << self.shift), high]
    }

    /// The number that the parts make up, in 32 bits as the engine sums.
    pub(super) fn join(self, low: i32, high: i32) -> i32 {
        low.wrapping_add(high.wrapping_shl(self.shift))
    }

    /// What a high part of 1 counts.
    pub(super) fn unit<S: Scalar>(self) -> S {
        S::constant(real(exp2(self.shift.cast_signed())))
    }
}

impl Part {
    /// This part of a code.
    pub(super) fn of(self, code: i32) -> i32 {
        match self {
            Self::Whole => code,
            Self::Low(split) => split.parts(code)[0],
            Self::High(split) => split.parts(code)[1],
        }
    }
}

/// What flows from op to op: values, or sums in two parts.
#[derive(Debug, Clone)]
pub(super) struct Sums<V> {
    /// All of it, or the low part.
    pub(super) low: V,
    pub(super) high: Option<(Split, V)>,
}

impl<V> Sums<V> {
    pub(super) fn whole(value: V) -> Self {
        Self { low: value, high: None }
    }

    /// Both parts through the same function.
    pub(super) fn map(&self, mut f: impl FnMut(&V) -> V) -> Self {
        Self { low: f(&self.low), high: self.high.as_ref().map(|(split, high)| (*split, f(high))) }
    }

    /// The sums of windows, or the greatest of each.
    pub(super) fn pool<E: Exec<Value = V>>(&self, e: &mut E, pool: Pool2d) -> Self {
        match &self.high {
            Some((split, high)) if pool.kind == PoolKind::Max => {
                let mut greatest =
                    |part| e.apply(Box::new(GreatestPart { pool, split: *split, part }), &[&self.low, high]);
                Self { low: greatest(Part::Low(*split)), high: Some((*split, greatest(Part::High(*split)))) }
            }
            _ => self.map(|part| e.apply(Box::new(pool), &[part])),
        }
    }
}

/// A part of the greatest sum of each window.
///
/// Inputs: low and high parts `[T, B, C, H, W]`. Output: for each window the part, low or high, of the entry whose sum is
/// the greatest, the first of equals. Backward: each window's gradient goes to that part of its entry. Saved: the index of
/// the entry within its frame.
#[derive(Debug, Clone, Copy)]
struct GreatestPart {
    pool: Pool2d,
    split: Split,
    part: Part,
}

impl GreatestPart {
    /// Which of the inputs is passed on.
    fn input(self) -> usize {
        usize::from(matches!(self.part, Part::High(_)))
    }
}

/// The entries that `indices` name, each within the frame of its window, in the tensor that has these frames.
fn entries(indices: &[u32], shape: &[usize], n_out: usize) -> impl Iterator<Item = usize> {
    let frame = shape[3] * shape[4];
    let per_frame = indices.len() / (n_out.max(1));
    indices.iter().enumerate().map(move |(o, &i)| o / per_frame.max(1) * frame + i as usize)
}

impl<S: Scalar> Op<S> for GreatestPart {
    fn name(&self) -> &'static str {
        "greatest_part"
    }

    fn forward(&self, x: &[&Tensor<S>], saved: &mut Saved<S>) -> Tensor<S> {
        let unit = self.split.unit::<f64>();
        let sums = x[0].as_slice().iter().zip(x[1].as_slice());
        let sums = Tensor::new(x[0].shape(), sums.map(|(l, h)| l.to_f64() + unit * h.to_f64()).collect());
        let (pooled, best) = self.pool.greatest(&sums);
        let (from, n_frames) = (x[self.input()].as_slice(), sums.shape()[..3].iter().product());
        let values = entries(&best, sums.shape(), n_frames).map(|i| from[i]).collect();
        saved.put_indices(best);
        Tensor::new(pooled.shape(), values)
    }

    fn backward(&self, ctx: &Backward<'_, S>) -> Vec<Option<Tensor<S>>> {
        let shape = ctx.x[0].shape();
        let mut grads = vec![None, None];
        grads[self.input()] = ctx.grad(self.input(), || {
            let mut gx = Tensor::zeros(shape);
            let places = entries(ctx.saved.indices(), shape, shape[..3].iter().product());
            let out = gx.as_mut_slice();
            places.zip(ctx.gy.as_slice()).for_each(|(i, &g)| out[i] += g);
            gx
        });
        grads
    }
}

/// The product with the high parts: the operations are those of the low one, counted there.
#[derive(Debug)]
pub(super) struct HighProduct<S: Scalar>(pub(super) Box<dyn Op<S>>);

impl<S: Scalar> Op<S> for HighProduct<S> {
    fn name(&self) -> &'static str {
        "high_product"
    }

    fn forward(&self, x: &[&Tensor<S>], saved: &mut Saved<S>) -> Tensor<S> {
        self.0.forward(x, saved)
    }

    fn backward(&self, ctx: &Backward<'_, S>) -> Vec<Option<Tensor<S>>> {
        self.0.backward(ctx)
    }

    fn synops(&self, _x: &[&Tensor<S>]) -> SynOps {
        SynOps::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parts_are_small_and_make_up_the_code(bits in 1_u32..=16, pick in any::<i16>()) {
            let bits = BitWidth::new(bits).unwrap();
            let code = i32::from(pick) >> (16 - bits.get());
            let split = Split::of(bits);
            let [low, high] = split.parts(code);
            prop_assert_eq!(split.join(low, high), code);
            let half = 1 << (split.shift - 1);
            prop_assert!(low.abs() <= half && high.abs() <= half, "{low} {high}");
        }

        /// Two sums, each exact in `f32`, against one in 64 bits.
        #[test]
        fn the_greatest_of_windows_is_found_by_both_parts(picks in prop::collection::vec(-40_i32..40, 24), far in any::<bool>()) {
            let split = Split { shift: 8 };
            let unit = if far { 1 << 20 } else { 3 };
            let sums: Vec<i32> = picks.iter().map(|p| p * unit + p % 3).collect();
            let part = |k: usize| sums.iter().map(|&s| split.parts(s)[k] as f32).collect();
            let [low, high] = [0, 1].map(|k| Tensor::<f32>::new(&[1, 1, 2, 3, 4], part(k)));
            let pool = Pool2d { kind: PoolKind::Max, kernel: [2, 2], stride: [1, 2] };
            let mut e = snn_core::exec::Eager::<f32>::new();
            let pooled = Sums { low, high: Some((split, high)) }.pool(&mut e, pool);
            let (_, high) = pooled.high.unwrap();
            for c in 0..2 {
                for oy in 0..2 {
                    for ox in 0..2 {
                        let at = |y: usize, x: usize| sums[c * 12 + (oy + y) * 4 + 2 * ox + x];
                        let want = at(0, 0).max(at(0, 1)).max(at(1, 0)).max(at(1, 1));
                        let o = c * 4 + oy * 2 + ox;
                        let whole = |v: f32| crate::num::whole_to_i32(v);
                        prop_assert_eq!(split.join(whole(pooled.low.as_slice()[o]), whole(high.as_slice()[o])), want);
                    }
                }
            }
        }
    }

    #[test]
    fn gradients_go_to_the_part_of_the_greatest() {
        let split = Split { shift: 8 };
        let tensor = |v: &[f64]| Tensor::new(&[1, 1, 1, 2, 2], v.to_vec());
        let x = [tensor(&[100.0, -3.0, 0.0, 5.0]), tensor(&[0.0, 1.0, 0.0, 0.0])];
        let gy = Tensor::new(&[1, 1, 1, 1, 1], vec![2.0]);
        for part in [Part::Low(split), Part::High(split)] {
            let op = GreatestPart { pool: Pool2d::square(PoolKind::Max, 2), split, part };
            let mut saved = Saved::keeping();
            let y = op.forward(&[&x[0], &x[1]], &mut saved);
            let ctx = Backward { x: &[&x[0], &x[1]], y: &y, saved: &saved, gy: &gy, need: &[true; 2] };
            let grads = op.backward(&ctx);
            assert_eq!(grads[op.input()], Some(tensor(&[0.0, 2.0, 0.0, 0.0])));
            assert_eq!(grads[1 - op.input()], None);
        }
    }
}
