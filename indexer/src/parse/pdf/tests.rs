use super::testing::{file, limits, pdf};
use crate::parse::{ParseInput, ParseLimits, parse};
use crate::{Document, Error, ErrorKind};

fn read(name: &str, bytes: impl AsRef<[u8]>) -> Document {
    parse(&ParseInput::new(name, bytes.as_ref()), &limits()).unwrap()
}

fn read_err(name: &str, bytes: impl AsRef<[u8]>) -> Error {
    parse(&ParseInput::new(name, bytes.as_ref()), &limits()).unwrap_err()
}

#[test]
fn without_the_library_the_message_says_what_to_do() {
    let input = pdf(&["text"]);
    let error = parse(&ParseInput::new("a.pdf", &input), &ParseLimits::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Machine);
    assert!(
        error.message().contains("cairn models pull pdfium"),
        "{error}"
    );
}

#[test]
fn a_form_that_draws_itself_is_an_answer() {
    let form = "<< /Type /XObject /Subtype /Form /BBox [0 0 9 9] \
                /Resources << /XObject << /X 4 0 R >> >> /Length 5 >>\nstream\n/X Do\nendstream";
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] \
         /Resources << /XObject << /X 4 0 R >> >> /Contents 5 0 R >>"
            .to_owned(),
        form.to_owned(),
        "<< /Length 5 >>\nstream\n/X Do\nendstream".to_owned(),
    ];
    let error = read_err("a.pdf", file(&objects, "/Root 1 0 R"));
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[test]
fn pages_have_numbers_and_text() {
    let document = read(
        "a.pdf",
        pdf(&["First page, (in brackets)\nsecond line", "", "Third page"]),
    );
    let pages: Vec<_> = document
        .pages
        .iter()
        .map(|page| (page.number, document.text[page.span.clone()].trim()))
        .collect();
    assert_eq!(pages.len(), 2, "{:?}", document.text);
    assert_eq!(pages[0].0, 1);
    assert!(pages[0].1.starts_with("First page, (in brackets)"));
    assert!(pages[0].1.ends_with("second line"));
    assert_eq!(pages[1], (3, "Third page"));
    assert_eq!(document.metadata["format"], "pdf");
}

#[test]
fn properties_become_facts() {
    let document = read("a.pdf", pdf(&["text"]));
    assert_eq!(document.title, "The made title");
    assert_eq!(document.metadata["author"], "Ann Lee");
    assert_eq!(document.metadata["date"], "2024-05-01");
}

#[test]
fn bookmarks_become_sections() {
    let document = read("a.pdf", pdf(&["one", "Second chapter\nbody"]));
    let section = &document.sections[0];
    assert_eq!(
        (section.level, section.heading.as_str()),
        (1, "Second chapter")
    );
    assert!(document.text[section.span.clone()].starts_with("Second chapter"));
}

#[test]
fn scans_say_that_they_have_no_text() {
    let error = read_err("scan.pdf", pdf(&["", ""]));
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.message().contains("OCR"), "{error}");
}

#[test]
fn passwords_are_recognised() {
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [] /Count 0 >>".to_owned(),
        format!(
            "<< /Filter /Standard /V 2 /R 3 /Length 128 /P -44 /O <{0}> /U <{0}> >>",
            "ab".repeat(32)
        ),
    ];
    let id = "/Root 1 0 R /Encrypt 3 0 R /ID [<0123456789abcdef0123456789abcdef> <0123456789abcdef0123456789abcdef>]";
    assert_eq!(
        read_err("locked.pdf", file(&objects, id)).kind(),
        ErrorKind::Encrypted
    );
}

#[test]
fn damage_is_an_error_or_still_text() {
    let error = read_err("a.pdf", b"%PDF-1.4\nnothing else");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.message().contains("PDF"), "{error}");
    let error = read_err("a.pdf", "<!doctype html><p>Not found");
    assert!(error.message().contains("text (html)"), "{error}");
}

#[test]
fn deep_nesting_is_an_answer() {
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        format!("<< /Type /Pages /Kids {} /Count 1 >>", "[".repeat(100_000)),
    ];
    assert_eq!(
        read_err("a.pdf", file(&objects, "/Root 1 0 R")).kind(),
        ErrorKind::InvalidInput
    );
    // A tree of pages that contains itself.
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 2 >>".to_owned(),
    ];
    assert_eq!(
        read_err("a.pdf", file(&objects, "/Root 1 0 R")).kind(),
        ErrorKind::InvalidInput
    );
}
