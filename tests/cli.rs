//! The binary as a user meets it: usage, exit codes, stdout against stderr,
//! and the shapes of `--json`.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::command::{command, run, text};

fn stdout(output: &Output) -> &str {
    text(&output.stdout)
}

fn stderr(output: &Output) -> &str {
    text(&output.stderr)
}

#[test]
fn bad_usage_ends_with_2_and_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("bad.toml"), "[retrieval]\ncandidate = 5\n").unwrap();
    let cases: &[(&[&str], &str)] = &[
        (&[], "Usage"),
        (&["nope"], "nope"),
        (&["search"], "WORDS"),
        (&["query"], "QUESTION"),
        (&["search", "x", "-k", "0"], "-k"),
        (&["search", "x", "-k", "many"], "-k"),
        (&["search", "x", "--mode", "psychic"], "psychic"),
        (&["search", "x", "--expand", "psychic"], "psychic"),
        (&["search", "x", "--expand", "queries"], "cairn query"),
        (&["search", "x", "--filter", "{"], "not JSON"),
        (
            &["search", "x", "--filter", "{\"a\": {\"like\": 1}}"],
            "like",
        ),
        (
            &["serve", "--bind", "not an address", "-q"],
            "not an address",
        ),
        (&["-q", "-v", "search", "x"], "cannot be used with"),
        (&["--config", "nowhere.toml", "doctor"], "nowhere.toml"),
        (&["--config", "bad.toml", "doctor"], "candidate"),
        (&["completions", "tcl"], "tcl"),
    ];
    for (args, expected) in cases {
        let output = run(dir.path(), args);
        assert_eq!(
            output.status.code(),
            Some(2),
            "{args:?}: {}",
            stderr(&output)
        );
        assert!(
            stderr(&output).contains(expected),
            "{args:?}: {}",
            stderr(&output)
        );
        assert_eq!(stdout(&output), "", "{args:?}");
    }
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "bad usage makes no files");
}

#[test]
fn help_and_version_are_results() {
    let dir = tempfile::tempdir().unwrap();
    for args in [
        &["--help"][..],
        &["-V"],
        &["search", "--help"],
        &["models", "--help"],
    ] {
        let output = run(dir.path(), args);
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert!(
            !output.stdout.is_empty() && output.stderr.is_empty(),
            "{args:?}"
        );
    }
    let help = run(dir.path(), &["--help"]);
    for command in [
        "up",
        "index",
        "serve",
        "search",
        "query",
        "models",
        "doctor",
        "completions",
        "man",
    ] {
        let line = format!("\n  {command} ");
        assert!(
            stdout(&help).contains(&line),
            "{command} is missing:\n{}",
            stdout(&help)
        );
    }
}

#[test]
fn completions_and_the_manual_page_are_written() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = run(dir.path(), &["completions", shell]);
        assert!(
            output.status.success() && stdout(&output).contains("cairn"),
            "{shell}"
        );
    }
    let page = run(dir.path(), &["man"]);
    assert!(stdout(&page).contains(".TH cairn 1") && stdout(&page).contains("CAIRN SEARCH"));
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = command(dir.path(), &["man"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{:?}", output.status);
    assert_eq!(stderr(&output), "");
}

#[test]
fn models_are_listed_as_text_and_as_json() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("models");
    let list = |args: &[&str]| {
        command(dir.path(), args)
            .env("CAIRN_MODELS_DIR", &folder)
            .output()
            .unwrap()
    };
    let text = list(&["models", "list"]);
    assert!(text.status.success(), "{}", stderr(&text));
    assert!(stdout(&text).contains("all-minilm-l6-v2"));
    let json = list(&["models", "list", "--json"]);
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    let models = json["models"].as_array().unwrap();
    let embedder = models
        .iter()
        .find(|model| model["id"] == "all-minilm-l6-v2")
        .unwrap();
    assert_eq!(embedder["configured"], true);
    assert_eq!(embedder["state"], "missing");
    assert!(embedder["size"].as_u64().unwrap() > 0);
    assert!(!folder.exists(), "listing makes nothing");

    let unknown = list(&["models", "pull", "no-such-model", "--json"]);
    assert_eq!(unknown.status.code(), Some(1));
    let json: Value = serde_json::from_slice(&unknown.stdout).unwrap();
    assert_eq!(json["models"][0]["ok"], false);
    assert!(stderr(&unknown).contains("no-such-model"));
}

/// A service without models, which is ready at once.
fn serve(folder: &Path, bind: &str) -> Command {
    let mut serve = command(folder, &["serve", "--json", "--bind", bind]);
    for model in ["EMBEDDER", "RERANKER", "GENERATOR"] {
        serve.env(format!("CAIRN__MODELS__{model}"), "none");
    }
    serve.stdout(Stdio::piped()).stderr(Stdio::piped());
    serve
}

#[test]
fn a_taken_port_is_explained() {
    let dir = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = serve(dir.path(), &address).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(
        text.contains(&format!("error: another program listens on {address}")),
        "{text}"
    );
    assert!(text.contains("hint: ") && text.contains("--bind"), "{text}");
}

#[cfg(unix)]
#[test]
fn the_first_signal_stops_the_service_cleanly() {
    use std::io::{BufRead as _, BufReader};

    let dir = tempfile::tempdir().unwrap();
    for signal in ["-INT", "-TERM"] {
        let mut child = serve(dir.path(), "127.0.0.1:0").spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut text = String::new();
        while serde_json::from_str::<Value>(&text).is_err() {
            text.push_str(&lines.next().unwrap().unwrap());
        }
        let url: Value = serde_json::from_str(&text).unwrap();
        let url = url["url"].as_str().unwrap();
        let client = reqwest::blocking::Client::builder()
            .no_proxy()
            .build()
            .unwrap();
        let health: Value = client
            .get(format!("{url}/health"))
            .send()
            .unwrap()
            .json()
            .unwrap();
        assert_eq!(health["status"], "ok");
        let pid = child.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &pid])
                .status()
                .unwrap()
                .success()
        );
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(0),
            "{signal}: {}",
            stderr(&output)
        );
    }
}

/// The JSON that a command printed, after checking its exit code.
fn json(folder: &Path, args: &[&str], code: i32) -> Value {
    let output = run(folder, args);
    assert_eq!(
        output.status.code(),
        Some(code),
        "{args:?}: {}",
        stderr(&output)
    );
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{args:?}: {error}: {}", stdout(&output)))
}

#[test]
fn a_folder_is_indexed_searched_and_asked() {
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path();
    let docs = here.join("docs");
    std::fs::create_dir(&docs).unwrap();
    let guide = "# Gateway\n\nThe error ERR_CONN_4012 means that the gateway refused the \
        connection. Restart the gateway to clear it.\n\n# Backups\n\nBackups run every night at \
        two and are kept for thirty days.\n";
    std::fs::write(docs.join("guide.md"), guide).unwrap();
    std::fs::write(
        docs.join("other.txt"),
        "Penguins swim well and cannot fly.\n",
    )
    .unwrap();

    let first = json(here, &["index", "docs", "--json"], 0);
    assert_eq!(
        (&first["added"], &first["collection"]),
        (&2.into(), &"main".into()),
        "{first}"
    );
    assert!(first["embedded"].as_u64().unwrap() >= 2, "{first}");
    assert_eq!(first["failed"], serde_json::json!([]));
    let second = json(here, &["index", "docs", "--json"], 0);
    assert_eq!(
        (&second["unchanged"], &second["embedded"]),
        (&2.into(), &0.into()),
        "{second}"
    );

    // A bad file does not stop a run; the exit code tells.
    std::fs::write(docs.join("broken.pdf"), "%PDF-1.7\nnot really").unwrap();
    let third = json(here, &["index", "docs", "--json"], 1);
    assert_eq!(third["failed"].as_array().unwrap().len(), 1, "{third}");
    assert!(
        third["failed"][0]["path"]
            .as_str()
            .unwrap()
            .contains("broken.pdf"),
        "{third}"
    );

    let found = json(here, &["search", "ERR_CONN_4012", "-k", "1", "--json"], 0);
    let source = &found["sources"][0];
    assert_eq!(source["uri"], "docs/guide.md", "{found}");
    assert!(source["ranks"]["lexical"].is_number() && source["ranks"]["rerank"].is_number());
    let text = run(here, &["search", "ERR_CONN_4012", "-k", "1", "-v"]);
    for expected in ["docs/guide.md:", "ERR_CONN_4012", "re-ranked #1"] {
        assert!(
            stdout(&text).contains(expected),
            "{expected}: {}",
            stdout(&text)
        );
    }
    assert!(
        stderr(&text).contains("total"),
        "timings are no result: {}",
        stderr(&text)
    );

    let done = json(
        here,
        &["query", "--extractive", "When do backups run?", "--json"],
        0,
    );
    assert_eq!(
        (&done["provider"], &done["refused"]),
        (&"extractive".into(), &false.into())
    );
    assert!(
        done["answer"].as_str().unwrap().contains("every night"),
        "{done}"
    );
    let cited = &done["citations"][0];
    let n = usize::try_from(cited["n"].as_u64().unwrap()).unwrap();
    let source = &done["sources"][n - 1];
    assert_eq!(source["uri"], "docs/guide.md", "{done}");
    assert_eq!(source["chunk_id"], cited["chunk_id"]);
    assert_eq!(done["collection"], "main");
    let text = run(here, &["query", "--extractive", "When do backups run?"]);
    assert!(stdout(&text).contains("Sources") && stdout(&text).contains("docs/guide.md"));

    let missing = run(
        here,
        &[
            "search",
            "x",
            "--collection",
            "nowhere",
            "--mode",
            "lexical",
        ],
    );
    assert_eq!(missing.status.code(), Some(1));
    assert!(stderr(&missing).contains("nowhere"), "{}", stderr(&missing));
    let missing = run(here, &["index", "no-such-folder"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(
        stderr(&missing).contains("no-such-folder"),
        "{}",
        stderr(&missing)
    );
}

#[test]
fn the_doctor_finds_damage() {
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path();
    std::fs::write(here.join("a.md"), "# A\n\nThe gate is open.\n").unwrap();
    json(here, &["index", "a.md", "--json"], 0);
    let well = json(here, &["doctor", "--json"], 0);
    assert_eq!(well["ok"], true, "{well}");
    let subjects: Vec<_> = well["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| &f["subject"])
        .collect();
    assert!(subjects.contains(&&"collection main".into()), "{well}");

    // Cut every file of the collection in half.
    let mut folders = vec![here.join(".cairn/collections/main")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = std::fs::read(&path).unwrap();
                std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
            }
        }
    }
    let ill = json(here, &["doctor", "--json"], 1);
    assert_eq!(ill["ok"], false, "{ill}");
    let output = run(here, &["search", "gate", "--mode", "lexical"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).starts_with("error: "),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let docs = dir.path().join("docs");
    std::fs::create_dir(&docs).unwrap();
    std::fs::write(docs.join("a.md"), "# A\n\nText.").unwrap();
    std::fs::write(docs.join("empty.md"), "").unwrap();
    let dry = |more: &[&str]| {
        let args = [
            &["--data-dir", "data", "index", "docs", "--dry-run"][..],
            more,
        ]
        .concat();
        run(dir.path(), &args)
    };
    let output = dry(&["--json", "--label", "team"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let manifest: Value = serde_json::from_slice(&output.stdout).unwrap();
    let entries = manifest["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 2, "{manifest}");
    assert_eq!(
        (&entries[0]["action"], &entries[0]["uri"]),
        (&"add".into(), &"docs/a.md".into())
    );
    assert_eq!(entries[1]["reason"], "the file is empty");
    assert_eq!(
        (&manifest["labels"][0], &manifest["sums"]["add"]["files"]),
        (&"team".into(), &1.into())
    );
    let said = dry(&[]);
    assert!(
        stdout(&said).contains("Nothing was changed"),
        "{}",
        stdout(&said)
    );
    assert!(!dir.path().join("data/collections/main/words").exists());

    for args in [
        &["index"][..],
        &["index", "docs", "--dry-run", "--detach"],
        &["index", "docs", "--manifest", "plan.json"],
    ] {
        assert_eq!(run(dir.path(), args).status.code(), Some(2), "{args:?}");
    }
}
