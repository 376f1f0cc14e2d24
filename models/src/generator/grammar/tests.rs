//! Texts along random ways through grammars of random schemas.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::check::check;
use super::*;

/// Whether `text` is accepted to its end.
fn accepts(grammar: &Grammar, text: &str) -> bool {
    let mut acceptor = Acceptor::new(grammar);
    acceptor.push(text.as_bytes()) && acceptor.may_end()
}

/// Whether `arguments` are accepted for a function with `schema`.
fn takes(schema: &Value, arguments: &str) -> bool {
    let grammar = Grammar::calls([("f", schema)], false).unwrap();
    accepts(
        &grammar,
        &format!(r#"{{"tool":"f","arguments":{arguments}}}"#),
    )
}

fn object(name: &str, schema: Value) -> Value {
    json!({"type": "object", "properties": {name: schema}, "required": [name]})
}

#[test]
fn a_call_names_an_offered_function_and_nothing_follows() {
    let schema = json!({"type": "object", "properties": {}});
    let functions = [
        ("tide", &schema),
        ("tides", &schema),
        ("we \"ird\"", &schema),
    ];
    let grammar = Grammar::calls(functions, false).unwrap();
    for text in [
        r#"{"tool":"tide","arguments":{}}"#,
        r#"{"tool": "tides", "arguments": {}}"#,
        r#"{"tool":"we \"ird\"","arguments":{}}"#,
    ] {
        assert!(accepts(&grammar, text), "{text}");
        let mut acceptor = Acceptor::new(&grammar);
        assert!(acceptor.push(text.as_bytes()) && acceptor.is_over());
        assert!(!acceptor.push(b" "));
    }
    for text in [
        "",
        "words",
        r#"{"tool":"tid","arguments":{}}"#,
        r#"{"tool":"wind","arguments":{}}"#,
        r#"{"tool":  "tide","arguments":{}}"#,
        r#"{"arguments":{},"tool":"tide"}"#,
        r#"{"tool":"tide","arguments":{"a":1}}"#,
        r#"{"tool":"tide","arguments":[]}"#,
        r#"{"tool":"tide","arguments":{}"#,
        r#" {"tool":"tide","arguments":{}}"#,
    ] {
        assert!(!accepts(&grammar, text), "{text}");
    }
    let none: [(&str, &Value); 0] = [];
    let error = Grammar::calls(none, true).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[test]
fn the_first_byte_decides_between_words_and_a_call() {
    let schema = json!({});
    let grammar = Grammar::calls([("f", &schema)], true).unwrap();
    for text in [
        "Hello {\"tool\"}.\nBye",
        "größe",
        "[1]",
        r#"{"tool":"f","arguments":{}}"#,
    ] {
        assert!(accepts(&grammar, text), "{text}");
    }
    for text in ["", " x", "{}", "{\"tool\":\"g\"", "\u{7}"] {
        assert!(!accepts(&grammar, text), "{text}");
    }
    let mut cut = Acceptor::new(&grammar);
    assert!(cut.push(b"gr\xc3") && !cut.may_end() && !cut.is_call());
    assert!(!cut.push(b"o"), "half a character");
}

#[test]
fn values_follow_their_schema() {
    let cases = [
        (
            json!({"type": "string"}),
            vec!["\"\"", "\"a\\n\\\"é\""],
            vec!["1", "\"\\u00e9\"", "\"\t\"", "null"],
        ),
        (
            json!({"type": "string", "minLength": 2, "maxLength": 3}),
            vec!["\"éé\"", "\"abc\""],
            vec!["\"a\"", "\"abcd\""],
        ),
        (
            json!({"type": "integer"}),
            vec!["0", "-12"],
            vec!["1.5", "01", "-0", "1e3", "\"1\"", "1234567890123456"],
        ),
        (
            json!({"type": "integer", "minimum": 0}),
            vec!["7"],
            vec!["-1"],
        ),
        (
            json!({"type": "integer", "minimum": 8, "exclusiveMaximum": 12}),
            vec!["8", "11"],
            vec!["7", "12", "1", "112"],
        ),
        (
            json!({"type": "number"}),
            vec!["-0.25", "3"],
            vec!["1.", ".5", "1.2345678"],
        ),
        (
            json!({"type": "boolean"}),
            vec!["true", "false"],
            vec!["True", "1"],
        ),
        (
            json!({"type": ["string", "null"]}),
            vec!["null", "\"x\""],
            vec!["1"],
        ),
        (
            json!({"type": ["integer", "number"]}),
            vec!["1", "1.5"],
            vec!["null"],
        ),
        (
            json!({"enum": [1, 12, "a", "ab", null]}),
            vec!["1", "12", "\"ab\"", "null"],
            vec!["2", "\"abc\"", "nul"],
        ),
        (json!({"const": "x"}), vec!["\"x\""], vec!["\"y\""]),
        (
            json!({"anyOf": [{"type": "integer"}, {"type": "array", "items": {"type": "integer"}}]}),
            vec!["1", "[1, 2]"],
            vec!["[\"a\"]", "null"],
        ),
        (
            json!({"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 2}),
            vec!["[true]", "[true,false]"],
            vec!["[]", "[true,true,true]", "[true,]"],
        ),
        (
            json!({"type": "object", "additionalProperties": {"type": "integer"}}),
            vec!["{}", "{\"a\":1,\"b\":2}"],
            vec!["{\"a\":\"b\"}"],
        ),
        (
            json!({"$ref": "#/x"}),
            vec!["1", "{\"a\":[null,{}]}", "\"x\""],
            vec!["[[[[[1]]]]]", "nix"],
        ),
        (
            json!({"anyOf": [{"type": "string"}, {"enum": ["a"]}]}),
            vec!["\"a\"", "1"],
            vec!["x"],
        ),
    ];
    for (schema, good, bad) in cases {
        let whole = object("v", schema.clone());
        for value in good {
            assert!(
                takes(&whole, &format!("{{\"v\":{value}}}")),
                "{value} of {schema}"
            );
        }
        for value in bad {
            assert!(
                !takes(&whole, &format!("{{\"v\":{value}}}")),
                "{value} of {schema}"
            );
        }
    }
}

#[test]
fn objects_have_what_is_required_once_and_nothing_else() {
    let schema = json!({
        "properties": {"a": {"type": "integer"}, "ab": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["b", "undeclared"],
    });
    for good in [
        r#"{"b":1,"undeclared":null}"#,
        r#"{"ab":1, "a":2, "undeclared":[1], "b":3}"#,
    ] {
        assert!(takes(&schema, good), "{good}");
    }
    for bad in [
        "{}",
        r#"{"b":1}"#,
        r#"{"b":1,"b":2,"undeclared":1}"#,
        r#"{"b":1,"undeclared":1,"c":1}"#,
        r#"{"b":1,"undeclared":1,}"#,
    ] {
        assert!(!takes(&schema, bad), "{bad}");
    }
}

#[test]
fn odd_schemas_say_less_and_never_fail() {
    let mut deep = json!({"type": "integer"});
    for _ in 0..100 {
        deep = object("d", deep);
    }
    let wide: serde_json::Map<String, Value> = (0..100)
        .map(|at| (format!("p{at}"), json!({"type": "integer"})))
        .collect();
    for schema in [
        Value::Null,
        json!(true),
        json!({"type": "string"}),
        json!({"type": "nothing"}),
        json!({"enum": []}),
        json!({"properties": 3, "required": "x"}),
        deep,
        json!({"properties": wide}),
        json!({"type": "array", "minItems": 1000}),
    ] {
        let grammar = Grammar::calls([("f", &schema)], false).unwrap();
        let mut rest = Vec::new();
        Acceptor::new(&grammar).rest(&mut rest);
        let call: Value = serde_json::from_slice(&rest).unwrap();
        assert!(call["arguments"].is_object(), "{schema}: {call}");
    }
    assert!(takes(&Value::Null, r#"{"anything":{"goes":1}}"#));
}

fn schemas() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        (0..4u8, 4..9u8)
            .prop_map(|(min, max)| json!({"type": "string", "minLength": min, "maxLength": max})),
        Just(json!({"type": "string"})),
        Just(json!({"type": "integer"})),
        Just(json!({"type": "number"})),
        Just(json!({"type": "boolean"})),
        Just(json!({"type": ["integer", "null"]})),
        (-5..5i64, 0..20i64).prop_map(
            |(least, more)| json!({"type": "integer", "minimum": least, "maximum": least + more})
        ),
        Just(json!({"enum": [1, 12, 123, "1", "größe", "gr", null, {"a": [1]}]})),
        Just(json!({})),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            (inner.clone(), 0..3u8, 0..3u8).prop_map(|(items, min, more)| {
                json!({"type": "array", "items": items, "minItems": min, "maxItems": min + more})
            }),
            objects(inner),
        ]
    })
}

fn objects(inner: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    let names = prop_oneof![
        Just("a"),
        Just("ab"),
        Just("größe"),
        Just("\"q\""),
        Just("to")
    ];
    proptest::collection::vec((names, inner, any::<bool>()), 0..5).prop_map(|fields| {
        let required: Vec<&str> = fields.iter().filter(|f| f.2).map(|f| f.0).collect();
        let properties: serde_json::Map<String, Value> = fields
            .iter()
            .map(|(name, schema, _)| ((*name).to_owned(), schema.clone()))
            .collect();
        json!({"type": "object", "properties": properties, "required": required})
    })
}

proptest! {
    /// However far a text went, its rest makes it a call that keeps to its schema; and what
    /// follows a part of the rest is the rest of it.
    #[test]
    fn every_way_can_be_ended_and_is_then_a_call(
        first in objects(schemas()),
        second in objects(schemas()),
        steps in proptest::collection::vec(any::<u16>(), 0..160),
    ) {
        let functions = [("first", &first), ("second", &second)];
        let grammar = Grammar::calls(functions, false).unwrap();
        let mut acceptor = Acceptor::new(&grammar);
        let (mut text, mut rest) = (Vec::new(), Vec::new());
        for step in steps {
            acceptor.rest(&mut rest);
            prop_assert_eq!(acceptor.rest_len(), rest.len());
            let may: Vec<u8> = (0..=u8::MAX).filter(|&byte| acceptor.clone().push(&[byte])).collect();
            prop_assert_eq!(may.is_empty(), acceptor.is_over());
            if may.is_empty() {
                break;
            }
            // Half of the steps go straight on, so that strings do not take all of them.
            let byte = match step % 2 {
                0 => rest[0],
                _ => may[usize::from(step / 2) % may.len()],
            };
            prop_assert!(acceptor.push(&[byte]), "{:?}", byte);
            text.push(byte);
            if byte == rest[0] {
                let mut after = Vec::new();
                acceptor.rest(&mut after);
                prop_assert_eq!(&rest[1..], &after[..]);
            }
        }
        acceptor.rest(&mut rest);
        prop_assert!(acceptor.push(&rest) && acceptor.is_over());
        text.extend_from_slice(&rest);
        let text = String::from_utf8(text).unwrap();
        let call: Value = serde_json::from_str(&text).unwrap();
        let schema = match call["tool"].as_str() {
            Some("first") => &first,
            Some("second") => &second,
            other => panic!("{other:?}"),
        };
        prop_assert_eq!(check(schema, &call["arguments"]), Ok(()), "{}", text);
    }
}
