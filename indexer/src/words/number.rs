//! Numbers that people write in groups: `1,234,567`, `978-0-306-40615-7`,
//! `+49 (0)30 123 45 67`, `DE89 3704 0044 0532 0130 00`.
//!
//! Whoever looks for such a number groups it in another way, or not at all. So it is
//! indexed once more, without what stands between its groups. What is a number is
//! told by its form alone: to index some row of a table once more does no harm, but
//! versions, dates and addresses of networks stay what they are.

use std::ops::Range;

use super::fold::digit;

/// Fewest digits of a number that is told by its length; shorter ones are counts,
/// years, dates and parts of versions.
const MIN_DIGITS: usize = 7;
/// Most digits: those of a card number.
const MAX_DIGITS: usize = 19;
/// Most groups: an IBAN has nine.
const MAX_GROUPS: usize = 10;
/// Shortest and longest IBAN.
const IBAN_CHARS: std::ops::RangeInclusive<usize> = 15..=34;

/// A number in groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Number {
    /// Where it stands.
    pub(super) span: Range<usize>,
    /// Its digits (and letters) without separators; a decimal mark is a point.
    pub(super) term: String,
}

/// One group, and what stands between it and the group before.
#[derive(Clone, Copy, Debug)]
struct Group<'t> {
    between: &'t str,
    text: &'t str,
    start: usize,
}

impl Group<'_> {
    fn end(&self) -> usize {
        self.start + self.text.len()
    }

    fn len(&self) -> usize {
        self.text.chars().count()
    }
}

/// The numbers that begin where the groups of digits at the end of `run` begin, and
/// go on after it: the whole, and what stands before its decimal mark. None where
/// `run` is all there is: [`in_piece`] looks inside of it.
pub(super) fn after_run(text: &str, run: &Range<usize>) -> Vec<Number> {
    let goes_on = text[run.end..].chars().next().is_some_and(is_between)
        && text[run.clone()]
            .chars()
            .next_back()
            .is_some_and(|c| digit(c).is_some());
    if !goes_on {
        return Vec::new();
    }
    let start = tail(text, run);
    let mut found = spaced_or_grouped(text, start);
    found.retain(|number| number.span.end > run.end);
    found
}

/// The number that a whole piece of a run is, such as `978-0-306-40615-7`.
pub(super) fn in_piece(text: &str, span: &Range<usize>) -> Option<String> {
    let piece = &text[span.clone()];
    let mut kinds = piece.chars().filter(|c| !is_digit_or_letter(*c));
    kinds.next()?;
    let groups = groups(&text[..span.end], span.start, |between| {
        let mut chars = between.chars();
        chars.next().is_some_and(is_joint) && chars.next().is_none()
    });
    if groups.last()?.end() != span.end {
        return None;
    }
    let is_number = thousands(&groups).is_some_and(|count| count == groups.len())
        || is_iban(&groups)
        || is_code(&groups);
    is_number.then(|| join(&groups))
}

/// Where the digits and joints at the end of `run` begin.
fn tail(text: &str, run: &Range<usize>) -> usize {
    let content = &text[run.clone()];
    if iban_head(content) {
        return run.start;
    }
    let kept = content
        .char_indices()
        .rev()
        .take_while(|(_, c)| digit(*c).is_some() || is_joint(*c))
        .last()
        .map_or(content.len(), |(at, _)| at);
    let skipped = content[kept..].find(|c| digit(c).is_some());
    run.start + kept + skipped.unwrap_or(0)
}

fn spaced_or_grouped(text: &str, start: usize) -> Vec<Number> {
    let groups = groups(text, start, is_separator);
    if groups.len() < 2 {
        return Vec::new();
    }
    if let Some(numbers) = amount(&without_unit(&groups), text) {
        return numbers;
    }
    if iban_head(groups[0].text) {
        return iban(&groups).into_iter().collect();
    }
    if groups.len() > MAX_GROUPS {
        // A row of a table.
        return Vec::new();
    }
    let opened = before(text, start);
    // A group more may be a number of its own: the longest that fits counts.
    (2..=groups.len())
        .rev()
        .map(|count| &groups[..count])
        .find(|groups| is_spaced_code(groups, opened))
        .map(|groups| number(groups, join_phone(groups, opened)))
        .into_iter()
        .collect()
}

/// The groups from `start` on, as long as `separates` takes what stands between.
fn groups<'t>(text: &'t str, start: usize, separates: impl Fn(&str) -> bool) -> Vec<Group<'t>> {
    let mut groups: Vec<Group<'t>> = Vec::new();
    let (mut at, mut between) = (start, "");
    let mut chars = 0;
    while groups.len() <= MAX_GROUPS {
        let length = |rest: &str| {
            let end = rest.find(|c| !is_digit_or_letter(c));
            end.unwrap_or(rest.len())
        };
        let group = &text[at..at + length(&text[at..])];
        chars += group.len();
        if group.is_empty() || chars > 2 * *IBAN_CHARS.end() {
            break;
        }
        groups.push(Group {
            between,
            text: group,
            start: at,
        });
        let end = at + group.len();
        let rest = &text[end..];
        let gap = rest
            .char_indices()
            .take(3)
            .take_while(|(_, c)| is_between(*c))
            .last()
            .map_or(0, |(at, c)| at + c.len_utf8());
        if gap == 0 || !separates(&rest[..gap]) {
            break;
        }
        between = &rest[..gap];
        at = end + gap;
    }
    groups
}

/// An amount with marks between thousands, with or without decimals: the number as a
/// whole, and its whole part.
fn amount(groups: &[Group<'_>], text: &str) -> Option<Vec<Number>> {
    let whole = match thousands(groups) {
        Some(count) => count,
        None if is_decimal_comma(groups, text) => 1,
        None => return None,
    };
    let integer = number(&groups[..whole], join(&groups[..whole]));
    let Some(decimals) = groups.get(whole) else {
        return Some(vec![integer]);
    };
    let mark = decimals.between;
    let is_mark = matches!(mark, "," | "." | "，" | "．" | "\u{66b}")
        && groups
            .get(1)
            .is_none_or(|second| whole == 1 || second.between != mark)
        && is_digits(decimals.text);
    if is_mark {
        let mut term = integer.term.clone();
        term.push('.');
        push_plain(decimals.text, &mut term);
        let span = integer.span.start..decimals.end();
        let mut numbers = vec![Number { span, term }];
        if whole > 1 {
            numbers.push(integer);
        }
        return Some(numbers);
    }
    // `1 234 567-12`: what comes is not a group of this number.
    Some(vec![integer])
}

/// The groups up to the first that has letters, of which the digits: `1,234kg`.
fn without_unit<'t>(groups: &[Group<'t>]) -> Vec<Group<'t>> {
    let numeric = groups
        .iter()
        .take_while(|group| is_digits(group.text))
        .count();
    let mut kept = groups[..numeric].to_vec();
    if let Some(group) = groups.get(numeric) {
        let end = group.text.find(|c| digit(c).is_none());
        let text = &group.text[..end.unwrap_or(group.text.len())];
        if !text.is_empty() {
            kept.push(Group { text, ..*group });
        }
    }
    kept
}

/// How many groups from the first on are thousands of one number: three digits each
/// behind the same mark, or in India two and then three. None below two.
fn thousands(groups: &[Group<'_>]) -> Option<usize> {
    let (first, second) = (groups.first()?, groups.get(1)?);
    let mark = second.between;
    let one = mark.chars().next().filter(|_| mark.chars().count() == 1)?;
    if !is_thousands_mark(one) || !is_digits(first.text) || first.len() > 3 {
        return None;
    }
    // A number does not begin with 0, and `0.123` is not a thousand.
    if digit(first.text.chars().next()?) == Some(0) {
        return None;
    }
    let same = groups[1..]
        .iter()
        .take_while(|group| group.between == mark && is_digits(group.text))
        .count();
    let rest = &groups[1..=same];
    let three = rest.iter().all(|group| group.len() == 3);
    let indian = matches!(one, ',' | '，')
        && first.len() <= 2
        && rest.split_last().is_some_and(|(last, rest)| {
            last.len() == 3 && !rest.is_empty() && rest.iter().all(|group| group.len() == 2)
        });
    let is_network = one == '.' && is_network_address(&groups[..=same]);
    ((three || indian) && !is_network).then_some(same + 1)
}

/// `12,50` is a number where a comma is the decimal mark; `[1,2]` is a list.
fn is_decimal_comma(groups: &[Group<'_>], text: &str) -> bool {
    let [whole, decimals, ..] = groups else {
        return false;
    };
    let ends = groups
        .get(2)
        .is_none_or(|third| !third.between.contains(','));
    let after = text[decimals.end()..].chars().next();
    matches!(decimals.between, "," | "，")
        && ends
        && is_digits(whole.text)
        && is_digits(decimals.text)
        && before(text, whole.start) != Some('[')
        && after != Some(']')
}

/// Four groups of at most 255.
fn is_network_address(groups: &[Group<'_>]) -> bool {
    groups.len() == 4
        && groups
            .iter()
            .all(|group| group.text.parse::<u16>().is_ok_and(|part| part <= 255))
}

/// A number whose groups are joined by hyphens, points or strokes: of books, cards,
/// telephones, accounts.
fn is_code(groups: &[Group<'_>]) -> bool {
    let points = groups[1..].iter().all(|group| group.between == ".");
    // Groups of one digit between points are versions.
    let is_version = points && groups.iter().any(|group| group.len() == 1);
    groups.len() >= 2
        && is_of_digits(groups)
        && (MIN_DIGITS..=MAX_DIGITS).contains(&characters(groups))
        && !is_date(groups)
        && !is_version
        && !(points && is_network_address(groups))
}

/// The same with spaces or brackets between. A list of small numbers is none: groups
/// of one digit are in numbers of books and telephones only.
fn is_spaced_code(groups: &[Group<'_>], opened: Option<char>) -> bool {
    let length = characters(groups);
    if !is_of_digits(groups) || !(MIN_DIGITS..=MAX_DIGITS).contains(&length) {
        return false;
    }
    let is_telephone = matches!(opened, Some('+' | '('))
        || digit_at(groups, 0) == Some(0)
        || groups[1..]
            .iter()
            .any(|group| group.between.contains(['(', ')']));
    let begins = [digit_at(groups, 0), digit_at(groups, 1)];
    let book = (length == 13 && begins == [Some(9), Some(7)]) || (length == 10 && is_book(groups));
    let no_list = !groups[1..]
        .iter()
        .any(|group| group.between.contains([',', '，']));
    let long = groups[1..].iter().all(|group| group.len() >= 2);
    (is_telephone || book || long) && no_list && !begins_with_date(groups)
}

/// Whether the weighted sum of ten digits, the last of which may be X for ten, is
/// that of an ISBN.
fn is_book(groups: &[Group<'_>]) -> bool {
    let digits = groups.iter().flat_map(|group| group.text.chars());
    let value = |c: char| match c {
        'x' | 'X' => Some(10),
        c => digit(c),
    };
    let sum: Option<u32> = (1..=10)
        .rev()
        .zip(digits)
        .map(|(weight, c)| Some(weight * value(c)?))
        .sum();
    sum.is_some_and(|sum| sum % 11 == 0)
}

/// A date with marks, before a time or whatever comes next.
fn begins_with_date(groups: &[Group<'_>]) -> bool {
    let date = &groups[..groups.len().min(3)];
    date[1..]
        .iter()
        .all(|group| !group.between.contains(is_space))
        && is_date(date)
}

/// Year, month and day, in one of the usual orders.
fn is_date(groups: &[Group<'_>]) -> bool {
    let [a, b, c] = groups else {
        return false;
    };
    let value = |group: &Group<'_>| group.text.parse().unwrap_or(u32::MAX);
    let are_day_and_month = |one: &Group<'_>, other: &Group<'_>| {
        let (one, other) = (value(one), value(other));
        one.max(other) <= 31 && one.min(other) <= 12
    };
    (a.len() == 4 && are_day_and_month(b, c)) || (c.len() == 4 && are_day_and_month(a, b))
}

/// Groups of digits; the last may end in a check letter.
fn is_of_digits(groups: &[Group<'_>]) -> bool {
    groups.split_last().is_some_and(|(last, rest)| {
        let unchecked = last.text.trim_end_matches(['x', 'X']);
        let letters = last.text.len() - unchecked.len();
        rest.iter().all(|group| is_digits(group.text))
            && letters <= 1
            && unchecked.chars().all(|c| digit(c).is_some())
    })
}

/// Country and check digits: `DE89`.
fn iban_head(text: &str) -> bool {
    matches!(text.as_bytes(), [a, b, c, d, rest @ ..]
        if a.is_ascii_alphabetic() && b.is_ascii_alphabetic()
            && c.is_ascii_digit() && d.is_ascii_digit() && rest.len() <= 30)
}

/// The longest IBAN that the groups begin with, one whose check digits are right
/// before others.
fn iban(groups: &[Group<'_>]) -> Option<Number> {
    let longest_first = || (2..=groups.len()).rev().map(|end| &groups[..end]);
    let right = |groups: &&[Group<'_>]| has_form_of_iban(groups) && is_checked(&join(groups));
    let found = longest_first().find(right);
    let found = found.or_else(|| longest_first().find(|groups| is_iban(groups)))?;
    Some(number(found, join(found)))
}

/// An IBAN whose check digits are not looked at: but for the bank, its groups have digits.
fn is_iban(groups: &[Group<'_>]) -> bool {
    let has_digit = |group: &Group<'_>| group.text.bytes().any(|b| b.is_ascii_digit());
    has_form_of_iban(groups) && groups.iter().skip(2).all(has_digit)
}

/// Groups of four behind a country's head, the last one of any length.
fn has_form_of_iban(groups: &[Group<'_>]) -> bool {
    let [head, rest @ ..] = groups else {
        return false;
    };
    let Some((last, between)) = rest.split_last() else {
        return false;
    };
    iban_head(head.text)
        && head.text.len() == 4
        && IBAN_CHARS.contains(&characters(groups))
        && groups.iter().all(|group| group.text.is_ascii())
        && between.iter().all(|group| group.text.len() == 4)
        && (1..=4).contains(&last.text.len())
}

/// ISO 7064, MOD 97-10, with letters as 10 to 35.
fn is_checked(term: &str) -> bool {
    let (head, rest) = term.split_at(4.min(term.len()));
    let rest = rest.bytes().chain(head.bytes());
    let sum = rest.fold(0_u32, |sum, byte| match byte {
        b'0'..=b'9' => (sum * 10 + u32::from(byte - b'0')) % 97,
        _ => (sum * 100 + u32::from(byte.wrapping_sub(b'a')) + 10) % 97,
    });
    sum == 1
}

fn number(groups: &[Group<'_>], term: String) -> Number {
    let end = groups.last().map_or(0, Group::end);
    let start = groups.first().map_or(end, |group| group.start);
    Number {
        span: start..end,
        term,
    }
}

fn join(groups: &[Group<'_>]) -> String {
    let mut term = String::new();
    for group in groups {
        push_plain(group.text, &mut term);
    }
    term
}

/// As [`join`], without the `(0)` of `+49 (0)30`, which is dialled at home only.
fn join_phone(groups: &[Group<'_>], opened: Option<char>) -> String {
    let is_home = |at: usize| {
        at > 0
            && opened == Some('+')
            && digit_at(&groups[at..], 0) == Some(0)
            && groups[at].text.len() == 1
            && groups[at].between.ends_with('(')
    };
    let mut term = String::new();
    for (at, group) in groups.iter().enumerate() {
        if !is_home(at) {
            push_plain(group.text, &mut term);
        }
    }
    term
}

fn push_plain(text: &str, term: &mut String) {
    for c in text.chars() {
        match digit(c) {
            Some(value) => term.extend(char::from_digit(value, 10)),
            None => term.extend(c.to_lowercase()),
        }
    }
}

fn characters(groups: &[Group<'_>]) -> usize {
    groups.iter().map(Group::len).sum()
}

/// The digit at a place of the first group.
fn digit_at(groups: &[Group<'_>], place: usize) -> Option<u32> {
    digit(groups.first()?.text.chars().nth(place)?)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| digit(c).is_some())
}

fn before(text: &str, start: usize) -> Option<char> {
    text[..start].chars().next_back()
}

fn is_digit_or_letter(c: char) -> bool {
    c.is_ascii_alphanumeric() || digit(c).is_some()
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\u{a0}' | '\u{2009}' | '\u{202f}' | '\u{2007}')
}

fn is_hyphen(c: char) -> bool {
    matches!(c, '-' | '\u{2010}' | '\u{2011}' | '\u{2012}' | '\u{2013}')
}

fn is_thousands_mark(c: char) -> bool {
    is_space(c)
        || matches!(
            c,
            ',' | '.' | '\'' | '’' | '_' | '，' | '．' | '\u{66c}' | '\u{66b}'
        )
}

/// What holds the groups of a number together inside a run.
fn is_joint(c: char) -> bool {
    is_hyphen(c) || matches!(c, '.' | '/' | '_' | '\'' | '’')
}

/// Whether a character can stand between two groups at all.
fn is_between(c: char) -> bool {
    is_space(c) || is_thousands_mark(c) || is_hyphen(c) || matches!(c, '/' | '(' | ')')
}

/// One mark, or a bracket or stroke with spaces around.
fn is_separator(between: &str) -> bool {
    let marks = between.chars().filter(|c| !is_space(*c)).count();
    let spaces = between.chars().filter(|c| is_space(*c)).count();
    match (marks, spaces) {
        (0, spaces) => spaces == 1,
        (1, 0) => true,
        (1, _) => !between.contains([',', '.', '\'', '’', '_', '，', '．']),
        _ => matches!(between, ")-" | ")/" | ") (" | ")("),
    }
}
