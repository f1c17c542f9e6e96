//! Networks with their plans as NIR graphs: the glue between `snn-quant` and `snn-nir`, which do not know each other.

use snn_core::Module;
use snn_core::layer::Sequential;
use snn_nir::{
    ExportError, ExportOptions, Exported, MembraneLevels, SoftReset, StateQuant, TensorQuant, WeightFormat,
};
use snn_quant::{Placement, PlanError, QuantError, QuantSpec, Quantized, StateLevels, StateSpec};
use std::collections::BTreeMap;

/// A quantized network that has no NIR graph.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NirError {
    /// Its weights have no levels.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A membrane's levels are still to be calibrated.
    #[error("membrane of `{layer}`")]
    State {
        /// The neuron layer.
        layer: String,
        /// Why there are none.
        source: QuantError,
    },
    /// NIR cannot say it.
    #[error(transparent)]
    Export(#[from] ExportError),
}

/// A network as a graph, in full precision.
///
/// # Errors
/// [`ExportError`] for what NIR cannot say.
pub fn export(net: &Sequential, soft_reset: SoftReset) -> Result<Exported, ExportError> {
    snn_nir::export(net, &ExportOptions { soft_reset, ..ExportOptions::default() })
}

/// A quantized network as a graph: its weights are their levels or codes, and metadata say how they and the membranes
/// are quantized.
///
/// # Errors
/// [`NirError`] for weights without levels, membranes to be calibrated, and what NIR cannot say.
pub fn export_quantized(
    net: &Quantized<Sequential>,
    weights: WeightFormat,
    soft_reset: SoftReset,
) -> Result<Exported, NirError> {
    let plan = net.settled_plan();
    let states = plan.states.iter().map(|(name, spec)| {
        let state = state_quant(spec).map_err(|source| NirError::State { layer: name.clone(), source })?;
        Ok((name.clone(), state))
    });
    let states = states.collect::<Result<_, NirError>>()?;
    let options =
        ExportOptions { soft_reset, weights, quant: tensor_quants(net)?, states, ..ExportOptions::default() };
    Ok(snn_nir::export(net.baked().net(), &options)?)
}

fn tensor_quants(net: &Quantized<Sequential>) -> Result<BTreeMap<String, TensorQuant>, PlanError> {
    let params = net.weight_params()?;
    let mut quants = BTreeMap::new();
    net.net().visit_params(&mut |p| {
        let (Some(params), Some(spec)) = (params.get(&p.name), net.plan().weights.get(&p.name)) else {
            return;
        };
        let scheme = match spec {
            QuantSpec::Uniform(_) => "uniform",
            QuantSpec::FixedPoint(_) => "fixed_point",
        };
        let quant = TensorQuant {
            scheme: scheme.to_owned(),
            bits: params.bits().get(),
            scales: params.grids().iter().map(|grid| grid.scale()).collect(),
            zero_points: params.grids().iter().map(|grid| grid.zero_point()).collect(),
            codes: params.codes(p.value.as_slice()),
        };
        quants.insert(p.name.clone(), quant);
    });
    Ok(quants)
}

fn state_quant(spec: &StateSpec) -> Result<StateQuant, QuantError> {
    let placement = match spec.placement {
        Placement::BeforeSpike => "before_spike",
        Placement::OnStore => "on_store",
    };
    let (scheme, levels) = match spec.found_levels()? {
        StateLevels::Grid(grid) => ("fixed_point", MembraneLevels::Even(f64::from(grid.scale()))),
        StateLevels::Table(table) => ("levels", MembraneLevels::Listed(table.levels().to_vec())),
    };
    Ok(StateQuant {
        scheme: scheme.to_owned(),
        bits: spec.bits().get(),
        levels,
        placement: placement.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::neuron_names;
    use snn_core::layer::parse;
    use snn_core::neuron::Lif;
    use snn_nir::{Convention, Note, import};
    use snn_quant::{BitWidth, QuantPlan};

    fn quantized() -> Quantized<Sequential> {
        let net =
            parse("4C3-AP2-LIF-10-LIF", &[2, 10, 10], Lif::norse(0.25).into()).unwrap().init(3).unwrap();
        let four = BitWidth::new(4).unwrap();
        let mut plan = QuantPlan::same_for_all(["conv1.weight", "fc1.weight"], &QuantSpec::uniform(four));
        plan.states.insert("lif1".to_owned(), StateSpec::fixed_point(BitWidth::new(8).unwrap()));
        let names = neuron_names(&net);
        Quantized::new(net, &names, plan).unwrap()
    }

    #[test]
    fn a_quantized_network_comes_back_on_its_levels() {
        let net = quantized();
        for weights in [WeightFormat::Levels, WeightFormat::Codes] {
            let exported = export_quantized(&net, weights, SoftReset::Refuse).unwrap();
            let imported = import(&exported.graph, &Convention::snntorch()).unwrap().net;
            let params = |net: &Sequential| snn_core::io::params(net);
            assert_eq!(params(&imported), params(net.baked().net()), "{weights:?}");
            assert!(exported.notes.contains(&Note::StateQuant { layer: "lif1".to_owned() }));
        }
    }

    #[test]
    fn a_soft_reset_is_refused_unless_allowed() {
        let net = parse("5-LIF", &[4], Lif::snntorch(0.5).into()).unwrap().init(1).unwrap();
        assert!(matches!(export(&net, SoftReset::Refuse), Err(ExportError::Reset { .. })));
        assert_eq!(export(&net, SoftReset::WriteAsHard).unwrap().notes.len(), 1);
    }
}
