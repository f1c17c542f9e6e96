//! `data check`, `data stats`, `data fetch`, `data make`, `data convert`, `data view`.

mod cache;
mod clip;
mod fetch;
mod simulate;
mod source;

use super::Outcome;
use super::output::Output;
use anyhow::{Context, bail, ensure};
use clap::{Args, Subcommand};
use indicatif::ProgressBar;
use serde_json::{Value, json};
use snn_bench::progress;
use snn_bench::run_dir::write_atomic;
use snn_bench::table::{Column, Table, thousands};
use snn_data::datasets::glyphs::{Glyphs, GlyphsConfig};
use snn_data::datasets::idx_images::IdxImages;
use snn_data::datasets::kind::{Opened, Samples};
use snn_data::datasets::simulated::SimulatedImages;
use snn_data::stats::{CheckReport, DatasetStats, Histogram, Problem, Spread, check};
use snn_data::{DataError, Dataset, EventStream, Part, SensorSize, Subset, export};
use source::{KindArg, Source};
use std::path::{Path, PathBuf};

/// The file that marks a folder of simulated recordings.
pub(super) const SIMULATED: &str = "simulated.toml";

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Read every file and list all that is wrong; exit code 1 if anything is.
    Check(CheckArgs),
    /// Frames on disk: make, check, list, remove.
    #[command(subcommand)]
    Cache(cache::Verb),
    /// Classes, events, durations, share of ON events, rates; or what one file of events holds.
    Stats(StatsArgs),
    /// Fetch a published data set, or say how to get it by hand; exit code 1 if it has to be.
    Fetch(fetch::FetchArgs),
    /// Write simulated recordings in the layout of N-MNIST.
    Make(MakeArgs),
    /// Compare simulated events with recordings of the same images.
    Calibrate(simulate::CalibrateArgs),
    /// Write the events of a file in another format.
    Convert(clip::ConvertArgs),
    /// Show a file of events as a page with a slider over time.
    View(clip::ViewArgs),
}

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    kind: KindArg,
}

#[derive(Debug, Args)]
pub(super) struct StatsArgs {
    #[command(flatten)]
    source: FileOrSource,
    #[command(flatten)]
    kind: KindArg,
    #[command(flatten)]
    read: clip::ReadArgs,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct FileOrSource {
    /// One file of events, in any format.
    file: Option<PathBuf>,
    /// Folder of a data set; which one is found by what lies there.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The built-in simulated glyphs.
    #[arg(long)]
    glyphs: bool,
}

#[derive(Debug, Args)]
pub(super) struct MakeArgs {
    /// New or empty folder to write to.
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
    /// Simulate the images of this folder (MNIST or Fashion-MNIST, .gz or not) instead of the built-in glyphs.
    #[arg(long, value_name = "DIR")]
    from_images: Option<PathBuf>,
    /// Most recordings to learn from.
    #[arg(long, value_name = "N", default_value_t = 1500)]
    n_train: usize,
    /// Most recordings to test on.
    #[arg(long, value_name = "N", default_value_t = 500)]
    n_test: usize,
    /// Seed of drawings, noise and camera shake.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Index of the first image of the training part.
    #[arg(long, value_name = "N", default_value_t = 0, requires = "from_images")]
    first_image: usize,
    #[command(flatten)]
    camera: simulate::CameraArgs,
}

pub(super) fn run(verb: &Verb, output: Output) -> anyhow::Result<Outcome> {
    match verb {
        Verb::Check(args) => run_check(args, output),
        Verb::Cache(verb) => cache::run(verb, output),
        Verb::Stats(StatsArgs { source: FileOrSource { file: Some(file), .. }, read, .. }) => {
            clip::stats(file, read, output)
        }
        Verb::Stats(StatsArgs { source, kind, .. }) => {
            run_stats(source::open(source.data.as_deref(), kind.kind)?, output)
        }
        Verb::Fetch(args) => fetch::run(args, output),
        Verb::Make(args) => make(args, output),
        Verb::Calibrate(args) => simulate::calibrate(args, output),
        Verb::Convert(args) => clip::convert(args, output),
        Verb::View(args) => clip::view(args, output),
    }
}

fn run_check(args: &CheckArgs, output: Output) -> anyhow::Result<Outcome> {
    let opened = source::open(args.source.data.as_deref(), args.kind.kind)?;
    let remarks: Vec<String> = opened.remarks.iter().map(|remark| format!("note: {remark}")).collect();
    let (n, findings) = match opened.samples {
        Samples::Images(parts) => (source::per_class(&parts).iter().sum(), Vec::new()),
        Samples::Events(data) => {
            let CheckReport { stats, findings } = survey(&*data);
            (stats.n_samples, findings.iter().map(ToString::to_string).collect::<Vec<_>>())
        }
    };
    let summary = format!("{} samples read, {} problems", thousands(n as u64), findings.len());
    let lines: Vec<&str> = remarks.iter().chain(&findings).chain([&summary]).map(String::as_str).collect();
    let object = json!({ "n_samples": n, "findings": findings, "remarks": opened.remarks });
    output.print(lines.join("\n"), &object)?;
    Ok(if findings.is_empty() { Outcome::Passed } else { Outcome::CheckFailed })
}

fn run_stats(opened: Opened, output: Output) -> anyhow::Result<Outcome> {
    if let Samples::Images(parts) = &opened.samples {
        return run_image_stats(&source::per_class(parts), output);
    }
    let report = survey(&*source::recordings(opened)?);
    let unreadable = report.findings.into_iter().find_map(|finding| match finding.problem {
        Problem::Unreadable(error) => Some(error),
        _ => None,
    });
    if let Some(error) = unreadable {
        return Err(error).context("run `data check` for a list of all that is wrong");
    }
    output.print(stats_table(&report.stats), &stats_json(&report.stats))?;
    Ok(Outcome::Passed)
}

fn run_image_stats(per_class: &[usize], output: Output) -> anyhow::Result<Outcome> {
    let n: usize = per_class.iter().sum();
    let counts: Vec<String> = per_class.iter().map(ToString::to_string).collect();
    let text = format!("{} images, by class: {}", thousands(n as u64), counts.join(" "));
    output.print(text, &json!({ "n_samples": n, "per_class": per_class }))?;
    Ok(Outcome::Passed)
}

/// Reads all recordings.
fn survey(dataset: &dyn Dataset) -> CheckReport {
    let watched = WatchedDataset::new(dataset, dataset.len(), "read");
    let report = check(&watched);
    watched.bar.finish_and_clear();
    report
}

/// Mean events per second of a recording, over recordings with a duration.
fn rate_hz(stats: &DatasetStats) -> Option<f64> {
    let (events, duration) = (stats.events?.mean, stats.duration_us?.mean);
    (duration > 0.0).then(|| events / duration * 1e6)
}

fn stats_table(stats: &DatasetStats) -> String {
    let mut table =
        Table::new([Column::text(""), Column::number("min"), Column::number("mean"), Column::number("max")]);
    let spreads = [
        ("events", stats.events),
        ("duration (us)", stats.duration_us),
        ("first event (us)", stats.first_us),
        ("last event (us)", stats.last_us),
    ];
    for (name, spread) in spreads {
        let Some(Spread { min, mean, max }) = spread else { continue };
        table.row([name.to_owned(), thousands(min.into()), format!("{mean:.1}"), thousands(max.into())]);
    }
    let per_class: Vec<String> = stats.per_class.iter().map(ToString::to_string).collect();
    let rate = rate_hz(stats).map_or(String::new(), |rate| format!(", {rate:.0} events per second"));
    let histogram =
        stats.events_histogram.as_ref().map_or(String::new(), |h| bars("events of a recording", h));
    format!(
        "{} recordings, by class: {}\n{} events, {:.2} % ON{rate}\n{table}\n{histogram}",
        thousands(stats.n_samples as u64),
        per_class.join(" "),
        thousands(stats.n_events),
        100.0 * stats.on_share,
    )
}

/// A histogram as bars of text.
fn bars(title: &str, histogram: &Histogram) -> String {
    let most = histogram.counts.iter().max().copied().unwrap_or(0).max(1);
    let mut lines = vec![title.to_owned()];
    for (k, count) in (0_u64..).zip(&histogram.counts) {
        let from = u64::from(histogram.start) + k * u64::from(histogram.width);
        let bar = "#".repeat(usize::try_from(40 * count / most).unwrap_or(0));
        lines.push(format!("{:>13}  {bar:40}  {}", thousands(from), thousands(*count)));
    }
    lines.join("\n")
}

fn histogram_json(histogram: &Histogram) -> Value {
    json!({ "start": histogram.start, "width": histogram.width, "counts": histogram.counts })
}

fn stats_json(stats: &DatasetStats) -> Value {
    let spread = |spread: Option<Spread>| {
        spread.map(|Spread { min, mean, max }| json!({ "min": min, "mean": mean, "max": max }))
    };
    json!({
        "n_samples": stats.n_samples,
        "per_class": stats.per_class,
        "n_events": stats.n_events,
        "on_share": stats.on_share,
        "events": spread(stats.events),
        "events_histogram": stats.events_histogram.as_ref().map(histogram_json),
        "duration_us": spread(stats.duration_us),
        "first_us": spread(stats.first_us),
        "last_us": spread(stats.last_us),
        "rate_hz": rate_hz(stats),
    })
}

fn make(args: &MakeArgs, output: Output) -> anyhow::Result<Outcome> {
    require_empty(&args.out)?;
    ensure!(args.n_train > 0 && args.n_test > 0, "--n-train and --n-test must be at least 1");
    let n_train = make_part(args, Part::Train)?;
    let n_test = make_part(args, Part::Test)?;
    let object = json!({ "out": args.out, "n_train": n_train, "n_test": n_test, "simulated": true });
    let folder = args.out.display();
    let text = format!(
        "{n_train} + {n_test} simulated recordings in {folder}\nlists: {folder}/splits/train.txt, {folder}/splits/test.txt"
    );
    output.print(text, &object)?;
    Ok(Outcome::Passed)
}

/// Simulates and writes one part; returns its number of recordings.
fn make_part(args: &MakeArgs, part: Part) -> anyhow::Result<usize> {
    // The parts differ in their seeds, so that no recording of one is in the other.
    let (n, name, seed) = match part {
        Part::Train => (args.n_train, "train", args.seed),
        Part::Test => (args.n_test, "test", args.seed.wrapping_add(1)),
    };
    let dataset: Box<dyn Dataset> = match &args.from_images {
        Some(folder) => {
            let images = IdxImages::open(folder, part)?;
            let first = if part == Part::Train { args.first_image } else { 0 };
            let end = first.saturating_add(n).min(images.len());
            ensure!(first < end, "--first-image is {first}, but there are {} images", images.len());
            let simulated = SimulatedImages::new(images, &args.camera.config(), seed)?;
            Box::new(Subset::new(simulated, (first..end).collect())?)
        }
        None => {
            let simulator = args.camera.config();
            Box::new(Glyphs::new(GlyphsConfig { n_samples: n, seed, simulator, ..GlyphsConfig::default() })?)
        }
    };
    let n = n.min(dataset.len());
    mark_simulated(args)?;
    let watched = WatchedDataset::new(&*dataset, n, name);
    export::write_nmnist(&watched, &args.out, part)?;
    watched.bar.finish_and_clear();
    Ok(n)
}

fn require_empty(folder: &Path) -> anyhow::Result<()> {
    match std::fs::read_dir(folder) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => bail!("{} is not empty; choose a new folder", folder.display()),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| folder.display().to_string()),
    }
}

fn mark_simulated(args: &MakeArgs) -> anyhow::Result<()> {
    let folder = &args.out;
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let source = if args.from_images.is_some() { "images" } else { "glyphs" };
    let version = env!("CARGO_PKG_VERSION");
    let text = format!(
        "# These recordings were made by a program, not by a camera.\n\
         source = \"{source}\"\nseed = {}\nversion = \"{version}\"\n",
        args.seed
    );
    Ok(write_atomic(&folder.join(SIMULATED), |file| file.write_all(text.as_bytes()))?)
}

/// The first samples of a data set, which move a bar as they are read.
struct WatchedDataset<'a> {
    dataset: &'a dyn Dataset,
    n: usize,
    bar: ProgressBar,
}

impl<'a> WatchedDataset<'a> {
    fn new(dataset: &'a dyn Dataset, n: usize, what: &str) -> Self {
        Self { dataset, n, bar: progress::bar(what, n) }
    }
}

impl Dataset for WatchedDataset<'_> {
    fn len(&self) -> usize {
        self.n
    }

    fn n_classes(&self) -> usize {
        self.dataset.n_classes()
    }

    fn sensor(&self) -> SensorSize {
        self.dataset.sensor()
    }

    fn label(&self, i: usize) -> usize {
        self.dataset.label(i)
    }

    fn sample_name(&self, i: usize) -> &str {
        self.dataset.sample_name(i)
    }

    fn events(&self, i: usize) -> Result<EventStream, DataError> {
        self.bar.inc(1);
        self.dataset.events(i)
    }
}
