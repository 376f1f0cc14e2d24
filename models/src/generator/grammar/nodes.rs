//! A compiled schema: what may stand where, and the shortest text of each node.

use serde_json::Value;

/// Place of a node; children stand before their parents.
pub(super) type Id = u32;

/// Most properties of an object: one bit each says which are written.
pub(super) const MAX_KEYS: usize = 64;

/// A JSON value of one kind.
#[derive(Clone, Debug)]
pub(super) enum Node {
    /// A string, bounds in characters.
    Text { min: u16, max: u16 },
    /// A number without an exponent; `signed` if it may be negative.
    Number { integer: bool, signed: bool },
    /// One of these JSON texts, sorted.
    Choice(Vec<Box<[u8]>>),
    /// A list, bounds in items.
    List { items: Id, min: u16, max: u16 },
    /// An object with these properties and no others.
    Object {
        /// Sorted, at most [`MAX_KEYS`].
        keys: Vec<Key>,
        /// One bit for each of `keys`.
        required: u64,
    },
    /// An object with any names.
    Map { values: Id },
    /// One of several; no two begin with the same byte.
    Union(Vec<Id>),
}

/// A property.
#[derive(Clone, Debug)]
pub(super) struct Key {
    /// Its name as JSON without the opening quote.
    pub(super) name: Box<[u8]>,
    pub(super) value: Id,
}

/// All nodes, each with its shortest text.
#[derive(Clone, Debug, Default)]
pub(super) struct Nodes(Vec<(Node, Box<[u8]>)>);

impl Nodes {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn get(&self, id: Id) -> &Node {
        &self.0[id as usize].0
    }

    /// The shortest text of a node, the first of several.
    pub(super) fn shortest(&self, id: Id) -> &[u8] {
        &self.0[id as usize].1
    }

    pub(super) fn push(&mut self, node: Node) -> Id {
        let id = Id::try_from(self.0.len()).unwrap_or(Id::MAX);
        let shortest = self.write_shortest(&node).into_boxed_slice();
        self.0.push((node, shortest));
        id
    }

    /// Whether a value of `id` may begin with `byte`.
    pub(super) fn begins(&self, id: Id, byte: u8) -> bool {
        match self.get(id) {
            Node::Text { .. } => byte == b'"',
            Node::Number { signed, .. } => byte.is_ascii_digit() || (*signed && byte == b'-'),
            Node::Choice(texts) => texts.iter().any(|text| text.first() == Some(&byte)),
            Node::List { .. } => byte == b'[',
            Node::Object { .. } | Node::Map { .. } => byte == b'{',
            Node::Union(ids) => ids.iter().any(|&id| self.begins(id, byte)),
        }
    }

    fn write_shortest(&self, node: &Node) -> Vec<u8> {
        let mut out = Vec::new();
        match node {
            Node::Text { min, .. } => {
                out.push(b'"');
                out.resize(out.len() + usize::from(*min), FILLER);
                out.push(b'"');
            }
            Node::Number { .. } => out.push(b'0'),
            Node::Choice(texts) => {
                out.extend_from_slice(&texts[shortest_from(texts, 0)]);
            }
            Node::List { items, min, .. } => {
                out.push(b'[');
                for at in 0..*min {
                    if at > 0 {
                        out.push(b',');
                    }
                    out.extend_from_slice(self.shortest(*items));
                }
                out.push(b']');
            }
            Node::Object { keys, required } => {
                out.push(b'{');
                for (at, key) in keys.iter().enumerate() {
                    if required >> at & 1 == 0 {
                        continue;
                    }
                    if out.len() > 1 {
                        out.push(b',');
                    }
                    out.push(b'"');
                    out.extend_from_slice(&key.name);
                    out.push(b':');
                    out.extend_from_slice(self.shortest(key.value));
                }
                out.push(b'}');
            }
            Node::Map { .. } => out.extend_from_slice(b"{}"),
            Node::Union(ids) => {
                let shortest = ids.iter().map(|&id| self.shortest(id));
                out.extend_from_slice(shortest.min_by_key(|text| text.len()).unwrap_or_default());
            }
        }
        out
    }
}

/// What fills a string that is too short.
pub(super) const FILLER: u8 = b'-';

/// The place of the shortest of `texts`, the first of several; all have `at` bytes in
/// common.
pub(super) fn shortest_from(texts: &[Box<[u8]>], at: usize) -> usize {
    let lengths = texts.iter().map(|text| text.len().saturating_sub(at));
    let shortest = lengths.enumerate().min_by_key(|(_, length)| *length);
    shortest.map_or(0, |(place, _)| place)
}

/// `text` as JSON without the opening quote.
pub(super) fn quoted(text: &str) -> Box<[u8]> {
    Value::from(text).to_string().as_bytes()[1..].into()
}
