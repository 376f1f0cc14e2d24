//! Which part of a page is its content, and what inside it is not.
//!
//! A page's `main` (or only `article`) is the content where there is one, with the page's
//! title above it and the dialogs that it opens. What [`furniture`](super::furniture)
//! knows is left out, unless nothing would be left.

use html5ever::local_name;

use super::furniture::Furniture;
use super::tree::{Data, ROOT, Tree};
use super::visible;

/// What is rendered: everything under `root` but the skipped subtrees.
pub(super) struct Selection {
    pub(super) root: usize,
    skipped: Vec<bool>,
    weights: Vec<Weight>,
    /// How much text it has, in bytes without white space.
    pub(super) text_bytes: u32,
}

impl Selection {
    pub(super) fn skips(&self, node: usize) -> bool {
        self.skipped[node]
    }

    /// What a subtree weighs without the skipped ones.
    pub(super) fn weight(&self, node: usize) -> Weight {
        self.weights[node]
    }
}

/// Share of an element's text that stands in links, from which it is a block of
/// links, in percent.
const LINK_SHARE: u32 = 60;
/// Links from which a page of links is a list of contents.
const MIN_CONTENTS: usize = 3;
/// Content shorter than this is doubted when the rest of the page has more.
pub(super) const SHORT_CONTENT: u32 = 200;

/// What a subtree holds.
#[derive(Clone, Copy, Default)]
pub(super) struct Weight {
    /// Bytes of text without white space.
    pub(super) text: u32,
    /// The part of it that stands inside links.
    pub(super) linked: u32,
    /// Fields that a reader fills in, buttons, navigation, and headings of the first
    /// level; large numbers are not exact.
    pub(super) fields: u16,
    pub(super) buttons: u16,
    pub(super) navs: u16,
    pub(super) titles: u16,
}

impl Weight {
    /// Text outside of links.
    pub(super) fn own(self) -> u32 {
        self.text - self.linked
    }

    /// Whether it is mostly links.
    pub(super) fn is_links(self) -> bool {
        self.text > 0
            && u64::from(self.linked) * 100 >= u64::from(self.text) * u64::from(LINK_SHARE)
    }

    fn add(&mut self, other: Self) {
        self.text += other.text;
        self.linked += other.linked;
        self.fields = self.fields.saturating_add(other.fields);
        self.buttons = self.buttons.saturating_add(other.buttons);
        self.navs = self.navs.saturating_add(other.navs);
        self.titles = self.titles.saturating_add(other.titles);
    }
}

/// Everything that a reader sees.
pub(super) fn everything(tree: &Tree) -> Selection {
    let skipped = visible::hidden(tree);
    let weights = weights(tree, &skipped);
    Selection {
        root: ROOT,
        skipped,
        text_bytes: weights[ROOT].text,
        weights,
    }
}

/// The content of a page.
pub(super) fn select(tree: &Tree) -> Selection {
    select_from(tree, everything(tree))
}

/// The content of a page of a book, whose lists of contents are never text.
pub(super) fn select_chapter(tree: &Tree) -> Selection {
    let mut all = everything(tree);
    for (index, node) in tree.nodes.iter().enumerate() {
        all.skipped[index] |= node.name() == Some(&local_name!("nav"));
    }
    all.weights = weights(tree, &all.skipped);
    all.text_bytes = all.weights[ROOT].text;
    select_from(tree, all)
}

fn select_from(tree: &Tree, all: Selection) -> Selection {
    let furniture = Furniture::new(tree, &all.weights);
    let skipped: Vec<bool> = (0..tree.nodes.len())
        .map(|node| all.skipped[node] || (node != ROOT && furniture.is_furniture(node)))
        .collect();
    let kept = weights(tree, &skipped);
    let root = content_root(tree, &skipped, &kept);
    for root in [root, ROOT] {
        let own = kept[root].own();
        let enough = own >= SHORT_CONTENT || (own > 0 && own * 2 >= all.weights[ROOT].own());
        if enough {
            let selection = Selection {
                root,
                skipped,
                text_bytes: kept[root].text,
                weights: kept,
            };
            return with_surroundings(tree, selection, &furniture);
        }
    }
    all
}

/// Whether a page is a list of links to other pages: their names, and little else.
pub(super) fn is_contents(tree: &Tree, selection: &Selection) -> bool {
    let leads_on = |node: &super::tree::Node| {
        let href = node.attribute(&local_name!("href"));
        let is_link = node.name() == Some(&local_name!("a"));
        is_link && href.is_some_and(|href| !href.starts_with('#') && !href.contains("://"))
    };
    selection.weight(selection.root).is_links()
        && tree.nodes.iter().filter(|node| leads_on(node)).count() >= MIN_CONTENTS
}

/// Takes in what belongs to the content though it stands outside of its root: the title
/// of the page, and dialogs.
fn with_surroundings(
    tree: &Tree,
    mut selection: Selection,
    furniture: &Furniture<'_>,
) -> Selection {
    if selection.root == ROOT {
        return selection;
    }
    let hidden = inherited(tree, &selection.skipped);
    let others: Vec<usize> = (0..tree.nodes.len())
        .filter(|&node| !hidden[node] && selection.weights[node].text > 0)
        .filter(|&node| furniture.is_title(node) || furniture.is_dialog(node))
        .filter(|&node| !is_under(tree, node, selection.root))
        .collect();
    if others.is_empty() {
        return selection;
    }
    let mut inside = vec![false; tree.nodes.len()];
    inside[selection.root] = true;
    others.iter().for_each(|&other| inside[other] = true);
    for index in 1..tree.nodes.len() {
        inside[index] |= inside[tree.nodes[index].parent as usize];
    }
    let mut around = vec![false; tree.nodes.len()];
    for index in (1..tree.nodes.len()).rev() {
        if inside[index] || around[index] {
            around[tree.nodes[index].parent as usize] = true;
        }
    }
    for index in 0..tree.nodes.len() {
        selection.skipped[index] |= !inside[index] && !around[index];
    }
    selection.root = ROOT;
    selection.weights = weights(tree, &selection.skipped);
    selection.text_bytes = selection.weights[ROOT].text;
    selection
}

fn is_under(tree: &Tree, mut node: usize, root: usize) -> bool {
    while node != ROOT && node != root {
        node = tree.nodes[node].parent as usize;
    }
    node == root
}

/// Which nodes are inside of a skipped one, or are one.
pub(super) fn inherited(tree: &Tree, skipped: &[bool]) -> Vec<bool> {
    let mut hidden = skipped.to_vec();
    for index in 1..tree.nodes.len() {
        hidden[index] |= hidden[tree.nodes[index].parent as usize];
    }
    hidden
}

/// The `main` or `article` with the most text, if it is the greater part.
fn content_root(tree: &Tree, skipped: &[bool], kept: &[Weight]) -> usize {
    let hidden = inherited(tree, skipped);
    let (mut main, mut articles) = (ROOT, Vec::new());
    for (index, node) in tree.nodes.iter().enumerate() {
        if hidden[index] {
            continue;
        }
        let is_main = node.name() == Some(&local_name!("main"))
            || node.attribute(&local_name!("role")) == Some("main");
        if is_main && (main == ROOT || kept[index].text > kept[main].text) {
            main = index;
        }
        if node.name() == Some(&local_name!("article")) {
            articles.push(index);
        }
    }
    if main != ROOT {
        return main;
    }
    match articles[..] {
        [only] if kept[only].text * 2 >= kept[ROOT].text => only,
        _ => ROOT,
    }
}

/// The weight of every subtree without the skipped ones.
pub(super) fn weights(tree: &Tree, skipped: &[bool]) -> Vec<Weight> {
    let mut weights = vec![Weight::default(); tree.nodes.len()];
    // Children come after their parents, so backwards each is complete.
    for (index, node) in tree.nodes.iter().enumerate().rev() {
        let mut weight = weights[index];
        if skipped[index] {
            weight = Weight::default();
        } else if let Data::Text(range) = &node.data {
            let text = tree.text(range);
            weight.text = text.bytes().filter(|b| !b.is_ascii_whitespace()).count() as u32;
        }
        // Controls are not text, but tell what they stand in.
        match node.name() {
            Some(&local_name!("a")) if node.attribute(&local_name!("href")).is_some() => {
                weight.linked = weight.text;
            }
            Some(&local_name!("input")) => {
                let kind = node.attribute(&local_name!("type")).unwrap_or("text");
                match kind.to_ascii_lowercase().as_str() {
                    "hidden" => {}
                    _ if visible::task_mark(node).is_some() => {}
                    "submit" | "button" | "reset" | "image" => weight.buttons = 1,
                    _ => weight.fields = 1,
                }
            }
            Some(&local_name!("select")) => weight.fields = 1,
            Some(&local_name!("button")) => weight.buttons = 1,
            Some(&local_name!("nav")) => weight.navs = 1,
            Some(&local_name!("h1")) if weight.text > 0 => weight.titles = 1,
            _ => {}
        }
        weights[index] = weight;
        if let Some(parent) = weights.get_mut(node.parent as usize) {
            parent.add(weight);
        }
    }
    weights
}
