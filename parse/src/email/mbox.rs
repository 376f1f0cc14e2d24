//! Mailboxes: many mails in one file, as most mail programs and list archives
//! keep them (RFC 4155 and its relatives).

use std::borrow::Cow;

use super::super::Input;
use super::super::draft::Draft;
use super::super::format::Format;
use crate::Result;
use crate::malformed;

/// Mailboxes.
pub(crate) const FORMAT: Format = Format {
    name: "mbox",
    extensions: &["mbox", "mbx"],
    content_types: &["application/mbox"],
    prose: true,
    looks_like: |text| begins_message(text.as_bytes(), false),
    no_text: "the mailbox holds no mail; there is nothing to index",
    ..Format::new(parse)
};

/// Days as they stand in the line above a mail.
const DAYS: [&[u8]; 7] = [b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"];

fn parse(source: &Input<'_>, draft: &mut Draft) -> Result<()> {
    let mails = split(source.bytes);
    if mails.is_empty() {
        return Err(malformed(
            "a mailbox",
            "no line in it begins with \"From \"",
        ));
    }
    draft.fact("messages", mails.len());
    for (index, mail) in mails.into_iter().enumerate() {
        let mail = without_quoting(mail);
        let message = match super::read(&mail) {
            Ok(message) => message,
            Err(error) => {
                draft.warn(format!(
                    "message {} is left out: {}",
                    index + 1,
                    error.message()
                ));
                continue;
            }
        };
        let subject = message.subject().unwrap_or_default();
        let mut inner = Draft::new(source.limits.max_text_bytes);
        super::write(source, &message, &mut inner)?;
        draft.blank_line();
        draft.open_section(
            1,
            if subject.trim().is_empty() {
                "No subject"
            } else {
                subject
            },
        );
        draft.append(inner, 1);
        if draft.is_full() {
            break;
        }
    }
    Ok(())
}

/// The mails in a mailbox, each without the line above it.
fn split(bytes: &[u8]) -> Vec<&[u8]> {
    let mut mails = Vec::new();
    let mut start = None;
    let mut at = 0;
    let mut blank_above = true;
    while at < bytes.len() {
        let line_end = end_of_line(bytes, at);
        let line = &bytes[at..line_end];
        if line.starts_with(b"From ") && begins_message(&bytes[at..], !blank_above) {
            if let Some(start) = start {
                mails.push(&bytes[start..at]);
            }
            start = Some(line_end);
        }
        blank_above = line.trim_ascii().is_empty();
        at = line_end;
    }
    mails.extend(start.map(|start| &bytes[start..]));
    mails
}

/// Whether `bytes` begin with the line above a mail and the mail's first header.
/// A line that has no blank one above must be like those that programs write.
fn begins_message(bytes: &[u8], must_be_exact: bool) -> bool {
    if !bytes.starts_with(b"From ") {
        return false;
    }
    let line_end = end_of_line(bytes, 0);
    let line = &bytes[..line_end];
    let words = || {
        line.split(|b| b.is_ascii_whitespace())
            .filter(|word| !word.is_empty())
            .skip(1)
    };
    let has_day = words().any(|word| DAYS.contains(&word));
    let has_time = words().any(|word| {
        word.len() >= 4
            && word.contains(&b':')
            && word.iter().all(|b| b.is_ascii_digit() || *b == b':')
    });
    let has_year = words().any(|word| word.len() == 4 && word.iter().all(u8::is_ascii_digit));
    let exact = has_day && has_time && has_year;
    let next = &bytes[line_end..end_of_line(bytes, line_end)];
    is_header(next) && (exact || (!must_be_exact && has_time && has_year))
}

/// `Name: value`.
fn is_header(line: &[u8]) -> bool {
    let line = line.strip_prefix(b">").unwrap_or(line);
    let name = line.iter().position(|&b| b == b':').unwrap_or(0);
    name > 0
        && line[..name]
            .iter()
            .all(|&b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// Behind the line end of the line that begins at `at`.
fn end_of_line(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let found = rest.iter().position(|&b| b == b'\n');
    found.map_or(bytes.len(), |found| at + found + 1)
}

/// A mail without the line that a mailbox puts above it.
pub(super) fn without_envelope(bytes: &[u8]) -> &[u8] {
    match bytes.starts_with(b"From ") {
        true => &bytes[end_of_line(bytes, 0)..],
        false => bytes,
    }
}

/// `>From` at the start of a line was `From` before the mail came into the
/// mailbox.
fn without_quoting(mail: &[u8]) -> Cow<'_, [u8]> {
    let is_quoted = |line: &[u8]| {
        let rest = line.iter().position(|&b| b != b'>').unwrap_or(line.len());
        rest > 0 && line[rest..].starts_with(b"From ")
    };
    let lines = || mail.split_inclusive(|&b| b == b'\n');
    if !lines().any(is_quoted) {
        return Cow::Borrowed(mail);
    }
    let kept = lines().flat_map(|line| &line[usize::from(is_quoted(line))..]);
    Cow::Owned(kept.copied().collect())
}
