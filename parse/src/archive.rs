//! Reading the ZIP archives that office documents and books are, with limits against bombs.

use std::io::{Cursor, Read};

use zip::ZipArchive;
use zip::result::ZipError;

use super::{ParseLimits, encoding, malformed};
use crate::{Error, ErrorKind, Result};

/// How every ZIP archive begins.
pub(super) const MAGIC: &[u8] = b"PK\x03\x04";

/// An open archive and how many more bytes may come out of it.
pub(super) struct Archive<'a> {
    zip: ZipArchive<Cursor<&'a [u8]>>,
    format: &'static str,
    budget: u64,
    limit: usize,
}

impl<'a> Archive<'a> {
    /// Opens `bytes`; `format` names it in errors.
    pub(super) fn open(
        bytes: &'a [u8],
        format: &'static str,
        limits: &ParseLimits,
    ) -> Result<Self> {
        let zip = ZipArchive::new(Cursor::new(bytes)).map_err(|e| malformed(format, e))?;
        if zip.len() > limits.max_archive_entries {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!(
                    "{} files inside, more than the limit of {}; split it",
                    zip.len(),
                    limits.max_archive_entries
                ),
            ));
        }
        Ok(Self {
            zip,
            format,
            budget: limits.max_text_bytes as u64,
            limit: limits.max_text_bytes,
        })
    }

    /// The bytes of a file inside; `None` if there is no such file.
    pub(super) fn read(&mut self, name: &str) -> Result<Option<Vec<u8>>> {
        let file = match self.zip.by_name(name) {
            Ok(file) => file,
            Err(ZipError::FileNotFound) => return Ok(None),
            Err(ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED)) => {
                return Err(encrypted());
            }
            Err(error) => return Err(malformed(self.format, error)),
        };
        let mut bytes = Vec::new();
        file.take(self.budget + 1)
            .read_to_end(&mut bytes)
            .map_err(|e| malformed(self.format, e))?;
        let read = bytes.len() as u64;
        if read > self.budget {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!(
                    "it unfolds to more than {} MB; if it is not a bomb, raise the limit",
                    self.limit >> 20
                ),
            ));
        }
        self.budget -= read;
        Ok(Some(bytes))
    }

    /// The text of a file inside.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>> {
        let bytes = self.read(name)?;
        Ok(bytes.map(|bytes| encoding::decode(&bytes, None).into_owned()))
    }
}

/// Whether `bytes` are an archive with a file of this name.
pub(super) fn holds(bytes: &[u8], name: &str) -> bool {
    holds_any(bytes, &[name])
}

/// Whether `bytes` are an archive with a file of one of these names.
pub(super) fn holds_any(bytes: &[u8], names: &[&str]) -> bool {
    bytes.starts_with(MAGIC)
        && ZipArchive::new(Cursor::new(bytes)).is_ok_and(|archive| {
            names
                .iter()
                .any(|name| archive.index_for_name(name).is_some())
        })
}

pub(super) fn encrypted() -> Error {
    Error::new(
        ErrorKind::Encrypted,
        "protected by a password; save a copy without one",
    )
}
