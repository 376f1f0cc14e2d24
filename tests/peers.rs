//! Packages of other people that tests talk to, from PyPI.
//!
//! A Python without the package makes a test print that it skips, unless
//! `CAIRN_PEERS=require`: then the package is installed into a virtual environment of the build
//! folder, and cannot be missing.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

fn run(program: &Path, arguments: &[&str]) -> bool {
    let command = Command::new(program)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    command.is_ok_and(|status| status.success())
}

/// A Python that has `package` (as pip knows it, with its version), which `check` proves;
/// `None` if it may be missing and is. `folder` names its environment.
pub(crate) fn python(folder: &str, package: &str, check: &str) -> Option<PathBuf> {
    // Tests run side by side, and one environment is made once.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let own = Path::new("python3");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
    let python = folder.join("bin/python");
    for python in [&python, own] {
        if run(python, &["-c", check]) {
            return Some(python.to_owned());
        }
    }
    if std::env::var_os("CAIRN_PEERS").is_none_or(|value| value != "require") {
        println!("skipped: python3 has no {package}; CAIRN_PEERS=require installs it");
        return None;
    }
    let folder = folder.to_str().unwrap();
    assert!(run(own, &["-m", "venv", folder]), "python3 makes no venv");
    let install = ["-m", "pip", "install", "--quiet", package];
    assert!(run(&python, &install), "pip does not install {package}");
    assert!(run(&python, &["-c", check]), "{package} cannot be imported");
    Some(python)
}
