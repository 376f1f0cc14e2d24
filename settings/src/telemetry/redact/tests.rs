//! The redactor as a whole; tests/redaction.rs measures it on a labelled set.

use super::*;

fn redact(text: &str) -> String {
    Redactor::default().redact(text).as_str().to_owned()
}

#[test]
fn findings_are_masked_in_their_places() {
    assert_eq!(
        redact("Mail jane.doe@example.com from 203.0.113.7 now"),
        "Mail [EMAIL] from [IP] now"
    );
    assert_eq!(redact("nothing here"), "nothing here");
    assert_eq!(redact(""), "");
}

#[test]
fn of_two_that_overlap_the_surer_one_counts() {
    // The digits of an IBAN are neither a card nor a telephone number.
    assert_eq!(
        redact("to DE89 3704 0044 0532 0130 00 today"),
        "to [IBAN] today"
    );
    assert_eq!(redact("password: jane@example.com1"), "password: [SECRET]");
}

#[test]
fn findings_do_not_overlap_and_are_in_order() {
    let text = "Anna, anna@example.com, +49 30 1234567, 4111 1111 1111 1111, 10.2.3.4";
    let found = Redactor::default().find(text);
    assert_eq!(found.len(), 5);
    for pair in found.windows(2) {
        assert!(pair[0].span.end <= pair[1].span.start);
    }
}

#[test]
fn text_of_any_kind_is_survived() {
    for text in [
        "\u{0}",
        "ä@ö",
        "+",
        "::::::::",
        "Dr. ",
        "Dr.",
        "İ 1.2.3.4",
        "🦀@🦀.🦀",
        "eyJ",
        "Peter ",
    ] {
        redact(text);
    }
    let long = "9".repeat(100_000) + &"a.".repeat(50_000);
    assert_eq!(redact(&long).len(), long.len());
}

proptest::proptest! {
    #[test]
    fn masking_never_panics_and_twice_is_once(text in "[ -~äöß€🦀@.:+0-9]{0,80}") {
        let once = redact(&text);
        // A mask itself is never masked again.
        for kind in Kind::ALL {
            proptest::prop_assert_eq!(redact(kind.mask()), kind.mask());
        }
        redact(&once);
    }
}
