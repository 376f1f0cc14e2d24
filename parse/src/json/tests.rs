//! What holds for JSON, good and damaged.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{read_damaged, read_first};
use crate::ErrorKind;
use crate::testing::{read, read_err};
use crate::{ParseInput, ParseLimits, parse};

#[test]
fn values_stand_beside_their_paths() {
    let document = read(
        "config.json",
        r#"{"title": "Ports", "tags": ["a", "b"], "server": {"port": 80, "tls": {"on": true}},
           "hosts": [{"name": "x"}, "y"], "none": null, "empty": "", "long": "l1\nl2"}"#,
    );
    assert_eq!(
        document.text,
        "title: Ports\ntags[0]: a\ntags[1]: b\nserver.port: 80\nserver.tls.on: true\n\
         hosts[0].name: x\nhosts[1]: y\nlong: l1\nl2"
    );
    assert_eq!(document.title, "Ports");
    assert_eq!(document.metadata["tags"], serde_json::json!(["a", "b"]));
}

#[test]
fn records_are_paragraphs() {
    let expected = "id: 1\nq: a\n\nid: 2.5\nq: b";
    assert_eq!(
        read("x.json", r#"[{"id":1,"q":"a"},{"id":2.5,"q":"b"}]"#).text,
        expected
    );
    assert_eq!(
        read(
            "x.jsonl",
            "{\"id\":1,\"q\":\"a\"}\n\n{\"id\":2.5,\"q\":\"b\"}\r\n"
        )
        .text,
        expected
    );
}

#[test]
fn nesting_is_limited_and_expansion_too() {
    let deep = "[".repeat(100_000);
    assert_eq!(read_err("x.json", &deep).kind(), ErrorKind::InvalidInput);
    assert_eq!(read_err("x.jsonl", &deep).kind(), ErrorKind::InvalidInput);
    let wide = format!("{{\"{}\": [{}0]}}", "k".repeat(10_000), "0,".repeat(10_000));
    let limits = ParseLimits {
        max_text_bytes: 1 << 20,
        ..Default::default()
    };
    let error = parse(&ParseInput::new("x.json", wide.as_bytes()), &limits).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
}

#[test]
fn malformed_json_says_where() {
    let error = read_err("x.json", "\n{not json}");
    assert!(error.to_string().contains("line 2"), "{error}");
    let error = read_err("x.jsonl", "\n\nno record\n{\"a\": \n");
    assert!(error.to_string().contains("line 3"), "{error}");
    assert_eq!(
        read_err("x.json", "{\"a\": null}").kind(),
        ErrorKind::InvalidInput
    );
}

#[test]
fn json_without_a_name_is_recognised() {
    assert_eq!(read("upload", "{\"a\": 1}").metadata["format"], "json");
    assert_eq!(read("upload", "{not json}").metadata["format"], "text");
}

/// Text and warnings.
fn said(name: &str, json: &str) -> (String, Vec<String>) {
    let document = read(name, json);
    (document.text, document.warnings)
}

/// Reads without anything left out.
fn whole(name: &str, json: &str) -> String {
    let (text, warnings) = said(name, json);
    assert!(warnings.is_empty(), "{json}: {warnings:?}");
    text
}

#[test]
fn loose_json_is_read_whole() {
    for (json, text) in [
        ("{\"a\": \"x\",}", "a: x"),
        ("\u{feff}{\"a\": [1, 2,],}", "a[0]: 1\na[1]: 2"),
        ("// c\n{ /* \"b\": 1 */ \"a\": 1 // \"d\": 2\n}", "a: 1"),
        ("# c\n{'a': 'it\\'s', b: True, c: None}", "a: it's\nb: true"),
        (
            "{\"a\": NaN, \"b\": -Infinity, \"c\": .5}",
            "a: NaN\nb: -Infinity\nc: .5",
        ),
        (
            "{\"a\":\"tab\there\", \"b\":\"two\nlines\"}",
            "a: tab\there\nb: two\nlines",
        ),
        ("{\"p\": \"C:\\dir\"}", "p: C:\\dir"),
        ("{\"u\": \"http://x.org/*y\"} // end", "u: http://x.org/*y"),
    ] {
        assert_eq!(whole("x.json", json), text, "{json}");
    }
}

#[test]
fn numbers_keep_their_digits() {
    assert_eq!(
        whole(
            "x.json",
            "[123456789012345678901234, 2.50, 1e400, -0.0, 100.00]"
        ),
        "123456789012345678901234\n\n2.50\n\n1e400\n\n-0.0\n\n100.00"
    );
    let line = "{\"n\": 3.14159265358979323846264338327950288}";
    assert_eq!(
        whole("x.jsonl", line),
        "n: 3.14159265358979323846264338327950288"
    );
}

#[test]
fn values_after_each_other_are_records() {
    let expected = "a: 1\n\na: 2";
    for json in [
        "{\"a\":1}{\"a\":2}",
        "{\"a\":1}\n{\"a\":2}\n",
        "{\"a\":1},\n{\"a\":2},\n",
        "{\n  \"a\": 1\n}\n{\n  \"a\": 2\n}",
        "\u{1e}{\"a\"            :            1}\n\u{1e}{\"a\"           :            2}\n",
    ] {
        assert_eq!(whole("x.json", json), expected, "{json}");
        assert_eq!(whole("x.jsonl", json), expected, "{json}");
    }
    assert_eq!(
        read("upload", "{\"a\":1}\n{\"a\":2}\n").metadata["format"],
        "jsonl"
    );
}

#[test]
fn bad_records_are_left_out_and_said() {
    let records =
        "{\"id\":1}\n{\"id\":2,\"msg\":\"mast\n{\"id\":3}\nnot json\n{\"id\":4}\n{\"id\":5";
    for name in ["x.jsonl", "x.json"] {
        let (text, warnings) = said(name, records);
        assert_eq!(text, "id: 1\n\nid: 3\n\nid: 4", "{name}");
        assert_eq!(warnings.len(), 3, "{warnings:?}");
        for (warning, line) in warnings.iter().zip(["line 2 ", "line 4 ", "line 6 "]) {
            assert!(warning.contains(line), "{warning}");
        }
    }
    let many = format!("{{\"a\":1}}\n{}", "bad\n".repeat(1000));
    let (_, warnings) = said("x.jsonl", &many);
    assert!(warnings.len() < 30 && warnings.last().unwrap().contains("980 more"));
}

#[test]
fn damage_inside_of_a_value_stays_where_it_is() {
    for (json, text, line) in [
        (
            "[{\"a\":1},\n{\"b\": oops},\n{\"c\":3}]",
            "a: 1\n\nc: 3",
            "line 2",
        ),
        (
            "[{\"a\":1},\n{\"b\": \"x},\n{\"c\":3}]",
            "a: 1\n\nc: 3",
            "line 2",
        ),
        (
            "{\"a\": 1,\n\"b\": 1 2 3,\n\"c\": [4, 5}\n",
            "a: 1\nb: 1\nc[0]: 4\nc[1]: 5",
            "line 2",
        ),
        ("{\"a\": \"whole\", \"b\": \"cut he", "a: whole", "line 1"),
        ("{\"a\": 1,\n\"b\": 12", "a: 1", "line 2"),
        ("{\"a\": 1}}\n", "a: 1", "line 1"),
        ("{\"a\": 1\n\"b\": 2}", "a: 1\nb: 2", ""),
        ("{\"a\": 1 /* never closed", "a: 1", "line 1"),
    ] {
        let (read, warnings) = said("x.json", json);
        assert_eq!(read, text, "{json}");
        let first = warnings.first().map_or("", String::as_str);
        assert!(first.contains(line), "{json}: {warnings:?}");
    }
}

#[test]
fn damage_takes_no_more_than_linear_time() {
    let million = 1 << 20;
    for piece in [
        "[",
        "{\"a\":",
        "\"x\n",
        "{\"a\":\"\n",
        "[1,\n",
        "/*",
        "}",
        "\\",
        "{'",
        "'\n",
    ] {
        let text = piece.repeat(million / piece.len());
        for name in ["x.json", "x.jsonl"] {
            let limits = ParseLimits::default();
            let _ = parse(&ParseInput::new(name, text.as_bytes()), &limits);
        }
        let _ = read_damaged(&text);
    }
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        "\\PC*".prop_map(Value::from),
        "[\"\\\\/\n\t{}:,a\u{1f600}]*".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec(("[a-c\"\\\\é ]*", inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn good_json_is_read_as_strict_readers_do(value in values()) {
        for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
            let (read, rest) = read_first(&text).unwrap();
            prop_assert_eq!(&read, &value);
            prop_assert_eq!(rest, "");
            let (read, faults) = read_damaged(&text);
            prop_assert_eq!(read, Some(value.clone()));
            prop_assert!(faults.is_empty());
        }
    }
}

#[test]
fn what_follows_a_value_is_returned() {
    let (value, rest) = read_first("{\"a\": [1.5, 12345678901234567890123]}\n\nBody").unwrap();
    assert_eq!(value, json!({"a": [1.5, "12345678901234567890123"]}));
    assert_eq!(rest, "\n\nBody");
    assert!(read_first("{% raw %}").is_none());
}
