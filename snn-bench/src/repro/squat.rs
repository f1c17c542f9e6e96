//! Venkatesh, Marinescu, Eshraghian, "SQUAT: Stateful Quantization-Aware Training in Recurrent Spiking Neural Networks",
//! 2024 (arXiv:2404.19668): weights, membranes, or both at few bits, with levels spread evenly or crowded around the
//! threshold, trained so or quantized afterwards. And what the paper does not ask: what a level at zero changes.
//!
//! For each data set and seed a float network is trained; every quantized network starts from it. Each network is a cell of
//! a [`sweep`]: an interrupted run goes on where it was, and several processes may share a folder. Test
//! samples are read once, at the end of each cell.

mod claims;
mod report;
mod scheme;
mod settings;

pub use claims::{Comparison, Finding};
pub use scheme::{Part, Scheme};
pub use settings::{Settings, SquatArgs, Task};

use crate::config::Config;
use crate::sweep::{self, Job, Shard, Summary};
use anyhow::Context;
use serde_json::{Value, json};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// A finished reproduction.
#[derive(Debug)]
pub struct Reproduction {
    /// What was found on each data set.
    pub tasks: Vec<TaskResult>,
    /// The settings.
    pub settings: Settings,
    /// Its report page.
    pub page: PathBuf,
}

/// What was found on a data set.
#[derive(Debug, Clone)]
pub struct TaskResult {
    /// The data set with its network.
    pub task: Task,
    /// Accuracies over seeds.
    pub summary: Summary,
    /// The comparisons that claims are about.
    pub findings: Vec<Finding>,
}

/// Runs the reproduction, or what is missing of it, and writes the report.
///
/// # Errors
/// Data that cannot be read, an interrupt, a full disk.
pub fn run(args: &SquatArgs) -> anyhow::Result<Reproduction> {
    let settings = Settings::new(args)?;
    let folder = args.folder();
    let shard = args.shard.unwrap_or(Shard::WHOLE);
    let tasks: Vec<TaskResult> = settings
        .tasks
        .iter()
        .map(|task| run_task(&settings, task, &folder.join(&task.name), shard))
        .collect::<anyhow::Result<_>>()?;
    let page = crate::report::write(&report::page(&settings, &tasks, args), &folder)?;
    Ok(Reproduction { tasks, settings, page })
}

fn run_task(settings: &Settings, task: &Task, folder: &Path, shard: Shard) -> anyhow::Result<TaskResult> {
    let cells: Vec<Config> = settings.cells(task).collect();
    let jobs = NonZeroUsize::new(rayon::current_num_threads()).unwrap_or(NonZeroUsize::MIN);
    sweep::run(&cells, &Job { folder, jobs, shard }).with_context(|| task.name.clone())?;
    let keys = scheme::KEYS.map(str::to_owned).to_vec();
    let summary = Summary::of_cells(&cells, keys, folder)?;
    let findings = claims::findings(settings, task, &summary);
    Ok(TaskResult { task: task.clone(), summary, findings })
}

impl Reproduction {
    /// One object for programs.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let task = |result: &TaskResult| {
            json!({
                "task": result.task.name,
                "data": result.task.data_name(),
                "simulated": result.task.is_simulated(),
                "layers": result.task.config.net.layers,
                "n_test": result.summary.n_test,
                "done": result.summary.n_done,
                "cells": result.summary.n_cells,
                "diverged": result.summary.n_diverged,
                "float_accuracy": report::float_row(result).and_then(|row| row.mean),
                "seconds": result.summary.rows.iter().map(|row| row.seconds).sum::<f64>(),
                "rows": result.summary.rows,
                "findings": result.findings,
            })
        };
        json!({
            "paper": "arXiv:2404.19668",
            "seeds": self.settings.seeds,
            "tasks": self.tasks.iter().map(task).collect::<Vec<_>>(),
            "consistent": claims::consistent(&self.tasks),
            "report": self.page,
        })
    }

    /// Tables for a terminal.
    #[must_use]
    pub fn text(&self) -> String {
        let task = |result: &TaskResult| {
            let findings: Vec<String> = result.findings.iter().map(Finding::sentence).collect();
            format!("{}\n{}\n\n{}\n", result.task.name, result.summary.table(), findings.join("\n"))
        };
        self.tasks.iter().map(task).collect::<Vec<_>>().join("\n")
    }
}
