//! `report`: the page of a run, from what the run holds.

use super::data::SIMULATED;
use super::loaded::Loaded;
use super::network::Network;
use super::output::Output;
use super::plans;
use super::trace_file::{self, Kind, Measurement, Trace, TraceFile};
use anyhow::Context;
use serde_json::json;
use snn_autodiff::{BatchSource, Evaluation};
use snn_bench::activity;
use snn_bench::config::{DataConfig, ImageCoding};
use snn_bench::data::{Frames, Splits};
use snn_bench::estimate::Estimate;
use snn_bench::interrupt;
use snn_bench::report::{
    self, DataSource, EpochPoint, ErrorKind, FiringRates, Header, LayerTrace, Membrane, Raster, RateSeries,
    ReportData, Sampling, TableData, Traces, Training, TrainingRun,
};
use snn_bench::table::{Column, bytes, percent, thousands};
use snn_bench::training::EpochRecord;
use snn_core::layer::Sequential;
use snn_core::metrics::SpikeCount;
use snn_quant::{PlanError, QuantPlan};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Run directory.
    run: PathBuf,
    /// Folder to write the page to; the run directory by default.
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// What the sections are made of.
struct Facts {
    loaded: Loaded,
    splits: Splits,
    evaluation: Evaluation,
    traces: TraceFile,
}

pub(super) fn run(args: &Args, output: Output) -> anyhow::Result<()> {
    let loaded = Loaded::open(&args.run)?;
    let traces = trace_file::read(&loaded.dir)?;
    interrupt::listen()?;
    let splits = loaded.splits()?;
    let evaluation = loaded.net.evaluate(&Frames::in_order(&splits.test, &loaded.config.data)?)?;
    let facts = Facts { loaded, splits, evaluation, traces };
    let page = report::write(&facts.page()?, args.out.as_deref().unwrap_or(&args.run))?;
    output.print(format!("report: {}", page.display()), &json!({ "report": page }))
}

impl Facts {
    fn page(&self) -> anyhow::Result<ReportData> {
        let (raster, membrane) = self.activity()?.unzip();
        Ok(ReportData {
            header: self.header()?,
            training: self.training()?,
            trace: self.traces(),
            firing_rates: Some(self.firing_rates()),
            tables: vec![self.size_table()?],
            rasters: raster.into_iter().collect(),
            membranes: membrane.into_iter().collect(),
            ..ReportData::default()
        })
    }

    fn header(&self) -> anyhow::Result<Header> {
        let Loaded { dir, config, net } = &self.loaded;
        let kind = if net.plan().is_some() { "quantized" } else { "in full precision" };
        let accuracy = percent(Estimate::single(self.evaluation.accuracy));
        let n = self.evaluation.n;
        Ok(Header {
            title: format!("Spiking network {}", config.net.layers),
            summary: format!("The network, {kind}, is right on {accuracy} of {n} test recordings."),
            command: format!("snn-bench report {}", dir.path().display()),
            seeds: vec![config.seed],
            dataset: dataset_name(&config.data),
            source: Some(source(&config.data)),
            environment: dir.environments()?.pop(),
            ..Header::default()
        })
    }

    fn sampling(&self) -> Sampling {
        let seeds = vec![self.loaded.config.seed];
        Sampling { n_samples: self.evaluation.n, seeds, error: ErrorKind::StdErr }
    }

    fn training(&self) -> anyhow::Result<Option<Training>> {
        let records: Vec<EpochRecord> = self.loaded.dir.metrics()?;
        let epochs: Vec<EpochPoint> = records.iter().map(EpochPoint::from).collect();
        let run = TrainingRun { name: "training".to_owned(), seed: self.loaded.config.seed, epochs };
        let (n_train, n_val) = (self.splits.train.len(), self.splits.test.len());
        Ok((!records.is_empty()).then(|| Training { runs: vec![run], n_train, n_val }))
    }

    fn traces(&self) -> Option<Traces> {
        let first = self.traces.values().next()?;
        let bits = self.loaded.net.plan().map(QuantPlan::bits).unwrap_or_default();
        let layer = |(name, trace): (&String, &Trace)| LayerTrace {
            name: name.clone(),
            n_params: usize::try_from(trace.n_params).unwrap_or(usize::MAX),
            hessian: self.estimate(Kind::Hessian, name),
            gauss_newton: self.estimate(Kind::GaussNewton, name),
            bits: bits.get(name).copied(),
        };
        let conventions: Vec<&str> = self.traces.values().map(|m| m.convention.as_str()).collect();
        Some(Traces {
            layers: first.tensors.iter().map(layer).collect(),
            n_probes: first.n_probes,
            sampling: Sampling { n_samples: first.n_samples, ..self.sampling() },
            convention: conventions.join("; "),
        })
    }

    fn estimate(&self, kind: Kind, tensor: &str) -> Option<Estimate> {
        let Measurement { tensors, n_probes, .. } = self.traces.get(&kind)?;
        let Trace { mean, std_err, .. } = *tensors.get(tensor)?;
        Some(Estimate { mean, err: Some(std_err), n: *n_probes })
    }

    fn firing_rates(&self) -> FiringRates {
        let layers: Vec<String> = self.loaded.net.float().neurons().map(|layer| layer.name.clone()).collect();
        let counts = &self.evaluation.activity.spikes;
        let rate = |name: &String| counts.get(name).map_or(0.0, SpikeCount::rate);
        let rates = layers.iter().map(|name| Estimate::single(rate(name))).collect();
        let name = if self.loaded.net.plan().is_some() { "quantized" } else { "float" };
        let series = vec![RateSeries { name: name.to_owned(), rates }];
        FiringRates { layers, series, sampling: self.sampling() }
    }

    /// Raster and membrane of the first test recording.
    fn activity(&self) -> anyhow::Result<Option<(Raster, Membrane)>> {
        let data = &self.loaded.config.data;
        let one = DataConfig { batch_size: 1, ..data.clone() };
        let frames = Frames::in_order(&self.splits.test, &one)?;
        let batch = frames.batches(0).next().context("there is no test recording")?;
        let batch = batch.map_err(|error| anyhow::anyhow!(error))?;
        let step_ms = snn_bench::data::step_ms(data, &self.splits.test);
        let net = self.loaded.net.float();
        Ok(match &self.loaded.net {
            // Membranes of an exact network are integers, and these figures are in units of the threshold.
            Network::Float(_) | Network::Exact(_) => {
                activity::figures(net, None::<(&Sequential, &QuantPlan)>, &batch.x, step_ms)
            }
            Network::Quantized(other) => {
                activity::figures(net, Some((other, &other.settled_plan())), &batch.x, step_ms)
            }
        })
    }

    fn size_table(&self) -> Result<TableData, PlanError> {
        let plan = self.loaded.net.plan().cloned().unwrap_or_default();
        let size = plans::size(&self.loaded.net, &plan)?;
        let row = |(name, tensor): (&String, &snn_quant::TensorSize)| {
            let bits = tensor.bits.map_or("float".to_owned(), |bits| bits.to_string());
            vec![name.clone(), thousands(tensor.n_params), bits, thousands(tensor.bytes())]
        };
        let numbers = ["params", "bits", "bytes"].map(Column::number);
        let caption = format!(
            "All tensors take {} instead of {} in full precision: codes, scales, and what stays in float.",
            bytes(size.bytes()),
            bytes(size.float_bytes()),
        );
        Ok(TableData {
            title: "Plan".to_owned(),
            caption,
            columns: [Column::text("tensor")].into_iter().chain(numbers).collect(),
            rows: size.tensors.iter().map(row).collect(),
        })
    }
}

fn dataset_name(data: &DataConfig) -> String {
    let name = data.path.as_deref().map(|path| path.display().to_string());
    name.unwrap_or_else(|| format!("{} built-in glyphs", data.n_glyphs))
}

/// Recordings are simulated if they are built in, or in a folder that says so.
fn source(data: &DataConfig) -> DataSource {
    match &data.path {
        Some(_) if data.kind.is_some() && data.images.coding == ImageCoding::Simulated => {
            DataSource::Simulated
        }
        Some(folder) if !folder.join(SIMULATED).exists() => DataSource::Recorded,
        _ => DataSource::Simulated,
    }
}
