//! DVS128 Gesture: 11 hand and arm gestures of 29 users under three lights, from the files that IBM ships.
//!
//! The folder `DvsGesture` holds a recording for each user and light, `user01_fluorescent.aedat` (see
//! [`aedat31`]), the times of the gestures in it, `user01_fluorescent_labels.csv`, and the lists of recordings
//! `trials_to_train.txt` (users 1 to 23) and `trials_to_test.txt` (users 24 to 29). A sample is the events of one
//! line of a label file, `class,startTime_usec,endTime_usec`: those from `start` on and before `end`. Its times
//! count from `start`. Classes 1..11 of the files are labels 0..10 here ([`CLASSES`]); class 8, arm roll, usually
//! occurs twice in a recording.
//!
//! # How many samples
//!
//! This protocol gives 1,176 samples for training and 288 for testing, as SpikingJelly and snnTorch have it.
//! [`DvsGesture::remarks`] says where a folder differs; it is not an error. Tonic's copy is cut beforehand,
//! into 1,077 and 264 samples with times rounded to ms; the paper speaks of 1,342. Accuracies are comparable
//! within a protocol only.
//!
//! # Faulty labels
//!
//! In `user22_led_labels.csv` class 9 ends after class 10 begins. Each sample is what its own line says, so
//! the events between the two times belong to both. SpikingJelly, which once found its
//! gestures otherwise, now does the same. [`DvsGesture::remarks`] names all such lines.
//!
//! # Random access
//!
//! The first sample that is asked of a recording costs a pass over its file, which checks it and keeps, for
//! each [`CHUNK`] bytes, the range of times and the state of the decoder (about 150 bytes). After that a
//! sample costs reading the chunks that its times touch. Events are never kept. Wrap the data set in
//! [`Preloaded`] where memory allows.
//!
//! No copy of the data set was at hand: this was tested on folders made after its description.
//!
//! # References
//!
//! Amir et al., "A low power, fully event-based gesture recognition system", CVPR 2017,
//! doi:10.1109/CVPR.2017.781; the data set's `README.txt`.
//!
//! [`aedat31`]: crate::format::aedat31
//! [`Preloaded`]: crate::Preloaded

use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::dataset::{Dataset, Part, check_index};
use crate::error::{DataError, EntryProblem};
use crate::event::{Event, EventStream, SensorSize};
use crate::format::aedat31::Aedat31;
use crate::format::decode::Decode;
use crate::format::read_file;
use crate::num;

/// Size of the sensor.
pub const SENSOR: SensorSize = SensorSize::new(128, 128);
/// Names of the classes, as in the data set's `gesture_mapping.csv`.
pub const CLASSES: [&str; 11] = [
    "hand_clapping",
    "right_hand_wave",
    "left_hand_wave",
    "right_arm_clockwise",
    "right_arm_counter_clockwise",
    "left_arm_clockwise",
    "left_arm_counter_clockwise",
    "arm_roll",
    "air_drums",
    "air_guitar",
    "other_gestures",
];
/// Bytes of a recording that are read and indexed at a time.
pub const CHUNK: usize = 1 << 18;

/// Number of samples that a part of the whole data set has.
pub const fn expected_len(part: Part) -> usize {
    match part {
        Part::Train => 1_176,
        Part::Test => 288,
    }
}

/// The gestures of one part, in the order of its list and of the lines of the label files. Events are read on
/// demand.
///
/// Sample names are those of the files that SpikingJelly cuts: `train/<label>/user01_fluorescent_<k>`, where
/// `k` counts the gestures of this class in the recording.
///
/// # Examples
///
/// ```no_run
/// use snn_data::datasets::dvs_gesture::DvsGesture;
/// use snn_data::{Dataset, Part};
///
/// let train = DvsGesture::open("data/DvsGesture", Part::Train)?;
/// train.remarks().iter().for_each(|remark| println!("{remark}"));
/// println!("{}: class {}, {} events", train.sample_name(0), train.label(0), train.events(0)?.len());
/// # Ok::<(), snn_data::DataError>(())
/// ```
#[derive(Debug)]
pub struct DvsGesture {
    recordings: Vec<Recording>,
    samples: Vec<Sample>,
    remarks: Vec<Remark>,
}

#[derive(Debug)]
struct Recording {
    path: PathBuf,
    /// Made when it is first needed.
    index: Mutex<Option<Arc<Index>>>,
}

#[derive(Debug)]
struct Sample {
    name: String,
    label: usize,
    recording: usize,
    start_us: u64,
    end_us: u64,
}

/// Something about a folder that its users should know. Prints as a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remark {
    /// The number of samples is not that of the whole data set.
    Count {
        /// The part.
        part: Part,
        /// Samples found.
        found: usize,
        /// Samples of the whole data set.
        expected: usize,
    },
    /// A gesture begins before another one of its recording ends; the events between belong to both.
    Overlap {
        /// Label file.
        labels: PathBuf,
        /// 1-based line of the gesture that ends late.
        first: usize,
        /// 1-based line of the gesture that begins early.
        second: usize,
        /// How long both last, in us.
        both_us: u64,
    },
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count { part, found, expected } => {
                let part = folder_of(*part);
                write!(f, "DVS128 Gesture, {part}: {found} samples, the whole data set has {expected}")
            }
            Self::Overlap { labels, first, second, both_us } => {
                write!(f, "{}: lines {first} and {second} overlap by {both_us} us", labels.display())
            }
        }
    }
}

impl DvsGesture {
    /// Reads the list and the labels of `part` in `root`, or in a folder `DvsGesture` in it; reads no
    /// recording.
    ///
    /// # Errors
    ///
    /// [`DataError::MissingFolder`], [`DataError::Io`] for a list or label file that cannot be read,
    /// [`DataError::EmptyList`], and [`DataError::BadEntry`] with file and line for a name that is no
    /// recording in the folder or occurs twice, and for a label that cannot be used.
    pub fn open(root: impl AsRef<Path>, part: Part) -> Result<Self, DataError> {
        let root = root.as_ref();
        if !root.is_dir() {
            let expected = "the folder DvsGesture, with trials_to_train.txt and userNN_<light>.aedat";
            return Err(DataError::MissingFolder { path: root.to_owned(), expected });
        }
        let below = root.join("DvsGesture");
        let folder = if below.is_dir() { below } else { root.to_owned() };
        let mut data = Self { recordings: Vec::new(), samples: Vec::new(), remarks: Vec::new() };
        for name in read_trials(&folder, &format!("trials_to_{}.txt", folder_of(part)))? {
            data.add(&folder, &name, part)?;
        }
        let (found, expected) = (data.samples.len(), expected_len(part));
        if found != expected {
            data.remarks.push(Remark::Count { part, found, expected });
        }
        Ok(data)
    }

    /// What is unusual about the folder: overlapping gestures, and another number of samples than expected.
    pub fn remarks(&self) -> &[Remark] {
        &self.remarks
    }

    fn add(&mut self, folder: &Path, stem: &str, part: Part) -> Result<(), DataError> {
        let path = folder.join(format!("{stem}_labels.csv"));
        let gestures = read_labels(&path)?;
        self.remarks.extend(overlaps(&path, &gestures));
        let mut n_of_class = [0; CLASSES.len()];
        for Gesture { label, start_us, end_us, .. } in gestures {
            let Some(k) = n_of_class.get_mut(label) else { continue };
            let name = format!("{}/{label}/{stem}_{k}", folder_of(part));
            *k += 1;
            self.samples.push(Sample { name, label, recording: self.recordings.len(), start_us, end_us });
        }
        let path = folder.join(format!("{stem}.aedat"));
        self.recordings.push(Recording { path, index: Mutex::default() });
        Ok(())
    }
}

impl Dataset for DvsGesture {
    fn len(&self) -> usize {
        self.samples.len()
    }

    fn n_classes(&self) -> usize {
        CLASSES.len()
    }

    fn sensor(&self) -> SensorSize {
        SENSOR
    }

    fn label(&self, i: usize) -> usize {
        self.samples[i].label
    }

    fn sample_name(&self, i: usize) -> &str {
        &self.samples[i].name
    }

    fn events(&self, i: usize) -> Result<EventStream, DataError> {
        check_index(i, self.len())?;
        let sample = &self.samples[i];
        self.recordings[sample.recording].slice(sample.start_us, sample.end_us)
    }
}

fn folder_of(part: Part) -> &'static str {
    match part {
        Part::Train => "train",
        Part::Test => "test",
    }
}

/// Names of the recordings of a list, without `.aedat`.
fn read_trials(folder: &Path, list: &str) -> Result<Vec<String>, DataError> {
    let list = folder.join(list);
    let mut seen = HashSet::new();
    let mut stems = Vec::new();
    for (entry, line) in read_lines(&list)? {
        let unseen = |stem: String| {
            if seen.insert(stem.clone()) { Ok(stem) } else { Err(EntryProblem::Duplicate) }
        };
        let stem = check_trial(folder, &entry).and_then(unseen);
        stems.push(stem.map_err(bad_entry(&list, line, &entry))?);
    }
    if stems.is_empty() { Err(DataError::EmptyList { list }) } else { Ok(stems) }
}

fn check_trial(folder: &Path, entry: &str) -> Result<String, EntryProblem> {
    let stem = entry.strip_suffix(".aedat").ok_or(EntryProblem::NotATrial)?;
    if stem.is_empty() || stem.contains(['/', '\\']) {
        return Err(EntryProblem::NotATrial);
    }
    if folder.join(entry).is_file() { Ok(stem.to_owned()) } else { Err(EntryProblem::Missing) }
}

/// The lines of a text file that are not empty, trimmed, with their 1-based numbers.
fn read_lines(path: &Path) -> Result<Vec<(String, usize)>, DataError> {
    let bytes = read_file(path)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim).map(str::to_owned).zip(1..);
    Ok(lines.filter(|(line, _)| !line.is_empty()).collect())
}

fn bad_entry(list: &Path, line: usize, entry: &str) -> impl FnOnce(EntryProblem) -> DataError {
    let (list, entry) = (list.to_owned(), entry.to_owned());
    move |problem| DataError::BadEntry { list, line, entry, problem }
}

/// A line of a label file.
#[derive(Debug, Clone, Copy)]
struct Gesture {
    line: usize,
    label: usize,
    start_us: u64,
    end_us: u64,
}

fn read_labels(path: &Path) -> Result<Vec<Gesture>, DataError> {
    let lines = read_lines(path)?;
    let is_header = |(text, line): &(String, usize)| *line == 1 && text.starts_with("class");
    let lines = lines.iter().filter(|line| !is_header(line));
    lines.map(|(text, line)| read_label(text, *line).map_err(bad_entry(path, *line, text))).collect()
}

fn read_label(text: &str, line: usize) -> Result<Gesture, EntryProblem> {
    let mut fields = text.split(',').map(|field| field.trim().parse::<u64>().ok());
    let four = [fields.next(), fields.next(), fields.next(), fields.next()];
    let [Some(Some(class)), Some(Some(start_us)), Some(Some(end_us)), None] = four else {
        return Err(EntryProblem::NotAGesture);
    };
    let label = class.checked_sub(1).map(num::index).filter(|&label| label < CLASSES.len());
    let duration = end_us.checked_sub(start_us).filter(|&us| us > 0 && u32::try_from(us).is_ok());
    match (label, duration) {
        (Some(label), Some(_)) => Ok(Gesture { line, label, start_us, end_us }),
        _ => Err(EntryProblem::NotAGesture),
    }
}

fn overlaps(path: &Path, gestures: &[Gesture]) -> Vec<Remark> {
    let mut sorted = gestures.to_vec();
    sorted.sort_by_key(|gesture| (gesture.start_us, gesture.line));
    let mut found = Vec::new();
    let mut latest: Option<Gesture> = None;
    for gesture in sorted {
        if let Some(before) = latest.filter(|before| before.end_us > gesture.start_us) {
            let both_us = before.end_us.min(gesture.end_us) - gesture.start_us;
            let (labels, first, second) = (path.to_owned(), before.line, gesture.line);
            found.push(Remark::Overlap { labels, first, second, both_us });
        }
        latest = latest.filter(|before| before.end_us >= gesture.end_us).or(Some(gesture));
    }
    found
}

/// Where the events of a recording lie in its file.
#[derive(Debug, Default)]
struct Index {
    chunks: Vec<Chunk>,
    origin_us: u64,
}

#[derive(Debug)]
struct Chunk {
    offset: usize,
    n_bytes: usize,
    /// The decoder before the chunk.
    decoder: Aedat31,
    /// Times of its first and last event, in us.
    times: (u32, u32),
}

impl Recording {
    /// The events of `start <= t < end`, with times from `start_us`.
    fn slice(&self, start_us: u64, end_us: u64) -> Result<EventStream, DataError> {
        let index = self.index()?;
        let after_start = |t: u32| (index.origin_us + u64::from(t)).checked_sub(start_us);
        let mut file = File::open(&self.path).map_err(DataError::io("read", &self.path))?;
        let (mut events, mut bytes) = (EventStream::default(), Vec::new());
        for chunk in &index.chunks {
            let (first, last) = chunk.times;
            if after_start(last).is_none() || index.origin_us + u64::from(first) >= end_us {
                continue;
            }
            bytes.resize(chunk.n_bytes, 0);
            let read = file.seek(SeekFrom::Start(num::wide(chunk.offset)));
            let read = read.and_then(|_| file.read_exact(&mut bytes));
            read.map_err(DataError::io("read", &self.path))?;
            let mut chunk_events = EventStream::default();
            let fed = chunk.decoder.clone().feed(&bytes, chunk.offset, &mut chunk_events);
            fed.map_err(DataError::malformed(&self.path))?;
            let within = |event: Event| {
                let t = after_start(event.t).filter(|&t| t < end_us - start_us)?;
                Some(Event { t: u32::try_from(t).ok()?, ..event })
            };
            chunk_events.iter().filter_map(within).for_each(|event| events.push(event));
        }
        Ok(events)
    }

    fn index(&self) -> Result<Arc<Index>, DataError> {
        // Others that want the same recording wait here instead of reading it as well.
        let mut slot = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = &*slot {
            return Ok(Arc::clone(index));
        }
        let index = Arc::new(self.read_index()?);
        *slot = Some(Arc::clone(&index));
        Ok(index)
    }

    fn read_index(&self) -> Result<Index, DataError> {
        let mut file = File::open(&self.path).map_err(DataError::io("read", &self.path))?;
        let mut decoder = Aedat31::for_sensor(SENSOR);
        let (mut held, mut offset) = (Vec::new(), 0);
        let mut index = Index::default();
        loop {
            let n_new = (&mut file).take(num::wide(CHUNK)).read_to_end(&mut held);
            if n_new.map_err(DataError::io("read", &self.path))? == 0 {
                break;
            }
            let before = decoder.clone();
            let mut events = EventStream::default();
            let fed = decoder.feed(&held, offset, &mut events);
            let n_bytes = fed.map_err(DataError::malformed(&self.path))?;
            held.drain(..n_bytes);
            if let (Some(first), Some(last)) = (events.first_us(), events.last_us()) {
                index.chunks.push(Chunk { offset, n_bytes, decoder: before, times: (first, last) });
            }
            offset += n_bytes;
        }
        decoder.finish(&held, offset).map_err(DataError::malformed(&self.path))?;
        index.origin_us = u64::try_from(decoder.origin_us()).unwrap_or(0);
        Ok(index)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;
    use crate::Preloaded;
    use crate::format::aedat31::encode;

    const LABELS: &str = "class,startTime_usec,endTime_usec\n";

    /// A recording of one event each us of `0..n_us`, column and row from its time.
    fn recording(n_us: u32) -> Vec<u8> {
        let pixel = |t: u32| u16::try_from(t % 128).unwrap();
        let events: EventStream =
            (0..n_us).map(|t| Event { x: pixel(t), y: pixel(t / 128), on: t % 2 == 0, t }).collect();
        encode(&events, SENSOR).unwrap()
    }

    /// A folder with recordings and their labels; all of them are for training, and the first for testing as
    /// well.
    fn folder(recordings: &[(&str, u32, &str)]) -> TempDir {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("DvsGesture");
        fs::create_dir(&folder).unwrap();
        for (name, n_us, labels) in recordings {
            fs::write(folder.join(format!("{name}.aedat")), recording(*n_us)).unwrap();
            fs::write(folder.join(format!("{name}_labels.csv")), format!("{LABELS}{labels}")).unwrap();
        }
        let names: String = recordings.iter().map(|(name, ..)| format!("{name}.aedat\r\n")).collect();
        fs::write(folder.join("trials_to_train.txt"), &names).unwrap();
        fs::write(folder.join("trials_to_test.txt"), names.lines().next().unwrap()).unwrap();
        root
    }

    fn times(data: &DvsGesture, i: usize) -> (usize, u32, u32) {
        let events = data.events(i).unwrap();
        (events.len(), events.first_us().unwrap(), events.last_us().unwrap())
    }

    fn message(root: &TempDir) -> String {
        DvsGesture::open(root.path(), Part::Train).unwrap_err().to_string()
    }

    #[test]
    fn gestures_are_cut_by_the_label_files() {
        let labels = "8,10,30\n8,40,50\n1,50,900\n";
        let root = folder(&[("user01_led", 100, labels), ("user02_lab", 100, "11,0,1\r\n\r\n")]);
        let train = DvsGesture::open(root.path(), Part::Train).unwrap();
        assert_eq!((train.len(), train.n_classes(), train.sensor()), (4, 11, SENSOR));
        assert_eq!(train.labels(), [7, 7, 0, 10]);
        let names: Vec<_> = (0..4).map(|i| train.sample_name(i)).collect();
        let expected =
            ["train/7/user01_led_0", "train/7/user01_led_1", "train/0/user01_led_0", "train/10/user02_lab_0"];
        assert_eq!(names, expected);
        assert_eq!((times(&train, 0), times(&train, 1)), ((20, 0, 19), (10, 0, 9)));
        assert_eq!((times(&train, 2), times(&train, 3)), ((50, 0, 49), (1, 0, 0)));
        assert_eq!(train.events(0).unwrap().x()[..2], [10, 11]);
        let test = DvsGesture::open(root.path().join("DvsGesture"), Part::Test).unwrap();
        assert_eq!((test.len(), test.sample_name(0)), (3, "test/7/user01_led_0"));
        assert!(matches!(test.events(3), Err(DataError::BadIndex { index: 3, len: 3 })));
    }

    #[test]
    fn overlapping_gestures_keep_their_events_and_are_remarked() {
        let root = folder(&[("user22_led", 100, "9,10,40\n10,35,60\n11,60,70\n")]);
        let data = DvsGesture::open(root.path(), Part::Test).unwrap();
        assert_eq!((times(&data, 0), times(&data, 1)), ((30, 0, 29), (25, 0, 24)));
        let remarks: Vec<_> = data.remarks().iter().map(Remark::to_string).collect();
        assert!(
            remarks[0].ends_with("user22_led_labels.csv: lines 2 and 3 overlap by 5 us"),
            "{}",
            remarks[0]
        );
        assert_eq!(remarks[1], "DVS128 Gesture, test: 3 samples, the whole data set has 288");
        assert_eq!(remarks.len(), 2);
    }

    #[test]
    fn any_order_and_any_thread_reads_the_same() {
        // Several chunks; gestures that begin and end anywhere in them.
        let n_us = u32::try_from(3 * CHUNK / 8).unwrap();
        let bounds: Vec<u32> = (0..=10).map(|k| n_us / 10 * k + k).collect();
        let labels: String = bounds.windows(2).map(|w| format!("2,{},{}\n", w[0], w[1])).collect();
        let root = folder(&[("user03_lab", n_us, &labels)]);
        let data = DvsGesture::open(root.path(), Part::Train).unwrap();
        let last: Vec<_> = (0..data.len()).rev().map(|i| data.events(i).unwrap()).collect();
        let loaded = Preloaded::load(&DvsGesture::open(root.path(), Part::Train).unwrap()).unwrap();
        for (i, events) in last.iter().rev().enumerate() {
            assert_eq!(loaded.stream(i), events);
            let all = bounds[i + 1].min(n_us) - bounds[i];
            assert!(events.t().iter().copied().eq(0..all), "gesture {i}");
            assert_eq!(u32::from(events.x()[0]), bounds[i] % 128);
        }
        let index = data.recordings[0].index().unwrap();
        assert_eq!(index.chunks.len(), 4);
    }

    #[test]
    fn bad_labels_are_named() {
        for label in ["0,1,2", "12,1,2", "1,2,2", "1,3,2", "1,2", "1,2,3,4", "1,-2,3", "x", "1,0,4294967296"]
        {
            let root = folder(&[("user01_led", 1, label)]);
            let message = message(&root);
            let expected =
                format!("user01_led_labels.csv, line 2: \"{label}\": expected class,startTime_usec");
            assert!(message.contains(&expected), "{message}");
        }
    }

    #[test]
    fn bad_lists_are_named() {
        let root = folder(&[("user01_led", 1, "1,0,1")]);
        let list = root.path().join("DvsGesture/trials_to_train.txt");
        let problem = |text: &str| {
            fs::write(&list, text).unwrap();
            message(&root).replace(&list.display().to_string(), "list")
        };
        assert_eq!(problem("\n"), "list names no sample");
        let missing = "list, line 2: \"a.aedat\": no such file below the data folder";
        assert_eq!(problem("user01_led.aedat\na.aedat"), missing);
        let twice = "list, line 3: \"user01_led.aedat\": listed twice";
        assert_eq!(problem("user01_led.aedat\n\nuser01_led.aedat"), twice);
        for name in ["user01_led", "../user01_led.aedat", ".aedat"] {
            assert!(problem(name).ends_with("expected the name of an .aedat file"), "{name}");
        }
        fs::remove_file(&list).unwrap();
        assert!(message(&root).starts_with("cannot read "));
        let none = DvsGesture::open(root.path().join("none"), Part::Train).unwrap_err().to_string();
        assert!(none.starts_with("no folder "), "{none}");
    }

    #[test]
    fn a_damaged_recording_is_named() {
        let root = folder(&[("user01_led", 100, "1,0,10")]);
        let path = root.path().join("DvsGesture/user01_led.aedat");
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 3]).unwrap();
        let data = DvsGesture::open(root.path(), Part::Train).unwrap();
        let message = data.events(0).unwrap_err().to_string();
        assert!(message.contains("user01_led.aedat: truncated in packet at byte offset"), "{message}");
        fs::write(&path, &whole).unwrap();
        assert_eq!(times(&data, 0), (10, 0, 9));
    }
}
