//! The log on stderr. It never holds document text, and questions only where
//! `telemetry.log_questions` allows it: see [`Question`].

use std::fmt;
use std::io::IsTerminal as _;

use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use super::{TRACE_TARGET, Traces};
use crate::config::Telemetry;

/// How much the flags ask for. `RUST_LOG` overrides all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verbosity {
    /// Errors only.
    Quiet,
    /// Warnings and errors: commands that end by themselves.
    Warnings,
    /// `telemetry.level` of the configuration: the service.
    Configured,
    /// Details of Cairn's own rooms.
    Debug,
}

/// Starts the log, and traces where they are configured. A second call changes nothing, so that tests may call it.
///
/// # Errors
/// When `telemetry.level` or `telemetry.format` is not one of the documented
/// values, `telemetry.otel` cannot be used, or `RUST_LOG` cannot be read.
pub fn init_logs(config: &Telemetry, verbosity: Verbosity) -> anyhow::Result<()> {
    let own = match verbosity {
        Verbosity::Quiet => "error",
        Verbosity::Warnings => "warn",
        Verbosity::Debug => "debug",
        Verbosity::Configured => match config.level.as_str() {
            level @ ("error" | "warn" | "info" | "debug" | "trace") => level,
            other => {
                anyhow::bail!("telemetry.level is error, warn, info, debug or trace, not `{other}`")
            }
        },
    };
    let filter = match std::env::var("RUST_LOG") {
        Ok(directives) if !directives.is_empty() => EnvFilter::try_new(directives)?,
        // Libraries only speak up when something is wrong.
        _ => EnvFilter::try_new(format!(
            "warn,cairn={own},cairn_engine={own},cairn_eval={own},cairn_gateway={own},\
             cairn_indexer={own},cairn_models={own},cairn_settings={own},{TRACE_TARGET}=off"
        ))?,
    };
    let traces = match config.otel.is_on() {
        true => Some(Traces::start(&config.otel)?),
        false => None,
    };
    let registry = tracing_subscriber::registry().with(traces.as_ref().map(Traces::layer));
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_span_events(FmtSpan::NONE)
        .with_target(false);
    // An error here means that a subscriber is set already.
    match config.format.as_str() {
        "text" => {
            let ansi = std::io::stderr().is_terminal()
                && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
            registry
                .with(layer.with_ansi(ansi).with_filter(filter))
                .try_init()
                .ok();
        }
        "json" => {
            registry
                .with(layer.json().flatten_event(true).with_filter(filter))
                .try_init()
                .ok();
        }
        other => anyhow::bail!("telemetry.format is text or json, not `{other}`"),
    }
    if let Some(traces) = traces {
        traces.keep();
    }
    Ok(())
}

/// A question in a log line: its length, unless the operator allows the text.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    text: &'a str,
    show: bool,
}

impl<'a> Question<'a> {
    /// `show` is `telemetry.log_questions`.
    pub fn new(text: &'a str, show: bool) -> Self {
        Self { text, show }
    }
}

impl fmt::Display for Question<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.show {
            // Debug escapes line ends, so a question cannot forge a log line.
            write!(f, "{:?}", self.text)
        } else {
            write!(f, "<{} chars>", self.text.chars().count())
        }
    }
}

impl fmt::Debug for Question<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_hidden_unless_allowed() {
        assert_eq!(Question::new("secret?", false).to_string(), "<7 chars>");
        assert_eq!(Question::new("a\nb", true).to_string(), "\"a\\nb\"");
    }
}
