//! Why a search failed, in words that are safe for clients: no paths of the machine, no question
//! text.

use std::fmt;

/// The kinds a caller can act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SearchErrorKind {
    /// The request is wrong: fix the named parameter.
    BadRequest,
    /// No such collection.
    NotFound,
    /// A model's queue is full: try again later.
    Overloaded,
    /// The collection is still being opened: try again later.
    NotReady,
    /// The disk is full, or files cannot be read or written.
    Storage,
    /// The caller went away.
    Cancelled,
    /// The index or a model failed; the operator must act.
    Internal,
}

/// A failed search. [`fmt::Display`] is safe to send to clients; the cause, if
/// there is one, is for logs only.
#[derive(Debug)]
pub struct SearchError {
    kind: SearchErrorKind,
    param: Option<&'static str>,
    message: String,
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl SearchError {
    /// A new error; `message` says what happened and what to do.
    pub fn new(kind: SearchErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            param: None,
            message: message.into(),
            cause: None,
        }
    }

    /// The request's field `param` cannot be used.
    pub fn bad_request(param: &'static str, message: impl Into<String>) -> Self {
        Self {
            param: Some(param),
            ..Self::new(SearchErrorKind::BadRequest, message)
        }
    }

    pub(super) fn cancelled() -> Self {
        Self::new(SearchErrorKind::Cancelled, "the request was cancelled")
    }

    /// The same error for another caller; its cause is already in the log.
    pub(super) fn again(&self) -> Self {
        Self {
            kind: self.kind,
            param: self.param,
            message: self.message.clone(),
            cause: None,
        }
    }

    fn because(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// What a caller can act on.
    pub fn kind(&self) -> SearchErrorKind {
        self.kind
    }

    /// The field of the request that is wrong.
    pub fn param(&self) -> Option<&'static str> {
        self.param
    }
}

impl fmt::Display for SearchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for SearchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

impl From<cairn_indexer::Error> for SearchError {
    fn from(error: cairn_indexer::Error) -> Self {
        use cairn_indexer::ErrorKind as K;
        let message = error.message().to_owned();
        match error.kind() {
            // The filter is the only part of a request that the store judges.
            K::InvalidInput => Self::bad_request("filter", message),
            K::NotFound => Self::new(SearchErrorKind::NotFound, message),
            K::Cancelled => Self::cancelled(),
            K::Machine => Self::new(SearchErrorKind::Storage, message),
            K::Corrupt | K::Mismatch => Self::new(SearchErrorKind::Internal, message),
            _ => Self::new(
                SearchErrorKind::Internal,
                "the index could not be searched; the log of the service says why",
            ),
        }
        .because(error)
    }
}

impl From<cairn_models::Error> for SearchError {
    fn from(error: cairn_models::Error) -> Self {
        use cairn_models::ErrorKind as K;
        match error.kind() {
            K::Cancelled => Self::cancelled(),
            K::Overloaded => Self::new(
                SearchErrorKind::Overloaded,
                "too many requests wait for the model; try again in a moment",
            ),
            _ => Self::new(
                SearchErrorKind::Internal,
                "the model failed; the log of the service says why",
            ),
        }
        .because(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_see_no_path_of_the_machine() {
        for kind in [
            cairn_indexer::ErrorKind::Corrupt,
            cairn_indexer::ErrorKind::Machine,
            cairn_indexer::ErrorKind::InvalidInput,
        ] {
            let io = std::io::Error::other("/srv/secret/meta.json: permission denied");
            let error = cairn_indexer::Error::new(kind, "run `cairn doctor`")
                .at("/srv/secret/main")
                .because(io);
            let error = SearchError::from(error);
            assert!(!error.to_string().contains("/srv"), "{error}");
            let cause = std::error::Error::source(&error).unwrap().to_string();
            assert!(
                cause.contains("/srv/secret"),
                "the log needs the path: {cause}"
            );
        }
    }

    #[test]
    fn a_full_queue_can_be_retried() {
        let full = cairn_models::Error::new(cairn_models::ErrorKind::Overloaded, "64 wait");
        assert_eq!(SearchError::from(full).kind(), SearchErrorKind::Overloaded);
    }
}
