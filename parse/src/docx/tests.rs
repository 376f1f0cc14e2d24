mod features;
mod numbers;

use super::BODY;
use crate::testing::{headings, read, read_err, zip};
use crate::{Document, ErrorKind};
use crate::{ParseInput, ParseLimits, parse};

const STYLES: &str = r#"<w:styles>
    <w:style w:styleId="berschrift1"><w:name w:val="heading 1"/></w:style>
    <w:style w:styleId="Sub"><w:name w:val="My heading"/><w:basedOn w:val="berschrift1"/></w:style>
    <w:style w:styleId="Out"><w:name w:val="Custom"/><w:pPr><w:outlineLvl w:val="1"/></w:pPr></w:style>
    <w:style w:styleId="Loop"><w:name w:val="Loop"/><w:basedOn w:val="Loop"/></w:style>
    <w:style w:styleId="T"><w:name w:val="Title"/></w:style></w:styles>"#;
const NUMBERING: &str = r#"<w:numbering>
    <w:abstractNum w:abstractNumId="7"><w:lvl w:ilvl="0"><w:numFmt w:val="decimal"/></w:lvl>
    <w:lvl w:ilvl="1"><w:numFmt w:val="bullet"/></w:lvl></w:abstractNum>
    <w:num w:numId="3"><w:abstractNumId w:val="7"/></w:num></w:numbering>"#;
const CORE: &str = r#"<cp:coreProperties><dc:title> </dc:title><dc:creator>Ann</dc:creator>
    <cp:keywords>a; b</cp:keywords><dcterms:created>2021-03-04T05:06:07Z</dcterms:created>
    </cp:coreProperties>"#;

fn p(style: &str, text: &str) -> String {
    format!(r#"<w:p><w:pPr><w:pStyle w:val="{style}"/></w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>"#)
}

fn li(level: u8, text: &str) -> String {
    format!(
        r#"<w:p><w:pPr><w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="3"/></w:numPr></w:pPr>
        <w:r><w:t>{text}</w:t></w:r></w:p>"#
    )
}

fn docx(body: &str) -> Vec<u8> {
    let body = format!(r#"<?xml version="1.0"?><w:document><w:body>{body}</w:body></w:document>"#);
    zip(&[
        ("[Content_Types].xml", "<Types/>"),
        (BODY, &body),
        ("word/styles.xml", STYLES),
        ("word/numbering.xml", NUMBERING),
        ("docProps/core.xml", CORE),
        (
            "word/footnotes.xml",
            r#"<w:footnotes><w:footnote w:id="-1" w:type="separator"><w:p><w:r><w:separator/></w:r></w:p></w:footnote>
            <w:footnote w:id="2"><w:p><w:r><w:t> The note.</w:t></w:r></w:p></w:footnote></w:footnotes>"#,
        ),
    ])
}

fn read_body(body: &str) -> Document {
    read("report.docx", docx(body))
}

#[test]
fn paragraphs_headings_and_facts() {
    let document = read_body(&format!(
        "{}{}{}{}{}{}",
        p("T", "Annual report"),
        p("berschrift1", "Results"),
        r#"<w:p><w:pPr><w:tabs><w:tab w:val="left"/></w:tabs></w:pPr><w:r><w:t xml:space="preserve">Good </w:t></w:r>
           <w:r><w:t>&amp; better</w:t><w:tab/><w:t>x</w:t><w:br/><w:t>line</w:t><w:footnoteReference w:id="2"/></w:r>
           <w:del><w:r><w:delText>gone</w:delText></w:r></w:del></w:p>"#,
        p("Out", "Details"),
        p("Loop", "Body text"),
        p("Sub", "Outlook"),
    ));
    assert_eq!(
        document.text,
        "Annual report\n\nResults\n\nGood & better\tx\nline[1]\n\nDetails\n\nBody text\n\nOutlook\n\n[1] The note."
    );
    assert_eq!(document.title, "Annual report");
    assert_eq!(
        headings(&document),
        [(1, "Results"), (2, "Details"), (1, "Outlook")]
    );
    let facts = serde_json::to_value(&document.metadata).unwrap();
    assert_eq!(
        facts,
        serde_json::json!({"author": "Ann", "tags": ["a", "b"], "date": "2021-03-04",
            "format": "docx"})
    );
}

#[test]
fn lists_and_tables() {
    let cell = |text: &str| format!("<w:tc>{}</w:tc>", p("", text));
    let document = read_body(&format!(
        "{}{}{}{}{}<w:tbl><w:tr>{}{}</w:tr><w:tr>{}{}</w:tr></w:tbl>{}",
        li(0, "one"),
        li(1, "inner"),
        li(0, "two"),
        p("", "Between"),
        li(0, "three"),
        cell("Name"),
        cell("Value"),
        cell("a"),
        cell(""),
        p("", "End"),
    ));
    assert_eq!(
        document.text,
        "1. one\n  - inner\n2. two\n\nBetween\n\n3. three\n\nName | Value\na\n\nEnd"
    );
}

#[test]
fn text_boxes_and_their_fallbacks_come_once() {
    let document = read_body(
        "<w:p><w:r><w:t>Around</w:t><mc:AlternateContent><mc:Choice><w:txbxContent>\
         <w:p><w:r><w:t>Boxed</w:t></w:r></w:p></w:txbxContent></mc:Choice>\
         <mc:Fallback><w:p><w:r><w:t>Boxed</w:t></w:r></w:p></mc:Fallback></mc:AlternateContent>\
         </w:r></w:p>",
    );
    assert_eq!(document.text, "Boxed\n\nAround");
}

#[test]
fn a_bomb_is_too_large() {
    let bytes = docx(&p("", &" x".repeat(2 << 20)));
    assert!(bytes.len() < 100_000);
    let limits = ParseLimits {
        max_text_bytes: 1 << 20,
        ..Default::default()
    };
    let error = parse(&ParseInput::new("bomb.docx", &bytes), &limits).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    let limits = ParseLimits {
        max_archive_entries: 3,
        ..Default::default()
    };
    let error = parse(&ParseInput::new("many.docx", &docx("")), &limits).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
}

#[test]
fn broken_files_say_what_is_wrong() {
    let whole = docx(&p("", "text"));
    let cut = read_err("cut.docx", &whole[..whole.len() - 30]);
    assert_eq!(cut.kind(), ErrorKind::InvalidInput);
    let deep = "<w:sdt>".repeat(100_000);
    assert_eq!(
        read_err("deep.docx", docx(&deep)).kind(),
        ErrorKind::InvalidInput
    );
    let named = read_err("not.docx", "just text");
    assert!(named.to_string().contains("named like docx"), "{named}");
    assert_eq!(
        read_err("empty.docx", docx("").split_at(0).0).kind(),
        ErrorKind::InvalidInput
    );
}

#[test]
fn a_password_is_recognised() {
    let mut bytes = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".to_vec();
    bytes.extend([0; 600]);
    bytes.extend("EncryptedPackage".encode_utf16().flat_map(u16::to_le_bytes));
    assert_eq!(read_err("locked.docx", &bytes).kind(), ErrorKind::Encrypted);
    let old = &bytes[..500];
    assert_eq!(read_err("old.doc", old).kind(), ErrorKind::Unsupported);
}
