//! `cairn eval compare A.json B.json`: the second run against the first, and an
//! exit code for CI.

use std::path::PathBuf;

use cairn_eval::compare::{Versus, compare};
use cairn_eval::report::Report;
use cairn_eval::{Gate, Measure};
use serde_json::json;

use crate::cli::context::Context;
use crate::cli::failure::BadUsage;
use crate::cli::{Outcome, output};

/// What to compare, and when to fail.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Both files are the output of `cairn eval --json` over the same questions. A condition
applies to the difference, second minus first. `worse` means a loss that is
statistically significant: chance alone causes it less than once in twenty times.

Examples:
  cairn eval compare before.json after.json
  cairn eval compare before.json after.json --fail-if worse
  cairn eval compare before.json after.json --fail-if 'hybrid:ndcg@10<-0.01'")]
pub(super) struct Args {
    /// Evaluation to compare with
    #[arg(value_name = "A.json")]
    first: PathBuf,
    /// Evaluation to judge
    #[arg(value_name = "B.json")]
    second: PathBuf,
    /// Measures to compare [default: ndcg@10, mrr@10 and recall@100; all if none of these is
    /// present]
    #[arg(long, value_delimiter = ',', value_name = "MEASURE")]
    measures: Vec<Measure>,
    /// Exit with 1 if this condition holds: `worse`, or a bound such as 'ndcg@10<-0.01'
    #[arg(long, value_name = "CONDITION", value_parser = condition)]
    fail_if: Vec<Condition>,
}

#[derive(Clone, Debug)]
enum Condition {
    Worse,
    Bound(Gate),
}

fn condition(text: &str) -> Result<Condition, String> {
    match text.trim() {
        "worse" => Ok(Condition::Worse),
        bound => {
            let gate: Gate = bound
                .parse()
                .map_err(|e: cairn_eval::Error| e.to_string())?;
            Ok(Condition::Bound(gate))
        }
    }
}

impl Condition {
    fn holds(&self, versus: &Versus) -> bool {
        match self {
            Self::Worse => versus.is_worse(),
            Self::Bound(gate) => versus.fails(gate),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Worse => "worse".to_owned(),
            Self::Bound(gate) => gate.to_string(),
        }
    }
}

/// Compares, prints, and fails if a condition holds.
pub(super) fn run(context: &Context, args: &Args) -> anyhow::Result<Outcome> {
    let first = Report::read(&args.first)?;
    let second = Report::read(&args.second)?;
    let measures = measures(args, &first, &second);
    let found = compare(&first, &second, &measures).map_err(|error| match error {
        cairn_eval::Error::Usage(message) => BadUsage::new(message).into(),
        other => anyhow::Error::from(other),
    })?;
    let failed: Vec<String> = args
        .fail_if
        .iter()
        .flat_map(|condition| {
            let holding = found.iter().filter(|versus| condition.holds(versus));
            holding.map(|versus| {
                format!(
                    "FAILED: fail if {}; {} differs by {:+.4} in {} (p = {:.3})",
                    condition.name(),
                    versus.mode,
                    versus.difference,
                    versus.measure,
                    versus.p_value
                )
            })
        })
        .collect();
    if context.json {
        output::json(&json!({ "comparisons": found, "failed": failed }))?;
    } else {
        output::piece(&text(&found, &second))?;
        for line in &failed {
            output::line(line)?;
        }
    }
    Ok(match failed.is_empty() {
        true => Outcome::Done,
        false => Outcome::Failed,
    })
}

/// Those that were asked for or that a condition looks at; else the usual ones,
/// else all there are.
fn measures(args: &Args, first: &Report, second: &Report) -> Vec<String> {
    let mut wanted: Vec<String> = args.measures.iter().map(Measure::to_string).collect();
    let has = |name: &str| {
        let held = |report: &Report| {
            report
                .modes
                .iter()
                .any(|mode| mode.metrics.contains_key(name))
        };
        held(first) && held(second)
    };
    if wanted.is_empty() {
        let usual = ["ndcg@10", "mrr@10", "recall@100"];
        wanted.extend(
            usual
                .into_iter()
                .filter(|name| has(name))
                .map(str::to_owned),
        );
    }
    if wanted.is_empty() {
        let all = first.modes.iter().flat_map(|mode| mode.metrics.keys());
        wanted.extend(all.filter(|name| has(name)).cloned());
        wanted.sort();
    }
    for condition in &args.fail_if {
        if let Condition::Bound(gate) = condition {
            wanted.push(gate.measure.to_string());
        }
    }
    let mut seen = std::collections::HashSet::new();
    wanted.retain(|name| seen.insert(name.clone()));
    wanted
}

fn text(found: &[Versus], second: &Report) -> String {
    let head = [
        "mode", "measure", "A", "B", "B - A", "95 %", "p", "better", "worse", "same",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for versus in found {
        let [low, high] = versus.confidence_95;
        rows.push(vec![
            versus.mode.clone(),
            versus.measure.clone(),
            format!("{:.4}", versus.first),
            format!("{:.4}", versus.second),
            format!("{:+.4}", versus.difference),
            format!("{low:+.3}…{high:+.3}"),
            format!("{:.3}", versus.p_value),
            versus.wins.to_string(),
            versus.losses.to_string(),
            versus.ties.to_string(),
        ]);
    }
    let mut text = output::table(&rows);
    if let Some(main) = found.first() {
        let line = |(id, by): &(String, f64)| {
            let asked = second.asked.get(id).map_or("", |asked| asked.text.as_str());
            format!("  {by:+.3}  {id}  {}\n", output::printable(asked))
        };
        for (title, list) in [("gained", &main.gained), ("lost", &main.lost)] {
            if !list.is_empty() {
                text.push_str(&format!(
                    "\n{} {title} most ({}):\n",
                    main.mode, main.measure
                ));
                text.extend(list.iter().map(line));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_worse_or_a_bound() {
        assert!(matches!(condition(" worse "), Ok(Condition::Worse)));
        let Ok(Condition::Bound(gate)) = condition("hybrid:ndcg@10<-0.01") else {
            panic!("not read as a bound");
        };
        assert!(gate.fails(-0.02) && !gate.fails(0.0));
        assert!(condition("better").unwrap_err().contains("not a condition"));
    }
}
