//! A subtree on one line: a heading, or a cell of a table whatever blocks are in it.

use html5ever::{LocalName, local_name};

use super::content::Selection;
use super::is_inline;
use super::links::Links;
use super::tree::{Data, Tree};
use super::visible::{label, task_mark};
use crate::raised;

/// A page and what is shown of it.
pub(super) struct View<'a> {
    pub(super) tree: &'a Tree,
    pub(super) selection: &'a Selection,
    pub(super) links: Links,
}

impl View<'_> {
    /// The words of a subtree without the addresses of its links.
    pub(super) fn heading(&self, index: usize) -> String {
        let mut line = Line::new(self, false);
        line.node(index);
        line.out
    }

    /// All that a cell says.
    pub(super) fn cell(&self, index: usize) -> String {
        let mut line = Line::new(self, true);
        line.children(index);
        line.out
    }

    /// How a superscript, a subscript or the mark of a note behind `before` is written; `None`
    /// if it is to be written as what it is made of.
    pub(super) fn raised(
        &self,
        index: usize,
        name: &LocalName,
        before: Option<char>,
    ) -> Option<String> {
        let mut text = label(self.tree, index);
        // The brackets of a note's mark are elements of their own in some pages.
        if text.starts_with("[ ") && text.ends_with(" ]") {
            text = format!("[{}]", &text[2..text.len() - 2]);
        }
        if text.is_empty() || text.len() > raised::MAX_RAISED {
            return None;
        }
        if *name == local_name!("a") {
            return Some(raised::superscript(&text, true));
        }
        if *name == local_name!("sup") {
            return Some(raised::superscript(&text, self.is_note(index)));
        }
        let after = self.tree.nodes.get(self.tree.nodes[index].next as usize);
        let after = after.and_then(|node| match &node.data {
            Data::Text(range) => self.tree.text(range).chars().next(),
            Data::Element(..) => None,
        });
        Some(raised::subscript(&text, before, after))
    }

    /// Whether a link is the mark of a note, as books and documents say it.
    pub(super) fn is_mark_of_note(&self, index: usize) -> bool {
        let node = &self.tree.nodes[index];
        let role = node.attribute(&local_name!("role"));
        let kind = node.attribute_named("epub:type");
        let mut kinds = kind.unwrap_or("").split_ascii_whitespace();
        role == Some("doc-noteref") || kinds.any(|kind| kind == "noteref")
    }

    /// Whether a superscript leads to a note: it is in a link, or has one.
    fn is_note(&self, index: usize) -> bool {
        let is_link = |node: usize| self.tree.nodes[node].name() == Some(&local_name!("a"));
        is_link(self.tree.nodes[index].parent as usize) || self.tree.children(index).any(is_link)
    }
}

/// What parts two pieces of a line, weakest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Gap {
    None,
    /// Only in front of a word: a link or button stands alongside it.
    Word,
    Space,
    Cell,
    Meaning,
    Item,
}

struct Line<'a> {
    view: &'a View<'a>,
    links: bool,
    out: String,
    gap: Gap,
}

impl<'a> Line<'a> {
    fn new(view: &'a View<'a>, links: bool) -> Self {
        Self {
            view,
            links,
            out: String::new(),
            gap: Gap::None,
        }
    }

    fn part(&mut self, gap: Gap) {
        self.gap = self.gap.max(gap);
    }

    // Recursion is bounded by `tree::MAX_DEPTH`.
    fn node(&mut self, index: usize) {
        if self.view.selection.skips(index) {
            return;
        }
        match &self.view.tree.nodes[index].data {
            Data::Text(range) => self.text(self.view.tree.text(range)),
            Data::Element(name, _) => self.element(index, name),
        }
    }

    fn children(&mut self, index: usize) {
        for child in self.view.tree.children(index) {
            self.node(child);
        }
    }

    fn raised(&mut self, index: usize, name: &LocalName) {
        let before = self.out.chars().next_back();
        let before = before.filter(|_| self.gap == Gap::None);
        match self.view.raised(index, name, before) {
            Some(text) => self.text(&text),
            None => self.children(index),
        }
    }

    fn element(&mut self, index: usize, name: &LocalName) {
        match &**name {
            "br" | "hr" => self.part(Gap::Space),
            "input" => self.text(task_mark(&self.view.tree.nodes[index]).unwrap_or("")),
            "img" => {
                let alt = self.view.tree.nodes[index].attribute(&local_name!("alt"));
                self.text(alt.unwrap_or(""));
            }
            "sup" | "sub" => self.raised(index, name),
            "a" if self.view.is_mark_of_note(index) => self.raised(index, name),
            "a" => {
                self.children(index);
                if let Some(address) = self.view.links.address(index).filter(|_| self.links) {
                    self.part(Gap::Space);
                    self.text(&format!("({address})"));
                    self.part(Gap::Word);
                }
            }
            "button" => self.around(index, Gap::Word),
            "li" | "tr" | "caption" => self.around(index, Gap::Item),
            "dt" => {
                self.part(Gap::Item);
                self.children(index);
                self.part(Gap::Meaning);
            }
            "dd" => {
                self.part(Gap::Meaning);
                self.children(index);
                self.part(Gap::Item);
            }
            "td" | "th" => self.around(index, Gap::Cell),
            "ul" | "ol" | "dl" | "table" => self.around(index, Gap::Item),
            _ if is_inline(name) => self.children(index),
            _ => self.around(index, Gap::Space),
        }
    }

    fn around(&mut self, index: usize, gap: Gap) {
        self.part(gap);
        self.children(index);
        self.part(gap);
    }

    fn text(&mut self, text: &str) {
        for (at, word) in text.split(char::is_whitespace).enumerate() {
            if at > 0 {
                self.part(Gap::Space);
            }
            if !word.is_empty() {
                self.word(word);
            }
        }
    }

    fn word(&mut self, word: &str) {
        let gap = match self.out.chars().next_back() {
            None => Gap::None,
            // What ends by itself needs no other mark.
            Some(':' | ';' | ',') if self.gap > Gap::Space => Gap::Space,
            _ => self.gap,
        };
        self.gap = Gap::None;
        self.out.push_str(match gap {
            Gap::None => "",
            Gap::Word if !word.starts_with(char::is_alphanumeric) => "",
            Gap::Word | Gap::Space => " ",
            Gap::Cell => ", ",
            Gap::Meaning => ": ",
            Gap::Item => "; ",
        });
        self.out.push_str(word);
    }
}
