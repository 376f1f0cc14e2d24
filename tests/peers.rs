//! Packages of other people that tests talk to, from PyPI and npm.
//!
//! A package that is missing makes a test print that it skips, unless `CAIRN_PEERS=require`: then
//! it is installed into the build folder, and cannot be missing.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// Whether a package that is missing is to be installed.
pub(crate) fn are_required() -> bool {
    std::env::var_os("CAIRN_PEERS").is_some_and(|value| value == "require")
}

/// Whether the program does what it is told.
pub(crate) fn run(program: &Path, arguments: &[&str]) -> bool {
    let command = Command::new(program)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    command.is_ok_and(|status| status.success())
}

/// A Python that has `packages` (as pip knows them, with their versions), which `check` proves;
/// `None` if they may be missing and are. `folder` names its environment.
pub(crate) fn python(folder: &str, packages: &[&str], check: &str) -> Option<PathBuf> {
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
    if !are_required() {
        println!("skipped: python3 lacks {packages:?}; CAIRN_PEERS=require installs them");
        return None;
    }
    let folder = folder.to_str().unwrap();
    assert!(run(own, &["-m", "venv", folder]), "python3 makes no venv");
    let install = ["-m", "pip", "install", "--quiet"];
    let install = [&install[..], packages].concat();
    assert!(run(&python, &install), "pip does not install {packages:?}");
    assert!(
        run(&python, &["-c", check]),
        "{packages:?} cannot be imported"
    );
    Some(python)
}

/// A folder from which Node finds `package` (`name@version`); `None` if it may be missing and is.
#[allow(dead_code, reason = "the tests of `jobs` need no Node")]
pub(crate) fn node_modules(package: &str) -> Option<PathBuf> {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let (name, _) = package.rsplit_once('@').unwrap();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = folder.join(format!("node-{}", package.replace('/', "-")));
    let manifest = folder.join("node_modules").join(name).join("package.json");
    if manifest.is_file() {
        return Some(folder);
    }
    if !are_required() {
        println!("skipped: Node lacks {package}; CAIRN_PEERS=require installs it");
        return None;
    }
    std::fs::create_dir_all(&folder).unwrap();
    let prefix = folder.to_str().unwrap();
    let quiet = ["--silent", "--no-audit", "--no-fund", "--ignore-scripts"];
    let install = [&["install", "--prefix", prefix], &quiet[..], &[package]].concat();
    let installed = run(Path::new("npm"), &install);
    assert!(installed, "npm does not install {package}");
    Some(folder)
}
