//! Rows of cells, in a given dialect.
//!
//! RFC 4180 and what programs write alongside it. No row is refused: a quote that
//! is not closed, or stands where none should, is a character like others.

use std::borrow::Cow;

/// Longest cell in quotes, in bytes; a quote that is not closed by then opens
/// nothing.
const MAX_QUOTED_NUM_BYTES: usize = 1 << 20;
/// Quotes that may turn out not to be closed before quotes are not looked for
/// any more: each costs a search.
const MAX_UNCLOSED: usize = 32;

/// How a table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dialect {
    /// What stands between two cells.
    pub(super) delimiter: u8,
    /// What stands around a cell that holds delimiters or line ends.
    pub(super) quote: Option<u8>,
    /// Whether `\"` is a quote inside of quotes, alongside `""`.
    pub(super) backslash: bool,
}

/// One row.
#[derive(Clone, Debug, Default)]
pub(super) struct Row<'a> {
    /// The cells, without quotes, as they stand.
    pub(super) cells: Vec<Cow<'a, str>>,
    /// The row as it stands, without its line end.
    pub(super) raw: &'a str,
    /// Whether there is an empty line above it.
    pub(super) blank_above: bool,
    /// Quotes that stand where none should.
    pub(super) faults: usize,
}

impl Row<'_> {
    /// Cells up to the last one with something in it.
    pub(super) fn width(&self) -> usize {
        let filled = self.cells.iter().rposition(|cell| !cell.trim().is_empty());
        filled.map_or(0, |last| last + 1)
    }
}

/// Reads rows; empty lines are none.
pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
    dialect: Dialect,
    unclosed: usize,
}

/// A cell in quotes.
struct Quoted {
    /// Behind the closing quote.
    end: usize,
    /// Quotes inside, other than doubled ones.
    faults: usize,
    escapes: bool,
    lines: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str, dialect: Dialect) -> Self {
        Self {
            text,
            at: 0,
            dialect,
            unclosed: 0,
        }
    }

    /// Reads the next row into `row`; false at the end.
    pub(super) fn read(&mut self, row: &mut Row<'a>) -> bool {
        row.cells.clear();
        row.faults = 0;
        row.blank_above = self.skip_blank_lines();
        if self.at == self.text.len() {
            return false;
        }
        let start = self.at;
        loop {
            let cell = self.cell(row);
            row.cells.push(cell);
            match self.text.as_bytes().get(self.at) {
                Some(&byte) if byte == self.dialect.delimiter => self.at += 1,
                _ => break,
            }
        }
        row.raw = &self.text[start..self.at];
        self.skip_line_end();
        true
    }

    fn skip_blank_lines(&mut self) -> bool {
        let mut any = false;
        loop {
            let rest = &self.text.as_bytes()[self.at..];
            let blank = rest
                .iter()
                .position(|b| !matches!(b, b' ' | b'\t' | 0x0c) || *b == self.dialect.delimiter);
            let blank = blank.unwrap_or(rest.len());
            match rest.get(blank) {
                Some(b'\n' | b'\r') => {
                    self.at += blank;
                    self.skip_line_end();
                    any = true;
                }
                Some(_) => return any,
                None => {
                    self.at = self.text.len();
                    return any;
                }
            }
        }
    }

    fn skip_line_end(&mut self) {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += match rest {
            [b'\r', b'\n', ..] => 2,
            [b'\r' | b'\n', ..] => 1,
            _ => 0,
        };
    }

    fn cell(&mut self, row: &mut Row<'a>) -> Cow<'a, str> {
        let start = self.at;
        let rest = &self.text.as_bytes()[start..];
        let indent = match self.dialect.quote {
            Some(_) => rest.iter().take_while(|&&b| b == b' ').count(),
            None => 0,
        };
        if let Some(quote) = self.dialect.quote
            && rest.get(indent) == Some(&quote)
            && self.unclosed < MAX_UNCLOSED
        {
            match self.quoted(start + indent, quote) {
                // A word in quotes at the start of a sentence, or a cell that
                // would run into the next row, is not a cell in quotes.
                Some(cell) if cell.faults == 0 || (indent == 0 && cell.lines == 0) => {
                    self.at = cell.end + self.spaces(cell.end);
                    row.faults += cell.faults;
                    let inside = &self.text[start + indent + 1..cell.end - 1];
                    return match cell.escapes {
                        true => Cow::Owned(self.without_escapes(inside, quote)),
                        false => Cow::Borrowed(inside),
                    };
                }
                Some(_) => {}
                None => self.unclosed += 1,
            }
            row.faults += 1;
        }
        let is_end = |b: &u8| matches!(b, b'\n' | b'\r') || *b == self.dialect.delimiter;
        self.at += rest.iter().position(is_end).unwrap_or(rest.len());
        Cow::Borrowed(&self.text[start..self.at])
    }

    /// Finds the end of the cell whose quote stands at `start`.
    fn quoted(&self, start: usize, quote: u8) -> Option<Quoted> {
        let bytes = self.text.as_bytes();
        let limit = bytes.len().min(start + MAX_QUOTED_NUM_BYTES);
        let (mut at, mut faults, mut escapes, mut lines) = (start + 1, 0, false, 0);
        while at < limit {
            let byte = bytes[at];
            if byte == b'\\' && self.dialect.backslash {
                escapes = true;
                at += 2;
                continue;
            }
            lines += usize::from(byte == b'\n');
            if byte != quote {
                at += 1;
                continue;
            }
            if bytes.get(at + 1) == Some(&quote) {
                escapes = true;
                at += 2;
                continue;
            }
            let after = bytes.get(at + 1 + self.spaces(at + 1));
            if after.is_none_or(|b| matches!(b, b'\n' | b'\r') || *b == self.dialect.delimiter) {
                return Some(Quoted {
                    end: at + 1,
                    faults,
                    escapes,
                    lines,
                });
            }
            faults += 1;
            at += 1;
        }
        None
    }

    fn spaces(&self, at: usize) -> usize {
        let rest = self.text.as_bytes().get(at..).unwrap_or_default();
        rest.iter().take_while(|&&b| b == b' ').count()
    }

    fn without_escapes(&self, inside: &str, quote: u8) -> String {
        let quote = char::from(quote);
        let mut plain = String::with_capacity(inside.len());
        let mut chars = inside.chars().peekable();
        while let Some(c) = chars.next() {
            let next = chars.peek().copied();
            let is_escape = (c == quote && next == Some(quote))
                || (self.dialect.backslash
                    && c == '\\'
                    && next.is_some_and(|next| next == quote || next == '\\'));
            plain.push(match is_escape {
                true => chars.next().unwrap_or(c),
                false => c,
            });
        }
        plain
    }
}
