//! What a cell says.

use super::numbers::Formats;
use crate::Result;
use crate::xml::{self, Xml};

/// What cells refer to.
pub(super) struct Cells {
    pub(super) formats: Formats,
    pub(super) strings: Vec<String>,
    /// Most text of one sheet, in bytes.
    pub(super) limit: usize,
}

impl Cells {
    /// The text of a cell of this type and style whose value is `value`.
    pub(super) fn show(&self, kind: &str, style: usize, value: &str) -> String {
        match kind {
            "s" => {
                let at = value.trim().parse::<usize>().ok();
                at.and_then(|at| self.strings.get(at))
                    .cloned()
                    .unwrap_or_default()
            }
            "b" => (if value.trim() == "1" { "true" } else { "false" }).to_owned(),
            // What a formula could not compute.
            "e" => String::new(),
            "str" | "inlineStr" => value.to_owned(),
            "d" => value.trim().trim_end_matches("T00:00:00").to_owned(),
            _ => self.formats.show(value, style),
        }
    }
}

/// The strings that cells name by their number.
pub(super) fn shared_strings(text: &str) -> Result<Vec<String>> {
    let mut strings = Vec::new();
    let mut current = String::new();
    let (mut in_text, mut in_reading) = (false, false);
    xml::read(text, "XLSX", |event| {
        match event {
            Xml::Start("si", _) => current.clear(),
            Xml::End("si") => strings.push(std::mem::take(&mut current)),
            Xml::Start("t", _) => in_text = true,
            Xml::End("t") => in_text = false,
            // How Japanese is read aloud.
            Xml::Start("rPh", _) => in_reading = true,
            Xml::End("rPh") => in_reading = false,
            Xml::Text(text) if in_text && !in_reading => current.push_str(&text),
            _ => {}
        }
        Ok(())
    })?;
    Ok(strings)
}
