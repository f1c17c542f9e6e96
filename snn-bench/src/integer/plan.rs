//! Plans that compute in integers.

use super::profile::Profile;
use snn_core::Module;
use snn_core::layer::{NeuronKind, Sequential};
use snn_quant::exact::{OneScale, one_scale};
use snn_quant::uniform::{ClipGrad, Granularity, ScaleRule};
use snn_quant::{
    BitWidth, FixedPointSpec, IntBits, PlanError, QuantError, QuantPlan, QuantSpec, StateQuantizer, StateSpec,
};

/// Bits of what a plan does not name.
#[derive(Debug, Clone, Copy)]
pub struct DefaultBits {
    /// Of weights.
    pub weights: u32,
    /// Of membranes.
    pub membranes: u32,
}

/// Makes a plan exact: adds the section `[exact]` unless it is there, and gives weights and membranes that the plan does
/// not name their bits. A membrane reaches four thresholds with 12 bits or more, two with fewer.
///
/// With a profile, its integers replace those of the plan, and widths are cut to what it has.
///
/// Returns in words what entries of the plan had to become otherwise: weights before outputs that are compared, or before a
/// table of levels, have one scale, and recurrent weights no learned one, since they take that of the weights before them.
///
/// # Errors
/// [`PlanError::Spec`] for a number of bits out of range.
pub fn complete(
    plan: &mut QuantPlan,
    net: &Sequential,
    bits: DefaultBits,
    profile: Option<&Profile>,
) -> Result<Vec<String>, PlanError> {
    plan.exact = Some(profile.map_or(plan.exact.unwrap_or_default(), |p| p.exact.unwrap_or_default()));
    let width = |section, name: &str, bits: u32, most: Option<u32>| {
        let error = |source: QuantError| PlanError::Spec { section, name: name.to_owned(), source };
        BitWidth::new(most.map_or(bits, |most| bits.min(most)).min(16)).map_err(error)
    };
    let most_weights = profile.and_then(|p| p.limits.weight_bits);
    let most_membranes = profile.and_then(|p| p.limits.membrane_bits);
    let mut names = Vec::new();
    net.visit_params(&mut |p| names.extend(p.is_weight().then(|| p.name.clone())));
    for name in names {
        let of = plan.weights.get(&name).map_or(bits.weights, |spec| spec.bits().get());
        let width = width("weights", &name, of, most_weights)?;
        let entry = plan.weights.entry(name).or_insert_with(|| QuantSpec::uniform(width));
        *entry = entry.clone().at(width);
    }
    for layer in net.neurons() {
        let of = plan.states.get(&layer.name).map_or(bits.membranes, |spec| spec.bits().get());
        let width = width("states", &layer.name, of, most_membranes)?;
        let entry = plan.states.entry(layer.name.clone()).or_insert_with(|| membrane(width, layer.kind));
        *entry = entry.clone().at(width);
    }
    Ok(share_scales(plan, net))
}

/// Takes away scales that integers cannot have, and says so.
fn share_scales(plan: &mut QuantPlan, net: &Sequential) -> Vec<String> {
    let mut notes = Vec::new();
    for (name, why) in one_scale(net, plan) {
        let Some(QuantSpec::Uniform(spec)) = plan.weights.get_mut(&name) else { continue };
        if spec.granularity == Granularity::PerTensor {
            continue;
        }
        spec.granularity = Granularity::PerTensor;
        let why = match why {
            OneScale::Readout => "its outputs are compared",
            OneScale::Table => "the membrane behind it is on one table of levels",
        };
        notes.push(format!("{name} has one scale for all channels, since {why}"));
    }
    for [weight, _] in net.neurons().filter_map(|layer| layer.recurrent.as_ref()) {
        if let Some(QuantSpec::Uniform(spec)) = plan.weights.get_mut(&weight.name)
            && spec.scale == ScaleRule::Learned
        {
            spec.scale = ScaleRule::AbsMax;
            notes.push(format!("{} takes the scale of the weights before it", weight.name));
        }
    }
    notes
}

/// A membrane that reaches some thresholds.
fn membrane(bits: BitWidth, kind: NeuronKind) -> StateSpec {
    let threshold = kind.threshold().filter(|&t| t > 0.0).unwrap_or(1.0);
    #[allow(clippy::cast_possible_truncation, reason = "a small exponent")]
    let covering = threshold.log2().ceil() as i32;
    let room = if bits.get() >= 12 { 2 } else { 1 };
    let int_bits = IntBits::Fixed(covering + room);
    let fixed = FixedPointSpec { int_bits, clip_grad: ClipGrad::Pass, ..FixedPointSpec::new(bits) };
    StateSpec { quantizer: StateQuantizer::FixedPoint(fixed), ..StateSpec::fixed_point(bits) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use snn_core::layer::parse;
    use snn_core::neuron::Lif;
    use snn_quant::exact::Exact;
    use snn_quant::uniform::UniformSpec;

    #[test]
    fn scales_that_integers_cannot_have_are_shared_and_named() {
        let layers = parse("6-RLIF-3", &[4], Lif::snntorch(0.9).into()).unwrap().init(1).unwrap();
        let scale = ScaleRule::Learned;
        let spec =
            UniformSpec { scale, granularity: Granularity::PerChannel, ..UniformSpec::new(BitWidth::MAX) };
        let names = snn_quant::weight_shapes(&layers);
        let names = names.keys().map(String::as_str);
        let mut plan = QuantPlan::same_for_all(names, &QuantSpec::Uniform(spec));
        let bits = DefaultBits { weights: 8, membranes: 16 };
        let notes = complete(&mut plan, &layers, bits, None).unwrap();
        assert_eq!(notes.len(), 2, "{notes:?}");
        assert!(notes[0].contains("outputs are compared") && notes[1].contains(".recurrent"), "{notes:?}");
        assert!(Exact::new(layers.clone(), plan.clone()).is_ok());
        assert_eq!(complete(&mut plan, &layers, bits, None).unwrap(), Vec::<String>::new());
    }
}
