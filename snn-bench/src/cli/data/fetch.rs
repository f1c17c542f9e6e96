//! `data fetch`: data sets from where they are published.

use super::super::Outcome;
use super::super::output::Output;
use anyhow::{Context, bail};
use clap::Args;
use indicatif::ProgressBar;
use serde_json::{Value, json};
use snn_bench::interrupt;
use snn_bench::progress;
use snn_bench::table::{Column, Table, bytes};
use snn_data::fetch::{self, Access, FetchConfig, Fetched, Progress, RemoteFile, Source, Stage, catalog};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(in super::super) struct FetchArgs {
    /// Name of the data set; `--list` shows them.
    #[arg(required_unless_present = "list")]
    name: Option<String>,
    /// Folder to fetch into; `data/<name>` by default.
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Show all data sets with their licences and whether they can be fetched.
    #[arg(long)]
    list: bool,
    /// Address of an HTTP proxy.
    #[arg(long, value_name = "URL")]
    proxy: Option<String>,
}

pub(super) fn run(args: &FetchArgs, output: Output) -> anyhow::Result<Outcome> {
    let Some(name) = args.name.as_deref().filter(|_| !args.list) else {
        return list(output);
    };
    let Some(source) = catalog::find(name) else {
        let names = catalog::ALL.map(|source| source.name).join(", ");
        bail!("no data set \"{name}\"; there are {names}");
    };
    let folder = args.out.clone().unwrap_or_else(|| Path::new("data").join(name));
    match source.access {
        Access::ByHand(steps) => by_hand(&source, steps, output),
        Access::Files(files) => {
            interrupt::listen()?;
            let config = FetchConfig { proxy: args.proxy.clone(), ..FetchConfig::default() };
            let fetched = fetch_with_bar(files, &folder, &config)?;
            report(&source, &folder, &fetched, output)
        }
    }
}

fn list(output: Output) -> anyhow::Result<Outcome> {
    let mut table = Table::new([
        Column::text("name"),
        Column::text("how"),
        Column::text("licence"),
        Column::text("what"),
    ]);
    for source in catalog::ALL {
        table.row([source.name, how(&source), source.license, source.title].map(str::to_owned));
    }
    let sets: Vec<Value> = catalog::ALL.iter().map(describe).collect();
    output.print(table, &json!({ "data_sets": sets }))?;
    Ok(Outcome::Passed)
}

fn how(source: &Source) -> &'static str {
    match source.access {
        Access::Files(_) => "fetched",
        Access::ByHand(_) => "by hand",
    }
}

fn describe(source: &Source) -> Value {
    json!({
        "name": source.name,
        "title": source.title,
        "how": how(source),
        "license": source.license,
        "citation": source.citation,
        "homepage": source.homepage,
    })
}

/// What has to be done by people; the data is not there afterwards, which the exit code says.
fn by_hand(source: &Source, steps: &[&str], output: Output) -> anyhow::Result<Outcome> {
    let steps_text: Vec<String> = steps.iter().zip(1..).map(|(step, k)| format!("  {k}. {step}")).collect();
    let text = format!(
        "{}\nits host does not allow programs to fetch it; by hand:\n{}\n{}",
        source.title,
        steps_text.join("\n"),
        terms(source)
    );
    output.print(text, &json!({ "data_set": describe(source), "steps": steps }))?;
    Ok(Outcome::CheckFailed)
}

fn terms(source: &Source) -> String {
    format!("licence: {}\ncite: {}\npage: {}", source.license, source.citation, source.homepage)
}

fn fetch_with_bar(
    files: &[RemoteFile<'_>],
    folder: &Path,
    config: &FetchConfig,
) -> anyhow::Result<Vec<Fetched>> {
    let bar = progress::byte_bar();
    let fetched = fetch::fetch(files, folder, config, &mut |progress| {
        show(&bar, &progress);
        if interrupt::is_requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    bar.finish_and_clear();
    fetched.context("what was received is kept; the same command goes on from there")
}

fn show(bar: &ProgressBar, progress: &Progress<'_>) {
    let verb = match progress.stage {
        Stage::Receiving => "fetching",
        Stage::Checking => "checking",
        Stage::Unpacking => "unpacking",
    };
    let what = format!("{verb} {}", progress.file);
    if bar.prefix() != what {
        bar.set_prefix(what);
        bar.reset();
    }
    match progress.total {
        Some(total) => bar.set_length(total),
        None => bar.unset_length(),
    }
    bar.set_position(progress.done);
}

fn report(source: &Source, folder: &Path, fetched: &[Fetched], output: Output) -> anyhow::Result<Outcome> {
    let mut lines = Vec::new();
    let mut files = Vec::new();
    for file in fetched {
        let state = if file.was_there { "was there" } else { "fetched" };
        let paths: Vec<String> = file.paths.iter().map(|path| path.display().to_string()).collect();
        let size = file.paths.first().filter(|path| path.is_file()).and_then(|path| path.metadata().ok());
        let size = size.map_or(String::new(), |meta| format!(" ({})", bytes(meta.len())));
        lines.push(format!("{state}: {} -> {}{size}", file.name, paths.join(", ")));
        files.push(json!({ "name": file.name, "was_there": file.was_there, "paths": paths }));
    }
    let text = format!(
        "{}\n{}\nnext: snn-bench data check --data {}",
        lines.join("\n"),
        terms(source),
        folder.display()
    );
    output.print(text, &json!({ "data_set": describe(source), "folder": folder, "files": files }))?;
    Ok(Outcome::Passed)
}
