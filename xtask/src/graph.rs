//! The crate graph, drawn as a table, and the rules that every manifest follows.
//!
//! A new edge is a decision: it changes this table and ARCHITECTURE.md in the same commit.

use std::collections::BTreeSet;

use anyhow::{Context, bail};

use crate::workspace::{self, Member};

/// Each member with the members that it may depend on. All arrows point down.
const EDGES: [(&str, &[&str]); 10] = [
    (
        "snn-bench",
        &["snn-data", "snn-hessian", "snn-autodiff", "snn-quant", "snn-nir", "snn-core", "snn-int"],
    ),
    ("snn-hessian", &["snn-autodiff", "snn-core"]),
    ("snn-autodiff", &["snn-core"]),
    ("snn-quant", &["snn-core", "snn-int"]),
    ("snn-nir", &["snn-core"]),
    ("snn-data", &[]),
    ("snn-core", &[]),
    ("snn-int", &[]),
    ("snn-testkit", &[]),
    ("xtask", &[]),
];

/// Further edges that tests and examples may have.
const DEV_EDGES: [(&str, &[&str]); 1] = [("snn-hessian", &["snn-quant"])];

/// What any member's tests may use.
const DEV_EVERYWHERE: &str = "snn-testkit";

/// Members that are no part of what is released.
const UNPUBLISHED: [&str; 2] = ["snn-testkit", "xtask"];

/// What only the program may depend on: libraries stay light.
const PROGRAM_ONLY: [&str; 6] = ["clap", "comfy-table", "ctrlc", "indicatif", "minijinja", "plotters"];

/// Members that are programs.
const PROGRAMS: [&str; 2] = ["snn-bench", "xtask"];

/// Compares the workspace with the tables above; the error lists all that differs.
pub(crate) fn check_deps() -> anyhow::Result<()> {
    let members = workspace::members()?;
    let mut faults = faults_of_graph(&members);
    for member in &members {
        faults.extend(faults_of_manifest(member)?);
    }
    if faults.is_empty() {
        println!("{} crates, and no edge that is not drawn", members.len());
        return Ok(());
    }
    bail!("the crate graph is not as drawn in xtask/src/graph.rs:\n  {}", faults.join("\n  "))
}

fn faults_of_graph(members: &[Member]) -> Vec<String> {
    let names: BTreeSet<&str> = members.iter().map(|member| member.name.as_str()).collect();
    let drawn: BTreeSet<&str> = EDGES.iter().map(|&(name, _)| name).collect();
    let undrawn = names.difference(&drawn).map(|name| format!("{name} is not drawn"));
    let gone = drawn.difference(&names).map(|name| format!("{name} is drawn and is no member"));
    let edges = members.iter().flat_map(|member| faults_of_edges(member, &names));
    undrawn.chain(gone).chain(edges).collect()
}

fn faults_of_edges(member: &Member, members: &BTreeSet<&str>) -> Vec<String> {
    let name = member.name.as_str();
    let mut faults = Vec::new();
    for dependency in &member.dependencies {
        let (to, is_dev) = (dependency.name.as_str(), dependency.kind.as_deref() == Some("dev"));
        if members.contains(to) && !is_allowed(name, to, is_dev) {
            let arrow = if is_dev { "has the dev-dependency" } else { "depends on" };
            faults.push(format!("{name} {arrow} {to}"));
        }
        if PROGRAM_ONLY.contains(&to) && !is_dev && !PROGRAMS.contains(&name) {
            faults.push(format!("{name} depends on {to}, which only programs may"));
        }
    }
    faults
}

fn is_allowed(from: &str, to: &str, is_dev: bool) -> bool {
    let drawn =
        |table: &[(&str, &[&str])]| table.iter().any(|(name, tos)| *name == from && tos.contains(&to));
    drawn(&EDGES) || (is_dev && (to == DEV_EVERYWHERE || drawn(&DEV_EDGES)))
}

/// Lints are not inherited by themselves, and helpers are not to be published by accident.
fn faults_of_manifest(member: &Member) -> anyhow::Result<Vec<String>> {
    let path = member.manifest_path.display();
    let text =
        std::fs::read_to_string(&member.manifest_path).with_context(|| format!("cannot read {path}"))?;
    let manifest: toml::Table = text.parse().with_context(|| format!("{path} is no TOML"))?;
    let lints = manifest.get("lints").and_then(|lints| lints.get("workspace"));
    let mut faults = Vec::new();
    if lints != Some(&toml::Value::Boolean(true)) {
        faults.push(format!("{} lacks `[lints] workspace = true`", member.name));
    }
    if member.is_published() == UNPUBLISHED.contains(&member.name.as_str()) {
        let rule = if member.is_published() { "must have" } else { "must not have" };
        faults.push(format!("{} {rule} `publish = false`", member.name));
    }
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn member(name: &str, dependencies: &[(&str, Option<&str>)]) -> Member {
        let dependencies: Vec<_> =
            dependencies.iter().map(|(name, kind)| json!({"name": name, "kind": kind})).collect();
        let member = json!({
            "name": name, "manifest_path": "Cargo.toml", "dependencies": dependencies, "publish": null,
        });
        serde_json::from_value(member).unwrap()
    }

    #[test]
    fn the_workspace_is_as_drawn() {
        check_deps().unwrap();
    }

    #[test]
    fn the_drawn_graph_has_no_cycle() {
        for (idx, (name, tos)) in EDGES.iter().enumerate() {
            let below: Vec<_> = EDGES[idx + 1..].iter().map(|(name, _)| name).collect();
            assert!(tos.iter().all(|to| below.contains(&to)), "{name} has an arrow that points up");
        }
    }

    #[test]
    fn an_edge_that_is_not_drawn_is_found() {
        let names = BTreeSet::from(["snn-core", "snn-autodiff", "snn-quant", "snn-testkit"]);
        let faults = |member: &Member| faults_of_edges(member, &names);
        assert_eq!(
            faults(&member("snn-core", &[("snn-autodiff", None)])),
            ["snn-core depends on snn-autodiff"]
        );
        assert_eq!(
            faults(&member("snn-autodiff", &[("snn-quant", Some("dev"))])),
            ["snn-autodiff has the dev-dependency snn-quant"]
        );
        assert_eq!(faults(&member("snn-core", &[("snn-testkit", None)])).len(), 1);
        assert_eq!(faults(&member("snn-core", &[("clap", None)])).len(), 1);
    }

    #[test]
    fn drawn_edges_pass() {
        let names = BTreeSet::from(["snn-core", "snn-hessian", "snn-quant", "snn-testkit"]);
        let core = member("snn-core", &[("snn-testkit", Some("dev")), ("ndarray", None)]);
        let hessian = member("snn-hessian", &[("snn-core", None), ("snn-quant", Some("dev"))]);
        assert!(faults_of_edges(&core, &names).is_empty());
        assert!(faults_of_edges(&hessian, &names).is_empty());
    }

    #[test]
    fn unknown_and_missing_members_are_found() {
        let faults = faults_of_graph(&[member("snn-new", &[])]);
        assert!(faults.contains(&"snn-new is not drawn".to_owned()));
        assert!(faults.contains(&"snn-core is drawn and is no member".to_owned()));
    }
}
