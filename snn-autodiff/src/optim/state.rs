//! What an optimizer remembers between steps.

use snn_core::Tensor;
use std::collections::BTreeMap;

/// Step count and the running vectors of each parameter, keyed `<parameter>/<vector>`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    steps: u64,
    vectors: BTreeMap<String, Vec<f32>>,
}

impl State {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of steps taken.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    pub(super) fn next_step(&mut self) -> u64 {
        self.steps += 1;
        self.steps
    }

    /// The vector `kind` of a parameter, zeros at first.
    pub fn vector(&mut self, name: &str, kind: &str, len: usize) -> &mut [f32] {
        self.vectors.entry(format!("{name}/{kind}")).or_insert_with(|| vec![0.0; len])
    }

    /// Two different vectors of a parameter at once.
    pub(super) fn pair(&mut self, name: &str, kinds: [&str; 2], len: usize) -> [&mut Vec<f32>; 2] {
        let keys = kinds.map(|kind| format!("{name}/{kind}"));
        for key in &keys {
            self.vectors.entry(key.clone()).or_insert_with(|| vec![0.0; len]);
        }
        let mut found = self.vectors.iter_mut().filter(|(key, _)| keys.contains(key)).map(|(_, v)| v);
        match (found.next(), found.next()) {
            (Some(a), Some(b)) if keys[0] < keys[1] => [a, b],
            (Some(a), Some(b)) => [b, a],
            _ => unreachable!("both vectors were inserted"),
        }
    }

    /// The state as named tensors, for a checkpoint.
    #[must_use]
    pub fn to_tensors(&self) -> BTreeMap<String, Tensor<f32>> {
        self.vectors.iter().map(|(key, v)| (key.clone(), Tensor::new(&[v.len()], v.clone()))).collect()
    }

    /// The state of a checkpoint.
    #[must_use]
    pub fn from_tensors(steps: u64, tensors: &BTreeMap<String, Tensor<f32>>) -> Self {
        let vectors = tensors.iter().map(|(key, t)| (key.clone(), t.as_slice().to_vec())).collect();
        Self { steps, vectors }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_comes_in_the_order_asked_for() {
        let mut state = State::new();
        let [b, a] = state.pair("w", ["b", "a"], 1);
        (b[0], a[0]) = (2.0, 1.0);
        assert_eq!((state.vector("w", "a", 1)[0], state.vector("w", "b", 1)[0]), (1.0, 2.0));
    }

    #[test]
    fn state_survives_a_checkpoint() {
        let mut state = State::new();
        state.vector("w", "m", 2)[1] = 0.25;
        state.next_step();
        assert_eq!(State::from_tensors(state.steps(), &state.to_tensors()), state);
    }
}
