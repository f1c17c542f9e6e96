//! Writes the small seeds of every target to `corpus/`: `cargo run --bin seeds`, in this folder.

use snn_data::format::any::{EventFormat, encode};
use snn_data::{Event, EventStream, SensorSize};
use std::fs;
use std::io;
use std::path::Path;

/// A few events at the edges of what formats can hold.
fn events() -> EventStream {
    let times = [0, 1, 63, 64, 4_095, 4_096, 70_000, 300_000];
    let event = |(k, t): (u16, u32)| Event { x: 31 * k % 128, y: 17 * k % 120, on: k % 2 == 0, t };
    (0..).zip(times).map(event).collect()
}

/// EVT 2.1: a time, then vectors of ON and OFF pixels.
fn evt21() -> Vec<u8> {
    let words: [u64; 4] =
        [0x8000_0001_0000_0000, 0x1040_0805_8000_0003, 0x0080_1006_0000_F000, 0xE000_0000_0000_0000];
    let words = words.iter().flat_map(|word| word.to_le_bytes());
    b"% evt 2.1\n% end\n".iter().copied().chain(words).collect()
}

fn es() -> Vec<u8> {
    let head = b"Event Stream\x02\x00\x00\x01\x40\x01\xF0\x00";
    [&head[..], &[5, 3, 0, 5, 0, 0xFF, 0xFE, 4, 63, 1, 239, 0, 9, 0, 0, 0, 0]].concat()
}

fn idx() -> Vec<u8> {
    [&[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3][..], &[1; 12]].concat()
}

fn write(target: &str, bytes: &[u8]) -> io::Result<()> {
    let folder = Path::new("corpus").join(target);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("seed"), bytes)
}

fn main() -> io::Result<()> {
    for format in EventFormat::ALL {
        match (encode(format, &events(), Some(SensorSize::new(128, 128))), format.name()) {
            (Ok(bytes), name) => write(name, &bytes)?,
            (Err(_), "evt21") => write("evt21", &evt21())?,
            (Err(_), "es") => write("es", &es())?,
            (Err(error), name) => panic!("no seed for {name}: {error}"),
        }
    }
    write("idx", &idx())
}
