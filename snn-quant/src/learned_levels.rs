//! Tables of levels whose ends, and whose crowding, training moves.
//!
//! A table has three learned numbers, all above 0: how far its lowest level lies below 0, how far its highest lies above the
//! threshold, and the multiplier of its steps. A level's code is held fixed while they move, as LSQ does for the step of an
//! even grid (Esser et al. 2020, arXiv:1902.08153, equation 3), which is carried over to uneven levels here: between
//! levels, what a membrane would be worth without rounding is interpolated.

use crate::levels::{LevelSpec, LevelTable, Spacing, Variant};
use crate::num::{count, to_f32};
use crate::state_quant::{StateLevels, StateQuantMap};
use crate::{BitWidth, QuantError};
use serde::{Deserialize, Serialize};
use snn_core::neuron::{Placement, Site, StateMap};
use snn_core::{Param, Role, Scalar, Tensor};
use std::sync::Arc;

/// What training moves of a table of levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Learn {
    /// Its lowest and its highest level.
    Range,
    /// These, and the multiplier of the steps where levels crowd.
    RangeAndSpacing,
}

impl LevelSpec {
    /// The learned numbers as a parameter of the neurons `name`: how far the lowest level lies below 0, how far the highest
    /// lies above the threshold, and the multiplier if it is learned; none where nothing is.
    #[must_use]
    pub fn learned(&self, name: &str) -> Option<Param> {
        let learn = self.learn?;
        let (lo, hi) = self.range();
        let values = [-lo, hi - self.threshold, self.multiplier()].map(to_f32);
        let values = &values[..learn.count()];
        let value = Tensor::new(&[values.len()], values.to_vec());
        Some(Param::new(format!("{name}.levels"), value, Role::StepSize))
    }

    /// The specification with learned numbers as they are, which no longer move.
    #[must_use]
    pub fn settled(self, learned: &[f32]) -> Self {
        let mut spec = Self { learn: None, ..self };
        if let [below, above, rest @ ..] = learned {
            spec.lower_limit = f64::from(*below) / self.threshold - 1.0;
            spec.upper_limit = f64::from(*above) / self.threshold;
            spec.multiplier = rest.first().map(|&m| f64::from(m)).or(self.multiplier);
        }
        spec
    }

    /// Whether there is room to move what is learned.
    pub(crate) fn check_learned(&self) -> Result<(), QuantError> {
        match self.learn {
            Some(Learn::RangeAndSpacing) if self.spacing == Spacing::Uniform => {
                Err(QuantError::LearnedEvenSpacing)
            }
            Some(_) if self.calibrate.is_none() && (self.lower_limit <= -1.0 || self.upper_limit <= 0.0) => {
                Err(QuantError::LearnedRange)
            }
            _ => Ok(()),
        }
    }

    /// The derivative of each level of `table`, which is this specification's, by the three numbers.
    fn slopes(&self, table: &LevelTable) -> Vec<Slope> {
        let n = table.levels().len();
        let mut slopes = match self.spacing {
            Spacing::Uniform => {
                even_slopes(n, table.zero_code().filter(|_| self.variant == Variant::ZeroExact))
            }
            Spacing::ThresholdCentered => self.crowded_slopes(self.threshold, n),
            Spacing::ZeroCentered => self.crowded_slopes(0.0, n),
        };
        if let (Variant::ZeroExact, Some(zero)) = (self.variant, table.zero_code()) {
            slopes[zero] = Slope::default();
        }
        slopes
    }

    /// See `crowded_around`: steps are powers of the multiplier, in the shares that the two sides have of their sums.
    fn crowded_slopes(&self, center: f64, n: usize) -> Vec<Slope> {
        let (lo, hi) = self.range();
        let n_below = self.n_below(center, n);
        let m = self.multiplier();
        let below = shares_of_powers(m, n_below)
            .into_iter()
            .map(|[share, slope]| [-(1.0 - share), 0.0, (center - lo) * slope]);
        // From the center on, the greatest powers come last: what is left of all when the smaller ones are taken away.
        let above = shares_of_powers(m, n - n_below)
            .into_iter()
            .rev()
            .map(|[share, slope]| [0.0, 1.0 - share, -(hi - center) * slope]);
        below.chain(above).collect()
    }
}

impl Learn {
    fn count(self) -> usize {
        match self {
            Self::Range => 2,
            Self::RangeAndSpacing => 3,
        }
    }
}

/// Derivatives by the three numbers.
type Slope = [f64; 3];

/// Even levels keep their share of the range; those with a zero their number of steps from it.
fn even_slopes(n: usize, zero: Option<usize>) -> Vec<Slope> {
    let steps = count(n - 1);
    let slope = |i: usize| match zero {
        Some(zero) => [(count(i) - count(zero)) / steps; 2],
        None => [count(i) / steps - 1.0, count(i) / steps],
    };
    (0..n).map(slope).map(|[below, above]| [below, above, 0.0]).collect()
}

/// For each `j` below `n`, the share that the powers of `m` below the `j`-th have of all `n`, and its derivative by `m`.
fn shares_of_powers(m: f64, n: usize) -> Vec<[f64; 2]> {
    let mut sums = vec![[0.0; 2]];
    for j in 0..n {
        let slope = if j == 0 { 0.0 } else { count(j) * m.powf(count(j) - 1.0) };
        let [sum, sum_slope] = sums[j];
        sums.push([sum + m.powf(count(j)), sum_slope + slope]);
    }
    let Some([all, all_slope]) = sums.pop() else { return Vec::new() };
    sums.into_iter()
        .map(|[part, slope]| [part / all, (slope * all - part * all_slope) / (all * all)])
        .collect()
}

/// A [`StateQuantMap`] whose levels come from learned numbers.
#[derive(Debug, Clone)]
pub(crate) struct LearnedMap {
    map: StateQuantMap,
    spec: LevelSpec,
}

impl LearnedMap {
    /// `map` is that of `spec` as it starts.
    pub(crate) fn new(map: StateQuantMap, spec: LevelSpec) -> Self {
        Self { map, spec }
    }

    /// The map for these numbers; none if they give no levels.
    fn bound<S: Scalar>(&self, params: &[S]) -> Option<BoundMap<S>> {
        let values: Vec<f32> = params.iter().map(|&p| to_f32(p.to_f64())).collect();
        let spec = self.spec.settled(&values);
        let table = spec.table().ok()?;
        let slopes = spec.slopes(&table);
        let map = self.map.with_levels(Arc::new(StateLevels::Table(table.clone())));
        Some(BoundMap { map, table, slopes, params: params.to_vec(), bits: spec.bits })
    }
}

impl<S: Scalar> StateMap<S> for LearnedMap {
    fn placement(&self) -> Placement {
        StateMap::<S>::placement(&self.map)
    }

    fn apply(&self, site: Site, state: &mut [S]) {
        self.map.apply(site, state);
    }

    fn backward(&self, site: Site, before: &[S], g: &mut [S]) {
        self.map.backward(site, before, g);
    }

    fn n_params(&self) -> usize {
        self.spec.learn.map_or(0, Learn::count)
    }

    fn bind(&self, params: &[S]) -> Option<Arc<dyn StateMap<S>>> {
        match self.bound(params) {
            Some(bound) => Some(Arc::new(bound)),
            None => Some(Arc::new(Diverged)),
        }
    }
}

/// A [`LearnedMap`] whose numbers are not finite: neither are its membranes, so that a diverged run shows in its loss.
#[derive(Debug)]
struct Diverged;

impl<S: Scalar> StateMap<S> for Diverged {
    fn placement(&self) -> Placement {
        Placement::BeforeSpike
    }

    fn apply(&self, _site: Site, state: &mut [S]) {
        state.fill(S::from_f64(f64::NAN));
    }

    fn backward(&self, _site: Site, _before: &[S], g: &mut [S]) {
        g.fill(S::from_f64(f64::NAN));
    }
}

/// A [`LearnedMap`] with its numbers.
#[derive(Debug)]
struct BoundMap<S> {
    map: StateQuantMap,
    table: LevelTable,
    slopes: Vec<Slope>,
    params: Vec<S>,
    bits: BitWidth,
}

impl<S> BoundMap<S> {
    /// The derivative of the level of `u` by the three numbers, its rounding passed straight through.
    fn slope(&self, u: f32) -> Slope {
        let (levels, code) = (self.table.levels(), self.table.code(u));
        if !self.table.contains(u) {
            return self.slopes[code];
        }
        if self.table.is_even() {
            let error = f64::from(levels[code] - u);
            return self.slopes_by_error().map(|slope| slope * error);
        }
        let upper = levels.partition_point(|&level| level <= u).clamp(1, levels.len() - 1);
        let (lo, hi) = (levels[upper - 1], levels[upper]);
        let share = if hi > lo { f64::from((u - lo) / (hi - lo)) } else { 0.0 };
        let between = |k: usize| (1.0 - share) * self.slopes[upper - 1][k] + share * self.slopes[upper][k];
        std::array::from_fn(|k| self.slopes[code][k] - between(k))
    }

    /// Within even levels, the derivatives over the rounding error.
    fn slopes_by_error(&self) -> Slope {
        let (lowest, highest) = self.table.ends();
        let (first, last) = (self.slopes[0], self.slopes[self.slopes.len() - 1]);
        std::array::from_fn(|k| (last[k] - first[k]) / f64::from(highest - lowest))
    }
}

impl<S: Scalar> BoundMap<S> {
    /// The sums over even levels, where within [`slope`](Self::slope) is the same multiple of the rounding error everywhere,
    /// and beyond each end constant.
    fn add_even_grads(&self, before: &[S], g: &[S], sums: &mut [S]) {
        let (lowest, highest) = self.table.ends();
        let mut parts = EvenSums::default();
        let mut buffer = [0.0; 256];
        for (before, g) in before.chunks(buffer.len()).zip(g.chunks(buffer.len())) {
            let nearest = &mut buffer[..before.len()];
            nearest.iter_mut().zip(before).for_each(|(q, &u)| *q = to_f32(u.to_f64()));
            self.table.quantize(nearest);
            parts.add(before, nearest, g, [lowest, highest]);
        }
        let [error, below, above] = parts.totals();
        let (first, last) = (self.slopes[0], self.slopes[self.slopes.len() - 1]);
        let by_error = self.slopes_by_error();
        for (k, sum) in sums.iter_mut().enumerate() {
            let [by_error, first, last] = [by_error[k], first[k], last[k]].map(S::from_f64);
            *sum += error * by_error + below * first + above * last;
        }
    }
}

/// Interleaved sums, which vectorize: of gradients times rounding errors within the levels, and of gradients below and above
/// them.
#[derive(Default)]
struct EvenSums<S> {
    error: [S; 16],
    below: [S; 16],
    above: [S; 16],
}

impl<S: Scalar> EvenSums<S> {
    fn add(&mut self, before: &[S], nearest: &[f32], g: &[S], [lowest, highest]: [f32; 2]) {
        let rows = before.chunks(16).zip(nearest.chunks(16)).zip(g.chunks(16));
        for ((before, nearest), g) in rows {
            for (i, ((&u, &q), &g)) in before.iter().zip(nearest).zip(g).enumerate() {
                let u = to_f32(u.to_f64());
                let (is_below, is_above) = (u < lowest, u > highest);
                let error = if is_below || is_above { 0.0 } else { q - u };
                self.error[i] += g * S::from_f64(f64::from(error));
                self.below[i] += if is_below { g } else { S::ZERO };
                self.above[i] += if is_above { g } else { S::ZERO };
            }
        }
    }

    fn totals(&self) -> [S; 3] {
        [&self.error, &self.below, &self.above].map(|parts| parts.iter().fold(S::ZERO, |sum, &v| sum + v))
    }
}

impl<S: Scalar> StateMap<S> for BoundMap<S> {
    fn placement(&self) -> Placement {
        StateMap::<S>::placement(&self.map)
    }

    fn apply(&self, site: Site, state: &mut [S]) {
        let before = if S::IS_REAL { Vec::new() } else { state.to_vec() };
        self.map.apply(site, state);
        if self.map.acts_on(site) {
            for (u, before) in state.iter_mut().zip(before) {
                let slope = self.slope(to_f32(before.to_f64()));
                for (&p, slope) in self.params.iter().zip(slope) {
                    *u += p.jet(S::ZERO.value(), S::from_f64(slope).value());
                }
            }
        }
    }

    fn backward(&self, site: Site, before: &[S], g: &mut [S]) {
        self.map.backward(site, before, g);
    }

    fn n_params(&self) -> usize {
        self.params.len()
    }

    fn add_param_grads(&self, site: Site, before: &[S], g: &[S], sums: &mut [S]) {
        if !self.map.acts_on(site) {
            return;
        }
        if self.table.is_even() {
            return self.add_even_grads(before, g, sums);
        }
        for (&u, &g) in before.iter().zip(g) {
            let slope = self.slope(to_f32(u.to_f64()));
            for (sum, slope) in sums.iter_mut().zip(slope) {
                *sum += g * S::from_f64(slope);
            }
        }
    }

    /// That of LSQ, section 2.2.
    fn param_grad_scale(&self, features: usize) -> S {
        let top = count((1 << self.bits.get()) - 1);
        S::from_f64(1.0 / (count(features.max(1)) * top).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StateSpec;
    use snn_core::Dual;
    use snn_core::neuron::{CubaLif, Lif, NeuronOp, Scan};
    use snn_core::op::{Backward, Saved};

    const SPACINGS: [Spacing; 3] = [Spacing::Uniform, Spacing::ThresholdCentered, Spacing::ZeroCentered];

    fn spec(bits: u32, spacing: Spacing, variant: Variant) -> LevelSpec {
        let learn = if spacing == Spacing::Uniform { Learn::Range } else { Learn::RangeAndSpacing };
        LevelSpec { spacing, variant, learn: Some(learn), ..LevelSpec::new(BitWidth::new(bits).unwrap()) }
    }

    fn all() -> impl Iterator<Item = LevelSpec> {
        let variants = [Variant::SnntorchCompat, Variant::ZeroExact];
        let kinds = SPACINGS.into_iter().flat_map(move |s| variants.map(|v| (s, v)));
        kinds.flat_map(|(s, v)| [2, 3, 5].map(|bits| spec(bits, s, v)))
    }

    fn start(spec: &LevelSpec) -> Vec<f32> {
        spec.learned("lif").unwrap().value.as_slice().to_vec()
    }

    #[test]
    fn learned_numbers_start_where_the_specification_says() {
        for spec in all() {
            let settled = spec.settled(&start(&spec));
            let (want, got) = (LevelSpec { learn: None, ..spec }.table().unwrap(), settled.table().unwrap());
            snn_testkit::assert_close("levels", got.levels(), want.levels(), 1e-6, 1e-6);
            assert_eq!(settled.learn, None);
        }
    }

    #[test]
    fn sums_over_even_levels_are_those_of_their_slopes() {
        for spec in all().filter(|spec| spec.spacing == Spacing::Uniform) {
            let levels = Arc::new(StateLevels::Table(spec.settled(&start(&spec)).table().unwrap()));
            let map = LearnedMap::new(StateQuantMap::new(&StateSpec::levels(spec), levels, None), spec);
            let bound = map.bound(&start(&spec)).unwrap();
            let draw = |i| snn_core::rng::counter_uniform(7, i);
            let u: Vec<f32> = (0..600).map(|i| 3.0 * draw(2 * i) - 1.5).collect();
            let g: Vec<f32> = (0..600).map(|i| draw(2 * i + 1) - 0.4).collect();
            let mut want = [0.0; 2];
            for (&u, &g) in u.iter().zip(&g) {
                want.iter_mut().zip(bound.slope(u)).for_each(|(sum, slope)| *sum += g * to_f32(slope));
            }
            let mut got = [0.0; 2];
            bound.add_even_grads(&u, &g, &mut got);
            snn_testkit::assert_close("sums", &got, &want, 1e-4, 1e-3);
        }
    }

    #[test]
    fn slopes_of_levels_are_their_differences() {
        for spec in all() {
            let start = start(&spec);
            let slopes = spec.slopes(&spec.settled(&start).table().unwrap());
            for k in 0..start.len() {
                let moved = |by: f32| {
                    let mut numbers = start.clone();
                    numbers[k] += by;
                    spec.settled(&numbers).table().unwrap().levels().to_vec()
                };
                const STEP: f32 = 2e-3;
                for ((slope, up), down) in slopes.iter().zip(moved(STEP)).zip(moved(-STEP)) {
                    let difference = (up - down) / (2.0 * STEP);
                    assert!(
                        (slope[k] - f64::from(difference)).abs() < 3e-3,
                        "{spec:?} {k}: {slope:?}, {difference}"
                    );
                }
            }
        }
    }

    #[test]
    fn between_even_levels_the_slope_is_that_of_lsq() {
        // From -1 to 2 in steps of 1; 0.7 takes level 1, a third of the way up from the lowest to the highest for each step.
        let spec = LevelSpec { upper_limit: 1.0, ..spec(2, Spacing::Uniform, Variant::SnntorchCompat) };
        let map = StateQuantMap::new(
            &StateSpec::levels(spec),
            Arc::new(StateLevels::Table(spec.table().unwrap())),
            None,
        );
        let bound = LearnedMap::new(map, spec).bind(&[1.0_f32, 1.0]).unwrap();
        let slope = |u: f32| {
            let mut sums = [0.0; 2];
            bound.add_param_grads(Site { state: 0, step: 0, offset: 0 }, &[u], &[1.0], &mut sums);
            sums
        };
        let close = |got: [f32; 2], want: [f32; 2]| got.iter().zip(want).all(|(g, w)| (g - w).abs() < 1e-6);
        // round(z) - z for z = 1.7 steps above the lowest level, by the step, which each end moves by a third.
        assert!(close(slope(0.7), [0.3 / 3.0, 0.3 / 3.0]), "{:?}", slope(0.7));
        assert!(close(slope(-7.0), [-1.0, 0.0]) && close(slope(9.0), [0.0, 1.0]));
    }

    /// Inputs of 5 steps for 3 neurons, with recurrence or not.
    fn inputs<S: Scalar>(recurrent: bool) -> Vec<Tensor<S>> {
        let draw = |i: u64| S::from_f64(1.6 * f64::from(snn_core::rng::counter_uniform(7, i)) - 0.3);
        let numbers = |shape: &[usize], from: u64| {
            let n: usize = shape.iter().product();
            Tensor::new(shape, (from..from + n as u64).map(draw).collect())
        };
        let cur = numbers(&[5, 2, 3], 0);
        if recurrent { vec![cur, numbers(&[3, 3], 50), numbers(&[3], 70)] } else { vec![cur] }
    }

    fn neurons<S: Scalar>(spec: LevelSpec, recurrent: bool) -> Box<dyn NeuronOp<S>> {
        let scan = Scan::<_, S, 2>::new(CubaLif { alpha: 0.8, beta: 0.9, firing: Lif::snntorch(0.9).firing });
        let scan: Box<dyn NeuronOp<S>> = if recurrent { Box::new(scan.recurrent()) } else { Box::new(scan) };
        let levels = Arc::new(StateLevels::Table(spec.settled(&start(&spec)).table().unwrap()));
        let map = StateQuantMap::new(&StateSpec::levels(spec), levels, None);
        scan.with_state_map(Arc::new(LearnedMap::new(map, spec)))
    }

    /// The gradient of the sum of all spikes by the learned numbers.
    fn gradient(spec: LevelSpec, recurrent: bool) -> Vec<f64> {
        let mut x = inputs::<f64>(recurrent);
        x.push(Tensor::new(&[start(&spec).len()], start(&spec).iter().map(|&v| f64::from(v)).collect()));
        let x: Vec<&Tensor<f64>> = x.iter().collect();
        let op = neurons::<f64>(spec, recurrent);
        let mut saved = Saved::keeping();
        let y = op.forward(&x, &mut saved);
        let (gy, need) = (Tensor::full(y.shape(), 1.0), vec![true; x.len()]);
        let grads = op.backward(&Backward { x: &x, y: &y, saved: &saved, gy: &gy, need: &need });
        grads.last().unwrap().as_ref().unwrap().as_slice().to_vec()
    }

    /// The same by tangents that run forward, before the factor of the gradient.
    fn tangents(spec: LevelSpec, recurrent: bool) -> Vec<f64> {
        let start = start(&spec);
        let along = |k: usize| {
            let number = |i: usize| Dual::variable(f64::from(start[i]), [f64::from(u8::from(i == k))]);
            let mut x = inputs::<Dual<f64, 1>>(recurrent);
            x.push(Tensor::new(&[start.len()], (0..start.len()).map(number).collect()));
            let x: Vec<&Tensor<Dual<f64, 1>>> = x.iter().collect();
            let y = neurons(spec, recurrent).forward(&x, &mut Saved::discarding());
            y.as_slice().iter().map(|spike| spike.tangent(0)).sum()
        };
        (0..start.len()).map(along).collect()
    }

    #[test]
    fn gradients_backward_are_tangents_forward() {
        for spec in all() {
            for recurrent in [false, true] {
                let features = 3.0;
                let factor = 1.0 / (features * count((1 << spec.bits.get()) - 1)).sqrt();
                let want: Vec<f64> = tangents(spec, recurrent).iter().map(|t| factor * t).collect();
                snn_testkit::assert_close("gradient", &gradient(spec, recurrent), &want, 1e-9, 1e-12);
                assert!(want.iter().any(|&t| t != 0.0), "{spec:?}");
            }
        }
    }

    #[test]
    fn what_cannot_be_learned_is_refused() {
        let refused = |spec: LevelSpec| spec.check().unwrap_err();
        let even = spec(4, Spacing::Uniform, Variant::ZeroExact);
        let spaced = LevelSpec { learn: Some(Learn::RangeAndSpacing), ..even };
        assert_eq!(refused(spaced), QuantError::LearnedEvenSpacing);
        assert_eq!(refused(LevelSpec { upper_limit: 0.0, ..even }), QuantError::LearnedRange);
        assert_eq!(refused(LevelSpec { lower_limit: -1.0, ..even }), QuantError::LearnedRange);
    }
}
