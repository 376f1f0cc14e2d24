//! Addresses of links to elsewhere, which are written behind the text of the link.
//!
//! A page has many links that lead around its own site. They say nothing about its
//! subject, so only addresses of other sites are kept, each once, and none of long lists
//! of links.

use std::collections::{HashMap, HashSet};

use html5ever::{LocalName, local_name};

use super::content::{Selection, inherited};
use super::is_inline;
use super::tree::{Node, ROOT, Tree};
use super::visible::label;

/// Longer addresses lose their query: it tracks readers rather than naming a page.
const MAX_ADDRESS: usize = 200;
/// What is longer even then is not an address that a person can use, in bytes.
const MAX_PATH: usize = 400;
/// A host that has more links than this on a page is the page's own site.
const MAX_OF_HOST: usize = 12;
/// More links than this in a list of nothing else are navigation.
const MAX_LISTED: usize = 12;
/// Bytes of addresses on a page: so many, or this part of the page's text.
const MIN_BUDGET: usize = 1000;
const BUDGET_SHARE: usize = 4;

/// The addresses that are shown, by the node of their link.
pub(super) struct Links(HashMap<usize, String>);

struct Link {
    node: usize,
    address: String,
    /// The list of nothing but links that it is in.
    list: Option<usize>,
}

impl Links {
    /// Finds the links of what is selected that lead elsewhere.
    pub(super) fn find(tree: &Tree, selection: &Selection) -> Self {
        let skipped: Vec<bool> = (0..tree.nodes.len())
            .map(|node| selection.skips(node))
            .collect();
        let hidden = inherited(tree, &skipped);
        let links: Vec<Link> = tree
            .nodes
            .iter()
            .enumerate()
            .filter(|(index, _)| !hidden[*index])
            .filter_map(|(index, node)| link(tree, selection, index, node))
            .collect();
        let own = own_host(tree);
        let (mut hosts, mut lists) = (HashMap::new(), HashMap::new());
        for link in &links {
            *hosts.entry(host(&link.address)).or_insert(0) += 1;
            *lists.entry(link.list).or_insert(0) += 1;
        }
        let mut left = MIN_BUDGET.max(selection.text_bytes as usize / BUDGET_SHARE);
        let mut seen = HashSet::new();
        let mut shown = HashMap::new();
        for link in &links {
            let host = host(&link.address);
            let is_own = host.is_some() && (host == own.as_deref() || hosts[&host] > MAX_OF_HOST);
            let is_listed = link.list.is_some() && lists[&link.list] > MAX_LISTED;
            if is_own || is_listed || left < link.address.len() || !seen.insert(&link.address) {
                continue;
            }
            left -= link.address.len();
            shown.insert(link.node, link.address.clone());
        }
        Self(shown)
    }

    /// The address that is shown behind the link at `node`.
    pub(super) fn address(&self, node: usize) -> Option<&str> {
        self.0.get(&node).map(String::as_str)
    }
}

fn link(tree: &Tree, selection: &Selection, index: usize, node: &Node) -> Option<Link> {
    if node.name() != Some(&local_name!("a")) {
        return None;
    }
    let address = address(node.attribute(&local_name!("href"))?)?;
    let label = label(tree, index);
    if !label.contains(char::is_alphanumeric) || says(&label, &address) {
        return None;
    }
    Some(Link {
        node: index,
        address,
        list: list_of_links(tree, selection, index),
    })
}

/// The address as a person would write it down; `None` for what leads around the page or
/// its site, or does something.
fn address(href: &str) -> Option<String> {
    let href: String = href.chars().filter(|c| !c.is_control()).collect();
    let href = href.trim();
    let after = |scheme: &str| {
        let head = href.get(..scheme.len())?;
        head.eq_ignore_ascii_case(scheme)
            .then(|| href[scheme.len()..].trim())
    };
    if let Some(mail) = after("mailto:") {
        let mail = mail.split('?').next().unwrap_or(mail);
        return Some(mail.to_owned())
            .filter(|mail| mail.contains('@') && mail.len() <= MAX_ADDRESS);
    }
    if let Some(number) = after("tel:") {
        let is_number = number.bytes().any(|byte| byte.is_ascii_digit()) && number.len() <= 40;
        return is_number.then(|| number.to_owned());
    }
    let (scheme, rest) = [
        ("https://", "https://"),
        ("http://", "http://"),
        ("//", "https://"),
    ]
    .into_iter()
    .find_map(|(scheme, shown)| Some((shown, after(scheme)?)))?;
    if rest.is_empty() || rest.starts_with('/') {
        return None;
    }
    let mut shown = format!("{scheme}{}", rest.replace(' ', "%20"));
    if shown.len() > MAX_ADDRESS {
        let end = shown.find(['?', '#']).unwrap_or(shown.len());
        shown.truncate(end);
    }
    (shown.len() <= MAX_PATH).then_some(shown)
}

/// The host of a web address.
fn host(address: &str) -> Option<&str> {
    let (_, rest) = address.split_once("://")?;
    let host = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let host = host.rsplit('@').next().unwrap_or(host);
    Some(host.strip_prefix("www.").unwrap_or(host))
}

/// The host that the page says it is from.
fn own_host(tree: &Tree) -> Option<String> {
    let is_rel = |node: &Node, rel: &str| {
        let rels = node.attribute(&local_name!("rel"));
        rels.is_some_and(|rels| {
            rels.split_ascii_whitespace()
                .any(|r| r.eq_ignore_ascii_case(rel))
        })
    };
    let links = tree.nodes.iter().filter(|node| {
        node.name() == Some(&local_name!("base"))
            || (node.name() == Some(&local_name!("link")) && is_rel(node, "canonical"))
    });
    let hrefs = links.filter_map(|node| node.attribute(&local_name!("href")));
    let metas = tree
        .metas()
        .filter(|(name, _)| name.eq_ignore_ascii_case("og:url"));
    let mut addresses = hrefs.chain(metas.map(|(_, content)| content));
    addresses.find_map(|address| host(address).map(str::to_owned))
}

/// Whether the text of a link is its address.
fn says(label: &str, address: &str) -> bool {
    let plain = |text: &str| {
        let text = text.to_lowercase();
        let text = text
            .split_once("://")
            .map_or(text.as_str(), |(_, rest)| rest);
        let text = text.strip_prefix("www.").unwrap_or(text);
        text.trim_end_matches('/').to_owned()
    };
    if address.contains("://") || address.contains('@') {
        let (label, address) = (plain(label), plain(address));
        return label == address || label.contains(&address) && address.contains('@');
    }
    let digits = |text: &str| -> String { text.chars().filter(char::is_ascii_digit).collect() };
    let (label, address) = (digits(label), digits(address));
    // A country code takes the place of the leading zero.
    let label = label.trim_start_matches('0');
    !label.is_empty() && address.ends_with(label)
}

/// The block that holds the list of links which a link is an item of: its nearest block
/// and what is around that hold links alone.
fn list_of_links(tree: &Tree, selection: &Selection, link: usize) -> Option<usize> {
    let parent = |node: usize| tree.nodes[node].parent as usize;
    let block = |name: Option<&LocalName>| name.is_some_and(|name| !is_inline(name));
    let mut item = parent(link);
    while item != ROOT && !block(tree.nodes[item].name()) {
        item = parent(item);
    }
    let of_links = |node: usize| selection.weight(node).own() * 4 <= selection.weight(node).text;
    if item == ROOT || !of_links(item) {
        return None;
    }
    let list = parent(item);
    Some(if list != ROOT && of_links(list) {
        list
    } else {
        item
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_other_sites() {
        for (href, shown) in [
            ("https://a.org/x?y=1#z", Some("https://a.org/x?y=1#z")),
            (" HTTP://a.org/\n ", Some("http://a.org/")),
            ("//a.org/x y", Some("https://a.org/x%20y")),
            ("mailto:a@b.org?subject=x", Some("a@b.org")),
            ("tel:+49 30 1", Some("+49 30 1")),
            ("mailto:", None),
            ("tel:", None),
            ("https://", None),
            ("/x", None),
            ("x.html", None),
            ("#x", None),
            ("javascript:x()", None),
            ("data:text/html,x", None),
            ("", None),
            ("é", None),
            ("https:///x", None),
        ] {
            assert_eq!(address(href).as_deref(), shown, "{href}");
        }
        let tracking = format!("https://a.org/x?{}", "y".repeat(300));
        assert_eq!(address(&tracking).as_deref(), Some("https://a.org/x"));
        assert_eq!(address(&format!("https://a.org/{}", "y".repeat(900))), None);
    }

    #[test]
    fn a_text_that_is_the_address_says_it() {
        for (label, address) in [
            ("a.org/x", "https://www.a.org/x/"),
            ("HTTPS://A.org", "https://a.org/"),
            ("Mail a@b.org", "a@b.org"),
            ("030 / 12", "+493012"),
        ] {
            assert!(says(label, address), "{label}");
        }
        for (label, address) in [
            ("a.org", "https://a.org/x"),
            ("call", "+4930"),
            ("we", "a@b.org"),
        ] {
            assert!(!says(label, address), "{label}");
        }
    }
}
