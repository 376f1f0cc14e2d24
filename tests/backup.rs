//! `cairn backup` and `cairn restore`.

use std::path::Path;

use crate::command::{json, run, text};

/// A data folder with one document and one key.
fn filled(place: &Path) {
    std::fs::create_dir(place.join("docs")).unwrap();
    std::fs::write(
        place.join("docs/kettle.md"),
        "# Kettle\n\nThe copper kettle weighs four kilograms.\n",
    )
    .unwrap();
    json(&run(
        place,
        &["--data-dir", "data", "index", "docs", "--json"],
    ));
    json(&run(
        place,
        &["--data-dir", "data", "keys", "create", "ops", "--json"],
    ));
}

fn kettles(place: &Path, data: &str) -> usize {
    let found = json(&run(
        place,
        &["--data-dir", data, "search", "copper kettle", "--json"],
    ));
    found["sources"].as_array().unwrap().len()
}

#[test]
fn a_backup_is_put_back_whole() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path();
    filled(place);
    let queue = ["--data-dir", "data", "index", "docs", "--detach", "--json"];
    let queued = json(&run(place, &queue));
    // A file that was uploaded to `/v1/files`.
    let (uploads, id) = (place.join("data/uploads"), "0123456789abcdef");
    std::fs::create_dir(&uploads).unwrap();
    std::fs::write(uploads.join(id), "kettle").unwrap();
    std::fs::write(uploads.join(format!("{id}.json")), "{}").unwrap();
    let made = json(&run(
        place,
        &["--data-dir", "data", "backup", "copy", "--json"],
    ));
    assert_eq!(made["collections"]["main"], 1);
    std::fs::remove_file(uploads.join(id)).unwrap();
    // What comes after the backup is not in it.
    json(&run(
        place,
        &[
            "--data-dir",
            "data",
            "jobs",
            "cancel",
            queued["jobs"][0]["id"].as_str().unwrap(),
            "--json",
        ],
    ));
    std::fs::write(place.join("docs/late.md"), "A copper kettle, added later.").unwrap();
    json(&run(
        place,
        &["--data-dir", "data", "index", "docs", "--json"],
    ));

    let back = json(&run(
        place,
        &["--data-dir", "again/data", "restore", "copy", "--json"],
    ));
    assert_eq!(back["files"], made["files"]);
    assert_eq!(kettles(place, "again/data"), 1);
    let uploaded = std::fs::read(place.join("again/data/uploads").join(id));
    assert_eq!(uploaded.unwrap(), b"kettle");
    let jobs = json(&run(
        place,
        &["--data-dir", "again/data", "jobs", "list", "--json"],
    ));
    assert_eq!(jobs["jobs"][0]["id"], queued["jobs"][0]["id"], "{jobs}");
    assert_eq!(jobs["jobs"].as_array().unwrap().len(), 1);
    assert_eq!(kettles(place, "data"), 2);
    assert!(place.join("again/data/keys-required").exists());
    let keys = json(&run(
        place,
        &["--data-dir", "again/data", "keys", "list", "--json"],
    ));
    assert!(keys.to_string().contains("ops"), "{keys}");
    // It is a data folder like any other.
    json(&run(
        place,
        &["--data-dir", "again/data", "index", "docs", "--json"],
    ));
    assert_eq!(kettles(place, "again/data"), 2);
    let leftovers = std::fs::read_dir(place).unwrap().flatten();
    let leftovers: Vec<_> = leftovers
        .map(|entry| entry.file_name().into_string().unwrap())
        .filter(|name| name.starts_with(".cairn-"))
        .collect();
    assert!(leftovers.is_empty(), "{leftovers:?}");
}

#[test]
fn nothing_is_overwritten_and_nothing_damaged_is_restored() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path();
    filled(place);
    json(&run(
        place,
        &["--data-dir", "data", "backup", "copy", "--json"],
    ));
    let fails = |args: &[&str], expected: &str| {
        let output = run(place, args);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {error}");
        assert!(error.contains(expected), "{args:?}: {error}");
    };
    fails(&["--data-dir", "data", "backup", "copy"], "not empty");
    fails(&["--data-dir", "data", "restore", "copy"], "not empty");
    fails(&["--data-dir", "new", "restore", "docs"], "not a backup");

    let vectors = place.join("copy/collections/main/vectors");
    let file = std::fs::read_dir(vectors).unwrap().next().unwrap().unwrap();
    let mut bytes = std::fs::read(file.path()).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(file.path(), bytes).unwrap();
    fails(
        &["--data-dir", "new", "restore", "copy"],
        "not as it was backed up",
    );
    assert!(!place.join("new").exists());
}
