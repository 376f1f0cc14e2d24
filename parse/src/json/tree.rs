//! What a [`Reader`] reads, as a tree of values.

use serde_json::{Map, Value};

use super::reader::{Container, Reader, Scalar, Sink};

/// Builds a tree.
#[derive(Default)]
pub(super) struct Tree {
    root: Option<Value>,
    /// Containers that are not closed, each with the name that its next value
    /// gets.
    open: Vec<(Value, String)>,
}

impl Tree {
    /// The value, once it is whole.
    pub(super) fn finish(self) -> Option<Value> {
        self.root
    }

    fn add(&mut self, value: Value) {
        match self.open.last_mut() {
            None => self.root = Some(value),
            Some((Value::Object(fields), name)) => {
                fields.insert(std::mem::take(name), value);
            }
            Some((Value::Array(items), _)) => items.push(value),
            Some(_) => {}
        }
    }
}

impl Sink for Tree {
    fn open(&mut self, container: Container) {
        let empty = match container {
            Container::Object => Value::Object(Map::new()),
            Container::List => Value::Array(Vec::new()),
        };
        self.open.push((empty, String::new()));
    }

    fn close(&mut self) {
        if let Some((value, _)) = self.open.pop() {
            self.add(value);
        }
    }

    fn key(&mut self, name: &str) {
        if let Some((_, next)) = self.open.last_mut() {
            name.clone_into(next);
        }
    }

    fn item(&mut self, _: usize) {}

    fn scalar(&mut self, scalar: Scalar<'_>) {
        self.add(match scalar {
            Scalar::Null => Value::Null,
            Scalar::Bool(flag) => flag.into(),
            Scalar::Text(text) => text.into(),
            // Digits that a number cannot hold stay as a text.
            Scalar::Number(digits) => digits
                .parse::<i64>()
                .map(Value::from)
                .or_else(|_| digits.parse::<u64>().map(Value::from))
                .ok()
                .or_else(|| float(digits))
                .unwrap_or_else(|| digits.into()),
        });
    }
}

fn float(digits: &str) -> Option<Value> {
    let significant = digits.bytes().filter(u8::is_ascii_digit).count();
    let number = digits.parse::<f64>().ok().filter(|_| significant <= 17)?;
    serde_json::Number::from_f64(number).map(Value::Number)
}

/// The value that `text` begins with, and what follows it.
pub(crate) fn read_first(text: &str) -> Option<(Value, &str)> {
    let mut reader = Reader::new(text, 0);
    let mut tree = Tree::default();
    reader.value(&mut tree).ok()?;
    Some((tree.finish()?, &text[reader.end()..]))
}

/// The first value of `text` as far as it can be read, and what was left out.
pub(crate) fn read_damaged(text: &str) -> (Option<Value>, Vec<String>) {
    let mut reader = Reader::new(text, 0).recovering();
    let mut tree = Tree::default();
    let _ = reader.value(&mut tree);
    let faults = super::faults::describe(text, &reader.into_faults());
    (tree.finish(), faults)
}
