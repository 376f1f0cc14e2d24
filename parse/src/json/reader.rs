//! A reader of JSON as people and programs write it: comments, commas too many,
//! single quotes, names without quotes, NaN, line breaks inside of texts.
//!
//! It tells a [`Sink`] what it reads, value by value. Where it meets something
//! that is not a value it stops; or, when it is to recover, it notes a [`Fault`] and
//! goes on with what follows.

use std::borrow::Cow;

use super::text;

/// Deepest nesting that is read.
const MAX_DEPTH: usize = 128;

/// Takes what is read.
pub(crate) trait Sink {
    /// An object or list begins.
    fn open(&mut self, container: Container);
    /// The innermost object or list ends.
    fn close(&mut self);
    /// What follows is the value of this field.
    fn key(&mut self, name: &str);
    /// What follows is the item at this position of a list.
    fn item(&mut self, index: usize);
    /// A value without values inside.
    fn scalar(&mut self, scalar: Scalar<'_>);
    /// Whether nothing more can be taken.
    fn is_full(&self) -> bool {
        false
    }
}

/// Takes nothing: for finding out whether something can be read.
impl Sink for () {
    fn open(&mut self, _: Container) {}
    fn close(&mut self) {}
    fn key(&mut self, _: &str) {}
    fn item(&mut self, _: usize) {}
    fn scalar(&mut self, _: Scalar<'_>) {}
}

/// What holds other values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Container {
    Object,
    List,
}

impl Container {
    fn end(self) -> u8 {
        match self {
            Self::Object => b'}',
            Self::List => b']',
        }
    }
}

/// A value without values inside.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scalar<'a> {
    Null,
    Bool(bool),
    /// As it is written, with every digit.
    Number(&'a str),
    Text(&'a str),
}

/// Something that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Byte at which it begins.
    pub(super) at: usize,
    pub(super) reason: &'static str,
    /// Whether it is the end of the text, where more was to come.
    pub(super) is_end: bool,
}

/// Why reading stops.
enum Stop {
    Fault(Fault),
    /// The sink is full.
    Full,
}

type Step<T = ()> = Result<T, Stop>;

fn fault<T>(at: usize, reason: &'static str) -> Step<T> {
    Err(Stop::Fault(Fault {
        at,
        reason,
        is_end: false,
    }))
}

/// Reads values from a text.
pub(crate) struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    /// Whether it goes on after a fault.
    recover: bool,
    /// Whether a text may go over several lines.
    multiline: bool,
    open: Vec<Container>,
    faults: Vec<Fault>,
}

impl<'a> Reader<'a> {
    /// A reader that stops at the first fault.
    pub(crate) fn new(text: &'a str, at: usize) -> Self {
        Self {
            text,
            bytes: text.as_bytes(),
            at,
            recover: false,
            multiline: true,
            open: Vec::new(),
            faults: Vec::new(),
        }
    }

    /// The same reader, for values whose texts end on the line they begin on.
    pub(super) fn line_by_line(mut self) -> Self {
        self.multiline = false;
        self
    }

    /// The same reader, going on after faults.
    pub(super) fn recovering(mut self) -> Self {
        self.recover = true;
        self
    }

    /// Where the next value begins, or the text ends.
    pub(crate) fn position(&mut self) -> usize {
        self.skip_space();
        self.at
    }

    /// Where the last value ended.
    pub(super) fn end(&self) -> usize {
        self.at
    }

    /// Steps over a character that belongs to no value.
    pub(super) fn step_over(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.chars().next().map_or(0, char::len_utf8);
    }

    /// Whether nothing was left out.
    pub(super) fn is_clean(&self) -> bool {
        self.faults.is_empty()
    }

    /// What was noted and left out.
    pub(super) fn into_faults(self) -> Vec<Fault> {
        self.faults
    }

    /// Reads one value. A full sink is not a fault.
    pub(crate) fn value(&mut self, sink: &mut impl Sink) -> Result<(), Fault> {
        self.open.clear();
        match self.any(sink) {
            Ok(()) | Err(Stop::Full) => Ok(()),
            Err(Stop::Fault(fault)) => {
                if self.recover {
                    self.faults.push(fault.clone());
                }
                Err(fault)
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn ends<T>(&self) -> Step<T> {
        Err(Stop::Fault(Fault {
            at: self.at,
            reason: "it ends in the middle of a value",
            is_end: true,
        }))
    }

    fn any(&mut self, sink: &mut impl Sink) -> Step {
        self.skip_space();
        match self.peek() {
            None => self.ends(),
            Some(b'{') => self.container(Container::Object, sink),
            Some(b'[') => self.container(Container::List, sink),
            Some(quote @ (b'"' | b'\'')) => {
                let text = self.string(quote)?;
                sink.scalar(Scalar::Text(&text));
                self.check_room(sink)
            }
            Some(_) => {
                let scalar = self.word()?;
                sink.scalar(scalar);
                self.check_room(sink)
            }
        }
    }

    fn check_room(&self, sink: &impl Sink) -> Step {
        match sink.is_full() {
            true => Err(Stop::Full),
            false => Ok(()),
        }
    }

    fn container(&mut self, kind: Container, sink: &mut impl Sink) -> Step {
        if self.open.len() == MAX_DEPTH {
            let start = self.at;
            self.skip_container();
            return fault(start, "nested too deep");
        }
        self.at += 1;
        self.open.push(kind);
        sink.open(kind);
        let read = self.contents(kind, sink);
        sink.close();
        self.open.pop();
        read
    }

    fn contents(&mut self, kind: Container, sink: &mut impl Sink) -> Step {
        let mut index = 0;
        loop {
            self.skip_space();
            match self.peek() {
                None => return self.ends(),
                Some(b',') => {
                    self.at += 1;
                    continue;
                }
                Some(end) if end == kind.end() => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'}' | b']') => return self.wrong_end(kind),
                // A new record where a field should be: this one was cut off.
                Some(b'{' | b'[') if kind == Container::Object && self.recover => {
                    return Ok(());
                }
                Some(_) => {}
            }
            let entry = match kind {
                Container::Object => self.field(sink),
                Container::List => {
                    sink.item(index);
                    index += 1;
                    self.any(sink)
                }
            };
            match entry.and_then(|()| self.separator(kind)) {
                Ok(()) => {}
                Err(Stop::Fault(fault)) if self.recover && !fault.is_end => {
                    self.faults.push(fault);
                    self.resume();
                }
                Err(stop) => return Err(stop),
            }
        }
    }

    fn field(&mut self, sink: &mut impl Sink) -> Step {
        let name = self.name()?;
        self.skip_space();
        match self.peek() {
            Some(b':') => self.at += 1,
            None => return self.ends(),
            Some(_) => return fault(self.at, "a name without a value"),
        }
        sink.key(&name);
        self.any(sink)
    }

    fn name(&mut self) -> Step<Cow<'a, str>> {
        if let Some(quote @ (b'"' | b'\'')) = self.peek() {
            return self.string(quote);
        }
        let start = self.at;
        let rest = &self.text[start..];
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '-');
        self.at += rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        match &self.text[start..self.at] {
            "" => fault(start, "no name of a field"),
            name => Ok(Cow::Borrowed(name)),
        }
    }

    /// What stands after an entry: a comma, the end of the container, or, when
    /// recovering, the next entry.
    fn separator(&mut self, kind: Container) -> Step {
        self.skip_space();
        match self.peek() {
            None => self.ends(),
            Some(b',') => {
                self.at += 1;
                Ok(())
            }
            Some(b'}' | b']') => Ok(()),
            Some(b'"' | b'\'' | b'{' | b'[') if self.recover => Ok(()),
            Some(_) => fault(
                self.at,
                match kind {
                    Container::Object => "no comma between two fields",
                    Container::List => "no comma between two items",
                },
            ),
        }
    }

    /// A bracket that closes something else.
    fn wrong_end(&mut self, kind: Container) -> Step {
        let at = self.at;
        let reason = match kind {
            Container::Object => "a { that is not closed",
            Container::List => "a [ that is not closed",
        };
        if !self.recover {
            return fault(at, reason);
        }
        self.faults.push(Fault {
            at,
            reason,
            is_end: false,
        });
        let closes_outer = self.open.iter().any(|outer| outer.end() == self.bytes[at]);
        if !closes_outer {
            self.at += 1;
        }
        Ok(())
    }

    /// Goes to the end of the entry that could not be read: its comma, the
    /// bracket after it, or the next line that looks like another entry.
    fn resume(&mut self) {
        let mut depth = 0usize;
        while let Some(byte) = self.peek() {
            match byte {
                b',' | b'}' | b']' if depth == 0 => return,
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                b'"' => {
                    // Where it has no end, it ends with its line.
                    let _ = self.string(byte);
                    continue;
                }
                b'\n' if depth == 0 => {
                    self.skip_space();
                    if let Some(b'"' | b'{') = self.peek() {
                        return;
                    }
                    continue;
                }
                _ => {}
            }
            self.at += 1;
        }
    }

    /// Steps over a container that is not read.
    fn skip_container(&mut self) {
        let mut depth = 0usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                b'"' => {
                    let _ = self.string(byte);
                    continue;
                }
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return;
            }
        }
    }

    /// White space and comments.
    fn skip_space(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c | 0x1e => self.at += 1,
                b'#' => self.skip_until("\n"),
                b'/' if self.bytes.get(self.at + 1) == Some(&b'/') => self.skip_until("\n"),
                b'/' if self.bytes.get(self.at + 1) == Some(&b'*') => self.skip_comment(),
                0x80.. => match self.text[self.at..].chars().next() {
                    Some(c) if c.is_whitespace() || c == '\u{feff}' => self.at += c.len_utf8(),
                    _ => return,
                },
                _ => return,
            }
        }
    }

    fn skip_comment(&mut self) {
        let start = self.at;
        self.skip_until("*/");
        if self.at == self.bytes.len() && !self.text[start + 2..].ends_with("*/") {
            self.faults.push(Fault {
                at: start,
                reason: "a comment without an end",
                is_end: true,
            });
        }
    }

    /// Goes behind the next `end`, or to the end of the text.
    fn skip_until(&mut self, end: &str) {
        let rest = &self.text[self.at..];
        self.at += rest.find(end).map_or(rest.len(), |found| found + end.len());
    }

    /// A number or another value without quotes.
    fn word(&mut self) -> Step<Scalar<'a>> {
        let start = self.at;
        let rest = &self.bytes[start..];
        let is_part = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.' | b'_');
        let length = rest.iter().position(|b| !is_part(b)).unwrap_or(rest.len());
        self.at += length;
        if self.at == self.bytes.len() && !self.open.is_empty() {
            // Half a number is another number.
            return self.ends();
        }
        let word = &self.text[start..self.at];
        Ok(match word {
            "null" | "undefined" | "None" | "nil" => Scalar::Null,
            "true" | "True" => Scalar::Bool(true),
            "false" | "False" => Scalar::Bool(false),
            "NaN" | "nan" | "Infinity" | "-Infinity" | "+Infinity" => Scalar::Number(word),
            "" => return fault(start, "a character that begins no value"),
            _ if text::is_number(word) => Scalar::Number(word),
            _ => return fault(start, "a word without quotes"),
        })
    }

    /// A text in quotes; afterwards the reader stands behind it, or at the end of
    /// its line if it has no end.
    fn string(&mut self, quote: u8) -> Step<Cow<'a, str>> {
        let start = self.at;
        let from = start + 1;
        let mut at = from;
        let mut escapes = false;
        let mut line_end = None;
        loop {
            match self.bytes.get(at) {
                Some(&byte) if byte == quote => break,
                Some(b'\\') => {
                    escapes = true;
                    at += 1 + usize::from(at + 1 < self.bytes.len());
                }
                Some(b'\n') if line_end.is_none() => {
                    line_end = Some(at);
                    if !self.multiline {
                        break;
                    }
                    at += 1;
                }
                Some(_) => at += 1,
                None => break,
            }
        }
        let closed = self.bytes.get(at) == Some(&quote);
        if let Some(line_end) = line_end
            && !(closed && self.multiline && self.is_followed_well(at + 1))
        {
            self.at = line_end;
            return fault(start, "a text without an end");
        }
        if !closed {
            self.at = self.bytes.len();
            return self.ends();
        }
        self.at = at + 1;
        let raw = &self.text[from..at];
        Ok(match escapes {
            true => Cow::Owned(text::unescape(raw)),
            false => Cow::Borrowed(raw),
        })
    }

    /// Whether what stands at `at` may follow a text: if not, its closing quote
    /// is in truth the opening one of another.
    fn is_followed_well(&self, at: usize) -> bool {
        let next = self.bytes[at..].iter().find(|b| !b.is_ascii_whitespace());
        next.is_none_or(|byte| matches!(byte, b',' | b'}' | b']' | b':' | b'/'))
    }
}
