//! A whole answer as it is kept, and as a stream again.

use serde::{Deserialize, Serialize};

use crate::chat::{ChatEvent, Finish, Served, ToolCall, Usage};

/// Letters of one piece of a replayed answer, about; a piece ends with a word.
const PIECE_CHARS: usize = 48;

/// One answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) text: String,
    pub(crate) tool_calls: Vec<ToolCall>,
    pub(crate) provider: String,
    pub(crate) model: String,
    pub(crate) finish: Finish,
    /// What it took when it was written.
    pub(crate) usage: Usage,
}

impl Answer {
    /// What `events` said; `None` if they do not end, or end in a way that is
    /// nothing to give again.
    pub(crate) fn of(events: &[ChatEvent]) -> Option<Self> {
        let (mut text, mut tool_calls) = (String::new(), Vec::new());
        for event in events {
            match event {
                ChatEvent::Delta(delta) => text.push_str(delta),
                ChatEvent::ToolCall(call) => tool_calls.push(call.clone()),
                ChatEvent::Done(served) => {
                    let Served {
                        provider,
                        model,
                        finish,
                        usage,
                        ..
                    } = served.as_ref();
                    let whole = matches!(finish, Finish::Stop | Finish::ToolCalls);
                    let empty = text.is_empty() && tool_calls.is_empty();
                    return (whole && !empty).then(|| Self {
                        text,
                        tool_calls,
                        provider: provider.clone(),
                        model: model.clone(),
                        finish: *finish,
                        usage: *usage,
                    });
                }
            }
        }
        None
    }

    /// The texts and calls of the answer again, in pieces; `Done` is the
    /// caller's to say.
    pub(crate) fn pieces(&self) -> Vec<ChatEvent> {
        let mut events = Vec::new();
        let mut piece = String::new();
        let mut letters = 0;
        for letter in self.text.chars() {
            piece.push(letter);
            letters += 1;
            if letters >= PIECE_CHARS && letter.is_whitespace() {
                events.push(ChatEvent::Delta(std::mem::take(&mut piece)));
                letters = 0;
            }
        }
        if !piece.is_empty() {
            events.push(ChatEvent::Delta(piece));
        }
        events.extend(self.tool_calls.iter().cloned().map(ChatEvent::ToolCall));
        events
    }

    /// Bytes of its texts.
    pub(super) fn bytes(&self) -> usize {
        let calls = self.tool_calls.iter();
        let calls: usize = calls
            .map(|call| call.name.len() + call.arguments.len())
            .sum();
        self.text.len() + calls
    }
}
