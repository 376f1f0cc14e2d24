//! What a body is, by its first bytes: servers and proxies send JSON as plain text and
//! event streams as JSON, so the content type alone says little.

use futures::{Stream, StreamExt as _};

use super::super::chat::{ProviderError, ProviderEvent};
use super::dialect::{Fault, Reader};
use super::failure;
use super::sse::{SseError, SseParser};

/// Most bytes of an answer that comes in one piece.
const MAX_BODY_BYTES: usize = 4 << 20;
/// Most bytes of a streamed answer: each token costs some 200 of them.
const MAX_STREAM_BYTES: usize = 64 << 20;
/// Bytes that are enough to know a field of an event stream.
const FIELD_BYTES: usize = 6;
/// Fields of server-sent events, of which some comes first; a comment has no name.
const FIELDS: [&[u8]; 5] = [b"data", b"event", b"id", b"retry", b":"];

/// What a body turns out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// An object or a list.
    Json,
    /// Server-sent events.
    Events,
    /// A web page.
    Page,
    /// Something else.
    Other,
}

/// The kind of a body that begins with `bytes`; `None` while that is not decided.
fn kind(bytes: &[u8], whole: bool) -> Option<Kind> {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = text.trim_ascii_start();
    match text.first() {
        Some(b'{' | b'[') => Some(Kind::Json),
        Some(b'<') => Some(Kind::Page),
        None if !whole => None,
        _ if FIELDS.iter().any(|field| text.starts_with(field)) => Some(Kind::Events),
        _ if whole || text.len() >= FIELD_BYTES => Some(Kind::Other),
        _ => None,
    }
}

/// Reads a body as what it is, with the dialect's reader. `claimed` is its content type.
pub(super) fn read<'a, B: AsRef<[u8]> + Send + 'a>(
    name: &'a str,
    claimed: &'a str,
    mut pieces: impl Stream<Item = reqwest::Result<B>> + Send + Unpin + 'a,
    reader: &'a mut dyn Reader,
) -> impl Stream<Item = Result<ProviderEvent, ProviderError>> + Send + 'a {
    async_stream::try_stream! {
        let mut begun = Vec::new();
        let mut whole = false;
        let found = loop {
            if let Some(kind) = kind(&begun, whole) {
                break kind;
            }
            match pieces.next().await {
                Some(piece) => begun.extend_from_slice(piece.map_err(|error| failure::transport(name, &error))?.as_ref()),
                None => whole = true,
            }
            if begun.len() > MAX_BODY_BYTES {
                Err(failure::too_large(name))?;
            }
        };
        let mut events = Vec::new();
        match found {
            Kind::Page => Err(failure::garbled(name, "a web page"))?,
            Kind::Json => {
                let body = rest(name, begun, pieces).await?;
                take_whole(&body, reader, &mut events).map_err(|fault| failure::fault(name, fault))?;
            }
            // What says that it is JSON or a page and is neither is not a stream.
            Kind::Other if claimed.contains("html") => Err(failure::garbled(name, "a web page"))?,
            Kind::Other if claimed.contains("json") && !begun.is_empty() => {
                take_whole(&rest(name, begun, pieces).await?, reader, &mut events)
                    .map_err(|fault| failure::fault(name, fault))?;
            }
            Kind::Events | Kind::Other => {
                let (mut parser, mut data) = (SseParser::default(), Vec::new());
                let mut read = begun.len();
                let mut ended = false;
                let mut parsed = parser.push(&begun, &mut data);
                drop(begun);
                loop {
                    for data in data.drain(..) {
                        if !reader.is_over() {
                            reader.take(&data, &mut events).map_err(|fault| failure::fault(name, fault))?;
                        }
                        for event in events.drain(..) {
                            yield event;
                        }
                    }
                    parsed.map_err(|error| match error {
                        SseError::TooLong => failure::too_large(name),
                        SseError::NotUtf8 => not_utf8(name),
                    })?;
                    if read > MAX_STREAM_BYTES {
                        Err(failure::too_large(name))?;
                    }
                    if ended || reader.is_over() {
                        break;
                    }
                    parsed = match pieces.next().await {
                        Some(piece) => {
                            let piece = piece.map_err(|error| failure::transport(name, &error))?;
                            read += piece.as_ref().len();
                            parser.push(piece.as_ref(), &mut data)
                        }
                        None => {
                            ended = true;
                            parser.finish(&mut data)
                        }
                    };
                }
            }
        }
        for event in events {
            yield event;
        }
    }
}

fn not_utf8(name: &str) -> ProviderError {
    failure::garbled(name, "bytes that are not UTF-8")
}

/// The whole of a body that has `begun`, as text.
async fn rest<B: AsRef<[u8]>>(
    name: &str,
    begun: Vec<u8>,
    pieces: impl Stream<Item = reqwest::Result<B>> + Unpin,
) -> Result<String, ProviderError> {
    let body = whole(begun, pieces, MAX_BODY_BYTES).await;
    let body = body.map_err(|error| match error {
        Some(error) => failure::transport(name, &error),
        None => failure::too_large(name),
    })?;
    String::from_utf8(body).map_err(|_| not_utf8(name))
}

/// The whole of a body of at most `most` bytes.
///
/// # Errors
/// None when it is longer.
pub(super) async fn whole<B: AsRef<[u8]>>(
    mut body: Vec<u8>,
    mut pieces: impl Stream<Item = reqwest::Result<B>> + Unpin,
    most: usize,
) -> Result<Vec<u8>, Option<reqwest::Error>> {
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(Some)?;
        if body.len() + piece.as_ref().len() > most {
            return Err(None);
        }
        body.extend_from_slice(piece.as_ref());
    }
    Ok(body)
}

/// One object; or the chunks of a stream as a list, or one after the other.
fn take_whole(
    body: &str,
    reader: &mut dyn Reader,
    out: &mut Vec<ProviderEvent>,
) -> Result<(), Fault> {
    let body = body.trim_start_matches('\u{feff}').trim();
    let several =
        body.starts_with('[') || serde_json::from_str::<serde::de::IgnoredAny>(body).is_err();
    if !several {
        return reader.take(body, out);
    }
    let mut values = serde_json::Deserializer::from_str(body).into_iter::<serde_json::Value>();
    let mut any = false;
    while let Some(Ok(value)) = values.next() {
        any = true;
        let chunks = match value {
            serde_json::Value::Array(chunks) => chunks,
            one => vec![one],
        };
        for chunk in chunks {
            if !reader.is_over() {
                reader.take(&chunk.to_string(), out)?;
            }
        }
    }
    // What comes after the last whole object was cut, and so is the answer; what is no
    // JSON from its beginning is the reader's to name.
    match any {
        true => Ok(()),
        false => reader.take(body, out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_decide() {
        for (bytes, expected) in [
            (&b"  \n{\"a\""[..], Some(Kind::Json)),
            (b"\xef\xbb\xbf[", Some(Kind::Json)),
            (b"data: {", Some(Kind::Events)),
            (b": comment", Some(Kind::Events)),
            (b"event: x", Some(Kind::Events)),
            (b"\r\n\r\nid: 1", Some(Kind::Events)),
            (b"<!doctype html>", Some(Kind::Page)),
            (b"", None),
            (b"da", None),
            (b"nonsense", Some(Kind::Other)),
        ] {
            assert_eq!(kind(bytes, false), expected, "{bytes:?}");
        }
        assert_eq!(kind(b"da", true), Some(Kind::Other));
        assert_eq!(kind(b"", true), Some(Kind::Other));
    }
}
