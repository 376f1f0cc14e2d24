//! How much of the text that answers a question is in what was retrieved, and
//! how little else: token recall, precision and IoU as in Chroma's evaluation of
//! chunking (Smith and Troynikov, "Evaluating Chunking Strategies for
//! Retrieval", 2024).
//!
//! With e the relevant tokens and r the retrieved ones, recall is |e ∩ r| / |e|,
//! precision |e ∩ r| / |r| and IoU |e ∩ r| / (|e| + |r| - |e ∩ r|). A token that
//! two overlapping chunks bring counts twice in |r| (it is read twice) and once
//! in |e ∩ r|. A token is one byte of UTF-8 here, as it is one character in
//! Chroma's code: a span needs no tokenizer.

use std::ops::Range;

/// A part of a document's text, in bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Span {
    /// The document's URI.
    pub uri: String,
    /// Its first byte.
    pub start: usize,
    /// The byte after its last one.
    pub end: usize,
}

impl Span {
    /// How many bytes both have in common.
    pub fn shared(&self, other: &Self) -> usize {
        if self.uri != other.uri {
            return 0;
        }
        let end = self.end.min(other.end);
        end.saturating_sub(self.start.max(other.start))
    }

    /// Bytes in it.
    pub fn len(&self) -> usize {
        self.end.saturating_sub(self.start)
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What retrieved spans have of the relevant ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tokens {
    /// Share of the relevant tokens that was retrieved.
    pub recall: f64,
    /// Share of the retrieved tokens that is relevant.
    pub precision: f64,
    /// Intersection over union.
    pub iou: f64,
}

/// Compares `retrieved` with `relevant`; nothing relevant gives zeros.
pub fn tokens(retrieved: &[Span], relevant: &[Span]) -> Tokens {
    let wanted = union(relevant);
    let held = union(retrieved);
    let shared: usize = wanted
        .iter()
        .flat_map(|want| held.iter().map(move |have| want.shared(have)))
        .sum();
    let size = |spans: &[Span]| spans.iter().map(Span::len).sum::<usize>();
    let (relevant, retrieved) = (size(&wanted), size(retrieved));
    let share = |of: usize| shared as f64 / of.max(1) as f64;
    Tokens {
        recall: share(relevant),
        precision: share(retrieved),
        iou: share(relevant + retrieved - shared),
    }
}

/// The same bytes without overlaps, in order.
fn union(spans: &[Span]) -> Vec<Span> {
    let mut sorted: Vec<Span> = spans.to_vec();
    sorted.sort();
    let mut merged: Vec<Span> = Vec::with_capacity(sorted.len());
    for span in sorted {
        match merged.last_mut() {
            Some(last) if last.uri == span.uri && span.start <= last.end => {
                last.end = last.end.max(span.end);
            }
            _ => merged.push(span),
        }
    }
    merged
}

/// Every place at which `text` stands in `document`. White space of any kind
/// and length counts as one space, since a line break may have moved.
pub fn places(document: &str, text: &str) -> Vec<Range<usize>> {
    let (flat, starts) = flatten(document);
    let (wanted, _) = flatten(text);
    let wanted = wanted.trim();
    if wanted.is_empty() {
        return Vec::new();
    }
    flat.match_indices(wanted)
        .map(|(at, _)| {
            let last = at + wanted.len() - 1;
            // The last byte of the match belongs to a character that ends here.
            let end = starts.get(last + 1).copied().unwrap_or(document.len());
            let end = document[starts[at]..end].trim_end().len() + starts[at];
            starts[at]..end
        })
        .collect()
}

/// `text` with runs of white space as one space, and where each byte came from.
fn flatten(text: &str) -> (String, Vec<usize>) {
    let mut flat = String::with_capacity(text.len());
    let mut starts = Vec::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        if c.is_whitespace() {
            if !flat.ends_with(' ') {
                flat.push(' ');
                starts.push(at);
            }
            continue;
        }
        flat.push(c);
        starts.extend((0..c.len_utf8()).map(|byte| at + byte));
    }
    (flat, starts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(uri: &str, start: usize, end: usize) -> Span {
        Span {
            uri: uri.into(),
            start,
            end,
        }
    }

    #[test]
    fn an_overlap_is_found_once_and_read_twice() {
        // 20 of 40 relevant bytes, in 60 retrieved ones of which 10 are double.
        let relevant = [span("a", 0, 20), span("a", 100, 120)];
        let retrieved = [span("a", 0, 30), span("a", 20, 50)];
        let found = tokens(&retrieved, &relevant);
        assert_eq!(found.recall, 0.5);
        assert_eq!(found.precision, 20.0 / 60.0);
        assert_eq!(found.iou, 20.0 / (40.0 + 60.0 - 20.0));
    }

    #[test]
    fn other_documents_share_nothing() {
        let found = tokens(&[span("b", 0, 9)], &[span("a", 0, 9)]);
        assert_eq!((found.recall, found.precision, found.iou), (0.0, 0.0, 0.0));
        let same = tokens(&[span("a", 0, 9)], &[span("a", 0, 9)]);
        assert_eq!((same.recall, same.precision, same.iou), (1.0, 1.0, 1.0));
        assert_eq!(tokens(&[], &[]).iou, 0.0);
    }

    #[test]
    fn exact_text_is_found_across_line_breaks() {
        let document = "Über das\n  Wasser. Das Wasser ist tief.";
        let found = places(document, "das Wasser");
        assert_eq!(found.len(), 1);
        assert_eq!(&document[found[0].clone()], "das\n  Wasser");
        assert_eq!(places(document, "Wasser").len(), 2);
        assert_eq!(&document[places(document, "tief.")[0].clone()], "tief.");
        assert!(places(document, " \n").is_empty());
    }
}
