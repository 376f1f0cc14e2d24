//! The measures against `trec_eval` itself, through a committed fixture; see
//! fixtures/trec/make.py.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cairn_eval::{Measure, Qrels, Run, score};

fn fixture(name: &str) -> PathBuf {
    // Cargo runs tests in the package's folder; the one of the build may be
    // another, where several checkouts share a target folder.
    Path::new("tests/fixtures/trec").join(name)
}

#[test]
fn every_measure_equals_trec_eval() {
    let qrels = Qrels::read(&fixture("qrels.txt")).unwrap();
    let run = Run::read(&fixture("run.txt")).unwrap();
    let expected = std::fs::read_to_string(fixture("expected.json")).unwrap();
    let expected: BTreeMap<String, BTreeMap<String, f64>> =
        serde_json::from_str(&expected).unwrap();
    assert_eq!(expected.len(), 32);
    let mut compared = 0;
    for (question, values) in &expected {
        let ranking = run.ids(question);
        for (name, value) in values {
            let measure: Measure = name.parse().unwrap();
            let got = measure.of(&ranking, &qrels.questions[question]);
            assert!(
                (got - value).abs() < 1e-9,
                "{question} {name}: {got}, trec_eval {value}"
            );
            compared += 1;
        }
    }
    assert_eq!(compared, 32 * 29);
}

#[test]
fn a_question_without_results_counts_as_zero() {
    let qrels = Qrels::read(&fixture("qrels.txt")).unwrap();
    let run = Run::read(&fixture("run.txt")).unwrap();
    let figures = score(&run, &qrels, &["map".parse().unwrap()]);
    // 32 questions of the fixture's run, and one that it does not have.
    assert_eq!(figures[0].values.len(), 33);
    let sum: f64 = figures[0].values.iter().sum();
    assert!((figures[0].mean - sum / 33.0).abs() < 1e-12);
}
