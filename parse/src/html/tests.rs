use crate::Document;
use crate::{ParseInput, ParseLimits, parse};

pub(super) fn read(html: &str) -> Document {
    read_bytes(html.as_bytes())
}

fn read_bytes(html: &[u8]) -> Document {
    parse(&ParseInput::new("page.html", html), &ParseLimits::default()).unwrap()
}

#[test]
fn a_page_is_its_main_content() {
    let document = read(
        "<!doctype html><html lang=en-US><head><title>The  page\n title</title>\
         <meta name=author content='Ann Lee'><meta name=keywords content='a, b'>\
         <meta property='article:published_time' content='2024-05-01T10:00:00Z'>\
         <style>p{color:red}</style></head><body><header>Site name</header>\
         <nav><a href=/>Home</a></nav><main><h1>Head<a class=anchor href=#h>¶</a></h1>\
         <p>First <b>bold</b>&nbsp;&amp; more.</p><script>evil()</script>\
         <h2>Code</h2><pre><code>let x = 1;\n  let y;\n</code></pre></main>\
         <footer>Copyright</footer></body></html>",
    );
    assert_eq!(
        document.text,
        "Head\n\nFirst bold & more.\n\nCode\n\nlet x = 1;\n  let y;"
    );
    assert_eq!(document.title, "The page title");
    let sections: Vec<_> = document
        .sections
        .iter()
        .map(|s| (s.level, s.heading.as_str()))
        .collect();
    assert_eq!(sections, [(1, "Head"), (2, "Code")]);
    let facts = serde_json::to_value(&document.metadata).unwrap();
    assert_eq!(
        facts,
        serde_json::json!({"author": "Ann Lee", "tags": ["a", "b"], "date": "2024-05-01",
            "language": "en", "format": "html"})
    );
}

#[test]
fn lists_and_tables_are_readable() {
    let document = read(
        "<p>Steps<ul><li>one<li><p>two</p><ol start=4><li>in</ol></ul>\
         <table><tr><th>Name<th>Value<tr><td>a<td><p>1</p><p>x</p><tr><td></td><td>only</table>\
         <dl><dt>term<dd>meaning</dl>end",
    );
    assert_eq!(
        document.text,
        "Steps\n\n- one\n- two\n  4. in\n\nName | Value\na | 1 x\n| only\n\nterm\nmeaning\n\nend"
    );
}

#[test]
fn what_stands_in_a_line_does_not_break_it() {
    let document = read(
        "<p>One <img alt=two> <my-icon></my-icon>three<svg></svg> <math><mi>x</mi></math>.</p>",
    );
    assert_eq!(document.text, "One two three x.");
}

#[test]
fn images_are_their_descriptions_unless_they_are_buttons() {
    let document =
        read("<a href=/><img alt=Logo></a><p>See <img alt='the chart'>, <a href=x>here</a>.");
    assert_eq!(document.text, "See the chart, here.");
}

#[test]
fn tables_for_layout_are_not_rows() {
    let document = read(
        "<table><tr><td><h1>Old page</h1><p>Para one</p><pre>a\n b</pre></td>\
         <td><ul><li>x</ul></td></tr></table>",
    );
    assert_eq!(document.text, "Old page\n\nPara one\n\na\n b\n\n- x");
}

#[test]
fn a_page_of_furniture_keeps_it() {
    let document =
        read("<nav><ul><li><a href=a>Chapter 1</a><li><a href=b>Chapter 2</a></ul></nav>");
    assert_eq!(document.text, "- Chapter 1\n- Chapter 2");
    let document = read("<body><header><p>All that this page says stands in its header.</header>");
    assert!(document.text.starts_with("All that"));
    let shell = read("<main></main><div>The content is outside of an empty main element.</div>");
    assert!(shell.text.starts_with("The content"));
}

#[test]
fn documentation_furniture_goes() {
    let document = read(
        "<div class=related role=navigation><a href=x>index</a></div>\
         <div class=toc><a href=#a>One</a> <a href=#b>Two</a></div>\
         <div class=sidebar>A note box with its own text.</div>\
         <div class=body><h1>Real</h1><p>Text that is long enough to be content.</div>",
    );
    assert_eq!(
        document.text,
        "A note box with its own text.\n\nReal\n\nText that is long enough to be content."
    );
}

#[test]
fn headings_that_link_to_themselves_stay() {
    let document = read(
        "<main><h2 id=a><a class=header href=#a>Profiles</a></h2><pre><a data-nosnippet href=#1>1</a>use x;\n\
         <a data-nosnippet href=#2>2</a>use y;</pre><p>What it says.</main>",
    );
    assert_eq!(document.text, "Profiles\n\nuse x;\nuse y;\n\nWhat it says.");
    assert_eq!(document.sections[0].heading, "Profiles");
}

#[test]
fn redirects_are_no_documents() {
    let stub =
        "<meta http-equiv=refresh content='0; URL=../x.html'><p>Redirecting to <a href=x>x</a></p>";
    let error = parse(
        &ParseInput::new("x.html", stub.as_bytes()),
        &ParseLimits::default(),
    );
    assert_eq!(error.unwrap_err().kind(), crate::ErrorKind::Unsupported);
    let reloading = format!(
        "<meta http-equiv=refresh content='60; url=x'><p>{}",
        "Long text. ".repeat(99)
    );
    assert!(read(&reloading).text.starts_with("Long text."));
}

#[test]
fn encodings_are_declared_or_detected() {
    let declared = b"<meta charset=\"iso-8859-2\"><p>\xb3\xf3d\xbc";
    assert_eq!(read_bytes(declared).text, "łódź");
    let xml = b"<?xml version='1.0' encoding='windows-1251'?><html><body><p>\xcf\xf0\xe8</p>";
    assert_eq!(read_bytes(xml).text, "При");
    let wrong = "<meta charset=ascii><p>déjà vu</p>";
    assert_eq!(read(wrong).text, "déjà vu");
}

#[test]
fn self_closing_tags_close_in_xhtml_only() {
    let body = "<title/><p><a id='x'/>one</p><script src='a.js'/><p>two</p>";
    let xhtml = format!("<?xml version='1.0'?><html>{body}</html>");
    assert_eq!(read(&xhtml).text, "one\n\ntwo");
}

#[test]
fn hostile_nesting_is_flat_work() {
    for tag in [
        "div",
        "b",
        "p",
        "ul><li",
        "table><tr><td",
        "a href=x",
        "font",
        "svg",
        "unknown",
    ] {
        let html = format!(
            "{}deep words{}",
            format!("<{tag}>").repeat(100_000),
            "<p>after"
        );
        let text = read(&format!("start<p>{html}")).text;
        assert!(text.contains("start"), "{tag}");
        assert!(tag == "svg" || text.contains("deep words"), "{tag}");
    }
    let closes = "</div>".repeat(100_000) + "x";
    assert_eq!(read(&closes).text, "x");
    let many: String = (0..200_000).map(|n| format!("a{n}=1 ")).collect();
    for tag in ["p", "/p", "br", "unknown"] {
        assert_eq!(read(&format!("<{tag} {many}>x")).text, "x");
    }
}

#[test]
fn a_page_without_text_says_so() {
    let error = parse(
        &ParseInput::new("x.html", b"<script>draw()</script>"),
        &ParseLimits::default(),
    )
    .unwrap_err();
    assert!(error.to_string().contains("no text"), "{error}");
}
