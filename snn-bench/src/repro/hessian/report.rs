//! The report page of the reproduction.

use super::settings::{HessianArgs, Settings};
use super::summary::{LayerSummary, MAIN_PLAN, PAPER_PLAN, PlanSummary, Summary, over_seeds};
use crate::estimate::Estimate;
use crate::report::{
    AccuracyVsBits, BitPoint, BitSeries, Claim, DataSource, ErrorKind, FiringRates, Header, LayerTrace,
    Outcome, Pareto, ParetoPoint, RateSeries, ReportData, Sampling, Sensitivity, SensitivityPoint,
    SensitivitySeries, TableData, Traces, Training, TrainingRun,
};
use crate::run_dir::Environment;
use crate::table::{Column, percent, percent_points, thousands};

/// The page's data.
pub(super) fn page(settings: &Settings, summary: &Summary, args: &HessianArgs) -> ReportData {
    let activity = || summary.seeds.iter().take(1).filter_map(|s| s.activity.as_ref());
    ReportData {
        header: header(settings, summary, args),
        training: Some(training(summary)),
        trace: Some(traces(settings, summary)),
        accuracy_vs_bits: vec![accuracy_vs_bits(settings, summary)],
        heat_maps: Vec::new(),
        levels: None,
        sensitivity: Some(sensitivity(settings, summary)),
        pareto: Some(pareto(settings, summary)),
        firing_rates: Some(firing_rates(settings, summary)),
        tables: vec![plan_table(summary), comparison_table(summary), layer_table(summary)],
        rasters: activity().map(|(raster, _)| raster.clone()).collect(),
        membranes: activity().map(|(_, membrane)| membrane.clone()).collect(),
    }
}

fn header(settings: &Settings, summary: &Summary, args: &HessianArgs) -> Header {
    Header {
        title: "Hessian-aware quantization of a spiking network".to_owned(),
        summary: format!(
            "Lui and Neftci 2021 (arXiv:2104.14117): bits of each layer from the trace of its Hessian. {} test \
             recordings for each of {} seed(s); the test recordings were read after the last epoch only.",
            summary.n_test,
            summary.seeds.len()
        ),
        claims: claims(settings, summary),
        command: command(args),
        seeds: settings.seeds.clone(),
        dataset: summary.data.clone(),
        source: Some(if settings.is_simulated() { DataSource::Simulated } else { DataSource::Recorded }),
        environment: Some(Environment::current()),
        notes: notes(settings),
    }
}

fn command(args: &HessianArgs) -> String {
    let quick = if args.quick { " --quick" } else { "" };
    let data = args.data.as_ref().map(|path| format!(" --data {}", path.display())).unwrap_or_default();
    format!("snn-bench repro hessian{quick}{data}")
}

fn notes(settings: &Settings) -> Vec<String> {
    vec![
        format!(
            "Frames: {} time bins over 300 ms, counts, the top left 32x32 pixels. The paper has 300 steps of 1 ms.",
            settings.data.n_steps
        ),
        "A trained linear readout on the mean output current, by backpropagation through time; the paper reads fixed \
         random readouts of each layer."
            .to_owned(),
        "Biases start below zero, which keeps neurons with threshold 0 at rest without input.".to_owned(),
        "Bytes count codes, one scale of 4 bytes for each output channel, and biases in float.".to_owned(),
        format!(
            "Membranes of allocated plans have {} bits; those of the paper's plan the bits of their layer.",
            settings.state_bits
        ),
        "No measurable drop: at most two of its standard errors. Cross-validation divides all recordings anew, training and test \
         lists together, and initializes each fold on its own."
            .to_owned(),
        "Quantized networks start from the float network of their seed; their float twin was trained on for as \
         many epochs."
            .to_owned(),
    ]
}

fn outcome(met: Option<bool>) -> Outcome {
    match met {
        Some(true) => Outcome::Met,
        Some(false) => Outcome::Missed,
        None => Outcome::Reported,
    }
}

/// The targets are about real recordings; on simulated ones numbers are reported only.
fn claims(settings: &Settings, summary: &Summary) -> Vec<Claim> {
    let mut claims = claims_on_recordings(summary);
    if settings.is_simulated() {
        for claim in &mut claims {
            claim.outcome = Outcome::Reported;
            claim.target = format!("{} (on real recordings)", claim.target);
        }
    }
    claims
}

fn claims_on_recordings(summary: &Summary) -> Vec<Claim> {
    let mut claims =
        vec![float_claim("Float accuracy on recordings not trained on", summary.float_accuracy())];
    claims.extend(size_claims(&summary.plans, ""));
    claims.push(correlation_claim("loss of accuracy", summary.rank_correlation(|l| l.omega, |l| l.ptq_drop)));
    claims.push(correlation_claim("rise of the loss", summary.rank_correlation(|l| l.omega, |l| l.ptq_rise)));
    if summary.fold_float.is_some() {
        claims.push(float_claim("Float accuracy, cross-validated", summary.fold_float));
        claims.extend(size_claims(&summary.fold_plans, ", cross-validated"));
    }
    claims
}

fn correlation_claim(with: &str, correlation: Option<f64>) -> Claim {
    Claim {
        what: format!("Rank correlation of sensitivity and {with}, one layer at a time"),
        paper: "\u{201c}correlates\u{201d}".to_owned(),
        target: "reported".to_owned(),
        ours: correlation.map_or_else(|| "undefined".to_owned(), |r| format!("{r:.2}")),
        outcome: Outcome::Reported,
    }
}

fn float_claim(what: &str, accuracy: Option<Estimate>) -> Claim {
    Claim {
        what: what.to_owned(),
        paper: "not stated".to_owned(),
        target: "at least 97 %".to_owned(),
        ours: accuracy.map_or_else(String::new, percent),
        outcome: outcome(accuracy.map(|e| e.mean >= 0.97)),
    }
}

fn size_claims(plans: &[PlanSummary], how: &str) -> Vec<Claim> {
    let claim = |plan: &PlanSummary| match plan.name.as_str() {
        PAPER_PLAN => {
            let what = format!("Size and accuracy at (8, 8, 16) bits{how}");
            let target = "no measurable drop";
            Some(size_claim(what, plan, 0.58, target, |drop| drop.mean <= 2.0 * drop.err.unwrap_or(0.0)))
        }
        MAIN_PLAN => {
            let what = format!("Size and accuracy at 4 bits, allocated{how}");
            Some(size_claim(what, plan, 0.87, "at most 0.5 points", |drop| drop.mean <= 0.005))
        }
        _ => None,
    };
    plans.iter().filter_map(claim).collect()
}

/// A drop is not measurable within two of its standard errors.
fn size_claim(
    what: String,
    plan: &PlanSummary,
    least_saved: f64,
    most_lost: &str,
    is_little: impl Fn(Estimate) -> bool,
) -> Claim {
    let saved = plan.results.first().map_or(0.0, super::trial::PlanResult::saved);
    let drop = plan.drop.map_or_else(String::new, percent_points);
    Claim {
        what,
        paper: "\u{2212}58 %, 0.2 points".to_owned(),
        target: format!("\u{2212}{:.0} %, {most_lost}", 100.0 * least_saved),
        ours: format!("\u{2212}{:.1} %, {drop}", 100.0 * saved),
        outcome: outcome(plan.drop.map(|drop| saved >= least_saved && is_little(drop))),
    }
}

fn sampling(settings: &Settings, summary: &Summary, error: ErrorKind) -> Sampling {
    Sampling { n_samples: summary.n_test, seeds: settings.seeds.clone(), error }
}

fn training(summary: &Summary) -> Training {
    let run = |name: &str, seed: u64, epochs: &[crate::report::EpochPoint]| TrainingRun {
        name: name.to_owned(),
        seed,
        epochs: epochs.to_vec(),
    };
    let runs = summary.seeds.iter().flat_map(|s| {
        [run("one state", s.seed, &s.float.epochs), run("four states", s.seed, &s.four_state.epochs)]
    });
    Training { runs: runs.collect(), n_train: summary.n_train, n_val: 0 }
}

fn traces(settings: &Settings, summary: &Summary) -> Traces {
    let Some(seed) = summary.seeds.first() else {
        let sampling = sampling(settings, summary, ErrorKind::StdErr);
        return Traces { layers: Vec::new(), n_probes: 0, sampling, convention: String::new() };
    };
    let bits = summary.main_plan().and_then(|plan| plan.results.first()).map(|r| &r.bits);
    let estimate = |t: &super::trial::Trace| Estimate { mean: t.mean, err: Some(t.std_err), n: 1 };
    let layer = |(name, t): (&String, &super::trial::Trace)| LayerTrace {
        name: name.clone(),
        n_params: usize::try_from(t.n_params).unwrap_or(usize::MAX),
        hessian: Some(estimate(t)),
        gauss_newton: seed.gauss_newton.get(name).map(estimate),
        bits: bits.and_then(|bits| bits.get(name).copied()),
    };
    Traces {
        layers: seed.hessian.iter().map(layer).collect(),
        n_probes: settings.max_probes,
        sampling: Sampling {
            n_samples: settings.trace_batches * settings.data.batch_size,
            seeds: vec![seed.seed],
            error: ErrorKind::StdErr,
        },
        convention: "surrogate Hessian of the mean loss (boxcar w=0.5, reset detached); Rademacher probes"
            .to_owned(),
    }
}

fn accuracy_vs_bits(settings: &Settings, summary: &Summary) -> AccuracyVsBits {
    let allocated = || summary.plans.iter().filter(|p| p.name != PAPER_PLAN);
    let series = |name: &str, of: &dyn Fn(&PlanSummary) -> Option<Estimate>| BitSeries {
        name: name.to_owned(),
        points: allocated()
            .filter_map(|p| Some(BitPoint { bits: p.results.first()?.mean_bits, accuracy: of(p)? }))
            .collect(),
    };
    AccuracyVsBits {
        title: "Accuracy against bits".to_owned(),
        bits_of: "mean bits per weight".to_owned(),
        float: summary.twin_accuracy(),
        series: vec![series("post-training", &|p| p.ptq), series("trained", &|p| p.qat)],
        sampling: sampling(settings, summary, ErrorKind::StdDev),
    }
}

fn sensitivity(settings: &Settings, summary: &Summary) -> Sensitivity {
    let series = |name: &str,
                  omega: fn(&LayerSummary) -> f64,
                  drop: fn(&LayerSummary) -> Option<Estimate>| {
        let point = |l: &LayerSummary| {
            Some(SensitivityPoint { layer: l.tensor.clone(), bits: l.bits, omega: omega(l), drop: drop(l)? })
        };
        SensitivitySeries {
            name: name.to_owned(),
            rank_correlation: summary.rank_correlation(omega, drop),
            points: summary.layers.iter().filter_map(point).collect(),
        }
    };
    Sensitivity {
        series: vec![
            series("Hessian, post-training", |l| l.omega, |l| l.ptq_drop),
            series("Gauss-Newton, post-training", |l| l.omega_gauss_newton, |l| l.ptq_drop),
            series("Hessian, trained", |l| l.omega, |l| l.qat_drop),
        ],
        measure: "average trace times squared quantization error (HAWQ-V2)".to_owned(),
        sampling: sampling(settings, summary, ErrorKind::StdErr),
    }
}

fn pareto(settings: &Settings, summary: &Summary) -> Pareto {
    let mut points = Vec::new();
    let float_bytes = summary.plans.first().and_then(|p| p.results.first()).map(|r| r.float_bytes);
    if let (Some(bytes), Some(accuracy)) = (float_bytes, summary.twin_accuracy()) {
        points.push(ParetoPoint {
            label: "float twin".to_owned(),
            kind: "float".to_owned(),
            bytes,
            accuracy,
        });
    }
    for plan in &summary.plans {
        let Some(bytes) = plan.results.first().map(|r| r.bytes) else { continue };
        for (kind, accuracy) in [("post-training", plan.ptq), ("trained", plan.qat)] {
            let point =
                |accuracy| ParetoPoint { label: plan.name.clone(), kind: kind.to_owned(), bytes, accuracy };
            points.extend(accuracy.map(point));
        }
    }
    Pareto { points, sampling: sampling(settings, summary, ErrorKind::StdDev) }
}

fn firing_rates(settings: &Settings, summary: &Summary) -> FiringRates {
    let first = summary.seeds.first();
    let layers: Vec<String> =
        first.map(|s| s.float.score.rates.keys().cloned().collect()).unwrap_or_default();
    let float = layers.iter().filter_map(|layer| {
        over_seeds(&summary.seeds, |s| s.twin.score.rates.get(layer).copied().unwrap_or(0.0))
    });
    let quantized = |plan: &PlanSummary| {
        let rate = |layer| over_seeds(&plan.results, |r| r.qat.rates.get(layer).copied().unwrap_or(0.0));
        RateSeries { name: plan.name.clone(), rates: layers.iter().filter_map(rate).collect() }
    };
    let mut series = vec![RateSeries { name: "float twin".to_owned(), rates: float.collect() }];
    series.extend(summary.plans.iter().map(quantized));
    FiringRates { layers: layers.clone(), series, sampling: sampling(settings, summary, ErrorKind::StdDev) }
}

fn shown(estimate: Option<Estimate>, show: fn(Estimate) -> String) -> String {
    estimate.map_or_else(|| "–".to_owned(), show)
}

fn plan_table(summary: &Summary) -> TableData {
    let mut columns = vec![
        Column::text("plan"),
        Column::number("seed"),
        Column::number("bytes"),
        Column::number("mean bits"),
    ];
    let first = summary.plans.first().and_then(|p| p.results.first());
    let tensors: Vec<String> = first.map(|r| r.bits.keys().cloned().collect()).unwrap_or_default();
    columns.extend(tensors.iter().map(|t| Column::number(format!("{t} (bits)"))));
    columns.extend([Column::number("post-training %"), Column::number("trained %")]);
    let mut rows = Vec::new();
    for plan in &summary.plans {
        for (result, seed) in plan.results.iter().zip(&summary.seeds) {
            let mut row = vec![
                plan.name.clone(),
                seed.seed.to_string(),
                thousands(result.bytes),
                format!("{:.2}", result.mean_bits),
            ];
            row.extend(tensors.iter().map(|t| result.bits.get(t).map_or_else(String::new, u32::to_string)));
            row.extend([&result.ptq, &result.qat].map(|s| format!("{:.1}", 100.0 * s.accuracy)));
            rows.push(row);
        }
    }
    let caption = "Bits of each weight tensor and exact bytes of all parameters, for each seed.".to_owned();
    TableData { title: "Plans".to_owned(), caption, columns, rows }
}

fn comparison_table(summary: &Summary) -> TableData {
    let seeds = &summary.seeds;
    let mut rows = vec![
        vec!["one state, backpropagation through time".to_owned(), shown(summary.float_accuracy(), percent)],
        vec!["the same, trained on (float twin)".to_owned(), shown(summary.twin_accuracy(), percent)],
        vec![
            "four states, backpropagation through time".to_owned(),
            shown(over_seeds(seeds, |s| s.four_state.score.accuracy), percent),
        ],
    ];
    let n_readouts = seeds.first().map_or(0, |s| s.local.accuracies.len());
    for readout in 0..n_readouts {
        let accuracy = over_seeds(seeds, |s| s.local.accuracies[readout]);
        rows.push(vec![
            format!("one state, local losses, readout of layer {}", readout + 1),
            shown(accuracy, percent),
        ]);
    }
    TableData {
        title: "Neurons and learning rules, in full precision".to_owned(),
        caption: "Accuracy on the test recordings, mean and standard deviation over seeds.".to_owned(),
        columns: vec![Column::text("network"), Column::number("accuracy %")],
        rows,
    }
}

fn layer_table(summary: &Summary) -> TableData {
    let names = ["Ω (Hessian)", "Ω (Gauss-Newton)", "loss +", "post-training %", "drop", "trained %", "drop"];
    let mut columns = vec![Column::text("tensor"), Column::number("bits")];
    columns.extend(names.map(Column::number));
    let row = |l: &LayerSummary| {
        vec![
            l.tensor.clone(),
            l.bits.to_string(),
            format!("{:.2e}", l.omega),
            format!("{:.2e}", l.omega_gauss_newton),
            shown(l.ptq_rise, |e| format!("{:.4}", e.mean)),
            shown(l.ptq, percent),
            shown(l.ptq_drop, percent_points),
            shown(l.qat, percent),
            shown(l.qat_drop, percent_points),
        ]
    };
    TableData {
        title: "One layer quantized at a time".to_owned(),
        caption: "Loss +: rise of the mean loss above the float network, post-training. \
                  Accuracy: mean and standard deviation over seeds. Drop: points lost against the float network \
                  (post-training) and its twin (trained), paired over test recordings, mean and standard error."
            .to_owned(),
        columns,
        rows: summary.layers.iter().map(row).collect(),
    }
}
