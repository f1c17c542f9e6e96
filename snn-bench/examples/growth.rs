//! How time and memory of a training step grow with steps, batch, density, width and threads: one of them at a time, from
//! 12C5-P2-LIF-32C5-P2-LIF-10 on 2x34x34 spikes at 3 %, 25 steps, 32 samples, one thread. Run with `--release`; an
//! argument names a file for the plot. Linux only: memory is the growth of the peak of resident pages, `VmHWM`.
//!
//! Each case is a process of its own, and the least time of all its steps counts.

#![allow(clippy::print_stdout, reason = "an example prints")]

#[path = "shared/nmnist.rs"]
mod nmnist;

use anyhow::Context;
use snn_autodiff::fit::Progress;
use snn_autodiff::optim::Adam;
use snn_autodiff::{FitConfig, fit};
use snn_bench::plot::{self, Axis, Canvas, Frame, Key, Marker, Scale, Stroke, Swatch};
use snn_bench::table::{Column, Table};
use snn_core::loss::Loss;
use std::ops::ControlFlow;
use std::process::Command;
use std::time::Instant;

/// Seconds that a case is repeated for.
const SECONDS: f64 = 1.5;

/// One training step's work.
#[derive(Clone, Copy)]
struct Case {
    steps: usize,
    batch: usize,
    percent: f64,
    /// Channels of the first convolution.
    channels: usize,
    threads: usize,
}

const BASE: Case = Case { steps: 25, batch: 32, percent: 3.0, channels: 12, threads: 1 };

/// What grows, and the cases along it with its values.
fn series() -> Vec<(&'static str, Vec<(f64, Case)>)> {
    let along = |values: &[usize], case: fn(usize) -> Case| -> Vec<(f64, Case)> {
        values.iter().map(|&value| (value as f64, case(value))).collect()
    };
    let percents = [0.3, 1.0, 3.0, 10.0, 30.0].map(|percent| (percent, Case { percent, ..BASE }));
    vec![
        ("time steps", along(&[6, 12, 25, 50, 100], |steps| Case { steps, ..BASE })),
        ("samples", along(&[8, 16, 32, 64, 128], |batch| Case { batch, ..BASE })),
        ("spikes, %", percents.to_vec()),
        ("channels", along(&[3, 6, 12, 24, 48], |channels| Case { channels, ..BASE })),
        ("threads", along(&[1, 2], |threads| Case { threads, ..BASE })),
    ]
}

impl Case {
    fn args(self) -> [String; 5] {
        let Self { steps, batch, percent, channels, threads } = self;
        [steps.to_string(), batch.to_string(), percent.to_string(), channels.to_string(), threads.to_string()]
    }

    fn from_args(args: &[String]) -> anyhow::Result<Self> {
        let [steps, batch, percent, channels, threads] = args else {
            anyhow::bail!("a case has five numbers")
        };
        Ok(Self {
            steps: steps.parse()?,
            batch: batch.parse()?,
            percent: percent.parse()?,
            channels: channels.parse()?,
            threads: threads.parse()?,
        })
    }

    /// Least milliseconds of a step, and KiB that the peak of memory grew.
    fn measure(self) -> anyhow::Result<(f64, f64)> {
        rayon::ThreadPoolBuilder::new().num_threads(self.threads).build_global()?;
        let (mut net, data, adam) = (
            nmnist::network(self.channels)?,
            nmnist::batch(self.steps, self.batch, self.percent / 100.0),
            Adam::default(),
        );
        let config = FitConfig { epochs: 1, learning_rate: 0.0, ..FitConfig::default() };
        let (before, start) = (resident("VmRSS")?, Instant::now());
        let mut least = f64::INFINITY;
        while start.elapsed().as_secs_f64() < SECONDS {
            let (begun, mut progress) = (Instant::now(), Progress::default());
            let watch = &mut |_: &_, _: &_, _: &_| ControlFlow::Continue(());
            fit(&mut net, &data, &Loss::CrossEntropyMean, &adam, &config, &mut progress, watch)?;
            least = least.min(begun.elapsed().as_secs_f64() * 1e3);
        }
        Ok((least, resident("VmHWM")? - before))
    }

    /// The same in a process of its own.
    fn measure_apart(self) -> anyhow::Result<(f64, f64)> {
        let output = Command::new(std::env::current_exe()?).arg("case").args(self.args()).output()?;
        let text = String::from_utf8(output.stdout)?;
        let numbers = text.trim().split_once(' ').context("the case failed")?;
        Ok((numbers.0.parse()?, numbers.1.parse()?))
    }
}

/// KiB of a line of this process's status.
fn resident(line: &str) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status").context("memory is measured on Linux")?;
    let value = status.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(':'));
    let number = value.and_then(|text| text.split_whitespace().next()).context("no such line")?;
    Ok(number.parse()?)
}

/// A point of a series: the value, its factor to the base, time and memory and their factors.
struct Point {
    value: f64,
    factor: f64,
    measured: [f64; 2],
    factors: [f64; 2],
}

fn points(cases: &[(f64, Case)]) -> anyhow::Result<Vec<Point>> {
    let base = cases.iter().position(|(_, case)| case.args() == BASE.args()).context("no base")?;
    let measured = cases.iter().map(|(_, case)| case.measure_apart()).collect::<anyhow::Result<Vec<_>>>()?;
    let point = |((value, _), &(ms, kib)): (&(f64, Case), &(f64, f64))| Point {
        value: *value,
        factor: value / cases[base].0,
        measured: [ms, kib],
        factors: [ms / measured[base].0, kib / measured[base].1],
    };
    Ok(cases.iter().zip(&measured).map(point).collect())
}

/// Factor of the time over the factor of what grows, with the line of proportion.
fn figure(series: &[(&str, Vec<Point>)]) -> String {
    let all = || series.iter().flat_map(|(_, points)| points);
    let alt = "Factor of a training step's time over the factor of what grows; the gray line is proportion.";
    Canvas::svg((560.0, 380.0), alt, |canvas| {
        let x = Axis::new("factor of what grows", Scale::log(all().map(|p| p.factor)));
        let y = Axis::new("factor of the time", Scale::log(all().flat_map(|p| [p.factors[0], p.factor])));
        let swatch = |idx| Swatch::Point(Marker::of_series(idx));
        let keys =
            series.iter().enumerate().map(|(i, (name, _))| Key::new(*name, plot::series_color(i), swatch(i)));
        let frame = Frame::draw(canvas, x, y, &keys.collect::<Vec<_>>());
        let ends = all().fold((f64::INFINITY, 0.0_f64), |(lo, hi), p| (lo.min(p.factor), hi.max(p.factor)));
        let proportion = [frame.at(ends.0, ends.0), frame.at(ends.1, ends.1)];
        frame.path(canvas, &proportion, Stroke::new(plot::MUTED, 1.2));
        for (i, (_, points)) in series.iter().enumerate() {
            let path: Vec<_> = points.iter().map(|p| frame.at(p.factor, p.factors[0])).collect();
            frame.path(canvas, &path, Stroke::new(plot::series_color(i), 1.6));
            path.iter().for_each(|&at| canvas.marker(Marker::of_series(i), at, 4.0, plot::series_color(i)));
        }
    })
}

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let Some(("case", rest)) = args.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        let (ms, kib) = Case::from_args(rest)?.measure()?;
        println!("{ms} {kib}");
        return Ok(());
    }
    let measured: Vec<(&str, Vec<Point>)> = series()
        .into_iter()
        .map(|(name, cases)| Ok((name, points(&cases)?)))
        .collect::<anyhow::Result<_>>()?;
    let numbers = ["value", "factor", "ms", "factor of time", "MiB", "factor of memory"].map(Column::number);
    let mut table = Table::new(std::iter::once(Column::text("what grows")).chain(numbers));
    for (name, points) in &measured {
        for p in points {
            let (factor, ms, mib) = (p.factor, p.measured[0], p.measured[1] / 1024.0);
            let rounded = [format!("{factor:.2}"), format!("{ms:.1}"), format!("{:.2}", p.factors[0])];
            let memory = [format!("{mib:.1}"), format!("{:.2}", p.factors[1])];
            let cells = [(*name).to_owned(), p.value.to_string()].into_iter().chain(rounded).chain(memory);
            table.row(cells.collect::<Vec<_>>());
        }
    }
    println!("{table}");
    if let Some(file) = args.first() {
        std::fs::write(file, figure(&measured)).with_context(|| file.clone())?;
    }
    Ok(())
}
