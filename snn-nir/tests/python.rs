//! Files written here, run by snnTorch and Norse themselves.
//!
//! Needs Python with the packages of `tools/nir/requirements.txt`; `SNN_PYTHON` names the interpreter, else it is `python3`.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::float_cmp, reason = "spikes are 0 or 1")]
#![allow(clippy::cast_possible_truncation, reason = "codes are whole numbers")]
#![allow(clippy::print_stdout, reason = "a comparison says what it found")]

use snn_core::io::{Array, Arrays};
use snn_core::layer::{Builder, Conv2dConfig, Sequential};
use snn_core::module::Role;
use snn_core::neuron::{CubaLif, Firing, Lif, Reset, ResetTime};
use snn_core::rng::rng;
use snn_core::{Eager, Exec, Module, Pass, Tensor};
use snn_nir::{ExportOptions, TensorQuant, WeightFormat, export, from_bytes, write};
use snn_testkit::{Golden, python_with, skip, workspace_root};
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

const N_STEPS: usize = 60;

fn hard() -> Firing {
    Firing { reset: Reset::Zero, reset_time: ResetTime::SameStep, threshold: 0.75, ..Firing::default() }
}

fn lif(beta: f32) -> Lif {
    Lif { beta, gain: 1.0, firing: hard() }
}

/// The network with weights strong enough for spikes in all layers.
fn net(builder: Builder) -> Sequential {
    let mut net = builder.init(3).unwrap();
    net.visit_params_mut(&mut |p| {
        let factor = if p.is_weight() { 2.5 } else { 0.5 };
        p.value = p.value.map(|v| v * factor);
    });
    net
}

fn dense(neurons: [Lif; 2]) -> Sequential {
    net(Sequential::input(&[12])
        .linear("fc1", 16)
        .neuron("lif1", neurons[0])
        .linear("fc2", 8)
        .neuron("lif2", neurons[1]))
}

/// A network, how it is exported, and what it is called.
struct Case(&'static str, Sequential, ExportOptions);

/// Writes graph and input of a case, and returns the spikes of the network here.
fn prepare(folder: &Path, Case(name, net, options): &Case) -> Vec<f32> {
    write(&folder.join(name).with_extension("nir"), &export(net, options).unwrap().graph).unwrap();
    let features = net.input_features();
    let shape = [&[N_STEPS, 1], features].concat();
    let mut random = rng(5, "input");
    let x = (0..shape.iter().product())
        .map(|_| f32::from(u8::from(rand::RngExt::random_bool(&mut random, 0.3))))
        .collect();
    let x = Tensor::<f32>::new(&shape, x);
    let arrays = Arrays::from([("x".to_owned(), Array::from(&x))]);
    snn_core::io::write(&folder.join(name).with_extension("x.npz"), &arrays).unwrap();
    let mut e = Eager::<f32>::new();
    let x = e.input(&x);
    net.forward(&mut e, &x, &Pass::inference()).into_vec()
}

/// Equal but for rounding, which may move a spike where a membrane all but touches the threshold: one in two hundred here.
fn agree(python: &OsStr, library: &str, cases: &[Case]) {
    let folder = tempfile::tempdir().unwrap();
    let here: Vec<_> = cases.iter().map(|case| prepare(folder.path(), case)).collect();
    let script = workspace_root().join("tools/nir/run.py");
    let output = Command::new(python).arg(script).arg(library).arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{library}: {}", String::from_utf8_lossy(&output.stderr));
    for (Case(name, ..), here) in cases.iter().zip(here) {
        let n_spikes = here.iter().filter(|&&s| s > 0.0).count();
        let is_alive = n_spikes > here.len() / 50 && n_spikes < here.len() / 2;
        assert!(is_alive, "{name}: {n_spikes} spikes in {} outputs", here.len());
        let (_, there) =
            Golden::read(&folder.path().join(name).with_extension("y.npz")).unwrap().get_f32("y");
        assert_eq!(here.len(), there.len());
        let n = here.iter().zip(&there).filter(|(a, b)| a != b).count();
        println!("{library}, {name}: {n} of {} outputs differ, {n_spikes} are spikes", here.len());
        assert!(n * 200 <= here.len(), "{library}, {name}: {n} of {} outputs differ", here.len());
    }
}

fn synaptic() -> Sequential {
    let neuron = CubaLif { alpha: 0.5, beta: 0.75, firing: hard() };
    net(Sequential::input(&[12])
        .linear("fc1", 16)
        .neuron("syn1", neuron)
        .linear_without_bias("fc2", 8)
        .neuron("lif2", lif(0.9)))
}

/// 4-bit codes with a scale for each tensor, and the network on their levels.
fn codes() -> (Sequential, ExportOptions) {
    let mut net = dense([lif(0.9), lif(0.875)]);
    let mut options = ExportOptions { weights: WeightFormat::Codes, ..ExportOptions::default() };
    net.visit_params_mut(&mut |p| {
        let Role::Weight { .. } = p.role else { return };
        let scale = p.value.as_slice().iter().fold(0.0_f32, |m, w| m.max(w.abs())) / 7.0;
        let codes: Vec<i32> =
            p.value.as_slice().iter().map(|w| (w / scale).round_ties_even() as i32).collect();
        p.value = Tensor::new(p.value.shape(), codes.iter().map(|&q| scale * q as f32).collect());
        let (scales, zero_points) = (vec![scale], vec![0]);
        let quant = TensorQuant { scheme: "uniform".to_owned(), bits: 4, scales, zero_points, codes };
        options.quant.insert(p.name.clone(), quant);
    });
    (net, options)
}

fn images(builder: Builder) -> Sequential {
    net(builder.flatten().linear("fc", 8).neuron("lif2", lif(0.875)))
}

#[test]
fn snntorch_spikes_the_same() {
    let Some(python) = python_with(&["nir", "nirtorch", "snntorch"]) else {
        return skip("no Python with nir, nirtorch and snntorch");
    };
    let input = Sequential::input(&[2, 8, 8]).conv2d("conv1", Conv2dConfig::new(6, 3).padding(1));
    let (quantized, options) = codes();
    let float = ExportOptions::default;
    agree(
        &python,
        "snntorch",
        &[
            Case("dense", dense([lif(0.9), lif(0.75)]), float()),
            Case("synaptic", synaptic(), float()),
            Case("images", images(input.avg_pool(2).neuron("lif1", lif(0.9))), float()),
            Case("codes", quantized, options),
        ],
    );
}

#[test]
fn norse_spikes_the_same() {
    let Some(python) = python_with(&["nir", "nirtorch", "norse"]) else {
        return skip("no Python with nir, nirtorch and norse");
    };
    let input = Sequential::input(&[2, 8, 8]).conv2d("conv1", Conv2dConfig::new(6, 3).stride(2));
    let float = || ExportOptions { dt: 1e-3, ..ExportOptions::default() };
    agree(
        &python,
        "norse",
        &[
            Case("dense", dense([lif(0.9), lif(0.75)]), float()),
            Case("integrators", dense([lif(1.0), Lif { gain: 0.5, ..lif(0.9) }]), float()),
            Case("synaptic", synaptic(), float()),
            Case("images", images(input.neuron("lif1", lif(0.9))), float()),
        ],
    );
}

/// A file of `nir`, read and written here, is the same file to `nir`.
#[test]
fn nir_reads_what_it_wrote() {
    let Some(python) = python_with(&["nir", "h5py"]) else {
        return skip("no Python with nir and h5py");
    };
    let folder = tempfile::tempdir().unwrap();
    let [theirs, ours] = ["theirs.nir", "ours.nir"].map(|name| folder.path().join(name));
    let golden = Golden::read(&workspace_root().join("tests/golden/nir/nir.npz")).unwrap();
    let bytes: Vec<u8> = golden.get_i64("nir_all/nir").1.iter().map(|&b| u8::try_from(b).unwrap()).collect();
    std::fs::write(&theirs, &bytes).unwrap();
    write(&ours, &from_bytes(bytes).unwrap()).unwrap();
    let script = workspace_root().join("tools/nir/compare.py");
    let output = Command::new(python).arg(script).args([theirs, ours]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}
