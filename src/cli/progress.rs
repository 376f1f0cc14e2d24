//! Progress on stderr: bars on a terminal, a plain line now and then elsewhere,
//! nothing where the user wants none.

use std::collections::HashMap;
use std::io::{IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use cairn_models::{Progress, PullEvent};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Time between two plain lines.
const PLAIN_EVERY: Duration = Duration::from_secs(5);

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Display {
    /// Not at all.
    None,
    /// As lines.
    Lines,
    /// As a bar that moves.
    Bar,
}

impl Display {
    /// What fits stderr, if progress is `wanted`.
    pub(super) fn choose(wanted: bool) -> Self {
        match (wanted, std::io::stderr().is_terminal()) {
            (false, _) => Self::None,
            (true, true) => Self::Bar,
            (true, false) => Self::Lines,
        }
    }
}

/// One line on stderr; lost if stderr is closed.
pub(super) fn line(text: &str) {
    writeln!(std::io::stderr(), "{text}").ok();
}

/// Says something at most once in [`PLAIN_EVERY`].
#[derive(Debug)]
pub(super) struct Pace(Option<Instant>);

impl Pace {
    pub(super) fn new() -> Self {
        Self(None)
    }

    /// Whether it is time to speak.
    pub(super) fn due(&mut self) -> bool {
        let due = self.0.is_none_or(|last| last.elapsed() >= PLAIN_EVERY);
        if due {
            self.0 = Some(Instant::now());
        }
        due
    }
}

/// A bar with `template`, on stderr.
pub(super) fn bar(length: u64, template: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr_with_hz(10));
    // The templates are constants of this program and checked by a test.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

const PULL: &str =
    "Fetching {prefix} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec}, {eta} left {wide_msg}";

/// A bar for each artifact that is fetched.
pub(super) struct PullBars {
    display: Display,
    pulls: Mutex<HashMap<String, Pull>>,
}

struct Pull {
    bar: Option<ProgressBar>,
    pace: Pace,
}

impl PullBars {
    pub(super) fn new(wanted: bool) -> Self {
        Self {
            display: Display::choose(wanted),
            pulls: Mutex::default(),
        }
    }
}

impl Progress for PullBars {
    fn report(&self, artifact: &str, event: PullEvent<'_>) {
        if self.display == Display::None {
            return;
        }
        let mut pulls = self.pulls.lock().unwrap_or_else(PoisonError::into_inner);
        let pull = pulls.entry(artifact.to_owned()).or_insert_with(|| Pull {
            bar: None,
            pace: Pace::new(),
        });
        let say = |text: String| match &pull.bar {
            Some(bar) => bar.suspend(|| line(&text)),
            None => line(&text),
        };
        match event {
            PullEvent::Waiting => say(format!("Waiting: another process fetches {artifact}")),
            PullEvent::Source(source) => say(format!("Fetching {artifact} from {source}")),
            PullEvent::SourceFailed { source, reason } => {
                say(format!("{source} could not deliver {artifact}: {reason}"));
            }
            PullEvent::FileReady(file) => {
                if let Some(bar) = pull.bar.take() {
                    bar.finish_and_clear();
                }
                line(&format!("Verified {artifact}/{file}"));
            }
            PullEvent::Bytes { done, total } if self.display == Display::Bar => {
                let bar = pull
                    .bar
                    .get_or_insert_with(|| bar(total, PULL).with_prefix(artifact.to_owned()));
                bar.set_length(total.max(done));
                bar.set_position(done);
            }
            PullEvent::Bytes { done, total } if pull.pace.due() => {
                line(&format!("Fetching {artifact}: {}", amount(done, total)));
            }
            _ => {}
        }
    }
}

impl Drop for PullBars {
    fn drop(&mut self) {
        let pulls = self.pulls.get_mut().unwrap_or_else(PoisonError::into_inner);
        for pull in pulls.values_mut() {
            if let Some(bar) = pull.bar.take() {
                bar.finish_and_clear();
            }
        }
    }
}

fn amount(done: u64, total: u64) -> String {
    match total {
        0 => megabytes(done),
        _ => format!("{} of {}", megabytes(done), megabytes(total)),
    }
}

/// `1.5 MB`, in millions of bytes.
pub(super) fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_can_be_read() {
        ProgressStyle::with_template(PULL).unwrap();
    }

    #[test]
    fn lines_come_now_and_then() {
        let mut pace = Pace::new();
        assert!(pace.due());
        assert!(!pace.due());
    }
}
