//! A report for a terminal: quality, latencies, gates.

use cairn_eval::report::{ModeReport, Report};
use cairn_eval::{Family, Measure};

use crate::cli::output;

/// Quality, latencies and gates. The first cut-off heads the table.
pub(super) fn table(report: &Report, cutoffs: &[usize]) -> String {
    let mut text = format!(
        "{} ({}): {} questions, {} documents, {} chunks, {}\n\n",
        report.dataset,
        report.split,
        report.questions,
        report.documents,
        report.chunks,
        report.embedder.as_deref().unwrap_or("no embedder"),
    );
    text.push_str(&output::table(&quality(report, cutoffs)));
    text.push('\n');
    text.push_str(&output::table(&latencies(report)));
    for note in &report.notes {
        text.push_str(&format!("\nnote: {note}"));
    }
    for mode in &report.modes {
        for (reason, count) in &mode.degraded {
            text.push_str(&format!("\n{}: {count} questions: {reason}", mode.mode));
        }
    }
    text.push_str(&gates(report));
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// One line for each gate, each after a line end.
fn gates(report: &Report) -> String {
    let line = |gate: &cairn_eval::report::GateReport| {
        let verdict = if gate.passed { "passed" } else { "FAILED" };
        let (condition, mode, value) = (&gate.condition, &gate.mode, gate.value);
        format!("\n{verdict}: {condition}; {mode} has {value:.4}")
    };
    report.gates.iter().map(line).collect()
}

fn quality(report: &Report, cutoffs: &[usize]) -> Vec<Vec<String>> {
    let k = cutoffs.first().copied().unwrap_or(10);
    let first = Measure::at(Family::Ndcg, k);
    let mut columns = vec![
        Measure::at(Family::Mrr, k),
        Measure::at(Family::Precision, k),
        Measure::at(Family::AllFound, k),
    ];
    columns.extend(cutoffs.iter().map(|&k| Measure::at(Family::Recall, k)));
    let mut head = vec!["mode".to_owned(), first.to_string(), "95 %".to_owned()];
    head.extend(columns.iter().map(Measure::to_string));
    let mut rows = vec![head];
    for mode in &report.modes {
        let mut row = vec![
            mode.mode.clone(),
            number(mode, first),
            interval(mode, first),
        ];
        row.extend(columns.iter().map(|measure| number(mode, *measure)));
        rows.push(row);
    }
    rows
}

/// The mean with four digits.
fn number(mode: &ModeReport, measure: Measure) -> String {
    let value = mode.metrics.get(&measure.to_string());
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"))
}

/// `low–high` of the mean.
fn interval(mode: &ModeReport, measure: Measure) -> String {
    let interval = mode.confidence_95.get(&measure.to_string());
    interval.map_or_else(
        || "-".to_owned(),
        |[low, high]| format!("{low:.3}–{high:.3}"),
    )
}

/// `p50 / p95` by stage.
fn latencies(report: &Report) -> Vec<Vec<String>> {
    let stages = [
        "embed", "lexical", "dense", "fuse", "hop", "rerank", "total",
    ];
    let mut head = vec!["ms (p50 / p95)".to_owned()];
    head.extend(stages.map(str::to_owned));
    let mut rows = vec![head];
    for mode in &report.modes {
        let cell = |stage: &str| match mode.latency_ms.get(stage) {
            Some(latency) => format!("{:.1} / {:.1}", latency.p50, latency.p95),
            None => "-".to_owned(),
        };
        let mut row = vec![mode.mode.clone()];
        row.extend(stages.map(cell));
        rows.push(row);
    }
    rows
}
