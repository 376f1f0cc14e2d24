//! EPUB books: the chapters in reading order, with the sections that the table of contents
//! names; lists of contents are left out.

mod contents;

use std::collections::HashMap;

use serde_json::Value;

use super::archive::{self, Archive};
use super::draft::{Draft, one_line};
use super::format::Format;
use super::xml::{self, Xml};
use super::{Input, front_matter, html, malformed};
use crate::{Error, ErrorKind, Result};
use contents::Contents;

/// Electronic books.
pub(super) const FORMAT: Format = Format {
    name: "epub",
    extensions: &["epub"],
    content_types: &["application/epub+zip"],
    prose: true,
    binary: true,
    matches: |bytes| archive::holds(bytes, CONTAINER),
    no_text: "the book has no text: its pages are images; run text recognition (OCR) on it first",
    ..Format::new(parse)
};

const CONTAINER: &str = "META-INF/container.xml";

/// A list of contents with more text than this, in bytes, is also something else.
const SHORT_PAGE: usize = 400;

fn parse(source: &Input<'_>, draft: &mut Draft) -> Result<()> {
    let mut archive = Archive::open(source.bytes, "EPUB", source.limits)?;
    let package_path = package_path(&mut archive)?;
    let package = archive
        .text(&package_path)?
        .ok_or_else(|| malformed("EPUB", "its package file is missing"))?;
    let package = Package::read(&package, draft)?;
    let chapters: Vec<String> = package
        .chapters
        .iter()
        .map(|href| resolve(&package_path, href))
        .collect();
    refuse_encrypted(&mut archive, &chapters)?;
    let contents = read_contents(&mut archive, &package, &package_path)?;
    let mut before = draft.title.clone().unwrap_or_default();
    for path in &chapters {
        let Some(text) = archive.text(path)? else {
            continue;
        };
        let mut chapter = Draft::new(source.limits.max_text_bytes);
        let places = contents.places.get(path).map_or(&[][..], Vec::as_slice);
        let page = html::chapter(&text, places, &mut chapter)?;
        let is_list = contents.lists.contains(path) && chapter.len() < SHORT_PAGE;
        if page.is_contents || is_list {
            continue;
        }
        draft.blank_line();
        // A part of the chapter before it often has that chapter's title.
        let title = one_line(&page.title);
        if !chapter.has_sections() && !chapter.is_empty() && title != before {
            draft.open_section(1, &title);
        }
        before = title;
        draft.append(chapter, 0);
        if draft.is_full() {
            break;
        }
    }
    Ok(())
}

/// The table of contents; the pages that are one count as lists.
fn read_contents(
    archive: &mut Archive<'_>,
    package: &Package,
    package_path: &str,
) -> Result<Contents> {
    let mut contents = Contents::default();
    for href in package.navigation.iter().chain(&package.ncx) {
        let path = resolve(package_path, href);
        let text = archive.text(&path)?.unwrap_or_default();
        let found = Contents::read(&path, &text);
        contents.lists.extend(found.lists);
        contents.lists.insert(path);
        // Old books have the NCX alone, new ones both.
        if contents.places.is_empty() {
            contents.places = found.places;
        }
    }
    let lists = package.lists.iter();
    contents
        .lists
        .extend(lists.map(|href| resolve(package_path, href)));
    Ok(contents)
}

/// Where the package file is.
fn package_path(archive: &mut Archive<'_>) -> Result<String> {
    let container = archive.text(CONTAINER)?.unwrap_or_default();
    let mut path = None;
    xml::read(&container, "EPUB", |event| {
        if let Xml::Start("rootfile", attributes) = event {
            path = path.take().or(attributes.get("full-path"));
        }
        Ok(())
    })?;
    path.ok_or_else(|| malformed("EPUB", "it does not name its package file"))
}

/// Bought books encrypt their chapters; encrypted fonts do not matter.
fn refuse_encrypted(archive: &mut Archive<'_>, chapters: &[String]) -> Result<()> {
    let Some(list) = archive.text("META-INF/encryption.xml")? else {
        return Ok(());
    };
    xml::read(&list, "EPUB", |event| {
        if let Xml::Start("CipherReference", attributes) = event {
            let path = attributes.get("URI").map(|uri| resolve("", &uri));
            if path.is_some_and(|path| chapters.contains(&path)) {
                return Err(Error::new(
                    ErrorKind::Encrypted,
                    "the book is copy-protected; Cairn reads books without protection only",
                ));
            }
        }
        Ok(())
    })
}

/// What the package file says: paths relative to it.
#[derive(Default)]
struct Package {
    chapters: Vec<String>,
    /// EPUB 3's navigation page, and EPUB 2's NCX.
    navigation: Option<String>,
    ncx: Option<String>,
    /// Pages that are a table of contents for readers.
    lists: Vec<String>,
}

impl Package {
    fn read(text: &str, draft: &mut Draft) -> Result<Self> {
        let mut package = Self::default();
        let mut items: HashMap<String, String> = HashMap::new();
        let mut authors = Vec::new();
        let mut subjects = Vec::new();
        let mut value = String::new();
        xml::read(text, "EPUB", |event| {
            match event {
                Xml::Start("item", attributes) => {
                    let href = attributes.get("href").unwrap_or_default();
                    let is_nav = attributes
                        .get("properties")
                        .is_some_and(|p| p.split_whitespace().any(|word| word == "nav"));
                    let is_ncx =
                        attributes.get("media-type").as_deref() == Some("application/x-dtbncx+xml");
                    if is_nav {
                        package.navigation = Some(href.clone());
                    } else if is_ncx {
                        package.ncx = Some(href.clone());
                    }
                    items.insert(attributes.get("id").unwrap_or_default(), href);
                }
                Xml::Start("itemref", attributes) => {
                    let id = attributes.get("idref").unwrap_or_default();
                    package.chapters.extend(items.get(&id).cloned());
                }
                Xml::Start("reference", attributes) => {
                    if attributes.get("type").as_deref() == Some("toc") {
                        package.lists.extend(attributes.get("href"));
                    }
                }
                Xml::Start(..) => value.clear(),
                Xml::Text(text) => value.push_str(&text),
                Xml::End(name) => {
                    let fact = std::mem::take(&mut value);
                    match name {
                        "creator" => authors.push(Value::String(fact.trim().into())),
                        "subject" => subjects.push(Value::String(fact.trim().into())),
                        "title" | "language" | "date" | "publisher" | "description" => {
                            front_matter::fact(name, &Value::String(fact), draft, 0);
                        }
                        _ => {}
                    }
                }
            }
            Ok(())
        })?;
        front_matter::fact("author", &Value::Array(authors), draft, 0);
        front_matter::fact("tags", &Value::Array(subjects), draft, 0);
        Ok(package)
    }
}

/// The path inside the archive that `href` means in the file `base`.
fn resolve(base: &str, href: &str) -> String {
    let href = href.split(['#', '?']).next().unwrap_or(href);
    let mut parts: Vec<&str> = match base.rsplit_once('/') {
        Some((folder, _)) if !href.starts_with('/') => folder.split('/').collect(),
        _ => Vec::new(),
    };
    for part in href.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    percent_decode(&parts.join("/"))
}

fn percent_decode(path: &str) -> String {
    let mut out = Vec::with_capacity(path.len());
    let mut bytes = path.as_bytes();
    while let [first, rest @ ..] = bytes {
        let hex = rest.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let decoded = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match decoded.filter(|_| *first == b'%') {
            Some(byte) => {
                out.push(byte);
                bytes = &rest[2..];
            }
            None => {
                out.push(*first);
                bytes = rest;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{read, read_err, zip};

    const OPF: &str = r#"<package><metadata xmlns:dc="x"><dc:title>The &amp; Book</dc:title>
        <dc:creator>Ann</dc:creator><dc:creator>Bo</dc:creator><dc:language>de-DE</dc:language>
        <dc:date>2020-02-03</dc:date><dc:subject>search</dc:subject></metadata>
        <manifest><item id="n" href="toc.ncx" media-type="application/x-dtbncx+xml"/>
        <item id="b" href="text/b%20c.xhtml"/><item id="a" href="text/a.xhtml"/></manifest>
        <spine><itemref idref="a"/><itemref idref="b"/><itemref idref="missing"/></spine></package>"#;
    const NCX: &str = r#"<ncx><navMap><navPoint><navLabel><text>Second chapter</text></navLabel>
        <content src="text/b%20c.xhtml#top"/></navPoint></navMap></ncx>"#;

    fn book(extra: &[(&str, &str)]) -> Vec<u8> {
        let container = r#"<container><rootfiles><rootfile full-path="OEBPS/book.opf"/></rootfiles></container>"#;
        let a = "<?xml version='1.0'?><html><head><title/></head><body><h1>First</h1><p>One.</p></body></html>";
        let b = "<?xml version='1.0'?><html><body><p>Two.</p></body></html>";
        let mut files = vec![
            ("mimetype", "application/epub+zip"),
            (CONTAINER, container),
            ("OEBPS/book.opf", OPF),
            ("OEBPS/toc.ncx", NCX),
            ("OEBPS/text/a.xhtml", a),
            ("OEBPS/text/b c.xhtml", b),
        ];
        files.extend(extra);
        zip(&files)
    }

    #[test]
    fn chapters_come_in_reading_order() {
        let document = read("x.epub", book(&[]));
        assert_eq!(document.text, "First\n\nOne.\n\nTwo.");
        assert_eq!(document.title, "The & Book");
        let sections: Vec<_> = document
            .sections
            .iter()
            .map(|s| (s.heading.as_str(), &document.text[s.span.clone()]))
            .collect();
        assert_eq!(
            sections,
            [("First", "First\n\nOne.\n\n"), ("Second chapter", "Two.")]
        );
        let facts = serde_json::to_value(&document.metadata).unwrap();
        assert_eq!(
            facts,
            serde_json::json!({"author": ["Ann", "Bo"], "date": "2020-02-03", "format": "epub",
                "language": "de", "tags": ["search"]})
        );
    }

    fn sections(document: &crate::Document) -> Vec<(&str, u8, &str)> {
        let part = |s: &crate::Section| s.span.clone();
        let sections = document.sections.iter();
        sections
            .map(|s| {
                (
                    s.heading.as_str(),
                    s.level,
                    document.text[part(s)].trim_end(),
                )
            })
            .collect()
    }

    /// A book of one page, with this navigation page in front of it.
    fn flat(nav: &str, page: &str) -> crate::Document {
        let opf = r#"<package><metadata><title>Book</title></metadata><manifest>
            <item id="n" href="nav.xhtml" properties="nav"/><item id="a" href="a.xhtml"/>
            <item id="c" href="c.xhtml"/></manifest><spine><itemref idref="n"/>
            <itemref idref="c"/><itemref idref="a"/></spine></package>"#;
        let list = "<html><body><p>Contents</p><p><a href='a.xhtml#x'>First</a></p>\
            <p><a href='a.xhtml#y'>Second</a></p><p><a href='a.xhtml#z'>Third</a></p></body></html>";
        let container = r#"<container><rootfile full-path="book.opf"/></container>"#;
        let files = [
            (CONTAINER, container),
            ("book.opf", opf),
            ("nav.xhtml", nav),
            ("a.xhtml", page),
            ("c.xhtml", list),
        ];
        read("x.epub", zip(&files))
    }

    #[test]
    fn sections_begin_where_the_contents_say() {
        let nav = "<html><body><h1>Contents</h1><nav epub:type='toc'><ol>\
            <li><a href='a.xhtml#one'>The sluice</a><ol><li><a href='a.xhtml#in'>Its gate</a></li></ol></li>\
            <li><a href='a.xhtml#two'>The weir</a></li><li><a href='a.xhtml#three'>3. The lock</a></li>\
            </ol></nav></body></html>";
        let page = "<html><body><p>Before.</p><p class='h' id='one'>Sluice</p><p>S.</p>\
            <p>Its <a id='in'/>gate.</p><h3>Old</h3><p>O.</p><a name='two'/><p>Weir</p>\
            <h2><a id='three'/>The lock</h2><p>L.</p><h3>Key</h3><p>K.</p></body></html>";
        let document = flat(nav, page);
        assert_eq!(
            document.text,
            "Before.\n\nSluice\n\nS.\n\nIts gate.\n\nOld\n\nO.\n\nWeir\n\nThe lock\n\nL.\n\nKey\n\nK."
        );
        assert_eq!(
            sections(&document),
            [
                ("The sluice", 1, "Sluice\n\nS.\n\nIts gate.\n\nOld\n\nO."),
                ("Its gate", 2, "gate.\n\nOld\n\nO."),
                ("Old", 5, "Old\n\nO."),
                ("The weir", 1, "Weir"),
                ("3. The lock", 1, "The lock\n\nL.\n\nKey\n\nK."),
                ("Key", 2, "Key\n\nK."),
            ]
        );
    }

    #[test]
    fn a_page_that_is_more_than_its_list_of_contents_stays() {
        let nav = "<html><body><nav epub:type='toc'><ol><li><a href='a.xhtml#q'>A</a></li></ol></nav>\
            <p>Foreword.</p></body></html>";
        let long = nav.replace("Foreword.", &"A long foreword. ".repeat(30));
        assert_eq!(
            flat(nav, "<html><body><p>Text.</p></body></html>").text,
            "Text."
        );
        let document = flat(&long, "<html><body><p>Text.</p></body></html>");
        assert!(document.text.starts_with("A long foreword.") && document.text.ends_with("Text."));
        assert_eq!(sections(&document), [("A", 1, "Text.")]);
    }

    #[test]
    fn the_name_does_not_matter() {
        assert_eq!(read("book.zip", book(&[])).metadata["format"], "epub");
    }

    #[test]
    fn protected_books_say_so() {
        let locked = r#"<encryption><EncryptedData><CipherData>
            <CipherReference URI="OEBPS/text/a.xhtml"/></CipherData></EncryptedData></encryption>"#;
        let error = read_err("x.epub", book(&[("META-INF/encryption.xml", locked)]));
        assert_eq!(error.kind(), ErrorKind::Encrypted);
        let font = locked.replace("text/a.xhtml", "font.otf");
        read("x.epub", book(&[("META-INF/encryption.xml", &font)]));
    }

    #[test]
    fn paths_resolve_inside_the_archive() {
        assert_eq!(resolve("a/b/c.opf", "../x%2Fy%zz.html#z"), "a/x/y%zz.html");
        assert_eq!(resolve("a/b.opf", "../../../../etc/passwd"), "etc/passwd");
        assert_eq!(resolve("a/b.opf", "/c.html"), "c.html");
    }
}
