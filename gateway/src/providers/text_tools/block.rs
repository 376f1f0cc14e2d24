//! What a model wrote where a call may be: JSON, or what a model takes for it.

use serde_json::{Map, Value};

/// Names under which models give the function, and its arguments.
const NAMES: &[&str] = &["tool", "name", "function", "tool_name", "function_name"];
const ARGUMENTS: &[&str] = &["arguments", "parameters", "args", "input", "tool_input"];
/// What else stands in a call and means nothing here.
const IDLE: &[&str] = &["id", "type"];

/// Opening brackets in what is read as JSON5: no more levels than that can be open.
const MAX_BRACKETS: usize = 256;

/// A call as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) name: String,
    /// JSON text of an object, or whatever was written in its place.
    pub(super) arguments: String,
}

/// The calls that `text` consists of; `None` if it is anything else. A `lenient` reader
/// knows that a call was meant: there may be other fields, and the arguments may be missing.
///
/// What is not JSON is read as JSON5, whose reading of single quotes, trailing commas and
/// names without quotes is the only one that they can have.
pub(super) fn calls(text: &str, lenient: bool) -> Option<Vec<Found>> {
    let values = values(text)?;
    let mut found = Vec::new();
    for value in values {
        collect(value, lenient, &mut found)?;
    }
    (!found.is_empty()).then_some(found)
}

/// A call whose JSON is broken, but says which function is meant: its arguments are all
/// that follows the name, as it was written. Whoever runs functions tells the model.
pub(super) fn broken(text: &str) -> Option<Found> {
    let name_at = NAMES.iter().find_map(|name| {
        let quoted = [format!("\"{name}\""), format!("'{name}'")];
        quoted
            .iter()
            .find_map(|key| text.find(key.as_str()).map(|at| at + key.len()))
    })?;
    let rest = text[name_at..].trim_start().strip_prefix(':')?.trim_start();
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let (name, rest) = rest[1..].split_once(quote)?;
    if name.is_empty() || name.contains('\n') {
        return None;
    }
    let arguments = ARGUMENTS.iter().find_map(|key| {
        let at = rest.find(key)?;
        let after = rest[at + key.len()..].trim_start_matches(['"', '\'']);
        Some(after.trim_start().strip_prefix(':')?.trim())
    });
    Some(Found {
        name: name.to_owned(),
        arguments: arguments.unwrap_or(rest.trim()).to_owned(),
    })
}

/// Values one after the other, with or without commas and lines between them.
fn values(text: &str) -> Option<Vec<Value>> {
    let text = text.trim().trim_end_matches([',', ';']);
    let stream = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let strict: Result<Vec<Value>, _> = stream.collect();
    if let Ok(values) = strict {
        return Some(values);
    }
    // The crate follows nested brackets without a limit, until the stack is full.
    let brackets = text.bytes().filter(|byte| matches!(byte, b'{' | b'['));
    if brackets.count() > MAX_BRACKETS {
        return None;
    }
    if let Ok(value) = json5::from_str::<Value>(text) {
        return Some(vec![value]);
    }
    match json5::from_str::<Value>(&format!("[{text}]")) {
        Ok(Value::Array(values)) => Some(values),
        _ => None,
    }
}

/// Appends the calls of one value; `None` if it is not a call.
fn collect(value: Value, lenient: bool, found: &mut Vec<Found>) -> Option<()> {
    let mut fields = match value {
        Value::Object(fields) => fields,
        Value::Array(values) => {
            for value in values {
                collect(value, lenient, found)?;
            }
            return Some(());
        }
        _ => return None,
    };
    if let Some(list @ Value::Array(_)) = fields.shift_remove("tool_calls") {
        return match fields.is_empty() {
            true => collect(list, lenient, found),
            false => None,
        };
    }
    // OpenAI's shape: {"type": "function", "function": {"name": .., "arguments": ..}}.
    if let Some(Value::Object(inner)) = fields.get("function") {
        let inner = inner.clone();
        fields.shift_remove("function");
        let rest_says_nothing = fields.keys().all(|key| IDLE.contains(&key.as_str()));
        return match rest_says_nothing || lenient {
            true => collect(Value::Object(inner), lenient, found),
            false => None,
        };
    }
    found.push(call(fields, lenient)?);
    Some(())
}

fn call(mut fields: Map<String, Value>, lenient: bool) -> Option<Found> {
    let (name_key, name) = NAMES.iter().find_map(|key| match fields.get(*key) {
        Some(Value::String(name)) if !name.is_empty() => Some((*key, name.clone())),
        _ => None,
    })?;
    fields.shift_remove(name_key);
    let arguments = ARGUMENTS.iter().find_map(|key| fields.shift_remove(*key));
    let others = fields.keys().filter(|key| !IDLE.contains(&key.as_str()));
    if others.count() > 0 && !lenient {
        return None;
    }
    let arguments = match arguments {
        Some(Value::String(text)) => match serde_json::from_str(&text) {
            Ok(object @ Value::Object(_)) => object.to_string(),
            _ if lenient => text,
            _ => return None,
        },
        Some(object @ Value::Object(_)) => object.to_string(),
        Some(Value::Null) => "{}".to_owned(),
        Some(other) if lenient => other.to_string(),
        Some(_) => return None,
        None if lenient && fields.is_empty() => "{}".to_owned(),
        // Arguments on the level of the name, as some models write them.
        None if lenient => {
            fields.retain(|key, _| !IDLE.contains(&key.as_str()));
            Value::Object(fields).to_string()
        }
        None => return None,
    };
    Some(Found { name, arguments })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, lenient: bool) -> Option<Vec<(String, String)>> {
        let found = calls(text, lenient)?.into_iter();
        Some(found.map(|call| (call.name, call.arguments)).collect())
    }

    #[test]
    fn calls_are_known_in_the_forms_that_models_give_them() {
        let one = || Some(vec![("f".to_owned(), r#"{"a":1}"#.to_owned())]);
        for text in [
            r#"{"tool": "f", "arguments": {"a": 1}}"#,
            r#"{"name": "f", "parameters": {"a": 1}}"#,
            r#"{"arguments": {"a": 1}, "name": "f", "id": "x", "type": "function"}"#,
            r#"{"type": "function", "function": {"name": "f", "arguments": "{\"a\": 1}"}}"#,
            r#"[{"tool": "f", "arguments": {"a": 1}}]"#,
            r#"{"tool_calls": [{"name": "f", "arguments": {"a": 1}}]}"#,
            r#"{"tool": "f", "arguments": {"a": 1,},}"#,
            r#"{'tool': 'f', 'arguments': {'a': 1}}"#,
            "{tool: 'f', arguments: {a: 1}}\n",
        ] {
            assert_eq!(found(text, false), one(), "{text}");
            assert_eq!(found(text, true), one(), "{text}");
        }
        for two in [
            r#"{"tool": "f", "arguments": {}} {"tool": "g", "arguments": {}}"#,
            r#"{"tool": "f", "arguments": {}}, {"tool": "g", "arguments": {},}"#,
        ] {
            let names = found(two, false).unwrap();
            assert_eq!((names[0].0.as_str(), names[1].0.as_str()), ("f", "g"));
        }
    }

    #[test]
    fn what_may_be_an_answer_is_no_call_unless_one_was_meant() {
        for (text, meant) in [
            (r#"{"name": "Kiel", "arguments": "none"}"#, Some("none")),
            (r#"{"name": "Kiel"}"#, Some("{}")),
            (r#"{"name": "Kiel", "depth": 3}"#, Some(r#"{"depth":3}"#)),
            (r#"{"tool": "f", "arguments": [1]}"#, Some("[1]")),
            (r#"{"depth": 3}"#, None),
            ("[1, 2]", None),
            ("3", None),
            ("", None),
            ("{'tool': 'f', 'arguments': {'a': True}}", None),
        ] {
            assert_eq!(found(text, false), None, "{text}");
            let arguments = found(text, true).map(|calls| calls[0].1.clone());
            assert_eq!(arguments.as_deref(), meant, "{text}");
        }
    }

    #[test]
    fn brackets_without_end_are_no_call() {
        for piece in ["[", "[']',", "{a:", "[\"]\", {'a': "] {
            let text = format!("{{'tool': 'f', 'arguments': {}", piece.repeat(16_000));
            assert_eq!(calls(&text, true), None, "{piece}");
            let strict = format!("{{\"tool\": {}", piece.repeat(16_000));
            assert_eq!(calls(&strict, true), None, "{piece}");
        }
        let many = format!("{{tool: 'f', arguments: {{a: [{}]}}}}", "[1],".repeat(200));
        assert_eq!(calls(&many, false).unwrap().len(), 1);
        let deep = format!(
            "{{tool: 'f', arguments: {{a: {}{}}}}}",
            "[".repeat(250),
            "]".repeat(250)
        );
        assert_eq!(
            calls(&deep, false).unwrap().len(),
            1,
            "the stack is deep enough for it"
        );
    }

    #[test]
    fn broken_calls_keep_their_name_and_what_was_written() {
        for (text, name, arguments) in [
            (
                "{'tool': 'f', 'arguments': {'a': True}}",
                "f",
                "{'a': True}}",
            ),
            (r#"{"tool": "f", "arguments": {"a": "b"#, "f", r#"{"a": "b"#),
            (r#"{"name":"f" {"a"#, "f", r#"{"a"#),
        ] {
            let found = broken(text).unwrap();
            assert_eq!(
                (found.name.as_str(), found.arguments.as_str()),
                (name, arguments)
            );
            assert!(calls(text, true).is_none());
        }
        for text in ["{", "tool: f", r#"{"tool": 3"#, r#"{"tool": "f"#] {
            assert_eq!(broken(text), None, "{text}");
        }
    }
}
