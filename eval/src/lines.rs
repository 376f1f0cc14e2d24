//! Lines of a text file, plain or gzipped, each with its number for errors.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Longest line that is read: a document of a corpus is one line, and a file
/// without line ends must not fill the memory.
const MAX_LINE_BYTES: u64 = 64 << 20;

/// `path` if it exists, else `path.gz`.
pub(crate) fn find(path: &Path) -> Result<PathBuf> {
    let mut gzipped = path.as_os_str().to_owned();
    gzipped.push(".gz");
    for candidate in [path.to_owned(), gzipped.into()] {
        if candidate.is_file() {
            return Ok(candidate);
        }
    }
    Err(Error::dataset(path, "no such file, plain or with .gz"))
}

/// The lines that are not blank.
pub(crate) struct Lines {
    path: PathBuf,
    reader: Box<dyn BufRead + Send>,
    number: usize,
}

impl Lines {
    /// Opens `path`; a name that ends in `.gz` is unpacked on the way.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|error| Error::file(path, error))?;
        let reader: Box<dyn BufRead + Send> = if path.extension().is_some_and(|e| e == "gz") {
            Box::new(BufReader::new(flate2::read::MultiGzDecoder::new(file)))
        } else {
            Box::new(BufReader::new(file))
        };
        Ok(Self {
            path: path.to_owned(),
            reader,
            number: 0,
        })
    }

    /// An error about the line that was read last.
    pub(crate) fn wrong(&self, reason: impl Into<String>) -> Error {
        Error::Line {
            path: self.path.clone(),
            line: self.number,
            reason: reason.into(),
        }
    }

    /// The number of the line that was read last, from 1.
    pub(crate) fn number(&self) -> usize {
        self.number
    }

    fn read(&mut self) -> Result<Option<String>> {
        loop {
            let mut bytes = Vec::new();
            let mut limited = (&mut self.reader).take(MAX_LINE_BYTES + 1);
            let count = limited
                .read_until(b'\n', &mut bytes)
                .map_err(|error| Error::file(&self.path, error))?;
            if count == 0 {
                return Ok(None);
            }
            self.number += 1;
            if count as u64 > MAX_LINE_BYTES {
                return Err(self.wrong(format!("longer than {} MB", MAX_LINE_BYTES >> 20)));
            }
            let text = String::from_utf8(bytes).map_err(|_| self.wrong("is not UTF-8"))?;
            let text = match self.number {
                1 => text.trim_start_matches('\u{feff}'),
                _ => &text,
            };
            let text = text.trim_end_matches(['\n', '\r']);
            if !text.trim().is_empty() {
                return Ok(Some(text.to_owned()));
            }
        }
    }
}

impl Iterator for Lines {
    type Item = Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}
