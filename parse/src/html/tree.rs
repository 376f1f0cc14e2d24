//! A light tree of a page, built in one pass over html5ever's tokens.
//!
//! Elements that HTML lets authors leave open (`p`, `li`, `td`, …) are closed
//! where the standard closes them as far as text is concerned. Nesting beyond
//! [`MAX_DEPTH`] is flattened, so that neither time nor stack grows with it.

use std::cell::RefCell;

use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{
    BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer,
};
use html5ever::{LocalName, local_name};

use super::{attributes, is_inline};
use crate::{Error, ErrorKind, Result};

/// Deepest nesting that is kept; browsers draw the same line at 512.
pub(super) const MAX_DEPTH: usize = 256;
/// Most elements and texts of one page: 40 bytes each.
const MAX_NODES: usize = 4_000_000;

/// The root of every tree.
pub(super) const ROOT: usize = 0;
const NONE: u32 = u32::MAX;

/// What a node is.
pub(super) enum Data {
    /// A piece of [`Tree::text`].
    Text(std::ops::Range<u32>),
    /// An element and the attributes that matter here.
    Element(LocalName, Box<[(LocalName, StrTendril)]>),
}

pub(super) struct Node {
    pub(super) data: Data,
    pub(super) parent: u32,
    first: u32,
    last: u32,
    pub(super) next: u32,
}

impl Node {
    /// The element's name; `None` for text.
    pub(super) fn name(&self) -> Option<&LocalName> {
        match &self.data {
            Data::Element(name, _) => Some(name),
            Data::Text(_) => None,
        }
    }

    /// The value of an attribute that html5ever has no name for.
    pub(super) fn attribute_named(&self, wanted: &str) -> Option<&str> {
        match &self.data {
            Data::Element(_, attributes) => attributes
                .iter()
                .find(|(name, _)| &**name == wanted)
                .map(|(_, value)| &**value),
            Data::Text(_) => None,
        }
    }

    /// Whether an element has attributes that matter here.
    pub(super) fn has_attributes(&self) -> bool {
        matches!(&self.data, Data::Element(_, attributes) if !attributes.is_empty())
    }

    /// The value of an attribute.
    pub(super) fn attribute(&self, wanted: &LocalName) -> Option<&str> {
        match &self.data {
            Data::Element(_, attributes) => attributes
                .iter()
                .find(|(name, _)| name == wanted)
                .map(|(_, value)| &**value),
            Data::Text(_) => None,
        }
    }
}

/// A page. Children follow their parents in `nodes`.
pub(super) struct Tree {
    pub(super) nodes: Vec<Node>,
    text: String,
    pub(super) title: String,
    pub(super) lang: Option<String>,
}

impl Tree {
    /// Reads `html`. Every text is some page; only size is an error.
    pub(super) fn build(html: &str) -> Result<Self> {
        let html = &*attributes::bounded(html);
        let sink = Sink(RefCell::new(Builder::new(html)));
        let input = BufferQueue::default();
        input.push_back(StrTendril::from_slice(html));
        let tokenizer = Tokenizer::new(sink, Default::default());
        let _ = tokenizer.feed(&input);
        tokenizer.end();
        let builder = tokenizer.sink.0.into_inner();
        if builder.tree.nodes.len() >= MAX_NODES {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!("the page has more than {MAX_NODES} elements; split it"),
            ));
        }
        Ok(builder.tree)
    }

    /// The text of a text node.
    pub(super) fn text(&self, range: &std::ops::Range<u32>) -> &str {
        &self.text[range.start as usize..range.end as usize]
    }

    /// The children of a node, in order.
    pub(super) fn children(&self, node: usize) -> impl Iterator<Item = usize> + '_ {
        let mut at = self.nodes[node].first;
        std::iter::from_fn(move || {
            let child = at as usize;
            at = self.nodes.get(child)?.next;
            Some(child)
        })
    }

    /// The element right after a node, with no words between them.
    pub(super) fn next_element(&self, node: usize) -> Option<usize> {
        let mut at = self.nodes[node].next as usize;
        // Neighbouring texts are one node.
        for _ in 0..2 {
            match &self.nodes.get(at)?.data {
                Data::Element(..) => return Some(at),
                Data::Text(range) if !self.text(range).trim().is_empty() => return None,
                Data::Text(_) => at = self.nodes[at].next as usize,
            }
        }
        None
    }

    /// Names (or properties, or HTTP headers) and contents of the `meta`
    /// elements.
    pub(super) fn metas(&self) -> impl Iterator<Item = (&str, &str)> {
        self.nodes.iter().filter_map(|node| {
            if node.name() != Some(&local_name!("meta")) {
                return None;
            }
            let name = [
                local_name!("name"),
                local_name!("property"),
                local_name!("http-equiv"),
            ]
            .iter()
            .find_map(|attribute| node.attribute(attribute))?;
            Some((name, node.attribute(&local_name!("content"))?))
        })
    }
}

struct Sink(RefCell<Builder>);

impl TokenSink for Sink {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut builder = self.0.borrow_mut();
        match token {
            Token::CharacterTokens(text) => builder.characters(&text),
            Token::TagToken(tag) if tag.kind == TagKind::StartTag => return builder.start(tag),
            Token::TagToken(tag) => builder.end(&tag.name),
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

struct Builder {
    tree: Tree,
    /// Open elements, the root first.
    stack: Vec<u32>,
    /// Open elements that [`MAX_DEPTH`] kept out of the stack.
    excess: usize,
    /// `<x/>` closes itself, as in XHTML.
    xml: bool,
    /// Inside an element whose text is not content.
    muted: Option<LocalName>,
    in_title: bool,
}

impl Builder {
    fn new(html: &str) -> Self {
        let root = Node {
            data: Data::Element(local_name!("body"), Box::default()),
            parent: NONE,
            first: NONE,
            last: NONE,
            next: NONE,
        };
        let start = html.trim_start_matches('\u{feff}').trim_start();
        Self {
            tree: Tree {
                nodes: vec![root],
                text: String::new(),
                title: String::new(),
                lang: None,
            },
            stack: vec![0],
            excess: 0,
            xml: start.starts_with("<?xml"),
            muted: None,
            in_title: false,
        }
    }

    fn top(&self) -> usize {
        self.stack.last().map_or(ROOT, |&top| top as usize)
    }

    fn name(&self, node: u32) -> Option<&LocalName> {
        self.tree.nodes[node as usize].name()
    }

    fn is_inside(&self, name: &LocalName) -> bool {
        self.stack.iter().any(|&open| self.name(open) == Some(name))
    }

    fn add(&mut self, data: Data) -> u32 {
        let (parent, index) = (self.top(), self.tree.nodes.len() as u32);
        self.tree.nodes.push(Node {
            data,
            parent: parent as u32,
            first: NONE,
            last: NONE,
            next: NONE,
        });
        let before = self.tree.nodes[parent].last;
        if before == NONE {
            self.tree.nodes[parent].first = index;
        } else {
            self.tree.nodes[before as usize].next = index;
        }
        self.tree.nodes[parent].last = index;
        index
    }

    fn characters(&mut self, text: &str) {
        if self.in_title {
            self.tree.title.push_str(text);
            return;
        }
        if self.muted.is_some() || self.tree.nodes.len() >= MAX_NODES {
            return;
        }
        let start = self.tree.text.len() as u32;
        self.tree.text.push_str(text);
        let end = self.tree.text.len() as u32;
        let last = self.tree.nodes[self.top()].last;
        if let Some(node) = self.tree.nodes.get_mut(last as usize)
            && let Data::Text(range) = &mut node.data
            && range.end == start
        {
            range.end = end;
            return;
        }
        self.add(Data::Text(start..end));
    }

    fn start(&mut self, tag: Tag) -> TokenSinkResult<()> {
        let closes_itself = tag.self_closing && self.xml;
        let name = tag.name;
        if name == local_name!("html") {
            let lang = tag.attrs.iter().find(|a| &*a.name.local == "lang");
            self.tree.lang = self.tree.lang.take().or(lang.map(|a| a.value.to_string()));
        }
        // These hold no text of their own: what is inside belongs to the page.
        if name == local_name!("html") || name == local_name!("head") || name == local_name!("body")
        {
            return TokenSinkResult::Continue;
        }
        // One that closes itself holds no text, whatever the standard makes of it.
        if !tag.self_closing
            && let Some(kind) = raw_text(&name)
        {
            if name == local_name!("title") && !self.is_inside(&local_name!("svg")) {
                self.in_title = self.tree.title.is_empty();
            }
            self.muted = Some(name);
            return TokenSinkResult::RawData(kind);
        }
        if raw_text(&name).is_some() {
            return TokenSinkResult::Continue;
        }
        if self.tree.nodes.len() >= MAX_NODES {
            return TokenSinkResult::Continue;
        }
        self.close_before(&name);
        let attributes: Vec<_> = tag
            .attrs
            .into_iter()
            .filter(|attribute| matters(&attribute.name.local))
            .map(|attribute| (attribute.name.local, attribute.value))
            .collect();
        let open = !is_void(&name) && !closes_itself;
        let node = self.add(Data::Element(name, attributes.into()));
        if open && self.stack.len() < MAX_DEPTH {
            self.stack.push(node);
        } else if open {
            self.excess += 1;
        }
        TokenSinkResult::Continue
    }

    fn end(&mut self, name: &LocalName) {
        if self.muted.as_ref() == Some(name) {
            self.muted = None;
            self.in_title = false;
            return;
        }
        if is_void(name) {
            return;
        }
        if self.excess > 0 {
            self.excess -= 1;
            return;
        }
        let barrier = !is_table_part(name);
        for at in (1..self.stack.len()).rev() {
            let open = self.name(self.stack[at]);
            if open == Some(name) {
                self.stack.truncate(at);
                return;
            }
            if barrier && open.is_some_and(is_table_part) {
                return;
            }
        }
    }

    /// Closes what the start of `name` closes by itself.
    fn close_before(&mut self, name: &LocalName) {
        let (closed, fence): (&[LocalName], &[LocalName]) = match *name {
            local_name!("li") => (
                &[local_name!("li")],
                &[local_name!("ul"), local_name!("ol")],
            ),
            local_name!("dt") | local_name!("dd") => (
                &[local_name!("dt"), local_name!("dd")],
                &[local_name!("dl")],
            ),
            local_name!("tr") => (&[local_name!("tr")], &[local_name!("table")]),
            local_name!("td") | local_name!("th") => (
                &[local_name!("td"), local_name!("th")],
                &[local_name!("tr"), local_name!("table")],
            ),
            local_name!("tbody") | local_name!("thead") | local_name!("tfoot") => (
                &[
                    local_name!("tbody"),
                    local_name!("thead"),
                    local_name!("tfoot"),
                ],
                &[local_name!("table")],
            ),
            _ if is_inline(name) => return,
            _ => (&[], &[]),
        };
        for at in (1..self.stack.len()).rev() {
            let Some(open) = self.name(self.stack[at]) else {
                break;
            };
            if closed.contains(open) {
                self.stack.truncate(at);
                break;
            }
            if fence.contains(open) || (closed.is_empty() && !is_inline(open)) {
                break;
            }
        }
        // A paragraph ends where a block begins.
        for at in (1..self.stack.len()).rev() {
            let Some(open) = self.name(self.stack[at]) else {
                break;
            };
            if *open == local_name!("p") {
                self.stack.truncate(at);
                break;
            }
            if !is_inline(open) {
                break;
            }
        }
    }
}

/// Attributes that content selection, rendering or the facts look at.
fn matters(name: &LocalName) -> bool {
    matches!(
        &**name,
        "id" | "class"
            | "role"
            | "hidden"
            | "style"
            | "alt"
            | "name"
            | "property"
            | "content"
            | "start"
            | "value"
            | "reversed"
            | "onclick"
            | "epub:type"
            | "disabled"
            | "checked"
            | "href"
            | "rel"
            | "type"
            | "rowspan"
            | "colspan"
            | "http-equiv"
            | "aria-hidden"
            | "aria-expanded"
            | "aria-controls"
            | "aria-label"
            | "data-target"
            | "data-toggle"
            | "data-bs-target"
            | "data-bs-toggle"
            | "data-nosnippet"
            | "popovertarget"
            | "commandfor"
    )
}

/// Elements whose content is not markup. Only the title's is kept.
const RAW_TEXT: &[(&str, RawKind)] = &[
    ("title", RawKind::Rcdata),
    ("textarea", RawKind::Rcdata),
    ("script", RawKind::ScriptData),
    ("style", RawKind::Rawtext),
    ("iframe", RawKind::Rawtext),
    ("noembed", RawKind::Rawtext),
    ("noframes", RawKind::Rawtext),
];

fn raw_text(name: &LocalName) -> Option<RawKind> {
    let found = RAW_TEXT.iter().find(|(raw, _)| *raw == &**name);
    found.map(|&(_, kind)| kind)
}

/// The name, in lower case, of an element whose content is not markup.
pub(super) fn raw_text_name(name: &str) -> Option<&'static str> {
    let found = RAW_TEXT
        .iter()
        .find(|(raw, _)| raw.eq_ignore_ascii_case(name));
    found.map(|&(raw, _)| raw)
}

fn is_void(name: &LocalName) -> bool {
    matches!(
        *name,
        local_name!("area")
            | local_name!("base")
            | local_name!("br")
            | local_name!("col")
            | local_name!("embed")
            | local_name!("frame")
            | local_name!("hr")
            | local_name!("img")
            | local_name!("input")
            | local_name!("link")
            | local_name!("meta")
            | local_name!("param")
            | local_name!("source")
            | local_name!("track")
            | local_name!("wbr")
    )
}

fn is_table_part(name: &LocalName) -> bool {
    matches!(
        *name,
        local_name!("table")
            | local_name!("caption")
            | local_name!("thead")
            | local_name!("tbody")
            | local_name!("tfoot")
            | local_name!("tr")
            | local_name!("td")
            | local_name!("th")
    )
}
