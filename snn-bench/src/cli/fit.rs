//! `fit`: what of a network does not fit a chip.

use super::Outcome;
use super::exact;
use super::loaded::Loaded;
use super::network::Network;
use super::output::Output;
use anyhow::Context;
use serde_json::json;
use snn_bench::integer::{DefaultBits, Profile, check, complete};
use snn_bench::table::{Column, Table};
use snn_core::layer::fold_batch_norm;
use snn_int::spec::ModelSpec;
use snn_quant::exact::{Exact, lower, take_over};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Run directory. A network that is not exact yet is looked at with the integers of the profile.
    run: PathBuf,
    /// Chip: loihi, xylo2, speck, or a file.
    #[arg(long, value_name = "NAME|FILE")]
    profile: String,
}

pub(super) fn run(args: &Args, output: Output) -> anyhow::Result<Outcome> {
    let profile = Profile::open(&args.profile)?;
    let loaded = Loaded::open(&args.run)?;
    let model = model(&loaded, args, &profile)?;
    let findings = check(&model, &profile);
    let object = json!({
        "profile": profile.name, "status": profile.status, "fits": findings.is_empty(), "findings": findings,
    });
    let head = format!("{} ({})", profile.title, profile.status);
    let text = if findings.is_empty() {
        format!("{head}\nthe network fits")
    } else {
        let mut table = Table::new(["layer", "what", "found", "limit"].map(Column::text));
        for finding in &findings {
            table.row([
                finding.layer.clone(),
                finding.what.to_owned(),
                finding.found.clone(),
                finding.limit.clone(),
            ]);
        }
        format!("{head}\n{table}")
    };
    output.print(text, &object)?;
    Ok(if findings.is_empty() { Outcome::Passed } else { Outcome::CheckFailed })
}

fn model(loaded: &Loaded, args: &Args, profile: &Profile) -> anyhow::Result<ModelSpec> {
    let mut plan = loaded.net.plan().cloned().unwrap_or_default();
    let bits = DefaultBits { weights: 8, membranes: 16 };
    let net = match &loaded.net {
        Network::Exact(_) => return exact::model(loaded, &args.run),
        Network::Float(net) => {
            complete(&mut plan, net, bits, Some(profile))?;
            Exact::new(fold_batch_norm(net)?, plan)
        }
        Network::Quantized(net) => {
            complete(&mut plan, net.net(), bits, Some(profile))?;
            take_over(net, plan).map(|(net, _)| net)
        }
    };
    let net = net.with_context(|| format!("with the integers of {}", profile.name))?;
    Ok(lower(&net, "")?)
}
