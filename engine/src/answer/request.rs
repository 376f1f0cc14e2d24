//! The request for an answer, and the interface to the search below it.

use std::sync::Arc;

use cairn_indexer::Access;
use cairn_models::{Cancel, Message};
use futures::future::BoxFuture;

use super::events::AnswerEvent;
use crate::retrieve::{
    Engine, Overview, PreparedSearch, SearchError, SearchErrorKind, SearchRequest, SearchResponse,
};
use cairn_gateway::accounts::{CallIds, Caller};
use cairn_gateway::{Call, ProviderError, ProviderErrorKind};

/// One question to answer.
#[derive(Clone, Debug)]
pub struct AnswerRequest {
    /// It finds only what the caller may read: both change together.
    pub(super) search: PreparedSearch,
    caller: Caller,
    /// The id of the request that the question came with; empty if none.
    pub request_id: String,
    /// Records which model calls were made for the answer.
    pub calls: CallIds,
    /// If false, no language model is called: the answer is extractive.
    pub generate: bool,
    /// A provider's name, `provider/model`, a configured model's name, or `extractive`. If `None`,
    /// the configured provider.
    pub model: Option<String>,
    /// Earlier turns, oldest first, without the question itself.
    pub history: Vec<Message>,
}

impl AnswerRequest {
    /// A question with the documented defaults, asked by the user who runs Cairn: `search` says
    /// what may be read for it.
    pub fn new(search: impl Into<PreparedSearch>) -> Self {
        Self {
            search: search.into(),
            caller: Caller::anonymous(),
            request_id: String::new(),
            calls: CallIds::default(),
            generate: true,
            model: None,
            history: Vec::new(),
        }
    }

    /// A question of `caller`, who may read what its labels allow, whatever `search` says, and pays
    /// for the models.
    pub fn asked_by(caller: Caller, search: SearchRequest) -> Self {
        let mut request = Self::new(search);
        request.set_caller(caller);
        request
    }

    /// The search for the answer; its `query` is the question.
    pub fn search(&self) -> &PreparedSearch {
        &self.search
    }

    /// The search, to be changed; it is prepared again afterwards.
    pub fn search_mut(&mut self) -> &mut SearchRequest {
        self.search.change()
    }

    /// The caller, who pays for the models.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Makes it a question of `caller`, with the caller's current rights.
    pub fn set_caller(&mut self, caller: Caller) {
        self.search.change().access = Access::from(caller.labels());
        self.caller = caller;
    }

    /// The same question, with its search checked by `engine`.
    ///
    /// # Errors
    /// Those of [`Engine::prepare`].
    pub async fn prepared(self, engine: &Engine) -> Result<Self, SearchError> {
        Ok(Self {
            search: engine.prepare(self.search).await?,
            ..self
        })
    }

    /// The same question, with its search checked by the [`Search`] that will run it.
    pub(super) async fn prepared_by(self, search: &dyn Search) -> Result<Self, Failure> {
        Ok(Self {
            search: search.prepare(self.search).await?,
            ..self
        })
    }

    /// A model call that the caller pays for.
    pub fn call(&self) -> Call {
        Call {
            caller: self.caller.clone(),
            request_id: self.request_id.clone(),
            ids: self.calls.clone(),
            ..Call::default()
        }
    }

    /// `cancel`, which also fires at the request's deadline.
    pub(super) fn until(&self, cancel: &Cancel) -> Cancel {
        match self.search.deadline {
            Some(deadline) => cancel.with_deadline(deadline),
            None => cancel.clone(),
        }
    }
}

/// Why a question was not answered, by the codes of the error table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// A code from the table of errors, e.g. `overloaded`.
    pub code: &'static str,
    /// What happened and what to do; safe to show to clients.
    pub message: String,
    /// Whether the same request may succeed later.
    pub retryable: bool,
}

impl From<Failure> for AnswerEvent {
    fn from(failure: Failure) -> Self {
        Self::Error {
            code: failure.code,
            message: failure.message,
            retryable: failure.retryable,
        }
    }
}

impl From<ProviderError> for Failure {
    fn from(error: ProviderError) -> Self {
        let (code, retryable) = match error.kind {
            ProviderErrorKind::Timeout => ("timeout", true),
            ProviderErrorKind::RateLimited | ProviderErrorKind::Limited => ("overloaded", true),
            ProviderErrorKind::Cancelled => ("cancelled", true),
            ProviderErrorKind::Rejected
            | ProviderErrorKind::NoModel
            | ProviderErrorKind::TooLong
            | ProviderErrorKind::NoTarget => ("invalid_request", false),
            ProviderErrorKind::Unreachable
            | ProviderErrorKind::Failed
            | ProviderErrorKind::Cut
            | ProviderErrorKind::Garbled => ("provider_failed", true),
            ProviderErrorKind::Untrusted
            | ProviderErrorKind::Redirected
            | ProviderErrorKind::Unauthorized
            | ProviderErrorKind::TooLarge => ("provider_failed", false),
        };
        Self {
            code,
            message: error.message,
            retryable,
        }
    }
}

/// Finds sources: the engine, or a fixed list in tests.
pub trait Search: Send + Sync {
    /// Checks `search`, so that searches derived from it see the same documents.
    fn prepare(&self, search: PreparedSearch) -> BoxFuture<'_, Result<PreparedSearch, Failure>> {
        Box::pin(std::future::ready(Ok(search)))
    }

    /// Runs one search. `cancel` ends it early.
    fn search(
        &self,
        search: PreparedSearch,
        cancel: Cancel,
    ) -> BoxFuture<'_, Result<SearchResponse, Failure>>;

    /// What `access` may read of `collection`; `None` if that is unknown, in which case every
    /// message is treated as a question.
    fn overview(
        &self,
        _collection: &str,
        _access: &Access,
    ) -> BoxFuture<'_, Result<Option<Arc<Overview>>, Failure>> {
        Box::pin(std::future::ready(Ok(None)))
    }
}

impl Search for Engine {
    fn prepare(&self, search: PreparedSearch) -> BoxFuture<'_, Result<PreparedSearch, Failure>> {
        Box::pin(async move { Ok(Self::prepare(self, search).await?) })
    }

    fn search(
        &self,
        search: PreparedSearch,
        cancel: Cancel,
    ) -> BoxFuture<'_, Result<SearchResponse, Failure>> {
        Box::pin(async move { Ok(Self::search(self, search, cancel).await?) })
    }

    fn overview(
        &self,
        collection: &str,
        access: &Access,
    ) -> BoxFuture<'_, Result<Option<Arc<Overview>>, Failure>> {
        let (engine, collection, access) = (self.clone(), collection.to_owned(), access.clone());
        let read = move || Self::overview(&engine, &collection, &access);
        Box::pin(async move {
            let overview = tokio::task::spawn_blocking(read).await.map_err(|error| {
                tracing::error!(%error, "the collection's overview could not be read");
                Failure {
                    code: "internal",
                    message: "the collection could not be read; the log of the service says why"
                        .to_owned(),
                    retryable: false,
                }
            })?;
            Ok(Some(overview?))
        })
    }
}

impl From<SearchError> for Failure {
    fn from(error: SearchError) -> Self {
        let (code, retryable) = match error.kind() {
            SearchErrorKind::BadRequest => ("invalid_request", false),
            SearchErrorKind::NotFound => ("not_found", false),
            SearchErrorKind::Overloaded => ("overloaded", true),
            SearchErrorKind::NotReady => ("not_ready", true),
            SearchErrorKind::Storage => ("storage", true),
            SearchErrorKind::Cancelled => ("cancelled", true),
            _ => {
                tracing::error!(
                    error = %error,
                    cause = std::error::Error::source(&error).map(tracing::field::display),
                    "a search failed"
                );
                ("internal", false)
            }
        };
        Self {
            code,
            message: error.to_string(),
            retryable,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use cairn_gateway::accounts::{KeyId, Scope, Scopes};

    use super::*;

    fn caller(label: &str) -> Caller {
        let labels = BTreeSet::from([label.to_owned()]);
        let scopes: Scopes = [Scope::Query].into_iter().collect();
        Caller::new(KeyId::new("key"), "tenant".to_owned(), &labels, scopes)
    }

    #[test]
    fn what_is_read_for_a_question_is_what_its_caller_may_read() {
        let labels = |label: &str| Access::Labels([label.to_owned()].into());
        let search = SearchRequest::new("How?", "main");
        assert_eq!(search.access, Access::All);
        let mut request = AnswerRequest::asked_by(caller("staff"), search);
        assert_eq!(request.search().access, labels("staff"));
        request.set_caller(caller("board"));
        assert_eq!(request.search().access, labels("board"));
        assert_eq!(request.caller().labels(), caller("board").labels());
        request.set_caller(Caller::anonymous());
        assert_eq!(request.search().access, Access::All);
    }
}
