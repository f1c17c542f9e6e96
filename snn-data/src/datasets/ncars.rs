//! N-Cars: 100 ms of an event camera behind a windscreen, with or without a car in view.
//!
//! A recording is `n-cars_train/<class>/obj_NNNNNN_td.dat`, or the same below `n-cars_test`; see [`dat`] for the
//! file format. Label 0 is [`CLASSES`]`[0]`, `background`, label 1 `cars`. The division into training and testing
//! is the authors' own.
//!
//! # Sensor
//!
//! Recordings are cut from a picture of 304x240 pixels and differ in size; files do not name it. Each is said to
//! come from a sensor of 120x100, which holds them all.
//!
//! Only two recordings were at hand: the layout of the folder and the counts are those that were published.
//!
//! # References
//!
//! Sironi, Brambilla, Bourdis, Lagorce and Benosman, "HATS: Histograms of averaged time surfaces for robust
//! event-based object classification", 2018, doi:10.1109/CVPR.2018.00186.
//!
//! [`dat`]: crate::format::dat

use std::path::Path;

use super::folder::{Classes, EventFolder};
use crate::dataset::{Dataset, Part};
use crate::error::DataError;
use crate::event::SensorSize;

/// Size that holds all recordings.
pub const SENSOR: SensorSize = SensorSize::new(120, 100);
/// Names of the classes and of their folders, in the order of the labels.
pub const CLASSES: [&str; 2] = ["background", "cars"];

/// Number of samples that a part of the whole data set has.
pub const fn expected_len(part: Part) -> usize {
    match part {
        Part::Train => 15_422,
        Part::Test => 8_607,
    }
}

/// Finds the recordings of `part` below `root`; reads none of them.
///
/// Another number of samples than the whole data set has is a [remark](EventFolder::remarks).
///
/// # Errors
///
/// As [`EventFolder::open`]; [`DataError::MissingFolder`] also when a class is missing.
///
/// # Examples
///
/// ```no_run
/// use snn_data::Part;
/// use snn_data::datasets::ncars;
///
/// let train = ncars::open("data/ncars", Part::Train)?;
/// train.remarks().iter().for_each(|remark| println!("{remark}"));
/// # Ok::<(), snn_data::DataError>(())
/// ```
pub fn open(root: impl AsRef<Path>, part: Part) -> Result<EventFolder, DataError> {
    let (folder, name) = match part {
        Part::Train => ("n-cars_train", "N-Cars, training"),
        Part::Test => ("n-cars_test", "N-Cars, testing"),
    };
    let mut data = EventFolder::open_part(root.as_ref(), folder, Classes::These(&CLASSES), Some(SENSOR))?;
    data.compare(name, "samples", data.len(), expected_len(part));
    Ok(data)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::format::any::{self, EventFormat};

    #[test]
    fn parts_are_apart_and_both_classes_must_be_there() {
        let root = tempfile::tempdir().unwrap();
        let events = [crate::Event { x: 119, y: 99, on: true, t: 5 }].into_iter().collect();
        for folder in
            ["n-cars_train/cars", "n-cars_train/background", "n-cars_train/other", "n-cars_test/cars"]
        {
            let folder = root.path().join(folder);
            fs::create_dir_all(&folder).unwrap();
            any::write(&folder.join("obj_000001_td.dat"), EventFormat::Dat, &events, None).unwrap();
        }
        let train = open(root.path(), Part::Train).unwrap();
        assert_eq!((train.names(), train.labels()), (&CLASSES.map(str::to_owned)[..], vec![0, 1]));
        assert_eq!((train.sample_name(1), train.sensor()), ("n-cars_train/cars/obj_000001_td.dat", SENSOR));
        assert_eq!(train.events(1).unwrap(), events);
        let remarks: Vec<String> = train.remarks().iter().map(ToString::to_string).collect();
        assert!(remarks[0].ends_with("other is left out: not a class that is read"), "{}", remarks[0]);
        assert_eq!(remarks[1], "N-Cars, training: 2 samples, the whole data set has 15422");
        let missing = open(root.path(), Part::Test).unwrap_err().to_string();
        assert!(missing.ends_with("background: expected the recordings of this class"), "{missing}");
    }
}
