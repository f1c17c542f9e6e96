//! Ctrl-C: a flag that long work looks at, so that it ends where it can be resumed.

use std::sync::atomic::{AtomicBool, Ordering};

/// Exit code of an interrupted program, as shells have it for `SIGINT`.
pub const EXIT_CODE: u8 = 130;

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Work that ended early because the user asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

/// From now on the first Ctrl-C raises the flag, and the second one ends the program at once.
///
/// # Errors
/// If the system refuses, or somebody else listens already.
pub fn listen() -> Result<(), ctrlc::Error> {
    ctrlc::set_handler(|| {
        if REQUESTED.swap(true, Ordering::SeqCst) {
            std::process::exit(i32::from(EXIT_CODE));
        }
    })
}

/// Whether the user asked to stop.
#[must_use]
pub fn is_requested() -> bool {
    REQUESTED.load(Ordering::SeqCst)
}
