//! How far a long step is: a bar on a terminal, else a line now and then.

use indicatif::ProgressBar;

use super::context::Context;
use super::progress::{self, Display, Pace};

const TEMPLATE: &str = "{prefix} [{bar:30}] {pos}/{len} {per_sec}, {eta} left";

/// Counts the parts of one step.
pub(super) struct Ticker {
    bar: Option<ProgressBar>,
    lines: Option<Pace>,
    what: String,
    done: usize,
    all: usize,
}

impl Ticker {
    /// A step of `all` parts, called `what`.
    pub(super) fn new(context: &Context, what: impl Into<String>, all: usize) -> Self {
        let what = what.into();
        let display = Display::choose(context.progress);
        let bar = (display == Display::Bar).then(|| {
            let bar = progress::bar(all as u64, TEMPLATE);
            bar.set_prefix(what.clone());
            bar
        });
        let lines = (display == Display::Lines).then(Pace::new);
        Self {
            bar,
            lines,
            what,
            done: 0,
            all,
        }
    }

    /// `count` more parts are done.
    pub(super) fn add(&mut self, count: usize) {
        self.set(self.done + count, self.all);
    }

    /// `done` of `all` parts are done.
    pub(super) fn set(&mut self, done: usize, all: usize) {
        (self.done, self.all) = (done, all);
        if let Some(bar) = &self.bar {
            bar.set_length(self.all as u64);
            bar.set_position(self.done as u64);
        }
        if self.lines.as_mut().is_some_and(Pace::due) {
            progress::line(&format!("{}: {} of {}", self.what, self.done, self.all));
        }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
