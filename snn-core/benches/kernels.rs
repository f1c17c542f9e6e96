//! The kernels that training spends its time in: forward and backward of convolutions, fully connected layers and neurons.
//!
//! `cargo bench -p snn-core --bench kernels`. Throughput is in synaptic operations (products with a nonzero input) for layers
//! and in neuron updates for neurons; `Melem/s` are millions of them. `SNN_VECTORS=baseline` or `avx2` times narrower
//! vectors, `RAYON_NUM_THREADS` says how many threads.

#![allow(missing_docs, reason = "a benchmark")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use snn_core::Tensor;
use snn_core::kernels::conv::{Conv, ConvShape};
use snn_core::layer::NeuronKind;
use snn_core::neuron::Lif;
use snn_core::op::{Backward, Op, Saved};
use snn_core::ops::{Conv2d, Conv2dMaxPool, Linear, Pool2d, PoolKind};
use snn_core::rng::counter_uniform;
use std::hint::black_box;

/// Numbers of which a share `density` is 1, and the others 0.
fn spikes(shape: &[usize], density: f32) -> Tensor<f32> {
    let n = shape.iter().product::<usize>() as u64;
    Tensor::new(shape, (0..n).map(|i| f32::from(u8::from(counter_uniform(1, i) < density))).collect())
}

/// Numbers between −1 and 1.
fn dense(shape: &[usize], seed: u64) -> Tensor<f32> {
    let n = shape.iter().product::<usize>() as u64;
    Tensor::new(shape, (0..n).map(|i| 2.0 * counter_uniform(seed, i) - 1.0).collect())
}

/// Times forward and backward of an op; `elements` is the work of one direction.
fn bench_op(
    c: &mut Criterion,
    name: &str,
    case: &str,
    op: &(impl Op<f32> + ?Sized),
    x: &[&Tensor<f32>],
    elements: u64,
) {
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Elements(elements));
    group.bench_function(BenchmarkId::new("forward", case), |b| {
        b.iter(|| black_box(op.forward(black_box(x), &mut Saved::discarding())));
    });
    let mut saved = Saved::keeping();
    let y = op.forward(x, &mut saved);
    let gy = dense(y.shape(), 3);
    let need = vec![true; x.len()];
    let ctx = Backward { x, y: &y, saved: &saved, gy: &gy, need: &need };
    group.bench_function(BenchmarkId::new("backward", case), |b| {
        b.iter(|| black_box(op.backward(black_box(&ctx))));
    });
    group.finish();
}

/// The two convolutions of 12C5-P2-LIF-32C5-P2-LIF-10 with their pools, and a large strided one; 10 steps, 8 samples.
fn convolutions(c: &mut Criterion) {
    let cases = [
        ("2x34x34 12C5-P2", [2, 34, 34], 12, 5, 1, true),
        ("12x15x15 32C5-P2", [12, 15, 15], 32, 5, 1, true),
        ("64x16x16 128C7s2", [64, 16, 16], 128, 7, 2, false),
    ];
    for (layer, [c_in, h, w], c_out, kernel, stride, is_pooled) in cases {
        let shape = ConvShape {
            c_in,
            c_out,
            input: [h, w],
            kernel: [kernel; 2],
            stride: [stride; 2],
            padding: [0; 2],
            dilation: [1; 2],
            groups: 1,
        };
        let conv = Conv::from(shape);
        let weights = dense(&[c_out, c_in, kernel, kernel], 2);
        for percent in [1.0, 3.0, 10.0] {
            let x = spikes(&[10, 8, c_in, h, w], percent / 100.0);
            let op = Conv2d::new(conv.clone());
            let work = op.synops(&[&x, &weights]).effective;
            let case = format!("{layer}, {percent} %");
            let pool = Pool2d { kind: PoolKind::Max, kernel: [2; 2], stride: [2; 2] };
            match Conv2dMaxPool::fuse(&conv, &pool).filter(|_| is_pooled) {
                Some(op) => bench_op(c, "convolution", &case, &op, &[&x, &weights], work),
                None => bench_op(c, "convolution", &case, &op, &[&x, &weights], work),
            }
        }
    }
}

/// 784-1000 for 200 samples and steps.
fn fully_connected(c: &mut Criterion) {
    let weights = dense(&[784, 1000], 2);
    for percent in [1.0, 3.0, 13.0, 100.0] {
        let x = spikes(&[10, 20, 784], percent / 100.0);
        let work = Op::<f32>::synops(&Linear, &[&x, &weights]).effective;
        bench_op(c, "linear", &format!("784-1000, {percent} %"), &Linear, &[&x, &weights], work);
    }
}

/// Neurons of the usual kinds: 25 steps of 20,000, and 100 steps of 32 samples of 256 with all-to-all recurrence.
fn neurons(c: &mut Criterion) {
    let current = dense(&[25, 10, 2000], 4);
    let (recurrent, bias) = (dense(&[100, 32, 256], 4), dense(&[256], 5));
    let weights = dense(&[256, 256], 6).map(|w| w / 16.0);
    let kinds = [
        ("snnTorch", Lif::snntorch(0.9)),
        ("SpikingJelly", Lif::spikingjelly(2.0)),
        ("Norse", Lif::norse(0.5)),
        ("Lui-Neftci", Lif::lui_neftci(0.9)),
    ];
    for (name, neuron) in kinds {
        let kind = NeuronKind::from(neuron);
        bench_op(c, "neurons", name, &*kind.scan::<f32>(), &[&current], current.len() as u64);
        let (op, x) = (kind.recurrent_scan::<f32>(), [&recurrent, &weights, &bias]);
        bench_op(c, "recurrent neurons", name, &*op, &x, recurrent.len() as u64);
    }
}

criterion_group!(benches, convolutions, fully_connected, neurons);
criterion_main!(benches);
