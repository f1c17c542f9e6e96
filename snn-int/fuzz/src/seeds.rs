//! Writes small models to `corpus/model/`: `cargo run --bin seeds`, in this folder.

#[allow(dead_code, reason = "the seeds are drawn, not run")]
#[path = "../../tests/reference/mod.rs"]
mod reference;

use std::path::Path;

/// Where the body of a file begins.
const HEADER: usize = 16;

/// Longest body of a seed.
const LONGEST: usize = 1200;

fn main() -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/model");
    std::fs::create_dir_all(&folder)?;
    let models = (0..).map(|seed| (seed, reference::draw_model(seed).to_bytes().expect("a drawn model")));
    for (seed, file) in models.filter(|(_, file)| file.len() < HEADER + LONGEST).take(48) {
        std::fs::write(folder.join(format!("drawn_{seed}")), &file[HEADER..])?;
    }
    Ok(())
}
