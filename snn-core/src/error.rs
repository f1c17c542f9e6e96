//! What can go wrong at the doors of this crate: building networks, reading and writing checkpoints.

use std::path::PathBuf;

/// A shape that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShapeError {
    /// Data of the wrong length for a shape.
    #[error("shape {shape:?} does not hold {len} entries")]
    Length {
        /// The shape asked for.
        shape: Vec<usize>,
        /// The entries given.
        len: usize,
    },
    /// A layer cannot take the shape that reaches it.
    #[error("layer `{layer}` takes {expected}, but its input has shape {found:?} (without time and batch)")]
    LayerInput {
        /// Name of the layer.
        layer: String,
        /// What it takes.
        expected: &'static str,
        /// What it would get.
        found: Vec<usize>,
    },
    /// A window (kernel or pool) does not fit its input.
    #[error("layer `{layer}`: a window of {kernel:?} does not fit its padded input of {input:?}")]
    Window {
        /// Name of the layer.
        layer: String,
        /// Height and width of the window, dilation included.
        kernel: [usize; 2],
        /// Height and width of the padded input.
        input: [usize; 2],
    },
    /// Two layers of the same name.
    #[error("two layers are named `{layer}`")]
    DuplicateName {
        /// The name.
        layer: String,
    },
    /// A configuration value outside its range.
    #[error("layer `{layer}`: {field} is {value}, but must be {expected}")]
    Config {
        /// Name of the layer.
        layer: String,
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
        /// What it must be.
        expected: &'static str,
    },
    /// A network description in short notation that cannot be read.
    #[error("network `{text}`: item {item} (`{token}`): expected {expected}")]
    Notation {
        /// The whole description.
        text: String,
        /// 1-based number of the item.
        item: usize,
        /// The item.
        token: String,
        /// What was expected.
        expected: &'static str,
    },
}

/// A checkpoint that cannot be read, written or applied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The file system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not a checkpoint of this format.
    #[error("{path}: {what}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What was found and expected.
        what: String,
    },
    /// A tensor of the network is not in the checkpoint.
    #[error("{path}: no tensor `{name}`, which the network has")]
    Missing {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
    },
    /// The checkpoint has a tensor that the network does not have.
    #[error("{path}: tensor `{name}` is not part of the network")]
    Unknown {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
    },
    /// A tensor has another shape than the network's.
    #[error("{path}: tensor `{name}` has shape {found:?}, the network's has {expected:?}")]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Shape in the file.
        found: Vec<usize>,
        /// Shape in the network.
        expected: Vec<usize>,
    },
}
