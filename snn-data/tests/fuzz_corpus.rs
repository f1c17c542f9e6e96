//! Seeds of the fuzz targets and inputs that once crashed one, replayed; and each file cut short at every byte.

#![cfg(all(feature = "aedat4", feature = "cache", feature = "hdf5", feature = "npy"))]

#[allow(unreachable_pub, reason = "public for the fuzz targets")]
#[path = "../fuzz/src/lib.rs"]
mod checks;

use std::fs;
use std::path::{Path, PathBuf};

/// Folders of the corpus and of past crashes, one for each target.
fn targets() -> Vec<PathBuf> {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let folders = ["corpus", "crashes"].map(|name| fs::read_dir(fuzz.join(name)));
    let entries = folders.into_iter().flatten().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

#[test]
fn the_corpus_holds_what_must_hold() {
    let targets = targets();
    let formats = snn_data::format::any::EventFormat::ALL.iter().map(|format| format.name());
    for name in formats.chain(["cache", "hdf5", "idx", "npz"]) {
        assert!(targets.iter().any(|folder| folder.ends_with(name)), "no seeds for {name}");
    }
    for folder in targets {
        let target = folder.file_name().unwrap().to_str().unwrap();
        for file in fs::read_dir(&folder).unwrap() {
            let bytes = fs::read(file.unwrap().path()).unwrap();
            checks::check(target, &bytes);
            // Of the larger ones, not all.
            for len in (0..bytes.len()).step_by(1 + bytes.len() / 2_000) {
                checks::check(target, &bytes[..len]);
            }
        }
    }
}
