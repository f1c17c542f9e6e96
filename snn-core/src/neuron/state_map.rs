//! [`StateMap`]: what happens to the membrane in every step besides its dynamics (quantization).

use crate::scalar::Scalar;
use std::fmt::Debug;

/// A map of state variables that a scan applies in every time step, on slices, so that dynamic dispatch costs nothing
/// per neuron.
pub trait StateMap<S: Scalar>: Debug + Send + Sync {
    /// Where in the step it acts.
    fn placement(&self) -> Placement;

    /// Maps a slice of one state variable in place.
    fn apply(&self, site: Site, state: &mut [S]);

    /// Turns the gradient `g` by the mapped values into that by the values `before` the map.
    fn backward(&self, site: Site, before: &[S], g: &mut [S]);
}

/// Where in a time step a [`StateMap`] acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// After integration, before the spike test (SQUAT, Lui and Neftci): the spike sees the quantized membrane.
    BeforeSpike,
    /// After the spike and a same-step reset (MINT, `SpQuant`-SNN, Q-SNN): what is stored is quantized.
    OnStore,
}

/// Which values a [`StateMap`] is given: for maps that draw random numbers by position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// Number of the state variable.
    pub state: usize,
    /// Time step.
    pub step: usize,
    /// Index of the slice's first value within `[B, features…]`.
    pub offset: usize,
}
