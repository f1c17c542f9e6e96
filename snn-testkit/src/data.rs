//! Where recordings and reference files are.

use std::path::{Path, PathBuf};

/// Root of the workspace, where `Cargo.toml` with the member list is.
#[must_use]
pub fn workspace_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// Folder of real recordings: the one that the environment variable `SNN_DATA_DIR` names, else `../shared/data`
/// beside the workspace. `None` when there is no such folder; the test should then [`skip`].
///
/// # Examples
///
/// ```
/// use snn_testkit::{data_dir, skip};
///
/// let Some(dir) = data_dir() else { return skip("no recordings") };
/// assert!(dir.is_dir());
/// ```
#[must_use]
pub fn data_dir() -> Option<PathBuf> {
    let dir = match std::env::var_os("SNN_DATA_DIR") {
        Some(dir) => PathBuf::from(dir),
        None => workspace_root().join("../shared/data"),
    };
    dir.is_dir().then_some(dir)
}

/// Says on standard error that a test was skipped, and why.
#[allow(clippy::print_stderr, reason = "a skipped test must say so")]
pub fn skip(reason: &str) {
    eprintln!("skipped: {reason}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_holds_the_workspace_manifest() {
        let manifest = std::fs::read_to_string(workspace_root().join("Cargo.toml")).unwrap();
        assert!(manifest.contains("[workspace]"));
    }
}
