//! NIR files around whole jobs: a network that was trained here, run by snnTorch and Norse on the same recordings, and graphs
//! as integer models.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panic")]
#![allow(clippy::float_cmp, reason = "spikes are 0 or 1")]
#![allow(clippy::print_stdout, reason = "a comparison says what it found")]

use assert_cmd::Command;
use snn_autodiff::BatchSource;
use snn_bench::config::Config;
use snn_bench::data::{self, Frames};
use snn_bench::integer::{DefaultBits, complete};
use snn_bench::run_dir::{RunDir, RunFile};
use snn_bench::{model, nir};
use snn_core::io::{self, Array, Arrays};
use snn_core::layer::{Conv2dConfig, Sequential};
use snn_core::neuron::Lif;
use snn_core::{Eager, Exec, Module, Pass, Tensor};
use snn_data::ToFrames;
use snn_data::format::any::{self, ReadOptions};
use snn_data::format::decode::Damage;
use snn_data::format::nmnist_bin::NMNIST_SENSOR;
use snn_nir::SoftReset;
use snn_quant::QuantPlan;
use snn_quant::exact::Exact;
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

/// A graph of spiking layers with hard reset, for frames of `channels` x 32 x 32.
fn graph(folder: &Path, channels: usize) -> (Sequential, String) {
    let hard = Lif::spikingjelly(2.5);
    let net = Sequential::input(&[channels, 32, 32]).conv2d("conv", Conv2dConfig::new(6, 5).stride(2));
    let net = net.neuron("lif1", hard).flatten().linear("fc", 10).neuron("lif2", hard);
    let mut net = net.init(5).unwrap();
    let gain = |name: &str| if name == "conv.weight" { 8.0 } else { 20.0 };
    net.visit_params_mut(&mut |p| {
        if p.is_weight() {
            p.value = p.value.map(|w| gain(&p.name) * w);
        }
    });
    let path = folder.join(format!("net{channels}.nir")).to_str().unwrap().to_owned();
    snn_nir::write(Path::new(&path), &nir::export(&net, SoftReset::Refuse).unwrap().graph).unwrap();
    (net, path)
}

/// Spikes of each output on a recording.
fn counts(net: &impl Module, file: &Path, n_steps: usize) -> Vec<f32> {
    let options = ReadOptions { format: None, sensor: None, damage: Damage::Refuse };
    let events = any::read(file, &options).unwrap().1.events;
    let frames = ToFrames::lui_neftci(n_steps).frames(&events, NMNIST_SENSOR).unwrap();
    let x = frames.into_raw_vec_and_offset().0.into_iter().map(f32::from).collect();
    let mut e = Eager::<f32>::new();
    let x = e.input(&Tensor::new(&[n_steps, 1, 2, 32, 32], x));
    let spikes = net.forward(&mut e, &x, &Pass::inference()).into_vec();
    (0..10).map(|i| spikes.iter().skip(i).step_by(10).sum()).collect()
}

fn program(args: &[&str]) -> (Option<i32>, String) {
    let output = Command::cargo_bin("snn-bench").unwrap().args(args).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_graph_is_an_integer_model_under_a_plan() {
    const N_STEPS: usize = 6;
    let folder = tempfile::tempdir().unwrap();
    let (net, file) = graph(folder.path(), 2);
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let [data, model, table] = ["data", "net.snni", "counts.csv"].map(path);
    assert_eq!(program(&["data", "make", "-o", &data, "--n-train", "20", "--n-test", "10"]).0, Some(0));
    let import =
        ["import", &file, "--convention", "snntorch", "--steps", "6", "-o", &model, "--membrane-bits", "12"];
    let (code, stderr) = program(&[&import[..], &["--bits", "10"]].concat());
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(program(&["run", &model, &data, "--counts", &table]).0, Some(0));

    let mut plan = QuantPlan::default();
    complete(&mut plan, &net, DefaultBits { weights: 10, membranes: 12 }, None).unwrap();
    let exact = Exact::new(net.clone(), plan).unwrap();
    let (mut n_spikes, mut n_same, mut n) = (0.0, 0, 0);
    for row in csv::Reader::from_path(&table).unwrap().records() {
        let row = row.unwrap();
        let found: Vec<f32> = row.iter().skip(2).map(|count| count.parse().unwrap()).collect();
        let file = Path::new(&data).join(&row[0]);
        assert_eq!(found, counts(&exact, &file, N_STEPS), "{}", &row[0]);
        let float = counts(&net, &file, N_STEPS);
        n_spikes += found.iter().sum::<f32>();
        n_same += found.iter().zip(&float).filter(|(a, b)| (*a - *b).abs() <= 1.0).count();
        n += found.len();
    }
    assert_eq!(n, 300);
    assert!(n_spikes > 100.0 && n_spikes < 1700.0, "{n_spikes} spikes");
    assert!(n_same * 10 > 9 * n, "{n_same} of {n} counts are within a spike of the float network's");
}

#[test]
fn graphs_that_are_no_integer_model_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let ((_, two), (_, three)) = (graph(folder.path(), 2), graph(folder.path(), 3));
    let model = folder.path().join("net.snni").to_str().unwrap().to_owned();
    let said = [&["--convention", "snntorch"][..], &["--steps", "6"], &["-o", &model]].concat();
    let cases: [(&str, &[&str], &str); 6] = [
        (&two, &["--steps", "6", "-o", &model], "--convention"),
        (&two, &["--convention", "snntorch", "-o", &model], "--steps N"),
        (&two, &[&said[..], &["--membrane-bits", "1"]].concat(), "a membrane needs at least 2 bits"),
        (&two, &[&said[..], &["--bin-us", "0"]].concat(), "bin_us is 0"),
        (&three, &said, "the network takes frames of [3, 32, 32]"),
        ("net.toml", &["-o", &model, "--bits", "4"], "are for NIR graphs"),
    ];
    for (file, args, words) in cases {
        let (code, stderr) = program(&[&["import", file], args].concat());
        assert!(code == Some(2) && stderr.contains(words), "{file} {args:?}: {stderr}");
        assert!(!Path::new(&model).exists());
    }
    let (code, stderr) = program(&[&["import", &three][..], &said, &["--bin-us", "20000"]].concat());
    assert_eq!((code, Path::new(&model).exists()), (Some(0), true), "{stderr}");
}
