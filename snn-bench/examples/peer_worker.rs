//! Our side of the comparison with Python frameworks (`tools/peers/training`): a process that trains and runs a given
//! network on given data when told so, and says how long it took.
//!
//! Arguments: the notation of the network, its neuron, its input shape, a file of arrays (`x`, `labels`, parameters), threads, and how
//! it is trained quantized: `w4s4` for weights of 4 bits and membranes on snnTorch's 16 levels around the threshold, nothing for float. Each
//! line on stdin is a command: `grads FILE` writes the gradients and answers with the loss, `step` does a training step,
//! `forward` an inference pass over the whole batch, `integer BITS` the same in the integer engine, sample after sample,
//! `probe FILE` the products of the Hessian with the one direction or the four directions in a file (arrays
//! `LANE/PARAMETER`), which are written to `FILE` with `.out.npz` for its ending; these answer with milliseconds, of probes
//! for each direction. `outputs FILE` writes the spikes of the network as `spikes`, `model_bytes BITS` and `memory_bytes BITS` say
//! what the engine takes. `turn N COMMAND` is the command so many times in a row, with as many answers, each on a line.

use anyhow::{Context, ensure};
use rayon::prelude::*;
use snn_autodiff::fit::{Batch, Event, FitConfig, Progress, fit};
use snn_autodiff::{Grads, Sample, Tape, hvp, optim::Adam};
use snn_bench::integer::{DefaultBits, complete};
use snn_bench::model::neuron_names;
use snn_core::layer::{Sequential, parse};
use snn_core::neuron::{Firing, Lif, Reset, ResetGrad, ResetTime, SpikeWhen};
use snn_core::surrogate::Surrogate;
use snn_core::{Eager, Exec, Module, Pass, Tensor, io, loss::Loss};
use snn_int::{Engine, Model};
use snn_quant::exact::{Exact, lower};
use snn_quant::{BitWidth, LevelSpec, QuantPlan, QuantSpec, Quantized, Spacing, StateSpec, weight_shapes};
use std::collections::BTreeMap;
use std::io::BufRead;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

/// That of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The neuron that a framework has by the settings of the comparison: decay 0.5, threshold 1, soft reset.
fn neuron(framework: &str) -> anyhow::Result<Lif> {
    let same_step = Firing { reset: Reset::Subtract, reset_time: ResetTime::SameStep, ..Firing::default() };
    let firing = match framework {
        "snntorch" => Firing::default(),
        "spikingjelly" => Firing { spike_when: SpikeWhen::AtOrAbove, ..same_step },
        "norse" => Firing {
            reset_grad: ResetGrad::Through,
            surrogate: Surrogate::FastSigmoid { slope: 1.0 },
            ..same_step
        },
        other => anyhow::bail!("no neuron of `{other}`"),
    };
    Ok(Lif { beta: 0.5, gain: 1.0, firing })
}

fn load(file: &Path, net: &mut Sequential) -> anyhow::Result<Batch> {
    let mut arrays = io::read(file)?;
    let mut take = |name: &str| {
        let array = arrays.remove(name).with_context(|| format!("no `{name}` in {}", file.display()))?;
        array.to_tensor().with_context(|| format!("`{name}` is not float32"))
    };
    let (x, labels) = (take("x")?, take("labels")?);
    io::set_params(net, &arrays, file)?;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "labels are small whole numbers"
    )]
    let labels = labels.as_slice().iter().map(|&label| label as usize).collect();
    Ok(Batch { x, labels })
}

/// The network with the widths that `quantization` names, such as `w4s4`, `s8` or nothing.
fn quantized(net: &Sequential, quantization: &str) -> anyhow::Result<Quantized<Sequential>> {
    let (weights, states) = quantization.split_once('s').unwrap_or((quantization, ""));
    let width = |text: &str| -> anyhow::Result<BitWidth> { Ok(BitWidth::new(text.parse()?)?) };
    let mut plan = QuantPlan::default();
    if let Some(bits) = weights.strip_prefix('w') {
        let spec = QuantSpec::uniform(width(bits)?);
        plan.weights = weight_shapes(net).into_keys().map(|name| (name, spec.clone())).collect();
    }
    if !states.is_empty() {
        let levels = LevelSpec { spacing: Spacing::ThresholdCentered, ..LevelSpec::new(width(states)?) };
        plan.states = neuron_names(net).into_iter().map(|name| (name, StateSpec::levels(levels))).collect();
    }
    Ok(Quantized::new(net.clone(), &neuron_names(net), plan)?)
}

fn grads(net: &impl Module, batch: &Batch, file: &Path) -> anyhow::Result<f32> {
    let mut tape = Tape::<f32>::new();
    let x = tape.input(&batch.x);
    let y = net.forward(&mut tape, &x, &Pass::training(0));
    let loss = tape.apply(Loss::CrossEntropyCount.op(&batch.labels, batch.labels.len()), &[&y]);
    let arrays = tape.backward(loss).iter().map(|(name, g)| (name.to_owned(), io::Array::from(g))).collect();
    io::write(file, &arrays)?;
    Ok(tape.value(loss).item())
}

/// Samples of a part of a forward pass, or of products.
const TOGETHER: usize = 8;

/// Milliseconds for each direction of the products with all of them, and the products.
fn products<const K: usize>(
    net: &(impl Module + Sync),
    batch: &Batch,
    directions: &[Grads; K],
) -> (f64, [Grads; K]) {
    let (start, n) = (Instant::now(), batch.labels.len());
    let of_part = |i: usize| {
        let part = batch.samples(i * TOGETHER, TOGETHER);
        let sample = Sample { x: &part.x, labels: &part.labels, normalizer: n };
        hvp::<f32, _, K>(net, &Loss::CrossEntropyCount, sample, &Pass::inference(), directions).products
    };
    let parts: Vec<[Grads; K]> = (0..n.div_ceil(TOGETHER)).into_par_iter().map(of_part).collect();
    let mut sums: [Grads; K] = std::array::from_fn(|_| Grads::new());
    for part in parts {
        sums.iter_mut().zip(part).for_each(|(sum, part)| sum.add_all(part));
    }
    (start.elapsed().as_secs_f64() * 1e3 / K as f64, sums)
}

fn probe(net: &(impl Module + Sync), batch: &Batch, file: &Path) -> anyhow::Result<f64> {
    let arrays = io::read(file)?;
    let mut directions = [(); 4].map(|()| Grads::new());
    let mut lanes = 0;
    for (name, array) in &arrays {
        let (lane, name) = name.split_once('/').context("arrays of probes are named LANE/PARAMETER")?;
        let lane: usize = lane.parse()?;
        let direction = directions.get_mut(lane).context("at most four directions")?;
        direction.insert(name, array.to_tensor().context("directions are float32")?);
        lanes = lanes.max(lane + 1);
    }
    let (ms, found) = if lanes == 1 {
        let [first, ..] = directions;
        let (ms, [product]) = products(net, batch, &[first]);
        (ms, vec![product])
    } else {
        let (ms, found) = products(net, batch, &directions);
        (ms, found.to_vec())
    };
    let named = |(lane, product): (usize, &Grads)| -> Vec<_> {
        product.iter().map(|(name, t)| (format!("{lane}/{name}"), io::Array::from(t))).collect()
    };
    let all = found.iter().enumerate().flat_map(named).collect();
    io::write(&file.with_extension("out.npz"), &all)?;
    Ok(ms)
}

/// Milliseconds of `work`.
fn timed(work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed().as_secs_f64() * 1e3)
}

fn step(net: &mut Quantized<Sequential>, batch: &Batch, progress: &mut Progress) -> anyhow::Result<()> {
    // The arithmetic of a step, but weights and spike rates stay as they are.
    let config = FitConfig { epochs: progress.epoch + 1, learning_rate: 0.0, ..FitConfig::default() };
    let mut watch = |_: &Event, _: &Quantized<Sequential>, _: &Progress| ControlFlow::Continue(());
    fit(net, batch, &Loss::CrossEntropyCount, &Adam::default(), &config, progress, &mut watch)?;
    Ok(())
}

fn outputs(net: &impl Module, batch: &Batch) -> Tensor<f32> {
    let mut eager = Eager::<f32>::new();
    let x = eager.input(&batch.x);
    net.forward(&mut eager, &x, &Pass::inference())
}

/// A forward pass, part by part as in training.
fn forward(net: &(impl Module + Sync), batch: &Batch) -> anyhow::Result<()> {
    let n = batch.labels.len();
    let part = |i: usize| outputs(net, &batch.samples(i * TOGETHER, TOGETHER));
    let parts: Vec<Tensor<f32>> = (0..n.div_ceil(TOGETHER)).into_par_iter().map(part).collect();
    let n_outputs: usize = parts.iter().map(|y| y.shape()[1]).sum();
    ensure!(n_outputs == n, "an output for each sample");
    Ok(())
}

/// The network in integers, with membranes of 16 bits, as the bytes of its model.
fn model(net: &Sequential, bits: u32) -> anyhow::Result<Vec<u8>> {
    let mut plan = QuantPlan::default();
    complete(&mut plan, net, DefaultBits { weights: bits, membranes: 16 }, None)?;
    if let Some(exact) = &mut plan.exact {
        exact.input_max = 1;
    }
    Ok(lower(&Exact::new(net.clone(), plan)?, "")?.to_bytes()?)
}

/// How many times a line asks for a command, and the command.
fn turn(line: &str) -> anyhow::Result<(usize, &str)> {
    let Some(turn) = line.strip_prefix("turn ") else { return Ok((1, line)) };
    let (times, command) = turn.split_once(' ').context("expected `turn N COMMAND`")?;
    Ok((times.parse()?, command))
}

fn no_model(bits: &str) -> String {
    format!("no integer model of {bits} bits")
}

/// The steps of each sample, as the engine takes them.
fn recordings(x: &Tensor<f32>) -> Vec<Vec<Vec<u8>>> {
    let of_step = x.len() / x.shape()[0];
    let len = of_step / x.shape()[1];
    let frame = |step: &[f32], i: usize| step[i * len..][..len].iter().map(|&v| u8::from(v != 0.0)).collect();
    let recording = |i: usize| x.as_slice().chunks(of_step).map(|step| frame(step, i)).collect();
    (0..x.shape()[1]).map(recording).collect()
}

fn run_integer(engine: &mut Engine<'_>, recordings: &[Vec<Vec<u8>>]) -> anyhow::Result<()> {
    for frames in recordings {
        engine.reset();
        for frame in frames {
            engine.set_frame(frame)?;
            engine.step();
        }
    }
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [notation, framework, input, file, threads, quantization] = &args[..] else {
        anyhow::bail!("usage: peer_worker NOTATION NEURON INPUT FILE THREADS QUANTIZATION");
    };
    rayon::ThreadPoolBuilder::new().num_threads(threads.parse()?).build_global()?;
    let input: Vec<usize> = input.split(',').map(str::parse).collect::<Result<_, _>>()?;
    let mut net = parse(notation, &input, neuron(framework)?.into())?.init(0)?;
    let batch = load(Path::new(file), &mut net)?;
    let mut progress = Progress::default();
    let recordings = recordings(&batch.x);
    let mut models = BTreeMap::new();
    for bits in [1, 2, 4, 8] {
        // What cannot be exact at this width is said when it is asked for.
        if let Ok(bytes) = model(&net, bits) {
            models.insert(bits.to_string(), bytes);
        }
    }
    let mut net = quantized(&net, quantization)?;
    let mut engines = BTreeMap::new();
    for (bits, bytes) in &models {
        engines.insert(bits.as_str(), Engine::new(Model::from_bytes(bytes)?));
    }
    let mut answer = |command: &str| -> anyhow::Result<f64> {
        Ok(match command.split_once(' ').unwrap_or((command, "")) {
            ("grads", file) => f64::from(grads(&net, &batch, Path::new(file))?),
            ("step", _) => timed(|| step(&mut net, &batch, &mut progress))?,
            ("probe", file) => probe(&net, &batch, Path::new(file))?,
            ("forward", _) => timed(|| forward(&net, &batch))?,
            ("outputs", file) => {
                let spikes = io::Array::from(&outputs(&net, &batch));
                io::write(Path::new(file), &[("spikes".to_owned(), spikes)].into())?;
                0.0
            }
            ("model_bytes", bits) => models.get(bits).with_context(|| no_model(bits))?.len() as f64,
            ("memory_bytes", bits) => {
                engines.get(bits).with_context(|| no_model(bits))?.memory_bytes() as f64
            }
            ("integer", bits) => {
                let engine = engines.get_mut(bits).with_context(|| no_model(bits))?;
                timed(|| run_integer(engine, &recordings))?
            }
            _ => anyhow::bail!("unknown command `{command}`"),
        })
    };
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (times, command) = turn(&line)?;
        let answers: Vec<f64> = (0..times).map(|_| answer(command)).collect::<anyhow::Result<_>>()?;
        #[allow(clippy::print_stdout, reason = "the answers")]
        answers.iter().for_each(|answer| println!("{answer}"));
    }
    Ok(())
}
