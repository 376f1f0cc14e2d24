//! Server-sent events, read from bytes as they come: lines and characters may
//! be split anywhere, line ends may be LF, CRLF or CR, comments are skipped.

/// Most bytes of one event. No chat completion chunk comes near it; a server
/// that sends no line end must not fill the memory.
const MAX_EVENT_BYTES: usize = 1 << 20;

/// Why the bytes are not an event stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SseError {
    #[error("an event longer than {MAX_EVENT_BYTES} bytes")]
    TooLong,
    #[error("an event that is not UTF-8")]
    NotUtf8,
}

/// Collects bytes into the `data` of events.
#[derive(Debug, Default)]
pub(super) struct SseParser {
    /// The line so far.
    line: Vec<u8>,
    /// The event's data so far; `None` if no `data` line came.
    data: Option<String>,
    /// The last byte was a CR: an LF right after it belongs to the same end.
    after_cr: bool,
    begun: bool,
}

impl SseParser {
    /// Takes the next bytes and appends the data of every event they complete.
    pub(super) fn push(&mut self, bytes: &[u8], events: &mut Vec<String>) -> Result<(), SseError> {
        for &byte in bytes {
            let after_cr = std::mem::replace(&mut self.after_cr, byte == b'\r');
            match byte {
                b'\n' if after_cr => {}
                b'\r' | b'\n' => self.end_line(events)?,
                _ => self.line.push(byte),
            }
            if self.line.len() + self.data.as_ref().map_or(0, String::len) > MAX_EVENT_BYTES {
                return Err(SseError::TooLong);
            }
        }
        Ok(())
    }

    /// The end of the stream. An event without its blank line still counts:
    /// some servers leave the last one out.
    pub(super) fn finish(&mut self, events: &mut Vec<String>) -> Result<(), SseError> {
        self.end_line(events)?;
        events.extend(self.data.take());
        Ok(())
    }

    fn end_line(&mut self, events: &mut Vec<String>) -> Result<(), SseError> {
        let line = std::mem::take(&mut self.line);
        let line = std::str::from_utf8(&line).map_err(|_| SseError::NotUtf8)?;
        let line = match std::mem::replace(&mut self.begun, true) {
            true => line,
            false => line.strip_prefix('\u{feff}').unwrap_or(line),
        };
        if line.is_empty() {
            events.extend(self.data.take());
            return Ok(());
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        if field == "data" {
            let value = value.strip_prefix(' ').unwrap_or(value);
            match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            }
        }
        Ok(())
    }
}

/// The data of the events in a stream that came in these pieces, and what was wrong with it.
pub(crate) fn read_events(pieces: &[&[u8]]) -> (Vec<String>, Option<String>) {
    let mut parser = SseParser::default();
    let mut events = Vec::new();
    let mut read = || {
        for piece in pieces {
            parser.push(piece, &mut events)?;
        }
        parser.finish(&mut events)
    };
    let fault = read().err();
    (events, fault.map(|error| error.to_string()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(pieces: &[&[u8]]) -> Vec<String> {
        let (mut parser, mut events) = (SseParser::default(), Vec::new());
        for piece in pieces {
            parser.push(piece, &mut events).unwrap();
        }
        parser.finish(&mut events).unwrap();
        events
    }

    #[test]
    fn every_line_end() {
        for end in ["\n", "\r\n", "\r"] {
            let text = ": hi\nevent: x\ndata: a\ndata:b\n\n\ndata: c\nid: 1\n\n".replace('\n', end);
            assert_eq!(parse(&[text.as_bytes()]), ["a\nb", "c"]);
        }
    }

    #[test]
    fn the_last_event_needs_no_blank_line() {
        assert_eq!(parse(&[b"\xef\xbb\xbfdata: a"]), ["a"]);
        assert_eq!(parse(&[b""]), Vec::<String>::new());
    }

    #[test]
    fn endless_lines_are_refused() {
        let (mut parser, mut events) = (SseParser::default(), Vec::new());
        let error = parser
            .push(&vec![b'x'; MAX_EVENT_BYTES + 1], &mut events)
            .unwrap_err();
        assert_eq!(error, SseError::TooLong);
        let mut parser = SseParser::default();
        assert_eq!(
            parser.push(b"data: \xff\n", &mut events),
            Err(SseError::NotUtf8)
        );
    }

    proptest! {
        #[test]
        fn cuts_change_nothing(cuts in proptest::collection::vec(0usize..64, 0..12)) {
            let text = "data: größe 👍🏽\r\n\r\n:c\rdata: x\r\r\ndata: y\n\n".as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect();
            prop_assert_eq!(parse(&pieces), ["größe 👍🏽", "x", "y"]);
        }
    }
}
