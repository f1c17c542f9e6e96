//! `data calibrate`: simulated events beside recordings of the same images. And the settings of the simulated camera.

use super::super::Outcome;
use super::super::output::Output;
use anyhow::{Context, ensure};
use clap::Args;
use serde_json::{Value, json};
use snn_bench::run_dir::write_atomic;
use snn_bench::table::{Column, Table};
use snn_data::datasets::idx_images::IdxImages;
use snn_data::datasets::nmnist::{NMnist, Selection};
use snn_data::datasets::simulated::SimulatedImages;
use snn_data::simulator::SimulatorConfig;
use snn_data::simulator::compare::{Comparison, Profile, compare};
use snn_data::{Dataset, Part, Subset};
use std::path::{Path, PathBuf};

/// Settings of the simulated camera; each defaults to the calibrated one.
#[derive(Debug, Args)]
pub(super) struct CameraArgs {
    /// Mean change of log light for an event.
    #[arg(long, value_name = "X")]
    threshold: Option<f32>,
    /// Standard deviation of thresholds, relative to their mean.
    #[arg(long, value_name = "X")]
    mismatch: Option<f32>,
    /// Light of black, where white adds 1.
    #[arg(long, value_name = "X")]
    black_level: Option<f32>,
    /// Time for which a pixel is blind after an event, in us.
    #[arg(long, value_name = "US")]
    refractory_us: Option<u32>,
    /// Background events of a pixel in Hz.
    #[arg(long, value_name = "HZ")]
    noise_hz: Option<f32>,
    /// Share of ON events among background events.
    #[arg(long, value_name = "X")]
    noise_on_share: Option<f32>,
    /// Shares of a saccade at which the image begins and ends to move.
    #[arg(long, value_name = "START,END", value_parser = numbers::<2>)]
    motion: Option<[f32; 2]>,
    /// Corners of the path, x and y in pixels from the center: before, between and after the saccades.
    #[arg(long, value_name = "X,Y,...", value_parser = numbers::<8>, allow_hyphen_values = true)]
    path: Option<[f32; 8]>,
}

/// `N` numbers with commas between.
fn numbers<const N: usize>(text: &str) -> Result<[f32; N], String> {
    let numbers: Option<Vec<f32>> = text.split(',').map(|number| number.trim().parse().ok()).collect();
    numbers.and_then(|n| n.try_into().ok()).ok_or_else(|| format!("expected {N} numbers with commas between"))
}

impl CameraArgs {
    pub(super) fn config(&self) -> SimulatorConfig {
        let base = SimulatorConfig::default();
        let path = self.path.map(|[a, b, c, d, e, f, g, h]| [[a, b], [c, d], [e, f], [g, h]]);
        SimulatorConfig {
            threshold: self.threshold.unwrap_or(base.threshold),
            threshold_mismatch: self.mismatch.unwrap_or(base.threshold_mismatch),
            black_level: self.black_level.unwrap_or(base.black_level),
            refractory_us: self.refractory_us.unwrap_or(base.refractory_us),
            noise_hz: self.noise_hz.unwrap_or(base.noise_hz),
            noise_on_share: self.noise_on_share.unwrap_or(base.noise_on_share),
            motion: self.motion.unwrap_or(base.motion),
            path: path.unwrap_or(base.path),
            ..base
        }
    }
}

#[derive(Debug, Args)]
pub(in super::super) struct CalibrateArgs {
    /// Folder of N-MNIST recordings to learn from, named by the numbers of their images.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Folder of MNIST.
    #[arg(long, value_name = "DIR")]
    images: PathBuf,
    /// Write the table to this page as well.
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Seed of the simulated camera's noise.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    camera: CameraArgs,
}

pub(super) fn calibrate(args: &CalibrateArgs, output: Output) -> anyhow::Result<Outcome> {
    let real = NMnist::open(&args.data, &Selection::Part(Part::Train))?;
    let numbers: anyhow::Result<Vec<usize>> =
        (0..real.len()).map(|i| image_of(real.sample_name(i))).collect();
    let images = IdxImages::open(&args.images, Part::Train)?;
    let simulated = SimulatedImages::new(images, &args.camera.config(), args.seed)?;
    let simulated = Subset::new(simulated, numbers?)?;
    for i in 0..real.len() {
        let name = real.sample_name(i);
        ensure!(real.label(i) == simulated.label(i), "{name} is not of the class of its image");
    }
    let found = compare(&real, &simulated)?;
    let text = page(&found);
    if let Some(out) = &args.out {
        write_page(out, &text)?;
    }
    output.print(text, &object(&found))?;
    Ok(Outcome::Passed)
}

/// The index of the image that a recording `NNNNN.bin` shows.
fn image_of(name: &str) -> anyhow::Result<usize> {
    let number = Path::new(name).file_stem().and_then(|stem| stem.to_str()?.parse::<usize>().ok());
    let index = number.and_then(|number| number.checked_sub(1));
    index.with_context(|| format!("{name}: its name is not the number of an image"))
}

/// The rows of the table: what is compared, of the recordings and of the simulated ones.
fn rows(found: &Comparison) -> Vec<[String; 3]> {
    let row = |name: &str, of: &dyn Fn(&Profile) -> String| {
        [name.to_owned(), of(&found.real), of(&found.simulated)]
    };
    let mut rows = vec![
        row("events of a recording", &|profile| format!("{:.0}", profile.events)),
        row("s.d. over recordings", &|profile| format!("{:.0}", profile.events_std)),
        row("ON share", &|profile| format!("{:.3}", profile.on_share)),
        row("share of events without neighbors", &|profile| format!("{:.4}", profile.lonely_share)),
    ];
    for k in (0..found.real.rate.len()).step_by(3) {
        let name = format!("events in {} to {} ms", 10 * k, 10 * k + 30);
        rows.push(row(&name, &|profile| format!("{:.0}", profile.rate[k..k + 3].iter().sum::<f64>())));
    }
    rows
}

fn correlations(found: &Comparison) -> [(&'static str, f64); 5] {
    [
        ("numbers of events, over pairs", found.count_correlation),
        ("mean rate, over bins of 10 ms", found.rate_correlation),
        ("events by pixel and polarity, within a pair", found.place_correlation),
        ("the same with the next image's", found.place_correlation_of_others),
        ("events by pixel, polarity and saccade, within a pair", found.place_and_time_correlation),
    ]
}

fn page(found: &Comparison) -> String {
    let mut table = Table::new([Column::text(""), Column::number("recorded"), Column::number("simulated")]);
    for row in rows(found) {
        table.row(row);
    }
    let mut below = Table::new([Column::text("Pearson correlation of"), Column::number("r")]);
    for (name, r) in correlations(found) {
        below.row([name.to_owned(), format!("{r:.3}")]);
    }
    format!("{} pairs\n\n{table}\n\n{below}", found.n)
}

/// Puts the table between the marks of a page, which keeps its words around it.
fn write_page(path: &Path, table: &str) -> anyhow::Result<()> {
    const MARKS: [&str; 2] = ["<!-- calibration: begin -->", "<!-- calibration: end -->"];
    let old = std::fs::read_to_string(path).unwrap_or_else(|_| MARKS.join("\n"));
    let parts =
        old.split_once(MARKS[0]).and_then(|(before, rest)| Some((before, rest.split_once(MARKS[1])?.1)));
    let (before, after) =
        parts.with_context(|| format!("{}: no marks {} and {}", path.display(), MARKS[0], MARKS[1]))?;
    let new = format!("{before}{}\n```text\n{table}\n```\n{}{after}", MARKS[0], MARKS[1]);
    Ok(write_atomic(path, |file| file.write_all(new.as_bytes()))?)
}

fn object(found: &Comparison) -> Value {
    let profile = |profile: &Profile| {
        json!({
            "events": profile.events,
            "events_std": profile.events_std,
            "on_share": profile.on_share,
            "lonely_share": profile.lonely_share,
            "rate_per_10_ms": profile.rate,
        })
    };
    json!({
        "n": found.n,
        "real": profile(&found.real),
        "simulated": profile(&found.simulated),
        "count_correlation": found.count_correlation,
        "rate_correlation": found.rate_correlation,
        "place_correlation": found.place_correlation,
        "place_correlation_of_others": found.place_correlation_of_others,
        "place_and_time_correlation": found.place_and_time_correlation,
    })
}
