//! Losses on the outputs of a network, and what it predicts.
//!
//! Outputs are `[T, B, N]`: spikes or membranes of `N` units at each step. A loss is an [`Op`] from them to one number.

use crate::op::{Backward, Op, Saved};
use crate::scalar::{Real, Scalar};
use crate::tensor::Tensor;
use std::borrow::Cow;

/// A classification loss on outputs `o` of shape `[T, B, N]` with label `y` for each sample.
///
/// `CE(z, y) = ln Σ_n e^(z_n) − z_y` is the softmax cross-entropy. Formulas below are those of one sample.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Loss {
    /// `CE(Σ_t o_t, y)` on spike counts; snnTorch's `ce_count_loss`.
    CrossEntropyCount,
    /// `1/T · Σ_t CE(o_t, y)` at each step; snnTorch's `ce_rate_loss`.
    CrossEntropyRate,
    /// `CE(1/T · Σ_t o_t, y)` on firing rates or mean membranes.
    CrossEntropyMean,
    /// `(1 − λ) · 1/T · Σ_t CE(o_t, y) + λ · 1/(T·N) · Σ_t Σ_n (o_tn − φ)²`: temporal efficient training.
    ///
    /// # References
    /// Deng et al., "Temporal efficient training of spiking neural network via gradient re-weighting", 2022
    /// (arXiv:2202.11946), eq. 9 to 11.
    PerStep {
        /// Weight λ of the squared error, in `[0, 1]`; 0.05 is usual.
        lambda: f64,
        /// Constant φ that all outputs are pulled to; the threshold is usual.
        target: f64,
    },
    /// `1/(T·N) · Σ_n (Σ_t o_tn − c_n)²` with target counts `c_n` of `⌊rate · T⌋`; snnTorch's `mse_count_loss`, which
    /// divides by `T` and truncates as well.
    MseCount {
        /// Share of steps in which the unit of the label should spike.
        correct_rate: f64,
        /// Share of steps in which the others should.
        incorrect_rate: f64,
    },
    /// `1/(T − t₀) · Σ_{t ≥ t₀} Σ_l 1/K · Σ_k h(o_t[l·K + k] − [k = y])` for `L` local readouts of `K` classes side by
    /// side, `N = L·K`, with Huber's `h(d) = d²/2` for `|d| < 1`, else `|d| − ½`.
    ///
    /// # References
    /// Kaiser, Mostafa, Neftci, "Synaptic plasticity dynamics for deep continuous local learning (DECOLLE)", 2020
    /// (arXiv:1811.10766). Deviation: the mean over steps, where DECOLLE updates weights after each step.
    SmoothL1 {
        /// Steps `t₀` at the start that do not count, less than `T`.
        burn_in: usize,
        /// Classes `K` of each readout.
        n_classes: usize,
    },
}

impl Loss {
    /// The loss as an op: outputs `[T, B, N]` to a tensor without axes.
    ///
    /// Its value is the **sum** over the samples of the call divided by `normalizer`, the size of the whole batch, so
    /// that the losses and gradients of micro-batches add up to those of the batch mean.
    ///
    /// # Panics
    /// The op panics if there are not `B` labels, if a label is not below the number of classes, if `N` is not a
    /// multiple of `n_classes`, and if no step is left to count.
    #[must_use]
    pub fn op<S: Scalar>(&self, labels: &[usize], normalizer: usize) -> Box<dyn Op<S>> {
        Box::new(LossOp { loss: *self, labels: labels.to_vec(), normalizer: normalizer as f64 })
    }

    /// Number of classes that outputs of `n_outputs` units tell apart: labels must be below it.
    #[must_use]
    pub fn n_classes(&self, n_outputs: usize) -> usize {
        match *self {
            Self::SmoothL1 { n_classes, .. } => n_classes,
            _ => n_outputs,
        }
    }

    fn rule(&self, n_steps: usize) -> Rule {
        let per_step = 1.0 / n_steps as f64;
        let summed = Time::Summed { scale: 1.0 };
        let (time, criterion, weight) = match *self {
            Self::CrossEntropyCount => (summed, Criterion::CrossEntropy, 1.0),
            Self::CrossEntropyMean => (Time::Summed { scale: per_step }, Criterion::CrossEntropy, 1.0),
            Self::CrossEntropyRate => (Time::Each { from: 0 }, Criterion::CrossEntropy, per_step),
            Self::PerStep { lambda, target } => {
                (Time::Each { from: 0 }, Criterion::Regularized { lambda, target }, per_step)
            }
            Self::MseCount { correct_rate, incorrect_rate } => {
                let [correct, incorrect] =
                    [correct_rate, incorrect_rate].map(|r| (r * n_steps as f64).trunc());
                (summed, Criterion::Squared { correct, incorrect }, per_step)
            }
            Self::SmoothL1 { burn_in, n_classes } => {
                assert!(burn_in < n_steps, "loss: burn-in of {burn_in} steps leaves none of {n_steps}");
                let weight = 1.0 / (n_steps - burn_in) as f64;
                (Time::Each { from: burn_in }, Criterion::SmoothL1 { n_classes }, weight)
            }
        };
        Rule { time, criterion, weight }
    }
}

/// A loss for a known number of steps: `weight · Σ criterion(row)` over rows of `N` numbers.
struct Rule {
    time: Time,
    criterion: Criterion,
    weight: f64,
}

/// Which rows a criterion sees.
#[derive(Clone, Copy)]
enum Time {
    /// One row per sample: `scale · Σ_t o_t`.
    Summed { scale: f64 },
    /// One row per sample and step, from this step on.
    Each { from: usize },
}

/// A function of one row `z` of `N` numbers and a label.
#[derive(Clone, Copy)]
enum Criterion {
    CrossEntropy,
    Regularized { lambda: f64, target: f64 },
    Squared { correct: f64, incorrect: f64 },
    SmoothL1 { n_classes: usize },
}

impl Criterion {
    /// Number of classes, given the length of a row.
    fn n_classes(self, n: usize) -> usize {
        if let Self::SmoothL1 { n_classes } = self { n_classes } else { n }
    }

    fn value<S: Scalar>(self, z: &[S], label: usize) -> S {
        match self {
            Self::CrossEntropy => log_sum_exp(z) - z[label],
            Self::Regularized { lambda, target } => {
                let squares = sum(z, |_, v| square(v - S::from_f64(target)));
                let error = squares * S::from_f64(lambda / z.len() as f64);
                S::from_f64(1.0 - lambda) * (log_sum_exp(z) - z[label]) + error
            }
            Self::Squared { correct, incorrect } => {
                let target = |i| S::from_f64(if i == label { correct } else { incorrect });
                sum(z, |i, v| square(v - target(i))) * S::from_f64(1.0 / z.len() as f64)
            }
            Self::SmoothL1 { n_classes } => {
                let huber = |i, v| huber(v - one_hot(i % n_classes == label));
                sum(z, huber) * S::from_f64(1.0 / n_classes as f64)
            }
        }
    }

    /// The slope by each entry of `z`.
    fn gradient<S: Scalar>(self, z: &[S], label: usize, g: &mut [S]) {
        let c = |v: f64| S::from_f64(v);
        let n = z.len() as f64;
        let normalizer = log_sum_exp(z);
        let softmax_slope = |i: usize, v: S| (v - normalizer).exp() - one_hot(i == label);
        for (i, (g, &v)) in g.iter_mut().zip(z).enumerate() {
            *g = match self {
                Self::CrossEntropy => softmax_slope(i, v),
                Self::Regularized { lambda, target } => {
                    c(1.0 - lambda) * softmax_slope(i, v) + c(2.0 * lambda / n) * (v - c(target))
                }
                Self::Squared { correct, incorrect } => {
                    (v - c(if i == label { correct } else { incorrect })) * c(2.0 / n)
                }
                Self::SmoothL1 { n_classes } => {
                    huber_slope(v - one_hot(i % n_classes == label)) * c(1.0 / n_classes as f64)
                }
            };
        }
    }
}

/// `ln Σ e^(z_n)`, without overflow: the greatest entry is taken out as a constant, which leaves derivatives exact.
fn log_sum_exp<S: Scalar>(z: &[S]) -> S {
    let max = z.iter().fold(S::from_f64(f64::NEG_INFINITY), |m, &v| m.max(v)).detach();
    sum(z, |_, v| (v - max).exp()).ln() + max
}

fn sum<S: Scalar>(z: &[S], f: impl Fn(usize, S) -> S) -> S {
    z.iter().enumerate().fold(S::ZERO, |sum, (i, &v)| sum + f(i, v))
}

fn square<S: Scalar>(v: S) -> S {
    v * v
}

fn one_hot<S: Scalar>(is_label: bool) -> S {
    if is_label { S::ONE } else { S::ZERO }
}

fn huber<S: Scalar>(d: S) -> S {
    let half = S::from_f64(0.5);
    if is_small(d) { half * d * d } else { d.abs() - half }
}

fn huber_slope<S: Scalar>(d: S) -> S {
    if is_small(d) { d } else { S::constant(d.value().sign()) }
}

fn is_small<S: Scalar>(d: S) -> bool {
    d.value().abs_real() < S::Real::ONE
}

/// Sums over time: `[T, B, N]` as `B` rows of `N`, times `scale`.
fn sum_over_time<S: Scalar>(o: &[S], n_steps: usize, scale: f64) -> Vec<S> {
    let len = o.len() / n_steps;
    let mut sums = vec![S::ZERO; len];
    for step in o.chunks(len.max(1)) {
        sums.iter_mut().zip(step).for_each(|(s, &v)| *s += v);
    }
    let scale = S::from_f64(scale);
    sums.iter_mut().for_each(|s| *s *= scale);
    sums
}

/// A [`Loss`] of labelled samples. Inputs, formulas: there. Backward: the slope of each row, divided by `normalizer`,
/// at all steps that enter the row. Saved: nothing.
#[derive(Debug)]
struct LossOp {
    loss: Loss,
    labels: Vec<usize>,
    normalizer: f64,
}

impl LossOp {
    fn checked_rule(&self, shape: &[usize]) -> Rule {
        let fits = shape.len() == 3 && shape[0] > 0 && shape[1] == self.labels.len() && shape[2] > 0;
        assert!(fits, "loss: outputs of shape {shape:?}, {} labels", self.labels.len());
        let rule = self.loss.rule(shape[0]);
        let n_classes = rule.criterion.n_classes(shape[2]);
        assert!(
            n_classes > 0 && shape[2].is_multiple_of(n_classes),
            "loss: {} outputs, {n_classes} classes",
            shape[2]
        );
        let greatest = self.labels.iter().max();
        assert!(greatest.is_none_or(|&y| y < n_classes), "loss: label {greatest:?} of {n_classes} classes");
        rule
    }

    /// The rows that the criterion sees; row `i` belongs to sample `i % B`.
    fn rows<'a, S: Scalar>(&self, time: Time, o: &'a Tensor<S>) -> Cow<'a, [S]> {
        let (shape, entries) = (o.shape(), o.as_slice());
        match time {
            Time::Summed { scale } => Cow::Owned(sum_over_time(entries, shape[0], scale)),
            Time::Each { from } => Cow::Borrowed(&entries[from * shape[1] * shape[2]..]),
        }
    }

    fn gradient<S: Scalar>(&self, o: &Tensor<S>, g_loss: S) -> Tensor<S> {
        let shape = o.shape();
        let Rule { time, criterion, weight } = self.checked_rule(shape);
        let rows = self.rows(time, o);
        let mut g = vec![S::ZERO; rows.len()];
        let samples = self.labels.iter().cycle();
        for ((g, z), &label) in g.chunks_mut(shape[2]).zip(rows.chunks(shape[2])).zip(samples) {
            criterion.gradient(z, label, g);
        }
        let scale = if let Time::Summed { scale } = time { scale } else { 1.0 };
        let factor = g_loss * S::from_f64(weight * scale / self.normalizer);
        g.iter_mut().for_each(|g| *g *= factor);
        let entries = match time {
            Time::Summed { .. } => g.repeat(shape[0]),
            Time::Each { .. } => [vec![S::ZERO; o.len() - g.len()], g].concat(),
        };
        Tensor::new(shape, entries)
    }
}

impl<S: Scalar> Op<S> for LossOp {
    fn name(&self) -> &'static str {
        "loss"
    }

    fn forward(&self, x: &[&Tensor<S>], _saved: &mut Saved<S>) -> Tensor<S> {
        let n = x[0].shape().last().copied().unwrap_or(0);
        let Rule { time, criterion, weight } = self.checked_rule(x[0].shape());
        let rows = self.rows(time, x[0]);
        let samples = rows.chunks(n).zip(self.labels.iter().cycle());
        let total = samples.fold(S::ZERO, |sum, (z, &label)| sum + criterion.value(z, label));
        Tensor::scalar(total * S::from_f64(weight / self.normalizer))
    }

    fn backward(&self, ctx: &Backward<'_, S>) -> Vec<Option<Tensor<S>>> {
        vec![ctx.grad(0, || self.gradient(ctx.x[0], ctx.gy.item()))]
    }
}

/// The class of each sample, from outputs `[T, B, N]`: the unit with the greatest sum over time, the first of equals.
/// Under [`Loss::SmoothL1`] it is the vote of the last readout, see [`predict_readout`].
///
/// # Panics
/// If the outputs do not have three axes, or no unit.
#[must_use]
pub fn predict(outputs: &Tensor<f32>, loss: &Loss) -> Vec<usize> {
    let shape = outputs.shape();
    assert!(shape.len() == 3 && shape[2] > 0, "predict: outputs of shape {shape:?}, expected [T, B, N]");
    if let Loss::SmoothL1 { n_classes, .. } = *loss {
        return predict_readout(outputs, n_classes, (shape[2] / n_classes).saturating_sub(1));
    }
    let sums = sum_over_time(outputs.as_slice(), shape[0].max(1), 1.0);
    sums.chunks(shape[2]).map(argmax).collect()
}

/// The class of each sample by one of the local readouts that lie side by side in outputs `[T, B, L·n_classes]`: at
/// each step the greatest unit of the readout has a vote, the class with most votes wins, the first of equals.
///
/// # Panics
/// If the outputs do not have three axes, or not so many readouts.
#[must_use]
pub fn predict_readout(outputs: &Tensor<f32>, n_classes: usize, readout: usize) -> Vec<usize> {
    let shape = outputs.shape();
    let fits = shape.len() == 3 && n_classes > 0 && (readout + 1) * n_classes <= shape[2];
    assert!(fits, "predict_readout: readout {readout} of {n_classes} classes, outputs of shape {shape:?}");
    let (batch, n) = (shape[1], shape[2]);
    let mut votes = vec![0.0_f32; batch * n_classes];
    for (row, z) in outputs.as_slice().chunks(n).enumerate() {
        let winner = argmax(&z[readout * n_classes..][..n_classes]);
        votes[row % batch * n_classes + winner] += 1.0;
    }
    votes.chunks(n_classes).map(argmax).collect()
}

/// The share of predictions that equal their label; 0 for none.
///
/// # Panics
/// If there are not as many labels as predictions.
#[must_use]
pub fn accuracy(predictions: &[usize], labels: &[usize]) -> f64 {
    assert_eq!(predictions.len(), labels.len(), "accuracy: predictions and labels");
    let n_correct = predictions.iter().zip(labels).filter(|(p, y)| p == y).count();
    n_correct as f64 / predictions.len().max(1) as f64
}

/// Index of the greatest, the first of equals.
fn argmax(z: &[f32]) -> usize {
    (1..z.len()).fold(0, |best, i| if z[i] > z[best] { i } else { best })
}

#[cfg(test)]
mod tests;
