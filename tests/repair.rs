//! `cairn doctor --repair`, and what `cairn doctor` says before it.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::command::{json, run};

const DATA: [&str; 2] = ["--data-dir", "data"];

fn cairn(place: &Path, args: &[&str]) -> Value {
    json(&run(place, &[&DATA[..], args, &["--json"]].concat()))
}

/// A data folder with two documents and a key.
fn filled(place: &Path) {
    std::fs::create_dir(place.join("docs")).unwrap();
    let kettle = "# Kettle\n\nThe copper kettle weighs four kilograms.\n";
    let lamp = "# Lamp\n\nThe paraffin lamp burns for nine hours.\n";
    std::fs::write(place.join("docs/kettle.md"), kettle).unwrap();
    cairn(place, &["index", "docs"]);
    std::fs::write(place.join("docs/lamp.md"), lamp).unwrap();
    cairn(place, &["index", "docs"]);
    cairn(place, &["keys", "create", "ops"]);
}

fn found(place: &Path, question: &str) -> Vec<String> {
    let found = cairn(place, &["search", question]);
    let sources = found["sources"].as_array().unwrap().iter();
    sources
        .map(|source| format!("{} {}", source["uri"], source["score"]))
        .collect()
}

/// What doctor says with `args`, and whether it found no error.
fn doctor(place: &Path, args: &[&str]) -> (bool, String) {
    let args = [&DATA[..], &["doctor", "--json"], args].concat();
    let output = run(place, &args);
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["ok"], output.status.success());
    (output.status.success(), said["findings"].to_string())
}

/// Files of the collection with this ending, in the order in which they were made.
fn files(place: &Path, folder: &str, ending: &str) -> Vec<PathBuf> {
    let folder = place.join("data/collections/main").join(folder);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(ending))
        .collect();
    files.sort_by_key(|path| path.metadata().unwrap().modified().unwrap());
    files
}

#[test]
fn vectors_are_embedded_again_and_searches_find_the_same() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path();
    filled(place);
    let before = found(place, "how heavy is the kettle");
    for file in files(place, "vectors", ".vec") {
        std::fs::remove_file(file).unwrap();
    }
    let (well, said) = doctor(place, &[]);
    assert!(!well && said.contains("nothing lost"), "{said}");
    assert!(said.contains("2 lost vectors made again"), "{said}");
    let (well, said) = doctor(place, &["--repair"]);
    assert!(well && said.contains("repaired, generation 3"), "{said}");
    assert_eq!(found(place, "how heavy is the kettle"), before);
    assert!(doctor(place, &["--repair"]).0);
}

#[test]
fn a_lost_document_is_named_and_indexed_again_from_its_folder() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path();
    filled(place);
    std::fs::remove_file(&files(place, "words", ".store")[0]).unwrap();
    let (well, said) = doctor(place, &["--repair"]);
    assert!(well, "{said}");
    assert!(said.contains("1 document lost: docs/kettle.md"), "{said}");
    assert!(said.contains("cairn index "), "{said}");
    assert!(
        found(place, "kettle")
            .iter()
            .all(|hit| !hit.contains("kettle.md"))
    );
    assert!(found(place, "lamp")[0].contains("lamp.md"));
    let report = cairn(place, &["index", "docs"]);
    assert_eq!(report["added"], 1, "{report}");
    assert!(found(place, "kettle")[0].contains("kettle.md"));
}

#[test]
fn damaged_databases_are_rebuilt_and_keys_stay_required() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path();
    filled(place);
    // The pages behind the first, which names the tables.
    let database = place.join("data/gateway.sqlite");
    let mut bytes = std::fs::read(&database).unwrap();
    let last = bytes.len() - 4096;
    bytes[last..].fill(0xA5);
    std::fs::write(&database, bytes).unwrap();
    std::fs::write(place.join("data/cache.sqlite"), "not a database").unwrap();
    let (well, said) = doctor(place, &[]);
    assert!(!well && said.contains("doctor --repair"), "{said}");
    let (_, said) = doctor(place, &["--repair"]);
    assert!(said.contains("rebuilt"), "{said}");
    assert!(!place.join("data/cache.sqlite").exists());
    assert!(place.join("data/gateway.sqlite.damaged-1").exists());
    assert!(place.join("data/keys-required").exists());
    let (_, said) = doctor(place, &[]);
    assert!(!said.contains("damaged ("), "{said}");
    // It takes new keys.
    cairn(place, &["keys", "create", "again"]);
    assert!(doctor(place, &[]).0);
}

#[test]
fn a_log_that_is_damaged_is_told_before_anything_opens_the_database() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path();
    filled(place);
    cairn(place, &["index", "docs", "--detach"]);
    // As a kill leaves it: the log is there, and its header is damaged.
    let queue = place.join("data/jobs.sqlite");
    let open = rusqlite::Connection::open(&queue).unwrap();
    open.execute_batch("UPDATE turn SET n = n + 1").unwrap();
    for end in ["", "-wal"] {
        let from = place.join(format!("data/jobs.sqlite{end}"));
        std::fs::copy(from, place.join(format!("killed{end}"))).unwrap();
    }
    drop(open);
    for end in ["", "-wal"] {
        let to = place.join(format!("data/jobs.sqlite{end}"));
        std::fs::rename(place.join(format!("killed{end}")), to).unwrap();
    }
    let log = place.join("data/jobs.sqlite-wal");
    let mut bytes = std::fs::read(&log).unwrap();
    bytes[9] ^= 4;
    std::fs::write(&log, &bytes).unwrap();
    let (well, said) = doctor(place, &[]);
    assert!(!well && said.contains("header of its log"), "{said}");
    assert_eq!(std::fs::read(&log).unwrap(), bytes);
    let (well, said) = doctor(place, &["--repair"]);
    assert!(well && said.contains("rebuilt"), "{said}");
    assert!(said.contains("jobs: 1 row"), "{said}");
    let jobs = cairn(place, &["jobs", "list"]);
    assert_eq!(jobs["jobs"].as_array().unwrap().len(), 1);
    let turns: i64 = rusqlite::Connection::open(&queue)
        .unwrap()
        .query_row("SELECT n FROM turn", [], |row| row.get(0))
        .unwrap();
    assert_eq!(turns, 1, "what was in the log only");
}

#[test]
fn that_keys_are_required_is_noted_again() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path();
    filled(place);
    let noted = place.join("data/keys-required");
    let whole = std::fs::read(&noted).unwrap();
    for fault in ["is missing", "is damaged"] {
        match fault {
            "is missing" => std::fs::remove_file(&noted).unwrap(),
            _ => std::fs::write(&noted, &whole[1..]).unwrap(),
        }
        let (well, said) = doctor(place, &[]);
        assert!(well && said.contains("keys-required"), "{said}");
        assert!(said.contains(fault), "{said}");
        assert_ne!(std::fs::read(&noted).ok().as_ref(), Some(&whole));
        doctor(place, &["--repair"]);
        assert_eq!(std::fs::read(&noted).unwrap(), whole);
        let (_, said) = doctor(place, &[]);
        assert!(!said.contains("keys-required"), "{said}");
    }

    // With the keys lost as well, a repair must not open the service.
    std::fs::remove_file(&noted).unwrap();
    let database = place.join("data/gateway.sqlite");
    let open = rusqlite::Connection::open(&database).unwrap();
    let sql = "SELECT rootpage FROM sqlite_schema WHERE name = 'keys'";
    let root: usize = open.query_row(sql, [], |row| row.get(0)).unwrap();
    open.close().unwrap();
    let mut bytes = std::fs::read(&database).unwrap();
    bytes[(root - 1) * 4096..root * 4096].fill(0xA5);
    std::fs::write(&database, bytes).unwrap();
    let (_, said) = doctor(place, &["--repair"]);
    assert!(said.contains("keys: 0 rows and lost others"), "{said}");
    assert!(noted.exists());
}

#[test]
fn uploads_that_are_damaged_are_told_and_put_aside() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path();
    filled(place);
    let data = place.join("data");
    // From before there were checksums: the length is all that is known.
    let id = "0123456789abcdef";
    std::fs::create_dir(data.join("uploads")).unwrap();
    std::fs::write(data.join("uploads").join(id), "abc").unwrap();
    std::fs::write(data.join("uploads").join(format!("{id}.json")), "{\"uri\"").unwrap();
    let waiting = "0195d1a5-0000-7000-8000-000000000000";
    std::fs::create_dir(data.join("spool")).unwrap();
    std::fs::write(data.join("spool").join(waiting), "half").unwrap();
    let (well, said) = doctor(place, &[]);
    assert!(
        !well && said.contains("what was known of it is damaged"),
        "{said}"
    );
    assert!(said.contains(waiting), "{said}");
    let (well, said) = doctor(place, &["--repair"]);
    assert!(well && said.contains("put aside"), "{said}");
    assert!(data.join("uploads-damaged").join(id).exists());
    assert!(data.join("spool-damaged").join(waiting).exists());
    assert_eq!(std::fs::read_dir(data.join("uploads")).unwrap().count(), 0);
}
