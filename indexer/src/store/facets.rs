//! Filters over the documents of a snapshot: for every field the values there
//! are, and for every value the documents that have it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use crate::{Access, Bound, Error, ErrorKind, Filter, Result};

use super::chunks::Documents;

/// Fields that every document has.
const BUILT_IN: [&str; 4] = ["document_id", "labels", "title", "uri"];

/// Most fields that a message about an unknown one lists.
const MAX_LISTED_FIELDS: usize = 40;

/// Sets of documents are bits in words, 64 to a word.
type Bits = Vec<u64>;

/// The values of one field, each with its documents in ascending order. An
/// array counts as each of its items, an object as its fields (`a.b`).
#[derive(Default)]
struct Column {
    texts: BTreeMap<String, Vec<u32>>,
    /// Keys are [`sortable`] numbers.
    numbers: BTreeMap<u64, Vec<u32>>,
    booleans: [Vec<u32>; 2],
}

/// Inverted columns of one snapshot.
pub(super) struct Facets {
    documents: usize,
    columns: BTreeMap<String, Column>,
    /// Documents that carry a label, by label; and those without any.
    labelled: HashMap<String, Vec<u32>>,
    unlabelled: Vec<u32>,
}

impl Facets {
    pub(super) fn new(documents: &Documents) -> Self {
        let mut facets = Self {
            documents: documents.len(),
            columns: BTreeMap::new(),
            labelled: HashMap::new(),
            unlabelled: Vec::new(),
        };
        for (document, record) in documents.records().iter().enumerate() {
            let at = document as u32;
            for (field, value) in &record.metadata {
                // From before such names were refused: it says nothing for the document.
                if !BUILT_IN.contains(&field.as_str()) {
                    facets.add(field, value, at);
                }
            }
            facets.add(
                "document_id",
                &documents.id(document).to_string().into(),
                at,
            );
            facets.add("title", &record.title.as_str().into(), at);
            facets.add("uri", &record.uri.as_str().into(), at);
            for label in &record.labels {
                facets.add("labels", &label.as_str().into(), at);
                facets.labelled.entry(label.clone()).or_default().push(at);
            }
            if record.labels.is_empty() {
                facets.unlabelled.push(at);
            }
        }
        facets
    }

    fn add(&mut self, field: &str, value: &Value, document: u32) {
        match value {
            Value::Array(items) => items
                .iter()
                .for_each(|item| self.add(field, item, document)),
            Value::Object(fields) => {
                for (name, value) in fields {
                    self.add(&format!("{field}.{name}"), value, document);
                }
            }
            _ => {
                if !self.columns.contains_key(field) {
                    self.columns.insert(field.to_owned(), Column::default());
                }
                if let Some(column) = self.columns.get_mut(field) {
                    column.add(value, document);
                }
            }
        }
    }

    /// The documents that `filter` and `access` leave, as bits; `None` if that
    /// is every document.
    pub(super) fn select(&self, filter: Option<&Filter>, access: &Access) -> Result<Option<Bits>> {
        let readable = self.readable(access);
        let Some(filter) = filter else {
            return Ok(readable);
        };
        self.check(filter, readable.as_ref())?;
        let mut bits = self.evaluate(filter);
        if let Some(readable) = readable {
            bits.iter_mut()
                .zip(&readable)
                .for_each(|(word, other)| *word &= other);
        }
        Ok(Some(bits))
    }

    fn readable(&self, access: &Access) -> Option<Bits> {
        let Access::Labels(labels) = access else {
            return None;
        };
        if self.unlabelled.len() == self.documents {
            return None;
        }
        let mut bits = self.none();
        set(&mut bits, &self.unlabelled);
        for label in labels {
            set(
                &mut bits,
                self.labelled.get(label).map_or(&[], Vec::as_slice),
            );
        }
        Some(bits)
    }

    /// Fails for a field that no document which the caller may read has: the
    /// names of fields in other documents are none of its business.
    fn check(&self, filter: &Filter, readable: Option<&Bits>) -> Result<()> {
        let visible = |field: &str| {
            BUILT_IN.contains(&field)
                || self.columns.get(field).is_some_and(|column| {
                    readable.is_none_or(|bits| column.documents().any(|at| get(bits, at)))
                })
        };
        for field in filter.fields() {
            if visible(field) {
                continue;
            }
            let mut known: BTreeSet<_> = self.columns.keys().map(String::as_str).collect();
            known.retain(|field| visible(field));
            known.extend(BUILT_IN);
            let more = known.len().saturating_sub(MAX_LISTED_FIELDS);
            let listed: Vec<_> = known.into_iter().take(MAX_LISTED_FIELDS).collect();
            let mut message = format!(
                "no document has the field `{field}`; there are: {}",
                listed.join(", ")
            );
            if more > 0 {
                message.push_str(&format!(", and {more} more"));
            }
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        Ok(())
    }

    fn evaluate(&self, filter: &Filter) -> Bits {
        let mut bits = self.none();
        match filter {
            Filter::In(field, values) => {
                if let Some(column) = self.columns.get(field) {
                    values
                        .iter()
                        .for_each(|value| set(&mut bits, column.equal(value)));
                }
            }
            Filter::Range(field, low, high) => {
                if let Some(column) = self.columns.get(field) {
                    column.between(low.as_ref(), high.as_ref(), &mut bits);
                }
            }
            Filter::And(parts) => {
                bits.fill(u64::MAX);
                for part in parts {
                    let other = self.evaluate(part);
                    bits.iter_mut()
                        .zip(other)
                        .for_each(|(word, other)| *word &= other);
                }
            }
            Filter::Or(parts) => {
                for part in parts {
                    let other = self.evaluate(part);
                    bits.iter_mut()
                        .zip(other)
                        .for_each(|(word, other)| *word |= other);
                }
            }
            Filter::Not(part) => {
                bits = self.evaluate(part);
                bits.iter_mut().for_each(|word| *word = !*word);
            }
        }
        bits
    }

    fn none(&self) -> Bits {
        vec![0; self.documents.div_ceil(64)]
    }
}

impl Column {
    fn add(&mut self, value: &Value, document: u32) {
        let list = match value {
            Value::String(text) => match self.texts.get_mut(text) {
                Some(list) => list,
                None => self.texts.entry(text.clone()).or_default(),
            },
            Value::Number(number) => match number.as_f64() {
                Some(number) => self.numbers.entry(sortable(number)).or_default(),
                None => return,
            },
            Value::Bool(value) => &mut self.booleans[usize::from(*value)],
            _ => return,
        };
        if list.last() != Some(&document) {
            list.push(document);
        }
    }

    fn documents(&self) -> impl Iterator<Item = u32> + '_ {
        let lists = self
            .texts
            .values()
            .chain(self.numbers.values())
            .chain(&self.booleans);
        lists.flatten().copied()
    }

    fn equal(&self, value: &Value) -> &[u32] {
        let list = match value {
            Value::String(text) => self.texts.get(text),
            Value::Number(number) => number
                .as_f64()
                .and_then(|number| self.numbers.get(&sortable(number))),
            Value::Bool(value) => Some(&self.booleans[usize::from(*value)]),
            _ => None,
        };
        list.map_or(&[], Vec::as_slice)
    }

    /// A number bounds numbers and a text bounds texts; bounds of both kinds
    /// leave nothing.
    fn between(&self, low: Option<&Bound>, high: Option<&Bound>, bits: &mut Bits) {
        match (low, high) {
            (Some(Bound::Number(_)) | None, Some(Bound::Number(_)) | None) => {
                let bound = |bound: Option<&Bound>, open: f64| match bound {
                    Some(Bound::Number(number)) => sortable(*number),
                    _ => sortable(open),
                };
                let (low, high) = (bound(low, f64::NEG_INFINITY), bound(high, f64::INFINITY));
                if low <= high {
                    self.numbers
                        .range(low..=high)
                        .for_each(|(_, list)| set(bits, list));
                }
            }
            (Some(Bound::Text(_)) | None, Some(Bound::Text(_)) | None) => {
                let inside = |text: &str| {
                    !matches!(low, Some(Bound::Text(low)) if text < low.as_str())
                        && !matches!(high, Some(Bound::Text(high)) if text > high.as_str())
                };
                let texts = self.texts.iter().filter(|(text, _)| inside(text));
                texts.for_each(|(_, list)| set(bits, list));
            }
            _ => {}
        }
    }
}

/// Maps floats to integers of the same order. Both zeros are one number.
fn sortable(number: f64) -> u64 {
    let bits = (number + 0.0).to_bits();
    if bits >> 63 == 1 {
        !bits
    } else {
        bits | 1 << 63
    }
}

fn set(bits: &mut Bits, documents: &[u32]) {
    for &document in documents {
        bits[document as usize / 64] |= 1 << (document % 64);
    }
}

/// Whether `document` is in the set.
pub(super) fn get(bits: &[u64], document: u32) -> bool {
    bits[document as usize / 64] >> (document % 64) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sortable_keeps_the_order(a: f64, b: f64) {
            prop_assume!(!a.is_nan() && !b.is_nan());
            prop_assert_eq!(
                sortable(a).cmp(&sortable(b)),
                a.partial_cmp(&b).unwrap()
            );
        }
    }

    #[test]
    fn zeros_are_equal() {
        assert_eq!(sortable(0.0), sortable(-0.0));
    }
}
