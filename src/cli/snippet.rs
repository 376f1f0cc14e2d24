//! The part of a passage that a question is about, with its words marked.

use std::collections::BTreeSet;

use console::Style;

/// Characters of a snippet.
const WIDTH: usize = 300;

/// Words that match everything and mark nothing.
const STOP_WORDS: &[&str] = &[
    "a", "an", "and", "are", "as", "at", "be", "by", "can", "do", "does", "for", "from", "how",
    "i", "in", "is", "it", "of", "on", "or", "that", "the", "this", "to", "was", "what", "when",
    "where", "which", "who", "why", "with", "you",
];

/// A word of a text: where it is, in bytes, and its lower-case form.
struct Word {
    start: usize,
    end: usize,
    lower: String,
}

fn words_of(text: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut start = None;
    let end = std::iter::once((text.len(), ' '));
    for (at, character) in text.char_indices().chain(end) {
        if character.is_alphanumeric() || character == '_' {
            start.get_or_insert(at);
        } else if let Some(start) = start.take() {
            let lower = text[start..at].to_lowercase();
            words.push(Word {
                start,
                end: at,
                lower,
            });
        }
    }
    words
}

/// The words of a question that are worth marking.
pub(super) fn content_words(question: &str) -> BTreeSet<String> {
    let words = words_of(question).into_iter().map(|word| word.lower);
    words
        .filter(|word| !STOP_WORDS.contains(&word.as_str()))
        .collect()
}

/// Whether `word` is one of `wanted`, or differs from it in its ending only.
fn matches(word: &str, wanted: &BTreeSet<String>) -> bool {
    wanted.contains(word)
        || wanted.iter().any(|want| {
            let stem_chars = want.chars().count().saturating_sub(2);
            stem_chars > 3 && {
                let stem: String = want.chars().take(stem_chars).collect();
                word.starts_with(&stem)
            }
        })
}

/// The stretch of `text` with the most different matched words, on one line
/// each, with those words in `style` and dots where text was left out.
pub(super) fn lines(text: &str, wanted: &BTreeSet<String>, style: &Style) -> Vec<String> {
    let words = words_of(text);
    let hits: Vec<&Word> = words
        .iter()
        .filter(|word| matches(&word.lower, wanted))
        .collect();
    let window = best_window(text, &hits);
    let mut marked = String::new();
    let mut at = window.start;
    for hit in hits
        .iter()
        .filter(|hit| hit.start >= window.start && hit.end <= window.end)
    {
        marked.push_str(&clean(&text[at..hit.start]));
        marked.push_str(&style.apply_to(&text[hit.start..hit.end]).to_string());
        at = hit.end;
    }
    marked.push_str(&clean(&text[at..window.end]));
    let mut lines: Vec<String> = marked
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.trim().is_empty())
        .map(ToOwned::to_owned)
        .collect();
    if window.start > 0
        && let Some(first) = lines.first_mut()
    {
        *first = format!("… {}", first.trim_start());
    }
    if window.end < text.len()
        && let Some(last) = lines.last_mut()
    {
        last.push_str(" …");
    }
    lines
}

/// Control characters of a document must not reach the terminal.
fn clean(text: &str) -> String {
    super::output::printable(text)
}

fn best_window(text: &str, hits: &[&Word]) -> std::ops::Range<usize> {
    let different = |from: usize| {
        let end = hits[from].start + WIDTH;
        let inside = hits[from..].iter().take_while(|hit| hit.end <= end);
        inside.map(|hit| &hit.lower).collect::<BTreeSet<_>>().len()
    };
    // The first of equals, so that a passage is shown from its start if it can.
    let best = (0..hits.len()).max_by_key(|&from| (different(from), std::cmp::Reverse(from)));
    let anchor = best.map_or(0, |from| hits[from].start);
    let mut start = if anchor < WIDTH / 3 {
        0
    } else {
        anchor - WIDTH / 6
    };
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    if start > 0 {
        // Begins with a whole word.
        start = text[..start]
            .rfind(char::is_whitespace)
            .map_or(start, |at| {
                let width = text[at..].chars().next().map_or(1, char::len_utf8);
                if start - at > 40 { start } else { at + width }
            });
    }
    let mut end = (start + WIDTH).min(text.len());
    while !text.is_char_boundary(end) {
        end += 1;
    }
    if end < text.len() {
        end = text[start..end]
            .rfind(char::is_whitespace)
            .map_or(end, |at| start + at);
    }
    start..end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str, question: &str) -> Vec<String> {
        lines(
            text,
            &content_words(question),
            &Style::new().force_styling(false),
        )
    }

    #[test]
    fn the_window_holds_the_matched_words() {
        let text = format!(
            "{} the writer lock is held {}",
            "filler ".repeat(200),
            "more ".repeat(200)
        );
        let shown = plain(&text, "what holds the writer lock?").join(" ");
        assert!(shown.starts_with("… ") && shown.ends_with(" …"), "{shown}");
        assert!(shown.contains("writer lock is held"), "{shown}");
    }

    #[test]
    fn matched_words_are_marked_and_escapes_are_not_passed_on() {
        let style = Style::new().bold().force_styling(true);
        let marked = lines("Locks\u{1b}[2J lock", &content_words("lock"), &style).join("\n");
        assert_eq!(marked, "Locks [2J \u{1b}[1mlock\u{1b}[0m");
        assert_eq!(
            content_words("what is the Lock of it"),
            ["lock".to_owned()].into()
        );
    }

    #[test]
    fn any_text_is_fine() {
        for text in ["", "ä", &"検索".repeat(400), &"x".repeat(1000), "\n\n"] {
            for question in ["", "検索 x", "ä"] {
                plain(text, question);
            }
        }
    }
}
