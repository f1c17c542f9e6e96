//! Python, for tests that compare with programs written in it.

use std::ffi::OsString;
use std::process::Command;

/// A Python interpreter that has all these packages: the one that the environment variable `SNN_PYTHON` names, else
/// `python3`. `None` when there is none; the test should then [`skip`](crate::skip).
///
/// Packages are looked for, not imported, which takes seconds for some.
#[must_use]
pub fn python_with(packages: &[&str]) -> Option<OsString> {
    let python = std::env::var_os("SNN_PYTHON").unwrap_or_else(|| "python3".into());
    let find = "import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, sys.argv[1:])))";
    let output = Command::new(&python).args(["-c", find]).args(packages).output();
    output.is_ok_and(|output| output.status.success()).then_some(python)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_that_nobody_has_is_not_found() {
        assert_eq!(python_with(&["no_package_has_this_name"]), None);
    }
}
