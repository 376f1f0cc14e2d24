//! Keys and tokens: by the prefixes that services give them, by the words around
//! them, and by looking random.

use std::sync::LazyLock;

use regex::Regex;

use super::{Finding, Kind};

/// Tokens that say what they are.
static KNOWN: LazyLock<Regex> = LazyLock::new(|| {
    let shapes = [
        r"cairn_[0-9A-Za-z]{12}_[0-9A-Za-z]{43}",
        r"sk-(?:ant-|proj-|or-v1-|svcacct-)?[0-9A-Za-z_-]{20,}",
        r"(?:sk|pk|rk)_(?:live|test)_[0-9A-Za-z]{16,}",
        r"gh[pousr]_[0-9A-Za-z]{30,}",
        r"github_pat_[0-9A-Za-z_]{40,}",
        r"glpat-[0-9A-Za-z_-]{20,}",
        r"xox[abeoprs]-[0-9A-Za-z-]{10,}",
        r"(?:AKIA|ASIA)[0-9A-Z]{16}",
        r"AIza[0-9A-Za-z_-]{35}",
        r"ya29\.[0-9A-Za-z_-]{20,}",
        r"hf_[0-9A-Za-z]{30,}",
        r"npm_[0-9A-Za-z]{36}",
        r"pypi-[0-9A-Za-z_-]{40,}",
        r"dop_v1_[0-9a-f]{64}",
        r"SG\.[0-9A-Za-z_-]{16,}\.[0-9A-Za-z_-]{16,}",
        r"eyJ[0-9A-Za-z_-]{8,}\.[0-9A-Za-z_-]{8,}\.[0-9A-Za-z_-]{8,}",
    ];
    Regex::new(&format!(r"\b(?:{})", shapes.join("|"))).expect("a constant expression")
});

/// The body of a private key, whole.
static PRIVATE_KEY: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?s:.*?)(?:-----END [A-Z ]*PRIVATE KEY-----|\z)")
        .expect("a constant expression")
});

/// `password = ...`, `"api_key": "..."`, `Authorization: Bearer ...`.
static NAMED: LazyLock<Regex> = LazyLock::new(|| {
    let name = r"(?:pass(?:word|wd|phrase)|passwort|secret|api[_ -]?key|access[_ -]?key|auth[_ -]?token|access[_ -]?token|refresh[_ -]?token|client[_ -]?secret|private[_ -]?key|token|pwd)";
    let value =
        r#"(?:"(?<quoted>[^"\s]{6,})"|'(?<single>[^'\s]{6,})'|(?<bare>[^\s"',;<>()\[\]{}]{6,}))"#;
    Regex::new(&format!(
        r#"(?i)(?:\b|_){name}["']?\s*(?::=|=>|=|:|\bis\b)\s*{value}|\b(?:bearer|basic)\s+(?<bearer>[0-9A-Za-z._~+/=-]{{16,}})"#
    ))
    .expect("a constant expression")
});

/// `user:password@host` in an address.
static IN_URL: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\b[a-z][a-z0-9+.-]*://[^\s:/@]+:(?<password>[^\s/@]{3,})@")
        .expect("a constant expression")
});

/// What may be a token without saying so.
static OPAQUE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"[0-9A-Za-z_+/=-]{24,}").expect("a constant expression"));

/// Bits of a character from which letters and digits look drawn by lot: words
/// and identifiers are below, Base64 of random bytes above.
const RANDOM_BITS: f64 = 4.0;

pub(super) fn find(text: &str, found: &mut Vec<Finding>) {
    let mut push = |span| {
        found.push(Finding {
            kind: Kind::Secret,
            span,
        });
    };
    PRIVATE_KEY
        .find_iter(text)
        .for_each(|hit| push(hit.range()));
    KNOWN.find_iter(text).for_each(|hit| push(hit.range()));
    for captures in NAMED.captures_iter(text) {
        let value = ["quoted", "single", "bare", "bearer"]
            .into_iter()
            .find_map(|name| captures.name(name));
        if let Some(value) = value.filter(|value| is_value(value.as_str())) {
            push(value.range());
        }
    }
    for captures in IN_URL.captures_iter(text) {
        captures
            .name("password")
            .into_iter()
            .for_each(|hit| push(hit.range()));
    }
    for hit in OPAQUE.find_iter(text) {
        if looks_random(hit.as_str()) {
            push(hit.range());
        }
    }
}

/// Whether something after `password:` is one, and not a word of a sentence or
/// the place where one is kept.
fn is_value(text: &str) -> bool {
    let text = text.trim_end_matches(['.', '!', '?']);
    let placeholder = text.starts_with(['$', '<', '%', '*', '{'])
        || text
            .chars()
            .all(|c| c == 'x' || c == 'X' || c == '*' || c == '.');
    let has = |test: fn(&char) -> bool| text.chars().filter(test).count();
    let digits = has(char::is_ascii_digit);
    let marks = has(char::is_ascii_punctuation);
    let mixed = has(char::is_ascii_uppercase) > 1 && has(char::is_ascii_lowercase) > 1;
    !placeholder && text.len() >= 6 && (digits > 0 || mixed || marks > 1) && !is_path(text)
}

fn is_path(text: &str) -> bool {
    text.contains("::") || text.starts_with(['/', '.', '~']) || text.contains("()")
}

/// Base64 of random bytes has upper and lower case and digits, mixed without
/// pattern. Hexadecimal is not taken: most of it is hashes and ids.
fn looks_random(text: &str) -> bool {
    let count = |test: fn(&char) -> bool| text.chars().filter(test).count();
    let (upper, lower, digit) = (
        count(char::is_ascii_uppercase),
        count(char::is_ascii_lowercase),
        count(char::is_ascii_digit),
    );
    let hexadecimal = text.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    let mixed = upper >= 4 && lower >= 4 && digit >= 2;
    // Words joined by `_`, `-` or `/` are paths and identifiers.
    let joints = count(|c| "_-/".contains(*c));
    mixed
        && !hexadecimal
        && joints * 8 <= text.len()
        && changes(text) * 3 >= text.len()
        && entropy(text) >= RANDOM_BITS
}

/// How often the class of characters changes from one to the next. In words and
/// camel case it seldom does.
fn changes(text: &str) -> usize {
    let class = |c: char| match c {
        c if c.is_ascii_uppercase() => 0,
        c if c.is_ascii_lowercase() => 1,
        c if c.is_ascii_digit() => 2,
        _ => 3,
    };
    let classes: Vec<u8> = text.chars().map(class).collect();
    classes.windows(2).filter(|pair| pair[0] != pair[1]).count()
}

/// Shannon's entropy of the characters, in bits each.
fn entropy(text: &str) -> f64 {
    let mut counts = [0_u32; 128];
    text.bytes()
        .for_each(|byte| counts[usize::from(byte & 127)] += 1);
    let all = text.len() as f64;
    let bits = |count: &u32| {
        let share = f64::from(*count) / all;
        -share * share.log2()
    };
    counts.iter().filter(|count| **count > 0).map(bits).sum()
}
