//! Chooses which part of a chunk the re-ranker reads: a chunk may be longer than its window, so the
//! part that shares most with the question is chosen. Pure.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// Large windows have a multiple of this many tokens.
const SIZE_STEP: usize = 16;

/// The question's words, each with its inverse document frequency among the candidates: a word that
/// every candidate contains does not distinguish windows.
pub(super) struct Terms {
    weights: HashMap<String, f32>,
}

impl Terms {
    /// The words of `question`, weighted by how few of `texts` contain them.
    pub(super) fn new(question: &str, texts: &[&str]) -> Self {
        let mut frequency: HashMap<String, usize> =
            words(question).map(|(_, word)| (word, 0)).collect();
        for text in texts {
            let held: HashSet<String> = words(text).map(|(_, word)| word).collect();
            for (word, count) in &mut frequency {
                *count += usize::from(held.contains(word));
            }
        }
        let total = texts.len() as f32;
        let weigh = |count: usize| (1.0 + total / (1.0 + count as f32)).ln();
        Self {
            weights: frequency
                .into_iter()
                .map(|(word, count)| (word, weigh(count)))
                .collect(),
        }
    }

    /// The total weight of the words that `text` contains.
    pub(super) fn weight_in(&self, text: &str) -> f32 {
        let held: HashSet<String> = words(text)
            .map(|(_, word)| word)
            .filter(|word| self.weights.contains_key(word))
            .collect();
        weight_of(held.iter().map(String::as_str).collect(), self)
    }
}

/// The best windows of `text` as byte ranges, best first: at most `count`, each
/// of at most `size` tokens. Ties go to the earlier window; a window that
/// shares more than half with a better one is left out.
pub(super) fn best(
    text: &str,
    tokens: &[Range<usize>],
    size: usize,
    count: usize,
    terms: &Terms,
) -> Vec<Range<usize>> {
    let size = size.max(1);
    if tokens.len() <= size {
        return Vec::from_iter(Some(0..text.len()));
    }
    let size = common(size);
    let hits: Vec<(usize, String)> = words(text)
        .filter(|(_, word)| terms.weights.contains_key(word))
        .collect();
    let mut windows: Vec<(f32, usize)> = starts(tokens.len(), size)
        .map(|start| {
            let bytes = tokens[start].start..tokens[start + size - 1].end;
            let from = hits.partition_point(|(at, _)| *at < bytes.start);
            let to = hits.partition_point(|(at, _)| *at < bytes.end);
            let held: HashSet<&str> = hits[from..to].iter().map(|(_, w)| w.as_str()).collect();
            (weight_of(held, terms), start)
        })
        .collect();
    windows.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let mut chosen: Vec<usize> = Vec::with_capacity(count);
    for (_, start) in windows {
        if chosen.len() == count.max(1) {
            break;
        }
        if chosen.iter().all(|other| other.abs_diff(start) * 2 >= size) {
            chosen.push(start);
        }
    }
    chosen
        .into_iter()
        .map(|start| tokens[start].start..tokens[start + size - 1].end)
        .collect()
}

/// Questions of similar length leave room for windows of the same size, so that they read the same
/// windows, and the re-ranker's earlier reading of a passage can be reused.
fn common(size: usize) -> usize {
    if size < 4 * SIZE_STEP {
        return size;
    }
    size - size % SIZE_STEP
}

/// Summed in the order of the words, so that equal windows get equal sums.
fn weight_of(held: HashSet<&str>, terms: &Terms) -> f32 {
    let mut held: Vec<_> = held.into_iter().collect();
    held.sort_unstable();
    held.iter().map(|word| terms.weights[*word]).sum()
}

/// Starts of windows: one every quarter of a window, and the last one that fits.
fn starts(tokens: usize, size: usize) -> impl Iterator<Item = usize> {
    let last = tokens - size;
    (0..last).step_by((size / 4).max(1)).chain([last])
}

/// Lower-case words and where they start. A plural `s` is dropped, so that "filter" finds
/// "filters"; more stemming would not choose better windows.
fn words(text: &str) -> impl Iterator<Item = (usize, String)> + '_ {
    let base = text.as_ptr() as usize;
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(move |word| {
            let at = word.as_ptr() as usize - base;
            let mut lower = word.to_lowercase();
            if lower.len() > 3 && lower.ends_with('s') && !lower.ends_with("ss") {
                lower.pop();
            }
            (at, lower)
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The tokens of a text whose words are separated by single spaces.
    fn tokens(text: &str) -> Vec<Range<usize>> {
        let mut at = 0;
        text.split(' ')
            .map(|word| {
                let span = at..at + word.len();
                at = span.end + 1;
                span
            })
            .collect()
    }

    fn filler(words: usize) -> String {
        vec!["filler"; words].join(" ")
    }

    #[test]
    fn a_short_text_is_one_window() {
        let terms = Terms::new("anything", &["short text"]);
        let text = "  short text ";
        let windows = best(text, &tokens("short text"), 8, 3, &terms);
        assert_eq!(windows.len(), 1);
        assert_eq!(windows[0], 0..text.len());
    }

    #[test]
    fn the_window_with_the_rare_words_wins() {
        let text = format!("common {} common Needles {}", filler(20), filler(20));
        let terms = Terms::new("common needle", &[&text, "common", "common"]);
        let windows = best(&text, &tokens(&text), 8, 1, &terms);
        assert_eq!(windows.len(), 1);
        let window = &text[windows[0].clone()];
        assert!(window.contains("Needles"), "{window}");
        assert_eq!(window.split(' ').count(), 8);
    }

    #[test]
    fn questions_of_like_lengths_read_the_same_window() {
        let text = format!("{} needle {}", filler(90), filler(90));
        let terms = Terms::new("needle", &[&text]);
        let window = |size| best(&text, &tokens(&text), size, 1, &terms);
        assert_eq!(window(112), window(127));
        assert_ne!(window(112), window(128));
        assert!(
            window(63) != window(62),
            "small ones are as large as they may be"
        );
        // A text that fits is not cut to a multiple.
        assert_eq!(
            best(&text, &tokens(&text), 181, 1, &terms)[0],
            0..text.len()
        );
    }

    #[test]
    fn a_second_window_is_another_place() {
        let text = format!("alpha beta {} alpha {}", filler(20), filler(4));
        let terms = Terms::new("alpha beta", &[&text]);
        let windows = best(&text, &tokens(&text), 8, 2, &terms);
        assert_eq!(windows.len(), 2);
        assert_eq!(windows[0].start, 0);
        assert!(windows[1].start >= windows[0].end);
        assert!(text[windows[1].clone()].contains("alpha"));
    }

    #[test]
    fn no_shared_word_means_the_beginning() {
        let text = filler(30);
        let terms = Terms::new("nothing shared", &[&text]);
        assert_eq!(best(&text, &tokens(&text), 8, 1, &terms)[0].start, 0);
    }

    proptest! {
        #[test]
        fn windows_fit_and_lie_on_tokens(
            text in "[abä ]{1,200}", size in 1..20_usize, count in 1..4_usize,
        ) {
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            prop_assume!(!text.is_empty());
            let tokens = tokens(&text);
            let terms = Terms::new("a b", &[&text]);
            let windows = best(&text, &tokens, size, count, &terms);
            prop_assert!((1..=count).contains(&windows.len()));
            for window in windows {
                let words = text[window].split_whitespace().count();
                prop_assert!(words >= 1 && words <= size);
            }
        }
    }
}
