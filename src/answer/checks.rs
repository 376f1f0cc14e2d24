//! What the evaluation of answers looks at: the claims of an answer, and how
//! well a question is covered, both as the answerer itself sees them.

use super::grounding;
use super::refusal::Coverage;
use super::words::Words;
use crate::retrieve::Source;

/// A part of an answer that must rest on a source.
pub(crate) struct Claim {
    /// The text without its marks.
    pub(crate) text: String,
    /// The numbers it cites.
    pub(crate) cites: Vec<u32>,
}

/// The claims of `answer`.
pub(crate) fn claims(answer: &str) -> Vec<Claim> {
    grounding::claims(answer)
        .into_iter()
        .map(|claim| Claim {
            text: claim.text,
            cites: claim.cites,
        })
        .collect()
}

/// The best cosine and the largest share of the question's words, which decide
/// about a refusal.
pub(crate) fn coverage(question: &str, sources: &[Source], language: &str) -> (Option<f32>, f32) {
    let coverage = Coverage::of(question, sources, &Words::new(language));
    (coverage.cosine, coverage.overlap)
}
