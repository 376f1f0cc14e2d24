//! The filter language of the API: JSON in, a checked tree out.
//!
//! `{"field": value}` · `{"field": {"in": [..]}}` · `{"field": {"gte": n,
//! "lte": n}}` · `{"and": [..]}` · `{"or": [..]}` · `{"not": {..}}`. Several
//! fields in one object must all hold.

use serde_json::Value;

use crate::{Error, ErrorKind, Result};

/// Deepest nesting that is accepted, so that no filter exhausts the stack.
const MAX_DEPTH: usize = 16;

/// One end of a range.
#[derive(Clone, Debug, PartialEq)]
pub enum Bound {
    /// A number, compared as such.
    Number(f64),
    /// A text (ISO dates among them), compared byte by byte.
    Text(String),
}

/// A condition on a document's metadata, `uri`, `title`, `document_id` or
/// `labels`.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// The field has one of these values (text, number or boolean).
    In(String, Vec<Value>),
    /// The field lies between the bounds, both inclusive.
    Range(String, Option<Bound>, Option<Bound>),
    /// All hold.
    And(Vec<Filter>),
    /// At least one holds.
    Or(Vec<Filter>),
    /// It does not hold.
    Not(Box<Filter>),
}

impl Filter {
    /// Reads the JSON form. Errors say which part is wrong.
    pub fn parse(json: &Value) -> Result<Self> {
        parse(json, 0)
    }

    /// The fields that it asks for, to be checked against those that exist.
    pub fn fields(&self) -> Vec<&str> {
        match self {
            Self::In(field, _) | Self::Range(field, ..) => vec![field],
            Self::And(all) | Self::Or(all) => all.iter().flat_map(Self::fields).collect(),
            Self::Not(inner) => inner.fields(),
        }
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidInput, message)
}

fn parse(json: &Value, depth: usize) -> Result<Filter> {
    if depth > MAX_DEPTH {
        return Err(invalid(format!(
            "the filter is nested deeper than {MAX_DEPTH} levels"
        )));
    }
    let Value::Object(fields) = json else {
        return Err(invalid(format!(
            "a filter is an object like {{\"field\": value}}, not {json}"
        )));
    };
    if fields.is_empty() {
        return Err(invalid(
            "the filter is an empty object; leave it out".into(),
        ));
    }
    let mut all = Vec::with_capacity(fields.len());
    for (key, value) in fields {
        all.push(match key.as_str() {
            "and" => Filter::And(list(key, value, depth)?),
            "or" => Filter::Or(list(key, value, depth)?),
            "not" => Filter::Not(Box::new(parse(value, depth + 1)?)),
            field => condition(field, value)?,
        });
    }
    Ok(if all.len() == 1 {
        all.swap_remove(0)
    } else {
        Filter::And(all)
    })
}

fn list(key: &str, value: &Value, depth: usize) -> Result<Vec<Filter>> {
    match value {
        Value::Array(items) if !items.is_empty() => {
            items.iter().map(|item| parse(item, depth + 1)).collect()
        }
        _ => Err(invalid(format!(
            "`{key}` takes a list of filters that is not empty"
        ))),
    }
}

fn condition(field: &str, value: &Value) -> Result<Filter> {
    let Value::Object(operators) = value else {
        return Ok(Filter::In(field.into(), vec![scalar(field, value)?]));
    };
    let (mut low, mut high, mut values) = (None, None, None);
    for (operator, operand) in operators {
        match (operator.as_str(), operand) {
            ("in", Value::Array(items)) => {
                let checked: Result<Vec<_>> = items.iter().map(|v| scalar(field, v)).collect();
                values = Some(checked?);
            }
            ("gte", _) => low = Some(bound(field, operand)?),
            ("lte", _) => high = Some(bound(field, operand)?),
            _ => {
                return Err(invalid(format!(
                    "`{field}` takes a value, {{\"in\": [..]}}, {{\"gte\": n}} or {{\"lte\": n}}, \
                     not {{\"{operator}\": {operand}}}"
                )));
            }
        }
    }
    match (values, low, high) {
        (Some(values), None, None) => Ok(Filter::In(field.into(), values)),
        (None, None, None) => Err(invalid(format!("`{field}` has no operator"))),
        (None, low, high) => Ok(Filter::Range(field.into(), low, high)),
        (Some(_), ..) => Err(invalid(format!(
            "`{field}` mixes `in` with a range; combine them with `and`"
        ))),
    }
}

fn scalar(field: &str, value: &Value) -> Result<Value> {
    match value {
        Value::String(_) | Value::Number(_) | Value::Bool(_) => Ok(value.clone()),
        _ => Err(invalid(format!(
            "`{field}` is compared with a text, number or boolean, not {value}"
        ))),
    }
}

fn bound(field: &str, value: &Value) -> Result<Bound> {
    match value {
        Value::Number(number) => Ok(Bound::Number(number.as_f64().unwrap_or(f64::NAN))),
        Value::String(text) => Ok(Bound::Text(text.clone())),
        _ => Err(invalid(format!(
            "a bound of `{field}` is a number or a text, not {value}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_every_form() {
        let filter = Filter::parse(&json!({
            "language": "en",
            "year": {"gte": 2020, "lte": 2024},
            "or": [{"team": {"in": ["a", "b"]}}, {"not": {"draft": true}}],
        }))
        .unwrap();
        assert_eq!(filter.fields(), ["language", "year", "team", "draft"]);
        assert!(matches!(filter, Filter::And(ref parts) if parts.len() == 3));
    }

    #[test]
    fn says_what_is_wrong() {
        for (bad, expected) in [
            (json!([]), "a filter is an object"),
            (json!({}), "empty object"),
            (json!({"a": {"like": "x"}}), "not {\"like\": \"x\"}"),
            (json!({"a": [1]}), "not [1]"),
            (json!({"and": []}), "not empty"),
            (json!({"a": {"in": [1], "gte": 2}}), "combine them"),
        ] {
            let message = Filter::parse(&bad).unwrap_err().to_string();
            assert!(message.contains(expected), "{bad}: {message}");
        }
    }

    #[test]
    fn refuses_deep_nesting() {
        let deep = (0..1000).fold(json!({"a": 1}), |inner, _| json!({"not": inner}));
        assert!(Filter::parse(&deep).is_err());
    }
}
