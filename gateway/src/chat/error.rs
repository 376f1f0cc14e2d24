//! Why a call failed: a kind that programs act on, a provider, a sentence.

use std::time::Duration;

/// Declares the kinds and what follows from each in one place.
macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, retry $retry:literal, next $next:literal, blame $blame:literal;)*) => {
        /// What a caller can act on.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ProviderErrorKind { $($(#[$doc])* $variant,)* }

        impl ProviderErrorKind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name in logs and metrics.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Whether the same target may answer the same request a moment
            /// later.
            pub fn retryable(self) -> bool {
                match self { $(Self::$variant => $retry,)* }
            }

            /// Whether another target may answer it.
            pub fn falls_over(self) -> bool {
                match self { $(Self::$variant => $next,)* }
            }

            /// Whether it counts against the target's health.
            pub fn blames_target(self) -> bool {
                match self { $(Self::$variant => $blame,)* }
            }
        }
    };
}

kinds! {
    /// There is no answer from its address.
    Unreachable = "unreachable", retry true, next true, blame true;
    /// Its certificate is not one that this machine trusts.
    Untrusted = "untrusted", retry false, next true, blame true;
    /// It answers with a redirect, which is not followed.
    Redirected = "redirected", retry false, next true, blame true;
    /// It says that it failed: HTTP 5xx, or an error inside an answer.
    Failed = "failed", retry true, next true, blame true;
    /// The connection ended in the middle of an answer.
    Cut = "cut", retry true, next true, blame true;
    /// It took longer than a deadline allows.
    Timeout = "timeout", retry false, next true, blame true;
    /// Too many requests: try again later.
    RateLimited = "rate_limited", retry true, next true, blame true;
    /// The key is missing or wrong.
    Unauthorized = "unauthorized", retry false, next true, blame true;
    /// It does not have the model, or not at this address.
    NoModel = "no_model", retry false, next true, blame true;
    /// Prompt and answer do not fit its context.
    TooLong = "too_long", retry false, next true, blame false;
    /// The request is not one that it takes.
    Rejected = "rejected", retry false, next false, blame false;
    /// The answer cannot be understood.
    Garbled = "garbled", retry true, next true, blame true;
    /// The answer is larger than any answer should be.
    TooLarge = "too_large", retry false, next true, blame true;
    /// No target of the route may take the request now.
    NoTarget = "no_target", retry false, next false, blame false;
    /// The caller is over a limit of its own key.
    Limited = "limited", retry false, next false, blame false;
    /// The caller cancelled.
    Cancelled = "cancelled", retry false, next false, blame false;
}

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ProviderError {
    /// What a caller can act on.
    pub kind: ProviderErrorKind,
    /// The provider's name; empty if no provider failed.
    pub provider: String,
    /// What happened and what to do, without keys or question text.
    pub message: String,
    /// When the provider asks to be left alone until.
    pub retry_after: Option<Duration>,
}

impl ProviderError {
    /// `provider` failed; `message` begins with its name.
    pub fn new(
        kind: ProviderErrorKind,
        provider: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            provider: provider.into(),
            message: message.into(),
            retry_after: None,
        }
    }

    /// The caller went away.
    pub fn cancelled() -> Self {
        Self::new(
            ProviderErrorKind::Cancelled,
            "",
            "the request was cancelled",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::ProviderErrorKind as Kind;

    #[test]
    fn what_is_retried_also_falls_over() {
        for kind in Kind::ALL {
            assert!(!kind.retryable() || kind.falls_over(), "{kind:?}");
            assert!(!kind.retryable() || kind.blames_target(), "{kind:?}");
        }
    }
}
