//! What the `snn-bench` program is made of: run directories, plain tables, plots and the report page.
//!
//! The program itself stands in `main.rs`. The parts here are plain data in, files out, so that
//! another program can write the same run directories and reports:
//!
//! - [`config`]: a run as one TOML file; [`data`] and [`model`]: batches and networks from it;
//! - [`mod@training`]: training with checkpoints, [`progress`] bars and [`interrupt`]s;
//! - `mpi` (feature): processes that train one network or share a sweep;
//! - [`mod@nir`]: quantized networks as NIR graphs;
//! - [`integer`]: exact plans, chip profiles, integer models from files, C sources;
//! - [`mod@experiment`]: a cell of a sweep, one configuration from data to accuracy; [`sweep`]: grids of them;
//! - [`run_dir`]: a self-contained folder for a run, with atomic writes and resumable cells;
//! - [`estimate`]: a number with its error; [`stats`]: intervals, paired differences, rank correlation;
//! - [`repro`]: the reproductions, one file for each paper;
//! - [`table`]: aligned tables and numbers with their uncertainty for a terminal;
//! - [`plot`]: the small drawing layer behind the figures (scales, axes, marks);
//! - [`report`]: one self-contained HTML page from a plain data model.

#![forbid(unsafe_code)]

pub mod activity;
pub mod config;
pub mod data;
pub mod estimate;
pub mod experiment;
pub mod integer;
pub mod interrupt;
pub mod model;
#[cfg(feature = "mpi")]
pub mod mpi;
pub mod nir;
pub mod plot;
pub mod progress;
pub mod report;
pub mod repro;
pub mod run_dir;
pub mod stats;
pub mod sweep;
pub mod table;
pub mod training;
pub mod view;

/// The README's example, compiled and run as a doc test.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct ReadmeExample;
