//! The parts of a text that an acceptor has open.

use super::nodes::Id;
use super::scalars::{Number, Text, Utf8};

/// One space that may be left out, inside a [`Frame::Literal`].
pub(super) const SPACE: u8 = 0;
pub(super) const HEAD: &[u8] = b"{\"tool\":\0\"";
pub(super) const ARGUMENTS: &[u8] = b",\0\"arguments\":\0";
pub(super) const COLON: &[u8] = b":\0";
pub(super) const END: &[u8] = b"}";

/// A part of a text that is not whole yet.
#[derive(Clone, Copy, Debug)]
pub(super) enum Frame {
    /// Nothing was written.
    Start,
    /// An answer in words, without an end of its own.
    Answer(Utf8),
    /// Fixed bytes, of which `at` were written.
    Literal(&'static [u8], u8),
    /// The name of a function: the names that may be meant, and the bytes they have in common.
    Name(Among),
    /// A value that has not begun.
    Value(Id),
    Text(Text),
    Number(Number),
    Choice(Id, Among),
    List {
        node: Id,
        count: u16,
        place: Place,
    },
    Object {
        node: Id,
        /// One bit for each property that was written.
        used: u64,
        place: Place,
        /// The properties that may be meant, at [`Place::Key`].
        among: Among,
    },
    Map {
        node: Id,
        count: u16,
        place: Place,
    },
}

/// Where a list or an object stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// After the opening bracket.
    Open,
    /// In a name.
    Key,
    /// After an entry.
    Entry,
    Comma,
    CommaAndSpace,
}

/// A range of a sorted list of texts that begin with the same `at` bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Among {
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) at: u32,
}

impl Among {
    pub(super) fn all(count: usize) -> Self {
        Self {
            from: 0,
            to: u32::try_from(count).unwrap_or(u32::MAX),
            at: 0,
        }
    }

    pub(super) fn range(self) -> std::ops::Range<usize> {
        self.from as usize..self.to as usize
    }

    /// Those of the range that go on with `byte`; `text` gives the text of a place.
    pub(super) fn narrow<'t>(self, byte: u8, text: impl Fn(usize) -> &'t [u8]) -> Option<Self> {
        let next = |place: u32| text(place as usize).get(self.at as usize).copied();
        let from = partition(self.from, self.to, |place| next(place) < Some(byte));
        let to = partition(from, self.to, |place| next(place) <= Some(byte));
        (from < to).then_some(Self {
            from,
            to,
            at: self.at + 1,
        })
    }
}

/// The first of `from..to` for which `before` is false.
fn partition(mut from: u32, mut to: u32, before: impl Fn(u32) -> bool) -> u32 {
    while from < to {
        let middle = from + (to - from) / 2;
        match before(middle) {
            true => from = middle + 1,
            false => to = middle,
        }
    }
    from
}
