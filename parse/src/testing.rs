//! Helpers of this room's tests.

use std::io::Write;

use super::{ParseInput, ParseLimits, parse};
use crate::{Document, Error};

/// Parses with the default limits; panics on errors.
pub(super) fn read(name: &str, bytes: impl AsRef<[u8]>) -> Document {
    parse(
        &ParseInput::new(name, bytes.as_ref()),
        &ParseLimits::default(),
    )
    .unwrap()
}

/// The error of parsing with the default limits.
pub(super) fn read_err(name: &str, bytes: impl AsRef<[u8]>) -> Error {
    parse(
        &ParseInput::new(name, bytes.as_ref()),
        &ParseLimits::default(),
    )
    .unwrap_err()
}

/// Level and heading of every section.
pub(super) fn headings(document: &Document) -> Vec<(u8, &str)> {
    document
        .sections
        .iter()
        .map(|section| (section.level, section.heading.as_str()))
        .collect()
}

/// A ZIP archive of these files.
pub(super) fn zip(files: &[(&str, &str)]) -> Vec<u8> {
    write_zip(files, zip::CompressionMethod::Deflated)
}

/// The same without compression, as the first file of some formats has to be.
pub(super) fn stored_zip(files: &[(&str, &str)]) -> Vec<u8> {
    write_zip(files, zip::CompressionMethod::Stored)
}

fn write_zip(files: &[(&str, &str)], method: zip::CompressionMethod) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(method);
    for (name, content) in files {
        writer.start_file(*name, options).unwrap();
        writer.write_all(content.as_bytes()).unwrap();
    }
    writer.finish().unwrap().into_inner()
}
