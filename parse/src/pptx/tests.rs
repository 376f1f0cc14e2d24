use crate::testing::{headings, read, read_err, zip};
use crate::{Document, ErrorKind};

/// Made with python-pptx 1.0.2 and cut down to the parts that are read.
const DECK: &[u8] = include_bytes!("../../tests/fixtures/slides.pptx");

fn deck(slides: &[&str]) -> Vec<u8> {
    let ids: String = (0..slides.len())
        .map(|i| format!(r#"<p:sldId id="{}" r:id="r{i}"/>"#, 256 + i))
        .collect();
    // The files stand in another order than the slides.
    let file = |i: usize| format!("slides/slide{}.xml", slides.len() - i);
    let relations: String = (0..slides.len())
        .map(|i| {
            format!(
                r#"<Relationship Id="r{i}" Type="x/slide" Target="{}"/>"#,
                file(i)
            )
        })
        .collect();
    let mut files = vec![
        ("[Content_Types].xml".to_owned(), "<Types/>".to_owned()),
        (
            "ppt/presentation.xml".to_owned(),
            format!("<p:presentation><p:sldIdLst>{ids}</p:sldIdLst></p:presentation>"),
        ),
        (
            "ppt/_rels/presentation.xml.rels".to_owned(),
            format!("<Relationships>{relations}</Relationships>"),
        ),
    ];
    for (i, slide) in slides.iter().enumerate() {
        files.push((
            format!("ppt/{}", file(i)),
            format!("<p:sld>{slide}</p:sld>"),
        ));
    }
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(n, t)| (n.as_str(), t.as_str()))
        .collect();
    zip(&files)
}

fn shape(placeholder: &str, paragraphs: &str) -> String {
    format!(
        "<p:sp><p:nvSpPr><p:cNvPr id='2'/><p:nvPr>{placeholder}</p:nvPr></p:nvSpPr><p:spPr/>\
         <p:txBody>{paragraphs}</p:txBody></p:sp>"
    )
}

fn pages(document: &Document) -> Vec<(u32, &str)> {
    let pages = document.pages.iter();
    pages
        .map(|page| (page.number, document.text[page.span.clone()].trim()))
        .collect()
}

#[test]
fn slides_are_pages_under_their_titles() {
    let document = read("slides.pptx", DECK);
    assert_eq!(document.title, "Harbour plan 2024");
    assert_eq!(document.metadata["author"], "Ann");
    assert_eq!(
        headings(&document),
        [(1, "Harbour plan"), (1, "Fees"), (1, "Winches")]
    );
    assert_eq!(
        pages(&document),
        [
            (1, "Harbour plan\n\nCrane and quay"),
            (
                2,
                "Fees\n\n- Berths\n  - Night rate\n- the tariff (https://port.example.org/tariff)\n\n\
                 Notes: Say that children are free."
            ),
            (
                3,
                "Winches\n\nModel | Pull | Site\nW2 | 900 kg | North\nW5 | 2400 kg | North"
            ),
        ]
    );
}

#[test]
fn slides_stand_in_the_order_of_the_show() {
    let slide = |text: &str| shape("", &format!("<a:p><a:r><a:t>{text}</a:t></a:r></a:p>"));
    let document = read(
        "a.pptx",
        deck(&[&slide("one"), &slide("two"), &slide("three")]),
    );
    assert_eq!(pages(&document), [(1, "one"), (2, "two"), (3, "three")]);
}

#[test]
fn lists_furniture_and_copies() {
    let p = |properties: &str, text: &str| {
        format!("<a:p><a:pPr {properties}</a:pPr><a:r><a:t>{text}</a:t></a:r></a:p>")
    };
    let numbered = "><a:buAutoNum type='alphaLcParenR' startAt='3'/>";
    let body = [
        p(numbered, "third"),
        p("lvl='1'><a:buAutoNum type='romanUcPeriod'/>", "inner"),
        p(numbered, "fourth"),
        p("><a:buNone/>", "plain"),
        p(">", "bullet"),
    ]
    .concat();
    let slide = [
        shape("<p:ph idx='1'/>", &body),
        shape("<p:ph type='sldNum'/>", &p(">", "7")),
        shape("<p:ph type='ftr'/>", &p(">", "Contract KX")),
        "<mc:AlternateContent><mc:Choice>".to_owned(),
        shape("", &p(">", "Boxed")),
        "</mc:Choice><mc:Fallback>".to_owned(),
        shape("", &p(">", "Boxed")),
        "</mc:Fallback></mc:AlternateContent>".to_owned(),
        shape("<p:ph type='title'/>", &p(">", "Last in the file")),
        "<p:pic><p:nvPicPr><p:cNvPr id='9' descr='A crane'/></p:nvPicPr></p:pic>".to_owned(),
    ]
    .concat();
    let document = read("a.pptx", deck(&[&slide, &slide]));
    assert_eq!(
        pages(&document)[0].1,
        "Last in the file\n\nc) third\n  I. inner\nd) fourth\nplain\n- bullet\n\nBoxed\n\nA crane\n\nContract KX"
    );
    assert_eq!(document.text.matches("Contract KX").count(), 1);
}

#[test]
fn broken_files_say_what_is_wrong() {
    assert_eq!(
        read_err("a.pptx", deck(&["<a:p></a:r>"])).kind(),
        ErrorKind::InvalidInput
    );
    let images = read_err("a.pptx", deck(&["<p:pic/>"]));
    assert!(images.to_string().contains("OCR"), "{images}");
    assert_eq!(
        read_err("a.pptx", &DECK[..DECK.len() / 2]).kind(),
        ErrorKind::InvalidInput
    );
}

#[test]
fn raised_and_lowered_numbers_keep_their_meaning() {
    let run = |text: &str, baseline: i32| {
        format!("<a:r><a:rPr baseline='{baseline}'/><a:t>{text}</a:t></a:r>")
    };
    let runs = [
        run("10", 0),
        run("3", 30000),
        run(" m, x", 0),
        run("i", -25000),
    ]
    .concat();
    let plain = "<a:r><a:t> 5</a:t></a:r>";
    let document = read(
        "a.pptx",
        deck(&[&shape("", &format!("<a:p>{runs}{plain}</a:p>"))]),
    );
    assert_eq!(document.text, "10³ m, x_i 5");
}
