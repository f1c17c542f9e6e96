//! A network, read through a plan or not.

use anyhow::Context;
use snn_autodiff::{BatchSource, Evaluation, fit};
use snn_bench::model::neuron_names;
use snn_bench::progress::{self, Watched};
use snn_bench::training;
use snn_core::io::{self, Array, Arrays};
use snn_core::layer::{Sequential, fold_batch_norm};
use snn_core::{Exec, Module, Param, Pass, Tensor};
use snn_quant::exact::Exact;
use snn_quant::{QuantPlan, Quantized};
use std::collections::BTreeMap;
use std::path::Path;

/// A network as a run holds it.
#[derive(Debug, Clone)]
pub(super) enum Network {
    Float(Sequential),
    Quantized(Quantized<Sequential>),
    /// In integers.
    Exact(Box<Exact>),
}

impl Network {
    /// The network with the parameters that were read from `path`, and its plan. Learned scales and levels may be missing, as
    /// in those of a network that was trained without the plan.
    pub(super) fn assemble(
        mut net: Sequential,
        plan: Option<QuantPlan>,
        mut arrays: Arrays,
        path: &Path,
    ) -> anyhow::Result<Self> {
        let Some(plan) = plan else {
            io::set_params(&mut net, &arrays, path)?;
            return Ok(Self::Float(net));
        };
        let scales = plan.weights.keys().map(|name| format!("{name}.scale"));
        let levels = plan.states.keys().map(|name| format!("{name}.levels"));
        let learned: Arrays = scales.chain(levels).filter_map(|name| arrays.remove_entry(&name)).collect();
        if plan.exact.is_some() {
            // The arrays are those of an exact run, or of the float run that it is made from.
            let mut folded = fold_batch_norm(&net)?;
            if io::params(&folded).keys().eq(arrays.keys()) {
                io::set_params(&mut folded, &arrays, path)?;
            } else {
                io::set_params(&mut net, &arrays, path)?;
                folded = fold_batch_norm(&net)?;
            }
            let exact = Exact::with_scales(folded, plan, &scale_tensors(&learned, path)?)?;
            return Ok(Self::Exact(Box::new(exact)));
        }
        io::set_params(&mut net, &arrays, path)?;
        let neurons = neuron_names(&net);
        let mut quantized = Quantized::new(net, &neurons, plan)?;
        set_learned(&mut quantized, learned, path)?;
        Ok(Self::Quantized(quantized))
    }

    /// The network in full precision.
    pub(super) fn float(&self) -> &Sequential {
        match self {
            Self::Float(net) => net,
            Self::Quantized(net) => net.net(),
            Self::Exact(net) => net.net(),
        }
    }

    /// The plan that it is read through.
    pub(super) fn plan(&self) -> Option<&QuantPlan> {
        match self {
            Self::Float(_) => None,
            Self::Quantized(net) => Some(net.plan()),
            Self::Exact(net) => Some(net.plan()),
        }
    }

    /// Runs it over `data`, with a bar.
    pub(super) fn evaluate(&self, data: &dyn BatchSource) -> anyhow::Result<Evaluation> {
        let bar = progress::bar("eval", data.batches(0).size_hint().0);
        let watched = Watched::new(data, bar.clone());
        let loss = training::loss_of(self.float());
        let evaluation = match self {
            Self::Float(net) => fit::evaluate(net, &watched, &loss),
            Self::Quantized(net) => fit::evaluate(&net.baked(), &watched, &loss),
            Self::Exact(net) => fit::evaluate(&net.frozen()?, &watched, &loss),
        };
        bar.finish_and_clear();
        Ok(evaluation?)
    }
}

/// The learned scales that were read, by the name of their tensor.
fn scale_tensors(scales: &Arrays, path: &Path) -> anyhow::Result<BTreeMap<String, Tensor<f32>>> {
    let tensor = |(name, array): (&String, &Array)| {
        let refused =
            || format!("{}: {name} is {}, expected float32", path.display(), array.data().type_name());
        let of = name.trim_end_matches(".scale").to_owned();
        Ok((of, array.to_tensor().with_context(refused)?))
    };
    scales.iter().map(tensor).collect()
}

/// Takes over the learned scales and levels that were read; those that are missing stay as they start.
fn set_learned(net: &mut impl Module, learned: Arrays, path: &Path) -> anyhow::Result<()> {
    let mut all = io::params(net);
    all.extend(learned);
    Ok(io::set_params(net, &all, path)?)
}

impl Module for Network {
    fn forward<E: Exec>(&self, e: &mut E, x: &E::Value, pass: &Pass) -> E::Value {
        match self {
            Self::Float(net) => net.forward(e, x, pass),
            Self::Quantized(net) => net.forward(e, x, pass),
            Self::Exact(net) => net.forward(e, x, pass),
        }
    }

    fn read_params<E: Exec>(&self, e: &mut E, pass: &Pass) {
        match self {
            Self::Float(net) => net.read_params(e, pass),
            Self::Quantized(net) => net.read_params(e, pass),
            Self::Exact(net) => net.read_params(e, pass),
        }
    }

    fn visit_params(&self, f: &mut dyn FnMut(&Param)) {
        match self {
            Self::Float(net) => net.visit_params(f),
            Self::Quantized(net) => net.visit_params(f),
            Self::Exact(net) => net.visit_params(f),
        }
    }

    fn visit_params_mut(&mut self, f: &mut dyn FnMut(&mut Param)) {
        match self {
            Self::Float(net) => net.visit_params_mut(f),
            Self::Quantized(net) => net.visit_params_mut(f),
            Self::Exact(net) => net.visit_params_mut(f),
        }
    }

    fn needs_whole_batch(&self) -> bool {
        self.float().needs_whole_batch()
    }
}
