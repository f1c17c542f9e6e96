//! Layers of neurons.

use super::{Chain, MembraneLevels, SoftReset};
use crate::error::ExportError;
use crate::graph::{Metadata, Node, Value};
use crate::note::Note;
use crate::num::{array, transpose};
use crate::primitive::Primitive;
use crate::sim::{self, QUANT};
use snn_core::io::{Array, Data};
use snn_core::layer::{NeuronKind, NeuronLayer};
use snn_core::module::Param;
use snn_core::neuron::{CubaLif, Firing, Li, Lif, Reset, SpikeWhen};

impl Chain<'_> {
    pub(super) fn neuron(&mut self, layer: &NeuronLayer) -> Result<(), ExportError> {
        let name = &layer.name;
        let unsupported = |what| ExportError::Unsupported { layer: name.clone(), what };
        let scales = self.take_scales(layer)?;
        let (primitive, mut metadata) = match &layer.kind {
            NeuronKind::Lif(neuron) => self.lif(name, neuron, &scales)?,
            NeuronKind::CubaLif(neuron) => self.cuba_lif(name, neuron, &scales)?,
            NeuronKind::Li(neuron) => self.li(name, *neuron, &scales)?,
            NeuronKind::Alif(_) => return Err(unsupported("neuron with an adaptive threshold")),
            NeuronKind::Decolle(_) => {
                return Err(unsupported("neuron with two filters and a refractory state"));
            }
            other => return Err(unsupported(other.name())),
        };
        if let Some(quant) = self.options.states.get(name) {
            let entries = Metadata::from([
                ("scheme".to_owned(), quant.scheme.as_str().into()),
                ("state_bits".to_owned(), i64::from(quant.bits).into()),
                levels(&quant.levels),
                ("placement".to_owned(), quant.placement.as_str().into()),
            ]);
            metadata.insert(QUANT.to_owned(), entries.into());
            self.notes.push(Note::StateQuant { layer: name.clone() });
        }
        self.push(name, primitive, metadata);
        if let Some([weight, bias]) = &layer.recurrent {
            self.loops.push((name.clone(), recurrent(weight, bias)));
        }
        Ok(())
    }

    /// The scale of each neuron's input: that of the codes before it, or 1.
    fn take_scales(&mut self, layer: &NeuronLayer) -> Result<Vec<f64>, ExportError> {
        let n: usize = layer.features.iter().product();
        let Some((from, channels)) = self.pending.take() else { return Ok(vec![1.0; n]) };
        if layer.recurrent.is_some() {
            let reason = "codes cannot feed recurrent neurons, whose own weights have another scale";
            return Err(ExportError::Quant { tensor: format!("{from}.weight"), reason });
        }
        self.notes.push(Note::ScaleIsResistance { layer: from, neuron: layer.name.clone() });
        let run = n / channels.len();
        Ok((0..n).map(|i| channels[i / run]).collect())
    }

    fn full(&self, value: f64) -> Array {
        array(&self.features, Data::F64(vec![value; self.features.iter().product()]))
    }

    fn resistance(&self, r: f64, scales: &[f64]) -> Array {
        array(&self.features, Data::F64(scales.iter().map(|s| s * r).collect()))
    }

    fn lif(&mut self, name: &str, n: &Lif, scales: &[f64]) -> Result<(Primitive, Metadata), ExportError> {
        check(name, "beta", n.beta, "from 0 to 1", (0.0..=1.0).contains(&n.beta))?;
        check(name, "gain", n.gain, "positive", n.gain > 0.0 && n.gain.is_finite())?;
        self.check_firing(name, &n.firing)?;
        let leak = 1.0 - f64::from(n.beta);
        let unit = if leak > 0.0 { f64::from(n.gain) / leak } else { f64::from(n.gain) };
        let r = self.resistance(1.0, scales);
        let v_threshold = self.full(f64::from(n.firing.threshold) / unit);
        let v_reset = Some(self.full(0.0));
        let primitive = if leak > 0.0 {
            let (tau, v_leak) = (self.full(self.options.dt / leak), self.full(0.0));
            Primitive::Lif { tau, r, v_leak, v_threshold, v_reset }
        } else {
            Primitive::If { r, v_threshold, v_reset }
        };
        Ok((primitive, sim::of_firing(&n.firing, unit)))
    }

    fn cuba_lif(
        &mut self,
        name: &str,
        n: &CubaLif,
        scales: &[f64],
    ) -> Result<(Primitive, Metadata), ExportError> {
        for (field, decay) in [("alpha", n.alpha), ("beta", n.beta)] {
            check(name, field, decay, "from 0 to below 1", (0.0..1.0).contains(&decay))?;
        }
        self.check_firing(name, &n.firing)?;
        let steps = |decay: f32| 1.0 / (1.0 - f64::from(decay));
        let (syn, mem) = (steps(n.alpha), steps(n.beta));
        let primitive = Primitive::CubaLif {
            tau_syn: self.full(self.options.dt * syn),
            tau_mem: self.full(self.options.dt * mem),
            r: self.resistance(mem, scales),
            v_leak: self.full(0.0),
            v_threshold: self.full(f64::from(n.firing.threshold)),
            v_reset: Some(self.full(0.0)),
            w_in: Some(self.full(syn)),
        };
        Ok((primitive, sim::of_firing(&n.firing, 1.0)))
    }

    fn li(&self, name: &str, n: Li, scales: &[f64]) -> Result<(Primitive, Metadata), ExportError> {
        check(name, "beta", n.beta, "from 0 to 1", (0.0..=1.0).contains(&n.beta))?;
        let leak = 1.0 - f64::from(n.beta);
        if leak == 0.0 {
            return Ok((Primitive::I { r: self.resistance(1.0, scales) }, sim::of_integrator()));
        }
        let (tau, r) = (self.full(self.options.dt / leak), self.resistance(1.0 / leak, scales));
        Ok((Primitive::Li { tau, r, v_leak: self.full(0.0) }, Metadata::new()))
    }

    /// A hard reset is NIR's, in the step of the spike or before the next: spikes are the same.
    fn check_firing(&mut self, name: &str, firing: &Firing) -> Result<(), ExportError> {
        let layer = name.to_owned();
        if !firing.threshold.is_finite() {
            let value = f64::from(firing.threshold);
            return Err(ExportError::Parameter { layer, field: "threshold", value, expected: "finite" });
        }
        let does = match firing.reset {
            Reset::Zero => None,
            Reset::Subtract => Some("subtracts the threshold"),
            Reset::None => Some("leaves the membrane alone"),
        };
        match (does, self.options.soft_reset) {
            (None, _) => {}
            (Some(does), SoftReset::Refuse) => return Err(ExportError::Reset { layer, does }),
            (Some(does), SoftReset::WriteAsHard) => {
                self.notes.push(Note::Reset { layer: layer.clone(), does });
            }
        }
        if firing.spike_when == SpikeWhen::AtOrAbove {
            self.notes.push(Note::SpikeAtThreshold { layer });
        }
        Ok(())
    }
}

/// Recurrent weights `[from, to]` and bias as a node.
fn recurrent(weight: &Param, bias: &Param) -> Node {
    let n = bias.value.len();
    let weights = transpose(weight.value.as_slice(), n, n);
    Node::from(Primitive::Affine {
        weight: array(&[n, n], Data::F32(weights)),
        bias: Array::from(&bias.value),
    })
}

fn check(
    layer: &str,
    field: &'static str,
    value: f32,
    expected: &'static str,
    is_met: bool,
) -> Result<(), ExportError> {
    if is_met {
        return Ok(());
    }
    Err(ExportError::Parameter { layer: layer.to_owned(), field, value: f64::from(value), expected })
}

/// The entry that describes the levels of a membrane.
fn levels(levels: &MembraneLevels) -> (String, Value) {
    match levels {
        MembraneLevels::Even(scale) => ("state_scale".to_owned(), (*scale).into()),
        MembraneLevels::Listed(levels) => {
            ("levels".to_owned(), Value::Array(array(&[levels.len()], Data::F32(levels.clone()))))
        }
    }
}
