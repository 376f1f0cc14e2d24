//! Numbers that states give to people, each with the check that its state
//! defines. Where the check is weak, a word nearby must say what it is.

use std::sync::LazyLock;

use regex::Regex;

use super::{Finding, Kind, digits, follows, stands_alone};

/// One number: its shape, its check, and the words that must stand near it.
struct Rule {
    shape: LazyLock<Regex>,
    check: fn(&str) -> bool,
    /// None are needed where the shape or the check is telling enough.
    words: &'static [&'static str],
}

macro_rules! rule {
    ($shape:literal, $check:expr, $words:expr) => {
        Rule {
            shape: LazyLock::new(|| Regex::new($shape).expect("a constant expression")),
            check: $check,
            words: $words,
        }
    };
}

static RULES: [Rule; 10] = [
    // United States: social security number.
    rule!(r"\d{3}-\d{2}-\d{4}", us_ssn, &[]),
    rule!(r"\d{3} ?\d{2} ?\d{4}", us_ssn, &["ssn", "social security"]),
    // United Kingdom: National Insurance number.
    rule!(r"(?i)[A-Z]{2} ?\d{2} ?\d{2} ?\d{2} ?[A-D]", uk_nino, &[]),
    // Germany: tax identification number.
    rule!(
        r"\d{2} ?\d{3} ?\d{3} ?\d{3}",
        de_tax_id,
        &[
            "tax id",
            "tax-id",
            "tax identification",
            "steuer-id",
            "steuer id",
            "steuerid",
            "identifikationsnummer",
            "idnr",
            "id-nr",
            "tin",
        ]
    ),
    // France: number of the national register (NIR).
    rule!(
        r"[12] ?\d{2} ?(?:0[1-9]|1[0-2]|[2-9]\d) ?\d[\dAB] ?\d{3} ?\d{3} ?\d{2}",
        fr_nir,
        &[]
    ),
    // Spain: DNI and NIE.
    rule!(r"(?i)[XYZ\d]\d{7}-?[A-Z]", es_dni, &[]),
    // Italy: codice fiscale.
    rule!(
        r"(?i)[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]",
        it_codice_fiscale,
        &[]
    ),
    // Netherlands: burgerservicenummer.
    rule!(
        r"\d{9}",
        nl_bsn,
        &["bsn", "burgerservice", "citizen service"]
    ),
    // Poland: PESEL.
    rule!(r"\d{11}", pl_pesel, &["pesel"]),
    // Canada: social insurance number.
    rule!(
        r"\d{3}[ -]?\d{3}[ -]?\d{3}",
        ca_sin,
        &["social insurance", "sin:", "sin ", "my sin", "nas "]
    ),
];

/// How far before the number its word may stand, in bytes.
const NEAR: usize = 40;

pub(super) fn find(text: &str, found: &mut Vec<Finding>) {
    for rule in &RULES {
        for hit in rule.shape.find_iter(text) {
            let said = rule.words.is_empty() || follows(text, hit.start(), NEAR, rule.words);
            if said && is_whole(text, &hit.range()) && (rule.check)(hit.as_str()) {
                found.push(Finding {
                    kind: Kind::NationalId,
                    span: hit.range(),
                });
            }
        }
    }
}

/// Whether it is not part of a longer number or name.
fn is_whole(text: &str, span: &std::ops::Range<usize>) -> bool {
    let glued = |near: Option<char>, far: Option<char>| {
        near.is_some_and(|near| "-_./".contains(near)) && far.is_some_and(char::is_alphanumeric)
    };
    let mut before = text[..span.start].chars().rev();
    let mut after = text[span.end..].chars();
    stands_alone(text, span)
        && !glued(before.next(), before.next())
        && !glued(after.next(), after.next())
}

fn number(digits: &[u32]) -> u64 {
    digits.iter().fold(0, |n, digit| n * 10 + u64::from(*digit))
}

/// It has no check digit, but areas, groups and serials that are never given.
fn us_ssn(text: &str) -> bool {
    let digits = digits(text);
    let (area, group, serial) = (
        number(&digits[..3]),
        number(&digits[3..5]),
        number(&digits[5..]),
    );
    area != 0 && area != 666 && area < 900 && group != 0 && serial != 0
}

/// Prefixes that HMRC never gives.
fn uk_nino(text: &str) -> bool {
    let text = text.to_ascii_uppercase();
    let (first, second) = (text.as_bytes()[0], text.as_bytes()[1]);
    !b"DFIQUV".contains(&first)
        && !b"DFIOQUV".contains(&second)
        && !["BG", "GB", "KN", "NK", "NT", "TN", "ZZ"].contains(&&text[..2])
}

/// ISO 7064, MOD 11,10; and of the first ten digits one comes twice or three
/// times.
fn de_tax_id(text: &str) -> bool {
    let digits = digits(text);
    let repeated = (0..10)
        .map(|digit| digits[..10].iter().filter(|d| **d == digit).count())
        .max();
    let product = digits[..10].iter().fold(10, |product, digit| {
        let sum = (digit + product) % 10;
        (if sum == 0 { 10 } else { sum } * 2) % 11
    });
    digits[0] != 0 && matches!(repeated, Some(2 | 3)) && (11 - product) % 10 == digits[10]
}

/// The last two digits are 97 less the rest modulo 97; Corsica's departments
/// 2A and 2B count as 19 and 18.
fn fr_nir(text: &str) -> bool {
    let plain: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
    let plain = plain.replacen("2A", "19", 1).replacen("2B", "18", 1);
    let digits = digits(&plain);
    digits.len() == 15 && 97 - number(&digits[..13]) % 97 == number(&digits[13..])
}

/// The letter is the number modulo 23 in a fixed order.
fn es_dni(text: &str) -> bool {
    const LETTERS: &[u8; 23] = b"TRWAGMYFPDXBNJZSQVHLCKE";
    let text = text.to_ascii_uppercase().replace('-', "");
    let lead = match text.as_bytes()[0] {
        b'X' => "0",
        b'Y' => "1",
        b'Z' => "2",
        _ => &text[..1],
    };
    let number: usize = format!("{lead}{}", &text[1..8]).parse().unwrap_or_default();
    text.as_bytes()[8] == LETTERS[number % 23]
}

/// Decree of 23 December 1976: characters in odd and even places have their own
/// values; the sum modulo 26 is the last letter.
fn it_codice_fiscale(text: &str) -> bool {
    const ODD: [u32; 26] = [
        1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24,
        23,
    ];
    let text = text.to_ascii_uppercase();
    let value = |c: u8| {
        u32::from(if c.is_ascii_digit() {
            c - b'0'
        } else {
            c - b'A'
        })
    };
    let sum: u32 = text
        .bytes()
        .take(15)
        .enumerate()
        .map(|(at, c)| match at % 2 {
            // Places count from one.
            0 => ODD[value(c) as usize],
            _ => value(c),
        })
        .sum();
    text.as_bytes()
        .get(15)
        .is_some_and(|last| value(*last) == sum % 26)
}

/// The eleven test: weights 9 to 2, and -1 for the last digit.
fn nl_bsn(text: &str) -> bool {
    let digits = digits(text);
    let sum: i64 = (2..=9)
        .rev()
        .chain([-1])
        .zip(&digits)
        .map(|(weight, digit)| weight * i64::from(*digit))
        .sum();
    number(&digits) != 0 && sum % 11 == 0
}

/// Weights 1, 3, 7, 9 in turn; the sum with the check digit is a multiple of
/// ten. The first six digits are a date of birth.
fn pl_pesel(text: &str) -> bool {
    let digits = digits(text);
    let weights = [1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1];
    let sum: u32 = weights
        .iter()
        .zip(&digits)
        .map(|(weight, digit)| weight * digit)
        .sum();
    let day = number(&digits[4..6]);
    sum.is_multiple_of(10) && (1..=31).contains(&day)
}

fn ca_sin(text: &str) -> bool {
    let digits = digits(text);
    !matches!(digits[0], 0 | 8) && super::payment::luhn(&digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_take_what_is_right_and_one_digit_more_is_wrong() {
        type Check = fn(&str) -> bool;
        let cases: [(Check, &str, &str); 9] = [
            (us_ssn, "536-22-1234", "666-22-1234"),
            (uk_nino, "AB123456C", "QQ123456C"),
            (de_tax_id, "86095742719", "86095742718"),
            (fr_nir, "255081416802538", "255081416802539"),
            (es_dni, "12345678Z", "12345678A"),
            (it_codice_fiscale, "RSSMRA85T10A562S", "RSSMRA85T10A562T"),
            (nl_bsn, "111222333", "111222334"),
            (pl_pesel, "44051401359", "44051401358"),
            (ca_sin, "130692544", "130692545"),
        ];
        for (check, right, wrong) in cases {
            assert!(check(right), "{right}");
            assert!(!check(wrong), "{wrong}");
        }
    }
}
