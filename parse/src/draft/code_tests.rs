//! Every format that marks code says where it is.

use crate::testing::read;

/// The blocks of code of a file.
fn code(name: &str, text: &str) -> Vec<String> {
    let document = read(name, text);
    let blocks = document.code_blocks.iter();
    blocks
        .map(|block| document.text[block.clone()].to_owned())
        .collect()
}

#[test]
fn markdown() {
    let text = "# Run\n\nText.\n\n```sh\ncairn up\n\n  cairn query\n```\n\n    indented = 1\n\n\
                - item\n\n  ```\n  - not an item\n  ```\n- ```\n  alone\n  ```\n\n```\n```\n\nEnd `x`.\n";
    assert_eq!(
        code("a.md", text),
        [
            "cairn up\n\n  cairn query",
            "indented = 1",
            "- not an item",
            "alone"
        ]
    );
}

#[test]
fn html() {
    let text = "<h1>Run</h1><p>Text.<pre><code>cairn up\n\n  cairn query</code></pre>\
                <ul><li><pre>- alone</pre><li>text</ul><pre> </pre><p>End <code>x</code>.";
    assert_eq!(
        code("a.html", text),
        ["cairn up\n\n  cairn query", "- alone"]
    );
}

#[test]
fn other_formats() {
    let rst = "Run\n===\n\nText::\n\n    cairn up\n\n      cairn query\n\n.. code-block:: sh\n   :caption: In a shell\n\n   cairn eval\n\n>>> 1 + 1\n2\n\nEnd.\n";
    assert_eq!(
        code("a.rst", rst),
        [
            "cairn up\n\n      cairn query",
            "cairn eval",
            ">>> 1 + 1\n2"
        ]
    );
    let adoc = "= Run\n\nText.\n\n----\ncairn up\n----\n\nEnd.\n";
    assert_eq!(code("a.adoc", adoc), ["cairn up"]);
    let org = "* Run\n\n#+BEGIN_SRC sh\ncairn up\n#+END_SRC\n\nEnd.\n";
    assert_eq!(code("a.org", org), ["cairn up"]);
    let notebook = r#"{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [
        {"cell_type": "markdown", "metadata": {}, "source": "Text.\n\n```\ninner()\n```"},
        {"cell_type": "code", "metadata": {}, "source": "x = 1\nx", "outputs": []}]}"#;
    assert_eq!(code("a.ipynb", notebook), ["inner()", "x = 1\nx"]);
}

#[test]
fn appended_documents_keep_their_code() {
    let page = "<html><body><h1>Run</h1><p>Text.</p><pre>cairn up</pre><p>End.</p></body></html>";
    let container =
        r#"<container><rootfiles><rootfile full-path="c.opf"/></rootfiles></container>"#;
    let package = r#"<package><metadata><title>Book</title></metadata>
        <manifest><item id="a" href="a.xhtml" media-type="application/xhtml+xml"/></manifest>
        <spine><itemref idref="a"/></spine></package>"#;
    let files = [
        ("mimetype", "application/epub+zip"),
        ("META-INF/container.xml", container),
        ("c.opf", package),
        ("a.xhtml", page),
    ];
    let document = read("a.epub", crate::testing::stored_zip(&files));
    let [block] = &document.code_blocks[..] else {
        panic!("{:?}", document.code_blocks);
    };
    assert_eq!(&document.text[block.clone()], "cairn up");
}
