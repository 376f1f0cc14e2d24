//! Grounded answers: prompt, citation check, refusal, and the stream of events.
//!
//! [`Answerer::answer`] turns a question into events. Everything below it is pure and synchronous:
//! `citations` checks marks as text streams, `support` decides whether a source supports a
//! sentence, `grounding` whether an answer is supported as a whole, `units` what can be quoted,
//! `reading` which of it answers, and `extractive` assembles an answer without a model. `expand`
//! searches for more than the question itself. `smalltalk` replies to messages that are not about
//! the documents.

mod asking;
pub mod checks;
mod citations;
mod condense;
mod continuation;
mod events;
mod expand;
mod extractive;
mod gathered;
mod grounding;
mod markup;
mod names;
mod opening;
mod orphan;
pub mod prompt;
mod reading;
mod refusal;
mod request;
mod revise;
mod run;
mod sentences;
mod smalltalk;
mod stream;
mod support;
#[cfg(test)]
mod testing;
mod units;
mod wanted;
mod whole;
mod words;
mod writing;

pub use events::{AnswerEvent, Answered, Citation, Done, InputRequired, PendingCall, Step};
pub use gathered::{Draft, Gathered};
pub use request::{AnswerRequest, Failure, Search};
pub use run::milliseconds;
pub use stream::{Answerer, events};
pub use whole::{Whole, whole};

/// The answer made from a text that arrived in these pieces, and the sources that it cites, out of
/// `sources` sources: how the text is split makes no difference.
#[doc(hidden)]
pub fn check_citations(pieces: &[&str], sources: u32) -> (String, Vec<u32>) {
    citations::check_pieces(pieces, sources)
}
