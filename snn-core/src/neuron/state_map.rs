//! [`StateMap`]: what happens to the membrane in every step besides its dynamics (quantization).

use crate::scalar::Scalar;
use std::fmt::Debug;
use std::sync::Arc;

/// A map of state variables that a scan applies in every time step, on slices, so that dynamic dispatch costs nothing
/// per neuron.
pub trait StateMap<S: Scalar>: Debug + Send + Sync {
    /// Where in the step it acts.
    fn placement(&self) -> Placement;

    /// Maps a slice of one state variable in place.
    fn apply(&self, site: Site, state: &mut [S]);

    /// Turns the gradient `g` by the mapped values into that by the values `before` the map.
    fn backward(&self, site: Site, before: &[S], g: &mut [S]);

    /// Whether [`backward`](Self::backward) leaves every gradient as it is and there is nothing to learn: neurons then
    /// call neither it nor [`add_param_grads`](Self::add_param_grads).
    fn is_straight_through(&self) -> bool {
        false
    }

    /// How many learned numbers the map depends on. If there are any, they are the last input of the neurons' op, and the
    /// methods above and [`add_param_grads`](Self::add_param_grads) are called on what [`bind`](Self::bind) gave.
    fn n_params(&self) -> usize {
        0
    }

    /// The map for these values of its learned numbers; none if it has none.
    fn bind(&self, _params: &[S]) -> Option<Arc<dyn StateMap<S>>> {
        None
    }

    /// Adds the gradients by the learned numbers to `sums`, given the gradient `g` by the mapped values.
    fn add_param_grads(&self, _site: Site, _before: &[S], _g: &[S], _sums: &mut [S]) {}

    /// Factor of these sums in a layer of `features` neurons.
    fn param_grad_scale(&self, _features: usize) -> S {
        S::ONE
    }
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
