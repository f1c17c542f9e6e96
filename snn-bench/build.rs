//! Records, for the environment of a run, what built the program: compiler, target and source revision.

use std::process::Command;

fn main() {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    export("SNN_BENCH_RUSTC", output(Command::new(rustc).arg("--version")));
    export("SNN_BENCH_TARGET", std::env::var("TARGET").ok());
    export("SNN_BENCH_REVISION", revision());
    rerun_when_sources_change();
}

/// The commit the sources were taken from, marked `-dirty` when they differ from it.
fn revision() -> Option<String> {
    output(Command::new("git").args(["describe", "--always", "--dirty", "--exclude=*", "--abbrev=12"]))
}

fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|o| o.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}

fn export(name: &str, value: Option<String>) {
    println!("cargo::rustc-env={name}={}", value.unwrap_or_default());
}

fn rerun_when_sources_change() {
    let sources =
        ["core", "quant", "autodiff", "data", "hessian", "bench"].map(|c| format!("../snn-{c}/src"));
    let head = ["../.git/HEAD", "../.git/logs/HEAD"].map(str::to_owned);
    for path in sources.iter().chain(&head).filter(|p| std::path::Path::new(p).exists()) {
        println!("cargo::rerun-if-changed={path}");
    }
    println!("cargo::rerun-if-changed=build.rs");
}
