//! Follows a text byte by byte. What is open stands on a stack; each byte goes to the top,
//! and to the one below if the top ended before it.

use super::Grammar;
use super::nodes::{Id, Key, Node, shortest_from};
use super::scalars::{Number, Text, Took, Utf8};

/// One space that may be left out, inside a [`Frame::Literal`].
const SPACE: u8 = 0;
const HEAD: &[u8] = b"{\"tool\":\0\"";
const ARGUMENTS: &[u8] = b",\0\"arguments\":\0";
const COLON: &[u8] = b":\0";
const END: &[u8] = b"}";
/// The shortest answer in words.
const SHORTEST_ANSWER: &[u8] = b"-";
/// Most entries of an object with any names.
const MAX_ENTRIES: u16 = 16;
/// Most characters of such a name.
const MAX_NAME: u16 = 64;

/// A text so far.
#[derive(Clone, Debug)]
pub(in super::super) struct Acceptor<'a> {
    grammar: &'a Grammar,
    stack: Vec<Frame>,
}

/// A part of a text that is not whole yet.
#[derive(Clone, Copy, Debug)]
enum Frame {
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
enum Place {
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
struct Among {
    from: u32,
    to: u32,
    at: u32,
}

impl Among {
    fn all(count: usize) -> Self {
        Self {
            from: 0,
            to: u32::try_from(count).unwrap_or(u32::MAX),
            at: 0,
        }
    }

    fn range(self) -> std::ops::Range<usize> {
        self.from as usize..self.to as usize
    }

    /// Those of the range that go on with `byte`; `text` gives the text of a place.
    fn narrow<'t>(self, byte: u8, text: impl Fn(usize) -> &'t [u8]) -> Option<Self> {
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

/// What became of a byte.
enum Step {
    Taken,
    /// The top ended before it, or became something else: ask the new top.
    Again,
    Refused,
}

impl<'a> Acceptor<'a> {
    pub(in super::super) fn new(grammar: &'a Grammar) -> Self {
        Self {
            grammar,
            stack: vec![Frame::Start],
        }
    }

    /// Becomes a copy of `other`, without an allocation of its own if it can.
    pub(in super::super) fn copy(&mut self, other: &Self) {
        self.grammar = other.grammar;
        self.stack.clone_from(&other.stack);
    }

    /// Whether `bytes` may come next. Otherwise the acceptor is of no use any more.
    pub(in super::super) fn push(&mut self, bytes: &[u8]) -> bool {
        bytes.iter().all(|&byte| self.push_byte(byte))
    }

    /// Whether nothing can follow.
    pub(in super::super) fn is_over(&self) -> bool {
        self.stack.is_empty()
    }

    /// Whether the text may end here.
    pub(in super::super) fn may_end(&self) -> bool {
        match self.stack[..] {
            [] => true,
            [Frame::Answer(utf8)] => utf8.is_whole(),
            _ => false,
        }
    }

    /// Whether the text is a call, whole or not.
    pub(in super::super) fn is_call(&self) -> bool {
        !matches!(self.stack[..], [Frame::Start | Frame::Answer(_)])
    }

    /// Bytes of the shortest way to a whole text.
    pub(in super::super) fn rest_len(&self) -> usize {
        let mut len = 0;
        self.each_rest(&mut |bytes| len += bytes.len());
        len
    }

    /// The shortest way to a whole text. After its first bytes it is the rest of it.
    pub(in super::super) fn rest(&self, out: &mut Vec<u8>) {
        out.clear();
        self.each_rest(&mut |bytes| out.extend_from_slice(bytes));
    }

    fn push_byte(&mut self, byte: u8) -> bool {
        while let Some(frame) = self.stack.pop() {
            match self.step(frame, byte) {
                Step::Taken => return true,
                Step::Again => {}
                Step::Refused => return false,
            }
        }
        false
    }

    /// Gives `byte` to `frame`, which is off the stack; what stays open goes back.
    fn step(&mut self, frame: Frame, byte: u8) -> Step {
        match frame {
            Frame::Start => self.start(byte),
            Frame::Answer(utf8) => {
                let next = utf8.next(byte).map(Frame::Answer);
                self.back(next)
            }
            Frame::Literal(text, at) => self.literal(text, usize::from(at), byte),
            Frame::Name(among) => self.name(among, byte),
            Frame::Value(id) => self.value(id, byte),
            Frame::Text(text) => self.scalar(text.take(byte), Frame::Text),
            Frame::Number(number) => self.scalar(number.take(byte), Frame::Number),
            Frame::Choice(node, among) => self.choice(node, among, byte),
            Frame::List { node, count, place } => self.list(node, count, place, byte),
            Frame::Object {
                node,
                used,
                place,
                among,
            } => self.object(node, used, place, among, byte),
            Frame::Map { node, count, place } => self.map(node, count, place, byte),
        }
    }

    fn back(&mut self, frame: Option<Frame>) -> Step {
        let Some(frame) = frame else {
            return Step::Refused;
        };
        self.stack.push(frame);
        Step::Taken
    }

    fn scalar<T>(&mut self, took: Took<T>, frame: impl Fn(T) -> Frame) -> Step {
        match took {
            Took::Going(value) => self.back(Some(frame(value))),
            Took::Ended => Step::Taken,
            Took::Before => Step::Again,
            Took::No => Step::Refused,
        }
    }

    fn start(&mut self, byte: u8) -> Step {
        if byte == HEAD[0] {
            self.stack
                .push(Frame::Name(Among::all(self.grammar.names.len())));
            self.stack.push(Frame::Literal(HEAD, 1));
            return Step::Taken;
        }
        let answers = self.grammar.may_answer && !byte.is_ascii_whitespace() && byte >= b' ';
        let next = Utf8::WHOLE.next(byte).filter(|_| answers);
        self.back(next.map(Frame::Answer))
    }

    fn literal(&mut self, text: &'static [u8], mut at: usize, byte: u8) -> Step {
        if text[at] == SPACE && byte != b' ' {
            at += 1;
            if at == text.len() {
                return Step::Again;
            }
        }
        let expected = if text[at] == SPACE { b' ' } else { text[at] };
        if byte != expected {
            return Step::Refused;
        }
        at += 1;
        if at < text.len() {
            self.stack.push(Frame::Literal(text, at as u8));
        }
        Step::Taken
    }

    fn name(&mut self, among: Among, byte: u8) -> Step {
        let grammar = self.grammar;
        let names = &grammar.names;
        let Some(among) = among.narrow(byte, |place| &names[place]) else {
            return Step::Refused;
        };
        let first = among.from as usize;
        if names[first].len() > among.at as usize {
            return self.back(Some(Frame::Name(among)));
        }
        // Names end with a quote, so that none begins another: there is only this one.
        self.stack.push(Frame::Literal(END, 0));
        self.stack.push(Frame::Value(grammar.arguments[first]));
        self.stack.push(Frame::Literal(ARGUMENTS, 0));
        Step::Taken
    }

    fn value(&mut self, id: Id, byte: u8) -> Step {
        let grammar = self.grammar;
        let frame = match grammar.nodes.get(id) {
            Node::Text { min, max } => (byte == b'"').then(|| Frame::Text(Text::new(*min, *max))),
            Node::Number { integer, signed } => {
                Number::begin(*integer, *signed, byte).map(Frame::Number)
            }
            Node::Choice(texts) => return self.choice(id, Among::all(texts.len()), byte),
            Node::List { .. } => (byte == b'[').then_some(Frame::List {
                node: id,
                count: 0,
                place: Place::Open,
            }),
            Node::Object { keys, .. } => (byte == b'{').then(|| Frame::Object {
                node: id,
                used: 0,
                place: Place::Open,
                among: Among::all(keys.len()),
            }),
            Node::Map { .. } => (byte == b'{').then_some(Frame::Map {
                node: id,
                count: 0,
                place: Place::Open,
            }),
            Node::Union(ids) => {
                let Some(one) = ids.iter().find(|&&one| grammar.nodes.begins(one, byte)) else {
                    return Step::Refused;
                };
                return self.value(*one, byte);
            }
        };
        self.back(frame)
    }

    fn choice(&mut self, node: Id, among: Among, byte: u8) -> Step {
        let grammar = self.grammar;
        let Node::Choice(texts) = grammar.nodes.get(node) else {
            return Step::Refused;
        };
        let at = among.at as usize;
        let Some(next) = among.narrow(byte, |place| &texts[place]) else {
            // 1 may have been meant where 12 was possible.
            let is_whole = at > 0 && texts[among.from as usize].len() == at;
            return if is_whole { Step::Again } else { Step::Refused };
        };
        let is_last = texts[next.range()].iter().all(|text| text.len() == at + 1);
        if !is_last {
            self.stack.push(Frame::Choice(node, next));
        }
        Step::Taken
    }

    fn list(&mut self, node: Id, count: u16, place: Place, byte: u8) -> Step {
        let grammar = self.grammar;
        let Node::List { items, min, max } = *grammar.nodes.get(node) else {
            return Step::Refused;
        };
        let stay = |place| Some(Frame::List { node, count, place });
        match (place, byte) {
            (Place::Open | Place::Entry, b']') if count >= min => Step::Taken,
            (Place::Entry, b',') if count < max => self.back(stay(Place::Comma)),
            (Place::Entry, _) => Step::Refused,
            (Place::Comma, b' ') => self.back(stay(Place::CommaAndSpace)),
            _ if count < max => {
                self.stack.push(Frame::List {
                    node,
                    count: count + 1,
                    place: Place::Entry,
                });
                self.stack.push(Frame::Value(items));
                Step::Again
            }
            _ => Step::Refused,
        }
    }

    fn object(&mut self, node: Id, used: u64, place: Place, among: Among, byte: u8) -> Step {
        let grammar = self.grammar;
        let Node::Object { keys, required } = grammar.nodes.get(node) else {
            return Step::Refused;
        };
        let stay = |place, among| {
            Some(Frame::Object {
                node,
                used,
                place,
                among,
            })
        };
        let all = Among::all(keys.len());
        let is_left = keys.len() > used.count_ones() as usize;
        let is_enough = required & !used == 0;
        match (place, byte) {
            (Place::Open | Place::Entry, b'}') if is_enough => Step::Taken,
            (Place::Entry, b',') if is_left => self.back(stay(Place::Comma, all)),
            (Place::Comma, b' ') => self.back(stay(Place::CommaAndSpace, all)),
            (Place::Open | Place::Comma | Place::CommaAndSpace, b'"') if is_left => {
                self.back(stay(Place::Key, all))
            }
            (Place::Key, _) => {
                let Some(next) = among.narrow(byte, |place| &keys[place].name) else {
                    return Step::Refused;
                };
                if next.range().all(|place| used >> place & 1 == 1) {
                    return Step::Refused;
                }
                let first = next.from as usize;
                let Key { name, value } = &keys[first];
                if name.len() > next.at as usize {
                    return self.back(stay(Place::Key, next));
                }
                self.stack.push(Frame::Object {
                    node,
                    used: used | 1 << first,
                    place: Place::Entry,
                    among: all,
                });
                self.stack.push(Frame::Value(*value));
                self.stack.push(Frame::Literal(COLON, 0));
                Step::Taken
            }
            _ => Step::Refused,
        }
    }

    fn map(&mut self, node: Id, count: u16, place: Place, byte: u8) -> Step {
        let grammar = self.grammar;
        let Node::Map { values } = *grammar.nodes.get(node) else {
            return Step::Refused;
        };
        let stay = |place| Some(Frame::Map { node, count, place });
        match (place, byte) {
            (Place::Open | Place::Entry, b'}') => Step::Taken,
            (Place::Entry, b',') if count < MAX_ENTRIES => self.back(stay(Place::Comma)),
            (Place::Comma, b' ') => self.back(stay(Place::CommaAndSpace)),
            (Place::Open | Place::Comma | Place::CommaAndSpace, b'"') => {
                self.stack.push(Frame::Map {
                    node,
                    count: count + 1,
                    place: Place::Entry,
                });
                self.stack.push(Frame::Value(values));
                self.stack.push(Frame::Literal(COLON, 0));
                self.back(Some(Frame::Text(Text::new(0, MAX_NAME))))
            }
            _ => Step::Refused,
        }
    }

    /// Gives the shortest way to a whole text in pieces.
    fn each_rest(&self, emit: &mut dyn FnMut(&[u8])) {
        for frame in self.stack.iter().rev() {
            self.frame_rest(frame, emit);
        }
    }

    fn frame_rest(&self, frame: &Frame, emit: &mut dyn FnMut(&[u8])) {
        let nodes = &self.grammar.nodes;
        match *frame {
            Frame::Start if self.grammar.may_answer => emit(SHORTEST_ANSWER),
            Frame::Start => {
                literal_rest(HEAD, 0, emit);
                self.name_rest(Among::all(self.grammar.names.len()), emit);
            }
            Frame::Answer(_) => {}
            Frame::Literal(text, at) => literal_rest(text, usize::from(at), emit),
            Frame::Name(among) => self.name_rest(among, emit),
            Frame::Value(id) => emit(nodes.shortest(id)),
            Frame::Text(text) => text.rest(emit),
            Frame::Number(number) => number.rest(emit),
            Frame::Choice(node, among) => {
                if let Node::Choice(texts) = nodes.get(node) {
                    let at = among.at as usize;
                    let texts = &texts[among.range()];
                    emit(&texts[shortest_from(texts, at)][at..]);
                }
            }
            Frame::List { node, count, place } => {
                let Node::List { items, min, .. } = *nodes.get(node) else {
                    return;
                };
                // After a comma an item must come.
                let opens = matches!(place, Place::Comma | Place::CommaAndSpace);
                let missing = min.saturating_sub(count).max(u16::from(opens));
                for at in 0..missing {
                    if at > 0 || place == Place::Entry {
                        emit(b",");
                    }
                    emit(nodes.shortest(items));
                }
                emit(b"]");
            }
            Frame::Object {
                node,
                used,
                place,
                among,
            } => self.object_rest(node, used, place, among, emit),
            Frame::Map { node, place, .. } => {
                let Node::Map { values } = *nodes.get(node) else {
                    return;
                };
                if matches!(place, Place::Comma | Place::CommaAndSpace) {
                    emit(b"\"\":");
                    emit(nodes.shortest(values));
                }
                emit(b"}");
            }
        }
    }

    /// The rest of the call that is shortest among those that may be meant.
    fn name_rest(&self, among: Among, emit: &mut dyn FnMut(&[u8])) {
        let Grammar {
            nodes,
            names,
            arguments,
            ..
        } = self.grammar;
        let at = among.at as usize;
        let len = |place: &usize| names[*place].len() + nodes.shortest(arguments[*place]).len();
        let Some(place) = among.range().min_by_key(len) else {
            return;
        };
        emit(&names[place][at..]);
        literal_rest(ARGUMENTS, 0, emit);
        emit(nodes.shortest(arguments[place]));
        emit(END);
    }

    fn object_rest(
        &self,
        node: Id,
        used: u64,
        place: Place,
        among: Among,
        emit: &mut dyn FnMut(&[u8]),
    ) {
        let nodes = &self.grammar.nodes;
        let Node::Object { keys, required } = nodes.get(node) else {
            return;
        };
        let mut used = used;
        let opens = match place {
            Place::Entry => false,
            Place::Open => required & !used != 0,
            Place::Key | Place::Comma | Place::CommaAndSpace => true,
        };
        if opens {
            // What must come anyway costs nothing; what need not come costs itself.
            let cost = |&at: &usize| match required >> at & 1 {
                1 => 0,
                _ => 3 + keys[at].name.len() + nodes.shortest(keys[at].value).len(),
            };
            let unused = among.range().filter(|at| used >> at & 1 == 0);
            let Some(at) = unused.min_by_key(cost) else {
                return;
            };
            if place != Place::Key {
                emit(b"\"");
            }
            emit(&keys[at].name[among.at as usize..]);
            emit(b":");
            emit(nodes.shortest(keys[at].value));
            used |= 1 << at;
        }
        for (at, key) in keys.iter().enumerate() {
            if required >> at & 1 == 1 && used >> at & 1 == 0 {
                emit(b",\"");
                emit(&key.name);
                emit(b":");
                emit(nodes.shortest(key.value));
            }
        }
        emit(b"}");
    }
}

/// What is left of fixed bytes, without spaces that may be left out.
fn literal_rest(text: &[u8], at: usize, emit: &mut dyn FnMut(&[u8])) {
    text[at..]
        .split(|byte| *byte == SPACE)
        .for_each(|piece| emit(piece));
}
