//! `export`: an exact run as an integer model, as C, or as arrays.

use super::exact;
use super::loaded::Loaded;
use super::network::Network;
use super::output::Output;
use anyhow::Context;
use clap::ValueEnum;
use serde_json::json;
use snn_bench::data::Samples;
use snn_bench::integer::{Meta, c_sources};
use snn_bench::nir;
use snn_bench::table::bytes;
use snn_core::io::{self, Array, Arrays, Data};
use snn_int::model::n_weights;
use snn_int::spec::{ModelSpec, SynapseSpec};
use snn_int::{Model, Sizes};
use snn_nir::{SoftReset, WeightFormat};
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Run directory of an exact network, or an integer model (`.snni`).
    run: PathBuf,
    /// What to write.
    #[arg(long, value_name = "FORMAT", default_value = "snni")]
    format: Format,
    /// File, or for C the folder, to write.
    #[arg(short, long, value_name = "PATH")]
    out: PathBuf,
    /// For NIR, which knows hard resets only: write soft ones all the same, kept in metadata. Other programs will reset to zero.
    #[arg(long)]
    soft_reset_as_hard: bool,
    /// For C, which of the run's test recordings the check is made of.
    #[arg(long, value_name = "N", default_value_t = 0)]
    recording: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The integer model of snn-int, one checked file.
    Snni,
    /// C99: a header, a source, a check with a recorded input, a Makefile.
    C,
    /// Codes, thresholds and biases as arrays, for everyone else.
    Npz,
    /// A NIR graph for other programs, of any run: float, quantized or exact (then as its float network).
    Nir,
}

pub(super) fn run(args: &Args, output: Output) -> anyhow::Result<()> {
    if args.format == Format::Nir {
        return export_nir(args, output);
    }
    let is_model = args.run.extension().is_some_and(|ending| ending == "snni");
    let loaded = if is_model { None } else { Some(Loaded::open(&args.run)?) };
    let spec = loaded.as_ref().map(|loaded| exact::model(loaded, &args.run)).transpose()?;
    let file = match &spec {
        Some(spec) => spec.to_bytes()?,
        None => std::fs::read(&args.run).with_context(|| args.run.display().to_string())?,
    };
    let model = Model::from_bytes(&file).with_context(|| args.run.display().to_string())?;
    match (args.format, &spec) {
        (Format::Snni, _) => exact::write(&args.out, &file)?,
        (Format::C, _) => write_c(args, &model, loaded.as_ref())?,
        (Format::Npz, Some(spec)) => io::write(&args.out, &arrays(spec, loaded.as_ref())?)?,
        (Format::Npz, None) => {
            anyhow::bail!("arrays are written from a run, {} is a model", args.run.display())
        }
        (Format::Nir, _) => {}
    }
    print(args, &model, file.len(), output)
}

fn export_nir(args: &Args, output: Output) -> anyhow::Result<()> {
    let loaded = Loaded::open(&args.run)?;
    let soft_reset = if args.soft_reset_as_hard { SoftReset::WriteAsHard } else { SoftReset::Refuse };
    let exported = match &loaded.net {
        Network::Float(net) => nir::export(net, soft_reset)?,
        Network::Exact(net) => nir::export(net.net(), soft_reset)?,
        Network::Quantized(net) => nir::export_quantized(net, WeightFormat::Levels, soft_reset)?,
    };
    snn_nir::write(&args.out, &exported.graph)?;
    let notes: Vec<String> = exported.notes.iter().map(ToString::to_string).collect();
    let object = json!({ "out": args.out, "nodes": exported.graph.nodes.len(), "notes": notes });
    let listed: String = notes.iter().map(|note| format!("\nnote: {note}")).collect();
    let text = format!("{}: a graph of {} nodes{listed}", args.out.display(), exported.graph.nodes.len());
    output.print(text, &object)
}

/// Two random frames where there is no run, else a recording of it.
fn write_c(args: &Args, model: &Model<'_>, loaded: Option<&Loaded>) -> anyhow::Result<()> {
    let n = model.input().n();
    let inputs: Vec<Vec<u8>> = match loaded {
        None => (0..12).map(|t| (0..n).map(|i| u8::from((7 * i + 13 * t) % 23 == 0)).collect()).collect(),
        Some(loaded) => {
            let test = loaded.splits()?.test;
            anyhow::ensure!(
                args.recording < test.len(),
                "--recording is {}, there are {}",
                args.recording,
                test.len()
            );
            let Samples::Events(recordings) = &test else {
                anyhow::bail!("the check is made of a recording, but the run learned from images");
            };
            let (binning, events) = (Meta::of(model)?.binning, recordings.events(args.recording)?);
            let bins = binning.bins(&events, recordings.sensor(), model.input())?;
            bins.steps().map(<[u8]>::to_vec).collect()
        }
    };
    let name = args.out.file_name().map_or_else(|| "net".into(), |name| name.to_string_lossy().into_owned());
    std::fs::create_dir_all(&args.out).with_context(|| args.out.display().to_string())?;
    for (file, text) in c_sources(model, &name, inputs.iter().map(Vec::as_slice)).files {
        exact::write(&args.out.join(file), text.as_bytes())?;
    }
    Ok(())
}

/// For each layer codes, thresholds and biases in integers, and the scale that one unit stands for.
fn arrays(spec: &ModelSpec, loaded: Option<&Loaded>) -> anyhow::Result<Arrays> {
    let mut arrays = Arrays::new();
    let units = match loaded {
        Some(loaded) => exact::network(loaded, Path::new(""))?.units()?,
        None => Vec::new(),
    };
    for (number, layer) in spec.layers.iter().enumerate() {
        let name = |what: &str| format!("{}.{what}", layer.name);
        let mut put = |what: &str, shape: &[usize], data: Data| -> anyhow::Result<()> {
            arrays.insert(name(what), Array::new(shape, data)?);
            Ok(())
        };
        match &layer.synapses {
            SynapseSpec::Dense { n_out, weights } => {
                let n = *n_out as usize;
                put("weight.codes", &[weights.values.len() / n, n], Data::I16(weights.values.clone()))?;
                put("weight.bits", &[1], Data::I32(vec![weights.bits.into()]))?;
            }
            SynapseSpec::Conv { conv, weights } => {
                let [kh, kw] = conv.kernel.map(|side| side as usize);
                let c = conv.channels as usize;
                let shape = [c, weights.values.len() / (c * kh * kw), kh, kw];
                put("weight.codes", &shape, Data::I16(weights.values.clone()))?;
                put("weight.bits", &[1], Data::I32(vec![weights.bits.into()]))?;
            }
            SynapseSpec::Sum { weight, .. } => put("weight.codes", &[1], Data::I32(vec![*weight]))?,
        }
        if let Some(codes) = &layer.recurrent {
            let n = codes.values.len().isqrt();
            put("recurrent.codes", &[n, n], Data::I16(codes.values.clone()))?;
            put("recurrent.bits", &[1], Data::I32(vec![codes.bits.into()]))?;
        }
        put("zero_point", &[1], Data::I32(vec![0]))?;
        put("thresholds", &[layer.thresholds.len()], Data::I32(layer.thresholds.clone()))?;
        put("biases", &[layer.biases.len()], Data::I32(layer.biases.clone()))?;
        put("input_factor", &[1], Data::I32(vec![layer.neuron.input.mul]))?;
        if let Some(scales) = units.get(number) {
            put("unit", &[scales.len()], Data::F32(scales.clone()))?;
        }
    }
    Ok(arrays)
}

fn print(args: &Args, model: &Model<'_>, file_bytes: usize, output: Output) -> anyhow::Result<()> {
    let memory = Sizes::of(model);
    let object = json!({
        "out": args.out, "layers": model.n_layers(), "weights": n_weights(model), "model_bytes": file_bytes,
        "state_bytes": memory.states, "memory_bytes": memory.bytes(),
    });
    let text = format!(
        "{}: {} layers, {} weights; the model takes {}, running it {} of memory",
        args.out.display(),
        model.n_layers(),
        n_weights(model),
        bytes(file_bytes as u64),
        bytes(memory.bytes() as u64)
    );
    output.print(text, &object)
}
