//! Takes calls out of text that is still being written.
//!
//! A call stands in a fenced block, between `<tool_call>` and its end, or bare at the
//! beginning of a line. A block with a label of ours is meant as a call; one of plain JSON,
//! or bare JSON, is one only if it looks like one. Everything else is text and goes out as
//! it comes. What follows the first call is not an answer: models go on with results that they
//! made up. The text may be cut into pieces anywhere.

use super::block::{Found, broken, calls};
use super::fences::{End, Opening, closed, opening};

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
    /// What may be text or a block.
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
    /// In a block that is not a call, after so many backticks.
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

#[cfg(test)]
mod tests;
