//! The report of a run: one self-contained HTML page, and beside it each figure's data and drawing.
//!
//! [`ReportData`] is plain data; [`write()`] turns it into
//!
//! ```text
//! <folder>/report.html            the page: needs nothing else, not even the files below
//! <folder>/report/<figure>.csv    the numbers behind each figure and table
//! <folder>/report/<figure>.svg    each figure alone
//! <folder>/report/report.json     the data itself, to draw the page anew
//! ```
//!
//! The same data give the same bytes.

mod data;
mod figure;
mod figures;
mod page;

use std::path::{Path, PathBuf};

pub use data::*;
pub use figure::Figure;

use crate::run_dir::{RunDirError, write_atomic};

/// Name of the page in a run directory.
pub const PAGE: &str = "report.html";
/// Name of the folder beside the page.
pub const FOLDER: &str = "report";

/// Why a report could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// A file could not be written.
    #[error(transparent)]
    Write(#[from] RunDirError),
    /// The folder beside the page could not be made.
    #[error("{path}: cannot make the folder")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The numbers of a figure have no CSV form.
    #[error("cannot write the data of a figure as CSV")]
    Csv(#[from] csv::Error),
    /// The page's template failed on the data.
    #[error("cannot fill in the page")]
    Page(#[from] minijinja::Error),
    /// The data have no JSON form.
    #[error("cannot write the report's data as JSON")]
    Json(#[from] serde_json::Error),
}

/// A report in memory.
#[derive(Debug, Clone)]
pub struct Report {
    /// The page.
    pub html: String,
    /// Its figures, in the order of the page.
    pub figures: Vec<Figure>,
    /// Its tables as CSV: file name without ending, and text.
    pub tables: Vec<(String, String)>,
}

/// Draws all figures and the page around them, and writes nothing.
///
/// Values that are no finite numbers are left out of drawings and stand in the CSV as they are.
///
/// # Errors
///
/// [`ReportError::Csv`] or [`ReportError::Page`]; neither is expected with any data.
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), snn_bench::report::ReportError> {
/// use snn_bench::report::{ReportData, render};
///
/// let mut data = ReportData::default();
/// data.header.title = "N-MNIST <at> 4 bits".to_owned();
/// assert!(render(&data)?.html.contains("N-MNIST &lt;at&gt; 4 bits"));
/// # Ok(())
/// # }
/// ```
pub fn render(data: &ReportData) -> Result<Report, ReportError> {
    page::render(data)
}

/// Writes the report into `folder` and returns the path of its page.
///
/// The page comes last, and each file is replaced as a whole.
///
/// # Errors
///
/// As [`render`], and [`ReportError::Write`] or [`ReportError::Folder`] naming the path that cannot be
/// written; an older page is then still there.
pub fn write(data: &ReportData, folder: &Path) -> Result<PathBuf, ReportError> {
    let report = render(data)?;
    let beside = folder.join(FOLDER);
    std::fs::create_dir_all(&beside)
        .map_err(|source| ReportError::Folder { path: beside.clone(), source })?;
    let put = |path: &Path, text: &str| write_atomic(path, |file| file.write_all(text.as_bytes()));
    for figure in &report.figures {
        put(&beside.join(format!("{}.csv", figure.slug)), &figure.csv)?;
        put(&beside.join(format!("{}.svg", figure.slug)), &figure.svg_alone())?;
    }
    for (name, csv) in &report.tables {
        put(&beside.join(format!("{name}.csv")), csv)?;
    }
    put(&beside.join("report.json"), &serde_json::to_string_pretty(data)?)?;
    let page = folder.join(PAGE);
    put(&page, &report.html)?;
    Ok(page)
}
