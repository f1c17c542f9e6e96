//! EVT 2.1: vectors of up to 32 pixels, and the two byte orders of its words, of which the wrong one is seen by
//! what is skipped.
//!
//! `cargo run -p snn-data --example legacy_evt21 -- recording.raw`; without a file, one is made up.

#![allow(clippy::print_stdout, reason = "an example shows what it found")]

use snn_data::format::decode::{Damage, decode};
use snn_data::format::evt21::Evt21;

/// TIME_HIGH 16, then ON events at (32, 5) and (34, 5), the upper half of each word first; the header does not say
/// so.
fn made_up() -> Vec<u8> {
    let halves: [u32; 4] = [0x8000_0010, 0, 1 << 28 | 2 << 22 | 32 << 11 | 5, 0b101];
    b"% evt 2.1\n% end\n".iter().copied().chain(halves.into_iter().flat_map(u32::to_le_bytes)).collect()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bytes = std::env::args().nth(1).map_or_else(|| Ok(made_up()), std::fs::read)?;
    for (order, decoder) in [("that of the header", Evt21::new()), ("legacy", Evt21::legacy())] {
        let recording = decode(decoder, &bytes, Damage::Keep)?;
        let (n_events, n_skipped) = (recording.events.len(), recording.n_skipped);
        println!("byte order {order}: {n_events} events, {n_skipped} words skipped");
    }
    Ok(())
}
