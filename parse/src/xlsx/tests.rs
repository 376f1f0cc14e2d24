use crate::ErrorKind;
use crate::testing::{headings, read, read_err, zip};
use crate::{ParseInput, ParseLimits, parse};

/// Made with openpyxl 3.1.5.
const BOOK: &[u8] = include_bytes!("../../tests/fixtures/fleet.xlsx");

fn book(sheet: &str, strings: &str) -> Vec<u8> {
    zip(&[
        ("[Content_Types].xml", "<Types/>"),
        (
            "xl/workbook.xml",
            "<workbook><sheets><sheet name='Stock' r:id='r1'/>\
             <sheet name='Secret' state='hidden' r:id='r1'/></sheets></workbook>",
        ),
        (
            "xl/_rels/workbook.xml.rels",
            "<Relationships><Relationship Id='r1' Type='x/worksheet' Target='worksheets/sheet1.xml'/>\
             </Relationships>",
        ),
        ("xl/sharedStrings.xml", strings),
        ("xl/worksheets/sheet1.xml", sheet),
    ])
}

fn text(reference: &str, text: &str) -> String {
    format!("<c r='{reference}' t='inlineStr'><is><t>{text}</t></is></c>")
}

#[test]
fn rows_name_their_columns() {
    let document = read("fleet.xlsx", BOOK);
    assert_eq!(document.title, "Fleet list");
    assert_eq!(headings(&document), [(1, "Ships"), (1, "Fees")]);
    for record in [
        "Ship: Alba\nBuilt: 2019-05-04\nTons: 1200\nShare: 12.5%\nHome: Kiel",
        "Ship: Bora\nBuilt: 2021-11-30\nTons: 900.5\nShare: 50.0%\nHome: Kiel",
        "Kind: day\nEuro: 12.50",
        "Kind: night\nEuro: 30.00",
    ] {
        assert!(
            document.text.contains(record),
            "{record}\n\n{}",
            document.text
        );
    }
    assert!(document.text.contains("As of 1 June\n"));
    assert!(!document.text.contains("hidden-4711"));
}

#[test]
fn tables_of_a_sheet_have_heads_of_their_own() {
    let number = |reference: &str, value: &str| format!("<c r='{reference}'><v>{value}</v></c>");
    let rows = [
        vec![text("B2", "Part"), text("C2", "Count")],
        vec![text("B3", "nut"), number("C3", "5")],
        // A gap inside the table, then another table.
        vec![text("B5", "bolt"), number("C5", "7")],
        vec![text("B8", "Port"), text("C8", "Berths")],
        vec![text("B9", "Kiel"), number("C9", "40")],
        vec![text("B12", "Just a remark")],
    ];
    let rows: String = rows
        .iter()
        .map(|row| format!("<row>{}</row>", row.concat()))
        .collect();
    let sheet = format!("<worksheet><sheetData>{rows}</sheetData></worksheet>");
    assert_eq!(
        read("a.xlsx", book(&sheet, "")).text,
        "Stock\n\nPart | Count\n\nPart: nut\nCount: 5\n\nPart: bolt\nCount: 7\n\n\
         Port | Berths\n\nPort: Kiel\nBerths: 40\n\nJust a remark"
    );
}

#[test]
fn merged_and_hidden_cells() {
    let sheet = format!(
        "<worksheet><cols><col min='3' max='16384' hidden='1'/></cols><sheetData>\
         <row r='1'>{}{}</row><row r='2'>{}{}{}</row><row r='3'>{}</row><row r='4' hidden='1'>{}</row></sheetData>\
         <mergeCells><mergeCell ref='A2:A3'/></mergeCells></worksheet>",
        text("A1", "Region"),
        text("B1", "Depot"),
        text("A2", "South"),
        text("B2", "Lyon"),
        text("C2", "no"),
        text("B3", "Nice"),
        text("B4", "no"),
    );
    assert_eq!(
        read("a.xlsx", book(&sheet, "")).text,
        "Stock\n\nRegion | Depot\n\nRegion: South\nDepot: Lyon\n\nRegion: South\nDepot: Nice"
    );
}

#[test]
fn hostile_sheets_are_bounded() {
    let limits = ParseLimits {
        max_text_bytes: 1 << 20,
        ..Default::default()
    };
    let strings = format!("<sst><si><t>{}</t></si></sst>", "x".repeat(50_000));
    let cells = "<c t='s'><v>0</v></c>".repeat(100);
    let sheet = format!("<worksheet><row>{cells}</row></worksheet>");
    let bytes = book(&sheet, &strings);
    let error = parse(&ParseInput::new("a.xlsx", &bytes), &limits).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    // Cells at the ends of a sheet, references out of it.
    let far = format!(
        "<worksheet><row>{}{}{}{}</row></worksheet>",
        text("A1", "near"),
        text("XFD1048576", "far"),
        text("ZZZZZZZZZZZZZZZZZZ1", "out"),
        text("A99999999999999999999999", "out"),
    );
    let document = read("a.xlsx", book(&far, ""));
    assert!(document.text.contains("near") && document.text.contains("far"));
    assert_eq!(
        read_err("a.xlsx", book("<worksheet><row></c>", "")).kind(),
        ErrorKind::InvalidInput
    );
}
