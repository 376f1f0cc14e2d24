//! Which part of a page is its content, and what inside it is not.
//!
//! A page's `main` (or only `article`) is the content where there is one.
//! Navigation, footers and the furniture that documentation generators put
//! into pages are left out, unless nothing would be left.

use html5ever::{LocalName, local_name};

use super::is_inline;
use super::tree::{Data, ROOT, Tree};

/// What is rendered: everything under `root` but the skipped subtrees.
pub(super) struct Selection {
    pub(super) root: usize,
    skipped: Vec<bool>,
    /// How much text it has, in bytes without white space.
    pub(super) text_bytes: u32,
}

impl Selection {
    pub(super) fn skips(&self, node: usize) -> bool {
        self.skipped[node]
    }
}

/// Classes, ids and roles of what never is content.
const FURNITURE: &[&str] = &[
    "anchorjs-link",
    "boring",
    "breadcrumb",
    "breadcrumbs",
    "colophon",
    "contentinfo",
    "copybtn",
    "headerlink",
    "hideme",
    "line-numbers",
    "linenos",
    "mw-editsection",
    "navigation",
    "permalink",
    "rst-versions",
    "screen-reader-text",
    "search",
    "skip-link",
    "skip-to-content",
    "sphinxsidebar",
    "sr-only",
    "ttc",
    "visually-hidden",
];

/// Classes, ids and roles of what is not content where it is mostly links.
const LINK_BLOCKS: &[&str] = &[
    "banner",
    "bottom-nav",
    "complementary",
    "contents",
    "footer",
    "header",
    "indices",
    "links",
    "menu",
    "nav",
    "nav-panel",
    "navbar",
    "navfooter",
    "navheader",
    "navpath",
    "navrow",
    "navtable",
    "page-toc",
    "pagination",
    "pager",
    "prev-next",
    "related",
    "share",
    "shortcontents",
    "side-nav",
    "sidebar",
    "sidenav",
    "table-of-contents",
    "tabs",
    "toc",
    "toolbar",
    "top-nav",
    "topbar",
];

const HEADINGS: &[&str] = &["h1", "h2", "h3", "h4", "h5", "h6"];

/// Share of an element's text that stands in links, from which it is a block of
/// links, in percent.
const LINK_SHARE: u32 = 60;
/// Content shorter than this is doubted when the rest of the page has more.
const SHORT_CONTENT: u32 = 200;

/// How much text a subtree has, in bytes without white space.
#[derive(Clone, Copy, Default)]
struct Weight {
    text: u32,
    /// The part of it that stands inside links.
    linked: u32,
}

/// Everything that a reader sees.
pub(super) fn everything(tree: &Tree) -> Selection {
    let skipped: Vec<bool> = (0..tree.nodes.len())
        .map(|node| is_invisible(tree, node))
        .collect();
    let text_bytes = weights(tree, &skipped)[ROOT].text;
    Selection {
        root: ROOT,
        skipped,
        text_bytes,
    }
}

/// The content of a page.
pub(super) fn select(tree: &Tree) -> Selection {
    let all = everything(tree);
    let whole = weights(tree, &all.skipped);
    let skipped: Vec<bool> = (0..tree.nodes.len())
        .map(|node| all.skipped[node] || (node != ROOT && is_furniture(tree, node, whole[node])))
        .collect();
    let kept = weights(tree, &skipped);
    let own = |weight: Weight| weight.text - weight.linked;
    let root = content_root(tree, &skipped, &kept);
    for (root, skipped) in [(root, &skipped), (ROOT, &skipped)] {
        let enough = own(kept[root]) >= SHORT_CONTENT
            || (own(kept[root]) > 0 && own(kept[root]) * 2 >= own(whole[ROOT]));
        if enough {
            return Selection {
                root,
                skipped: skipped.clone(),
                text_bytes: kept[root].text,
            };
        }
    }
    all
}

/// The `main` or `article` with the most text, if it is the greater part.
fn content_root(tree: &Tree, skipped: &[bool], kept: &[Weight]) -> usize {
    let mut hidden = vec![false; tree.nodes.len()];
    let (mut main, mut articles) = (ROOT, Vec::new());
    for (index, node) in tree.nodes.iter().enumerate() {
        hidden[index] = skipped[index] || (index != ROOT && hidden[node.parent as usize]);
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
fn weights(tree: &Tree, skipped: &[bool]) -> Vec<Weight> {
    let mut weights = vec![Weight::default(); tree.nodes.len()];
    // Children come after their parents, so backwards each is complete.
    for (index, node) in tree.nodes.iter().enumerate().rev() {
        if skipped[index] {
            weights[index] = Weight::default();
            continue;
        }
        if let Data::Text(range) = &node.data {
            let text = tree.text(range);
            weights[index].text = text.bytes().filter(|b| !b.is_ascii_whitespace()).count() as u32;
        }
        if node.name() == Some(&local_name!("a")) && node.attribute(&local_name!("href")).is_some()
        {
            weights[index].linked = weights[index].text;
        }
        let weight = weights[index];
        if let Some(parent) = weights.get_mut(node.parent as usize) {
            parent.text += weight.text;
            parent.linked += weight.linked;
        }
    }
    weights
}

/// Elements that no reader sees, or that are controls rather than text.
fn is_invisible(tree: &Tree, node: usize) -> bool {
    let node = &tree.nodes[node];
    let Some(name) = node.name() else {
        return false;
    };
    let hidden = node.attribute(&local_name!("hidden")).is_some()
        || node.attribute(&local_name!("aria-hidden")) == Some("true");
    let tab_panel = node.attribute(&local_name!("role")) == Some("tabpanel");
    (hidden && !tab_panel)
        || matches!(
            &**name,
            "template"
                | "svg"
                | "canvas"
                | "object"
                | "audio"
                | "video"
                | "button"
                | "select"
                | "input"
                | "dialog"
                | "datalist"
                | "annotation"
                | "rt"
                | "rp"
                | "map"
        )
}

/// Whether a visible element surrounds the content rather than being part of it.
fn is_furniture(tree: &Tree, index: usize, weight: Weight) -> bool {
    let node = &tree.nodes[index];
    let Some(name) = node.name() else {
        return false;
    };
    if *name == local_name!("a") && is_tool_link(tree, index) {
        return true;
    }
    // `data-nosnippet` is how a page tells search engines the same.
    let no_snippet = node.attribute(&LocalName::from("data-nosnippet")).is_some();
    if no_snippet || matches!(&**name, "nav" | "footer" | "noscript") {
        return true;
    }
    if matches!(&**name, "header" | "aside") && !is_inside_content(tree, index) {
        return true;
    }
    let attributes = [local_name!("class"), local_name!("id"), local_name!("role")];
    let mut words = attributes
        .iter()
        .filter_map(|attribute| node.attribute(attribute))
        .flat_map(str::split_ascii_whitespace);
    // A heading that links to itself is mostly link, and content.
    let is_block = !is_inline(name) && !HEADINGS.contains(&&**name);
    let of_links = is_block && weight.text > 0 && weight.linked * 100 >= weight.text * LINK_SHARE;
    words.any(|word| {
        let word = word.to_ascii_lowercase();
        FURNITURE.contains(&word.as_str()) || (of_links && LINK_BLOCKS.contains(&word.as_str()))
    })
}

/// A link from a heading to itself, to the source code behind it, or to a note
/// that opens over the page.
fn is_tool_link(tree: &Tree, index: usize) -> bool {
    let class = tree.nodes[index]
        .attribute(&local_name!("class"))
        .unwrap_or("");
    if class.split_ascii_whitespace().any(|word| word == "src") {
        return true;
    }
    let mut text = tree
        .children(index)
        .filter_map(|child| match &tree.nodes[child].data {
            Data::Text(range) => Some(tree.text(range).trim()),
            Data::Element(..) => None,
        });
    matches!(
        text.next(),
        Some("¶" | "§" | "#" | "🔗" | "¤" | "ⓘ" | "\u{f0c1}")
    )
}

fn is_inside_content(tree: &Tree, index: usize) -> bool {
    let mut at = tree.nodes[index].parent as usize;
    while let Some(node) = tree.nodes.get(at) {
        let role = node.attribute(&local_name!("role"));
        if role == Some("main")
            || node
                .name()
                .is_some_and(|n| matches!(&**n, "main" | "article"))
        {
            return true;
        }
        at = node.parent as usize;
    }
    false
}
