//! Progress bars on standard error, silent when that is not a terminal, and sources that drive them.

use crate::interrupt::{self, Interrupted};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use snn_autodiff::{BatchIter, BatchSource};

const TEMPLATE: &str = "{prefix} {wide_bar:.dim} {pos}/{len} · {elapsed} · ETA {eta} {msg}";
const BYTES: &str = "{prefix} {wide_bar:.dim} {bytes}/{total_bytes} · {bytes_per_sec} · ETA {eta}";

/// A bar of `n` steps with its time left; hidden when standard error is not a terminal.
#[must_use]
pub fn bar(what: &str, n: usize) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(n as u64), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
        bar.set_style(style);
    }
    bar.set_prefix(what.to_owned());
    bar
}

/// A bar of bytes, of a number that is set later; hidden when standard error is not a terminal.
#[must_use]
pub fn byte_bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template(BYTES) {
        bar.set_style(style);
    }
    bar
}

/// A line on standard error, where that is a terminal.
pub fn note(text: &str) {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.println(text);
}

/// Batches of another source that move a bar, and end with [`Interrupted`] once the user asks for it.
pub struct Watched<'a> {
    source: &'a dyn BatchSource,
    bar: ProgressBar,
}

impl std::fmt::Debug for Watched<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watched").field("bar", &self.bar).finish_non_exhaustive()
    }
}

impl<'a> Watched<'a> {
    /// The batches of `source`; each moves `bar` by one step.
    #[must_use]
    pub fn new(source: &'a dyn BatchSource, bar: ProgressBar) -> Self {
        Self { source, bar }
    }
}

impl BatchSource for Watched<'_> {
    fn batches(&self, epoch: u64) -> BatchIter<'_> {
        Box::new(self.source.batches(epoch).map(|batch| {
            if interrupt::is_requested() {
                return Err(Interrupted.into());
            }
            self.bar.inc(1);
            batch
        }))
    }
}
