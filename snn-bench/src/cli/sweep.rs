//! `sweep`: a grid of configurations over seeds, resumable and divisible.

use super::Outcome;
use super::output::Output;
use super::team::TeamArgs;
use anyhow::Context;
use serde_json::json;
use snn_bench::interrupt;
use snn_bench::run_dir::write_atomic;
use snn_bench::sweep::{Grid, Job, Shard, Summary, SweepError, merge, run as run_cells};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(subcommand)]
    merge: Option<Verb>,
    #[command(flatten)]
    run: Option<RunArgs>,
    #[command(flatten)]
    team: TeamArgs,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Take in the cells that other folders of the same sweep hold, and write table and report.
    Merge(MergeArgs),
}

#[derive(Debug, clap::Args)]
struct RunArgs {
    /// The grid: seeds, values for all cells, and lists of values by dotted key.
    grid: PathBuf,
    /// Folder of the sweep; `runs/<name of the grid>` by default. Cells that are stored there are not run again, and several
    /// processes may work in it.
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Run the I-th of N equal shares of the cells only, such as `2/8`.
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// Only list the cells.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, clap::Args)]
struct MergeArgs {
    /// Folders of shards.
    #[arg(required = true)]
    from: Vec<PathBuf>,
    /// Folder to merge into.
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
}

/// File of the grid in the folder of a sweep.
const GRID: &str = "grid.toml";

pub(super) fn run(args: &Args, output: Output) -> anyhow::Result<Outcome> {
    match (&args.merge, &args.run) {
        (Some(Verb::Merge(args)), _) => merge_folders(args, output),
        (None, Some(run)) => sweep(run, &args.team, output),
        (None, None) => anyhow::bail!("sweep needs a grid file, or `merge`; see --help"),
    }
}

fn sweep(args: &RunArgs, team: &TeamArgs, output: Output) -> anyhow::Result<Outcome> {
    let grid = Grid::read(&args.grid)?;
    let cells = grid.cells()?;
    if args.dry_run {
        for config in &cells {
            output.print(toml::to_string(config)?, config)?;
        }
        return Ok(Outcome::Passed);
    }
    let name = args.grid.file_stem().unwrap_or("sweep".as_ref());
    let folder = args.out.clone().unwrap_or_else(|| Path::new("runs").join(name));
    keep_grid(&grid, &folder)?;
    interrupt::listen()?;
    let jobs = NonZeroUsize::new(rayon::current_num_threads()).unwrap_or(NonZeroUsize::MIN);
    let team = team.join()?;
    let shard = args.shard.unwrap_or(Shard::WHOLE).part(team.ranks().rank(), team.ranks().size());
    run_cells(&cells, &Job { folder: &folder, jobs, shard })?;
    team.wait_for_all();
    let outcome = if team.is_first() { print(&grid, &folder, output)? } else { Outcome::Passed };
    team.leave();
    Ok(outcome)
}

fn merge_folders(args: &MergeArgs, output: Output) -> anyhow::Result<Outcome> {
    let first = args.from.first().context("no folders")?;
    let grid = Grid::read(&first.join(GRID))?;
    for folder in &args.from {
        if Grid::read(&folder.join(GRID))? != grid {
            return Err(SweepError::OtherGrid { path: folder.join(GRID) }.into());
        }
    }
    keep_grid(&grid, &args.out)?;
    merge(&grid.cells()?, &args.out, &args.from)?;
    print(&grid, &args.out, output)
}

/// Writes the grid into a new folder, or makes sure that an old one holds the same.
fn keep_grid(grid: &Grid, folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let path = folder.join(GRID);
    if path.exists() {
        if Grid::read(&path)? != *grid {
            return Err(SweepError::OtherGrid { path }.into());
        }
        return Ok(());
    }
    let text = toml::to_string(grid)?;
    Ok(write_atomic(&path, |file| file.write_all(text.as_bytes()))?)
}

fn print(grid: &Grid, folder: &Path, output: Output) -> anyhow::Result<Outcome> {
    let summary = Summary::of(grid, folder)?;
    let command: Vec<String> = std::env::args().skip(1).collect();
    let page = summary.write(folder, &format!("snn-bench {}", command.join(" ")))?;
    let object = json!({
        "folder": folder,
        "done": summary.n_done,
        "diverged": summary.n_diverged,
        "cells": summary.n_cells,
        "rows": summary.rows,
    });
    let done = summary.progress();
    output.print(format!("{}\n{done}\nreport: {}", summary.table(), page.display()), &object)?;
    Ok(Outcome::Passed)
}
