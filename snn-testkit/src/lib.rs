//! Helpers shared by the tests of every crate in the workspace. Unpublished, a dev-dependency only.
//!
//! - [`Golden`] reads the reference arrays in `tests/golden/*.npz`, which the scripts in `tools/golden` made.
//! - [`assert_close`] compares numbers under a tolerance and names the worst element when they differ.
//! - [`python_with`] finds a Python interpreter with the packages that a test compares with.
//! - [`data_dir`] finds real recordings, and [`skip`] says that a test did without them.
//!
//! It depends on no other crate of the workspace, so that the unit tests of any of them may use it without
//! meeting two copies of their own types. Values cross as plain slices of numbers.
//!
//! Unlike the library crates, the functions here panic: they are called from tests, where a panic with a good
//! message is the report.
#![forbid(unsafe_code)]

mod close;
mod data;
mod golden;
mod python;

pub use close::{Mismatch, assert_close, check_close};
pub use data::{data_dir, skip, workspace_root};
pub use golden::{Golden, GoldenError};
pub use python::python_with;
