//! Where the time of a training step goes.

use crate::fit::{BadBatch, Batch};
use crate::tape::{Tape, Var};
use snn_core::exec::{Exec, Neurons};
use snn_core::loss::Loss;
use snn_core::op::{Backward, Op, SynOps};
use snn_core::{Module, Param, Pass, Tensor};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Time and products of a phase of an op.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Phase {
    /// Wall-clock time.
    pub time: Duration,
    /// Products with a nonzero factor (spike or gradient), and those of a dense engine. For the gradient of an input the
    /// border of a frame is not subtracted.
    pub products: SynOps,
}

impl Phase {
    fn add(&mut self, o: Self) {
        self.time += o.time;
        self.products += o.products;
    }
}

/// What one op of a network costs in a training step.
#[derive(Clone, Debug, PartialEq)]
pub struct OpProfile {
    /// The layer by its parameters or its neurons; empty for an op without either.
    pub layer: String,
    /// [`Op::name`].
    pub op: &'static str,
    /// Values.
    pub forward: Phase,
    /// Gradient of the parameters.
    pub param_grad: Phase,
    /// Gradient of the inputs, where an earlier layer asks for it.
    pub input_grad: Phase,
    /// Bytes of values and of what is saved for the way back, of a micro-batch.
    pub bytes: usize,
}

/// Runs forward and backward of one batch, `micro_batch` samples at a time, on this thread alone, and tells what each op
/// costs, in the order of the ops.
///
/// Gradients of parameters and of inputs are computed one after the other, so that an op that shares work between them
/// takes longer here than in training. Ops that parameters are read through, such as quantizers of weights, come first: training
/// does them once a batch.
///
/// # Errors
/// [`BadBatch`].
///
/// # Panics
/// If the batch does not fit the network, or a label is not below the number of classes.
pub fn profile<M: Module>(
    net: &M,
    batch: &Batch,
    loss: &Loss,
    micro_batch: usize,
) -> Result<Vec<OpProfile>, BadBatch> {
    batch.check()?;
    let (n, pass) = (batch.labels.len(), Pass::training(0));
    let (values, mut ops) = profile_readings(net, &pass);
    let mut passes = Vec::new();
    for first in (0..n).step_by(micro_batch.clamp(1, n)) {
        let part = batch.samples(first, micro_batch.clamp(1, n));
        let mut profiler = Profiler::on(Tape::reading(&values), Some(&values));
        let x = profiler.input(&part.x);
        let y = net.forward(&mut profiler, &x, &pass);
        let value = profiler.apply(loss.op(&part.labels, n), &[&y]);
        profiler.backward(&[value]);
        merge(&mut passes, profiler.ops.into_values().collect());
    }
    ops.extend(passes);
    Ok(ops)
}

/// What the network reads parameters through, its cost, and the values.
fn profile_readings<M: Module>(net: &M, pass: &Pass) -> (BTreeMap<String, Tensor<f32>>, Vec<OpProfile>) {
    let mut profiler = Profiler::on(Tape::new(), None);
    net.read_params(&mut profiler, pass);
    let read = std::mem::take(&mut profiler.read_through);
    profiler.backward(&read.iter().map(|(_, var)| *var).collect::<Vec<_>>());
    let value = |(name, var): (String, Var)| (name, profiler.tape.value(var).clone());
    (read.into_iter().map(value).collect(), profiler.ops.into_values().collect())
}

fn merge(sums: &mut Vec<OpProfile>, ops: Vec<OpProfile>) {
    if sums.is_empty() {
        *sums = ops;
        return;
    }
    for (sum, op) in sums.iter_mut().zip(ops) {
        sum.forward.add(op.forward);
        sum.param_grad.add(op.param_grad);
        sum.input_grad.add(op.input_grad);
    }
}

/// A tape that looks at the clock.
struct Profiler<'a> {
    tape: Tape<'a, f32>,
    /// By the node of its value.
    ops: BTreeMap<usize, OpProfile>,
    /// Names of the parameters that were read.
    params: BTreeMap<usize, String>,
    /// The neuron layer at hand.
    neuron: Option<String>,
    /// Parameters that were read through ops by this tape.
    read_through: Vec<(String, Var)>,
    /// What others are read as.
    readings: Option<&'a BTreeMap<String, Tensor<f32>>>,
}

impl Exec for Profiler<'_> {
    type S = f32;
    type Value = Var;

    fn input(&mut self, x: &Tensor<f32>) -> Var {
        self.tape.input(x)
    }

    fn param(&mut self, p: &Param) -> Var {
        let var = self.tape.param(p);
        self.params.insert(var.index(), p.name.clone());
        var
    }

    fn param_through(&mut self, p: &Param, op: Box<dyn Op<f32>>, others: &[&Param]) -> Var {
        let is_found = self.readings.is_some_and(|readings| readings.contains_key(&p.name));
        if is_found {
            let var = self.tape.param_through(p, op, others);
            self.params.insert(var.index(), p.name.clone());
            return var;
        }
        let values: Vec<Var> = [p].iter().chain(others).map(|p| self.param(p)).collect();
        let var = self.apply(op, &values.iter().collect::<Vec<_>>());
        self.read_through.push((p.name.clone(), var));
        var
    }

    fn apply(&mut self, op: Box<dyn Op<f32>>, x: &[&Var]) -> Var {
        let values: Vec<&Tensor<f32>> = x.iter().map(|v| self.tape.value(**v)).collect();
        let (name, products) = (op.name(), op.synops(&values));
        let layer = self.neuron.take().or_else(|| self.layer_of(x)).unwrap_or_default();
        let start = Instant::now();
        let var = self.tape.apply(op, x);
        let forward = Phase { time: start.elapsed(), products };
        let (param_grad, input_grad) = (Phase::default(), Phase::default());
        let bytes = self.tape.bytes_of(var);
        self.ops.insert(var.index(), OpProfile { layer, op: name, forward, param_grad, input_grad, bytes });
        var
    }

    fn neuron(&mut self, name: &str, neurons: Neurons<f32>, x: &[&Var]) -> Var {
        self.neuron = Some(name.to_owned());
        neurons.apply(self, x)
    }

    fn detach(&mut self, x: &Var) -> Var {
        self.tape.detach(x)
    }

    fn record(&mut self, name: &str, value: &Var) {
        self.tape.record(name, value);
    }
}

impl<'a> Profiler<'a> {
    fn on(tape: Tape<'a, f32>, readings: Option<&'a BTreeMap<String, Tensor<f32>>>) -> Self {
        let (ops, params) = (BTreeMap::new(), BTreeMap::new());
        Self { tape, ops, params, neuron: None, read_through: Vec::new(), readings }
    }

    /// What stands before the dot in the name of the first parameter among the inputs.
    fn layer_of(&self, x: &[&Var]) -> Option<String> {
        let name = x.iter().find_map(|v| self.params.get(&v.index()))?;
        Some(name.split('.').next().unwrap_or(name).to_owned())
    }

    /// Goes back from the sum of all numbers of these values.
    fn backward(&mut self, values: &[Var]) {
        let (ops, params) = (&mut self.ops, &self.params);
        let seed = |&value: &Var| (value, Tensor::full(self.tape.value(value).shape(), 1.0));
        self.tape.walk_back(values.iter().map(seed).collect(), &mut |var, inputs, op, ctx| {
            let is_param: Vec<bool> = inputs.iter().map(|v| params.contains_key(&v.index())).collect();
            let (of_params, params_time) = timed_backward(op, ctx, |i| is_param[i]);
            let (of_inputs, inputs_time) = timed_backward(op, ctx, |i| !is_param[i]);
            if let Some(profile) = ops.get_mut(&var.index()) {
                let forward = profile.forward.products;
                let are_some = |grads: &[Option<Tensor<f32>>]| grads.iter().any(Option::is_some);
                let of = |found: bool, products| if found { products } else { SynOps::default() };
                profile.param_grad = Phase { time: params_time, products: of(are_some(&of_params), forward) };
                let products = of(are_some(&of_inputs), input_products(ctx, forward));
                profile.input_grad = Phase { time: inputs_time, products };
            }
            of_params.into_iter().zip(of_inputs).map(|(a, b)| a.or(b)).collect()
        });
    }
}

/// The gradients of those inputs alone, and the time that they take; none and no time if none is asked for.
fn timed_backward(
    op: &dyn Op<f32>,
    ctx: &Backward<'_, f32>,
    which: impl Fn(usize) -> bool,
) -> (Vec<Option<Tensor<f32>>>, Duration) {
    let need: Vec<bool> = ctx.need.iter().enumerate().map(|(i, &need)| need && which(i)).collect();
    if !need.contains(&true) {
        return (need.iter().map(|_| None).collect(), Duration::ZERO);
    }
    let start = Instant::now();
    let grads = op.backward(&Backward { need: &need, ..*ctx });
    (grads, start.elapsed())
}

/// Products of the gradient of an input: each nonzero gradient meets all weights of its output.
fn input_products(ctx: &Backward<'_, f32>, forward: SynOps) -> SynOps {
    let n_out = match ctx.x.get(1).map(|w| w.shape()) {
        Some(&[_, n_out]) => n_out,
        Some(&[n_out, _, _, _]) => n_out,
        _ => return SynOps::default(),
    };
    let active = ctx.gy.as_slice().iter().filter(|&&g| g != 0.0).count();
    let taps = ctx.x[1].len() / n_out.max(1);
    let effective = if forward.dense == 0 { 0 } else { (active * taps) as u64 };
    SynOps { effective, dense: forward.dense }
}

#[cfg(test)]
mod tests {
    use super::*;
    use snn_core::Role;
    use snn_core::layer::{Conv2dConfig, Sequential};
    use snn_core::neuron::Lif;
    use snn_core::ops::Mul;
    use snn_core::rng::counter_uniform;

    fn net() -> Sequential {
        let lif = Lif::snntorch(0.75);
        let builder =
            Sequential::input(&[2, 6, 6]).conv2d("conv1", Conv2dConfig::new(4, 3)).neuron("lif1", lif);
        builder.flatten().linear("fc", 3).neuron("lif2", lif).init(5).unwrap()
    }

    fn batch() -> Batch {
        let spike = |i| if counter_uniform(2, i) < 0.3 { 1.0 } else { 0.0 };
        let x = Tensor::new(&[4, 5, 2, 6, 6], (0..4 * 5 * 72).map(spike).collect());
        Batch { x, labels: vec![0, 1, 2, 0, 1] }
    }

    #[test]
    fn each_op_has_its_layer_and_the_products_of_all_samples() {
        let (net, batch) = (net(), batch());
        let ops = profile(&net, &batch, &Loss::CrossEntropyCount, 2).unwrap();
        let names: Vec<(&str, &str)> = ops.iter().map(|op| (op.layer.as_str(), op.op)).collect();
        let expected = [
            ("conv1", "conv2d"),
            ("lif1", "lif"),
            ("", "reshape"),
            ("fc", "linear"),
            ("lif2", "lif"),
            ("", "loss"),
        ];
        assert_eq!(names, expected);
        let spikes = batch.x.as_slice().iter().filter(|&&v| v != 0.0).count() as u64;
        let conv = &ops[0];
        // Pixels at the border meet fewer of the 3x3 taps.
        assert!(conv.forward.products.effective < spikes * 9 * 4);
        assert_eq!(conv.forward.products.dense, 4 * 5 * 16 * 4 * 9 * 2);
        assert_eq!(conv.param_grad.products, conv.forward.products);
        assert_eq!(conv.input_grad, Phase::default());
        let fc = &ops[3];
        assert_eq!(fc.input_grad.products.dense, 4 * 5 * 64 * 3);
        assert!(fc.input_grad.products.effective <= fc.input_grad.products.dense);
        assert!(ops.iter().all(|op| op.forward.time > Duration::ZERO && op.bytes > 0));
    }

    #[test]
    fn a_first_block_is_one_op_whose_statistics_have_no_gradient_to_count() {
        let builder =
            Sequential::input(&[2, 6, 6]).conv2d("conv1", Conv2dConfig::new(4, 3)).batch_norm("bn1");
        let builder = builder.neuron("lif1", Lif::snntorch(0.75)).max_pool(2).flatten().linear("fc", 3);
        let net = builder.init(5).unwrap();
        let ops = profile(&net, &batch(), &Loss::CrossEntropyMean, 5).unwrap();
        let names: Vec<(&str, &str)> = ops.iter().map(|op| (op.layer.as_str(), op.op)).collect();
        let stem = [("conv1", "conv_stats"), ("lif1", "conv_norm_scan_max_pool")];
        assert_eq!(names, [&stem[..], &[("", "reshape"), ("fc", "linear"), ("", "loss")]].concat());
        assert_eq!(ops[1].param_grad.products, ops[1].forward.products);
        assert!(ops[1].forward.products.effective > 0);
        assert_eq!(ops[1].input_grad.products, SynOps::default());
    }

    /// The network with its weights read through a product.
    struct Scaled(Sequential);

    /// Reads `fc.weight` through a product.
    struct Reading<'a, E>(&'a mut E);

    impl<E: Exec> Exec for Reading<'_, E> {
        type S = E::S;
        type Value = E::Value;

        fn input(&mut self, x: &Tensor<f32>) -> E::Value {
            self.0.input(x)
        }

        fn param(&mut self, p: &Param) -> E::Value {
            if p.name != "fc.weight" {
                return self.0.param(p);
            }
            let half = Param::new("factor", Tensor::full(p.value.shape(), 0.5), Role::Buffer);
            self.0.param_through(p, Box::new(Mul), &[&half])
        }

        fn apply(&mut self, op: Box<dyn Op<E::S>>, x: &[&E::Value]) -> E::Value {
            self.0.apply(op, x)
        }

        fn neuron(&mut self, name: &str, neurons: Neurons<E::S>, x: &[&E::Value]) -> E::Value {
            self.0.neuron(name, neurons, x)
        }
    }

    impl Module for Scaled {
        fn forward<E: Exec>(&self, e: &mut E, x: &E::Value, pass: &Pass) -> E::Value {
            self.0.forward(&mut Reading(e), x, pass)
        }

        fn read_params<E: Exec>(&self, e: &mut E, _pass: &Pass) {
            let mut e = Reading(e);
            self.0.visit_params(&mut |p| drop((p.name == "fc.weight").then(|| e.param(p))));
        }

        fn visit_params(&self, f: &mut dyn FnMut(&Param)) {
            self.0.visit_params(f);
        }

        fn visit_params_mut(&mut self, f: &mut dyn FnMut(&mut Param)) {
            self.0.visit_params_mut(f);
        }
    }

    #[test]
    fn what_weights_are_read_through_is_done_once_a_batch_and_belongs_to_their_layer() {
        let ops = profile(&Scaled(net()), &batch(), &Loss::CrossEntropyCount, 2).unwrap();
        let names: Vec<(&str, &str)> = ops.iter().map(|op| (op.layer.as_str(), op.op)).collect();
        let plain = profile(&net(), &batch(), &Loss::CrossEntropyCount, 2).unwrap();
        let of_net = plain.iter().map(|op| (op.layer.as_str(), op.op));
        assert_eq!(names, [("fc", "mul")].into_iter().chain(of_net).collect::<Vec<_>>());
        assert!(ops[0].forward.time > Duration::ZERO && ops[0].param_grad.time > Duration::ZERO);
        assert_eq!(ops[4].forward.products.dense, plain[3].forward.products.dense);
    }

    #[test]
    fn gradients_are_those_of_the_tape() {
        // What flows back is added up by the same loop; that a layer below gets it shows in its own products.
        let (net, batch) = (net(), batch());
        let mut tape = Tape::<f32>::new();
        let x = tape.input(&batch.x);
        let y = net.forward(&mut tape, &x, &Pass::training(0));
        let loss = tape.apply(Loss::CrossEntropyCount.op(&batch.labels, 5), &[&y]);
        let plain = tape.backward(loss);
        let split = tape.walk_back(
            vec![(loss, Tensor::full(tape.value(loss).shape(), 1.0))],
            &mut |_, _, op, ctx| {
                let (first, _) = timed_backward(op, ctx, |i| i == 0);
                let (rest, _) = timed_backward(op, ctx, |i| i != 0);
                first.into_iter().zip(rest).map(|(a, b)| a.or(b)).collect()
            },
        );
        assert_eq!(plain, split);
    }
}
