//! Writing any data set as files.

use std::fs;
use std::path::Path;

use rayon::prelude::*;

use crate::dataset::{Dataset, Part};
use crate::datasets::nmnist::folder_of;
use crate::error::DataError;
use crate::format::nmnist_bin;
use crate::split::write_split_file;

/// Writes all samples in the layout of N-MNIST, and a split file that lists them.
///
/// Sample `i` becomes `<root>/<Train or Test>/<label>/<i + 1, five digits>.bin`; the split file is
/// `<root>/splits/<train or test>.txt`. Each file is written beside its place and then renamed; the split file
/// comes last, so that it is there only when all samples are.
///
/// # Errors
///
/// [`DataError::AlreadyExists`] when the part's folder or split file is there already (nothing is overwritten);
/// what reading a sample reports; [`DataError::Malformed`] for events that do not fit the format;
/// [`DataError::Io`].
pub fn write_nmnist(dataset: &dyn Dataset, root: &Path, part: Part) -> Result<(), DataError> {
    let folder = root.join(folder_of(part));
    let splits = root.join("splits");
    let split_file = splits.join(folder_of(part).to_lowercase()).with_extension("txt");
    if let Some(path) = [&folder, &split_file].into_iter().find(|path| path.exists()) {
        return Err(DataError::AlreadyExists { path: path.clone() });
    }
    let names: Vec<String> = (0..dataset.len())
        .map(|i| format!("{}/{}/{:05}.bin", folder_of(part), dataset.label(i), i + 1))
        .collect();
    for label in 0..dataset.n_classes() {
        if (0..dataset.len()).any(|i| dataset.label(i) == label) {
            make_folder(&folder.join(label.to_string()))?;
        }
    }
    let write = |(i, name): (usize, &String)| nmnist_bin::write(&root.join(name), &dataset.events(i)?);
    names.par_iter().enumerate().map(write).collect::<Result<(), _>>()?;
    make_folder(&splits)?;
    write_split_file(&split_file, names.iter().map(String::as_str))
}

fn make_folder(path: &Path) -> Result<(), DataError> {
    fs::create_dir_all(path).map_err(DataError::io("create", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datasets::glyphs::{Glyphs, GlyphsConfig};
    use crate::datasets::nmnist::{NMnist, Selection};

    #[test]
    fn what_is_written_reads_back() {
        let glyphs = Glyphs::new(GlyphsConfig { n_samples: 12, ..GlyphsConfig::default() }).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("made");
        write_nmnist(&glyphs, &root, Part::Train).unwrap();
        let whole = NMnist::open(&root, &Selection::Part(Part::Train)).unwrap();
        let listed = NMnist::open(&root, &Selection::SplitFile(root.join("splits/train.txt"))).unwrap();
        assert_eq!((whole.len(), listed.labels()), (12, whole.labels()));
        // Sorted by path: class 0 holds samples 0 and 10, so class 1 starts at position 2.
        assert_eq!(whole.sample_name(2), "Train/1/00002.bin");
        assert_eq!(whole.events(2).unwrap(), glyphs.events(1).unwrap());
    }

    #[test]
    fn nothing_is_overwritten() {
        let glyphs = Glyphs::new(GlyphsConfig { n_samples: 1, ..GlyphsConfig::default() }).unwrap();
        let folder = tempfile::tempdir().unwrap();
        write_nmnist(&glyphs, folder.path(), Part::Test).unwrap();
        let error = write_nmnist(&glyphs, folder.path(), Part::Test).unwrap_err();
        assert!(matches!(error, DataError::AlreadyExists { .. }));
        write_nmnist(&glyphs, folder.path(), Part::Train).unwrap();
    }
}
