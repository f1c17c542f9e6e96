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

/// Two events as Tonic saves them.
fn npy() -> Vec<u8> {
    let header = "{'descr': '<i4', 'fortran_order': False, 'shape': (2, 4), }\n";
    let len = u16::try_from(header.len()).expect("a short header").to_le_bytes();
    let values = [3, 5, 1, 1_000, 4, 6, 0, 2_000_i32].into_iter().flat_map(i32::to_le_bytes);
    [b"\x93NUMPY\x01\x00", &len[..], header.as_bytes()].concat().into_iter().chain(values).collect()
}

/// The same as the only, stored member of an archive.
fn npz() -> Vec<u8> {
    let data = npy();
    let (len, name) = (u32::try_from(data.len()).expect("a short array").to_le_bytes(), b"e.npy");
    let common =
        [&[20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0][..], &crc32(&data).to_le_bytes(), &len, &len, &[5, 0, 0, 0]]
            .concat();
    let local = [&b"PK\x03\x04"[..], &common, name, &data].concat();
    let central = [&b"PK\x01\x02\x14\x00"[..], &common, &[0; 10], &[0; 4], name].concat();
    let at = |n: usize| u32::try_from(n).expect("a short archive").to_le_bytes();
    let end = [&b"PK\x05\x06"[..], &[0, 0, 0, 0, 1, 0, 1, 0], &at(central.len()), &at(local.len()), &[0, 0]]
        .concat();
    [local, central, end].concat()
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| crc >> 1 ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    })
}

/// The header of a cache of one sample.
fn cache() -> Vec<u8> {
    let numbers = [1_u64, 2, 1, 1, 0, 1].into_iter().flat_map(u64::to_le_bytes);
    [&b"SNNFRM01"[..], &[7; 32]].concat().into_iter().chain(numbers).chain([1, 0]).collect()
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
    for &format in EventFormat::ALL {
        match (encode(format, &events(), Some(SensorSize::new(128, 128))), format.name()) {
            (Ok(bytes), name) => write(name, &bytes)?,
            (Err(_), "evt21") => write("evt21", &evt21())?,
            (Err(_), "es") => write("es", &es())?,
            (Err(_), "aedat4") => write("aedat4", &fs::read("../tests/fixtures/events_lz4.aedat4")?)?,
            (Err(_), "npy") => write("npy", &npy())?,
            (Err(error), name) => panic!("no seed for {name}: {error}"),
        }
    }
    write("npz", &npz())?;
    write("cache", &cache())?;
    write("hdf5", &fs::read("../tests/fixtures/shd.h5")?)?;
    write("idx", &idx())
}
