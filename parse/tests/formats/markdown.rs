//! What holds for Markdown and its dialects.

use cairn_parse::{ParseInput, ParseLimits, parse};

fn read(text: &str) -> cairn_parse::Document {
    parse(
        &ParseInput::new("guide.md", text.as_bytes()),
        &ParseLimits::default(),
    )
    .unwrap()
}

#[test]
fn markup_goes_and_words_stay() {
    let document = read(
        "Intro with *stress*, `code()`, a [link](http://x \"t\") and ![a cat](c.png)[^1].\n\n\
         # Set *up*\n\n> quoted\n> text\n\n```rust\nfn main() {\n\n    body();\n}\n```\n\n\
         Two  \nlines\n\n[^1]: The note.\n",
    );
    assert_eq!(
        document.text,
        "Intro with stress, code(), a link (http://x) and a cat[1].\n\nSet up\n\nquoted text\n\n\
         fn main() {\n\n    body();\n}\n\nTwo\nlines\n\n[1] The note."
    );
    assert_eq!(document.title, "Set up");
}

#[test]
fn badges_say_nothing() {
    let document =
        read("[![Build status](b.svg)](http://ci) ![A chart](c.png)\n\n# Name\n\ntext\n");
    assert_eq!(document.text, "A chart\n\nName\n\ntext");
}

#[test]
fn lists_and_tables_are_readable() {
    let document = read(
        "- one\n- two\n  - inner\n\n    more\n- [x] done\n\n3. c\n4. d\n\n\
         | A | B |\n|---|---|\n| 1 | |\n| `x` | y<br>z |\n",
    );
    assert_eq!(
        document.text,
        "- one\n- two\n  - inner\nmore\n- [x] done\n\n3. c\n4. d\n\nA | B\n1 |\nx | y z"
    );
}

#[test]
fn sections_hold_their_subsections() {
    let document = read("# A\na\n## B\nb\n# C\nc\n");
    let spans: Vec<_> = document
        .sections
        .iter()
        .map(|s| (s.heading.as_str(), s.level, &document.text[s.span.clone()]))
        .collect();
    assert_eq!(
        spans,
        [
            ("A", 1, "A\n\na\n\nB\n\nb\n\n"),
            ("B", 2, "B\n\nb\n\n"),
            ("C", 1, "C\n\nc")
        ]
    );
}

#[test]
fn html_inside_is_read_as_html() {
    let document = read(
        "<h1 align=center>Logo &amp; name</h1>\n\n<!-- hidden -->\n\n<p>In a <b>block</b></p>\n\n\
         Press <kbd>Ctrl</kbd><br>now\n\n<script>alert(1)</script>\n",
    );
    assert_eq!(
        document.text,
        "Logo & name\n\nIn a block\n\nPress Ctrl\nnow"
    );
    assert_eq!(document.sections[0].heading, "Logo & name");
}

#[test]
fn deep_nesting_ends() {
    for text in [
        "> ".repeat(50_000) + "x",
        "- ".repeat(20_000) + "x",
        "[".repeat(50_000) + "x",
        "*a ".repeat(50_000) + "x",
        "<div>".repeat(50_000) + "x",
    ] {
        assert!(read(&text).text.contains('x'));
    }
}

/// The text of a file of this name.
fn text(name: &str, markdown: &str) -> String {
    parse(
        &ParseInput::new(name, markdown.as_bytes()),
        &ParseLimits::default(),
    )
    .unwrap()
    .text
}

#[test]
fn links_say_where_they_lead() {
    for (markdown, expected) in [
        (
            "[the desk](https://h.org/new?team=dock)",
            "the desk (https://h.org/new?team=dock)",
        ),
        (
            "See [status][s] and [it][].\n\n[s]: https://s.org/dock\n[it]: http://i.org 'x'",
            "See status (https://s.org/dock) and it (http://i.org).",
        ),
        (
            "[the *office*](mailto:o@x.org?subject=hi)",
            "the office (o@x.org)",
        ),
        ("[call us](tel:+47-22)", "call us (+47-22)"),
        ("[+47 22](tel:+4722)", "+47 22"),
        (
            "<https://p.org> <o@x.org> [https://p.org](https://p.org/)",
            "https://p.org o@x.org https://p.org",
        ),
        (
            "[www.p.org](https://www.p.org) [o@x.org](mailto:o@x.org)",
            "www.p.org o@x.org",
        ),
        (
            "[up](../a.md), [part](#part), [js](javascript:x), [rel](/a?b=http://c)",
            "up, part, js, rel",
        ),
        (
            "![chart](https://i.org/c.png) [![b](x.svg)](https://ci.org)",
            "chart",
        ),
        (
            "A <a class=x href=\"https://t.org/?a=1&amp;b=2\">tag</a> and <a href='#p'>part</a>.",
            "A tag (https://t.org/?a=1&b=2) and part.",
        ),
        (
            "- [one](https://o.org)\n- two",
            "- one (https://o.org)\n- two",
        ),
        (
            "| a |\n|---|\n| [x](https://y.org) |",
            "a\nx (https://y.org)",
        ),
        (
            "# The [guide](https://g.org)\n\ntext",
            "The guide\n\nhttps://g.org\n\ntext",
        ),
    ] {
        assert_eq!(read(markdown).text, expected, "{markdown}");
    }
    assert_eq!(
        read("# The [guide](https://g.org)\n\ntext").title,
        "The guide"
    );
}

#[test]
fn notes_say_what_they_are() {
    let warned = "Warning: Do not stand below.";
    for markdown in [
        "> [!WARNING]\n> Do not stand below.",
        ">[!warning]\n>Do not stand below.",
        ":::warning\nDo not stand below.\n:::",
        "::: warning\nDo not stand below.\n:::\n",
        "::: {.callout-warning}\nDo not stand below.\n:::\n",
        ":::{warning}\n:class: wide\nDo not stand below.\n:::",
        "```{warning}\nDo not stand below.\n```",
        "!!! warning\n    Do not stand below.",
        "??? warning \"\"\n    Do not stand below.\n",
    ] {
        for markdown in [markdown.to_owned(), markdown.replace('\n', "\r\n")] {
            assert_eq!(read(&markdown).text, warned, "{markdown:?}");
        }
    }
    for markdown in [
        "> [!WARNING] Hoist\n> Do not stand below.",
        "> [!warning]- Hoist\n> Do not stand below.",
        ":::warning Hoist\nDo not stand below.\n:::",
        ":::warning[Hoist]{#id}\nDo not stand below.\n:::",
        "::: {.callout-warning title=\"Hoist\"}\nDo not stand below.\n:::",
        "```{warning} Hoist\n:class: x\nDo not stand below.\n```",
        "!!! warning inline end \"Hoist\"\n\n    Do not stand below.\n",
    ] {
        assert_eq!(
            read(markdown).text,
            "Warning: Hoist\n\nDo not stand below.",
            "{markdown:?}"
        );
    }
}

#[test]
fn notes_hold_other_blocks() {
    let document = read(
        "!!! note\n    # Inside\n\n    - a\n    - b\n\n    ```sh\n    run\n    ```\n\n    ??? tip \"Deep\"\n\n        deeper\n\nafter\n\n\
         === \"Linux\"\n\n    apt\n\n=== \"Mac\"\n\n    brew\n\n::::note\n:::tip\ninner\n:::\nouter\n::::\nend",
    );
    assert_eq!(
        document.text,
        "Note:\n\nInside\n\n- a\n- b\n\nrun\n\nTip: Deep\n\ndeeper\n\nafter\n\nLinux\n\napt\n\nMac\n\nbrew\n\n\
         Note: Tip: inner\n\nouter\n\nend"
    );
    // In code they are code.
    let code = "```\n:::warning\n%% x %%\n!!! note\n> [!TIP]\n==a==\n```\n\n`==b== %%c%%` [[ d";
    assert_eq!(
        read(code).text,
        ":::warning\n%% x %%\n!!! note\n> [!TIP]\n==a==\n\n==b== %%c%% [[ d"
    );
}

#[test]
fn signs_of_notebooks_go() {
    for (markdown, expected) in [
        (
            "Ask in [[Harbour Office|the office]] or see [[Tide Tables]].",
            "Ask in the office or see Tide Tables.",
        ),
        (
            "[[Page#Part]], [[#Part]], [[Page#Part|so]]",
            "Page > Part, Part, so",
        ),
        (
            "![[Tide Tables]] ![[map.png]] ![[map.png|A map]]",
            "Tide Tables  A map",
        ),
        ("a %%private%% b ==marked words== c", "a b marked words c"),
        (
            "above\n\n%%\nhidden\n\nlines\n%%\n\nbelow",
            "above\n\nbelow",
        ),
        ("100%% of it, 5%%", "100%% of it, 5%%"),
        (
            "if a == b and c == d, x==1 or y==2",
            "if a == b and c == d, x==1 or y==2",
        ),
        ("- a\n    - ==b==", "- a\n  - b"),
        ("Title\n=====\n\ntext", "Title\n\ntext"),
        (
            "A [[text](https://x.org)] and m[[1, 2], [3, 4]]",
            "A [text (https://x.org)] and m[[1, 2], [3, 4]]",
        ),
    ] {
        assert_eq!(read(markdown).text, expected, "{markdown}");
    }
}

const MDX: &str = "import Tabs from '@theme/Tabs';\nimport {\n  Card,\n} from '../card'\n\n\
    export const meta = {\n  owner: 'dock-team',\n\n  size: 3,\n};\n\n# Using *it* {#use}\n\n\
    <Tabs>\n  <TabItem value=\"mac\" label=\"Inside\">\n\n    Press the **green** button.\n\n    \
    ```js\n    import x from 'y';\n    <Tag a={1}>\n    ```\n\n  </TabItem>\n</Tabs>\n\n\
    {/* hidden\nremark */}\n\nimport the data first, from \"home\".\n\n\
    Inline <Badge color={x > 1 ? 'a' : 'b'}>new</Badge>, `<Code>{y}`, {'text'} and {props.x}.\n\n\
    <div style={{color: 'red'}}>\n*Soft* a < b\n</div>\n\n<Card title=\"Fast\" />\n\n\
    {items.map(i => <li>Item</li>)}\n\n<>\n- one\n</>\n";

#[test]
fn mdx_is_read_without_its_code() {
    let expected = "Using it\n\nInside\n\nPress the green button.\n\nimport x from 'y';\n<Tag a={1}>\n\n\
        import the data first, from \"home\".\n\nInline new, <Code>{y}, text and .\n\nSoft a < b\n\nFast\n\n\
        - Item\n\n- one";
    assert_eq!(text("a.mdx", MDX), expected);
    assert_eq!(text("a.md", MDX), expected);
    // Without imports it is Markdown.
    assert_eq!(
        text("a.md", "Use {braces} and <kbd>x</kbd>."),
        "Use {braces} and x."
    );
    assert_eq!(text("a.mdx", "Open { and < and <a"), "Open { and < and <a");
}

#[test]
fn damage_takes_no_more_than_linear_time() {
    for piece in [
        "{",
        "<a ",
        "<A>\n",
        "`",
        "%% ",
        "==a ",
        "[[",
        "> [!",
        ":::note\n",
        "!!! note\n    ",
        "```{note}\n",
        "<a href=\"",
        "export {\n",
        "import a\n\n",
        "{/*",
        "![[a|",
    ] {
        let long = piece.repeat((1 << 18) / piece.len());
        let _ = parse(
            &ParseInput::new("a.mdx", long.as_bytes()),
            &ParseLimits::default(),
        );
    }
}
