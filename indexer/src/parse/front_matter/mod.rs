//! Front matter: the facts that a Markdown file opens with.

mod loose;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

use super::draft::Draft;
use super::{dates, json, language};

/// Longest front matter that is read; what is longer is text.
const MAX_BYTES: usize = 64 * 1024;
/// Most facts that one document may add.
const MAX_FACTS: usize = 64;
/// Longest fact, in bytes: filters compare words, not essays.
const MAX_VALUE_BYTES: usize = 1024;

/// Reads the facts at the start of `text` into `draft`; returns what follows.
///
/// YAML stands between `---` lines, TOML between `+++` lines, JSON between `;;;`
/// lines or in braces of its own. A block that breaks the rules of its language
/// is read line by line: what was meant as facts is never text. What does not
/// look like facts at all is.
pub(super) fn take<'a>(text: &'a str, draft: &mut Draft) -> &'a str {
    let text = text.trim_start_matches('\u{feff}');
    if text.starts_with('{') {
        return take_braces(text, draft).unwrap_or(text);
    }
    let Some(block) = split(text) else {
        return text;
    };
    let facts = match block.language {
        Language::Yaml => serde_yaml_ng::from_str(block.content).ok(),
        Language::Toml => toml::from_str::<toml::Table>(block.content)
            .ok()
            .map(toml_table),
        Language::Json => json::read_first(block.content).map(|(value, _)| value),
    };
    let facts = match facts {
        Some(Value::Null) => return block.rest,
        Some(Value::Object(facts)) => facts,
        _ => match loose::read(block.content) {
            Some(facts) => facts,
            None => return text,
        },
    };
    record(&facts, draft);
    block.rest
}

fn record(facts: &Map<String, Value>, draft: &mut Draft) {
    for (name, value) in facts.iter().take(MAX_FACTS) {
        if !is_template(value) {
            fact(name, value, draft, 0);
        }
    }
}

/// Whether a value is a place that a template fills in.
fn is_template(value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    ["{{", "{%", "<%", "${"]
        .iter()
        .any(|mark| text.contains(mark))
}

/// JSON in braces of its own, up to the end of a line.
fn take_braces<'a>(text: &'a str, draft: &mut Draft) -> Option<&'a str> {
    let block = &text[..text.floor_char_boundary(MAX_BYTES)];
    let (Value::Object(facts), rest) = json::read_first(block)? else {
        return None;
    };
    let rest = &text[block.len() - rest.len()..];
    let line_end = rest.find('\n').unwrap_or(rest.len());
    if facts.is_empty() || !rest[..line_end].trim().is_empty() {
        return None;
    }
    record(&facts, draft);
    Some(&rest[line_end..])
}

/// What front matter is written in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Language {
    Yaml,
    Toml,
    Json,
}

/// Front matter and what follows it.
struct Block<'a> {
    language: Language,
    content: &'a str,
    rest: &'a str,
}

fn split(text: &str) -> Option<Block<'_>> {
    let (first, body) = text.split_once('\n')?;
    // Some programs name the language behind the fence.
    let (fence, language) = match first.trim_end() {
        "---" | "---yaml" | "--- yaml" | "---yml" => ("---", Language::Yaml),
        "---toml" | "--- toml" => ("---", Language::Toml),
        "---json" | "--- json" => ("---", Language::Json),
        "+++" => ("+++", Language::Toml),
        ";;;" => (";;;", Language::Json),
        _ => return None,
    };
    let mut at = 0;
    for line in body.split_inclusive('\n') {
        if at > MAX_BYTES {
            return None;
        }
        let end = line.trim_end();
        if end == fence || (language == Language::Yaml && end == "...") {
            return Some(Block {
                language,
                content: &body[..at],
                rest: &body[at + line.len()..],
            });
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
