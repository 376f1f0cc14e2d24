//! Errors for people: one line that says what happened, one that says what to
//! do, and the exit code.

use std::fmt;
use std::io;
use std::process::ExitCode;

/// The command cannot be run as it was written: exit code 2.
#[derive(Debug)]
pub(super) struct BadUsage(String);

impl BadUsage {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for BadUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadUsage {}

/// An error with its own advice, where the kind of the cause does not say it.
#[derive(Debug)]
pub(super) struct Advised {
    message: String,
    hint: String,
}

impl Advised {
    pub(super) fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: hint.into(),
        }
    }
}

impl fmt::Display for Advised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Advised {}

/// Prints the error on stderr and returns the exit code. A reader of stdout
/// that went away is not worth a word.
pub(super) fn report(error: &anyhow::Error) -> ExitCode {
    let closed = |cause: &(dyn std::error::Error + 'static)| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
    };
    if error.chain().any(closed) {
        return ExitCode::SUCCESS;
    }
    // Written by hand: `eprintln!` panics when stderr is closed.
    let mut text = format!("error: {}\n", chain_on_one_line(error));
    if let Some(hint) = hint(error) {
        text.push_str(&format!("hint: {hint}\n"));
    }
    io::Write::write_all(&mut io::stderr(), text.as_bytes()).ok();
    if error.chain().any(|cause| cause.is::<BadUsage>()) {
        ExitCode::from(2)
    } else {
        ExitCode::FAILURE
    }
}

/// The chain of causes joined by colons. Our typed errors print their cause
/// themselves, so a cause that the text already ends with is not repeated.
fn chain_on_one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let text = cause.to_string();
        if line.is_empty() {
            line = text;
        } else if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
    }
    cairn_engine::text::one_line(&line)
}

fn hint(error: &anyhow::Error) -> Option<String> {
    use cairn_indexer::ErrorKind as Index;
    use cairn_models::ErrorKind as Model;

    error.chain().find_map(|cause| {
        if let Some(advised) = cause.downcast_ref::<Advised>() {
            return Some(advised.hint.clone());
        }
        if cause.is::<BadUsage>() {
            return Some("`cairn --help` lists commands and flags; config/default.toml every setting".into());
        }
        let hint = if let Some(error) = cause.downcast_ref::<cairn_indexer::Error>() {
            match error.kind() {
                Index::Locked => {
                    "another `cairn` writes to this collection; wait for it, stop it, or use --collection"
                }
                Index::Mismatch => {
                    "use the settings that the collection was built with, index into a new one with --collection, or change its embedder with a job of kind re-embed (docs/operations.md)"
                }
                Index::Corrupt => "run `cairn doctor` to see what is damaged",
                Index::NotFound => "check the path, or index a folder first: cairn index DIR",
                Index::Machine => "check free disk space and permissions of the data folder, then run it again",
                Index::Internal => "this is a defect of Cairn; run again with -vv and report what it prints",
                _ => return None,
            }
        } else if let Some(error) = cause.downcast_ref::<cairn_models::Error>() {
            match error.kind() {
                Model::NotFound => "`cairn models list` shows the models that there are",
                Model::Corrupt => "run `cairn models verify`, then `cairn models pull`",
                Model::Unreachable => {
                    "check the network and run it again, or set CAIRN_MODELS_DIR to a folder that was filled elsewhere"
                }
                Model::Overloaded => "try again in a moment",
                _ => return None,
            }
        } else {
            return None;
        };
        Some(hint.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_indexer::{Error, ErrorKind};

    #[test]
    fn causes_are_joined_once_and_on_one_line() {
        let cause = Error::new(ErrorKind::Corrupt, "a segment\nis damaged").because("bad checksum");
        let error = anyhow::Error::new(cause).context("cannot open the collection");
        assert_eq!(
            chain_on_one_line(&error),
            "cannot open the collection: a segment is damaged: bad checksum"
        );
        assert!(hint(&error).unwrap().contains("doctor"));
    }
}
