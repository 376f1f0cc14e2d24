//! The direction of the arrows: crates by `cargo metadata`, rooms of the root
//! crate by their `use crate::` lines, and the size of files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Workspace crates and the workspace crates each may depend on.
const CRATES: &[(&str, &[&str])] = &[
    ("cairn-models", &[]),
    ("cairn-eval", &[]),
    ("cairn-indexer", &["cairn-models"]),
    ("cairn", &["cairn-models", "cairn-indexer", "cairn-eval"]),
];

/// Rooms of `src/` and the rooms each may use. `config` and `telemetry` are at
/// the bottom; `server` and `cli` at the top.
const ROOMS: &[(&str, &[&str])] = &[
    ("config", &[]),
    ("telemetry", &["config"]),
    ("retrieve", &["config", "telemetry"]),
    ("gateway", &["config", "telemetry"]),
    ("answer", &["config", "telemetry", "gateway", "retrieve"]),
    (
        "agent",
        &["config", "telemetry", "gateway", "retrieve", "answer"],
    ),
    ("jobs", &["config", "telemetry"]),
    (
        "server",
        &[
            "config",
            "telemetry",
            "gateway",
            "retrieve",
            "answer",
            "agent",
            "jobs",
        ],
    ),
    (
        "cli",
        &[
            "config",
            "telemetry",
            "gateway",
            "retrieve",
            "answer",
            "agent",
            "jobs",
            "server",
        ],
    ),
];

/// Longest file; a longer one argues for its length in its first ten lines
/// with the words "long because".
const MAX_LINES: usize = 600;

/// Cargo runs tests in the package's folder. The folder of the build is another
/// one where several checkouts share a target folder.
fn root() -> &'static Path {
    Path::new(".")
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// The rooms named by `crate::room` outside comments.
fn rooms_used(source: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for line in source.lines() {
        let code = line.split("//").next().unwrap_or_default();
        for after in code.split("crate::").skip(1) {
            // `use crate::{answer, retrieve::Mode}` names several.
            let list = after.strip_prefix('{').map_or(vec![after], |inner| {
                inner.trim_end_matches(['}', ';']).split(',').collect()
            });
            for part in list {
                let name: String = part
                    .trim_start()
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect();
                used.insert(name);
            }
        }
    }
    used
}

#[test]
fn crates_point_one_way() {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
        ])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let allowed: BTreeMap<_, _> = CRATES.iter().copied().collect();
    let packages = metadata["packages"].as_array().unwrap();
    assert_eq!(
        packages.len(),
        CRATES.len(),
        "a new crate needs a line in CRATES"
    );
    for package in packages {
        let name = package["name"].as_str().unwrap();
        let may = allowed
            .get(name)
            .unwrap_or_else(|| panic!("no line for crate {name}"));
        for dependency in package["dependencies"].as_array().unwrap() {
            let dependency = dependency["name"].as_str().unwrap();
            assert!(
                !allowed.contains_key(dependency) || may.contains(&dependency),
                "{name} must not depend on {dependency}"
            );
        }
    }
}

#[test]
fn rooms_point_one_way() {
    let allowed: BTreeMap<_, _> = ROOMS.iter().copied().collect();
    let src = root().join("src");
    let mut checked = 0;
    for file in rust_files(&src) {
        let inside = file.strip_prefix(&src).unwrap();
        let Some(room) = inside.parent().and_then(|folder| folder.iter().next()) else {
            continue; // lib.rs
        };
        let room = room.to_str().unwrap();
        if room == "bin" {
            continue;
        }
        let may = allowed
            .get(room)
            .unwrap_or_else(|| panic!("no line for room {room}"));
        for used in rooms_used(&std::fs::read_to_string(&file).unwrap()) {
            assert!(
                used == room
                    || !allowed.contains_key(used.as_str())
                    || may.contains(&used.as_str()),
                "{}: `{room}` must not use `{used}`",
                inside.display()
            );
            checked += 1;
        }
    }
    assert!(checked > 0, "no arrow was read");
}

#[test]
fn the_reader_of_arrows_sees_them() {
    let source =
        "use crate::{answer, retrieve::Mode};\nlet x = crate::server::run(); // crate::cli";
    let used: Vec<_> = rooms_used(source).into_iter().collect();
    assert_eq!(used, ["answer", "retrieve", "server"]);
}

#[test]
fn files_are_short() {
    for folder in [
        "src",
        "models/src",
        "indexer/src",
        "eval/src",
        "tests",
        "benches",
    ] {
        let folder = root().join(folder);
        if !folder.is_dir() {
            continue;
        }
        for file in rust_files(&folder) {
            let source = std::fs::read_to_string(&file).unwrap();
            let argued = source
                .lines()
                .take(10)
                .any(|line| line.contains("long because"));
            let lines = source.lines().count();
            assert!(
                lines <= MAX_LINES || argued,
                "{} has {lines} lines: split it, or say in its head why it is long",
                file.display()
            );
        }
    }
}

#[test]
fn links_in_the_pages_are_alive() {
    let link = |page: &str| -> Vec<String> {
        let text = std::fs::read_to_string(root().join(page)).unwrap();
        let targets = text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next());
        targets
            .filter(|target| !target.contains("://") && !target.starts_with('#'))
            .map(|target| target.split('#').next().unwrap().to_owned())
            .collect()
    };
    for page in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
    ] {
        for target in link(page) {
            assert!(
                root().join(&target).exists(),
                "{page} links to {target}, which is not there"
            );
        }
    }
}
