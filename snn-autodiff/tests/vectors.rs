//! Training with narrower vectors: the same bytes.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use snn_autodiff::fit::{Event, Progress};
use snn_autodiff::optim::Adam;
use snn_autodiff::{Batch, BatchIter, BatchSource, FitConfig, fit};
use snn_core::layer::{Sequential, parse};
use snn_core::loss::Loss;
use snn_core::neuron::Lif;
use snn_core::rng::counter_uniform;
use snn_core::{Module, Tensor};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::Command;

/// A few batches of spikes, some of them counts.
struct Spikes(Vec<usize>);

impl BatchSource for Spikes {
    fn batches(&self, _epoch: u64) -> BatchIter<'_> {
        let n = self.0.iter().product::<usize>() as u64;
        let value = |i| match counter_uniform(7, i) {
            u if u < 0.01 => 2.0,
            u if u < 0.1 => 1.0,
            _ => 0.0,
        };
        let batch = move |k: u64| {
            let x = Tensor::new(&self.0, (k * n..(k + 1) * n).map(value).collect());
            Ok(Batch { x, labels: (0..self.0[1]).map(|i| i % 5).collect() })
        };
        Box::new((0..3).map(batch))
    }
}

fn trained(notation: &str, input: &[usize]) -> Sequential {
    let mut net = parse(notation, input, Lif::snntorch(0.75).into()).unwrap().init(3).unwrap();
    let config = FitConfig { epochs: 2, learning_rate: 0.02, micro_batch: Some(4), ..FitConfig::default() };
    let data = Spikes([&[6, 9], input].concat());
    let mut watch = |_: &Event, _: &_, _: &Progress| ControlFlow::Continue(());
    fit(
        &mut net,
        &data,
        &Loss::CrossEntropyCount,
        &Adam::default(),
        &config,
        &mut Progress::default(),
        &mut watch,
    )
    .unwrap();
    net
}

/// All bits of the parameters of networks with every kind of kernel.
fn bits() -> Vec<u8> {
    let nets = [
        trained("5C5-P2-LIF-9C3s2p1-LIF-AP2-7C1-LIF-5-LIF", &[2, 15, 13]),
        trained("12C5-P2-LIF-20C3p1-P2-LIF-5-LIF", &[2, 17, 16]),
        trained("33-RLIF-17-LIF-5-LIF", &[37]),
        trained("6C3-BN-P2-LIF-5-LIF", &[1, 12, 12]),
    ];
    let mut bytes = Vec::new();
    for net in &nets {
        net.visit_params(&mut |p| bytes.extend(p.value.as_slice().iter().flat_map(|v| v.to_le_bytes())));
    }
    bytes
}

#[test]
fn training_with_narrower_vectors_gives_the_same_bytes() {
    let bits = bits();
    if let Some(file) = std::env::var_os("SNN_TEST_BITS") {
        return std::fs::write(file, bits).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    for vectors in ["baseline", "avx2"] {
        let file: PathBuf = folder.path().join(vectors);
        let mut test = Command::new(std::env::current_exe().unwrap());
        test.args(["training_with_narrower_vectors_gives_the_same_bytes", "--exact"]);
        let output = test.env("SNN_VECTORS", vectors).env("SNN_TEST_BITS", &file).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        assert!(std::fs::read(&file).unwrap() == bits, "{vectors}: other bits");
    }
}
