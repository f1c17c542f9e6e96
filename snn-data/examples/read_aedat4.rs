//! AEDAT 4, with LZ4, Zstandard or nothing packed: events, the sensor, and the camera's clock, which counts from
//! 1970.
//!
//! `cargo run -p snn-data --features aedat4 --example read_aedat4 -- recording.aedat4`; without a file, a small
//! one of the tests is read.

#![allow(clippy::print_stdout, reason = "an example shows what it found")]

use snn_data::format::aedat4::Aedat4;
use snn_data::format::decode::{Damage, read};
use std::fs::File;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/events_lz4.aedat4");
    let path = std::env::args().nth(1).unwrap_or_else(|| example.to_owned());
    // A recording that was not closed ends within a packet: what comes before is kept.
    let recording = read(File::open(&path)?, Aedat4::new(), Damage::Keep)?;
    println!("{} events on {:?}", recording.events.len(), recording.sensor);
    if let Some(t) = recording.events.first_us() {
        println!("first at {} us since 1970", recording.origin_us + i64::from(t));
    }
    println!("{} packets of other streams", recording.n_skipped);
    if let Some(damage) = recording.damage {
        println!("not read to its end: {damage}");
    }
    Ok(())
}
