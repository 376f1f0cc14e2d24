//! From a question to an answer: [`retrieve`] finds and ranks passages, [`answer`]
//! says what they hold, each sentence with the passage that bears it.

pub mod answer;
pub mod retrieve;
pub mod text;
