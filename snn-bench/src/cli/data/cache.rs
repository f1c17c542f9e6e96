//! `data cache`: the frames on disk that `train` uses with `data.cache`.

use super::super::Outcome;
use super::super::output::Output;
use super::super::settings;
use anyhow::{Context, ensure};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use snn_bench::config::Config;
use snn_bench::data::{self, Samples, Splits};
use snn_bench::progress;
use snn_bench::table::{Column, Table, bytes, thousands};
use snn_data::cache::{self, CachePlan, FrameCache};
use snn_data::{DataError, Dataset};
use std::path::{Path, PathBuf};

#[derive(Debug, Subcommand)]
pub(in super::super) enum Verb {
    /// Make the caches that a training with this configuration uses; says first what they take.
    Build(BuildArgs),
    /// Compare the caches of a configuration with its recordings, frame by frame; exit code 1 if one is stale.
    Check(ConfigArgs),
    /// Show the caches in a folder.
    List(FolderArgs),
    /// Remove the caches in a folder.
    Clear(FolderArgs),
}

#[derive(Debug, Args)]
pub(in super::super) struct ConfigArgs {
    /// Configuration file, as for `train`.
    config: Option<PathBuf>,
    /// Change a setting, such as `data.n_steps=20`; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Folder of a data set.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Seed, which decides what is held out where nothing else does.
    #[arg(long)]
    seed: Option<u64>,
    /// Folder of the caches; by default `data.cache` of the configuration.
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(in super::super) struct BuildArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Only say what would be made, and how large it would be.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
pub(in super::super) struct FolderArgs {
    /// The folder.
    folder: PathBuf,
}

pub(super) fn run(verb: &Verb, output: Output) -> anyhow::Result<Outcome> {
    match verb {
        Verb::Build(args) => build(args, output),
        Verb::Check(args) => check(args, output),
        Verb::List(args) => list(&args.folder, output),
        Verb::Clear(args) => clear(&args.folder, output),
    }
}

/// A configuration and the folder of its caches.
struct Job {
    config: Config,
    folder: PathBuf,
    splits: Splits,
}

impl Job {
    fn new(args: &ConfigArgs) -> anyhow::Result<Self> {
        // Training from a cache goes without augmentation, so a configuration that has a cache must say so.
        let mut changes = args.set.clone();
        changes.extend(args.cache.iter().map(|_| "data.augment=false".to_owned()));
        let mut config = settings::read(args.config.as_deref(), &changes)?;
        config.seed = args.seed.unwrap_or(config.seed);
        config.data.path = args.data.clone().or(config.data.path);
        config.data.cache = args.cache.clone().or(config.data.cache);
        data::look(&mut config.data)?;
        config.check()?;
        ensure!(!config.data.is_coded_images(), "images are not cached; they are in memory");
        let folder = config.data.cache.clone().context("no folder for caches: give --cache")?;
        let splits = data::open(&config.data, config.seed)?;
        Ok(Self { config, folder, splits })
    }

    /// The recordings of both divisions.
    fn recordings(&self) -> impl Iterator<Item = (&'static str, &dyn Dataset)> {
        [("train", &self.splits.train), ("test", &self.splits.test)].into_iter().filter_map(
            |(name, samples)| match samples {
                Samples::Events(data) => Some((name, &**data)),
                Samples::Images(..) => None,
            },
        )
    }

    fn plan(&self, data: &dyn Dataset) -> Result<CachePlan, DataError> {
        let data = data::before_frames(data, &self.config.data)?;
        let frames = data::to_frames(&self.config.data);
        FrameCache::plan(&self.folder, &data::cache_name(&data), &data, &frames)
    }

    fn open(&self, data: &dyn Dataset, name: &str) -> Result<FrameCache, DataError> {
        let bar = progress::bar(name, data.len());
        let data = data::before_frames(data, &self.config.data)?;
        let frames = data::to_frames(&self.config.data);
        let cache_name = data::cache_name(&data);
        let observe = |n: usize| bar.inc(n as u64);
        let cache = FrameCache::open_or_make(&self.folder, &cache_name, &data, &frames, &observe);
        bar.finish_and_clear();
        cache
    }
}

fn build(args: &BuildArgs, output: Output) -> anyhow::Result<Outcome> {
    let job = Job::new(&args.config)?;
    let mut table = Table::new(["part", "samples", "size", "state", "file"].map(Column::text));
    let mut caches: Vec<Value> = Vec::new();
    for (name, data) in job.recordings() {
        let plan = job.plan(data)?;
        progress::note(&format!("{name}: {} in {}", bytes(plan.n_bytes), plan.path.display()));
        if !args.dry_run {
            job.open(data, name)?;
        }
        let state = match (plan.is_made, args.dry_run) {
            (true, _) => "was there",
            (false, true) => "not made",
            (false, false) => "made",
        };
        let n = thousands(plan.n_samples as u64);
        let path = plan.path.display().to_string();
        table.row([name.to_owned(), n, bytes(plan.n_bytes), state.to_owned(), path.clone()]);
        let (n_samples, n_bytes) = (plan.n_samples, plan.n_bytes);
        caches.push(json!({
            "part": name, "n_samples": n_samples, "n_bytes": n_bytes, "state": state, "path": path,
        }));
    }
    output.print(table, &json!({ "caches": caches }))?;
    Ok(Outcome::Passed)
}

fn check(args: &ConfigArgs, output: Output) -> anyhow::Result<Outcome> {
    let job = Job::new(args)?;
    let mut lines = Vec::new();
    let mut results: Vec<Value> = Vec::new();
    let mut outcome = Outcome::Passed;
    for (name, data) in job.recordings() {
        let plan = job.plan(data)?;
        let finding = if plan.is_made { compare(&job, name, data)? } else { Some("not made yet".to_owned()) };
        if finding.is_some() {
            outcome = Outcome::CheckFailed;
        }
        let path = plan.path.display().to_string();
        lines.push(format!("{name}: {}", finding.as_deref().unwrap_or("as its recordings")));
        results.push(json!({ "part": name, "path": path, "problem": finding }));
    }
    output.print(lines.join("\n"), &json!({ "caches": results }))?;
    Ok(outcome)
}

/// What is wrong with a cache, if anything.
fn compare(job: &Job, name: &str, data: &dyn Dataset) -> Result<Option<String>, DataError> {
    let bar = progress::bar(name, data.len());
    let checked = job.open(data, name).and_then(|cache| {
        let data = data::before_frames(data, &job.config.data)?;
        cache.check(&data, &data::to_frames(&job.config.data), &|n| bar.inc(n as u64))
    });
    bar.finish_and_clear();
    match checked {
        Ok(()) => Ok(None),
        Err(error @ DataError::StaleCache { .. }) => Ok(Some(error.to_string())),
        Err(error) => Err(error),
    }
}

fn list(folder: &Path, output: Output) -> anyhow::Result<Outcome> {
    let mut table = Table::new(["file", "samples", "shape", "size", "state"].map(Column::text));
    let mut caches: Vec<Value> = Vec::new();
    for cache in cache::list(folder)? {
        let name = cache.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let samples = cache.content.map_or("–".to_owned(), |(_, n)| thousands(n as u64));
        let shape = cache.content.map_or("–".to_owned(), |(shape, _)| format!("{shape:?}"));
        let state = if cache.is_complete { "complete" } else { "unfinished" };
        table.row([name.clone(), samples, shape, bytes(cache.n_bytes), state.to_owned()]);
        caches.push(json!({
            "file": name, "n_samples": cache.content.map(|(_, n)| n), "shape": cache.content.map(|(shape, _)| shape),
            "n_bytes": cache.n_bytes, "is_complete": cache.is_complete,
        }));
    }
    output.print(table, &json!({ "caches": caches }))?;
    Ok(Outcome::Passed)
}

fn clear(folder: &Path, output: Output) -> anyhow::Result<Outcome> {
    let (n, n_bytes) = cache::clear(folder)?;
    let text = format!("{n} caches removed, {}", bytes(n_bytes));
    output.print(text, &json!({ "n_caches": n, "n_bytes": n_bytes }))?;
    Ok(Outcome::Passed)
}
