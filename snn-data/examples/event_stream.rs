//! Event Stream (`.es`): rows counted from the top, as everywhere in this crate, or as they are stored, from the
//! bottom.
//!
//! `cargo run -p snn-data --example event_stream -- recording.es`; without a file, one is made up.

#![allow(clippy::print_stdout, reason = "an example shows what it found")]

use snn_data::format::decode::{Damage, decode};
use snn_data::format::es::Es;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bytes = match std::env::args().nth(1) {
        Some(path) => std::fs::read(path)?,
        // A sensor of 320x240 pixels; 127 us; an ON event at (3, 5) 2 us later.
        None => [&b"Event Stream\x02\x00\x00\x01\x40\x01\xF0\x00"[..], &[0xFF, 5, 3, 0, 5, 0]].concat(),
    };
    let recording = decode(Es::new(), &bytes, Damage::Refuse)?;
    let stored = decode(Es::with_stored_rows(), &bytes, Damage::Refuse)?;
    println!("{} events, sensor {:?}", recording.events.len(), recording.sensor);
    for (event, stored) in recording.events.iter().zip(stored.events.iter()).take(5) {
        println!("{} us: ({}, {}), stored as row {}", event.t, event.x, event.y, stored.y);
    }
    Ok(())
}
