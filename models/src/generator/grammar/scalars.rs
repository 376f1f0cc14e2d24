//! Strings and numbers of a JSON text, byte by byte.

use super::nodes::FILLER;

/// Most bytes of one string, as they stand in the JSON text.
pub(super) const MAX_TEXT_BYTES: usize = 400;
/// Most digits before the point: every integer of them is exact as a float.
const MAX_DIGITS: u8 = 15;
/// Most digits behind the point.
const MAX_FRACTION: u8 = 6;

/// What a byte did to a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Took<T> {
    /// It belongs to the value, which may go on.
    Going(T),
    /// It ended the value and belongs to it.
    Ended,
    /// The value ended before it.
    Before,
    /// No value has it here.
    No,
}

/// How far a character of several bytes is (RFC 3629).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Utf8 {
    left: u8,
    /// Bounds of the next byte.
    low: u8,
    high: u8,
}

impl Utf8 {
    /// No character is open.
    pub(super) const WHOLE: Self = Self {
        left: 0,
        low: 0x80,
        high: 0xbf,
    };

    pub(super) fn is_whole(self) -> bool {
        self.left == 0
    }

    /// `None` if `byte` cannot stand here.
    pub(super) fn next(self, byte: u8) -> Option<Self> {
        if self.left > 0 {
            let fits = (self.low..=self.high).contains(&byte);
            return fits.then_some(Self {
                left: self.left - 1,
                ..Self::WHOLE
            });
        }
        let (left, low, high) = match byte {
            0x00..=0x7f => return Some(Self::WHOLE),
            0xc2..=0xdf => (1, 0x80, 0xbf),
            0xe0 => (2, 0xa0, 0xbf),
            // The others are halves of surrogate pairs.
            0xed => (2, 0x80, 0x9f),
            0xe1..=0xef => (2, 0x80, 0xbf),
            0xf0 => (3, 0x90, 0xbf),
            0xf1..=0xf3 => (3, 0x80, 0xbf),
            0xf4 => (3, 0x80, 0x8f),
            _ => return None,
        };
        Some(Self { left, low, high })
    }

    /// The least bytes that make the open character whole.
    fn rest(self, emit: &mut dyn FnMut(&[u8])) {
        if self.left > 0 {
            emit(&[self.low]);
            emit(&[0x80; 3][..usize::from(self.left) - 1]);
        }
    }
}

/// A string after its opening quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Text {
    bytes: u16,
    chars: u16,
    min: u16,
    max: u16,
    escaped: bool,
    utf8: Utf8,
}

impl Text {
    /// Bounds in characters.
    pub(super) fn new(min: u16, max: u16) -> Self {
        Self {
            bytes: 0,
            chars: 0,
            min,
            max,
            escaped: false,
            utf8: Utf8::WHOLE,
        }
    }

    pub(super) fn take(mut self, byte: u8) -> Took<Self> {
        if self.escaped {
            self.escaped = false;
            // No `\u`: every character can stand for itself, and halves of surrogate
            // pairs would be no text.
            return match byte {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Took::Going(self),
                _ => Took::No,
            };
        }
        if !self.utf8.is_whole() {
            return match self.utf8.next(byte) {
                Some(utf8) => Took::Going(Self { utf8, ..self }),
                None => Took::No,
            };
        }
        if byte == b'"' {
            return match self.chars >= self.min {
                true => Took::Ended,
                false => Took::No,
            };
        }
        let Some(utf8) = self.utf8.next(byte).filter(|_| byte >= 0x20) else {
            return Took::No;
        };
        self.escaped = byte == b'\\';
        let len = if self.escaped {
            2
        } else {
            1 + u16::from(utf8.left)
        };
        // Padding for a string that is too short must still fit.
        let missing = self.min.saturating_sub(self.chars + 1);
        let fits = usize::from(self.bytes + len + missing) <= MAX_TEXT_BYTES;
        if self.chars >= self.max || !fits {
            return Took::No;
        }
        Took::Going(Self {
            bytes: self.bytes + len,
            chars: self.chars + 1,
            utf8,
            ..self
        })
    }

    /// The shortest way to the end.
    pub(super) fn rest(self, emit: &mut dyn FnMut(&[u8])) {
        if self.escaped {
            emit(b"n");
        }
        self.utf8.rest(emit);
        for _ in self.chars..self.min {
            emit(&[FILLER]);
        }
        emit(b"\"");
    }
}

/// A number after its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number {
    integer: bool,
    digits: u8,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Minus,
    Zero,
    Whole,
    Point,
    Fraction,
}

impl Number {
    /// `None` if no number begins with `byte`.
    pub(super) fn begin(integer: bool, signed: bool, byte: u8) -> Option<Self> {
        let place = match byte {
            b'-' if signed => Place::Minus,
            b'0' => Place::Zero,
            b'1'..=b'9' => Place::Whole,
            _ => return None,
        };
        Some(Self {
            integer,
            digits: 1,
            place,
        })
    }

    pub(super) fn take(self, byte: u8) -> Took<Self> {
        let next = |place, digits| {
            Took::Going(Self {
                place,
                digits,
                ..self
            })
        };
        match (self.place, byte) {
            // Minus zero is an integer to few readers.
            (Place::Minus, b'0') if !self.integer => next(Place::Zero, 1),
            (Place::Minus, b'1'..=b'9') => next(Place::Whole, 1),
            (Place::Whole, b'0'..=b'9') if self.digits < MAX_DIGITS => {
                next(Place::Whole, self.digits + 1)
            }
            (Place::Zero | Place::Whole, b'.') if !self.integer => next(Place::Point, 0),
            (Place::Point, b'0'..=b'9') => next(Place::Fraction, 1),
            (Place::Fraction, b'0'..=b'9') if self.digits < MAX_FRACTION => {
                next(Place::Fraction, self.digits + 1)
            }
            (Place::Zero | Place::Whole | Place::Fraction, _) => Took::Before,
            (Place::Minus | Place::Point, _) => Took::No,
        }
    }

    /// The shortest way to the end.
    pub(super) fn rest(self, emit: &mut dyn FnMut(&[u8])) {
        match self.place {
            Place::Minus => emit(b"1"),
            Place::Point => emit(b"0"),
            Place::Zero | Place::Whole | Place::Fraction => {}
        }
    }
}
