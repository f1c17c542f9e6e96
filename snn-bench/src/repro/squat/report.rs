//! The report page of the reproduction.

use super::claims::{Comparison, Finding};
use super::scheme::{LONGER, Part, Regime, Scheme, TUNED_NAME};
use super::settings::{Settings, SquatArgs, TUNED_BITS, twin};
use super::{TaskResult, claims};
use crate::config::{QuantConfig, StateRange};
use crate::report::{
    AccuracyVsBits, BitPoint, BitSeries, Claim, DataSource, ErrorKind, Header, LevelLine, Levels, Outcome,
    ReportData, Sampling, TableData,
};
use crate::run_dir::Environment;
use crate::sweep::Row;
use crate::table::{Column, bytes};
use snn_quant::{BitWidth, LevelSpec, Spacing, Variant};

/// Float accuracy that is to be reached on Fashion-MNIST.
const FLOAT_TARGET: f64 = 0.91;
/// Width of the tables that are drawn.
const DRAWN_BITS: u32 = 4;

pub(super) fn page(settings: &Settings, tasks: &[TaskResult], args: &SquatArgs) -> ReportData {
    ReportData {
        header: header(settings, tasks, args),
        accuracy_vs_bits: tasks.iter().flat_map(|task| lines(settings, task)).collect(),
        levels: levels(),
        tables: tasks.iter().flat_map(|task| [accuracies(settings, task), findings(task)]).collect(),
        ..ReportData::default()
    }
}

/// The float network's row.
pub(super) fn float_row(result: &TaskResult) -> Option<&Row> {
    result.summary.rows.iter().find(|row| row.is_float() && row.config.quant.epochs == 0)
}

/// The row of the float network that was trained on for as long as the quantized ones.
fn twin_row(result: &TaskResult, regime: Regime) -> Option<&Row> {
    row_of(result, &twin(&result.task.config, 0, regime).quant)
}

fn row(result: &TaskResult, scheme: Scheme, bits: u32) -> Option<&Row> {
    row_of(result, &scheme.quant(bits, &result.task.config.quant))
}

fn row_of<'a>(result: &'a TaskResult, quant: &QuantConfig) -> Option<&'a Row> {
    result.summary.rows.iter().find(|row| row.config.quant == *quant)
}

fn header(settings: &Settings, tasks: &[TaskResult], args: &SquatArgs) -> Header {
    let is_simulated = tasks.iter().any(|result| result.task.is_simulated());
    let data: Vec<String> = tasks.iter().map(|result| result.task.data_name()).collect();
    let flag = |name: &str, path: &Option<std::path::PathBuf>| {
        path.as_ref().map(|path| format!(" --{name} {}", path.display())).unwrap_or_default()
    };
    let quick = if args.quick { " --quick" } else { "" };
    Header {
        title: "SQUAT: quantized weights, quantized membranes, and both".to_owned(),
        summary: "Venkatesh, Marinescu, Eshraghian 2024 (arXiv:2404.19668). Every quantized network starts from the float \
                  network of its seed; test samples were read once, at the end of each training."
            .to_owned(),
        claims: tasks.iter().flat_map(claims_of).chain(consistency(tasks)).collect(),
        command: format!("snn-bench repro squat{quick}{}{}", flag("data", &args.data), flag("nmnist", &args.nmnist)),
        seeds: settings.seeds.clone(),
        dataset: data.join("; "),
        source: Some(if is_simulated { DataSource::Simulated } else { DataSource::Recorded }),
        environment: Some(Environment::current()),
        notes: notes(tasks),
    }
}

fn notes(tasks: &[TaskResult]) -> Vec<String> {
    let net = |result: &TaskResult| {
        let config = &result.task.config;
        let ends = match config.quant.state_range {
            StateRange::Calibrated => "calibrated ends of the levels in training",
            _ => "snnTorch's limits, -1 and 1.2 times the threshold, in training",
        };
        format!(
            "{}: {}, {} steps, beta {}, {} + {} epochs, {} + {} for what is trained longer; {ends}.",
            result.task.name,
            config.net.layers,
            config.data.n_steps,
            config.net.beta,
            config.train.epochs,
            config.quant.epochs,
            config.train.epochs,
            LONGER * config.quant.epochs
        )
    };
    let mut notes: Vec<String> = tasks.iter().map(net).collect();
    notes.extend([
        "The paper's networks, data sets and numbers were not at hand; these networks are of the authors' earlier work, \
         and its orderings are what is checked."
            .to_owned(),
        "Trained: learned scales of weights for each output channel. Post-training: scales of least squared error; membranes \
         calibrated to hold 99.9 % of what they do."
            .to_owned(),
        "Trained longer: ends of the levels are learned, and batch normalization measures its statistics anew at the end."
            .to_owned(),
        "Differences are paired over seeds, with the 95 % interval by Student's t.".to_owned(),
        "Bytes of membranes are working memory for one sample, packed without gaps.".to_owned(),
    ]);
    notes
}

fn claims_of(result: &TaskResult) -> Vec<Claim> {
    let float = float_row(result).map(|row| Claim {
        what: format!("{}: float accuracy", result.task.name),
        paper: "not at hand".to_owned(),
        target: if is_target(result) { "at least 91 %".to_owned() } else { String::new() },
        ours: accuracy_of(row),
        outcome: match is_target(result) {
            true if row.mean >= Some(FLOAT_TARGET) => Outcome::Met,
            true => Outcome::Missed,
            false => Outcome::Reported,
        },
    });
    let claim = |finding: &Finding| Claim {
        what: format!("{}: {}", result.task.name, finding.what),
        paper: paper_says(finding.comparison).to_owned(),
        target: ours_to_reach(finding).to_owned(),
        ours: format!("{}: {}", finding.points(), finding.verdict()),
        outcome: match finding.holds.filter(|_| !result.task.is_simulated()) {
            Some(true) => Outcome::Met,
            Some(false) => Outcome::Missed,
            None => Outcome::Reported,
        },
    };
    let is_claimed =
        |finding: &&Finding| !paper_says(finding.comparison).is_empty() || !ours_to_reach(finding).is_empty();
    float.into_iter().chain(result.findings.iter().filter(is_claimed).map(claim)).collect()
}

/// The target is for the whole of Fashion-MNIST and the convolutional network.
fn is_target(result: &TaskResult) -> bool {
    result.task.name == "fashion-mnist" && result.task.config.data.images.n.is_none()
}

fn paper_says(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::CrowdedAgainstUniform => "at least as good",
        Comparison::BothAgainstWeights
        | Comparison::WeightsAgainstStates
        | Comparison::StatesAgainstPostTraining => "better",
        Comparison::CrowdedAgainstUniformWithZero
        | Comparison::ZeroAgainstNone
        | Comparison::QuantizedAgainstFloat => "",
    }
}

fn ours_to_reach(finding: &Finding) -> &'static str {
    match (finding.comparison, finding.bits) {
        (Comparison::QuantizedAgainstFloat, 4) => "at most 0.3 points below",
        (Comparison::QuantizedAgainstFloat, 2) => "at most 2 points below",
        _ => "",
    }
}

fn consistency(tasks: &[TaskResult]) -> Option<Claim> {
    let is_consistent = claims::consistent(tasks)?;
    Some(Claim {
        what: "No comparison decided one way on one data set and the other way on another".to_owned(),
        paper: "consistent over data sets".to_owned(),
        target: String::new(),
        ours: if is_consistent { "none is" } else { "some are" }.to_owned(),
        outcome: if is_consistent { Outcome::Met } else { Outcome::Missed },
    })
}

/// Mean and standard deviation, or nothing if all seeds diverged.
fn accuracy_of(row: &Row) -> String {
    row.accuracy().map(crate::table::percent).unwrap_or_default()
}

/// Trained and post-training accuracies against bits.
fn lines(settings: &Settings, result: &TaskResult) -> Vec<AccuracyVsBits> {
    let figure = |regime: Regime, how: &str| {
        let series = Scheme::all().filter(|scheme| scheme.regime == regime && scheme.part != Part::States);
        let line = |scheme: Scheme| {
            let point = |&bits: &u32| {
                Some(BitPoint { bits: f64::from(bits), accuracy: row(result, scheme, bits)?.accuracy()? })
            };
            let mut points: Vec<BitPoint> = settings.widths.iter().filter_map(point).collect();
            points.sort_by(|a, b| a.bits.total_cmp(&b.bits));
            BitSeries { name: scheme.name(), points }
        };
        AccuracyVsBits {
            title: format!("{}, {how}", result.task.name),
            bits_of: "bits of weights, or of weights and membranes".to_owned(),
            float: twin_row(result, Regime::Trained).or(float_row(result)).and_then(Row::accuracy),
            series: series.map(line).filter(|line| !line.points.is_empty()).collect(),
            sampling: Sampling {
                n_samples: result.summary.n_test,
                seeds: settings.seeds.clone(),
                error: ErrorKind::StdDev,
            },
        }
    };
    let figures = [figure(Regime::Trained, "trained"), figure(Regime::PostTraining, "post-training")];
    figures.into_iter().filter(|figure| !figure.series.is_empty()).collect()
}

/// The tables that are compared.
fn levels() -> Option<Levels> {
    let bits = BitWidth::new(DRAWN_BITS).ok()?;
    let mut tables = Vec::new();
    for (spacing, name) in [(Spacing::Uniform, "uniform"), (Spacing::ThresholdCentered, "threshold-centered")]
    {
        for (variant, of) in [(Variant::SnntorchCompat, "compat"), (Variant::ZeroExact, "zero-exact")] {
            let table = LevelSpec { spacing, variant, ..LevelSpec::new(bits) }.table().ok()?;
            let levels = table.levels().iter().map(|&level| f64::from(level)).collect();
            tables.push(LevelLine { name: format!("{name}, {of}"), levels });
        }
    }
    Some(Levels { threshold: 1.0, tables })
}

fn accuracies(settings: &Settings, result: &TaskResult) -> TableData {
    let line = |name: String, row: &Row| {
        vec![
            name,
            accuracy_of(row),
            row.interval_95.map(|width| format!("± {:.2}", 100.0 * width)).unwrap_or_default(),
            row.accuracies.len().to_string(),
            Some(row.diverged.len()).filter(|&n| n > 0).map(|n| n.to_string()).unwrap_or_default(),
            row.parameter_bytes.map(bytes).unwrap_or_default(),
            row.state_bytes.map(bytes).unwrap_or_default(),
            row.spike_rate.map(|rate| format!("{rate:.4}")).unwrap_or_default(),
        ]
    };
    let float = float_row(result).map(|row| line("float".to_owned(), row));
    let twins = [(Regime::Trained, "float, trained on"), (Regime::Longer, "float, trained on longer")];
    let twins = twins.into_iter().filter_map(|(regime, name)| Some((name, twin_row(result, regime)?)));
    let twins = twins.map(|(name, row)| line(name.to_owned(), row));
    let quantized = settings.widths.iter().flat_map(|&bits| {
        Scheme::all().chain([Scheme::ours()]).filter_map(move |scheme| {
            Some(line(format!("{bits} bits: {}", scheme.name()), row(result, scheme, bits)?))
        })
    });
    let tuned = result.task.tuned.as_ref().and_then(|quant| row_of(result, quant));
    let tuned = tuned.map(|row| line(format!("{TUNED_BITS} bits: {TUNED_NAME}"), row));
    let numbers =
        ["accuracy (mean ± s.d.)", "95 % interval", "n", "diverged", "parameters", "membranes", "spike rate"];
    TableData {
        title: format!("{}: accuracy", result.task.name),
        caption: format!(
            "{} test samples; over n seeds. Those whose training diverged are counted apart.",
            result.summary.n_test
        ),
        columns: std::iter::once(Column::text("network")).chain(numbers.map(Column::number)).collect(),
        rows: float.into_iter().chain(twins).chain(quantized).chain(tuned).collect(),
    }
}

fn findings(result: &TaskResult) -> TableData {
    let row = |finding: &Finding| {
        vec![
            finding.what.clone(),
            finding.points(),
            paper_says(finding.comparison).to_owned(),
            finding.verdict().to_owned(),
        ]
    };
    TableData {
        title: format!("{}: comparisons", result.task.name),
        caption: "Accuracy of the first minus that of the second, paired over seeds, with the 95 % interval."
            .to_owned(),
        columns: ["comparison", "difference", "the paper says", "found"].map(Column::text).to_vec(),
        rows: result.findings.iter().map(row).collect(),
    }
}
