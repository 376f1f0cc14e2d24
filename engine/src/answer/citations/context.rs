//! Whether brackets with numbers are a mark in their context: indices, intervals, links and types
//! are written the same way.

use super::mark::{Form, Mark};

/// How many characters after a bracket are examined.
const MAX_WORD_CHARS: usize = 16;
/// Maximum length of a link's target, in characters.
const MAX_TARGET_CHARS: usize = 400;

/// Units of measure that may follow a number in brackets.
const UNITS: &[&str] = &[
    "%", "‰", "°", "°c", "°f", "mg", "µg", "μg", "g", "kg", "t", "ml", "cl", "dl", "l", "nm", "µm",
    "μm", "mm", "cm", "dm", "m", "km", "ns", "µs", "μs", "ms", "s", "sec", "min", "h", "hz", "khz",
    "mhz", "ghz", "mv", "v", "kv", "ma", "a", "mw", "w", "kw", "bar", "mbar", "pa", "hpa", "kpa",
    "mpa", "psi", "nm", "j", "kj", "kb", "mb", "gb", "tb", "kib", "mib", "gib", "px", "pt", "rpm",
    "mm²", "m²", "m³", "€", "$", "£", "eur", "usd", "ft", "lb", "lbs", "oz",
];
/// Types that follow brackets, as in `[3]int`.
const TYPES: &[&str] = &[
    "int", "uint", "byte", "rune", "string", "bool", "float", "char", "double", "long", "short",
    "void", "struct", "any", "str", "usize", "isize", "int8", "int16", "int32", "int64", "uint8",
    "uint16", "uint32", "uint64", "float32", "float64", "i8", "i16", "i32", "i64", "u8", "u16",
    "u32", "u64", "f32", "f64",
];
/// Words that precede an interval.
const INTERVAL_WORDS: &[&str] = &[
    "range",
    "ranges",
    "interval",
    "intervals",
    "domain",
    "bounds",
    "between",
    "bereich",
    "intervall",
    "zwischen",
    "plage",
    "intervalle",
    "entre",
    "rango",
    "intervalo",
    "intervallo",
    "tra",
    "bereik",
    "indices",
    "array",
    "list",
    "vector",
    "matrix",
];
/// Words allowed between such a word and the interval.
const LINKS: &[&str] = &[
    "is", "of", "are", "was", "in", "ist", "von", "est", "de", "es", "à", "è", "di",
];
/// Signs of formulas that do not occur in prose.
const SIGNS: &[char] = &[
    '=', '≠', '≈', '≤', '≥', '∈', '∉', '⊂', '⊆', '∪', '∩', '×', '÷', '±', '∖', '∘',
];

/// What directly precedes a bracket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Before {
    /// A space, punctuation, or the beginning of the text.
    Free,
    /// Something that occurs only in code.
    Code,
    /// This word, without a space in between.
    Word(String),
    /// Something that may be prose or code.
    Loose,
}

/// What follows a bracket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct After {
    /// A link's target, a definition, or something that occurs only in code.
    pub(super) is_text: bool,
    /// A unit of measure.
    pub(super) unit: bool,
    /// A sign of a formula.
    pub(super) sign: bool,
    /// A letter or digit, without a space in between.
    pub(super) suffix: bool,
    /// A lower-case word, after a space.
    pub(super) goes_on: bool,
    /// The end of a clause.
    pub(super) ends: bool,
}

/// What precedes a bracket; `seen` is the text of its paragraph so far.
pub(super) fn before(seen: &[char]) -> Before {
    let Some((&last, rest)) = seen.split_last() else {
        return Before::Free;
    };
    let prior = rest.last().copied();
    let named = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    match last {
        c if c.is_whitespace() => Before::Free,
        c if c.is_alphanumeric() && joins_words(c) => Before::Free,
        c if c.is_alphanumeric() || c == '_' => word(seen),
        ')' | ']' => match opener(seen) {
            Some(at) if at > 0 && named(Some(seen[at - 1])) => Before::Code,
            _ => Before::Loose,
        },
        '}' | '/' | '\\' | '$' | '@' | '#' | '&' | '~' | '^' | '<' => Before::Code,
        // `.[1]` of a query, `Monday.[1]` of a sentence.
        '.' if prior.is_none_or(|c| c.is_whitespace() || c == '`') => Before::Code,
        ':' if prior == Some(':') => Before::Code,
        '>' if matches!(prior, Some('-' | '=')) || is_generic(seen) => Before::Code,
        '-' if named(prior) => Before::Code,
        '*' if prior.is_none_or(char::is_whitespace) => Before::Free,
        '"' | '”' | '\'' | '’' | '`' | '»' | '*' => Before::Loose,
        _ => Before::Free,
    }
}

/// Whether `c`'s script is written without spaces between words, which code never is.
fn joins_words(c: char) -> bool {
    matches!(c, '\u{e00}'..='\u{e7f}' | '\u{1000}'..='\u{109f}' | '\u{3040}'..='\u{30ff}'
        | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// Whether `seen` ends with a type such as `Vec<u8>`, and not with an HTML tag.
fn is_generic(seen: &[char]) -> bool {
    let Some(at) = opener(seen).filter(|at| *at > 0) else {
        return false;
    };
    let inside: String = seen[at + 1..seen.len() - 1].iter().collect();
    let is_tag = inside.starts_with('/') || inside.trim_end_matches(['/', ' ']) == "br";
    !is_tag && (seen[at - 1].is_alphanumeric() || seen[at - 1] == '_')
}

/// The position of the opening bracket of the pair that ends `seen`.
fn opener(seen: &[char]) -> Option<usize> {
    let (open, close) = match seen.last()? {
        ')' => ('(', ')'),
        '>' => ('<', '>'),
        _ => ('[', ']'),
    };
    let mut depth = 0;
    for (at, c) in seen.iter().enumerate().rev() {
        if *c == close {
            depth += 1;
        } else if *c == open {
            depth -= 1;
            if depth == 0 {
                return Some(at);
            }
        }
    }
    None
}

/// The word that ends `seen`.
fn word(seen: &[char]) -> Before {
    let is_part =
        |c: &&char| !c.is_whitespace() && !matches!(c, '(' | '"' | '“' | '*' | '[' | '|' | '`');
    let all: String = seen.iter().rev().take_while(is_part).collect();
    let all: String = all.chars().rev().collect();
    if all.contains("://") {
        return Before::Loose;
    }
    let word = all.trim_matches('_');
    if word
        .chars()
        .all(|c| c.is_ascii_digit() || matches!(c, '.' | ',' | '-'))
    {
        // A number cannot be indexed.
        return Before::Loose;
    }
    let is_code = word.chars().count() < 2
        || TYPES.contains(&word)
        || word.contains(['_', '=', '$', '@', '{', '<', '&', '\\'])
        || word.contains("::")
        || word.contains("->");
    match is_code {
        true => Before::Code,
        false => {
            // Only the last part of `the/word` or `so.then` counts.
            let part = word
                .rsplit(['.', '/', ',', ';', ':', '-'])
                .next()
                .unwrap_or(word);
            Before::Word(part.to_lowercase())
        }
    }
}

/// What follows a bracket; `begins` says whether the bracket opens the line. `None` while that is
/// undecided, which it never is at the `end` of the text.
pub(super) fn after(rest: &[char], begins: bool, end: bool) -> Option<After> {
    let mut found = After::default();
    let Some(&first) = rest.first() else {
        found.ends = true;
        return end.then_some(found);
    };
    match first {
        '(' => found.is_text = target(rest, end)?.is_some(),
        ':' if begins => {
            found.is_text = defines(&rest[1..], end)?;
            found.ends = true;
        }
        // `[[1]](address)`.
        ']' => {
            let next = *next(rest, 1, end)?;
            found.is_text = next == '(' && target(&rest[1..], end)?.is_some();
            found.ends = true;
        }
        '{' | '+' => found.is_text = true,
        '-' => found.is_text = *next(rest, 1, end)? == '>',
        '.' => {
            let next = *next(rest, 1, end)?;
            found.is_text = next.is_ascii_lowercase() || next.is_ascii_digit() || next == '_';
            found.ends = true;
        }
        c if SIGNS.contains(&c) => found.sign = true,
        c if c.is_alphanumeric() && joins_words(c) => {}
        c if c.is_alphanumeric() || matches!(c, '_' | '%' | '‰' | '°') => {
            let word = whole_word(rest, end)?;
            found.unit = UNITS.contains(&word.to_lowercase().as_str());
            found.is_text = TYPES.contains(&word.as_str());
            found.suffix = true;
        }
        ' ' | '\t' | '\u{a0}' => {
            let spaces = rest.iter().take(MAX_WORD_CHARS);
            let gap = spaces
                .take_while(|c| matches!(c, ' ' | '\t' | '\u{a0}'))
                .count();
            match rest.get(gap) {
                _ if gap == MAX_WORD_CHARS => found.ends = true,
                None if end => found.ends = true,
                None => return None,
                Some('\n') => found.ends = true,
                Some(c) if SIGNS.contains(c) => found.sign = true,
                Some('+') => {
                    let next = *next(rest, gap + 1, end)?;
                    found.sign = next == ' ';
                }
                Some(c) if c.is_alphabetic() || matches!(c, '%' | '‰' | '°' | '€' | '$' | '£') =>
                {
                    let word = whole_word(&rest[gap..], end)?;
                    found.unit = is_unit(&word, rest.get(gap + word.chars().count()));
                    found.goes_on = c.is_lowercase();
                }
                Some(_) => {}
            }
        }
        _ => found.ends = true,
    }
    Some(found)
}

/// Whether `word`, after a space, is a unit: short units may also be ordinary words.
fn is_unit(word: &str, next: Option<&char>) -> bool {
    let known = UNITS.contains(&word.to_lowercase().as_str());
    let word_too = matches!(
        word,
        "a" | "A" | "s" | "t" | "min" | "sec" | "bar" | "ma" | "pa" | "pt"
    );
    let ends = next.is_none_or(|c| matches!(c, '.' | ',' | ';' | ')' | '\n'));
    known && (ends || (!word_too && !matches!(next, Some('\'' | '’'))))
}

/// The character at `at`; a line break at the end of the text.
fn next(rest: &[char], at: usize, end: bool) -> Option<&char> {
    match rest.get(at) {
        None if end => Some(&'\n'),
        found => found,
    }
}

fn whole_word(rest: &[char], end: bool) -> Option<String> {
    let is_part =
        |c: &&char| c.is_alphanumeric() || matches!(c, '_' | '%' | '‰' | '°' | '€' | '$' | '£');
    let word: String = rest
        .iter()
        .take(MAX_WORD_CHARS)
        .take_while(is_part)
        .collect();
    let whole = end || word.chars().count() < rest.len() || rest.len() >= MAX_WORD_CHARS;
    whole.then_some(word)
}

/// The length of the link target in parentheses that `rest` begins with; the inner `None` if it
/// begins with something else.
#[allow(clippy::option_option)]
pub(super) fn target(rest: &[char], end: bool) -> Option<Option<usize>> {
    let mut depth = 0;
    let mut quoted = None;
    let mut spaced = false;
    for (at, &c) in rest.iter().enumerate() {
        if at > MAX_TARGET_CHARS || c == '\n' {
            return Some(None);
        }
        match c {
            _ if quoted == Some(c) => quoted = None,
            _ if quoted.is_some() => {}
            '"' | '\'' if spaced => quoted = Some(c),
            '(' => depth += 1,
            ')' => {
                depth -= 1;
                if depth == 0 {
                    return Some(Some(at + 1));
                }
            }
            ' ' => spaced = true,
            // Only a title may follow a space.
            _ if spaced => return Some(None),
            _ => {}
        }
    }
    end.then_some(None)
}

/// Whether what follows `[1]:` is an address.
fn defines(rest: &[char], end: bool) -> Option<bool> {
    let gap = rest
        .iter()
        .take(MAX_WORD_CHARS)
        .take_while(|c| **c == ' ')
        .count();
    let word: String = rest[gap..]
        .iter()
        .take(12)
        .take_while(|c| !c.is_whitespace())
        .collect();
    let whole = end || rest.len() > gap + word.chars().count() || word.chars().count() >= 12;
    let starts = ["http", "www.", "/", "./", "../", "<", "#", "mailto:", "ftp"];
    whole.then(|| starts.iter().any(|start| word.starts_with(start)))
}

/// What the text so far says about a bracket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    /// The paragraph so far.
    pub(super) seen: &'a [char],
    /// A mark ends directly before the bracket.
    pub(super) after_mark: bool,
    /// Sources that can be cited.
    pub(super) known: u32,
}

/// Whether `mark` really is one. `belongs` says whether a mark directly after a word is a citation
/// for that word and not its index.
pub(super) fn is_mark(
    mark: &Mark,
    place: Place<'_>,
    after: After,
    belongs: impl FnOnce(&str) -> bool,
) -> bool {
    if after.is_text {
        return false;
    }
    if mark.form == Form::Labelled {
        return true;
    }
    let known = |n: &&u32| (1..=place.known).contains(*n);
    let count = mark.numbers.iter().filter(known).count();
    if after.sign || after.unit || follows_sign(place.seen) {
        return false;
    }
    let attached = match place.after_mark {
        true => Before::Free,
        false => before(place.seen),
    };
    match attached {
        Before::Code => return false,
        Before::Loose if count == 0 => return false,
        Before::Word(word) => return count > 0 && belongs(&word),
        Before::Loose | Before::Free => {}
    }
    if mark.form == Form::Single {
        return !after.suffix || count > 0;
    }
    is_list_of_marks(mark, place, after, count)
}

/// Whether several numbers are a mark and not an interval or list.
fn is_list_of_marks(mark: &Mark, place: Place<'_>, after: After, count: usize) -> bool {
    if mark.numbers.contains(&0) || after.suffix {
        return false;
    }
    let after_sentence = place.after_mark || ends_sentence(place.seen);
    if count == 0 {
        // Numbers without a source count only if they cannot be anything else.
        return after_sentence && after.ends;
    }
    let two =
        mark.form == Form::Range || (mark.numbers.len() == 2 && mark.numbers[0] < mark.numbers[1]);
    let begins = is_blank(place.seen) || ends_sentence(place.seen);
    if two && (follows_interval_word(place.seen) || (after.goes_on && begins)) {
        return false;
    }
    // `vec![1, 2]`.
    if let [.., prior, '!'] = place.seen
        && (prior.is_ascii_lowercase() || *prior == '_')
    {
        return false;
    }
    mark.form != Form::Range || count == mark.numbers.len() || after.ends
}

fn is_blank(seen: &[char]) -> bool {
    seen.iter().all(|c| c.is_whitespace())
}

fn last_letter(seen: &[char]) -> Option<(usize, char)> {
    let (at, c) = seen
        .iter()
        .enumerate()
        .rev()
        .find(|(_, c)| !c.is_whitespace())?;
    Some((at, *c))
}

fn follows_sign(seen: &[char]) -> bool {
    match last_letter(seen) {
        // A list may begin with a plus.
        Some((at, '+')) => !is_blank(&seen[..at]),
        Some((_, c)) => SIGNS.contains(&c),
        None => false,
    }
}

fn ends_sentence(seen: &[char]) -> bool {
    matches!(
        last_letter(seen),
        Some((_, '.' | '!' | '?' | '。' | '！' | '？'))
    )
}

/// Whether the text directly before announces an interval, as in `the range is [3, 8]`.
fn follows_interval_word(seen: &[char]) -> bool {
    let text: String = seen.iter().collect();
    let text = text.trim_end().trim_end_matches(':').to_lowercase();
    let mut words = text.rsplit(|c: char| c.is_whitespace()).take(3);
    words
        .find(|word| !LINKS.contains(word))
        .is_some_and(|word| INTERVAL_WORDS.contains(&word))
}
