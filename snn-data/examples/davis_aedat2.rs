//! AEDAT 2.0 of a DAVIS camera: pixels turned as the camera sees them or as jAER stores them, other words skipped.
//!
//! `cargo run -p snn-data --example davis_aedat2 -- recording.aedat`; without a file, one is made up.

#![allow(clippy::print_stdout, reason = "an example shows what it found")]

use snn_data::format::aedat2::{Aedat2, Camera, Convention, encode};
use snn_data::format::decode::{Damage, decode};
use snn_data::{Event, EventStream};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bytes = match std::env::args().nth(1) {
        Some(path) => std::fs::read(path)?,
        None => {
            let events: EventStream = (0..3).map(|k| Event { x: k, y: 0, on: true, t: 10 }).collect();
            encode(&events, Camera::Davis240, Convention::default())?
        }
    };
    let recording = decode(Aedat2::new(Camera::Davis240, Convention::default()), &bytes, Damage::Keep)?;
    println!("{} events, {} words of frames and motion", recording.events.len(), recording.n_skipped);
    if let Some(damage) = recording.damage {
        println!("not read to its end: {damage}");
    }
    Ok(())
}
