//! What can go wrong with files, on the way out, and on the way in.

use snn_core::ShapeError;
use std::path::PathBuf;

/// A file that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The file system refused.
    #[error("{path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no NIR file, or a damaged one; or the graph cannot be written as one.
    #[error("{path}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What was found where.
        source: FormatError,
    },
}

/// Bytes that are no NIR graph, or a graph that no file can hold. Objects are named by their path in the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// HDF5 that cannot be read.
    #[error("{object}: not readable as HDF5")]
    Hdf5 {
        /// The object.
        object: String,
        /// What the reader said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An array of a type that NIR does not use.
    #[error("{object}: entries of type {found}, expected integers or floats of 8 to 64 bits, or text")]
    Entries {
        /// The object.
        object: String,
        /// Its type.
        found: String,
    },
    /// More objects, levels or bytes than a file of this size needs.
    #[error("{object}: more than {limit} {what}")]
    Limit {
        /// Where the limit was reached.
        object: String,
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// An entry that must be there is not.
    #[error("{object}: no `{name}`")]
    Missing {
        /// The node.
        object: String,
        /// The entry.
        name: &'static str,
    },
    /// An entry that NIR does not know, and `nir` refuses.
    #[error("{object}: unknown entry; what NIR does not define belongs into metadata")]
    Unknown {
        /// The entry.
        object: String,
    },
    /// An entry that cannot be what its name says.
    #[error("{object}: expected {expected}, found {found}")]
    Field {
        /// The entry.
        object: String,
        /// What was expected.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// A node of a type that NIR 1.0.8 does not have.
    #[error("{object}: unknown type `{found}`")]
    Type {
        /// The node.
        object: String,
        /// The type.
        found: String,
    },
    /// A name that no object of a file can have.
    #[error("{object}: `{name}` cannot be a name in a file")]
    Name {
        /// Where it stands.
        object: String,
        /// The name.
        name: String,
    },
    /// An edge from or to a node that is not there.
    #[error("{object}: the edge from `{from}` to `{to}` has an end that is no node")]
    Edge {
        /// The graph.
        object: String,
        /// Where it comes from.
        from: String,
        /// Where it leads.
        to: String,
    },
}

/// A network that has no NIR graph.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// NIR has no such layer.
    #[error("layer `{layer}`: NIR has no {what}")]
    Unsupported {
        /// The layer.
        layer: String,
        /// What it is.
        what: &'static str,
    },
    /// Spikes of NIR's neurons set the membrane to a value; this layer does something else, and the caller did not allow
    /// writing it all the same.
    #[error(
        "layer `{layer}`: a spike {does} here, but NIR's neurons are reset to a value: other programs would run another \
         network (allow it with `SoftReset::WriteAsHard`, and measure what it costs)"
    )]
    Reset {
        /// The layer.
        layer: String,
        /// What its reset does.
        does: &'static str,
    },
    /// A parameter that NIR cannot express.
    #[error("layer `{layer}`: {field} is {value}, but must be {expected} for NIR")]
    Parameter {
        /// The layer.
        layer: String,
        /// The parameter.
        field: &'static str,
        /// Its value.
        value: f64,
        /// What it must be.
        expected: &'static str,
    },
    /// Two layers would be nodes of one name.
    #[error("two nodes would be named `{name}`")]
    Name {
        /// The name.
        name: String,
    },
    /// Quantization given for a tensor does not fit it.
    #[error("tensor `{tensor}`: {reason}")]
    Quant {
        /// The tensor.
        tensor: String,
        /// What does not fit.
        reason: &'static str,
    },
}

/// A graph that no [`snn_core::layer::Sequential`] computes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// A node of a type that has no layer here.
    #[error("node `{node}`: {primitive} is not supported: {reason}")]
    Unsupported {
        /// The node.
        node: String,
        /// NIR's name of its type.
        primitive: &'static str,
        /// Why not.
        reason: &'static str,
    },
    /// The graph is no chain.
    #[error(
        "node `{node}`: {reason}, and only chains of layers (with recurrent weights around neurons) are supported"
    )]
    NotAChain {
        /// The node.
        node: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A parameter that the layers here cannot express.
    #[error("node `{node}`: {field} {reason}")]
    Parameter {
        /// The node.
        node: String,
        /// The field.
        field: &'static str,
        /// Why not.
        reason: String,
    },
    /// A field of another shape than the node's input asks for.
    #[error(
        "node `{node}`: {field} has shape {found:?}, but the input of shape {input:?} asks for {expected}"
    )]
    Shape {
        /// The node.
        node: String,
        /// The field.
        field: &'static str,
        /// Its shape.
        found: Vec<usize>,
        /// Shape of the node's input.
        input: Vec<usize>,
        /// What was expected.
        expected: &'static str,
    },
    /// Layers that do not fit together.
    #[error("the graph's layers do not fit together")]
    Layers(#[from] ShapeError),
}
