//! DVS128 Gesture as Tonic cuts it (feature `npy`): one file of events for each user, light and class.
//!
//! A recording is `ibmGestureTrain/userNN_<light>/<label>.npy`, or the same below `ibmGestureTest`: an array `[N,
//! 4]` of x, y, polarity and time **in ms** (see [`npy_events`]), with label 0..10. There are 1,077 samples for
//! training and 264 for testing: one for each class of a recording, where the files of IBM have a sample for each
//! line of their label files. Accuracies on one protocol do not compare to those on the other; see
//! [`dvs_gesture`].
//!
//! No copy was at hand: this was tested on folders made after Tonic's loader (version 1.7).
//!
//! # References
//!
//! Lenz et al., "Tonic", 2021, doi:10.5281/zenodo.5079802; Amir et al., "A low power, fully event-based gesture
//! recognition system", CVPR 2017, doi:10.1109/CVPR.2017.781.
//!
//! [`npy_events`]: crate::format::npy_events
//! [`dvs_gesture`]: super::dvs_gesture

use std::path::Path;

use super::dvs_gesture::{CLASSES, SENSOR};
use super::files::{SampleFiles, listed_in, names_in};
use super::folder::within;
use crate::dataset::{Dataset, Part};
use crate::error::DataError;
use crate::event::{EventStream, SensorSize};
use crate::format::npy_events::{self, NpyOptions, TimeUnit};
use crate::format::read_file;

/// Number of samples that a part of the whole data set has.
pub const fn expected_len(part: Part) -> usize {
    match part {
        Part::Train => 1_077,
        Part::Test => 264,
    }
}

/// The recordings of one part, sorted by name. Files are read on demand.
///
/// # Examples
///
/// ```no_run
/// use snn_data::datasets::dvs_gesture_tonic::{DvsGestureTonic, expected_len};
/// use snn_data::{Dataset, Part};
///
/// let train = DvsGestureTonic::open("data/dvs-gesture-tonic", Part::Train)?;
/// println!("{} samples, the whole data set has {}", train.len(), expected_len(Part::Train));
/// # Ok::<(), snn_data::DataError>(())
/// ```
#[derive(Debug, Clone)]
pub struct DvsGestureTonic {
    files: SampleFiles,
}

impl DvsGestureTonic {
    /// Finds the recordings of `part` below `root`; reads none of them.
    ///
    /// # Errors
    ///
    /// [`DataError::MissingFolder`], [`DataError::NoRecordings`], [`DataError::Io`] where the operating system
    /// refuses.
    pub fn open(root: impl AsRef<Path>, part: Part) -> Result<Self, DataError> {
        let root = root.as_ref();
        let below = folder_of(part);
        let folder = root.join(below);
        if !folder.is_dir() {
            let expected = "folders userNN_<light> with <label>.npy";
            return Err(DataError::MissingFolder { path: folder, expected });
        }
        let mut samples = Vec::new();
        for user in names_in(&folder)? {
            let of_user = folder.join(&user);
            for file in if of_user.is_dir() { names_in(&of_user)? } else { Vec::new() } {
                let label = file.strip_suffix(".npy").and_then(|stem| stem.parse().ok());
                let label = label.filter(|&label| label < CLASSES.len());
                samples.extend(label.map(|label| (format!("{below}/{user}/{file}"), label)));
            }
        }
        if samples.is_empty() {
            return Err(DataError::NoRecordings { path: folder, expected: "userNN_<light>/<label>.npy" });
        }
        samples.sort_unstable();
        Ok(Self { files: SampleFiles::new(root, samples) })
    }
}

fn folder_of(part: Part) -> &'static str {
    match part {
        Part::Train => "ibmGestureTrain",
        Part::Test => "ibmGestureTest",
    }
}

impl Dataset for DvsGestureTonic {
    listed_in!(files);

    fn n_classes(&self) -> usize {
        CLASSES.len()
    }

    fn sensor(&self) -> SensorSize {
        SENSOR
    }

    fn events(&self, i: usize) -> Result<EventStream, DataError> {
        let path = self.files.checked_path(i)?;
        let options = NpyOptions { time: TimeUnit::Milliseconds, ..NpyOptions::default() };
        let recording =
            npy_events::decode(&read_file(&path)?, &options).map_err(DataError::malformed(&path))?;
        within(recording.events, SENSOR, path)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A `[N, 4]` array as `numpy.save` writes it.
    fn npy(rows: &[[i16; 4]]) -> Vec<u8> {
        let text = format!("{{'descr': '<i2', 'fortran_order': False, 'shape': ({}, 4), }}", rows.len());
        let padded = format!("{text:<117}\n");
        let values = rows.iter().flatten().flat_map(|v| v.to_le_bytes());
        [&b"\x93NUMPY\x01\x00\x76\x00"[..], padded.as_bytes()].concat().into_iter().chain(values).collect()
    }

    #[test]
    fn labels_are_file_names_and_times_are_ms() {
        let root = tempfile::tempdir().unwrap();
        for (name, rows) in [
            ("ibmGestureTrain/user02_lab/10.npy", &[[1, 2, 1, 7]][..]),
            ("ibmGestureTrain/user01_led/3.npy", &[[127, 5, 0, 4], [0, 127, 1, 9]][..]),
            ("ibmGestureTrain/user01_led/notes.npy", &[][..]),
            ("ibmGestureTest/user25_led/0.npy", &[[128, 0, 0, 0]][..]),
        ] {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, npy(rows)).unwrap();
        }
        let train = DvsGestureTonic::open(root.path(), Part::Train).unwrap();
        assert_eq!((train.labels(), train.sample_name(0)), (vec![3, 10], "ibmGestureTrain/user01_led/3.npy"));
        let events = train.events(0).unwrap();
        assert_eq!(
            (events.t(), events.x(), events.on()),
            (&[4_000, 9_000][..], &[127, 0][..], &[false, true][..])
        );
        let test = DvsGestureTonic::open(root.path(), Part::Test).unwrap();
        let message = test.events(0).unwrap_err().to_string();
        assert!(message.contains("event 0: (x, y) = (128, 0) lies outside the 128x128 sensor"), "{message}");
        assert!(DvsGestureTonic::open(root.path().join("no"), Part::Test).is_err());
    }
}
