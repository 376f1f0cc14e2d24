use crate::ErrorKind;
use crate::testing::{headings, read, read_err, stored_zip, zip};

/// Made with pandoc 3.9.
const RULES: &[u8] = include_bytes!("../../tests/fixtures/rules.odt");

const TYPE: &str = "application/vnd.oasis.opendocument.text";

fn odt(styles: &str, body: &str, pages: &str) -> Vec<u8> {
    // What is tested needs the type unpacked, as the writers of ODT leave it.
    let content = format!(
        "<office:document-content><office:automatic-styles>{styles}</office:automatic-styles>\
         <office:body><office:text>{body}</office:text></office:body></office:document-content>"
    );
    let pages = format!("<office:document-styles>{pages}</office:document-styles>");
    stored_zip(&[
        ("mimetype", TYPE),
        ("content.xml", &content),
        ("styles.xml", &pages),
    ])
}

#[test]
fn a_text_of_pandoc() {
    let document = read("rules.odt", RULES);
    assert_eq!(document.title, "Quay rules");
    assert_eq!(document.metadata["author"], "Ann");
    assert_eq!(headings(&document), [(1, "Berths"), (1, "Fees")]);
    assert!(
        document.text.ends_with(
            "Berths\n\nBoats stay two nights (https://port.example.org/stay).[1] See below.\n\n\
             1. moor\n2. pay\n  a) in cash\n  b) by card\n- no fires\n\n\
             Size | Fee\n10 m | 9\n20 m | 18\n\nFees\n\nEnd.\n\n[1] In winter three."
        ),
        "{}",
        document.text
    );
}

#[test]
fn what_is_hidden_or_elsewhere_is_left_out() {
    let styles =
        "<style:style style:name='H'><style:text-properties text:display='none'/></style:style>";
    let body = "<text:tracked-changes><text:changed-region><text:deletion><text:p>gone</text:p></text:deletion>\
        </text:changed-region></text:tracked-changes>\
        <text:p>The code is <text:span text:style-name='H'>4711</text:span>on<text:s text:c='2'/>the\n  door.\
        <office:annotation><dc:creator>Bo</dc:creator><dc:date>2024-05-01T00:00:00</dc:date>\
        <text:p>Check it.</text:p></office:annotation></text:p>\
        <text:table-of-content><text:index-body><text:p>Contents 1</text:p></text:index-body></text:table-of-content>\
        <text:section text:display='none'><text:p>secret</text:p></text:section>";
    let pages = "<office:master-styles><style:master-page><style:header><text:p>Contract KX</text:p></style:header>\
        <style:footer><text:p>Approved<text:tab/>Page <text:page-number>1</text:page-number></text:p></style:footer>\
        </style:master-page><style:master-page><style:header><text:p>Contract KX</text:p></style:header>\
        <style:footer style:display='false'><text:p>off</text:p></style:footer></style:master-page></office:master-styles>";
    assert_eq!(
        read("a.odt", odt(styles, body, pages)).text,
        "Contract KX\n\nThe code is on  the door.\n\nApproved\n\nComment by Bo: Check it."
    );
}

#[test]
fn headings_are_numbered_and_cells_merged() {
    let pages = "<text:outline-style><text:outline-level-style text:level='1' style:num-format='1'/>\
        <text:outline-level-style text:level='2' style:num-format='1' text:display-levels='2'/></text:outline-style>";
    let cell = |attributes: &str, text: &str| {
        format!("<table:table-cell {attributes}><text:p>{text}</text:p></table:table-cell>")
    };
    let covered = "<table:covered-table-cell/>";
    let body = format!(
        "<text:h text:outline-level='1'>Scope</text:h><text:h text:outline-level='2'>Fees</text:h>\
         <table:table><table:table-row>{}{}{covered}</table:table-row>\
         <table:table-row>{}{}{}</table:table-row>\
         <table:table-row>{covered}{}{}</table:table-row></table:table>\
         <text:h text:outline-level='1'>End</text:h><text:p>x</text:p>",
        cell("", "Region"),
        cell("table:number-columns-spanned='2'", "Sites"),
        cell("table:number-rows-spanned='2'", "South"),
        cell("", "Lyon"),
        cell("", "14"),
        cell("", "Nice"),
        cell("", "9"),
    );
    let document = read("a.odt", odt("", &body, pages));
    assert_eq!(
        headings(&document),
        [(1, "1 Scope"), (2, "1.1 Fees"), (1, "2 End")]
    );
    assert!(
        document
            .text
            .contains("Region | Sites | Sites\nSouth | Lyon | 14\nSouth | Nice | 9"),
        "{}",
        document.text
    );
}

#[test]
fn broken_files_say_what_is_wrong() {
    assert_eq!(
        read_err("a.odt", odt("", "<text:p></text:h>", "")).kind(),
        ErrorKind::InvalidInput
    );
    assert_eq!(
        read_err("a.odt", zip(&[("content.xml", "<a/>")])).kind(),
        ErrorKind::InvalidInput
    );
    assert_eq!(
        read_err("a.odt", &RULES[..RULES.len() / 2]).kind(),
        ErrorKind::InvalidInput
    );
}
