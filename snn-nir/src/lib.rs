//! NIR, the Neuromorphic Intermediate Representation: graphs of spiking networks in `.nir` files, and their mapping to and
//! from [`snn_core::layer::Sequential`].
//!
//! | step | what |
//! |---|---|
//! | [`read()`], [`write()`] | files, as the Python package `nir` 1.0.8 reads and writes them, in pure Rust |
//! | [`Graph`], [`Primitive`] | the graph in memory |
//! | [`export()`] | a network as a graph, with a list of all that was lost |
//! | [`import()`] | a graph as a network, under a [`Convention`] for what files leave open |
//!
//! NIR describes neurons by differential equations and leaves the time step to the reader, so two programs that read
//! one file may run two networks. `docs/nir.md` has the mapping, equation by equation, and the traps.
//!
//! # Examples
//! ```
//! use snn_core::layer::Sequential;
//! use snn_core::neuron::{Firing, Lif, Reset, ResetTime};
//! use snn_nir::{Convention, ExportOptions, export, import};
//!
//! let hard = Firing { reset: Reset::Zero, reset_time: ResetTime::SameStep, ..Firing::default() };
//! let neuron = Lif { firing: hard, ..Lif::snntorch(0.875) };
//! let net = Sequential::input(&[6]).linear("fc", 4).neuron("lif", neuron).init(1)?;
//!
//! let exported = export(&net, &ExportOptions::default())?;
//! assert!(exported.notes.is_empty()); // nothing was lost
//! let imported = import(&exported.graph, &Convention::snntorch())?;
//! assert_eq!(imported.net, net);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # References
//! Pedersen et al., "Neuromorphic intermediate representation: A unified instruction set for interoperable brain-inspired
//! computing", 2024 (arXiv:2311.14641).
#![forbid(unsafe_code)]

mod convention;
mod error;
mod export;
mod field;
mod file;
mod graph;
mod import;
mod note;
mod num;
mod primitive;
mod sim;

pub use convention::{Convention, Decay, Drive, Integration, MetadataUse};
pub use error::{ExportError, FileError, FormatError, ImportError};
pub use export::{
    ExportOptions, Exported, MembraneLevels, SoftReset, StateQuant, TensorQuant, WeightFormat, export,
};
pub use field::Padding;
pub use file::{VERSION, from_bytes, read, to_bytes, write};
pub use graph::{Graph, Metadata, Node, Value};
pub use import::{Imported, import};
pub use note::Note;
pub use primitive::Primitive;
