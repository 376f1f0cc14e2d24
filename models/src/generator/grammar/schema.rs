//! JSON Schema to nodes. What is not understood becomes any JSON value: a schema never
//! fails, it only says less.

use serde_json::{Map, Value};

use super::nodes::{Id, Key, MAX_KEYS, Node, Nodes, quoted};
use super::scalars::MAX_TEXT_BYTES;

/// Levels of a schema that are followed.
const MAX_DEPTH: usize = 16;
/// Nodes of all functions together; what comes later is any JSON value.
const MAX_NODES: usize = 1 << 16;
/// Levels of lists and objects in any JSON value.
const ANY_DEPTH: usize = 4;
/// Most items of a list that says nothing of it.
const MAX_ITEMS: u64 = 32;
/// Integers between two bounds that are listed one by one.
const MAX_LISTED: f64 = 1000.0;
/// Bounds beyond it are not integers any more as floats.
const MAX_BOUND: f64 = 1e15;

/// Compiles schemas into one list of nodes.
pub(super) struct Compiler {
    nodes: Nodes,
    any: Id,
    any_object: Id,
}

impl Compiler {
    pub(super) fn new() -> Self {
        let mut nodes = Nodes::default();
        let longest = u16::try_from(MAX_TEXT_BYTES).unwrap_or(u16::MAX);
        let scalars = [
            Node::Text {
                min: 0,
                max: longest,
            },
            Node::Number {
                integer: false,
                signed: true,
            },
            Node::Choice(choices(["false", "null", "true"])),
        ]
        .map(|node| nodes.push(node));
        let mut any = nodes.push(Node::Union(scalars.to_vec()));
        let mut any_object = any;
        for _ in 0..ANY_DEPTH {
            let list = nodes.push(Node::List {
                items: any,
                min: 0,
                max: MAX_ITEMS as u16,
            });
            any_object = nodes.push(Node::Map { values: any });
            let all = [&scalars[..], &[list, any_object]].concat();
            any = nodes.push(Node::Union(all));
        }
        Self {
            nodes,
            any,
            any_object,
        }
    }

    pub(super) fn finish(self) -> Nodes {
        self.nodes
    }

    /// The arguments of a function: an object, whatever `schema` says.
    pub(super) fn arguments(&mut self, schema: &Value) -> Id {
        let id = self.value(schema, 0);
        match self.nodes.get(id) {
            Node::Object { .. } | Node::Map { .. } => id,
            _ => self.any_object,
        }
    }

    fn value(&mut self, schema: &Value, depth: usize) -> Id {
        let Some(fields) = schema.as_object() else {
            return self.any;
        };
        if depth > MAX_DEPTH || self.nodes.len() > MAX_NODES {
            return self.any;
        }
        if let Some(values) = fields.get("enum").and_then(Value::as_array)
            && !values.is_empty()
        {
            let texts = choices(values.iter().map(Value::to_string));
            return self.nodes.push(Node::Choice(texts));
        }
        if let Some(value) = fields.get("const") {
            return self.nodes.push(Node::Choice(choices([value.to_string()])));
        }
        for several in ["anyOf", "oneOf", "allOf"] {
            let Some(list) = fields.get(several).and_then(Value::as_array) else {
                continue;
            };
            // All of several at once is more than can be said here.
            if several == "allOf" && list.len() != 1 {
                return self.any;
            }
            let ids = list.iter().map(|one| self.value(one, depth + 1)).collect();
            return self.union(ids);
        }
        match fields.get("type") {
            Some(Value::String(kind)) => self.kind(kind, fields, depth),
            Some(Value::Array(kinds)) => {
                let kinds: Vec<&str> = kinds.iter().filter_map(Value::as_str).collect();
                // Every integer is a number.
                let both = kinds.contains(&"number");
                let ids = kinds.iter().filter(|kind| !both || **kind != "integer");
                let ids = ids.map(|kind| self.kind(kind, fields, depth)).collect();
                self.union(ids)
            }
            _ if fields.contains_key("properties") => self.kind("object", fields, depth),
            _ if fields.contains_key("items") => self.kind("array", fields, depth),
            _ => self.any,
        }
    }

    fn kind(&mut self, kind: &str, fields: &Map<String, Value>, depth: usize) -> Id {
        let node = match kind {
            "string" => {
                let most = MAX_TEXT_BYTES as u64;
                let max = count(fields, "maxLength").unwrap_or(most).min(most);
                let min = count(fields, "minLength").unwrap_or(0).min(max);
                Node::Text {
                    min: min as u16,
                    max: max as u16,
                }
            }
            "integer" => integer(fields),
            "number" => Node::Number {
                integer: false,
                signed: !least(fields).is_some_and(|least| least >= 0.0),
            },
            "boolean" => Node::Choice(choices(["false", "true"])),
            "null" => Node::Choice(choices(["null"])),
            "array" => {
                let items = match fields.get("items") {
                    Some(items) => self.value(items, depth + 1),
                    None => self.any,
                };
                let max = count(fields, "maxItems").unwrap_or(MAX_ITEMS);
                let max = max.min(MAX_ITEMS);
                let min = count(fields, "minItems").unwrap_or(0).min(max);
                Node::List {
                    items,
                    min: min as u16,
                    max: max as u16,
                }
            }
            "object" => return self.object(fields, depth),
            _ => return self.any,
        };
        self.nodes.push(node)
    }

    fn object(&mut self, fields: &Map<String, Value>, depth: usize) -> Id {
        let declared = fields.get("properties").and_then(Value::as_object);
        let required: Vec<&str> = fields
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let nothing = Map::new();
        let Some(declared) = declared.or((!required.is_empty()).then_some(&nothing)) else {
            return match fields.get("additionalProperties") {
                Some(Value::Bool(false)) => self.nodes.push(Node::Object {
                    keys: Vec::new(),
                    required: 0,
                }),
                Some(schema @ Value::Object(_)) => {
                    let values = self.value(schema, depth + 1);
                    self.nodes.push(Node::Map { values })
                }
                _ => self.any_object,
            };
        };
        // Those that must be there come first, so that they have a bit.
        let optional = declared.keys().map(String::as_str);
        let optional = optional.filter(|name| !required.contains(name));
        let mut names: Vec<(&str, bool)> = required.iter().map(|name| (*name, true)).collect();
        names.extend(optional.map(|name| (name, false)));
        let mut keys: Vec<(Key, bool)> = Vec::new();
        for (name, must) in names {
            let name_text = quoted(name);
            if keys.iter().any(|(key, _)| key.name == name_text) {
                continue;
            }
            if keys.len() == MAX_KEYS {
                if must {
                    return self.any_object;
                }
                break;
            }
            let value = match declared.get(name) {
                Some(schema) => self.value(schema, depth + 1),
                None => self.any,
            };
            let key = Key {
                name: name_text,
                value,
            };
            keys.push((key, must));
        }
        keys.sort_by(|a, b| a.0.name.cmp(&b.0.name));
        let bits = keys.iter().enumerate();
        let required = bits.fold(0, |bits, (at, (_, must))| bits | u64::from(*must) << at);
        let keys = keys.into_iter().map(|(key, _)| key).collect();
        self.nodes.push(Node::Object { keys, required })
    }

    /// One of `ids`, or any value if the first byte does not tell which.
    fn union(&mut self, ids: Vec<Id>) -> Id {
        let told = |byte: u8| {
            ids.iter()
                .filter(|&&id| self.nodes.begins(id, byte))
                .count()
                < 2
        };
        if ids.is_empty() || !(0..=u8::MAX).all(told) {
            return self.any;
        }
        match ids[..] {
            [one] => one,
            _ => self.nodes.push(Node::Union(ids)),
        }
    }
}

fn choices<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Vec<Box<[u8]>> {
    let texts = texts.into_iter();
    let mut texts: Vec<Box<[u8]>> = texts.map(|text| text.as_ref().as_bytes().into()).collect();
    texts.sort();
    texts.dedup();
    texts
}

fn count(fields: &Map<String, Value>, name: &str) -> Option<u64> {
    fields.get(name)?.as_u64()
}

/// The least number that is allowed, or one below which none is.
fn least(fields: &Map<String, Value>) -> Option<f64> {
    let bound = |name: &str| fields.get(name).and_then(Value::as_f64);
    bound("minimum").or_else(|| bound("exclusiveMinimum"))
}

/// Between two near bounds each integer is a choice; otherwise only the sign is kept to.
fn integer(fields: &Map<String, Value>) -> Node {
    let bound = |name: &str| fields.get(name).and_then(Value::as_f64);
    let least = match (bound("minimum"), bound("exclusiveMinimum")) {
        (Some(least), _) => Some(least.ceil()),
        (None, Some(below)) => Some(below.floor() + 1.0),
        (None, None) => None,
    };
    let most = match (bound("maximum"), bound("exclusiveMaximum")) {
        (Some(most), _) => Some(most.floor()),
        (None, Some(above)) => Some(above.ceil() - 1.0),
        (None, None) => None,
    };
    if let (Some(least), Some(most)) = (least, most)
        && least.abs() < MAX_BOUND
        && (0.0..MAX_LISTED).contains(&(most - least))
    {
        let all = least as i64..=most as i64;
        return Node::Choice(choices(all.map(|number| number.to_string())));
    }
    Node::Number {
        integer: true,
        signed: !least.is_some_and(|least| least >= 0.0),
    }
}
