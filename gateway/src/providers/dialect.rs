//! What one wire format has to say: how a request is written and how an answer
//! is read. Transport, limits and errors of HTTP are the same for all of them.

use reqwest::Url;
use reqwest::header::HeaderMap;

use super::super::chat::{ChatRequest, Finish, ProviderEvent};
use super::counts::Counts;

/// One HTTP request, ready to be sent.
#[derive(Debug)]
pub(super) struct HttpCall {
    pub(super) url: Url,
    /// Keys among them: values are marked as sensitive.
    pub(super) headers: HeaderMap,
    pub(super) body: serde_json::Value,
}

/// A wire format.
pub(super) trait Dialect: Send + Sync {
    /// The request for a chat with `model`, streamed or in one piece.
    fn call(&self, request: &ChatRequest, model: &str, stream: bool) -> HttpCall;

    /// The first parameter of `request` that this format has no words for.
    fn refuses<'a>(&self, request: &'a ChatRequest) -> Option<&'a str>;

    /// Reads one answer.
    fn reader(&self) -> Box<dyn Reader>;
}

/// Reads one answer, event by event.
pub(super) trait Reader: Send {
    /// Reads the data of one server-sent event, or a body that came whole, and
    /// appends what it holds.
    fn take(&mut self, data: &str, out: &mut Vec<ProviderEvent>) -> Result<(), Fault>;

    /// Whether the answer said that nothing follows.
    fn is_over(&self) -> bool;

    /// The end of the bytes: what was still being joined, and how the answer
    /// ended.
    ///
    /// # Errors
    /// When it broke off, or nothing that came was part of an answer.
    fn end(&mut self, out: &mut Vec<ProviderEvent>) -> Result<Ending, Fault>;
}

/// How a whole answer ended.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) finish: Finish,
    /// What the provider counted.
    pub(super) counts: Counts,
    /// The model that answered, where it was named.
    pub(super) model: Option<String>,
}

/// Why the data of an event is not part of an answer.
#[derive(Debug)]
pub(super) enum Fault {
    /// It is not what the format allows.
    Garbled(String),
    /// The provider says that it failed.
    Reported {
        /// The provider's own words; for the log alone.
        error: serde_json::Value,
    },
    /// It broke off.
    Cut,
}

/// `data` as the format's own type.
pub(super) fn parse<'a, T: serde::Deserialize<'a>>(data: &'a str) -> Result<T, Fault> {
    serde_json::from_str(data).map_err(|error| {
        // serde's message quotes the data, which may be an answer's text.
        Fault::Garbled(format!(
            "JSON that is not part of an answer ({:?} at column {})",
            error.classify(),
            error.column()
        ))
    })
}
