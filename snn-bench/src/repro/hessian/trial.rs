//! What is measured of one initialization on one division of the recordings.

use super::decolle::LocalReadouts;
use super::settings::Settings;
use super::summary::{MAIN_PLAN, PAPER_PLAN};
use crate::config::{NetConfig, TrainConfig};
use crate::data::{Frames, Splits, Take};
use crate::model;
use crate::report::{EpochPoint, Membrane, Raster};
use crate::run_dir::{Cells, RunDir};
use crate::training::{self, Training};
use crate::{activity, interrupt, progress};
use anyhow::{Context, anyhow, bail};
use serde::{Deserialize, Serialize};
use snn_autodiff::fit::{BatchSource, Evaluation, evaluate};
use snn_core::layer::{NeuronKind, Sequential};
use snn_core::loss::Loss;
use snn_core::neuron::ResetGrad;
use snn_core::{Eager, Module, Pass, io};
use snn_hessian::{
    Budget, Constraints, Curvature, NegativeCurvature, TensorTrace, TraceConfig, allocate, hutchinson,
    sensitivity,
};
use snn_quant::uniform::{Granularity, ScaleRule, UniformSpec};
use snn_quant::{
    BitWidth, Calibrate, FixedPointSpec, IntBits, QuantPlan, QuantSpec, Quantized, StateQuantizer, StateSpec,
    Weights, calibrate, error_table, plan_size,
};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::PathBuf;

/// Loss of all networks with a trained readout: cross-entropy of the mean output current.
pub(super) const LOSS: Loss = Loss::CrossEntropyMean;
const N_CLASSES: usize = 10;
/// Training batches that scales and ranges are found on.
const CALIBRATION_BATCHES: usize = 4;
/// The paper's bits of its three convolutions; the readout, which the paper keeps in float, gets 8.
const PAPER_BITS: [u32; 4] = [8, 8, 16, 8];

/// A network on the test recordings.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Score {
    /// Share predicted right.
    pub accuracy: f64,
    /// Mean loss of a recording.
    pub loss: f64,
    /// For each test recording, whether it was predicted right.
    pub hits: Vec<bool>,
    /// Spikes per neuron and step.
    pub spike_rate: f64,
    /// Effective synaptic operations per recording.
    pub synops: f64,
    /// Firing rate of each layer.
    pub rates: BTreeMap<String, f64>,
}

impl From<Evaluation> for Score {
    fn from(e: Evaluation) -> Self {
        Self {
            accuracy: e.accuracy,
            loss: e.loss,
            spike_rate: e.activity.spike_rate(),
            synops: e.synops_per_sample(),
            rates: e.activity.spikes.iter().map(|(name, count)| (name.clone(), count.rate())).collect(),
            hits: e.hits,
        }
    }
}

/// A trained network.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Trained {
    /// On the test recordings, after the last epoch.
    pub score: Score,
    /// While learning.
    pub epochs: Vec<EpochPoint>,
}

/// Trace of a tensor's block.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Trace {
    /// Estimate.
    pub mean: f64,
    /// Its standard error.
    pub std_err: f64,
    /// Numbers in the tensor.
    pub n_params: u64,
}

/// One layer quantized, the others not.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LayerResult {
    /// The weight tensor.
    pub tensor: String,
    /// Its width.
    pub bits: u32,
    /// Average Hessian trace times squared quantization error.
    pub omega: f64,
    /// The same by the Gauss-Newton trace.
    pub omega_gauss_newton: f64,
    /// Post-training.
    pub ptq: Score,
    /// Trained.
    pub qat: Score,
}

/// All layers quantized by a plan.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlanResult {
    /// Name of the plan.
    pub name: String,
    /// Width of each weight tensor.
    pub bits: BTreeMap<String, u32>,
    /// Width of the membranes, where they all have one.
    pub state_bits: Option<u32>,
    /// Bytes of all parameters: codes, scales, biases in float.
    pub bytes: u64,
    /// Bytes in float.
    pub float_bytes: u64,
    /// Mean width of the quantized tensors.
    pub mean_bits: f64,
    /// Post-training.
    pub ptq: Score,
    /// Trained.
    pub qat: Score,
}

/// Local learning: each readout on the test recordings.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LocalResult {
    /// Accuracy of each layer's readout, by majority over time.
    pub accuracies: Vec<f64>,
}

/// Everything of one seed.
#[derive(Debug, Clone)]
pub struct SeedResult {
    /// The seed.
    pub seed: u64,
    /// The network in full precision.
    pub float: Trained,
    /// The same trained on for as long as the quantized ones: the twin they are compared with.
    pub twin: Trained,
    /// The same with the four-state neuron.
    pub four_state: Trained,
    /// The same learned locally.
    pub local: LocalResult,
    /// Hessian trace of each weight tensor.
    pub hessian: BTreeMap<String, Trace>,
    /// Gauss-Newton trace of each weight tensor.
    pub gauss_newton: BTreeMap<String, Trace>,
    /// Layers quantized one at a time.
    pub layers: Vec<LayerResult>,
    /// Plans.
    pub plans: Vec<PlanResult>,
    /// A raster and a membrane.
    pub activity: Option<(Raster, Membrane)>,
}

/// What a fold of a cross-validation says about the claims.
#[derive(Debug, Clone)]
pub(super) struct FoldResult {
    /// The network in full precision.
    pub float: Trained,
    /// The same, trained on for as long as the quantized ones.
    pub twin: Trained,
    /// The paper's plan, and the allocated ones.
    pub plans: Vec<PlanResult>,
}

/// One seed or one fold: measurements, each a cell on disk.
pub(super) struct Trial<'a> {
    settings: &'a Settings,
    /// What its cells and files are named by.
    name: String,
    seed: u64,
    dir: &'a RunDir,
    cells: &'a Cells,
    train: Frames<'a>,
    /// The same without augmentation.
    unvaried: Frames<'a>,
    test: Frames<'a>,
}

impl<'a> Trial<'a> {
    pub(super) fn new(
        settings: &'a Settings,
        name: String,
        seed: u64,
        splits: &'a Splits,
        dir: &'a RunDir,
        cells: &'a Cells,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            settings,
            name,
            seed,
            dir,
            cells,
            train: Frames::for_training(&splits.train, &settings.data, seed)?,
            unvaried: Frames::mixed(&splits.train, &settings.data, seed)?,
            test: Frames::in_order(&splits.test, &settings.data)?,
        })
    }

    /// All measurements, or those that are missing.
    pub(super) fn measure(&self) -> anyhow::Result<SeedResult> {
        let float = self.float()?;
        let net = self.float_net()?;
        let (hessian, gauss_newton) =
            (self.trace(&net, Curvature::Hessian)?, self.trace(&net, Curvature::GaussNewton)?);
        Ok(SeedResult {
            seed: self.seed,
            float,
            twin: self.twin(&net)?,
            plans: self.plans(&net, &hessian, &self.settings.mean_bits)?,
            layers: self.layers(&net, &hessian, &gauss_newton)?,
            four_state: self.four_state()?,
            local: self.local()?,
            hessian,
            gauss_newton,
            activity: self.activity(&net)?,
        })
    }

    /// The twin and the plans that claims are made about.
    pub(super) fn cross_validate(&self) -> anyhow::Result<FoldResult> {
        let float = self.float()?;
        let net = self.float_net()?;
        let hessian = self.trace(&net, Curvature::Hessian)?;
        Ok(FoldResult {
            float,
            twin: self.twin(&net)?,
            plans: self.plans(&net, &hessian, &self.settings.fold_mean_bits)?,
        })
    }

    /// The last neuron layer on the first test recording, in full precision and through the main plan.
    fn activity(&self, net: &Sequential) -> anyhow::Result<Option<(Raster, Membrane)>> {
        self.cell("activity", || {
            let name = format!("plan.{MAIN_PLAN}");
            let plan = QuantPlan::read(&self.file(&name, "plan.toml"))?;
            let mut quantized = Quantized::new(net.clone(), &model::neuron_names(net), plan)?;
            io::load_params(&mut quantized, &self.file(&name, "npz"))?;
            let Some(batch) = self.test.batches(0).next() else { return Ok(None) };
            let frames = batch.map_err(|error| anyhow!(error))?.x;
            let step_ms = 300.0 / self.settings.data.n_steps as f64;
            Ok(activity::figures(net, Some((&quantized, quantized.plan())), &frames, step_ms))
        })
    }

    /// The result under `name`, computed unless it is there.
    fn cell<T: Serialize + serde::de::DeserializeOwned>(
        &self,
        name: &str,
        compute: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        self.cells.cell(&self.key(name), compute)
    }

    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.name)
    }

    fn frame(&self) -> [usize; 3] {
        let [_, c, h, w] = self.train.sample_shape();
        [c, h, w]
    }

    fn blank_net(&self) -> anyhow::Result<Sequential> {
        Ok(model::build(&self.settings.net, self.frame(), self.seed)?)
    }

    fn file(&self, name: &str, extension: &str) -> PathBuf {
        self.dir.path().join(format!("{}.{name}.{extension}", self.name))
    }

    fn learn<M: Module + Sync>(
        &self,
        name: &str,
        net: &mut M,
        loss: &Loss,
        config: &TrainConfig,
        data: &Frames<'_>,
    ) -> anyhow::Result<Vec<EpochPoint>> {
        let label = format!("{} {name}", self.name);
        let checkpoint = self.file(name, "checkpoint.npz");
        let training = Training {
            name: &label,
            train: data,
            val: None,
            loss: *loss,
            config,
            seed: self.seed,
            checkpoint: Some(&checkpoint),
        };
        let records = training::train(net, &training, &mut |_| ())?;
        Ok(records.iter().map(EpochPoint::from).collect())
    }

    fn score(&self, net: &(impl Module + Sync)) -> anyhow::Result<Score> {
        Ok(evaluate(net, &self.test, &LOSS)?.into())
    }

    fn float(&self) -> anyhow::Result<Trained> {
        self.cell("float", || {
            let mut net = self.blank_net()?;
            let epochs = self.learn("float", &mut net, &LOSS, &self.settings.train, &self.train)?;
            io::save_params(&net, &self.file("float", "npz"))?;
            Ok(Trained { score: self.score(&net)?, epochs })
        })
    }

    fn float_net(&self) -> anyhow::Result<Sequential> {
        let mut net = self.blank_net()?;
        io::load_params(&mut net, &self.file("float", "npz")).context("the float network of this trial")?;
        Ok(net)
    }

    fn twin(&self, net: &Sequential) -> anyhow::Result<Trained> {
        self.cell("twin", || {
            let mut net = net.clone();
            let epochs = self.learn("twin", &mut net, &LOSS, &self.settings.qat, &self.train)?;
            Ok(Trained { score: self.score(&net)?, epochs })
        })
    }

    fn four_state(&self) -> anyhow::Result<Trained> {
        let (config, train) = (self.settings.four_state_net(), &self.settings.four_state);
        let cells = self.dir.cells(&(&self.settings.data, &config, train))?;
        cells.cell(&self.key("four-state"), || {
            let mut net = model::build(&config, self.frame(), self.seed)?;
            let epochs = self.learn("four-state", &mut net, &LOSS, train, &self.train)?;
            Ok(Trained { score: self.score(&net)?, epochs })
        })
    }

    /// The convolutions with local readouts instead of the trained one.
    fn local(&self) -> anyhow::Result<LocalResult> {
        let (data, config, train) =
            (self.settings.local_data(), self.settings.local_net(), &self.settings.local);
        let cells = self.dir.cells(&(&data, &config, train))?;
        cells.cell(&self.key("local"), || {
            let net = model::build_with(&config, frozen_reset(&config), self.frame(), self.seed)?;
            let mut net = LocalReadouts::new(net, N_CLASSES, self.seed);
            let burn_in = self.settings.data.n_steps / 5;
            let loss = Loss::SmoothL1 { burn_in, n_classes: N_CLASSES };
            self.learn("local", &mut net, &loss, train, &self.unvaried)?;
            Ok(LocalResult { accuracies: self.readout_accuracies(&net)? })
        })
    }

    fn readout_accuracies(&self, net: &LocalReadouts) -> anyhow::Result<Vec<f64>> {
        let mut hits = vec![0.0; net.n_readouts()];
        let mut n = 0.0;
        for batch in self.test.batches(0) {
            let batch = batch.map_err(|error| anyhow!(error))?;
            let mut eager = Eager::<f32>::new();
            let outputs = net.forward(&mut eager, &batch.x, &Pass::inference());
            n += batch.labels.len() as f64;
            for (readout, hits) in hits.iter_mut().enumerate() {
                let predicted = snn_core::loss::predict_readout(&outputs, N_CLASSES, readout);
                *hits += predicted.iter().zip(&batch.labels).filter(|(p, l)| p == l).count() as f64;
            }
        }
        Ok(hits.into_iter().map(|h| h / n).collect())
    }

    fn trace(&self, net: &Sequential, curvature: Curvature) -> anyhow::Result<BTreeMap<String, Trace>> {
        let name = match curvature {
            Curvature::Hessian => "trace.hessian",
            Curvature::GaussNewton => "trace.gauss-newton",
        };
        self.cell(name, || {
            let config = TraceConfig {
                curvature,
                max_probes: self.settings.max_probes,
                rel_std_err: self.settings.rel_std_err,
                seed: self.seed,
                ..TraceConfig::default()
            };
            let data = Take::new(&self.unvaried, self.settings.trace_batches);
            let bar = progress::bar(&format!("{} {name}", self.name), config.max_probes);
            let report = hutchinson(net, &LOSS, &data, &config, &mut |_| {
                bar.inc(1);
                if interrupt::is_requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
            bar.finish_and_clear();
            if interrupt::is_requested() {
                bail!("interrupted; run the same command again to go on");
            }
            let trace = |t: TensorTrace| Trace { mean: t.mean, std_err: t.std_err, n_params: t.n_params };
            Ok(report.tensors.into_iter().map(|(name, t)| (name, trace(t))).collect())
        })
    }

    fn layers(
        &self,
        net: &Sequential,
        hessian: &BTreeMap<String, Trace>,
        gauss_newton: &BTreeMap<String, Trace>,
    ) -> anyhow::Result<Vec<LayerResult>> {
        let widths = &self.settings.layer_widths;
        let by_hessian = omegas(net, hessian, widths)?;
        let by_gauss_newton = omegas(net, gauss_newton, widths)?;
        let mut results = Vec::new();
        for tensor in hessian.keys() {
            for &bits in widths {
                let plan = weights_plan(&BTreeMap::from([(tensor.clone(), bits)]))?;
                let name = format!("layer.{tensor}.{bits}");
                let [ptq, qat] = self.quantize(&name, net, &plan, &self.settings.layer_qat)?;
                let omega = |of: &BTreeMap<String, BTreeMap<u32, f64>>| of[tensor][&bits];
                let (omega, omega_gauss_newton) = (omega(&by_hessian), omega(&by_gauss_newton));
                results.push(LayerResult {
                    tensor: tensor.clone(),
                    bits,
                    omega,
                    omega_gauss_newton,
                    ptq,
                    qat,
                });
            }
        }
        Ok(results)
    }

    /// The paper's plan, and one allocated for each mean width.
    fn plans(
        &self,
        net: &Sequential,
        hessian: &BTreeMap<String, Trace>,
        mean_bits: &[u32],
    ) -> anyhow::Result<Vec<PlanResult>> {
        let paper: BTreeMap<String, u32> = hessian.keys().cloned().zip(PAPER_BITS).collect();
        let mut plans = vec![(PAPER_PLAN.to_owned(), paper, None)];
        let table = sensitivity(
            &traces(hessian),
            &errors(net, &self.settings.widths)?,
            NegativeCurvature::ClampToZero,
        )?;
        for &mean in mean_bits {
            let budget = Budget::MeanBits(f64::from(mean));
            let bits = allocate(&table, budget, &Constraints::default())?.bits;
            plans.push((format!("mean-{mean}"), bits, Some(self.settings.state_bits)));
        }
        plans.into_iter().map(|(name, bits, state_bits)| self.plan(net, name, bits, state_bits)).collect()
    }

    fn plan(
        &self,
        net: &Sequential,
        name: String,
        bits: BTreeMap<String, u32>,
        state_bits: Option<u32>,
    ) -> anyhow::Result<PlanResult> {
        let mut plan = weights_plan(&bits)?;
        let feeds = model::feeding_weights(net);
        let template = calibrated_state(BitWidth::MAX);
        plan = plan.with_states_at_layer_bits(&feeds, &template);
        if let Some(bits) = state_bits {
            let width = BitWidth::new(bits)?;
            plan.states = plan.states.into_iter().map(|(name, spec)| (name, spec.at(width))).collect();
        }
        let [ptq, qat] = self.quantize(&format!("plan.{name}"), net, &plan, &self.settings.qat)?;
        let size = plan_size(&plan, &trained_shapes(net))?;
        let mean_bits = size.mean_bits().unwrap_or(32.0);
        let (bytes, float_bytes) = (size.bytes(), size.float_bytes());
        Ok(PlanResult { name, bits, state_bits, bytes, float_bytes, mean_bits, ptq, qat })
    }

    /// Post-training quantization with scales of least squared error, then training with learned scales.
    fn quantize(
        &self,
        name: &str,
        net: &Sequential,
        plan: &QuantPlan,
        config: &TrainConfig,
    ) -> anyhow::Result<[Score; 2]> {
        let neurons = model::neuron_names(net);
        let ptq = self.cell(&format!("{name}.ptq"), || {
            let plan = self.calibrated(net, &neurons, plan)?;
            self.score(&Quantized::new(net.clone(), &neurons, plan)?.baked())
        })?;
        let qat = self.cell(&format!("{name}.qat"), || {
            let learned = with_scale(plan, ScaleRule::Learned);
            let plan = self.calibrated(net, &neurons, &learned)?;
            let mut quantized = Quantized::new(net.clone(), &neurons, plan)?;
            self.learn(name, &mut quantized, &LOSS, config, &self.train)?;
            io::save_params(&quantized, &self.file(name, "npz"))?;
            quantized.plan().write(&self.file(name, "plan.toml"))?;
            self.score(&quantized.baked())
        })?;
        Ok([ptq, qat])
    }

    fn calibrated(
        &self,
        net: &Sequential,
        neurons: &BTreeSet<String>,
        plan: &QuantPlan,
    ) -> anyhow::Result<QuantPlan> {
        let batches: Result<Vec<_>, _> = self.unvaried.batches(0).take(CALIBRATION_BATCHES).collect();
        let inputs = batches.map_err(|error| anyhow!(error))?.into_iter().map(|batch| batch.x);
        Ok(calibrate(net, neurons, plan, inputs)?)
    }
}

/// The neuron of a configuration, with the gradient rule of local learning.
fn frozen_reset(config: &NetConfig) -> NeuronKind {
    match model::neuron(config) {
        NeuronKind::Lif(mut lif) => {
            lif.firing.reset_grad = ResetGrad::FrozenTerm;
            lif.into()
        }
        other => other,
    }
}

/// Per-channel scales of least squared error.
fn weight_spec(bits: BitWidth) -> UniformSpec {
    UniformSpec {
        scale: ScaleRule::MseSearch,
        granularity: Granularity::PerChannel,
        ..UniformSpec::new(bits)
    }
}

fn weights_plan(bits: &BTreeMap<String, u32>) -> anyhow::Result<QuantPlan> {
    Ok(QuantPlan::from_bits_with(bits, &QuantSpec::Uniform(weight_spec(BitWidth::MIN)))?)
}

fn with_scale(plan: &QuantPlan, scale: ScaleRule) -> QuantPlan {
    let spec = |spec: &QuantSpec| match spec {
        QuantSpec::Uniform(uniform) => QuantSpec::Uniform(UniformSpec { scale, ..*uniform }),
        other => other.clone(),
    };
    let weights = plan.weights.iter().map(|(name, of)| (name.clone(), spec(of))).collect();
    QuantPlan { weights, ..plan.clone() }
}

/// A membrane in fixed point whose range is found from what it does.
fn calibrated_state(bits: BitWidth) -> StateSpec {
    let int_bits = IntBits::Calibrated(Calibrate { calibrate: ScaleRule::Percentile(99.9) });
    let fixed = FixedPointSpec { int_bits, ..FixedPointSpec::new(bits) };
    StateQuantizer::FixedPoint(fixed).into()
}

fn traces(of: &BTreeMap<String, Trace>) -> BTreeMap<String, TensorTrace> {
    let trace = |t: &Trace| TensorTrace { mean: t.mean, std_err: t.std_err, n_params: t.n_params };
    of.iter().map(|(name, t)| (name.clone(), trace(t))).collect()
}

/// Squared quantization errors of each weight tensor.
fn errors(net: &Sequential, widths: &[u32]) -> anyhow::Result<BTreeMap<String, BTreeMap<u32, f64>>> {
    let widths: Vec<BitWidth> = widths.iter().map(|&b| BitWidth::new(b)).collect::<Result<_, _>>()?;
    let mut params = Vec::new();
    net.visit_params(&mut |p| params.extend(p.is_weight().then(|| p.clone())));
    let tensors = params
        .iter()
        .map(|p| (p.name.as_str(), Weights { values: p.value.as_slice(), shape: p.value.shape() }));
    Ok(error_table(tensors, &widths, &weight_spec(BitWidth::MIN))?.into_rows())
}

/// Average trace times squared error, with its sign.
fn omegas(
    net: &Sequential,
    traces: &BTreeMap<String, Trace>,
    widths: &[u32],
) -> anyhow::Result<BTreeMap<String, BTreeMap<u32, f64>>> {
    let scaled = |(name, row): (String, BTreeMap<u32, f64>)| {
        let average = traces.get(&name).map_or(0.0, |t| t.mean / t.n_params as f64);
        (name, row.into_iter().map(|(bits, error)| (bits, average * error)).collect())
    };
    Ok(errors(net, widths)?.into_iter().map(scaled).collect())
}

/// Names and shapes of all trained parameters.
fn trained_shapes(net: &Sequential) -> BTreeMap<String, Vec<usize>> {
    let mut shapes = BTreeMap::new();
    net.visit_params(&mut |p| {
        if p.is_trained() {
            shapes.insert(p.name.clone(), p.value.shape().to_vec());
        }
    });
    shapes
}
