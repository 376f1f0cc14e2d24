//! The content of a page as text: paragraphs, `- ` lists, `a | b` tables, code
//! as it stands.

use html5ever::{LocalName, local_name};

use super::content::Selection;
use super::is_inline;
use super::tree::{Data, Tree};
use crate::parse::draft::Draft;

/// Writes the selected part of `tree`.
pub(super) fn render(tree: &Tree, selection: &Selection, draft: &mut Draft) {
    let mut renderer = Renderer {
        tree,
        selection,
        draft,
        lists: Vec::new(),
        waiting: String::new(),
        pre: 0,
        cell: 0,
        link: 0,
    };
    renderer.node(selection.root);
}

struct Renderer<'a> {
    tree: &'a Tree,
    selection: &'a Selection,
    draft: &'a mut Draft,
    /// Open lists: the next number, or none for bullets.
    lists: Vec<Option<u64>>,
    /// A list marker or cell border that is written before the next text.
    waiting: String,
    /// Depth of elements that keep white space.
    pre: usize,
    /// Depth of table cells that are one line.
    cell: usize,
    /// Depth of links: images inside are buttons and logos.
    link: usize,
}

impl Renderer<'_> {
    // Recursion is bounded by `tree::MAX_DEPTH`.
    fn node(&mut self, index: usize) {
        if self.selection.skips(index) || self.draft.is_full() {
            return;
        }
        match &self.tree.nodes[index].data {
            Data::Text(range) => self.text(self.tree.text(range)),
            Data::Element(name, _) => self.element(index, name),
        }
    }

    fn children(&mut self, index: usize) {
        for child in self.tree.children(index) {
            self.node(child);
        }
    }

    fn text(&mut self, text: &str) {
        if text.trim().is_empty() && self.pre == 0 {
            if !text.is_empty() && self.waiting.is_empty() {
                self.draft.space();
            }
            return;
        }
        if !self.waiting.is_empty() {
            if self.cell > 0 {
                self.draft.space();
            }
            let waiting = std::mem::take(&mut self.waiting);
            self.draft.push(&waiting);
        }
        if self.pre > 0 && self.cell == 0 {
            self.draft.push(text);
        } else {
            self.draft.push_words(text);
        }
    }

    fn break_line(&mut self) {
        if self.cell > 0 {
            self.draft.space();
        } else if self.waiting.is_empty() {
            self.draft.break_line();
        }
    }

    fn blank_line(&mut self) {
        if self.cell > 0 || !self.lists.is_empty() {
            self.break_line();
        } else if self.waiting.is_empty() {
            self.draft.blank_line();
        }
    }

    fn element(&mut self, index: usize, name: &LocalName) {
        match *name {
            local_name!("h1")
            | local_name!("h2")
            | local_name!("h3")
            | local_name!("h4")
            | local_name!("h5")
            | local_name!("h6")
                if self.cell == 0 =>
            {
                self.heading(index, name.as_bytes()[1] - b'0');
            }
            local_name!("br") => {
                if self.cell > 0 {
                    self.draft.space();
                } else {
                    self.draft.push("\n");
                }
            }
            local_name!("hr") => self.blank_line(),
            local_name!("img") if self.link > 0 => {}
            local_name!("img") => self.image(index),
            local_name!("a") => {
                self.link += 1;
                self.children(index);
                self.link -= 1;
            }
            local_name!("pre") | local_name!("listing") | local_name!("xmp") => {
                self.blank_line();
                self.pre += 1;
                self.children(index);
                self.pre -= 1;
                self.blank_line();
            }
            local_name!("ul") | local_name!("ol") | local_name!("menu") => self.list(index, name),
            local_name!("li") => self.item(index),
            local_name!("table") => self.table(index),
            local_name!("p")
            | local_name!("blockquote")
            | local_name!("dl")
            | local_name!("figure")
            | local_name!("section")
            | local_name!("article")
            | local_name!("details")
            | local_name!("fieldset") => {
                self.blank_line();
                self.children(index);
                self.blank_line();
            }
            _ if is_inline(name) => self.children(index),
            _ => {
                self.break_line();
                self.children(index);
                self.break_line();
            }
        }
    }

    fn heading(&mut self, index: usize, level: u8) {
        let mut heading = String::new();
        self.collect(index, &mut heading);
        self.waiting.clear();
        self.draft.heading(level, &heading);
    }

    /// The words of a subtree.
    fn collect(&self, index: usize, out: &mut String) {
        if self.selection.skips(index) {
            return;
        }
        match &self.tree.nodes[index].data {
            Data::Text(range) => out.push_str(self.tree.text(range)),
            Data::Element(name, _) => {
                if !is_inline(name) {
                    out.push(' ');
                }
                if *name == local_name!("img") {
                    out.push_str(
                        self.tree.nodes[index]
                            .attribute(&local_name!("alt"))
                            .unwrap_or(""),
                    );
                }
                for child in self.tree.children(index) {
                    self.collect(child, out);
                }
            }
        }
    }

    fn image(&mut self, index: usize) {
        if let Some(alt) = self.tree.nodes[index].attribute(&local_name!("alt")) {
            self.text(alt);
        }
    }

    fn list(&mut self, index: usize, name: &LocalName) {
        self.blank_line();
        let start = self.tree.nodes[index]
            .attribute(&local_name!("start"))
            .and_then(|start| start.trim().parse().ok());
        let number = (*name == local_name!("ol")).then(|| start.unwrap_or(1));
        self.lists.push(number);
        self.children(index);
        self.lists.pop();
        self.waiting.clear();
        self.blank_line();
    }

    fn item(&mut self, index: usize) {
        self.waiting.clear();
        self.break_line();
        let indent = "  ".repeat(self.lists.len().saturating_sub(1));
        let marker = match self.lists.last_mut() {
            Some(Some(number)) => {
                *number = number.saturating_add(1);
                format!("{}. ", *number - 1)
            }
            _ => "- ".into(),
        };
        if self.cell == 0 {
            self.waiting = indent + &marker;
        }
        self.children(index);
        self.waiting.clear();
        self.break_line();
    }

    fn table(&mut self, index: usize) {
        self.blank_line();
        if self.is_layout(index) {
            self.children(index);
        } else {
            self.rows(index);
        }
        self.blank_line();
    }

    /// Writes the rows of a table of data, cells divided by bars.
    fn rows(&mut self, index: usize) {
        for child in self.tree.children(index) {
            if self.selection.skips(child) {
                continue;
            }
            match self.tree.nodes[child].name() {
                Some(&local_name!("tr")) => self.row(child),
                Some(&(local_name!("thead") | local_name!("tbody") | local_name!("tfoot"))) => {
                    self.rows(child);
                }
                _ => self.node(child),
            }
        }
    }

    fn row(&mut self, index: usize) {
        self.break_line();
        self.cell += 1;
        let mut first = true;
        for child in self.tree.children(index) {
            if self.tree.nodes[child].name().is_none() {
                continue;
            }
            if !first {
                self.waiting.push_str("| ");
            }
            first = false;
            self.node(child);
        }
        self.cell -= 1;
        self.waiting.clear();
        self.break_line();
    }

    /// Whether a table arranges blocks rather than data.
    fn is_layout(&self, index: usize) -> bool {
        self.tree.children(index).any(|child| {
            let block = self.tree.nodes[child].name().is_some_and(|name| {
                matches!(
                    &**name,
                    "table"
                        | "pre"
                        | "ul"
                        | "ol"
                        | "dl"
                        | "blockquote"
                        | "h1"
                        | "h2"
                        | "h3"
                        | "h4"
                        | "h5"
                        | "h6"
                        | "article"
                        | "section"
                        | "main"
                )
            });
            !self.selection.skips(child) && (block || self.is_layout(child))
        })
    }
}
