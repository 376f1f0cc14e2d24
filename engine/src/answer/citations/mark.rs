//! The contents of a mark's brackets, in all the forms that models write.

/// Longest text between brackets that can be a mark; anything longer is ordinary text.
pub(super) const MAX_CHARS: usize = 64;
/// Maximum number of sources in a range such as `[1-4]`.
const MAX_RANGE: u32 = 10;

/// Labels before the number, in the languages that models cite in.
const LABELS: &[&str] = &[
    "sources",
    "source",
    "src",
    "documents",
    "document",
    "docs",
    "doc",
    "ids",
    "id",
    "references",
    "reference",
    "refs",
    "ref",
    "citations",
    "citation",
    "cite",
    "passages",
    "passage",
    "chunks",
    "chunk",
    "context",
    "excerpts",
    "excerpt",
    "snippet",
    "quellen",
    "quelle",
    "dokument",
    "fuentes",
    "fuente",
    "documentos",
    "documento",
    "sources",
    "fonti",
    "fonte",
    "fontes",
    "bronnen",
    "bron",
    "источник",
    "документ",
    "来源",
    "文档",
    "资料",
    "引用",
    "出典",
    "資料",
    "文書",
    "출처",
];
/// Words that join two numbers.
const JOINTS: &[&str] = &[
    "and", "und", "et", "y", "e", "en", "i", "и", "og", "och", "or", "和", "と", "및",
];
/// Words after the number that introduce a place in the source.
const PLACES: &[&str] = &[
    "page",
    "pages",
    "p",
    "pp",
    "pg",
    "section",
    "sections",
    "sec",
    "§",
    "line",
    "lines",
    "l",
    "chapter",
    "ch",
    "paragraph",
    "para",
    "seite",
    "seiten",
    "s",
    "abschnitt",
    "página",
    "pagina",
    "pág",
    "section",
    "页",
    "頁",
    "第",
];

/// How a mark is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// One number: `[1]`.
    Single,
    /// Numbers one after the other: `[1, 3]`.
    List,
    /// A range of numbers: `[1-3]`.
    Range,
    /// With words or brackets that are used for nothing else: `[Source: 1]`, `【1】`.
    Labelled,
    /// `[^1]`.
    Footnote,
}

/// A mark and its numbers, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) form: Form,
    pub(super) numbers: Vec<u32>,
}

/// The bracket that closes `c`; `None` if `c` does not open a mark.
pub(super) fn closing(c: char) -> Option<char> {
    Some(match c {
        '[' => ']',
        '【' => '】',
        '［' => '］',
        '〔' => '〕',
        _ => return None,
    })
}

/// Whether `c` may occur in a mark that `open` opened.
pub(super) fn may_hold(open: char, c: char) -> bool {
    let wide = open != '[' && c != '\n';
    wide || c.is_alphanumeric()
        || matches!(
            c,
            ' ' | ','
                | ';'
                | '-'
                | '–'
                | '^'
                | '†'
                | '#'
                | ':'
                | '.'
                | '&'
                | '|'
                | '='
                | '§'
                | '、'
                | '，'
                | '；'
                | '_'
        )
}

/// Reads the contents of the brackets; `None` if they are ordinary text. Years and other long
/// numbers are text.
pub(super) fn read(open: char, inside: &str) -> Option<Mark> {
    let inside = narrow(inside);
    // In Markdown a footnote's `^` directly follows the bracket; `[ ^1]` is a character class.
    let may_be_note = inside.starts_with('^');
    let mut inside = inside.trim();
    let mut labelled = open != '[';
    if let Some((number, _)) = inside.split_once('†') {
        // The title of the source may follow.
        (inside, labelled) = (number.trim(), true);
    }
    let mut numbers = Vec::new();
    let mut notes = 0;
    let mut items = 0;
    let mut form = Form::Single;
    for item in inside.split([',', ';', '、']) {
        let (parts, by_words) = joined(item.trim());
        labelled |= by_words;
        for item in parts {
            if items > 0 && is_place(item) {
                labelled = true;
                continue;
            }
            let (item, label) = unlabelled(item);
            labelled |= label;
            let bare = item.strip_prefix('^').inspect(|_| notes += 1);
            let item = bare.unwrap_or(item).trim();
            match range(item) {
                Some(found) => {
                    let (from, to) = found?;
                    form = Form::Range;
                    numbers.extend(from..=to);
                }
                None if label => numbers.push(titled(item)?),
                None => numbers.push(number(item)?),
            }
            items += 1;
        }
    }
    if items > 1 {
        form = Form::List;
    }
    if labelled {
        form = Form::Labelled;
    } else if notes == items && may_be_note {
        form = Form::Footnote;
    } else if notes > 0 {
        return None;
    }
    let mut seen = Vec::new();
    numbers.retain(|n| {
        !seen.contains(n) && {
            seen.push(*n);
            true
        }
    });
    (!numbers.is_empty()).then_some(Mark { form, numbers })
}

/// Full-width digits and punctuation as ASCII.
fn narrow(text: &str) -> String {
    let narrow = |c: char| match c {
        '０'..='９' => char::from(b'0' + (u32::from(c) - u32::from('０')) as u8),
        '，' => ',',
        '；' => ';',
        '：' => ':',
        '－' | '～' => '-',
        '　' | '\u{a0}' | '\u{202f}' => ' ',
        c => c,
    };
    text.chars().map(narrow).collect()
}

/// The parts of an item, and whether words join them: `1 and 2`.
fn joined(item: &str) -> (Vec<&str>, bool) {
    let mut parts = Vec::new();
    let mut start = 0;
    for (at, word) in words(item) {
        let lower = word.to_lowercase();
        if word == "&" || JOINTS.contains(&lower.as_str()) {
            parts.push(item[start..at].trim());
            start = at + word.len();
        }
    }
    parts.push(item[start..].trim());
    let by_words = parts.len() > 1;
    // `[1, and 2]` has an empty part.
    let some: Vec<&str> = parts
        .iter()
        .copied()
        .filter(|part| !part.is_empty())
        .collect();
    (if some.is_empty() { parts } else { some }, by_words)
}

/// Words with their positions.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split(' ').scan(0, |at, word| {
        let start = *at;
        *at += word.len() + 1;
        Some((start, word))
    })
}

/// The text without a leading `Source:`, `ID`, `#` and the like, and whether there was such a word.
fn unlabelled(item: &str) -> (&str, bool) {
    let end = item
        .find(|c: char| c.is_ascii_digit() || matches!(c, ' ' | ':' | '=' | '#' | '^' | '_' | '.'))
        .unwrap_or(item.len());
    let (label, rest) = item.split_at(end);
    if label.is_empty() {
        return (item.trim_start_matches('#'), false);
    }
    if !LABELS.contains(&label.to_lowercase().as_str()) {
        return (item, false);
    }
    let rest = rest.trim_start_matches([' ', ':', '=', '#', '_', '.']);
    (rest.strip_prefix("no.").unwrap_or(rest).trim_start(), true)
}

/// Whether an item names a place: `page 3`, `p. 3-4`, `§ 2`.
fn is_place(item: &str) -> bool {
    let end = item
        .find(|c: char| c.is_ascii_digit())
        .unwrap_or(item.len());
    let (word, number) = item.split_at(end);
    let word = word.trim().trim_end_matches('.').to_lowercase();
    let is_number = |c: char| c.is_ascii_digit() || matches!(c, '-' | '–' | '.' | ' ');
    PLACES.contains(&word.as_str()) && !number.is_empty() && number.chars().all(is_number)
}

/// A number after a label, which a title may follow: `1: Manual`, `1 - Manual`.
fn titled(item: &str) -> Option<u32> {
    let end = item
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(item.len());
    let (digits, rest) = item.split_at(end);
    let rest = rest.trim_start();
    let ends = rest.is_empty()
        || [":", "|", "- ", "– "]
            .iter()
            .any(|mark| rest.starts_with(mark));
    number(digits).filter(|_| ends)
}

/// The ends of a range; `None` if it is not a range, and the inner `None` if a mark cannot have
/// this range.
#[allow(clippy::option_option)]
fn range(item: &str) -> Option<Option<(u32, u32)>> {
    let (from, to) = item.split_once(['-', '–'])?;
    if from.trim().is_empty() || to.trim().is_empty() || number(from).is_none() {
        return None;
    }
    let (from, to) = (number(from)?, number(to.trim_start_matches(['^', '#']))?);
    Some((from <= to && to - from < MAX_RANGE).then_some((from, to)))
}

fn number(text: &str) -> Option<u32> {
    let text = text.trim();
    let digits = (1..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(inside: &str) -> Option<Vec<u32>> {
        read('[', inside).map(|mark| mark.numbers)
    }

    #[test]
    fn every_form() {
        for (inside, form, expected) in [
            ("1", Form::Single, &[1][..]),
            ("#1", Form::Single, &[1]),
            ("1, 2", Form::List, &[1, 2]),
            ("1;2", Form::List, &[1, 2]),
            ("1, 1, 2", Form::List, &[1, 2]),
            ("1-3", Form::Range, &[1, 2, 3]),
            ("1–2", Form::Range, &[1, 2]),
            ("^1", Form::Footnote, &[1]),
            ("1 and 2", Form::Labelled, &[1, 2]),
            ("1, 2, and 3", Form::Labelled, &[1, 2, 3]),
            ("1 & 2", Form::Labelled, &[1, 2]),
            ("1 und 2", Form::Labelled, &[1, 2]),
            ("Source: 1", Form::Labelled, &[1]),
            ("Source 1, Source 2", Form::Labelled, &[1, 2]),
            ("sources: 1, 2", Form::Labelled, &[1, 2]),
            ("Sources 1 and 2", Form::Labelled, &[1, 2]),
            ("ID:1", Form::Labelled, &[1]),
            ("ID: 1", Form::Labelled, &[1]),
            ("id=1", Form::Labelled, &[1]),
            ("Doc. 2", Form::Labelled, &[2]),
            ("doc_2", Form::Labelled, &[2]),
            ("Document 2, page 3", Form::Labelled, &[2]),
            ("Document #2", Form::Labelled, &[2]),
            ("1, p. 3", Form::Labelled, &[1]),
            ("1, pp. 3-4", Form::Labelled, &[1]),
            ("Source 1: Manual", Form::Labelled, &[1]),
            ("Sources 1-3", Form::Labelled, &[1, 2, 3]),
            ("Quelle 2", Form::Labelled, &[2]),
            ("来源1", Form::Labelled, &[1]),
            ("1†source", Form::Labelled, &[1]),
        ] {
            let expected = Mark {
                form,
                numbers: expected.to_vec(),
            };
            assert_eq!(read('[', inside), Some(expected), "{inside}");
        }
        for inside in ["1", "１", "1†source", "1、2", "1†L3-L5"] {
            let mark = read('【', inside).unwrap();
            assert_eq!(
                (mark.form, mark.numbers[0]),
                (Form::Labelled, 1),
                "{inside}"
            );
        }
    }

    #[test]
    fn what_is_none() {
        for inside in [
            "",
            " ",
            "a",
            "x1",
            "2024",
            "1.5",
            "1/2",
            "-1",
            "1:3",
            "1..3",
            "1-900",
            "3-1",
            "1-2-3",
            "page 3",
            "step 1",
            "table 2",
            "Source",
            "Source: a.md",
            "note",
            "and",
            ",",
            "1,",
            "^",
            "1, x",
            "^1, 2",
            " ^1",
            "Source 1 of 3",
            "i",
            "see 1",
        ] {
            assert_eq!(numbers(inside), None, "{inside}");
        }
    }
}
