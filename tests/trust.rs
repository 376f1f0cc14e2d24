//! Configuration that came with a folder, and keys that are lost: what the binary does
//! and says.

use std::path::Path;
use std::process::{Output, Stdio};

use crate::command::{command, json, run, text};

/// What a stranger would like to set.
const PLANTED: &str = "[storage]\ndata_dir = \"elsewhere\"\n[answer]\nprovider = \"thief\"\n\
    [[providers]]\nname = \"thief\"\nbase_url = \"http://192.0.2.1/v1\"\nmodel = \"m\"\n\
    key_env = \"GITHUB_TOKEN\"\n[telemetry.otel]\nendpoint = \"http://192.0.2.1:4318\"\n";

fn said(output: &Output) -> &str {
    text(&output.stderr)
}

/// Makes a key, which shows where the data folder is.
fn data_folder_of(folder: &Path, more: &[&str]) -> Vec<String> {
    let mut args = vec!["keys", "create", "one", "-q"];
    args.extend(more);
    assert!(run(folder, &args).status.success());
    let entries = std::fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names
        .filter(|name| [".cairn", "elsewhere"].contains(&name.as_str()))
        .collect();
    names.sort();
    names
}

#[test]
fn a_file_that_came_with_the_folder_is_not_used_until_it_is_trusted() {
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path();
    std::fs::write(here.join("cairn.toml"), PLANTED).unwrap();

    // Not even quietly, and on stderr alone.
    let listed = run(here, &["keys", "list", "--json", "-q"]);
    assert!(json(&listed)["keys"].as_array().unwrap().is_empty());
    let warning = said(&listed);
    assert_eq!(warning.lines().count(), 1, "{warning}");
    for part in [
        "cairn.toml",
        "cairn trust",
        "--config",
        "providers",
        "telemetry.otel.endpoint",
    ] {
        assert!(warning.contains(part), "{part}: {warning}");
    }
    assert_eq!(data_folder_of(here, &[]), [".cairn"]);
    assert!(said(&run(here, &["keys", "list", "-v"])).contains("Configuration: built-in defaults"));

    let trusted = run(here, &["trust"]);
    assert!(trusted.status.success(), "{}", said(&trusted));
    assert!(text(&trusted.stdout).contains("answer.provider = \"thief\""));
    assert!(text(&trusted.stdout).contains("GITHUB_TOKEN"));
    let used = run(here, &["keys", "list", "-v"]);
    assert!(
        said(&used).contains("cairn.toml (trusted)"),
        "{}",
        said(&used)
    );
    assert_eq!(data_folder_of(here, &[]), [".cairn", "elsewhere"]);
    let list = json(&run(here, &["trust", "--list", "--json"]));
    assert_eq!(list["files"][0]["state"], "trusted");

    // Any change ends it.
    std::fs::write(here.join("cairn.toml"), format!("{PLANTED}text = true\n")).unwrap();
    let changed = run(here, &["keys", "list", "--json"]);
    assert!(json(&changed)["keys"][0].is_object());
    assert!(said(&changed).contains("changed"), "{}", said(&changed));
    assert!(
        said(&changed).contains("telemetry.otel.text"),
        "{}",
        said(&changed)
    );
    assert!(json(&run(here, &["trust", "--json"]))["sets"]["telemetry.otel.text"].is_string());
    assert_eq!(said(&run(here, &["keys", "list", "--json"])), "");

    assert!(run(here, &["trust", "--remove"]).status.success());
    assert!(said(&run(here, &["keys", "list"])).contains("cairn trust"));
    let twice = run(here, &["trust", "--remove"]);
    assert_eq!(twice.status.code(), Some(1), "{}", said(&twice));
}

#[test]
fn a_file_that_is_named_is_used_and_folders_above_are_not_searched() {
    let dir = tempfile::tempdir().unwrap();
    let below = dir.path().join("a/b");
    std::fs::create_dir_all(&below).unwrap();
    std::fs::write(dir.path().join("a/cairn.toml"), PLANTED).unwrap();
    std::fs::write(dir.path().join("cairn.toml"), "not TOML at all [").unwrap();
    let listed = run(&below, &["keys", "list", "-v"]);
    assert!(listed.status.success());
    assert!(!said(&listed).contains("cairn.toml"), "{}", said(&listed));
    assert_eq!(data_folder_of(&below, &[]), [".cairn"]);
    // A bare name means the one here, which is none.
    let missing = run(&below, &["keys", "list", "--config", "cairn.toml"]);
    assert_eq!(missing.status.code(), Some(2), "{}", said(&missing));
    assert_eq!(
        data_folder_of(&below, &["--config", "../cairn.toml"]),
        [".cairn", "elsewhere"]
    );
}

#[test]
fn what_cannot_be_used_is_not_trusted() {
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path();
    for (content, word) in [
        ("[retrieval]\ncandidate = 5\n", "candidate"),
        ("nonsense [", "TOML"),
    ] {
        std::fs::write(here.join("cairn.toml"), content).unwrap();
        let refused = run(here, &["trust"]);
        assert_eq!(refused.status.code(), Some(2));
        assert!(said(&refused).contains(word), "{}", said(&refused));
        // What is not used cannot be in the way either.
        assert!(run(here, &["keys", "list"]).status.success());
    }
    assert!(
        json(&run(here, &["trust", "--list", "--json"]))["files"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    assert_eq!(run(here, &["trust", "nowhere.toml"]).status.code(), Some(2));
}

/// `cairn serve`, which must end by itself.
fn refused_start(here: &Path, bind: &str) -> String {
    let mut serve = command(here, &["serve", "--bind", bind]);
    for model in ["EMBEDDER", "RERANKER", "GENERATOR"] {
        serve.env(format!("CAIRN__MODELS__{model}"), "none");
    }
    let output = serve.stdout(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    said(&output).to_owned()
}

#[test]
fn lost_keys_end_the_start_and_are_named_by_the_doctor() {
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path();
    let data = here.join(".cairn");
    assert!(run(here, &["keys", "create", "one", "-q"]).status.success());
    for entry in std::fs::read_dir(&data).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("gateway.sqlite") {
            std::fs::remove_file(path).unwrap();
        }
    }
    let error = refused_start(here, "127.0.0.1:0");
    for way in [
        "gateway.sqlite",
        "is missing",
        "backup",
        "keys create",
        "keys open --yes",
    ] {
        assert!(error.contains(way), "{way}: {error}");
    }
    assert!(!data.join("gateway.sqlite").exists(), "nothing is made up");
    let doctor = run(here, &["doctor", "--json"]);
    assert_eq!(doctor.status.code(), Some(1));
    let findings: serde_json::Value = serde_json::from_slice(&doctor.stdout).unwrap();
    let keys = findings["findings"]
        .as_array()
        .unwrap()
        .iter()
        .find(|finding| finding["subject"] == "API keys");
    assert_eq!(keys.unwrap()["severity"], "error", "{findings}");

    // On purpose, and only so, it is open again.
    assert_eq!(run(here, &["keys", "open"]).status.code(), Some(2));
    refused_start(here, "127.0.0.1:0");
    assert!(run(here, &["keys", "open", "--yes"]).status.success());
    let listed = run(here, &["keys", "list"]);
    assert!(
        said(&listed).contains("open to everybody"),
        "{}",
        said(&listed)
    );
}

#[test]
fn a_service_for_other_machines_needs_a_key() {
    let dir = tempfile::tempdir().unwrap();
    for bind in ["0.0.0.0:0", "[::]:0"] {
        if std::net::TcpListener::bind(bind).is_err() {
            continue; // a machine without IPv6
        }
        let error = refused_start(dir.path(), bind);
        for part in ["no API key", "cairn keys create", "server.open_to_network"] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
}
