//! Prophesee's formats, written and read: DAT, EVT 2.0, EVT 3.0; and how large the same events are in each.
//!
//! `cargo run -p snn-data --example convert_prophesee`

#![allow(clippy::print_stdout, reason = "an example shows what it found")]

use snn_data::format::{dat, evt2, evt3};
use snn_data::{Event, EventStream, SensorSize};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sensor = SensorSize::new(640, 480);
    let events: EventStream = (0..1_000)
        .map(|k| Event { x: 7 * k % 640, y: k / 4, on: k % 3 == 0, t: 20 * u32::from(k) })
        .collect();
    let files = [
        ("DAT", dat::encode(&events, Some(sensor))?),
        ("EVT 2.0", evt2::encode(&events, Some(sensor))?),
        ("EVT 3.0", evt3::encode(&events, Some(sensor))?),
    ];
    let read = [dat::decode(&files[0].1)?, evt2::decode(&files[1].1)?, evt3::decode(&files[2].1)?];
    for ((name, bytes), recording) in files.iter().zip(read) {
        assert_eq!((recording.events, recording.sensor), (events.clone(), Some(sensor)));
        println!("{name}: {:.2} bytes an event", bytes.len() as f64 / events.len() as f64);
    }
    Ok(())
}
