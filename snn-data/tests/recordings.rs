//! Real recordings: what is read must have the known counts, ranges and times.
//!
//! The folder is that of the environment variable `SNN_DATA_DIR`, else `shared/data` beside the workspace.

#![allow(clippy::print_stdout, reason = "a skipped test says so")]

use std::path::PathBuf;

use snn_data::datasets::folder::EventFolder;
use snn_data::datasets::idx_images::IdxImages;
use snn_data::datasets::ncaltech101::{self, Background};
use snn_data::datasets::ncars;
use snn_data::datasets::nmnist::{NMnist, Selection};
use snn_data::datasets::simulated::SimulatedImages;
use snn_data::format::aedat2::{self, Camera, Convention};
use snn_data::format::decode::{Damage, EventReader, Recording, decode};
use snn_data::format::{dat, es, evt2, evt3};
use snn_data::simulator::SimulatorConfig;
use snn_data::stats::{check, stats};
use snn_data::{Dataset, EventStream, Part, Preloaded, SensorSize, ToFrames};

/// The folder of a data set, or `None` (said aloud) where it is not on this machine.
fn folder(name: &str) -> Option<PathBuf> {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data"));
    let path = std::env::var_os("SNN_DATA_DIR").map_or_else(beside, PathBuf::from).join(name);
    if path.is_dir() {
        Some(path)
    } else {
        println!("skipped: no {name} recordings in {} (set SNN_DATA_DIR)", path.display());
        None
    }
}

#[test]
fn nmnist_has_the_known_statistics() {
    let Some(root) = folder("nmnist") else { return };
    let data = NMnist::open(&root, &Selection::Whole).unwrap();
    let report = check(&data);
    assert!(report.findings.is_empty(), "{}", report.findings[0]);
    let stats = report.stats;
    assert_eq!(stats.n_samples, data.len());
    assert!(stats.per_class.iter().all(|&n| n > 0));
    let (events, first, last) = (stats.events.unwrap(), stats.first_us.unwrap(), stats.last_us.unwrap());
    assert!(events.min >= 1_069 && events.max <= 7_152, "{events:?}");
    assert!((events.mean - 4_108.0).abs() < 100.0, "{events:?}");
    assert!((stats.on_share - 0.498).abs() < 0.002, "{}", stats.on_share);
    assert!(first.max <= 7_370, "{first:?}");
    assert!(last.min >= 296_841 && last.max <= 336_040, "{last:?}");
}

#[test]
fn nmnist_splits_are_disjoint_and_complete() {
    let Some(root) = folder("nmnist") else { return };
    let open =
        |name: &str| NMnist::open(&root, &Selection::SplitFile(root.join("splits").join(name))).unwrap();
    let names = |data: &NMnist| (0..data.len()).map(|i| data.sample_name(i).to_owned()).collect::<Vec<_>>();
    let (train, val) = (open("dev_train.txt"), open("dev_val.txt"));
    assert_eq!((train.len(), val.len()), (700, 100));
    let mut both = [names(&train), names(&val)].concat();
    both.sort_unstable();
    assert_eq!(both, names(&NMnist::open(&root, &Selection::Part(Part::Train)).unwrap()));
}

#[test]
fn few_nmnist_events_lie_beyond_300_ms() {
    let Some(root) = folder("nmnist") else { return };
    let data = Preloaded::load(&NMnist::open(&root, &Selection::Whole).unwrap()).unwrap();
    let framer = ToFrames::default().framer(data.sensor()).unwrap();
    let (mut total, mut kept) = (0.0, 0.0);
    for i in 0..data.len() {
        total += data.stream(i).len() as f64;
        kept += framer.frames(data.stream(i)).iter().map(|&v| f64::from(v)).sum::<f64>();
    }
    let late = 1.0 - kept / total;
    assert!((0.001..0.004).contains(&late), "{late}");
}

#[test]
fn mnist_and_fashion_mnist_have_the_known_sizes() {
    let mnist = [5_923, 6_742, 5_958, 6_131, 5_842, 5_421, 5_918, 6_265, 5_851, 5_949];
    for (name, per_class) in [("mnist", mnist), ("fashion-mnist", [6_000; 10])] {
        let Some(root) = folder(name) else { continue };
        let (train, test) =
            (IdxImages::open(&root, Part::Train).unwrap(), IdxImages::open(&root, Part::Test).unwrap());
        assert_eq!(
            (train.len(), test.len(), train.size(), test.size()),
            (60_000, 10_000, (28, 28), (28, 28))
        );
        let mut found = [0; 10];
        (0..train.len()).for_each(|i| found[train.label(i)] += 1);
        assert_eq!(found, per_class, "{name}");
    }
}

/// Share of the real recordings' variation over pixels, polarities and 20 time bins that the simulated ones of the
/// same images explain (cosine similarity), and the ratio of event counts.
#[test]
fn simulated_recordings_resemble_real_ones() {
    let (Some(real), Some(mnist)) = (folder("nmnist"), folder("mnist")) else { return };
    let real = NMnist::open(&real, &Selection::Whole).unwrap();
    let images = IdxImages::open(mnist, Part::Train).unwrap();
    let simulated = SimulatedImages::new(images, &SimulatorConfig::default(), 1).unwrap();
    let counts = |data: &dyn Dataset, i: usize| {
        let frames = ToFrames::time_bins(20).frames(&data.events(i).unwrap(), data.sensor()).unwrap();
        frames.into_iter().map(f64::from).collect::<Vec<_>>()
    };
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let (mut similarity, mut n_real, mut n_simulated) = (0.0, 0.0, 0.0);
    let chosen: Vec<usize> = (0..real.len()).step_by(20).collect();
    for &i in &chosen {
        let number: usize = real.path(i).file_stem().unwrap().to_str().unwrap().parse().unwrap();
        assert_eq!(real.label(i), simulated.label(number - 1));
        let (a, b) = (counts(&real, i), counts(&simulated, number - 1));
        similarity += dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt() / chosen.len() as f64;
        n_real += a.iter().sum::<f64>();
        n_simulated += b.iter().sum::<f64>();
    }
    println!("similarity {similarity:.3}, events {:.3} of the real ones", n_simulated / n_real);
    assert!((0.9..1.1).contains(&(n_simulated / n_real)), "{}", n_simulated / n_real);
    assert!(similarity > 0.7, "{similarity}");
}

#[test]
fn statistics_of_simulated_recordings_are_realistic() {
    let Some(mnist) = folder("mnist") else { return };
    let images = IdxImages::open(mnist, Part::Test).unwrap();
    let simulated = SimulatedImages::new(images, &SimulatorConfig::default(), 1).unwrap();
    let some: Vec<usize> = (0..200).collect();
    let stats = stats(&Preloaded::load_subset(&simulated, &some).unwrap()).unwrap();
    let events = stats.events.unwrap();
    assert!((3_300.0..4_900.0).contains(&events.mean), "{events:?}");
    assert!((0.45..0.55).contains(&stats.on_share), "{}", stats.on_share);
}

/// Number of events, of ON events, sums of x, y and t, first and last time, largest x and y: what a few lines of
/// numpy found in the same files.
type Summary = (usize, usize, [u64; 3], [u32; 2], [u16; 2]);

fn summary(recording: &Recording) -> Summary {
    let events = &recording.events;
    assert_eq!((recording.origin_us, recording.n_skipped), (0, 0));
    assert_eq!(events.first_unsorted(), None);
    let sum = |values: &[u16]| values.iter().map(|&v| u64::from(v)).sum::<u64>();
    let t = events.t().iter().map(|&t| u64::from(t)).sum();
    let max = |values: &[u16]| values.iter().copied().max().unwrap_or_default();
    (
        events.len(),
        events.n_on(),
        [sum(events.x()), sum(events.y()), t],
        [events.t()[0], events.t()[events.len() - 1]],
        [max(events.x()), max(events.y())],
    )
}

#[test]
fn ncars_recordings_have_the_known_events() {
    let Some(root) = folder("ncars") else { return };
    for (name, expected) in [
        ("obj_004397_td.dat", (4_407, 1_671, [108_033, 134_194, 239_318_661], [0, 99_937], [53, 60])),
        ("tonic_sample_ncars.dat", (2_009, 1_350, [93_457, 40_463, 98_196_680], [0, 99_952], [77, 41])),
    ] {
        let bytes = std::fs::read(root.join(name)).unwrap();
        let recording = dat::decode(&bytes).unwrap();
        assert_eq!((summary(&recording), recording.sensor), (expected, None), "{name}");
        let written = dat::encode(&recording.events, Some(SensorSize::new(120, 100))).unwrap();
        assert_eq!(dat::decode(&written).unwrap().events, recording.events, "{name}");
        let n = recording.events.len() * dat::EVENT_BYTES;
        assert_eq!(written[written.len() - n..], bytes[bytes.len() - n..], "{name}");
    }
}

#[test]
fn evt2_recordings_have_the_known_events() {
    let Some(root) = folder("prophesee") else { return };
    let sample =
        (539_481, 367_855, [171_811_022, 110_162_026, 724_340_275_912], [1_317_888, 1_367_888], [599, 475]);
    let faery = (
        521_252,
        185_861,
        [128_979_953, 216_346_680, 476_298_094_656_969],
        [913_716_224, 913_812_095],
        [639, 479],
    );
    for (name, expected) in [("evt2_sample.raw", sample), ("faery_evt2.raw", faery)] {
        let recording = evt2::decode(&std::fs::read(root.join(name)).unwrap()).unwrap();
        assert_eq!((summary(&recording), recording.sensor), (expected, None), "{name}");
        let written = evt2::encode(&recording.events, Some(SensorSize::new(640, 480))).unwrap();
        assert_eq!(evt2::decode(&written).unwrap().events, recording.events, "{name}");
    }
}

#[test]
fn evt3_recordings_equal_the_reference_but_for_its_times() {
    let Some(root) = folder("prophesee") else { return };
    let bytes = std::fs::read(root.join("evt3_sample.raw")).unwrap();
    let recording = evt3::decode(&bytes).unwrap();
    let sums = [159_113_225, 85_638_051, 2_574_324_900_467];
    let expected = (219_596, 115_532, sums, [11_718_656, 11_727_457], [1_279, 719]);
    assert_eq!((summary(&recording), recording.sensor), (expected, None));
    let written = evt3::encode(&recording.events, None).unwrap();
    assert_eq!(evt3::decode(&written).unwrap().events, recording.events);

    // Events of 16 bytes behind the header: time (i64), x, y (i16), polarity (u8).
    let reference = std::fs::read(root.join("evt3_sample.npy")).unwrap();
    let start = 10 + usize::from(u16::from_le_bytes([reference[8], reference[9]]));
    let rows: Vec<&[u8]> = reference[start..].chunks_exact(16).collect();
    assert_eq!(rows.len(), recording.events.len());
    let mut first_wrong = None;
    for (k, (event, row)) in recording.events.iter().zip(rows).enumerate() {
        let field = |at: usize| u16::from_le_bytes([row[at], row[at + 1]]);
        assert_eq!((event.x, event.y, u8::from(event.on)), (field(8), field(10), row[12]), "event {k}");
        let ahead = u64::from_le_bytes(row[..8].try_into().unwrap()) - u64::from(event.t);
        assert_eq!(ahead % 4_096, 0, "event {k}");
        if ahead > 0 {
            first_wrong.get_or_insert(k);
        }
    }
    assert_eq!(first_wrong, Some(20_121));
    // 8.8 ms of recording; the reference's times say 53.9 ms.
    assert!(recording.events.t().windows(2).all(|pair| pair[1] - pair[0] <= 1));
}

#[test]
fn es_recordings_have_the_known_events() {
    let Some(root) = folder("prophesee") else { return };
    let bytes = std::fs::read(root.join("faery_dvs.es")).unwrap();
    let expected = |rows| (473_225, 270_001, [72_946_016, rows, 200_862_071_000], [0, 999_000], [319, 239]);
    let recording = es::decode(&bytes).unwrap();
    assert_eq!(recording.sensor, Some(SensorSize::new(320, 240)));
    assert_eq!(summary(&recording), expected(473_225 * 239 - 57_092_979));
    let mut reader = EventReader::new(&bytes[..], es::Es::with_stored_rows());
    let mut events = EventStream::default();
    while reader.read_into(&mut events).unwrap() {}
    let stored = Recording { events, ..Recording::default() };
    assert_eq!(summary(&stored), expected(57_092_979));
}

#[cfg(feature = "npy")]
#[test]
fn events_saved_by_numpy_are_those_of_the_camera_but_for_their_times() {
    use snn_data::format::npy_events::{self, NpyOptions};
    let Some(root) = folder("prophesee") else { return };
    let camera = evt3::decode(&std::fs::read(root.join("evt3_sample.raw")).unwrap()).unwrap().events;
    let bytes = std::fs::read(root.join("evt3_sample.npy")).unwrap();
    let numpy = npy_events::decode(&bytes, &NpyOptions::default()).unwrap();
    assert_eq!((numpy.sensor, numpy.origin_us, numpy.n_skipped), (None, 0, 0));
    let numpy = numpy.events;
    assert_eq!((numpy.x(), numpy.y(), numpy.on()), (camera.x(), camera.y(), camera.on()));
    assert_eq!(numpy.t()[..20_121], camera.t()[..20_121]);
    let sum: u64 = numpy.t().iter().map(|&t| u64::from(t)).sum();
    assert_eq!(
        (numpy.first_us(), numpy.last_us(), sum),
        (Some(11_718_656), Some(11_772_513), 2_578_484_396_659)
    );
}

#[test]
fn the_ncaltech101_recording_has_the_known_events() {
    let Some(root) = folder("ncaltech101") else { return };
    let data = ncaltech101::open(&root, Background::LeaveOut).unwrap();
    assert_eq!((data.len(), data.names()[0].as_str(), data.sensor()), (1, "Faces_easy", ncaltech101::SENSOR));
    let recording = Recording { events: data.events(0).unwrap(), ..Recording::default() };
    let sums = [4_337_148, 4_922_131, 9_862_143_111];
    assert_eq!(summary(&recording), (67_445, 33_770, sums, [6, 299_364], [150, 172]));
}

#[test]
fn recordings_of_folders_fit_the_sensors_of_their_data_sets() {
    let Some(root) = folder("ncars") else { return };
    let names = ["obj_004397_td.dat", "tonic_sample_ncars.dat"];
    let made = tempfile::tempdir().unwrap();
    let class = made.path().join("n-cars_train/cars");
    std::fs::create_dir_all(&class).unwrap();
    std::fs::create_dir_all(made.path().join("n-cars_train/background")).unwrap();
    std::fs::copy(root.join(names[0]), class.join(names[0])).unwrap();
    std::fs::copy(root.join(names[1]), made.path().join("n-cars_train/background").join(names[1])).unwrap();
    let data = ncars::open(made.path(), Part::Train).unwrap();
    let counts: Vec<usize> = (0..data.len()).map(|i| data.events(i).unwrap().len()).collect();
    assert_eq!((counts, data.sensor()), (vec![2_009, 4_407], ncars::SENSOR));
    let seen = EventFolder::open(made.path().join("n-cars_train"), None).unwrap();
    assert_eq!((seen.sensor(), seen.labels()), (SensorSize::new(78, 61), vec![0, 1]));
}

/// Bytes changed at random places: an error, or events; never a panic.
#[test]
fn mangled_recordings_never_panic() {
    let Some(root) = folder("prophesee") else { return };
    let read = |name: &str| std::fs::read(root.join(name)).unwrap();
    let (raw2, raw3, es) = (read("evt2_sample.raw"), read("evt3_sample.raw"), read("faery_dvs.es"));
    let mut state = 1u64;
    let mut draw = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    for _ in 0..200 {
        let mut mangle = |bytes: &[u8]| {
            let mut bytes = bytes[..20 + draw(20_000)].to_vec();
            for _ in 0..10 {
                let at = draw(bytes.len());
                bytes[at] = u8::try_from(draw(256)).unwrap();
            }
            bytes
        };
        let _ = decode(evt2::Evt2::new(), &mangle(&raw2), Damage::Keep);
        let _ = decode(evt3::Evt3::new(), &mangle(&raw3), Damage::Keep);
        let _ = decode(es::Es::new(), &mangle(&es), Damage::Keep);
    }
}

#[test]
fn a_davis_recording_has_the_known_events_and_its_other_words_are_skipped() {
    let Some(root) = folder("aedat2") else { return };
    let bytes = std::fs::read(root.join("IMU_translBoxes.aedat")).unwrap();
    let recording = aedat2::decode(&bytes, None, Convention::TopLeft).unwrap();
    assert_eq!((recording.n_skipped, recording.sensor), (33_837, Some(Camera::Davis240.sensor())));
    let sums = [24_301_911, 17_174_673, 48_184_430_434_007];
    let expected = (162_771, 82_944, sums, [294_976_755, 297_049_406], [239, 179]);
    assert_eq!(summary(&Recording { n_skipped: 0, ..recording }), expected);
    let jaer = aedat2::decode(&bytes, Some(Camera::Davis240), Convention::Jaer).unwrap().events;
    let first = jaer.iter().next().unwrap();
    assert_eq!((first.x, first.y, first.on, first.t), (239 - 156, 36, false, 294_976_755));
    let written = aedat2::encode(&jaer, Camera::Davis240, Convention::Jaer).unwrap();
    let words = |bytes: &[u8], n: usize| bytes[bytes.len() - 8 * n..].as_chunks::<8>().0.to_vec();
    let mut original = words(&bytes, 196_608);
    original.retain(|word| word[0] < 0x80);
    assert_eq!(words(&written, jaer.len()), original);

    let header = std::fs::read(root.join("sample_aedat_header.aedat")).unwrap();
    let nothing = aedat2::decode(&header, None, Convention::TopLeft).unwrap();
    assert_eq!((nothing.events.len(), nothing.sensor), (0, Some(Camera::Davis346.sensor())));
}
