//! What the reader of a document sees is what is read of it.

use crate::read;

#[test]
fn a_document_of_a_real_program_reads_as_it_is_shown() {
    let document = read("harbour.org", include_bytes!("../fixtures/harbour.org"));
    assert_eq!(document.title, "Harbour guide");
    let text = r#"Harbour guide

Ships may enter at high tide only. Call radio 12 first; see the tables (https://tide.example/t) and https://tide.example/x.

Mooring

1. Slow down.
2. Throw the line.
  - the thin one
  - the thick one

Never stand in a loop.

Lines

def tie(knot):
    # a comment
    return knot * 2

Knot | Load (kN)
Bowline | 12
Sheet bend | 8

- Term one: Its meaning.
- Options: -f, FILE

Water is H2O, and x2 --- dash. A note.[1] not bold a_b_c {curly}

[1] The note itself."#;
    assert_eq!(document.text, text);
}

#[test]
fn drawers_and_remarks_are_not_text() {
    let body = "* TODO [#A] Paint the hull :boat:dry:\nDEADLINE: <2024-05-01 Wed>\n:PROPERTIES:\n\
                :Effort: 1h\n:END:\nRed =a*b*= paint.\n# a remark\n\n#+begin_example\n,* as it stands\n#+end_example\n\
                #+include: \"more.org\"\n";
    let document = read("a.org", body);
    assert_eq!(
        document.text,
        "TODO Paint the hull\n\nTags: boat, dry\n\nDeadline: 2024-05-01 Wed\n\nRed a*b* paint.\n\n* as it stands"
    );
    assert_eq!(document.title, "TODO Paint the hull");
    assert_eq!(document.warnings.len(), 1);
}
