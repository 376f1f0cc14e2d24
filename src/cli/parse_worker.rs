//! `cairn parse-worker`: the child in which documents are parsed. Cairn starts it itself.

use std::ffi::OsString;
use std::path::PathBuf;

use super::Outcome;

/// What it may take.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Memory limit in MB
    #[arg(long, value_name = "MB", value_parser = clap::value_parser!(u64).range(64..=1 << 20))]
    memory_mb: u64,
}

/// The program that is started: this one, also after a newer one took its place on the
/// disk.
pub(super) fn program() -> std::io::Result<PathBuf> {
    if cfg!(target_os = "linux") {
        return Ok("/proc/self/exe".into());
    }
    std::env::current_exe()
}

/// The arguments that make a child of it.
pub(super) fn args(memory_mb: u64) -> Vec<OsString> {
    vec![
        "parse-worker".into(),
        format!("--memory-mb={memory_mb}").into(),
    ]
}

/// Parses until the parent has gone.
#[cfg(unix)]
pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    use anyhow::Context as _;

    cairn_indexer::serve_parser(args.memory_mb << 20)
        .context("this command is for Cairn itself, which starts it and talks to it")?;
    Ok(Outcome::Done)
}

/// Not started by users.
#[cfg(not(unix))]
pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    anyhow::bail!("{args:?}: documents are parsed in Cairn's own process on this system")
}
