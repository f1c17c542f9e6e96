//! What a run was made with: program, compiler, machine.

use serde::{Deserialize, Serialize};

/// Program, compiler and machine of a run; printed beside its numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// Version of this project.
    pub version: String,
    /// Commit of the sources, ending in `-dirty` when they were changed since; `None` outside a checkout.
    pub git_revision: Option<String>,
    /// The compiler's own version line.
    pub rustc: Option<String>,
    /// Target triple the program was built for.
    pub target: Option<String>,
    /// Whether debug assertions were compiled in (`debug`) or not (`release`).
    pub profile: String,
    /// Processor name as the system tells it.
    pub cpu: Option<String>,
    /// Number of worker threads.
    pub n_threads: usize,
}

impl Environment {
    /// The environment of this very process.
    ///
    /// # Examples
    ///
    /// ```
    /// let environment = snn_bench::run_dir::Environment::current();
    /// assert!(environment.n_threads >= 1);
    /// ```
    #[must_use]
    pub fn current() -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            git_revision: recorded(env!("SNN_BENCH_REVISION")),
            rustc: recorded(env!("SNN_BENCH_RUSTC")),
            target: recorded(env!("SNN_BENCH_TARGET")),
            profile: if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned(),
            cpu: cpu_name(),
            n_threads: rayon::current_num_threads(),
        }
    }
}

/// A value noted by the build script, which writes an empty string for "not known".
fn recorded(value: &str) -> Option<String> {
    (!value.is_empty()).then(|| value.to_owned())
}

fn cpu_name() -> Option<String> {
    let info = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compiler_is_known() {
        let rustc = Environment::current().rustc.unwrap();
        assert!(rustc.starts_with("rustc 1."), "{rustc}");
    }

    #[test]
    fn survives_json() {
        let environment = Environment::current();
        let text = serde_json::to_string(&environment).unwrap();
        assert_eq!(serde_json::from_str::<Environment>(&text).unwrap(), environment);
    }
}
