//! The content of a page as text: paragraphs, `- ` lists, `a | b` tables, code
//! as it stands.

use html5ever::{LocalName, local_name};

use super::content::Selection;
use super::count::Count;
use super::line::View;
use super::links::Links;
use super::outline::{Outline, Place};
use super::table::{self, Rows};
use super::tree::{Data, Tree};
use super::visible::task_mark;
use super::{is_heading, is_inline};
use crate::draft::Draft;

/// Writes the selected part of `tree`, with the sections that begin at `places`.
pub(super) fn render(tree: &Tree, selection: &Selection, places: &[Place], draft: &mut Draft) {
    let view = View {
        tree,
        selection,
        links: Links::find(tree, selection),
    };
    let mut renderer = Renderer {
        view: &view,
        draft,
        outline: Outline::new(tree, places),
        lists: Vec::new(),
        waiting: String::new(),
        apart: false,
        pre: 0,
        opens_code: false,
        link: 0,
    };
    renderer.node(selection.root);
}

struct Renderer<'a> {
    view: &'a View<'a>,
    draft: &'a mut Draft,
    outline: Outline<'a>,
    /// Open lists: how they count, or `None` for bullets.
    lists: Vec<Option<Count>>,
    /// A list marker that is written before the next text.
    waiting: String,
    /// Whether a word that follows must stand apart: alongside a button or an address.
    apart: bool,
    /// Depth of elements that keep white space.
    pre: usize,
    /// Whether the next text begins a block of code.
    opens_code: bool,
    /// Depth of links: images inside are buttons and logos.
    link: usize,
}

impl Renderer<'_> {
    // Recursion is bounded by `tree::MAX_DEPTH`.
    fn node(&mut self, index: usize) {
        if self.view.selection.skips(index) || self.draft.is_full() {
            return;
        }
        self.outline.pass(index);
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

    fn text(&mut self, text: &str) {
        if text.trim().is_empty() && self.pre == 0 {
            if !text.is_empty() && self.waiting.is_empty() {
                self.draft.space();
            }
            return;
        }
        self.outline.open(self.draft);
        if !self.waiting.is_empty() {
            let waiting = std::mem::take(&mut self.waiting);
            self.draft.push(&waiting);
        }
        // Not before an item's marker, which is not a part of its code.
        if std::mem::take(&mut self.opens_code) {
            self.draft.open_code();
        }
        if std::mem::take(&mut self.apart) && text.starts_with(char::is_alphanumeric) {
            self.draft.space();
        }
        if self.pre > 0 {
            self.draft.push(text);
        } else {
            self.draft.push_words(text);
        }
    }

    fn break_line(&mut self) {
        self.apart = false;
        if self.waiting.is_empty() {
            self.draft.break_line();
        }
    }

    fn blank_line(&mut self) {
        self.apart = false;
        if !self.lists.is_empty() {
            self.break_line();
        } else if self.waiting.is_empty() {
            self.draft.blank_line();
        }
    }

    fn element(&mut self, index: usize, name: &LocalName) {
        if is_heading(name) {
            return self.heading(index, name.as_bytes()[1] - b'0');
        }
        match &**name {
            "br" => self.draft.push("\n"),
            "hr" => self.blank_line(),
            "input" => self.text(task_mark(&self.view.tree.nodes[index]).unwrap_or("")),
            "img" if self.link > 0 => {}
            "img" => self.image(index),
            "a" if self.view.is_mark_of_note(index) => self.raised(index, name),
            "a" => self.link(index),
            "sup" | "sub" => self.raised(index, name),
            "button" | "label" => {
                self.apart = self.draft.last_char().is_some_and(char::is_alphanumeric);
                self.children(index);
                self.apart = true;
            }
            "pre" | "listing" | "xmp" => {
                self.blank_line();
                self.pre += 1;
                self.opens_code = true;
                self.children(index);
                self.opens_code = false;
                self.draft.close_code();
                self.pre -= 1;
                self.blank_line();
            }
            "ul" | "ol" | "menu" => self.list(index, name),
            "li" => self.item(index),
            "table" => self.table(index),
            "p" | "blockquote" | "dl" | "figure" | "section" | "article" | "details"
            | "fieldset" | "dialog" => {
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
        let heading = self.view.heading(index);
        self.waiting.clear();
        self.apart = false;
        if !heading.is_empty() {
            self.outline.heading(level, &heading, self.draft);
        }
    }

    fn link(&mut self, index: usize) {
        self.link += 1;
        self.children(index);
        self.link -= 1;
        // In code, it would be read as a part of it.
        if self.pre == 0
            && let Some(address) = self.view.links.address(index)
        {
            self.draft.space();
            self.text(&format!("({address})"));
            self.apart = true;
        }
    }

    fn raised(&mut self, index: usize, name: &LocalName) {
        match self.view.raised(index, name, self.draft.last_char()) {
            Some(text) => self.text(&text),
            None => self.children(index),
        }
    }

    fn image(&mut self, index: usize) {
        if let Some(alt) = self.view.tree.nodes[index].attribute(&local_name!("alt")) {
            self.text(alt);
        }
    }

    fn list(&mut self, index: usize, name: &LocalName) {
        self.blank_line();
        let number = (*name == local_name!("ol")).then(|| Count::of(self.view, index));
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
            Some(Some(count)) => {
                let value = self.view.tree.nodes[index].attribute(&local_name!("value"));
                count.next(value)
            }
            _ => "- ".into(),
        };
        self.waiting = indent + &marker;
        self.children(index);
        self.waiting.clear();
        self.break_line();
    }

    fn table(&mut self, index: usize) {
        self.blank_line();
        if table::is_layout(self.view, index) {
            self.children(index);
        } else {
            let mut rows = Rows::new(self.view, index);
            self.read_rows(index, false, &mut rows);
            for (row, names_columns) in rows.finish() {
                self.break_line();
                self.text(&row);
                if names_columns {
                    self.draft.name_columns();
                }
            }
            // A blank line ends a table, even in a list.
            if self.waiting.is_empty() {
                self.draft.blank_line();
            }
        }
        self.blank_line();
    }

    /// Reads the rows of a table of data, and writes what is not in them.
    fn read_rows(&mut self, index: usize, in_head: bool, rows: &mut Rows<'_>) {
        for child in self.view.tree.children(index) {
            if self.view.selection.skips(child) || self.draft.is_full() {
                continue;
            }
            let name = self.view.tree.nodes[child].name().map(|name| &**name);
            match name {
                Some("tr") => rows.read(child, in_head),
                Some(group @ ("thead" | "tbody" | "tfoot" | "form")) => {
                    self.read_rows(child, group == "thead", rows);
                    rows.end_group();
                }
                _ => self.node(child),
            }
        }
    }
}
