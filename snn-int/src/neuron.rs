//! One time step of a neuron, in the operations of [`arith`](crate::arith).
//!
//! In every step, with the accumulated input `a` of the neuron (the sum of the weights that its spikes met):
//!
//! 1. *Integrate.* The input is scaled and the bias added: `x = input(a) + bias`. With a synaptic current,
//!    `i ← fit(leak_i(i) + x)` and `x = i`. A reset of the step before, if resets come one step late, acts on the leaked
//!    membrane. Then `raw = leak(v) + x`.
//! 2. *Store*, before or after the spike test ([`Placement`]): `raw` becomes the code that is kept, in few bits.
//! 3. *Fire.* The spike test, and a reset if resets come in the same step.
//!
//! The membrane is kept as a code; `value(code)` is `code · 2^shift`, or an entry of a table. Thresholds, biases and resets
//! are in units of the value.

use crate::arith::within_i32;
pub use crate::arith::{Leak, Overflow, Rounding, Scale, Tail, Width};
pub use crate::bytes::I32s;
use crate::num::{count, index, low_i32, low_u8};

/// What the neurons of a layer have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neuron {
    /// Factor of the accumulated input.
    pub input: Scale,
    /// A synaptic current before the membrane (current-based neurons), if there is one.
    pub current: Option<Current>,
    /// Leak of the membrane.
    pub leak: Leak,
    /// How the membrane is kept.
    pub store: Store,
    /// When it becomes what is kept.
    pub placement: Placement,
    /// Spikes and resets; without it the output is the membrane itself.
    pub firing: Option<Firing>,
}

/// A synaptic current.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Current {
    /// Its leak.
    pub leak: Leak,
    /// Its bits.
    pub width: Width,
}

/// How a membrane is kept between steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// `code = fit(round(raw / 2^shift))`.
    Shift {
        /// The power of two, at most 16, and such that `shift + bits` is at most 32.
        shift: u8,
        /// How the quotient is rounded.
        rounding: Rounding,
        /// Bits of the code.
        width: Width,
    },
    /// The code counts how many boundaries of a table lie below `raw`; see [`Cell::levels`].
    Levels {
        /// Bits of the code, 1 to 8: the table has `2^bits` levels.
        bits: u8,
    },
}

impl Store {
    /// The bits of the code as a variable.
    #[must_use]
    pub const fn width(self) -> Width {
        match self {
            Self::Shift { width, .. } => width,
            Self::Levels { .. } => Width::saturating(8),
        }
    }
}

/// When the membrane becomes what is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// After integration: the spike is decided on the value of the code.
    BeforeSpike,
    /// After spike and reset, which see all bits.
    OnStore,
}

/// Spikes and resets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Firing {
    /// The comparison.
    pub when: SpikeWhen,
    /// What a spike does to the membrane.
    pub reset: Reset,
    /// When it does so.
    pub reset_time: ResetTime,
    /// Most spikes of a neuron in a step: 1 unless the chip can send several, in which case a membrane of `n` thresholds
    /// sends `n`, and a subtractive reset takes away all of them.
    pub max_spikes: u8,
}

/// The spike test. With integers equality is common, so it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpikeWhen {
    /// `mem > threshold`.
    Above,
    /// `mem >= threshold`.
    AtOrAbove,
}

/// What a spike does to the membrane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// Subtracts the threshold, for each spike.
    Subtract,
    /// Sets it to this value; 0 is the usual one.
    Value(i32),
    /// Nothing.
    None,
}

/// When the reset takes place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetTime {
    /// In the step of the spike.
    SameStep,
    /// In the next step, on the leaked membrane, if the kept membrane passes the spike test.
    NextStep,
}

/// What may differ between the channels of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Firing threshold, in units of the membrane's value.
    pub threshold: i32,
    /// Added in each step, in the same units.
    pub bias: i32,
}

/// What a neuron keeps between steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct State {
    /// Code of the membrane.
    pub mem: i32,
    /// Synaptic current.
    pub cur: i32,
}

/// The outcome of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fired {
    /// The membrane at the spike test.
    pub mem: i32,
    /// How many spikes: 0 or 1 unless several are allowed.
    pub spikes: u8,
    /// What is kept.
    pub state: State,
}

impl Neuron {
    /// A leakless neuron with a saturating membrane that is set to 0 when it exceeds its threshold.
    #[must_use]
    pub const fn lif(width: Width) -> Self {
        let firing = Firing {
            when: SpikeWhen::Above,
            reset: Reset::Value(0),
            reset_time: ResetTime::SameStep,
            max_spikes: 1,
        };
        Self {
            input: Scale::by(1),
            current: None,
            leak: Leak::None,
            store: Store::Shift { shift: 0, rounding: Rounding::Floor, width },
            placement: Placement::BeforeSpike,
            firing: Some(firing),
        }
    }

    /// The current-based neuron of Loihi: 24 bits, of which the current wraps and the membrane saturates; both leak by
    /// `(4096 − decay) / 4096`, toward zero; weights count 64; above its threshold the membrane is set to 0.
    ///
    /// # References
    /// Davies et al., "Loihi: A Neuromorphic Manycore Processor with On-Chip Learning", 2018, IEEE Micro 38(1), and the
    /// fixed-point model published with Intel's lava. Modelled from public documents, not run on silicon.
    #[must_use]
    pub const fn loihi(current_decay: u16, voltage_decay: u16) -> Self {
        const fn leak(decay: u16) -> Leak {
            Leak::Scale(Scale { mul: 4096 - decay as i32, shift: 12, rounding: Rounding::TowardZero })
        }
        let store = Store::Shift { shift: 0, rounding: Rounding::Floor, width: Width::saturating(24) };
        Self {
            input: Scale::by(64),
            current: Some(Current { leak: leak(current_decay), width: Width::wrapping(24) }),
            leak: leak(voltage_decay),
            store,
            ..Self::lif(Width::saturating(24))
        }
    }
}

/// A neuron with the table that it may have.
#[derive(Clone, Copy, Debug)]
pub struct Cell<'a> {
    /// The neuron.
    pub neuron: Neuron,
    /// For [`Store::Levels`]: `2^bits` levels in ascending order, then the `2^bits − 1` boundaries between them, in
    /// ascending order. A value on a boundary belongs to the level below it.
    pub levels: I32s<'a>,
}

impl Cell<'_> {
    /// The membrane's value that a code stands for.
    #[inline]
    #[must_use]
    pub fn value(&self, code: i32) -> i32 {
        match self.neuron.store {
            Store::Shift { shift, .. } => code << shift,
            Store::Levels { bits } => {
                self.levels.get(usize::try_from(code + half_of(bits)).unwrap_or(usize::MAX))
            }
        }
    }

    /// The code that a membrane is kept as.
    #[inline]
    #[must_use]
    pub fn code(&self, raw: i64) -> i32 {
        match self.neuron.store {
            Store::Shift { shift, rounding, width } => width.fit(rounding.shift_right(raw, shift)),
            Store::Levels { bits } => self.level(bits, raw),
        }
    }

    /// The level of `raw`, by binary search over the boundaries; codes are centered on 0 to fit a signed byte.
    fn level(&self, bits: u8, raw: i64) -> i32 {
        let n_levels = 1_usize << bits;
        let (mut low, mut high) = (0, n_levels - 1);
        while low < high {
            let middle = usize::midpoint(low, high);
            if raw > i64::from(self.levels.get(n_levels + middle)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low_i32(i64::from(count(low))) - half_of(bits)
    }

    /// The state of a neuron at rest: what keeps 0.
    #[must_use]
    pub fn rest(&self) -> State {
        State { mem: self.code(0), cur: 0 }
    }

    /// One time step.
    #[inline]
    #[must_use]
    pub fn step(&self, state: State, input: i32, channel: Channel) -> Fired {
        let (raw, cur) = self.integrate(state, input, channel);
        self.fire(raw, cur, channel)
    }

    /// The first half: the membrane before it is stored or tested, and the synaptic current.
    #[inline]
    #[must_use]
    pub fn integrate(&self, state: State, input: i32, channel: Channel) -> (i64, i32) {
        let mut drive = self.neuron.input.apply(input) + i64::from(channel.bias);
        let mut cur = 0;
        if let Some(current) = self.neuron.current {
            cur = current.width.fit(current.leak.apply(state.cur) + drive);
            drive = i64::from(cur);
        }
        let mem = self.value(state.mem);
        let leaked = self.neuron.leak.apply(mem);
        let carried = match self.neuron.firing {
            Some(firing) if firing.reset_time == ResetTime::NextStep => {
                firing.reset(leaked, channel.threshold, firing.spikes(mem, channel.threshold))
            }
            _ => leaked,
        };
        (carried + drive, cur)
    }

    /// The second half, from what [`integrate`](Self::integrate) gave.
    #[inline]
    #[must_use]
    pub fn fire(&self, raw: i64, cur: i32, channel: Channel) -> Fired {
        let before = self.neuron.placement == Placement::BeforeSpike;
        let mem = if before { self.value(self.code(raw)) } else { within_i32(raw) };
        let mut kept = i64::from(mem);
        let mut spikes = 0;
        if let Some(firing) = self.neuron.firing {
            spikes = firing.spikes(mem, channel.threshold);
            if firing.reset_time == ResetTime::SameStep {
                kept = firing.reset(kept, channel.threshold, spikes);
            }
        }
        Fired { mem, spikes, state: State { mem: self.code(kept), cur } }
    }
}

/// What is added to a code of a table to make it an index.
fn half_of(bits: u8) -> i32 {
    (1 << bits) >> 1
}

impl Firing {
    /// How many spikes a membrane sends.
    #[inline]
    #[must_use]
    pub fn spikes(&self, mem: i32, threshold: i32) -> u8 {
        let fires = match self.when {
            SpikeWhen::Above => mem > threshold,
            SpikeWhen::AtOrAbove => mem >= threshold,
        };
        if self.max_spikes <= 1 || !fires || threshold <= 0 {
            return u8::from(fires).min(self.max_spikes);
        }
        let reached = i64::from(mem) - i64::from(self.when == SpikeWhen::Above);
        let n = reached / i64::from(threshold);
        low_u8(u32::try_from(n.min(self.max_spikes.into())).unwrap_or(0))
    }

    /// The membrane after that many spikes.
    #[inline]
    #[must_use]
    pub fn reset(&self, mem: i64, threshold: i32, spikes: u8) -> i64 {
        match self.reset {
            Reset::Subtract => mem - i64::from(threshold) * i64::from(spikes),
            Reset::Value(value) if spikes > 0 => i64::from(value),
            Reset::Value(_) | Reset::None => mem,
        }
    }
}

/// Number of entries of the table of a membrane of `bits` bits: levels and boundaries.
#[must_use]
pub const fn n_table_entries(bits: u8) -> usize {
    index((2 << bits) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANNEL: Channel = Channel { threshold: 10, bias: 0 };

    fn spikes_of(neuron: Neuron, inputs: &[i32]) -> (std::vec::Vec<u8>, State) {
        let cell = Cell { neuron, levels: I32s::default() };
        let mut state = cell.rest();
        let step = |&input| {
            let fired = cell.step(state, input, CHANNEL);
            state = fired.state;
            fired.spikes
        };
        (inputs.iter().map(step).collect(), state)
    }

    extern crate std;

    fn with(firing: Firing) -> Neuron {
        Neuron { firing: Some(firing), ..Neuron::lif(Width::saturating(8)) }
    }

    const SUBTRACT: Firing = Firing {
        when: SpikeWhen::Above,
        reset: Reset::Subtract,
        reset_time: ResetTime::SameStep,
        max_spikes: 1,
    };

    #[test]
    fn equality_fires_or_not_as_said() {
        let at = Firing { when: SpikeWhen::AtOrAbove, ..SUBTRACT };
        assert_eq!(spikes_of(with(SUBTRACT), &[10, 0, 1]).0, [0, 0, 1]);
        assert_eq!(spikes_of(with(at), &[10, 0, 1]).0, [1, 0, 0]);
    }

    #[test]
    fn each_reset_leaves_what_it_says() {
        let rest = |reset| spikes_of(with(Firing { reset, ..SUBTRACT }), &[13]).1.mem;
        assert_eq!(
            [Reset::Subtract, Reset::Value(0), Reset::Value(-4), Reset::None].map(rest),
            [3, 0, -4, 13]
        );
        let late = Firing { reset_time: ResetTime::NextStep, ..SUBTRACT };
        assert_eq!(spikes_of(with(late), &[13]).1.mem, 13);
        assert_eq!(spikes_of(with(late), &[13, 0, 0]), (std::vec![1, 0, 0], State { mem: 3, cur: 0 }));
    }

    #[test]
    fn several_spikes_take_their_thresholds_along() {
        let many = Firing { max_spikes: 3, ..SUBTRACT };
        assert_eq!(spikes_of(with(many), &[10, 11, 99]), (std::vec![0, 2, 3], State { mem: 70, cur: 0 }));
        let at = Firing { when: SpikeWhen::AtOrAbove, ..many };
        assert_eq!(spikes_of(with(at), &[20]).0, [2]);
    }

    #[test]
    fn a_table_keeps_the_level_between_its_boundaries() {
        let entries = [-20, 0, 6, 12, -10, 3, 9]; // 4 levels, 3 boundaries
        let bytes: std::vec::Vec<u8> = entries.iter().flat_map(|v: &i32| v.to_le_bytes()).collect();
        let neuron = Neuron { store: Store::Levels { bits: 2 }, ..Neuron::lif(Width::saturating(8)) };
        let cell = Cell { neuron, levels: I32s::new(&bytes) };
        let kept = [-99, -10, -9, 3, 4, 9, 10, 99].map(|raw| cell.value(cell.code(raw)));
        assert_eq!(kept, [-20, -20, 0, 0, 6, 6, 12, 12]);
        assert_eq!(cell.rest(), State { mem: -1, cur: 0 });
        assert_eq!(cell.step(cell.rest(), 11, CHANNEL).spikes, 1);
    }

    #[test]
    fn loihi_decays_current_and_membrane_toward_zero() {
        let cell = Cell { neuron: Neuron::loihi(1024, 128), levels: I32s::default() };
        let mut state = cell.rest();
        let (mut u, mut v) = (0_i64, 0_i64);
        let channel = Channel { threshold: 64 * 80, bias: 0 };
        for input in [-3, 5, 90, 0, -7, 40, 2, 0, 0] {
            let fired = cell.step(state, input, channel);
            u = u.signum() * ((u.abs() * (4096 - 1024)) >> 12) + 64 * i64::from(input);
            v = v.signum() * ((v.abs() * (4096 - 128)) >> 12) + u;
            assert_eq!((i64::from(fired.mem), i64::from(fired.state.cur)), (v, u));
            assert_eq!(fired.spikes == 1, v > 64 * 80);
            v = if fired.spikes == 1 { 0 } else { v };
            state = fired.state;
        }
    }
}
