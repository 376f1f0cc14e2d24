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
    /// 32-bit floats, and ties go to the larger document id.
    ///
    /// # Errors
    ///
    /// Names the file and the line of what cannot be read, and of a document
    /// that a question has twice.
    pub fn read(path: &Path) -> Result<Self> {
        let mut lines = Lines::open(path)?;
        let mut run = Self::default();
        let mut seen: HashSet<(String, String)> = HashSet::new();
        while let Some(line) = lines.next() {
            let line = line?;
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [question, _, id, _, score, _] = fields[..] else {
                return Err(lines.wrong(format!(
                    "expected 6 columns (question, Q0, document, rank, score, tag), found {}",
                    fields.len()
                )));
            };
            let Some(score) = score.parse::<f32>().ok().filter(|score| !score.is_nan()) else {
                return Err(lines.wrong(format!("the score `{score}` is not a number")));
            };
            if !seen.insert((question.to_owned(), id.to_owned())) {
                return Err(lines.wrong(format!("question {question} has document {id} twice")));
            }
            let hit = Hit {
                id: id.to_owned(),
                score,
            };
            run.rankings
                .entry(question.to_owned())
                .or_default()
                .push(hit);
        }
        for ranking in run.rankings.values_mut() {
            ranking.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| b.id.cmp(&a.id)));
        }
        Ok(run)
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

    /// The ids of a ranking, best first; none for a question that is not here.
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
            (
                "q Q0 a 1 1 t\nq Q0 a 2 0 t\n",
                ":2: question q has document a twice",
            ),
        ] {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), text).unwrap();
            let message = Run::read(file.path()).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
}
