//! `calculate`: exact arithmetic, units and dates, by the calculator of the crate fend-core.
//!
//! Some unexpected behaviour of fend-core 1.5.9, found by testing: `1/3` is shown as "approx.
//! 0.3333333333" and `1/3 to fraction` as "1/3"; `64 GiB / 512 kB` is (64 GiB / 512) × kB, so a
//! quantity after `/` needs parentheses; a date is written `@2026-01-31`, and a duration can be
//! added to it, but two dates cannot be subtracted, so that is done here; currencies and random
//! numbers are refused; without an interrupt `2^100000000` runs for minutes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use cairn_models::Cancel;
use jiff::civil::Date;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::Setup;
use crate::tool::{
    CostClass, Tool, ToolContext, ToolError, ToolOutput, ToolSpec, arguments, blocking, parameters,
};

/// Longest expression, in bytes.
const MAX_BYTES: usize = 500;
/// Maximum nesting of parentheses, which the calculator handles on its stack.
const MAX_DEPTH: usize = 50;
/// The calculator's stack size. Signs and powers nest without parentheses, and 2 MB is too small
/// for some hundreds of them; even in an unoptimised build, any 500 bytes fit into 32 MB. Only the
/// part that is used takes memory.
const STACK_BYTES: usize = 64 << 20;
/// Longest result, in bytes.
const MAX_RESULT_BYTES: usize = 2000;
/// How long a calculation may take.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// For example `(12500 - 9800) / 9800 to percent`, `3 GB / (25 MB/s) to minutes`,
    /// `2026-03-01 - 2025-12-24`, `2026-01-31 + 45 days`, `1/3 to fraction`.
    #[schemars(length(min = 1))]
    expression: String,
}

struct Calculate {
    spec: ToolSpec,
}

pub(super) fn open(_: &Setup) -> Option<Arc<dyn Tool>> {
    Some(Arc::new(Calculate {
        spec: ToolSpec {
            name: "calculate".into(),
            description: "Computes an expression exactly: numbers, units with conversions (`to`), \
                percentages, dates. Put a quantity that is divided by into parentheses."
                .into(),
            parameters: parameters::<Args>(),
            cost: CostClass::Free,
            scopes: &[],
        },
    }))
}

#[async_trait]
impl Tool for Calculate {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn run(&self, given: Value, context: &ToolContext) -> Result<ToolOutput, ToolError> {
        let args: Args = arguments(given)?;
        let expression = args.expression.trim().to_owned();
        let shown = expression.clone();
        let result = blocking(&context.cancel, move |cancel| {
            evaluate_apart(expression, cancel)
        });
        let result = result.await?;
        let text = format!("{shown} = {result}");
        let uri = "tool:calculate".to_owned();
        Ok(ToolOutput::evidence(
            text.clone(),
            uri,
            "Calculation".into(),
            text,
        ))
    }
}

struct Patience(Instant, Cancel);

impl fend_core::Interrupt for Patience {
    fn should_interrupt(&self) -> bool {
        self.0.elapsed() > PATIENCE || self.1.is_cancelled()
    }
}

/// The value of `expression`, computed on a thread with a large enough stack.
fn evaluate_apart(expression: String, cancel: Cancel) -> Result<String, ToolError> {
    let thread = std::thread::Builder::new()
        .name("calculate".into())
        .stack_size(STACK_BYTES)
        .spawn(move || evaluate(&expression, cancel));
    let failed = || ToolError::failed("this cannot be computed now");
    let result = thread.map_err(|_| failed())?.join();
    result.unwrap_or_else(|_| Err(failed()))
}

/// The value of `expression`.
fn evaluate(expression: &str, cancel: Cancel) -> Result<String, ToolError> {
    if expression.is_empty() || expression.len() > MAX_BYTES {
        let message = format!("an expression has 1 to {MAX_BYTES} bytes");
        return Err(ToolError::arguments(message));
    }
    if depth(expression) > MAX_DEPTH {
        let message = format!("parentheses may be {MAX_DEPTH} deep");
        return Err(ToolError::arguments(message));
    }
    if let Some(days) = days_between(expression) {
        return Ok(days);
    }
    let mut context = fend_core::Context::new();
    let now = jiff::Zoned::now();
    let milliseconds = u64::try_from(now.timestamp().as_millisecond()).unwrap_or_default();
    let offset = -i64::from(now.offset().seconds());
    context.set_current_time_v1(milliseconds, offset);
    let patience = Patience(Instant::now(), cancel);
    let result = fend_core::evaluate_with_interrupt(&marked(expression), &mut context, &patience);
    let result = result.map_err(|error| {
        ToolError::arguments(match error.as_str() {
            "interrupted" => "this takes too long to compute".to_owned(),
            error => format!("this cannot be computed: {error}"),
        })
    })?;
    let text = result.get_main_result();
    if text.is_empty() || text.len() > MAX_RESULT_BYTES {
        let message = format!("the result has {} bytes; ask for less", text.len());
        return Err(ToolError::arguments(message));
    }
    Ok(text.to_owned())
}

fn depth(text: &str) -> usize {
    let (mut now, mut most) = (0_usize, 0);
    for c in text.chars() {
        match c {
            '(' | '[' | '{' => now += 1,
            ')' | ']' | '}' => now = now.saturating_sub(1),
            _ => continue,
        }
        most = most.max(now);
    }
    most
}

/// Days from one date to another, for `DATE - DATE`.
fn days_between(expression: &str) -> Option<String> {
    let (later, earlier) = expression.split_once(" - ")?;
    let date = |text: &str| text.trim().trim_start_matches('@').parse::<Date>().ok();
    let span = date(earlier)?.until((jiff::Unit::Day, date(later)?)).ok()?;
    Some(format!("{} days", span.get_days()))
}

/// The expression with `@` in front of dates, as the calculator requires.
fn marked(expression: &str) -> String {
    let words = expression.split(' ').map(|word| {
        let is_date =
            word.len() == 10 && word.as_bytes()[4] == b'-' && word.parse::<Date>().is_ok();
        if is_date {
            format!("@{word}")
        } else {
            word.to_owned()
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(expression: &str) -> Result<String, String> {
        evaluate_apart(expression.to_owned(), Cancel::never()).map_err(|error| error.message)
    }

    #[test]
    fn numbers_units_and_dates() {
        for (expression, expected) in [
            ("0.1 + 0.2", "0.3"),
            ("9007199254740993 * 3", "27021597764222979"),
            ("17% of 2350", "399.5"),
            ("3 GB in MiB", "2861.02294921875 MiB"),
            ("64 GiB / (512 MiB)", "128"),
            ("1/3 to fraction", "1/3"),
            ("2 hours + 35 min to min", "155 mins"),
            ("2026-03-01 - 2025-12-24", "67 days"),
            ("2026-01-31 + 3 days", "Tuesday, 3 February 2026"),
        ] {
            assert_eq!(of(expression).as_deref(), Ok(expected), "{expression}");
        }
    }

    #[test]
    fn what_cannot_be_computed_says_why() {
        assert!(
            of("what is two")
                .unwrap_err()
                .contains("unknown identifier")
        );
        assert!(of("2^100000000").unwrap_err().contains("too long"));
        assert!(of("").unwrap_err().contains("1 to 500"));
        assert!(of(&"(".repeat(400)).unwrap_err().contains("deep"));
        // Nesting without parentheses must not overflow the stack.
        assert!(of(&format!("{}1", "-".repeat(499))).is_ok());
        assert_eq!(of(&format!("{}1", "1^".repeat(249))).as_deref(), Ok("1"));
        assert!(of(&format!("{}1", "1/".repeat(249))).is_ok());
        assert!(of("100 usd to eur").unwrap_err().contains("exchange rates"));
    }
}
