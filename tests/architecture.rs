//! What cargo does not hold by itself: which crate may need which, the arrows between
//! rooms inside a crate, the size of crates and files, and the links of the pages.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Names, and the names that each may use.
type Arrows = &'static [(&'static str, &'static [&'static str])];

/// Workspace crates and the workspace crates each may depend on.
const CRATES: Arrows = &[
    ("cairn-files", &[]),
    ("cairn-models", &["cairn-files"]),
    ("cairn-eval", &[]),
    ("cairn-jobs", &["cairn-files"]),
    ("cairn-parse", &[]),
    ("cairn-settings", &["cairn-files", "cairn-models"]),
    (
        "cairn-indexer",
        &["cairn-files", "cairn-models", "cairn-parse"],
    ),
    (
        "cairn-gateway",
        &["cairn-files", "cairn-models", "cairn-settings"],
    ),
    (
        "cairn-engine",
        &[
            "cairn-files",
            "cairn-models",
            "cairn-settings",
            "cairn-indexer",
            "cairn-gateway",
        ],
    ),
    (
        "cairn-agent",
        &[
            "cairn-models",
            "cairn-settings",
            "cairn-indexer",
            "cairn-gateway",
            "cairn-engine",
        ],
    ),
    (
        "cairn",
        &[
            "cairn-files",
            "cairn-models",
            "cairn-settings",
            "cairn-indexer",
            "cairn-gateway",
            "cairn-engine",
            "cairn-agent",
            "cairn-eval",
            "cairn-jobs",
        ],
    ),
];

/// What must not be anywhere beneath a crate: calls to language models need no index, and
/// reading a document needs neither index nor model.
const FREE_OF: Arrows = &[
    ("cairn-gateway", &["tantivy", "pdfium-render", "axum"]),
    ("cairn-parse", &["tantivy", "candle-core", "tokio"]),
    ("cairn-jobs", &["tantivy", "reqwest", "axum"]),
];

/// Folders with rooms, and the rooms that each room may use. What points from one crate
/// to another is held by cargo.
const ROOMS: &[(&str, Arrows)] = &[
    (
        "src",
        &[
            ("ingest", &[]),
            ("server", &["ingest"]),
            ("cli", &["server", "ingest"]),
        ],
    ),
    (
        "engine/src",
        &[("retrieve", &[]), ("answer", &["retrieve"])],
    ),
    (
        "jobs/src",
        &[
            ("sqlite", &[]),
            ("nats", &["sqlite"]),
            ("notify", &["sqlite"]),
        ],
    ),
    (
        "settings/src",
        &[
            ("private", &[]),
            ("config", &["private"]),
            ("telemetry", &["config"]),
        ],
    ),
];

/// The largest share of the code that one crate may have.
const MAX_SHARE: f64 = 0.25;

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

/// Where each crate's code is.
fn source_folders() -> [&'static str; 11] {
    [
        "files/src",
        "parse/src",
        "src",
        "models/src",
        "indexer/src",
        "eval/src",
        "settings/src",
        "gateway/src",
        "engine/src",
        "agent/src",
        "jobs/src",
    ]
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

/// What `cargo metadata` says of the workspace's own crates.
fn metadata() -> serde_json::Value {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--offline",
            "--no-deps",
        ])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn crates_point_one_way() {
    let metadata = metadata();
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
            if dependency["kind"] == "dev" {
                continue; // Tests may ask more: parsers fetch pdfium through the models' hub.
            }
            let dependency = dependency["name"].as_str().unwrap();
            assert!(
                !allowed.contains_key(dependency) || may.contains(&dependency),
                "{name} must not depend on {dependency}"
            );
        }
    }
}

#[test]
fn crates_stay_free_of_what_they_do_not_need() {
    for (name, unwanted) in FREE_OF {
        // `cargo metadata` gives every crate the features that all of them ask for together.
        let output = Command::new(env!("CARGO"))
            .args(["tree", "--offline", "--edges", "normal", "--prefix", "none"])
            .args(["--package", name])
            .current_dir(root())
            .output()
            .unwrap();
        let tree = String::from_utf8_lossy(&output.stdout);
        let crates: BTreeSet<&str> = tree
            .lines()
            .filter_map(|line| line.split(' ').next())
            .collect();
        assert!(
            crates.len() > 10,
            "{name}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        for unwanted in *unwanted {
            assert!(!crates.contains(unwanted), "{name} needs {unwanted}");
        }
    }
}

#[test]
fn no_crate_holds_most_of_the_code() {
    let lines = |folder: &str| -> usize {
        let count = |file: &PathBuf| std::fs::read_to_string(file).unwrap().lines().count();
        rust_files(&root().join(folder)).iter().map(count).sum()
    };
    let crates = source_folders().map(|folder| (folder, lines(folder)));
    let all: usize = crates.iter().map(|(_, lines)| lines).sum();
    for (folder, lines) in crates {
        let share = lines as f64 / all as f64;
        assert!(
            share <= MAX_SHARE,
            "{folder} holds {:.0} % of the code: what of it changes for a reason of its own?",
            share * 100.0
        );
    }
}

#[test]
fn rooms_point_one_way() {
    for (src, rooms) in ROOMS {
        let allowed: BTreeMap<_, _> = rooms.iter().copied().collect();
        let src = root().join(src);
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
            }
        }
    }
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
    for folder in source_folders().into_iter().chain(["tests", "benches"]) {
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
    let pages = pages(root());
    assert!(pages.len() > 5, "no pages were read");
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        for target in links(&text) {
            let file = page.parent().unwrap().join(target);
            assert!(
                file.exists(),
                "{} links to {target}, which is not there",
                page.display()
            );
        }
    }
}

/// Every page of the repository; builds and hidden folders hold none.
fn pages(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            found.extend(pages(&path));
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
    found
}

/// The files that `text` links to, without anchors, outside code.
fn links(text: &str) -> Vec<&str> {
    let outside_code = text.split("```").step_by(2);
    outside_code
        .flat_map(|part| part.split("](").skip(1))
        .filter_map(|rest| rest.split(')').next())
        .filter(|target| !target.contains("://") && !target.starts_with('#'))
        .filter_map(|target| target.split('#').next())
        .collect()
}

#[test]
fn the_reader_of_links_sees_them() {
    let text = "[a](x.md#part) [b](#here) ![c](y.png)\n```\n[d](z.md)\n```\n[e](ftp://f)";
    assert_eq!(links(text), ["x.md", "y.png"]);
}
