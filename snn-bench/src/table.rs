//! Aligned plain tables and numbers with their uncertainty, for a terminal.

use std::fmt;

use comfy_table::{CellAlignment, presets};

use crate::estimate::Estimate;

/// Heading and alignment of a column.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Column {
    /// The heading.
    pub name: String,
    /// How its cells are aligned.
    pub align: Align,
}

/// Which edge of a column its cells keep to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

impl Column {
    /// A column of words, aligned left.
    pub fn text(name: impl Into<String>) -> Self {
        Self { name: name.into(), align: Align::Left }
    }

    /// A column of numbers, aligned right.
    pub fn number(name: impl Into<String>) -> Self {
        Self { name: name.into(), align: Align::Right }
    }
}

/// A table without lines: a heading, then rows, columns two spaces apart.
///
/// # Examples
///
/// ```
/// use snn_bench::table::{Column, Table};
///
/// let mut table = Table::new([Column::text("tensor"), Column::number("params")]);
/// table.row(["fc1.weight", "591,872"]);
/// table.row(["fc2.weight", "2,560"]);
/// assert_eq!(
///     table.to_string(),
///     "tensor       params\n\
///      fc1.weight  591,872\n\
///      fc2.weight    2,560"
/// );
/// ```
#[derive(Debug, Clone)]
pub struct Table(comfy_table::Table);

impl Table {
    /// An empty table with these columns.
    pub fn new(columns: impl IntoIterator<Item = Column>) -> Self {
        let columns: Vec<_> = columns.into_iter().collect();
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(columns.iter().map(|column| &column.name));
        for (column, described) in table.column_iter_mut().zip(&columns) {
            column.set_padding((0, 2));
            column.set_cell_alignment(match described.align {
                Align::Left => CellAlignment::Left,
                Align::Right => CellAlignment::Right,
            });
        }
        Self(table)
    }

    /// Adds a row; a short one is filled up with empty cells.
    pub fn row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) -> &mut Self {
        self.0.add_row(cells.into_iter().map(Into::<String>::into));
        self
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.0.lines().map(|line| line.trim_end().to_owned()).collect();
        f.write_str(&lines.join("\n"))
    }
}

/// A number and its error, to the digits that the error leaves meaning to (two of the error).
///
/// Without an error, four significant digits. Powers of ten from 10⁵ up and below 10⁻³ are split off.
///
/// # Examples
///
/// ```
/// use snn_bench::{estimate::Estimate, table::plus_minus};
///
/// let trace = |mean, err| plus_minus(Estimate { mean, err, n: 128 });
/// assert_eq!(trace(97.3125, Some(0.1234)), "97.31 ± 0.12");
/// assert_eq!(trace(4.127e-5, Some(1.2e-6)), "(4.13 ± 0.12)e-5");
/// assert_eq!(trace(97.3125, None), "97.31");
/// ```
#[must_use]
pub fn plus_minus(value: Estimate) -> String {
    let Some(err) = value.err.filter(|err| err.is_finite() && value.mean.is_finite()) else {
        return significant(value.mean);
    };
    let exponent = magnitude(value.mean.abs().max(err));
    let shift = if (-3..5).contains(&exponent) { 0 } else { exponent };
    let scale = 10_f64.powi(-shift);
    let (mean, err) = (value.mean * scale, err * scale);
    let decimals = if err > 0.0 { usize::try_from(1 - magnitude(err)).unwrap_or(0) } else { 2 };
    let text = format!("{mean:.decimals$} ± {err:.decimals$}");
    if shift == 0 { text } else { format!("({text})e{shift}") }
}

/// A fraction in percent, with its error: `97.31 ± 0.12 %`.
#[must_use]
pub fn percent(fraction: Estimate) -> String {
    match fraction.err {
        Some(_) => format!("{} %", plus_minus(fraction.scaled(100.0))),
        None => format!("{:.2} %", fraction.mean * 100.0),
    }
}

/// A difference of two fractions in percentage points, with its sign and error: `-0.21 ± 0.05 points`.
#[must_use]
pub fn percent_points(difference: Estimate) -> String {
    let points = difference.scaled(100.0);
    let text = if points.err.is_some() { plus_minus(points) } else { format!("{:.2}", points.mean) };
    let sign = if points.mean > 0.0 { "+" } else { "" };
    format!("{sign}{text} points")
}

/// A whole number with its thousands apart: `1,210,496`.
///
/// # Examples
///
/// ```
/// assert_eq!(snn_bench::table::thousands(1_210_496), "1,210,496");
/// ```
#[must_use]
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (idx, digit) in digits.chars().enumerate() {
        if idx > 0 && (digits.len() - idx).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// An exact number of bytes, and the same in binary units from 1 KiB up: `4,841,984 B (4.62 MiB)`.
///
/// # Examples
///
/// ```
/// assert_eq!(snn_bench::table::bytes(18_432), "18,432 B (18.00 KiB)");
/// assert_eq!(snn_bench::table::bytes(512), "512 B");
/// ```
#[must_use]
pub fn bytes(n: u64) -> String {
    let exact = format!("{} B", thousands(n));
    let mut size = n as f64;
    let mut unit = None;
    for name in ["KiB", "MiB", "GiB", "TiB"] {
        if size < 1024.0 {
            break;
        }
        size /= 1024.0;
        unit = Some(name);
    }
    unit.map_or(exact.clone(), |unit| format!("{exact} ({size:.2} {unit})"))
}

fn significant(value: f64) -> String {
    match magnitude(value.abs()) {
        exponent @ -3..5 => format!("{value:.*}", usize::try_from(3 - exponent).unwrap_or(0)),
        _ => format!("{value:.3e}"),
    }
}

/// Exponent of the leading decimal digit; 0 for zero and for what is no number.
fn magnitude(value: f64) -> i32 {
    if value > 0.0 && value.is_finite() { exponent_of(value.log10().floor()) } else { 0 }
}

#[expect(clippy::cast_possible_truncation, reason = "the decimal exponent of an f64 lies within ±324")]
fn exponent_of(log10: f64) -> i32 {
    log10 as i32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn estimate(mean: f64, err: f64) -> Estimate {
        Estimate { mean, err: Some(err), n: 3 }
    }

    #[test]
    fn digits_follow_the_error() {
        for (mean, err, expected) in [
            (97.3125, 0.1234, "97.31 ± 0.12"),
            (97.3125, 1.234, "97.3 ± 1.2"),
            (412.7, 12.3, "413 ± 12"),
            (412_712.3, 12_345.0, "(4.13 ± 0.12)e5"),
            (-0.000_412, 0.000_012, "(-4.12 ± 0.12)e-4"),
            (1.5, 0.0, "1.50 ± 0.00"),
            (0.0, 0.5, "0.00 ± 0.50"),
        ] {
            assert_eq!(plus_minus(estimate(mean, err)), expected);
        }
    }

    #[test]
    fn what_is_no_number_is_printed_as_such() {
        assert_eq!(plus_minus(estimate(f64::NAN, 1.0)), "NaN");
        assert_eq!(plus_minus(estimate(1.0, f64::INFINITY)), "1.000");
    }

    #[test]
    fn percent_and_points() {
        assert_eq!(percent(estimate(0.973_125, 0.001_234)), "97.31 ± 0.12 %");
        assert_eq!(percent(Estimate::single(0.98)), "98.00 %");
        assert_eq!(percent_points(estimate(-0.0021, 0.0005)), "-0.210 ± 0.050 points");
        assert_eq!(percent_points(Estimate::single(0.0021)), "+0.21 points");
    }

    #[test]
    fn columns_are_aligned_whatever_their_content() {
        let mut table = Table::new([Column::text("a"), Column::number("± s.e.")]);
        table.row(["conv1.weight", "1"]).row(["x", "12.25"]);
        assert_eq!(table.to_string(), "a             ± s.e.\nconv1.weight       1\nx              12.25");
    }

    proptest! {
        #[test]
        fn thousands_only_adds_commas(n: u64) {
            prop_assert_eq!(thousands(n).replace(',', ""), n.to_string());
        }

        #[test]
        fn any_float_has_a_text(mean: f64, err: f64) {
            prop_assert!(!plus_minus(estimate(mean, err)).is_empty());
        }
    }
}
