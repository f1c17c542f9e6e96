//! `.nir` files: HDF5, laid out as `nir` 1.0.8 lays it out.
//!
//! ```text
//! /version                       text
//! /node/type                     text, "NIRGraph"
//! /node/edges                    texts [E, 2]: from, to
//! /node/metadata/<key>           value or group
//! /node/nodes/<name>/type        text, the node's type
//! /node/nodes/<name>/<field>     value
//! /node/nodes/<name>/metadata/…  as above
//! ```
//!
//! A node of type `NIRGraph` has `nodes` and `edges` of its own. Arrays are compressed, as `nir` does.

mod decode;
mod encode;

use crate::error::{FileError, FormatError};
use crate::graph::{Graph, Metadata, Node, Value};
use crate::primitive::{Primitive, SUBGRAPH};
use std::path::Path;

/// Version of NIR that written files name.
pub const VERSION: &str = "1.0.8";

/// Reads a `.nir` file.
///
/// # Errors
/// [`FileError::Io`], or [`FileError::Format`] with what [`from_bytes`] reports.
pub fn read(path: &Path) -> Result<Graph, FileError> {
    let bytes = std::fs::read(path).map_err(|source| FileError::Io { path: path.to_owned(), source })?;
    from_bytes(bytes).map_err(|source| FileError::Format { path: path.to_owned(), source })
}

/// Writes a `.nir` file, whole or not at all.
///
/// # Errors
/// [`FileError::Io`], or [`FileError::Format`] with what [`to_bytes`] reports; the old file is then still there.
pub fn write(path: &Path, graph: &Graph) -> Result<(), FileError> {
    let bytes = to_bytes(graph).map_err(|source| FileError::Format { path: path.to_owned(), source })?;
    snn_core::io::write_atomic(path, &bytes).map_err(|error| {
        let source = match error {
            snn_core::CheckpointError::Io { source, .. } => source,
            other => std::io::Error::other(other),
        };
        FileError::Io { path: path.to_owned(), source }
    })
}

/// The graph of a `.nir` file held in memory. Any bytes are read or refused.
///
/// # Errors
/// [`FormatError`], naming the object in the file.
pub fn from_bytes(bytes: Vec<u8>) -> Result<Graph, FormatError> {
    let entries = decode::node_entries(bytes)?;
    let node = node_of(entries, "/node")?;
    match node.primitive {
        Primitive::Graph(graph) => Ok(graph),
        // A file may hold a single node; as a graph it has no edges.
        _ => Ok(Graph { nodes: [("node".to_owned(), node)].into(), ..Graph::default() }),
    }
}

/// The bytes of a `.nir` file; the same graph gives the same bytes.
///
/// # Errors
/// [`FormatError::Name`] for names that HDF5 cannot hold, [`FormatError::Edge`] for an edge without an end.
pub fn to_bytes(graph: &Graph) -> Result<Vec<u8>, FormatError> {
    let root = graph_entries(graph, &graph.metadata, "/node")?;
    let file = Metadata::from([("version".to_owned(), VERSION.into()), ("node".to_owned(), root.into())]);
    encode::file(&file)
}

/// Makes a node of the entries at `object`.
fn node_of(mut entries: Metadata, object: &str) -> Result<Node, FormatError> {
    let name = text(&mut entries, "type", object)?;
    let metadata = match entries.remove("metadata") {
        None => Metadata::new(),
        Some(Value::Group(group)) => group,
        Some(other) => return Err(wrong(object, "metadata", "a group", &other)),
    };
    if name == SUBGRAPH {
        let graph = graph_of(entries, metadata, object)?;
        return Ok(Node { primitive: Primitive::Graph(graph), metadata: Metadata::new() });
    }
    Ok(Node { primitive: Primitive::from_entries(&name, &entries, object)?, metadata })
}

fn graph_of(mut entries: Metadata, metadata: Metadata, object: &str) -> Result<Graph, FormatError> {
    let edges = match entries.remove("edges") {
        None => return Err(FormatError::Missing { object: object.to_owned(), name: "edges" }),
        Some(Value::Texts(ends)) if ends.len() % 2 == 0 => ends,
        // An empty list of edges has no type: numpy makes it a list of floats.
        Some(Value::Array(array)) if array.data().is_empty() => Vec::new(),
        Some(other) => return Err(wrong(object, "edges", "pairs of texts", &other)),
    };
    let children = match entries.remove("nodes") {
        None => Metadata::new(),
        Some(Value::Group(group)) => group,
        Some(other) => return Err(wrong(object, "nodes", "a group", &other)),
    };
    if let Some(name) = entries.keys().next() {
        return Err(FormatError::Unknown { object: format!("{object}/{name}") });
    }
    let mut graph = Graph { metadata, ..Graph::default() };
    for (name, child) in children {
        let object = format!("{object}/nodes/{name}");
        let Value::Group(child) = child else { return Err(wrong(&object, "", "a group", &child)) };
        graph.nodes.insert(name, node_of(child, &object)?);
    }
    graph.edges = edges.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
    check_edges(&graph, object)?;
    Ok(graph)
}

fn check_edges(graph: &Graph, object: &str) -> Result<(), FormatError> {
    let is_loose =
        |(from, to): &&(String, String)| !graph.nodes.contains_key(from) || !graph.nodes.contains_key(to);
    match graph.edges.iter().find(is_loose).cloned() {
        None => Ok(()),
        Some((from, to)) => Err(FormatError::Edge { object: object.to_owned(), from, to }),
    }
}

fn text(entries: &mut Metadata, name: &'static str, object: &str) -> Result<String, FormatError> {
    match entries.remove(name) {
        Some(Value::Text(text)) => Ok(text),
        Some(other) => Err(wrong(object, name, "a text", &other)),
        None => Err(FormatError::Missing { object: object.to_owned(), name }),
    }
}

fn wrong(object: &str, name: &str, expected: &'static str, found: &Value) -> FormatError {
    let object = if name.is_empty() { object.to_owned() } else { format!("{object}/{name}") };
    FormatError::Field { object, expected, found: found.describe() }
}

fn graph_entries(graph: &Graph, metadata: &Metadata, object: &str) -> Result<Metadata, FormatError> {
    check_edges(graph, object)?;
    let mut nodes = Metadata::new();
    for (name, node) in &graph.nodes {
        nodes.insert(name.clone(), node_entries(node, &format!("{object}/nodes/{name}"))?.into());
    }
    let ends = graph.edges.iter().flat_map(|(from, to)| [from.clone(), to.clone()]).collect();
    let mut entries = Metadata::from([
        ("type".to_owned(), SUBGRAPH.into()),
        ("edges".to_owned(), Value::Texts(ends)),
        ("nodes".to_owned(), nodes.into()),
    ]);
    put_metadata(&mut entries, metadata);
    Ok(entries)
}

fn node_entries(node: &Node, object: &str) -> Result<Metadata, FormatError> {
    if let Primitive::Graph(graph) = &node.primitive {
        let mut metadata = graph.metadata.clone();
        metadata.extend(node.metadata.clone());
        return graph_entries(graph, &metadata, object);
    }
    let mut entries = node.primitive.to_entries();
    entries.insert("type".to_owned(), node.primitive.name().into());
    put_metadata(&mut entries, &node.metadata);
    Ok(entries)
}

/// `nir` leaves empty metadata out.
fn put_metadata(entries: &mut Metadata, metadata: &Metadata) {
    if !metadata.is_empty() {
        entries.insert("metadata".to_owned(), metadata.clone().into());
    }
}

#[cfg(test)]
mod tests;
