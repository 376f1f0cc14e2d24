//! The filter language of the API: JSON in, a checked tree out.
//!
//! `{"field": value}` · `{"field": {"in": [..]}}` · `{"field": {"gte": n,
//! "lte": n}}` · `{"and": [..]}` · `{"or": [..]}` · `{"not": {..}}`. Several
//! fields in one object must all hold.

use serde_json::Value;

use crate::{Error, ErrorKind, Result};

/// Deepest nesting that is accepted, so that no filter exhausts the stack.
const MAX_DEPTH: usize = 16;

/// Most conditions of a filter: each is a pass over the documents that have its field.
const MAX_CONDITIONS: usize = 1024;

/// Most values that the conditions of a filter compare with, all together.
const MAX_VALUES: usize = 10_000;

/// Longest name of a field, in bytes.
const MAX_FIELD_BYTES: usize = 256;

/// Longest text that a field is compared with, in bytes.
const MAX_TEXT_BYTES: usize = 8192;

/// What of a request is repeated in a message, in characters.
const MAX_SHOWN: usize = 120;

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
    /// The field is between the bounds, both inclusive.
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
        Parser::default().parse(json, 0)
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

/// JSON as it is shown in a message.
fn shown(json: &Value) -> String {
    let text = json.to_string();
    let end = text.char_indices().nth(MAX_SHOWN).map(|(at, _)| at);
    match end {
        Some(end) => format!("{}...", &text[..end]),
        None => text,
    }
}

/// Reads a filter, and counts what it will cost.
#[derive(Default)]
struct Parser {
    conditions: usize,
    values: usize,
}

impl Parser {
    fn parse(&mut self, json: &Value, depth: usize) -> Result<Filter> {
        if depth > MAX_DEPTH {
            return Err(invalid(format!(
                "the filter is nested deeper than {MAX_DEPTH} levels"
            )));
        }
        let Value::Object(fields) = json else {
            return Err(invalid(format!(
                "a filter is an object like {{\"field\": value}}, not {}",
                shown(json)
            )));
        };
        if fields.is_empty() {
            return Err(invalid(
                "the filter is an empty object; leave it out".into(),
            ));
        }
        let mut all = Vec::new();
        for (key, value) in fields {
            all.push(match key.as_str() {
                "and" => Filter::And(self.list(key, value, depth)?),
                "or" => Filter::Or(self.list(key, value, depth)?),
                "not" => Filter::Not(Box::new(self.parse(value, depth + 1)?)),
                field => self.condition(field, value)?,
            });
        }
        Ok(if all.len() == 1 {
            all.swap_remove(0)
        } else {
            Filter::And(all)
        })
    }

    fn list(&mut self, key: &str, value: &Value, depth: usize) -> Result<Vec<Filter>> {
        match value {
            Value::Array(items) if !items.is_empty() => items
                .iter()
                .map(|item| self.parse(item, depth + 1))
                .collect(),
            _ => Err(invalid(format!(
                "`{key}` takes a list of filters that is not empty"
            ))),
        }
    }

    fn condition(&mut self, field: &str, value: &Value) -> Result<Filter> {
        self.conditions += 1;
        if self.conditions > MAX_CONDITIONS {
            return Err(invalid(format!(
                "the filter has more than {MAX_CONDITIONS} conditions; several values of one \
                 field fit into one: {{\"field\": {{\"in\": [..]}}}}"
            )));
        }
        if field.len() > MAX_FIELD_BYTES {
            return Err(invalid(format!(
                "a field of the filter has a name of more than {MAX_FIELD_BYTES} bytes"
            )));
        }
        let Value::Object(operators) = value else {
            return Ok(Filter::In(field.into(), vec![self.scalar(field, value)?]));
        };
        let (mut low, mut high, mut values) = (None, None, None);
        for (operator, operand) in operators {
            match (operator.as_str(), operand) {
                ("in", Value::Array(items)) => {
                    let checked: Result<Vec<_>> =
                        items.iter().map(|v| self.scalar(field, v)).collect();
                    values = Some(checked?);
                }
                ("gte", _) => low = Some(self.bound(field, operand)?),
                ("lte", _) => high = Some(self.bound(field, operand)?),
                _ => {
                    let operator: String = operator.chars().take(MAX_SHOWN).collect();
                    return Err(invalid(format!(
                        "`{field}` takes a value, {{\"in\": [..]}}, {{\"gte\": n}} or \
                         {{\"lte\": n}}, not {{\"{operator}\": {}}}",
                        shown(operand)
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

    /// Counts one value that a field is compared with.
    fn count(&mut self, field: &str, value: &Value) -> Result<()> {
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(invalid(format!(
                "the filter compares with more than {MAX_VALUES} values"
            )));
        }
        if value
            .as_str()
            .is_some_and(|text| text.len() > MAX_TEXT_BYTES)
        {
            return Err(invalid(format!(
                "`{field}` is compared with a text of more than {MAX_TEXT_BYTES} bytes"
            )));
        }
        Ok(())
    }

    fn scalar(&mut self, field: &str, value: &Value) -> Result<Value> {
        self.count(field, value)?;
        match value {
            Value::String(_) | Value::Number(_) | Value::Bool(_) => Ok(value.clone()),
            _ => Err(invalid(format!(
                "`{field}` is compared with a text, number or boolean, not {}",
                shown(value)
            ))),
        }
    }

    fn bound(&mut self, field: &str, value: &Value) -> Result<Bound> {
        self.count(field, value)?;
        match value {
            Value::Number(number) => Ok(Bound::Number(number.as_f64().unwrap_or(f64::NAN))),
            Value::String(text) => Ok(Bound::Text(text.clone())),
            _ => Err(invalid(format!(
                "a bound of `{field}` is a number or a text, not {}",
                shown(value)
            ))),
        }
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
    fn what_a_filter_costs_has_bounds() {
        let parse = |filter: Value| Filter::parse(&filter).map_err(|e| e.to_string());
        let ors = |count: usize| json!({"or": vec![json!({"n": 1}); count]});
        parse(ors(MAX_CONDITIONS)).unwrap();
        let error = parse(ors(MAX_CONDITIONS + 1)).unwrap_err();
        assert!(error.contains("1024 conditions"), "{error}");
        // However they are spread.
        let wide = |each: usize, count: usize| {
            let condition = json!({"n": {"in": vec![7; each]}});
            json!({"and": vec![condition; count]})
        };
        parse(wide(100, 100)).unwrap();
        let error = parse(wide(101, 100)).unwrap_err();
        assert!(error.contains("10000 values"), "{error}");
        let error = parse(json!({"x".repeat(257): 1})).unwrap_err();
        assert!(error.contains("256 bytes"), "{error}");
        for long in [json!("x".repeat(8193)), json!({"gte": "x".repeat(8193)})] {
            let error = parse(json!({ "n": long })).unwrap_err();
            assert!(error.contains("8192 bytes"), "{error}");
        }
        // A message repeats a part of what was sent.
        let error = parse(json!({"n": {"x".repeat(1 << 20): vec![1; 1 << 16]}})).unwrap_err();
        assert!(error.len() < 1000, "{} bytes", error.len());
    }

    #[test]
    fn refuses_deep_nesting() {
        let deep = (0..1000).fold(json!({"a": 1}), |inner, _| json!({"not": inner}));
        assert!(Filter::parse(&deep).is_err());
    }
}
