//! The shortest way from any place of a text to a whole one.

use super::Grammar;
use super::acceptor::Acceptor;
use super::frame::{ARGUMENTS, Among, END, Frame, HEAD, Place, SPACE};
use super::nodes::{Id, Node, shortest_from};

/// The shortest answer in words.
const SHORTEST_ANSWER: &[u8] = b"-";

impl Acceptor<'_> {
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
    text[at..].split(|byte| *byte == SPACE).for_each(emit);
}
