//! What is read of reStructuredText.

use crate::{headings, read};

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
    assert_eq!(document.text, "A | B\n1 | 2\n\na | b\n1 | 2");
    assert!(document.sections.is_empty());
}

#[test]
fn list_tables_and_csv_tables_have_rows() {
    let document = read(
        "a.rst",
        ".. list-table:: Winches\n   :header-rows: 1\n   :widths: 10 20\n\n   * - Model\n     - Pull\n   * - W2\n     - 900 kg\n\n       at most\n\
         \n   * -\n     - * one\n       * two\n\n\
         .. csv-table:: Ropes\n   :header: \"Name\",\n      \"Load\"\n\n   \"Blue, long\", 300 kg\n   Red, \"700\n   kg\"\n\n\
         .. csv-table::\n   :delim: ;\n\n   a,b;c\n\nEnd.\n",
    );
    assert_eq!(
        document.text,
        "Winches\n\nModel | Pull\nW2 | 900 kg at most\n | - one - two\n\n\
         Ropes\n\nName | Load\nBlue, long | 300 kg\nRed | 700 kg\n\na,b | c\n\nEnd."
    );
}

#[test]
fn drawn_tables_have_rows() {
    let document = read(
        "a.rst",
        "=====  =====  ======\n   Inputs     Output\n------------  ------\n  A      B    A or B\n=====  =====  ======\n\
         False  on     yes\n              or no\n\\      two    x\n=====  =====  ======\n\n\
         +-------+-----------+\n| Port  | Fee       |\n+=======+=====+=====+\n| Kiel  | 4   | 5   |\n|       +-----+-----+\n\
         |       | 6   | 7 a |\n|       |     | day |\n+-------+-----+-----+\n\n\
         +------+--+\n| 港口 | x|\n+------+--+\n| 上海 | y|\n+------+--+\n",
    );
    assert_eq!(
        document.text,
        "Inputs |  | Output\nA | B | A or B\nFalse | on | yes or no\n | two | x\n\n\
         Port | Fee | Fee\nKiel | 4 | 5\nKiel | 6 | 7 a day\n\n港口 | x\n上海 | y"
    );
}

#[test]
fn conditional_content_is_read() {
    let document = read(
        "a.rst",
        ".. only:: html\n\n   Twelve.\n\n.. ifconfig:: release\n\n   Fourteen.\n\n.. container:: x\n\n   Fifteen.\n\n\
         .. class:: wide\n\n   Sixteen.\n\n.. code-block:: sh\n   :caption: run it\n\n   make\n",
    );
    assert_eq!(
        document.text,
        "Twelve.\n\n   Fourteen.\n\n   Fifteen.\n\n   Sixteen.\n\nrun it\nmake".replacen(
            "Twelve",
            "   Twelve",
            1
        )
    );
}

#[test]
fn links_keep_their_address() {
    let document = read(
        "a.rst",
        "Use |v| or `the\nportal <https://a.example/x>`_ and docs_.\n\n.. |v| replace:: 3.11\n.. _docs: https://b.example/\n",
    );
    assert_eq!(
        document.text,
        "Use 3.11 or the portal (https://a.example/x) and docs (https://b.example/)."
    );
}

#[test]
fn heads_of_tables_name_their_columns() {
    for text in [
        ".. list-table::\n   :header-rows: 1\n\n   * - A\n     - B\n   * - 1\n     - 2\n",
        ".. csv-table::\n   :header: A, B\n\n   1, 2\n",
        "= =\nA B\n= =\n1 2\n= =\n",
        "+---+---+\n| A | B |\n+===+===+\n| 1 | 2 |\n+---+---+\n",
    ] {
        let document = read("a.rst", text);
        assert_eq!(document.text, "A | B\n1 | 2", "{text}");
        assert_eq!(document.tables[0].columns, "A | B", "{text}");
    }
}

#[test]
fn formulas_on_one_line_stay_and_words_for_sphinx_go() {
    let document = read("a.rst", ":orphan:\n\nText.\n\n.. math:: a + b\n\nEnd.\n");
    assert_eq!(document.text, "Text.\n\na + b\n\nEnd.");
}
