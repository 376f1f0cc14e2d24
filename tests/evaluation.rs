//! `cairn eval` as CI uses it: questions of one's own over a folder, a draft of
//! such questions, two runs compared, exit codes, and bad lines named.

use std::path::Path;
use std::process::Output;

use crate::command::{command, json as passes, text};

fn cairn(folder: &Path, args: &[&str]) -> Output {
    command(folder, args).arg("-q").output().unwrap()
}

const BACKUPS: &str = "# Backups\n\nBackups of every volume are kept for thirty days, then they \
                       are removed from the store.\n\n## Restoring a backup\n\nCall the command \
                       restore with the number of the backup that should come back.\n";
const KEYS: &str = "# Keys\n\nA deploy key is a secret that lets a machine read one repository.\n";

fn folder(questions: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("docs")).unwrap();
    std::fs::write(dir.path().join("docs/backups.md"), BACKUPS).unwrap();
    std::fs::write(dir.path().join("docs/keys.md"), KEYS).unwrap();
    std::fs::write(dir.path().join("docs/questions.jsonl"), questions).unwrap();
    dir
}

#[test]
fn questions_of_ones_own_are_measured_answered_and_compared() {
    let questions = concat!(
        r#"{"id": "keep", "question": "How long are backups kept?", "relevant": [{"text": "kept for thirty days"}], "answer": "thirty days"}"#,
        "\n",
        r#"{"id": "key", "question": "what lets a machine read a repository", "relevant": ["docs/keys.md"]}"#,
        "\n",
        r#"{"id": "moon", "question": "Who was the first person on the moon?", "unanswerable": true}"#,
        "\n",
    );
    let dir = folder(questions);
    let eval = ["eval", "--dataset", "docs", "--modes", "hybrid", "--json"];
    let mut flags = eval.to_vec();
    flags.extend(["--answers", "--report", "page.html"]);
    let report = passes(&cairn(dir.path(), &flags));
    assert_eq!(report["documents"], 2, "the questions are not a document");
    let hybrid = &report["modes"][0];
    assert_eq!(hybrid["per_query"]["key"]["found"][0], "docs/keys.md");
    assert_eq!(hybrid["metrics"]["recall@10"], 1.0);
    assert!(hybrid["metrics"]["token-recall@5"].as_f64().unwrap() >= 0.5);
    let answers = &report["answers"];
    assert_eq!(answers["metrics"]["answer_contains"]["value"], 1.0);
    assert_eq!(answers["metrics"]["first_unit_right"]["value"], 1.0);
    assert_eq!(answers["metrics"]["extra_units"]["of"], 1);
    assert_eq!(answers["metrics"]["refusal_recall"]["value"], 1.0);
    assert_eq!(answers["metrics"]["wrong_refusals"]["value"], 0.0);
    assert_eq!(answers["judge"]["cost_usd"], 0.0);
    let page = std::fs::read_to_string(dir.path().join("page.html")).unwrap();
    assert!(page.contains("How long are backups kept?") || page.contains("Quality"));

    std::fs::write(dir.path().join("a.json"), report.to_string()).unwrap();
    let mut worse = report.clone();
    worse["modes"][0]["per_query"]["key"]["values"]["ndcg@10"] = 0.0.into();
    std::fs::write(dir.path().join("b.json"), worse.to_string()).unwrap();
    let compare = ["eval", "compare", "a.json", "b.json", "--json"];
    let found = passes(&cairn(dir.path(), &compare));
    assert_eq!(found["comparisons"][0]["losses"], 1);
    let mut flags = compare.to_vec();
    flags.extend(["--fail-if", "ndcg@10<-0.1"]);
    assert_eq!(cairn(dir.path(), &flags).status.code(), Some(1));

    // The run that was measured first is its own baseline.
    let mut flags = eval.to_vec();
    flags.extend(["--baseline", "a.json"]);
    let again = passes(&cairn(dir.path(), &flags));
    assert_eq!(again["cost"]["embedded_chunks"], 0);
    let mut flags = eval.to_vec();
    flags.extend(["--fail-if", "hybrid:recall@10<=1"]);
    assert_eq!(cairn(dir.path(), &flags).status.code(), Some(1));
}

#[test]
fn a_draft_of_questions_is_the_same_twice_and_can_be_asked() {
    let dir = folder("");
    let index = ["index", "docs/backups.md", "docs/keys.md", "--json"];
    passes(&cairn(dir.path(), &index));
    for name in ["one.jsonl", "two.jsonl"] {
        let output = cairn(dir.path(), &["eval", "init", "--out", name]);
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    assert_eq!(read("one.jsonl"), read("two.jsonl"));
    assert!(
        read("one.jsonl").contains("What is a deploy key?"),
        "{}",
        read("one.jsonl")
    );
    let again = cairn(dir.path(), &["eval", "init", "--out", "one.jsonl"]);
    assert_eq!(again.status.code(), Some(1));
    let flags = [
        "eval",
        "--questions",
        "one.jsonl",
        "--modes",
        "bm25",
        "--json",
    ];
    let report = passes(&cairn(dir.path(), &flags));
    assert_eq!(report["questions"], read("one.jsonl").lines().count());
    assert!(report["modes"][0]["metrics"]["mrr@10"].as_f64().unwrap() > 0.5);
}

#[test]
fn a_bad_line_ends_the_run_with_its_file_its_number_and_the_reason() {
    let good = r#"{"question": "x?", "relevant": ["docs/keys.md"]}"#;
    let dir = folder(&format!(
        "{good}\n{{\"question\": \"y?\", \"relevant\": [\"docs/gone.md\"]}}\n"
    ));
    let output = cairn(
        dir.path(),
        &["eval", "--dataset", "docs", "--modes", "bm25"],
    );
    assert_eq!(output.status.code(), Some(1));
    let message = text(&output.stderr);
    assert!(
        message.contains("questions.jsonl:2: `docs/gone.md` is neither"),
        "{message}"
    );
    let output = cairn(dir.path(), &["eval", "--dataset", "beir:nothing"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("scifact"),
        "{}",
        text(&output.stderr)
    );
    std::fs::write(dir.path().join("a.json"), "{\"modes\": [\n7]}").unwrap();
    let output = cairn(dir.path(), &["eval", "compare", "a.json", "a.json"]);
    assert!(
        text(&output.stderr).contains("a.json:2: not a report"),
        "{}",
        text(&output.stderr)
    );
}
