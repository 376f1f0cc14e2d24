use std::collections::BTreeMap;

use super::*;
use crate::{Hit, Qrels, Run, score};

fn hits(ids: &[&str]) -> Vec<Hit> {
    let hit = |(at, id): (usize, &&str)| Hit {
        id: (*id).to_owned(),
        score: 1.0 / (at + 1) as f32,
    };
    ids.iter().enumerate().map(hit).collect()
}

fn evaluation(rankings: &[(&str, &[&str])]) -> (Qrels, Evaluation) {
    let mut qrels = Qrels::default();
    for (question, _) in rankings {
        let judged = [
            ("a".to_owned(), 2),
            ("b".to_owned(), 1),
            ("x".to_owned(), 0),
        ];
        qrels
            .questions
            .insert((*question).to_owned(), judged.into());
    }
    let run = Run {
        rankings: rankings
            .iter()
            .map(|(question, ids)| ((*question).to_owned(), hits(ids)))
            .collect(),
    };
    let measures: Vec<Measure> = ["ndcg@10", "recall@10"].map(|m| m.parse().unwrap()).into();
    let evaluation = Evaluation {
        figures: score(&run, &qrels, &measures),
        run,
        latency_ms: BTreeMap::new(),
        totals_ms: Vec::new(),
        degraded: BTreeMap::new(),
    };
    (qrels, evaluation)
}

fn report(rankings: &[(&str, &[&str])]) -> Report {
    let (qrels, evaluation) = evaluation(rankings);
    let mut report = Report::default();
    for (id, judged) in &qrels.questions {
        let relevant = judged.iter().filter(|(_, grade)| **grade > 0);
        let asked = Asked {
            text: format!("question {id}"),
            relevant: relevant.map(|(id, grade)| (id.clone(), *grade)).collect(),
        };
        report.asked.insert(id.clone(), asked);
    }
    report.add("hybrid", &evaluation);
    report
}

#[test]
fn every_question_keeps_its_values_ranks_and_what_was_found() {
    let report = report(&[("1", &["x", "a"]), ("2", &["a", "b"]), ("3", &[])]);
    let mode = &report.modes[0];
    let first = &mode.per_query["1"];
    assert_eq!(first.values["recall@10"], 0.5);
    assert_eq!(first.found, ["x", "a"]);
    assert_eq!(
        first.ranks,
        [("a".to_owned(), Some(2)), ("b".to_owned(), None)].into()
    );
    assert_eq!(first.first_rank(), Some(2));
    assert_eq!(mode.per_query["3"].first_rank(), None);
    assert_eq!(mode.metrics["recall@10"], 0.5);
    assert_eq!(mode.recall_by_depth, [(1, rounded(0.5 / 3.0)), (2, 0.5)]);
    assert_eq!(report.worst(mode, "ndcg@10", 5), ["3", "1"]);
}

#[test]
fn a_report_reads_back_as_it_was_written() {
    let report = report(&[("1", &["a"]), ("2", &["b", "a"])]);
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = serde_json::to_string_pretty(&report).unwrap();
    std::fs::write(file.path(), &text).unwrap();
    let again = Report::read(file.path()).unwrap();
    assert_eq!(serde_json::to_string_pretty(&again).unwrap(), text);
    std::fs::write(file.path(), "{\n\"modes\": 7}").unwrap();
    let message = Report::read(file.path()).unwrap_err().to_string();
    assert!(message.contains(":2: not a report"), "{message}");
    std::fs::write(file.path(), "{}").unwrap();
    let message = Report::read(file.path()).unwrap_err().to_string();
    assert!(message.contains("no modes"), "{message}");
}

#[test]
fn a_baseline_judges_what_both_have() {
    let good = report(&[("1", &["a", "b"]), ("2", &["a", "b"])]);
    let mut worse = report(&[("1", &["a", "b"]), ("2", &["x", "a", "b"])]);
    let ndcg: Vec<Measure> = vec!["ndcg@10".parse().unwrap()];
    worse.judge_by(&good, &ndcg, 0.005).unwrap();
    assert!(!worse.passed());
    worse.gates.clear();
    worse.judge_by(&good, &ndcg, 0.5).unwrap();
    assert!(worse.passed());
    let mut same = good.clone();
    same.judge_by(&good, &ndcg, 0.0).unwrap();
    assert!(same.passed());
    let other: Vec<Measure> = vec!["mrr@3".parse().unwrap()];
    assert!(same.judge_by(&good, &other, 0.0).is_err());
    let fewer = report(&[("1", &["a"])]);
    let message = same.judge_by(&fewer, &ndcg, 0.0).unwrap_err().to_string();
    assert!(
        message.contains("baseline was measured on 1 questions"),
        "{message}"
    );
}

#[test]
fn answers_are_judged_and_what_is_not_measured_fails() {
    let mut report = report(&[("1", &["a"])]);
    let metric = crate::answers::AnswerMetric {
        value: 0.8,
        confidence_95: [0.7, 0.9],
        of: 10,
    };
    report.answers = Some(AnswerReport {
        metrics: [("faithfulness".to_owned(), metric)].into(),
        ..AnswerReport::default()
    });
    let gate = |text: &str| vec![text.parse::<AnswerGate>().unwrap()];
    report.judge_answers(&gate("faithfulness<0.7"));
    assert!(report.passed());
    report.judge_answers(&gate("refusal_recall<0.7"));
    assert!(!report.passed());
    let text = serde_json::to_string(&report).unwrap();
    serde_json::from_str::<Report>(&text).unwrap();
}
