//! Backpropagation through all time steps that keeps the activations of a segment of them at a time.
//!
//! A first pass over the segments keeps only the state of the neurons at the start of each, and the outputs; then the segments
//! run again from the last to the first, each on a tape of its own, and the gradient by the state at the start of one is that by
//! the state at the end of the one before. Nothing is truncated: gradients are those of one tape for all steps, but for the
//! order of sums. The price is a second forward pass of all segments but the last.
//!
//! # References
//! Chen, Xu, Zhang, Guestrin, "Training deep nets with sublinear memory cost", 2016 (arXiv:1604.06174), with segments of a
//! network's time in place of segments of its layers.

use crate::fit::{FitError, MicroBatch, Part, check_labels, hits};
use crate::grads::Grads;
use crate::tape::{Tape, Var};
use snn_core::exec::{Exec, Neurons};
use snn_core::neuron::{Carrying, NeuronOp};
use snn_core::op::{Op, Saved};
use snn_core::ops::Steps;
use snn_core::{Module, Param, Role, Tensor, loss};
use std::collections::BTreeMap;
use std::ops::Range;

/// Why a network does not run in segments of time steps.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SegmentError {
    /// Batch normalization ties all time steps together.
    #[error("batch normalization takes its statistics over all time steps, which cannot be run in segments")]
    WholeBatch,
    /// Neurons that begin from rest only.
    #[error("neurons `{layer}` begin from rest only, not from where a segment of time steps ended")]
    Neurons {
        /// Their name.
        layer: String,
    },
    /// Outputs that are not one for each time step.
    #[error("outputs of shape {shape:?} for a segment of {n_steps} time steps, expected one for each")]
    Output {
        /// Their shape.
        shape: Vec<usize>,
        /// The steps.
        n_steps: usize,
    },
}

/// Loss and gradients of a micro-batch, of which `segment_steps` time steps are on a tape at a time.
pub(crate) fn run_part<M: Module>(
    net: &M,
    micro: &MicroBatch<'_>,
    segment_steps: usize,
) -> Result<Part, FitError> {
    let run = Run { net, micro, segment_steps };
    let last = run.n_segments() - 1;
    let (mut starts, mut outputs) = (vec![States::new()], Vec::new());
    for i in 0..last {
        let (y, ends) = run.forward(i, &starts[i])?;
        outputs.push(y);
        starts.push(ends);
    }
    let segment = run.record(last, &starts[last])?;
    outputs.push(segment.tape.value(segment.y).clone());
    let y = joined(&outputs);
    let (loss, g_y) = loss_and_gradient(micro, &y)?;
    let mut grads = Grads::new();
    let mut g_states = segment.backward(rows(&g_y, run.steps(last)), Vec::new(), &mut grads);
    for i in (0..last).rev() {
        starts.truncate(i + 1);
        let segment = run.record(i, &starts[i])?;
        g_states = segment.backward(rows(&g_y, run.steps(i)), g_states, &mut grads);
    }
    let correct = hits(&loss::predict(&y, micro.loss), micro.labels());
    Ok(Part { loss, correct, grads, statistics: Vec::new() })
}

/// States of the neuron layers in the order in which a network runs them; none stand for rest.
type States = Vec<Tensor<f32>>;

/// A micro-batch to run in segments.
struct Run<'a, M> {
    net: &'a M,
    micro: &'a MicroBatch<'a>,
    segment_steps: usize,
}

impl<M: Module> Run<'_, M> {
    fn n_segments(&self) -> usize {
        self.micro.n_steps().div_ceil(self.segment_steps)
    }

    /// The time steps of a segment.
    fn steps(&self, segment: usize) -> Range<usize> {
        let first = segment * self.segment_steps;
        first..(first + self.segment_steps).min(self.micro.n_steps())
    }

    /// Outputs of a segment, and the states at its end.
    fn forward(&self, segment: usize, starts: &States) -> Result<(Tensor<f32>, States), SegmentError> {
        self.run(&mut Reader { readings: self.micro.readings }, segment, starts)
    }

    /// A segment on a tape.
    fn record(&self, segment: usize, starts: &States) -> Result<Recorded<'_>, SegmentError> {
        let mut tape = Tape::reading(self.micro.readings);
        let (y, ends) = self.run(&mut tape, segment, starts)?;
        Ok(Recorded { tape, y, ends })
    }

    fn run<E: Look>(
        &self,
        e: &mut E,
        segment: usize,
        starts: &States,
    ) -> Result<(E::Value, Vec<E::Value>), SegmentError> {
        let steps = self.steps(segment);
        let mut exec = Segment { inner: e, first_step: steps.start, starts, ends: Vec::new(), refused: None };
        let x = exec.input(&self.micro.samples(steps.clone()).x);
        let y = self.net.forward(&mut exec, &x, &self.micro.pass);
        let (ends, refused) = (exec.ends, exec.refused);
        if let Some(layer) = refused {
            return Err(SegmentError::Neurons { layer });
        }
        match e.look(&y).shape() {
            shape if shape.starts_with(&[steps.len(), self.micro.labels().len()]) => Ok((y, ends)),
            shape => Err(SegmentError::Output { shape: shape.to_vec(), n_steps: steps.len() }),
        }
    }
}

/// A segment on a tape.
struct Recorded<'a> {
    tape: Tape<'a, f32>,
    y: Var,
    /// The states at the end.
    ends: Vec<Var>,
}

impl Recorded<'_> {
    /// Adds the gradients of the parameters, given those by the outputs and by the states at the end, and returns those by the
    /// states at the start.
    fn backward(self, g_y: Tensor<f32>, g_ends: Vec<Tensor<f32>>, sum: &mut Grads) -> Vec<Tensor<f32>> {
        let mut seeds = vec![(self.y, g_y)];
        seeds.extend(self.ends.iter().copied().zip(g_ends));
        let mut grads = self.tape.backward_from_all(seeds);
        let g_starts = (0..self.ends.len()).map_while(|i| grads.take(&start_name(i))).collect();
        sum.add_all(grads);
        g_starts
    }
}

/// The name of a state at the start among the leaves of a tape, which no parameter of a layer has.
fn start_name(neurons: usize) -> String {
    format!("state {neurons} at the start")
}

/// An interpreter whose values can be looked at.
trait Look: Exec<S = f32> {
    fn look<'a>(&'a self, value: &'a Self::Value) -> &'a Tensor<f32>;
}

impl Look for Tape<'_, f32> {
    fn look<'a>(&'a self, value: &'a Var) -> &'a Tensor<f32> {
        self.value(*value)
    }
}

/// Computes values and keeps nothing, as [`snn_core::Eager`], and takes what parameters are read as from what was found for the
/// batch.
struct Reader<'a> {
    readings: &'a BTreeMap<String, Tensor<f32>>,
}

impl Look for Reader<'_> {
    fn look<'a>(&'a self, value: &'a Tensor<f32>) -> &'a Tensor<f32> {
        value
    }
}

impl Exec for Reader<'_> {
    type S = f32;
    type Value = Tensor<f32>;

    fn input(&mut self, x: &Tensor<f32>) -> Tensor<f32> {
        x.clone()
    }

    fn param(&mut self, p: &Param) -> Tensor<f32> {
        p.value.clone()
    }

    fn param_through(&mut self, p: &Param, op: Box<dyn Op<f32>>, others: &[&Param]) -> Tensor<f32> {
        let read = || {
            let values: Vec<&Tensor<f32>> = [p].iter().chain(others).map(|p| &p.value).collect();
            op.forward(&values, &mut Saved::discarding())
        };
        self.readings.get(&p.name).cloned().unwrap_or_else(read)
    }

    fn apply(&mut self, op: Box<dyn Op<f32>>, x: &[&Tensor<f32>]) -> Tensor<f32> {
        op.forward(x, &mut Saved::discarding())
    }
}

/// An interpreter whose neurons begin from the states of a segment's start, and whose states at the end are kept.
struct Segment<'a, E: Exec> {
    inner: &'a mut E,
    first_step: usize,
    starts: &'a States,
    /// States of the neurons so far at the end.
    ends: Vec<E::Value>,
    /// The first neurons that begin from rest only.
    refused: Option<String>,
}

impl<E: Look> Segment<'_, E> {
    /// Runs neurons from their state to their state.
    fn carry(&mut self, name: &str, scan: Box<dyn NeuronOp<f32>>, x: &[&E::Value]) -> E::Value {
        let Some(Carrying { op, n_rows }) = scan.carrying(self.first_step) else {
            self.refused.get_or_insert_with(|| name.to_owned());
            return self.inner.apply(scan, x);
        };
        let start = self.start(n_rows, x[0]);
        let n_steps = self.inner.look(x[0]).shape()[0];
        let all = self.inner.apply(op, &[&[&start], x].concat());
        let first = self.inner.look(&all).shape()[0] - n_rows;
        let end = self.inner.apply(Box::new(Steps { first, n: n_rows }), &[&all]);
        self.ends.push(end);
        self.inner.apply(Box::new(Steps { first: 0, n: n_steps }), &[&all])
    }

    /// The state that the next neurons begin from, of so many rows: a leaf with a gradient, or rest without one.
    fn start(&mut self, n_rows: usize, cur: &E::Value) -> E::Value {
        let name = start_name(self.ends.len());
        let start = match self.starts.get(self.ends.len()) {
            Some(state) => Param::new(name, state.clone(), Role::Scale),
            None => {
                let shape = [&[n_rows], &self.inner.look(cur).shape()[1..]].concat();
                Param::new(name, Tensor::zeros(&shape), Role::Buffer)
            }
        };
        self.inner.param(&start)
    }
}

impl<E: Look> Exec for Segment<'_, E> {
    type S = f32;
    type Value = E::Value;

    fn input(&mut self, x: &Tensor<f32>) -> E::Value {
        self.inner.input(x)
    }

    fn param(&mut self, p: &Param) -> E::Value {
        self.inner.param(p)
    }

    fn param_through(&mut self, p: &Param, op: Box<dyn Op<f32>>, others: &[&Param]) -> E::Value {
        self.inner.param_through(p, op, others)
    }

    fn apply(&mut self, op: Box<dyn Op<f32>>, x: &[&E::Value]) -> E::Value {
        self.inner.apply(op, x)
    }

    fn neuron(&mut self, name: &str, neurons: Neurons<f32>, x: &[&E::Value]) -> E::Value {
        neurons.apply_apart(self, x, |this, scan, x| this.carry(name, scan, x))
    }

    fn detach(&mut self, x: &E::Value) -> E::Value {
        self.inner.detach(x)
    }

    fn record(&mut self, name: &str, value: &E::Value) {
        self.inner.record(name, value);
    }
}

/// The loss of all outputs, and its gradient by them.
fn loss_and_gradient(micro: &MicroBatch<'_>, y: &Tensor<f32>) -> Result<(f64, Tensor<f32>), FitError> {
    const OUTPUTS: &str = "outputs";
    check_labels(micro.loss, y, micro.labels())?;
    let mut tape = Tape::new();
    let outputs = tape.param(&Param::new(OUTPUTS, y.clone(), Role::Scale));
    let loss = tape.apply(micro.loss_op(), &[&outputs]);
    let gradient = tape.backward(loss).take(OUTPUTS).unwrap_or_else(|| Tensor::zeros(y.shape()));
    Ok((f64::from(tape.value(loss).item()), gradient))
}

/// Tensors behind each other along time.
fn joined(parts: &[Tensor<f32>]) -> Tensor<f32> {
    let mut shape = parts[0].shape().to_vec();
    shape[0] = parts.iter().map(|part| part.shape()[0]).sum();
    let mut all = Vec::with_capacity(shape.iter().product());
    parts.iter().for_each(|part| all.extend_from_slice(part.as_slice()));
    Tensor::new(&shape, all)
}

/// Some time steps of a tensor.
fn rows(x: &Tensor<f32>, steps: Range<usize>) -> Tensor<f32> {
    Steps { first: steps.start, n: steps.len() }.forward(&[x], &mut Saved::discarding())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fit::{self, Batch, activation_bytes};
    use snn_core::Pass;
    use snn_core::layer::{Conv2dConfig, NeuronKind, Sequential};
    use snn_core::loss::Loss;
    use snn_core::neuron::{Alif, CubaLif, Decolle, Firing, Lif, Reset, Trajectory};
    use snn_core::ops::MeanTime;
    use snn_core::rng::counter_uniform;
    use snn_testkit::assert_close;

    const N_STEPS: usize = 10;

    fn firing() -> Firing {
        Firing { threshold: 0.3, ..Firing::default() }
    }

    fn kinds() -> [NeuronKind; 7] {
        let zero = Firing { reset: Reset::Zero, ..firing() };
        [
            Lif { firing: firing(), ..Lif::snntorch(0.9) }.into(),
            Lif { firing: zero, ..Lif::snntorch(0.9) }.into(),
            Lif {
                firing: Firing { threshold: 0.3, ..Lif::spikingjelly(2.0).firing },
                ..Lif::spikingjelly(2.0)
            }
            .into(),
            Lif::lui_neftci(0.8).into(),
            CubaLif { alpha: 0.7, beta: 0.9, firing: firing() }.into(),
            Alif { beta: 0.9, rho: 0.9, kappa: 0.3, firing: firing() }.into(),
            Decolle { alpha: 0.8, beta: 0.7, alpha_rp: 0.6, w_rp: 0.9, firing: firing() }.into(),
        ]
    }

    /// Pooling before and behind neurons, dropout and recurrence.
    fn net(kind: NeuronKind) -> Sequential {
        let builder = Sequential::input(&[2, 8, 8]).conv2d("conv1", Conv2dConfig::new(4, 3)).max_pool(2);
        let builder = builder.neuron("lif1", kind).conv2d("conv2", Conv2dConfig::new(6, 2));
        let builder = builder.neuron("lif2", kind).max_pool(2).flatten().dropout("drop", 0.3);
        let builder = builder.linear("fc1", 7).recurrent("lif3", kind);
        builder.linear("fc2", 3).neuron("lif4", kind).init(5).unwrap()
    }

    fn batch(n_steps: usize) -> Batch {
        let spike = |i| if counter_uniform(2, i) < 0.2 { 1.0 } else { 0.0 };
        let x = Tensor::new(&[n_steps, 5, 2, 8, 8], (0..n_steps as u64 * 5 * 128).map(spike).collect());
        Batch { x, labels: vec![0, 1, 2, 0, 1] }
    }

    /// `f` of the samples 1 to 3.
    fn with_micro_batch<R>(batch: &Batch, loss: &Loss, f: impl Fn(&MicroBatch<'_>) -> R) -> R {
        let pass = Pass::training(7);
        f(&MicroBatch { batch, first: 1, size: 3, loss, pass, readings: &BTreeMap::new() })
    }

    fn assert_same_gradients(got: &Grads, want: &Grads) {
        assert_eq!(got.iter().map(|(name, _)| name).collect::<Vec<_>>(), {
            want.iter().map(|(name, _)| name).collect::<Vec<_>>()
        });
        let numbers = |t: &Tensor<f32>| t.as_slice().iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
        let scale = want.iter().flat_map(|(_, t)| numbers(t)).fold(0.0_f64, |max, v| max.max(v.abs()));
        assert!(scale > 0.0);
        for (name, want) in want.iter() {
            assert_close(name, &numbers(got.get(name).unwrap()), &numbers(want), 1e-5, 1e-6 * scale + 1e-8);
        }
    }

    #[test]
    fn segments_give_the_loss_and_the_gradients_of_all_steps() {
        let batch = batch(N_STEPS);
        for kind in kinds() {
            let net = net(kind);
            for loss in [Loss::CrossEntropyCount, Loss::CrossEntropyRate] {
                with_micro_batch(&batch, &loss, |micro| {
                    let whole = fit::run_part(&net, micro).unwrap();
                    for k in [1, 3, 4, N_STEPS, N_STEPS + 2] {
                        let part = run_part(&net, micro, k).unwrap();
                        assert_eq!(
                            (part.loss.to_bits(), part.correct),
                            (whole.loss.to_bits(), whole.correct)
                        );
                        assert_same_gradients(&part.grads, &whole.grads);
                    }
                });
            }
        }
    }

    #[test]
    fn a_tape_has_the_activations_of_a_segment() {
        let (batch, net) = (batch(40), net(kinds()[0]));
        with_micro_batch(&batch, &Loss::CrossEntropyCount, |micro| {
            let run = Run { net: &net, micro, segment_steps: 4 };
            let (_, ends) = run.forward(0, &States::new()).unwrap();
            let segment = run.record(1, &ends).unwrap().tape.activation_bytes();
            let whole = activation_bytes(&net, &micro.samples(0..40).x);
            assert!(7 * segment < whole, "{segment} {whole}");
        });
    }

    #[test]
    fn states_are_those_at_the_end_of_a_segment_on_a_tape_and_without() {
        let (batch, net) = (batch(N_STEPS), net(kinds()[4]));
        with_micro_batch(&batch, &Loss::CrossEntropyCount, |micro| {
            let run = Run { net: &net, micro, segment_steps: 4 };
            let (y, ends) = run.forward(1, &run.forward(0, &States::new()).unwrap().1).unwrap();
            let recorded = run.record(1, &run.forward(0, &States::new()).unwrap().1).unwrap();
            assert_eq!(recorded.tape.value(recorded.y), &y);
            assert_eq!(
                recorded.ends.iter().map(|&v| recorded.tape.value(v).clone()).collect::<States>(),
                ends
            );
            assert_eq!(ends.iter().map(|state| state.shape()[0]).collect::<Vec<_>>(), [2, 2, 3, 2]);
        });
    }

    /// Neurons that begin from rest only.
    #[derive(Debug)]
    struct FromRest;

    impl Op<f32> for FromRest {
        fn name(&self) -> &'static str {
            "from_rest"
        }
        fn forward(&self, x: &[&Tensor<f32>], _: &mut Saved<f32>) -> Tensor<f32> {
            x[0].clone()
        }
        fn backward(&self, ctx: &snn_core::op::Backward<'_, f32>) -> Vec<Option<Tensor<f32>>> {
            vec![Some(ctx.gy.clone())]
        }
    }

    impl NeuronOp<f32> for FromRest {
        fn with_state_map(
            self: Box<Self>,
            _: std::sync::Arc<dyn snn_core::neuron::StateMap<f32>>,
        ) -> Box<dyn NeuronOp<f32>> {
            self
        }
        fn trajectory(&self, _: &[&Tensor<f32>]) -> Trajectory<f32> {
            unreachable!("nobody asks")
        }
    }

    #[test]
    fn neurons_that_begin_from_rest_only_are_named() {
        let (mut reader, starts) = (Reader { readings: &BTreeMap::new() }, States::new());
        let mut exec =
            Segment { inner: &mut reader, first_step: 0, starts: &starts, ends: Vec::new(), refused: None };
        let x = exec.input(&Tensor::zeros(&[2, 1, 3]));
        exec.neuron("lif", Neurons::alone(Box::new(FromRest)), &[&x]);
        assert_eq!(exec.refused.as_deref(), Some("lif"));
    }

    /// A network with one output for all time steps.
    struct Mean;

    impl Module for Mean {
        fn forward<E: Exec>(&self, e: &mut E, x: &E::Value, _: &Pass) -> E::Value {
            e.apply(Box::new(MeanTime), &[x])
        }
        fn visit_params(&self, _: &mut dyn FnMut(&Param)) {}
        fn visit_params_mut(&mut self, _: &mut dyn FnMut(&mut Param)) {}
    }

    #[test]
    fn one_output_for_all_steps_is_refused() {
        let error =
            with_micro_batch(&batch(N_STEPS), &Loss::CrossEntropyCount, |micro| run_part(&Mean, micro, 2));
        let error = error.map(|_| ()).unwrap_err();
        assert!(matches!(error, FitError::Segments(SegmentError::Output { n_steps: 2, .. })), "{error}");
    }
}
