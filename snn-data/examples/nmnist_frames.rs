//! Opens N-MNIST (or, without a path, the built-in glyphs), describes it, and shows one sample as frames.
//!
//! `cargo run --release -p snn-data --example nmnist_frames -- [FOLDER]`
#![allow(clippy::print_stdout, reason = "an example shows something")]

use snn_data::datasets::glyphs::{Glyphs, GlyphsConfig};
use snn_data::datasets::nmnist::{NMnist, Selection};
use snn_data::stats::stats;
use snn_data::transform::Chain;
use snn_data::{BatchConfig, Batches, DataError, Dataset, EventFrames, Order, Preloaded, ToFrames, split};

fn open() -> Result<Box<dyn Dataset>, DataError> {
    Ok(match std::env::args().nth(1) {
        Some(folder) => Box::new(NMnist::open(folder, &Selection::Whole)?),
        None => Box::new(Glyphs::new(GlyphsConfig { n_samples: 500, ..GlyphsConfig::default() })?),
    })
}

fn main() -> Result<(), DataError> {
    let data = Preloaded::load(open()?.as_ref())?;
    let stats = stats(&data)?;
    println!("{} samples, {:?} of each class", stats.n_samples, stats.per_class);
    println!("{} events, {:.1} % ON", stats.n_events, 100.0 * stats.on_share);
    if let Some(events) = stats.events {
        println!("{} to {} events a sample, mean {:.0}", events.min, events.max, events.mean);
    }

    let split = split::train_val(&data.labels(), 0.2, 7)?;
    let frames = EventFrames::new(&data, Chain::new(), &ToFrames::default())?;
    let config = BatchConfig { batch_size: 32, order: Order::Shuffled, seed: 7 };
    let batches = Batches::new(frames, split.train, config)?;
    println!("{} training samples in {} batches", batches.n_samples(), batches.n_batches());
    for batch in batches.epoch(0).take(1) {
        let batch = batch?;
        println!("first batch: frames {:?}, labels {:?}", batch.frames.shape(), batch.labels);
    }

    // Two frames of the first sample: more events are darker.
    let frames = ToFrames::time_bins(6).frames(data.stream(0), data.sensor())?;
    println!("{} is a {}:", data.sample_name(0), data.label(0));
    for row in 0..frames.dim().2 {
        let shade = |t: usize, column: usize| {
            let n_events = frames[[t, 0, row, column]] + frames[[t, 1, row, column]];
            [' ', '.', 'o', '#'][usize::from(n_events.min(3))]
        };
        let line = |t| (0..frames.dim().3).map(|column| shade(t, column)).collect::<String>();
        println!("{}|{}", line(0), line(4));
    }
    Ok(())
}
