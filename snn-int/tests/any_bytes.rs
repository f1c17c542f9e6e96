//! Bytes of all kinds are refused or run: random ones, damaged models, the seeds of the fuzz target and inputs that once
//! crashed it.

#![cfg(feature = "alloc")]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panic")]

#[allow(unreachable_pub, clippy::expect_used, reason = "public for the fuzz target, which fails by panic")]
#[path = "../fuzz/src/lib.rs"]
mod checks;
#[allow(dead_code, reason = "models are drawn here, and compared in another test")]
mod reference;

use proptest::prelude::*;
use reference::draw_model;
use std::path::{Path, PathBuf};

/// Where the body of a file begins.
const HEADER: usize = 16;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn changed_bytes_are_refused_or_run(seed in any::<u64>(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = draw_model(seed).to_bytes().unwrap();
        let at = at.index(bytes.len() - HEADER);
        bytes[HEADER + at] = byte;
        let _ = checks::check(&bytes[HEADER..]);
    }

    #[test]
    fn any_bytes_are_refused_or_run(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = checks::check_file(&bytes);
        let _ = checks::check(&bytes);
    }
}

#[test]
fn a_model_cut_anywhere_is_refused() {
    for seed in 0..12 {
        let bytes = draw_model(seed).to_bytes().unwrap();
        for end in HEADER..bytes.len().min(600) {
            assert!(!checks::check(&bytes[HEADER..end]), "{end} bytes of model {seed}");
        }
    }
}

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(folder).join("model");
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn seeds_run_and_past_crashes_do_not_crash() {
    let seeds = files("corpus");
    assert!(seeds.len() > 40, "{} seeds", seeds.len());
    for seed in seeds {
        assert!(checks::check(&std::fs::read(&seed).unwrap()), "{} was not run", seed.display());
    }
    for crash in files("crashes") {
        let _ = checks::check(&std::fs::read(&crash).unwrap());
    }
}
