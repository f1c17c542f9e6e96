//! The time step of common neurons without branches and in 32 bits, so that many are computed at once.
//!
//! It is [`Cell::step`] for neurons without a synaptic current, with at most one spike in a step and a saturating membrane
//! of fixed point, whose numbers all stay far below 2^31; others go through `Cell::step` itself. Choices that the slow step
//! makes by branches are made here by masks, which are 0 or −1; what most neurons do not have is left out when it is compiled.

#![cfg_attr(
    not(feature = "alloc"),
    allow(dead_code, reason = "only engines in memory of their own look at a model before they run it")
)]

#[cfg(feature = "alloc")]
use crate::model::Layer;
#[cfg(feature = "alloc")]
use crate::neuron::{
    Cell, Firing, I32s, Leak, Placement, Reset, ResetTime, Rounding, SpikeWhen, Store, Tail,
};
#[cfg(feature = "alloc")]
use crate::num::low_i32;
#[cfg(feature = "alloc")]
use alloc::vec::Vec;
#[cfg(feature = "alloc")]
use core::array;

/// Neurons that are computed together.
const TOGETHER: usize = 16;

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
    #[cfg(feature = "alloc")]
    fn of(rounding: Rounding, shift: u8) -> Self {
        let unit = 1_i32 << shift;
        let exact = Self { shift: shift.into(), toward_zero: 0, below_half: 0, ties: 0 };
        match rounding {
            Rounding::TowardZero => Self { toward_zero: unit - 1, ..exact },
            Rounding::NearestEven if shift > 0 => Self { below_half: unit / 2 - 1, ties: 1, ..exact },
            Rounding::NearestEven | Rounding::Floor => exact,
        }
    }

    /// The quotient; `CUTS` if it is never rounded to the nearest.
    #[inline(always)]
    fn apply<const CUTS: bool>(self, x: i32) -> i32 {
        let cut = x + ((x >> 31) & self.toward_zero);
        if CUTS {
            return cut >> self.shift;
        }
        let odd = x >> self.shift;
        (cut + self.below_half + (odd & self.ties)) >> self.shift
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
    /// −1 if a reset starts from the membrane, 0 if it forgets it.
    keeps: i32,
    /// Whether resets are those of the next step.
    is_late: bool,
    /// Whether membranes are kept in whole units and the leak is what remains, cut.
    is_simple: bool,
    /// Which of all [`Numbers`] are this layer's: those of as many groups as it takes until channels repeat.
    numbers: [usize; 2],
}

/// What neurons that are computed together differ in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbers {
    /// The highest membranes that do not fire.
    quiet: [i32; TOGETHER],
    /// What a reset adds to what it keeps.
    reset: [i32; TOGETHER],
    bias: [i32; TOGETHER],
}

/// The neurons of a layer.
pub(crate) struct Neurons<'a, K> {
    /// What their synapses add; after the step, the membranes at the spike test.
    pub(crate) sums: &'a mut [i32],
    pub(crate) membranes: &'a mut [K],
    pub(crate) emitted: &'a mut [u8],
}

/// The outcome of a step.
struct Stepped {
    mem: i32,
    fired: bool,
    code: i32,
}

#[cfg(feature = "alloc")]
fn mask(is: bool) -> i32 {
    -i32::from(is)
}

#[cfg(feature = "alloc")]
impl Lanes {
    /// The neuron of a layer whose accumulated inputs have at most the magnitude `reach`, if it is one of these. What its
    /// channels differ in is put behind `numbers`.
    pub(crate) fn of(layer: &Layer<'_>, reach: i64, numbers: &mut Vec<Numbers>) -> Option<Self> {
        let Cell { neuron, .. } = layer.cell;
        let Store::Shift { shift, rounding, width } = neuron.store else { return None };
        let firing = neuron.firing;
        let saturates = width.overflow == crate::arith::Overflow::Saturate;
        let is_plain = neuron.current.is_none() && neuron.input.shift == 0 && saturates;
        if !is_plain || firing.is_some_and(|f| f.max_spikes > 1) || shift + width.bits > 28 {
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
        let largest = 1_i64 << (width.bits - 1 + shift);
        let far = |list: I32s<'_>| list.iter().map(|n| i64::from(n).abs()).max().unwrap_or(0);
        let magnitudes = [
            largest * i64::from(leak_mul).abs(),
            reach.saturating_mul(i64::from(neuron.input.mul).abs()),
            far(layer.thresholds),
            far(layer.biases),
            i64::from(set_to(firing)).abs(),
        ];
        if magnitudes.into_iter().any(|n| n >= LIMIT) {
            return None;
        }
        let (lowest, highest) = width.range();
        let first = numbers.len();
        numbers.extend(Numbers::of(layer, firing));
        Some(Self {
            input: neuron.input.mul,
            leak_mul,
            leak,
            loses: mask(loses),
            store_shift: shift.into(),
            store: Round::of(rounding, shift),
            lowest: low_i32(lowest),
            highest: low_i32(highest),
            before: mask(neuron.placement == Placement::BeforeSpike),
            keeps: mask(!firing.is_some_and(|f| matches!(f.reset, Reset::Value(_)))),
            is_late: firing.is_some_and(|f| f.reset_time == ResetTime::NextStep),
            is_simple: shift == 0 && !loses && leak.below_half == 0 && leak.ties == 0,
            numbers: [first, numbers.len()],
        })
    }
}

/// What a reset sets a membrane to, or 0.
#[cfg(feature = "alloc")]
fn set_to(firing: Option<Firing>) -> i32 {
    match firing.map(|f| f.reset) {
        Some(Reset::Value(value)) => value,
        _ => 0,
    }
}

#[cfg(feature = "alloc")]
impl Numbers {
    /// Those of a layer, group by group, until channels repeat or neurons end.
    fn of<'a>(layer: &'a Layer<'_>, firing: Option<Firing>) -> impl Iterator<Item = Self> + use<'a> {
        let n = layer.thresholds.len().max(layer.biases.len());
        let until_repeated = n >> n.trailing_zeros().min(TOGETHER.trailing_zeros());
        let n_groups = until_repeated.min(layer.neurons.n().div_ceil(TOGETHER));
        let subtracts = firing.is_some_and(|f| f.reset == Reset::Subtract);
        let quiet = move |threshold: i32| match firing {
            None => i32::MAX,
            Some(f) => threshold - i32::from(f.when == SpikeWhen::AtOrAbove),
        };
        (0..n_groups).map(move |group| {
            let channel = |lane| layer.channel((group * TOGETHER + lane) % n);
            Self {
                quiet: array::from_fn(|lane| quiet(channel(lane).threshold)),
                reset: array::from_fn(|lane| set_to(firing) - (channel(lane).threshold & mask(subtracts))),
                bias: array::from_fn(|lane| channel(lane).bias),
            }
        })
    }
}

impl Lanes {
    #[inline(always)]
    fn code<const SIMPLE: bool>(&self, raw: i32) -> i32 {
        let rounded = if SIMPLE { raw } else { self.store.apply::<false>(raw) };
        rounded.max(self.lowest).min(self.highest)
    }

    #[inline(always)]
    fn value<const SIMPLE: bool>(&self, code: i32) -> i32 {
        if SIMPLE { code } else { code << self.store_shift }
    }

    #[inline(always)]
    fn leaked<const SIMPLE: bool>(&self, v: i32) -> i32 {
        let rounded = self.leak.apply::<SIMPLE>(v * self.leak_mul);
        if SIMPLE { rounded } else { (v & self.loses) + ((rounded ^ self.loses) - self.loses) }
    }

    /// The membrane after a reset, if there is one.
    #[inline(always)]
    fn reset(&self, mem: i32, resets: bool, reset: i32) -> i32 {
        if resets { (mem & self.keeps) + reset } else { mem }
    }

    #[inline(always)]
    fn step<const LATE: bool, const SIMPLE: bool>(
        &self,
        code: i32,
        sum: i32,
        [quiet, reset, bias]: [i32; 3],
    ) -> Stepped {
        let v = self.value::<SIMPLE>(code);
        let leaked = self.leaked::<SIMPLE>(v);
        let carried = if LATE { self.reset(leaked, v > quiet, reset) } else { leaked };
        let raw = carried + sum * self.input + bias;
        let code = self.code::<SIMPLE>(raw);
        let mem = (self.value::<SIMPLE>(code) & self.before) | (raw & !self.before);
        let fired = mem > quiet;
        let code = if LATE { code } else { self.code::<SIMPLE>(self.reset(mem, fired, reset)) };
        Stepped { mem, fired, code }
    }

    /// The step of all neurons of a layer; `numbers` are those of all layers.
    #[inline(always)]
    pub(crate) fn update<K: Kept>(&self, numbers: &[Numbers], neurons: Neurons<'_, K>) {
        let [first, end] = self.numbers;
        let Some(numbers) = numbers.get(first..end) else { return };
        match (self.is_late, self.is_simple) {
            (true, true) => self.update_all::<K, true, true>(numbers, neurons),
            (true, false) => self.update_all::<K, true, false>(numbers, neurons),
            (false, true) => self.update_all::<K, false, true>(numbers, neurons),
            (false, false) => self.update_all::<K, false, false>(numbers, neurons),
        }
    }

    #[inline(always)]
    fn update_all<K: Kept, const LATE: bool, const SIMPLE: bool>(
        &self,
        numbers: &[Numbers],
        Neurons { sums, membranes, emitted }: Neurons<'_, K>,
    ) {
        let n = numbers.len() * TOGETHER;
        let turns = sums.chunks_mut(n).zip(membranes.chunks_mut(n)).zip(emitted.chunks_mut(n));
        for ((sums, membranes), emitted) in turns {
            self.groups::<K, LATE, SIMPLE>(numbers, sums, membranes, emitted);
        }
    }

    /// Neurons by groups; the last may be incomplete.
    #[inline(always)]
    fn groups<K: Kept, const LATE: bool, const SIMPLE: bool>(
        &self,
        numbers: &[Numbers],
        sums: &mut [i32],
        membranes: &mut [K],
        emitted: &mut [u8],
    ) {
        let (sums, last_sums) = sums.as_chunks_mut::<TOGETHER>();
        let (membranes, last_membranes) = membranes.as_chunks_mut::<TOGETHER>();
        let (emitted, last_emitted) = emitted.as_chunks_mut::<TOGETHER>();
        let last = numbers.get(sums.len());
        for (((sums, membranes), emitted), numbers) in
            sums.iter_mut().zip(membranes).zip(emitted).zip(numbers)
        {
            self.group::<K, LATE, SIMPLE>(sums, membranes, emitted, numbers);
        }
        let Some(&Numbers { quiet, reset, bias }) = last else { return };
        let last = last_sums.iter_mut().zip(last_membranes).zip(last_emitted);
        for (lane, ((sum, kept), emitted)) in last.enumerate() {
            let numbers = [quiet[lane], reset[lane], bias[lane]];
            self.neuron::<K, LATE, SIMPLE>(sum, kept, emitted, numbers);
        }
    }

    #[inline(always)]
    fn group<K: Kept, const LATE: bool, const SIMPLE: bool>(
        &self,
        sums: &mut [i32; TOGETHER],
        membranes: &mut [K; TOGETHER],
        emitted: &mut [u8; TOGETHER],
        Numbers { quiet, reset, bias }: &Numbers,
    ) {
        // Copies, so that the compiler need not care what overlaps.
        let (mut mem, mut kept, mut spikes) = (*sums, *membranes, [0; TOGETHER]);
        for i in 0..TOGETHER {
            let numbers = [quiet[i], reset[i], bias[i]];
            self.neuron::<K, LATE, SIMPLE>(&mut mem[i], &mut kept[i], &mut spikes[i], numbers);
        }
        (*sums, *membranes, *emitted) = (mem, kept, spikes);
    }

    #[inline(always)]
    fn neuron<K: Kept, const LATE: bool, const SIMPLE: bool>(
        &self,
        sum: &mut i32,
        kept: &mut K,
        emitted: &mut u8,
        numbers: [i32; 3],
    ) {
        let stepped = self.step::<LATE, SIMPLE>(kept.wide(), *sum, numbers);
        *sum = stepped.mem;
        *emitted = stepped.fired.into();
        *kept = K::low(stepped.code);
    }
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
    use crate::neuron::{Channel, Neuron, Scale, State, Width};
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
            let mut numbers = Vec::new();
            let Some(lanes) = Lanes::of(&layer, 30_000, &mut numbers) else { return Ok(()) };
            let cell = Cell { neuron, levels: I32s::default() };
            let mut state = cell.rest();
            let mut membranes = [state.mem.to_le_bytes()];
            for input in inputs {
                let want = cell.step(state, input, Channel { threshold, bias });
                let (mut sums, mut emitted) = ([input], [9]);
                let neurons = Neurons { sums: &mut sums, membranes: &mut membranes, emitted: &mut emitted };
                lanes.update(&numbers, neurons);
                let got = (sums[0], emitted[0], membranes[0].wide());
                prop_assert_eq!(got, (want.mem, want.spikes, want.state.mem));
                state = State { mem: want.state.mem, cur: 0 };
            }
        }
    }
}
