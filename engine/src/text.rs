//! Text for one line of an answer, a table or a terminal.

/// `text` with every run of white space as one space, and none at its ends.
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line
}

/// [`one_line`] of at most `max_chars` characters, and an ellipsis where it was cut.
pub fn one_line_within(text: &str, max_chars: usize) -> String {
    let mut line = one_line(text);
    if let Some((end, _)) = line.char_indices().nth(max_chars) {
        line.truncate(end);
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_becomes_single_spaces() {
        assert_eq!(one_line(" a\n\tb \u{a0} c "), "a b c");
        assert_eq!(one_line(" \n"), "");
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        assert_eq!(one_line_within("äö\nü", 4), "äö ü");
        assert_eq!(one_line_within("äö\nü", 3), "äö …");
    }
}
