//! Membrane quantizers as state maps of a neuron scan.

use crate::uniform::ClipGrad;
use crate::{DrawPosition, Grid, LevelTable, Rounding, StateSpec, Variables};
use snn_core::neuron::{self, Site, StateMap};
use snn_core::{Real, Scalar};
use std::sync::Arc;

/// Values that are mapped at a time: they and their levels stay in the first-level cache.
const BLOCK: usize = 256;

/// The levels that a membrane can take.
#[derive(Debug, Clone, PartialEq)]
pub enum StateLevels {
    /// Evenly spaced multiples of a step.
    Grid(Grid),
    /// A table.
    Table(LevelTable),
}

impl StateLevels {
    /// The level of a membrane.
    #[must_use]
    pub fn nearest(&self, mem: f32) -> f32 {
        match self {
            Self::Grid(grid) => grid.fake_quant(mem),
            Self::Table(table) => table.nearest(mem),
        }
    }

    /// Whether a membrane lies between the lowest and the highest level, where the gradient mask lets gradients pass.
    #[must_use]
    pub fn contains(&self, mem: f32) -> bool {
        match self {
            Self::Grid(grid) => grid.contains(mem),
            Self::Table(table) => table.contains(mem),
        }
    }

    /// All levels, rising.
    #[must_use]
    pub fn values(&self) -> Vec<f32> {
        match self {
            Self::Grid(grid) => {
                (grid.codes().min()..=grid.codes().max()).map(|code| grid.value(code)).collect()
            }
            Self::Table(table) => table.levels().to_vec(),
        }
    }

    /// Replaces each membrane by its level; stochastic rounding is for grids only.
    fn quantize(&self, mem: &mut [f32], rounding: Rounding, at: DrawPosition) {
        match self {
            Self::Grid(grid) => grid.round_slice(mem, rounding, at),
            Self::Table(table) => table.quantize(mem),
        }
    }
}

/// Quantizes the state of a neuron in every time step, with a straight-through gradient.
#[derive(Debug, Clone)]
pub struct StateQuantMap {
    levels: Arc<StateLevels>,
    placement: neuron::Placement,
    variables: Variables,
    clip_grad: ClipGrad,
    rounding: Rounding,
    /// Step of the run, for stochastic rounding; `None` rounds to nearest.
    step: Option<u64>,
}

impl StateQuantMap {
    /// The map of a specification whose levels were found; `step` numbers the pass for stochastic rounding.
    #[must_use]
    pub fn new(spec: &StateSpec, levels: Arc<StateLevels>, step: Option<u64>) -> Self {
        Self {
            levels,
            placement: spec.placement.into(),
            variables: spec.variables,
            clip_grad: spec.clip_grad(),
            rounding: spec.rounding(),
            step,
        }
    }

    /// The same map onto other levels.
    pub(crate) fn with_levels(&self, levels: Arc<StateLevels>) -> Self {
        Self { levels, ..self.clone() }
    }

    pub(crate) fn acts_on(&self, site: Site) -> bool {
        self.variables == Variables::All || site.state == 0
    }

    /// The rounding of values from number `first` on of the site.
    fn round(&self, site: Site, first: usize, values: &mut [f32]) {
        match self.step {
            None => self.levels.quantize(values, Rounding::Nearest, DrawPosition::default()),
            Some(step) => {
                // One stream for each pass, state variable and time step.
                let part = snn_core::rng::mix(site.step as u64 ^ (site.state as u64) << 32);
                let at = DrawPosition { step: step ^ part, first_index: (site.offset + first) as u64 };
                self.levels.quantize(values, self.rounding, at);
            }
        }
    }

    fn slope(&self, v: f32) -> f32 {
        if self.clip_grad == ClipGrad::Pass || self.levels.contains(v) { 1.0 } else { 0.0 }
    }
}

impl<S: Scalar> StateMap<S> for StateQuantMap {
    fn placement(&self) -> neuron::Placement {
        self.placement
    }

    fn apply(&self, site: Site, state: &mut [S]) {
        if !self.acts_on(site) {
            return;
        }
        let mut buffer = [0.0; BLOCK];
        for (k, block) in state.chunks_mut(BLOCK).enumerate() {
            let levels = &mut buffer[..block.len()];
            levels.iter_mut().zip(block.iter()).for_each(|(level, &u)| *level = value(u));
            self.round(site, k * BLOCK, levels);
            for (u, &level) in block.iter_mut().zip(levels.iter()) {
                let slope = if S::IS_REAL { 1.0 } else { self.slope(value(*u)) };
                *u = u.jet(real(level), real(slope));
            }
        }
    }

    fn is_straight_through(&self) -> bool {
        self.clip_grad == ClipGrad::Pass
    }

    fn backward(&self, site: Site, before: &[S], g: &mut [S]) {
        if self.clip_grad == ClipGrad::Pass || !self.acts_on(site) {
            return;
        }
        match &*self.levels {
            StateLevels::Grid(grid) => mask(before, g, |u| grid.contains(u)),
            StateLevels::Table(table) => {
                let (lowest, highest) = table.ends();
                mask(before, g, |u| lowest <= u && u <= highest);
            }
        }
    }
}

/// Zeros the gradients of values that do not lie within.
fn mask<S: Scalar>(before: &[S], g: &mut [S], is_within: impl Fn(f32) -> bool) {
    for (g, &u) in g.iter_mut().zip(before) {
        *g = if is_within(value(u)) { *g } else { S::ZERO };
    }
}

impl From<crate::Placement> for neuron::Placement {
    fn from(placement: crate::Placement) -> Self {
        match placement {
            crate::Placement::BeforeSpike => Self::BeforeSpike,
            crate::Placement::OnStore => Self::OnStore,
        }
    }
}

fn value<S: Scalar>(u: S) -> f32 {
    f32::of_f64(u.to_f64())
}

fn real<R: Real>(v: f32) -> R {
    R::of_f64(f64::from(v))
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "levels are compared exactly")]
mod tests {
    use super::*;
    use crate::{BitWidth, FixedPointSpec, LevelSpec, Spacing, StateQuantizer, Variant};
    use snn_core::Tensor;
    use snn_core::neuron::{CubaLif, Lif, NeuronOp, Scan};

    fn bits(b: u32) -> BitWidth {
        BitWidth::new(b).unwrap()
    }

    fn map_of(spec: &StateSpec) -> StateQuantMap {
        StateQuantMap::new(spec, Arc::new(spec.found_levels().unwrap()), None)
    }

    fn map(clip_grad: ClipGrad) -> StateQuantMap {
        map_of(
            &StateQuantizer::FixedPoint(FixedPointSpec { clip_grad, ..FixedPointSpec::new(bits(4)) }).into(),
        )
    }

    /// The membrane of an snnTorch neuron without input, after 30 steps.
    fn at_rest(spec: LevelSpec) -> f32 {
        let scan: Box<dyn NeuronOp<f32>> = Box::new(Scan::new(Lif::snntorch(0.9)));
        let scan = scan.with_state_map(Arc::new(map_of(&StateSpec::levels(spec))));
        let run = scan.trajectory(&[&Tensor::zeros(&[30, 1, 1])]);
        assert!(run.spikes.as_slice().iter().all(|&s| s == 0.0));
        run.last.variables[0][0]
    }

    const SPACINGS: [Spacing; 3] = [Spacing::Uniform, Spacing::ThresholdCentered, Spacing::ZeroCentered];

    #[test]
    fn a_zero_exact_membrane_rests_and_a_compatible_one_does_not() {
        for spacing in SPACINGS {
            for b in 1..=8 {
                let compat = LevelSpec { spacing, ..LevelSpec::new(bits(b)) };
                let exact = LevelSpec { variant: Variant::ZeroExact, ..compat };
                assert_eq!(at_rest(exact), 0.0, "{spacing:?} {b}");
                let drifted = at_rest(compat);
                assert!(drifted != 0.0 && drifted == compat.table().unwrap().nearest(0.0), "{spacing:?} {b}");
            }
        }
    }

    #[test]
    fn the_synaptic_current_is_quantized_unless_only_the_membrane_is_asked_for() {
        let neuron = CubaLif { alpha: 0.8, beta: 0.9, firing: Lif::snntorch(0.9).firing };
        let input = Tensor::new(&[6, 1, 1], vec![0.31_f32, 0.1, 0.02, 0.7, 0.0, 0.11]);
        for (variables, want) in [(Variables::All, true), (Variables::Membrane, false)] {
            let spec = StateSpec { variables, ..StateSpec::levels(LevelSpec::new(bits(3))) };
            let levels = spec.found_levels().unwrap().values();
            for recurrent in [false, true] {
                let scan = Scan::<_, f32, 2>::new(neuron);
                let scan: Box<dyn NeuronOp<f32>> =
                    if recurrent { Box::new(scan.recurrent()) } else { Box::new(scan) };
                let scan = scan.with_state_map(Arc::new(map_of(&spec)));
                let (weight, bias) = (Tensor::full(&[1, 1], 0.3), Tensor::zeros(&[1]));
                let x: &[&Tensor<f32>] = &[&input, &weight, &bias];
                let run = scan.trajectory(if recurrent { x } else { &x[..1] });
                let [mem, syn] = [0, 1].map(|k: usize| run.last.variables[k][0]);
                assert!(levels.contains(&mem));
                assert_eq!(levels.contains(&syn), want, "{syn}");
            }
        }
    }

    #[test]
    fn every_stored_membrane_is_a_level_and_a_resting_one_stays_at_rest() {
        let levels = map(ClipGrad::Pass).levels;
        let scan = Box::new(Scan::<_, f32, 1>::new(Lif { beta: 0.9, ..Lif::lui_neftci(0.9) }));
        let scan = neuron::NeuronOp::with_state_map(scan, std::sync::Arc::new(map(ClipGrad::Pass)));
        let input: Vec<f32> = (0..60).map(|i| if i < 40 { 0.0 } else { -0.21 }).collect();
        let run = scan.trajectory(&[&Tensor::new(&[60, 1, 1], input)]);
        assert!(run.states[0].as_slice()[..40].iter().all(|&u| u == 0.0));
        let last = run.last.variables[0][0];
        assert_eq!(levels.nearest(last), last);
        assert_eq!(last, -1.0);
    }

    #[test]
    fn the_mask_stops_gradients_of_saturated_membranes() {
        let site = Site { state: 0, step: 0, offset: 0 };
        for (clip_grad, want) in [(ClipGrad::Pass, [1.0, 1.0]), (ClipGrad::Zero, [1.0, 0.0])] {
            let mut g = [1.0_f32; 2];
            StateMap::<f32>::backward(&map(clip_grad), site, &[0.4, 1.3], &mut g);
            assert_eq!(g, want);
        }
    }
}
