//! The text of a mail that its writer meant to be read.

use std::collections::HashSet;

use mail_parser::{Message, MessagePart, PartType};

use super::super::draft::Draft;
use super::super::{Input, html};
use super::flowed;
use crate::Result;

/// Longest plain text that may only say to read the HTML.
const MAX_REQUEST_WORDS: usize = 40;

/// Writes the plain text where there is one that says as much as the HTML
/// alongside it; the HTML otherwise.
pub(super) fn write(source: &Input<'_>, message: &Message<'_>, draft: &mut Draft) -> Result<()> {
    if is_plain_enough(message) {
        return render(message.text_bodies(), draft);
    }
    let mut page = Draft::new(source.limits.max_text_bytes);
    match render(message.html_bodies(), &mut page) {
        Ok(()) if !page.text().trim().is_empty() => {
            draft.append(page, 0);
            Ok(())
        }
        _ => render(message.text_bodies(), draft),
    }
}

fn render<'a>(parts: impl Iterator<Item = &'a MessagePart<'a>>, draft: &mut Draft) -> Result<()> {
    for part in parts {
        draft.blank_line();
        match &part.body {
            PartType::Text(text) => match flowed::of(part) {
                Some(flow) => draft.push(&flow.unwrap(text)),
                None => draft.push(text),
            },
            PartType::Html(page) => html::fragment(page, draft)?,
            _ => {}
        }
    }
    Ok(())
}

/// Whether the plain text is not just a stub: empty, a picture, an address, a
/// word about readers of HTML, or the beginning of what the HTML says.
fn is_plain_enough(message: &Message<'_>) -> bool {
    let pages: Vec<&str> = message
        .html_bodies()
        .filter_map(|part| match &part.body {
            PartType::Html(page) => Some(&**page),
            _ => None,
        })
        .collect();
    let texts = message.text_bodies().filter_map(|part| match &part.body {
        PartType::Text(text) => Some(&**text),
        _ => None,
    });
    let plain: Vec<&str> = texts.flat_map(words_of_text).collect();
    let known: HashSet<String> = plain.iter().map(|word| word.to_lowercase()).collect();
    let (mut total, mut shared) = (0, 0);
    for word in pages.iter().flat_map(|page| words_of_page(page)) {
        total += 1;
        shared += usize::from(known.contains(&word.to_lowercase()));
    }
    // A few words of which one is HTML ask for another reader, and are no text of their own.
    let is_request = plain.len() <= MAX_REQUEST_WORDS && known.contains("html");
    if is_request && total > 0 && shared * 5 < total * 3 {
        return false;
    }
    // Marketing puts a few words of its own around a picture: HTML counts only
    // where it says half as much again, and most of it is new.
    total == 0 || (!plain.is_empty() && (total * 2 < plain.len() * 3 || shared * 5 >= total * 3))
}

/// The words of plain text: addresses and what stands for pictures are none.
fn words_of_text(text: &str) -> impl Iterator<Item = &str> {
    let mut in_picture = false;
    text.split_whitespace()
        .filter(move |word| {
            let bare = word.trim_start_matches(['<', '(']);
            let begins = ["[image:", "[cid:", "[image", "[logo"];
            in_picture |= begins.iter().any(|begin| {
                bare.get(..begin.len())
                    .is_some_and(|start| start.eq_ignore_ascii_case(begin))
            });
            let counts = !in_picture
                && !bare.contains("://")
                && !bare.starts_with("www.")
                && bare.contains(char::is_alphanumeric);
            in_picture &= !word.ends_with(']');
            counts
        })
        .map(trim)
}

/// The words of a page, roughly: what is not a tag, style, script or comment.
fn words_of_page(page: &str) -> impl Iterator<Item = &str> {
    Texts { rest: page }
        .flat_map(str::split_whitespace)
        .filter(|word| !word.starts_with('&') && word.contains(char::is_alphanumeric))
        .map(trim)
}

fn trim(word: &str) -> &str {
    word.trim_matches(|c: char| !c.is_alphanumeric())
}

/// The runs of text between tags.
struct Texts<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Texts<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        let end = self.rest.find('<').unwrap_or(self.rest.len());
        let (text, tag) = self.rest.split_at(end);
        let closing = |name: &str| {
            tag.get(1..1 + name.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(name))
        };
        let end = if tag.starts_with("<!--") {
            "-->"
        } else if closing("style") {
            "</style"
        } else if closing("script") {
            "</script"
        } else if closing("title") {
            "</title"
        } else {
            ">"
        };
        self.rest = match tag.find(end) {
            Some(at) => &tag[at + end.len()..],
            None => "",
        };
        // What is left of an end tag, as of `</style>`.
        if end.starts_with("</") {
            self.rest = self.rest.strip_prefix('>').unwrap_or(self.rest);
        }
        Some(text)
    }
}
