//! Spiking neurons: dynamics of one time step, and the scan that runs them over time.
//!
//! A neuron is a [`Dynamics`]: a pure step in two halves, *integrate* (leak, input, a reset that is one step late) and
//! *fire* (spike, a reset in the same step), each with its backward beside it. [`Scan`] runs the step over all time
//! steps and backpropagates through them; [`RecurrentScan`] adds the spikes of the step before, through a weight
//! matrix. A [`StateMap`] between the halves, or after them, quantizes the membrane.

mod alif;
mod block;
mod carrying;
mod cuba_lif;
mod decolle;
mod firing;
mod fixed;
mod li;
mod lif;
mod recurrent;
mod scan;
mod state_map;
mod stem;

pub use alif::Alif;
pub use block::Around;
pub use carrying::Carrying;
pub use cuba_lif::CubaLif;
pub use decolle::Decolle;
pub(crate) use fixed::{recurrent_scan as recurrent_lif_scan, scan as lif_scan};

pub use firing::{Firing, Reset, ResetGrad, ResetTime, SpikeForward, SpikeWhen};
pub use li::Li;
pub use lif::Lif;
pub use recurrent::RecurrentScan;
pub use scan::{NeuronOp, Scan, ScanState, Trajectory};
pub use state_map::{Placement, Site, StateMap};

use crate::scalar::Scalar;
use std::fmt::Debug;

/// One time step of a neuron with `N` state variables, in two halves. State 0 is the membrane potential.
///
/// This is the only definition of a neuron: training scans, streaming inference and curvature all call it. The backward
/// of each half is given the state *before* that half.
pub trait Dynamics<const N: usize>: Copy + Debug + Send + Sync + 'static {
    /// Short name, as in network descriptions.
    fn name(&self) -> &'static str;

    /// The state variables that a membrane quantizer acts on.
    fn quantized_states(&self) -> &'static [usize] {
        &[0]
    }

    /// First half: leak, input current `cur`, and a reset that comes one step late.
    fn integrate<S: Scalar>(&self, state: &mut [S; N], cur: S);

    /// Backward of [`Dynamics::integrate`]: turns `g`, the gradient by the state after it, into that by the state
    /// `before` it, and returns the gradient by the current.
    fn integrate_backward<S: Scalar>(&self, before: &[S; N], g: &mut [S; N]) -> S;

    /// Second half: the output of this step (a spike, or the membrane of a non-spiking neuron), and a reset that comes
    /// at once.
    fn fire<S: Scalar>(&self, state: &mut [S; N]) -> S;

    /// Backward of [`Dynamics::fire`]: turns `g`, the gradient by the state after it, into that by the state `before`
    /// it, adding what comes through the output, whose gradient is `g_out`.
    fn fire_backward<S: Scalar>(&self, before: &[S; N], g_out: S, g: &mut [S; N]);
}
