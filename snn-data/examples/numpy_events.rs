//! NumPy files of events: `[N, 4]` arrays in the order of columns and the unit of time that you say.
//!
//! `cargo run -p snn-data --features npy --example numpy_events -- ibmGestureTrain/user01_led/3.npy`

#![allow(clippy::print_stdout, reason = "an example shows what it found")]

use snn_data::format::npy_events::{NpyOptions, TimeUnit, decode};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Some(path) = std::env::args().nth(1) else {
        println!("give an .npy or .npz file of events");
        return Ok(());
    };
    // Tonic's copy of DVS128 Gesture has times in ms.
    let options = NpyOptions { time: TimeUnit::Milliseconds, ..NpyOptions::default() };
    let recording = decode(&std::fs::read(path)?, &options)?;
    println!("{} events over {} us", recording.events.len(), recording.events.duration_us());
    Ok(())
}
