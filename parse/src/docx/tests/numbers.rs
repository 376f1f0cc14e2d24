//! Numbers of headings and lists.

use super::super::BODY;
use crate::Document;
use crate::testing::{headings, read, zip};

fn document(numbering: &str, styles: &str, body: &str) -> Document {
    let body = format!("<w:document><w:body>{body}</w:body></w:document>");
    let numbering = format!("<w:numbering>{numbering}</w:numbering>");
    let styles = format!("<w:styles>{styles}</w:styles>");
    let files = [
        (BODY, body.as_str()),
        ("word/numbering.xml", numbering.as_str()),
        ("word/styles.xml", styles.as_str()),
    ];
    read("a.docx", zip(&files))
}

/// A level: what it is, its numerals, its pattern.
fn lvl(level: u8, format: &str, text: &str, more: &str) -> String {
    format!(
        "<w:lvl w:ilvl='{level}'><w:start w:val='1'/><w:numFmt w:val='{format}'/>{more}<w:lvlText w:val='{text}'/></w:lvl>"
    )
}

fn list(id: u8, levels: &[String], overrides: &str) -> String {
    format!(
        "<w:abstractNum w:abstractNumId='{id}'>{}</w:abstractNum>\
         <w:num w:numId='{id}'><w:abstractNumId w:val='{id}'/>{overrides}</w:num>",
        levels.concat()
    )
}

fn p(properties: &str, text: &str) -> String {
    format!("<w:p><w:pPr>{properties}</w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>")
}

fn li(list: u8, level: u8, text: &str) -> String {
    p(
        &format!("<w:numPr><w:ilvl w:val='{level}'/><w:numId w:val='{list}'/></w:numPr>"),
        text,
    )
}

#[test]
fn numbers_look_as_in_word() {
    for (format, pattern, expected) in [
        ("decimal", "%1.", "1. a\n2. a"),
        ("decimal", "§ %1", "§ 1 a\n§ 2 a"),
        ("lowerLetter", "(%1)", "(a) a\n(b) a"),
        ("upperLetter", "%1)", "A) a\nB) a"),
        ("lowerRoman", "%1.", "i. a\nii. a"),
        ("upperRoman", "Article %1:", "Article I: a\nArticle II: a"),
        ("ordinal", "%1", "1st a\n2nd a"),
        ("ordinalText", "%1", "First a\nSecond a"),
        ("decimalZero", "%1", "01 a\n02 a"),
        ("bullet", "·", "- a\n- a"),
        ("none", "", "a\n\na"),
        ("decimal", "", "a\n\na"),
    ] {
        let numbering = list(1, &[lvl(0, format, pattern, "")], "");
        let document = document(&numbering, "", &(li(1, 0, "a") + &li(1, 0, "a")));
        assert_eq!(document.text, expected, "{format} {pattern}");
    }
}

#[test]
fn levels_count_below_each_other_and_restart() {
    let levels = [
        lvl(0, "upperRoman", "%1.", ""),
        lvl(1, "decimal", "%1.%2", "<w:isLgl/>"),
        lvl(2, "lowerLetter", "%3)", "<w:lvlRestart w:val='1'/>"),
        lvl(3, "decimal", "%4", "<w:lvlRestart w:val='0'/>"),
    ];
    let items = [0, 1, 2, 3, 1, 2, 3, 0, 1, 2, 3];
    let body: String = items.iter().map(|level| li(1, *level, "x")).collect();
    let document = document(&list(1, &levels, ""), "", &body);
    let found: Vec<&str> = document
        .text
        .lines()
        .map(|line| line.trim().trim_end_matches(" x"))
        .collect();
    assert_eq!(
        found,
        [
            "I.", "1.1", "a)", "1", "1.2", "b)", "2", "II.", "2.1", "a)", "3"
        ]
    );
}

#[test]
fn lists_begin_where_they_are_told_to() {
    let numbering = "<w:abstractNum w:abstractNumId='1'><w:lvl w:ilvl='0'><w:start w:val='7'/>\
         <w:numFmt w:val='decimal'/><w:lvlText w:val='%1.'/></w:lvl></w:abstractNum>\
         <w:num w:numId='1'><w:abstractNumId w:val='1'/></w:num>\
         <w:num w:numId='2'><w:abstractNumId w:val='1'/></w:num>\
         <w:num w:numId='3'><w:abstractNumId w:val='1'/><w:lvlOverride w:ilvl='0'><w:startOverride w:val='4'/></w:lvlOverride></w:num>\
         <w:num w:numId='4'><w:abstractNumId w:val='1'/><w:lvlOverride w:ilvl='0'><w:lvl w:ilvl='0'><w:start w:val='2'/>\
         <w:numFmt w:val='lowerLetter'/><w:suff w:val='nothing'/><w:lvlText w:val='(%1)'/></w:lvl></w:lvlOverride></w:num>";
    // The second list goes on with the first, the third begins again.
    let body = [
        li(1, 0, "a"),
        li(2, 0, "b"),
        li(3, 0, "c"),
        li(3, 0, "d"),
        li(4, 0, "e"),
    ];
    assert_eq!(
        document(numbering, "", &body.concat()).text,
        "7. a\n8. b\n4. c\n5. d\n(f)e"
    );
}

#[test]
fn styles_bring_their_numbers() {
    let numbering = format!(
        "<w:abstractNum w:abstractNumId='5'><w:numStyleLink w:val='Linked'/></w:abstractNum>\
         <w:num w:numId='5'><w:abstractNumId w:val='5'/></w:num>{}",
        list(
            1,
            &[
                "<w:styleLink w:val='Linked'/>".to_owned(),
                lvl(0, "decimal", "%1", "<w:pStyle w:val='H1'/>"),
                lvl(1, "decimal", "%1.%2", "<w:pStyle w:val='H2'/>"),
            ],
            ""
        )
    );
    let style = |id: &str, name: &str, more: &str| {
        format!(
            "<w:style w:type='paragraph' w:styleId='{id}'><w:name w:val='{name}'/>{more}</w:style>"
        )
    };
    let number = "<w:pPr><w:numPr><w:numId w:val='1'/></w:numPr></w:pPr>";
    let styles = [
        style("H1", "heading 1", number),
        style("H2", "heading 2", number),
        style("Sub", "Mine", "<w:basedOn w:val='H2'/>"),
        style(
            "Off",
            "heading 3",
            "<w:basedOn w:val='H1'/><w:pPr><w:numPr><w:numId w:val='0'/></w:numPr></w:pPr>",
        ),
    ];
    let body = [
        p("<w:pStyle w:val='H1'/>", "Scope"),
        p("<w:pStyle w:val='H2'/>", "Ships"),
        p("<w:pStyle w:val='Sub'/>", "Crews"),
        p("<w:pStyle w:val='H1'/>", ""),
        p(
            "<w:pStyle w:val='H1'/><w:numPr><w:numId w:val='0'/></w:numPr>",
            "Annex",
        ),
        p("<w:pStyle w:val='Off'/>", "Plain"),
        p("<w:pStyle w:val='H2'/>", "Fees"),
        li(5, 0, "linked"),
    ];
    let document = document(&numbering, &styles.concat(), &body.concat());
    assert_eq!(
        headings(&document),
        [
            (1, "1 Scope"),
            (2, "1.1 Ships"),
            (2, "1.2 Crews"),
            (1, "Annex"),
            (3, "Plain"),
            (2, "2.1 Fees")
        ]
    );
    assert!(document.text.ends_with("3 linked"), "{}", document.text);
}

#[test]
fn numbers_stand_in_cells_and_hidden_items_do_not_count() {
    let numbering = list(1, &[lvl(0, "decimal", "%1.", "")], "");
    let hidden = "<w:numPr><w:numId w:val='1'/></w:numPr><w:rPr><w:vanish/></w:rPr>";
    let body = format!(
        "<w:tbl><w:tr><w:tc>{}</w:tc><w:tc>{}</w:tc></w:tr></w:tbl>{}{}",
        li(1, 0, "keep out"),
        li(1, 0, "pay"),
        p(hidden, ""),
        li(1, 0, "leave"),
    );
    assert_eq!(
        document(&numbering, "", &body).text,
        "1. keep out | 2. pay\n\n3. leave"
    );
}
