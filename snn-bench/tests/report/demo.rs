//! Invented data for every section of a report. No number here was measured.

use snn_bench::estimate::Estimate;
use snn_bench::report::*;
use snn_bench::run_dir::Environment;
use snn_bench::table::Column;

const LAYERS: [&str; 3] = ["conv1.weight", "conv2.weight", "conv3.weight"];

/// A report with every section, all of it invented.
pub(crate) fn demo() -> ReportData {
    ReportData {
        header: header(),
        training: Some(training()),
        trace: Some(traces()),
        accuracy_vs_bits: vec![accuracy_vs_bits()],
        heat_maps: vec![heat_map()],
        levels: Some(levels()),
        sensitivity: Some(sensitivity()),
        pareto: Some(pareto()),
        rasters: vec![raster()],
        membranes: vec![membrane(3), membrane(8)],
        firing_rates: Some(firing_rates()),
        tables: vec![table()],
    }
}

/// A repeatable number between 0 and 1.
fn noise(i: f64) -> f64 {
    let x = (i * 12.9898 + 78.233).sin() * 43_758.545_3;
    x - x.floor()
}

fn estimate(mean: f64, err: f64) -> Estimate {
    Estimate { mean, err: Some(err), n: 3 }
}

fn sampling(error: ErrorKind) -> Sampling {
    Sampling { n_samples: 100, seeds: vec![0, 1, 2], error }
}

fn header() -> Header {
    let claim = |what: &str, paper: &str, target: &str, ours: &str, outcome| Claim {
        what: what.to_owned(),
        paper: paper.to_owned(),
        target: target.to_owned(),
        ours: ours.to_owned(),
        outcome,
    };
    Header {
        title: "DEMO: invented numbers in every section of a report".to_owned(),
        summary: "This page shows what a report looks like. Every number on it was made up by a test; \
                  none was measured."
            .to_owned(),
        claims: vec![
            claim("Float accuracy", "", "≥ 97 %", "98.33 ± 0.58 %", Outcome::Met),
            claim("Size of the (8, 8, 16) plan", "−58 %", "−58 %", "−58.42 %", Outcome::Met),
            claim("Drop at −87 % bytes", "", "≤ 0.5 points", "0.67 ± 0.58 points", Outcome::Missed),
            claim("Rank correlation of Ω and drop", "", "", "0.93", Outcome::Reported),
        ],
        command: "snn-bench repro hessian --data DIR --seeds 3".to_owned(),
        seeds: vec![0, 1, 2],
        dataset: "invented".to_owned(),
        source: Some(DataSource::Simulated),
        environment: Some(Environment::current()),
        notes: vec![
            "Curvature is that of the surrogate loss; the reset's gradient is detached.".to_owned(),
            "Bytes count codes, scales and zero points; <float> is 4 bytes a weight.".to_owned(),
        ],
    }
}

fn training() -> Training {
    let run = |name: &str, seed: u64, speed: f64, top: f64| TrainingRun {
        name: name.to_owned(),
        seed,
        epochs: (0..25_u32)
            .map(|epoch| {
                let jitter = noise(seed as f64 * 100.0 + f64::from(epoch)) - 0.5;
                let left = (-speed * f64::from(epoch)).exp();
                EpochPoint {
                    epoch,
                    train_loss: 2.2 * left + 0.02 + 0.02 * jitter,
                    train_accuracy: Some(top + 0.012 - 0.8 * left + 0.004 * jitter),
                    val_loss: Some(2.1 * left + 0.09 + 0.05 * jitter),
                    val_accuracy: Some(top - 0.8 * left + 0.02 * jitter),
                }
            })
            .collect(),
    };
    let runs = (0..3)
        .flat_map(|seed| {
            [run("one-state neuron", seed, 0.28, 0.981), run("four-state neuron", seed, 0.2, 0.975)]
        })
        .collect();
    Training { runs, n_train: 600, n_val: 100 }
}

fn traces() -> Traces {
    let layer = |idx: usize, hessian: f64, gauss_newton: f64, bits| LayerTrace {
        name: LAYERS[idx].to_owned(),
        n_params: [6_272, 401_408, 802_816][idx],
        hessian: Some(estimate(hessian, 0.2 * gauss_newton)),
        gauss_newton: Some(estimate(gauss_newton, 0.06 * gauss_newton)),
        bits: Some(bits),
    };
    Traces {
        layers: vec![layer(0, 812.0, 840.0, 8), layer(1, -9.5, 31.0, 4), layer(2, 1.1, 6.2, 3)],
        n_probes: 128,
        sampling: Sampling { n_samples: 1024, seeds: vec![0], error: ErrorKind::StdErr },
        convention: "atan α = 2, reset detached, not divided by the number of parameters".to_owned(),
    }
}

fn heat_map() -> HeatMap {
    let accuracy = |row: usize, column: usize| Some(estimate(0.9 + 0.01 * (row + column) as f64, 0.004));
    HeatMap {
        title: "Accuracy over two widths".to_owned(),
        x: "weight bits".to_owned(),
        y: "state bits".to_owned(),
        columns: ["2", "4", "8"].map(str::to_owned).to_vec(),
        rows: ["2", "4"].map(str::to_owned).to_vec(),
        accuracies: vec![
            (0..3).map(|column| accuracy(0, column)).collect(),
            vec![accuracy(1, 0), None, accuracy(1, 2)],
        ],
        sampling: sampling(ErrorKind::StdDev),
    }
}

fn levels() -> Levels {
    let line = |name: &str, levels: &[f64]| LevelLine { name: name.to_owned(), levels: levels.to_vec() };
    let tables = vec![line("uniform", &[-1.0, -0.3, 0.4, 1.1]), line("zero-exact", &[-0.7, 0.0, 0.7, 1.4])];
    Levels { threshold: 1.0, tables }
}

fn accuracy_vs_bits() -> AccuracyVsBits {
    let series = |name: &str, accuracies: [f64; 5]| BitSeries {
        name: name.to_owned(),
        points: [2.0, 3.0, 4.0, 6.0, 8.0]
            .into_iter()
            .zip(accuracies)
            .map(|(bits, accuracy)| BitPoint {
                bits,
                accuracy: estimate(accuracy, 0.006 + (1.0 - accuracy) * 0.1),
            })
            .collect(),
    };
    AccuracyVsBits {
        title: "Accuracy against bits".to_owned(),
        bits_of: "mean bits per weight".to_owned(),
        float: Some(estimate(0.983, 0.004)),
        series: vec![
            series("PTQ, uniform", [0.21, 0.83, 0.957, 0.981, 0.983]),
            series("PTQ, allocated", [0.52, 0.943, 0.974, 0.982, 0.983]),
            series("QAT, allocated", [0.961, 0.975, 0.982, 0.984, 0.983]),
        ],
        sampling: sampling(ErrorKind::StdDev),
    }
}

fn sensitivity() -> Sensitivity {
    let series = |name: &str, height: f64| SensitivitySeries {
        name: name.to_owned(),
        rank_correlation: Some(0.93),
        points: LAYERS
            .iter()
            .enumerate()
            .flat_map(|(idx, layer)| {
                [8_u32, 4, 3, 2].into_iter().map(move |bits| {
                    let (depth, width) = (idx as f64, f64::from(bits));
                    let omega = 900.0 / 12_f64.powf(depth) * 4_f64.powf(-width);
                    let bend = 1.0 + 0.6 * (noise(depth * 10.0 + width) - 0.5);
                    let drop = estimate(height * (omega / 60.0).powf(0.8) * bend - 0.001, 0.004);
                    SensitivityPoint { layer: (*layer).to_owned(), bits, omega, drop }
                })
            })
            .collect(),
    };
    Sensitivity {
        series: vec![series("PTQ", 0.7), series("QAT", 0.05)],
        measure: "Ω = tr(H)/n · ‖Q(w) − w‖²".to_owned(),
        sampling: sampling(ErrorKind::StdDev),
    }
}

fn pareto() -> Pareto {
    let point = |label: &str, kind: &str, bytes, accuracy| ParetoPoint {
        label: label.to_owned(),
        kind: kind.to_owned(),
        bytes,
        accuracy: estimate(accuracy, 0.005),
    };
    Pareto {
        points: vec![
            point("float", "float", 4_841_984, 0.983),
            point("(8, 8, 16)", "paper's plan", 2_013_312, 0.983),
            point("8 bits", "uniform", 1_210_512, 0.983),
            point("4 bits", "uniform", 605_264, 0.957),
            point("2 bits", "uniform", 302_640, 0.55),
            point("mean 8", "allocated", 1_209_000, 0.984),
            point("mean 4", "allocated", 604_000, 0.981),
            point("mean 3", "allocated", 452_000, 0.973),
            point("mean 2", "allocated", 301_500, 0.952),
        ],
        sampling: sampling(ErrorKind::StdDev),
    }
}

fn raster() -> Raster {
    let mut spikes = Vec::new();
    for step in 0..100_usize {
        for neuron in 0..128_usize {
            let wave = ((step as f64) / 33.0 * std::f64::consts::PI).sin().abs();
            let tuning = if neuron % 7 == 3 { 0.35 } else { 0.05 };
            if noise((step * 131 + neuron) as f64) < tuning * wave {
                spikes.push((step, neuron));
            }
        }
    }
    Raster { name: "conv3, channel 5".to_owned(), n_neurons: 128, n_steps: 100, step_ms: Some(3.0), spikes }
}

fn membrane(bits: u32) -> Membrane {
    let threshold = 1.0;
    let n_levels = 2_usize.pow(bits);
    let step = 2.4 / (n_levels - 1) as f64;
    let (mut u, mut mem, mut spikes) = (0.0, Vec::new(), Vec::new());
    for t in 0..100 {
        u = 0.9 * u + 0.42 * noise((t * 7 + 1) as f64) - 0.08;
        mem.push(u);
        if u > threshold {
            spikes.push(t);
            u = 0.0;
        }
    }
    Membrane {
        name: format!("conv3, neuron 17, {bits} bits"),
        mem_quantized: mem.iter().map(|u| -0.6 + ((u + 0.6) / step).round_ties_even() * step).collect(),
        mem,
        threshold,
        levels: (0..n_levels).map(|i| -0.6 + i as f64 * step).collect(),
        spikes,
    }
}

fn firing_rates() -> FiringRates {
    let series = |name: &str, factor: f64| RateSeries {
        name: name.to_owned(),
        rates: [0.043, 0.071, 0.038].map(|rate| estimate(rate * factor, 0.004)).to_vec(),
    };
    FiringRates {
        layers: ["conv1", "conv2", "conv3"].map(str::to_owned).to_vec(),
        series: vec![series("float", 1.0), series("mean 4 bits", 1.08), series("mean 2 bits", 0.71)],
        sampling: sampling(ErrorKind::StdDev),
    }
}

fn table() -> TableData {
    let row = |cells: [&str; 6]| cells.map(str::to_owned).to_vec();
    TableData {
        title: "Plans".to_owned(),
        caption: "Bits of each tensor, exact bytes, and accuracy after quantization-aware training."
            .to_owned(),
        columns: vec![
            Column::text("plan"),
            Column::text("bits"),
            Column::number("bytes"),
            Column::number("size"),
            Column::number("accuracy"),
            Column::number("drop"),
        ],
        rows: vec![
            row(["float", "32, 32, 32", "4,841,984", "100.0 %", "98.30 ± 0.40 %", ""]),
            row(["(8, 8, 16)", "8, 8, 16", "2,013,312", "41.6 %", "98.30 ± 0.38 %", "0.00 ± 0.10 points"]),
            row(["mean 4", "8, 5, 3", "604,000", "12.5 %", "98.10 ± 0.41 %", "0.20 ± 0.12 points"]),
            row(["mean 2", "8, 2, 2", "301,500", "6.2 %", "95.20 ± 0.90 %", "3.10 ± 0.80 points"]),
        ],
    }
}
