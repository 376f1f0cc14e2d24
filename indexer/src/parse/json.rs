//! JSON as lines of `path: value`; the items of an outermost list, and the lines
//! of JSON Lines, are paragraphs.
//!
//! The text is written while the JSON is read, so memory does not grow with it.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::draft::Draft;
use super::format::Format;
use super::{Source, encoding, front_matter, malformed};
use crate::Result;

/// One JSON value.
pub(super) const FORMAT: Format = Format {
    name: "json",
    extensions: &["json", "geojson", "jsonld", "webmanifest"],
    content_types: &["application/json", "application/ld+json", "text/json"],
    looks_like: |text| {
        text.starts_with(['{', '[']) && serde_json::from_str::<IgnoredAny>(text).is_ok()
    },
    no_text: "the JSON holds no value; there is nothing to index",
    ..Format::new(parse)
};

/// A JSON value on every line.
pub(super) const LINES: Format = Format {
    name: "jsonl",
    extensions: &["jsonl", "ndjson", "jsonlines"],
    content_types: &[
        "application/x-ndjson",
        "application/jsonl",
        "application/x-jsonlines",
    ],
    no_text: "the JSON holds no value; there is nothing to index",
    ..Format::new(parse_lines)
};

/// Facts that an outermost object may state about the document.
const FACTS: &[&str] = &[
    "title",
    "author",
    "authors",
    "date",
    "published",
    "language",
    "lang",
    "tags",
    "keywords",
];

fn parse(source: &Source<'_>, draft: &mut Draft) -> Result<()> {
    let text = encoding::decode(source.bytes, source.charset);
    let mut reader = serde_json::Deserializer::from_str(text.trim_start_matches('\u{feff}'));
    let mut path = String::new();
    let written = Writer::new(draft, &mut path, 0, true).deserialize(&mut reader);
    match written.and_then(|()| reader.end()) {
        // The limit has an error of its own, which comes at the end.
        Err(_) if draft.is_full() => Ok(()),
        result => result.map_err(|e| malformed("JSON", e)),
    }
}

fn parse_lines(source: &Source<'_>, draft: &mut Draft) -> Result<()> {
    let text = source.text();
    for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        draft.blank_line();
        let mut reader = serde_json::Deserializer::from_str(line);
        let mut path = String::new();
        // Checked first: half a record must not be written.
        let checked = serde_json::from_str::<IgnoredAny>(line);
        let written =
            checked.and_then(|_| Writer::new(draft, &mut path, 1, false).deserialize(&mut reader));
        if draft.is_full() {
            break;
        }
        if let Err(error) = written {
            return Err(malformed(
                "JSON Lines",
                format!("line {}: {error}", number + 1),
            ));
        }
        draft.blank_line();
    }
    Ok(())
}

/// Writes one value and what is inside it.
struct Writer<'a> {
    draft: &'a mut Draft,
    /// Where the value stands, as `servers[0].port`.
    path: &'a mut String,
    depth: usize,
    /// Whether an object here states facts about the document.
    facts: bool,
}

impl<'a> Writer<'a> {
    fn new(draft: &'a mut Draft, path: &'a mut String, depth: usize, facts: bool) -> Self {
        Self {
            draft,
            path,
            depth,
            facts,
        }
    }

    fn leaf<E: serde::de::Error>(self, value: &str) -> std::result::Result<(), E> {
        if !value.trim().is_empty() {
            self.draft.break_line();
            if !self.path.is_empty() {
                self.draft.push(self.path);
                self.draft.push(": ");
            }
            self.draft.push(value.trim());
            self.draft.break_line();
        }
        if self.draft.is_full() {
            return Err(E::custom("too large"));
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Writer<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> std::result::Result<(), D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Writer<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: serde::de::Error>(self) -> std::result::Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> std::result::Result<(), E> {
        self.leaf(if value { "true" } else { "false" })
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> std::result::Result<(), E> {
        self.leaf(&value.to_string())
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> std::result::Result<(), E> {
        self.leaf(&value.to_string())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> std::result::Result<(), E> {
        self.leaf(&value.to_string())
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> std::result::Result<(), E> {
        self.leaf(value)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> std::result::Result<(), A::Error> {
        let base = self.path.len();
        let outermost = self.depth == 0;
        let mut index = 0;
        loop {
            if outermost {
                self.draft.blank_line();
            } else {
                self.path.push_str(&format!("[{index}]"));
            }
            let item = Writer::new(self.draft, self.path, self.depth + 1, false);
            let more = items.next_element_seed(item)?.is_some();
            self.path.truncate(base);
            if !more {
                return Ok(());
            }
            index += 1;
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> std::result::Result<(), A::Error> {
        let base = self.path.len();
        while let Some(name) = fields.next_key::<String>()? {
            if base > 0 {
                self.path.push('.');
            }
            self.path
                .extend(name.chars().map(|c| if c.is_control() { ' ' } else { c }));
            let field = Writer::new(self.draft, self.path, self.depth + 1, false);
            if self.facts && FACTS.contains(&name.as_str()) {
                let value: Value = fields.next_value()?;
                front_matter::fact(&name, &value, field.draft, 0);
                field
                    .deserialize(value)
                    .map_err(|error| serde::de::Error::custom(error.to_string()))?;
            } else {
                fields.next_value_seed(field)?;
            }
            self.path.truncate(base);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::ErrorKind;
    use crate::parse::testing::{read, read_err};
    use crate::parse::{ParseInput, ParseLimits, parse};

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
        let error = read_err("x.json", "{\"a\": 1,}");
        assert!(error.to_string().contains("line 1 column 9"), "{error}");
        let error = read_err("x.jsonl", "{\"a\": 1}\n{\"a\": \n");
        assert!(error.to_string().contains("line 2"), "{error}");
        assert_eq!(
            read_err("x.json", "{\"a\": null}").kind(),
            ErrorKind::InvalidInput
        );
        assert_eq!(
            read_err("x.json", "{\"a\": 1} x").kind(),
            ErrorKind::InvalidInput
        );
    }

    #[test]
    fn json_without_a_name_is_recognised() {
        assert_eq!(read("upload", "{\"a\": 1}").metadata["format"], "json");
        assert_eq!(read("upload", "{not json}").metadata["format"], "text");
    }
}
