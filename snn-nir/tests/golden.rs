//! Networks exported by snnTorch, Norse, SpikingJelly and Sinabs (`tools/nir`) spike here as they do there.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::float_cmp, reason = "spikes are 0 or 1")]

use snn_core::neuron::Reset;
use snn_core::{Eager, Exec, Module, Pass, Tensor};
use snn_nir::{
    Convention, Graph, ImportError, Imported, Note, Primitive, Value, from_bytes, import, to_bytes,
};
use snn_testkit::{Golden, workspace_root};
use std::collections::BTreeSet;

/// Arrays of a library, and the cases that have been looked at.
struct Library {
    golden: Golden,
    seen: BTreeSet<String>,
}

impl Library {
    fn open(name: &str) -> Self {
        let path = workspace_root().join("tests/golden/nir").join(name).with_extension("npz");
        Self { golden: Golden::read(&path).unwrap(), seen: BTreeSet::new() }
    }

    fn graph(&mut self, case: &str) -> Graph {
        self.seen.insert(case.to_owned());
        let (_, bytes) = self.golden.get_i64(&format!("{case}/nir"));
        from_bytes(bytes.into_iter().map(|b| u8::try_from(b).unwrap()).collect()).unwrap()
    }

    fn import(&mut self, case: &str, convention: &Convention) -> Result<Imported, ImportError> {
        import(&self.graph(case), convention)
    }

    /// Runs the imported network, and counts outputs that differ.
    #[track_caller]
    fn differences(&self, case: &str, imported: &Imported) -> usize {
        let (shape, x) = self.golden.get_f32(&format!("{case}/x"));
        let (_, expected) = self.golden.get_f32(&format!("{case}/y"));
        let spikes = run(imported, &shape, x);
        assert_eq!(spikes.len(), expected.len());
        spikes.iter().zip(&expected).filter(|(a, b)| a != b).count()
    }

    #[track_caller]
    fn agrees(&mut self, case: &str, convention: &Convention) -> Imported {
        let imported = self.import(case, convention).unwrap();
        assert_eq!(self.differences(case, &imported), 0, "outputs of {case}");
        imported
    }

    fn all_seen(&self) {
        let cases: BTreeSet<_> = self.golden.cases().into_iter().map(str::to_owned).collect();
        assert_eq!(self.seen, cases);
    }
}

/// `shape` and `x` are `[T, features…]`; a batch of one is put between.
fn run(imported: &Imported, shape: &[usize], x: Vec<f32>) -> Vec<f32> {
    let shape = [&shape[..1], &[1], &shape[1..]].concat();
    let mut e = Eager::<f32>::new();
    let x = e.input(&Tensor::new(&shape, x));
    imported.net.forward(&mut e, &x, &Pass::inference()).into_vec()
}

#[test]
fn networks_of_snntorch_spike_the_same() {
    let mut library = Library::open("snntorch");
    let hard = Convention::snntorch();
    for case in ["snntorch_leaky", "snntorch_conv", "snntorch_synaptic", "snntorch_rleaky"] {
        assert_eq!(library.agrees(case, &hard).notes, [], "{case}");
    }
    // Different thresholds within a layer are moved into its weights.
    let imported = library.agrees("snntorch_thresholds", &hard);
    assert_eq!(imported.notes, [Note::Rescaled { node: "1".to_owned(), into: "0".to_owned() }]);
    // snnTorch's default reset is not in the file: the reader has to know.
    let wrong = library.import("snntorch_subtract", &hard).unwrap();
    assert!(library.differences("snntorch_subtract", &wrong) > 0);
    library.agrees("snntorch_subtract", &Convention { reset: Reset::Subtract, ..hard });
    library.all_seen();
}

#[test]
fn networks_of_norse_spike_the_same() {
    let mut library = Library::open("norse");
    let norse = Convention::norse(1e-3);
    let imported = library.agrees("norse_lif_box", &norse);
    assert_eq!(imported.notes, [Note::Rescaled { node: "1".to_owned(), into: "0".to_owned() }]);
    assert_eq!(library.agrees("norse_iaf", &norse).notes, []);
    // Norse leaves the reset potential out, so the file says 0: which is not where this membrane rests.
    let message = library.import("norse_leak", &norse).unwrap_err().to_string();
    assert!(message.starts_with("node `1`: v_reset is not v_leak"), "{message}");
    library.all_seen();
}

#[test]
fn networks_of_spikingjelly_spike_the_same() {
    let mut library = Library::open("spikingjelly");
    let imported = library.agrees("spikingjelly_lif", &Convention::spikingjelly());
    assert_eq!(imported.notes, [Note::Shifted { node: "_3".to_owned() }]);
    library.agrees("spikingjelly_conv", &Convention::spikingjelly());
    library.all_seen();
}

#[test]
fn networks_of_sinabs_spike_the_same() {
    let mut library = Library::open("sinabs");
    assert_eq!(library.agrees("sinabs_conv", &Convention::sinabs()).notes, []);
    library.all_seen();
}

#[test]
fn every_primitive_that_nir_writes_is_read() {
    let mut library = Library::open("nir");
    let graph = library.graph("nir_all");
    library.all_seen();
    assert_eq!(graph.nodes.len(), 19);
    for (name, node) in &graph.nodes {
        let primitive = if name == "graph" { "nirgraph" } else { name.as_str() };
        assert_eq!(node.primitive.name().to_lowercase(), primitive);
    }
    let Primitive::Graph(inner) = &graph.nodes["graph"].primitive else { panic!("no subgraph") };
    assert_eq!((inner.nodes.len(), inner.edges.len(), inner.metadata["text"].text()), (4, 4, Some("")));
    let Primitive::Linear { weight } = &graph.nodes["linear"].primitive else { panic!("no weights") };
    assert_eq!((weight.data().type_name(), weight.shape()), ("int8", &[2, 3][..]));
    let metadata = &graph.nodes["lif"].metadata;
    assert_eq!((metadata["text"].text(), metadata["count"].number()), (Some("τ > 0"), Some(3.0)));
    assert_eq!(metadata["flag"].number(), Some(1.0));
    let Value::Group(inner) = &metadata["inner"] else { panic!("no group") };
    assert_eq!(inner["levels"].describe(), "int16 [4]");
    assert_eq!(from_bytes(to_bytes(&graph).unwrap()).unwrap(), graph);
}

/// What is read under another convention is another network: the tests above would notice.
#[test]
fn the_convention_matters() {
    let mut library = Library::open("snntorch");
    let other = library.import("snntorch_leaky", &Convention::euler(2e-4)).unwrap();
    assert!(library.differences("snntorch_leaky", &other) > 0);
    let mut library = Library::open("sinabs");
    let other =
        library.import("sinabs_conv", &Convention { reset: Reset::Zero, ..Convention::sinabs() }).unwrap();
    assert!(library.differences("sinabs_conv", &other) > 0);
}
