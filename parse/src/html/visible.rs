//! What of a page a reader can see, or can open with a click.
//!
//! A collapsed panel is content: what matters is that a reader gets to it. What no
//! control opens and the page itself hides is not.

use std::collections::HashSet;

use html5ever::local_name;

use super::content::{SHORT_CONTENT, Weight, weights};
use super::tree::{Data, Node, Tree};
use super::{is_heading, is_inline};

/// Longest label of a button that is looked at, in bytes.
const MAX_LABEL: usize = 120;
/// Ancestors of a control that can stand for it: a heading around a button.
const MAX_WRAPPERS: usize = 3;

/// Labels, in lower case, of buttons that do something to the page. Such a word inside a
/// sentence ("press Save") is content.
const TOOL_LABELS: &[&str] = &[
    "accept",
    "accept all",
    "agree",
    "apply",
    "back",
    "back to top",
    "cancel",
    "clear",
    "close",
    "collapse all",
    "copied",
    "copied!",
    "copy",
    "copy code",
    "copy link",
    "copy page",
    "copy to clipboard",
    "decline",
    "dismiss",
    "done",
    "download",
    "edit",
    "expand all",
    "follow",
    "go",
    "got it",
    "hide",
    "like",
    "load more",
    "log in",
    "log out",
    "login",
    "menu",
    "more",
    "next",
    "no",
    "ok",
    "on this page",
    "open menu",
    "play",
    "previous",
    "print",
    "read more",
    "register",
    "reject",
    "reject all",
    "reply",
    "reset",
    "run",
    "save",
    "search",
    "send",
    "share",
    "show all",
    "show less",
    "show more",
    "sign in",
    "sign up",
    "start over",
    "submit",
    "subscribe",
    "toggle menu",
    "toggle navigation",
    "top",
    "view",
    "x",
    "yes",
];

/// Words in the class of a button that does something to the page.
const TOOL_WORDS: &[&str] = &[
    "clipboard",
    "close",
    "consent",
    "cookie",
    "copy",
    "copybtn",
    "dismiss",
    "hamburger",
    "menu",
    "navbar",
    "print",
    "scroll",
    "search",
    "share",
    "theme",
    "toggler",
];

/// Words in the class of what opens the part behind it.
const OPENERS: &[&str] = &[
    "accordion",
    "collapsible",
    "expand",
    "expander",
    "spoiler",
    "toggle",
    "toggler",
];

/// Which elements are hidden with all that is in them.
pub(super) fn hidden(tree: &Tree) -> Vec<bool> {
    let finder = Finder::new(tree);
    let mut hidden: Vec<bool> = (0..tree.nodes.len())
        .map(|node| finder.is_never_text(node))
        .collect();
    let concealed: Vec<usize> = (0..tree.nodes.len())
        .filter(|&node| !hidden[node] && finder.is_concealed(node))
        .collect();
    if concealed.is_empty() {
        return hidden;
    }
    let weights = weights(tree, &hidden);
    for node in concealed {
        hidden[node] = !finder.can_be_opened(node, weights[node]);
    }
    hidden
}

struct Finder<'a> {
    tree: &'a Tree,
    /// Ids of what a control opens.
    opened: HashSet<&'a str>,
    /// What stands right after a control that opens something.
    panels: HashSet<usize>,
    /// Elements with words of their own, outside of other elements.
    has_words: Vec<bool>,
}

impl<'a> Finder<'a> {
    fn new(tree: &'a Tree) -> Self {
        let mut finder = Self {
            tree,
            opened: HashSet::new(),
            panels: HashSet::new(),
            has_words: vec![false; tree.nodes.len()],
        };
        for (index, node) in tree.nodes.iter().enumerate() {
            match &node.data {
                Data::Text(range) => {
                    let is_parent = finder.has_words.get_mut(node.parent as usize);
                    if let Some(has_words) = is_parent.filter(|has_words| !**has_words) {
                        *has_words = tree.text(range).contains(char::is_alphanumeric);
                    }
                }
                Data::Element(..) => finder.opened.extend(targets(node)),
            }
            if opens_what_follows(node) {
                finder.panels.extend(panel_after(tree, index));
            }
        }
        finder
    }

    /// Elements that are pictures, controls or second copies of a text.
    fn is_never_text(&self, index: usize) -> bool {
        let Some(name) = self.tree.nodes[index].name() else {
            return false;
        };
        match &**name {
            "button" => self.is_tool(index),
            "input" => task_mark(&self.tree.nodes[index]).is_none(),
            "template" | "svg" | "canvas" | "object" | "audio" | "video" | "select"
            | "datalist" | "annotation" | "rt" | "rp" | "map" => true,
            _ => false,
        }
    }

    /// Whether the page itself says that an element is not shown.
    fn is_concealed(&self, index: usize) -> bool {
        let node = &self.tree.nodes[index];
        let hidden = node.attribute(&local_name!("hidden"));
        // The browser's search on the page opens what is hidden "until found".
        hidden.is_some_and(|value| !value.trim().eq_ignore_ascii_case("until-found"))
            || node.attribute(&local_name!("aria-hidden")) == Some("true")
            || node.attribute(&local_name!("style")).is_some_and(conceals)
    }

    /// Whether what the page hides is content all the same.
    fn can_be_opened(&self, index: usize, weight: Weight) -> bool {
        let node = &self.tree.nodes[index];
        let id = node.attribute(&local_name!("id"));
        let role = node.attribute(&local_name!("role"));
        let is_panel = matches!(role, Some("tabpanel" | "dialog" | "alertdialog"))
            || has_word(node, "modal")
            || id.is_some_and(|id| self.opened.contains(id))
            || self.panels.contains(&index);
        if is_panel {
            return !weight.is_links() && (weight.fields == 0 || weight.own() >= SHORT_CONTENT);
        }
        let shown = node.attribute(&local_name!("hidden")).is_none()
            && !node.attribute(&local_name!("style")).is_some_and(conceals);
        // `aria-hidden` takes icons and second copies from those who listen. Who looks
        // sees it, and a whole page has it while a dialog is open.
        shown
            && node.name().is_some_and(|name| !is_inline(name))
            && !weight.is_links()
            && weight.own() >= SHORT_CONTENT
    }

    /// Whether a button acts on the page rather than saying something.
    fn is_tool(&self, index: usize) -> bool {
        let node = &self.tree.nodes[index];
        let class = node.attribute(&local_name!("class")).unwrap_or("");
        let mut words = class.split(|c: char| !c.is_alphanumeric());
        if words.any(|word| TOOL_WORDS.contains(&word.to_ascii_lowercase().as_str())) {
            return true;
        }
        let label = label(self.tree, index).to_lowercase();
        if !label.contains(char::is_alphanumeric) {
            return true;
        }
        let parent = self.tree.nodes.get(node.parent as usize);
        let in_heading = parent
            .and_then(|parent| parent.name())
            .is_some_and(is_heading);
        if !in_heading && self.has_words.get(node.parent as usize) == Some(&true) {
            return false;
        }
        if TOOL_LABELS.contains(&label.as_str()) {
            return true;
        }
        let kind = node.attribute(&local_name!("type")).unwrap_or("");
        ["submit", "reset"].contains(&kind.to_ascii_lowercase().as_str()) && !is_control(node)
    }
}

/// Whether an element opens what stands behind it: it says so, or it is something to click
/// on that leads nowhere and is no tool of a form.
fn opens_what_follows(node: &Node) -> bool {
    if !node.has_attributes() {
        return false;
    }
    let is_button = node.attribute(&local_name!("role")) == Some("button")
        || node.attribute_named("onclick").is_some();
    let class = node.attribute(&local_name!("class")).unwrap_or("");
    let mut words = class.split(|c: char| !c.is_ascii_alphanumeric());
    node.attribute(&local_name!("aria-expanded")).is_some()
        || is_button && node.name().is_some_and(|name| &**name != "input")
        || words.any(|word| OPENERS.contains(&word.to_ascii_lowercase().as_str()))
}

/// What a box to tick shows that nobody can tick: whether a task of a list is done.
pub(super) fn task_mark(node: &Node) -> Option<&'static str> {
    let is_box = node
        .attribute(&local_name!("type"))
        .is_some_and(|kind| kind.eq_ignore_ascii_case("checkbox"));
    if !is_box || node.attribute(&local_name!("disabled")).is_none() {
        return None;
    }
    Some(match node.attribute(&local_name!("checked")) {
        Some(_) => "[x] ",
        None => "[ ] ",
    })
}

fn has_word(node: &Node, wanted: &str) -> bool {
    let class = node.attribute(&local_name!("class")).unwrap_or("");
    let mut words = class.split_ascii_whitespace();
    words.any(|word| word.eq_ignore_ascii_case(wanted))
}

/// Whether an element opens another.
fn is_control(node: &Node) -> bool {
    const MARKS: [&str; 6] = [
        "aria-expanded",
        "aria-controls",
        "data-toggle",
        "data-bs-toggle",
        "popovertarget",
        "commandfor",
    ];
    node.has_attributes()
        && MARKS
            .iter()
            .any(|mark| node.attribute_named(mark).is_some())
}

/// Ids of what an element opens.
fn targets(node: &Node) -> impl Iterator<Item = &str> {
    const TARGETS: &[&str] = &[
        "aria-controls",
        "data-target",
        "data-bs-target",
        "popovertarget",
        "commandfor",
        "href",
    ];
    let names = if is_control(node) { TARGETS } else { &[] };
    names
        .iter()
        .filter_map(|name| node.attribute_named(name))
        .flat_map(str::split_whitespace)
        .map(|id| id.trim_start_matches('#'))
}

/// The element after a control, or after the heading or term around it.
fn panel_after(tree: &Tree, control: usize) -> Option<usize> {
    let mut at = control;
    for _ in 0..MAX_WRAPPERS {
        if let Some(next) = tree.next_element(at) {
            return Some(next);
        }
        at = tree.nodes[at].parent as usize;
        let name = tree.nodes.get(at)?.name()?;
        if !is_heading(name) && !matches!(&**name, "dt" | "div" | "summary" | "span") {
            return None;
        }
    }
    None
}

/// Whether a style attribute takes an element off the page.
fn conceals(style: &str) -> bool {
    style.split(';').any(|declaration| {
        let Some((property, value)) = declaration.split_once(':') else {
            return false;
        };
        let value = value.split('!').next().unwrap_or("").trim();
        let is = |wanted: &str| value.eq_ignore_ascii_case(wanted);
        match property.trim().to_ascii_lowercase().as_str() {
            "display" => is("none"),
            "visibility" => is("hidden") || is("collapse"),
            "content-visibility" => is("hidden"),
            _ => false,
        }
    })
}

/// The first words of a subtree, on one line.
pub(super) fn label(tree: &Tree, index: usize) -> String {
    let mut label = String::new();
    add_label(tree, index, &mut label);
    label
}

fn add_label(tree: &Tree, index: usize, label: &mut String) {
    if label.len() > MAX_LABEL {
        return;
    }
    match &tree.nodes[index].data {
        Data::Text(range) => {
            for word in tree.text(range).split_whitespace() {
                if label.len() > MAX_LABEL {
                    break;
                }
                if !label.is_empty() {
                    label.push(' ');
                }
                label.push_str(word);
            }
        }
        Data::Element(name, _) if &**name == "svg" => {}
        Data::Element(..) => tree
            .children(index)
            .for_each(|child| add_label(tree, child, label)),
    }
}

#[cfg(test)]
mod tests {
    use super::conceals;

    #[test]
    fn styles_that_hide() {
        for style in [
            "display:none",
            "color:red; DISPLAY : None !important",
            "visibility:hidden;",
        ] {
            assert!(conceals(style), "{style}");
        }
        for style in [
            "display:block",
            "x-display:none",
            "display",
            "--display:none",
            "",
        ] {
            assert!(!conceals(style), "{style}");
        }
    }
}
