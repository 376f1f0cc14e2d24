use crate::ErrorKind;
use crate::testing::{headings, read, read_err};

/// Made with pandoc 3.9.
const RULES: &[u8] = include_bytes!("../../tests/fixtures/rules.rtf");

fn text(body: &str) -> String {
    read("a.rtf", format!("{{\\rtf1\\ansi\\ansicpg1252 {body}}}")).text
}

#[test]
fn a_text_of_pandoc() {
    let document = read("rules.rtf", RULES);
    assert_eq!(headings(&document), [(1, "Berths"), (1, "Fees")]);
    assert!(
        document
            .text
            .contains("Boats stay two nights (https://port.example.org/stay).[1] See below."),
        "{}",
        document.text
    );
    assert!(
        document
            .text
            .ends_with("Size | Fee\n10 m | 9\n20 m | 18\n\nFees\n\nEnd.\n\n[1] In winter three."),
        "{}",
        document.text
    );
}

#[test]
fn characters_of_all_kinds() {
    assert_eq!(
        text(
            "caf\\'e9 \\u8364? \\u-3913?x \\uc0\\u55357 \\uc1\\u56832 ?\\~\\endash\\_y \\{z\\}\\par"
        ),
        "café € x \u{1f600} –-y {z}"
    );
    assert_eq!(
        text("{\\fonttbl{\\f0 A;}{\\f1\\fcharset204 B;}}{\\f1 \\'cf\\'f0\\'e8}\\f0 \\'e9\\par"),
        "При\u{e9}"
    );
}

#[test]
fn headings_lists_and_hidden_text() {
    let body = "{\\stylesheet{\\s0 Normal;}{\\s1 heading 1;}{\\s2\\sbasedon1 heading 2;}}{\\info{\\title Rules}{\\author Ann}}\
        {\\header\\pard Contract KX\\par}{\\headerf\\pard Contract KX\\par}{\\footer\\pard Page {\\field{\\*\\fldinst PAGE}{\\fldrslt 3}}\\par}\
        \\pard\\s1 Scope\\par\\pard\\s2 Ships\\par\\pard {\\listtext\\tab (a)\\tab}moor\\par{\\listtext\\'b7\\tab}pay\\par\
        \\pard{\\v secret}shown{\\deleted gone}{\\*\\unknown junk}{\\pict 00ff}{\\*\\atnauthor Bo}{\\*\\annotation Check.}\\par";
    let document = read("a.rtf", format!("{{\\rtf1 {body}}}"));
    assert_eq!(document.title, "Rules");
    assert_eq!(headings(&document), [(1, "Scope"), (2, "Ships")]);
    assert_eq!(
        document.text,
        "Contract KX\n\nScope\n\nShips\n\n(a) moor\n- pay\n\nshown\n\nComment by Bo: Check."
    );
}

#[test]
fn merged_cells_count_for_every_row() {
    let body = "\\trowd\\clvmgf\\cellx1\\cellx2\\pard\\intbl South\\cell Lyon\\cell\\row\
        \\trowd\\clvmrg\\cellx1\\cellx2\\pard\\intbl\\cell Nice\\cell\\row\\pard after\\par";
    assert_eq!(text(body), "South | Lyon\nSouth | Nice\n\nafter");
}

#[test]
fn broken_files_are_read_as_far_as_they_go() {
    assert_eq!(text("}}}\\par a"), "a");
    assert_eq!(read("a.rtf", "{\\rtf1 {{{open").text, "open");
    let deep = format!("{{\\rtf1 {}", "{".repeat(100_000));
    assert_eq!(read_err("a.rtf", deep).kind(), ErrorKind::InvalidInput);
    assert_eq!(read_err("a.rtf", "plain").kind(), ErrorKind::InvalidInput);
}

#[test]
fn raised_and_lowered_numbers_keep_their_meaning() {
    let body =
        "10{\\super -3} m, v{\\sub max}, 2\\super 8\\nosupersub  - 1, H\\sub 2\\plain O\\par";
    assert_eq!(text(body), "10⁻³ m, v_max, 2⁸ - 1, H2O");
}
