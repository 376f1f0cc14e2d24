//! Bytes of any supported format to a [`Document`].
//!
//! [`parse`] finds the format (magic bytes first, then extension, then the
//! caller's content type, then the look of the text) and hands an `Input` to
//! that format's parser, which writes into a `Draft`. Adding a format is one
//! file that exports a `Format` and one line in `formats.rs`.

mod archive;
mod asciidoc;
mod caught;
mod code;
mod compressed;
mod dates;
mod delimited;
mod detect;
mod document;
mod docx;
mod draft;
mod email;
mod encoding;
mod epub;
mod error;
mod format;
mod formats;
mod front_matter;
#[cfg(test)]
mod growth;
mod html;
mod json;
mod language;
mod lines;
mod links;
mod man;
mod markdown;
mod mhtml;
mod notebook;
mod numerals;
mod odt;
mod ooxml;
mod opml;
mod org;
mod pdf;
mod plain;
mod pptx;
mod promises;
mod raised;
#[cfg(test)]
mod robustness;
mod rst;
mod rtf;
mod running;
mod spaces;
mod tables;
#[cfg(test)]
mod testing;
mod work;
mod xlsx;
mod xml;

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

pub use caught::{catch, silence_caught_panics};
pub use detect::{SNIFF_BYTES, binary_kind};
pub use document::{
    Document, DocumentId, Metadata, Page, RESERVED_NAMES, Section, Table, is_reserved_name,
};
pub use error::{Error, ErrorKind, Result};
pub use formats::{is_known_binary_name, is_known_name};
#[doc(hidden)]
pub use promises::check_promises;

use draft::Draft;
use format::Format;

/// Raised when a parser makes another document of the same bytes, so that folders are read
/// again although their files did not change.
pub const PARSER_VERSION: u32 = 5;

/// One file or upload, as it came.
#[derive(Clone, Copy, Debug)]
pub struct ParseInput<'a> {
    /// Becomes [`Document::uri`].
    pub uri: &'a str,
    /// File name or path that hints at the format; the URI's last segment when
    /// none.
    pub name: Option<&'a str>,
    /// Media type that came with the bytes, such as `text/html; charset=utf-8`.
    pub content_type: Option<&'a str>,
    /// The content.
    pub bytes: &'a [u8],
}

impl<'a> ParseInput<'a> {
    /// `bytes` that are known by their URI alone.
    pub fn new(uri: &'a str, bytes: &'a [u8]) -> Self {
        Self {
            uri,
            name: None,
            content_type: None,
            bytes,
        }
    }

    fn file_name(&self) -> &'a str {
        let path = self
            .name
            .filter(|name| !name.is_empty())
            .unwrap_or(self.uri);
        let path = if path.contains("://") {
            path.split(['?', '#']).next().unwrap_or(path)
        } else {
            path
        };
        path.trim_end_matches(['/', '\\'])
            .rsplit(['/', '\\'])
            .next()
            .unwrap_or(path)
    }
}

/// How much of the machine one document may take.
#[derive(Clone, Debug)]
pub struct ParseLimits {
    /// Largest input, in bytes.
    pub max_bytes: usize,
    /// Most text of one document, and most bytes that a compressed one may
    /// unfold to.
    pub max_text_bytes: usize,
    /// Most files inside an archive (office documents and books are archives).
    pub max_archive_entries: usize,
    /// Time for a parser that may hang on hostile input (PDF).
    pub max_time: Duration,
    /// The pdfium library, which reads PDFs; without it they are an error.
    pub pdfium: Option<PathBuf>,
}

impl Default for ParseLimits {
    fn default() -> Self {
        const MIB: usize = 1 << 20;
        Self {
            max_bytes: 64 * MIB,
            max_text_bytes: 256 * MIB,
            max_archive_entries: 10_000,
            max_time: Duration::from_secs(60),
            pdfium: None,
        }
    }
}

/// What a parser reads: the bytes and everything that is known about them.
#[derive(Clone, Copy)]
struct Input<'a> {
    /// The file's name, without folders.
    name: &'a str,
    /// Charset that the transport declared.
    charset: Option<&'a str>,
    bytes: &'a [u8],
    limits: &'a ParseLimits,
    /// Documents around this one (a mail around its attachment).
    depth: u8,
}

impl<'a> Input<'a> {
    /// The bytes as text, in whatever encoding they are.
    fn text(&self) -> Cow<'a, str> {
        encoding::decode(self.bytes, self.charset)
    }
}

/// Parses one document.
///
/// # Errors
/// `InvalidInput` for empty or malformed content, `Unsupported` for binaries,
/// images and archives, `TooLarge` past a limit, `Encrypted` when a password is
/// needed. A parser that panics is an `InvalidInput`, never a crash.
pub fn parse(input: &ParseInput<'_>, limits: &ParseLimits) -> Result<Document> {
    let name = input.file_name();
    if input.bytes.is_empty() {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            "the file is empty; there is nothing to index",
        ));
    }
    if input.bytes.len() > limits.max_bytes {
        return Err(too_large(input.bytes.len(), limits.max_bytes));
    }
    let source = Input {
        name,
        charset: input.content_type.and_then(encoding::charset_of),
        bytes: input.bytes,
        limits,
        depth: 0,
    };
    let read = read(&source, input.content_type)?;
    read.draft.finish(input.uri, &read.name, read.format)
}

/// Reads a document inside `source`, such as an attachment.
fn nested(
    source: &Input<'_>,
    name: &str,
    charset: Option<&str>,
    content_type: Option<&str>,
    bytes: &[u8],
) -> Result<Draft> {
    let inner = Input {
        name,
        charset: charset.or_else(|| content_type.and_then(encoding::charset_of)),
        bytes,
        limits: source.limits,
        depth: source.depth + 1,
    };
    Ok(read(&inner, content_type)?.draft)
}

/// What was read of a source.
struct Read {
    draft: Draft,
    format: &'static Format,
    /// The file's name, without what says how it was compressed.
    name: String,
}

/// Reads a source in whatever format it is; what is compressed is read as what
/// it was before.
fn read(source: &Input<'_>, content_type: Option<&str>) -> Result<Read> {
    let mut draft = Draft::new(source.limits.max_text_bytes);
    let unpacked = compressed::unpack(source)?;
    let inner = match &unpacked {
        Some(unpacked) => Input {
            name: &unpacked.name,
            bytes: &unpacked.bytes,
            ..*source
        },
        None => *source,
    };
    let format = detect::detect(&inner, content_type)?;
    if let Some(damage) = unpacked.as_ref().and_then(|inner| inner.damage.as_deref()) {
        if format.binary {
            return Err(malformed(format.name, damage));
        }
        draft.warn(damage);
    }
    run(format, &inner, &mut draft)?;
    let name = inner.name.to_owned();
    Ok(Read {
        draft,
        format,
        name,
    })
}

/// Runs a parser; its panic becomes an error.
fn run(format: &Format, source: &Input<'_>, draft: &mut Draft) -> Result<()> {
    catch(|| (format.parse)(source, draft)).unwrap_or_else(|panic| {
        Err(malformed(
            format.name,
            panic_message(panic.as_ref()).unwrap_or("the reader gave up"),
        ))
    })
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> Option<&str> {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
}

/// The error for content that is not what its format asks for.
fn malformed(format: &str, reason: impl std::fmt::Display) -> Error {
    Error::new(
        ErrorKind::InvalidInput,
        format!("not readable as {format}: {reason}; check the file or export it again"),
    )
}

fn too_large(bytes: usize, limit: usize) -> Error {
    Error::new(
        ErrorKind::TooLarge,
        format!(
            "{} MB, more than the limit of {} MB; split the file or raise the limit",
            bytes.div_ceil(1 << 20),
            limit >> 20
        ),
    )
}
