//! What a [`Reader`](super::reader::Reader) reads, as lines of text.

use std::fmt::Write as _;

use super::super::draft::Draft;
use super::super::front_matter;
use super::reader::{Container, Scalar, Sink};
use super::tree::Tree;

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

/// Writes one value and what is inside it.
pub(super) struct TextWriter<'a> {
    draft: &'a mut Draft,
    /// Where the value stands, as `servers[0].port`.
    path: String,
    /// Length of the path at each container that is open.
    bases: Vec<usize>,
    /// Whether the value is the whole document: an object states facts about it,
    /// and the items of a list are its records.
    is_document: bool,
    /// A fact that is being read.
    fact: Option<(&'static str, Tree)>,
}

impl<'a> TextWriter<'a> {
    /// For a value that is a document.
    pub(super) fn document(draft: &'a mut Draft) -> Self {
        Self {
            draft,
            path: String::new(),
            bases: Vec::new(),
            is_document: true,
            fact: None,
        }
    }

    /// For a value that is one record of many.
    pub(super) fn record(draft: &'a mut Draft) -> Self {
        Self {
            is_document: false,
            ..Self::document(draft)
        }
    }

    fn base(&mut self) {
        let base = self.bases.last().copied().unwrap_or(0);
        self.path.truncate(base);
    }

    /// Closes a fact whose value has ended.
    fn end_value(&mut self) {
        if self.bases.len() == 1
            && let Some((name, tree)) = self.fact.take()
            && let Some(value) = tree.finish()
        {
            front_matter::fact(name, &value, self.draft, 0);
        }
    }

    fn line(&mut self, value: &str) {
        let value = value.trim();
        if value.is_empty() {
            return;
        }
        self.draft.break_line();
        if !self.path.is_empty() {
            self.draft.push(&self.path);
            self.draft.push(": ");
        }
        self.draft.push(value);
        self.draft.break_line();
    }
}

impl Sink for TextWriter<'_> {
    fn open(&mut self, container: Container) {
        if let Some((_, tree)) = &mut self.fact {
            tree.open(container);
        }
        self.bases.push(self.path.len());
    }

    fn close(&mut self) {
        if let Some((_, tree)) = &mut self.fact {
            tree.close();
        }
        self.base();
        self.bases.pop();
        self.end_value();
    }

    fn key(&mut self, name: &str) {
        if let Some((_, tree)) = &mut self.fact {
            tree.key(name);
        }
        self.base();
        if self.is_document && self.bases.len() == 1 {
            let known = FACTS.iter().find(|fact| **fact == name);
            self.fact = known.map(|fact| (*fact, Tree::default()));
        }
        if !self.path.is_empty() {
            self.path.push('.');
        }
        self.path
            .extend(name.chars().map(|c| if c.is_control() { ' ' } else { c }));
    }

    fn item(&mut self, index: usize) {
        self.base();
        if self.is_document && self.bases.len() == 1 {
            self.draft.blank_line();
        } else {
            // Writing to a text cannot fail.
            let _ = write!(self.path, "[{index}]");
        }
    }

    fn scalar(&mut self, scalar: Scalar<'_>) {
        if let Some((_, tree)) = &mut self.fact {
            tree.scalar(scalar);
        }
        match scalar {
            Scalar::Null => {}
            Scalar::Bool(flag) => self.line(if flag { "true" } else { "false" }),
            Scalar::Number(text) | Scalar::Text(text) => self.line(text),
        }
        self.end_value();
    }

    fn is_full(&self) -> bool {
        self.draft.is_full()
    }
}
