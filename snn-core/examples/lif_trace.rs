//! Membrane and spikes of one LIF neuron under a current that comes and goes.

#![allow(clippy::print_stdout, reason = "an example prints its results")]

use snn_core::Tensor;
use snn_core::neuron::{Lif, Scan};

const N_STEPS: usize = 40;
const WIDTH: f32 = 30.0;

fn main() {
    let neuron = Lif::snntorch(0.9);
    let cur: Vec<f32> = (0..N_STEPS).map(|t| if (5..30).contains(&t) { 0.3 } else { 0.0 }).collect();
    let run = Scan::new(neuron).run(&Tensor::new(&[N_STEPS, 1, 1], cur.clone()), None); // [T, B, N]

    println!("LIF: β = {}, threshold θ = {}, reset by subtraction", neuron.beta, neuron.firing.threshold);
    println!("{:>4} {:>7} {:>8}", "step", "current", "membrane");
    let steps = cur.iter().zip(run.states[0].as_slice()).zip(run.spikes.as_slice());
    for (t, ((cur, mem), spk)) in steps.enumerate() {
        let spike = if *spk > 0.0 { "  spike" } else { "" };
        println!("{t:>4} {cur:>7.2} {mem:>8.3} |{:<36}|{spike}", bar(*mem));
    }
    let n_spikes: f32 = run.spikes.as_slice().iter().sum();
    println!("{n_spikes} spikes in {N_STEPS} steps");
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a length in characters, cut off at zero"
)]
fn bar(mem: f32) -> String {
    "▪".repeat((mem * WIDTH).max(0.0) as usize)
}
