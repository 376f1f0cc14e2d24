//! Follows a text byte by byte. What is open stands on a stack; each byte goes to the top,
//! and to the one below if the top ended before it.

use super::Grammar;
use super::frame::{ARGUMENTS, Among, COLON, END, Frame, HEAD, Place, SPACE};
use super::nodes::{Id, Key, Node};
use super::scalars::{Number, Text, Took, Utf8};

/// Most entries of an object with any names.
const MAX_ENTRIES: u16 = 16;
/// Most characters of such a name.
const MAX_NAME: u16 = 64;

/// A text so far.
#[derive(Clone, Debug)]
pub(in super::super) struct Acceptor<'a> {
    pub(super) grammar: &'a Grammar,
    pub(super) stack: Vec<Frame>,
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
}
