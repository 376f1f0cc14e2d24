//! What is known of an uploaded file, as it stands on the disk: JSON with a checksum of itself,
//! so that damage to it is noticed, and with one of the file's bytes.

use std::io;

use serde_json::Value;

use super::UploadedFile;

/// The field that holds the checksum of the others.
const CHECK: &str = "check";

/// The checksum of `bytes`, hexadecimal.
pub(super) fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

pub(super) fn write(upload: &UploadedFile) -> io::Result<Vec<u8>> {
    let mut record = serde_json::to_value(upload)?;
    record[CHECK] = hash(&serde_json::to_vec(&record)?).into();
    Ok(serde_json::to_vec(&record)?)
}

/// Reads a record. One from before there were checksums is believed.
///
/// # Errors
/// `InvalidData` for one that is damaged.
pub(super) fn read(bytes: &[u8]) -> io::Result<UploadedFile> {
    let unreadable = |error: serde_json::Error| damaged(&error.to_string());
    let mut record: Value = serde_json::from_slice(bytes).map_err(unreadable)?;
    let check = record
        .as_object_mut()
        .and_then(|fields| fields.remove(CHECK));
    let sum = hash(&serde_json::to_vec(&record)?);
    let upload: UploadedFile = serde_json::from_value(record).map_err(unreadable)?;
    match check {
        Some(check) if check == *sum => Ok(upload),
        // Both came at once.
        None if upload.blake3.is_none() => Ok(upload),
        _ => Err(damaged("its checksum is wrong")),
    }
}

/// Compares the bytes of a file with what is known of it.
///
/// # Errors
/// `InvalidData` if they are others.
pub(super) fn check_bytes(upload: &UploadedFile, bytes: &[u8]) -> io::Result<()> {
    if bytes.len() as u64 != upload.bytes {
        return Err(damaged("it does not have the length that it had"));
    }
    match &upload.blake3 {
        Some(known) if *known != hash(bytes) => Err(damaged("its checksum is wrong")),
        _ => Ok(()),
    }
}

pub(super) fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
