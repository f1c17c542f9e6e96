//! The committed reference files are the ones that their manifest describes, small, and readable.

use std::collections::BTreeMap;
use std::path::PathBuf;

use sha2::{Digest, Sha256};
use snn_testkit::{Golden, workspace_root};

const MAX_TOTAL_BYTES: usize = 1_000_000;

fn golden_dir() -> PathBuf {
    workspace_root().join("tests/golden")
}

/// Bytes of each `.npz` file in the folder, by file name.
fn files() -> std::io::Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(golden_dir())? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".npz") {
            files.insert(name, std::fs::read(entry.path())?);
        }
    }
    Ok(files)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn files_match_the_manifest() {
    let text = std::fs::read_to_string(golden_dir().join("MANIFEST.toml")).unwrap();
    let manifest: toml::Table = text.parse().unwrap();
    let listed = manifest["files"].as_table().unwrap();
    let files = files().unwrap();
    assert_eq!(listed.keys().collect::<Vec<_>>(), files.keys().collect::<Vec<_>>());
    for (name, bytes) in &files {
        assert_eq!(listed[name]["bytes"].as_integer(), i64::try_from(bytes.len()).ok(), "size of {name}");
        assert_eq!(
            listed[name]["sha256"].as_str(),
            Some(hex(&Sha256::digest(bytes)).as_str()),
            "hash of {name}"
        );
    }
}

#[test]
fn files_are_small() {
    let total: usize = files().unwrap().values().map(Vec::len).sum();
    assert!(total < MAX_TOTAL_BYTES, "{total} bytes of reference arrays");
}

#[test]
fn arrays_are_readable_and_finite() {
    for name in files().unwrap().keys() {
        let golden = Golden::open(name.trim_end_matches(".npz"));
        assert!(golden.keys().next().is_some(), "{name} is empty");
        for key in golden.keys() {
            let (shape, values) = golden.get_f64(key);
            assert_eq!(values.len(), shape.iter().product::<usize>(), "{name} {key}");
            assert!(values.iter().all(|v| v.is_finite()), "{name} {key}");
        }
    }
}
