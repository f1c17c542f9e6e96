//! SHD and SSC: spoken digits and spoken words, as spikes of a model of the inner ear with 700 channels.
//!
//! | file | samples | classes | what |
//! |---|---|---|---|
//! | `shd_train.h5` | 8,156 | 20 | digits in German and English |
//! | `shd_test.h5` | 2,264 | 20 | |
//! | `ssc_train.h5` | 75,466 | 35 | words of Google's Speech Commands |
//! | `ssc_valid.h5` | 9,981 | 35 | |
//! | `ssc_test.h5` | 20,382 | 35 | |
//!
//! A file is HDF5 (published as `.h5.gz` or `.h5.zip`: unpack it first), with arrays of one entry a sample:
//! `spikes/times` (sequences of floats, s), `spikes/units` (sequences of integers, the channels), `labels`, and
//! `extra/speaker`; `extra/keys` are the names of the classes. A spike becomes an ON event at column `unit`, row
//! 0, its time rounded half to even to us.
//!
//! # Traps
//!
//! - Times may be stored in floats of 16 bits, which are 0.5 ms apart from 0.5 s on and 1 ms from 1 s on. Floats
//!   of 16, 32 and 64 bits are read alike; which they are is looked up in each file.
//! - SHD has no validation set. Choosing an epoch or a setting by the test set makes the result too good; hold out
//!   training samples instead, best those of some speakers ([`Shd::speaker`]).
//! - Two speakers of SHD occur in its test set only, so a validation set drawn at random from the training samples
//!   promises more than the test set keeps.
//! - Recordings last up to about 1.4 s, and differ in length.
//!
//! No copy of the data sets was at hand: this was tested on files made after their description, and the counts
//! above are those that were published. [`Shd::remarks`] says where a file differs.
//!
//! # References
//!
//! Cramer, Stradmann, Schemmel and Zenke, "The Heidelberg Spiking Data Sets for the Systematic Evaluation of
//! Spiking Neural Networks", 2022, doi:10.1109/TNNLS.2020.3044364; <https://zenkelab.org/datasets/>.

use std::fmt;
use std::fs::File;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hdf5_reader::error::Error as Hdf5Error;
use hdf5_reader::{
    ByteOrder, BytesStorage, Dataset as Array, Datatype, FileStorage, Hdf5File, OpenOptions, Storage,
    VarLenKind,
};

use crate::dataset::{Dataset, check_index};
use crate::error::{DataError, FormatError};
use crate::event::{Event, EventStream, SensorSize};
use crate::format::number::{Kind, Number, Value};
use crate::num::index;

/// One row of 700 channels.
pub const SENSOR: SensorSize = SensorSize::new(700, 1);
/// An array may have as many bytes as the file, plus this many: nothing but labels is worth compressing.
const FREE_BYTES: u64 = 1 << 16;
/// Most bytes of the description of an array; real ones have some hundred.
const MAX_HEADER: usize = 1 << 20;

/// The files of the two data sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ShdFile {
    /// Training samples of SHD.
    ShdTrain,
    /// Test samples of SHD.
    ShdTest,
    /// Training samples of SSC.
    SscTrain,
    /// Validation samples of SSC.
    SscValid,
    /// Test samples of SSC.
    SscTest,
}

impl ShdFile {
    /// Its name without `.h5`.
    pub const fn stem(self) -> &'static str {
        match self {
            Self::ShdTrain => "shd_train",
            Self::ShdTest => "shd_test",
            Self::SscTrain => "ssc_train",
            Self::SscValid => "ssc_valid",
            Self::SscTest => "ssc_test",
        }
    }

    /// Number of samples of the published file.
    pub const fn expected_len(self) -> usize {
        match self {
            Self::ShdTrain => 8_156,
            Self::ShdTest => 2_264,
            Self::SscTrain => 75_466,
            Self::SscValid => 9_981,
            Self::SscTest => 20_382,
        }
    }

    /// Number of classes.
    pub const fn n_classes(self) -> usize {
        match self {
            Self::ShdTrain | Self::ShdTest => 20,
            Self::SscTrain | Self::SscValid | Self::SscTest => 35,
        }
    }
}

/// A file with another number of samples than the published one. Prints as a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remark {
    /// The file.
    pub file: ShdFile,
    /// Samples found.
    pub found: usize,
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (stem, expected) = (self.file.stem(), self.file.expected_len());
        write!(f, "{stem}.h5: {} samples, the published file has {expected}", self.found)
    }
}

/// The samples of a file. Spikes are read on demand; labels, speakers and where spikes lie (32 bytes a sample) are
/// in memory.
///
/// # Examples
///
/// ```no_run
/// use snn_data::Dataset;
/// use snn_data::datasets::shd::{Shd, ShdFile};
///
/// let train = Shd::open("data/shd", ShdFile::ShdTrain)?;
/// let word = train.names().get(train.label(0));
/// println!("{word:?} by speaker {:?}: {} spikes", train.speaker(0), train.events(0)?.len());
/// # Ok::<(), snn_data::DataError>(())
/// ```
pub struct Shd {
    file: ShdFile,
    times: Sequences,
    units: Sequences,
    labels: Vec<usize>,
    speakers: Vec<u16>,
    names: Vec<String>,
    sample_names: Vec<String>,
    path: PathBuf,
}

impl fmt::Debug for Shd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let len = self.labels.len();
        f.debug_struct("Shd").field("path", &self.path).field("len", &len).finish_non_exhaustive()
    }
}

impl Shd {
    /// Opens a file by its standard name in `folder`.
    ///
    /// # Errors
    ///
    /// As [`Shd::read`].
    pub fn open(folder: impl AsRef<Path>, file: ShdFile) -> Result<Self, DataError> {
        Self::read(&folder.as_ref().join(file.stem()).with_extension("h5"), file)
    }

    /// Opens a file; reads all but the spikes.
    ///
    /// # Errors
    ///
    /// [`DataError::Io`], or [`DataError::Malformed`] with what [`Shd::decode`] reports.
    pub fn read(path: &Path, file: ShdFile) -> Result<Self, DataError> {
        // Never mapped into memory: another process may change the file.
        let opened = File::open(path).map_err(DataError::io("read", path))?;
        let storage = FileStorage::from_file(opened).map_err(bad_hdf5);
        let shd = storage.and_then(|storage| Self::from_storage(Arc::new(storage), file));
        let shd = shd.map_err(DataError::malformed(path))?;
        Ok(Self { path: path.to_owned(), ..shd })
    }

    /// Opens a file that is in memory.
    ///
    /// # Errors
    ///
    /// [`FormatError::BadContainer`] for what is not HDF5, or lacks an array or has it in another type;
    /// [`FormatError::ArrayLength`] for arrays that do not belong together; [`FormatError::InArray`] for labels,
    /// speakers and (from [`Dataset::events`]) spikes that cannot be used.
    pub fn decode(bytes: Vec<u8>, file: ShdFile) -> Result<Self, FormatError> {
        Self::from_storage(Arc::new(BytesStorage::new(bytes)), file)
    }

    fn from_storage(storage: Arc<dyn Storage>, file: ShdFile) -> Result<Self, FormatError> {
        guarded(|| Self::of_arrays(storage, file))
    }

    fn of_arrays(storage: Arc<dyn Storage>, file: ShdFile) -> Result<Self, FormatError> {
        let limit = index(storage.len().saturating_add(FREE_BYTES));
        let options = OpenOptions::default()
            .with_max_read_bytes(limit)
            .with_max_chunk_bytes(limit)
            .with_max_object_header_bytes(MAX_HEADER);
        let hdf5 = Hdf5File::from_storage_with_options(storage, options).map_err(bad_hdf5)?;
        let (times, units) =
            (Sequences::open(&hdf5, "spikes/times")?, Sequences::open(&hdf5, "spikes/units")?);
        if !times.number.is_float() {
            return Err(bad_type("spikes/times", "sequences of floats"));
        }
        let n = times.len();
        same_length(|| units.name.to_owned(), units.len(), n)?;
        let labels = hdf5.dataset("labels").map_err(bad_hdf5)?;
        let label = |label| usize::try_from(label).ok().filter(|&label| label < file.n_classes());
        let labels = numbers(&labels, "labels", n)?.all("label", "a class of the data set", label)?;
        let speakers = optional(hdf5.dataset("extra/speaker"))?.map_or(Ok(Vec::new()), |speakers| {
            let speaker = |speaker| u16::try_from(speaker).ok();
            numbers(&speakers, "extra/speaker", n)?.all("speaker", "a number of 0..65535", speaker)
        })?;
        let names =
            optional(hdf5.dataset("extra/keys").and_then(|keys| keys.read_strings()))?.unwrap_or_default();
        let sample_names = (0..labels.len()).map(|i| format!("{}/{i:05}", file.stem())).collect();
        let path = Path::new(file.stem()).with_extension("h5");
        Ok(Self { file, times, units, labels, speakers, names, sample_names, path })
    }

    /// Speaker of sample `i`, for splits by speaker; `None` in a file without speakers and beyond the last sample.
    pub fn speaker(&self, i: usize) -> Option<u16> {
        self.speakers.get(i).copied()
    }

    /// Speakers of all samples; empty in a file without speakers.
    pub fn speakers(&self) -> &[u16] {
        &self.speakers
    }

    /// Names of the classes, in the order of labels; empty in a file without names.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The number of samples, if it is not that of the published file.
    pub fn remarks(&self) -> Vec<Remark> {
        let (file, found) = (self.file, self.labels.len());
        if found == file.expected_len() { Vec::new() } else { vec![Remark { file, found }] }
    }

    fn spikes(&self, i: usize) -> Result<EventStream, FormatError> {
        let (times, units) = guarded(|| Ok((self.times.get(i)?, self.units.get(i)?)))?;
        same_length(|| units.name(), units.len(), times.len())?;
        let expected = "a time of 0 to 2^32 us, in s";
        let t = |time: Value| time.rounded_times(1_000_000).and_then(|t| u32::try_from(t).ok());
        let expected_unit = "a channel of 0..699";
        let x =
            |unit: Value| unit.integer().and_then(|x| u16::try_from(x).ok()).filter(|&x| x < SENSOR.width);
        let mut events = EventStream::with_capacity(times.len());
        for k in 0..times.len() {
            let (t, x) = (times.value(k, "time", expected, t)?, units.value(k, "unit", expected_unit, x)?);
            events.push(Event { x, y: 0, on: true, t });
        }
        Ok(events)
    }
}

impl Dataset for Shd {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn n_classes(&self) -> usize {
        self.file.n_classes()
    }

    fn sensor(&self) -> SensorSize {
        SENSOR
    }

    fn label(&self, i: usize) -> usize {
        self.labels[i]
    }

    fn sample_name(&self, i: usize) -> &str {
        &self.sample_names[i]
    }

    fn events(&self, i: usize) -> Result<EventStream, DataError> {
        check_index(i, self.len())?;
        self.spikes(i).map_err(DataError::malformed(&self.path))
    }
}

/// What `read` returns, or an error where the HDF5 library panics: version 0.12.1 multiplies sizes from the file without a
/// check, which panics in builds that check overflow. Nothing outlives the panic that could be seen half-changed.
fn guarded<T>(read: impl FnOnce() -> Result<T, FormatError>) -> Result<T, FormatError> {
    let broken = || io::Error::other("the reader gave up on its sizes");
    let read = panic::catch_unwind(AssertUnwindSafe(read));
    read.unwrap_or_else(|_| Err(FormatError::BadContainer { format: "HDF5", cause: broken() }))
}

fn bad_hdf5(cause: Hdf5Error) -> FormatError {
    FormatError::BadContainer { format: "HDF5", cause: io::Error::other(cause) }
}

/// An array of another type than `expected`.
fn bad_type(array: &str, expected: &str) -> FormatError {
    let message = format!("{array} has another type than {expected}");
    FormatError::BadContainer { format: "HDF5", cause: io::Error::other(message) }
}

fn same_length(array: impl Fn() -> String, found: usize, expected: usize) -> Result<(), FormatError> {
    if found == expected { Ok(()) } else { Err(FormatError::ArrayLength { array: array(), found, expected }) }
}

/// `None` for what is not in the file.
fn optional<T>(found: Result<T, Hdf5Error>) -> Result<Option<T>, FormatError> {
    let is_missing = |mut error: &Hdf5Error| {
        while let Hdf5Error::Context { source, .. } = error {
            error = source;
        }
        matches!(error, Hdf5Error::DatasetNotFound(_) | Hdf5Error::GroupNotFound(_))
    };
    match found {
        Ok(value) => Ok(Some(value)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(bad_hdf5(error)),
    }
}

/// How numbers of a type are stored; `None` for other types.
fn number_of(datatype: &Datatype) -> Option<Number> {
    let (kind, size, order) = match datatype {
        Datatype::FixedPoint { size, signed: true, byte_order } => (Kind::Signed, size, byte_order),
        Datatype::FixedPoint { size, signed: false, byte_order } => (Kind::Unsigned, size, byte_order),
        Datatype::FloatingPoint { size, byte_order } => (Kind::Float, size, byte_order),
        _ => return None,
    };
    Number::new(kind, usize::from(*size), matches!(order, ByteOrder::BigEndian))
}

/// The values of an array of one number for each of `n` samples.
fn numbers(array: &Array, name: &'static str, n: usize) -> Result<Sequence, FormatError> {
    // Before they are read: memory is then bounded by that of the references to the spikes.
    let found = array.num_elements().map_err(bad_hdf5)?;
    same_length(|| name.to_owned(), index(found), n)?;
    let number = number_of(array.dtype()).ok_or_else(|| bad_type(name, "numbers"))?;
    let bytes = array.read_raw_bytes().map_err(bad_hdf5)?;
    Ok(Sequence { array: name, sample: None, bytes, number })
}

/// An array of one sequence of numbers a sample.
struct Sequences {
    name: &'static str,
    array: Array,
    number: Number,
    /// Where the sequences lie.
    references: Vec<u8>,
}

impl Sequences {
    fn open(hdf5: &Hdf5File, name: &'static str) -> Result<Self, FormatError> {
        let array = hdf5.dataset(name).map_err(bad_hdf5)?;
        let number = match array.dtype() {
            Datatype::VarLen { base, kind: VarLenKind::Sequence, .. } => number_of(base),
            _ => None,
        };
        let number = number.ok_or_else(|| bad_type(name, "sequences of numbers"))?;
        let references = array.read_raw_bytes().map_err(bad_hdf5)?;
        Ok(Self { name, array, number, references })
    }

    fn len(&self) -> usize {
        self.references.len() / self.array.vlen_reference_size()
    }

    fn get(&self, i: usize) -> Result<Sequence, FormatError> {
        let size = self.array.vlen_reference_size();
        let reference = self.references.chunks_exact(size).nth(i).unwrap_or_default();
        let bytes =
            self.array.resolve_vlen_reference_bytes(reference, self.number.size()).map_err(bad_hdf5)?;
        Ok(Sequence { array: self.name, sample: Some(i), bytes, number: self.number })
    }
}

/// Numbers, with the name of their array and the sample for messages.
struct Sequence {
    array: &'static str,
    sample: Option<usize>,
    bytes: Vec<u8>,
    number: Number,
}

impl Sequence {
    fn len(&self) -> usize {
        self.bytes.len() / self.number.size()
    }

    fn name(&self) -> String {
        self.sample.map_or_else(|| self.array.to_owned(), |i| format!("{}[{i}]", self.array))
    }

    /// All numbers, which must be integers, as `read` understands them.
    fn all<T>(
        &self,
        field: &'static str,
        expected: &'static str,
        read: impl Fn(i64) -> Option<T>,
    ) -> Result<Vec<T>, FormatError> {
        let read = |value: Value| value.integer().and_then(&read);
        (0..self.len()).map(|k| self.value(k, field, expected, read)).collect()
    }

    /// Number `k` as `read` understands it.
    fn value<T>(
        &self,
        k: usize,
        field: &'static str,
        expected: &'static str,
        read: impl Fn(Value) -> Option<T>,
    ) -> Result<T, FormatError> {
        let offset = k * self.number.size();
        let bytes = self.bytes.get(offset..offset + self.number.size()).unwrap_or_default();
        self.number.value(bytes).and_then(read).ok_or_else(|| {
            let found = self.number.bits(bytes);
            let problem = Box::new(FormatError::BadWord { field, offset, found, expected });
            FormatError::InArray { array: self.name(), problem }
        })
    }
}

#[cfg(test)]
mod tests {
    use hdf5_writer::{DatasetBuilder, Datatype as WriterType, Hdf5Builder, WriteOptions};
    use proptest::prelude::*;

    use super::*;

    /// Made by `tools/fixtures/shd.py`, which says what is in it.
    const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/shd.h5");

    fn floats(size: u8) -> WriterType {
        WriterType::FloatingPoint { size, byte_order: hdf5_writer::ByteOrder::LittleEndian }
    }

    fn integers(size: u8) -> WriterType {
        let byte_order = hdf5_writer::ByteOrder::LittleEndian;
        WriterType::FixedPoint { size, signed: false, byte_order }
    }

    type Sequences = (WriterType, Vec<Vec<u8>>);

    /// A file of these arrays, and of others.
    fn file(times: Sequences, units: Sequences, others: Vec<DatasetBuilder>) -> Vec<u8> {
        let array = |name, (base, values): Sequences| {
            let shape = vec![u64::try_from(values.len()).unwrap()];
            DatasetBuilder::vlen_sequence_data(name, base, shape, values).unwrap()
        };
        let spikes = [array("spikes/times", times), array("spikes/units", units)];
        let builder = spikes.into_iter().chain(others).fold(Hdf5Builder::new(), Hdf5Builder::dataset);
        builder.into_plan().unwrap().encode(WriteOptions::default()).unwrap()
    }

    fn labels(values: &[u16]) -> Vec<DatasetBuilder> {
        let shape = vec![u64::try_from(values.len()).unwrap()];
        vec![DatasetBuilder::typed_data("labels", shape, values).unwrap()]
    }

    fn one(times: &[f64], units: &[u16]) -> Vec<u8> {
        let times = times.iter().flat_map(|t| t.to_le_bytes()).collect();
        let units = units.iter().flat_map(|u| u.to_le_bytes()).collect();
        file((floats(8), vec![times]), (integers(2), vec![units]), labels(&[7]))
    }

    fn open(bytes: Vec<u8>) -> Shd {
        Shd::decode(bytes, ShdFile::ShdTrain).unwrap()
    }

    fn refusal(bytes: Vec<u8>) -> String {
        Shd::decode(bytes, ShdFile::ShdTrain).unwrap_err().to_string()
    }

    #[test]
    fn a_file_of_the_hdf5_library_is_read() {
        let data = Shd::read(Path::new(FIXTURE), ShdFile::ShdTest).unwrap();
        assert_eq!((data.len(), data.n_classes(), data.sensor()), (7, 20, SENSOR));
        assert_eq!(
            (data.labels(), data.speakers()),
            (vec![0, 3, 6, 9, 12, 15, 18], &[0, 1, 2, 0, 1, 2, 0][..])
        );
        assert_eq!((data.names().len(), data.names()[19].as_str()), (20, "word 19"));
        assert_eq!(
            (data.sample_name(6), data.speaker(6), data.speaker(7)),
            ("shd_test/00006", Some(0), None)
        );
        for i in 0..7u16 {
            let event = |k: u16| {
                let t = u32::from(k + 4 * i) * 15_625;
                Event { x: (37 * k + 101 * i) % 700, y: 0, on: true, t }
            };
            assert!(data.events(i.into()).unwrap().iter().eq((0..3 * i).map(event)), "sample {i}");
        }
        assert!(matches!(data.events(7), Err(DataError::BadIndex { index: 7, len: 7 })));
        let remark = data.remarks()[0].to_string();
        assert_eq!(remark, "shd_test.h5: 7 samples, the published file has 2264");
        assert!(format!("{data:?}").contains("shd.h5"));
    }

    #[test]
    fn samples_may_be_read_by_several_threads() {
        use rayon::prelude::*;
        let data = Shd::read(Path::new(FIXTURE), ShdFile::ShdTest).unwrap();
        let counts: Vec<usize> =
            (0..700).into_par_iter().map(|k| data.events(k % 7).unwrap().len()).collect();
        assert!((0..700).all(|k| counts[k] == 3 * (k % 7)));
    }

    /// The fixture has floats of 16 bits.
    #[test]
    fn floats_of_32_and_64_bits_are_times() {
        let sizes: [(u8, Vec<u8>); 2] = [
            (4, [0.5f32.to_le_bytes(), 1.25f32.to_le_bytes()].concat()),
            (8, [0.5f64.to_le_bytes(), 1.25f64.to_le_bytes()].concat()),
        ];
        for (size, times) in sizes {
            let units = vec![9, 0, 0xBB, 2];
            let data = open(file((floats(size), vec![times]), (integers(2), vec![units]), labels(&[19])));
            let events = data.events(0).unwrap();
            assert_eq!((events.x(), events.y(), events.on()), (&[9, 699][..], &[0; 2][..], &[true; 2][..]));
            assert_eq!(events.t(), [500_000, 1_250_000], "{size} bytes");
            assert_eq!((data.label(0), data.speaker(0), data.names().len()), (19, None, 0));
        }
    }

    #[test]
    fn bad_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let missing = Shd::open(folder.path(), ShdFile::SscValid).unwrap_err().to_string();
        assert!(missing.starts_with("cannot read ") && missing.contains("ssc_valid.h5: "), "{missing}");
        std::fs::write(folder.path().join("ssc_valid.h5"), [0x1F, 0x8B, 8, 0]).unwrap();
        let packed = Shd::open(folder.path(), ShdFile::SscValid).unwrap_err().to_string();
        assert!(packed.contains("ssc_valid.h5: not a readable HDF5 file: "), "{packed}");
        let (times, units) = ((floats(4), vec![vec![]]), (integers(2), vec![vec![]]));
        let message = refusal(file(times.clone(), units.clone(), Vec::new()));
        assert!(message.contains("labels"), "{message}");
        let message = refusal(file(units.clone(), units.clone(), labels(&[1])));
        let expected = "spikes/times has another type than sequences of floats";
        assert_eq!(message, format!("not a readable HDF5 file: {expected}"));
        let message = refusal(file(times.clone(), units.clone(), labels(&[1, 2])));
        assert_eq!(message, "array labels has 2 entries, expected 1");
        let uneven = refusal(file(times.clone(), (integers(2), vec![vec![]; 3]), labels(&[1])));
        assert_eq!(uneven, "array spikes/units has 3 entries, expected 1");
        let message = refusal(file(times, units, labels(&[20])));
        let expected = "label at byte offset 0 is 0x14, expected a class of the data set";
        assert_eq!(message, format!("in array labels: {expected}"));
    }

    #[test]
    fn bad_spikes_are_named() {
        let message =
            |times: &[f64], units: &[u16]| open(one(times, units)).events(0).unwrap_err().to_string();
        let uneven = "shd_train.h5: array spikes/units[0] has 1 entries, expected 2";
        assert_eq!(message(&[0.0, 0.1], &[0]), uneven);
        let unit = "in array spikes/units[0]: unit at byte offset 2 is 0x2bc, expected a channel of 0..699";
        assert_eq!(message(&[0.0, 0.1], &[699, 700]), format!("shd_train.h5: {unit}"));
        for time in [-0.1, f64::NAN, f64::INFINITY, 4_295.0] {
            let message = message(&[0.0, time], &[0, 0]);
            assert!(message.contains("spikes/times[0]: time at byte offset 8 is 0x"), "{message}");
        }
    }

    /// Reads all that can be read.
    fn read_all(bytes: Vec<u8>) {
        if let Ok(data) = Shd::decode(bytes, ShdFile::ShdTrain) {
            (0..data.len()).for_each(|i| drop(data.events(i)));
        }
    }

    #[test]
    fn it_may_be_cut_anywhere() {
        let bytes = one(&[0.0, 0.1], &[1, 2]);
        (0..bytes.len()).for_each(|len| read_all(bytes[..len].to_vec()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..10),
        ) {
            for mut bytes in [std::fs::read(FIXTURE).unwrap(), one(&[0.0, 0.1], &[1, 2])] {
                changes.iter().for_each(|(at, value)| *at.get_mut(&mut bytes) = *value);
                read_all(bytes);
            }
        }
    }
}
