//! `train --profile`: where the time of a training step goes.

use super::output::Output;
use anyhow::{Context, ensure};
use serde_json::{Value, json};
use snn_autodiff::fit::fitting_micro_batch;
use snn_autodiff::profile::{OpProfile, Phase, profile};
use snn_autodiff::{Batch, BatchSource};
use snn_bench::config::Config;
use snn_bench::data::{self, Frames};
use snn_bench::model::neuron_names;
use snn_bench::table::{Column, Table, bytes, thousands};
use snn_bench::training;
use snn_core::Module;
use snn_core::layer::Sequential;
use snn_core::loss::Loss;
use snn_quant::{QuantPlan, Quantized, calibrate};
use std::path::Path;
use std::time::Duration;

/// Rounds after the first, of which the least time of each phase counts.
const ROUNDS: usize = 3;

/// Prints time, products and memory of each op for the first training batch, on one thread, of the network as it is or as training
/// under a plan reads it.
pub(super) fn run(
    net: &Sequential,
    plan: Option<&Path>,
    config: &Config,
    output: Output,
) -> anyhow::Result<()> {
    let splits = data::open(&config.data, config.seed)?;
    let train = Frames::for_training(&splits.train, &config.data, config.seed)?;
    let batch = train.batches(0).next().context("no recordings to train on")?;
    let batch = batch.map_err(|error| anyhow::anyhow!(error))?;
    match plan {
        None => print(net, &batch, &training::loss_of(net), output),
        Some(path) => print(&under(path, net, &batch)?, &batch, &training::loss_of(net), output),
    }
}

/// The network under the plan in a file, whose membranes are calibrated on the batch.
fn under(path: &Path, net: &Sequential, batch: &Batch) -> anyhow::Result<Quantized<Sequential>> {
    let (plan, neurons) = (QuantPlan::read(path)?, neuron_names(net));
    ensure!(
        plan.exact.is_none(),
        "{}: a profile is of training with quantized weights and membranes, not in integers only; leave out [exact]",
        path.display()
    );
    let named = || path.display().to_string();
    let plan = calibrate(net, &neurons, &plan, [batch.x.clone()]).with_context(named)?;
    Quantized::new(net.clone(), &neurons, plan).with_context(named)
}

fn print(net: &(impl Module + Sync), batch: &Batch, loss: &Loss, output: Output) -> anyhow::Result<()> {
    let micro_batch = fitting_micro_batch(net, batch);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    let profile = || pool.install(|| profile(net, batch, loss, micro_batch));
    let mut ops = profile()?;
    for _ in 0..ROUNDS {
        keep_least(&mut ops, &profile()?);
    }
    let n = batch.labels.len();
    let text = format!(
        "{n} samples, {} steps, micro-batches of {micro_batch}, one thread; least of {ROUNDS} rounds\n{}",
        batch.x.shape()[0],
        table(&ops)
    );
    let object = json!({
        "samples": n,
        "steps": batch.x.shape()[0],
        "micro_batch": micro_batch,
        "ops": ops.iter().map(op_json).collect::<Vec<_>>(),
    });
    output.print(text, &object)
}

fn phases(op: &OpProfile) -> [Phase; 3] {
    [op.forward, op.param_grad, op.input_grad]
}

fn keep_least(ops: &mut [OpProfile], again: &[OpProfile]) {
    for (op, again) in ops.iter_mut().zip(again) {
        let pairs = [&mut op.forward, &mut op.param_grad, &mut op.input_grad].into_iter().zip(phases(again));
        pairs.for_each(|(kept, phase)| kept.time = kept.time.min(phase.time));
    }
}

fn table(ops: &[OpProfile]) -> Table {
    let phase = |name: &str| {
        [Column::number(format!("{name}, ms")), Column::number("products"), Column::number("of dense")]
    };
    let columns = [Column::text("layer"), Column::text("op")].into_iter();
    let columns =
        columns.chain(["forward", "weights' gradient", "inputs' gradient"].into_iter().flat_map(phase));
    let mut table = Table::new(columns.chain([Column::number("memory")]));
    for op in ops {
        let cells = phases(op).into_iter().flat_map(phase_cells);
        let memory = bytes(op.bytes as u64);
        table.row([op.layer.clone(), op.op.to_owned()].into_iter().chain(cells).chain([memory]));
    }
    let sum = |i: usize| ops.iter().map(|op| phases(op)[i].time).sum::<Duration>();
    let sums = (0..3).flat_map(|i| [millis(sum(i)), String::new(), String::new()]);
    let memory = bytes(ops.iter().map(|op| op.bytes as u64).sum());
    table.row(["total".to_owned(), String::new()].into_iter().chain(sums).chain([memory]));
    table
}

fn phase_cells(phase: Phase) -> [String; 3] {
    if phase.time.is_zero() {
        return [const { String::new() }; 3];
    }
    let (done, dense) = (phase.products.effective, phase.products.dense);
    if dense == 0 {
        return [millis(phase.time), String::new(), String::new()];
    }
    #[allow(clippy::cast_precision_loss, reason = "a share")]
    let share = 100.0 * done as f64 / dense as f64;
    [millis(phase.time), thousands(done), format!("{share:.1} %")]
}

fn millis(time: Duration) -> String {
    format!("{:.3}", 1e3 * time.as_secs_f64())
}

fn op_json(op: &OpProfile) -> Value {
    let phase = |p: Phase| {
        json!({
            "ms": 1e3 * p.time.as_secs_f64(),
            "products": p.products.effective,
            "dense_products": p.products.dense,
        })
    };
    json!({
        "layer": op.layer,
        "op": op.op,
        "forward": phase(op.forward),
        "param_grad": phase(op.param_grad),
        "input_grad": phase(op.input_grad),
        "bytes": op.bytes,
    })
}
