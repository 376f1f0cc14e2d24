//! The re-ranker compares the stored states of candidates, and reads the best windows of the
//! others, best candidates first, until its time is up.

use std::time::{Duration, Instant};

use cairn_indexer::States;
use cairn_models::{Cancel, ErrorKind, MIN_READABLE_SHARE, Reranker};

use super::windows::{self, Terms};

/// Passages that are scored at once: few, so that a deadline loses little, even on a machine where
/// the first batch takes all of the time. They strictly follow the fused order: unread candidates
/// are ranked below those that were read, so a deadline must cut off only the tail. (Batches of
/// similar lengths from the first four once left out the best candidate because it was the longest:
/// with 100 ms on a slow machine, nDCG@10 fell .03 below no re-ranking.)
const BATCH: usize = 2;

/// `[CLS] question [SEP] passage [SEP]`, and one more in models like RoBERTa.
const SPECIAL_TOKENS: usize = 4;

/// Minimum digits of a question that is a number: of a book, a telephone, an account.
const DIGITS_OF_A_NUMBER: usize = 7;

/// Whether a question is essentially a long number. A model sees pieces of it and finds similar
/// numbers, but such a question wants exactly this one.
pub(super) fn is_number(question: &str) -> bool {
    let digits = question.chars().filter(|c| c.is_numeric()).count();
    let letters = question.chars().filter(|c| c.is_alphabetic()).count();
    digits >= DIGITS_OF_A_NUMBER && digits > letters
}

fn is_read(reranker: &dyn Reranker, text: &str) -> cairn_models::Result<bool> {
    Ok(reranker.readable_share(text)? >= MIN_READABLE_SHARE)
}

/// A candidate as the re-ranker gets it.
#[derive(Clone, Copy)]
pub enum Passage<'a> {
    /// Its packed states, which the model has read before.
    States(&'a [u8]),
    /// To be read.
    Text {
        /// The context in which it is read, such as its title; may be empty.
        title: &'a str,
        /// Its whole text.
        text: &'a str,
    },
}

impl<'a> Passage<'a> {
    /// Title and text of one that is to be read.
    fn text(self) -> Option<(&'a str, &'a str)> {
        match self {
            Self::States(_) => None,
            Self::Text { title, text } => Some((title, text)),
        }
    }
}

/// The stored states of the candidates to judge, which have these vector ids in fused order; among
/// the first `reads`, those without states are to be read. Beyond these, the first one without
/// states ends the list, since the judged candidates must be a gapless head of it.
pub fn judged(
    states: Option<&States>,
    vector_ids: impl Iterator<Item = u64>,
    reads: usize,
) -> Vec<Option<Vec<u8>>> {
    let stored = vector_ids.map(|id| states.and_then(|states| states.get(id)));
    let is_judged = |(at, states): &(usize, Option<_>)| *at < reads || states.is_some();
    let judged = stored.enumerate().take_while(is_judged);
    judged.map(|(_, states)| states).collect()
}

/// What the re-ranker said.
pub(super) struct Reading {
    /// What it said of each candidate.
    pub(super) verdicts: Vec<Verdict>,
    /// Why not all were read, if so.
    pub(super) cut: Option<Cut>,
}

/// What the re-ranker said of one candidate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// Its score.
    Score(f32),
    /// Not scored: time ran out before.
    Unread,
    /// Not scored: its vocabulary does not cover the passage.
    Abstains,
}

impl Verdict {
    /// The score, if there is one.
    pub(crate) fn score(self) -> Option<f32> {
        match self {
            Self::Score(score) => Some(score),
            Self::Unread | Self::Abstains => None,
        }
    }
}

/// What kept the re-ranker from reading all candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// The deadline.
    Deadline,
    /// Its queue was full.
    Overloaded,
    /// It failed; the log says why.
    Failed,
    /// It cannot read the question, which is in a foreign script or is a number.
    Foreign,
}

struct Job {
    candidate: usize,
    text: String,
    tokens: usize,
}

/// Scores `passages`, given in fused order, until `deadline`. Only the caller's cancellation is an
/// error; any other failure just leaves scores out.
pub(super) fn read(
    reranker: &dyn Reranker,
    question: &str,
    passages: &[Passage<'_>],
    windows: usize,
    deadline: Option<Instant>,
    cancel: &Cancel,
) -> cairn_models::Result<Reading> {
    let mut reading = Reading {
        verdicts: vec![Verdict::Unread; passages.len()],
        cut: None,
    };
    if is_number(question) {
        reading.cut = Some(Cut::Foreign);
        return Ok(reading);
    }
    let limited = deadline.map_or_else(|| cancel.clone(), |at| cancel.with_deadline(at));
    if let Err(error) = read_batches(
        reranker,
        question,
        passages,
        windows,
        &limited,
        &mut reading,
    ) {
        cancel.check()?;
        reading.cut = Some(match error.kind() {
            ErrorKind::Cancelled => Cut::Deadline,
            ErrorKind::Overloaded => Cut::Overloaded,
            _ => {
                tracing::error!(%error, reranker = reranker.id(), "re-ranking failed");
                Cut::Failed
            }
        });
    }
    Ok(reading)
}

/// Scores all of `texts`, each by the best of its `windows`, for a caller without any other order
/// to fall back on. Texts that the model cannot read get no score.
///
/// # Errors
/// Those of the model: `Overloaded`, `Cancelled` and others.
pub(super) fn read_all(
    reranker: &dyn Reranker,
    question: &str,
    texts: &[&str],
    windows: usize,
    cancel: &Cancel,
) -> cairn_models::Result<Vec<Option<f32>>> {
    let passages: Vec<_> = texts
        .iter()
        .map(|&text| Passage::Text { title: "", text })
        .collect();
    let mut reading = Reading {
        verdicts: vec![Verdict::Unread; texts.len()],
        cut: None,
    };
    read_batches(reranker, question, &passages, windows, cancel, &mut reading)?;
    Ok(reading.verdicts.into_iter().map(Verdict::score).collect())
}

fn read_batches(
    reranker: &dyn Reranker,
    question: &str,
    passages: &[Passage<'_>],
    windows: usize,
    limited: &Cancel,
    reading: &mut Reading,
) -> cairn_models::Result<()> {
    if !is_read(reranker, question)? {
        reading.cut = Some(Cut::Foreign);
        return Ok(());
    }
    compare(reranker, question, passages, limited, &mut reading.verdicts)?;
    for (passage, verdict) in passages.iter().zip(&mut reading.verdicts) {
        if let Some((_, text)) = passage.text()
            && !is_read(reranker, text)?
        {
            *verdict = Verdict::Abstains;
        }
    }
    let (question, jobs) = jobs(reranker, question, passages, windows, &reading.verdicts)?;
    // A candidate counts as read once all its windows are.
    let mut unread = vec![0_usize; passages.len()];
    for job in &jobs {
        unread[job.candidate] += 1;
    }
    let mut best = vec![f32::NEG_INFINITY; passages.len()];
    let mut pace = Pace::default();
    let mut left = &jobs[..];
    while !left.is_empty() {
        limited.check()?;
        let Some(many) = pace.fitting(left, limited.deadline()) else {
            reading.cut = Some(Cut::Deadline);
            return Ok(());
        };
        let batch;
        (batch, left) = left.split_at(many);
        let texts: Vec<&str> = batch.iter().map(|job| job.text.as_str()).collect();
        let start = Instant::now();
        let scores = reranker.score(question, &texts, limited)?;
        pace.note(padded(batch), start.elapsed());
        for (job, score) in batch.iter().zip(scores) {
            let at = job.candidate;
            best[at] = best[at].max(score);
            unread[at] -= 1;
            if unread[at] == 0 {
                reading.verdicts[at] = Verdict::Score(best[at]);
            }
        }
    }
    Ok(())
}

/// Judges all candidates with stored states at once, which takes less time than reading one.
fn compare(
    reranker: &dyn Reranker,
    question: &str,
    passages: &[Passage<'_>],
    limited: &Cancel,
    verdicts: &mut [Verdict],
) -> cairn_models::Result<()> {
    let (mut places, mut states) = (Vec::new(), Vec::new());
    for (at, passage) in passages.iter().enumerate() {
        if let Passage::States(packed) = *passage {
            places.push(at);
            states.push(packed);
        }
    }
    let Some(model) = reranker.late_interaction().filter(|_| !states.is_empty()) else {
        return Ok(());
    };
    let scores = model.compare(question, &states, limited)?;
    for (at, score) in places.into_iter().zip(scores) {
        verdicts[at] = score.map_or(Verdict::Abstains, Verdict::Score);
    }
    Ok(())
}

/// The question as asked, and the windows to read, in fused order.
fn jobs<'q>(
    reranker: &dyn Reranker,
    question: &'q str,
    passages: &[Passage<'_>],
    windows: usize,
    verdicts: &[Verdict],
) -> cairn_models::Result<(&'q str, Vec<Job>)> {
    let (question, asked) = head(reranker, question, reranker.window() / 2)?;
    let room = reranker.window().saturating_sub(asked + SPECIAL_TOKENS);
    let texts: Vec<&str> = passages
        .iter()
        .filter_map(|passage| passage.text())
        .map(|(_, text)| text)
        .collect();
    let terms = Terms::new(question, &texts);
    let mut jobs = Vec::with_capacity(passages.len());
    for (candidate, passage) in passages.iter().enumerate() {
        let Some((title, text)) = passage.text() else {
            continue;
        };
        if verdicts[candidate] == Verdict::Abstains {
            continue;
        }
        let (title, used) = head(reranker, title, room / 4)?;
        let tokens = reranker.token_spans(text)?;
        let size = room - used;
        for window in windows::best(text, &tokens, size, windows, &terms) {
            let text = &text[window];
            let text = match title {
                "" => text.to_owned(),
                // The beginning of a document often repeats its title.
                title if text.trim_start().starts_with(title) => text.to_owned(),
                title => format!("{title}\n{text}"),
            };
            let tokens = asked + used + tokens.len().min(size);
            jobs.push(Job {
                candidate,
                text,
                tokens,
            });
        }
    }
    Ok((question, jobs))
}

/// The first `most` tokens of `text`, and how many tokens that is.
pub(super) fn head<'t>(
    reranker: &dyn Reranker,
    text: &'t str,
    most: usize,
) -> cairn_models::Result<(&'t str, usize)> {
    let tokens = reranker.token_spans(text)?;
    let used = tokens.len().min(most);
    if used == tokens.len() {
        return Ok((text, used));
    }
    let end = tokens[..used].last().map_or(0, |token| token.end);
    Ok((&text[..end], used))
}

/// Tokens of a batch, padded to its longest member.
fn padded(batch: &[Job]) -> usize {
    batch.len() * batch.iter().map(|job| job.tokens).max().unwrap_or(0)
}

/// How long a token takes, according to the batches so far.
#[derive(Default)]
struct Pace {
    tokens: usize,
    took: Duration,
}

impl Pace {
    fn note(&mut self, tokens: usize, took: Duration) {
        self.tokens += tokens;
        self.took += took;
    }

    /// How many of `jobs` to score next, at most [`BATCH`]; `None` if not even one can be done by
    /// `deadline`. One as long as the speed is unknown: on a slow machine a deadline in the middle
    /// of the first two would lose both.
    fn fitting(&self, jobs: &[Job], deadline: Option<Instant>) -> Option<usize> {
        let Some(deadline) = deadline else {
            return Some(BATCH.min(jobs.len()));
        };
        let most = if self.tokens == 0 { 1 } else { BATCH };
        let left = deadline.saturating_duration_since(Instant::now());
        (1..=most.min(jobs.len()))
            .rev()
            .find(|&many| self.expect(padded(&jobs[..many])) <= left)
    }

    fn expect(&self, tokens: usize) -> Duration {
        self.took.mul_f64(tokens as f64 / self.tokens.max(1) as f64)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use cairn_models::testing::OverlapReranker;
    use cairn_models::{Error, Result, TokenSpans};

    use super::*;

    fn passages<'a>(texts: &'a [String]) -> Vec<Passage<'a>> {
        texts
            .iter()
            .map(|text| Passage::Text { title: "", text })
            .collect()
    }

    /// Fires its own cancellation or fails after some batches; records the batch sizes.
    struct Scripted {
        batches: AtomicUsize,
        after: usize,
        then: ErrorKind,
        a_passage_takes: Duration,
    }

    impl Scripted {
        fn new(after: usize, then: ErrorKind) -> Self {
            Self {
                batches: AtomicUsize::new(0),
                after,
                then,
                a_passage_takes: Duration::ZERO,
            }
        }
    }

    impl Reranker for Scripted {
        fn id(&self) -> &str {
            "scripted"
        }
        fn window(&self) -> usize {
            32
        }
        fn token_spans(&self, text: &str) -> Result<TokenSpans> {
            OverlapReranker.token_spans(text)
        }
        fn score(&self, query: &str, passages: &[&str], cancel: &Cancel) -> Result<Vec<f32>> {
            assert!(passages.len() <= BATCH);
            if self.batches.fetch_add(1, Ordering::Relaxed) == self.after {
                return Err(Error::new(self.then, "scripted"));
            }
            std::thread::sleep(self.a_passage_takes * passages.len() as u32);
            for text in passages {
                let tokens = self.token_spans(query)?.len() + self.token_spans(text)?.len();
                assert!(tokens + SPECIAL_TOKENS <= self.window(), "{tokens} tokens");
            }
            OverlapReranker.score(query, passages, cancel)
        }
    }

    #[test]
    fn every_passage_fits_the_window() {
        let texts: Vec<String> = (0..20).map(|n| "word ".repeat(n * 10)).collect();
        let passages: Vec<_> = texts
            .iter()
            .map(|text| Passage::Text {
                title: "a title that is rather long for its window",
                text,
            })
            .collect();
        let question = "one two three four five six seven ".repeat(10);
        let reranker = Scripted::new(usize::MAX, ErrorKind::Internal);
        let reading = read(&reranker, &question, &passages, 2, None, &Cancel::never()).unwrap();
        assert!(reading.verdicts.iter().all(|v| v.score().is_some()));
        assert_eq!(reading.cut, None);
    }

    #[test]
    fn the_window_that_answers_is_found() {
        let mut texts = vec!["nothing here ".repeat(40), "nothing here ".repeat(40)];
        texts[1].push_str("the needle is here");
        let passages = passages(&texts);
        let reranker = Scripted::new(usize::MAX, ErrorKind::Internal);
        let reading = read(&reranker, "needle", &passages, 1, None, &Cancel::never()).unwrap();
        assert_eq!(reading.verdicts, [0.0, 1.0].map(Verdict::Score));
    }

    #[test]
    fn what_a_cut_leaves_is_the_tail() {
        // The best candidate is the longest.
        let texts: Vec<String> = (0..20).map(|n| "text ".repeat(20 - n)).collect();
        for (kind, cut) in [
            (ErrorKind::Overloaded, Cut::Overloaded),
            (ErrorKind::Internal, Cut::Failed),
            (ErrorKind::Cancelled, Cut::Deadline),
        ] {
            for batches in [1, 3] {
                let reranker = Scripted::new(batches, kind);
                let passages = passages(&texts);
                let never = Cancel::never();
                let reading = read(&reranker, "text", &passages, 1, None, &never).unwrap();
                assert_eq!(reading.cut, Some(cut));
                let is_read = |verdict: &Verdict| verdict.score().is_some();
                let read: Vec<bool> = reading.verdicts.iter().map(is_read).collect();
                let wanted: Vec<bool> = (0..20).map(|at| at < batches * BATCH).collect();
                assert_eq!(read, wanted);
            }
        }
    }

    #[test]
    fn where_time_is_for_one_passage_one_is_read() {
        let texts = vec!["the same".to_owned(); 4];
        let reranker = Scripted {
            a_passage_takes: Duration::from_millis(60),
            ..Scripted::new(usize::MAX, ErrorKind::Internal)
        };
        let soon = Some(Instant::now() + Duration::from_millis(100));
        let never = Cancel::never();
        let reading = read(&reranker, "the", &passages(&texts), 1, soon, &never).unwrap();
        assert!(reading.verdicts[0].score().is_some());
        assert_eq!(reading.verdicts[1..], [Verdict::Unread; 3]);
        assert_eq!(reading.cut, Some(Cut::Deadline));
    }

    /// Reads only ASCII.
    struct Provincial;

    impl Reranker for Provincial {
        fn id(&self) -> &str {
            "provincial"
        }
        fn window(&self) -> usize {
            64
        }
        fn token_spans(&self, text: &str) -> Result<TokenSpans> {
            OverlapReranker.token_spans(text)
        }
        fn readable_share(&self, text: &str) -> Result<f32> {
            let read = text.chars().filter(char::is_ascii).count();
            Ok(read as f32 / text.chars().count().max(1) as f32)
        }
        fn score(&self, query: &str, passages: &[&str], cancel: &Cancel) -> Result<Vec<f32>> {
            assert!(passages.iter().all(|text| text.is_ascii()));
            OverlapReranker.score(query, passages, cancel)
        }
    }

    #[test]
    fn what_it_cannot_read_it_does_not_judge() {
        let texts = ["缆绳存放在北码头仓库", "the rope store", "ropes"].map(str::to_owned);
        let ask = |question| {
            let never = Cancel::never();
            read(&Provincial, question, &passages(&texts), 1, None, &never).unwrap()
        };
        let reading = ask("rope store");
        assert_eq!(reading.cut, None);
        let expected = [Verdict::Abstains, Verdict::Score(1.0), Verdict::Score(0.0)];
        assert_eq!(reading.verdicts, expected);
        let reading = ask("ISBN 978 0 306 40615 7");
        assert_eq!(reading.cut, Some(Cut::Foreign));
        assert!(!is_number("which dock cost 2788964 euros") && !is_number("10.0.0.1"));
        let reading = ask("缆绳仓库");
        assert_eq!(reading.cut, Some(Cut::Foreign));
        assert_eq!(reading.verdicts, [Verdict::Unread; 3]);
    }

    #[test]
    fn without_another_order_all_is_read_and_a_failure_is_one() {
        let texts = ["缆绳存放在北码头仓库", "rope 2788964"];
        let never = Cancel::never();
        let ask = |question| read_all(&Provincial, question, &texts, 1, &never).unwrap();
        assert_eq!(ask("2788964"), [None, Some(1.0)]);
        assert_eq!(ask("缆绳仓库"), [None, None]);
        let failing = Scripted::new(0, ErrorKind::Overloaded);
        let error = read_all(&failing, "rope", &texts, 1, &never).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Overloaded);
        let needle = format!("{} the needle", "nothing here ".repeat(40));
        let reranker = Scripted::new(usize::MAX, ErrorKind::Internal);
        let scores = read_all(&reranker, "needle", &[&needle, "none"], 1, &never).unwrap();
        assert_eq!(scores, [Some(1.0), Some(0.0)]);
    }

    #[test]
    fn a_deadline_that_has_passed_reads_nothing_and_is_no_error() {
        let texts = ["a".to_owned(), "b".to_owned()];
        let now = Some(Instant::now());
        let cancel = Cancel::never();
        let reading = read(&OverlapReranker, "a", &passages(&texts), 1, now, &cancel).unwrap();
        assert_eq!(reading.verdicts, [Verdict::Unread; 2]);
        assert_eq!(reading.cut, Some(Cut::Deadline));
        cancel.cancel();
        assert!(read(&OverlapReranker, "a", &passages(&texts), 1, now, &cancel).is_err());
    }
}
