//! A finished figure, and what all figures share.

use serde::Serialize;

use super::ReportError;
use super::data::{ErrorKind, Sampling};
use crate::estimate::Estimate;
use crate::plot::{Canvas, Frame, MUTED, Stroke};

/// Size in pixels of a figure as wide as the page.
pub(super) const WIDE: (f64, f64) = (860.0, 350.0);
/// Size in pixels of a figure that has another one beside it.
pub(super) const HALF: (f64, f64) = (410.0, 310.0);

/// A drawing with its words and its data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Figure {
    /// Name of its files, without their endings.
    pub slug: String,
    /// Its title.
    pub title: String,
    /// What is shown, of how many samples and seeds, and what the error bars are.
    pub caption: String,
    /// Whether it takes the whole width of the page.
    pub is_wide: bool,
    /// The drawing, with a ground of its own left out.
    pub svg: String,
    /// The numbers behind it.
    pub csv: String,
}

impl Figure {
    /// The drawing as a file of its own, on light ground.
    #[must_use]
    pub fn svg_alone(&self) -> String {
        let ground = "<rect width=\"100%\" height=\"100%\" fill=\"#FFFFFF\"/>";
        match self.svg.split_once('>') {
            Some((root, marks)) => format!("{root}>\n{ground}{marks}"),
            None => self.svg.clone(),
        }
    }
}

/// Text of a CSV file.
pub(super) fn csv_text<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> Result<String, ReportError> {
    csv_records(header, rows)
}

/// Text of a CSV file whose number of columns is not known beforehand.
pub(super) fn csv_records<R, F>(
    header: impl IntoIterator<Item = F>,
    rows: impl IntoIterator<Item = R>,
) -> Result<String, ReportError>
where
    R: IntoIterator<Item = String>,
    F: AsRef<[u8]>,
{
    let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
    writer.write_record(header)?;
    for row in rows {
        writer.write_record(row)?;
    }
    let bytes = writer.into_inner().map_err(|error| ReportError::Csv(error.into_error().into()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A number that may be missing, for a CSV field.
pub(super) fn field(value: Option<f64>) -> String {
    value.map(|v| v.to_string()).unwrap_or_default()
}

/// Mean, error and count of an estimate, for three CSV fields.
pub(super) fn fields(value: Estimate) -> [String; 3] {
    [value.mean.to_string(), field(value.err), value.n.to_string()]
}

/// "What is behind the numbers", the last sentences of a caption.
pub(super) fn sampling_text(sampling: &Sampling) -> String {
    let Sampling { n_samples, seeds, error } = sampling;
    let samples = format!("n = {n_samples} samples");
    let bars = match error {
        ErrorKind::StdDev => "± 1 standard deviation",
        ErrorKind::StdErr => "± 1 standard error",
    };
    match seeds.as_slice() {
        [] => format!("{samples}; error bars: {bars}."),
        [seed] => format!("{samples}; one seed ({seed}); error bars, where drawn: {bars}."),
        many => format!("{samples}; mean over {} seeds ({}); error bars: {bars}.", many.len(), listed(many)),
    }
}

/// Numbers with commas between: `0, 1, 2`.
pub(super) fn listed(numbers: &[u64]) -> String {
    numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A title as part of a file name: letters and digits, anything else one hyphen.
pub(super) fn slug(title: &str) -> String {
    let lower = title.to_lowercase();
    let words = lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-")
}

/// A dashed horizontal line over the whole plot area.
pub(super) fn reference_line(canvas: &mut Canvas<'_>, frame: &Frame, y: f64) {
    let ((left, right), (_, at)) = (frame.sides(), frame.at(0.0, y));
    canvas.dashed((left, at), (right, at), Stroke::new(MUTED, 1.4));
}

/// The distinct texts among `names`, in order of first appearance.
pub(super) fn distinct<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut distinct = Vec::new();
    for name in names {
        if !distinct.contains(&name) {
            distinct.push(name);
        }
    }
    distinct
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_fields_are_quoted_where_needed() {
        let csv = csv_text(["name", "value"], [["a,b".to_owned(), field(None)]]).unwrap();
        assert_eq!(csv, "name,value\n\"a,b\",\n");
    }

    #[test]
    fn slugs_are_plain_file_names() {
        assert_eq!(slug("Ω: PTQ, 4 bits / layer"), "ptq-4-bits-layer");
    }

    #[test]
    fn captions_say_what_the_bars_are() {
        let sampling = Sampling { n_samples: 100, seeds: vec![0, 1, 2], error: ErrorKind::StdDev };
        let expected = "n = 100 samples; mean over 3 seeds (0, 1, 2); error bars: ± 1 standard deviation.";
        assert_eq!(sampling_text(&sampling), expected);
    }
}
