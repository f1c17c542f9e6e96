//! What a data set contains, and whether all of it can be read.

use rayon::prelude::*;

use crate::dataset::Dataset;
use crate::error::DataError;
use crate::event::EventStream;
use crate::num::index;

/// Bins of histograms of samples.
const N_BINS: usize = 12;

/// Smallest, mean and largest value over samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// Smallest value.
    pub min: u32,
    /// Mean value.
    pub mean: f64,
    /// Largest value.
    pub max: u32,
}

impl Spread {
    /// `None` without values.
    fn of(values: impl Iterator<Item = u32> + Clone) -> Option<Self> {
        let (min, max) = (values.clone().min()?, values.clone().max()?);
        let n = values.clone().count();
        let sum: f64 = values.map(f64::from).sum();
        Some(Self { min, mean: sum / n as f64, max })
    }
}

/// Counts of values in bins of equal width.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    /// Smallest value of the first bin.
    pub start: u32,
    /// Width of a bin.
    pub width: u32,
    /// Values in each bin.
    pub counts: Vec<u64>,
}

impl Histogram {
    /// `n_bins` bins (at least one) from the smallest to the largest value, or fewer where values are few; `None`
    /// without values.
    pub fn of(values: &[u32], n_bins: usize) -> Option<Self> {
        let (start, last) = (*values.iter().min()?, *values.iter().max()?);
        let n = u32::try_from(n_bins.max(1)).unwrap_or(u32::MAX);
        let width = (last - start) / n + 1;
        let bin = |value: u32| index(u64::from((value - start) / width));
        let mut counts = vec![0; bin(last) + 1];
        values.iter().for_each(|&value| counts[bin(value)] += 1);
        Some(Self { start, width, counts })
    }
}

/// Numbers that describe a data set. Times are in us; spreads are `None` without samples (or without events).
#[derive(Debug, Clone, PartialEq)]
pub struct DatasetStats {
    /// Readable samples.
    pub n_samples: usize,
    /// Readable samples of each class.
    pub per_class: Vec<usize>,
    /// Events of all samples.
    pub n_events: u64,
    /// Share of ON events; 0 without events.
    pub on_share: f64,
    /// Events of a sample.
    pub events: Option<Spread>,
    /// How many samples have how many events.
    pub events_histogram: Option<Histogram>,
    /// Time from a sample's first to its last event.
    pub duration_us: Option<Spread>,
    /// Time of a sample's first event.
    pub first_us: Option<Spread>,
    /// Time of a sample's last event.
    pub last_us: Option<Spread>,
}

/// What is wrong with a sample.
#[derive(Debug)]
#[non_exhaustive]
pub enum Problem {
    /// It cannot be read.
    Unreadable(DataError),
    /// It has no events.
    NoEvents,
    /// An event is earlier than the one before it.
    TimesDecrease {
        /// Index of the first such event.
        event: usize,
    },
}

/// A sample with a problem.
#[derive(Debug)]
pub struct Finding {
    /// Index of the sample.
    pub index: usize,
    /// Name of the sample.
    pub name: String,
    /// What is wrong.
    pub problem: Problem,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.problem {
            Problem::Unreadable(error) => write!(f, "{error}"),
            Problem::NoEvents => write!(f, "{}: no events", self.name),
            Problem::TimesDecrease { event } => {
                write!(f, "{}: event {event} is earlier than the one before it", self.name)
            }
        }
    }
}

/// Statistics of what can be read, and everything that is wrong.
#[derive(Debug)]
pub struct CheckReport {
    /// Statistics of the readable samples.
    pub stats: DatasetStats,
    /// All problems, in the order of samples.
    pub findings: Vec<Finding>,
}

/// Reads every sample, in parallel, and collects all problems instead of stopping at the first.
pub fn check(dataset: &dyn Dataset) -> CheckReport {
    let read: Vec<_> = (0..dataset.len()).into_par_iter().map(|i| survey(dataset, i)).collect();
    let mut samples = Vec::with_capacity(read.len());
    let mut findings = Vec::new();
    for (index, (sample, problem)) in read.into_iter().enumerate() {
        samples.extend(sample);
        let name = || dataset.sample_name(index).to_owned();
        findings.extend(problem.map(|problem| Finding { index, name: name(), problem }));
    }
    CheckReport { stats: summarize(&samples, dataset.n_classes()), findings }
}

/// Statistics of a data set all of whose samples can be read.
///
/// # Errors
///
/// That of the first sample that cannot be read.
pub fn stats(dataset: &dyn Dataset) -> Result<DatasetStats, DataError> {
    let report = check(dataset);
    let unreadable = report.findings.into_iter().find_map(|finding| match finding.problem {
        Problem::Unreadable(error) => Some(error),
        _ => None,
    });
    unreadable.map_or(Ok(report.stats), Err)
}

/// What the statistics need of one sample.
struct Sample {
    label: usize,
    n_events: u32,
    n_on: u64,
    /// First and last time.
    times_us: Option<(u32, u32)>,
}

fn survey(dataset: &dyn Dataset, i: usize) -> (Option<Sample>, Option<Problem>) {
    match dataset.events(i) {
        Err(error) => (None, Some(Problem::Unreadable(error))),
        Ok(events) => {
            let problem = match events.first_unsorted() {
                Some(event) => Some(Problem::TimesDecrease { event }),
                None => events.is_empty().then_some(Problem::NoEvents),
            };
            (Some(Sample::of(&events, dataset.label(i))), problem)
        }
    }
}

impl Sample {
    fn of(events: &EventStream, label: usize) -> Self {
        Self {
            label,
            n_events: u32::try_from(events.len()).unwrap_or(u32::MAX),
            n_on: crate::num::wide(events.n_on()),
            times_us: events.first_us().zip(events.last_us()),
        }
    }
}

fn summarize(samples: &[Sample], n_classes: usize) -> DatasetStats {
    let mut per_class = vec![0; n_classes];
    samples.iter().for_each(|sample| per_class[sample.label] += 1);
    let n_events: u64 = samples.iter().map(|sample| u64::from(sample.n_events)).sum();
    let n_on: u64 = samples.iter().map(|sample| sample.n_on).sum();
    let counts: Vec<u32> = samples.iter().map(|sample| sample.n_events).collect();
    let times = samples.iter().filter_map(|sample| sample.times_us);
    DatasetStats {
        n_samples: samples.len(),
        per_class,
        n_events,
        on_share: n_on as f64 / n_events.max(1) as f64,
        events: Spread::of(samples.iter().map(|sample| sample.n_events)),
        events_histogram: Histogram::of(&counts, N_BINS),
        duration_us: Spread::of(times.clone().map(|(first, last)| last - first)),
        first_us: Spread::of(times.clone().map(|(first, _)| first)),
        last_us: Spread::of(times.map(|(_, last)| last)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::datasets::nmnist::{NMnist, Selection};

    const ON: [u8; 5] = [1, 2, 0x80, 0, 100];
    const OFF: [u8; 5] = [1, 2, 0, 0, 40];

    fn data(files: &[(&str, Vec<u8>)]) -> (tempfile::TempDir, NMnist) {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        let data = NMnist::open(folder.path(), &Selection::Whole).unwrap();
        (folder, data)
    }

    #[test]
    fn statistics_are_those_of_the_files() {
        let (_folder, data) = data(&[("0/1.bin", [OFF, ON, ON].concat()), ("7/1.bin", ON.to_vec())]);
        let stats = stats(&data).unwrap();
        assert_eq!((stats.n_samples, stats.per_class[0], stats.per_class[7]), (2, 1, 1));
        assert_eq!((stats.n_events, stats.on_share), (4, 0.75));
        assert_eq!(stats.events, Some(Spread { min: 1, mean: 2.0, max: 3 }));
        assert_eq!(stats.duration_us, Some(Spread { min: 0, mean: 30.0, max: 60 }));
        assert_eq!(stats.first_us, Some(Spread { min: 40, mean: 70.0, max: 100 }));
    }

    #[test]
    fn histograms_cover_all_values_once() {
        let of = |values: &[u32], n| Histogram::of(values, n).map(|h| (h.start, h.width, h.counts));
        assert_eq!(of(&[5, 9, 6, 14, 5], 5), Some((5, 2, vec![3, 0, 1, 0, 1])));
        assert_eq!(of(&[7, 7], 5), Some((7, 1, vec![2])));
        assert_eq!(of(&[0, u32::MAX], 2), Some((0, 1 << 31, vec![1, 1])));
        assert_eq!(of(&[], 5), None);
    }

    #[test]
    fn all_problems_are_found() {
        let (_folder, data) = data(&[
            ("0/1.bin", vec![]),
            ("0/2.bin", vec![0; 8]),
            ("1/1.bin", ON.to_vec()),
            ("1/2.bin", vec![0, 240, 0, 0, 0]),
            ("2/1.bin", [ON, OFF].concat()),
        ]);
        let report = check(&data);
        let indices: Vec<usize> = report.findings.iter().map(|finding| finding.index).collect();
        assert_eq!(indices, [0, 1, 3, 4]);
        assert!(
            report.findings[1].to_string().contains("0/2.bin: truncated in event at byte offset 5"),
            "{}",
            report.findings[1]
        );
        assert_eq!(report.findings[2].to_string(), "1/2.bin: no events");
        assert_eq!(report.findings[3].to_string(), "2/1.bin: event 1 is earlier than the one before it");
        assert_eq!(report.stats.n_samples, 3);
        assert!(stats(&data).is_err());
    }
}
