//! SHD and SSC, spoken words as spikes of 700 channels in HDF5 files.
//!
//! `cargo run -p snn-data --features hdf5 --example shd_words -- data/shd`

#![allow(clippy::print_stdout, reason = "an example shows what it found")]

use snn_data::datasets::shd::{Shd, ShdFile};
use snn_data::{DataError, Dataset};

fn main() -> Result<(), DataError> {
    let Some(folder) = std::env::args().nth(1) else {
        println!("give the folder of shd_train.h5; `snn-bench data fetch shd` gets it");
        return Ok(());
    };
    let train = Shd::open(folder, ShdFile::ShdTrain)?;
    train.remarks().iter().for_each(|remark| println!("{remark}"));
    for i in 0..5.min(train.len()) {
        let (spikes, word) = (train.events(i)?, train.names().get(train.label(i)));
        println!("{word:?} by speaker {:?}: {} spikes", train.speaker(i), spikes.len());
    }
    Ok(())
}
