//! What a sweep found: means over seeds.

use super::{Cell, Grid, SweepError, run};
use crate::config::{Config, FLOAT_BITS};
use crate::estimate::Estimate;
use crate::experiment::Outcome;
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
    /// Seeds of the networks that were measured.
    pub seeds: Vec<u64>,
    /// Seeds whose training diverged; nothing below counts them, but for the seconds.
    pub diverged: Vec<u64>,
    /// Accuracy of each seed.
    pub accuracies: Vec<f64>,
    /// Mean accuracy; none if all diverged, as is what follows.
    pub mean: Option<f64>,
    /// Standard deviation over seeds; none for one seed.
    pub sd: Option<f64>,
    /// Half width of the 95 % interval of the mean, by Student's t; none for one seed.
    pub interval_95: Option<f64>,
    /// Spikes per neuron and step, mean over seeds.
    pub spike_rate: Option<f64>,
    /// Bytes of all parameters.
    pub parameter_bytes: Option<u64>,
    /// Bytes of the neurons' state for one sample.
    pub state_bytes: Option<u64>,
    /// Wall-clock seconds of all cells.
    pub seconds: f64,
}

impl Row {
    /// Mean and standard deviation; none if all diverged.
    #[must_use]
    pub fn accuracy(&self) -> Option<Estimate> {
        Some(Estimate { mean: self.mean?, err: self.sd, n: self.accuracies.len() })
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
    /// Finished cells, with those that diverged.
    pub n_done: usize,
    /// Cells whose training diverged.
    pub n_diverged: usize,
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
        let n_test = done.iter().find_map(|cell| cell.outcome.measured()).map_or(0, |outcome| outcome.n_test);
        let n_diverged = rows.iter().map(|row| row.diverged.len()).sum();
        Ok(Self { keys, rows, n_test, n_done: done.len(), n_diverged, n_cells: n_cells(cells) })
    }

    /// How far the sweep is, in a sentence.
    #[must_use]
    pub fn progress(&self) -> String {
        let Self { n_done, n_cells, n_diverged, .. } = self;
        let diverged = if *n_diverged > 0 { format!("; {n_diverged} diverged") } else { String::new() };
        format!("{n_done} of {n_cells} cells are done{diverged}")
    }

    /// The table for a terminal.
    #[must_use]
    pub fn table(&self) -> Table {
        let keys = self.keys.iter().map(|key| Column::text(key.rsplit('.').next().unwrap_or(key)));
        let mut table = Table::new(keys.chain(Row::COLUMNS.map(Column::number)));
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
        let numbers = [
            "accuracy",
            "sd",
            "n",
            "diverged",
            "interval_95",
            "parameter_bytes",
            "state_bytes",
            "spike_rate",
            "seconds",
        ];
        writer.write_record(self.keys.iter().map(String::as_str).chain(numbers))?;
        for row in &self.rows {
            let numbers = [
                field(row.mean),
                field(row.sd),
                row.accuracies.len().to_string(),
                row.diverged.len().to_string(),
                field(row.interval_95),
                field(row.parameter_bytes),
                field(row.state_bytes),
                field(row.spike_rate),
                row.seconds.to_string(),
            ];
            writer.write_record(row.values.iter().cloned().chain(numbers))?;
        }
        let text = writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

impl Row {
    /// The numbers of its line in a table.
    pub(super) const COLUMNS: [&str; 8] =
        ["accuracy", "s.d.", "n", "diverged", "95 % interval", "parameters", "state", "spike rate"];

    /// The texts of its line in a table.
    pub(super) fn cells(&self) -> Vec<String> {
        let percent = |share: f64| format!("{:.2} %", 100.0 * share);
        let points = |share: Option<f64>| share.map(|s| format!("± {:.2}", 100.0 * s)).unwrap_or_default();
        let diverged = Some(self.diverged.len()).filter(|&n| n > 0);
        let mut cells = self.values.clone();
        cells.extend([
            self.mean.map(percent).unwrap_or_default(),
            self.sd.map(|sd| format!("{:.2}", 100.0 * sd)).unwrap_or_default(),
            self.accuracies.len().to_string(),
            field(diverged),
            points(self.interval_95),
            self.parameter_bytes.map(bytes).unwrap_or_default(),
            self.state_bytes.map(bytes).unwrap_or_default(),
            self.spike_rate.map(|rate| format!("{rate:.4}")).unwrap_or_default(),
        ]);
        cells
    }
}

/// A number, or nothing.
fn field(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
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
    let is_diverged = |cell: &&&Cell| cell.outcome.divergence().is_some();
    let seeds = |cells: Vec<&&Cell>| cells.into_iter().map(|cell| cell.config.seed).collect();
    let (diverged, finished) = cells.iter().partition(is_diverged);
    let measured: Vec<&Outcome> = cells.iter().filter_map(|cell| cell.outcome.measured()).collect();
    let accuracies: Vec<f64> = measured.iter().map(|outcome| outcome.accuracy).collect();
    let rates: Vec<f64> = measured.iter().map(|outcome| outcome.spike_rate).collect();
    let mean = |of: &[f64]| Estimate::mean_sd(of).map(|estimate| estimate.mean);
    let table = config.table()?;
    Ok(Row {
        values: keys.iter().map(|key| value(&table, key)).collect(),
        seeds: seeds(finished),
        diverged: seeds(diverged),
        mean: mean(&accuracies),
        sd: Estimate::mean_sd(&accuracies).and_then(|estimate| estimate.err),
        interval_95: interval_95(&accuracies),
        spike_rate: mean(&rates),
        parameter_bytes: measured.first().map(|outcome| outcome.parameter_bytes),
        state_bytes: measured.first().map(|outcome| outcome.state_bytes),
        seconds: cells.iter().map(|cell| cell.outcome.seconds()).sum(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::{Divergence, End};

    fn cell(seed: u64, accuracy: Option<f64>) -> Cell {
        let config = Config { seed, ..Config::default() };
        let diverged = Divergence { diverged: "`fc.bias` is not finite".to_owned(), seconds: 1.0 };
        let outcome = accuracy.map(|accuracy| Outcome {
            accuracy,
            n_test: 10,
            n_train: 20,
            train_loss: None,
            spike_rate: 0.5,
            synops: 1.0,
            parameter_bytes: 100,
            float_parameter_bytes: 400,
            state_bytes: 8,
            float_state_bytes: 32,
            stuck: Vec::new(),
            seconds: 1.0,
        });
        Cell { config, outcome: outcome.map_or(End::Diverged(diverged), End::Measured) }
    }

    fn row_of(cells: &[Cell]) -> Row {
        row(&["train.epochs".to_owned()], &cells.iter().collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn seeds_that_diverged_are_counted_apart() {
        let row = row_of(&[cell(1, Some(0.5)), cell(2, None), cell(3, Some(0.7))]);
        assert_eq!((&row.seeds[..], &row.diverged[..]), (&[1, 3][..], &[2][..]));
        assert!((row.mean.unwrap() - 0.6).abs() < 1e-12);
        assert_eq!((row.accuracies.len(), row.parameter_bytes, row.seconds), (2, Some(100), 3.0));
        assert_eq!(row.cells()[1..5], ["60.00 %", "14.14", "2", "1"]);
    }

    #[test]
    fn a_row_that_diverged_has_no_accuracy() {
        let row = row_of(&[cell(1, None), cell(2, None)]);
        assert_eq!((row.accuracy(), row.mean, row.state_bytes), (None, None, None));
        assert_eq!(row.cells()[1..], ["", "", "0", "2", "", "", "", ""]);
    }

    #[test]
    fn both_ends_of_a_cell_survive_a_file() {
        for cell in [cell(1, Some(0.5)), cell(1, None)] {
            let text = serde_json::to_string(&cell).unwrap();
            assert_eq!(serde_json::from_str::<Cell>(&text).unwrap(), cell);
        }
    }
}
