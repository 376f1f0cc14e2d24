//! Why something is not accepted.

/// Whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// The request is wrong.
    Invalid,
    /// The request is larger than a job may be.
    TooLarge,
    /// This caller may not do it.
    Forbidden,
}

/// A request that is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Refusal {
    /// Whose fault it is.
    pub why: Why,
    /// The field that is to blame.
    pub field: String,
    /// For people: what is wrong, and what to do.
    pub message: String,
}

impl Refusal {
    /// A field that is wrong.
    pub(crate) fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            why: Why::Invalid,
            field: field.into(),
            message: message.into(),
        }
    }

    /// A field that this caller may not use so.
    pub(crate) fn forbidden(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            why: Why::Forbidden,
            ..Self::invalid(field, message)
        }
    }
}
