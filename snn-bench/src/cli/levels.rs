//! `levels`: the levels that a quantized membrane can take.

use super::output::Output;
use clap::ValueEnum;
use serde_json::json;
use snn_bench::report::{self, LevelLine, Levels, ReportData};
use snn_bench::table::{Column, Table};
use snn_quant::{BitWidth, LevelSpec, LevelTable, Spacing, Variant};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Width of the codes, 1 to 8.
    #[arg(long)]
    bits: u32,
    /// Where levels crowd.
    #[arg(long, value_enum, default_value_t = SpacingName::Uniform)]
    spacing: SpacingName,
    /// snnTorch's table, or the one with 0 among its levels.
    #[arg(long, value_enum, default_value_t = VariantName::SnntorchCompat)]
    variant: VariantName,
    /// Firing threshold.
    #[arg(long, default_value_t = 1.0)]
    threshold: f64,
    /// How far below the negative threshold the lowest level lies, as a share of it.
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true)]
    lower: f64,
    /// How far above the threshold the highest level lies, as a share of it.
    #[arg(long, default_value_t = 0.2)]
    upper: f64,
    /// Ratio of neighboring steps where levels crowd; snnTorch's for the width by default.
    #[arg(long)]
    multiplier: Option<f64>,
    /// Draw this table and its relatives into a report in this folder.
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SpacingName {
    Uniform,
    #[value(alias = "threshold-centered")]
    ThresholdCentred,
    #[value(alias = "zero-centered")]
    ZeroCentred,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum VariantName {
    SnntorchCompat,
    ZeroExact,
}

impl From<SpacingName> for Spacing {
    fn from(name: SpacingName) -> Self {
        match name {
            SpacingName::Uniform => Self::Uniform,
            SpacingName::ThresholdCentred => Self::ThresholdCentered,
            SpacingName::ZeroCentred => Self::ZeroCentered,
        }
    }
}

impl From<VariantName> for Variant {
    fn from(name: VariantName) -> Self {
        match name {
            VariantName::SnntorchCompat => Self::SnntorchCompat,
            VariantName::ZeroExact => Self::ZeroExact,
        }
    }
}

pub(super) fn run(args: &Args, output: Output) -> anyhow::Result<()> {
    let spec = LevelSpec {
        spacing: args.spacing.into(),
        variant: args.variant.into(),
        threshold: args.threshold,
        lower_limit: args.lower,
        upper_limit: args.upper,
        multiplier: args.multiplier,
        ..LevelSpec::new(BitWidth::new(args.bits)?)
    };
    let table = spec.table()?;
    let mut text = table_text(&table);
    if let Some(folder) = &args.report {
        std::fs::create_dir_all(folder)?;
        text += &format!("\nreport: {}", report::write(&page(spec)?, folder)?.display());
    }
    let object = json!({
        "levels": table.levels(),
        "boundaries": table.boundaries(),
        "at_rest": table.nearest(0.0),
        "zero_code": table.zero_code(),
    });
    output.print(text, &object)
}

/// A line for each level: its code, its value, and the largest membrane that takes it.
fn table_text(table: &LevelTable) -> String {
    let mut text = Table::new([Column::number("code"), Column::number("level"), Column::number("up to")]);
    let mut boundaries = table.boundaries().iter();
    for (code, level) in table.levels().iter().enumerate() {
        let up_to = boundaries.next().map_or(String::new(), ToString::to_string);
        text.row([code.to_string(), level.to_string(), up_to]);
    }
    format!("{text}\na membrane at rest stands at {}", table.nearest(0.0))
}

/// All spacings and variants with the other settings of `spec`.
fn page(spec: LevelSpec) -> anyhow::Result<ReportData> {
    let mut tables = Vec::new();
    for spacing in SpacingName::value_variants() {
        for variant in VariantName::value_variants() {
            let spec = LevelSpec { spacing: (*spacing).into(), variant: (*variant).into(), ..spec };
            let named = |value: Option<clap::builder::PossibleValue>| {
                value.map_or(String::new(), |value| value.get_name().to_owned())
            };
            let name =
                format!("{}, {}", named(spacing.to_possible_value()), named(variant.to_possible_value()));
            let levels = spec.table()?.levels().iter().map(|&level| f64::from(level)).collect();
            tables.push(LevelLine { name, levels });
        }
    }
    let mut data =
        ReportData { levels: Some(Levels { threshold: spec.threshold, tables }), ..ReportData::default() };
    data.header.title = format!("Membrane levels at {} bits", spec.bits);
    Ok(data)
}
