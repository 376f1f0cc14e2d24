//! For tests, a second opinion: whether a value keeps to what a grammar keeps of a schema.

use serde_json::Value;

/// The first fault of `value`.
pub(in super::super) fn check(schema: &Value, value: &Value) -> Result<(), String> {
    let fault = |what: &str| Err(format!("{what}: {value} against {schema}"));
    if let Some(values) = schema["enum"].as_array() {
        return match values.contains(value) {
            true => Ok(()),
            false => fault("not listed"),
        };
    }
    if let Some(list) = schema["anyOf"].as_array() {
        return match list.iter().any(|one| check(one, value).is_ok()) {
            true => Ok(()),
            false => fault("none fits"),
        };
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => return Ok(()),
    };
    let of_kind = kinds.iter().any(|kind| match *kind {
        "string" => value.is_string(),
        "integer" => value.is_i64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("no such type: {other}"),
    });
    if !of_kind {
        return fault("another type");
    }
    let within = |len: usize, least: &str, most: &str| {
        let least = schema[least].as_u64().unwrap_or(0);
        let most = schema[most].as_u64().unwrap_or(u64::MAX);
        (least..=most).contains(&(len as u64))
    };
    match value {
        Value::String(text) => {
            if !within(text.chars().count(), "minLength", "maxLength") {
                return fault("another length");
            }
        }
        Value::Number(number) => {
            let number = number.as_f64().unwrap();
            let bound = |name: &str, or: f64| schema[name].as_f64().unwrap_or(or);
            let has_both = schema["maximum"].is_number() && schema["minimum"].is_number();
            if has_both && !(bound("minimum", 0.0)..=bound("maximum", 0.0)).contains(&number) {
                return fault("out of bounds");
            }
        }
        Value::Array(items) => {
            if !within(items.len(), "minItems", "maxItems") {
                return fault("another count");
            }
            for item in items {
                check(&schema["items"], item)?;
            }
        }
        Value::Object(fields) => {
            for name in schema["required"].as_array().into_iter().flatten() {
                if !fields.contains_key(name.as_str().unwrap()) {
                    return fault(&format!("{name} is missing"));
                }
            }
            let Some(properties) = schema["properties"].as_object() else {
                return Ok(());
            };
            for (name, field) in fields {
                match properties.get(name) {
                    Some(schema) => check(schema, field)?,
                    None => return fault(&format!("{name} is not declared")),
                }
            }
        }
        Value::Bool(_) | Value::Null => {}
    }
    Ok(())
}
