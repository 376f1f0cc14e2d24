//! What a cell holds, as far as its look tells.

/// What a cell holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing, or a word that says so.
    Empty,
    Number,
    /// A date, a time or both.
    Date,
    /// Of a mailbox or of a page.
    Address,
    Text,
}

/// Words for nothing.
const NOTHING: &[&str] = &[
    "-", "--", "n/a", "na", "nan", "null", "none", "nil", "\\n", "?", "#n/a",
];

impl Kind {
    pub(super) fn of(cell: &str) -> Self {
        let cell = cell.trim();
        if cell.is_empty() || NOTHING.iter().any(|word| cell.eq_ignore_ascii_case(word)) {
            return Self::Empty;
        }
        if is_number(cell) {
            return Self::Number;
        }
        if is_date(cell) {
            return Self::Date;
        }
        let is_address = cell.contains("://") || (cell.contains('@') && cell.contains('.'));
        match is_address && !cell.contains(' ') {
            true => Self::Address,
            false => Self::Text,
        }
    }
}

/// The pattern of a code such as `A-17` or `ab12c`: runs of letters and digits,
/// each as one character. None for words.
pub(super) fn shape(cell: &str) -> Option<String> {
    let mut shape = String::new();
    for c in cell.trim().chars() {
        let class = match c {
            _ if c.is_numeric() => '9',
            _ if c.is_alphabetic() => 'a',
            _ => c,
        };
        if !shape.ends_with(class) {
            shape.push(class);
        }
    }
    (shape.contains('9') && !shape.contains(' ')).then_some(shape)
}

/// Digits with the marks of amounts: `-1.234,50 €`, `(12)`, `95 %`, `1e-3`.
fn is_number(cell: &str) -> bool {
    let mut digits = 0;
    let mut letters = 0;
    for c in cell.chars() {
        match c {
            '0'..='9' => digits += 1,
            '.' | ',' | '\'' | ' ' | '\u{a0}' | '\u{202f}' | '_' | '+' | '-' | '\u{2212}' | '('
            | ')' | '%' | '‰' | '$' | '€' | '£' | '¥' => {}
            'e' | 'E' if digits > 0 => letters += 1,
            _ => return false,
        }
    }
    // A minus inside is a date or a code, but for that of an exponent.
    let behind_sign = cell.trim_start_matches(['-', '+', '$', '€', '£', '¥', ' ', '(']);
    let inside = behind_sign.trim_end_matches('-');
    let marked = inside
        .char_indices()
        .filter(|(at, c)| *c == '-' && !inside[..*at].ends_with(['e', 'E']))
        .count();
    let dots = cell.matches('.').count();
    let is_version_or_date = dots > 1 && !cell.contains(',') && !is_grouped(cell);
    digits > 0 && letters <= 1 && marked == 0 && !is_version_or_date
}

/// Thousands in groups of three: `1.234.567`.
fn is_grouped(cell: &str) -> bool {
    let mut groups = cell
        .trim_matches(|c: char| !c.is_ascii_digit())
        .split('.')
        .map(str::len);
    groups.next().is_some_and(|first| first <= 3) && groups.all(|group| group == 3)
}

/// Digits with the marks of dates and times, and little else: `2024-03-01`,
/// `1.5.2024 10:00`, `10:05`, `2024-03-01T10:00:00Z`.
fn is_date(cell: &str) -> bool {
    let (mut digits, mut marks, mut letters) = (0, 0, 0);
    for c in cell.chars() {
        match c {
            '0'..='9' => digits += 1,
            '-' | '/' | '.' | ':' => marks += 1,
            ' ' | ',' | '+' => {}
            'T' | 'Z' | 'A' | 'P' | 'M' | 'a' | 'p' | 'm' => letters += 1,
            _ => return false,
        }
    }
    digits >= 3 && marks >= 1 && letters <= 3 && cell.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_by_their_look() {
        for (kind, cells) in [
            (Kind::Empty, vec!["", " ", "N/A", "null", "-"]),
            (
                Kind::Number,
                vec![
                    "1",
                    "-0,12",
                    "1.234,50 €",
                    "$3.10",
                    "95%",
                    "1e-3",
                    "1 000",
                    "(12)",
                    "1.234.567",
                    "5-",
                ],
            ),
            (
                Kind::Date,
                vec![
                    "2024-03-01",
                    "1.5.2024",
                    "10:05",
                    "2024-03-01T10:00:00Z",
                    "3/4/24 9:00 PM",
                ],
            ),
            (Kind::Address, vec!["a@b.org", "https://x.org/1"]),
            (Kind::Text, vec!["nut", "A4", "Q1 2024", "x-1", "E", "€"]),
        ] {
            for cell in cells {
                assert_eq!(Kind::of(cell), kind, "{cell}");
            }
        }
    }
}
