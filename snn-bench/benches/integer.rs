//! The integer engine against the float path, one clip at a time, as a deployed network runs.
//!
//! `cargo bench -p snn-bench --bench integer`. Clips are built-in simulated glyphs in ten bins for the network of N-MNIST,
//! and random spikes at three rates for a fully connected network. Before the timings it prints the bytes of each model and
//! of its memory.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, reason = "a benchmark fails by panic")]

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use snn_bench::integer::{DefaultBits, complete};
use snn_core::exec::{Eager, Exec};
use snn_core::layer::{Sequential, parse};
use snn_core::neuron::Lif;
use snn_core::rng::counter_uniform;
use snn_core::{Module, Pass, Tensor};
use snn_data::Dataset;
use snn_data::ToFrames;
use snn_data::datasets::glyphs::{Glyphs, GlyphsConfig};
use snn_int::{Engine, Model, Sizes};
use snn_quant::exact::{Exact, lower};
use snn_quant::{QuantPlan, Quantized};
use std::collections::BTreeSet;
use std::hint::black_box;

/// Frames of clips, each `[T][values]`.
type Clips = Vec<Vec<Vec<u8>>>;

fn network(layers: &str, input: &[usize]) -> Sequential {
    let mut net = parse(layers, input, Lif::snntorch(0.7).into()).unwrap().init(1).unwrap();
    net.visit_params_mut(&mut |p| {
        if p.is_weight() {
            p.value = p.value.map(|w| 2.0 * w);
        }
    });
    net
}

fn integer(net: &Sequential, bits: u32) -> Vec<u8> {
    let mut plan = QuantPlan::default();
    complete(&mut plan, net, DefaultBits { weights: bits, membranes: 16 }, None).unwrap();
    if let Some(exact) = &mut plan.exact {
        exact.input_max = 15;
    }
    lower(&Exact::new(net.clone(), plan).unwrap(), "").unwrap().to_bytes().unwrap()
}

fn glyph_clips(n: usize) -> Clips {
    let glyphs = Glyphs::new(GlyphsConfig { n_samples: 20, ..GlyphsConfig::default() }).unwrap();
    let clip = |i| {
        let events = glyphs.events(i).unwrap();
        let frames = ToFrames::lui_neftci(10).frames(&events, glyphs.sensor()).unwrap();
        let n = frames.len() / 10;
        frames.into_raw_vec_and_offset().0.chunks(n).map(<[u8]>::to_vec).collect()
    };
    (0..n).map(clip).collect()
}

fn random_clips(n_in: usize, rate: f32) -> Clips {
    let value = |t: usize, i: usize| u8::from(counter_uniform(t as u64, i as u64) < rate);
    vec![(0..25).map(|t| (0..n_in).map(|i| value(t, i)).collect()).collect()]
}

fn tensor(clip: &[Vec<u8>], shape: &[usize]) -> Tensor<f32> {
    let values = clip.iter().flatten().map(|&v| f32::from(v)).collect();
    Tensor::new(&[&[clip.len(), 1], shape].concat(), values)
}

fn run_integer(engine: &mut Engine<'_>, clips: &Clips) -> i64 {
    clips
        .iter()
        .map(|clip| {
            engine.reset();
            for frame in clip {
                engine.set_frame(frame).unwrap();
                engine.step();
            }
            engine.scores()[0]
        })
        .sum()
}

fn run_float(net: &impl Module, clips: &[Tensor<f32>]) -> f32 {
    let run = |clip| {
        let mut e = Eager::<f32>::new();
        let x = e.input(clip);
        net.forward(&mut e, &x, &Pass::inference()).as_slice()[0]
    };
    clips.iter().map(run).sum()
}

fn compare(c: &mut Criterion, name: &str, net: &Sequential, clips: &Clips) {
    let mut group = c.benchmark_group(name);
    group.throughput(criterion::Throughput::Elements(clips.len() as u64));
    let tensors: Vec<_> = clips.iter().map(|clip| tensor(clip, net.input_features())).collect();
    let float = Quantized::new(net.clone(), &BTreeSet::new(), QuantPlan::default()).unwrap();
    group.bench_function("float", |b| b.iter(|| black_box(run_float(&float, &tensors))));
    for bits in [8, 4, 2, 1] {
        let bytes = integer(net, bits);
        let model = Model::from_bytes(&bytes).unwrap();
        println!(
            "{name} at {bits} bits: model {} bytes, memory {} bytes",
            bytes.len(),
            Sizes::of(&model).bytes()
        );
        let mut engine = Engine::new(model);
        group.bench_function(BenchmarkId::new("integer", bits), |b| {
            b.iter(|| black_box(run_integer(&mut engine, clips)));
        });
    }
    group.finish();
}

fn integer_against_float(c: &mut Criterion) {
    let small = network("12C5-P2-LIF-32C5-P2-LIF-10", &[2, 32, 32]);
    compare(c, "nmnist-clip", &small, &glyph_clips(10));
    let dense = network("1000-LIF-10-LIF", &[784]);
    for percent in [1_u8, 5, 20] {
        let clips = random_clips(784, f32::from(percent) / 100.0);
        compare(c, &format!("784-1000-10-at-{percent}-percent"), &dense, &clips);
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = integer_against_float
}
criterion_main!(benches);
