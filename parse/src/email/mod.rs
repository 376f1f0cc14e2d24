//! Mail (RFC 5322): who wrote what to whom, and what was attached.

mod body;
mod flowed;
pub(super) mod mbox;
#[cfg(test)]
mod tests;

use mail_parser::{Address, Message, MessageParser, MessagePart, MimeHeaders, PartType};
use serde_json::Value;

use super::draft::{Draft, one_line};
use super::format::Format;
use super::{Input, front_matter, malformed, nested};
use crate::Result;

/// One mail, as mail programs save it.
pub(super) const FORMAT: Format = Format {
    name: "email",
    extensions: &["eml"],
    content_types: &["message/rfc822"],
    prose: true,
    looks_like,
    ..Format::new(parse)
};

/// Mails inside mails, archives inside mails: deeper ones are only named.
const MAX_DEPTH: u8 = 3;
/// Attachments that are read; more are only named.
const MAX_ATTACHMENTS: usize = 50;

fn parse(source: &Input<'_>, draft: &mut Draft) -> Result<()> {
    let message = read(mbox::without_envelope(source.bytes))?;
    facts(&message, draft);
    write(source, &message, draft)
}

fn read(bytes: &[u8]) -> Result<Message<'_>> {
    MessageParser::default()
        .parse(bytes)
        .filter(|message| !message.headers().is_empty())
        .ok_or_else(|| malformed("a mail", "it has no header"))
}

fn facts(message: &Message<'_>, draft: &mut Draft) {
    if let Some(subject) = message.subject() {
        draft.propose_title(subject);
    }
    if let Some(date) = message.date() {
        let date = format!("{:04}-{:02}-{:02}", date.year, date.month, date.day);
        front_matter::fact("date", &Value::String(date), draft, 0);
    }
    draft.fact("author", list(message.from()));
    draft.fact("to", list(message.to()));
    draft.fact("cc", list(message.cc()));
    if let Some(id) = message.message_id() {
        draft.fact("message_id", id);
    }
    let names: Vec<Value> = message
        .attachments()
        .map(|part| name_of(part).into())
        .collect();
    draft.fact("attachments", Value::Array(names));
}

/// Names with addresses; one alone is not a list.
fn list(addresses: Option<&Address<'_>>) -> Value {
    let mut all: Vec<Value> = people(addresses).into_iter().map(Value::from).collect();
    if all.len() == 1 {
        all.swap_remove(0)
    } else {
        Value::Array(all)
    }
}

fn people(addresses: Option<&Address<'_>>) -> Vec<String> {
    let all = addresses.into_iter().flat_map(Address::iter).take(100);
    all.filter_map(|person| match (person.name(), person.address()) {
        (Some(name), Some(address)) => Some(format!("{name} <{address}>")),
        (name, address) => name.or(address).map(str::to_owned),
    })
    .collect()
}

fn write(source: &Input<'_>, message: &Message<'_>, draft: &mut Draft) -> Result<()> {
    let date = message.date().map(|date| date.to_rfc3339());
    let header = [
        ("Subject", message.subject().map(str::to_owned)),
        ("From", Some(people(message.from()).join(", "))),
        ("To", Some(people(message.to()).join(", "))),
        ("Cc", Some(people(message.cc()).join(", "))),
        ("Date", date),
    ];
    for (name, value) in header {
        let value = one_line(&value.unwrap_or_default());
        if !value.is_empty() {
            draft.break_line();
            draft.push(&format!("{name}: {value}"));
        }
    }
    draft.blank_line();
    body::write(source, message, draft)?;
    for (index, part) in message.attachments().enumerate() {
        draft.blank_line();
        let name = name_of(part);
        draft.push(&format!("Attachment: {name}"));
        draft.blank_line();
        if index < MAX_ATTACHMENTS && source.depth < MAX_DEPTH && !draft.is_full() {
            attachment(source, part, &name, draft)?;
        }
    }
    Ok(())
}

/// Reads an attachment if Cairn reads its format; one that is broken or of
/// another kind stays a name.
fn attachment(
    source: &Input<'_>,
    part: &MessagePart<'_>,
    name: &str,
    draft: &mut Draft,
) -> Result<()> {
    let content_type = part.content_type().map(|kind| match kind.subtype() {
        Some(subtype) => format!("{}/{subtype}", kind.ctype()),
        None => kind.ctype().to_owned(),
    });
    let inner = match &part.body {
        PartType::Message(message) => {
            let mut inner = Draft::new(source.limits.max_text_bytes);
            let deeper = Input {
                depth: source.depth + 1,
                ..*source
            };
            write(&deeper, message, &mut inner)?;
            Some(inner)
        }
        PartType::Text(text) | PartType::Html(text) => nested(
            source,
            name,
            Some("utf-8"),
            content_type.as_deref(),
            text.as_bytes(),
        )
        .ok(),
        PartType::Binary(bytes) | PartType::InlineBinary(bytes) => {
            nested(source, name, None, content_type.as_deref(), bytes).ok()
        }
        PartType::Multipart(_) => None,
    };
    if let Some(inner) = inner {
        draft.open_section(1, name);
        draft.append(inner, 1);
    }
    Ok(())
}

fn name_of(part: &MessagePart<'_>) -> String {
    let name = part
        .attachment_name()
        .map(one_line)
        .filter(|name| !name.is_empty());
    name.unwrap_or_else(|| match &part.body {
        PartType::Message(message) => one_line(message.subject().unwrap_or("forwarded mail")),
        _ => "without a name".into(),
    })
}

/// Several of the headers that every mail has, before the first blank line.
fn looks_like(text: &str) -> bool {
    let known = [
        "from:",
        "to:",
        "date:",
        "subject:",
        "message-id:",
        "received:",
        "mime-version:",
    ];
    let mut hits = 0;
    for (number, line) in text.lines().take(200).enumerate() {
        if line.is_empty() {
            break;
        }
        let header = line.starts_with([' ', '\t'])
            || line.split_once(':').is_some_and(|(name, _)| {
                !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            })
            || (number == 0 && line.starts_with("From "));
        if !header {
            return false;
        }
        let line = line.to_ascii_lowercase();
        hits += usize::from(known.iter().any(|name| line.starts_with(name)));
    }
    hits >= 3
}
