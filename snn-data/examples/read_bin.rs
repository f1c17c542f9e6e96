//! 40-bit events (N-MNIST, N-Caltech101): one file, event by event.
//!
//! `cargo run -p snn-data --example read_bin -- data/nmnist/Train/5/00001.bin`; without a file, one is made up.

#![allow(clippy::print_stdout, reason = "an example shows what it found")]

use snn_data::format::nmnist_bin::{NMNIST_SENSOR, decode, encode};
use snn_data::{Event, EventStream};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bytes = match std::env::args().nth(1) {
        Some(path) => std::fs::read(path)?,
        None => {
            encode(&(0..4).map(|k| Event { x: k, y: 5, on: k % 2 == 0, t: 250 }).collect::<EventStream>())?
        }
    };
    let events = decode(&bytes, NMNIST_SENSOR)?;
    println!("{} events, {} of them ON, over {} us", events.len(), events.n_on(), events.duration_us());
    for event in events.iter().take(5) {
        println!("{} us: ({}, {}) {}", event.t, event.x, event.y, if event.on { "ON" } else { "OFF" });
    }
    Ok(())
}
