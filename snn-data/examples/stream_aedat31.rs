//! AEDAT 3.1 (DVS128 Gesture) as a stream in bounded memory: events are counted by second, and never all held.
//!
//! `cargo run -p snn-data --example stream_aedat31 -- DvsGesture/user01_led.aedat`; without a file, one is made
//! up.

#![allow(clippy::print_stdout, reason = "an example shows what it found")]

use snn_data::format::aedat31::{Aedat31, encode};
use snn_data::format::decode::EventReader;
use snn_data::{Event, EventStream, SensorSize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Cursor, Read};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let source: Box<dyn Read> = match std::env::args().nth(1) {
        Some(path) => Box::new(File::open(path)?),
        None => {
            let events: EventStream =
                (0..9_000).map(|k| Event { x: 3, y: 4, on: true, t: 500 * k }).collect();
            Box::new(Cursor::new(encode(&events, SensorSize::new(128, 128))?))
        }
    };
    let mut reader = EventReader::new(source, Aedat31::new());
    let (mut events, mut per_second) = (EventStream::default(), BTreeMap::new());
    let mut goes_on = true;
    while goes_on {
        events.clear();
        goes_on = reader.read_into(&mut events)?;
        events.t().iter().for_each(|t| *per_second.entry(t / 1_000_000).or_insert(0) += 1);
    }
    per_second.iter().for_each(|(second, n)| println!("second {second}: {n} events"));
    Ok(())
}
