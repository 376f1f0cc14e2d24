//! What the reader of a document sees is what is read of it.

use crate::read;

#[test]
fn a_document_of_a_real_program_reads_as_it_is_shown() {
    let document = read("harbour.adoc", include_bytes!("../fixtures/harbour.adoc"));
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

Term one
  Its meaning.
Options
  -f, FILE

Water is H2O, and x2 — dash. A crane A note.[1] *not bold* a_b_c {curly}

[1] The note itself."#;
    assert_eq!(document.text, text);
}

fn text(body: &str) -> String {
    read("a.adoc", body).text
}

#[test]
fn blocks_say_what_they_are_and_conditions_hold() {
    let body = "= T\n:ship: Gull\n\nNOTE: The {ship} sails.\n\nifdef::ship[]\nshown\nendif::[]\n\n\
                ifdef::other[]\nhidden\nendif::[]\n\n// a remark\n\n[WARNING]\n====\nDeep water.\n====\n\n\
                include::more.adoc[]\n";
    let document = read("a.adoc", body);
    assert_eq!(
        document.text,
        "T\n\nNote: The Gull sails.\n\nshown\n\nWarning:\n\nDeep water."
    );
    assert_eq!(document.warnings.len(), 1);
    assert!(document.warnings[0].contains("more.adoc"));
}

#[test]
fn a_table_without_options_names_its_columns_by_an_empty_line() {
    let body = "[cols=\"1,1\"]\n|===\n|Name |Depth\n\n|Quay\n|4\n2+|both\n|===\n";
    let document = read("a.adoc", body);
    assert_eq!(document.text, "Name | Depth\nQuay | 4\nboth | both");
    assert_eq!(document.tables[0].columns, "Name | Depth");
}

#[test]
fn code_keeps_its_marks() {
    assert_eq!(
        text("Use `*ptr` and +a_b_+.\n\n----\n*x* _y_\n----"),
        "Use *ptr and a_b_.\n\n*x* _y_"
    );
}

#[test]
fn cells_keep_their_quotes_and_reach_down() {
    let document = read(
        "a.adoc",
        "[%header,format=csv]\n|===\nName,Load\n\"North, up\",4\n|===\n\n|===\n|Pier 2+|Depth\n\n.2+|North |4 |5\n|6 |7\n|===\n",
    );
    assert_eq!(
        document.text,
        "Name | Load\nNorth, up | 4\n\nPier | Depth | Depth\nNorth | 4 | 5\nNorth | 6 | 7"
    );
}

#[test]
fn notes_stand_right_behind_words_and_lists_have_letters() {
    let document = read(
        "a.adoc",
        "A wordfootnote:[Small print.] here.\n\n. one\n.. two\n\n//-\n\n[upperroman, start=3]\n. three\n",
    );
    assert_eq!(
        document.text,
        "A word[1] here.\n\n1. one\n  a. two\n\nIII. three\n\n[1] Small print."
    );
}
