//! The data set that a verb looks at.

use anyhow::{Context, bail};
use clap::Args;
use snn_data::datasets::glyphs::{Glyphs, GlyphsConfig};
use snn_data::datasets::images::Images;
use snn_data::datasets::kind::{DataSetKind, Opened, Samples, Share};
use snn_data::{DataError, Dataset};
use std::path::{Path, PathBuf};

/// A folder, or the built-in data.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(in super::super) struct Source {
    /// Folder of a data set; which one is found by what lies there.
    #[arg(long, value_name = "DIR")]
    pub(super) data: Option<PathBuf>,
    /// The built-in simulated glyphs.
    #[arg(long)]
    pub(super) glyphs: bool,
}

/// Which data set lies in the folder.
#[derive(Debug, Args)]
pub(in super::super) struct KindArg {
    /// Which data set lies in the folder, where that is not found by itself: nmnist, events, shd, ...
    #[arg(long, value_name = "NAME", value_parser = kind_of)]
    pub(super) kind: Option<DataSetKind>,
}

fn kind_of(name: &str) -> Result<DataSetKind, String> {
    let names = || DataSetKind::ALL.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ");
    DataSetKind::from_name(name).ok_or_else(|| format!("expected one of {}", names()))
}

/// Opens all of the data set in `folder`, or else the built-in one.
pub(super) fn open(folder: Option<&Path>, kind: Option<DataSetKind>) -> anyhow::Result<Opened> {
    let Some(folder) = folder else {
        let samples = Samples::Events(Box::new(Glyphs::new(GlyphsConfig::default())?));
        return Ok(Opened { samples, remarks: Vec::new() });
    };
    if !folder.is_dir() {
        let expected = "a folder of a data set";
        return Err(DataError::MissingFolder { path: folder.to_owned(), expected }.into());
    }
    let kind = kind.or_else(|| DataSetKind::detect(folder));
    let kind = kind.with_context(|| format!("{}: nothing in it tells a data set", folder.display()))?;
    Ok(kind.open(folder, Share::Whole)?)
}

/// Its recordings; images are refused.
pub(super) fn recordings(opened: Opened) -> anyhow::Result<Box<dyn Dataset>> {
    match opened.samples {
        Samples::Events(data) => Ok(data),
        Samples::Images(_) => bail!("images have no events; `data check` counts them"),
    }
}

/// Images of each class.
pub(super) fn per_class(parts: &[Box<dyn Images>]) -> Vec<usize> {
    let n_classes = parts.iter().map(|images| images.n_classes()).max().unwrap_or(0);
    let mut counts = vec![0; n_classes];
    for images in parts {
        (0..images.len()).for_each(|i| counts[images.label(i)] += 1);
    }
    counts
}
