//! A line of a document as shown in an answer: without its markup.

use super::citations::mark_at;
pub(super) use crate::text::one_line;

/// Removes emphasis and the source's own reference marks, which would look like our citations:
/// `[12]` is dropped, `[text](url)` becomes `text`. Indices and intervals stay.
pub(super) fn strip_marks(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut in_code = false;
    while let Some(c) = rest.chars().next() {
        if c == '`' {
            in_code = !in_code;
        } else if !in_code {
            if rest.starts_with("**")
                || rest.starts_with("__") && !out.ends_with(char::is_alphanumeric)
            {
                rest = &rest[2..];
                continue;
            }
            if c == '['
                && let Some((shown, after)) = link(&out, rest)
            {
                if shown.is_empty() {
                    out.truncate(out.trim_end().len());
                } else {
                    out.push_str(shown);
                }
                rest = after;
                continue;
            }
        }
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    out.trim().to_owned()
}

/// What the bracket at the start of `text`, after `before`, displays, and the text after it; `None`
/// if it is an ordinary bracket.
fn link<'a>(before: &str, text: &'a str) -> Option<(&'a str, &'a str)> {
    let inside = text.strip_prefix('[')?;
    let end = inside.find(']')?;
    let (shown, after) = (&inside[..end], &inside[end + 1..]);
    if shown.contains('[') {
        return None;
    }
    if let Some(target) = after.strip_prefix('(') {
        return Some((shown, &target[target.find(')')? + 1..]));
    }
    let is_index = before.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | ')' | ']'));
    if let Some(target) = after.strip_prefix('[')
        && !is_index
    {
        return Some((shown, &target[target.find(']')? + 1..]));
    }
    let number = |part: &str| {
        let part = part.trim().trim_start_matches('^');
        (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit())
    };
    let is_reference = !shown.is_empty() && shown.split([',', ';', '-', '–']).all(number);
    (is_reference && mark_at(before, text).is_some()).then_some(("", after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_and_intervals_do() {
        for text in [
            "Take args[1] and m[1][2] of it.",
            "The range [3, 8] is safe.",
            "It is int[3] or [3]int.",
            "Take [5-9] mg of it.",
        ] {
            assert_eq!(strip_marks(text), text);
        }
    }

    #[test]
    fn marks_of_the_source_do_not_survive() {
        assert_eq!(
            strip_marks("As was shown before [12], the **method** works [3, 4]."),
            "As was shown before, the method works."
        );
        assert_eq!(
            strip_marks("See [the book](http://x/y) for more of `v[1]` please."),
            "See the book for more of `v[1]` please."
        );
    }
}
