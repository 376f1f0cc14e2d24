//! Runs of other tools, judged as `trec_eval` judges them: its measures, its names, its
//! order of ties.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::notes::counted;
use crate::{Family, Measure, Qrels, Run};

/// The cut-offs of `trec_eval`.
const CUTOFFS: [usize; 9] = [5, 10, 15, 20, 30, 100, 200, 500, 1000];

/// Values by the names of `trec_eval`.
pub type Values = BTreeMap<String, f64>;

/// What a run is worth.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Judged {
    /// Questions that the means are over.
    pub num_q: usize,
    /// Documents of the run for them.
    pub num_ret: usize,
    /// Relevant documents of them.
    pub num_rel: usize,
    /// Those of both.
    pub num_rel_ret: usize,
    /// Means.
    pub metrics: Values,
    /// Values of each question.
    pub per_query: BTreeMap<String, Values>,
    /// What was left out, in words.
    pub notes: Vec<String>,
}

/// The measures in the order in which they are printed, with their names.
pub fn measures() -> Vec<(String, Measure)> {
    let mut measures: Vec<(String, Measure)> = [
        ("map", Family::Map),
        ("Rprec", Family::RPrecision),
        ("recip_rank", Family::Mrr),
        ("ndcg", Family::Ndcg),
    ]
    .map(|(name, family)| (name.to_owned(), Measure::whole(family)))
    .into();
    for (name, family) in [
        ("P", Family::Precision),
        ("recall", Family::Recall),
        ("ndcg_cut", Family::Ndcg),
    ] {
        let at = |cutoff| (format!("{name}_{cutoff}"), Measure::at(family, cutoff));
        measures.extend(CUTOFFS.map(at));
    }
    measures
}

/// Judges `run` by `qrels`. The means are over the questions that both have, or with
/// `complete` over all of `qrels` (`trec_eval -c`): one without results counts 0.
pub fn judge(run: &Run, qrels: &Qrels, complete: bool) -> Judged {
    let mut judged = Judged::default();
    let measures = measures();
    let mut unanswered = 0;
    for (question, judgements) in &qrels.questions {
        let ranking = run.ids(question);
        if ranking.is_empty() {
            unanswered += 1;
            if !complete {
                continue;
            }
        }
        let is_relevant = |id: &&&str| judgements.get(**id).is_some_and(|grade| *grade > 0);
        judged.num_ret += ranking.len();
        judged.num_rel += judgements.values().filter(|grade| **grade > 0).count();
        judged.num_rel_ret += ranking.iter().filter(is_relevant).count();
        let value =
            |(name, measure): &(String, Measure)| (name.clone(), measure.of(&ranking, judgements));
        let values = measures.iter().map(value).collect();
        judged.per_query.insert(question.clone(), values);
    }
    judged.num_q = judged.per_query.len();
    for (name, _) in &measures {
        let values = judged
            .per_query
            .values()
            .filter_map(|values| values.get(name));
        let mean = values.sum::<f64>() / judged.num_q.max(1) as f64;
        judged.metrics.insert(name.clone(), mean);
    }
    if unanswered > 0 {
        let what = match complete {
            true => "counted as 0",
            false => "left out of the means (--complete counts 0)",
        };
        let count = counted(unanswered, "judged question is", "judged questions are");
        let note = format!("{count} not in the run and {what}");
        judged.notes.push(note);
    }
    let unjudged = run
        .rankings
        .keys()
        .filter(|id| !qrels.questions.contains_key(*id));
    let unjudged = unjudged.count();
    if unjudged > 0 {
        let count = counted(
            unjudged,
            "question of the run is",
            "questions of the run are",
        );
        let note = format!("{count} not judged and left out");
        judged.notes.push(note);
    }
    judged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T>(text: &str, read: impl Fn(&std::path::Path) -> crate::Result<T>) -> T {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        read(file.path()).unwrap()
    }

    const QRELS: &str = "q1 0 d1 1\nq1 0 d2 0\nq1 0 d3 2\nq1 0 d7 1\n\
                         q2 0 d1 0\nq2 0 d5 1\nq2 0 d6 -1\n\
                         q3 0 d9 1\nq4 0 d1 0\nq5 0 d1 1\n";
    /// Ties, ranks out of order and against the scores, scores that are equal as floats of
    /// 32 bits, an unjudged question, one without anything relevant.
    const RUN: &str = "q1 Q0 d2 1 3.5 t\nq1 Q0 d1 2 3.5 t\nq1 Q0 d3 1 3.5 t\nq1 Q0 d4 9 9 t\n\
                       q2 Q0 d5 1 -1 t\nq2 Q0 d1 2 -0.5 t\nq2 Q0 d6 3 -0.25e0 t\n\
                       q9 Q0 d1 1 1 t\nq4 Q0 d1 1 1 t\n\
                       q3 Q0 d9 1 0.100000001 t\nq3 Q0 d8 2 0.1 t\n\
                       q1 Q0 d7 4 3.25 t\n";

    fn close(values: &Values, name: &str, expected: f64) {
        let got = values[name];
        assert!(
            (got - expected).abs() < 1e-12,
            "{name}: {got}, not {expected}"
        );
    }

    /// The values are those of pytrec_eval-terrier 0.5.11, which is trec_eval 9.
    #[test]
    fn the_values_are_those_of_trec_eval() {
        let (run, qrels) = (read(RUN, Run::read), read(QRELS, Qrels::read));
        let judged = judge(&run, &qrels, false);
        for (question, expected) in [
            (
                "q1",
                [
                    0.533_333_333_333_333_3,
                    1.0 / 3.0,
                    0.5,
                    0.664_144_211_501_036_4,
                    0.6,
                ],
            ),
            ("q2", [1.0 / 3.0, 0.0, 1.0 / 3.0, 0.5, 0.2]),
            ("q3", [1.0, 1.0, 1.0, 1.0, 0.2]),
            ("q4", [0.0; 5]),
        ] {
            let values = &judged.per_query[question];
            let names = ["map", "Rprec", "recip_rank", "ndcg_cut_5", "P_5"];
            for (name, expected) in names.into_iter().zip(expected) {
                close(values, name, expected);
            }
        }
        for (name, expected) in [
            ("map", 0.466_666_666_666_666_7),
            ("recip_rank", 0.458_333_333_333_333_3),
            ("Rprec", 0.333_333_333_333_333_3),
            ("ndcg", 0.541_036_052_875_259_1),
            ("ndcg_cut_5", 0.541_036_052_875_259_1),
            ("P_5", 0.25),
            ("P_1000", 0.001_25),
            ("recall_5", 0.75),
        ] {
            close(&judged.metrics, name, expected);
        }
        let counts = (judged.num_ret, judged.num_rel, judged.num_rel_ret);
        assert_eq!(counts, (11, 5, 5));
    }

    #[test]
    fn what_is_left_out_is_said() {
        let (run, qrels) = (read(RUN, Run::read), read(QRELS, Qrels::read));
        let judged = judge(&run, &qrels, false);
        assert_eq!(judged.num_q, 4);
        assert_eq!(judged.notes.len(), 2, "{:?}", judged.notes);
        let complete = judge(&run, &qrels, true);
        assert_eq!(complete.num_q, 5);
        let (part, whole) = (judged.metrics["map"], complete.metrics["map"]);
        assert!((part * 4.0 - whole * 5.0).abs() < 1e-12);
    }
}
