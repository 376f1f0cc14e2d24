//! What must hold for every format, whatever the bytes.

use proptest::prelude::*;

use super::formats::FORMATS;
use super::testing::{stored_zip, zip};
use super::{ParseInput, ParseLimits, check_promises, parse};

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
    "{\\rtf1 ",
    "\\par ",
    "\\intbl x\\cell ",
    "\\row ",
    "{\\field{\\*\\fldinst HYPERLINK \"https://a.example\"}{\\fldrslt x}}",
    "{\\footnote x}",
    "}",
    ".. list-table:: x\n",
    "   * - a\n",
    "     - b\n",
    ".. csv-table::\n\n   a, \"b\n",
    "====  ====\n",
    "+---+--+\n",
    "| a | b|\n",
    ".. |sub| replace:: |sub| x\n",
    "`text`__\n",
];

/// Elements that mean something in one office format or another.
const ELEMENTS: &[&str] = &[
    "p",
    "r",
    "t",
    "tbl",
    "tr",
    "tc",
    "pPr",
    "rPr",
    "trPr",
    "tcPr",
    "vanish",
    "del",
    "ins",
    "numPr",
    "numId",
    "ilvl",
    "pStyle",
    "vMerge",
    "gridSpan",
    "gridBefore",
    "hyperlink",
    "fldSimple",
    "fldChar",
    "instrText",
    "sdt",
    "sdtPr",
    "sdtContent",
    "AlternateContent",
    "Choice",
    "Fallback",
    "footnote",
    "footnoteReference",
    "comment",
    "sym",
    "br",
    "tab",
    "sp",
    "txBody",
    "ph",
    "buAutoNum",
    "graphicFrame",
    "row",
    "c",
    "v",
    "is",
    "mergeCell",
    "col",
    "style",
    "lvl",
    "abstractNum",
    "num",
    "h",
    "span",
    "list",
    "list-item",
    "table",
    "table-row",
    "table-cell",
    "covered-table-cell",
    "note",
    "annotation",
    "a",
    "s",
    "list-style",
    "page-number",
    "header",
    "footer",
    "body",
    "master-styles",
    "sectPr",
];
const ATTRIBUTES: &[&str] = &[
    "",
    "w:val='1'",
    "w:val='99999999999999999999'",
    "w:val='restart'",
    "w:fldCharType='begin'",
    "w:fldCharType='separate'",
    "w:fldCharType='end'",
    "w:instr='HYPERLINK \"https://a.example\"'",
    "r:id='r1'",
    "r='B2'",
    "ref='A1:XFD1048576'",
    "t='s'",
    "min='1' max='99999999'",
    "gridSpan='3' rowSpan='2'",
    "table:number-columns-repeated='99999999' table:number-rows-spanned='2'",
    "text:outline-level='3' text:style-name='1'",
    "w:numId='1' w:abstractNumId='1' w:ilvl='1' w:styleId='1'",
    "type='title' lvl='9'",
];

/// Well-formed XML of such elements.
fn markup() -> impl Strategy<Value = String> {
    let leaf =
        prop::sample::select(&["", "x", "a b", "é", "1", "\u{1}"][..]).prop_map(str::to_owned);
    leaf.prop_recursive(6, 60, 6, |inner| {
        let element = prop::sample::select(ELEMENTS);
        let attribute = prop::sample::select(ATTRIBUTES);
        (element, attribute, prop::collection::vec(inner, 0..6)).prop_map(
            |(name, attribute, inside)| {
                format!("<w:{name} {attribute}>{}</w:{name}>", inside.concat())
            },
        )
    })
}

/// The parts that each office format reads, all filled with the same markup.
fn office(kind: usize, body: &str) -> Vec<u8> {
    let relations = "<Relationships>\
        <Relationship Id='r1' Type='x/slide' Target='part.xml'/>\
        <Relationship Id='r2' Type='x/header' Target='part.xml'/></Relationships>";
    let workbook = "<workbook><sheet name='a' r:id='r1'/></workbook>";
    let sheet = relations.replace("x/slide", "x/worksheet");
    let files: &[(&str, &str)] = match kind {
        0 => &[
            ("word/document.xml", body),
            ("word/styles.xml", body),
            ("word/numbering.xml", body),
            ("word/footnotes.xml", body),
            ("word/comments.xml", body),
            ("word/part.xml", body),
            ("word/_rels/document.xml.rels", relations),
        ],
        1 => &[
            ("ppt/presentation.xml", "<sldId id='1' r:id='r1'/>"),
            ("ppt/_rels/presentation.xml.rels", relations),
            ("ppt/part.xml", body),
        ],
        2 => &[
            ("xl/workbook.xml", workbook),
            ("xl/_rels/workbook.xml.rels", &sheet),
            ("xl/part.xml", body),
            ("xl/styles.xml", body),
            ("xl/sharedStrings.xml", body),
        ],
        _ => &[
            ("mimetype", "application/vnd.oasis.opendocument.text"),
            ("content.xml", body),
            ("styles.xml", body),
        ],
    };
    stored_zip(files)
}

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
        Ok(document) => check_promises(&document).map_err(TestCaseError::fail),
        Err(error) => {
            prop_assert!(!error.message().is_empty());
            Ok(())
        }
    }
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
    fn office_files_keep_the_promises(kind in 0usize..4, body in markup()) {
        check("file", &office(kind, &format!("<w:body>{body}</w:body>")))?;
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
