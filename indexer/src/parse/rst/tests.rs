use crate::parse::testing::{headings, read};

#[test]
fn headings_take_their_level_from_their_order() {
    let document = read(
        "guide.rst",
        "=====\nGuide\n=====\n\n:Author: Ann\n:Date: 2024-05-01\n\nIntro.\n\nFirst part\n==========\n\ntext\n\n\
         Inner\n-----\nmore\n\nSecond ``part``\n===============\n\nend\n",
    );
    assert_eq!(
        headings(&document),
        [
            (1, "Guide"),
            (2, "First part"),
            (3, "Inner"),
            (2, "Second part")
        ]
    );
    assert_eq!(document.title, "Guide");
    assert_eq!(document.metadata["author"], "Ann");
    assert_eq!(document.metadata["date"], "2024-05-01");
    assert_eq!(
        document.text,
        "Guide\n\nAuthor: Ann\nDate: 2024-05-01\n\nIntro.\n\nFirst part\n\ntext\n\nInner\n\nmore\n\n\
         Second part\n\nend"
    );
}

#[test]
fn directives_keep_what_is_read() {
    let document = read(
        "a.rst",
        ".. _target:\n.. This is a comment\n   over two lines.\n\n.. meta::\n   :description: About x.\n\n\
         .. toctree::\n   :maxdepth: 2\n\n   one\n   two\n\nText::\n\n    literal *as is*\n\n      deeper\n\nAfter.\n\n\
         .. code-block:: python\n   :linenos:\n\n   def f():\n       return ``1``\n\n\
         .. note:: Mind the *gap*.\n\n.. function:: join(a, *b)\n   :module: os\n\n   Joins :class:`str`.\n\n\
         .. versionadded:: 3.8\n.. image:: x.png\n   :alt: A cat\n\n.. [1] The note.\n\n* item\n* other\n",
    );
    assert_eq!(
        document.text,
        "Text:\n\n    literal *as is*\n\n      deeper\n\nAfter.\n\ndef f():\n    return ``1``\n\n\
         Note: Mind the gap.\n\njoin(a, *b)\n\n   Joins str.\n\nAdded in version: 3.8\n\nA cat\n\n\
         [1] The note.\n\n- item\n- other"
    );
    assert_eq!(document.metadata["description"], "About x.");
}

#[test]
fn tables_lose_their_borders() {
    let document = read(
        "a.rst",
        "=====  =====\nA      B\n=====  =====\n1      2\n=====  =====\n\n\
         +---+---+\n| a | b |\n+===+===+\n| 1 | 2 |\n+---+---+\n",
    );
    assert_eq!(document.text, "A      B\n1      2\n\na | b\n1 | 2");
    assert!(document.sections.is_empty());
}
