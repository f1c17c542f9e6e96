//! The metadata that this crate writes: how neurons were simulated. NIR gives them no meaning.

use crate::convention::Integration;
use crate::graph::{Metadata, Value};
use snn_core::neuron::{Firing, Reset, ResetTime, SpikeWhen};

/// Group of the metadata about simulation.
pub(crate) const SIM: &str = "sim";
/// Group of the metadata about quantization.
pub(crate) const QUANT: &str = "quant";

/// How a node was simulated: what is `None` the file does not say.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sim {
    pub(crate) reset: Option<Reset>,
    pub(crate) reset_time: Option<ResetTime>,
    pub(crate) spike_when: Option<SpikeWhen>,
    /// Potentials of the network are those of the file times this.
    pub(crate) unit: Option<f64>,
    /// The gain of integrators.
    pub(crate) integration: Option<Integration>,
}

const RESETS: [(&str, Reset); 3] =
    [("zero", Reset::Zero), ("subtract", Reset::Subtract), ("none", Reset::None)];
/// Name of [`Integration::PerStep`].
const PER_STEP: &str = "per_step";
const SPIKE_TESTS: [(&str, SpikeWhen); 2] = [(">", SpikeWhen::Above), (">=", SpikeWhen::AtOrAbove)];

/// Metadata of an integrator that adds its input in each step.
pub(crate) fn of_integrator() -> Metadata {
    let sim = Metadata::from([("integration".to_owned(), PER_STEP.into())]);
    Metadata::from([(SIM.to_owned(), Value::Group(sim))])
}

/// Metadata of spiking neurons whose potentials are those of the file times `unit`.
pub(crate) fn of_firing(firing: &Firing, unit: f64) -> Metadata {
    let mut sim = Metadata::new();
    let mut put = |key: &str, value: Option<Value>| sim.extend(value.map(|value| (key.to_owned(), value)));
    put("reset", name_of(&RESETS, &firing.reset).map(Value::from));
    put("reset_delay", Some(Value::from(i64::from(firing.reset_time == ResetTime::NextStep))));
    put("spike_cmp", name_of(&SPIKE_TESTS, &firing.spike_when).map(Value::from));
    put("unit", Some(Value::from(unit)));
    put("integration", Some(Value::from(PER_STEP)));
    Metadata::from([(SIM.to_owned(), Value::Group(sim))])
}

/// Metadata of a graph.
pub(crate) fn of_graph(dt: f64) -> Metadata {
    let sim = Metadata::from([("dt".to_owned(), Value::from(dt))]);
    Metadata::from([(SIM.to_owned(), Value::Group(sim))])
}

/// The time step that a graph says.
pub(crate) fn dt(metadata: &Metadata) -> Option<f64> {
    group(metadata, SIM)?.get("dt")?.number().filter(|dt| dt.is_finite() && *dt > 0.0)
}

/// What a node says about its simulation; what is not understood is passed over.
pub(crate) fn read(metadata: &Metadata) -> Sim {
    let Some(sim) = group(metadata, SIM) else { return Sim::default() };
    let text = |key: &str| sim.get(key).and_then(Value::text);
    let number = |key: &str| sim.get(key).and_then(Value::number);
    Sim {
        reset: text("reset").and_then(|t| meaning_of(&RESETS, t)),
        reset_time: number("reset_delay").map(|delay| {
            if crate::num::is_same(delay, 0.0) { ResetTime::SameStep } else { ResetTime::NextStep }
        }),
        spike_when: text("spike_cmp").and_then(|t| meaning_of(&SPIKE_TESTS, t)),
        unit: number("unit").filter(|unit| unit.is_finite() && *unit > 0.0),
        integration: text("integration").filter(|name| *name == PER_STEP).map(|_| Integration::PerStep),
    }
}

pub(crate) fn group<'a>(metadata: &'a Metadata, key: &str) -> Option<&'a Metadata> {
    match metadata.get(key)? {
        Value::Group(group) => Some(group),
        _ => None,
    }
}

fn name_of<T: PartialEq>(table: &[(&'static str, T)], value: &T) -> Option<&'static str> {
    table.iter().find(|(_, v)| v == value).map(|&(name, _)| name)
}

fn meaning_of<T: Copy>(table: &[(&str, T)], name: &str) -> Option<T> {
    table.iter().find(|(n, _)| *n == name).map(|&(_, value)| value)
}
