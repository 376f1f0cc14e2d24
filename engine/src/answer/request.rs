//! What an answer is asked with, and the seam to the search below it.

use std::sync::Arc;

use cairn_indexer::Access;
use cairn_models::{Cancel, Message};
use futures::future::BoxFuture;

use super::events::AnswerEvent;
use crate::retrieve::{
    Engine, Overview, SearchError, SearchErrorKind, SearchRequest, SearchResponse,
};
use cairn_gateway::accounts::{CallIds, Caller};
use cairn_gateway::{Call, ProviderError, ProviderErrorKind};

/// One question to answer.
#[derive(Clone, Debug)]
pub struct AnswerRequest {
    /// The search below the answer; its `query` is the question.
    pub search: SearchRequest,
    /// The caller, who pays for what models write.
    pub caller: Caller,
    /// The id of the request that the question came with; empty if none.
    pub request_id: String,
    /// Told which calls to models were made for the answer.
    pub calls: CallIds,
    /// False leaves every language model alone: the answer is extractive.
    pub generate: bool,
    /// A provider's name, `provider/model`, or a configured model's name;
    /// `extractive` too. The configured provider if none.
    pub model: Option<String>,
    /// Earlier turns, oldest first, without the question itself.
    pub history: Vec<Message>,
}

impl AnswerRequest {
    /// A question with the documented defaults.
    pub fn new(search: SearchRequest) -> Self {
        Self {
            search,
            caller: Caller::anonymous(),
            request_id: String::new(),
            calls: CallIds::default(),
            generate: true,
            model: None,
            history: Vec::new(),
        }
    }

    /// A call to a model that the caller pays for.
    pub fn call(&self) -> Call {
        Call {
            caller: self.caller.clone(),
            request_id: self.request_id.clone(),
            ids: self.calls.clone(),
            ..Call::default()
        }
    }

    /// `cancel`, fired at the request's deadline too.
    pub(super) fn until(&self, cancel: &Cancel) -> Cancel {
        match self.search.deadline {
            Some(deadline) => cancel.with_deadline(deadline),
            None => cancel.clone(),
        }
    }
}

/// Why there is no answer, in the words of the table of errors.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// A code of the table of errors, e.g. `overloaded`.
    pub code: &'static str,
    /// What happened and what to do; fit for clients.
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

/// Something that finds sources: the engine, or a fixed list in tests.
pub trait Search: Send + Sync {
    /// Runs one search. `cancel` ends it early.
    fn search(
        &self,
        request: SearchRequest,
        cancel: Cancel,
    ) -> BoxFuture<'_, Result<SearchResponse, Failure>>;

    /// What `access` may read of `collection`; `None` if that is unknown, and then every
    /// message is a question.
    fn overview(
        &self,
        _collection: &str,
        _access: &Access,
    ) -> BoxFuture<'_, Result<Option<Arc<Overview>>, Failure>> {
        Box::pin(std::future::ready(Ok(None)))
    }
}

impl Search for Engine {
    fn search(
        &self,
        request: SearchRequest,
        cancel: Cancel,
    ) -> BoxFuture<'_, Result<SearchResponse, Failure>> {
        Box::pin(async move { Ok(Self::search(self, request, cancel).await?) })
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
                tracing::error!(%error, "what is in the collection could not be read");
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
