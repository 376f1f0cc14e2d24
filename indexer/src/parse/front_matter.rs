//! Front matter: the facts that a Markdown file opens with.

use serde_json::Value;

use super::draft::Draft;
use super::{dates, language};

/// Longest front matter that is read; what is longer is text.
const MAX_BYTES: usize = 64 * 1024;
/// Most facts that one document may add.
const MAX_FACTS: usize = 64;
/// Longest fact, in bytes: filters compare words, not essays.
const MAX_VALUE_BYTES: usize = 1024;

/// Reads the facts at the start of `text` into `draft`; returns what follows.
/// YAML stands between `---` lines, TOML between `+++` lines. What does not
/// parse as either is text.
pub(super) fn take<'a>(text: &'a str, draft: &mut Draft) -> &'a str {
    let text = text.trim_start_matches('\u{feff}');
    let Some((fence, block, rest)) = split(text) else {
        return text;
    };
    let value: Option<Value> = if fence == "---" {
        serde_yaml_ng::from_str(block).ok()
    } else {
        toml::from_str::<toml::Table>(block).ok().map(toml_table)
    };
    match value {
        Some(Value::Object(facts)) => {
            for (name, value) in facts.iter().take(MAX_FACTS) {
                fact(name, value, draft, 0);
            }
            rest
        }
        Some(Value::Null) => rest,
        _ => text,
    }
}

/// The fence, what is inside, what is after.
fn split(text: &str) -> Option<(&str, &str, &str)> {
    let (first, body) = text.split_once('\n')?;
    let fence = first.trim_end();
    if fence != "---" && fence != "+++" {
        return None;
    }
    let mut at = 0;
    for line in body.split_inclusive('\n') {
        if at > MAX_BYTES {
            return None;
        }
        let end = line.trim_end();
        if end == fence || (fence == "---" && end == "...") {
            return Some((fence, &body[..at], &body[at + line.len()..]));
        }
        at += line.len();
    }
    None
}

/// Records one fact of front matter or of a JSON document: names that mean the
/// same become one, dates and languages get one form, nested maps are joined
/// with dots.
pub(super) fn fact(name: &str, value: &Value, draft: &mut Draft, depth: u8) {
    let key = name.trim().to_lowercase();
    match (key.as_str(), value) {
        ("", _) => {}
        ("title", _) => {
            if let Some(title) = scalar(value) {
                draft.propose_title(&title);
            }
        }
        ("lang" | "language" | "locale", Value::String(tag)) => {
            if let Some(code) = language::normalize(tag) {
                draft.fact("language", code);
            }
        }
        ("date" | "published" | "pubdate" | "created" | "updated" | "modified" | "lastmod", _) => {
            let date = scalar(value).map(|text| dates::normalize(&text).unwrap_or(text));
            let key = match key.as_str() {
                "published" | "pubdate" => "date",
                "lastmod" | "updated" => "modified",
                other => other,
            };
            draft.fact(key, date);
        }
        ("author" | "authors", _) => draft.fact("author", flat(value)),
        ("tags" | "tag" | "keywords" | "categories" | "category", _) => {
            let key = if key.starts_with("categor") {
                "categories"
            } else {
                "tags"
            };
            draft.fact(key, list(value));
        }
        (_, Value::Object(inner)) if depth < 2 => {
            for (inner_name, value) in inner.iter().take(MAX_FACTS) {
                fact(&format!("{key}.{inner_name}"), value, draft, depth + 1);
            }
        }
        (_, Value::Object(_)) => {}
        _ => draft.fact(&key, flat(value)),
    }
}

/// A scalar as text.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// Scalars stay, lists keep their scalars (and the `name` of each object), a
/// list of one is that one.
fn flat(value: &Value) -> Value {
    match value {
        Value::String(text) => short(text),
        Value::Array(items) => {
            let mut kept: Vec<Value> = items.iter().filter_map(item).take(MAX_FACTS).collect();
            if kept.len() == 1 {
                kept.swap_remove(0)
            } else {
                Value::Array(kept)
            }
        }
        Value::Object(_) => item(value).unwrap_or(Value::Null),
        other => other.clone(),
    }
}

fn item(value: &Value) -> Option<Value> {
    match value {
        Value::String(text) => Some(short(text)),
        Value::Number(_) | Value::Bool(_) => Some(value.clone()),
        Value::Object(fields) => fields.get("name").and_then(Value::as_str).map(short),
        _ => None,
    }
}

/// Tags are a list even when they were written `a, b`.
fn list(value: &Value) -> Value {
    match value {
        Value::String(text) => text
            .split([',', ';'])
            .map(str::trim)
            .filter(|tag| !tag.is_empty())
            .take(MAX_FACTS)
            .map(short)
            .collect(),
        Value::Array(items) => items.iter().filter_map(item).take(MAX_FACTS).collect(),
        other => flat(other),
    }
}

fn short(text: &str) -> Value {
    text[..text.floor_char_boundary(MAX_VALUE_BYTES)].into()
}

/// TOML's dates are texts for us.
fn toml_table(table: toml::Table) -> Value {
    Value::Object(
        table
            .into_iter()
            .map(|(name, value)| (name, toml_value(value)))
            .collect(),
    )
}

fn toml_value(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => number.into(),
        toml::Value::Boolean(flag) => flag.into(),
        toml::Value::Datetime(date) => date.to_string().into(),
        toml::Value::Array(items) => items.into_iter().map(toml_value).collect(),
        toml::Value::Table(table) => toml_table(table),
    }
}

#[cfg(test)]
mod tests {
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
        assert_eq!(
            read("---\n[broken: yaml\n---\nBody").text.lines().last(),
            Some("Body")
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
}
