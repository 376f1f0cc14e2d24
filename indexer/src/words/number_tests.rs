//! Numbers in groups, and what is none.

use super::number::{after_run, in_piece};
use super::split::next_run;

fn whole(text: &str) -> Option<String> {
    let run = next_run(text, 0)?;
    let outer = after_run(text, &run).into_iter().next();
    outer
        .map(|number| number.term)
        .or_else(|| in_piece(text, &run))
}

#[test]
fn a_number_is_one_in_any_grouping() {
    for (expected, forms) in [
        (
            "2788964",
            &[
                "2,788,964",
                "2.788.964",
                "2 788 964",
                "2\u{a0}788\u{a0}964",
                "2\u{202f}788\u{202f}964",
                "2'788'964",
                "2’788’964",
                "2_788_964",
                "27,88,964",
                "２，７８８，９６４",
                "2,788,964, and",
                "2 788 964 euros",
                "2,788,964kg",
                "٢٬٧٨٨٬٩٦٤",
            ][..],
        ),
        (
            "1234567.89",
            &["1,234,567.89", "1.234.567,89", "1 234 567,89", "1234567,89"],
        ),
        ("12.50", &["12,50", "12,50 kg"]),
        (
            "9780306406157",
            &[
                "978-0-306-40615-7",
                "978 0 306 40615 7",
                "978-0306406157",
                "978 0306406157",
                "978-0-30640-615-7",
                "978–0–306–40615–7",
            ],
        ),
        ("030640615x", &["0-306-40615-X", "0-30640-615-x"]),
        ("0306406152", &["0 306 40615 2", "0-306-40615-2"]),
        (
            "493012345678",
            &[
                "49 30 12345678",
                "49-30-1234-5678",
                "49 30 1234 5678",
                "49.30.12345678",
            ],
        ),
        (
            "5551234567",
            &[
                "555-123-4567",
                "555 123 4567",
                "555.123.4567",
                "555) 123-4567",
            ],
        ),
        (
            "0301234567",
            &["030/1234567", "030 - 123 45 67", "030) 1234567"],
        ),
        (
            "4012888888881881",
            &["4012 8888 8888 1881", "4012-8888-8888-1881"],
        ),
        (
            "378282246310005",
            &["3782 822463 10005", "3782-822463-10005"],
        ),
        (
            "de89370400440532013000",
            &["DE89 3704 0044 0532 0130 00", "de89-3704-0044-0532-0130-00"],
        ),
        (
            "nl91abna0417164300",
            &["NL91 ABNA 0417 1643 00", "NL91 ABNA 0417 1643 00 IBAN"],
        ),
        (
            "mt84malt011000012345mtlcast001s",
            &["MT84 MALT 0110 0001 2345 MTLC AST0 01S is ours"],
        ),
        (
            "be68539007547034",
            &["BE68 5390 0754 7034", "BE68 5390 0754 7034 2024 was"],
        ),
    ] {
        for form in forms {
            assert_eq!(whole(form).as_deref(), Some(expected), "{form}");
        }
    }
}

#[test]
fn a_zero_in_brackets_is_for_calls_at_home() {
    let text = "+49 (0)30 123 45 67";
    let found = after_run(text, &(1..3));
    assert_eq!(found[0].term, "49301234567");
    assert_eq!(&text[found[0].span.clone()], "49 (0)30 123 45 67");
}

#[test]
fn dates_versions_addresses_and_lists_are_no_numbers() {
    for text in [
        "2024-11-22",
        "22.11.2024",
        "11/22/2024",
        "1.2.3",
        "10.0.19041",
        "1.12.345.6789",
        "192.168.100.200",
        "0.123",
        "1,2]",
        "1, 2, 3",
        "1 2 3 4 5 6 7 8",
        "3-4",
        "550e8400-e29b-41d4-a716-446655440000",
        "12:30:45",
        "2024-11-22 12 30",
        "2024-11-22 10:15",
        "sha256",
        "2024",
    ] {
        assert_eq!(whole(text), None, "{text}");
    }
}

#[test]
fn a_number_does_not_swallow_its_neighbours() {
    let text = "1 234 567 of 12";
    let found = after_run(text, &(0..1));
    assert_eq!(&text[found[0].span.clone()], "1 234 567");
    assert_eq!(found.len(), 1);
    let found = after_run("1.234.567,89 EUR", &(0..9));
    let terms: Vec<&str> = found.iter().map(|number| number.term.as_str()).collect();
    assert_eq!(
        terms,
        ["1234567.89"],
        "what the run holds is found inside of it"
    );
    let row = "12 ".repeat(100_000);
    assert!(after_run(&row, &(0..2)).is_empty());
}
