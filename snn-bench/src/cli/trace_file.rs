//! `trace.json`: measured curvature, at most one measurement of each kind.

use anyhow::Context;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use snn_bench::run_dir::{RunDir, RunFile};
use snn_hessian::{Curvature, TensorTrace};
use std::collections::BTreeMap;

/// The kinds of curvature, as options and files name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    /// The surrogate Hessian.
    Hessian,
    /// The generalized Gauss-Newton matrix.
    GaussNewton,
}

impl From<Kind> for Curvature {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Hessian => Self::Hessian,
            Kind::GaussNewton => Self::GaussNewton,
        }
    }
}

/// The measurements of a run.
pub(super) type TraceFile = BTreeMap<Kind, Measurement>;

/// Traces of all tensors, with what they depend on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Measurement {
    /// Matrix, surrogate and reset gradient.
    pub(super) convention: String,
    pub(super) n_samples: usize,
    pub(super) n_probes: usize,
    pub(super) seed: u64,
    /// The trace over all tensors.
    pub(super) total: Trace,
    pub(super) tensors: BTreeMap<String, Trace>,
}

/// A trace as a file holds it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Trace {
    pub(super) mean: f64,
    pub(super) std_err: f64,
    pub(super) n_params: u64,
}

impl From<TensorTrace> for Trace {
    fn from(TensorTrace { mean, std_err, n_params }: TensorTrace) -> Self {
        Self { mean, std_err, n_params }
    }
}

impl From<Trace> for TensorTrace {
    fn from(Trace { mean, std_err, n_params }: Trace) -> Self {
        Self { mean, std_err, n_params }
    }
}

/// The measurements of a run; none before the first.
pub(super) fn read(dir: &RunDir) -> anyhow::Result<TraceFile> {
    if dir.file(RunFile::Trace).exists() { Ok(dir.read_json(RunFile::Trace)?) } else { Ok(TraceFile::new()) }
}

/// The measurement of `kind`, or else the Hessian before the Gauss-Newton matrix.
pub(super) fn pick(dir: &RunDir, kind: Option<Kind>) -> anyhow::Result<Measurement> {
    let mut file = read(dir)?;
    let found = match kind {
        Some(kind) => file.remove(&kind),
        None => file.into_values().next(),
    };
    let run = dir.path().display();
    found.with_context(|| match kind {
        Some(kind) => {
            format!("{run}: trace.json has no {kind:?} traces; run `snn-bench trace` with --curvature")
        }
        None => format!("{run} has no trace.json; run `snn-bench trace {run}` first"),
    })
}
