//! Real recordings: what is read must have the known counts, ranges and times.
//!
//! The folder is that of the environment variable `SNN_DATA_DIR`, else `shared/data` beside the workspace.

#![allow(clippy::print_stdout, reason = "a skipped test says so")]

use std::path::PathBuf;

use snn_data::datasets::idx_images::IdxImages;
use snn_data::datasets::nmnist::{NMnist, Selection};
use snn_data::datasets::simulated::SimulatedImages;
use snn_data::simulator::SimulatorConfig;
use snn_data::stats::{check, stats};
use snn_data::{Dataset, Part, Preloaded, ToFrames};

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
