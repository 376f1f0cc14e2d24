//! The two searches of one request, run at the same time: words, and meaning (embed, then nearest
//! vectors); and the fallback if one cannot run.

use std::sync::Arc;

use cairn_indexer::{Index, Scored, Selection, Snapshot};
use cairn_models::{Cancel, ErrorKind};

use super::api::SearchRequest;
use super::engine::Parts;
use super::error::SearchError;
use super::settings::bm25;
use super::stages::is_embedded;
use super::timing::{Clock, timed};
use super::vectors::QueryVectors;
use cairn_settings::config::Mode;

/// What one search is about, the same for all stages.
pub(super) struct Search<'a> {
    pub(super) parts: &'a Parts,
    pub(super) request: &'a SearchRequest,
    pub(super) question: &'a str,
    pub(super) index: &'a Index,
    pub(super) snapshot: &'a Snapshot,
    pub(super) selection: Option<&'a Selection>,
    pub(super) cancel: &'a Cancel,
}

/// The ranked lists of the searches that ran.
#[derive(Default)]
pub(super) struct Found {
    pub(super) lexical: Option<Vec<Scored>>,
    pub(super) dense: Option<Vec<Scored>>,
    /// The question's vector, if vectors were searched.
    pub(super) vector: Option<Arc<[f32]>>,
}

/// The vector search, or why it could not run, in words for `degraded`.
enum Meaning {
    Found(Vec<Scored>, Arc<[f32]>),
    Missing(String),
}

impl Search<'_> {
    /// Runs the searches of the request.
    pub(super) fn find(
        &self,
        clock: &mut Clock,
        degraded: &mut Vec<String>,
    ) -> Result<Found, SearchError> {
        let nothing_left = self.selection.is_some_and(Selection::is_empty);
        if self.snapshot.chunk_count() == 0 || nothing_left {
            return Ok(Found::default());
        }
        let Some(vectors) = self.vectors(degraded) else {
            return self.words_only(clock);
        };
        let (lexical, meaning) = match self.request.mode {
            Mode::Dense => (None, self.meaning(vectors, clock)?),
            _ => self.both(vectors, clock)?,
        };
        let mode = self.request.mode;
        match (meaning, lexical) {
            // For scripts outside the model's vocabulary, and for pieces of a number, vectors find
            // only noise, which must not outvote the words. Their list is used only if the words
            // find nothing.
            (Meaning::Found(..), Some(lexical))
                if mode == Mode::Hybrid && !lexical.is_empty() && !self.is_embedded(vectors)? =>
            {
                degraded.push(
                    "the embedding model cannot read the question: only words were searched".into(),
                );
                Ok(Found {
                    lexical: Some(lexical),
                    ..Found::default()
                })
            }
            (Meaning::Found(dense, vector), lexical) => Ok(Found {
                lexical,
                dense: Some(dense),
                vector: Some(vector),
            }),
            (Meaning::Missing(reason), lexical) => {
                degraded.push(reason);
                match lexical {
                    None => self.words_only(clock),
                    lexical => Ok(Found {
                        lexical,
                        ..Found::default()
                    }),
                }
            }
        }
    }

    fn is_embedded(&self, vectors: &QueryVectors) -> Result<bool, SearchError> {
        Ok(is_embedded(vectors.embedder().as_ref(), self.question)?)
    }

    /// The embedder, if the request wants vectors and they can be compared.
    fn vectors(&self, degraded: &mut Vec<String>) -> Option<&QueryVectors> {
        if self.request.mode == Mode::Lexical {
            return None;
        }
        let Some(vectors) = &self.parts.vectors else {
            degraded.push("no embedding model is loaded: only words were searched".into());
            return None;
        };
        let (have, need) = (vectors.embedder().id(), self.snapshot.embedder_id());
        if let Some(need) = need.filter(|need| *need != have) {
            degraded.push(format!(
                "the collection was embedded with {need}, and {have} is loaded: only words were \
                 searched. Set models.embedder to the former, or index again with the latter"
            ));
            return None;
        }
        Some(vectors)
    }

    /// The lexical search runs on a separate thread while this one waits for the model. Not on
    /// rayon's pool: a worker that waits for the model's thread would be missing when the model
    /// itself computes on that pool.
    fn both(
        &self,
        vectors: &QueryVectors,
        clock: &mut Clock,
    ) -> Result<(Option<Vec<Scored>>, Meaning), SearchError> {
        let (words, meaning) = std::thread::scope(|scope| {
            let words = std::thread::Builder::new()
                .name("lexical".into())
                .spawn_scoped(scope, || timed(|| self.words()));
            let meaning = self.meaning(vectors, clock);
            let words = match words {
                Ok(thread) => thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                // No thread available: one after the other.
                Err(_) => timed(|| self.words()),
            };
            (words, meaning)
        });
        let (lexical, took) = words;
        clock.note("lexical", took);
        Ok((Some(lexical?), meaning?))
    }

    fn words_only(&self, clock: &mut Clock) -> Result<Found, SearchError> {
        let (lexical, took) = timed(|| self.words());
        clock.note("lexical", took);
        Ok(Found {
            lexical: Some(lexical?),
            ..Found::default()
        })
    }

    fn words(&self) -> Result<Vec<Scored>, SearchError> {
        let within = self.selection;
        let bm25 = bm25(&self.parts.options);
        Ok(self
            .snapshot
            .lexical(self.question, self.wanted(), bm25, within)?)
    }

    fn meaning(&self, vectors: &QueryVectors, clock: &mut Clock) -> Result<Meaning, SearchError> {
        let limited = match self.request.deadline {
            Some(at) => self.cancel.with_deadline(at),
            None => self.cancel.clone(),
        };
        let embed = || -> cairn_models::Result<_> {
            let question = vectors.embed(self.question, &limited)?;
            let asked = match &self.request.embedded {
                Some(passage) => vectors.embed(passage, &limited)?,
                None => Arc::clone(&question),
            };
            Ok((question, asked))
        };
        let (embedded, took) = timed(embed);
        clock.note("embed", took);
        let (vector, asked) = match embedded {
            Ok(vectors) => vectors,
            Err(error) => return self.without_vector(error),
        };
        let wanted = self.wanted();
        let ef = self.parts.options.ef_search.max(wanted);
        let within = self.selection;
        let (dense, took) = timed(|| self.snapshot.dense(&asked, wanted, ef, false, within));
        clock.note("dense", took);
        Ok(Meaning::Found(dense?, vector))
    }

    /// A full queue or a disconnected caller ends the search; after a deadline or a model failure,
    /// the lexical search remains.
    fn without_vector(&self, error: cairn_models::Error) -> Result<Meaning, SearchError> {
        self.cancel.check()?;
        let reason = match error.kind() {
            ErrorKind::Overloaded => return Err(error.into()),
            ErrorKind::Cancelled => "the deadline passed before the question was embedded",
            _ => {
                tracing::error!(%error, "the question could not be embedded");
                "the embedding model failed"
            }
        };
        Ok(Meaning::Missing(format!(
            "{reason}: only words were searched"
        )))
    }

    /// Candidates to take from each search.
    fn wanted(&self) -> usize {
        self.request.candidates.max(self.request.top_k)
    }
}
