//! Plans that compute in integers.

use super::profile::Profile;
use snn_core::Module;
use snn_core::layer::{NeuronKind, Sequential};
use snn_quant::uniform::ClipGrad;
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
/// # Errors
/// [`PlanError::Spec`] for a number of bits out of range.
pub fn complete(
    plan: &mut QuantPlan,
    net: &Sequential,
    bits: DefaultBits,
    profile: Option<&Profile>,
) -> Result<(), PlanError> {
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
    Ok(())
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
