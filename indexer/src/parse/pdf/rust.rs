//! PDF without any library of the system, through pdf-extract.

use super::Contents;
use crate::Result;
use crate::parse::{archive, malformed};

/// Reads `bytes`.
pub(super) fn read(bytes: &[u8]) -> Result<Contents> {
    let pages = pdf_extract::extract_text_from_mem_by_pages(bytes).map_err(|error| {
        let message = error.to_string();
        if message.to_lowercase().contains("password") || message.contains("encrypt") {
            archive::encrypted()
        } else {
            malformed("PDF", message)
        }
    })?;
    Ok(Contents {
        pages,
        ..Contents::default()
    })
}
