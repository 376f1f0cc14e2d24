//! Query expansion by a language model, for questions that one search does not answer: the question
//! is split into several (`queries`), or embedded as a passage that would answer it (`hyde`, Gao,
//! Ma, Lin and Callan, 2023). Without a model, or if it fails, the question is searched as it is.

use std::collections::HashMap;
use std::future::Future;
use std::time::{Duration, Instant};

use cairn_models::Cancel;
use futures::future::join_all;

use super::asking::{LONGEST, ask};
use super::request::{AnswerRequest, Failure, Search};
use super::run::milliseconds;
use super::stream::Parts;
use crate::retrieve::{Expand, Mode, PreparedSearch, SearchResponse, Source};
use cairn_gateway::{AnswerBackend, ChatMessage, ChatRequest, ChatRole, Plan, routes};

/// Maximum number of questions that one is split into.
const MAX_QUESTIONS: usize = 4;
/// Maximum length of one, in characters; a longer line is not a question.
const MAX_CHARS: usize = 400;
/// How many lines of a reply are read.
const MAX_LINES: usize = 40;
/// Maximum words of a passage to embed.
const MAX_WORDS: usize = 120;
/// Maximum tokens of a reply.
const MAX_TOKENS: usize = 240;
/// The constant k of reciprocal rank fusion, as in [`crate::retrieve::fusion`].
const RRF_K: f32 = 60.0;

/// What the model should do.
struct Task {
    rules: &'static str,
    /// As worded in `degraded`.
    purpose: &'static str,
}

const SPLIT: Task = Task {
    purpose: "split the question",
    rules: "\
Documents are searched for the answer to a question. Write the questions that must be answered \
on the way, at most four, one on each line and nothing else. Each must be understood without the \
others; keep the language and every name. If the question needs no splitting, repeat it.",
};

const IMAGINE: Task = Task {
    purpose: "write a passage that answers the question",
    rules: "\
Write a passage of at most 100 words, as it could stand in a document that answers the question. \
Use the language of the question and the words of its subject. Write the passage only.",
};

/// Why a question is searched without expansion.
type Reason = String;

fn as_it_is(cause: &str) -> Reason {
    format!("{cause}: the question was searched as it is")
}

impl Parts {
    /// Runs `search` with the expansion that it asks for.
    ///
    /// # Errors
    ///
    /// Those of searching for the question itself.
    pub(super) async fn find(
        &self,
        search: &PreparedSearch,
        request: &AnswerRequest,
        writer: &AnswerBackend,
        cancel: &Cancel,
    ) -> Result<SearchResponse, Failure> {
        match search.expand {
            Expand::None | Expand::Hop => self.search.search(search.clone(), cancel.clone()).await,
            Expand::Queries => {
                let questions = async {
                    let text = self
                        .consult(&SPLIT, search, request, writer, cancel)
                        .await?;
                    Ok(parse_questions(&text))
                };
                search_all(&*self.search, search, questions, cancel).await
            }
            Expand::Hyde if search.mode == Mode::Lexical => {
                let reason = "only words are searched, so no passage was embedded";
                self.search_embedded(search, Err(reason.to_owned()), cancel)
                    .await
            }
            Expand::Hyde => {
                let start = Instant::now();
                let text = self.consult(&IMAGINE, search, request, writer, cancel);
                let text = text.await;
                let took = milliseconds(start);
                let passage = text.and_then(|text| parse_passage(&text));
                let mut found = self.search_embedded(search, passage, cancel).await?;
                found.timings_ms.insert("expand".to_owned(), took);
                Ok(found)
            }
        }
    }

    /// The model's reply to the question of `search`.
    async fn consult(
        &self,
        task: &Task,
        search: &PreparedSearch,
        request: &AnswerRequest,
        writer: &AnswerBackend,
        cancel: &Cancel,
    ) -> Result<String, Reason> {
        let purpose = task.purpose;
        let Some(model) = self.helper(request, writer) else {
            return Err(as_it_is(&format!(
                "there is no language model to {purpose}"
            )));
        };
        let chat = ChatRequest {
            messages: vec![
                ChatMessage::text(ChatRole::System, task.rules),
                ChatMessage::text(ChatRole::User, format!("Question: {}", search.query)),
            ],
            max_tokens: MAX_TOKENS,
            ..ChatRequest::default()
        };
        let (call, longest) = (request.call(), patience(search.deadline));
        let text = ask(&self.gateway, &model, chat, call, longest, cancel).await;
        text.ok_or_else(|| {
            as_it_is(&format!(
                "the language model that was to {purpose} failed or took too long"
            ))
        })
    }

    /// The search with the vector of `passage` in place of the question's.
    async fn search_embedded(
        &self,
        search: &PreparedSearch,
        passage: Result<String, Reason>,
        cancel: &Cancel,
    ) -> Result<SearchResponse, Failure> {
        let (embedded, reason) = match passage {
            Ok(passage) => (Some(passage), None),
            Err(reason) => (None, Some(reason)),
        };
        let search = search.alone(embedded);
        let mut found = self.search.search(search, cancel.clone()).await?;
        found.degraded.extend(reason);
        Ok(found)
    }

    /// The model that helps with the search: that of the rewriting route, or else the one that
    /// writes the answer. The small local model does not help: it takes longer than the search.
    fn helper(&self, request: &AnswerRequest, writer: &AnswerBackend) -> Option<Plan> {
        let own = self.gateway.route(routes::REWRITE);
        let writes = match writer {
            AnswerBackend::Model(model) => Some(model.clone()),
            AnswerBackend::Extractive => None,
        };
        let mut models = own.into_iter().chain(writes);
        models.find(|model| request.generate && !model.is_local())
    }
}

/// How long a model may take: half of the remaining time, so that there is time to search.
fn patience(deadline: Option<Instant>) -> Duration {
    let left = deadline.map(|at| at.saturating_duration_since(Instant::now()) / 2);
    left.map_or(LONGEST, |left| left.min(LONGEST))
}

/// Searches the question of `asked` while `oracle` splits it, then searches all parts at once and
/// merges the results ([`merge`]). `expand` in `timings_ms` is the time that the oracle took.
/// Without parts, the plain search is the result; `degraded` says why, and which questions could
/// not be searched.
///
/// # Errors
///
/// Those of searching for the question itself.
pub(super) async fn search_all(
    search: &dyn Search,
    asked: &PreparedSearch,
    oracle: impl Future<Output = Result<Vec<String>, Reason>>,
    cancel: &Cancel,
) -> Result<SearchResponse, Failure> {
    let start = Instant::now();
    let plain = asked.alone(None);
    let split = async {
        let questions = oracle.await;
        Ok::<_, Failure>((questions, milliseconds(start)))
    };
    let (mut found, (questions, took)) =
        futures::try_join!(search.search(plain.clone(), cancel.clone()), split)?;
    found.timings_ms.insert("expand".to_owned(), took);
    let mut questions = match questions {
        Ok(questions) if questions.is_empty() => {
            found
                .degraded
                .push(as_it_is("the language model gave no questions"));
            questions
        }
        Ok(questions) => questions,
        Err(reason) => {
            found.degraded.push(reason);
            Vec::new()
        }
    };
    questions.truncate(MAX_QUESTIONS);
    // A question that does not need splitting is returned unchanged.
    questions.retain(|question| !is_same(question, &asked.query));
    if questions.is_empty() {
        return Ok(found);
    }
    let searches = questions
        .iter()
        .map(|question| search.search(plain.asking(question), cancel.clone()));
    let mut lists = Vec::with_capacity(questions.len());
    for other in join_all(searches).await {
        match other {
            Ok(other) => lists.push(other),
            Err(_) if cancel.is_cancelled() => {}
            Err(failure) => found.degraded.push(format!(
                "one of the questions that it was split into was not searched: {}",
                failure.message
            )),
        }
    }
    let mut found = merge(found, lists, asked.top_k);
    found
        .timings_ms
        .insert("total".to_owned(), milliseconds(start));
    Ok(found)
}

/// Merges the lists into one of at most `top_k`, each chunk once: the first hits of all lists, then
/// the second ones, and so on. Within the same rank, chunks that rank high in several lists come
/// first (by reciprocal rank fusion). Scores of different questions cannot be compared, and the sum
/// of reciprocal ranks alone would prefer a chunk in the middle of every list to the first hit of
/// one list, which is what the question was split for.
fn merge(first: SearchResponse, others: Vec<SearchResponse>, top_k: usize) -> SearchResponse {
    let mut merged = SearchResponse {
        sources: Vec::new(),
        ..first
    };
    for other in &others {
        for reason in &other.degraded {
            if !merged.degraded.contains(reason) {
                merged.degraded.push(reason.clone());
            }
        }
    }
    let others = others.into_iter().map(|other| other.sources);
    let lists = std::iter::once(first.sources).chain(others);
    let mut known: HashMap<String, usize> = HashMap::new();
    let mut places: Vec<Place> = Vec::new();
    for sources in lists {
        for (rank, source) in (1..).zip(sources) {
            let sum = 1.0 / (RRF_K + rank as f32);
            match known.get(&source.chunk_id) {
                Some(&at) => {
                    places[at].sum += sum;
                    if rank < places[at].rank {
                        (places[at].rank, places[at].source) = (rank, source);
                    }
                }
                None => {
                    known.insert(source.chunk_id.clone(), places.len());
                    places.push(Place { source, rank, sum });
                }
            }
        }
    }
    // Stable: among equals, the one found first comes first.
    places.sort_by(|a, b| a.rank.cmp(&b.rank).then(b.sum.total_cmp(&a.sum)));
    let numbered = (1..).zip(places).take(top_k);
    merged.sources = numbered
        .map(|(n, place)| Source {
            n,
            score: 1.0 / place.rank as f32,
            ..place.source
        })
        .collect();
    merged
}

/// A source to be merged.
struct Place {
    source: Source,
    /// Its best rank in a list, from 1.
    rank: u32,
    /// The sum of its reciprocal ranks.
    sum: f32,
}

/// The questions in a model's reply, one per line, whatever precedes them.
fn parse_questions(reply: &str) -> Vec<String> {
    let mut questions: Vec<String> = Vec::new();
    for line in said(reply).lines().take(MAX_LINES) {
        let question = without_mark(line);
        let is_question = question.chars().any(char::is_alphabetic)
            && question.chars().count() <= MAX_CHARS
            // "Here are the questions:", and code fences.
            && !question.ends_with(':')
            && !question.starts_with("```");
        let is_known = questions.iter().any(|known| is_same(known, question));
        if is_question && !is_known && questions.len() < MAX_QUESTIONS {
            questions.push(question.to_owned());
        }
    }
    questions
}

/// The beginning of the passage in a model's reply.
fn parse_passage(reply: &str) -> Result<String, Reason> {
    let words: Vec<&str> = said(reply).split_whitespace().take(MAX_WORDS).collect();
    match words.is_empty() {
        true => Err(as_it_is("the language model wrote no passage")),
        false => Ok(words.join(" ")),
    }
}

/// A reply without the model's reasoning before it.
fn said(reply: &str) -> &str {
    reply
        .rsplit_once("</think>")
        .map_or(reply, |(_, said)| said)
}

/// A line without number, bullet and quotation marks.
fn without_mark(line: &str) -> &str {
    let line = line.trim().trim_start_matches(['-', '*', '•', '–', '#']);
    let line = line.trim_start();
    let rest = line.trim_start_matches(|c: char| c.is_ascii_digit());
    let numbered = rest.len() < line.len() && line.len() - rest.len() <= 2;
    let line = match rest.strip_prefix(['.', ')', ':']) {
        Some(rest) if numbered => rest,
        _ => line,
    };
    line.trim().trim_matches(['"', '“', '”', '`', '*']).trim()
}

/// Whether two questions have the same words.
fn is_same(a: &str, b: &str) -> bool {
    let words = |text: &str| {
        let lower = text.to_lowercase();
        let words = lower.split(|c: char| !c.is_alphanumeric());
        let words = words.filter(|word| !word.is_empty()).map(str::to_owned);
        words.collect::<Vec<_>>()
    };
    words(a) == words(b)
}

#[cfg(test)]
#[path = "expand_tests.rs"]
mod tests;
