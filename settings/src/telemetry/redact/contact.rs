//! E-mail addresses and telephone numbers.

use std::sync::LazyLock;

use regex::Regex;

use super::{Finding, Kind, digits, follows};

static EMAIL: LazyLock<Regex> = LazyLock::new(|| {
    let local = r"[\p{L}\p{N}][\p{L}\p{N}._%+'-]{0,63}";
    let domain = r"(?:[\p{L}\p{N}](?:[\p{L}\p{N}-]{0,61}[\p{L}\p{N}])?\.)+\p{L}{2,24}";
    let at = r"(?:@| ?[\[(](?:at|@)[\])] ?)";
    Regex::new(&format!("(?i){local}{at}{domain}")).expect("a constant expression")
});

/// A number with its country, or digits in groups.
static PHONE: LazyLock<Regex> = LazyLock::new(|| {
    let international = r"(?:\+|\b00)[1-9](?:[ .\-/]?\(?\d{1,5}\)?){2,6}";
    let grouped = r"\(?\b0?\d{2,5}\)?(?:[ .\-/]\d{2,8}){1,5}\b";
    let plain = r"\b0?\d{6,14}\b";
    Regex::new(&format!("{international}|{grouped}|{plain}")).expect("a constant expression")
});

/// North America writes 3-3-4.
static NORTH_AMERICA: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^\(?[2-9]\d{2}\)?[ .\-][2-9]\d{2}[ .\-]\d{4}$").expect("a constant expression")
});

/// A trunk zero, an area and a number.
static TRUNK: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^\(?0[1-9]\d{0,4}\)?(?:[ .\-/]\d{2,8}){1,5}$").expect("a constant expression")
});

/// Words that stand before a number that is a telephone's.
const WORDS: &[&str] = &[
    "phone",
    "tel",
    "call",
    "mobile",
    "cell",
    "fax",
    "ring",
    "whatsapp",
    "sms",
    "dial",
    "handy",
    "hotline",
    "reach me",
    "reach him",
    "reach her",
];

/// Words that say that a number is something else.
const OTHERS: &[&str] = &[
    "order", "invoice", "ticket", "version", "isbn", "serial", "build", "commit", "port", "part",
    "article", "sku", "tracking", "case", "id ", "id:", "error", "line", "issue",
];

pub(super) fn find(text: &str, found: &mut Vec<Finding>) {
    for hit in EMAIL.find_iter(text) {
        // `git@host:owner/repository` is the address of a repository.
        let path = text[hit.end()..].strip_prefix(':');
        if path.is_some_and(|path| path.starts_with(char::is_alphanumeric)) {
            continue;
        }
        found.push(Finding {
            kind: Kind::Email,
            span: hit.range(),
        });
    }
    for hit in PHONE.find_iter(text) {
        if is_phone(text, hit.start(), hit.end()) {
            found.push(Finding {
                kind: Kind::Phone,
                span: hit.range(),
            });
        }
    }
}

fn is_phone(text: &str, start: usize, end: usize) -> bool {
    let number = &text[start..end];
    // A part of something longer: a version, a path, an identifier.
    let outside =
        |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || "_.-=#@:/".contains(c));
    let before = text[..start].chars().next_back();
    let rest = text[end..].chars();
    let mut after = rest.clone().next().zip(rest.clone().nth(1));
    // A full stop or a dash may end a sentence.
    if let Some((first, second)) = after
        && "._-:/".contains(first)
        && !second.is_alphanumeric()
    {
        after = None;
    }
    if after.is_some_and(|(first, _)| outside(Some(first))) {
        return false;
    }
    let count = digits(number).len();
    if !(7..=15).contains(&count) {
        return false;
    }
    let tel_uri = text[..start].ends_with("tel:");
    if number.starts_with('+') || number.starts_with("00") && count >= 10 {
        return tel_uri || !before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    }
    if outside(before) && !tel_uri && before != Some(':') {
        return false;
    }
    let said = tel_uri || follows(text, start, 24, WORDS);
    if !said && follows(text, start, 16, OTHERS) {
        return false;
    }
    said || NORTH_AMERICA.is_match(number) || (count >= 9 && TRUNK.is_match(number))
}
