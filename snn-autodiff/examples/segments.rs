//! What a training step takes with all time steps on the tape and with segments of them: run with `--release`.
//!
//! 12C5-P2-LIF-32C5-P2-LIF-10-LIF on 2x34x34 spikes at 3 %, 32 samples, micro-batches of 4. Each case is a process of its own.
//! Linux only: memory is the growth of the peak of resident pages, `VmHWM`, beyond the batch.

#![allow(clippy::print_stdout, reason = "an example prints")]

use snn_autodiff::fit::Progress;
use snn_autodiff::optim::Adam;
use snn_autodiff::{Batch, FitConfig, fit};
use snn_core::layer::parse;
use snn_core::loss::Loss;
use snn_core::neuron::Lif;
use snn_core::rng::counter_uniform;
use snn_core::{Module, Tensor};
use std::error::Error;
use std::ops::ControlFlow;
use std::process::Command;
use std::time::Instant;

const SAMPLES: usize = 32;
const ROUNDS: usize = 5;

/// Time steps, and those of a segment.
const CASES: [(usize, Option<usize>); 7] = [
    (25, None),
    (25, Some(5)),
    (300, None),
    (300, Some(100)),
    (300, Some(50)),
    (300, Some(25)),
    (300, Some(10)),
];

fn spikes(n_steps: usize) -> Batch {
    let shape = [n_steps, SAMPLES, 2, 34, 34];
    let spike = |i| if counter_uniform(42, i) < 0.03 { 1.0 } else { 0.0 };
    let x = Tensor::new(&shape, (0..shape.iter().product::<usize>() as u64).map(spike).collect());
    Batch { x, labels: (0..SAMPLES).map(|i| i % 10).collect() }
}

/// KiB of a line of this process's status.
fn resident(line: &str) -> Result<f64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let value = status.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(':'));
    Ok(value.and_then(|text| text.split_whitespace().next()).ok_or("no such line")?.parse()?)
}

/// Least milliseconds of a step on one thread, and MiB that the peak of memory grew.
fn measure(n_steps: usize, segment_steps: Option<usize>) -> Result<(f64, f64), Box<dyn Error>> {
    let net = parse("12C5-P2-LIF-32C5-P2-LIF-10-LIF", &[2, 34, 34], Lif::snntorch(0.5).into())?;
    let (mut net, batch, adam) = (net.init(1)?, spikes(n_steps), Adam::default());
    // Gains that make the hidden layers fire at 6 to 7 %.
    net.visit_params_mut(&mut |p| match p.name.as_str() {
        "conv1.weight" => p.value = p.value.map(|w| w * 3.3),
        "conv2.weight" => p.value = p.value.map(|w| w * 2.2),
        _ => {}
    });
    let config = FitConfig {
        epochs: 1,
        learning_rate: 0.0,
        micro_batch: Some(4),
        segment_steps,
        ..FitConfig::default()
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    let (before, mut least) = (resident("VmRSS")?, f64::INFINITY);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let go_on = &mut |_: &_, _: &_, _: &_| ControlFlow::Continue(());
        let (loss, progress) = (Loss::CrossEntropyCount, &mut Progress::default());
        pool.install(|| fit(&mut net, &batch, &loss, &adam, &config, progress, go_on))?;
        least = least.min(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok((least, (resident("VmHWM")? - before) / 1024.0))
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<usize> = std::env::args().skip(1).map(|arg| arg.parse()).collect::<Result<_, _>>()?;
    if let [n_steps, segment] = args[..] {
        let (ms, mib) = measure(n_steps, Some(segment).filter(|&steps| steps > 0))?;
        println!("{n_steps} steps, segments of {segment}: {ms:.1} ms, {mib:.1} MiB");
        return Ok(());
    }
    for (n_steps, segment) in CASES {
        let args = [n_steps, segment.unwrap_or(0)].map(|n| n.to_string());
        Command::new(std::env::current_exe()?).args(args).status()?;
    }
    Ok(())
}
