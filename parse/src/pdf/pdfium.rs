//! PDF through pdfium, the reader inside Chromium, loaded at run time.

use std::collections::HashSet;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use pdfium_render::prelude::{
    PdfBookmark, PdfDocument, PdfDocumentMetadataTagType, Pdfium, PdfiumError, PdfiumInternalError,
};

use super::{Contents, annotations, glyphs, layout};
use crate::{Error, ErrorKind, Result};
use crate::{archive, malformed};

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
    let mut linked = HashSet::new();
    for page in document.pages().iter() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let attached = annotations::read(&page);
        // A page that cannot be read is a page without text.
        let glyphs = page
            .text()
            .map(|text| glyphs::read(&page, &text, attached.has_places()));
        let glyphs = glyphs.unwrap_or_default();
        contents
            .pages
            .push(layout::compose(&glyphs, attached, &mut linked));
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
    let mut stack: Vec<(u8, PdfBookmark<'_>)> = Vec::new();
    stack.extend(document.bookmarks().root().map(|root| (1, root)));
    let mut seen = 0;
    while let Some((level, bookmark)) = stack.pop() {
        seen += 1;
        if seen > MAX_BOOKMARKS {
            break;
        }
        let page = bookmark
            .destination()
            .and_then(|target| target.page_index().ok());
        let page = page.and_then(|page| usize::try_from(page).ok());
        if let (Some(title), Some(page)) = (bookmark.title(), page) {
            contents.outline.push((level, title, page));
        }
        stack.extend(bookmark.next_sibling().map(|next| (level, next)));
        let deeper = level.saturating_add(1);
        stack.extend(bookmark.first_child().map(|child| (deeper, child)));
    }
}
