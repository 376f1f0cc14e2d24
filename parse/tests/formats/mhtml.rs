//! What the reader of a document sees is what is read of it.

use crate::read;

#[test]
fn a_document_of_a_real_program_reads_as_it_is_shown() {
    let document = read("harbour.mhtml", include_bytes!("../fixtures/harbour.mhtml"));
    assert_eq!(document.title, "Harbour guide – tides");
    let text = r#"Harbour guide

Ships may enter at high tide only. See the tables (https://tide.example/t).

Knot | Load (kN)
Bowline | 12

A crane"#;
    assert_eq!(document.text, text);
}

#[test]
fn the_content_tells_a_saved_page_from_a_mail() {
    let page = include_bytes!("../fixtures/harbour.mhtml");
    assert_eq!(read("saved.eml.txt", page).metadata["format"], "mhtml");
}
