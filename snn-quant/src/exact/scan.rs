//! Integer neurons as an op: the forward calls the integer engine's own neuron, the backward passes straight through.

use super::codes::real;
use super::parts::Split;
use snn_core::kernels::gemm::{Gemm, GemmOperand, Into};
use snn_core::layer::NeuronKind;
use snn_core::neuron::{Dynamics, NeuronOp, ScanState, StateMap, Trajectory};
use snn_core::op::{Backward, Op, Saved};
use snn_core::{Scalar, Tensor};
use snn_int::neuron::{Cell, Channel, Fired, I32s, Neuron, Placement, State, Store};
use std::marker::PhantomData;
use std::sync::Arc;

/// The neurons of a layer in integers.
#[derive(Debug, Clone)]
pub(super) struct IntNeurons {
    pub(super) neuron: Neuron,
    /// The table of a membrane of levels, as the engine keeps it.
    pub(super) levels: Vec<u8>,
    pub(super) channels: Vec<IntChannel>,
    /// Neurons of a channel.
    pub(super) plane: usize,
    /// What a real bias of 1 adds to the real membrane.
    pub(super) bias_gain: f32,
    /// How the accumulated codes are divided, where they come in two parts.
    pub(super) split: Option<Split>,
    /// Whether there is a bias among the inputs.
    pub(super) has_bias: bool,
    /// Whether gradients stop where membranes saturate.
    pub(super) masks_clipped: bool,
}

/// The numbers of a channel.
#[derive(Debug, Clone, Copy)]
pub(super) struct IntChannel {
    pub(super) numbers: Channel,
    /// The real value of the integer 1.
    pub(super) unit: f32,
    /// The float neuron whose derivatives are used.
    pub(super) kind: NeuronKind,
}

impl IntNeurons {
    /// The op that runs them.
    pub(super) fn scan<S: Scalar>(self: &Arc<Self>) -> Option<Box<dyn NeuronOp<S>>> {
        fn of<D: Dynamics<N>, S: Scalar, const N: usize>(
            neurons: &Arc<IntNeurons>,
            dynamics: Option<Vec<D>>,
        ) -> Option<Box<dyn NeuronOp<S>>> {
            let scan = ExactScan { neurons: Arc::clone(neurons), dynamics: dynamics?, scalar: PhantomData };
            Some(Box::new(scan))
        }
        let kinds = || self.channels.iter().map(|channel| channel.kind);
        match self.channels.first()?.kind {
            NeuronKind::Lif(_) => of::<_, S, 1>(
                self,
                kinds().map(|kind| if let NeuronKind::Lif(lif) = kind { Some(lif) } else { None }).collect(),
            ),
            NeuronKind::Li(_) => of::<_, S, 1>(
                self,
                kinds().map(|kind| if let NeuronKind::Li(li) = kind { Some(li) } else { None }).collect(),
            ),
            NeuronKind::CubaLif(_) => of::<_, S, 2>(
                self,
                kinds()
                    .map(|kind| if let NeuronKind::CubaLif(lif) = kind { Some(lif) } else { None })
                    .collect(),
            ),
            _ => None,
        }
    }

    pub(super) fn cell(&self) -> Cell<'_> {
        Cell { neuron: self.neuron, levels: I32s::new(&self.levels) }
    }

    /// 1, or 0 where the value did not fit the bits of the membrane and gradients are to stop there.
    fn slope(&self, raw: i64, cell: &Cell<'_>) -> f32 {
        let is_clipped = match self.neuron.store {
            Store::Shift { shift, .. } => (raw - i64::from(cell.value(cell.code(raw)))).abs() > 1 << shift,
            Store::Levels { bits } => {
                let [first, last] = [0, (1 << bits) - 1].map(|i| i64::from(cell.levels.get(i)));
                raw < first || raw > last
            }
        };
        if self.masks_clipped && is_clipped { 0.0 } else { 1.0 }
    }
}

/// Integer neurons over time.
///
/// Inputs: the accumulated codes `[T, B, features…]`, or their low and their high parts, the real bias `[C]` if there is one, and for recurrent neurons the
/// codes `[N, N]` (from, to) and their real bias `[N]`. Output: spikes, or for neurons that do not spike the membrane in
/// real units. Forward: [`Cell::integrate`] and [`Cell::fire`] for each neuron and step, on integers that `f32` holds
/// exactly. Backward: that of the float neuron whose decay the integer leak amounts to, with rounding passed straight
/// through. Saved: each state variable after integration, in integer units, and where codes come in two parts what `f32`
/// leaves out of the membrane.
///
/// Its trajectory has the membranes at the spike test in integer units.
#[derive(Debug, Clone)]
struct ExactScan<D, S, const N: usize> {
    neurons: Arc<IntNeurons>,
    /// One for each channel.
    dynamics: Vec<D>,
    scalar: PhantomData<S>,
}

/// A state in real units, with its tangents, and in integers.
#[derive(Clone, Copy)]
struct Both<S, const N: usize> {
    real: [S; N],
    int: State,
}

/// What the second half of a step makes of the first.
struct After<S, const N: usize> {
    /// The real state at the spike test.
    tested: [S; N],
    fired: Fired,
    spike: S,
    kept: Both<S, N>,
    /// The membrane after integration, and the channel.
    raw: i64,
    c: usize,
}

struct Run<S> {
    output: Tensor<S>,
    /// After integration, in integer units.
    states: Vec<Tensor<S>>,
    /// What the number type leaves out of the membrane, where it may exceed what is exact.
    rest: Option<Tensor<S>>,
    /// At the spike test, in integer units.
    tested: Vec<S>,
    last: Vec<Vec<S>>,
}

/// The inputs by name.
struct Inputs<'a, S> {
    codes: &'a Tensor<S>,
    high: Option<&'a Tensor<S>>,
    bias: Option<&'a Tensor<S>>,
    recurrent: Option<(&'a Tensor<S>, &'a Tensor<S>)>,
}

/// What a forward call saved.
struct Kept<'a, S> {
    states: Vec<&'a Tensor<S>>,
    rest: Option<&'a Tensor<S>>,
}

impl<S: Scalar> Kept<'_, S> {
    /// The membrane after integration.
    fn raw(&self, at: usize) -> i64 {
        let rest = self.rest.map_or(0, |rest| wide(rest.as_slice()[at]));
        wide(self.states[0].as_slice()[at]) + rest
    }
}

#[allow(clippy::cast_possible_truncation, reason = "integers below 2^24 by the plan's check")]
fn whole<S: Scalar>(v: S) -> i32 {
    v.to_f64() as i32
}

fn wide<S: Scalar>(v: S) -> i64 {
    crate::num::to_i64(v.to_f64())
}

fn constant<S: Scalar>(v: f32) -> S {
    S::constant(real(v))
}

fn of_int<S: Scalar>(v: i64) -> S {
    S::from_f64(v as f64)
}

impl<D: Dynamics<N>, S: Scalar, const N: usize> ExactScan<D, S, N> {
    fn inputs<'a>(&self, x: &[&'a Tensor<S>]) -> Inputs<'a, S> {
        let mut rest = x[1..].iter().copied();
        let high = self.neurons.split.and_then(|_| rest.next());
        let bias = if self.neurons.has_bias { rest.next() } else { None };
        let recurrent = rest.next().zip(rest.next());
        Inputs { codes: x[0], high, bias, recurrent }
    }

    /// What a neuron receives: a number with tangents, and the exact integer.
    fn received(&self, low: S, high: Option<S>) -> (S, i32) {
        match (self.neurons.split, high) {
            (Some(split), Some(high)) => {
                (low + high * split.unit::<S>(), split.join(whole(low), whole(high)))
            }
            _ => (low, whole(low)),
        }
    }

    /// The state before the first step.
    fn at_rest(&self, cell: &Cell<'_>, c: usize) -> Both<S, N> {
        let int = cell.rest();
        let mut real = [S::ZERO; N];
        real[0] = self.exactly(S::ZERO, cell.value(int.mem).into(), c, 0.0);
        Both { real, int }
    }

    /// Channel of each of the `features` of a sample.
    fn channel(&self, feature: usize) -> usize {
        if self.neurons.channels.len() == 1 { 0 } else { feature / self.neurons.plane }
    }

    /// First half: the state after integration, in real units, its values exact.
    fn integrate(
        &self,
        cell: &Cell<'_>,
        state: Both<S, N>,
        (input, sum): (S, i32),
        bias: S,
        c: usize,
    ) -> ([S; N], i64, i32) {
        let channel = &self.neurons.channels[c];
        let unit = constant::<S>(channel.unit);
        let (raw, cur) = cell.integrate(state.int, sum, channel.numbers);
        let gain = f64::from(self.neurons.neuron.input.mul);
        let mut after = state.real;
        self.dynamics[c].integrate(&mut after, input * unit * S::from_f64(gain) + bias);
        let ints = [raw, i64::from(cur)];
        for (k, value) in after.iter_mut().enumerate() {
            *value = self.exactly(*value, ints[k.min(1)], c, 1.0);
        }
        (after, raw, cur)
    }

    /// The real value of an integer, with the tangents of `like`.
    fn exactly(&self, like: S, int: i64, c: usize, slope: f32) -> S {
        like.jet(real::<S::Real>(self.neurons.channels[c].unit) * of_int::<S>(int).value(), real(slope))
    }

    /// Second half.
    fn after(&self, cell: &Cell<'_>, state: [S; N], raw: i64, cur: i32, c: usize) -> After<S, N> {
        let fired = cell.fire(raw, cur, self.neurons.channels[c].numbers);
        let before = self.neurons.neuron.placement == Placement::BeforeSpike;
        let mut tested = state;
        if before {
            tested[0] = self.exactly(state[0], fired.mem.into(), c, self.neurons.slope(raw, cell));
        }
        let mut kept = tested;
        let spike = self.dynamics[c].fire(&mut kept);
        let slope = if before { 1.0 } else { self.neurons.slope(self.reset(&fired, c), cell) };
        kept[0] = self.exactly(kept[0], cell.value(fired.state.mem).into(), c, slope);
        let spike = match self.neurons.neuron.firing {
            Some(_) => spike.jet(real(f32::from(fired.spikes)), real(1.0)),
            None => spike,
        };
        After { tested, fired, spike, kept: Both { real: kept, int: fired.state }, raw, c }
    }

    /// The membrane after a reset in the same step, before it is kept.
    fn reset(&self, fired: &Fired, c: usize) -> i64 {
        let threshold = self.neurons.channels[c].numbers.threshold;
        match self.neurons.neuron.firing {
            Some(firing) if firing.reset_time == snn_int::neuron::ResetTime::SameStep => {
                firing.reset(fired.mem.into(), threshold, fired.spikes)
            }
            _ => fired.mem.into(),
        }
    }

    /// What the biases add to the real membrane of each feature.
    fn biases(&self, inputs: &Inputs<'_, S>, features: usize) -> Vec<S> {
        let gain = constant::<S>(self.neurons.bias_gain);
        let of = |feature: usize| {
            let shared = inputs.bias.map_or(S::ZERO, |bias| bias.as_slice()[feature / self.neurons.plane]);
            let own = inputs.recurrent.map_or(S::ZERO, |(_, bias)| bias.as_slice()[feature]);
            (shared + own) * gain
        };
        (0..features).map(of).collect()
    }

    fn run(&self, x: &[&Tensor<S>]) -> Run<S> {
        let inputs = self.inputs(x);
        let (n_steps, n, features) = sizes(inputs.codes);
        let biases = self.biases(&inputs, features);
        let cell = self.neurons.cell();
        let rest_of = |i: usize| self.at_rest(&cell, self.channel(i % features));
        let mut state: Vec<Both<S, N>> = (0..n).map(rest_of).collect();
        let mut output = vec![S::ZERO; inputs.codes.len()];
        let mut states = vec![vec![S::ZERO; inputs.codes.len()]; N];
        let mut tested = vec![S::ZERO; inputs.codes.len()];
        let mut rest = inputs.high.map(|high| vec![S::ZERO; high.len()]);
        for t in 0..n_steps {
            let totals = totals(&inputs, t, n, features, &output);
            for i in 0..n {
                let (at, feature) = (t * n + i, i % features);
                let c = self.channel(feature);
                let received = self.received(totals[i], inputs.high.map(|high| high.as_slice()[at]));
                let (integrated, raw, cur) = self.integrate(&cell, state[i], received, biases[feature], c);
                let after = self.after(&cell, integrated, raw, cur, c);
                self.save(&mut states, at, integrated, [raw, cur.into()], c);
                if let Some(rest) = &mut rest {
                    rest[at] = of_int(raw - wide(states[0][at]));
                }
                tested[at] = of_int(after.fired.mem.into());
                output[at] = after.spike;
                state[i] = after.kept;
            }
        }
        let last = (0..N).map(|k| state.iter().map(|s| s.real[k]).collect()).collect();
        let shape = inputs.codes.shape();
        let states = states.into_iter().map(|s| Tensor::new(shape, s)).collect();
        let rest = rest.map(|rest| Tensor::new(shape, rest));
        Run { output: Tensor::new(shape, output), states, rest, tested, last }
    }

    fn save(&self, states: &mut [Vec<S>], at: usize, integrated: [S; N], ints: [i64; 2], c: usize) {
        let per_unit = real::<S::Real>(1.0 / self.neurons.channels[c].unit);
        for (k, value) in integrated.into_iter().enumerate() {
            states[k][at] = value.jet(of_int::<S>(ints[k.min(1)]).value(), per_unit);
        }
    }

    /// The second half of a step again, from what was saved for the place.
    fn again(&self, cell: &Cell<'_>, saved: &Kept<'_, S>, at: usize, c: usize) -> After<S, N> {
        let states: [S; N] = std::array::from_fn(|k| saved.states[k].as_slice()[at]);
        let unit = real(self.neurons.channels[c].unit);
        let raw = saved.raw(at);
        let cur = states.get(1).map_or(0, |&cur| whole(cur));
        let ints = [raw, cur.into()];
        let integrated: [S; N] = std::array::from_fn(|k| {
            let value = real::<S::Real>(self.neurons.channels[c].unit) * of_int::<S>(ints[k.min(1)]).value();
            states[k].jet(value, unit)
        });
        self.after(cell, integrated, raw, cur, c)
    }

    /// Gradients by the accumulated codes, in integer units, and by the real drive, each `[T, B, features…]`.
    fn backward_scan(&self, ctx: &Backward<'_, S>) -> (Tensor<S>, Vec<S>) {
        let inputs = self.inputs(ctx.x);
        let states = (0..N).map(|k| ctx.saved.tensor(k)).collect();
        let saved = Kept { states, rest: inputs.high.map(|_| ctx.saved.tensor(N)) };
        let (n_steps, n, features) = sizes(ctx.gy);
        let cell = self.neurons.cell();
        let mut g_codes = vec![S::ZERO; ctx.gy.len()];
        let mut g_drive = vec![S::ZERO; ctx.gy.len()];
        let mut g = vec![[S::ZERO; N]; n];
        for t in (0..n_steps).rev() {
            let g_out = g_outputs(&inputs, t, [n_steps, n, features], ctx.gy, &g_codes);
            for i in 0..n {
                let (at, c) = (t * n + i, self.channel(i % features));
                let after = self.again(&cell, &saved, at, c);
                let kept = match t {
                    0 => self.at_rest(&cell, c).real,
                    _ => self.again(&cell, &saved, at - n, c).kept.real,
                };
                g_drive[at] = self.step_backward(&cell, &after, kept, g_out[i], &mut g[i]);
                let gain = self.neurons.channels[c].unit * to_real(self.neurons.neuron.input.mul);
                g_codes[at] = g_drive[at] * constant(gain);
            }
        }
        (Tensor::new(ctx.gy.shape(), g_codes), g_drive)
    }

    /// One step backwards: from the gradients by its output and by what it kept to that by what the step before `kept`, and
    /// returns the gradient by the real drive.
    fn step_backward(
        &self,
        cell: &Cell<'_>,
        after: &After<S, N>,
        kept: [S; N],
        g_out: S,
        g: &mut [S; N],
    ) -> S {
        let before = self.neurons.neuron.placement == Placement::BeforeSpike;
        if !before {
            g[0] *= constant(self.neurons.slope(self.reset(&after.fired, after.c), cell));
        }
        self.dynamics[after.c].fire_backward(&after.tested, g_out, g);
        if before {
            g[0] *= constant(self.neurons.slope(after.raw, cell));
        }
        self.dynamics[after.c].integrate_backward(&kept, g)
    }
}

fn to_real(mul: i32) -> f32 {
    mul as f32
}

/// Steps, values of a step, features of a sample.
fn sizes<S: Scalar>(x: &Tensor<S>) -> (usize, usize, usize) {
    let shape = x.shape();
    assert!(shape.len() >= 3, "neurons take [T, B, features…], not {shape:?}");
    let features = shape[2..].iter().product();
    (shape[0], shape[1] * features, features)
}

/// The accumulated codes of a step, with those of the spikes before it.
fn totals<S: Scalar>(inputs: &Inputs<'_, S>, t: usize, n: usize, features: usize, output: &[S]) -> Vec<S> {
    let mut totals = inputs.codes.as_slice()[t * n..(t + 1) * n].to_vec();
    if let (Some((codes, _)), true) = (inputs.recurrent, t > 0) {
        let shape = Gemm { m: n / features, k: features, n: features, into: Into::Add };
        let earlier = GemmOperand::Rows(&output[(t - 1) * n..t * n]);
        S::gemm(shape, earlier, GemmOperand::Rows(codes.as_slice()), &mut totals);
    }
    totals
}

/// Gradient by the output of a step: its own, and what comes back through the recurrence.
fn g_outputs<S: Scalar>(
    inputs: &Inputs<'_, S>,
    t: usize,
    [n_steps, n, features]: [usize; 3],
    gy: &Tensor<S>,
    g_codes: &[S],
) -> Vec<S> {
    let mut g_out = gy.as_slice()[t * n..(t + 1) * n].to_vec();
    if let (Some((codes, _)), true) = (inputs.recurrent, t + 1 < n_steps) {
        let shape = Gemm { m: n / features, k: features, n: features, into: Into::Add };
        let later = GemmOperand::Rows(&g_codes[(t + 1) * n..(t + 2) * n]);
        S::gemm(shape, later, GemmOperand::Transposed(codes.as_slice()), &mut g_out);
    }
    g_out
}

/// `Σ_t S[t−1]ᵀ · g[t]`.
fn recurrent_grad<S: Scalar>(spikes: &Tensor<S>, g_codes: &Tensor<S>) -> Tensor<S> {
    let (_, n, features) = sizes(spikes);
    let mut grad = vec![S::ZERO; features * features];
    let rows = spikes.len().saturating_sub(n) / features;
    let shape = Gemm { m: features, k: rows, n: features, into: Into::Overwrite };
    let earlier = GemmOperand::Transposed(&spikes.as_slice()[..rows * features]);
    let later = GemmOperand::Rows(&g_codes.as_slice()[n.min(g_codes.len())..]);
    S::gemm(shape, earlier, later, &mut grad);
    Tensor::new(&[features, features], grad)
}

impl<D: Dynamics<N>, S: Scalar, const N: usize> Op<S> for ExactScan<D, S, N> {
    fn name(&self) -> &'static str {
        "exact_neurons"
    }

    fn forward(&self, x: &[&Tensor<S>], saved: &mut Saved<S>) -> Tensor<S> {
        let run = self.run(x);
        run.states.into_iter().chain(run.rest).for_each(|s| saved.put(s));
        run.output
    }

    fn backward(&self, ctx: &Backward<'_, S>) -> Vec<Option<Tensor<S>>> {
        let (_, _, features) = sizes(ctx.gy);
        let (g_codes, g_drive) = self.backward_scan(ctx);
        let gain = constant::<S>(self.neurons.bias_gain);
        let per_plane = |plane: usize| {
            let mut sums = vec![S::ZERO; features / plane];
            g_drive.iter().enumerate().for_each(|(i, &g)| sums[i % features / plane] += g * gain);
            Tensor::new(&[features / plane], sums)
        };
        let mut grads = vec![];
        let recurrent = self.inputs(ctx.x).recurrent.is_some();
        let weight = recurrent.then(|| recurrent_grad(ctx.y, &g_codes));
        let high = self.neurons.split.map(|split| g_codes.map(|g| g * split.unit::<S>()));
        grads.push(ctx.need[0].then_some(g_codes));
        grads.extend(high.map(Some));
        if self.neurons.has_bias {
            grads.push(ctx.grad(grads.len(), || per_plane(self.neurons.plane)));
        }
        if let Some(weight) = weight {
            grads.push(Some(weight));
            grads.push(Some(per_plane(1)));
        }
        grads
    }
}

impl<D: Dynamics<N>, S: Scalar, const N: usize> NeuronOp<S> for ExactScan<D, S, N> {
    /// Integer neurons have their own quantizer: the map is not used.
    fn with_state_map(self: Box<Self>, _map: Arc<dyn StateMap<S>>) -> Box<dyn NeuronOp<S>> {
        self
    }

    fn trajectory(&self, x: &[&Tensor<S>]) -> Trajectory<S> {
        let run = self.run(x);
        let mut states = vec![Tensor::new(x[0].shape(), run.tested)];
        states.extend(run.states.into_iter().skip(1));
        Trajectory { spikes: run.output, states, last: ScanState { variables: run.last } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use snn_core::Dual;
    use snn_core::neuron::{CubaLif, Firing, Lif, Reset, ResetGrad, ResetTime};
    use snn_core::rng::counter_uniform;
    use snn_int::neuron::{Current, Leak, Scale, Width};

    type Tangent = Dual<f64, 1>;

    fn neurons(
        kind: NeuronKind,
        firing: Firing,
        placement: Placement,
        split: Option<Split>,
    ) -> Arc<IntNeurons> {
        let leak =
            Leak::Scale(Scale { mul: 3000, shift: 12, rounding: snn_int::arith::Rounding::TowardZero });
        let reset = match firing.reset {
            Reset::Subtract => snn_int::neuron::Reset::Subtract,
            Reset::Zero => snn_int::neuron::Reset::Value(0),
            Reset::None => snn_int::neuron::Reset::None,
        };
        let reset_time = match firing.reset_time {
            ResetTime::NextStep => snn_int::neuron::ResetTime::NextStep,
            ResetTime::SameStep => snn_int::neuron::ResetTime::SameStep,
        };
        let base = Neuron::lif(Width::saturating(7));
        let int_firing = base.firing.map(|f| snn_int::neuron::Firing { reset, reset_time, ..f });
        let is_cuba = matches!(kind, NeuronKind::CubaLif(_));
        let current = is_cuba.then_some(Current { leak, width: Width::saturating(24) });
        let neuron = Neuron { leak, current, placement, firing: int_firing, input: Scale::by(2), ..base };
        let numbers = Channel { threshold: 20, bias: 1 };
        let channels = vec![IntChannel { numbers, unit: 0.05, kind }; 3];
        Arc::new(IntNeurons {
            neuron,
            levels: vec![],
            channels,
            plane: 1,
            bias_gain: 1.0,
            split,
            has_bias: true,
            masks_clipped: true,
        })
    }

    fn draw(shape: &[usize], seed: u64, f: impl Fn(f64) -> f64) -> Vec<f64> {
        (0..shape.iter().product::<usize>() as u64).map(|i| f(counter_uniform(seed, i).into())).collect()
    }

    /// `⟨gy, J v⟩` by tangents and `⟨Jᵀ gy, v⟩` by the backward, over all inputs.
    fn both_products(neurons: &Arc<IntNeurons>) -> (f64, f64) {
        let mut shapes: Vec<&[usize]> = vec![&[6, 2, 3], &[3], &[3, 3], &[3]];
        let mut values: Vec<Vec<f64>> =
            shapes.iter().enumerate().map(|(k, s)| draw(s, k as u64, |u| (14.0 * u - 4.0).round())).collect();
        values[1].fill(0.05);
        values[3].fill(0.0);
        if neurons.split.is_some() {
            shapes.insert(1, shapes[0]);
            values.insert(1, draw(shapes[0], 70, |u| (1.2 * u - 0.6).round()));
        }
        let directions: Vec<_> =
            shapes.iter().enumerate().map(|(k, s)| draw(s, 40 + k as u64, |u| u - 0.5)).collect();
        let tensor = |k: usize| {
            let pairs = values[k].iter().zip(&directions[k]);
            Tensor::new(shapes[k], pairs.map(|(&x, &v)| Tangent::variable(x, [v])).collect())
        };
        let x: Vec<Tensor<Tangent>> = (0..shapes.len()).map(tensor).collect();
        let refs: Vec<&Tensor<Tangent>> = x.iter().collect();
        let op = neurons.scan::<Tangent>().unwrap();
        let mut saved = Saved::keeping();
        let y = op.forward(&refs, &mut saved);
        let weights = draw(shapes[0], 90, |u| u - 0.5);
        let gy = Tensor::new(shapes[0], weights.iter().map(|&g| Tangent::constant(g)).collect());
        let by_tangents = y.as_slice().iter().zip(&weights).map(|(y, g)| y.tangent(0) * g).sum();
        let ctx = Backward { x: &refs, y: &y, saved: &saved, gy: &gy, need: &vec![true; refs.len()] };
        let grads = op.backward(&ctx);
        let by_backward = grads.iter().zip(&directions).map(|(grad, v)| {
            grad.iter().flat_map(|g| g.as_slice().iter().zip(v)).map(|(g, v)| g.value() * v).sum::<f64>()
        });
        (by_tangents, by_backward.sum())
    }

    #[test]
    fn the_backward_is_the_transpose_of_the_tangents() {
        let mut n_nonzero = 0;
        for reset in [Reset::Subtract, Reset::Zero, Reset::None] {
            for reset_time in [ResetTime::NextStep, ResetTime::SameStep] {
                for reset_grad in [ResetGrad::Detached, ResetGrad::Through, ResetGrad::FrozenTerm] {
                    for placement in [Placement::BeforeSpike, Placement::OnStore] {
                        let firing = Firing { reset, reset_time, reset_grad, ..Firing::default() };
                        let lif = Lif { beta: 0.732_421_9, gain: 1.0, firing };
                        let cuba = CubaLif { alpha: 0.732_421_9, beta: 0.732_421_9, firing };
                        for kind in [NeuronKind::Lif(lif), NeuronKind::CubaLif(cuba)] {
                            for split in [None, Some(Split::of(crate::BitWidth::new(6).unwrap()))] {
                                let (want, got) = both_products(&neurons(kind, firing, placement, split));
                                assert!(
                                    (want - got).abs() < 1e-6 * want.abs().max(1.0),
                                    "{kind:?} {placement:?} {split:?}: {want} {got}"
                                );
                                n_nonzero += usize::from(want.abs() > 1e-3);
                            }
                        }
                    }
                }
            }
        }
        assert!(n_nonzero > 120, "{n_nonzero}");
    }
}
