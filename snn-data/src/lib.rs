//! Event streams, neuromorphic data sets, their transforms, and a simulated event camera.
//!
//! This crate hands out events and [`ndarray`] arrays; it depends on no other crate of its workspace and knows no
//! network.
//!
//! # Map
//!
//! | module | what it holds |
//! |---|---|
//! | [`event`] | [`EventStream`]: the events of one recording (x, y, polarity, time in us) |
//! | [`dataset`] | [`Dataset`]: labeled recordings with random access; [`Preloaded`]: one in memory |
//! | [`datasets`] | N-MNIST folders, MNIST and Fashion-MNIST images, simulated recordings, built-in glyphs |
//! | [`format`](mod@format) | file formats: 40-bit events, IDX; bytes to values and back |
//! | [`transform`] | [`ToFrames`]: events to frames `[T, 2, H, W]`; [`Augment`]: shifts, rotations, lost events |
//! | [`batch`] | [`Batches`]: shuffled batches `[T, B, C, H, W]` of recordings, cached frames or images |
//! | [`split`] | stratified splits and folds, split files |
//! | [`simulator`], [`image`] | images to events: three saccades in front of an event sensor |
//! | [`stats`], [`export`] | what a data set contains, what is wrong with it; writing it as files |
//! | `fetch` (feature) | published data sets: downloads, hashes, licences |
//! | [`error`] | [`DataError`]: file, offset, field, what was expected |
//!
//! # Example
//!
//! ```
//! use snn_data::batch::{BatchConfig, Batches, EventFrames, Order};
//! use snn_data::datasets::glyphs::{Glyphs, GlyphsConfig};
//! use snn_data::transform::{Augment, Chain};
//! use snn_data::{Dataset, Preloaded, ToFrames, split};
//!
//! // The built-in source; real recordings: NMnist::open("data/nmnist", &Selection::Part(Part::Train))?
//! let glyphs = Glyphs::new(GlyphsConfig { n_samples: 40, ..GlyphsConfig::default() })?;
//! let data = Preloaded::load(&glyphs)?;
//! let split = split::train_val(&data.labels(), 0.25, 7)?;
//! let frames = EventFrames::new(&data, Chain::new().then(Augment::default()), &ToFrames::time_bins(20))?;
//! let config = BatchConfig { batch_size: 8, order: Order::Shuffled, seed: 7 };
//! for batch in Batches::new(frames, split.train, config)?.epoch(0) {
//!     let batch = batch?;
//!     assert_eq!(batch.frames.shape()[..1], [20]);
//! }
//! # Ok::<(), snn_data::DataError>(())
//! ```
//!
//! # Conventions
//!
//! Times are in us, frames are time-major, channel 0 is OFF and channel 1 is ON. All randomness comes from a seed
//! in a configuration; the same seed gives the same bytes for any number of threads. No function panics on bad
//! input.

#![cfg_attr(not(feature = "cache"), forbid(unsafe_code))]

pub mod batch;
#[cfg(feature = "cache")]
pub mod cache;
pub mod dataset;
pub mod datasets;
pub mod error;
pub mod event;
pub mod export;
#[cfg(feature = "fetch")]
pub mod fetch;
pub mod format;
pub mod image;
pub mod simulator;
pub mod split;
pub mod stats;
pub mod transform;

mod num;
mod rng;

pub use batch::{Batch, BatchConfig, Batches, EventFrames, Order};
pub use dataset::{Dataset, Joined, Part, Preloaded, Subset, Transformed};
pub use error::DataError;
pub use event::{Event, EventStream, SensorSize};
pub use transform::{Augment, ToFrames};
