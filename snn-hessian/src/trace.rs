//! Hutchinson's estimator of curvature traces, per tensor and in total.

use crate::curvature::{Curvature, CurvatureError, Layout, Operator, at_least_one};
use crate::probe::{Distribution, ParamSet, probe};
use crate::sensitivity::TensorTrace;
use snn_autodiff::grads::dot;
use snn_autodiff::{BatchSource, Grads};
use snn_core::Module;
use snn_core::loss::Loss;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// Probes that share a pass over the data. Results do not depend on it.
const LANES: usize = 4;

/// How to estimate traces.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceConfig {
    /// The matrix whose trace is wanted.
    pub curvature: Curvature,
    /// The parameters to probe.
    pub params: ParamSet,
    /// The distribution of probe entries.
    pub distribution: Distribution,
    /// The most probes.
    pub max_probes: usize,
    /// The least probes, at least 2, before the stop rule is asked: a standard error from few probes is itself noise.
    pub min_probes: usize,
    /// Stop when the standard error of every tensor's trace, and of their sum, is at most this share of its mean's
    /// absolute value. The drift of the running mean plays no part. 0 asks for all probes.
    pub rel_std_err: f64,
    /// Seed of the probes.
    pub seed: u64,
    /// Samples that one task runs at a time; each thread holds the activations of so many.
    pub micro_batch: usize,
}

impl Default for TraceConfig {
    /// The Hessian by the weights, 16 to 256 Rademacher probes, 5 % standard error, 8 samples at a time.
    fn default() -> Self {
        Self {
            curvature: Curvature::Hessian,
            params: ParamSet::Weights,
            distribution: Distribution::Rademacher,
            max_probes: 256,
            min_probes: 16,
            rel_std_err: 0.05,
            seed: 0,
            micro_batch: 8,
        }
    }
}

impl TraceConfig {
    fn check(&self) -> Result<(), CurvatureError> {
        at_least_one("micro_batch", self.micro_batch)?;
        at_least_one("max_probes", self.max_probes)?;
        let refuse = |field, value, expected| Err(CurvatureError::Config { field, value, expected });
        if self.min_probes > self.max_probes {
            return refuse("min_probes", self.min_probes as f64, "at most max_probes");
        }
        if !(self.rel_std_err.is_finite() && self.rel_std_err >= 0.0) {
            return refuse("rel_std_err", self.rel_std_err, "a finite number, 0 or more");
        }
        Ok(())
    }
}

/// Why no more probes were drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// All standard errors are as small as asked for.
    Converged,
    /// `max_probes` were drawn. A tensor whose trace is near zero never reaches a relative error.
    MaxProbes,
    /// The observer said so.
    Observer,
}

/// Traces of the diagonal blocks of the curvature of the mean loss.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceReport {
    /// The trace of each tensor's block. A standard error is infinite with one probe.
    pub tensors: BTreeMap<String, TensorTrace>,
    /// The trace of all blocks together. Its standard error is that of the sums, which knows how estimates of tensors
    /// vary together.
    pub total: TensorTrace,
    /// Number of probes.
    pub n_probes: usize,
    /// Number of samples that each probe was evaluated on.
    pub n_samples: usize,
    /// Why it ended; [`None`] while it goes on.
    pub stop: Option<StopReason>,
}

impl TraceReport {
    /// True if the standard error of each tensor and of the total is at most `share` of the absolute mean.
    fn is_within(&self, share: f64) -> bool {
        self.tensors.values().chain([&self.total]).all(|t| t.std_err <= share * t.mean.abs())
    }
}

/// Estimates the trace of each tensor's block of the curvature of the mean loss over all samples of `data` (epoch 0),
/// by Hutchinson's method: the mean over random probes `v` of `v_i · (Hv)_i`, where `i` picks the entries of a tensor.
///
/// A probe covers all tensors at once: terms across tensors have mean zero. It is evaluated on every batch; batches may
/// differ in size and weigh by it. Products are in `f32`, sums in `f64` in the order of the data, so the result is the
/// same for any number of threads. Dropout is off, batch normalization uses running statistics.
///
/// `observe` sees the estimates after each probe and may end the run with [`ControlFlow::Break`], which keeps what there
/// is. The labels of `data` must be classes of the loss.
///
/// # Errors
/// [`CurvatureError`]: a setting out of range, an unknown parameter, data that is missing, malformed or failed to load, a
/// product that is not finite (it names the tensor).
///
/// # Panics
/// If the network or the loss cannot take the samples: features of another shape, or a label that is no class.
///
/// # References
/// Hutchinson, "A stochastic estimator of the trace of the influence matrix for Laplacian smoothing splines", 1990;
/// for bits of spiking networks Lui and Neftci, "Hessian Aware Quantization of Spiking Neural Networks", 2021
/// (arXiv:2104.14117). Deviations: the mean over samples of the loss as it is, not the sum over time steps, and a stop
/// rule on the standard error, not on the drift of the mean.
pub fn hutchinson<M: Module + Sync>(
    net: &M,
    loss: &Loss,
    data: &dyn BatchSource,
    config: &TraceConfig,
    observe: &mut dyn FnMut(&TraceReport) -> ControlFlow<()>,
) -> Result<TraceReport, CurvatureError> {
    config.check()?;
    let layout = Layout::new(net, &config.params)?;
    let TraceConfig { curvature, micro_batch, .. } = *config;
    estimate::<M, LANES>(&Operator { net, loss, data, curvature, micro_batch, layout }, config, observe)
}

fn estimate<M: Module + Sync, const K: usize>(
    operator: &Operator<'_, M>,
    config: &TraceConfig,
    observe: &mut dyn FnMut(&TraceReport) -> ControlFlow<()>,
) -> Result<TraceReport, CurvatureError> {
    let mut estimates = Estimates::new(&operator.layout);
    loop {
        let (values, n_samples) = probe_values::<M, K>(operator, config, estimates.total.n)?;
        for values in values {
            estimates.push(&values)?;
            let mut report = estimates.report(n_samples);
            report.stop = stop_reason(&report, config);
            if observe(&report).is_break() {
                report.stop = report.stop.or(Some(StopReason::Observer));
            }
            if report.stop.is_some() {
                return Ok(report);
            }
        }
    }
}

fn stop_reason(report: &TraceReport, config: &TraceConfig) -> Option<StopReason> {
    let n_probes = report.n_probes;
    if n_probes >= config.min_probes.max(2) && report.is_within(config.rel_std_err) {
        return Some(StopReason::Converged);
    }
    (n_probes >= config.max_probes).then_some(StopReason::MaxProbes)
}

/// `v_i · (Hv)_i` of each tensor for `K` probes from number `first` on, and the number of samples.
fn probe_values<M: Module + Sync, const K: usize>(
    operator: &Operator<'_, M>,
    config: &TraceConfig,
    first: usize,
) -> Result<([Vec<f64>; K], usize), CurvatureError> {
    let layout = &operator.layout;
    let probes: [Grads<f32>; K] =
        std::array::from_fn(|k| probe(layout, config.distribution, config.seed, (first + k) as u64));
    let products = |products: &[Grads<f32>; K]| -> [Vec<f64>; K] {
        std::array::from_fn(|k| {
            layout.tensors().map(|(name, _)| block(name, &probes[k], &products[k])).collect()
        })
    };
    let mut sums: [Vec<f64>; K] = std::array::from_fn(|_| vec![0.0; layout.tensors().len()]);
    let n_samples = operator.for_each_part(&probes, products, |parts| {
        let pairs = sums.iter_mut().flatten().zip(parts.iter().flatten());
        pairs.for_each(|(sum, part)| *sum += part);
    })?;
    sums.iter_mut().flatten().for_each(|sum| *sum /= n_samples as f64);
    Ok((sums, n_samples))
}

/// The inner product over one tensor; 0 if the loss does not depend on it.
fn block(name: &str, probe: &Grads<f32>, product: &Grads<f32>) -> f64 {
    probe.get(name).zip(product.get(name)).map_or(0.0, |(v, hv)| dot(v, hv))
}

/// Running estimates of all tensors and their sum.
struct Estimates<'a> {
    layout: &'a Layout,
    tensors: Vec<Running>,
    total: Running,
}

impl<'a> Estimates<'a> {
    fn new(layout: &'a Layout) -> Self {
        Self { layout, tensors: vec![Running::default(); layout.tensors().len()], total: Running::default() }
    }

    fn push(&mut self, values: &[f64]) -> Result<(), CurvatureError> {
        for ((running, &value), (name, _)) in self.tensors.iter_mut().zip(values).zip(self.layout.tensors()) {
            if !value.is_finite() {
                return Err(CurvatureError::NonFinite { tensor: name.to_owned(), value });
            }
            running.push(value);
        }
        self.total.push(values.iter().sum());
        Ok(())
    }

    fn report(&self, n_samples: usize) -> TraceReport {
        let tensor = |(running, (name, range)): (&Running, (&str, std::ops::Range<usize>))| {
            (name.to_owned(), running.trace(range.len()))
        };
        TraceReport {
            tensors: self.tensors.iter().zip(self.layout.tensors()).map(tensor).collect(),
            total: self.total.trace(self.layout.len()),
            n_probes: self.total.n,
            n_samples,
            stop: None,
        }
    }
}

/// Mean and variance of a growing sample (Welford 1962).
#[derive(Clone, Default)]
struct Running {
    n: usize,
    mean: f64,
    /// Sum of squared distances from the mean.
    squares: f64,
}

impl Running {
    fn push(&mut self, value: f64) {
        self.n += 1;
        let distance = value - self.mean;
        self.mean += distance / self.n as f64;
        self.squares += distance * (value - self.mean);
    }

    fn trace(&self, n_params: usize) -> TensorTrace {
        let std_err = match self.n {
            0 | 1 => f64::INFINITY,
            n => (self.squares / ((n - 1) as f64 * n as f64)).sqrt(),
        };
        TensorTrace { mean: self.mean, std_err, n_params: n_params as u64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use snn_autodiff::Batch;
    use snn_core::Tensor;
    use snn_core::encode::rate;
    use snn_core::layer::Sequential;
    use snn_core::neuron::Lif;

    fn report<const K: usize>(curvature: Curvature) -> TraceReport {
        let lif = Lif::snntorch(0.75);
        let net = Sequential::input(&[5]).linear("a", 4).neuron("l", lif).linear("b", 3).neuron("m", lif);
        let net = net.init(3).unwrap();
        let x = rate(&Tensor::full(&[6, 5], 0.6), 7, 1);
        let data = Batch { x, labels: vec![0, 1, 2, 0, 1, 2] };
        let config = TraceConfig {
            curvature,
            max_probes: 7,
            min_probes: 2,
            rel_std_err: 0.0,
            micro_batch: 4,
            ..TraceConfig::default()
        };
        let operator = Operator {
            net: &net,
            loss: &Loss::CrossEntropyCount,
            data: &data,
            curvature,
            micro_batch: config.micro_batch,
            layout: Layout::new(&net, &config.params).unwrap(),
        };
        estimate::<_, K>(&operator, &config, &mut |_| ControlFlow::Continue(())).unwrap()
    }

    #[test]
    fn the_result_does_not_depend_on_the_number_of_lanes() {
        for curvature in [Curvature::Hessian, Curvature::GaussNewton] {
            let one = report::<1>(curvature);
            assert_eq!(one.n_probes, 7);
            assert_eq!(one, report::<LANES>(curvature));
        }
    }

    #[test]
    fn running_moments_are_those_of_the_sample() {
        let mut running = Running::default();
        [1.0, 4.0, 2.0, 5.0].into_iter().for_each(|x| running.push(x));
        let trace = running.trace(9);
        assert!((trace.mean - 3.0).abs() < 1e-15);
        assert!((trace.std_err - (10.0_f64 / 3.0 / 4.0).sqrt()).abs() < 1e-15);
        let mut single = Running::default();
        single.push(1.0);
        assert!(single.trace(1).std_err.is_infinite());
    }
}
