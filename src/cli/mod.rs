//! The command line: one file for each subcommand, and the few things that
//! they share (arguments, output, progress, Ctrl-C, errors).

mod args;
mod backup;
mod cache;
mod completions;
mod context;
mod doctor;
mod eval;
mod failure;
mod index;
mod indexing;
mod interrupt;
mod jobs;
mod keys;
mod loading;
mod man;
mod mcp;
mod models;
mod output;
mod parse_worker;
mod plan;
mod progress;
mod query;
mod read_ahead;
mod schedules;
mod search;
mod serve;
mod snippet;
mod style;
mod ticker;
mod trust;
mod up;
mod usage;
mod worker;

use std::process::ExitCode;

use clap::Parser as _;

use args::{Cli, Command};
use context::Context;

use cairn_settings::telemetry::finish_traces;

/// How a command ended, if not with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Everything was done.
    Done,
    /// The rest was done, and what failed was already reported.
    Failed,
}

/// Parses the arguments of the process, runs the command and returns the exit
/// code: 0 done, 1 failed, 2 bad usage.
pub fn main() -> ExitCode {
    cairn_indexer::silence_caught_panics();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // `--help` and `--version` are "errors" of clap that end with 0.
        Err(error) => {
            let code = u8::try_from(error.exit_code()).unwrap_or(2);
            // If the terminal is gone there is nowhere to report it.
            error.print().ok();
            return ExitCode::from(code);
        }
    };
    let result = run(cli);
    finish_traces();
    match result {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Failed) => ExitCode::FAILURE,
        Err(error) => failure::report(&error),
    }
}

fn run(cli: Cli) -> anyhow::Result<Outcome> {
    let load = |service| Context::load(&cli.global, service, &cli.command.settings());
    match &cli.command {
        Command::Up(args) => up::run(load(false)?, args),
        Command::Index(args) => index::run(&load(false)?, args),
        Command::Serve(_) => serve::run(load(true)?),
        Command::Search(args) => search::run(&load(false)?, args),
        Command::Query(args) => query::run(&load(false)?, args),
        Command::Eval(args) => eval::run(&load(false)?, args),
        Command::Models { action } => models::run(&load(false)?, action),
        Command::Cache { action } => cache::run(&load(false)?, action),
        Command::Backup(args) => backup::backup(&load(false)?, args),
        Command::Restore(args) => backup::restore(&load(false)?, args),
        Command::Keys { action } => keys::run(&load(false)?, action),
        Command::Trust(args) => trust::run(&cli.global, args),
        Command::Usage(args) => usage::run(&load(false)?, args),
        Command::Jobs { action } => jobs::run(&load(false)?, action),
        Command::Worker => worker::run(&load(true)?),
        Command::Mcp => mcp::run(&load(true)?),
        Command::Doctor(args) => doctor::run(&load(false)?, args),
        // These two describe the command itself and read no configuration; nor does `trust`.
        Command::Completions(args) => completions::run(args),
        Command::Man => man::run(),
        Command::ParseWorker(args) => parse_worker::run(args),
    }
}
