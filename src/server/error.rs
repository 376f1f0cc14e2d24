//! The one table of errors: code, status, and whether trying again can help.
//! Every failure of the service becomes `{"error":{"code","message","param?"}}`.
//!
//! A message says what happened and what to do. It never holds a path of the
//! machine or a stack trace; causes go to the log only.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::ingest::spool::SpoolError;
use crate::ingest::upload::Unread;
use crate::ingest::writer::WriteError;
use crate::ingest::{Refusal, Why};
use cairn_engine::answer::Failure;
use cairn_engine::retrieve::{SearchError, SearchErrorKind};
use cairn_gateway::accounts::AccountsError;

/// Declares [`Code`] and its table in one place.
macro_rules! table {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $status:ident, $retryable:literal;)*) => {
        /// What went wrong, for programs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum Code { $($(#[$doc])* $variant,)* }

        impl Code {
            /// Every code, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The code as it stands in responses.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The status of a response with this code.
            pub fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)* }
            }

            /// Whether the same request may succeed later.
            pub fn retryable(self) -> bool {
                match self { $(Self::$variant => $retryable,)* }
            }

            /// Reads what [`Code::as_str`] gives.
            pub fn parse(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|code| code.as_str() == name)
            }
        }
    };
}

table! {
    /// The request is wrong; `param` names the field where one is to blame.
    InvalidRequest = "invalid_request", BAD_REQUEST, false;
    /// The service needs an API key, and this request has none that is valid.
    Unauthorized = "unauthorized", UNAUTHORIZED, false;
    /// The API key may not do this.
    Forbidden = "forbidden", FORBIDDEN, false;
    /// The request came under a host name that is not this service's.
    ForbiddenHost = "forbidden_host", FORBIDDEN, false;
    /// A browser page of another origin tried to change something.
    ForbiddenOrigin = "forbidden_origin", FORBIDDEN, false;
    /// No such route, collection or document.
    NotFound = "not_found", NOT_FOUND, false;
    /// The route exists with other methods.
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED, false;
    /// Another writer did not let go of the collection in time.
    CollectionLocked = "collection_locked", CONFLICT, true;
    /// An upload has the name of a document with other text; `replace` replaces it.
    DocumentExists = "document_exists", CONFLICT, false;
    /// The collection was built with another model or other settings.
    CollectionMismatch = "collection_mismatch", CONFLICT, false;
    /// The body came too slowly.
    SlowBody = "slow_body", REQUEST_TIMEOUT, true;
    /// The body, or a document in it, is larger than the limit.
    TooLarge = "too_large", PAYLOAD_TOO_LARGE, false;
    /// A media type or a file format that is not read.
    UnsupportedMedia = "unsupported_media", UNSUPPORTED_MEDIA_TYPE, false;
    /// The document is encrypted, empty or malformed.
    UnreadableDocument = "unreadable_document", UNPROCESSABLE_ENTITY, false;
    /// Too many requests, or a queue is full.
    Overloaded = "overloaded", TOO_MANY_REQUESTS, true;
    /// The API key made too many requests, or used too many tokens.
    RateLimited = "rate_limited", TOO_MANY_REQUESTS, true;
    /// The budget of the API key is spent.
    BudgetExceeded = "budget_exceeded", TOO_MANY_REQUESTS, false;
    /// A defect of the service.
    Internal = "internal", INTERNAL_SERVER_ERROR, false;
    /// Bytes on disk are damaged; the operator runs `cairn doctor`.
    Corrupt = "corrupt", INTERNAL_SERVER_ERROR, false;
    /// No language model could answer.
    ProviderFailed = "provider_failed", BAD_GATEWAY, true;
    /// The service still starts.
    NotReady = "not_ready", SERVICE_UNAVAILABLE, true;
    /// The service stops.
    ShuttingDown = "shutting_down", SERVICE_UNAVAILABLE, true;
    /// The work was given up before it was done.
    Cancelled = "cancelled", SERVICE_UNAVAILABLE, true;
    /// A model could not be loaded or failed.
    ModelFailed = "model_failed", SERVICE_UNAVAILABLE, true;
    /// It took longer than the limit.
    Timeout = "timeout", GATEWAY_TIMEOUT, true;
    /// The disk is full, or files cannot be written.
    Storage = "storage", INSUFFICIENT_STORAGE, true;
}

/// A failed request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Error)]
pub struct ApiError {
    /// For programs.
    pub code: Code,
    /// For people: what happened and what to do.
    pub message: String,
    /// The field of the request that is to blame.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub param: Option<String>,
}

/// The body of every response that is not a success.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ErrorBody {
    /// What went wrong.
    pub error: ApiError,
}

/// What handlers return.
pub type Result<T, E = ApiError> = std::result::Result<T, E>;

/// Seconds after which a client that was turned away may try again.
const RETRY_AFTER_SECONDS: &str = "1";

impl ApiError {
    /// A failure without a field to blame.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            param: None,
        }
    }

    /// The request's field `param` cannot be used.
    pub fn invalid(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            param: Some(param.into()),
            ..Self::new(Code::InvalidRequest, message)
        }
    }

    /// A defect of ours: `cause` goes to the log, the client gets no detail.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        tracing::error!(%cause, "internal error");
        Self::new(
            Code::Internal,
            "the service failed; its log says why under this request's id",
        )
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal.why {
            Why::Invalid => Code::InvalidRequest,
            Why::TooLarge => Code::TooLarge,
            Why::Forbidden => Code::Forbidden,
        };
        let mut error = Self::new(code, refusal.message);
        error.param = Some(refusal.field);
        error
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let code = self.code;
        let mut response = (code.status(), Json(ErrorBody { error: self })).into_response();
        if code.retryable() {
            let seconds = HeaderValue::from_static(RETRY_AFTER_SECONDS);
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        // Lets the access log and the metrics name the code.
        response.extensions_mut().insert(code);
        response
    }
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        let code = Code::parse(failure.code).unwrap_or(Code::Internal);
        Self::new(code, failure.message)
    }
}

impl From<SearchError> for ApiError {
    fn from(error: SearchError) -> Self {
        Self::from(&error)
    }
}

impl From<&SearchError> for ApiError {
    fn from(error: &SearchError) -> Self {
        let code = match error.kind() {
            SearchErrorKind::BadRequest => Code::InvalidRequest,
            SearchErrorKind::NotFound => Code::NotFound,
            SearchErrorKind::Overloaded => Code::Overloaded,
            SearchErrorKind::NotReady => Code::NotReady,
            SearchErrorKind::Storage => Code::Storage,
            SearchErrorKind::Cancelled => Code::Cancelled,
            SearchErrorKind::Internal => Code::Internal,
        };
        if matches!(code, Code::Internal | Code::Storage) {
            let cause = std::error::Error::source(error).map(ToString::to_string);
            tracing::error!(%error, cause, "a search failed");
        }
        Self {
            code,
            message: error.to_string(),
            param: error.param().map(Into::into),
        }
    }
}

impl From<AccountsError> for ApiError {
    fn from(error: AccountsError) -> Self {
        tracing::error!(%error, "the ledger failed");
        let message = "the ledger cannot be read or written now; the log of the service says why";
        Self::new(Code::Storage, message)
    }
}

impl From<Unread> for ApiError {
    fn from(why: Unread) -> Self {
        match why {
            Unread::Contents(error) => error.into(),
            Unread::Marks(refusal) => refusal.into(),
        }
    }
}

impl From<SpoolError> for ApiError {
    fn from(error: SpoolError) -> Self {
        let code = match &error {
            SpoolError::Full => Code::Overloaded,
            SpoolError::Disk(cause) => {
                tracing::error!(%cause, "an upload cannot wait for its job");
                Code::Storage
            }
            SpoolError::Gone => Code::NotFound,
        };
        Self::new(code, error.to_string())
    }
}

impl From<WriteError> for ApiError {
    fn from(error: WriteError) -> Self {
        let code = match &error {
            WriteError::Full => Code::Overloaded,
            WriteError::Forbidden(_) => Code::Forbidden,
            WriteError::Exists(_) => Code::DocumentExists,
            WriteError::NoEmbedder => Code::ModelFailed,
            WriteError::Index(error) => return Self::from(error.as_ref()),
            WriteError::Search(error) => return Self::from(error.as_ref()),
            WriteError::Defect(_) => return Self::internal(error),
        };
        Self::new(code, error.to_string())
    }
}

impl From<cairn_indexer::Error> for ApiError {
    fn from(error: cairn_indexer::Error) -> Self {
        Self::from(&error)
    }
}

impl From<&cairn_indexer::Error> for ApiError {
    fn from(error: &cairn_indexer::Error) -> Self {
        use cairn_indexer::ErrorKind as K;
        let code = match error.kind() {
            K::InvalidInput | K::Encrypted | K::ParserStopped => Code::UnreadableDocument,
            K::Unsupported => Code::UnsupportedMedia,
            K::TooLarge => Code::TooLarge,
            K::NotFound => Code::NotFound,
            K::Locked => Code::CollectionLocked,
            K::Mismatch => Code::CollectionMismatch,
            K::Corrupt => Code::Corrupt,
            K::Machine => Code::Storage,
            K::Cancelled => Code::Cancelled,
            K::Model => Code::ModelFailed,
            _ => Code::Internal,
        };
        if code.status().is_server_error() {
            tracing::error!(%error, "the index failed");
        }
        let message = match code {
            Code::CollectionLocked => "another writer did not let go of this collection within \
                                       indexing.turn_seconds; try again when it is done, or use \
                                       another collection"
                .into(),
            Code::Internal => return Self::internal(error),
            _ => error.message().to_owned(),
        };
        Self::new(code, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_read_back() {
        for code in Code::ALL {
            assert_eq!(Code::parse(code.as_str()), Some(*code));
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
            assert!(code.status().is_client_error() || code.status().is_server_error());
        }
    }

    #[test]
    fn no_path_of_the_machine_leaves() {
        for kind in [
            cairn_indexer::ErrorKind::Machine,
            cairn_indexer::ErrorKind::Corrupt,
            cairn_indexer::ErrorKind::Internal,
            cairn_indexer::ErrorKind::Locked,
        ] {
            let cause = std::io::Error::other("/srv/data/main/lock");
            let error = cairn_indexer::Error::new(kind, "it failed; try again");
            let error = ApiError::from(error.at("/srv/data/main").because(cause));
            assert!(!error.message.contains("/srv"), "{error:?}");
        }
    }
}
