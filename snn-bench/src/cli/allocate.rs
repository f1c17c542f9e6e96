//! `allocate`: bits of each weight tensor within a budget, from traces and quantization errors.

use super::loaded::Loaded;
use super::network::Network;
use super::output::Output;
use super::plans;
use super::scales::ScaleArgs;
use super::trace_file::{self, Kind, Measurement};
use anyhow::{Context, ensure};
use clap::ValueEnum;
use serde_json::json;
use snn_bench::model::feeding_weights;
use snn_bench::table::bytes;
use snn_core::{Module, Tensor};
use snn_hessian::{
    Allocation, Budget, Constraints, NegativeCurvature, SensitivityTable, allocate, allocate_greedy,
    sensitivity,
};
use snn_quant::uniform::ScaleRule;
use snn_quant::{
    BitWidth, Calibrate, FixedPointSpec, IntBits, QuantPlan, StateQuantizer, StateSpec, Weights, error_table,
};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Run directory with traces.
    run: PathBuf,
    #[command(flatten)]
    budget: BudgetArgs,
    /// Widths to choose from.
    #[arg(long, value_name = "BITS,..", value_delimiter = ',', default_value = "1,2,3,4,8", value_parser = bits())]
    widths: Vec<u32>,
    /// Give a tensor its width, such as `conv1.weight=8`; may be repeated.
    #[arg(long, value_name = "TENSOR=BITS", value_parser = parse_fixed)]
    fixed: Vec<(String, u32)>,
    /// Give these tensors one width; may be repeated.
    #[arg(long, value_name = "TENSOR,TENSOR")]
    tie: Vec<String>,
    /// Allocate by marginal gains instead of exactly.
    #[arg(long)]
    greedy: bool,
    /// What to do with a negative trace.
    #[arg(long, value_name = "HOW", default_value = "refuse")]
    negative: Negative,
    /// Which traces to use; the Hessian's if there are both.
    #[arg(long, value_name = "KIND")]
    curvature: Option<Kind>,
    #[command(flatten)]
    scales: ScaleArgs,
    /// Quantize membranes too, at the bits of the weights that feed them.
    #[arg(long)]
    membranes: bool,
    /// File to write the plan to.
    #[arg(short, long, value_name = "FILE", default_value = "plan.toml")]
    out: PathBuf,
    /// Replace the file if it is there.
    #[arg(long)]
    force: bool,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct BudgetArgs {
    /// Mean bits per weight.
    #[arg(long, value_name = "BITS")]
    mean_bits: Option<f64>,
    /// Bytes of the whole network: codes, scales, and what stays in float.
    #[arg(long, value_name = "N")]
    bytes: Option<u64>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Negative {
    /// Take 0.
    Clamp,
    /// Take the absolute value.
    Absolute,
    /// Stop with an error.
    Refuse,
}

impl From<Negative> for NegativeCurvature {
    fn from(negative: Negative) -> Self {
        match negative {
            Negative::Clamp => Self::ClampToZero,
            Negative::Absolute => Self::Absolute,
            Negative::Refuse => Self::Refuse,
        }
    }
}

fn bits() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=16)
}

fn parse_fixed(text: &str) -> Result<(String, u32), String> {
    let (name, bits) = text.split_once('=').ok_or("expected TENSOR=BITS")?;
    match bits.parse() {
        Ok(bits @ 1..=16) => Ok((name.to_owned(), bits)),
        _ => Err(format!("bits of {name} are `{bits}`, but must be 1 to 16")),
    }
}

pub(super) fn run(args: &Args, output: Output) -> anyhow::Result<()> {
    let out = args.out.display();
    ensure!(args.force || !args.out.exists(), "{out} exists already; give another -o, or --force");
    let loaded = Loaded::open(&args.run)?;
    let measurement = trace_file::pick(&loaded.dir, args.curvature)?;
    let table = sensitivities(args, &loaded.net, &measurement)?;
    let budget = budget(args, &loaded.net)?;
    let solve = if args.greedy { allocate_greedy } else { allocate };
    let allocation = solve(&table, budget, &constraints(args))?;
    let plan = plan(args, &loaded.net, &allocation)?;
    plan.write(&args.out)?;
    let size = plans::size(&loaded.net, &plan)?;
    let text = format!(
        "curvature = {} · samples {} · probes {}\n{size}\n{} instead of {}: {:.1} % saved\nplan: {out}",
        measurement.convention,
        measurement.n_samples,
        measurement.n_probes,
        bytes(size.bytes()),
        bytes(size.float_bytes()),
        100.0 * size.saved(),
    );
    let object = json!({
        "plan": args.out,
        "bits": allocation.bits,
        "mean_bits": allocation.mean_bits,
        "omega": allocation.omega,
        "bytes": size.bytes(),
        "float_bytes": size.float_bytes(),
    });
    output.print(text, &object)
}

/// The sensitivity of each weight tensor at the widths asked for and at those that are fixed.
fn sensitivities(args: &Args, net: &Network, measurement: &Measurement) -> anyhow::Result<SensitivityTable> {
    let weights = weights(net);
    let known: Vec<&str> = weights.keys().map(String::as_str).collect();
    let traced = &measurement.tensors;
    if let Some(name) = traced.keys().find(|name| !weights.contains_key(*name)) {
        anyhow::bail!("trace.json: the network has no tensor {name}; it has: {}", known.join(", "));
    }
    let widths: BTreeSet<u32> = args.widths.iter().copied().chain(args.fixed.iter().map(|f| f.1)).collect();
    let widths = widths.into_iter().map(BitWidth::new).collect::<Result<Vec<_>, _>>()?;
    let tensors = weights
        .iter()
        .map(|(name, value)| (name.as_str(), Weights { values: value.as_slice(), shape: value.shape() }));
    let errors = error_table(tensors, &widths, &args.scales.measured())?;
    let traces = traced.iter().map(|(name, &trace)| (name.clone(), trace.into())).collect();
    Ok(sensitivity(&traces, errors.rows(), args.negative.into())?)
}

fn weights(net: &Network) -> BTreeMap<String, Tensor<f32>> {
    let mut weights = BTreeMap::new();
    net.float().visit_params(&mut |p| {
        if p.is_weight() {
            weights.insert(p.name.clone(), p.value.clone());
        }
    });
    weights
}

/// The budget in codes alone: of the bytes asked for, scales and what stays in float are taken off.
fn budget(args: &Args, net: &Network) -> anyhow::Result<Budget> {
    if let Some(mean) = args.budget.mean_bits {
        ensure!(mean > 0.0 && mean.is_finite(), "--mean-bits is {mean}, but must be above 0");
        return Ok(Budget::MeanBits(mean));
    }
    let bytes = args.budget.bytes.unwrap_or_default();
    let weights = weights(net);
    let entry = args.scales.entry();
    let size = plans::size(net, &QuantPlan::same_for_all(weights.keys().map(String::as_str), &entry))?;
    let codes: u64 = weights.keys().filter_map(|name| Some(size.tensors.get(name)?.value_bytes)).sum();
    let others = size.bytes() - codes;
    let left = bytes.checked_sub(others);
    let left =
        left.with_context(|| format!("--bytes is {bytes}, but scales and biases alone take {others}"))?;
    Ok(Budget::Bytes(left))
}

fn constraints(args: &Args) -> Constraints {
    let group = |text: &String| text.split(',').map(|name| name.trim().to_owned()).collect();
    Constraints {
        widths: Some(args.widths.iter().copied().collect()),
        fixed: args.fixed.iter().cloned().collect(),
        tied: args.tie.iter().map(group).collect(),
    }
}

fn plan(args: &Args, net: &Network, allocation: &Allocation) -> anyhow::Result<QuantPlan> {
    let plan = QuantPlan::from_bits_with(&allocation.bits, &args.scales.entry())?;
    if !args.membranes {
        return Ok(plan);
    }
    let int_bits = IntBits::Calibrated(Calibrate { calibrate: ScaleRule::AbsMax });
    let fixed = FixedPointSpec { int_bits, ..FixedPointSpec::new(BitWidth::MIN) };
    let template = StateSpec::from(StateQuantizer::FixedPoint(fixed));
    Ok(plan.with_states_at_layer_bits(&feeding_weights(net.float()), &template))
}
