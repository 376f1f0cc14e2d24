//! What a retriever found: TREC's run files, `query Q0 document rank score tag`.

use std::collections::{BTreeMap, HashSet};
use std::io::Write;
use std::path::Path;

use crate::lines::Lines;
use crate::{Error, Result};

/// A document and its score; larger is better.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// The document's id.
    pub id: String,
    /// What ordered it.
    pub score: f32,
}

/// Ranked documents by question, best first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Run {
    /// Rankings by question id.
    pub rankings: BTreeMap<String, Vec<Hit>>,
}

impl Run {
    /// Reads a TREC run. As in `trec_eval`, only the scores order it, as
    /// 32-bit floats, and ties go to the larger document id; ranks are not looked at.
    /// A document that a question has several times counts where it stands best.
    ///
    /// # Errors
    ///
    /// Names the file and the line of what cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        Ok(Self::read_counting(path)?.0)
    }

    /// As [`Run::read`], and how many lines were left out as they repeat a document.
    ///
    /// # Errors
    ///
    /// Those of [`Run::read`].
    pub fn read_counting(path: &Path) -> Result<(Self, usize)> {
        let mut lines = Lines::open(path)?;
        let mut run = Self::default();
        while let Some(line) = lines.next() {
            let line = line?;
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [question, _, id, _, score, _] = fields[..] else {
                return Err(lines.wrong(format!(
                    "expected 6 columns (question, Q0, document, rank, score, tag), found {}",
                    fields.len()
                )));
            };
            // Through 64 bits, as C reads it: rounded twice, in rare cases, as it is there.
            let number = score.parse::<f64>().ok().filter(|score| !score.is_nan());
            let Some(score) = number.map(|score| score as f32) else {
                return Err(lines.wrong(format!("the score `{score}` is not a number")));
            };
            let hit = Hit {
                id: id.to_owned(),
                score,
            };
            run.rankings
                .entry(question.to_owned())
                .or_default()
                .push(hit);
        }
        let mut repeated = 0;
        for ranking in run.rankings.values_mut() {
            // -0 and 0 are equal, as they are in C.
            let order = |a: &Hit, b: &Hit| b.score.partial_cmp(&a.score);
            ranking.sort_by(|a, b| {
                let order = order(a, b).unwrap_or(std::cmp::Ordering::Equal);
                order.then_with(|| b.id.cmp(&a.id))
            });
            let all = ranking.len();
            let mut seen: HashSet<String> = HashSet::with_capacity(all);
            ranking.retain(|hit| seen.insert(hit.id.clone()));
            repeated += all - ranking.len();
        }
        Ok((run, repeated))
    }

    /// Writes a TREC run. A score that is not smaller than the one above it is
    /// written as the next smaller float, so that every tool, whatever its
    /// rule for ties, sees this order.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn write(&self, path: &Path, tag: &str) -> Result<()> {
        let write = || -> std::io::Result<()> {
            let mut out = std::io::BufWriter::new(std::fs::File::create(path)?);
            for (question, ranking) in &self.rankings {
                let mut above = f32::INFINITY;
                for (rank, hit) in (1..).zip(ranking) {
                    let score = hit.score.min(above.next_down());
                    writeln!(out, "{question} Q0 {} {rank} {score} {tag}", hit.id)?;
                    above = score;
                }
            }
            out.flush()
        };
        write().map_err(|error| Error::file(path, error))
    }

    /// The ids of a ranking, best first; empty for an unknown question.
    pub fn ids(&self, question: &str) -> Vec<&str> {
        let ranking = self.rankings.get(question).map_or(&[][..], Vec::as_slice);
        ranking.iter().map(|hit| hit.id.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_order_a_run_and_ties_go_to_the_larger_id() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(
            file.path(),
            "q Q0 a 1 0.5 t\nq Q0 c 9 0.7 t\nq Q0 b 2 0.5 t\n",
        )
        .unwrap();
        assert_eq!(Run::read(file.path()).unwrap().ids("q"), ["c", "b", "a"]);
    }

    #[test]
    fn a_repeated_document_counts_where_it_stands_best() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let lines =
            "q Q0 a 1 0.5 t\nq Q0 b 2 0.4 t\nq Q0 a 3 0.1 t\nq Q0 b 9 0.9 t\nq Q0 b 2 0.4 t\n";
        std::fs::write(file.path(), lines).unwrap();
        let (run, repeated) = Run::read_counting(file.path()).unwrap();
        assert_eq!((run.ids("q"), repeated), (vec!["b", "a"], 3));
    }

    #[test]
    fn an_order_with_ties_survives_the_file() {
        let hit = |id: &str, score| Hit {
            id: id.into(),
            score,
        };
        let ranking = vec![hit("a", 1.0), hit("z", 1.0), hit("b", 1.0), hit("c", 0.25)];
        let run = Run {
            rankings: [("q".to_owned(), ranking)].into(),
        };
        let file = tempfile::NamedTempFile::new().unwrap();
        run.write(file.path(), "cairn").unwrap();
        let again = Run::read(file.path()).unwrap();
        assert_eq!(again.ids("q"), ["a", "z", "b", "c"]);
        assert_eq!(again.rankings["q"][3].score, 0.25);
    }

    #[test]
    fn says_which_line_is_wrong() {
        for (text, expected) in [
            ("q Q0 a 1 0.5\n", ":1: expected 6 columns"),
            ("q Q0 a 1 x t\n", ":1: the score `x`"),
            ("q Q0 a 1 NaN t\n", ":1: the score `NaN`"),
        ] {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), text).unwrap();
            let message = Run::read(file.path()).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
}
