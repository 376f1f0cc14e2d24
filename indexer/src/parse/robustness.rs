//! What must hold for every format, whatever the bytes.

use proptest::prelude::*;

use super::format::FORMATS;
use super::testing::zip;
use super::{ParseInput, ParseLimits, parse};
use crate::Document;

/// Pieces that mean something in one format or another.
const PIECES: &[&str] = &[
    "# Title\n",
    "\n\n",
    "---\n",
    "- item\n",
    "> quote\n",
    "```\ncode\n```\n",
    "| a | b |\n|---|---|\n",
    "<h1>",
    "</h1>",
    "<p>",
    "<table><tr><td>",
    "</table>",
    "<pre>",
    "<!--",
    "-->",
    "<script>",
    "</script>",
    "&amp;",
    "&#0;",
    "<ul><li>",
    "</div>",
    "{\"a\": [1, 2",
    "]}",
    "\"",
    ",",
    ";",
    "\t",
    "=====\n",
    "-----\n",
    ".. note:: x\n",
    "   indented\n",
    "::\n",
    ":field: value\n",
    "`text <url>`_",
    "|sub|",
    "fn main() {\n",
    "class A:\n",
    "def f():\n",
    "/* c */\n",
    "From: a@b.c\n",
    "Subject: x\n",
    "Content-Type: multipart/mixed; boundary=b\n",
    "--b\n",
    "\r\n",
    "\u{feff}",
    "\u{202e}",
    "é",
    "検索",
    "\u{1f600}",
    "\0",
    "\u{7f}",
    "\u{c}",
    "x",
    " ",
    "\\",
];

fn names() -> impl Strategy<Value = String> {
    let extensions: Vec<&str> = FORMATS
        .iter()
        .flat_map(|format| format.extensions.iter().take(1))
        .chain(&["rs", "py", "tex", "toml", "unknown"])
        .copied()
        .collect();
    prop::sample::select(extensions).prop_map(|extension| format!("file.{extension}"))
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(PIECES), 0..60).prop_map(|pieces| pieces.concat())
}

fn check(name: &str, bytes: &[u8]) -> Result<(), TestCaseError> {
    let limits = ParseLimits {
        max_text_bytes: 1 << 20,
        ..Default::default()
    };
    match parse(&ParseInput::new(name, bytes), &limits) {
        Ok(document) => check_document(&document),
        Err(error) => {
            prop_assert!(!error.message().is_empty());
            Ok(())
        }
    }
}

/// The promises of [`Document`].
fn check_document(document: &Document) -> Result<(), TestCaseError> {
    let text = &document.text;
    prop_assert!(!text.is_empty() && !document.title.is_empty());
    prop_assert!(!document.title.contains('\n'));
    prop_assert!(!text.contains("\n\n\n\n") && !text.ends_with('\n') && !text.starts_with('\n'));
    prop_assert!(
        text.chars()
            .all(|c| !c.is_control() || c == '\n' || c == '\t')
    );
    prop_assert!(document.metadata.contains_key("format"));
    let mut before = 0;
    for section in &document.sections {
        prop_assert!(
            text.get(section.span.clone())
                .is_some_and(|text| !text.is_empty())
        );
        prop_assert!(section.span.start >= before, "sections are in order");
        prop_assert!(section.level >= 1 && !section.heading.is_empty());
        prop_assert!(!section.heading.contains('\n'));
        before = section.span.start;
    }
    for (i, section) in document.sections.iter().enumerate() {
        let next = document.sections[i + 1..]
            .iter()
            .find(|next| next.level <= section.level);
        let end = next.map_or(text.len(), |next| next.span.start);
        prop_assert_eq!(section.span.end, end);
    }
    let mut page_end = 0;
    for page in &document.pages {
        prop_assert!(page.span.start >= page_end && text.get(page.span.clone()).is_some());
        page_end = page.span.end;
    }
    let mut table_end = 0;
    for table in &document.tables {
        let rows = text.get(table.span.clone());
        prop_assert!(table.span.start >= table_end && rows.is_some_and(|rows| !rows.is_empty()));
        prop_assert!(!table.columns.is_empty());
        table_end = table.span.end;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(name in names(), bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        check(&name, &bytes)?;
    }

    #[test]
    fn markup_in_any_disorder_keeps_the_promises(name in names(), text in text()) {
        check(&name, text.as_bytes())?;
    }

    #[test]
    fn archives_with_any_xml_keep_the_promises(body in text(), styles in text(), book in any::<bool>()) {
        let files = if book {
            [
                ("META-INF/container.xml", "<rootfile full-path='a.opf'/>"),
                ("a.opf", "<item id='a' href='b.html'/><itemref idref='a'/>"),
                ("b.html", body.as_str()),
            ]
        } else {
            [
                ("[Content_Types].xml", ""),
                ("word/document.xml", body.as_str()),
                ("word/styles.xml", styles.as_str()),
            ]
        };
        check("file", &zip(&files))?;
    }

    #[test]
    fn damaged_pdfs_never_panic(at in 0usize..600, byte in any::<u8>(), cut in 0usize..600) {
        let mut bytes = super::pdf::testing::pdf(&["one page", "another page"]);
        let len = bytes.len();
        bytes[at % len] = byte;
        bytes.truncate(len - cut % len);
        // A panic inside is caught; what counts is that an answer comes.
        let _ = parse(&ParseInput::new("a.pdf", &bytes), &super::pdf::testing::limits());
    }
}
