//! What stands inside of quotes, and what is a number.

/// A text without its escapes. What is not an escape, as in a Windows path, stays.
pub(super) fn unescape(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        rest = escape(&rest[at + 1..], &mut text);
    }
    text.push_str(rest);
    text
}

/// Writes the character that an escape stands for; returns what follows it.
fn escape<'a>(after: &'a str, text: &mut String) -> &'a str {
    let Some(letter) = after.chars().next() else {
        text.push('\\');
        return after;
    };
    let rest = &after[letter.len_utf8()..];
    match letter {
        'n' => text.push('\n'),
        't' => text.push('\t'),
        'r' => text.push('\r'),
        'b' => text.push('\u{8}'),
        'f' => text.push('\u{c}'),
        '"' | '\'' | '\\' | '/' => text.push(letter),
        // A line that goes on.
        '\n' => {}
        'x' => return code(rest, 2, after, text),
        'u' => return unicode(rest, after, text),
        _ => {
            text.push('\\');
            text.push(letter);
        }
    }
    rest
}

/// `\x41`: what is not followed by digits stays.
fn code<'a>(rest: &'a str, digits: usize, after: &'a str, text: &mut String) -> &'a str {
    match hex(rest, digits).and_then(char::from_u32) {
        Some(c) => {
            text.push(c);
            &rest[digits..]
        }
        None => {
            text.push('\\');
            after
        }
    }
}

/// `\u00e9`, or two of them for one character; half a pair is none.
fn unicode<'a>(rest: &'a str, after: &'a str, text: &mut String) -> &'a str {
    let Some(first) = hex(rest, 4) else {
        text.push('\\');
        return after;
    };
    let rest = &rest[4..];
    if let Some(c) = char::from_u32(first) {
        text.push(c);
        return rest;
    }
    let second = rest.strip_prefix("\\u").and_then(|rest| hex(rest, 4));
    if let (0xd800..0xdc00, Some(low @ 0xdc00..0xe000)) = (first, second) {
        let both = 0x10000 + ((first - 0xd800) << 10) + (low - 0xdc00);
        text.extend(char::from_u32(both));
        return &rest[6..];
    }
    text.push('\u{fffd}');
    rest
}

fn hex(text: &str, digits: usize) -> Option<u32> {
    let digits = text.get(..digits)?;
    let is_hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
    is_hex.then(|| u32::from_str_radix(digits, 16).ok())?
}

/// Whether a word is a number: as JSON has them, with a `+`, without digits on
/// one side of the point, or hexadecimal.
pub(super) fn is_number(word: &str) -> bool {
    let digits = word.strip_prefix(['-', '+']).unwrap_or(word);
    if let Some(digits) = digits.strip_prefix("0x").or(digits.strip_prefix("0X")) {
        return !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
    }
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (digits, None),
    };
    let all_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let exponent_fits = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !digits.is_empty() && all_digits(digits)
    });
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    exponent_fits
        && (!whole.is_empty() || !fraction.is_empty())
        && all_digits(whole)
        && all_digits(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_become_characters() {
        for (raw, text) in [
            (r#"a\"b\\c\/d\n"#, "a\"b\\c/d\n"),
            (r"\u00e9\ud83d\ude00", "é\u{1f600}"),
            (r"\ud83d!", "\u{fffd}!"),
            (r"C:\dir\q", r"C:\dir\q"),
            (r"\u12", r"\u12"),
            (r"\x41\x4", r"A\x4"),
            ("ends \\", "ends \\"),
        ] {
            assert_eq!(unescape(raw), text);
        }
    }

    #[test]
    fn numbers_are_told_from_words() {
        for number in ["0", "-1.50", "1e9", "2E-3", "+4", ".5", "5.", "0xFf"] {
            assert!(is_number(number), "{number}");
        }
        for word in ["", "-", ".", "1e", "1.2.3", "2024-01-02", "0x", "12a"] {
            assert!(!is_number(word), "{word}");
        }
    }
}
