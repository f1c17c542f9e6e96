//! All seeds together: the numbers that the paper's claims are compared with.

use super::settings::Settings;
use super::trial::{FoldResult, LayerResult, PlanResult, Score, SeedResult, Trained};
use crate::estimate::Estimate;
use crate::stats::{paired_difference, spearman};
use crate::table::{Column, Table, bytes, percent, percent_points};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The plan that the summary line is about: an eighth of the float size.
pub(super) const MAIN_PLAN: &str = "mean-4";
/// The bits of Lui and Neftci.
pub(super) const PAPER_PLAN: &str = "paper";

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
    /// Accuracy of the float network over folds.
    pub fold_float: Option<Estimate>,
    /// Accuracy of the float twin over folds.
    pub fold_twin: Option<Estimate>,
    /// The plans that were cross-validated, over folds.
    pub fold_plans: Vec<PlanSummary>,
}

/// A plan over all seeds, or all folds.
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
    /// How much the mean loss rises above that of the float network without training, over seeds.
    pub ptq_rise: Option<Estimate>,
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
    pub(super) fn new(
        settings: &Settings,
        n_samples: [usize; 2],
        seeds: Vec<SeedResult>,
        folds: &[FoldResult],
    ) -> Self {
        let data = match &settings.data.path {
            Some(path) => path.display().to_string(),
            None => "built-in simulated glyphs".to_owned(),
        };
        let of_seeds: Vec<Paired<'_>> = seeds.iter().map(|s| (&s.twin, &s.plans[..])).collect();
        let of_folds: Vec<Paired<'_>> = folds.iter().map(|f| (&f.twin, &f.plans[..])).collect();
        let [n_train, n_test] = n_samples;
        Self {
            data,
            n_train,
            n_test,
            plans: plan_summaries(&of_seeds),
            layers: layer_summaries(&seeds),
            fold_float: over_seeds(folds, |f| f.float.score.accuracy),
            fold_twin: over_seeds(folds, |f| f.twin.score.accuracy),
            fold_plans: plan_summaries(&of_folds),
            seeds,
        }
    }

    /// Accuracy of the float network over seeds: mean and standard deviation.
    #[must_use]
    pub fn float_accuracy(&self) -> Option<Estimate> {
        over_seeds(&self.seeds, |s| s.float.score.accuracy)
    }

    /// The same of its twin, which was trained on for as long as the quantized networks.
    #[must_use]
    pub fn twin_accuracy(&self) -> Option<Estimate> {
        over_seeds(&self.seeds, |s| s.twin.score.accuracy)
    }

    /// Spearman's correlation of sensitivity by `omega` with what quantizing costs by `drop`, over layers and widths.
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

    /// The table for a terminal: means over seeds.
    #[must_use]
    pub fn table(&self) -> Table {
        plan_table(self.twin_accuracy(), &self.plans)
    }

    /// The same over folds, if there are.
    #[must_use]
    pub fn fold_table(&self) -> Option<Table> {
        self.fold_twin.map(|twin| plan_table(Some(twin), &self.fold_plans))
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
            "float_twin_accuracy": self.twin_accuracy().map(|e| e.mean),
            "quantized_accuracy": main.and_then(|plan| plan.qat).map(|e| e.mean),
            "drop": main.and_then(|plan| plan.drop).map(drop_to_json),
            "bytes_float": first.map(|r| r.float_bytes),
            "bytes_quantized": first.map(|r| r.bytes),
            "mean_bits": first.map(|r| r.mean_bits),
            "rank_correlation": self.rank_correlation(|l| l.omega, |l| l.ptq_drop),
            "rank_correlation_of_loss": self.rank_correlation(|l| l.omega, |l| l.ptq_rise),
            "trace": trace,
            "bits": first.map(|r| &r.bits),
            "cross_validation": self.fold_float.map(|float| self.folds_to_json(float)),
        })
    }

    fn folds_to_json(&self, float: Estimate) -> Value {
        let plan = |plan: &PlanSummary| {
            let drop = plan.drop.map(drop_to_json);
            (plan.name.clone(), json!({ "accuracy": plan.qat.map(|e| e.mean), "drop": drop }))
        };
        let plans: serde_json::Map<String, Value> = self.fold_plans.iter().map(plan).collect();
        let twin = self.fold_twin.map(|e| e.mean);
        json!({ "folds": float.n, "float_accuracy": float.mean, "float_twin_accuracy": twin, "plans": plans })
    }
}

/// A loss of accuracy against the float twin.
fn drop_to_json(drop: Estimate) -> Value {
    json!({ "mean": drop.mean, "std_err": drop.err })
}

impl PlanResult {
    /// Share of the float size that is saved.
    #[must_use]
    pub fn saved(&self) -> f64 {
        1.0 - self.bytes as f64 / self.float_bytes.max(1) as f64
    }
}

fn plan_table(float: Option<Estimate>, plans: &[PlanSummary]) -> Table {
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
    let dash = || "–".to_owned();
    let shown = |e: Option<Estimate>| e.map_or_else(dash, percent);
    let float_bytes = plans.first().and_then(|p| p.results.first()).map(|r| r.float_bytes);
    table.row([
        "float twin".to_owned(),
        "32".to_owned(),
        float_bytes.map_or_else(dash, bytes),
        dash(),
        dash(),
        shown(float),
        dash(),
    ]);
    for plan in plans {
        table.row([
            plan.name.clone(),
            format!("{:.2}", mean(&plan.results, |r| r.mean_bits)),
            bytes(plan.results[0].bytes),
            format!("{:.1} %", 100.0 * plan.results[0].saved()),
            shown(plan.ptq),
            shown(plan.qat),
            plan.drop.map_or_else(dash, percent_points),
        ]);
    }
    table
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

/// A float twin and the plans it is compared with, on the same recordings.
type Paired<'a> = (&'a Trained, &'a [PlanResult]);

fn plan_summaries(trials: &[Paired<'_>]) -> Vec<PlanSummary> {
    let n = trials.first().map_or(0, |(_, plans)| plans.len());
    let summary = |i: usize| {
        let results: Vec<PlanResult> = trials.iter().map(|(_, plans)| plans[i].clone()).collect();
        PlanSummary {
            name: results[0].name.clone(),
            qat: over_seeds(&results, |r| r.qat.accuracy),
            ptq: over_seeds(&results, |r| r.ptq.accuracy),
            drop: drop(trials.iter().map(|(twin, plans)| (&twin.score, &plans[i].qat))),
            results,
        }
    };
    (0..n).map(summary).collect()
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
            ptq_rise: over_seeds(seeds, |s| s.layers[i].ptq.loss - s.float.score.loss),
            ptq_drop: drop(seeds.iter().map(|s| (&s.float.score, &s.layers[i].ptq))),
            qat_drop: drop(seeds.iter().map(|s| (&s.twin.score, &s.layers[i].qat))),
            ptq: over_seeds(&results, |r| r.ptq.accuracy),
            qat: over_seeds(&results, |r| r.qat.accuracy),
        }
    };
    (0..n).map(summary).collect()
}
