//! A checked search: the request, and the chunks that it may find.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use cairn_indexer::{Index, Selection, Snapshot};

use super::api::{Expand, Mode, SearchRequest};
use super::engine::Parts;
use super::error::SearchError;
use super::question;

/// A search as [`Engine::search`](super::Engine::search) takes it. Once
/// [`Engine::prepare`](super::Engine::prepare) has checked it, it holds the commit to search and
/// the chunks that filter and rights allow. Searches derived from it share these: all searches for
/// one question see the same commit, and filter it once.
///
/// A [`SearchRequest`] converted into one is checked when it is searched.
#[derive(Clone)]
pub struct PreparedSearch {
    request: SearchRequest,
    /// The cleaned text of the question, once it is checked.
    question: Option<String>,
    scope: Option<Arc<Scope>>,
}

/// What a search works on.
pub(super) struct Ready<'a> {
    pub(super) request: &'a SearchRequest,
    pub(super) question: &'a str,
    pub(super) scope: &'a Scope,
}

/// Where a search looks.
pub(super) struct Scope {
    pub(super) index: Index,
    pub(super) snapshot: Arc<Snapshot>,
    /// The chunks that filter and rights allow; `None` if that is all of them.
    pub(super) selection: Option<Selection>,
}

impl PreparedSearch {
    /// Whether the collection was opened and filtered for it.
    pub fn is_prepared(&self) -> bool {
        self.scope.is_some()
    }

    /// The same search for another question.
    #[must_use]
    pub fn asking(&self, query: impl Into<String>) -> Self {
        Self {
            request: SearchRequest {
                query: query.into(),
                ..self.request.clone()
            },
            question: None,
            scope: self.scope.clone(),
        }
    }

    /// The same search without expansion. `embedded`, if given, is embedded in place of the
    /// question.
    #[must_use]
    pub fn alone(&self, embedded: Option<String>) -> Self {
        let mut search = self.clone();
        search.request.expand = Expand::None;
        search.request.embedded = embedded;
        search
    }

    /// The same search for the `top_k` passages that the question's words find, without any model.
    #[must_use]
    pub fn by_words(&self, top_k: usize) -> Self {
        let mut search = self.alone(None);
        search.request.mode = Mode::Lexical;
        search.request.rerank = false;
        search.request.top_k = top_k;
        search.request.candidates = top_k;
        search
    }

    /// The request, to be changed. It must then be prepared again, since another filter or other
    /// rights allow other chunks.
    pub fn change(&mut self) -> &mut SearchRequest {
        self.release();
        &mut self.request
    }

    /// Releases the commit, which keeps files open and memory in use while it is held.
    pub fn release(&mut self) {
        self.question = None;
        self.scope = None;
    }

    /// Does what remains to be done before it can be searched. Opens the collection, so it may
    /// block.
    pub(super) fn prepare(&mut self, parts: &Parts) -> Result<Ready<'_>, SearchError> {
        let request = &self.request;
        let question = match self.question.take() {
            Some(question) => question,
            None => {
                question::check_limits(request)?;
                question::clean(&request.query, parts.max_query_bytes)?
            }
        };
        let scope = match self.scope.take() {
            Some(scope) => scope,
            None => {
                let index = parts.collections.get(&request.collection)?;
                let snapshot = index.snapshot();
                let selection = snapshot.select(request.filter.as_ref(), &request.access)?;
                Arc::new(Scope {
                    index,
                    snapshot,
                    selection,
                })
            }
        };
        Ok(Ready {
            request,
            question: self.question.insert(question),
            scope: self.scope.insert(scope),
        })
    }
}

impl From<SearchRequest> for PreparedSearch {
    fn from(request: SearchRequest) -> Self {
        Self {
            request,
            question: None,
            scope: None,
        }
    }
}

impl From<&SearchRequest> for PreparedSearch {
    fn from(request: &SearchRequest) -> Self {
        request.clone().into()
    }
}

/// The request, read-only: changes go through [`PreparedSearch::change`].
impl Deref for PreparedSearch {
    type Target = SearchRequest;

    fn deref(&self) -> &SearchRequest {
        &self.request
    }
}

impl fmt::Debug for PreparedSearch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedSearch")
            .field("request", &self.request)
            .field("is_prepared", &self.is_prepared())
            .finish_non_exhaustive()
    }
}
