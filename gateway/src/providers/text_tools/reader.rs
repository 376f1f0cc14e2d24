//! Takes calls out of text that is still being written.
//!
//! A call stands in a fenced block, between `<tool_call>` and its end, or bare at the
//! beginning of a line. A block with a label of ours is meant as a call; one of plain JSON,
//! or bare JSON, is one only if it looks like one. Everything else is text and goes out as
//! it comes. What follows the first call is no answer: models go on with results that they
//! made up. The text may be cut into pieces anywhere.

use super::block::{Found, broken, calls};

/// Labels of blocks that are meant as calls.
const MEANT: &[&str] = &[
    "tool_call",
    "tool_calls",
    "tool_code",
    "tool",
    "tool_use",
    "function_call",
    "function_calls",
    "function",
];
/// Labels of blocks that may be.
const MAYBE: &[&str] = &["", "json", "json5", "jsonc", "javascript", "js"];
const OPEN_TAG: &str = "<tool_call>";
const CLOSE_TAG: &str = "</tool_call>";
/// Bytes of a block after which it is none, or nothing that can be read.
const MAX_HELD: usize = 64 << 10;

/// A part of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Piece {
    Text(String),
    Call { name: String, arguments: String },
}

/// What a block holds that was meant as a call and is none.
pub(in super::super) type Fault = &'static str;

/// The text so far.
#[derive(Debug)]
pub(in super::super) struct Reader {
    /// Whether anything may be called.
    offers: bool,
    place: Place,
    /// What was not told apart yet.
    held: String,
    /// `held` begins a line.
    at_line: bool,
    /// White space after the last letter: it is not wanted before a call.
    gap: String,
    called: bool,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Text,
    /// In a block that is no call, after so many backticks.
    Code(usize),
    /// In what may be a call: `held` has it from `start` on.
    Block {
        meant: bool,
        end: End,
        start: usize,
    },
    /// After a call and other text.
    Over,
}

#[derive(Clone, Copy, Debug)]
enum End {
    /// As many backticks.
    Fence(usize),
    Tag,
    /// The bracket that closes the first one.
    Bracket,
}

/// What a line begins with.
enum Opening {
    Block {
        meant: bool,
        end: End,
        start: usize,
    },
    /// A fence of so many backticks and bytes.
    Code {
        ticks: usize,
        len: usize,
    },
    Text,
    /// More must come before that is known.
    Unknown,
}

impl Reader {
    /// `offers` says whether anything may be called; otherwise everything is text.
    pub(in super::super) fn new(offers: bool) -> Self {
        Self {
            offers,
            place: Place::Text,
            held: String::new(),
            at_line: true,
            gap: String::new(),
            called: false,
        }
    }

    /// Takes the next text; returns what is known for certain.
    ///
    /// # Errors
    /// If a block was meant as a call and does not even name a function.
    pub(in super::super) fn push(&mut self, text: &str) -> Result<Vec<Piece>, Fault> {
        if !self.offers {
            return Ok(vec![Piece::Text(text.to_owned())]);
        }
        self.held.push_str(text);
        let mut out = Vec::new();
        while self.step(None, &mut out)? {}
        Ok(out)
    }

    /// The end of the text; `cut` if the model had no tokens left. A block that was meant as
    /// a call and was cut is dropped then: half a call is none, and asking again would end
    /// the same way. Without a cut a missing end is only a missing end.
    ///
    /// # Errors
    /// As [`Reader::push`].
    pub(in super::super) fn finish(&mut self, cut: bool) -> Result<Vec<Piece>, Fault> {
        let mut out = Vec::new();
        while self.step(Some(cut), &mut out)? {}
        let gap = std::mem::take(&mut self.gap);
        if !self.called && !gap.is_empty() {
            out.push(Piece::Text(gap));
        }
        Ok(out)
    }

    /// Goes on by one line or block; whether there may be another. `end` is there at the end.
    fn step(&mut self, end: Option<bool>, out: &mut Vec<Piece>) -> Result<bool, Fault> {
        if self.called && matches!(self.place, Place::Text) {
            let between = |c: char| c.is_whitespace() || matches!(c, ',' | ';');
            self.held = self.held.trim_start_matches(between).to_owned();
            self.at_line = true;
        }
        if self.held.is_empty() {
            return Ok(false);
        }
        match self.place {
            Place::Over => self.held.clear(),
            Place::Text if self.at_line => match opening(&self.held) {
                Opening::Unknown if end.is_none() => return Ok(false),
                Opening::Unknown | Opening::Text => self.text_line(out),
                Opening::Code { ticks, len } => {
                    self.place = Place::Code(ticks);
                    self.at_line = false;
                    self.text(len, out);
                }
                Opening::Block { meant, end, start } => {
                    self.place = Place::Block { meant, end, start };
                }
            },
            Place::Text => self.text_line(out),
            Place::Code(ticks) => {
                if self.at_line {
                    let line = self.held.split('\n').next().unwrap_or_default().trim();
                    let is_fence = line.bytes().all(|byte| byte == b'`');
                    let is_whole = self.held.contains('\n') || end.is_some();
                    if is_fence && !is_whole {
                        return Ok(false);
                    }
                    if is_fence && line.len() >= ticks {
                        self.place = Place::Text;
                    }
                }
                self.text_line(out);
            }
            Place::Block {
                meant,
                end: kind,
                start,
            } => return self.block(meant, kind, start, end, out),
        }
        Ok(true)
    }

    /// Passes on the rest of the line.
    fn text_line(&mut self, out: &mut Vec<Piece>) {
        let len = self.held.find('\n').map_or(self.held.len(), |at| at + 1);
        self.at_line = self.held[..len].ends_with('\n');
        self.text(len, out);
    }

    /// Passes on so many bytes, except white space at the end.
    fn text(&mut self, len: usize, out: &mut Vec<Piece>) {
        if self.called {
            self.place = Place::Over;
            self.held.clear();
            return;
        }
        let mut text = std::mem::take(&mut self.gap);
        text.extend(self.held.drain(..len));
        self.gap = text.split_off(text.trim_end().len());
        if !text.is_empty() {
            out.push(Piece::Text(text));
        }
    }

    fn block(
        &mut self,
        meant: bool,
        kind: End,
        start: usize,
        end: Option<bool>,
        out: &mut Vec<Piece>,
    ) -> Result<bool, Fault> {
        let content = &self.held[start..];
        let (inside, after) = match (closed(content, kind), end) {
            (Some((inside, after)), _) => (inside, start + after),
            (None, None) if content.len() <= MAX_HELD => return Ok(false),
            (None, None) if meant => return Err("a call of a function that does not end"),
            (None, Some(true)) if meant => {
                self.held.clear();
                return Ok(false);
            }
            // Its end may have been a stop text, or half a fence.
            (None, Some(false)) => (content.trim_end_matches('`').len(), self.held.len()),
            (None, _) => (0, self.held.len()),
        };
        let inside = content[..inside].trim();
        let mut found = calls(inside, meant);
        if found.is_none() && meant {
            let broken = broken(inside).ok_or("a call of a function that cannot be read")?;
            found = Some(vec![broken]);
        }
        self.place = Place::Text;
        self.at_line = false;
        match found {
            None => self.text(after, out),
            Some(found) => {
                self.held.drain(..after);
                self.called = true;
                self.gap.clear();
                let piece = |Found { name, arguments }| Piece::Call { name, arguments };
                out.extend(found.into_iter().map(piece));
            }
        }
        Ok(true)
    }
}

fn opening(held: &str) -> Opening {
    let line = held.trim_start_matches([' ', '\t']);
    let indent = held.len() - line.len();
    let bare = |wanted: &dyn Fn(char) -> bool| match line[1..].trim_start().chars().next() {
        None => Opening::Unknown,
        Some(next) if wanted(next) => Opening::Block {
            meant: false,
            end: End::Bracket,
            start: indent,
        },
        Some(_) => Opening::Text,
    };
    match line.chars().next() {
        None => Opening::Unknown,
        Some('`') => fence(held, indent),
        Some('{') => bare(&|next| matches!(next, '"' | '\'') || next.is_ascii_alphabetic()),
        Some('[') => bare(&|next| next == '{'),
        Some('<') if line.starts_with(OPEN_TAG) => Opening::Block {
            meant: true,
            end: End::Tag,
            start: indent + OPEN_TAG.len(),
        },
        Some('<') if OPEN_TAG.starts_with(line) => Opening::Unknown,
        Some(_) => Opening::Text,
    }
}

/// A line that begins with backticks after `indent` bytes.
fn fence(held: &str, indent: usize) -> Opening {
    let rest = held[indent..].trim_start_matches('`');
    let ticks = held.len() - indent - rest.len();
    if ticks < 3 {
        return match rest.is_empty() {
            true => Opening::Unknown,
            false => Opening::Text,
        };
    }
    let named = rest.trim_start_matches(' ');
    let is_label = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+' | '#' | '.');
    let content = named.trim_start_matches(is_label);
    if content.is_empty() {
        return Opening::Unknown;
    }
    let label = named[..named.len() - content.len()].to_ascii_lowercase();
    let (end, start) = (End::Fence(ticks), held.len() - content.len());
    if MEANT.contains(&label.as_str()) {
        return Opening::Block {
            meant: true,
            end,
            start,
        };
    }
    let first = content.trim_start().chars().next();
    match first {
        None if MAYBE.contains(&label.as_str()) => Opening::Unknown,
        Some('{' | '[') if MAYBE.contains(&label.as_str()) => Opening::Block {
            meant: false,
            end,
            start,
        },
        _ => Opening::Code {
            ticks,
            len: indent + ticks,
        },
    }
}

/// Where the content of a block ends, and where its end does; `None` if it is not there.
fn closed(content: &str, end: End) -> Option<(usize, usize)> {
    match end {
        End::Tag => content.find(CLOSE_TAG).map(|at| (at, at + CLOSE_TAG.len())),
        End::Bracket => {
            let mut json = Json::default();
            let last = content.bytes().position(|byte| {
                json.follow(byte);
                json.depth == 0 && matches!(byte, b'}' | b']')
            })?;
            Some((last + 1, last + 1))
        }
        End::Fence(ticks) => {
            let fence = "`".repeat(ticks);
            let mut json = Json::default();
            let mut is_line = false;
            for (at, byte) in content.bytes().enumerate() {
                let may_close = is_line || (json.depth == 0 && !json.in_text);
                if byte == b'`' && may_close && content[at..].starts_with(&fence) {
                    return Some((at, at + ticks));
                }
                json.follow(byte);
                is_line = byte == b'\n' || (is_line && byte.is_ascii_whitespace());
            }
            None
        }
    }
}

/// How deep in JSON a text is.
#[derive(Default)]
struct Json {
    depth: usize,
    in_text: bool,
    escaped: bool,
}

impl Json {
    fn follow(&mut self, byte: u8) {
        match byte {
            // No string goes over a line; one that seems to was no string.
            b'\n' => (self.in_text, self.escaped) = (false, false),
            _ if self.escaped => self.escaped = false,
            b'\\' if self.in_text => self.escaped = true,
            b'"' => self.in_text = !self.in_text,
            _ if self.in_text => {}
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The text and the calls of an answer that comes in `pieces`.
    fn read(pieces: &[&str], cut: bool) -> Result<(String, Vec<(String, String)>), Fault> {
        let mut reader = Reader::new(true);
        let mut all = Vec::new();
        for piece in pieces {
            all.extend(reader.push(piece)?);
        }
        all.extend(reader.finish(cut)?);
        let (mut text, mut calls) = (String::new(), Vec::new());
        for piece in all {
            match piece {
                Piece::Text(piece) => {
                    assert!(calls.is_empty(), "text after a call: {piece}");
                    text.push_str(&piece);
                }
                Piece::Call { name, arguments } => calls.push((name, arguments)),
            }
        }
        Ok((text, calls))
    }

    fn names(text: &str) -> (String, String) {
        let (text, calls) = read(&[text], false).unwrap();
        let names: Vec<String> = calls.into_iter().map(|call| call.0).collect();
        (text, names.join(" "))
    }

    #[test]
    fn calls_are_taken_out_wherever_models_put_them() {
        for (answer, text, calls) in [
            (
                "```tool_call\n{\"tool\": \"f\", \"arguments\": {}}\n```",
                "",
                "f",
            ),
            (
                "I look.\n\n```tool_call\n{\"tool\": \"f\"}\n```\n",
                "I look.",
                "f",
            ),
            (
                "```json\n{\"tool\": \"f\", \"arguments\": {}}\n```",
                "",
                "f",
            ),
            ("```\n{\"name\": \"f\", \"arguments\": {}}\n```", "", "f"),
            ("``` Function\n{\"name\": \"f\"}\n```", "", "f"),
            ("````tool_call\n{\"tool\": \"f\"}\n````", "", "f"),
            ("```tool_call {\"tool\": \"f\"}```", "", "f"),
            ("  ```tool_call\n  {\"tool\": \"f\"}\n  ```", "", "f"),
            (
                "{\"tool\": \"f\", \"arguments\": {\"q\": \"a } b\"}}",
                "",
                "f",
            ),
            (
                "Well:\n{'tool': 'f', 'arguments': {'q': 1,},}",
                "Well:",
                "f",
            ),
            (
                "[{\"tool\": \"f\", \"arguments\": {}}, {\"tool\": \"g\", \"arguments\": {}}]",
                "",
                "f g",
            ),
            (
                "<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>",
                "",
                "f",
            ),
            (
                "```tool_call\n{\"tool\": \"f\"}\n{\"tool\": \"g\"}\n```",
                "",
                "f g",
            ),
            (
                "```tool_call\n{\"tool\": \"f\"}\n```\n\n```tool_call\n{\"tool\": \"g\"}\n```",
                "",
                "f g",
            ),
            (
                "{\"tool\": \"f\", \"arguments\": {}},\n{\"tool\": \"g\", \"arguments\": {}}",
                "",
                "f g",
            ),
            // The end may be missing, or a string may look like one.
            (
                "```tool_call\n{\"tool\": \"f\", \"arguments\": {}}",
                "",
                "f",
            ),
            ("<tool_call>{\"tool\": \"f\"}", "", "f"),
            (
                "```tool_call\n{\"tool\": \"f\", \"arguments\": {\"q\": \"```\"}}\n```",
                "",
                "f",
            ),
        ] {
            assert_eq!(
                names(answer),
                (text.to_owned(), calls.to_owned()),
                "{answer}"
            );
        }
    }

    #[test]
    fn what_follows_a_call_is_made_up() {
        let answer = "```tool_call\n{\"tool\": \"f\"}\n```\nResult of `f`:\n12\n\n\
                      ```tool_call\n{\"tool\": \"g\"}\n```\nSo it is 12.";
        assert_eq!(names(answer), (String::new(), "f".to_owned()));
    }

    #[test]
    fn other_text_stays_as_it_is() {
        for text in [
            "",
            "Plain words.\n",
            "```rust\nlet a = {1};\n```\nand `b`\n\n",
            "```json\n{\"depth\": 3}\n```\nis the depth",
            "```\n[1, 2]\n```\n",
            "```\nplain\n```",
            "````\n```\n{\"tool\": \"f\", \"arguments\": {}}\n```\n````\n",
            "{\"name\": \"Kiel\", \"depth\": 3}",
            "[1] says so. {x}",
            "[{\"a\": 1}] and more",
            "{ 1 }\n{",
            "``",
            "<tool",
            "<tool_callers> x",
            "Write {\"tool\": \"f\", \"arguments\": {}} in a line of its own.",
            "  indented\n    more\n",
        ] {
            assert_eq!(
                read(&[text], false),
                Ok((text.to_owned(), Vec::new())),
                "{text}"
            );
        }
    }

    #[test]
    fn broken_calls_are_passed_on_if_they_name_a_function() {
        let (text, calls) = read(
            &["Hm.\n```tool_call\n{\"tool\": \"f\", \"arguments\": {\"a\" 1}}\n```"],
            false,
        )
        .unwrap();
        assert_eq!(text, "Hm.");
        assert_eq!(calls, [("f".to_owned(), "{\"a\" 1}}".to_owned())]);
        assert!(read(&["```tool_call\nf(1)\n```"], false).is_err());
        assert!(read(&["```tool_call\n{\"to"], false).is_err());
        let endless = format!("```tool_call\n{{\"tool\": \"{}", "x".repeat(2 * MAX_HELD));
        assert!(read(&[&endless], false).is_err());
        let long = format!("{{\"a\": \"{}\"}}", "x".repeat(2 * MAX_HELD));
        assert_eq!(read(&[&long], false), Ok((long.clone(), Vec::new())));
    }

    #[test]
    fn half_a_call_is_none() {
        let cut = "One.\n```tool_call\n{\"tool\": \"f\", \"arguments\": {\"a\": \"b";
        assert_eq!(read(&[cut], true), Ok(("One.\n".to_owned(), Vec::new())));
        let after = "```tool_call\n{\"tool\": \"f\"}\n```\n```tool_call\n{\"tool\": \"g";
        let (_, calls) = read(&[after], true).unwrap();
        assert_eq!(calls, [("f".to_owned(), "{}".to_owned())]);
        // Nobody said that this was one.
        let json = "{\"depth\": [1, 2";
        assert_eq!(read(&[json], true), Ok((json.to_owned(), Vec::new())));
    }

    #[test]
    fn nothing_is_read_where_nothing_is_offered() {
        let text = "```tool_call\n{\"tool\": \"f\"}\n```";
        let mut reader = Reader::new(false);
        assert_eq!(reader.push(text), Ok(vec![Piece::Text(text.to_owned())]));
        assert_eq!(reader.finish(false), Ok(Vec::new()));
    }

    proptest! {
        #[test]
        fn cuts_change_nothing(
            pieces in proptest::collection::vec(
                prop_oneof![
                    Just("```"), Just("tool_call"), Just("json"), Just("\n"), Just(" "), Just("`"),
                    Just("{\"tool\": \"f\", \"arguments\": {\"a\": \"}\"}}"), Just("{"), Just("}"),
                    Just("["), Just("]"), Just("\""), Just("word"), Just("é"), Just(","),
                    Just("<tool_call>"), Just("</tool_call>"), Just("'tool': 'g'"),
                ],
                0..20,
            ),
            size in 1usize..7,
            cut in any::<bool>(),
        ) {
            let text = pieces.concat();
            let letters: Vec<char> = text.chars().collect();
            let cuts: Vec<String> = letters.chunks(size).map(|part| part.iter().collect()).collect();
            let cuts: Vec<&str> = cuts.iter().map(String::as_str).collect();
            prop_assert_eq!(read(&cuts, cut), read(&[&text], cut));
        }
    }
}
