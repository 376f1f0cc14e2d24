//! How what is content is written.

use super::tests::read;

fn text(html: &str) -> String {
    read(html).text
}

#[test]
fn line_breaks_part_words() {
    for br in ["<br>", "<br/>", "<br />", "<BR clear=all>"] {
        let document = read(&format!(
            "<title>Winter{br}plan</title><h1>Winter{br}plan</h1><p>a{br}b</p>\
             <table><tr><th>N<th>V{br}W<tr><td>a{br}b<td>1</table>"
        ));
        assert_eq!(document.text, "Winter plan\n\na\nb\n\nN | V W\na b | 1");
        assert_eq!(document.sections[0].heading, "Winter plan");
        let titled = if br.contains("clear") {
            "Winter<BR clear=all>plan"
        } else {
            "Winter plan"
        };
        assert_eq!(document.title, titled);
    }
    assert_eq!(text("<h1>Dock<wbr>side</h1>x"), "Dockside\n\nx");
    assert_eq!(
        read("<title>a < b <brx> <br</title>x").title,
        "a < b <brx> <br"
    );
}

#[test]
fn blocks_in_a_cell_stay_in_its_row() {
    let rows = |cell: &str| {
        text(&format!(
            "<table><tr><td>Plan<td>Has<td>Price<tr><td>Crew<td>{cell}<td>49<tr><td>Solo<td>x<td>9</table>"
        ))
    };
    for (cell, shown) in [
        (
            "<ul><li>20 seats<li>mail:<ol><li>day</ol></ul>",
            "20 seats; mail: day",
        ),
        ("<p>one</p><p>two</p>", "one two"),
        ("<pre>a\n  b</pre>", "a b"),
        (
            "<dl><dt>seats<dd>20<dt>mail<dd>yes</dl>",
            "seats: 20; mail: yes",
        ),
        (
            "<table><tr><td>in<td>40 mm<tr><td>out<td>52 mm</table>",
            "in, 40 mm; out, 52 mm",
        ),
        ("<div>a<blockquote>b</blockquote></div>", "a b"),
        ("<img alt='a chart'><button>Copy</button>", "a chart"),
    ] {
        assert_eq!(
            rows(cell),
            format!("Plan | Has | Price\nCrew | {shown} | 49\nSolo | x | 9")
        );
    }
}

#[test]
fn cells_stand_in_every_row_and_column_they_span() {
    assert_eq!(
        text(
            "<table><caption>Sales</caption><thead><tr><th rowspan=2>Region<th colspan=2>2024</tr>\
             <tr><th>Q1<th>Q2</thead><tbody><tr><td rowspan=2>EU<td colspan=2>7<tr><td>8<td rowspan=9>9\
             <tbody><tr><td rowspan=0>US<td>1<td><tr><td>2<tr><td><td>3<tr><td colspan=3>Note</table>"
        ),
        "Sales\nRegion | 2024 | 2024\nRegion | Q1 | Q2\nEU | 7 | 7\nEU | 8 | 9\nUS | 1\nUS | 2\nUS | | 3\nUS | Note | Note | Note"
    );
}

#[test]
fn spans_without_end_are_bounded() {
    let cell = format!("<td rowspan=65534 colspan=1000>{}", "x".repeat(100));
    let html = format!("<table>{}</table>", format!("<tr>{cell}<td>y").repeat(3000));
    assert!(text(&html).len() < 20 * html.len());
    let holes = "<tr><td>a".to_owned() + &"<td rowspan=2>".repeat(2000) + "<td rowspan=60000>z";
    assert!(
        text(&format!(
            "<table>{holes}{}</table>",
            "<tr><td>b".repeat(20_000)
        ))
        .len()
            < 2_000_000
    );
}

#[test]
fn tables_name_their_columns() {
    let columns = |html: &str| -> Vec<String> {
        let document = read(html);
        document
            .tables
            .into_iter()
            .map(|table| table.columns)
            .collect()
    };
    assert_eq!(
        columns("<table><tr><th>A<th>B<tr><td>1<td>2</table>"),
        ["A | B"]
    );
    assert_eq!(
        columns(
            "<ul><li>x<table><tr><th colspan=2>Title<tr><th>A<th>B<tr><td>1<td>2</table><li>y</ul>"
        ),
        ["A | B"]
    );
    assert_eq!(
        columns("<table><thead><tr><td>A<td>B<tr><td>a<td>b</thead><tr><td>1<td>2</table>"),
        ["A | B\na | b"]
    );
    assert_eq!(
        columns("<table><tr><td>Key<td>Copies<tr><td>k<td>1<tr><td>l<td>2</table>"),
        ["Key | Copies"]
    );
    assert!(columns("<table><tr><th>A<td>1<tr><th>B<td>2</table>").is_empty());
    assert!(
        columns("<table><tr><td>Rome<td>Italy<tr><td>Oslo<td>Norway<tr><td>x<td>y</table>")
            .is_empty()
    );
}

#[test]
fn raised_and_lowered_signs_keep_their_meaning() {
    for (html, shown) in [
        ("10<sup>3</sup> kg", "10³ kg"),
        ("5 m<sup>2</sup>, 6 s<sup>-1</sup>", "5 m², 6 s⁻¹"),
        ("e<sup>2x</sup>", "e^(2x)"),
        ("the 1<sup>st</sup> of May", "the 1st of May"),
        ("H<sub>2</sub>O and log<sub>2</sub>8", "H2O and log₂8"),
        ("v<sub>max</sub>", "v_max"),
        (
            "said<sup><a href='#n'>1</a></sup> so<a href='#n'><sup>2</sup></a>",
            "said[1] so[2]",
        ),
        (
            "said<sup class=reference><a href='#n'>[1]</a></sup>",
            "said[1]",
        ),
        (
            "text<sup>with many words in small print, as notes are</sup>",
            "textwith many words in small print, as notes are",
        ),
    ] {
        assert_eq!(text(&format!("<p>{html}</p>")), shown);
        let table = text(&format!("<table><tr><th>A<th>B<tr><td>{html}<td>x</table>"));
        assert_eq!(table, format!("A | B\n{shown} | x"));
        assert!(text(&format!("<h2>{html}</h2>x")).starts_with(shown));
    }
}

#[test]
fn addresses_of_other_sites_stand_behind_their_links() {
    assert_eq!(
        text(
            "<h1><a href='https://a.org/'>Head</a></h1><p>Ask <a href='https://help.example.org/new?t=d'>the desk</a>, \
             <a href=mailto:o@example.org>us</a>or <a href='https://help.example.org/new?t=d'>again</a>, \
             <a href='/x'>here</a> <a href='#y'>there</a> <a href=https://b.org/>b.org</a>.</p>\
             <table><tr><th>A<th>B<tr><td><a href=tel:+4930>call</a><td>x</table>\
             <pre><a href=https://c.org>code</a>()</pre><a href=https://d.org><img alt=Logo></a>"
        ),
        "Head\n\nAsk the desk (https://help.example.org/new?t=d), us (o@example.org) or again, here there b.org.\n\n\
         A | B\ncall (+4930) | x\n\ncode()"
    );
}

#[test]
fn lists_of_links_and_the_own_site_show_no_addresses() {
    let list: String = (0..40)
        .map(|n| format!("<li><a href=https://site{n}.org/>Site {n}</a>"))
        .collect();
    assert!(!text(&format!("<p>Friends</p><ul>{list}</ul>")).contains("http"));
    let own: String = (0..40)
        .map(|n| format!("<p>See <a href=https://own.org/{n}>page {n}</a> for more.</p>"))
        .collect();
    assert!(!text(&own).contains("http"));
    let canonical = "<link rel=canonical href=https://www.own.org/a><p>See <a href=https://own.org/b>b</a>, \
                     <a href=https://other.org/>other</a>.";
    assert_eq!(text(canonical), "See b, other (https://other.org/).");
    let few = "<ul><li><a href=https://a.org/>A</a><li><a href=https://b.org/>B</a></ul>";
    assert_eq!(text(few), "- A (https://a.org/)\n- B (https://b.org/)");
}
