//! `cairn usage`: what was asked, and what calls to models took and cost.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::json;

use super::context::Context;
use super::{Outcome, output};
use cairn_gateway::accounts::usage::{
    AnswersRow, CallRow, Group, Period, SampleRow, UsageReader, UsageRow,
};

/// Which calls, and how to sum them.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Group by day, key, tenant, route, model or collection
    #[arg(long, value_name = "WHAT", default_value = "day")]
    by: Group,
    /// First day to include (UTC), e.g. 2026-01-31
    #[arg(long, value_name = "DAY")]
    since: Option<Date>,
    /// Last day to include (UTC)
    #[arg(long, value_name = "DAY")]
    until: Option<Date>,
    /// Print comma-separated values instead of a table
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Show questions, refusals, times and feedback instead of calls to models
    #[arg(long, conflicts_with_all = ["calls", "samples"])]
    answers: bool,
    /// List the latest N calls instead of sums
    #[arg(long, value_name = "N", conflicts_with = "by")]
    calls: Option<usize>,
    /// Show the masked texts of the latest N sampled calls (`telemetry.samples`)
    #[arg(long, value_name = "N", conflicts_with_all = ["by", "calls", "csv"])]
    samples: Option<usize>,
}

/// Prints sums or calls.
pub(super) fn run(context: &Context, args: &Args) -> anyhow::Result<Outcome> {
    let reader = UsageReader::open(&context.config.storage.data_dir)?;
    let period = Period {
        since: args.since,
        until: args.until,
    };
    match (args.calls, args.samples) {
        (_, Some(limit)) => samples(context, &reader.samples(limit, period)?)?,
        (Some(limit), None) => calls(context, args, &reader.calls(limit, period)?)?,
        (None, None) if args.answers => answers(context, args, &reader.answers(args.by, period)?)?,
        (None, None) => sums(context, args, &reader.sums(args.by, period)?)?,
    }
    Ok(Outcome::Done)
}

fn sums(context: &Context, args: &Args, rows: &[UsageRow]) -> anyhow::Result<()> {
    let total: f64 = rows.iter().map(|row| row.cost_usd).sum();
    if context.json {
        let document = json!({ "by": args.by.as_str(), "rows": rows, "cost_usd": total });
        return output::json(&document);
    }
    let head = [
        args.by.as_str(),
        "calls",
        "failed",
        "cached",
        "prompt_tokens",
        "cached_prompt_tokens",
        "completion_tokens",
        "cost_usd",
        "mean_latency_ms",
        "mean_first_token_ms",
    ];
    let cells = |row: &UsageRow| {
        vec![
            row.group.clone(),
            row.calls.to_string(),
            row.failed.to_string(),
            row.cached.to_string(),
            row.prompt_tokens.to_string(),
            row.cached_prompt_tokens.to_string(),
            row.completion_tokens.to_string(),
            format!("{:.6}", row.cost_usd),
            number(row.mean_latency_ms),
            number(row.mean_first_token_ms),
        ]
    };
    print(args, &head, rows.iter().map(cells))?;
    if rows.is_empty() {
        context.say("No calls to models in that time.");
    } else {
        context.say(format!("{total:.6} US dollars in all"));
    }
    Ok(())
}

fn answers(context: &Context, args: &Args, rows: &[AnswersRow]) -> anyhow::Result<()> {
    if context.json {
        return output::json(&json!({ "by": args.by.as_str(), "answers": rows }));
    }
    let head = [
        args.by.as_str(),
        "questions",
        "refused",
        "failed",
        "abandoned",
        "up",
        "down",
        "p50_ms",
        "p95_ms",
        "sources_p50_ms",
    ];
    let cells = |row: &AnswersRow| {
        vec![
            row.group.clone(),
            row.questions.to_string(),
            row.refused.to_string(),
            row.failed.to_string(),
            row.abandoned.to_string(),
            row.up.to_string(),
            row.down.to_string(),
            number(row.p50_ms),
            number(row.p95_ms),
            number(row.sources_p50_ms),
        ]
    };
    print(args, &head, rows.iter().map(cells))?;
    if rows.is_empty() {
        context.say("No questions in that time.");
    }
    Ok(())
}

fn calls(context: &Context, args: &Args, rows: &[CallRow]) -> anyhow::Result<()> {
    if context.json {
        return output::json(&json!({ "calls": rows }));
    }
    let head = [
        "at",
        "key",
        "route",
        "provider",
        "model",
        "prompt",
        "completion",
        "cost_usd",
        "ms",
        "first_token_ms",
        "cache",
        "retries",
        "fallbacks",
        "outcome",
        "finish",
        "refused",
        "citations",
    ];
    let cells = |row: &CallRow| {
        vec![
            second(row.at),
            row.key_id.clone().unwrap_or_default(),
            row.route.clone(),
            row.provider.clone(),
            row.model.clone(),
            row.prompt_tokens.to_string(),
            row.completion_tokens.to_string(),
            format!("{:.6}", row.cost_usd),
            number(Some(row.latency_ms)),
            number(row.ttft_ms),
            row.cache.clone(),
            row.retries.to_string(),
            row.fallbacks.to_string(),
            row.outcome.clone(),
            row.finish.clone(),
            row.refused.map(|yes| yes.to_string()).unwrap_or_default(),
            row.citations.map(|n| n.to_string()).unwrap_or_default(),
        ]
    };
    print(args, &head, rows.iter().map(cells))
}

fn samples(context: &Context, rows: &[SampleRow]) -> anyhow::Result<()> {
    if context.json {
        return output::json(&json!({ "samples": rows }));
    }
    for row in rows {
        output::line(format!("{} {}", second(row.at), row.call_id))?;
        output::line(output::printable(&row.prompt))?;
        output::line(format!("-> {}\n", output::printable(&row.answer)))?;
    }
    Ok(())
}

/// As a table, or as comma-separated values.
fn print(
    args: &Args,
    head: &[&str],
    rows: impl Iterator<Item = Vec<String>>,
) -> anyhow::Result<()> {
    if args.csv {
        let head = head.iter().map(|name| (*name).to_owned()).collect();
        for row in std::iter::once(head).chain(rows) {
            let cells: Vec<String> = row.iter().map(|cell| csv_cell(cell)).collect();
            output::line(cells.join(","))?;
        }
        return Ok(());
    }
    let head = head
        .iter()
        .map(|name| name.to_uppercase().replace('_', " "))
        .collect();
    let rows: Vec<Vec<String>> = std::iter::once(head)
        .chain(rows.map(|row| row.iter().map(|cell| output::printable(cell)).collect()))
        .collect();
    output::piece(&output::table(&rows))?;
    Ok(())
}

/// RFC 4180: quoted where it holds a comma, a quote or a line end. What a
/// spreadsheet would run as a formula gets a quote mark in front.
fn csv_cell(cell: &str) -> String {
    let cell = match cell.chars().next() {
        Some('=' | '+' | '-' | '@') if cell.parse::<f64>().is_err() => format!("'{cell}"),
        _ => cell.to_owned(),
    };
    if cell.contains([',', '"', '\n', '\r']) {
        return format!("\"{}\"", cell.replace('"', "\"\""));
    }
    cell
}

fn number(value: Option<f64>) -> String {
    value.map(|value| format!("{value:.1}")).unwrap_or_default()
}

fn second(millis: i64) -> String {
    let at = Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH);
    TimeZone::UTC
        .to_datetime(at)
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_formulas_are_text() {
        assert_eq!(csv_cell("a"), "a");
        assert_eq!(csv_cell("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(csv_cell("=1+1"), "'=1+1");
        assert_eq!(csv_cell("-1.5"), "-1.5");
    }
}
