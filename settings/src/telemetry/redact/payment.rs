//! Payment cards (Luhn) and bank accounts (IBAN, ISO 13616).

use std::sync::LazyLock;

use regex::Regex;

use super::{Finding, Kind, digits, stands_alone};

/// 13 to 19 digits, alone or in groups.
static CARD: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\d(?:[ -]?\d){12,18}").expect("a constant expression"));

static IBAN: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]{2,4}){2,8}(?:[ -]?[A-Z0-9]{1,4})?")
        .expect("a constant expression")
});

/// Characters of an IBAN by country, of those that are registered.
const IBAN_CHARS: &str = "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 \
    CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 \
    GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 \
    MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 \
    RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 \
    XK20 YE30";

pub(super) fn find(text: &str, found: &mut Vec<Finding>) {
    for hit in CARD.find_iter(text) {
        if stands_alone(text, &hit.range()) && is_card(hit.as_str()) {
            found.push(Finding {
                kind: Kind::Card,
                span: hit.range(),
            });
        }
    }
    for hit in IBAN.find_iter(text) {
        let before = text[..hit.start()].chars().next_back();
        if before.is_some_and(char::is_alphanumeric) {
            continue;
        }
        if let Some(bytes) = iban_bytes(hit.as_str()) {
            let span = hit.start()..hit.start() + bytes;
            if stands_alone(text, &span) {
                found.push(Finding {
                    kind: Kind::Iban,
                    span,
                });
            }
        }
    }
}

/// A number of one of the card networks' ranges whose check digit is right.
fn is_card(text: &str) -> bool {
    let digits = digits(text);
    let leading = |count: usize| digits.iter().take(count).fold(0, |n, digit| n * 10 + digit);
    let network = match digits.len() {
        13 | 19 => leading(1) == 4 || leading(2) == 62,
        14 => matches!(leading(2), 36 | 38 | 39) || (300..=305).contains(&leading(3)),
        15 => matches!(leading(2), 34 | 37),
        16 => {
            leading(1) == 4
                || (51..=55).contains(&leading(2))
                || (2221..=2720).contains(&leading(4))
                || (3528..=3589).contains(&leading(4))
                || leading(4) == 6011
                || matches!(leading(2), 62 | 65)
                || (644..=649).contains(&leading(3))
                || matches!(leading(4), 5018 | 5020 | 5038 | 6304 | 6759 | 6761 | 6763)
        }
        17 | 18 => leading(2) == 62,
        _ => false,
    };
    network && digits.iter().any(|digit| *digit != digits[0]) && luhn(&digits)
}

/// ISO/IEC 7812-1, annex B: from the right, every second digit counts double,
/// with its own digits added; the sum is a multiple of ten.
pub(super) fn luhn(digits: &[u32]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| match (at % 2, digit * 2) {
            (0, _) => *digit,
            (_, double) if double > 9 => double - 9,
            (_, double) => double,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// How many bytes of `text` are an IBAN: as long as its country's are, with the
/// right check digits.
fn iban_bytes(text: &str) -> Option<usize> {
    let country = text.get(..2)?.to_ascii_uppercase();
    let known = IBAN_CHARS
        .split_whitespace()
        .find_map(|entry| entry.strip_prefix(&*country));
    let wanted: usize = known?.parse().ok()?;
    let mut chars = Vec::with_capacity(wanted);
    let mut end = 0;
    for (at, c) in text.char_indices() {
        if c.is_ascii_alphanumeric() {
            chars.push(c);
            end = at + 1;
            if chars.len() == wanted {
                break;
            }
        }
    }
    (chars.len() == wanted && mod97(&chars) == 1).then_some(end)
}

/// ISO 7064, MOD 97-10: the first four characters go to the end, letters count
/// from A = 10.
fn mod97(chars: &[char]) -> u32 {
    chars[4..].iter().chain(&chars[..4]).fold(0, |rest, c| {
        let value = c.to_digit(36).unwrap_or_default();
        (rest * if value > 9 { 100 } else { 10 } + value) % 97
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_digits_are_checked() {
        assert!(is_card("4111 1111 1111 1111"));
        assert!(is_card("3782-822463-10005"));
        assert!(!is_card("4111 1111 1111 1112"));
        assert!(!is_card("0000 0000 0000 0000"));
        // The right check digit, but of no network.
        assert!(luhn(&digits("1234567812345670")) && !is_card("1234567812345670"));
    }

    #[test]
    fn ibans_have_the_length_of_their_country() {
        assert_eq!(iban_bytes("DE89370400440532013000"), Some(22));
        assert_eq!(iban_bytes("GB29 NWBK 6016 1331 9268 19"), Some(27));
        assert_eq!(iban_bytes("GB29 NWBK 6016 1331 9268 18"), None);
        assert_eq!(iban_bytes("DE89370400440532013"), None);
        assert_eq!(iban_bytes("XX89370400440532013000"), None);
    }
}
