use super::testing::{Sheet, file, limits, pdf, sheets, show};
use crate::{Document, Error, ErrorKind};
use crate::{ParseInput, ParseLimits, parse};

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

fn text(pages: &[Sheet]) -> String {
    read("a.pdf", sheets(pages, "")).text
}

fn text_of(page: Sheet) -> String {
    text(&[page])
}

const ROWS: [(f32, f32, &str); 4] = [
    (60.0, 780.0, "top row"),
    (60.0, 600.0, "second row"),
    (60.0, 300.0, "third row"),
    (400.0, 60.0, "the last row"),
];

#[test]
fn every_rotation_keeps_the_whole_page() {
    for entries in [
        "/MediaBox [0 0 595 842] /Rotate 90",
        "/MediaBox [0 0 595 842] /Rotate 180",
        "/MediaBox [0 0 595 842] /Rotate 270",
        "/MediaBox [0 0 595 842] /Rotate -90",
        "/MediaBox [0 0 595 842] /UserUnit 2.5",
        "/MediaBox [595 842 0 0]",
        "/MediaBox [-20 -30 595 842]",
        "/MediaBox [0 0 595 842] /CropBox [50 50 560 800]",
        "/MediaBox [0 0 595 842] /CropBox [700 900 800 950]",
    ] {
        let mut page = Sheet::lines(&ROWS);
        page.entries = entries;
        let found = text_of(page);
        let mut found: Vec<_> = found.lines().collect();
        // Lines that lie across a turned page have no order of their own.
        if entries.contains("Rotate") {
            found.sort_by_key(|line| ROWS.iter().position(|row| row.2 == *line));
        }
        let rows = ["top row", "second row", "third row", "the last row"];
        assert_eq!(found, rows, "{entries}");
    }
}

#[test]
fn boxes_may_begin_anywhere() {
    for (x, y, entries) in [
        (300.0, 300.0, "/MediaBox [300 300 895 1142]"),
        (-700.0, -900.0, "/MediaBox [-700 -900 -105 -58]"),
        (5000.0, -900.0, "/MediaBox [5000 -900 5595 -58] /Rotate 270"),
    ] {
        let moved = ROWS.map(|(left, base, text)| (left + x, base + y, text));
        let mut page = Sheet::lines(&moved);
        page.entries = entries;
        assert_eq!(text_of(page).lines().count(), 4, "{entries}");
    }
}

#[test]
fn what_is_cut_off_is_not_read() {
    let mut page = Sheet::lines(&[(60.0, 700.0, "inside"), (60.0, 20.0, "cut off")]);
    page.entries = "/MediaBox [0 0 595 842] /CropBox [0 100 595 842]";
    assert_eq!(text_of(page), "inside");
    let page = Sheet::lines(&[(60.0, 700.0, "inside"), (900.0, 500.0, "beside the page")]);
    assert_eq!(text_of(page), "inside");
}

#[test]
fn turned_lines_stay_apart() {
    let lines = "first line here\nand a second one\nthe third\nfourth and last";
    for (matrix, rotate) in [
        ("0 1 -1 0 595 0", "/MediaBox [0 0 595 842] /Rotate 90"),
        ("0 1 -1 0 595 0", "/MediaBox [0 0 595 842]"),
        ("0 -1 1 0 0 842", "/MediaBox [0 0 595 842] /Rotate 270"),
        ("-1 0 0 -1 595 842", "/MediaBox [0 0 595 842] /Rotate 180"),
    ] {
        let mut content = format!("q {matrix} cm\n");
        for (number, line) in lines.lines().enumerate() {
            content += &show(60.0, 500.0 - 16.0 * number as f32, 11.0, line);
        }
        let page = Sheet {
            content: content + "Q",
            entries: rotate,
            ..Sheet::default()
        };
        assert_eq!(text_of(page), lines, "{matrix} {rotate}");
    }
}

/// Draws `columns` line by line across the page.
fn by_rows(columns: &[(f32, &str)], leading: f32) -> Sheet {
    let lines: Vec<Vec<&str>> = columns
        .iter()
        .map(|(_, text)| text.lines().collect())
        .collect();
    let most = lines.iter().map(Vec::len).max().unwrap_or(0);
    let mut drawn = Vec::new();
    for row in 0..most {
        for ((x, _), lines) in columns.iter().zip(&lines) {
            let base = 700.0 - leading * row as f32;
            drawn.extend(
                lines
                    .get(row)
                    .filter(|line| !line.is_empty())
                    .map(|line| (*x, base, *line)),
            );
        }
    }
    Sheet::lines(&drawn)
}

const LEFT: &str = "The harbour was built in the\nyears after the great flood had\ntaken the old \
                    mole. It holds\ntwo hundred boats in summer,\nand half of them in winter.";
const MIDDLE: &str = "Pilots are needed by ships of\nmore than forty metres. They\ncome aboard at the \
                      outer buoy\nand leave at the second lock,\nwhatever the tide may be.";
const RIGHT: &str = "Water and power are paid by\nthe day. A boat that stays for\nlonger than a \
                     month pays less\nthan half, if its owner says\nso before it comes in.";

#[test]
fn columns_that_are_drawn_by_rows_read_on() {
    let two = text_of(by_rows(&[(50.0, LEFT), (320.0, RIGHT)], 14.0));
    assert_eq!(two, format!("{LEFT}\n{RIGHT}"));
    let columns = [(30.0, LEFT), (215.0, MIDDLE), (400.0, RIGHT)];
    assert_eq!(
        text_of(by_rows(&columns, 14.0)),
        format!("{LEFT}\n{MIDDLE}\n{RIGHT}")
    );
    // One column is longer, and a heading stands over both.
    let longer = format!("{LEFT}\nOld charts show the first\nmole further to the north.");
    let mut page = by_rows(&[(50.0, &longer), (320.0, RIGHT)], 14.0);
    page.content = show(
        50.0,
        760.0,
        16.0,
        "News from the harbour office and from the boats",
    ) + &page.content
        + &show(
            50.0,
            500.0,
            11.0,
            "This line goes over the whole width of the page and ends it all here.",
        );
    let found = text_of(page);
    assert!(
        found.contains(&format!("{longer}\n{RIGHT}\nThis line")),
        "{found}"
    );
    // Lines of the two sides need not stand on the same height.
    let mut drawn = Vec::new();
    for (row, (left, right)) in LEFT.lines().zip(RIGHT.lines()).enumerate() {
        let base = 700.0 - 14.0 * row as f32;
        drawn.extend([(50.0, base, left), (320.0, base - 6.0, right)]);
    }
    assert_eq!(text_of(Sheet::lines(&drawn)), format!("{LEFT}\n{RIGHT}"));
}

#[test]
fn columns_that_are_drawn_one_by_one_stay_so() {
    let mut drawn = Vec::new();
    for (x, text) in [(50.0, LEFT), (320.0, RIGHT)] {
        drawn.extend(
            (0..)
                .zip(text.lines())
                .map(|(n, line)| (x, 700.0 - 14.0 * n as f32, line)),
        );
    }
    assert_eq!(text_of(Sheet::lines(&drawn)), format!("{LEFT}\n{RIGHT}"));
}

#[test]
fn tables_stay_in_rows() {
    let rows = |page| text_of(page).lines().map(str::to_owned).collect::<Vec<_>>();
    let names = "Part\nsteel bolt\nbrass nut\nlong chain\nhemp rope";
    let prices = "Price\n1.20\n0.40\n17.00\n9.00";
    let notes = "Note\nzinc plated\nfor the mast\nper metre\nfor mooring";
    let found = rows(by_rows(
        &[(50.0, names), (250.0, prices), (400.0, notes)],
        14.0,
    ));
    assert_eq!(found[2], "brass nut 0.40 for the mast");
    // Cells of several words, in small letters, without numbers.
    let left = "red paint\nthe green lamp\nold oars\na long rope for towing\none bucket";
    let right =
        "in the shed by the gate\non the mast\nunder the jetty\nin box two\nnext to the pump";
    let found = rows(by_rows(&[(50.0, left), (320.0, right)], 14.0));
    assert_eq!(found[1], "the green lamp on the mast");
    // Cells of two lines each.
    let left = "The number of boats that\nmay lie in the basin\nThe depth of the water\nat the outer mole\n\
                The length of the jetty\nwith all its fingers\nThe height of the crane\nabove the lower deck";
    let right = "Forty boats of up to twelve\nmetres in summer\nFour metres and a half at\nmean low water\n\
                 Two hundred metres since\nthe last repair\nNine metres if its arm is\nfully raised";
    let found = rows(by_rows(&[(50.0, left), (320.0, right)], 14.0));
    assert_eq!(
        found[0],
        "The number of boats that Forty boats of up to twelve"
    );
}

#[test]
fn words_with_wide_gaps_stay_one_line() {
    let lines = [
        (50.0, 700.0, "Total"),
        (400.0, 700.0, "12.50"),
        (50.0, 680.0, "text goes on"),
    ];
    assert_eq!(text_of(Sheet::lines(&lines)), "Total 12.50\ntext goes on");
}

fn widget(kind: &str, name: &str, rest: &str, left: f32, bottom: f32, width: f32) -> String {
    format!(
        "/Subtype /Widget /FT {kind} /T ({name}) {rest} /Rect [{left} {bottom} {} {}]",
        left + width,
        bottom + 14.0
    )
}

#[test]
fn form_values_stand_beside_their_labels() {
    let mut page = Sheet::lines(&[
        (60.0, 703.0, "Owner:"),
        (300.0, 703.0, "Born:"),
        (60.0, 673.0, "Insured:"),
        (80.0, 643.0, "Crew on board"),
        (80.0, 613.0, "Dogs on board"),
        (60.0, 590.0, "Berth"),
        (60.0, 520.0, "End of the form."),
    ]);
    page.annotations = vec![
        widget("/Tx", "owner", "/V (Marit Solberg)", 120.0, 700.0, 150.0),
        widget("/Tx", "born", "/V (1979)", 340.0, 700.0, 80.0),
        widget("/Btn", "insured", "/V /Yes /AS /Yes", 120.0, 670.0, 14.0),
        widget("/Btn", "crew", "/V /On /AS /On", 60.0, 640.0, 14.0),
        widget("/Btn", "dogs", "/AS /Off", 60.0, 610.0, 14.0),
        widget(
            "/Ch",
            "berth",
            "/Ff 131072 /Opt [(North) (South)] /V (South)",
            60.0,
            570.0,
            90.0,
        ),
        widget("/Tx", "secret", "/Ff 8192 /V (hunter2)", 300.0, 570.0, 90.0),
        widget(
            "/Tx",
            "boat.remark",
            "/V (needs a crane)",
            300.0,
            300.0,
            90.0,
        ),
        widget("/Tx", "hidden", "/V (unseen) /F 2", 300.0, 250.0, 90.0),
        widget("/Tx", "nothing", "", 300.0, 200.0, 90.0),
    ];
    assert_eq!(
        text_of(page),
        "Owner: Marit Solberg Born: 1979\nInsured: [x]\n[x] Crew on board\n[ ] Dogs on board\n\
         Berth South\nEnd of the form.\n\nremark: needs a crane"
    );
}

#[test]
fn radio_buttons_say_which_one_is_on() {
    let mut page = Sheet::lines(&[(80.0, 700.0, "Steam"), (180.0, 700.0, "Diesel")]);
    let button = |state: &str, left| {
        widget(
            "/Btn",
            "engine",
            &format!("/Ff 32768 /V /D /AS /{state}"),
            left,
            698.0,
            12.0,
        )
    };
    page.annotations = vec![button("Off", 60.0), button("D", 160.0)];
    assert_eq!(text_of(page), "[ ] Steam [x] Diesel");
}

#[test]
fn a_value_that_is_drawn_too_is_said_once() {
    let mut page = Sheet::lines(&[(60.0, 703.0, "Owner:"), (122.0, 703.0, "Marit Solberg")]);
    page.annotations = vec![widget(
        "/Tx",
        "owner",
        "/V (Marit Solberg)",
        120.0,
        700.0,
        150.0,
    )];
    assert_eq!(text_of(page), "Owner: Marit Solberg");
}

#[test]
fn a_form_without_text_is_read() {
    let page = Sheet {
        annotations: vec![widget(
            "/Tx",
            "owner_name",
            "/V (Ann\\nLee)",
            60.0,
            700.0,
            90.0,
        )],
        ..Sheet::default()
    };
    assert_eq!(text_of(page), "owner name: Ann Lee");
}

#[test]
fn notes_follow_the_page() {
    let note = |kind: &str, says: &str, rest: &str| {
        format!("/Subtype /{kind} /Contents ({says}) /Rect [60 500 200 520] {rest}")
    };
    let mut page = Sheet::lines(&[
        (60.0, 760.0, "Survey of the hull"),
        (60.0, 740.0, "All is well."),
    ]);
    page.annotations = vec![
        note("FreeText", "Keel must be cleaned first", "/F 4"),
        note("Text", "Ask the diver", ""),
        note("Popup", "Ask the diver", ""),
        note("Stamp", "Approved on 4 June", ""),
        note("Highlight", "Survey of the hull", ""),
        note("Text", "secret", "/F 2"),
        note("Square", "See the plan", ""),
    ];
    let next = Sheet::lines(&[(60.0, 760.0, "Next page")]);
    assert_eq!(
        text(&[page, next]),
        "Survey of the hull\nAll is well.\n\nKeel must be cleaned first\n\nNote: Ask the diver\n\n\
         Approved on 4 June\n\nNote: See the plan\n\nNext page"
    );
}

#[test]
fn addresses_stand_behind_what_links_to_them() {
    let link = |address: &str, left: f32, bottom: f32, right: f32| {
        format!(
            "/Subtype /Link /A << /S /URI /URI ({address}) >> /Rect [{left} {bottom} {right} {}]",
            bottom + 16.0
        )
    };
    let mut page = Sheet::lines(&[
        (60.0, 700.0, "See the rates of the divers today."),
        (60.0, 680.0, "Or go to www.example.org now."),
        (60.0, 660.0, "a link over"),
        (60.0, 644.0, "two lines"),
        (60.0, 620.0, "jump and script"),
    ]);
    page.annotations = vec![
        link("https://divers.example.org/rates", 82.0, 696.0, 126.0),
        link("https://www.example.org/", 60.0, 676.0, 300.0),
        link("https://two.example.org/a", 60.0, 656.0, 300.0),
        link("https://two.example.org/a", 60.0, 640.0, 300.0),
        link("javascript:alert(1)", 60.0, 616.0, 300.0),
        "/Subtype /Link /Dest [5 0 R /Fit] /Rect [60 616 300 630]".into(),
    ];
    // The same link on every page is written once.
    let found = text(&[page.clone(), page]);
    assert!(
        found.starts_with(
            "See the rates (https://divers.example.org/rates) of the divers today.\n\
             Or go to www.example.org now.\na link over\n\
             two lines (https://two.example.org/a)\njump and script"
        ),
        "{found}"
    );
    assert_eq!(found.matches("https://").count(), 2);
}

#[test]
fn a_pdf_without_a_title_is_called_by_its_heading() {
    let page = Sheet {
        content: show(60.0, 790.0, 11.0, "Harbour office")
            + &show(60.0, 750.0, 24.0, "Tide tables for")
            + &show(60.0, 724.0, 24.0, "the north coast")
            + &show(
                60.0,
                690.0,
                11.0,
                "The tables hold for all of the year and the whole coast.",
            )
            + &show(60.0, 676.0, 11.0, "They are made by hand."),
        ..Sheet::default()
    };
    let title = |info: &str| read("x.pdf", sheets(std::slice::from_ref(&page), info)).title;
    let heading = "Tide tables for the north coast";
    assert_eq!(title(""), heading);
    assert_eq!(title("/Title (Microsoft Word - tides.doc)"), heading);
    assert_eq!(title("/Title (untitled)"), heading);
    assert_eq!(title("/Title (Tides of 2024)"), "Tides of 2024");
    let plain = sheets(&[Sheet::lines(&ROWS)], "");
    assert_eq!(read("x.pdf", plain).title, "x.pdf");
}

#[test]
fn running_lines_go_by_where_they_stand() {
    let pages: Vec<Sheet> = (1..=6)
        .map(|n| {
            let mut lines = vec![
                (60.0, 30.0, format!("Page {n} of 6")),
                (60.0, 810.0, "Harbour handbook".to_owned()),
                (60.0, 740.0, format!("Invoice no. 410{n}")),
            ];
            lines.extend((0..8).map(|row| {
                (
                    60.0,
                    700.0 - 14.0 * row as f32,
                    format!("text {row} of {}", "x".repeat(n)),
                )
            }));
            Sheet::lines(&lines)
        })
        .collect();
    let found = text(&pages);
    assert!(
        !found.contains("handbook") && !found.contains("of 6"),
        "{found}"
    );
    for n in 1..=6 {
        assert!(found.contains(&format!("Invoice no. 410{n}")), "{found}");
    }
}

#[test]
fn a_file_that_unfolds_to_too_much_is_refused() {
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        format!(
            "<< /Type /Page /Parent 2 0 R /Contents [{}] >>",
            "4 0 R ".repeat(3_000)
        ),
        format!(
            "<< /Length 100000 >>\nstream\n{}\nendstream",
            " ".repeat(100_000)
        ),
    ];
    let error = read_err("a.pdf", file(&objects, "/Root 1 0 R"));
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(error.message().contains("64 MB"), "{error}");
}
