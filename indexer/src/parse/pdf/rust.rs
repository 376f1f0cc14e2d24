//! PDF without any library of the system, through pdf-extract and its lopdf.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use pdf_extract::{Dictionary, Document, Object, ObjectId, PlainTextOutput, output_doc_page};

use super::Contents;
use crate::Result;
use crate::parse::{archive, malformed};

/// Most bookmarks that are read; a loop of them would not end.
const MAX_BOOKMARKS: usize = 10_000;

/// Reads `bytes`.
pub(super) fn read(bytes: &[u8], stop: &AtomicBool) -> Result<Contents> {
    let mut document = Document::load_mem(bytes).map_err(|error| {
        if is_about_password(&error) {
            archive::encrypted()
        } else {
            malformed("PDF", error)
        }
    })?;
    if document.is_encrypted() && document.decrypt("").is_err() {
        return Err(archive::encrypted());
    }
    let numbers: BTreeMap<u32, ObjectId> = document.get_pages();
    if numbers.is_empty() {
        return Err(malformed("PDF", "it has no pages"));
    }
    let mut contents = Contents {
        facts: facts(&document),
        outline: outline(&document, &numbers),
        ..Contents::default()
    };
    for number in numbers.keys() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let mut text = String::new();
        // A page that cannot be read is a page without text.
        let read = catch_unwind(AssertUnwindSafe(|| {
            output_doc_page(&document, &mut PlainTextOutput::new(&mut text), *number)
        }));
        contents
            .pages
            .push(if read.is_ok() { text } else { String::new() });
    }
    Ok(contents)
}

fn is_about_password(error: &pdf_extract::Error) -> bool {
    matches!(
        error,
        pdf_extract::Error::Decryption(_) | pdf_extract::Error::InvalidPassword
    )
}

fn facts(document: &Document) -> Vec<(&'static str, String)> {
    let info = document
        .trailer
        .get(b"Info")
        .ok()
        .map(|info| resolve(document, info));
    let Some(Object::Dictionary(info)) = info else {
        return Vec::new();
    };
    let keys: [(&[u8], &str); 4] = [
        (b"Title", "title"),
        (b"Author", "author"),
        (b"Keywords", "tags"),
        (b"CreationDate", "date"),
    ];
    keys.into_iter()
        .filter_map(|(key, name)| Some((name, string(document, info, key)?)))
        .collect()
}

/// What a reference refers to.
fn resolve<'a>(document: &'a Document, object: &'a Object) -> &'a Object {
    document
        .dereference(object)
        .map_or(object, |(_, object)| object)
}

fn string(document: &Document, dictionary: &Dictionary, key: &[u8]) -> Option<String> {
    let object = resolve(document, dictionary.get(key).ok()?);
    pdf_extract::decode_text_string(object).ok()
}

/// Bookmarks in the order of the tree, without recursion.
fn outline(document: &Document, pages: &BTreeMap<u32, ObjectId>) -> Vec<(u8, String, usize)> {
    let index: HashMap<ObjectId, usize> = pages
        .values()
        .enumerate()
        .map(|(index, id)| (*id, index))
        .collect();
    let mut found = Vec::new();
    let root = document
        .catalog()
        .and_then(|catalog| catalog.get_deref(b"Outlines", document));
    let first = root
        .and_then(Object::as_dict)
        .and_then(|root| root.get(b"First"));
    let mut seen = HashSet::new();
    let mut stack: Vec<(u8, ObjectId)> = first
        .and_then(Object::as_reference)
        .map(|id| (1, id))
        .into_iter()
        .collect();
    while let Some((level, id)) = stack.pop() {
        if !seen.insert(id) || seen.len() > MAX_BOOKMARKS {
            continue;
        }
        let Ok(bookmark) = document.get_dictionary(id) else {
            continue;
        };
        let link = |key: &[u8]| bookmark.get(key).and_then(Object::as_reference).ok();
        stack.extend(link(b"Next").map(|next| (level, next)));
        stack.extend(link(b"First").map(|child| (level.saturating_add(1), child)));
        let page = target(document, bookmark).and_then(|page| index.get(&page));
        if let (Some(title), Some(page)) = (string(document, bookmark, b"Title"), page) {
            found.push((level, title, *page));
        }
    }
    found
}

/// The page that a bookmark leads to, where it says so itself: named
/// destinations are not looked up.
fn target(document: &Document, bookmark: &Dictionary) -> Option<ObjectId> {
    let action = |key: &[u8]| {
        let action = bookmark
            .get_deref(b"A", document)
            .and_then(Object::as_dict)
            .ok()?;
        action.get_deref(key, document).ok()
    };
    let target = bookmark
        .get_deref(b"Dest", document)
        .ok()
        .or_else(|| action(b"D"))?;
    target.as_array().ok()?.first()?.as_reference().ok()
}
