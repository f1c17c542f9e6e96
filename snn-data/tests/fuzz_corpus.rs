//! Seeds of the fuzz targets and inputs that once crashed one, replayed; and each file cut short at every byte.

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
    for format in snn_data::format::any::EventFormat::ALL {
        assert!(
            targets.iter().any(|folder| folder.ends_with(format.name())),
            "no seeds for {}",
            format.name()
        );
    }
    for folder in targets {
        let target = folder.file_name().unwrap().to_str().unwrap();
        for file in fs::read_dir(&folder).unwrap() {
            let bytes = fs::read(file.unwrap().path()).unwrap();
            checks::check(target, &bytes);
            for len in 0..bytes.len() {
                checks::check(target, &bytes[..len]);
            }
        }
    }
}
