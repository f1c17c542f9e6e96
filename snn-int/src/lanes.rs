//! The time step of common neurons without branches and in 32 bits, so that many are computed at once.
//!
//! It is [`Cell::step`] for neurons without a synaptic current, with at most one spike in a step and a saturating membrane
//! of fixed point, whose numbers all stay far below 2^31; others go through `Cell::step` itself. Choices that the slow step
//! makes by branches are made here by masks, which are 0 or −1.

#![cfg_attr(
    not(feature = "alloc"),
    allow(dead_code, reason = "only engines in memory of their own look at a model before they run it")
)]

use crate::model::Layer;
use crate::neuron::{Cell, Firing, Leak, Placement, Reset, ResetTime, Rounding, SpikeWhen, Store, Tail};
use crate::num::{low_i32, low_u8};

/// Neurons that are computed together.
const TOGETHER: usize = 16;

/// Most groups of neurons whose thresholds and biases are laid out.
const MOST_GROUPS: usize = 16;

/// No number that a step starts from may exceed this, so that no sum of a few of them leaves 32 bits.
const LIMIT: i64 = 1 << 28;

/// Division by a power of two: `(x + (sign & toward_zero) + below_half + (odd & ties)) >> shift`.
#[derive(Clone, Copy, Debug)]
struct Round {
    shift: u32,
    toward_zero: i32,
    below_half: i32,
    ties: i32,
}

impl Round {
    fn of(rounding: Rounding, shift: u8) -> Self {
        let unit = 1_i32 << shift;
        let exact = Self { shift: shift.into(), toward_zero: 0, below_half: 0, ties: 0 };
        match rounding {
            Rounding::TowardZero => Self { toward_zero: unit - 1, ..exact },
            Rounding::NearestEven if shift > 0 => Self { below_half: unit / 2 - 1, ties: 1, ..exact },
            Rounding::NearestEven | Rounding::Floor => exact,
        }
    }

    #[inline(always)]
    fn apply(self, x: i32) -> i32 {
        let odd = x >> self.shift;
        (x + ((x >> 31) & self.toward_zero) + self.below_half + (odd & self.ties)) >> self.shift
    }
}

/// A neuron made of masks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lanes {
    input: i32,
    leak_mul: i32,
    leak: Round,
    /// −1 if the leak is what is taken away.
    loses: i32,
    store_shift: u32,
    store: Round,
    lowest: i32,
    highest: i32,
    /// −1 if the spike is decided on what is kept.
    before: i32,
    /// 1 if equality fires.
    at: i32,
    /// −1 if it fires at all.
    fires: i32,
    /// −1 for resets in the next step.
    late: i32,
    subtracts: i32,
    sets: i32,
    set_to: i32,
}

/// The outcome of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stepped {
    mem: i32,
    /// −1 or 0.
    fired: i32,
    code: i32,
}

fn mask(is: bool) -> i32 {
    -i32::from(is)
}

impl Lanes {
    /// The neuron of a layer whose accumulated inputs have at most the magnitude `reach`, if it is one of these.
    pub(crate) fn of(layer: &Layer<'_>, reach: i64) -> Option<Self> {
        let Cell { neuron, .. } = layer.cell;
        let Store::Shift { shift, rounding, width } = neuron.store else { return None };
        let firing = neuron.firing;
        let saturates = width.overflow == crate::arith::Overflow::Saturate;
        let is_plain = neuron.current.is_none() && neuron.input.shift == 0 && saturates;
        let has_rows = layer.thresholds.len() == layer.biases.len();
        if !(is_plain && has_rows) || firing.is_some_and(|f| f.max_spikes > 1) || shift + width.bits > 28 {
            return None;
        }
        let (leak_mul, leak, loses) = match neuron.leak {
            Leak::None => (1, Round::of(Rounding::Floor, 0), false),
            Leak::Scale(scale) if scale.shift <= 28 => {
                (scale.mul, Round::of(scale.rounding, scale.shift), false)
            }
            Leak::Shift { shift, rounding, tail: Tail::Hold } if shift <= 28 => {
                (1, Round::of(rounding, shift), true)
            }
            _ => return None,
        };
        let of = |firing: Option<Firing>, is: fn(Firing) -> bool| mask(firing.is_some_and(is));
        let set_to = match firing.map(|f| f.reset) {
            Some(Reset::Value(value)) => value,
            _ => 0,
        };
        let (lowest, highest) = width.range();
        let largest = 1_i64 << (width.bits - 1 + shift);
        let far = |list: crate::neuron::I32s<'_>| list.iter().map(|n| i64::from(n).abs()).max().unwrap_or(0);
        let numbers = [
            largest * i64::from(leak_mul).abs(),
            reach.saturating_mul(i64::from(neuron.input.mul).abs()),
            far(layer.thresholds),
            far(layer.biases),
            i64::from(set_to).abs(),
        ];
        let fits = numbers.into_iter().all(|n| n < LIMIT);
        fits.then_some(Self {
            input: neuron.input.mul,
            leak_mul,
            leak,
            loses: mask(loses),
            store_shift: shift.into(),
            store: Round::of(rounding, shift),
            lowest: low_i32(lowest),
            highest: low_i32(highest),
            before: mask(neuron.placement == Placement::BeforeSpike),
            at: -of(firing, |f| f.when == SpikeWhen::AtOrAbove),
            fires: mask(firing.is_some()),
            late: of(firing, |f| f.reset_time == ResetTime::NextStep),
            subtracts: of(firing, |f| f.reset == Reset::Subtract),
            sets: of(firing, |f| matches!(f.reset, Reset::Value(_))),
            set_to,
        })
    }

    #[inline(always)]
    fn code(&self, raw: i32) -> i32 {
        self.store.apply(raw).max(self.lowest).min(self.highest)
    }

    #[inline(always)]
    fn fired(&self, mem: i32, threshold: i32) -> i32 {
        mask(mem > threshold - self.at) & self.fires
    }

    /// The membrane after a reset, where the mask says that there is one.
    #[inline(always)]
    fn reset(&self, mem: i32, threshold: i32, resets: i32) -> i32 {
        let change = ((self.set_to - mem) & self.sets) - (threshold & self.subtracts);
        mem + (change & resets)
    }

    #[inline(always)]
    fn step(&self, code: i32, sum: i32, threshold: i32, bias: i32) -> Stepped {
        let v = code << self.store_shift;
        let rounded = self.leak.apply(v * self.leak_mul);
        let leaked = (v & self.loses) + ((rounded ^ self.loses) - self.loses);
        let carried = self.reset(leaked, threshold, self.fired(v, threshold) & self.late);
        let raw = carried + sum * self.input + bias;
        let stored = self.code(raw) << self.store_shift;
        let mem = (stored & self.before) | (raw & !self.before);
        let fired = self.fired(mem, threshold);
        let kept = self.reset(mem, threshold, fired & !self.late);
        Stepped { mem, fired, code: self.code(kept) }
    }

    /// The step of all neurons: `sums` become the membranes at the spike test.
    #[inline(always)]
    pub(crate) fn update<K: Kept>(
        &self,
        layer: &Layer<'_>,
        sums: &mut [i32],
        membranes: &mut [K],
        emitted: &mut [u8],
    ) {
        let (thresholds, biases) = (layer.thresholds.words(), layer.biases.words());
        let n = thresholds.len();
        // Groups of neurons after which channels repeat.
        let period = n >> n.trailing_zeros().min(TOGETHER.trailing_zeros());
        if period > MOST_GROUPS {
            let pixels = sums.chunks_exact_mut(n).zip(membranes.chunks_exact_mut(n));
            for ((sums, membranes), emitted) in pixels.zip(emitted.chunks_exact_mut(n)) {
                let numbers =
                    |group: usize| [thresholds, biases].map(|all| lanes_of(&all[group * TOGETHER..]));
                self.groups(sums, membranes, emitted, numbers);
            }
            return;
        }
        let mut groups = [[[0; TOGETHER]; 2]; MOST_GROUPS];
        for (i, [threshold, bias]) in groups[..period].iter_mut().enumerate() {
            for lane in 0..TOGETHER {
                let channel = (i * TOGETHER + lane) % n;
                threshold[lane] = i32::from_le_bytes(thresholds[channel]);
                bias[lane] = i32::from_le_bytes(biases[channel]);
            }
        }
        self.groups(sums, membranes, emitted, |group| groups[group % period]);
    }

    /// Neurons by groups, whose thresholds and biases are `numbers`; the last may be incomplete.
    #[inline(always)]
    fn groups<K: Kept>(
        &self,
        sums: &mut [i32],
        membranes: &mut [K],
        emitted: &mut [u8],
        numbers: impl Fn(usize) -> [[i32; TOGETHER]; 2],
    ) {
        let (sums, last_sums) = sums.as_chunks_mut::<TOGETHER>();
        let (membranes, last_membranes) = membranes.as_chunks_mut::<TOGETHER>();
        let (emitted, last_emitted) = emitted.as_chunks_mut::<TOGETHER>();
        let n_whole = sums.len();
        let neurons = sums.iter_mut().zip(membranes).zip(emitted);
        for (group, ((sums, membranes), emitted)) in neurons.enumerate() {
            self.neurons(sums, membranes, emitted, &numbers(group));
        }
        if !last_sums.is_empty() {
            let [thresholds, biases] = numbers(n_whole);
            let neurons = last_sums.iter_mut().zip(last_membranes).zip(last_emitted);
            for (((sum, kept), emitted), numbers) in neurons.zip(thresholds.into_iter().zip(biases)) {
                self.neuron(sum, kept, emitted, numbers.into());
            }
        }
    }

    #[inline(always)]
    fn neurons<K: Kept>(
        &self,
        sums: &mut [i32; TOGETHER],
        membranes: &mut [K; TOGETHER],
        emitted: &mut [u8; TOGETHER],
        [thresholds, biases]: &[[i32; TOGETHER]; 2],
    ) {
        // Copies, so that the compiler need not care what overlaps.
        let (mut mem, mut kept, mut spikes) = (*sums, *membranes, [0; TOGETHER]);
        for i in 0..TOGETHER {
            self.neuron(&mut mem[i], &mut kept[i], &mut spikes[i], [thresholds[i], biases[i]]);
        }
        (*sums, *membranes, *emitted) = (mem, kept, spikes);
    }

    #[inline(always)]
    fn neuron<K: Kept>(&self, sum: &mut i32, kept: &mut K, emitted: &mut u8, [threshold, bias]: [i32; 2]) {
        let stepped = self.step(kept.wide(), *sum, threshold, bias);
        *sum = stepped.mem;
        *emitted = low_u8(stepped.fired.cast_unsigned() & 1);
        *kept = K::low(stepped.code);
    }
}

/// The first numbers, 0 behind the last.
#[inline(always)]
fn lanes_of(words: &[[u8; 4]]) -> [i32; TOGETHER] {
    let mut lanes = [0; TOGETHER];
    for (lane, word) in lanes.iter_mut().zip(words) {
        *lane = i32::from_le_bytes(*word);
    }
    lanes
}

/// A membrane in the bytes that it is kept in.
pub(crate) trait Kept: Copy {
    fn wide(self) -> i32;
    fn low(code: i32) -> Self;
}

impl Kept for [u8; 1] {
    #[inline(always)]
    fn wide(self) -> i32 {
        i8::from_le_bytes(self).into()
    }

    #[inline(always)]
    fn low(code: i32) -> Self {
        let [a, ..] = code.to_le_bytes();
        [a]
    }
}

impl Kept for [u8; 2] {
    #[inline(always)]
    fn wide(self) -> i32 {
        i16::from_le_bytes(self).into()
    }

    #[inline(always)]
    fn low(code: i32) -> Self {
        let [a, b, ..] = code.to_le_bytes();
        [a, b]
    }
}

impl Kept for [u8; 4] {
    #[inline(always)]
    fn wide(self) -> i32 {
        i32::from_le_bytes(self)
    }

    #[inline(always)]
    fn low(code: i32) -> Self {
        code.to_le_bytes()
    }
}

#[cfg(all(test, feature = "alloc"))]
mod tests {
    use super::*;
    use crate::neuron::{Channel, I32s, Neuron, Scale, State, Width};
    use crate::spec::{Codes, LayerSpec, ModelSpec, SynapseSpec};
    use crate::{Model, Shape};
    use alloc::string::String;
    use alloc::vec;
    use proptest::prelude::*;

    fn rounding() -> impl Strategy<Value = Rounding> {
        prop::sample::select(vec![Rounding::TowardZero, Rounding::Floor, Rounding::NearestEven])
    }

    fn leak() -> impl Strategy<Value = Leak> {
        let scale = (0..5000_i32, 0_u8..14, rounding())
            .prop_map(|(mul, shift, rounding)| Leak::Scale(Scale { mul, shift, rounding }));
        let shift = (0_u8..14, rounding()).prop_map(|(shift, rounding)| Leak::Shift {
            shift,
            rounding,
            tail: Tail::Hold,
        });
        prop_oneof![Just(Leak::None), scale, shift]
    }

    prop_compose! {
        fn firing()(
            at in any::<bool>(), reset in prop::sample::select(vec![Reset::Subtract, Reset::Value(0), Reset::Value(-7), Reset::None]),
            late in any::<bool>(),
        ) -> Firing {
            let when = if at { SpikeWhen::AtOrAbove } else { SpikeWhen::Above };
            let reset_time = if late { ResetTime::NextStep } else { ResetTime::SameStep };
            Firing { when, reset, reset_time, max_spikes: 1 }
        }
    }

    prop_compose! {
        fn neuron()(
            leak in leak(), firing in prop::option::of(firing()), shift in 0_u8..5, rounding in rounding(), bits in 2_u8..=16,
            before in any::<bool>(), mul in 1..40_i32,
        ) -> Neuron {
            let store = Store::Shift { shift, rounding, width: Width::saturating(bits) };
            let placement = if before { Placement::BeforeSpike } else { Placement::OnStore };
            Neuron { input: Scale::by(mul), leak, store, placement, firing, ..Neuron::lif(Width::saturating(bits)) }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        #[test]
        fn a_step_of_masks_is_a_step(
            neuron in neuron(), threshold in -300..3000_i32, bias in -50..50_i32,
            inputs in prop::collection::vec(prop_oneof![-3..4_i32, -30_000..30_000_i32], 1..12),
        ) {
            let weights = Codes { bits: 2, values: vec![1] };
            let mut layer = LayerSpec::new("fc", SynapseSpec::Dense { n_out: 1, weights }, neuron, threshold);
            layer.biases = vec![bias];
            let spec = ModelSpec { input: Shape::flat(1), input_max: 1, layers: vec![layer], meta: String::new() };
            let bytes = spec.to_bytes().unwrap();
            let model = Model::from_bytes(&bytes).unwrap();
            let layer = model.layers().next().unwrap();
            let Some(lanes) = Lanes::of(&layer, 30_000) else { return Ok(()) };
            let cell = Cell { neuron, levels: I32s::default() };
            let (mut state, mut code) = (cell.rest(), cell.rest().mem);
            for input in inputs {
                let want = cell.step(state, input, Channel { threshold, bias });
                let got = lanes.step(code, input, threshold, bias);
                prop_assert_eq!((got.mem, -got.fired, got.code), (want.mem, want.spikes.into(), want.state.mem));
                state = State { mem: want.state.mem, cur: 0 };
                code = got.code;
            }
        }
    }
}
