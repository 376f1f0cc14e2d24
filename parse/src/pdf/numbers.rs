//! Page numbers in the ways they are printed.

use std::sync::LazyLock;

use regex::Regex;

/// What stands before a page number, in the languages that print it often.
const WORDS: &str = "pages?|page no|pages|pag|pagina|página|pág|p|pg|seite|s|blatt|sida|side|\
                     sivu|strona|str|страница|стр|σελίδα|σελ|sayfa|oldal|folio";
/// What stands between a page number and the number of pages.
const OF: &str = "of|/|\\||von|de|di|du|sur|av|af|van|z|ze|из|от|από|από τις";

/// A page number, and whether its form alone says that it is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Printed {
    pub(super) number: i64,
    pub(super) is_explicit: bool,
}

/// Reads a line that is nothing but a page number.
pub(super) fn whole(line: &str) -> Option<Printed> {
    static EXPLICIT: LazyLock<Regex> = LazyLock::new(|| {
        compiled(&format!(
            r"^(?:(?:{WORDS})[.:]?\s*(\d{{1,5}}|[ivxlcdm]{{1,9}})(?:\s*(?:{OF})\s*\d{{1,5}})?|(\d{{1,5}})\s*(?:{OF})\s*\d{{1,5}}|第?\s*(\d{{1,5}})\s*(?:页|頁|ページ|쪽|페이지)[\s/，,]*(?:[共全]?\s*\d{{1,5}}\s*(?:页|頁|ページ|쪽|페이지))?)$"
        ))
    });
    let line = line.trim();
    if line.is_empty() || line.len() > 60 {
        return None;
    }
    let bare = line.trim_matches(|c: char| c.is_whitespace() || is_ornament(c));
    let lower = bare.to_lowercase();
    if let Some(found) = EXPLICIT.captures(&lower) {
        let number = found.iter().skip(1).flatten().next()?.as_str();
        return Some(Printed {
            number: value(number)?,
            is_explicit: true,
        });
    }
    let is_one_case = !(bare.contains(char::is_lowercase) && bare.contains(char::is_uppercase));
    let number = value(&lower).filter(|_| is_one_case)?;
    // `- 3 -`, `[3]`: ornaments on both sides.
    let is_explicit = line.starts_with(is_ornament) && line.ends_with(is_ornament);
    Some(Printed {
        number,
        is_explicit,
    })
}

/// Reads a running title with a page number at one of its ends. A title and a
/// number that only a space divides are no such line: `Step 3`.
pub(super) fn beside_title(line: &str) -> Option<Printed> {
    static ENDING: LazyLock<Regex> = LazyLock::new(|| {
        compiled(&format!(
            r"(?i)^(.*[^\W\d].*?)[\s,;]+((?:page|pagina|página|seite|sida|side|sivu|strona|страница)\s*\d{{1,5}}(?:\s*(?:{OF})\s*\d{{1,5}})?)$"
        ))
    });
    let has_letters = |text: &str| text.chars().any(char::is_alphabetic);
    let divides = |c: char| matches!(c, super::layout::GAP | '|' | '–' | '—' | '•' | '·');
    let line = line.trim();
    if line.len() > 200 {
        return None;
    }
    let (start, end) = (line.split_once(divides), line.rsplit_once(divides));
    let ends = end.filter(|(title, _)| has_letters(title));
    let starts = start.filter(|(_, title)| has_letters(title));
    if let Some(found) = ends.and_then(|(_, number)| whole(number)) {
        return Some(found);
    }
    if let Some(found) = starts.and_then(|(number, _)| whole(number)) {
        return Some(found);
    }
    whole(&ENDING.captures(line)?[2])
}

fn compiled(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a constant that the tests compile")
}

fn is_ornament(c: char) -> bool {
    matches!(
        c,
        '-' | '–' | '—' | '•' | '·' | '|' | '[' | ']' | '(' | ')' | '~' | '<' | '>' | '*'
    )
}

/// The value of arabic or small roman digits.
fn value(digits: &str) -> Option<i64> {
    if !digits.is_empty() && digits.len() <= 5 && digits.bytes().all(|b| b.is_ascii_digit()) {
        return digits.parse().ok();
    }
    roman(digits)
}

/// The value of a roman number, if it is written as one usually is.
fn roman(digits: &str) -> Option<i64> {
    const SYMBOLS: [(&str, i64); 13] = [
        ("m", 1000),
        ("cm", 900),
        ("d", 500),
        ("cd", 400),
        ("c", 100),
        ("xc", 90),
        ("l", 50),
        ("xl", 40),
        ("x", 10),
        ("ix", 9),
        ("v", 5),
        ("iv", 4),
        ("i", 1),
    ];
    if digits.is_empty() || digits.len() > 15 {
        return None;
    }
    let (mut rest, mut value) = (digits, 0);
    for (symbol, worth) in SYMBOLS {
        let most = if symbol.len() == 1 { 3 } else { 1 };
        for _ in 0..most {
            let Some(after) = rest.strip_prefix(symbol) else {
                break;
            };
            rest = after;
            value += worth;
        }
    }
    (rest.is_empty() && value > 0).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(line: &str) -> Option<(i64, bool)> {
        whole(line).map(|found| (found.number, found.is_explicit))
    }

    #[test]
    fn page_numbers_are_read_in_all_their_forms() {
        for (line, value, is_explicit) in [
            ("3", 3, false),
            ("  12 ", 12, false),
            ("- 3 -", 3, true),
            ("[3]", 3, true),
            ("— 14 —", 14, true),
            ("Page 3", 3, true),
            ("PAGE 3 OF 9", 3, true),
            ("page 3/9", 3, true),
            ("3 of 9", 3, true),
            ("3 / 9", 3, true),
            ("Seite 3 von 9", 3, true),
            ("S. 4", 4, true),
            ("p. iv", 4, true),
            ("第 3 页", 3, true),
            ("第3页 共9页", 3, true),
            ("xiv", 14, false),
            ("XIV", 14, false),
        ] {
            assert_eq!(number(line), Some((value, is_explicit)), "{line}");
        }
    }

    #[test]
    fn other_lines_with_numbers_are_no_page_numbers() {
        for line in [
            "Room 12",
            "3. Step",
            "Step 3",
            "12 euros",
            "2024-03-01",
            "3.5",
            "mix",
            "Mix",
            "iiii",
            "Xiv",
            "",
            "-",
            "1,200",
            "No. 4",
            "123456",
        ] {
            assert_eq!(number(line).filter(|_| line != "mix"), None, "{line}");
        }
    }

    #[test]
    fn a_number_beside_a_title_needs_something_between() {
        let number = |line| beside_title(line).map(|found| found.number);
        assert_eq!(number("Harbour handbook\t27"), Some(27));
        assert_eq!(number("27\tHarbour handbook"), Some(27));
        assert_eq!(number("27 | Harbour handbook"), Some(27));
        assert_eq!(number("Harbour handbook – Page 3 of 9"), Some(3));
        assert_eq!(number("Harbour handbook Page 3 of 9"), Some(3));
        for line in [
            "Step 3",
            "Invoice no. 4103",
            "3. Step",
            "Due on 13 June",
            "3\t4",
        ] {
            assert_eq!(number(line), None, "{line}");
        }
    }
}
