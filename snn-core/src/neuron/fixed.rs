//! LIF neurons whose rules are known when compiling, so that the loops over neurons vectorize.

use super::Dynamics;
use super::firing::{Firing, Reset, ResetGrad, ResetTime, SpikeForward, SpikeWhen};
use super::lif::Lif;
use super::scan::{NeuronOp, Scan};
use crate::scalar::Scalar;
use crate::surrogate::Surrogate;
use std::fmt::Debug;
use std::marker::PhantomData;

/// The op that runs `lif` over time: compiled for its rules where these are among the usual ones.
pub(crate) fn scan<S: Scalar>(lif: Lif) -> Box<dyn NeuronOp<S>> {
    // Dual numbers are not worth the time to compile.
    if S::IS_REAL {
        if let Some(lif) = Fixed::<SnnTorch>::of(lif) {
            return Box::new(Scan::new(lif));
        }
        if let Some(lif) = Fixed::<LuiNeftci>::of(lif) {
            return Box::new(Scan::new(lif));
        }
        if let Some(lif) = Fixed::<SpikingJelly>::of(lif) {
            return Box::new(Scan::new(lif));
        }
    }
    Box::new(Scan::new(lif))
}

/// The rules of a [`Firing`] as constants.
trait Rules: Copy + Debug + Send + Sync + 'static {
    /// The spike test, the reset, when it acts and which derivative it has.
    const RULES: (SpikeWhen, Reset, ResetTime, ResetGrad);

    /// The surrogate of this kind, with the number of `surrogate` if that is of this kind too.
    fn surrogate(surrogate: Surrogate) -> Surrogate;

    /// `firing` with these rules in place of its own; the numbers stay.
    #[inline(always)]
    fn fix(firing: Firing) -> Firing {
        let (spike_when, reset, reset_time, reset_grad) = Self::RULES;
        Firing {
            threshold: firing.threshold,
            spike_when,
            reset,
            reset_time,
            reset_grad,
            surrogate: Self::surrogate(firing.surrogate),
            forward: SpikeForward::Hard,
        }
    }
}

#[inline(always)]
fn atan(surrogate: Surrogate) -> Surrogate {
    let Surrogate::Atan { alpha } = surrogate else { return Surrogate::Atan { alpha: 2.0 } };
    Surrogate::Atan { alpha }
}

/// Those of [`Lif::snntorch`].
#[derive(Clone, Copy, Debug)]
struct SnnTorch;

impl Rules for SnnTorch {
    const RULES: (SpikeWhen, Reset, ResetTime, ResetGrad) =
        (SpikeWhen::Above, Reset::Subtract, ResetTime::NextStep, ResetGrad::Detached);

    #[inline(always)]
    fn surrogate(surrogate: Surrogate) -> Surrogate {
        atan(surrogate)
    }
}

/// Those of [`Lif::lui_neftci`].
#[derive(Clone, Copy, Debug)]
struct LuiNeftci;

impl Rules for LuiNeftci {
    const RULES: (SpikeWhen, Reset, ResetTime, ResetGrad) =
        (SpikeWhen::Above, Reset::Zero, ResetTime::NextStep, ResetGrad::Detached);

    #[inline(always)]
    fn surrogate(surrogate: Surrogate) -> Surrogate {
        let Surrogate::Boxcar { width } = surrogate else { return Surrogate::Boxcar { width: 0.5 } };
        Surrogate::Boxcar { width }
    }
}

/// Those of [`Lif::spikingjelly`].
#[derive(Clone, Copy, Debug)]
struct SpikingJelly;

impl Rules for SpikingJelly {
    const RULES: (SpikeWhen, Reset, ResetTime, ResetGrad) =
        (SpikeWhen::AtOrAbove, Reset::Zero, ResetTime::SameStep, ResetGrad::Through);

    #[inline(always)]
    fn surrogate(surrogate: Surrogate) -> Surrogate {
        atan(surrogate)
    }
}

/// A [`Lif`] that has the rules `R`.
#[derive(Clone, Copy, Debug)]
struct Fixed<R> {
    lif: Lif,
    rules: PhantomData<R>,
}

impl<R: Rules> Fixed<R> {
    /// `lif`, if these are its rules.
    fn of(lif: Lif) -> Option<Self> {
        (R::fix(lif.firing) == lif.firing).then_some(Self { lif, rules: PhantomData })
    }

    /// The same neuron, with its rules in sight of the compiler.
    #[inline(always)]
    fn lif(&self) -> Lif {
        Lif { firing: R::fix(self.lif.firing), ..self.lif }
    }
}

impl<R: Rules> Dynamics<1> for Fixed<R> {
    fn name(&self) -> &'static str {
        self.lif.name()
    }

    #[inline(always)]
    fn integrate<S: Scalar>(&self, state: &mut [S; 1], cur: S) {
        self.lif().integrate(state, cur);
    }

    #[inline(always)]
    fn integrate_backward<S: Scalar>(&self, before: &[S; 1], g: &mut [S; 1]) -> S {
        self.lif().integrate_backward(before, g)
    }

    #[inline(always)]
    fn fire<S: Scalar>(&self, state: &mut [S; 1]) -> S {
        self.lif().fire(state)
    }

    #[inline(always)]
    fn fire_backward<S: Scalar>(&self, before: &[S; 1], g_out: S, g: &mut [S; 1]) {
        self.lif().fire_backward(before, g_out, g);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::{Backward, Op, Saved};
    use crate::tensor::Tensor;

    fn run(op: &dyn Op<f32>, x: &Tensor<f32>, gy: &Tensor<f32>) -> (Tensor<f32>, Vec<Option<Tensor<f32>>>) {
        let mut saved = Saved::keeping();
        let y = op.forward(&[x], &mut saved);
        let gx = op.backward(&Backward { x: &[x], y: &y, saved: &saved, gy, need: &[true] });
        (y, gx)
    }

    #[test]
    fn fixed_rules_give_the_same_bits() {
        let noise = |seed| {
            let draw = |i: u64| 2.0 * crate::rng::counter_uniform(seed, i) - 0.5;
            Tensor::new(&[6, 2, 37], (0..6 * 2 * 37).map(draw).collect())
        };
        let (x, gy) = (noise(1), noise(2));
        let cases = [
            (Lif::snntorch(0.9), true),
            (Lif::lui_neftci(0.8), true),
            (Lif::spikingjelly(2.0), true),
            (Lif::norse(0.5), false),
        ];
        for (lif, is_fixed) in cases {
            let op = scan::<f32>(lif);
            assert_eq!(format!("{op:?}").contains("Fixed"), is_fixed, "{lif:?}");
            let (y, gx) = run(&*op, &x, &gy);
            let (want_y, want_gx) = run(&Scan::new(lif), &x, &gy);
            assert!(y.as_slice().contains(&1.0) && y == want_y && gx == want_gx, "{lif:?}");
        }
    }
}
