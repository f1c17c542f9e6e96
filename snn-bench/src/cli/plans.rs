//! What verbs share about plans: the size of a network under one.

use super::network::Network;
use snn_core::Module;
use snn_quant::{PlanError, PlanSize, QuantPlan, plan_size};
use std::collections::BTreeMap;

/// The bytes of a network under a plan, biases and statistics included; learned scales count with their tensors.
pub(super) fn size(net: &Network, plan: &QuantPlan) -> Result<PlanSize, PlanError> {
    let mut shapes = BTreeMap::new();
    net.float().visit_params(&mut |p| {
        shapes.insert(p.name.clone(), p.value.shape().to_vec());
    });
    plan_size(plan, &shapes)
}
