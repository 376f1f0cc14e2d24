//! Grounded answers: prompt, citation check, refusal, and the stream of events.

mod events;

pub use events::{AnswerEvent, Citation, Done};
