//! Seeded stratified splits, and split files.

use std::path::Path;

use rand::seq::SliceRandom;

use crate::error::{DataError, EntryProblem};
use crate::format::{read_file, write_file};
use crate::num::round_count;
use crate::rng::{Purpose, stream};

/// A division of sample indices; both parts are sorted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrainVal {
    /// Samples to learn from.
    pub train: Vec<usize>,
    /// Samples to decide by.
    pub val: Vec<usize>,
}

/// Divides samples so that each class gives the same share (rounded half to even, at least one) to `val`.
///
/// # Errors
///
/// [`DataError::BadSetting`] unless `0 < val_fraction < 1`; [`DataError::ClassTooSmall`] for a class with one
/// sample.
///
/// # Examples
///
/// ```
/// let labels = [0, 0, 0, 0, 1, 1, 1, 1];
/// let split = snn_data::split::train_val(&labels, 0.25, 7)?;
/// assert_eq!((split.train.len(), split.val.len()), (6, 2));
/// assert_eq!(split.val.iter().filter(|&&i| labels[i] == 0).count(), 1);
/// # Ok::<(), snn_data::DataError>(())
/// ```
pub fn train_val(labels: &[usize], val_fraction: f64, seed: u64) -> Result<TrainVal, DataError> {
    let above_zero = f64::MIN_POSITIVE..1.0;
    DataError::require("share of validation samples", val_fraction, above_zero, "above 0 and below 1")?;
    let (mut train, mut val) = (Vec::new(), Vec::new());
    for members in shuffled_classes(labels, 2, seed)? {
        let n_val = round_count(members.len() as f64 * val_fraction).clamp(1, members.len() - 1);
        val.extend_from_slice(&members[..n_val]);
        train.extend_from_slice(&members[n_val..]);
    }
    train.sort_unstable();
    val.sort_unstable();
    Ok(TrainVal { train, val })
}

/// Divides samples into `k` folds for cross-validation: disjoint, sorted, together all samples, and of each class
/// the folds hold equally many samples up to one.
///
/// # Errors
///
/// [`DataError::BadSetting`] for `k < 2`; [`DataError::ClassTooSmall`] for a class with fewer than `k` samples.
pub fn stratified_folds(labels: &[usize], k: usize, seed: u64) -> Result<Vec<Vec<usize>>, DataError> {
    DataError::require("number of folds", k as f64, 2.0.., "at least 2")?;
    let classes = shuffled_classes(labels, k, seed)?;
    let mut folds = vec![Vec::new(); k];
    // Dealing goes on through the classes, so that fold sizes differ by at most one as well.
    for (position, i) in classes.into_iter().flatten().enumerate() {
        folds[position % k].push(i);
    }
    folds.iter_mut().for_each(|fold| fold.sort_unstable());
    Ok(folds)
}

/// Fold number `held_out` as `val`, the others as `train`.
///
/// # Errors
///
/// [`DataError::BadIndex`] when there is no such fold.
pub fn hold_out(folds: &[Vec<usize>], held_out: usize) -> Result<TrainVal, DataError> {
    let val = folds.get(held_out).ok_or(DataError::BadIndex { index: held_out, len: folds.len() })?.clone();
    let others = folds.iter().enumerate().filter(|&(f, _)| f != held_out);
    let mut train: Vec<usize> = others.flat_map(|(_, fold)| fold.iter().copied()).collect();
    train.sort_unstable();
    Ok(TrainVal { train, val })
}

/// The samples of each class that occurs, in class order, each class shuffled.
fn shuffled_classes(labels: &[usize], min_size: usize, seed: u64) -> Result<Vec<Vec<usize>>, DataError> {
    let mut by_class: Vec<usize> = (0..labels.len()).collect();
    by_class.sort_by_key(|&i| labels[i]);
    let mut classes: Vec<Vec<usize>> =
        by_class.chunk_by(|&a, &b| labels[a] == labels[b]).map(<[usize]>::to_vec).collect();
    for members in &mut classes {
        let class = labels[members[0]];
        if members.len() < min_size {
            return Err(DataError::ClassTooSmall { class, found: members.len(), expected: min_size });
        }
        members.shuffle(&mut stream(seed, Purpose::Split, 0, class));
    }
    Ok(classes)
}

/// One entry of a split file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitEntry {
    /// Path relative to the data folder, with `/`.
    pub name: String,
    /// 1-based line of the file.
    pub line: usize,
}

impl SplitEntry {
    /// The error of an entry of `list` that names no sample.
    pub fn missing(&self, list: &Path) -> DataError {
        let (list, entry, problem) = (list.to_owned(), self.name.clone(), EntryProblem::Missing);
        DataError::BadEntry { list, line: self.line, entry, problem }
    }
}

/// Reads a split file: one relative path a line; blank lines and what follows a `#` are ignored.
///
/// # Errors
///
/// [`DataError::Io`]; [`DataError::EmptyList`] for a file without entries. Whether the paths exist is checked by
/// the data set that they belong to. Bytes that are not UTF-8 are replaced, and then name no sample.
pub fn read_split_file(path: &Path) -> Result<Vec<SplitEntry>, DataError> {
    let bytes = read_file(path)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.trim_start_matches('\u{FEFF}').lines().zip(1..);
    let entries: Vec<SplitEntry> = lines
        .map(|(line, number)| (line.split('#').next().unwrap_or_default().trim(), number))
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, line)| SplitEntry { name: name.to_owned(), line })
        .collect();
    if entries.is_empty() { Err(DataError::EmptyList { list: path.to_owned() }) } else { Ok(entries) }
}

/// Writes a split file, through a temporary file beside it.
///
/// # Errors
///
/// [`DataError::Io`].
pub fn write_split_file<'a>(path: &Path, names: impl IntoIterator<Item = &'a str>) -> Result<(), DataError> {
    let text: String = names.into_iter().flat_map(|name| [name, "\n"]).collect();
    write_file(path, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels() -> Vec<usize> {
        (0..103).map(|i| i * i % 7).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_split() {
        let split = |seed| train_val(&labels(), 0.2, seed).unwrap();
        assert_eq!(split(3), split(3));
        assert_ne!(split(3), split(4));
    }

    #[test]
    fn bad_requests_are_named() {
        let error = train_val(&labels(), 1.0, 0).unwrap_err().to_string();
        assert_eq!(error, "share of validation samples is 1, expected above 0 and below 1");
        let error = stratified_folds(&[0, 0, 1], 2, 0).unwrap_err().to_string();
        assert_eq!(error, "class 1 has 1 samples, expected at least 2 to split it");
        assert!(stratified_folds(&labels(), 1, 0).is_err());
    }

    #[test]
    fn a_split_file_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("part.txt");
        write_split_file(&path, ["Train/5/00001.bin", "Train/0/00002.bin"]).unwrap();
        let names: Vec<String> =
            read_split_file(&path).unwrap().into_iter().map(|entry| entry.name).collect();
        assert_eq!(names, ["Train/5/00001.bin", "Train/0/00002.bin"]);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn comments_and_blank_lines_count_as_lines_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("part.txt");
        std::fs::write(&path, "\u{FEFF}# all of it\r\n\r\n  a/1.bin  # the first\r\n").unwrap();
        assert_eq!(read_split_file(&path).unwrap(), [SplitEntry { name: "a/1.bin".to_owned(), line: 3 }]);
        std::fs::write(&path, "# nothing\n").unwrap();
        let message = read_split_file(&path).unwrap_err().to_string();
        assert_eq!(message, format!("{} names no sample", path.display()));
    }

    proptest! {
        #[test]
        fn folds_are_a_stratified_partition(seed in any::<u64>(), k in 2usize..6) {
            let labels: Vec<usize> = (0..97).map(|i| i % 5).collect();
            let folds = stratified_folds(&labels, k, seed).unwrap();
            let mut all: Vec<usize> = folds.concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..97).collect::<Vec<_>>());
            for class in 0..5 {
                let counts: Vec<usize> =
                    folds.iter().map(|fold| fold.iter().filter(|&&i| labels[i] == class).count()).collect();
                prop_assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1);
            }
            let split = hold_out(&folds, k - 1).unwrap();
            prop_assert_eq!(split.train.len() + split.val.len(), 97);
        }

        #[test]
        fn each_class_gives_its_share(seed in any::<u64>(), fraction in 0.05f64..0.95) {
            let labels = labels();
            let split = train_val(&labels, fraction, seed).unwrap();
            for class in 0..7 {
                let members = labels.iter().filter(|&&label| label == class).count();
                let val = split.val.iter().filter(|&&i| labels[i] == class).count();
                prop_assert!(members == 0 || (1..members).contains(&val));
                prop_assert!((val as f64 - members as f64 * fraction).abs() <= 1.0);
            }
            prop_assert!(split.val.iter().all(|i| !split.train.contains(i)));
        }
    }
}
