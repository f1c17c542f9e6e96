#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "small numbers"
)]

use super::*;
use crate::field::Padding;
use crate::num::array;
use proptest::prelude::*;
use snn_core::io::{Array, Data};

fn floats(shape: &[usize]) -> Array {
    let n: usize = shape.iter().product();
    array(shape, Data::F32((0..n).map(|i| i as f32 / 8.0 - 1.0).collect()))
}

fn doubles(n: usize) -> Array {
    array(&[n], Data::F64((0..n).map(|i| 1.0 / (i + 3) as f64).collect()))
}

/// One node of each type.
fn all_primitives() -> Vec<Primitive> {
    let n = || doubles(3);
    let (kernel_size, stride, padding) = ([3, 2], [2, 1], [1, 0]);
    vec![
        Primitive::Input { shape: vec![2, 8, 8] },
        Primitive::Output { shape: vec![4] },
        Primitive::Affine { weight: floats(&[4, 3]), bias: floats(&[4]) },
        Primitive::Linear { weight: array(&[2, 3], Data::I8(vec![-7, 0, 7, 1, -1, 3])) },
        Primitive::Conv1d {
            input_shape: Some([9]),
            weight: floats(&[4, 2, 3]),
            stride: [1],
            padding: Padding::Zeros([1]),
            dilation: [2],
            groups: 1,
            bias: floats(&[4]),
        },
        Primitive::Conv2d {
            input_shape: None,
            weight: floats(&[4, 1, 3, 2]),
            stride,
            padding: Padding::Same,
            dilation: [1, 1],
            groups: 2,
            bias: array(&[4], Data::I32(vec![1, -2, 3, 70_000])),
        },
        Primitive::AvgPool2d { kernel_size, stride, padding },
        Primitive::SumPool2d { kernel_size, stride, padding },
        Primitive::Flatten { start_dim: 0, end_dim: -1, input_type: Some(vec![2, 8, 8]) },
        Primitive::Scale { scale: n() },
        Primitive::Threshold { threshold: n() },
        Primitive::Delay { delay: n() },
        Primitive::I { r: n() },
        Primitive::Li { tau: n(), r: n(), v_leak: n() },
        Primitive::If { r: n(), v_threshold: n(), v_reset: None },
        Primitive::Lif { tau: n(), r: n(), v_leak: n(), v_threshold: n(), v_reset: Some(n()) },
        Primitive::CubaLi { tau_syn: n(), tau_mem: n(), r: n(), v_leak: n(), w_in: Some(n()) },
        Primitive::CubaLif {
            tau_syn: n(),
            tau_mem: n(),
            r: n(),
            v_leak: n(),
            v_threshold: n(),
            v_reset: Some(n()),
            w_in: None,
        },
    ]
}

fn full_graph() -> Graph {
    let nodes = all_primitives().into_iter().map(|p| (p.name().to_lowercase(), Node::from(p))).collect();
    let mut graph = Graph::chain(nodes);
    let inner = Metadata::from([
        ("reset".to_owned(), Value::from("subtract")),
        ("größe".to_owned(), Value::from("τ > 0")),
        ("levels".to_owned(), Value::Array(array(&[2], Data::I16(vec![-300, 300])))),
        ("names".to_owned(), Value::Texts(vec!["a".to_owned(), String::new()])),
        ("dt".to_owned(), Value::from(1e-4)),
    ]);
    graph.metadata = Metadata::from([("sim".to_owned(), inner.clone().into())]);
    if let Some(node) = graph.nodes.get_mut("lif") {
        node.metadata = inner;
    }
    let subgraph = Graph { metadata: Metadata::new(), ..graph.clone() };
    graph.nodes.insert("subgraph".to_owned(), Primitive::Graph(subgraph).into());
    graph
}

#[test]
fn every_primitive_comes_back() {
    let graph = full_graph();
    assert_eq!(from_bytes(to_bytes(&graph).unwrap()).unwrap(), graph);
}

#[test]
fn the_same_graph_gives_the_same_bytes() {
    assert_eq!(to_bytes(&full_graph()).unwrap(), to_bytes(&full_graph()).unwrap());
}

#[test]
fn a_graph_without_edges_comes_back() {
    let nodes = [("a".to_owned(), Primitive::Input { shape: vec![3] }.into())].into();
    let graph = Graph { nodes, ..Graph::default() };
    assert_eq!(from_bytes(to_bytes(&graph).unwrap()).unwrap(), graph);
}

#[test]
fn a_file_is_written_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.nir");
    write(&path, &full_graph()).unwrap();
    let bad = Graph { edges: vec![("a".to_owned(), "b".to_owned())], ..Graph::default() };
    assert!(matches!(write(&path, &bad), Err(FileError::Format { source: FormatError::Edge { .. }, .. })));
    assert_eq!(read(&path).unwrap(), full_graph());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let missing = read(&folder.path().join("b.nir")).unwrap_err();
    assert!(missing.to_string().ends_with("b.nir"), "{missing}");
}

#[test]
fn large_arrays_and_many_nodes_come_back() {
    let (n_out, n_in) = (900, 1200);
    let noise = |i: u32| f32::from_bits(0x3f80_0000 | (i.wrapping_mul(2_654_435_761) >> 9)) - 1.5;
    let weight = array(&[n_out, n_in], Data::F32((0..(n_out * n_in) as u32).map(noise).collect()));
    let mut nodes = vec![("large".to_owned(), Primitive::Linear { weight }.into())];
    nodes.extend((0..600).map(|i| {
        (format!("a node with a long name, number {i}"), Primitive::Scale { scale: doubles(1) }.into())
    }));
    let graph = Graph::chain(nodes);
    assert_eq!(from_bytes(to_bytes(&graph).unwrap()).unwrap(), graph);
}

/// The bytes of a file with these entries under `/node`.
fn file_of(node: Metadata) -> Vec<u8> {
    encode::file(&Metadata::from([("node".to_owned(), node.into())])).unwrap()
}

/// A graph of one node called `a` with these entries.
fn file_of_node(entries: &[(&str, Value)]) -> Vec<u8> {
    let node: Metadata = entries.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    file_of(Metadata::from([
        ("type".to_owned(), SUBGRAPH.into()),
        ("edges".to_owned(), Value::Texts(Vec::new())),
        ("nodes".to_owned(), Metadata::from([("a".to_owned(), node.into())]).into()),
    ]))
}

#[test]
fn errors_name_the_object() {
    let numbers = || Value::Array(doubles(3));
    let cases: [(&[(&str, Value)], &str); 7] = [
        (&[("scale", numbers())], "/node/nodes/a: no `type`"),
        (&[("type", "Sigmoid".into())], "/node/nodes/a: unknown type `Sigmoid`"),
        (&[("type", "Scale".into())], "/node/nodes/a: no `scale`"),
        (
            &[("type", "Scale".into()), ("scale", "x".into())],
            "/node/nodes/a/scale: expected numbers, found the text `x`",
        ),
        (
            &[("type", "Scale".into()), ("scale", numbers()), ("extra", 1_i64.into())],
            "/node/nodes/a/extra: unknown entry; what NIR does not define belongs into metadata",
        ),
        (
            &[("type", "Input".into()), ("shape", Value::Array(array(&[1], Data::I64(vec![-1]))))],
            "/node/nodes/a/shape: expected a list of sizes, found int64 [1]",
        ),
        (&[("type", numbers())], "/node/nodes/a/type: expected a text, found float64 [3]"),
    ];
    for (entries, message) in cases {
        assert_eq!(from_bytes(file_of_node(entries)).unwrap_err().to_string(), message);
    }
    assert_eq!(from_bytes(b"no file".to_vec()).unwrap_err().to_string(), "/: not readable as HDF5");
}

#[test]
fn names_that_no_file_can_hold_are_refused() {
    for name in ["", "a/b", ".", "a\0"] {
        let nodes = [(name.to_owned(), Primitive::Input { shape: vec![3] }.into())].into();
        let error = to_bytes(&Graph { nodes, ..Graph::default() }).unwrap_err();
        assert!(matches!(&error, FormatError::Name { name: n, .. } if n == name), "{error}");
    }
}

#[test]
fn groups_nested_too_deep_are_refused() {
    let mut metadata = Metadata::from([("x".to_owned(), Value::from(1_i64))]);
    for _ in 0..40 {
        metadata = Metadata::from([("x".to_owned(), metadata.into())]);
    }
    let error =
        from_bytes(file_of_node(&[("type", "Scale".into()), ("metadata", metadata.into())])).unwrap_err();
    assert!(matches!(error, FormatError::Limit { what: "levels of groups", .. }), "{error}");
}

fn small_file() -> Vec<u8> {
    let nodes = all_primitives().into_iter().take(4).map(|p| (p.name().to_owned(), p.into())).collect();
    to_bytes(&Graph::chain(nodes)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn mangled_files_never_panic(
        cut in 0.0..1.2_f64,
        changes in prop::collection::vec((0.0..1.0_f64, any::<u8>()), 0..6),
    ) {
        let mut bytes = small_file();
        let n = bytes.len();
        for (at, byte) in changes {
            bytes[(at * n as f64) as usize] = byte;
        }
        bytes.truncate((cut * n as f64) as usize);
        if let Ok(graph) = from_bytes(bytes) {
            let _ = crate::import(&graph, &crate::Convention::snntorch());
            prop_assert!(to_bytes(&graph).is_ok());
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut headed = b"\x89HDF\r\n\x1a\n".to_vec();
        headed.extend(&bytes);
        prop_assert!(from_bytes(bytes).is_err());
        let _ = from_bytes(headed);
    }
}
