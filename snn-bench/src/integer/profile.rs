//! Chips as plans and limits. All are modelled from public documents; none was run on silicon.

use serde::{Deserialize, Serialize};
use snn_int::model::Pool;
use snn_int::neuron::{Leak, Reset, SpikeWhen, Store};
use snn_int::spec::{LayerSpec, ModelSpec, SynapseSpec};
use snn_quant::exact::ExactSpec;
use std::fmt::Display;
use std::path::{Path, PathBuf};

/// A chip: the integers that it computes in, and what it has room for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Short name.
    pub name: String,
    /// What it describes.
    pub title: String,
    /// Where its numbers come from.
    pub source: String,
    /// How sure they are.
    pub status: String,
    /// Its integers, the section of a plan.
    pub exact: Option<ExactSpec>,
    /// What it has room for.
    #[serde(default)]
    pub limits: Limits,
}

/// What a chip has room for; what is not named has no limit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Most bits of a weight.
    pub weight_bits: Option<u32>,
    /// Most bits of a membrane.
    pub membrane_bits: Option<u32>,
    /// Bits of a threshold as two's complement.
    pub threshold_bits: Option<u32>,
    /// Resets: `zero`, `subtract`, `none`.
    pub resets: Vec<String>,
    /// Spike tests: `above`, `at_or_above`.
    pub compare: Vec<String>,
    /// Leaks: `none`, `shift`, `multiply_shift`, `constant`.
    pub leaks: Vec<String>,
    /// Whether neurons may have a bias.
    pub bias: Option<bool>,
    /// Whether there are convolutions.
    pub convolutions: Option<bool>,
    /// Whether there is recurrence.
    pub recurrent: Option<bool>,
    /// Most layers.
    pub layers: Option<u64>,
    /// Most inputs.
    pub inputs: Option<u64>,
    /// Most outputs.
    pub outputs: Option<u64>,
    /// Most neurons in all layers but the last.
    pub neurons: Option<u64>,
    /// Most neurons in a layer.
    pub neurons_per_layer: Option<u64>,
    /// Most weights in a layer.
    pub weights_per_layer: Option<u64>,
    /// Most weights into one neuron.
    pub fan_in: Option<u64>,
    /// Most channels.
    pub channels: Option<u64>,
    /// Largest side of a kernel.
    pub kernel: Option<u64>,
    /// Largest side of a frame.
    pub side: Option<u64>,
    /// Strides of convolutions.
    pub strides: Vec<u32>,
    /// Sides of pools.
    pub pools: Vec<u32>,
}

/// Something that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The layer, or `network`.
    pub layer: String,
    /// What of it.
    pub what: &'static str,
    /// What it is.
    pub found: String,
    /// What there is room for.
    pub limit: String,
}

/// A profile that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// There is neither a built-in profile nor a file of this name.
    #[error("{}: no profile of this name (loihi, xylo2, speck) and no file: {source}", path.display())]
    Read {
        /// The name.
        path: PathBuf,
        /// Why the file cannot be read.
        source: std::io::Error,
    },
    /// The file is no profile.
    #[error("{}: {source}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and what.
        source: Box<toml::de::Error>,
    },
}

impl Profile {
    /// Names of the profiles that come with the program.
    pub const BUILT_IN: [&str; 3] = ["loihi", "xylo2", "speck"];

    /// The built-in profile of this name, or the one in the file of this name.
    ///
    /// # Errors
    /// [`ProfileError`].
    pub fn open(name: &str) -> Result<Self, ProfileError> {
        let path = Path::new(name);
        let text = match name {
            "loihi" => include_str!("../../profiles/loihi.toml").to_owned(),
            "xylo2" => include_str!("../../profiles/xylo2.toml").to_owned(),
            "speck" => include_str!("../../profiles/speck.toml").to_owned(),
            _ => std::fs::read_to_string(path)
                .map_err(|source| ProfileError::Read { path: path.to_owned(), source })?,
        };
        toml::from_str(&text)
            .map_err(|source| ProfileError::Syntax { path: path.to_owned(), source: Box::new(source) })
    }
}

/// All that does not fit a profile.
#[must_use]
pub fn check(model: &ModelSpec, profile: &Profile) -> Vec<Finding> {
    let mut checker = Checker { limits: &profile.limits, layer: "network".to_owned(), findings: Vec::new() };
    checker.most("layers", model.layers.len() as u64, profile.limits.layers);
    checker.most("inputs", model.input.n() as u64, profile.limits.inputs);
    let mut shape = model.input;
    let mut hidden = 0;
    for (number, layer) in model.layers.iter().enumerate() {
        checker.layer.clone_from(&layer.name);
        let input = behind(layer.gather, shape);
        shape = checker.synapses(layer, input);
        shape = behind(layer.pool, shape);
        checker.most("neurons", shape.n() as u64, profile.limits.neurons_per_layer);
        if number + 1 == model.layers.len() {
            checker.most("outputs", shape.n() as u64, profile.limits.outputs);
        } else {
            hidden += shape.n() as u64;
        }
        checker.neuron(layer);
    }
    "network".clone_into(&mut checker.layer);
    checker.most("hidden neurons", hidden, profile.limits.neurons);
    checker.findings
}

fn behind(pool: Option<Pool>, shape: snn_int::Shape) -> snn_int::Shape {
    let side = |n: u32, a: usize, pool: Pool| n.saturating_sub(pool.kernel[a]) / pool.stride[a] + 1;
    pool.map_or(shape, |pool| snn_int::Shape {
        height: side(shape.height, 0, pool),
        width: side(shape.width, 1, pool),
        ..shape
    })
}

struct Checker<'a> {
    limits: &'a Limits,
    layer: String,
    findings: Vec<Finding>,
}

impl Checker<'_> {
    fn find(&mut self, what: &'static str, found: &dyn Display, limit: &dyn Display) {
        let (found, limit) = (found.to_string(), limit.to_string());
        self.findings.push(Finding { layer: self.layer.clone(), what, found, limit });
    }

    fn most(&mut self, what: &'static str, found: u64, limit: Option<u64>) {
        if let Some(limit) = limit.filter(|&limit| found > limit) {
            self.find(what, &found, &limit);
        }
    }

    fn one_of(&mut self, what: &'static str, found: &str, choices: &[String]) {
        if !choices.is_empty() && !choices.iter().any(|choice| choice == found) {
            self.find(what, &found, &choices.join(", "));
        }
    }

    fn sizes(&mut self, what: &'static str, found: [u32; 2], choices: &[u32]) {
        if let Some(other) = found.iter().find(|size| !choices.is_empty() && !choices.contains(size)) {
            let choices: Vec<String> = choices.iter().map(u32::to_string).collect();
            self.find(what, other, &choices.join(", "));
        }
    }

    /// Checks the weights and returns the shape of the currents.
    fn synapses(&mut self, layer: &LayerSpec, input: snn_int::Shape) -> snn_int::Shape {
        let (limits, side) = (self.limits, input.height.max(input.width));
        self.most("side of a frame", side.into(), limits.side);
        if let Some(pool) = layer.gather.or(layer.pool) {
            self.sizes("side of a pool", pool.kernel, &limits.pools);
        }
        match &layer.synapses {
            SynapseSpec::Dense { n_out, weights } => {
                self.weights(weights.bits.into(), weights.values.len() as u64, input.n() as u64);
                snn_int::Shape::flat(*n_out)
            }
            SynapseSpec::Conv { conv, weights } => {
                if limits.convolutions == Some(false) {
                    self.find("a convolution", &"present", &"not possible");
                }
                self.most("side of a kernel", conv.kernel[0].max(conv.kernel[1]).into(), limits.kernel);
                self.most("channels", conv.channels.into(), limits.channels);
                self.sizes("stride", conv.stride, &limits.strides);
                let fan_in = weights.values.len() as u64 / u64::from(conv.channels).max(1);
                self.weights(weights.bits.into(), weights.values.len() as u64, fan_in);
                let out = |n: u32, a: usize| {
                    let window = conv.dilation[a] * (conv.kernel[a] - 1) + 1;
                    (n + 2 * conv.padding[a]).saturating_sub(window) / conv.stride[a] + 1
                };
                snn_int::Shape {
                    height: out(input.height, 0),
                    width: out(input.width, 1),
                    channels: conv.channels,
                }
            }
            SynapseSpec::Sum { pool, .. } => {
                self.sizes("side of a pool", pool.kernel, &limits.pools);
                behind(Some(*pool), input)
            }
        }
    }

    fn weights(&mut self, bits: u64, n: u64, fan_in: u64) {
        self.most("bits of weights", bits, self.limits.weight_bits.map(u64::from));
        self.most("weights", n, self.limits.weights_per_layer);
        self.most("weights into a neuron", fan_in, self.limits.fan_in);
    }

    fn neuron(&mut self, layer: &LayerSpec) {
        let (limits, neuron) = (self.limits, layer.neuron);
        if layer.recurrent.is_some() && limits.recurrent == Some(false) {
            self.find("recurrence", &"present", &"not possible");
        }
        if layer.biases.iter().any(|&bias| bias != 0) && limits.bias == Some(false) {
            self.find("a bias", &"present", &"not possible");
        }
        if let Store::Shift { width, .. } = neuron.store {
            self.most("bits of the membrane", width.bits.into(), limits.membrane_bits.map(u64::from));
        }
        let leak = match neuron.leak {
            Leak::None => "none",
            Leak::Shift { .. } => "shift",
            Leak::Scale(_) => "multiply_shift",
            Leak::Constant(_) => "constant",
        };
        self.one_of("leak", leak, &limits.leaks);
        let Some(firing) = neuron.firing else {
            self.find("neurons", &"without spikes", &"with spikes");
            return;
        };
        let reset = match firing.reset {
            Reset::Subtract => "subtract",
            Reset::Value(0) => "zero",
            Reset::Value(_) => "value",
            Reset::None => "none",
        };
        self.one_of("reset", reset, &limits.resets);
        let compare = if firing.when == SpikeWhen::Above { "above" } else { "at_or_above" };
        self.one_of("spike test", compare, &limits.compare);
        let largest = layer.thresholds.iter().map(|t| i64::from(*t).abs()).max().unwrap_or(0);
        let limit = limits.threshold_bits.map(|bits| (1_u64 << (bits - 1)) - 1);
        self.most("threshold", largest.unsigned_abs(), limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use snn_int::model::Conv;
    use snn_int::neuron::{Neuron, Width};
    use snn_int::spec::Codes;

    #[test]
    fn the_built_in_profiles_are_read_and_say_what_they_are() {
        for name in Profile::BUILT_IN {
            let profile = Profile::open(name).unwrap();
            assert_eq!(profile.name, name);
            assert!(profile.status.contains("not run on silicon"));
        }
        let error = Profile::open("no-such-chip").unwrap_err().to_string();
        assert!(error.contains("no-such-chip") && error.contains("xylo2"), "{error}");
    }

    #[test]
    fn what_does_not_fit_is_found() {
        let conv = Conv { stride: [3; 2], ..Conv::square(4, 17) };
        let weights = Codes { bits: 11, values: vec![5; 4 * 2 * 17 * 17] };
        let layer = LayerSpec::new(
            "conv1",
            SynapseSpec::Conv { conv, weights },
            Neuron { leak: Leak::Scale(snn_int::arith::Scale::by(0)), ..Neuron::lif(Width::saturating(24)) },
            1 << 20,
        );
        let input = snn_int::Shape { height: 70, width: 70, channels: 2 };
        let model = ModelSpec { input, input_max: 1, layers: vec![layer], meta: String::new() };
        let found = |name| -> Vec<&str> {
            check(&model, &Profile::open(name).unwrap()).iter().map(|finding| finding.what).collect()
        };
        assert_eq!(
            found("speck"),
            [
                "side of a frame",
                "side of a kernel",
                "stride",
                "bits of weights",
                "bits of the membrane",
                "leak",
                "threshold"
            ]
        );
        assert_eq!(
            found("xylo2"),
            [
                "inputs",
                "a convolution",
                "bits of weights",
                "outputs",
                "bits of the membrane",
                "leak",
                "reset",
                "spike test",
                "threshold"
            ]
        );
        assert_eq!(found("loihi"), ["bits of weights", "threshold"]);
    }
}
