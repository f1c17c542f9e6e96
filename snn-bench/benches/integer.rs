//! The integer engine against the float path: the latency of one recording, and recordings a second over a batch.
//!
//! `cargo bench -p snn-bench --bench integer`, or with a filter such as `-- latency/nmnist`. Recordings are random spikes of
//! 25 steps at two rates for each network, weights are drawn. Before the timings of a network it prints the bytes of its
//! models and of the memory that running them takes.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, reason = "a benchmark fails by panic")]

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rayon::ThreadPool;
use rayon::prelude::*;
use snn_bench::integer::{DefaultBits, complete};
use snn_core::exec::{Eager, Exec};
use snn_core::layer::{Sequential, parse};
use snn_core::neuron::Lif;
use snn_core::rng::counter_uniform;
use snn_core::{Module, Pass, Tensor};
use snn_int::{Engine, Model};
use snn_quant::QuantPlan;
use snn_quant::exact::{Exact, lower};
use std::hint::black_box;
use std::time::Duration;

/// Steps of a recording.
const N_STEPS: usize = 25;

/// Recordings of a batch.
const BATCH: usize = 64;

/// Widths of weights.
const BITS: [u32; 4] = [8, 4, 2, 1];

/// A network and the shares of its inputs that spike, in percent.
struct Case {
    name: &'static str,
    layers: &'static str,
    input: &'static [usize],
    percent: [u8; 2],
}

const CASES: [Case; 2] = [
    Case { name: "nmnist", layers: "12C5-P2-LIF-32C5-P2-LIF-10", input: &[2, 32, 32], percent: [1, 3] },
    Case { name: "784-1000-10", layers: "1000-LIF-10-LIF", input: &[784], percent: [3, 13] },
];

/// A recording, `[T][values]`.
type Frames = Vec<Vec<u8>>;

fn network(case: &Case) -> Sequential {
    let mut net = parse(case.layers, case.input, Lif::snntorch(0.7).into()).unwrap().init(1).unwrap();
    net.visit_params_mut(&mut |p| {
        if p.is_weight() {
            p.value = p.value.map(|w| 2.0 * w);
        }
    });
    net
}

/// The network in integers, membranes of 16 bits, as the bytes of its model.
fn model(net: &Sequential, bits: u32) -> Vec<u8> {
    let mut plan = QuantPlan::default();
    complete(&mut plan, net, DefaultBits { weights: bits, membranes: 16 }, None).unwrap();
    if let Some(exact) = &mut plan.exact {
        exact.input_max = 1;
    }
    lower(&Exact::new(net.clone(), plan).unwrap(), "").unwrap().to_bytes().unwrap()
}

fn recordings(case: &Case, percent: u8) -> Vec<Frames> {
    let n: usize = case.input.iter().product();
    let rate = f32::from(percent) / 100.0;
    let frame =
        |seed: usize| (0..n as u64).map(|i| u8::from(counter_uniform(seed as u64, i) < rate)).collect();
    (0..BATCH).map(|sample| (0..N_STEPS).map(|t| frame(sample * N_STEPS + t)).collect()).collect()
}

/// Recordings as a batch `[T, B, features…]`.
fn tensor(recordings: &[Frames], input: &[usize]) -> Tensor<f32> {
    let step = |t: usize| recordings.iter().flat_map(move |frames| frames[t].iter().map(|&v| f32::from(v)));
    let shape = [&[N_STEPS, recordings.len()], input].concat();
    Tensor::new(&shape, (0..N_STEPS).flat_map(step).collect())
}

fn run_integer(engine: &mut Engine<'_>, frames: &Frames) -> i64 {
    engine.reset();
    for frame in frames {
        engine.set_frame(frame).unwrap();
        engine.step();
    }
    engine.scores()[0]
}

fn run_float(net: &Sequential, x: &Tensor<f32>) -> f32 {
    let mut e = Eager::<f32>::new();
    let x = e.input(x);
    net.forward(&mut e, &x, &Pass::inference()).as_slice()[0]
}

fn pool(n_threads: usize) -> ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap()
}

fn group<'c>(c: &'c mut Criterion, name: &str, n_recordings: usize) -> BenchmarkGroup<'c, WallTime> {
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Elements(n_recordings as u64));
    group
}

/// One recording, one thread.
fn latency(c: &mut Criterion, case: &Case, net: &Sequential, models: &[(u32, Vec<u8>)]) {
    let pool = pool(1);
    for percent in case.percent {
        let recordings = recordings(case, percent);
        let mut group = group(c, &format!("latency/{}/{percent}-percent", case.name), 1);
        let x = tensor(&recordings[..1], case.input);
        group.bench_function("float", |b| pool.install(|| b.iter(|| black_box(run_float(net, &x)))));
        for (bits, bytes) in models {
            let mut engine = Engine::new(Model::from_bytes(bytes).unwrap());
            group.bench_function(BenchmarkId::new("integer", bits), |b| {
                b.iter(|| black_box(run_integer(&mut engine, &recordings[0])));
            });
        }
        group.finish();
    }
}

/// A batch on one and on two threads: the float path as one tensor, the integer engine with a copy for each thread.
fn throughput(c: &mut Criterion, case: &Case, net: &Sequential, models: &[(u32, Vec<u8>)]) {
    for (percent, n_threads) in case.percent.into_iter().flat_map(|percent| [(percent, 1), (percent, 2)]) {
        let (recordings, pool) = (recordings(case, percent), pool(n_threads));
        let name = format!("throughput/{}/{percent}-percent/{n_threads}-threads", case.name);
        let mut group = group(c, &name, BATCH);
        let x = tensor(&recordings, case.input);
        group.bench_function("float", |b| pool.install(|| b.iter(|| black_box(run_float(net, &x)))));
        for (bits, bytes) in models {
            let mut engines = vec![Engine::new(Model::from_bytes(bytes).unwrap()); n_threads];
            let mut run = || -> i64 {
                let shares = engines.par_iter_mut().zip(recordings.par_chunks(BATCH.div_ceil(n_threads)));
                shares
                    .map(|(engine, share)| share.iter().map(|of| run_integer(engine, of)).sum::<i64>())
                    .sum()
            };
            group.bench_function(BenchmarkId::new("integer", bits), |b| {
                b.iter(|| black_box(pool.install(&mut run)));
            });
        }
        group.finish();
    }
}

fn integer_against_float(c: &mut Criterion) {
    for case in &CASES {
        let net = network(case);
        let models: Vec<(u32, Vec<u8>)> = BITS.iter().map(|&bits| (bits, model(&net, bits))).collect();
        for (bits, bytes) in &models {
            let memory = Engine::new(Model::from_bytes(bytes).unwrap()).memory_bytes();
            println!("{} at {bits} bits: model {} bytes, memory {memory} bytes", case.name, bytes.len());
        }
        latency(c, case, &net, &models);
        throughput(c, case, &net, &models);
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = integer_against_float
}
criterion_main!(benches);
