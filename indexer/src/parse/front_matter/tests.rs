//! What holds for the facts that a file opens with.

use crate::parse::{ParseInput, ParseLimits, parse};
use serde_json::json;

fn read(text: &str) -> crate::Document {
    parse(
        &ParseInput::new("a.md", text.as_bytes()),
        &ParseLimits::default(),
    )
    .unwrap()
}

#[test]
fn yaml_becomes_facts() {
    let document = read(
        "---\ntitle: 'Deploy: a guide'\ndate: 2024-05-01 10:30:00\nauthors: [Ann, {name: Bo}]\n\
         tags: infra, ops\nlang: en-GB\ndraft: false\nweight: 7\nformat: evil\nseries: {name: X, deep: {y: 1}}\n---\n\nBody\n",
    );
    assert_eq!(document.title, "Deploy: a guide");
    assert_eq!(document.text, "Body");
    assert_eq!(
        serde_json::to_value(&document.metadata).unwrap(),
        json!({"date": "2024-05-01", "author": ["Ann", "Bo"], "tags": ["infra", "ops"],
            "language": "en", "draft": false, "weight": 7, "format": "markdown",
            "series.name": "X", "series.deep.y": 1})
    );
}

#[test]
fn toml_becomes_facts() {
    let document =
        read("+++\ntitle = \"T\"\ndate = 2023-02-03T04:05:06Z\ntags = [\"a\"]\n+++\nBody");
    assert_eq!(document.title, "T");
    assert_eq!(document.metadata["date"], "2023-02-03");
    assert_eq!(document.metadata["tags"], json!(["a"]));
}

#[test]
fn what_does_not_parse_is_text() {
    assert!(
        read("---\n[broken: yaml\n---\nBody")
            .text
            .contains("broken")
    );
    let rules = "---\n\nNote: a paragraph.\n\nAnother one between two rules.\n\n---\n\nEnd";
    assert!(read(rules).text.contains("Another one"));
    assert!(read("{: .class}\n\nBody").text.contains("Body"));
    assert!(
        read("{\"a\": 1} is an object.\n\nBody")
            .text
            .contains("is an object")
    );
    assert!(
        read("---\njust a rule above\n")
            .text
            .contains("just a rule")
    );
    assert!(read("+++\nno toml\n+++\nBody").text.contains("no toml"));
}

#[test]
fn an_alias_bomb_ends() {
    let mut bomb = String::from("---\na0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for i in 1..30 {
        let previous = format!("*a{}", i - 1);
        bomb += &format!("a{i}: &a{i} [{}]\n", [previous.as_str(); 10].join(","));
    }
    bomb += "---\nBody";
    assert!(read(&bomb).text.ends_with("Body"));
}

/// Title, text and the other facts.
fn parts(text: &str) -> (String, String, serde_json::Value) {
    let mut document = read(text);
    document.metadata.remove("format");
    document.metadata.remove("language");
    let facts = serde_json::to_value(&document.metadata).unwrap();
    (document.title, document.text, facts)
}

#[test]
fn loose_yaml_is_read_line_by_line() {
    for (block, title, facts) in [
        (
            "title: ADR 12: one writer\nstatus: accepted",
            "ADR 12: one writer",
            json!({"status": "accepted"}),
        ),
        (
            "title: Dock @ nine\nowner: @ada",
            "Dock @ nine",
            json!({"owner": "@ada"}),
        ),
        (
            "title: Tabbed\nlist:\n\t- a\n\t- b",
            "Tabbed",
            json!({"list": ["a", "b"]}),
        ),
        (
            "title: \"Quo\"ted\ntags: [a, 'b: c'",
            "Quo\"ted",
            json!({"tags": ["a", "b: c"]}),
        ),
        (
            "title: 'it''s: so'\nkey: `x`",
            "it's: so",
            json!({"key": "`x`"}),
        ),
        (
            "# a remark\ntitle: x: y # z\nnested:\n  deep: @1\nempty:\n",
            "x: y",
            json!({"nested.deep": "@1"}),
        ),
        (
            "title: {{ name }}\nowner: @ops\nurl: a: b",
            "a.md",
            json!({"owner": "@ops", "url": "a: b"}),
        ),
        ("title: One\ntitle: Two: three", "One", json!({})),
        (
            "title: 100% sure: yes\ndate: 2024-05-01\nwho: *anyone",
            "100% sure: yes",
            json!({"date": "2024-05-01", "who": "*anyone"}),
        ),
        (
            "title: folded: yes\ndescription: >\n  two\n  lines\nx: !tag y",
            "folded: yes",
            json!({"description": "two lines", "x": "!tag y"}),
        ),
        (
            "title: %percent: x\nauthors:\n- Ann: A\n- Bo",
            "%percent: x",
            json!({"author": ["Ann: A", "Bo"]}),
        ),
    ] {
        for (begin, end) in [("---", "---"), ("---", "..."), ("--- ", "---\t")] {
            let (read, text, found) = parts(&format!("{begin}\n{block}\n{end}\n\nBody"));
            assert_eq!(text, "Body", "{block}");
            assert_eq!(read, title, "{block}");
            assert_eq!(found, facts, "{block}");
        }
    }
    // Line ends of Windows.
    let (title, text, _) = parts("---\r\ntitle: a: b\r\n---\r\nBody");
    assert_eq!((title.as_str(), text.as_str()), ("a: b", "Body"));
}

#[test]
fn other_languages_become_facts() {
    for text in [
        "{\n  \"title\": \"T\",\n  \"weight\": 3\n}\n\nBody",
        "{\"title\": \"T\", \"weight\": 3,}\nBody",
        ";;;\n\"title\": \"T\",\n\"weight\": 3\n;;;\nBody",
        "---json\n{\"title\": \"T\", \"weight\": 3}\n---\nBody",
        "---toml\ntitle = \"T\"\nweight = 3\n---\nBody",
        "+++\ntitle = \"T\"\nweight = 3\n+++\nBody",
    ] {
        let (title, read, facts) = parts(text);
        assert_eq!((title.as_str(), read.as_str()), ("T", "Body"), "{text}");
        assert_eq!(facts, json!({"weight": 3}), "{text}");
    }
    let (title, text, facts) = parts("+++\ntitle = \"T\"\nbroken = no quotes\n+++\nBody");
    assert_eq!((title.as_str(), text.as_str()), ("T", "Body"));
    assert_eq!(facts, json!({"broken": "no quotes"}));
}
