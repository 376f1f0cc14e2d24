//! What is wrong with the configured providers and routes.

/// What is wrong with the configured providers and routes.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// A provider's address cannot be used.
    #[error(
        "the base_url of provider `{name}` cannot be used: {reason}; write it like https://api.openai.com/v1"
    )]
    BaseUrl {
        /// The provider.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A provider's kind is unknown.
    #[error("provider `{name}` has the kind `{kind}`; kinds are {known}")]
    Kind {
        /// The provider.
        name: String,
        /// Its kind.
        kind: String,
        /// The kinds there are.
        known: String,
    },
    /// A key holds characters that no header can.
    #[error(
        "the key of provider `{name}` holds control characters; check the variable `{variable}`"
    )]
    Key {
        /// The provider.
        name: String,
        /// The variable of the key.
        variable: String,
    },
    /// Two providers have one name, or one has a reserved name.
    #[error(
        "the provider name `{0}` is taken; give every entry of [[providers]] its own name, other than `local`, `extractive` and `cairn`, without `/`"
    )]
    Name(String),
    /// `answer.provider` names no known provider.
    #[error("answer.provider is `{name}`, which is none of: {known}")]
    Default {
        /// The name.
        name: String,
        /// The names there are.
        known: String,
    },
    /// A route cannot be used.
    #[error("[routes.{route}] cannot be used: {reason}")]
    Route {
        /// The route.
        route: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The machine has no thread or no TLS for it.
    #[error("provider `{name}` cannot be started: {reason}")]
    Start {
        /// The provider.
        name: String,
        /// What the machine said.
        reason: String,
    },
}
