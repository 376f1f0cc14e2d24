//! Relevance judgements: BEIR's `query-id <tab> corpus-id <tab> score` and
//! TREC's `query iteration document grade`.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use crate::lines::Lines;
use crate::{Error, Result};

/// Documents that somebody judged for one question, and their grades. A grade
/// of 1 or more is relevant; a document that is not here counts as 0.
pub type Judgements = BTreeMap<String, i64>;

/// Judgements by question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Qrels {
    /// Judgements by question id.
    pub questions: BTreeMap<String, Judgements>,
}

impl Qrels {
    /// Reads either format, plain or gzipped, with or without a header row.
    ///
    /// # Errors
    ///
    /// Names the file and the line of what cannot be read, a grade that is no
    /// number, and a pair that is judged twice with different grades.
    pub fn read(path: &Path) -> Result<Self> {
        let mut lines = Lines::open(path)?;
        let mut qrels = Self::default();
        let mut first = true;
        while let Some(line) = lines.next() {
            let line = line?;
            let fields = fields(&line);
            let (question, document, grade) = match fields[..] {
                [question, document, grade] => (question, document, grade),
                [question, _, document, grade] => (question, document, grade),
                _ => {
                    return Err(lines.wrong(format!(
                        "expected 3 columns (question, document, grade) or TREC's 4, found {}",
                        fields.len()
                    )));
                }
            };
            let header = std::mem::take(&mut first) && is_header(grade);
            if header {
                continue;
            }
            let Some(value) = whole(grade) else {
                return Err(lines.wrong(format!("the grade `{grade}` is not a whole number")));
            };
            let judgements = qrels.questions.entry(question.to_owned()).or_default();
            let earlier = judgements.insert(document.to_owned(), value);
            if earlier.is_some_and(|earlier| earlier != value) {
                return Err(lines.wrong(format!(
                    "question {question} and document {document} were judged before, differently"
                )));
            }
        }
        if qrels.questions.is_empty() {
            return Err(Error::dataset(path, "no judgement in this file"));
        }
        Ok(qrels)
    }

    /// Writes TREC's format.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let write = || -> std::io::Result<()> {
            let mut out = std::io::BufWriter::new(std::fs::File::create(path)?);
            for (question, judgements) in &self.questions {
                for (document, grade) in judgements {
                    writeln!(out, "{question} 0 {document} {grade}")?;
                }
            }
            out.flush()
        };
        write().map_err(|error| Error::file(path, error))
    }
}

/// A grade; pandas writes whole ones as `1.0` where a column has gaps.
fn whole(grade: &str) -> Option<i64> {
    let number = match grade.split_once('.') {
        Some((number, zeros)) if zeros.bytes().all(|byte| byte == b'0') => number,
        _ => grade,
    };
    number.parse().ok()
}

/// Columns are separated by tabs where there are any (so that an id may hold a
/// space), else by white space.
fn fields(line: &str) -> Vec<&str> {
    if line.contains('\t') {
        line.split('\t').map(str::trim).collect()
    } else {
        line.split_whitespace().collect()
    }
}

/// A first row whose grade is a word, such as `score`.
fn is_header(grade: &str) -> bool {
    grade
        .chars()
        .all(|c| c.is_alphabetic() || c == '_' || c == '-')
        && !grade.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Qrels> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Qrels::read(file.path())
    }

    #[test]
    fn reads_both_formats() {
        let expected = read("a\td1\t2\na\td2\t0\nb\td 3\t-1\n").unwrap();
        assert_eq!(expected.questions["a"]["d1"], 2);
        assert_eq!(expected.questions["b"]["d 3"], -1);
        let headed = "\u{feff}query-id\tcorpus-id\tscore\r\na\td1\t2\r\n\r\na\td2\t0\nb\td 3\t-1";
        assert_eq!(read(headed).unwrap(), expected);
        let floats = read("a\td1\t2.0\na\td2\t0.\nb\td 3\t-1.00\n").unwrap();
        assert_eq!(floats, expected);
        let trec = read("a 0 d1 2\na 0 d2 0\n").unwrap();
        assert_eq!(trec.questions["a"], expected.questions["a"]);
    }

    #[test]
    fn says_which_line_is_wrong() {
        for (text, expected) in [
            ("a\td1\t1\na\td2\n", ":2: expected 3 columns"),
            ("a\td1\t1\na\td2\thigh\n", ":2: the grade `high`"),
            ("a\td1\t1\na\td1\t0\n", ":2: question a and document d1"),
            ("a\td1\t1.5\n", ":1: the grade `1.5`"),
            ("a\td1\t1.0\na\td2\t0.01\n", ":2: the grade `0.01`"),
            ("a\td1\t.0\n", ":1: the grade `.0`"),
            ("a\td1\t1.0.0\n", ":1: the grade `1.0.0`"),
            ("a\td1\t1e0\n", ":1: the grade `1e0`"),
            ("query-id\tcorpus-id\tscore\n", "no judgement"),
        ] {
            let message = read(text).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn what_is_written_reads_the_same() {
        let qrels = read("a\td1\t2\nb\td2\t0\n").unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        qrels.write(file.path()).unwrap();
        assert_eq!(Qrels::read(file.path()).unwrap(), qrels);
    }
}
