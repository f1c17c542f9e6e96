//! LIF neurons whose rules are known when compiling, so that the loops over neurons vectorize.

use super::Dynamics;
use super::firing::{Firing, Reset, ResetGrad, ResetTime, SpikeForward, SpikeWhen};
use super::lif::Lif;
use super::scan::{NeuronOp, Scan};
use crate::scalar::Scalar;
use crate::surrogate::Surrogate;
use std::fmt::Debug;
use std::marker::PhantomData;

/// Evaluates `$op` with `$neuron` as `$lif`, compiled for its rules where these are among the usual ones.
macro_rules! with_fixed_rules {
    ($lif:expr, $neuron:ident => $op:expr) => {
        with_fixed_rules!(
            $lif, $neuron => $op;
            SnnTorch, LuiNeftci, SpikingJelly, SoftSpikingJelly, Norse, SoftNorse
        )
    };
    ($lif:expr, $neuron:ident => $op:expr; $($rules:ty),+) => {{
        $(if let Some($neuron) = Fixed::<$rules>::of($lif) {
            return $op;
        })+
        let $neuron = $lif;
        $op
    }};
}

/// The op that runs `lif` over time.
pub(crate) fn scan<S: Scalar>(lif: Lif) -> Box<dyn NeuronOp<S>> {
    with_fixed_rules!(lif, neuron => Box::new(Scan::new(neuron)))
}

/// The op that runs `lif` over time with all-to-all recurrence.
pub(crate) fn recurrent_scan<S: Scalar>(lif: Lif) -> Box<dyn NeuronOp<S>> {
    with_fixed_rules!(lif, neuron => Box::new(Scan::new(neuron).recurrent()))
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

macro_rules! rules {
    ($($(#[$meta:meta])* $name:ident = [$when:ident, $reset:ident, $time:ident, $grad:ident],
        $kind:ident { $number:ident: $usual:literal };)+) => {
        $($(#[$meta])*
        #[derive(Clone, Copy, Debug)]
        struct $name;

        impl Rules for $name {
            const RULES: (SpikeWhen, Reset, ResetTime, ResetGrad) =
                (SpikeWhen::$when, Reset::$reset, ResetTime::$time, ResetGrad::$grad);

            #[inline(always)]
            fn surrogate(surrogate: Surrogate) -> Surrogate {
                let $number = if let Surrogate::$kind { $number } = surrogate { $number } else { $usual };
                Surrogate::$kind { $number }
            }
        })+
    };
}

rules! {
    /// Those of [`Lif::snntorch`].
    SnnTorch = [Above, Subtract, NextStep, Detached], Atan { alpha: 2.0 };
    /// Those of [`Lif::lui_neftci`].
    LuiNeftci = [Above, Zero, NextStep, Detached], Boxcar { width: 0.5 };
    /// Those of [`Lif::spikingjelly`].
    SpikingJelly = [AtOrAbove, Zero, SameStep, Through], Atan { alpha: 2.0 };
    /// `SpikingJelly`'s with `v_reset=None` and `detach_reset=True`.
    SoftSpikingJelly = [AtOrAbove, Subtract, SameStep, Detached], Atan { alpha: 2.0 };
    /// Those of [`Lif::norse`].
    Norse = [Above, Zero, SameStep, Through], FastSigmoid { slope: 1.0 };
    /// Norse's with a soft reset.
    SoftNorse = [Above, Subtract, SameStep, Through], FastSigmoid { slope: 1.0 };
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
    use crate::neuron::{Placement, Site, StateMap};
    use crate::op::{Backward, Saved};
    use crate::scalar::Dual;
    use crate::tensor::Tensor;
    use std::sync::Arc;

    const SHAPE: [usize; 3] = [6, 2, 37];

    /// Rounds to quarters; the gradient passes within one of zero.
    #[derive(Debug)]
    struct Quarters(Placement);

    impl StateMap<f32> for Quarters {
        fn placement(&self) -> Placement {
            self.0
        }
        fn apply(&self, _: Site, state: &mut [f32]) {
            state.iter_mut().for_each(|s| *s = (*s * 4.0).round_ties_even() / 4.0);
        }
        fn backward(&self, _: Site, before: &[f32], g: &mut [f32]) {
            g.iter_mut().zip(before).for_each(|(g, b)| *g = if b.abs() < 1.0 { *g } else { 0.0 });
        }
    }

    fn noise(shape: &[usize], seed: u64) -> Tensor<f32> {
        let n = shape.iter().product::<usize>() as u64;
        Tensor::new(shape, (0..n).map(|i| 2.0 * crate::rng::counter_uniform(seed, i) - 0.5).collect())
    }

    /// Output, saved states and gradients.
    fn run(
        op: &dyn NeuronOp<f32>,
        x: &[&Tensor<f32>],
    ) -> (Tensor<f32>, Tensor<f32>, Vec<Option<Tensor<f32>>>) {
        let mut saved = Saved::keeping();
        let y = op.forward(x, &mut saved);
        let (gy, need) = (noise(&SHAPE, 2), vec![true; x.len()]);
        let gx = op.backward(&Backward { x, y: &y, saved: &saved, gy: &gy, need: &need });
        (y, saved.tensor(0).clone(), gx)
    }

    type Make<'a> = &'a dyn Fn() -> Box<dyn NeuronOp<f32>>;

    fn assert_same(fixed: Make<'_>, general: Make<'_>, x: &[&Tensor<f32>]) {
        assert!(format!("{:?}", fixed()).contains("Fixed"), "{:?}", general());
        let got = run(&*fixed(), x);
        assert!(got.0.as_slice().contains(&1.0) && got == run(&*general(), x), "{:?}", general());
        for placement in [Placement::BeforeSpike, Placement::OnStore] {
            let [fixed, general] =
                [fixed(), general()].map(|op| op.with_state_map(Arc::new(Quarters(placement))));
            assert!(run(&*fixed, x) == run(&*general, x), "{general:?}");
        }
    }

    fn soft(lif: Lif, reset_grad: ResetGrad) -> Lif {
        Lif { firing: Firing { reset: Reset::Subtract, reset_grad, ..lif.firing }, ..lif }
    }

    #[test]
    fn fixed_rules_give_the_same_bits() {
        let (cur, bias) = (noise(&SHAPE, 1), noise(&[37], 3));
        let weight = noise(&[37, 37], 4).map(|w| 0.2 * w);
        for lif in [
            Lif::snntorch(0.9),
            Lif::lui_neftci(0.8),
            Lif::spikingjelly(2.0),
            soft(Lif::spikingjelly(2.0), ResetGrad::Detached),
            Lif::norse(0.5),
            soft(Lif::norse(0.5), ResetGrad::Through),
        ] {
            assert_same(&|| scan(lif), &|| Box::new(Scan::new(lif)), &[&cur]);
            let general = || -> Box<dyn NeuronOp<f32>> { Box::new(Scan::new(lif).recurrent()) };
            assert_same(&|| recurrent_scan(lif), &general, &[&cur, &weight, &bias]);
        }
    }

    #[test]
    fn fixed_rules_give_the_same_tangents() {
        let dual = |seed: u64| {
            let planes = [0, 1, 2].map(|k| noise(&SHAPE, seed + k));
            let number = |i| Dual::variable(planes[0].as_slice()[i], [1, 2].map(|k| planes[k].as_slice()[i]));
            Tensor::new(&SHAPE, (0..planes[0].len()).map(number).collect())
        };
        let (x, gy) = (dual(11), dual(21));
        for lif in [Lif::snntorch(0.9), Lif::spikingjelly(2.0), soft(Lif::norse(0.5), ResetGrad::Through)] {
            let run = |op: &dyn NeuronOp<Dual<f32, 2>>| {
                let mut saved = Saved::keeping();
                let y = op.forward(&[&x], &mut saved);
                let gx = op.backward(&Backward { x: &[&x], y: &y, saved: &saved, gy: &gy, need: &[true] });
                (y, gx)
            };
            let fixed = scan(lif);
            assert!(format!("{fixed:?}").contains("Fixed"));
            assert!(run(&*fixed) == run(&Scan::new(lif)), "{lif:?}");
        }
    }

    #[test]
    fn other_rules_run_in_general_loops() {
        let lif = soft(Lif::snntorch(0.9), ResetGrad::Through);
        assert!(!format!("{:?}", scan::<f32>(lif)).contains("Fixed"));
    }
}
