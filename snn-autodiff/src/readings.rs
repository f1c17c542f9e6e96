//! [`Readings`]: what a network reads its parameters as, found once for all passes of a batch.

use crate::grads::Grads;
use crate::tape::{Tape, Var};
use snn_core::{Module, Pass, Tensor};
use std::collections::BTreeMap;

/// The values of the parameters that a network reads through ops of parameters alone, such as weights through their
/// quantizer.
///
/// They are the same for every micro-batch, so that [`fit`](crate::fit()) computes them once: passes take them as they
/// are, their gradients are added up, and the sums go back through the ops once.
pub(crate) struct Readings {
    tape: Tape<'static, f32>,
    vars: Vec<(String, Var)>,
}

impl Readings {
    /// What `net` reads in `pass`.
    pub(crate) fn of<M: Module>(net: &M, pass: &Pass) -> Self {
        let mut tape = Tape::new();
        net.read_params(&mut tape, pass);
        let vars = tape.read_through().to_vec();
        Self { tape, vars }
    }

    /// The values, by the name of the parameter in whose place they are read.
    pub(crate) fn values(&self) -> BTreeMap<String, Tensor<f32>> {
        self.vars.iter().map(|(name, var)| (name.clone(), self.tape.value(*var).clone())).collect()
    }

    /// Turns gradients by the values into gradients by the parameters, of which nothing is held any longer: an optimizer
    /// writes to them in place.
    pub(crate) fn into_gradients(self, grads: &mut Grads) {
        let seed = |(name, var): &(String, Var)| Some((*var, grads.take(name)?));
        let seeds = self.vars.iter().filter_map(seed).collect();
        grads.add_all(self.tape.backward_from_all(seeds));
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "the numbers are exact")]
mod tests {
    use super::*;
    use snn_core::exec::Exec;
    use snn_core::ops::{Linear, Mul};
    use snn_core::{Param, Role};

    /// `x · (w · scale)`, the product of parameters read in place of `w`.
    struct Scaled {
        w: Param,
        scale: Param,
    }

    impl Scaled {
        fn read<E: Exec>(&self, e: &mut E) -> E::Value {
            e.param_through(&self.w, Box::new(Mul), &[&self.scale])
        }
    }

    impl Module for Scaled {
        fn forward<E: Exec>(&self, e: &mut E, x: &E::Value, _pass: &Pass) -> E::Value {
            let w = self.read(e);
            e.apply(Box::new(Linear), &[x, &w])
        }

        fn read_params<E: Exec>(&self, e: &mut E, _pass: &Pass) {
            self.read(e);
        }

        fn visit_params(&self, f: &mut dyn FnMut(&Param)) {
            [&self.w, &self.scale].into_iter().for_each(f);
        }

        fn visit_params_mut(&mut self, f: &mut dyn FnMut(&mut Param)) {
            [&mut self.w, &mut self.scale].into_iter().for_each(f);
        }
    }

    fn gradients(net: &Scaled, tape: &mut Tape<'_, f32>) -> Grads {
        let x = tape.input(&Tensor::new(&[1, 2, 2], vec![1.0, 2.0, 3.0, 4.0]));
        let y = net.forward(tape, &x, &Pass::inference());
        tape.backward_from(y, Tensor::full(&[1, 2, 1], 1.0))
    }

    #[test]
    fn readings_give_the_values_and_gradients_of_a_pass_on_its_own() {
        let w = Param::new("w", Tensor::new(&[2, 1], vec![0.5, -2.0]), Role::Weight { channel_axis: 1 });
        let net = Scaled { w, scale: Param::new("s", Tensor::new(&[2, 1], vec![3.0, 5.0]), Role::Scale) };
        let readings = Readings::of(&net, &Pass::inference());
        let values = readings.values();
        assert_eq!(values["w"].as_slice(), [1.5, -10.0]);
        let mut shared = gradients(&net, &mut Tape::reading(&values));
        assert_eq!(shared.get("w").map(Tensor::as_slice), Some(&[4.0, 6.0][..]));
        assert!(shared.get("s").is_none());
        readings.into_gradients(&mut shared);
        assert_eq!(shared, gradients(&net, &mut Tape::new()));
    }
}
