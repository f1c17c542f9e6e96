//! The graph in memory: named nodes, edges between them, and metadata.

use crate::primitive::Primitive;
use snn_core::io::{Array, Data};
use std::collections::BTreeMap;

/// A NIR graph. An edge carries the output of one node to the input of another; several edges into a node add up.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    /// The nodes, by name.
    pub nodes: BTreeMap<String, Node>,
    /// From and to, by name.
    pub edges: Vec<(String, String)>,
    /// What the graph says beside its mathematics.
    pub metadata: Metadata,
}

/// A node of a [`Graph`].
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What it computes.
    pub primitive: Primitive,
    /// What it says beside that.
    pub metadata: Metadata,
}

/// Named values. NIR gives them no meaning; a file must run without them.
pub type Metadata = BTreeMap<String, Value>;

/// A value of metadata, or of a field of a node.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A list of texts.
    Texts(Vec<String>),
    /// Numbers; a single one has no axes. Python's booleans are read as 0 and 1.
    Array(Array),
    /// Further values.
    Group(Metadata),
}

impl Graph {
    /// A chain of nodes, with an edge from each to the next.
    #[must_use]
    pub fn chain(nodes: Vec<(String, Node)>) -> Self {
        let edges = nodes.windows(2).map(|pair| (pair[0].0.clone(), pair[1].0.clone())).collect();
        Self { nodes: nodes.into_iter().collect(), edges, metadata: Metadata::new() }
    }
}

impl From<Primitive> for Node {
    fn from(primitive: Primitive) -> Self {
        Self { primitive, metadata: Metadata::new() }
    }
}

impl Value {
    /// What the value is, for messages: `text`, `float32 [8, 6]`.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Text(text) => format!("the text `{text}`"),
            Self::Texts(texts) => format!("{} texts", texts.len()),
            Self::Array(array) => format!("{} {:?}", array.data().type_name(), array.shape()),
            Self::Group(_) => "a group".to_owned(),
        }
    }

    /// The only number of an array of one entry.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Array(array) if array.data().len() == 1 => crate::num::to_f64(array).pop(),
            _ => None,
        }
    }

    /// The text, if it is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Array(crate::num::array(&[], Data::F64(vec![value])))
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Array(crate::num::array(&[], Data::I64(vec![value])))
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<Metadata> for Value {
    fn from(value: Metadata) -> Self {
        Self::Group(value)
    }
}
