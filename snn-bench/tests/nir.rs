//! A network that was trained here, run by snnTorch and Norse from its NIR file on the same recordings.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panic")]
#![allow(clippy::float_cmp, reason = "spikes are 0 or 1")]
#![allow(clippy::print_stdout, reason = "a comparison says what it found")]

use assert_cmd::Command;
use snn_autodiff::BatchSource;
use snn_bench::config::Config;
use snn_bench::data::{self, Frames};
use snn_bench::run_dir::{RunDir, RunFile};
use snn_bench::{model, nir};
use snn_core::io::{self, Array, Arrays};
use snn_core::layer::Sequential;
use snn_core::{Eager, Exec, Module, Pass, Tensor};
use snn_nir::SoftReset;
use snn_testkit::{Golden, python_with, skip, workspace_root};
use std::path::Path;

/// Strides instead of pools: Norse's importer leaves average pooling out.
const NET: [&str; 6] = [
    "net.layers=8C5s2-LIF-16C5s2-LIF-10-LIF",
    "net.neuron=spikingjelly",
    "net.beta=0.6",
    "data.n_glyphs=120",
    "data.n_steps=10",
    "train.epochs=3",
];

/// Trains a network with hard reset.
fn train(run: &Path) {
    let mut command = Command::cargo_bin("snn-bench").unwrap();
    command.args(["--threads", "2", "train", "-o"]).arg(run);
    for set in NET {
        command.args(["--set", set]);
    }
    command.assert().success();
}

/// The network of a run, and frames `[T, B, C, H, W]` of the recordings that it is tested on.
fn load(run: &Path) -> (Sequential, Tensor<f32>) {
    let dir = RunDir::open(run).unwrap();
    let config: Config = dir.config().clone().try_into().unwrap();
    let [_, c, h, w] = data::sample_shape(&config.data).unwrap();
    let mut net = model::build(&config.net, [c, h, w], config.seed).unwrap();
    io::load_params(&mut net, &dir.file(RunFile::Model)).unwrap();
    let splits = data::open(&config.data, config.seed).unwrap();
    let frames = Frames::in_order(&splits.test, &config.data).unwrap();
    let first = frames.batches(0).next().unwrap().unwrap();
    (net, first.x)
}

fn spikes(net: &Sequential, x: &Tensor<f32>) -> Vec<f32> {
    let mut e = Eager::<f32>::new();
    let x = e.input(x);
    net.forward(&mut e, &x, &Pass::inference()).into_vec()
}

/// Output spikes that differ in a library, and outputs.
fn differences(library: &str, net: &Sequential, x: &Tensor<f32>) -> Option<[usize; 2]> {
    let python = python_with(&["nir", "nirtorch", library])?;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    snn_nir::write(&path("run.nir"), &nir::export(net, SoftReset::Refuse).unwrap().graph).unwrap();
    io::write(&path("run.x.npz"), &Arrays::from([("x".to_owned(), Array::from(x))])).unwrap();
    let script = workspace_root().join("tools/nir/run.py");
    Command::new(python).arg(script).arg(library).arg(folder.path()).assert().success();
    let there = Golden::read(&path("run.y.npz")).unwrap().get_f32("y").1;
    let here = spikes(net, x);
    assert_eq!(here.len(), there.len());
    Some([here.iter().zip(&there).filter(|(a, b)| a != b).count(), here.len()])
}

#[test]
fn a_trained_network_spikes_the_same_in_snntorch_and_norse() {
    if python_with(&["nir", "nirtorch"]).is_none() {
        return skip("no Python with nir and nirtorch");
    }
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    train(&run);
    let (net, x) = load(&run);
    for library in ["snntorch", "norse"] {
        match differences(library, &net, &x) {
            None => skip(&format!("no Python with {library}")),
            Some([n, of]) => {
                println!("{library}: {n} of {of} outputs differ");
                assert!(n * 200 <= of, "{library}: {n} of {of} outputs differ");
            }
        }
    }
}
