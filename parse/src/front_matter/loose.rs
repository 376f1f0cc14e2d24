//! Front matter that breaks the rules of YAML or TOML, as people write it: a
//! colon in a title, a tab, a sign that means something else, a template.
//!
//! It is read line by line, as whoever wrote it meant it.

use serde_json::{Map, Value};

/// The facts of a block; `None` if it does not look like facts.
pub(super) fn read(block: &str) -> Option<Map<String, Value>> {
    let block = block.trim_end();
    let mut lines = block.lines().filter(|line| !is_blank(line));
    key_and_value(lines.next()?)?;
    // Prose between two rules may have a colon in its first line.
    let strange = lines.filter(|line| !may_be_fact(line)).count();
    if strange > 0 && strange * 5 > block.lines().count() {
        return None;
    }
    let mut reader = Loose::default();
    for line in block.lines().filter(|line| !is_blank(line)) {
        reader.line(line);
    }
    reader.close();
    Some(reader.facts)
}

/// Nothing, or a remark.
fn is_blank(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#')
}

/// Whether a line is a fact, part of one, or what a template leaves.
fn may_be_fact(line: &str) -> bool {
    line.starts_with([' ', '\t', '-', '[', ']', '{', '}'])
        || key_and_value(line).is_some()
        || line.starts_with("<%")
}

#[derive(Default)]
struct Loose {
    facts: Map<String, Value>,
    /// Fact to which lines below it may belong.
    key: Option<String>,
    /// Those lines: items of a list, inner facts, or words.
    items: Vec<Value>,
    inner: Map<String, Value>,
    words: Vec<String>,
}

impl Loose {
    fn line(&mut self, line: &str) {
        let is_inside = line.starts_with([' ', '\t']);
        let content = line.trim();
        if let Some(item) = item(content) {
            if self.key.is_some() {
                self.items.push(scalar(item));
            }
        } else if is_inside && self.key.is_some() {
            match key_and_value(content) {
                Some((name, value)) if self.words.is_empty() => {
                    self.inner.entry(name).or_insert_with(|| scalar(value));
                }
                _ => self.words.push(content.to_owned()),
            }
        } else if let Some((name, value)) = key_and_value(content) {
            self.close();
            match value {
                "" => self.key = Some(name),
                ">" | "|" | ">-" | "|-" | ">+" | "|+" => {
                    self.key = Some(name);
                    // A block of words, even where they look like facts.
                    self.words.push(String::new());
                }
                value => self.add(name, list_or_scalar(value)),
            }
        }
    }

    /// Records the fact whose lines have ended.
    fn close(&mut self) {
        let items = std::mem::take(&mut self.items);
        let inner = std::mem::take(&mut self.inner);
        let words = std::mem::take(&mut self.words);
        let Some(key) = self.key.take() else { return };
        let value = if !items.is_empty() {
            Value::Array(items)
        } else if !inner.is_empty() {
            Value::Object(inner)
        } else {
            words.join(" ").trim().into()
        };
        self.add(key, value);
    }

    /// The first of two facts of one name counts.
    fn add(&mut self, name: String, value: Value) {
        self.facts.entry(name).or_insert(value);
    }
}

/// The item of a list.
fn item(content: &str) -> Option<&str> {
    if content == "-" {
        return Some("");
    }
    let item = content
        .strip_prefix("- ")
        .or_else(|| content.strip_prefix("-\t"));
    item.map(str::trim)
}

/// `name: value` or `name = value`.
fn key_and_value(line: &str) -> Option<(String, &str)> {
    let at = line.find([':', '='])?;
    let (name, value) = line.split_at(at);
    let value = &value[1..];
    let name = name.trim().trim_matches(['"', '\'']);
    let is_name = !name.is_empty()
        && name.len() <= 64
        && name.split_whitespace().count() <= 3
        && name
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ' | '/' | '@' | '$'))
        && name.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '@'));
    let is_apart = value.is_empty() || value.starts_with([' ', '\t', '"', '\'', '[', '{']);
    (is_name && is_apart).then(|| (name.to_owned(), value.trim()))
}

/// `[a, b]` is a list, whether it is closed or not.
fn list_or_scalar(value: &str) -> Value {
    match value.strip_prefix('[') {
        Some(items) => items
            .trim_end()
            .trim_end_matches(']')
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(scalar)
            .collect(),
        None => scalar(value),
    }
}

/// A value without its quotes and without a remark behind it.
fn scalar(value: &str) -> Value {
    let value = value.trim().trim_end_matches(',');
    for quote in ['"', '\''] {
        let inside = value.strip_prefix(quote);
        if let Some(inside) = inside.and_then(|rest| rest.strip_suffix(quote)) {
            let doubled = format!("{quote}{quote}");
            return inside.replace(&doubled, &quote.to_string()).into();
        }
    }
    // An opening quote without its end, or an end inside.
    let value = value.strip_prefix('"').unwrap_or(value);
    let value = value.split(" #").next().unwrap_or(value).trim();
    match value {
        "true" => true.into(),
        "false" => false.into(),
        _ => match value.parse::<i64>() {
            Ok(number) => number.into(),
            Err(_) => value.into(),
        },
    }
}
