//! What the marks at the start of AsciiDoc's lines stand for.

use super::tables::value_of;
use crate::numerals::Numerals;
use crate::work;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Block {
    Comment,
    /// As it stands.
    Literal,
    /// With what parts its cells.
    Table(char),
    /// Passed to the output.
    Passed,
    /// Holds blocks.
    Compound,
}

/// What a line that begins or ends a block stands for.
pub(super) fn delimiter(line: &str) -> Option<Block> {
    match line {
        "|===" | "!===" => return Some(Block::Table('|')),
        ",===" => return Some(Block::Table(',')),
        ":===" => return Some(Block::Table(':')),
        _ => {}
    }
    if line == "--" {
        return Some(Block::Compound);
    }
    if line.starts_with("```") {
        return Some(Block::Literal);
    }
    let first = line.chars().next()?;
    if line.len() < 4 || !line.chars().all(|c| c == first) {
        return None;
    }
    match first {
        '/' => Some(Block::Comment),
        '-' | '.' => Some(Block::Literal),
        '+' => Some(Block::Passed),
        '=' | '*' | '_' => Some(Block::Compound),
        _ => None,
    }
}

/// The line that ends the block which begins at `at`, or the end of all.
pub(super) fn end_of(lines: &[&str], at: usize) -> usize {
    let fence = if lines[at].starts_with("```") {
        "```"
    } else {
        lines[at]
    };
    let found = lines[at + 1..].iter().position(|line| *line == fence);
    work::add(found.unwrap_or(lines.len() - at));
    found.map_or(lines.len(), |found| at + 1 + found)
}

/// `:name: value`.
pub(super) fn attribute(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.strip_prefix(':')?.split_once(':')?;
    let is_name = !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-!".contains(&b));
    let is_value = value.is_empty() || value.starts_with(' ');
    (is_name && is_value).then_some((name, value.trim()))
}

/// What stands in brackets alone on a line.
pub(super) fn block_attributes(line: &str) -> Option<&str> {
    let inner = line.strip_prefix('[')?.strip_suffix(']')?;
    (!inner.starts_with(' ') && !inner.contains("](")).then_some(inner)
}

/// `== Title`, from level 1 for `=`.
pub(super) fn heading(line: &str) -> Option<(u8, &str)> {
    let mark = line.chars().next().filter(|c| "=#".contains(*c))?;
    let marks = line.len() - line.trim_start_matches(mark).len();
    let title = line[marks..].strip_prefix(' ')?.trim();
    let closing = format!(" {}", &line[..marks]);
    let title = title.strip_suffix(&closing).unwrap_or(title);
    ((1..=6).contains(&marks) && !title.is_empty()).then_some((marks as u8, title))
}

/// A title with a line of marks of its length below it.
pub(super) fn underlined<'a>(lines: &[&'a str], at: usize) -> Option<(u8, &'a str)> {
    let (title, line) = (lines[at], lines.get(at + 1)?);
    let first = line.chars().next()?;
    let level = "=-~^+".find(first)?;
    let width = title.chars().count();
    let is_line = line.chars().all(|c| c == first) && line.len().abs_diff(width) <= 1;
    let is_title = width > 1 && title.starts_with(|c: char| c.is_alphanumeric());
    let is_below_blank = at == 0 || lines[at - 1].is_empty() || lines[at - 1].starts_with('[');
    (is_line && is_title && is_below_blank).then_some((level as u8 + 1, title))
}

/// `.Title` above a block.
pub(super) fn block_title(line: &str) -> Option<&str> {
    let title = line.strip_prefix('.')?;
    let begins = title.chars().next()?;
    (!begins.is_whitespace() && begins != '.').then_some(title)
}

/// The marker of a list item, and its text: `*`, `..`, `1.`, `<1>`, `term::`.
pub(super) fn marker(line: &str) -> Option<(&str, &str)> {
    let bare = line.trim_start();
    let (word, text) = bare.split_once(' ').unwrap_or((bare, ""));
    let same = |c: char| word.len() <= 5 && word.chars().all(|mark| mark == c);
    let is_number = word.strip_suffix('.').is_some_and(|number| {
        let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
        digits || number.len() == 1 && number.bytes().all(|b| b.is_ascii_alphabetic())
    });
    let is_callout = word
        .strip_prefix('<')
        .and_then(|rest| rest.strip_suffix('>'));
    let is_callout = is_callout.is_some_and(|number| {
        number == "." || !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
    });
    let is_mark = same('*') || same('.') || word == "-" || is_number || is_callout;
    if !text.is_empty() && !word.is_empty() && is_mark {
        return Some((word, text));
    }
    // A term may have several words; its text may stand on the next line.
    for mark in ["::", ";;"] {
        let Some(at) = bare.find(mark).filter(|&at| at > 0) else {
            continue;
        };
        let end = at + bare[at..].len() - bare[at..].trim_start_matches(&mark[..1]).len();
        let rest = &bare[end..];
        if end - at <= 4 && (rest.is_empty() || rest.starts_with(' ')) {
            return Some((&bare[..end], rest));
        }
    }
    None
}

/// Markers that belong to one list.
pub(super) fn kind_of(mark: &str) -> &'static str {
    const STARS: [&str; 5] = ["*", "**", "***", "****", "*****"];
    const DOTS: [&str; 5] = [".", "..", "...", "....", "....."];
    match mark.as_bytes() {
        [b'-'] => "-",
        [b'<', ..] => "<",
        [.., b':', b':', b':', b':'] => "::::",
        [.., b':', b':', b':'] => ":::",
        [.., b':', b':'] => "::",
        [.., b';'] => ";;",
        [b'*', ..] => STARS[(mark.len() - 1).min(4)],
        [b'.', ..] => DOTS[(mark.len() - 1).min(4)],
        [first, ..] if first.is_ascii_alphabetic() => "a",
        _ => "1",
    }
}

/// How the items of a list are counted, and from where, by the attributes above it or by
/// the depth of its marker.
pub(super) fn numerals(style: &str, attributes: &str, mark: &str) -> (Numerals, u64) {
    let start = value_of(attributes, "start").and_then(|start| start.parse().ok());
    let numerals = Numerals::named(style).unwrap_or(match mark {
        ".." => Numerals::LowerLetters,
        "..." => Numerals::LowerRoman,
        "...." => Numerals::UpperLetters,
        "....." => Numerals::UpperRoman,
        _ => Numerals::Decimal(1),
    });
    (numerals, start.unwrap_or(1))
}

/// Goes on with `line`, on a line of its own where the one before ends in ` +`.
pub(super) fn join(whole: &mut String, line: &str) {
    if let Some(before) = whole.strip_suffix(" +") {
        whole.truncate(before.len());
        whole.push('\n');
    } else if !whole.is_empty() {
        whole.push(' ');
    }
    whole.push_str(line);
}

/// `Note` for `NOTE`.
pub(super) fn label(kind: &str) -> String {
    let (first, rest) = kind.split_at(1);
    format!("{first}{}", rest.to_lowercase())
}

/// A name without the address behind it.
pub(super) fn author(text: &str) -> String {
    text.split('<')
        .next()
        .unwrap_or(text)
        .trim()
        .replace('_', " ")
}
