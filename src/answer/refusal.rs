//! When the evidence is too weak to answer, and what is said then.

use super::words::Words;
use crate::retrieve::{Mode, SearchRequest, SearchResponse, Source};

/// How well a question is covered by what was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Coverage {
    /// Best cosine between the question and a source; none where no vectors
    /// were compared.
    pub(super) cosine: Option<f32>,
    /// Largest share of the question's content words that one source holds.
    pub(super) overlap: f32,
}

/// Below both of these there is no answer in the sources.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bounds {
    /// For [`Coverage::cosine`].
    pub(super) cosine: f32,
    /// For [`Coverage::overlap`].
    pub(super) overlap: f32,
}

impl Coverage {
    /// What `sources` have to say about `question`.
    pub(super) fn of(question: &str, sources: &[Source], words: &Words) -> Self {
        let asked = words.content(question);
        let overlap = |source: &Source| {
            let mut held = words.content(&source.text);
            held.extend(&words.content(&source.title));
            held.extend(&words.content(&source.heading_path.join(" ")));
            asked.share_in(&held)
        };
        Self {
            cosine: sources
                .iter()
                .filter_map(|source| source.cosine)
                .reduce(f32::max),
            overlap: sources.iter().map(overlap).fold(0.0, f32::max),
        }
    }

    /// Whether to refuse. Where no vectors were compared, a paraphrase shares few
    /// words with its answer: then only half of the overlap is asked for.
    pub(super) fn is_too_weak(&self, bounds: Bounds) -> bool {
        match self.cosine {
            Some(cosine) => cosine < bounds.cosine && self.overlap < bounds.overlap,
            None => self.overlap < bounds.overlap / 2.0,
        }
    }
}

/// The text of a refusal: what was searched, and what may help.
pub(super) fn refusal(request: &SearchRequest, found: &SearchResponse) -> String {
    let collection = &found.collection;
    if found.generation == 0 {
        return format!(
            "The collection \"{collection}\" is empty, so there is nothing to answer from. Index some documents first: cairn index PATH."
        );
    }
    let how = match request.mode {
        Mode::Hybrid => "by words and by meaning",
        Mode::Lexical => "by words",
        Mode::Dense => "by meaning",
    };
    let filtered = if request.filter.is_some() {
        " with the given filter"
    } else {
        ""
    };
    if found.sources.is_empty() {
        return format!(
            "I found nothing about this in the collection \"{collection}\", searched {how}{filtered}."
        );
    }
    let nearest = nearest_titles(&found.sources);
    format!(
        "I searched the collection \"{collection}\" {how}{filtered}, and none of the {} nearest passages answers this. The nearest are in {nearest}. Try other words, or index the documents that cover it.",
        found.sources.len(),
    )
}

/// The titles of the first three documents.
fn nearest_titles(sources: &[Source]) -> String {
    let mut titles: Vec<String> = Vec::new();
    for source in sources {
        let title = if source.title.is_empty() {
            &source.uri
        } else {
            &source.title
        };
        // Brackets in a title must not read as a citation.
        let title = title.replace(['[', ']', '\n'], " ");
        let title = format!("\"{}\"", title.trim());
        if !titles.contains(&title) {
            titles.push(title);
        }
        if titles.len() == 3 {
            break;
        }
    }
    titles.join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::testing::source;
    use super::*;

    fn coverage(question: &str, cosine: Option<f32>) -> Coverage {
        let mut found = source(1, "Cairn listens on port 8620 by default.");
        found.cosine = cosine;
        Coverage::of(question, &[found], &Words::new("english"))
    }

    const BOUNDS: Bounds = Bounds {
        cosine: 0.3,
        overlap: 0.6,
    };

    #[test]
    fn both_must_be_weak() {
        assert!(!coverage("Which port does Cairn use?", Some(0.1)).is_too_weak(BOUNDS));
        assert!(!coverage("How do I reach the service?", Some(0.5)).is_too_weak(BOUNDS));
        assert!(coverage("How do I cook a risotto?", Some(0.1)).is_too_weak(BOUNDS));
    }

    #[test]
    fn without_vectors_the_words_decide() {
        assert!(!coverage("change the port", None).is_too_weak(BOUNDS));
        assert!(coverage("capital of Mongolia", None).is_too_weak(BOUNDS));
    }

    #[test]
    fn nothing_found_is_weak_and_bounds_of_zero_never_refuse() {
        assert!(Coverage::of("port", &[], &Words::new("english")).is_too_weak(BOUNDS));
        let never = Bounds {
            cosine: 0.0,
            overlap: 0.0,
        };
        assert!(!coverage("capital of Mongolia", Some(0.0)).is_too_weak(never));
    }

    #[test]
    fn titles_cannot_cite() {
        let mut found = source(1, "x");
        found.title = "Notes [2]\n[9]".to_owned();
        assert_eq!(nearest_titles(&[found.clone(), found]), "\"Notes  2   9\"");
    }
}
