//! One body for all parsers: an answer comes, and a document keeps its promises.

use std::path::PathBuf;

use cairn_parse::{ParseInput, ParseLimits, check_promises, parse};

/// The targets, and the file name by which each format is known.
pub const TARGETS: &[(&str, &str)] = &[
    ("asciidoc", "a.adoc"),
    ("code", "a.rs"),
    ("compressed", "a.md.gz"),
    ("csv", "a.csv"),
    ("docx", "a.docx"),
    ("email", "a.eml"),
    ("epub", "a.epub"),
    ("html", "a.html"),
    ("json", "a.json"),
    ("jsonl", "a.jsonl"),
    ("man", "a.1"),
    ("markdown", "a.md"),
    ("mbox", "a.mbox"),
    ("mdoc", "b.1"),
    ("mhtml", "a.mhtml"),
    ("notebook", "a.ipynb"),
    ("odt", "a.odt"),
    ("opml", "a.opml"),
    ("org", "a.org"),
    ("pdf", "a.pdf"),
    ("plain", "a.txt"),
    ("pptx", "a.pptx"),
    ("rst", "a.rst"),
    ("rtf", "a.rtf"),
    ("xlsx", "a.xlsx"),
];

/// Names the library that reads PDFs.
const PDFIUM: &str = "CAIRN_FUZZ_PDFIUM";

/// Parses `bytes` as the format of `target`.
///
/// # Panics
/// When an own parser does, or a document breaks a promise.
pub fn read(target: &str, bytes: &[u8]) {
    let known = TARGETS.iter().find(|(name, _)| *name == target);
    let (_, file) = known.expect("the target is in the table");
    let limits = ParseLimits {
        max_bytes: 1 << 20,
        max_text_bytes: 4 << 20,
        max_archive_entries: 200,
        pdfium: std::env::var_os(PDFIUM).map(PathBuf::from),
        ..ParseLimits::default()
    };
    match parse(&ParseInput::new(file, bytes), &limits) {
        Ok(document) => {
            let broken = check_promises(&document).err();
            assert!(broken.is_none(), "{}", broken.unwrap_or_default());
        }
        Err(error) => assert!(!error.message().is_empty()),
    }
}
