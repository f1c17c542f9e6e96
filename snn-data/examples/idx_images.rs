//! IDX images (MNIST, Fashion-MNIST), shown as text and seen by the simulated event camera.
//!
//! `cargo run -p snn-data --example idx_images -- data/mnist`

#![allow(clippy::print_stdout, reason = "an example shows what it found")]

use snn_data::datasets::idx_images::IdxImages;
use snn_data::simulator::{Simulator, SimulatorConfig};
use snn_data::{DataError, Part};

fn main() -> Result<(), DataError> {
    let Some(folder) = std::env::args().nth(1) else {
        println!("give a folder with train-images-idx3-ubyte(.gz) and train-labels-idx1-ubyte(.gz)");
        return Ok(());
    };
    let images = IdxImages::open(folder, Part::Train)?;
    let (_, n_columns) = images.size();
    for row in images.pixels(0).chunks(n_columns) {
        println!("{}", row.iter().map(|&v| if v > 127 { '#' } else { '.' }).collect::<String>());
    }
    let camera = Simulator::new(&SimulatorConfig::default())?;
    let events = camera.record(&images.image(0), 7, 0);
    println!("class {}: {} simulated events", images.label(0), events.len());
    Ok(())
}
