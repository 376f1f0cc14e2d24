//! What `index` and `up` share: the run's options, its progress on stderr, and
//! its summary.

use std::cell::RefCell;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use cairn_indexer::{Parser, Phase, RunOptions, RunProgress, RunReport, RunState};
use indicatif::ProgressBar;
use serde_json::json;

use super::context::Context;
use super::output::{self, printable};
use super::progress::{self, Display, Pace};

/// What a run is told, from the configuration.
pub(super) fn options(context: &Context, parser: Parser, exclude: Vec<PathBuf>) -> RunOptions {
    let config = &context.config;
    RunOptions {
        parser,
        commit_interval: Duration::from_secs(config.indexing.commit_seconds),
        lock_patience: Duration::from_secs(config.indexing.turn_seconds),
        exclude: exclude
            .into_iter()
            .chain([config.storage.data_dir.clone()])
            .collect(),
        remove_most: false,
        ..RunOptions::default()
    }
}

/// Warnings that a summary lists unless it is asked for all.
const MAX_WARNINGS: usize = 10;

const BAR: &str = "Indexing [{bar:30}] {pos}/{len} files, {msg}, {elapsed} so far, {eta} left";

/// Shows how far a run is.
pub(super) struct RunBar {
    display: Display,
    state: RefCell<Shown>,
}

struct Shown {
    bar: Option<ProgressBar>,
    pace: Pace,
    start: Instant,
}

impl RunBar {
    pub(super) fn new(context: &Context) -> Self {
        Self {
            display: Display::choose(context.progress),
            state: RefCell::new(Shown {
                bar: None,
                pace: Pace::new(),
                start: Instant::now(),
            }),
        }
    }

    /// Takes the bar away, before something else is written.
    pub(super) fn clear(&self) {
        if let Some(bar) = self.state.borrow_mut().bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl RunProgress for RunBar {
    fn update(&self, run: &RunState) {
        // Nothing new is nothing to show.
        if self.display == Display::None || run.files_total == 0 {
            return;
        }
        let mut shown = self.state.borrow_mut();
        let chunks = run.embedded + run.reused;
        let rate = run.embedded as f64 / shown.start.elapsed().as_secs_f64().max(0.001);
        let message = match run.phase {
            Phase::Commit => format!("{chunks} chunks, committing"),
            _ => format!("{chunks} chunks ({rate:.1} embedded/s)"),
        };
        if self.display == Display::Bar {
            let total = run.files_total as u64;
            let bar = shown.bar.get_or_insert_with(|| progress::bar(total, BAR));
            bar.set_length(total);
            bar.set_position(run.files_done as u64);
            bar.set_message(message);
        } else if shown.pace.due() {
            let left = left(run, shown.start.elapsed());
            progress::line(&format!(
                "Indexing: {}/{} files, {message}{left}",
                run.files_done, run.files_total
            ));
        }
    }
}

impl Drop for RunBar {
    fn drop(&mut self) {
        self.clear();
    }
}

/// The time that is left, judged by the bytes that are done; nothing while they
/// are too few to judge by.
fn left(run: &RunState, elapsed: Duration) -> String {
    if run.bytes_done < run.bytes_total / 50
        || run.bytes_done == 0
        || run.bytes_done >= run.bytes_total
    {
        return String::new();
    }
    let rest = (run.bytes_total - run.bytes_done) as f64 / run.bytes_done as f64;
    format!(", about {:.0} s left", elapsed.as_secs_f64() * rest)
}

/// The summary of a run: as text, or as one JSON document.
pub(super) fn print(context: &Context, report: &RunReport) -> anyhow::Result<()> {
    if context.json {
        let mut body = json!(report);
        body["collection"] = json!(context.config.storage.collection);
        return output::json(&body);
    }
    output::piece(&summary(context, report))?;
    Ok(())
}

fn summary(context: &Context, report: &RunReport) -> String {
    let collection = &context.config.storage.collection;
    let mut text = format!(
        "{} {} into `{collection}` in {:.1} s (generation {})\n",
        if report.cancelled {
            "Stopped after indexing part of"
        } else {
            "Indexed"
        },
        count(report.files, "file"),
        report.seconds,
        report.generation,
    );
    text.push_str(&format!(
        "  documents  {} added, {} updated, {} unchanged, {} deleted\n",
        report.added, report.updated, report.unchanged, report.deleted
    ));
    let rate = report.embedded as f64 / report.seconds.max(0.001);
    text.push_str(&format!(
        "  chunks     {}: {} embedded ({rate:.1}/s), {} re-used\n",
        report.chunks, report.embedded, report.reused
    ));
    if !report.skipped.is_empty() {
        let reasons: Vec<_> = report
            .skipped
            .iter()
            .map(|(reason, files)| format!("{files} {}", word(reason)))
            .collect();
        let more = match context.verbose {
            0 => "; -v or --json names them",
            _ => "",
        };
        text.push_str(&format!("  skipped    {}{more}\n", reasons.join(", ")));
        if context.verbose > 0 {
            for file in &report.skipped_files {
                let path = printable(&file.path);
                text.push_str(&format!("    {path}: {}\n", printable(&file.message)));
            }
        }
    }
    if !report.warnings.is_empty() {
        text.push_str(&format!("  warnings   {}\n", report.warnings.len()));
        let shown = match context.verbose {
            0 => MAX_WARNINGS,
            _ => usize::MAX,
        };
        for warning in report.warnings.iter().take(shown) {
            let path = printable(&warning.path);
            text.push_str(&format!("    {path}: {}\n", printable(&warning.message)));
        }
        if report.warnings.len() > shown {
            let more = report.warnings.len() - shown;
            text.push_str(&format!("    and {more} more; -v or --json lists all\n"));
        }
    }
    for kept in &report.kept {
        let path = printable(&kept.path);
        text.push_str(&format!(
            "  kept       {} of {} documents of {path}, whose files are gone. Is the folder \
             mounted? `cairn index --yes` removes them\n",
            kept.gone, kept.of
        ));
    }
    if !report.failed.is_empty() {
        let head = format!("  failed     {}", count(report.failed.len(), "file"));
        text.push_str(&format!("{}\n", context.palette.bad.apply_to(head)));
        for failure in &report.failed {
            let path = printable(&failure.path);
            text.push_str(&format!("    {path}: {}\n", printable(&failure.message)));
        }
    }
    text
}

/// `too_large` as it stands in JSON, in words.
fn word(value: &impl serde::Serialize) -> String {
    json!(value).as_str().unwrap_or_default().replace('_', " ")
}

/// `1 file`, `2 files`.
pub(super) fn count(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_can_be_read() {
        indicatif::ProgressStyle::with_template(BAR).unwrap();
    }

    #[test]
    fn the_time_left_follows_the_bytes() {
        let mut run = RunState {
            bytes_total: 100,
            bytes_done: 25,
            ..RunState::default()
        };
        assert_eq!(left(&run, Duration::from_secs(10)), ", about 30 s left");
        run.bytes_done = 0;
        assert_eq!(left(&run, Duration::from_secs(10)), "");
    }
}
