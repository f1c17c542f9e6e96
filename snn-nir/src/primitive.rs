//! The primitives of NIR 1.0.8: one table, from which they are read and written.

use crate::error::FormatError;
use crate::field::{Field, Padding};
use crate::graph::{Graph, Metadata};
use snn_core::io::Array;

macro_rules! primitives {
    ($($(#[$doc:meta])* $variant:ident = $name:literal {
        $($(#[$field_doc:meta])* $field:ident: $kind:ty,)*
    })*) => {
        /// What a node computes. Names and fields are those of NIR; arrays have any number type and no time or batch axis.
        ///
        /// Parameters of neurons have the shape of the neurons. [`export()`](crate::export()) writes them so, since `nir`
        /// takes the shape of a layer from them; [`import()`](crate::import()) also takes single numbers.
        #[derive(Clone, Debug, PartialEq)]
        #[non_exhaustive]
        pub enum Primitive {
            $($(#[$doc])* $variant {
                $($(#[$field_doc])* $field: $kind,)*
            },)*
            /// A graph within the graph.
            Graph(Graph),
        }

        impl Primitive {
            /// NIR's name of the primitive.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => $name,)*
                    Self::Graph(_) => SUBGRAPH,
                }
            }

            /// Takes the primitive called `name` from the entries of the node at `object`.
            pub(crate) fn from_entries(name: &str, entries: &Metadata, object: &str) -> Result<Self, FormatError> {
                match name {
                    $($name => {
                        check_fields(entries, &[$(stringify!($field)),*], object)?;
                        Ok(Self::$variant { $($field: field(entries, stringify!($field), object)?,)* })
                    })*
                    _ => Err(FormatError::Type { object: object.to_owned(), found: name.to_owned() }),
                }
            }

            /// The entries that are written for it; those of a graph are not among them.
            pub(crate) fn to_entries(&self) -> Metadata {
                match self {
                    $(Self::$variant { $($field),* } => {
                        let fields = [$((stringify!($field), $field.to_value())),*];
                        fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
                    })*
                    Self::Graph(_) => Metadata::new(),
                }
            }
        }
    };
}

/// The type of a graph within a graph.
pub(crate) const SUBGRAPH: &str = "NIRGraph";

primitives! {
    /// y = W·x + b.
    Affine = "Affine" {
        /// W, `[out, in]`.
        weight: Array,
        /// b, `[out]`.
        bias: Array,
    }
    /// Mean over windows.
    AvgPool2d = "AvgPool2d" {
        /// Height and width of the window.
        kernel_size: [usize; 2],
        /// Step between windows.
        stride: [usize; 2],
        /// Zeros around the input.
        padding: [usize; 2],
    }
    /// Convolution over one spatial axis.
    Conv1d = "Conv1d" {
        /// Length of the input.
        input_shape: Option<[usize; 1]>,
        /// `[out, in/groups, k]`.
        weight: Array,
        /// Step between windows.
        stride: [usize; 1],
        /// Zeros around the input.
        padding: Padding<1>,
        /// Distance between the taps of a window.
        dilation: [usize; 1],
        /// Groups of channels that do not mix.
        groups: usize,
        /// `[out]`.
        bias: Array,
    }
    /// Convolution over two spatial axes.
    Conv2d = "Conv2d" {
        /// Height and width of the input.
        input_shape: Option<[usize; 2]>,
        /// `[out, in/groups, kh, kw]`.
        weight: Array,
        /// Step between windows.
        stride: [usize; 2],
        /// Zeros around the input.
        padding: Padding<2>,
        /// Distance between the taps of a window.
        dilation: [usize; 2],
        /// Groups of channels that do not mix.
        groups: usize,
        /// `[out]`.
        bias: Array,
    }
    /// Leaky integrator behind a synapse: τ_syn·İ = −I + w_in·S, τ_mem·v̇ = v_leak − v + R·I.
    CubaLi = "CubaLI" {
        /// Time constant of the synapse, in seconds.
        tau_syn: Array,
        /// Time constant of the membrane, in seconds.
        tau_mem: Array,
        /// Resistance.
        r: Array,
        /// Leak potential.
        v_leak: Array,
        /// Weight of the input; 1 if absent.
        w_in: Option<Array>,
    }
    /// As `CubaLi`; a spike if v > v_threshold, and then v = v_reset.
    CubaLif = "CubaLIF" {
        /// Time constant of the synapse, in seconds.
        tau_syn: Array,
        /// Time constant of the membrane, in seconds.
        tau_mem: Array,
        /// Resistance.
        r: Array,
        /// Leak potential.
        v_leak: Array,
        /// Firing threshold.
        v_threshold: Array,
        /// Potential after a spike; 0 if absent.
        v_reset: Option<Array>,
        /// Weight of the input; 1 if absent.
        w_in: Option<Array>,
    }
    /// y(t) = x(t − τ).
    Delay = "Delay" {
        /// τ, in seconds.
        delay: Array,
    }
    /// Makes several axes one.
    Flatten = "Flatten" {
        /// First of them; NIR counts no batch axis.
        start_dim: i64,
        /// Last of them; negative numbers count from the end.
        end_dim: i64,
        /// Shape of the input.
        input_type: Option<Vec<usize>>,
    }
    /// Integrator: v̇ = R·I.
    I = "I" {
        /// Resistance.
        r: Array,
    }
    /// Integrate-and-fire: v̇ = R·I; a spike if v > v_threshold, and then v = v_reset.
    If = "IF" {
        /// Resistance.
        r: Array,
        /// Firing threshold.
        v_threshold: Array,
        /// Potential after a spike; 0 if absent.
        v_reset: Option<Array>,
    }
    /// Where input enters the graph.
    Input = "Input" {
        /// Shape of the input.
        shape: Vec<usize>,
    }
    /// Leaky integrator: τ·v̇ = v_leak − v + R·I.
    Li = "LI" {
        /// Time constant, in seconds.
        tau: Array,
        /// Resistance.
        r: Array,
        /// Leak potential.
        v_leak: Array,
    }
    /// Leaky integrate-and-fire: τ·v̇ = v_leak − v + R·I; a spike if v > v_threshold, and then v = v_reset.
    Lif = "LIF" {
        /// Time constant, in seconds.
        tau: Array,
        /// Resistance.
        r: Array,
        /// Leak potential.
        v_leak: Array,
        /// Firing threshold.
        v_threshold: Array,
        /// Potential after a spike; 0 if absent.
        v_reset: Option<Array>,
    }
    /// y = W·x.
    Linear = "Linear" {
        /// W, `[out, in]`.
        weight: Array,
    }
    /// Where output leaves the graph.
    Output = "Output" {
        /// Shape of the output.
        shape: Vec<usize>,
    }
    /// y = s ⊙ x.
    Scale = "Scale" {
        /// s.
        scale: Array,
    }
    /// Sum over windows.
    SumPool2d = "SumPool2d" {
        /// Height and width of the window.
        kernel_size: [usize; 2],
        /// Step between windows.
        stride: [usize; 2],
        /// Zeros around the input.
        padding: [usize; 2],
    }
    /// 1 where x > threshold, else 0.
    Threshold = "Threshold" {
        /// The threshold.
        threshold: Array,
    }
}

fn field<F: Field>(entries: &Metadata, name: &'static str, object: &str) -> Result<F, FormatError> {
    let value = entries.get(name);
    F::from_value(value).ok_or_else(|| match value {
        None => FormatError::Missing { object: object.to_owned(), name },
        Some(value) => FormatError::Field {
            object: format!("{object}/{name}"),
            expected: F::EXPECTED,
            found: value.describe(),
        },
    })
}

/// `nir` refuses what it does not know, and so may hidden meaning not be passed over here.
fn check_fields(entries: &Metadata, known: &[&str], object: &str) -> Result<(), FormatError> {
    let extra = entries.keys().find(|name| !known.contains(&name.as_str()));
    match extra {
        None => Ok(()),
        Some(name) => Err(FormatError::Unknown { object: format!("{object}/{name}") }),
    }
}
