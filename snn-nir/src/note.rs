//! What a mapping changed or could not keep.

/// Something that a graph cannot say, or that was changed on the way; what is not among the notes is exact.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Note {
    /// The reset of this layer is not NIR's and is kept in metadata only: other programs reset to a value.
    #[error("layer `{layer}`: a spike {does} here; other programs will reset the membrane to zero")]
    Reset {
        /// The layer.
        layer: String,
        /// What its reset does.
        does: &'static str,
    },
    /// This layer also fires at the threshold, which is kept in metadata only.
    #[error("layer `{layer}` fires at or above the threshold; other programs will fire above it only")]
    SpikeAtThreshold {
        /// The layer.
        layer: String,
    },
    /// The membrane of this layer is quantized, which is kept in metadata only.
    #[error("layer `{layer}`: its membrane is quantized; other programs will keep it in floating point")]
    StateQuant {
        /// The layer.
        layer: String,
    },
    /// Batch normalization became part of the weights before it: equal up to rounding.
    #[error("layer `{layer}` became part of the weights of `{into}`; equal up to rounding")]
    NormFolded {
        /// The batch normalization.
        layer: String,
        /// The layer with the weights.
        into: String,
    },
    /// Weights are integers and the scale is the neurons' resistance, which Norse 1.1.0 does not read.
    #[error(
        "layer `{layer}`: its scale is the resistance of `{neuron}`, which not every program reads (Norse does not)"
    )]
    ScaleIsResistance {
        /// The layer with the weights.
        layer: String,
        /// The neurons.
        neuron: String,
    },
    /// `nir` 1.0.8 computes another shape for this convolution and refuses the file, unless told `type_check=False`.
    #[error("layer `{layer}`: nir 1.0.8 reads {what} with `type_check=False` only")]
    TypeCheck {
        /// The layer.
        layer: String,
        /// What it stumbles on.
        what: &'static str,
    },
    /// Different parameters within a layer became factors of the weights before it: equal up to rounding.
    #[error("node `{node}`: its neurons differ, which the weights of `{into}` took up; equal up to rounding")]
    Rescaled {
        /// The node.
        node: String,
        /// The node with the weights.
        into: String,
    },
    /// The potential is counted from the leak potential, which is where it starts.
    #[error("node `{node}`: potentials are counted from v_leak, and start there")]
    Shifted {
        /// The node.
        node: String,
    },
    /// The input's shape had a batch axis, which NIR does not count.
    #[error("node `{node}`: its shape has a batch axis of size 1, which was left out")]
    BatchAxis {
        /// The input.
        node: String,
    },
}
