//! Which format bytes are in.
//!
//! Magic bytes beat the name, the name beats the caller's media type, and text
//! without either is judged by its look.

use std::borrow::Cow;

use super::format::Format;
use super::formats;
use super::{Input, archive, encoding};
use crate::{Error, ErrorKind, Result};

/// Bytes at the start that are looked at.
pub const SNIFF_BYTES: usize = 8192;

/// The format of `source`.
///
/// # Errors
/// `Unsupported` for binaries, `Encrypted` for Office files with a password,
/// `InvalidInput` for text whose name promises a binary format.
pub(super) fn detect(source: &Input<'_>, content_type: Option<&str>) -> Result<&'static Format> {
    let bytes = source.bytes;
    if let Some(format) = formats::FORMATS
        .iter()
        .find(|format| (format.matches)(bytes))
    {
        return Ok(format);
    }
    let named =
        formats::by_name(source.name).or_else(|| content_type.and_then(formats::by_content_type));
    let binary = binary_kind(&bytes[..bytes.len().min(SNIFF_BYTES)]);
    if bytes.starts_with(OLE) && is_encrypted_office(bytes) {
        return Err(archive::encrypted());
    }
    match (named, binary) {
        (Some(format), kind) if format.binary => {
            let looks = kind.map(Cow::Borrowed).or_else(|| {
                by_look(source).map(|format| Cow::Owned(format!("text ({})", format.name)))
            });
            Err(Error::new(
                ErrorKind::InvalidInput,
                format!(
                    "named like {}, but it is {}; check that the download or export is whole",
                    format.name,
                    looks.as_deref().unwrap_or("plain text"),
                ),
            ))
        }
        (_, Some(kind)) => Err(unsupported(kind)),
        // Plain text is what people call what they have no name for.
        (Some(format), None) if format.name != "text" => Ok(format),
        (named, None) => Ok(by_look(source).or(named).unwrap_or(&formats::PLAIN)),
    }
}

/// The format that text looks like.
fn by_look(source: &Input<'_>) -> Option<&'static Format> {
    let text = source.text();
    let text = text.trim_start_matches('\u{feff}').trim_start();
    formats::FORMATS
        .iter()
        .find(|format| (format.looks_like)(text))
        .copied()
}

/// How old Office files, and new ones with a password, begin.
const OLE: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";

fn is_encrypted_office(bytes: &[u8]) -> bool {
    let name: Vec<u8> = "EncryptedPackage"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    bytes.windows(name.len()).any(|window| window == name)
}

pub(super) fn unsupported(kind: &str) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        format!(
            "{kind}, which Cairn does not read; convert it to text, or leave it out with a .cairnignore"
        ),
    )
}

/// What the bytes are when they are not text and no format that Cairn reads.
pub fn binary_kind(head: &[u8]) -> Option<&'static str> {
    let magic = MAGIC.iter().find(|(offset, magic, _)| {
        head.get(*offset..)
            .is_some_and(|rest| rest.starts_with(magic))
    });
    if let Some((_, _, kind)) = magic {
        return Some(kind);
    }
    if encoding_rs::Encoding::for_bom(head).is_some()
        || encoding::utf16_without_mark(head).is_some()
    {
        return None;
    }
    let controls = head
        .iter()
        .filter(|&&b| b < 0x20 && !matches!(b, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b | 0x08))
        .count();
    // Stray zeros occur in texts; more than one control byte in thirty does not.
    (controls * 30 > head.len()).then_some("a binary file")
}

/// Offset, bytes, and what they stand for.
const MAGIC: &[(usize, &[u8], &str)] = &[
    (0, b"\x89PNG\r\n\x1a\n", "an image (PNG)"),
    (0, b"\xff\xd8\xff", "an image (JPEG)"),
    (0, b"GIF87a", "an image (GIF)"),
    (0, b"GIF89a", "an image (GIF)"),
    (0, b"II*\0", "an image (TIFF)"),
    (0, b"MM\0*", "an image (TIFF)"),
    (8, b"WEBP", "an image (WebP)"),
    (0, b"\0\0\x01\0", "an image (icon)"),
    (0, b"7z\xbc\xaf\x27\x1c", "an archive (7z)"),
    (0, b"Rar!\x1a\x07", "an archive (RAR)"),
    (0, b"BZh", "an archive (bzip2)"),
    (0, b"\xfd7zXZ\0", "an archive (xz)"),
    (0, b"\x28\xb5\x2f\xfd", "an archive (zstd)"),
    (0, archive::MAGIC, "an archive (ZIP)"),
    (0, b"PK\x05\x06", "an archive (ZIP)"),
    (0, OLE, "an Office file from before 2007"),
    (0, b"\x1f\x8b", "an archive (gzip)"),
    (257, b"ustar", "an archive (tar)"),
    (0, b"!<arch>\n", "an archive (ar)"),
    (0, b"\x7fELF", "a program (ELF)"),
    (0, b"\xca\xfe\xba\xbe", "a program (Java or Mach-O)"),
    (0, b"\xcf\xfa\xed\xfe", "a program (Mach-O)"),
    (0, b"\0asm", "a program (WebAssembly)"),
    (0, b"SQLite format 3\0", "a database (SQLite)"),
    (0, b"GGUF", "model weights (GGUF)"),
    (0, b"OggS", "a sound or film file (Ogg)"),
    (0, b"ID3", "a sound file (MP3)"),
    (0, b"fLaC", "a sound file (FLAC)"),
    (4, b"ftyp", "a film or image file (MP4)"),
    (0, b"\x1a\x45\xdf\xa3", "a film file (Matroska)"),
    (0, b"wOFF", "a font"),
    (0, b"wOF2", "a font"),
    (0, b"OTTO\0", "a font"),
    (0, b"\0\x01\0\0\0", "a font"),
];
