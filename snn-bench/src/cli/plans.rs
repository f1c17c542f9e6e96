//! What verbs share about plans: which one is asked for, and the size of a network under one.

use super::network::Network;
use super::scales::ScaleArgs;
use anyhow::ensure;
use snn_bench::integer::{DefaultBits, Profile, complete};
use snn_core::Module;
use snn_core::layer::Sequential;
use snn_quant::{PlanError, PlanSize, QuantPlan, plan_size, weight_shapes};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The plan that is asked for.
#[derive(Debug, clap::Args)]
pub(super) struct PlanArgs {
    /// The plan; without one, all weights at `--bits`.
    #[arg(long, value_name = "FILE")]
    pub(super) plan: Option<PathBuf>,
    /// Bits of weights, in integers also of those that the plan does not name; 8 by default.
    #[arg(long, value_name = "N")]
    bits: Option<u32>,
    #[command(flatten)]
    scales: ScaleArgs,
    /// In integers: bits of membranes that the plan does not name; 16 by default.
    #[arg(long, value_name = "N")]
    membrane_bits: Option<u32>,
    /// Integers of a chip: loihi, xylo2, speck, or a file.
    #[arg(long, value_name = "NAME|FILE")]
    pub(super) profile: Option<String>,
}

impl PlanArgs {
    /// Whether nothing is given.
    pub(super) fn is_empty(&self) -> bool {
        let is_bare = self.plan.is_none() && self.profile.is_none() && self.scales.is_empty();
        is_bare && self.bits.is_none() && self.membrane_bits.is_none()
    }

    /// What messages call the plan.
    pub(super) fn name(&self) -> String {
        self.plan.as_ref().map_or_else(|| "the plan".to_owned(), |path| path.display().to_string())
    }

    /// The plan, where no file is given the network's `own`, if it has one.
    pub(super) fn plan(&self, net: &Sequential, own: Option<&QuantPlan>) -> anyhow::Result<QuantPlan> {
        ensure!(
            self.scales.is_empty() || (self.plan.is_none() && own.is_none()),
            "--scale and --granularity are for a plan that is made here, but there is one already"
        );
        Ok(match (&self.plan, own) {
            (Some(path), _) => QuantPlan::read(path)?,
            (None, Some(own)) => own.clone(),
            (None, None) => {
                let bits = self.default_bits().weights;
                let bits = weight_shapes(net).into_keys().map(|name| (name, bits)).collect();
                QuantPlan::from_bits_with(&bits, &self.scales.entry())?
            }
        })
    }

    /// The same for a network in integers, and in words what it could not have.
    pub(super) fn exact(
        &self,
        net: &Sequential,
        own: Option<&QuantPlan>,
    ) -> anyhow::Result<(QuantPlan, Vec<String>)> {
        let mut plan = self.plan(net, own)?;
        let profile = self.profile.as_deref().map(Profile::open).transpose()?;
        let notes = complete(&mut plan, net, self.default_bits(), profile.as_ref())?;
        Ok((plan, notes))
    }

    fn default_bits(&self) -> DefaultBits {
        DefaultBits { weights: self.bits.unwrap_or(8), membranes: self.membrane_bits.unwrap_or(16) }
    }
}

/// The bytes of a network under a plan, biases and statistics included; learned scales count with their tensors.
pub(super) fn size(net: &Network, plan: &QuantPlan) -> Result<PlanSize, PlanError> {
    let mut shapes = BTreeMap::new();
    net.float().visit_params(&mut |p| {
        shapes.insert(p.name.clone(), p.value.shape().to_vec());
    });
    plan_size(plan, &shapes)
}
