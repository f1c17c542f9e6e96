//! What goes to standard output: a text for people, or one JSON object a line for programs.

use serde::Serialize;
use std::fmt::Display;
use std::io::{ErrorKind, Write};

/// Which of the two is wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    pub(super) json: bool,
}

impl Output {
    /// Prints a result in the form that is wanted.
    pub(super) fn print(self, text: impl Display, object: &impl Serialize) -> anyhow::Result<()> {
        let line = if self.json { serde_json::to_string(object)? } else { text.to_string() };
        match writeln!(std::io::stdout(), "{line}") {
            // Whoever reads, such as `head`, has seen enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            other => Ok(other?),
        }
    }
}
