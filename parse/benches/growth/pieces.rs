//! What files are made of, by format.

/// Pieces by format: file name, beginning, and what is repeated. `@` is another number each
/// time.
#[rustfmt::skip]
pub(crate) const FORMATS: &[(&str, &str, &[&str])] = &[
    ("a.html", "<body>", &[
        "<p>", "<b>", "<a href=x>", "</a>", "</p>", "<table>", "<tr>", "<td>", "<table><tr><td>",
        "<td rowspan=9>", "<td colspan=99>", "<li>", "<ul><li>", "<dl><dt>", "<h1>x</h1>", "<h1>",
        "<div>", "<div hidden>", "<details>", "<summary>", "<select><option>", "<svg>", "<math>",
        "<pre>", "<br>", "<!--", "<!-- -->", "<![CDATA[", "<script>", "<style>", "<textarea>",
        "<title>", "<x a=1 ", "<x a@=1>", "<", "</", "<a b='", "&amp;", "&", "&#1;", "x ", "x",
        "<p id=a@>x", "<a href=#a@>x</a>", "<p class='a b c'>x</p>", "<sup>1</sup>",
        "<img alt=x>", "<iframe>", "<button>x</button>", "<nav>x</nav>", "<template>",
        "<noscript>", "<b><i></b></i>", "<a><b>", "<p><table>", "<form>", "<frameset>",
        "<caption>x", "<th>x", "<thead><tr><th>x",
    ]),
    ("b.html", "<body><x", &[
        " a=1", " a@=1", " a@", " @", "/", " a='", "\n",
    ]),
    ("c.html", "<table>", &[
        "<tr><td>x", "<tr><td rowspan=2>x", "<td>x", "<tr><td colspan=2>x<td>",
    ]),
    ("a.md", "", &[
        "> ", "- ", "* a\n", "1. ", "#", "# a\n", "`", "```\n", "~~~\n", "[", "]", "![", "[a](",
        "[a](b)", "[a]: b\n", "[a@]: b\n", "[^a@]: b\n[^a@]\n", "[a@][a@] ", "*", "**a", "_a",
        "*a_ ", "<", "<a ", "<!--", "<b>", "&amp;", "\\", "|", "|a", "|a|b|\n", "|a|\n|-|\n",
        "a\n-\n", "---\n", "    a\n", "\t", "a\n", "a ", "$", "$$", "{", "<a b={",
        "import a from 'b'\n", "export const a = {\n", ":::a\n", "[[a]] ", "[[", "![[", "^[a",
        "~~", "==a", "\n", " \n", "\u{e9}", "a@b.c ", "https://a.b ", "<details>\n", "<div>\n\n",
        "- a\n\n  b\n", "> a\n\n", "[x] ", "- [ ] a\n", "a: b\n", "> [!NOTE]\n", "<x>{a}</x>\n",
    ]),
    ("b.mdx", "", &[
        "<a", "<a>", "{", "{a}", "import x\n", "export a\n", "<A b={", "<A b=\"", "{/*", "<>",
    ]),
    ("a.md", "---\n", &[
        "a: b\n", "a@: b\n", "- a\n", "a: [", "a: {", "? ", "&a@ *a@\n", "a:\n ", "'",
    ]),
    ("a.rst", "", &[
        ".. ", ".. a\n", ".. note::\n", ".. [1] x\n", ".. _a@: b\n", ".. |a@| replace:: b\n",
        "|a@| ", "`", "``", "`a`_ ", "`a <", "::\n", "a::\n\n", "   a\n", "- a\n", "* ",
        "+---+\n", "+---+\n| a |\n", "====\n", "====  ====\na b\n", "a\n=\n", ":a: b\n", ":a:`",
        "| a\n", "*", "**a", "a_ ", "[a]_ ", ".. list-table::\n   * - a\n",
        "   * - a\n     - b\n", ".. csv-table::\n\n   a, \"\n", ".. only:: x\n", "\n", "a\n",
        ".. code::\n\n   a\n", ".. [#] a\n   b\n", ">>> a\n", "__ a\n", "\\", "|", "a\n\n  b\n",
    ]),
    ("a.adoc", "= T\n\n", &[
        "====\n", "----\n", "----\na\n", "|===\n", "|a ", "|a\n", "[a]\n", "[[a]]\n", ".a\n",
        "* a\n", "a::\n", "{a}", "`", "+", "++", "+++", "*a ", "_a", "<<", "<<a>>", "link:",
        "link:a[", "a:b[", "http://", "a:", "\\", "((", "(((", "[", "footnote:[a]",
        "image::a[]\n", "ifdef::a[]\n", ":a@: b\n", "\n", "a\n", "a +\n", "64*|a\n", "2+|a\n",
        "[cols=\"1,1\"]\n|===\n", "+\n", "//", "////\n", "++++\n", "```\n", "a\n--\n", "--\n",
        "++++\n<p>\n++++\n",
    ]),
    ("a.org", "#+title: t\n", &[
        "#+begin_src\n", "#+begin_quote\n", "#+begin_@\n", "#+end_src\n", ":a:\n", ":end:\n",
        "* a\n", "* a :b:\n", "| a ", "| a\n", "|-\n", "[[", "[[a]]", "[fn:", "[fn:a] b\n", "=a",
        "~a", "*a ", "/", "h.", "http:", "_{", "<<", "<2020-", "- a\n", "  - a\n", "1. a\n",
        "#+todo: A@\n", "#+filetags: a\n", "\\\\\n", "\n", "a\n", "a :: b\n", "#+include: a\n",
        ": a\n", "# a\n", "#+begin_export html\n<p>\n#+end_export\n",
    ]),
    ("a.1", ".TH A 1\n.SH B\n", &[
        ".B a\n", ".IP a\n", ".TP\n", ".TS\n", ".TS\nl l.\na\tb\n.TE\n", ".de a\n", ".ig\n",
        ".if n \\{\n", "\\fB", "\\*a", "\\*[", "\\[", "\\(", "\\h'", "\\h@", "\\s", "\\", "\\\n",
        ".ds a@ b\n", ".SH a\n", "a\n", ".nf\n", ".br\n", ".so a\n", "\\c\n", ".UR a\n", "\"a\" ",
        ".el \\{\n", "..\n", "T{\n",
    ]),
    ("b.1", ".Dd a\n.Dt A 1\n.Sh B\n", &[
        ".Bl\n", ".It a\n", ".El\n", ".Nm\n", ".Op Fl a\n", ".Oo\n", ".Oc\n", " . ,", ".Fl a ",
        "Op ", "Fl ", ".Bd\n", ".Xr a 1\n", "Ns ", ".Sh a\n", ".Fo a\n", "Ta ", ".Pf a b\n", "( ",
        ".Ex -std\n",
    ]),
    ("a.rtf", "{\\rtf1 ", &[
        "{", "}", "\\par ", "\\b ", "\\'e9", "\\u233?", "\\uc9 ", "{\\*\\x ", "{\\field",
        "\\trowd\\cellx1 ", "\\intbl a\\cell ", "\\row ", "{\\footnote a}", "\\bin9 ", "\\", "a",
        " ", "{\\fldinst HYPERLINK ", "{\\pict 01}", "{\\stylesheet{\\s1 a;}}", "\\s1 ",
        "\\itap2 ", "\\nestcell ", "{\\v a}", "{\\listtext a}",
    ]),
    ("a.csv", "", &[
        "a,b\n", ",", "\"", "\"a", "\"a\",", "a\n", "\n", "#a\n", "a;b\n", "\t", "\\\"",
        "a,\"b\nc\"\n", "1,2020\n",
    ]),
    ("a.json", "", &[
        "[", "{\"a\":", "[1,", "\"", "\\", "\"a\":1,", "{", "]", "1", "/*", "//\n", "{\"a\":1}",
        "{\"a\":1}\n", ",",
    ]),
    ("b.json", "{", &[
        "\"a@\":1,", "\"a\":{", "\"a\":[", "\"a\":\"b\",",
    ]),
    ("c.json", "[", &[
        "{\"title\":\"a\",\"text\":\"b\"},", "1,", "[],", "{},",
    ]),
    ("a.jsonl", "", &[
        "{\"a\":1}\n", "{\n", "[", "\"\n", "x\n", "{\"a\":1,}\n", "\n",
    ]),
    ("a.ipynb", "{\"nbformat\":4,\"cells\":[", &[
        "{\"cell_type\":\"code\",\"source\":[\"a\"],\"outputs\":[]},", "{", "[", "\"a\",",
    ]),
    ("a.eml", "From: a@b\nTo: c@d\nSubject: x\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n", &[
        "--b\n", "--b\n\na\n", "--b\nContent-Type: multipart/mixed; boundary=c@\n\n--c@\n",
        "--b\nContent-Type: message/rfc822\n\n", "a\n", "> a\n", "--b--\n",
        "--b\nContent-Type: text/html\n\n<p>\n", "=\n", "=41", "\n",
        "--b\nContent-Disposition: attachment; filename=a@\n\nx\n",
    ]),
    ("b.eml", "From: a@b\nTo: c@d\n", &[
        "X: a\n", "X@: a\n", " a\n", "To: a@b, \n", "Subject: =?utf-8?q?a?=\n", "=?utf-8?q?a?= ",
        "To: (", "To: \"", "To: <", "Received: a\n",
    ]),
    ("a.mbox", "From a@b Mon Jan  1 10:00:00 2024\nSubject: x\n\n", &[
        "From a@b Mon Jan  1 10:00:00 2024\nSubject: x\n\n", "From ", ">From x\n", "a\n",
        "\nFrom a\n",
    ]),
    ("a.mhtml", "From: x\nContent-Type: multipart/related; boundary=b\nSnapshot-Content-Location: x\n\n", &[
        "--b\nContent-Type: text/html\n\n<p>a\n", "--b\n",
        "--b\nContent-Type: multipart/related; boundary=c@\n\n--c@\n", "a\n", "=3D",
    ]),
    ("a.opml", "<opml><body>", &[
        "<outline text='a'>", "<outline text='a'/>", "<outline text='&lt;b&gt;&lt;/b&gt;'/>",
        "<a>", "<outline text='a' _note='b'/>", "&amp;", "<outline ", "<!--", "</outline>",
    ]),
    ("a.txt", "", &[
        "a\n", "a\n=\n", "a", " ", "\n", "\u{e9}", "A\n\n", "===\n", "\t",
    ]),
    ("a.rs", "", &[
        "fn a() {\n", "{", "}", "// a\n", "/*", "\"", "struct A;\n", "impl A {\n", "#", "r#\"",
        "\n", "/// a\nfn b() {}\n",
    ]),
    ("a.py", "", &[
        "def a():\n", "class A:\n", "    ", "\"\"\"", "#", "def a(\n", " def a():\n", "@a\n",
    ]),
];
