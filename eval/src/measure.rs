//! The measures: those of rankings exactly as `trec_eval` 9 computes them for
//! one question, those of spans as in [`crate::spans`].

use std::fmt;
use std::str::FromStr;

use crate::spans::tokens;
use crate::{Error, Judgements, Span};

/// What is measured, without the cut-off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// Normalised discounted cumulative gain with linear gains and a discount
    /// of log2(rank + 1) (Järvelin and Kekäläinen, TOIS 2002).
    Ndcg,
    /// Share of the relevant documents that were found.
    Recall,
    /// Share of the cut-off that is relevant, also where fewer were found.
    Precision,
    /// 1 / rank of the first relevant document.
    Mrr,
    /// Mean of the precisions at the ranks of the relevant documents.
    Map,
    /// 1 if anything relevant was found.
    Hit,
    /// 1 if everything relevant was found: what a question needs that is answered by several
    /// documents together.
    AllFound,
    /// Precision at the number of relevant documents.
    RPrecision,
    /// Share of the relevant text that the first passages hold.
    TokenRecall,
    /// Share of the first passages that is relevant text.
    TokenPrecision,
    /// Intersection over union of the two.
    TokenIou,
}

/// A family and its cut-off; written `ndcg@10`, `map`, `r-precision`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Measure {
    /// What is measured.
    pub family: Family,
    /// Ranks that are looked at; none is all.
    pub cutoff: Option<usize>,
}

const NAMES: &[(Family, &[&str])] = &[
    (Family::Ndcg, &["ndcg"]),
    (Family::Recall, &["recall", "r"]),
    (Family::Precision, &["precision", "p"]),
    (Family::Mrr, &["mrr", "rr"]),
    (Family::Map, &["map"]),
    (Family::Hit, &["hit", "success"]),
    (Family::AllFound, &["all-found"]),
    (Family::RPrecision, &["r-precision", "rprec"]),
    (Family::TokenRecall, &["token-recall"]),
    (Family::TokenPrecision, &["token-precision"]),
    (Family::TokenIou, &["token-iou"]),
];

impl Measure {
    /// `family` of the first `cutoff` ranks.
    pub fn at(family: Family, cutoff: usize) -> Self {
        Self {
            family,
            cutoff: Some(cutoff),
        }
    }

    /// `family` of the whole ranking.
    pub fn whole(family: Family) -> Self {
        Self {
            family,
            cutoff: None,
        }
    }

    /// Whether it looks at spans and not at a ranking.
    pub fn is_of_spans(&self) -> bool {
        matches!(
            self.family,
            Family::TokenRecall | Family::TokenPrecision | Family::TokenIou
        )
    }

    /// The value of retrieved passages, best first, for one question; 0 for a
    /// measure of rankings.
    pub fn of_spans(&self, retrieved: &[Span], relevant: &[Span]) -> f64 {
        let top = self.cutoff.unwrap_or(retrieved.len()).min(retrieved.len());
        let found = tokens(&retrieved[..top], relevant);
        match self.family {
            Family::TokenRecall => found.recall,
            Family::TokenPrecision => found.precision,
            Family::TokenIou => found.iou,
            _ => 0.0,
        }
    }

    /// The value for one question: `ranking` best first, each document once.
    /// A question with no relevant document has 0, and so has a measure of
    /// spans.
    pub fn of(&self, ranking: &[&str], judgements: &Judgements) -> f64 {
        let depth = self.cutoff.unwrap_or(ranking.len());
        let grade = |id: &&str| judgements.get(*id).copied().unwrap_or(0).max(0);
        let grades: Vec<i64> = ranking.iter().take(depth).map(grade).collect();
        let relevant = judgements.values().filter(|&&grade| grade >= 1).count();
        if relevant == 0 {
            return 0.0;
        }
        let found = |depth: usize| {
            grades
                .iter()
                .take(depth)
                .filter(|&&grade| grade >= 1)
                .count()
        };
        let ratio = |part: usize, whole: usize| part as f64 / whole.max(1) as f64;
        match self.family {
            Family::Ndcg => {
                let mut ideal: Vec<i64> = judgements.values().map(|&grade| grade.max(0)).collect();
                ideal.sort_unstable_by(|a, b| b.cmp(a));
                // Without a cut-off the ideal goes on below what was retrieved.
                ideal.truncate(self.cutoff.unwrap_or(usize::MAX));
                gain(&grades) / gain(&ideal)
            }
            Family::Recall => ratio(found(depth), relevant),
            Family::Precision => ratio(found(depth), depth),
            Family::Mrr => {
                let first = grades.iter().position(|&grade| grade >= 1);
                first.map_or(0.0, |at| 1.0 / (at + 1) as f64)
            }
            Family::Map => {
                let ranks = (1..).zip(&grades).filter(|&(_, &grade)| grade >= 1);
                let precisions = (1..).zip(ranks).map(|(nth, (rank, _))| ratio(nth, rank));
                precisions.sum::<f64>() / relevant as f64
            }
            Family::Hit => f64::from(u8::from(found(depth) > 0)),
            Family::AllFound => f64::from(u8::from(found(depth) == relevant)),
            Family::RPrecision => ratio(found(relevant), relevant),
            Family::TokenRecall | Family::TokenPrecision | Family::TokenIou => 0.0,
        }
    }
}

/// Discounted cumulative gain of grades in the order of their ranks.
fn gain(grades: &[i64]) -> f64 {
    let discounted = |(rank, &grade): (f64, &i64)| grade as f64 / (rank + 1.0).log2();
    (1..).map(f64::from).zip(grades).map(discounted).sum()
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = NAMES.iter().find(|(family, _)| *family == self.family);
        f.write_str(names.map_or("", |(_, names)| names[0]))?;
        self.cutoff.map_or(Ok(()), |cutoff| write!(f, "@{cutoff}"))
    }
}

impl FromStr for Measure {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let lower = text.trim().to_ascii_lowercase();
        let (name, cutoff) = match lower.split_once('@') {
            Some((name, cutoff)) => (name, Some(cutoff)),
            None => (lower.as_str(), None),
        };
        let found = NAMES.iter().find(|(_, names)| names.contains(&name));
        let Some(&(family, _)) = found else {
            let known: Vec<_> = NAMES.iter().map(|(_, names)| names[0]).collect();
            return Err(Error::Usage(format!(
                "`{text}` is not a measure; there are {}, with a cut-off like ndcg@10",
                known.join(", ")
            )));
        };
        let cutoff = match cutoff.map(str::parse::<usize>) {
            None => None,
            Some(Ok(cutoff)) if cutoff >= 1 => Some(cutoff),
            Some(_) => {
                return Err(Error::Usage(format!(
                    "`{text}`: the cut-off after @ must be a whole number of at least 1"
                )));
            }
        };
        match (family, cutoff) {
            (
                Family::Recall
                | Family::Precision
                | Family::Hit
                | Family::AllFound
                | Family::TokenRecall
                | Family::TokenPrecision
                | Family::TokenIou,
                None,
            ) => Err(Error::Usage(format!(
                "`{text}` needs a cut-off, like {text}@10"
            ))),
            (Family::RPrecision, Some(_)) => Err(Error::Usage(format!(
                "`{text}`: r-precision has no cut-off"
            ))),
            _ => Ok(Self { family, cutoff }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judgements(grades: &[(&str, i64)]) -> Judgements {
        grades
            .iter()
            .map(|&(id, grade)| (id.to_owned(), grade))
            .collect()
    }

    fn value(measure: &str, ranking: &[&str], judged: &Judgements) -> f64 {
        measure.parse::<Measure>().unwrap().of(ranking, judged)
    }

    #[test]
    fn small_rankings_by_hand() {
        let judged = judgements(&[("a", 3), ("b", 1), ("c", 0), ("d", 1)]);
        let ranking = ["x", "a", "c", "b"];
        let close = |measure, expected: f64| {
            let got = value(measure, &ranking, &judged);
            assert!((got - expected).abs() < 1e-12, "{measure}: {got}");
        };
        let ideal = 3.0 + 1.0 / 3_f64.log2() + 1.0 / 4_f64.log2();
        close("ndcg@10", (3.0 / 3_f64.log2() + 1.0 / 5_f64.log2()) / ideal);
        close("ndcg@1", 0.0);
        close("recall@2", 1.0 / 3.0);
        close("p@10", 0.2);
        close("mrr", 0.5);
        close("mrr@1", 0.0);
        close("map", (1.0 / 2.0 + 2.0 / 4.0) / 3.0);
        close("hit@1", 0.0);
        close("hit@2", 1.0);
        close("all-found@4", 0.0);
        let some = judgements(&[("a", 3), ("b", 1), ("c", 0)]);
        assert_eq!(value("all-found@3", &ranking, &some), 0.0);
        assert_eq!(value("all-found@4", &ranking, &some), 1.0);
        close("r-precision", 1.0 / 3.0);
    }

    #[test]
    fn nothing_found_or_nothing_to_find_is_zero() {
        let judged = judgements(&[("a", 1)]);
        let none = judgements(&[("a", 0)]);
        for measure in [
            "ndcg@10",
            "ndcg",
            "recall@5",
            "p@5",
            "mrr",
            "map",
            "hit@1",
            "all-found@5",
            "rprec",
        ] {
            assert_eq!(value(measure, &[], &judged), 0.0, "{measure}");
            assert_eq!(value(measure, &["a"], &none), 0.0, "{measure}");
        }
    }

    #[test]
    fn names_read_and_print() {
        for (text, name) in [
            ("NDCG@10", "ndcg@10"),
            ("p@5", "precision@5"),
            ("map", "map"),
        ] {
            assert_eq!(text.parse::<Measure>().unwrap().to_string(), name);
        }
        for (text, expected) in [
            ("bleu@4", "not a measure"),
            ("ndcg@0", "at least 1"),
            ("ndcg@x", "at least 1"),
            ("recall", "needs a cut-off"),
            ("all-found", "needs a cut-off"),
            ("r-precision@3", "no cut-off"),
        ] {
            let message = text.parse::<Measure>().unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
}
