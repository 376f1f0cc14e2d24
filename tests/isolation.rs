//! Documents in child processes of the real binary: the same documents as in this process,
//! of every format, and a run that no file brings down.

use std::fs;
use std::io::{Cursor, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use cairn_indexer::{ErrorKind, Isolation, ParseInput, ParseLimits, Parser};
use cairn_models::Cancel;

use crate::command::{json, run, text};
use crate::server::{Bench, Scripted, request};

/// A parser over children of the binary.
fn isolated(limits: ParseLimits, memory_mb: u64, time: Duration) -> Parser {
    let isolation = Isolation {
        program: env!("CARGO_BIN_EXE_cairn").into(),
        args: vec![
            "parse-worker".into(),
            format!("--memory-mb={memory_mb}").into(),
        ],
        memory_num_bytes: memory_mb << 20,
        time,
        most: 2,
    };
    Parser::isolated(limits, isolation)
}

fn limits() -> ParseLimits {
    let hub = cairn_models::Hub::new(None).unwrap();
    let pdfium = hub.library("pdfium", &cairn_models::Quiet).unwrap();
    ParseLimits {
        pdfium: Some(pdfium),
        ..ParseLimits::default()
    }
}

/// One file of each format.
fn files() -> Vec<(&'static str, Vec<u8>)> {
    let mut files: Vec<(&str, Vec<u8>)> = [
        "fleet.xlsx",
        "rules.docx",
        "rules.odt",
        "rules.rtf",
        "slides.pptx",
    ]
    .into_iter()
    .map(|name| {
        let path = Path::new("parse/tests/fixtures").join(name);
        (name, fs::read(path).unwrap())
    })
    .collect();
    let texts = [
        (
            "a.md",
            "---\ntitle: Tides\nweight: 0.1\ncount: 3\ntags: [a, b]\ndate: 2024-05-01\n---\n# Tides\n\nÄbb und Flut.\n\n## Table\n\n| a | b |\n|---|---|\n| 1 | 2 |\n",
        ),
        (
            "a.html",
            "<html><title>T</title><h1>Head</h1><p>Text <b>bold</b>.</p><table><tr><th>a<th>b<tr><td>1<td>2</table>",
        ),
        (
            "a.rst",
            "Title\n=====\n\n:author: Ann\n\nText with ``code``.\n\n====  ====\na     b\n====  ====\n1     2\n====  ====\n",
        ),
        (
            "a.mbox",
            "From a@b.c Thu Jan  1 00:00:00 2024\nFrom: a@b.c\nSubject: First\nDate: Mon, 1 Jan 2024 10:00:00 +0100\n\nHello.\n\nFrom b@b.c Thu Jan  1 00:00:00 2024\nFrom: b@b.c\nSubject: Second\n\nAgain.\n",
        ),
        (
            "a.eml",
            "From: Ann <a@b.c>\nTo: b@b.c\nSubject: Tide\nDate: Mon, 1 Jan 2024 10:00:00 +0100\nContent-Type: text/plain; charset=utf-8\n\nThe tide is high.\n",
        ),
        ("a.csv", "name,height\nNorth,1.5\nSouth,2.5\n"),
        (
            "a.ipynb",
            r##"{"cells":[{"cell_type":"markdown","metadata":{},"source":["# Note\n","Text."]},{"cell_type":"code","metadata":{},"source":["x = 1"],"outputs":[],"execution_count":1}],"metadata":{"language_info":{"name":"python"}},"nbformat":4,"nbformat_minor":5}"##,
        ),
        (
            "a.json",
            r#"{"title": "J", "text": "Some text.", "depth": 1.25, "deep": {"a": [1, 2, {"b": null}]}}"#,
        ),
        (
            "a.jsonl",
            "{\"a\": 1, \"b\": \"x\"}\n{\"a\": 2, \"b\": \"y\"}\n",
        ),
        ("a.txt", "Plain text\nwith two lines and an umlaut: ö\n"),
        (
            "a.rs",
            "//! Docs.\n\n/// Adds.\nfn add(a: u32, b: u32) -> u32 {\n    a + b\n}\n",
        ),
    ];
    files.extend(texts.map(|(name, text)| (name, text.as_bytes().to_vec())));
    files.push(("a.epub", epub()));
    files.push(("a.pdf", pdf()));
    files
}

fn epub() -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let stored =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let parts = [
        ("mimetype", "application/epub+zip"),
        (
            "META-INF/container.xml",
            r#"<container><rootfiles><rootfile full-path="b.opf" media-type="application/oebps-package+xml"/></rootfiles></container>"#,
        ),
        (
            "b.opf",
            r#"<package xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata><dc:title>Book</dc:title></metadata><manifest><item id="c" href="c.xhtml" media-type="application/xhtml+xml"/></manifest><spine><itemref idref="c"/></spine></package>"#,
        ),
        (
            "c.xhtml",
            "<html><body><h1>Chapter</h1><p>The text of the book.</p></body></html>",
        ),
    ];
    for (name, content) in parts {
        zip.start_file(name, stored).unwrap();
        zip.write_all(content.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// One page; pdfium finds its objects without a table of them.
fn pdf() -> Vec<u8> {
    let content = "BT /F1 12 Tf 72 720 Td (The page of a PDF says this.) Tj ET";
    format!(
        "%PDF-1.4\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n\
         2 0 obj\n<< /Type /Pages /Kids [3 0 R] /Count 1 >>\nendobj\n\
         3 0 obj\n<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R \
         /Resources << /Font << /F1 5 0 R >> >> >>\nendobj\n\
         4 0 obj\n<< /Length {} >>\nstream\n{content}\nendstream\nendobj\n\
         5 0 obj\n<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>\nendobj\n\
         trailer\n<< /Root 1 0 R >>\n%%EOF\n",
        content.len()
    )
    .into_bytes()
}

#[test]
fn a_child_makes_the_same_document_of_every_format() {
    let limits = limits();
    let here = Parser::in_process(limits.clone());
    let there = isolated(limits, 1024, Duration::from_secs(60));
    let mut formats = std::collections::BTreeSet::new();
    for (name, bytes) in files() {
        let input = ParseInput::new(name, &bytes);
        let one = here.parse(&input, &Cancel::never());
        let one = one.unwrap_or_else(|error| panic!("{name}: {error}"));
        let other = there.parse(&input, &Cancel::never()).unwrap();
        assert_eq!(one, other, "{name}");
        formats.insert(one.metadata["format"].to_string());
    }
    assert_eq!(formats.len(), files().len(), "{formats:?}");
}

/// An office document whose only paragraph is longer than a child has memory.
fn flood() -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    zip.start_file("[Content_Types].xml", options).unwrap();
    zip.write_all(b"<Types/>").unwrap();
    zip.start_file("word/document.xml", options).unwrap();
    zip.write_all(b"<document><body><p><r><t>").unwrap();
    for _ in 0..200 {
        zip.write_all(&[b'x'; 1 << 20]).unwrap();
    }
    zip.write_all(b"</t></r></p></body></document>").unwrap();
    zip.finish().unwrap().into_inner()
}

#[test]
fn a_real_parser_meets_the_bound_on_memory() {
    let bytes = flood();
    let input = ParseInput::new("flood.docx", &bytes);
    let parser = isolated(ParseLimits::default(), 256, Duration::from_secs(120));
    let error = parser.parse(&input, &Cancel::never()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ParserStopped, "{error}");
    assert!(error.message().contains("256 MB of memory"), "{error}");
}

#[test]
fn the_command_line_indexes_through_children() {
    let dir = tempfile::tempdir().unwrap();
    let docs = dir.path().join("docs");
    fs::create_dir(&docs).unwrap();
    for (name, bytes) in files() {
        fs::write(docs.join(name), bytes).unwrap();
    }
    let report = json(&run(dir.path(), &["index", "--json", "docs"]));
    assert_eq!(report["added"], files().len(), "{report}");
    // Only Cairn talks to a child.
    let alone = run(dir.path(), &["parse-worker", "--memory-mb", "1024"]);
    assert_eq!(alone.status.code(), Some(1), "{}", text(&alone.stderr));
    let help = run(dir.path(), &["--help"]);
    assert!(!text(&help.stdout).contains("parse-worker"));
}

#[tokio::test]
async fn uploads_are_parsed_in_children_too() {
    let parser = isolated(limits(), 256, Duration::from_secs(120));
    let bench = Bench::with_parser(Arc::new(Scripted::citing()), |_| {}, parser);
    let upload = |name: &str, bytes: &[u8]| {
        let head = format!(
            "--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n"
        );
        let body = [head.as_bytes(), bytes, b"\r\n--b--\r\n"].concat();
        let kind = "multipart/form-data; boundary=b";
        bench.reply(request(Method::POST, "/documents", kind, body))
    };
    let stored = upload("a.pdf", &pdf()).await;
    assert_eq!(stored.status, StatusCode::CREATED, "{}", stored.text());
    // The next version costs more memory than there is: the first one stays.
    let stopped = upload("a.pdf", &flood()).await;
    assert_eq!(stopped.error().0, "unreadable_document");
    assert!(
        stopped.text().contains("256 MB of memory"),
        "{}",
        stopped.text()
    );
    let left = bench.get("/documents").await.json();
    assert_eq!(left["total"], 1, "{left}");
}
