//! The binary, run without the settings of the user who runs the tests.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// `cairn ARGS` in `folder`.
pub(crate) fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cairn"));
    command
        .args(args)
        .current_dir(folder)
        .env_remove("RUST_LOG")
        // What whoever runs the tests trusts is not theirs.
        .env("CAIRN_STATE_DIR", folder.join(".state"))
        .env("NO_COLOR", "1");
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CAIRN__") {
            command.env_remove(name);
        }
    }
    command
}

/// What `cairn ARGS` in `folder` prints, and how it ends.
pub(crate) fn run(folder: &Path, args: &[&str]) -> Output {
    command(folder, args).output().unwrap()
}

/// Output as text.
pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// The document that a successful run printed.
pub(crate) fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}
