//! What data sets share whose samples are files of their own.

use std::fs;
use std::path::{Path, PathBuf};

use crate::dataset::check_index;
use crate::error::DataError;

/// Path below the data set's folder, and class.
pub(super) type Sample = (String, usize);

/// Files below a folder, and their classes.
#[derive(Debug, Clone)]
pub(super) struct SampleFiles {
    root: PathBuf,
    samples: Vec<Sample>,
}

impl SampleFiles {
    pub(super) fn new(root: &Path, samples: Vec<Sample>) -> Self {
        Self { root: root.to_owned(), samples }
    }

    pub(super) fn len(&self) -> usize {
        self.samples.len()
    }

    pub(super) fn label(&self, i: usize) -> usize {
        self.samples[i].1
    }

    pub(super) fn name(&self, i: usize) -> &str {
        &self.samples[i].0
    }

    pub(super) fn path(&self, i: usize) -> PathBuf {
        self.root.join(self.name(i))
    }

    /// The path of sample `i`, or an error beyond the last.
    pub(super) fn checked_path(&self, i: usize) -> Result<PathBuf, DataError> {
        check_index(i, self.len())?;
        Ok(self.path(i))
    }
}

/// The methods of [`Dataset`](crate::Dataset) that the list of files in a field answers.
macro_rules! listed_in {
    ($files:ident) => {
        fn len(&self) -> usize {
            self.$files.len()
        }

        fn label(&self, i: usize) -> usize {
            self.$files.label(i)
        }

        fn sample_name(&self, i: usize) -> &str {
            self.$files.name(i)
        }
    };
}

pub(super) use listed_in;

/// Names of what lies in `folder`, in no order; without those that are not UTF-8, and without hidden files (such
/// as the `._` files of macOS).
pub(super) fn names_in(folder: &Path) -> Result<Vec<String>, DataError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(DataError::io("list", folder))? {
        let name = entry.map_err(DataError::io("list", folder))?.file_name().into_string();
        names.extend(name.ok().filter(|name| !name.starts_with('.')));
    }
    Ok(names)
}
