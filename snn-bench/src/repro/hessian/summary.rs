//! All seeds together: the numbers that the paper's claims are compared with.

use super::seed_run::{LayerResult, PlanResult, Score, SeedResult};
use super::settings::Settings;
use super::stats::{paired_difference, spearman};
use crate::estimate::Estimate;
use crate::table::{Column, Table, bytes, percent, percent_points};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The plan that the summary line is about: an eighth of the float size.
pub(super) const MAIN_PLAN: &str = "mean-4";

/// Results of all seeds.
#[derive(Debug, Clone)]
pub struct Summary {
    /// Where the recordings come from.
    pub data: String,
    /// Training recordings of each seed.
    pub n_train: usize,
    /// Test recordings of each seed.
    pub n_test: usize,
    /// One result for each seed.
    pub seeds: Vec<SeedResult>,
    /// Names of the plans in order.
    pub plans: Vec<PlanSummary>,
    /// Layers quantized one at a time, means over seeds.
    pub layers: Vec<LayerSummary>,
}

/// A plan over all seeds.
#[derive(Debug, Clone)]
pub struct PlanSummary {
    /// Name of the plan.
    pub name: String,
    /// Results, one for each seed.
    pub results: Vec<PlanResult>,
    /// Accuracy after training at these bits, over seeds.
    pub qat: Option<Estimate>,
    /// Accuracy without training, over seeds.
    pub ptq: Option<Estimate>,
    /// Loss of accuracy against the float twin, over test recordings of all seeds, paired; mean and standard error.
    pub drop: Option<Estimate>,
}

/// A layer at a width over all seeds.
#[derive(Debug, Clone)]
pub struct LayerSummary {
    /// The weight tensor.
    pub tensor: String,
    /// Its width.
    pub bits: u32,
    /// Mean of average Hessian trace times squared error.
    pub omega: f64,
    /// The same by the Gauss-Newton trace.
    pub omega_gauss_newton: f64,
    /// Paired loss of accuracy against the float network without training.
    pub ptq_drop: Option<Estimate>,
    /// Paired loss of accuracy against the float twin after training.
    pub qat_drop: Option<Estimate>,
    /// Accuracy without training.
    pub ptq: Option<Estimate>,
    /// Accuracy after training.
    pub qat: Option<Estimate>,
}

impl Summary {
    pub(super) fn new(settings: &Settings, n_samples: [usize; 2], seeds: Vec<SeedResult>) -> Self {
        let data = match &settings.data.path {
            Some(path) => path.display().to_string(),
            None => "built-in simulated glyphs".to_owned(),
        };
        let (plans, layers) = (plan_summaries(&seeds), layer_summaries(&seeds));
        let [n_train, n_test] = n_samples;
        Self { data, n_train, n_test, seeds, plans, layers }
    }

    /// Accuracy of the float twin over seeds: mean and standard deviation.
    #[must_use]
    pub fn float_accuracy(&self) -> Option<Estimate> {
        over_seeds(&self.seeds, |s| s.twin.score.accuracy)
    }

    /// Spearman's correlation of sensitivity by `omega` with the loss of accuracy by `drop`, over layers and widths.
    #[must_use]
    pub fn rank_correlation(
        &self,
        omega: impl Fn(&LayerSummary) -> f64,
        drop: impl Fn(&LayerSummary) -> Option<Estimate>,
    ) -> Option<f64> {
        let pairs: Vec<_> = self.layers.iter().filter_map(|l| Some((omega(l), drop(l)?.mean))).collect();
        spearman(&pairs)
    }

    /// The plan that the claims are about.
    #[must_use]
    pub fn main_plan(&self) -> Option<&PlanSummary> {
        self.plans.iter().find(|plan| plan.name == MAIN_PLAN)
    }

    /// The table for a terminal.
    #[must_use]
    pub fn table(&self) -> Table {
        let columns = [
            Column::text("network"),
            Column::number("mean bits"),
            Column::number("bytes"),
            Column::number("saved"),
            Column::number("post-training %"),
            Column::number("trained %"),
            Column::number("drop (points)"),
        ];
        let mut table = Table::new(columns);
        let float_bytes = self.plans.first().and_then(|p| p.results.first()).map(|r| r.float_bytes);
        let dash = || "–".to_owned();
        let shown = |e: Option<Estimate>| e.map_or_else(dash, percent);
        let float = [
            "float twin".to_owned(),
            "32".to_owned(),
            float_bytes.map_or_else(dash, bytes),
            dash(),
            dash(),
            shown(self.float_accuracy()),
            dash(),
        ];
        table.row(float);
        for plan in &self.plans {
            let Some(first) = plan.results.first() else { continue };
            table.row([
                plan.name.clone(),
                format!("{:.2}", mean(&plan.results, |r| r.mean_bits)),
                bytes(first.bytes),
                format!("{:.1} %", 100.0 * first.saved()),
                shown(plan.ptq),
                shown(plan.qat),
                plan.drop.map_or_else(dash, percent_points),
            ]);
        }
        table
    }

    /// One object for programs.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let main = self.main_plan();
        let first = main.and_then(|plan| plan.results.first());
        let seed = self.seeds.first();
        let trace: BTreeMap<&String, Value> = seed
            .iter()
            .flat_map(|s| &s.hessian)
            .map(|(name, t)| (name, json!({ "mean": t.mean, "std_err": t.std_err })))
            .collect();
        json!({
            "repro": "hessian",
            "data": self.data,
            "seeds": self.seeds.len(),
            "float_accuracy": self.float_accuracy().map(|e| e.mean),
            "quantized_accuracy": main.and_then(|plan| plan.qat).map(|e| e.mean),
            "bytes_float": first.map(|r| r.float_bytes),
            "bytes_quantized": first.map(|r| r.bytes),
            "mean_bits": first.map(|r| r.mean_bits),
            "rank_correlation": self.rank_correlation(|l| l.omega, |l| l.ptq_drop),
            "trace": trace,
            "bits": first.map(|r| &r.bits),
        })
    }
}

impl PlanResult {
    /// Share of the float size that is saved.
    #[must_use]
    pub fn saved(&self) -> f64 {
        1.0 - self.bytes as f64 / self.float_bytes.max(1) as f64
    }
}

fn mean<T>(items: &[T], f: impl Fn(&T) -> f64) -> f64 {
    items.iter().map(f).sum::<f64>() / items.len().max(1) as f64
}

/// Mean and standard deviation over seeds.
pub(super) fn over_seeds<T>(items: &[T], f: impl Fn(&T) -> f64) -> Option<Estimate> {
    Estimate::mean_sd(&items.iter().map(f).collect::<Vec<_>>())
}

/// The paired loss of accuracy over the test recordings of all seeds.
fn drop<'a>(pairs: impl Iterator<Item = (&'a Score, &'a Score)>) -> Option<Estimate> {
    let (mut reference, mut quantized) = (Vec::new(), Vec::new());
    for (a, b) in pairs {
        reference.extend_from_slice(&a.hits);
        quantized.extend_from_slice(&b.hits);
    }
    paired_difference(&reference, &quantized)
}

fn plan_summaries(seeds: &[SeedResult]) -> Vec<PlanSummary> {
    let names = seeds.first().map(|s| s.plans.iter().map(|p| p.name.clone()).collect()).unwrap_or_default();
    let summary = |(i, name): (usize, String)| {
        let results: Vec<PlanResult> = seeds.iter().map(|s| s.plans[i].clone()).collect();
        let (qat, ptq) = (over_seeds(&results, |r| r.qat.accuracy), over_seeds(&results, |r| r.ptq.accuracy));
        let drop = drop(seeds.iter().map(|s| (&s.twin.score, &s.plans[i].qat)));
        PlanSummary { name, results, qat, ptq, drop }
    };
    Vec::into_iter(names).enumerate().map(summary).collect()
}

fn layer_summaries(seeds: &[SeedResult]) -> Vec<LayerSummary> {
    let n = seeds.first().map_or(0, |s| s.layers.len());
    let summary = |i: usize| {
        let results: Vec<&LayerResult> = seeds.iter().map(|s| &s.layers[i]).collect();
        LayerSummary {
            tensor: results[0].tensor.clone(),
            bits: results[0].bits,
            omega: mean(&results, |r| r.omega),
            omega_gauss_newton: mean(&results, |r| r.omega_gauss_newton),
            ptq_drop: drop(seeds.iter().map(|s| (&s.float.score, &s.layers[i].ptq))),
            qat_drop: drop(seeds.iter().map(|s| (&s.twin.score, &s.layers[i].qat))),
            ptq: over_seeds(&results, |r| r.ptq.accuracy),
            qat: over_seeds(&results, |r| r.qat.accuracy),
        }
    };
    (0..n).map(summary).collect()
}
