//! PDF: the text of each page in reading order, with form values, notes and
//! addresses; bookmarks as sections.
//!
//! pdfium reads, loaded from [`ParseLimits::pdfium`], on a thread of its own
//! with a time limit. Measured on 64 real manuals against pdftotext, it and
//! pdf-extract, the best reader in Rust, keep the same words in the same order;
//! but pdfium is three to four times faster, follows bookmarks, and survives hostile files:
//! a form that draws itself makes pdf-extract overflow its stack, which no caller
//! can catch. So there is no second reader.
//!
//! [`ParseLimits::pdfium`]: crate::ParseLimits::pdfium

mod annotations;
mod bomb;
mod clean;
mod columns;
mod glyphs;
mod layout;
mod numbers;
mod pdfium;
mod running;
mod title;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};

use serde_json::Value;

use layout::Page;

use super::draft::Draft;
use super::format::Format;
use super::{Input, front_matter, malformed};
use crate::{Error, ErrorKind, Result};

/// Portable Document Format.
pub(super) const FORMAT: Format = Format {
    name: "pdf",
    extensions: &["pdf"],
    content_types: &["application/pdf", "application/x-pdf"],
    prose: true,
    binary: true,
    matches: |bytes| {
        let head = &bytes[..bytes.len().min(HEAD_BYTES)];
        head.trim_ascii_start().starts_with(b"%PDF-")
    },
    no_text: "the PDF has no text: its pages are images; run text recognition (OCR) on it first",
    ..Format::new(parse)
};

const HEAD_BYTES: usize = 1024;
/// Enough for the nesting that the readers allow.
const STACK_BYTES: usize = 64 << 20;

/// What a reader finds in a PDF.
#[derive(Default)]
struct Contents {
    /// Every page.
    pages: Vec<Page>,
    /// Names and values of the document's properties.
    facts: Vec<(&'static str, String)>,
    /// Bookmarks in order: level from 1, title, index of the page.
    outline: Vec<(u8, String, usize)>,
}

fn parse(source: &Input<'_>, draft: &mut Draft) -> Result<()> {
    let mut contents = read_on_thread(source)?;
    clean::pages(&mut contents.pages);
    for (name, value) in contents.facts {
        if name != "title" || title::telling(&value).is_some() {
            front_matter::fact(name, &Value::String(value), draft, 0);
        }
    }
    if let Some(heading) = title::heading(&contents.pages) {
        draft.propose_title(&heading);
    }
    let mut outline = contents.outline.into_iter().peekable();
    for (index, page) in contents.pages.iter().enumerate() {
        draft.start_page(u32::try_from(index + 1).unwrap_or(u32::MAX));
        let text = clean::text(page);
        let mut written = 0;
        while let Some((level, title, _)) = outline.next_if(|(_, _, page)| *page <= index) {
            // A bookmark points to a page; its title's line is where the
            // section begins, if it can be found.
            let at = clean::find_line(&text[written..], &title).map_or(written, |at| written + at);
            draft.push(&text[written..at]);
            draft.open_section(level, &title);
            written = at;
        }
        draft.push(&text[written..]);
        for note in &page.notes {
            draft.blank_line();
            draft.push(note);
        }
        if draft.is_full() {
            break;
        }
    }
    Ok(())
}

fn read_on_thread(source: &Input<'_>) -> Result<Contents> {
    let Some(library) = source.limits.pdfium.clone() else {
        // The machine's lack, not the file's: the next run tries again.
        return Err(Error::new(
            ErrorKind::Machine,
            "the library that reads PDFs is missing; run `cairn models pull pdfium`",
        ));
    };
    if let Some(found) = bomb::find(source.bytes) {
        let message = format!("{found}; print the PDF again or split it");
        return Err(Error::new(ErrorKind::TooLarge, message));
    }
    let (sender, receiver) = sync_channel(1);
    let stop = Arc::new(AtomicBool::new(false));
    let (bytes, stopped) = (source.bytes.to_vec(), stop.clone());
    std::thread::Builder::new()
        .name("pdf".into())
        .stack_size(STACK_BYTES)
        .spawn(move || {
            let contents = pdfium::read(&library, &bytes, &stopped);
            // The receiver may have given up.
            let _ = sender.send(contents);
        })
        .map_err(|error| {
            let message = format!("no thread could be started: {error}");
            Error::new(ErrorKind::Machine, message)
        })?;
    match receiver.recv_timeout(source.limits.max_time) {
        Ok(contents) => contents,
        Err(RecvTimeoutError::Timeout) => {
            stop.store(true, Ordering::Relaxed);
            Err(Error::new(
                ErrorKind::TimedOut,
                format!(
                    "reading the PDF takes more than {} seconds; split it or print it again",
                    source.limits.max_time.as_secs()
                ),
            ))
        }
        Err(RecvTimeoutError::Disconnected) => Err(malformed("PDF", "the reader gave up")),
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
