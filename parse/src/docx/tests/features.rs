//! What else Word shows, and what it does not.

use super::super::BODY;
use crate::Document;
use crate::testing::{read, zip};

fn document(body: &str, parts: &[(&str, &str)]) -> Document {
    let body = format!("<w:document><w:body>{body}</w:body></w:document>");
    let relations = "<Relationships>\
        <Relationship Id='h1' Type='x/header' Target='header1.xml'/>\
        <Relationship Id='h2' Type='x/header' Target='header2.xml'/>\
        <Relationship Id='f1' Type='x/footer' Target='footer1.xml'/>\
        <Relationship Id='f9' Type='x/footer' Target='footer9.xml'/>\
        <Relationship Id='u1' Type='x/hyperlink' Target='https://a.example/x' TargetMode='External'/>\
        <Relationship Id='u2' Type='x/hyperlink' Target='mailto:ann@a.example' TargetMode='External'/>\
        </Relationships>";
    let mut files = vec![
        (BODY, body.as_str()),
        ("word/_rels/document.xml.rels", relations),
    ];
    files.extend(parts);
    read("a.docx", zip(&files))
}

fn r(text: &str) -> String {
    format!("<w:r><w:t xml:space='preserve'>{text}</w:t></w:r>")
}

fn p(text: &str) -> String {
    format!("<w:p>{}</w:p>", r(text))
}

fn text(body: &str) -> String {
    document(body, &[]).text
}

#[test]
fn pandoc_writes_what_is_read() {
    let document = read(
        "rules.docx",
        include_bytes!("../../../tests/fixtures/rules.docx"),
    );
    assert_eq!(document.title, "Quay rules");
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
fn headers_and_footers_come_once() {
    let field = |kind: &str| {
        format!(
            "<w:r><w:fldChar w:fldCharType='begin'/></w:r><w:r><w:instrText> {kind} </w:instrText></w:r>\
             <w:r><w:fldChar w:fldCharType='separate'/></w:r>{}<w:r><w:fldChar w:fldCharType='end'/></w:r>",
            r("7")
        )
    };
    let section = "<w:sectPr><w:headerReference w:type='default' r:id='h1'/><w:headerReference w:type='first' r:id='h2'/>\
        <w:footerReference w:type='even' r:id='f1'/></w:sectPr>";
    let body = format!(
        "<w:p><w:pPr>{section}</w:pPr>{}</w:p>{}{section}",
        r("One."),
        p("Two.")
    );
    let footer = format!(
        "<w:ftr><w:p>{}<w:r><w:tab/></w:r>{}{}{}<w:fldSimple w:instr='NUMPAGES'>{}</w:fldSimple></w:p></w:ftr>",
        r("Approved on 4 June"),
        r("Page "),
        field("PAGE"),
        r(" of "),
        r("9"),
    );
    let header = format!("<w:hdr>{}</w:hdr>", p("Contract KX"));
    let first = format!("<w:hdr>{}{}</w:hdr>", p("Harbour Works"), p("Contract KX"));
    let unused = format!("<w:ftr>{}</w:ftr>", p("Never shown"));
    let document = document(
        &body,
        &[
            ("word/header1.xml", &header),
            ("word/header2.xml", &first),
            ("word/footer1.xml", &footer),
            ("word/footer9.xml", &unused),
        ],
    );
    assert_eq!(
        document.text,
        "Contract KX\n\nHarbour Works\n\nOne.\n\nTwo.\n\nApproved on 4 June"
    );
}

#[test]
fn merged_cells_count_for_every_row() {
    let tc = |properties: &str, text: &str| {
        format!("<w:tc><w:tcPr>{properties}</w:tcPr>{}</w:tc>", p(text))
    };
    let row = |cells: &[String]| format!("<w:tr>{}</w:tr>", cells.concat());
    let (begin, more) = ("<w:vMerge w:val='restart'/>", "<w:vMerge/>");
    let two = "<w:gridSpan w:val='2'/>";
    let rows = [
        row(&[tc("", "Region"), tc(two, "Crates")]),
        row(&[tc(begin, "South"), tc("", "Lyon"), tc("", "14")]),
        row(&[tc(more, ""), tc("", "Nice"), tc(begin, "9")]),
        row(&[tc(begin, "North"), tc("", "Kiel"), tc(more, "")]),
        row(&[tc(two, "All depots"), tc("", "23")]),
        "<w:tr><w:trPr><w:del/></w:trPr><w:tc><w:p/></w:tc></w:tr>".to_owned(),
        format!(
            "<w:tr><w:trPr><w:gridBefore w:val='1'/></w:trPr>{}</w:tr>",
            tc("", "late")
        ),
    ];
    assert_eq!(
        text(&format!("<w:tbl>{}</w:tbl>", rows.concat())),
        "Region | Crates | Crates\nSouth | Lyon | 14\nSouth | Nice | 9\nNorth | Kiel | 9\nAll depots |  | 23\n | late"
    );
}

#[test]
fn inner_tables_keep_their_rows() {
    let cell = |text: &str| format!("<w:tc>{}</w:tc>", p(text));
    let inner = format!(
        "<w:tbl><w:tr>{}{}</w:tr><w:tr>{}{}</w:tr></w:tbl>",
        cell("inner"),
        cell("40 mm"),
        cell("outer"),
        cell("52 mm")
    );
    let body = format!(
        "<w:tbl><w:tr>{}<w:tc>{inner}<w:p/></w:tc>{}</w:tr></w:tbl>",
        cell("Gasket"),
        cell("5 EUR")
    );
    assert_eq!(
        text(&body),
        "Gasket |  | 5 EUR\ninner | 40 mm\nouter | 52 mm"
    );
    let deep = "<w:tbl><w:tr><w:tc>".repeat(60) + &p("deep") + &"</w:tc></w:tr></w:tbl>".repeat(60);
    assert_eq!(text(&deep), "deep");
}

#[test]
fn tracked_changes_are_accepted() {
    let joined = |mark: &str, text: &str| {
        format!("<w:p><w:pPr><w:rPr>{mark}</w:rPr></w:pPr>{}</w:p>", r(text))
    };
    let body = [
        joined("<w:del/>", "First half "),
        joined("<w:del/>", "of a "),
        p("sentence."),
        joined("<w:ins/>", "New."),
        format!(
            "<w:p><w:moveFrom>{}</w:moveFrom><w:del><w:r><w:delText>gone</w:delText></w:r></w:del>\
             <w:ins>{}</w:ins><w:moveTo>{}</w:moveTo></w:p>",
            r("moved "),
            r("in "),
            r("moved ")
        ),
        "<w:p><w:pPr><w:pPrChange><w:pPr><w:numPr><w:numId w:val='1'/></w:numPr></w:pPr></w:pPrChange></w:pPr>\
         <w:r><w:rPr><w:rPrChange><w:rPr><w:vanish/></w:rPr></w:rPrChange></w:rPr><w:t>seen</w:t></w:r></w:p>"
            .to_owned(),
        joined("<w:del/>", "last"),
    ];
    assert_eq!(
        text(&body.concat()),
        "First half of a sentence.\n\nNew.\n\nin moved\n\nseen\n\nlast"
    );
}

#[test]
fn hidden_text_stays_hidden() {
    let styles = "<w:styles><w:style w:type='character' w:styleId='S'><w:rPr><w:vanish/></w:rPr></w:style>\
        <w:style w:type='paragraph' w:styleId='P'><w:rPr><w:vanish/></w:rPr></w:style></w:styles>";
    let run = |properties: &str, text: &str| {
        format!("<w:r><w:rPr>{properties}</w:rPr><w:t>{text}</w:t></w:r>")
    };
    let body = format!(
        "<w:p>{}{}{}{}</w:p><w:p><w:pPr><w:pStyle w:val='P'/></w:pPr>{}{}</w:p>",
        run("<w:vanish/>", "a"),
        run("<w:vanish w:val='0'/>", "b"),
        run("<w:rStyle w:val='S'/>", "c"),
        run("<w:rStyle w:val='S'/><w:vanish w:val='false'/>", "d"),
        run("", "e"),
        run("<w:vanish w:val='false'/>", "f"),
    );
    assert_eq!(
        document(&body, &[("word/styles.xml", styles)]).text,
        "bd\n\nf"
    );
}

#[test]
fn links_keep_their_address() {
    let body = format!(
        "<w:p>{}<w:hyperlink r:id='u1'>{}</w:hyperlink><w:hyperlink r:id='u1' w:anchor='part'>{}</w:hyperlink>{}</w:p>\
         <w:p><w:hyperlink r:id='u1'>{}</w:hyperlink><w:hyperlink r:id='u1'>{}</w:hyperlink>{}</w:p>\
         <w:p><w:hyperlink r:id='u2'>{}</w:hyperlink> <w:hyperlink w:anchor='below'>{}</w:hyperlink></w:p>\
         <w:p><w:r><w:fldChar w:fldCharType='begin'/></w:r><w:r><w:instrText> HYPERLINK \"https://b</w:instrText></w:r>\
         <w:r><w:instrText>.example\" \\l \"y\" </w:instrText></w:r><w:r><w:fldChar w:fldCharType='separate'/></w:r>{}\
         <w:r><w:fldChar w:fldCharType='end'/></w:r></w:p>",
        r("See "),
        r("one"),
        r("two"),
        r("."),
        r("the "),
        r("portal"),
        r("."),
        r("ann@a.example"),
        r("below"),
        r("field"),
    );
    assert_eq!(
        text(&body),
        "See one (https://a.example/x)two (https://a.example/x#part).\n\nthe portal (https://a.example/x).\n\n\
         ann@a.examplebelow\n\nfield (https://b.example#y)"
    );
}

#[test]
fn notes_are_numbered_as_shown_and_comments_name_their_author() {
    let reference = |kind: &str, id: u8| format!("<w:r><w:{kind}Reference w:id='{id}'/></w:r>");
    let body = format!(
        "<w:p>{}<w:commentRangeStart w:id='0'/>{}<w:commentRangeEnd w:id='0'/><w:r><w:commentReference w:id='0'/></w:r>{}{}{}{}</w:p>",
        r("Rented for "),
        r("ten weeks"),
        reference("footnote", 21),
        reference("footnote", 20),
        reference("endnote", 2),
        r("."),
    );
    let note =
        |kind: &str, id: u8, text: &str| format!("<w:{kind} w:id='{id}'>{}</w:{kind}>", p(text));
    let footnotes = format!(
        "<w:footnotes><w:footnote w:id='0' w:type='separator'>{}</w:footnote>{}{}{}</w:footnotes>",
        p("---"),
        note("footnote", 20, "second"),
        note("footnote", 21, " first"),
        note("footnote", 22, "unused"),
    );
    let endnotes = format!("<w:endnotes>{}</w:endnotes>", note("endnote", 2, "end"));
    let comments = format!(
        "<w:comments><w:comment w:id='0' w:author='Ann Bo'>{}{}</w:comment></w:comments>",
        p("Too long?"),
        p("Ask.")
    );
    let parts = [
        ("word/footnotes.xml", footnotes.as_str()),
        ("word/endnotes.xml", endnotes.as_str()),
        ("word/comments.xml", comments.as_str()),
    ];
    assert_eq!(
        document(&body, &parts).text,
        "Rented for ten weeks[1][2][i].\n\n[1] first\n\n[2] second\n\n[i] end\n\n\
         Comment by Ann Bo on “ten weeks”: Too long?\n\nAsk."
    );
}

#[test]
fn controls_symbols_and_contents() {
    let styles = "<w:styles><w:style w:styleId='V1'><w:name w:val='toc 1'/></w:style></w:styles>";
    let body = format!(
        "<w:sdt><w:sdtPr><w:docPartObj><w:docPartGallery w:val='Table of Contents'/></w:docPartObj></w:sdtPr>\
         <w:sdtContent>{}</w:sdtContent></w:sdt>\
         <w:p><w:pPr><w:pStyle w:val='V1'/></w:pPr>{}</w:p>\
         <w:p>{}<w:sdt><w:sdtPr><w:rPr><w:vanish/></w:rPr></w:sdtPr><w:sdtContent>{}</w:sdtContent></w:sdt>\
         <w:sdt><w:sdtPr><w:showingPlcHdr/></w:sdtPr><w:sdtContent>{}</w:sdtContent></w:sdt></w:p>\
         <w:p><w:r><w:sym w:font='Wingdings' w:char='F0FC'/><w:noBreakHyphen/><w:sym w:font='Symbol' w:char='F061'/></w:r></w:p>\
         <w:p><w:pPr><w:framePr w:dropCap='drop'/></w:pPr>{}</w:p>{}\
         <w:p><w:r><w:fldChar w:fldCharType='begin'><w:ffData><w:checkBox><w:default w:val='0'/><w:checked/></w:checkBox></w:ffData></w:fldChar></w:r>\
         <w:r><w:instrText> FORMCHECKBOX </w:instrText></w:r><w:r><w:fldChar w:fldCharType='end'/></w:r>{}</w:p>",
        p("Contents"),
        r("Scope 3"),
        r("Tenant: "),
        r("Marit"),
        r("Click here to enter text."),
        r("T"),
        p("he crane"),
        r(" insured"),
    );
    assert_eq!(
        document(&body, &[("word/styles.xml", styles)]).text,
        "Tenant: Marit\n\n✓-α\n\nThe crane\n\n☒ insured"
    );
}

#[test]
fn a_fallback_is_read_where_there_is_no_choice() {
    let boxed = |text: &str| format!("<w:txbxContent>{}</w:txbxContent>", p(text));
    let body = format!(
        "<w:p><w:r><mc:AlternateContent><mc:Fallback>{}</mc:Fallback></mc:AlternateContent></w:r></w:p>\
         <w:p><w:r><mc:AlternateContent><mc:Choice>{}</mc:Choice><mc:Choice>{}</mc:Choice><mc:Fallback>{}</mc:Fallback>\
         </mc:AlternateContent></w:r></w:p>",
        boxed("old"),
        boxed("new"),
        boxed("new"),
        boxed("new"),
    );
    assert_eq!(text(&body), "old\n\nnew");
}

#[test]
fn raised_and_lowered_numbers_keep_their_meaning() {
    let run = |text: &str, place: &str| {
        format!(
            r#"<w:r><w:rPr><w:vertAlign w:val="{place}"/></w:rPr><w:t xml:space="preserve">{text}</w:t></w:r>"#
        )
    };
    let body = format!(
        "<w:p>{}{}{}{}{}{}{}{}</w:p>",
        run("10", "baseline"),
        run("3 ", "superscript"),
        run("m", "baseline"),
        run("2", "superscript"),
        run(", H", "baseline"),
        run("2", "subscript"),
        run("O, the 1", "baseline"),
        run("st", "superscript"),
    );
    assert_eq!(document(&body, &[]).text, "10³ m², H2O, the 1st");
}
