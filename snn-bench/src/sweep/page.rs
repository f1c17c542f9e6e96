//! The files of a sweep: table, numbers, report page.

use super::summary::{Row, Summary};
use crate::report::{
    self, AccuracyVsBits, BitPoint, BitSeries, ErrorKind, Header, HeatMap, ReportData, ReportError, Sampling,
    TableData,
};
use crate::run_dir::{Environment, RunDirError, write_atomic};
use crate::table::Column;
use std::path::{Path, PathBuf};

/// Keys whose values are widths.
const WIDTHS: [(&str, &str); 2] =
    [("quant.weight_bits", "bits per weight"), ("quant.state_bits", "bits per membrane")];

impl Summary {
    /// Writes `sweep.csv`, `sweep.json` and the report page into the folder; returns the page.
    ///
    /// # Errors
    /// [`ReportError`], naming the file that cannot be written.
    pub fn write(&self, folder: &Path, command: &str) -> Result<PathBuf, ReportError> {
        let put = |name: &str, text: String| -> Result<(), RunDirError> {
            write_atomic(&folder.join(name), |file| file.write_all(text.as_bytes()))
        };
        put("sweep.csv", self.csv()?)?;
        put("sweep.json", serde_json::to_string_pretty(self)?)?;
        report::write(&self.page(command), folder)
    }

    fn page(&self, command: &str) -> ReportData {
        ReportData {
            header: Header {
                title: format!("Sweep over {}", self.keys.join(", ")),
                summary: format!("{}.", self.progress()),
                command: command.to_owned(),
                seeds: self.seeds(),
                environment: Some(Environment::current()),
                ..Header::default()
            },
            accuracy_vs_bits: WIDTHS.iter().filter_map(|&(key, bits_of)| self.lines(key, bits_of)).collect(),
            heat_maps: self.maps(),
            tables: vec![self.table_data()],
            ..ReportData::default()
        }
    }

    /// Accuracy against the widths of `key`, with a line for each combination of the other values.
    pub(crate) fn lines(&self, key: &str, bits_of: &str) -> Option<AccuracyVsBits> {
        let at = self.keys.iter().position(|of| of == key)?;
        let float = self.rows.iter().find(|row| row.is_float());
        let mut series: Vec<BitSeries> = Vec::new();
        for row in self.rows.iter().filter(|row| !row.is_float()) {
            let Ok(bits) = row.values[at].parse::<f64>() else { continue };
            let Some(accuracy) = row.accuracy() else { continue };
            let point = BitPoint { bits, accuracy };
            let name = self.name_without(row, &[at]);
            match series.iter_mut().find(|of| of.name == name) {
                Some(of) => of.points.push(point),
                None => series.push(BitSeries { name, points: vec![point] }),
            }
        }
        for line in &mut series {
            line.points.retain(|point| point.bits < f64::from(crate::config::FLOAT_BITS));
            line.points.sort_by(|a, b| a.bits.total_cmp(&b.bits));
        }
        series.retain(|line| !line.points.is_empty());
        (!series.is_empty()).then(|| AccuracyVsBits {
            title: format!("Accuracy against {bits_of}"),
            bits_of: bits_of.to_owned(),
            float: float.and_then(Row::accuracy),
            series,
            sampling: self.sampling(),
        })
    }

    /// Accuracy over the last two keys, with a map for each combination of the others.
    fn maps(&self) -> Vec<HeatMap> {
        let Some(x) = self.keys.len().checked_sub(1).filter(|&x| x > 0) else { return Vec::new() };
        let y = x - 1;
        let mut names: Vec<String> = Vec::new();
        for row in &self.rows {
            let name = self.name_without(row, &[x, y]);
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let maps = names.iter().map(|name| {
            let rows: Vec<&Row> =
                self.rows.iter().filter(|row| self.name_without(row, &[x, y]) == *name).collect();
            self.map(name, &rows, (x, y))
        });
        maps.filter(|map| map.columns.len() > 1 && map.rows.len() > 1).collect()
    }

    fn map(&self, name: &str, rows: &[&Row], (x, y): (usize, usize)) -> HeatMap {
        let values = |key: usize| {
            let mut values: Vec<String> = Vec::new();
            for row in rows {
                if !values.contains(&row.values[key]) {
                    values.push(row.values[key].clone());
                }
            }
            values
        };
        let (columns, lines) = (values(x), values(y));
        let accuracy = |line: &String, column: &String| {
            let found = rows.iter().find(|row| row.values[x] == *column && row.values[y] == *line);
            found.and_then(|row| row.accuracy())
        };
        let accuracies =
            lines.iter().map(|line| columns.iter().map(|c| accuracy(line, c)).collect()).collect();
        let title = format!("Accuracy over {} and {}", self.keys[x], self.keys[y]);
        HeatMap {
            title: if name.is_empty() { title } else { format!("{title}: {name}") },
            x: self.keys[x].clone(),
            y: self.keys[y].clone(),
            columns,
            rows: lines,
            accuracies,
            sampling: self.sampling(),
        }
    }

    /// The values of a row but for those of some keys.
    fn name_without(&self, row: &Row, left_out: &[usize]) -> String {
        let kept = self.keys.iter().zip(&row.values).enumerate().filter(|(i, _)| !left_out.contains(i));
        let pair = |(_, (key, value)): (usize, (&String, &String))| {
            format!("{} {value}", key.rsplit('.').next().unwrap_or(key))
        };
        kept.map(pair).collect::<Vec<_>>().join(", ")
    }

    fn seeds(&self) -> Vec<u64> {
        let all = self.rows.iter().flat_map(|row| row.seeds.iter().chain(&row.diverged).copied());
        let mut seeds: Vec<u64> = all.collect();
        seeds.sort_unstable();
        seeds.dedup();
        seeds
    }

    fn sampling(&self) -> Sampling {
        Sampling { n_samples: self.n_test, seeds: self.seeds(), error: ErrorKind::StdDev }
    }

    fn table_data(&self) -> TableData {
        let keys = self.keys.iter().map(Column::text);
        TableData {
            title: "Cells".to_owned(),
            caption: "Means over n seeds, with the standard deviation and the half width of the 95 % interval of the mean \
                      by Student's t, in points. Seeds whose training diverged (numbers that are not finite) are \
                      counted apart. State: bytes of the neurons' state for one sample."
                .to_owned(),
            columns: keys.chain(Row::COLUMNS.map(Column::number)).collect(),
            rows: self.rows.iter().map(Row::cells).collect(),
        }
    }
}
