//! N-Caltech101: the images of Caltech101 seen by an event camera during three saccades.
//!
//! A recording is `<class>/image_NNNN.bin`; see [`nmnist_bin`] for the file format. The classes are 100 kinds of
//! objects and [`BACKGROUND`], pictures of anything; Caltech101's class `Faces` was left out by the authors, since
//! `Faces_easy` shows the same faces. Labels are the positions of the class names sorted byte by byte, which puts
//! the four with a capital first. There is no official split: see [`split`].
//!
//! # Sensor
//!
//! Images were scaled to fit 240x180 pixels, so recordings differ in size. Each is said to come from a sensor of
//! 240x180.
//!
//! Only one recording was at hand: the layout of the folder and the counts are those that were published.
//!
//! # References
//!
//! Orchard, Jayawant, Cohen and Thakor, "Converting static image datasets to spiking neuromorphic datasets using
//! saccades", 2015, doi:10.3389/fnins.2015.00437.
//!
//! [`nmnist_bin`]: crate::format::nmnist_bin
//! [`split`]: crate::split

use std::path::Path;

use super::folder::{Classes, EventFolder};
use crate::dataset::Dataset;
use crate::error::DataError;
use crate::event::SensorSize;

/// Size that holds all recordings.
pub const SENSOR: SensorSize = SensorSize::new(240, 180);
/// Name of the class of pictures of anything.
pub const BACKGROUND: &str = "BACKGROUND_Google";
/// Folder of the class folders in the published archive.
const FOLDER: &str = "Caltech101";

/// Whether [`BACKGROUND`] is a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Background {
    /// 101 classes, with the background as label 0.
    Keep,
    /// The 100 kinds of objects only.
    LeaveOut,
}

impl Background {
    /// Numbers of classes and of samples of the whole data set.
    pub const fn expected(self) -> (usize, usize) {
        match self {
            Self::Keep => (101, 8_709),
            // The background has 467 pictures.
            Self::LeaveOut => (100, 8_242),
        }
    }
}

/// Finds the recordings in the class folders in `root`, or in a folder `Caltech101` in it; reads none of them.
///
/// Other numbers of classes or samples than the whole data set has are [remarks](EventFolder::remarks). With other
/// classes, labels mean other things.
///
/// # Errors
///
/// As [`EventFolder::open`].
///
/// # Examples
///
/// ```no_run
/// use snn_data::datasets::ncaltech101::{self, Background};
///
/// let data = ncaltech101::open("data/ncaltech101", Background::LeaveOut)?;
/// data.remarks().iter().for_each(|remark| println!("{remark}"));
/// # Ok::<(), snn_data::DataError>(())
/// ```
pub fn open(root: impl AsRef<Path>, background: Background) -> Result<EventFolder, DataError> {
    let root = root.as_ref();
    let below = root.join(FOLDER);
    let folder = if below.is_dir() { below.as_path() } else { root };
    let classes = match background {
        Background::Keep => Classes::All,
        Background::LeaveOut => Classes::AllBut(BACKGROUND),
    };
    let mut data = EventFolder::open_part(folder, "", classes, Some(SENSOR))?;
    let (n_classes, n_samples) = background.expected();
    data.compare("N-Caltech101", "classes", data.n_classes(), n_classes);
    data.compare("N-Caltech101", "samples", data.len(), n_samples);
    Ok(data)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_background_is_a_class_or_left_out() {
        let root = tempfile::tempdir().unwrap();
        for class in ["accordion", "Faces_easy", BACKGROUND] {
            let folder = root.path().join(FOLDER).join(class);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("image_0001.bin"), [239, 179, 0x80, 0, 9]).unwrap();
        }
        fs::create_dir(root.path().join("Caltech101_annotations")).unwrap();
        let data = open(root.path(), Background::Keep).unwrap();
        assert_eq!(data.names(), [BACKGROUND, "Faces_easy", "accordion"]);
        assert_eq!((data.len(), data.sensor(), data.events(2).unwrap().len()), (3, SENSOR, 1));
        assert_eq!(data.sample_name(2), "accordion/image_0001.bin");
        let remarks: Vec<String> = data.remarks().iter().map(ToString::to_string).collect();
        let expected = [
            "N-Caltech101: 3 classes, the whole data set has 101",
            "N-Caltech101: 3 samples, the whole data set has 8709",
        ];
        assert_eq!(remarks, expected);
        let objects = open(root.path().join(FOLDER), Background::LeaveOut).unwrap();
        assert_eq!((objects.names()[0].as_str(), objects.labels()), ("Faces_easy", vec![0, 1]));
        let left_out = objects.remarks()[0].to_string();
        assert!(left_out.ends_with("BACKGROUND_Google is left out: not a class that is read"), "{left_out}");
    }
}
