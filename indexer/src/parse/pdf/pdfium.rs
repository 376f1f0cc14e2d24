//! PDF through pdfium, the reader inside Chromium, loaded at run time.

use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use pdfium_render::prelude::{
    PdfBookmark, PdfDocument, PdfDocumentMetadataTagType, Pdfium, PdfiumError, PdfiumInternalError,
};

use super::Contents;
use crate::parse::{archive, malformed};
use crate::{Error, ErrorKind, Result};

/// Most bookmarks that are read; a loop of them would not end.
const MAX_BOOKMARKS: usize = 10_000;

/// Reads `bytes` with the library at `library`; the first library that a
/// process loads is the one it keeps.
pub(super) fn read(library: &Path, bytes: &[u8], stop: &AtomicBool) -> Result<Contents> {
    let document = pdfium(library)?
        .load_pdf_from_byte_slice(bytes, None)
        .map_err(|e| match e {
            PdfiumError::PdfiumLibraryInternalError(PdfiumInternalError::PasswordError) => {
                archive::encrypted()
            }
            other => malformed("PDF", format!("{other:?}")),
        })?;
    let mut contents = Contents {
        facts: facts(&document),
        ..Contents::default()
    };
    for page in document.pages().iter() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        // A page that cannot be read is a page without text.
        contents
            .pages
            .push(page.text().map(|text| text.all()).unwrap_or_default());
    }
    outline(&document, &mut contents);
    Ok(contents)
}

fn pdfium(library: &Path) -> Result<&'static Pdfium> {
    static PDFIUM: OnceLock<Result<Pdfium, String>> = OnceLock::new();
    let loaded = PDFIUM.get_or_init(|| {
        Pdfium::bind_to_library(library)
            .map(Pdfium::new)
            .map_err(|e| format!("{e:?}"))
    });
    loaded.as_ref().map_err(|reason| {
        Error::new(
            ErrorKind::Machine,
            format!(
                "the pdfium library cannot be loaded ({reason}); run `cairn models pull pdfium`"
            ),
        )
    })
}

fn facts(document: &PdfDocument<'_>) -> Vec<(&'static str, String)> {
    use PdfDocumentMetadataTagType as Tag;
    let tags = [
        (Tag::Title, "title"),
        (Tag::Author, "author"),
        (Tag::Keywords, "tags"),
        (Tag::CreationDate, "date"),
    ];
    tags.into_iter()
        .filter_map(|(tag, name)| Some((name, document.metadata().get(tag)?.value().to_owned())))
        .collect()
}

fn outline(document: &PdfDocument<'_>, contents: &mut Contents) {
    let mut level = 1u8;
    let mut next = document.bookmarks().root();
    while let Some(bookmark) = next {
        if contents.outline.len() == MAX_BOOKMARKS {
            break;
        }
        let page = bookmark
            .destination()
            .and_then(|target| target.page_index().ok());
        if let (Some(title), Some(page)) = (bookmark.title(), page) {
            contents.outline.push((level, title, page as usize));
        }
        next = bookmark.first_child();
        if next.is_some() {
            level = level.saturating_add(1);
        } else {
            next = following(bookmark, &mut level);
        }
    }
}

/// The next bookmark beside this one or beside one around it.
fn following<'a>(bookmark: PdfBookmark<'a>, level: &mut u8) -> Option<PdfBookmark<'a>> {
    let mut at = bookmark;
    loop {
        if let Some(sibling) = at.next_sibling() {
            return Some(sibling);
        }
        *level = level.saturating_sub(1).max(1);
        at = at.parent()?;
    }
}
