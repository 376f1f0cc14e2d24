//! Markup that would be looked at again and again: the work must grow as the file does.

use super::{ParseInput, ParseLimits, parse, work};

/// Formats of plain markup with the beginnings of their files.
const HEADS: &[(&str, &str)] = &[
    ("a.adoc", "= Title\n\n"),
    ("a.org", "#+title: T\n\n"),
    ("a.1", ".TH A 1\n.SH B\n"),
    ("b.1", ".Dd May 1, 2024\n.Dt A 1\n.Sh B\n"),
];

/// What is repeated. A `@` stands for a number that is another each time.
const UNITS: &[&str] = &[
    "#+begin_src\n",
    "#+begin_quote\nx\n",
    "#+begin_@\n",
    ":DRAWER:\n",
    "#+todo: A@\n* A@ x\n",
    "h.",
    "h,m,f,",
    "http://",
    "[[",
    "[fn:",
    "=a ",
    "<<",
    "a:",
    "link:",
    "link:a[",
    "x://",
    "\\",
    "\\\\",
    "\\*",
    "\\h@",
    "\\[",
    "\\*(",
    "{a}",
    "{",
    "`a",
    "+++",
    "(((",
    "[[a",
    "*a ",
    "*a* ",
    "_a^b~c",
    "|",
    "|a\n",
    "64*|a\n",
    "|===\n",
    "====\n",
    "----\n@\n",
    "[a]\n",
    ".a\n",
    "a::\n",
    "* a\n",
    "- a\n",
    "  - a\n",
    "ifdef::a[]\n",
    ":a: {a}x\n{a}\n",
    ".ds a@ x\n",
    ".de a\n",
    ".ig\n",
    ".TS\n",
    ".if n \\{\n",
    ".Op . , ; ",
    " . ,",
    ".Bl -tag\n",
    ".It a\n",
    ".Nm\n",
    ".Oo\n",
    ".TP\n",
    ".IP a 4\n",
    "a\n",
    "a ",
    "a\\\n",
    "\n",
    "@ ",
];

/// `head` and `count` times `unit`.
fn file(head: &str, unit: &str, count: usize) -> String {
    let units = (0..count).map(|n| match unit.contains('@') {
        true => unit.replace(
            '@',
            &char::from_u32(0x4E00 + n as u32 % 20_000)
                .unwrap_or('x')
                .to_string(),
        ),
        false => unit.to_owned(),
    });
    head.to_owned() + &units.collect::<String>()
}

/// What reading `text` counts.
fn steps(name: &str, text: &str) -> u64 {
    work::take();
    let limits = ParseLimits {
        max_text_bytes: 8 << 20,
        ..ParseLimits::default()
    };
    // An error ends it early, and is as good an answer.
    let _ = parse(&ParseInput::new(name, text.as_bytes()), &limits);
    work::take()
}

#[test]
fn twice_the_file_is_twice_the_work() {
    for (name, head) in HEADS {
        for unit in UNITS {
            let [small, large] = [4_000, 8_000].map(|count| {
                let text = file(head, unit, count);
                (text.len() as u64, steps(name, &text))
            });
            // Bounded searches cost as much at every place, before they are all bounded.
            let allowed = 5 * small.1 / 2 + 50 * small.0;
            assert!(
                large.1 <= allowed,
                "{name}, {unit:?}: {} bytes take {} steps, {} bytes {}",
                small.0,
                small.1,
                large.0,
                large.1
            );
        }
    }
}

#[test]
fn short_files_do_not_unfold_to_long_texts() {
    let long = "x".repeat(900);
    let cases = [
        (
            "a.adoc",
            format!("= T\n:a: {long}\n\n{}", "{a}".repeat(50_000)),
        ),
        (
            "a.adoc",
            format!(
                "= T\n\n|===\n{}|===\n",
                format!("64*|{long}{long}\n").repeat(500)
            ),
        ),
        (
            "a.1",
            format!(
                ".TH A 1\n.ds a {}\n{}",
                &long[..190],
                "\\*a".repeat(100_000)
            ),
        ),
        (
            "b.1",
            format!(".Dd x\n.Dt {long}{long} 1\n{}", ".Nm\n".repeat(50_000)),
        ),
    ];
    for (name, text) in cases {
        let document = parse(
            &ParseInput::new(name, text.as_bytes()),
            &ParseLimits::default(),
        );
        let unfolded = document.map_or(0, |document| document.text.len());
        assert!(
            unfolded < (16 << 20) && unfolded > 0,
            "{name}: {} bytes became {unfolded}",
            text.len()
        );
    }
}

#[test]
fn an_attribute_that_names_itself_ends() {
    let text = "= T\n:a: link:u[{a}]\n:b: footnote:[{b}]\n\nSee {a} and {b}.\n";
    let document = parse(
        &ParseInput::new("a.adoc", text.as_bytes()),
        &ParseLimits::default(),
    );
    assert!(document.unwrap().text.contains("See"));
}

#[test]
fn no_file_has_endless_warnings() {
    let text = format!(".TH A 1\n.SH B\ntext\n{}", ".so a\n".repeat(20_000));
    let document = parse(
        &ParseInput::new("a.1", text.as_bytes()),
        &ParseLimits::default(),
    );
    assert!(document.unwrap().warnings.len() <= 1000);
}
