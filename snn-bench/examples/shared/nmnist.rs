//! What the timing examples train: a network of N-MNIST's size on random spikes.

use snn_autodiff::Batch;
use snn_core::layer::{Sequential, parse};
use snn_core::neuron::Lif;
use snn_core::rng::counter_uniform;
use snn_core::{Module, Tensor};

/// That of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Two convolutions with pools, the second with 8/3 of the channels of the first, on 2x34x34 spikes, and a readout.
pub(crate) fn network(channels: usize) -> anyhow::Result<Sequential> {
    let layers = format!("{channels}C5-P2-LIF-{}C5-P2-LIF-10", channels * 8 / 3);
    let mut net = parse(&layers, &[2, 34, 34], Lif::snntorch(0.5).into())?.init(1)?;
    // Gains that make the hidden layers fire at 6 to 7 %.
    for (name, gain) in [("conv1.weight", 3.3), ("conv2.weight", 2.2)] {
        net.visit_params_mut(&mut |p| {
            if p.name == name {
                p.value = p.value.map(|w| w * gain);
            }
        });
    }
    Ok(net)
}

/// So many steps of so many samples, a share of whose inputs spikes.
pub(crate) fn batch(steps: usize, samples: usize, density: f64) -> Batch {
    let shape = [steps, samples, 2, 34, 34];
    let spike = |i| f32::from(u8::from(f64::from(counter_uniform(42, i)) < density));
    let x = Tensor::new(&shape, (0..shape.iter().product::<usize>() as u64).map(spike).collect());
    Batch { x, labels: (0..samples).map(|i| i % 10).collect() }
}
