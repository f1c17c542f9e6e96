//! What a sweep found: means over seeds.

use super::{Cell, Grid, SweepError, run};
use crate::config::{Config, FLOAT_BITS};
use crate::estimate::Estimate;
use crate::stats::interval_95;
use crate::table::{Column, Table, bytes};
use serde::Serialize;
use std::path::Path;

/// A combination of values over its seeds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The values that differ between rows, in the order of [`Summary::keys`].
    pub values: Vec<String>,
    /// Configuration, with the first seed.
    pub config: Config,
    /// Seeds of the finished cells.
    pub seeds: Vec<u64>,
    /// Accuracy of each seed.
    pub accuracies: Vec<f64>,
    /// Mean accuracy.
    pub mean: f64,
    /// Standard deviation over seeds; none for one seed.
    pub sd: Option<f64>,
    /// Half width of the 95 % interval of the mean, by Student's t; none for one seed.
    pub interval_95: Option<f64>,
    /// Spikes per neuron and step, mean over seeds.
    pub spike_rate: f64,
    /// Bytes of all parameters.
    pub parameter_bytes: u64,
    /// Bytes of the neurons' state for one sample.
    pub state_bytes: u64,
    /// Wall-clock seconds of all cells.
    pub seconds: f64,
}

impl Row {
    /// Mean and standard deviation.
    #[must_use]
    pub fn accuracy(&self) -> Estimate {
        Estimate { mean: self.mean, err: self.sd, n: self.accuracies.len() }
    }

    /// True if nothing is quantized.
    #[must_use]
    pub fn is_float(&self) -> bool {
        self.config.quant.weight_bits == FLOAT_BITS && self.config.quant.state_bits == FLOAT_BITS
    }
}

/// All finished cells of a sweep.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// The keys that differ between rows.
    pub keys: Vec<String>,
    /// A row for each combination, in the order of the grid, with float networks before what starts from them.
    pub rows: Vec<Row>,
    /// Samples that each cell was evaluated on.
    pub n_test: usize,
    /// Finished cells.
    pub n_done: usize,
    /// All cells, with the float networks that they start from.
    pub n_cells: usize,
}

impl Summary {
    /// Reads what is stored of a grid.
    ///
    /// # Errors
    /// As [`Grid::cells`], and for a folder that cannot be read.
    pub fn of(grid: &Grid, folder: &Path) -> Result<Self, SweepError> {
        Self::of_cells(&grid.cells()?, grid.keys(), folder)
    }

    /// Reads what is stored of some cells that differ in `keys`.
    ///
    /// # Errors
    /// For a folder that cannot be read.
    pub fn of_cells(cells: &[Config], keys: Vec<String>, folder: &Path) -> Result<Self, SweepError> {
        let done = run::stored(cells, folder)?;
        let (mut rows, mut groups): (Vec<Row>, Vec<Config>) = (Vec::new(), Vec::new());
        for cell in &done {
            let group = without_seed(&cell.config);
            if !groups.contains(&group) {
                let of_group: Vec<&Cell> =
                    done.iter().filter(|cell| without_seed(&cell.config) == group).collect();
                rows.push(row(&keys, &of_group)?);
                groups.push(group);
            }
        }
        let n_test = done.first().map_or(0, |cell| cell.outcome.n_test);
        Ok(Self { keys, rows, n_test, n_done: done.len(), n_cells: n_cells(cells) })
    }

    /// The table for a terminal.
    #[must_use]
    pub fn table(&self) -> Table {
        let keys = self.keys.iter().map(|key| Column::text(key.rsplit('.').next().unwrap_or(key)));
        let numbers = ["accuracy", "s.d.", "n", "95 % interval", "parameters", "state", "spike rate"];
        let mut table = Table::new(keys.chain(numbers.map(Column::number)));
        for row in &self.rows {
            table.row(row.cells());
        }
        table
    }

    /// The table as CSV.
    ///
    /// # Errors
    /// None is expected.
    pub fn csv(&self) -> Result<String, csv::Error> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let numbers =
            ["accuracy", "sd", "n", "interval_95", "parameter_bytes", "state_bytes", "spike_rate", "seconds"];
        writer.write_record(self.keys.iter().map(String::as_str).chain(numbers))?;
        for row in &self.rows {
            let optional = |value: Option<f64>| value.map(|v| v.to_string()).unwrap_or_default();
            let numbers = [
                row.mean.to_string(),
                optional(row.sd),
                row.accuracies.len().to_string(),
                optional(row.interval_95),
                row.parameter_bytes.to_string(),
                row.state_bytes.to_string(),
                row.spike_rate.to_string(),
                row.seconds.to_string(),
            ];
            writer.write_record(row.values.iter().cloned().chain(numbers))?;
        }
        let text = writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

impl Row {
    /// The texts of its line in a table.
    pub(super) fn cells(&self) -> Vec<String> {
        let percent = |share: f64| format!("{:.2} %", 100.0 * share);
        let points = |share: Option<f64>| share.map(|s| format!("± {:.2}", 100.0 * s)).unwrap_or_default();
        let mut cells = self.values.clone();
        cells.extend([
            percent(self.mean),
            self.sd.map(|sd| format!("{:.2}", 100.0 * sd)).unwrap_or_default(),
            self.accuracies.len().to_string(),
            points(self.interval_95),
            bytes(self.parameter_bytes),
            bytes(self.state_bytes),
            format!("{:.4}", self.spike_rate),
        ]);
        cells
    }
}

fn without_seed(config: &Config) -> Config {
    Config { seed: 0, ..config.clone() }
}

/// Distinct cells, with the float networks that they start from.
fn n_cells(cells: &[Config]) -> usize {
    let mut all: Vec<Config> = Vec::new();
    for config in cells {
        for config in [config.float(), config.clone()] {
            if !all.contains(&config) {
                all.push(config);
            }
        }
    }
    all.len()
}

fn row(keys: &[String], cells: &[&Cell]) -> Result<Row, SweepError> {
    let config = cells[0].config.clone();
    let accuracies: Vec<f64> = cells.iter().map(|cell| cell.outcome.accuracy).collect();
    let rates: Vec<f64> = cells.iter().map(|cell| cell.outcome.spike_rate).collect();
    let mean = |of: &[f64]| Estimate::mean_sd(of).map_or(f64::NAN, |estimate| estimate.mean);
    let table = config.table()?;
    Ok(Row {
        values: keys.iter().map(|key| value(&table, key)).collect(),
        seeds: cells.iter().map(|cell| cell.config.seed).collect(),
        mean: mean(&accuracies),
        sd: Estimate::mean_sd(&accuracies).and_then(|estimate| estimate.err),
        interval_95: interval_95(&accuracies),
        spike_rate: mean(&rates),
        parameter_bytes: cells[0].outcome.parameter_bytes,
        state_bytes: cells[0].outcome.state_bytes,
        seconds: cells.iter().map(|cell| cell.outcome.seconds).sum(),
        accuracies,
        config,
    })
}

/// The value under a dotted key; nothing if there is none.
fn value(table: &toml::Table, key: &str) -> String {
    let mut parts = key.split('.');
    let first = parts.next().and_then(|part| table.get(part));
    let found = parts.try_fold(first, |value, part| Some(value?.as_table()?.get(part)));
    match found.flatten() {
        Some(toml::Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}
