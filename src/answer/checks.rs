//! What the evaluation of answers looks at: the claims of an answer, as the answerer
//! itself sees them.

use super::grounding;

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
