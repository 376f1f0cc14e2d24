//! What parent and child say to each other: frames of a JSON head and a body of bytes.
//! Neither side believes the other's lengths: memory grows with what really comes, and
//! both parts have a bound.

use std::io::{Error, ErrorKind, Read, Result, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Document, is_reserved_name};

/// Begins every frame, so that bytes which are not one are known at once.
const MAGIC: [u8; 4] = *b"CPW1";

/// Most bytes of the head of a request: names, and the limits.
pub(super) const REQUEST_HEAD_NUM_BYTES: usize = 1 << 20;

/// Head of a request; the body holds the bytes of the file.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) uri: String,
    pub(super) name: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) max_bytes: usize,
    pub(super) max_text_bytes: usize,
    pub(super) max_archive_entries: usize,
    pub(super) max_seconds: u64,
    pub(super) pdfium: Option<std::path::PathBuf>,
}

/// Head of a reply; the body holds the text of the document.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    /// Everything but the text.
    Document(Box<Document>),
    /// Why there is none.
    Error(cairn_parse::ErrorKind, String),
    /// The process had too little memory, which a library took for an error of the file.
    NoMemory,
}

/// Writes one frame.
pub(super) fn write(to: &mut impl Write, head: &impl Serialize, body: &[u8]) -> Result<()> {
    let head = serde_json::to_vec(head)?;
    let mut start = Vec::with_capacity(MAGIC.len() + 16 + head.len());
    start.extend(MAGIC);
    start.extend((head.len() as u64).to_le_bytes());
    start.extend((body.len() as u64).to_le_bytes());
    start.extend(head);
    to.write_all(&start)?;
    to.write_all(body)?;
    to.flush()
}

/// Reads one frame of at most so many bytes; `None` if the other side has gone.
///
/// # Errors
/// `InvalidData` for what is not a frame, `UnexpectedEof` for half of one.
pub(super) fn read<Head: DeserializeOwned>(
    from: &mut impl Read,
    most_head: usize,
    most_body: usize,
) -> Result<Option<(Head, Vec<u8>)>> {
    let mut start = Vec::new();
    exactly(from, 20, &mut start)?;
    if start.is_empty() {
        return Ok(None);
    }
    if start.len() < 20 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    let number = |at: usize| {
        let bytes: [u8; 8] = start[at..at + 8].try_into().unwrap_or_default();
        u64::from_le_bytes(bytes)
    };
    let (head_num_bytes, body_num_bytes) = (number(4), number(12));
    if start[..4] != MAGIC || head_num_bytes > most_head as u64 || body_num_bytes > most_body as u64
    {
        return Err(not_a_frame());
    }
    let (mut head, mut body) = (Vec::new(), Vec::new());
    exactly(from, head_num_bytes, &mut head)?;
    exactly(from, body_num_bytes, &mut body)?;
    if head.len() as u64 != head_num_bytes || body.len() as u64 != body_num_bytes {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    let head = serde_json::from_slice(&head).map_err(|_| not_a_frame())?;
    Ok(Some((head, body)))
}

/// Reads `count` bytes, or fewer where there are no more.
fn exactly(from: &mut impl Read, count: u64, into: &mut Vec<u8>) -> Result<()> {
    from.take(count).read_to_end(into).map(drop)
}

pub(super) fn not_a_frame() -> Error {
    Error::new(ErrorKind::InvalidData, "not a frame")
}

/// Puts the document of a reply together. The child read bytes of anybody, so what it
/// says of places in the text is checked before anything is cut there.
///
/// # Errors
/// `InvalidData` where it is not a document that a parser makes.
pub(super) fn document(mut head: Document, text: Vec<u8>, uri: &str) -> Result<Document> {
    let text = String::from_utf8(text).map_err(|_| not_a_frame())?;
    let is_inside = |span: &std::ops::Range<usize>| text.get(span.clone()).is_some();
    let sound = head.uri == uri
        && head.text.is_empty()
        && head.sections.iter().all(|section| is_inside(&section.span))
        && head.pages.iter().all(|page| is_inside(&page.span))
        && head.tables.iter().all(|table| is_inside(&table.span))
        && head.code_blocks.iter().all(is_inside)
        && !head.metadata.keys().any(|name| is_reserved_name(name));
    if !sound {
        return Err(not_a_frame());
    }
    head.text = text;
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_parse::Section;

    fn frame(head: &impl Serialize, body: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(&mut bytes, head, body).unwrap();
        bytes
    }

    #[test]
    fn a_frame_comes_back_and_its_parts_are_told_from_noise() {
        let bytes = frame(&"head", b"body");
        let (head, body) = read::<String>(&mut &bytes[..], 100, 100).unwrap().unwrap();
        assert_eq!((head.as_str(), &body[..]), ("head", &b"body"[..]));
        assert!(read::<String>(&mut &b""[..], 100, 100).unwrap().is_none());
        for cut in 1..bytes.len() {
            let error = read::<String>(&mut &bytes[..cut], 100, 100).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{cut}");
        }
        for bad in [
            &b"pdfium: something is wrong in here"[..],
            &frame(&"a longer head than is taken", b""),
            &frame(&7, b""),
            &[&MAGIC[..], &[255; 16]].concat(),
        ] {
            let error = read::<String>(&mut &*bad, 20, 100).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData);
        }
    }

    #[test]
    fn a_document_that_no_parser_makes_is_refused() {
        let head = Document {
            uri: "a.md".into(),
            ..Document::default()
        };
        let text = "ä b".to_owned().into_bytes();
        assert_eq!(
            document(head.clone(), text.clone(), "a.md").unwrap().text,
            "ä b"
        );
        assert!(document(head.clone(), text.clone(), "b.md").is_err());
        assert!(document(head.clone(), vec![255], "a.md").is_err());
        let reversed = std::ops::Range { start: 3, end: 2 };
        for span in [0..1, 0..9, reversed] {
            let section = Section {
                heading: "h".into(),
                level: 1,
                span,
            };
            let head = Document {
                sections: vec![section],
                ..head.clone()
            };
            assert!(document(head, text.clone(), "a.md").is_err());
        }
        let metadata = [("labels".to_owned(), "all".into())].into();
        let head = Document { metadata, ..head };
        assert!(document(head, text, "a.md").is_err());
    }
}
