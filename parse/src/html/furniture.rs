//! What surrounds the content of a page: navigation, the site's header and footer, boxes
//! for search, notes about cookies, and what documentation generators put in.

use html5ever::{LocalName, local_name};

use super::content::{SHORT_CONTENT, Weight};
use super::tree::{Data, ROOT, Tree};
use super::{is_heading, is_inline, visible};

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

/// Ids of lists of contents, which have a heading of the same name.
const CONTENTS: &[&str] = &[
    "contents",
    "indices",
    "page-toc",
    "shortcontents",
    "table-of-contents",
    "toc",
];

/// Classes of headings that only those who listen get.
const UNSEEN: &[&str] = &["hideme", "screen-reader-text", "sr-only", "visually-hidden"];

/// Words in class or id of an `aside`, or of a site's own header and footer.
const SIDE_WORDS: &[&str] = &[
    "ad",
    "ads",
    "advert",
    "advertisement",
    "cookie",
    "global",
    "masthead",
    "navbar",
    "newsletter",
    "promo",
    "sidebar",
    "site",
    "sponsor",
    "topbar",
    "widget",
    "widgets",
];

/// Parts of the names of boxes that ask for consent to cookies.
const CONSENT: &[&str] = &["cookie", "gdpr", "onetrust", "consent-", "consent_"];
const BOXES: &[&str] = &[
    "alert",
    "banner",
    "bar",
    "consent",
    "cookiebot",
    "dialog",
    "disclaimer",
    "layer",
    "manager",
    "message",
    "modal",
    "notice",
    "notification",
    "overlay",
    "popup",
    "prompt",
    "sdk",
    "wall",
    "window",
];

/// Longest text of a box that asks for consent, in bytes without white space.
const MAX_CONSENT: u32 = 3000;
/// Nodes that are looked at for the first heading of an element.
const MAX_SEARCHED: usize = 64;

/// Elements from a link outwards that may be the place it leads to.
const MAX_WRAPPERS: usize = 3;

/// Tells furniture from content.
pub(super) struct Furniture<'a> {
    tree: &'a Tree,
    /// What each subtree weighs, furniture included.
    weights: &'a [Weight],
}

impl<'a> Furniture<'a> {
    pub(super) fn new(tree: &'a Tree, weights: &'a [Weight]) -> Self {
        Self { tree, weights }
    }

    /// Whether a visible element surrounds the content rather than being part of it.
    pub(super) fn is_furniture(&self, index: usize) -> bool {
        let node = &self.tree.nodes[index];
        let Some(name) = node.name() else {
            return false;
        };
        let weight = self.weights[index];
        // `data-nosnippet` is how a page tells search engines the same.
        if node.attribute_named("data-nosnippet").is_some() {
            return true;
        }
        let by_element = match &**name {
            "nav" | "noscript" | "search" => true,
            "a" => self.is_tool_link(index),
            "header" => !self.is_content_header(index),
            "footer" => !self.is_content_footer(index),
            "aside" => !self.is_content_aside(index),
            "dialog" => weight.is_links() || (weight.fields > 0 && weight.own() < SHORT_CONTENT),
            _ => false,
        };
        by_element || self.is_named(index, name) || self.asks_for_consent(index, name)
    }

    /// Whether class, role or id say that it is furniture.
    fn is_named(&self, index: usize, name: &LocalName) -> bool {
        let node = &self.tree.nodes[index];
        let listed = |words: &str| {
            words
                .split_ascii_whitespace()
                .any(|word| self.lists(index, name, word))
        };
        let class = node.attribute(&local_name!("class")).unwrap_or("");
        if is_heading(name) {
            let mut words = class.split_ascii_whitespace();
            return words.any(|word| UNSEEN.contains(&word.to_ascii_lowercase().as_str()));
        }
        if listed(class) || node.attribute(&local_name!("role")).is_some_and(listed) {
            return !self.is_named_self_link(index, name);
        }
        let id = node.attribute(&local_name!("id"));
        id.is_some_and(|id| self.lists(index, name, id) && self.is_furniture_by_id(index, name, id))
    }

    /// Whether a link to the place that it stands at has a name of its own: some writers
    /// put the whole heading into the link.
    fn is_named_self_link(&self, index: usize, name: &LocalName) -> bool {
        let href = self.tree.nodes[index].attribute(&local_name!("href"));
        let Some(place) = href.and_then(|href| href.strip_prefix('#')) else {
            return false;
        };
        let mut at = index;
        let is_self = *name == local_name!("a")
            && (0..MAX_WRAPPERS).any(|_| {
                let id = self.tree.nodes[at].attribute(&local_name!("id"));
                let is_place = id == Some(place);
                at = (self.tree.nodes[at].parent as usize).min(self.tree.nodes.len() - 1);
                is_place
            });
        if !is_self {
            return false;
        }
        let label = visible::label(self.tree, index).to_lowercase();
        let says_link = ["link", "anchor"].iter().any(|word| label.contains(word));
        label.contains(char::is_alphanumeric) && !says_link
    }

    fn lists(&self, index: usize, name: &LocalName, word: &str) -> bool {
        // A heading that links to itself is mostly link, and content.
        let of_links = !is_inline(name) && self.weights[index].is_links();
        let has = |words: &[&str]| words.iter().any(|known| known.eq_ignore_ascii_case(word));
        has(FURNITURE) || (of_links && has(LINK_BLOCKS))
    }

    /// Generators make ids of headings, so an id counts only where no heading made it.
    fn is_furniture_by_id(&self, index: usize, name: &LocalName, id: &str) -> bool {
        let weight = self.weights[index];
        if is_inline(name) {
            return weight.is_links();
        }
        if matches!(
            &**name,
            "main"
                | "article"
                | "dt"
                | "dd"
                | "li"
                | "p"
                | "pre"
                | "td"
                | "th"
                | "tr"
                | "summary"
                | "caption"
                | "figure"
        ) {
            return false;
        }
        let is_contents = CONTENTS.iter().any(|known| known.eq_ignore_ascii_case(id));
        let is_box = weight.fields > 0 && weight.own() < SHORT_CONTENT;
        if !is_contents && !is_box && self.is_id_of_heading(index, id) {
            return false;
        }
        is_box || weight.is_links() || weight.own() < SHORT_CONTENT
    }

    /// Whether the first heading of an element says what its id says.
    fn is_id_of_heading(&self, index: usize, id: &str) -> bool {
        let letters = |text: &str| -> String {
            let letters = text.chars().filter(|c| c.is_alphanumeric());
            letters.flat_map(char::to_lowercase).collect()
        };
        let end = self.tree.nodes.len().min(index + MAX_SEARCHED);
        let heading = (index + 1..end)
            .take_while(|&node| self.is_under(node, index))
            .find(|&node| self.tree.nodes[node].name().is_some_and(is_heading));
        heading.is_some_and(|heading| {
            let (label, id) = (letters(&visible::label(self.tree, heading)), letters(id));
            // A second heading of the same name gets a number.
            let number = id.strip_prefix(label.as_str());
            number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
        })
    }

    fn is_under(&self, node: usize, root: usize) -> bool {
        let mut at = node;
        while at != root && at != ROOT {
            at = self.tree.nodes[at].parent as usize;
        }
        at == root
    }

    fn asks_for_consent(&self, index: usize, name: &LocalName) -> bool {
        let node = &self.tree.nodes[index];
        let weight = self.weights[index];
        if is_inline(name) || is_heading(name) || matches!(&**name, "main" | "article") {
            return false;
        }
        let can_answer = weight.buttons > 0 || weight.fields > 0 || weight.linked > 0;
        if !can_answer || weight.own() >= MAX_CONSENT {
            return false;
        }
        let attribute = |name| node.attribute(&name).unwrap_or("");
        let id = attribute(local_name!("id"));
        let words = attribute(local_name!("class")).split_ascii_whitespace();
        let is_named = words
            .chain([id, attribute(local_name!("aria-label"))])
            .any(names_consent);
        is_named && (id.is_empty() || !self.is_id_of_heading(index, id))
    }

    /// A header of an article, or one that holds the only title of the page.
    fn is_content_header(&self, index: usize) -> bool {
        match self.container(index) {
            Container::Content | Container::Main => true,
            Container::Section => self.weights[index].navs == 0,
            Container::Page => self.is_title(index),
        }
    }

    /// Whether a header holds the only title of the page and nothing of a site's header.
    pub(super) fn is_title(&self, index: usize) -> bool {
        let node = &self.tree.nodes[index];
        let weight = self.weights[index];
        node.name() == Some(&local_name!("header"))
            && weight.titles == 1
            && self.weights[ROOT].titles == 1
            && weight.navs == 0
            && weight.fields == 0
            && !weight.is_links()
            && !self.has_side_word(index)
            && node.attribute(&local_name!("role")) != Some("banner")
            && self.agrees_with_title(index)
    }

    /// Whether the title of the page begins with the heading, where it has a title: many
    /// end with the name of the site.
    fn agrees_with_title(&self, index: usize) -> bool {
        let words = |text: &str| -> Vec<String> {
            text.split(|c: char| !c.is_alphanumeric())
                .filter(|word| !word.is_empty())
                .map(str::to_lowercase)
                .collect()
        };
        let title = words(&self.tree.title);
        let is_first = |&node: &usize| self.tree.nodes[node].name() == Some(&local_name!("h1"));
        let heading = (index + 1..self.tree.nodes.len()).find(is_first);
        heading.is_some_and(|heading| {
            let heading = words(&visible::label(self.tree, heading));
            title.is_empty() || title.starts_with(&heading) || heading.starts_with(&title)
        })
    }

    fn is_content_footer(&self, index: usize) -> bool {
        let weight = self.weights[index];
        let parent = self.tree.nodes.get(self.tree.nodes[index].parent as usize);
        let parent = parent.and_then(|parent| parent.name()).map(|name| &**name);
        if matches!(parent, Some("blockquote" | "figure")) {
            return true;
        }
        match self.container(index) {
            Container::Page => false,
            Container::Content => !weight.is_links(),
            Container::Main | Container::Section => {
                !weight.is_links() && !self.has_side_word(index) && !self.claims_rights(index)
            }
        }
    }

    /// Whether a footer says whose site it is.
    fn claims_rights(&self, index: usize) -> bool {
        let label = visible::label(self.tree, index).to_lowercase();
        [
            "©",
            "(c) 20",
            "copyright",
            "all rights reserved",
            "powered by",
        ]
        .iter()
        .any(|claim| label.contains(claim))
    }

    fn is_content_aside(&self, index: usize) -> bool {
        if self.container(index) != Container::Page {
            return true;
        }
        let weight = self.weights[index];
        !weight.is_links() && weight.fields == 0 && !self.has_side_word(index)
    }

    fn has_side_word(&self, index: usize) -> bool {
        let node = &self.tree.nodes[index];
        [local_name!("class"), local_name!("id")]
            .iter()
            .filter_map(|attribute| node.attribute(attribute))
            .flat_map(|value| value.split(|c: char| !c.is_ascii_alphanumeric()))
            .any(|word| {
                SIDE_WORDS
                    .iter()
                    .any(|known| known.eq_ignore_ascii_case(word))
            })
    }

    /// Whether an element is a dialog that tells something.
    pub(super) fn is_dialog(&self, index: usize) -> bool {
        let node = &self.tree.nodes[index];
        let role = node.attribute(&local_name!("role"));
        let is_dialog = node.name() == Some(&local_name!("dialog"))
            || matches!(role, Some("dialog" | "alertdialog"));
        let weight = self.weights[index];
        is_dialog && !weight.is_links() && weight.fields == 0
    }

    /// What kind of part of the page the nearest part around an element is.
    fn container(&self, index: usize) -> Container {
        let mut found = Container::Page;
        let mut at = self.tree.nodes[index].parent as usize;
        while let Some(node) = self.tree.nodes.get(at) {
            match node.name().map(|name| &**name) {
                Some("article" | "blockquote" | "figure" | "dialog" | "details" | "td" | "li") => {
                    return Container::Content;
                }
                Some("main") => return Container::Main,
                _ if node.attribute(&local_name!("role")) == Some("main") => {
                    return Container::Main;
                }
                Some("section") => found = Container::Section,
                _ => {}
            }
            at = node.parent as usize;
        }
        found
    }

    /// A link from a heading to itself, from a note back to its mark, to the source code
    /// behind it, or to a note that opens over the page.
    fn is_tool_link(&self, index: usize) -> bool {
        let class = self.tree.nodes[index]
            .attribute(&local_name!("class"))
            .unwrap_or("");
        if class.split_ascii_whitespace().any(|word| word == "src") {
            return true;
        }
        let mut text =
            self.tree
                .children(index)
                .filter_map(|child| match &self.tree.nodes[child].data {
                    Data::Text(range) => Some(self.tree.text(range).trim()),
                    Data::Element(..) => None,
                });
        matches!(
            text.next(),
            Some(
                "¶" | "§"
                    | "#"
                    | "🔗"
                    | "¤"
                    | "ⓘ"
                    | "\u{f0c1}"
                    | "^"
                    | "↑"
                    | "↩"
                    | "↩\u{fe0e}"
                    | "⏎"
            )
        )
    }
}

/// Whether a word is the name of a box that asks for consent.
fn names_consent(word: &str) -> bool {
    // Most words are none, and need no copy in lower case.
    if word.len() < 6 {
        return false;
    }
    let word = word.to_ascii_lowercase();
    let (mut consents, mut boxes) = (CONSENT.iter(), BOXES.iter());
    let part = consents.find(|part| word.contains(**part));
    part.is_some_and(|part| {
        let rest = word.replacen(part, " ", 1);
        boxes.any(|name| rest.contains(name)) || word.contains("cookiebot")
    })
}

/// What is around a header, footer or aside.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Container {
    Page,
    Section,
    Main,
    Content,
}
