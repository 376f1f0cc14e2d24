//! Grounded answers: prompt, citation check, refusal, and the stream of events.
//!
//! [`Answerer::answer`] turns a question into events. Everything below it is pure and
//! synchronous: `citations` checks marks as text streams, `support` says
//! whether a source bears a sentence, `grounding` whether an answer is borne
//! as a whole, `units` knows what can be quoted, `reading` which of it answers, and
//! `extractive` puts the answer together that needs no model. `expand` searches for more
//! than the question itself. `smalltalk` replies to a message that asks nothing of the
//! documents.

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

/// The answer that is made of a text which came in these pieces, and the sources that it
/// cites, where there are `sources` of them: how the text is cut changes nothing.
#[doc(hidden)]
pub fn check_citations(pieces: &[&str], sources: u32) -> (String, Vec<u32>) {
    citations::check_pieces(pieces, sources)
}
