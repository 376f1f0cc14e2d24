//! `cairn cache`: earlier answers of language models are counted and deleted. A
//! running service forgets what is deleted within a second.

use jiff::Timestamp;
use serde_json::json;

use super::context::Context;
use super::{Outcome, output};
use cairn_gateway::cache::{purge, stats};

/// What to do with the cache.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Action {
    /// Show the number of cached answers per route
    Stats,
    /// Delete cached answers
    Purge {
        /// Delete only the answers of this route, e.g. answer or chat
        #[arg(long, value_name = "NAME")]
        route: Option<String>,
    },
}

/// Does it.
pub(super) fn run(context: &Context, action: &Action) -> anyhow::Result<Outcome> {
    let folder = &context.config.storage.data_dir;
    match action {
        Action::Stats => {
            let stats = stats(folder)?;
            if context.json {
                output::json(&stats)?;
                return Ok(Outcome::Done);
            }
            if stats.answers == 0 {
                output::line("the cache holds no answers")?;
                return Ok(Outcome::Done);
            }
            let row = |cells: [&str; 4]| cells.map(str::to_owned).to_vec();
            let mut rows = vec![row(["route", "answers", "semantic", "kilobytes"])];
            for route in &stats.routes {
                rows.push(vec![
                    route.route.clone(),
                    route.answers.to_string(),
                    route.semantic.to_string(),
                    (route.bytes / 1024).to_string(),
                ]);
            }
            output::piece(&output::table(&rows))?;
            if let (Some(oldest), Some(newest)) = (stats.oldest_ms, stats.newest_ms) {
                output::line(format!("written from {} to {}", day(oldest), day(newest)))?;
            }
        }
        Action::Purge { route } => {
            let deleted = purge(folder, route.as_deref())?;
            match context.json {
                true => output::json(&json!({ "deleted": deleted }))?,
                false => output::line(format!("{deleted} answer(s) deleted"))?,
            }
        }
    }
    Ok(Outcome::Done)
}

/// A moment to the second, in UTC.
fn day(milliseconds: u64) -> String {
    let seconds = i64::try_from(milliseconds / 1000).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).map_or_else(|_| "?".to_owned(), |time| time.to_string())
}
