//! A file of events in any format, found by its first bytes or its name: DAT, EVT 2.0, 2.1 and 3.0, Event Stream,
//! AEDAT 2.0 and 3.1; with features also AEDAT 4 and NumPy's.
//!
//! `cargo run -p snn-data --all-features --example read_any -- recording.raw`

#![allow(clippy::print_stdout, reason = "an example shows what it found")]

use snn_data::format::any::{EventFormat, ReadOptions, read};
use snn_data::format::decode::Damage;
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Some(path) = std::env::args().nth(1) else {
        let names: Vec<&str> = EventFormat::ALL.iter().map(|format| format.name()).collect();
        println!("give a file in one of the formats {}", names.join(", "));
        return Ok(());
    };
    // A recording that was cut short gives what comes before the cut.
    let options = ReadOptions { damage: Damage::Keep, ..ReadOptions::default() };
    let (format, recording) = read(Path::new(&path), &options)?;
    println!("{}: {} events", format.name(), recording.events.len());
    println!("sensor: {:?}, clock at t = 0: {} us", recording.sensor, recording.origin_us);
    println!("other words or packets: {}", recording.n_skipped);
    if let Some(damage) = recording.damage {
        println!("not read to its end: {damage}");
    }
    Ok(())
}
