//! Tools for models that know none: they are described in words, calls come back as text,
//! and so do results. Whoever asks sees tools and calls as of any other model.
//!
//! [`prompt`] writes the request, [`reader`] takes calls out of the text that comes,
//! [`fences`] knows where they begin and end, and [`block`] understands what a model made of
//! the format that it was told.

mod block;
mod fences;
mod prompt;
mod reader;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use cairn_models::Cancel;
use futures::StreamExt as _;
use serde_json::Value;

pub(super) use self::prompt::{Style, as_text, offered};
use self::reader::{Piece, Reader};
use super::super::call::without_reasoning;
use super::super::chat::{
    ChatRequest, ChatRole, Finish, Provider, ProviderError, ProviderEvent, ProviderStream,
    ToolCall, ToolChoice,
};
use super::failure;

/// What this provider answers itself.
pub(super) const PARALLEL: &str = "parallel_tool_calls";

/// A provider whose models are asked for calls in words.
pub(super) struct TextTools(Arc<dyn Provider>);

impl TextTools {
    pub(super) fn new(inner: Arc<dyn Provider>) -> Self {
        Self(inner)
    }
}

impl Provider for TextTools {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn context_tokens(&self) -> usize {
        self.0.context_tokens()
    }

    fn refuses<'a>(&self, request: &'a ChatRequest) -> Option<&'a str> {
        if !request.parameters.contains_key(PARALLEL) {
            return self.0.refuses(request);
        }
        let mut without = request.clone();
        without.parameters.shift_remove(PARALLEL);
        let refused = self.0.refuses(&without)?;
        let mut names = request.parameters.keys().map(String::as_str);
        // What is not a parameter is refused whatever the parameters are.
        names
            .find(|name| *name == refused)
            .or_else(|| self.0.refuses(request))
    }

    fn chat(&self, mut request: ChatRequest, cancel: Cancel) -> ProviderStream {
        let calls = match Calls::of(&request, self.name()) {
            Ok(Some(calls)) => calls,
            Ok(None) => return self.0.chat(request, cancel),
            Err(error) => return futures::stream::iter([Err(error)]).boxed(),
        };
        request.parameters.shift_remove(PARALLEL);
        let request = as_text(request, Style::Fenced);
        calls.taken_from(self.0.chat(request, cancel))
    }
}

/// Calls of one answer, which come as text.
pub(super) struct Calls {
    /// The provider's name.
    name: String,
    reader: Reader,
    /// Calls so far.
    made: usize,
    /// Ids of the conversation: each names one call.
    ids: Vec<String>,
    most: usize,
}

impl Calls {
    /// For the answer of the provider `name` to `request`; `None` if it has nothing to do
    /// with tools.
    ///
    /// # Errors
    /// `Rejected` if a function is to be called that is not offered.
    pub(super) fn of(request: &ChatRequest, name: &str) -> Result<Option<Self>, ProviderError> {
        let offers = !prompt::offered(request).is_empty();
        if let (ToolChoice::Function(tool), false) = (&request.tool_choice, offers) {
            return Err(failure::no_such_tool(name, tool));
        }
        let turns = request.messages.iter();
        let calls = turns.clone().flat_map(|turn| &turn.tool_calls);
        let ids: Vec<String> = calls.map(|call| call.id.clone()).collect();
        let has_results = turns.clone().any(|turn| turn.role == ChatRole::Tool);
        if !offers && ids.is_empty() && !has_results && request.tools.is_empty() {
            return Ok(None);
        }
        let parallel = request.parameters.get(PARALLEL).and_then(Value::as_bool);
        Ok(Some(Self {
            name: name.to_owned(),
            reader: Reader::new(offers),
            made: 0,
            ids,
            most: if parallel == Some(false) {
                1
            } else {
                usize::MAX
            },
        }))
    }

    /// `answer` with calls in place of the text that asks for them.
    pub(super) fn taken_from(mut self, answer: ProviderStream) -> ProviderStream {
        // A call that a model only thinks about is none.
        let mut answer = without_reasoning(answer);
        async_stream::stream! {
            while let Some(event) = answer.next().await {
                for event in self.read(event) {
                    let failed = event.is_err();
                    yield event;
                    if failed {
                        return;
                    }
                }
            }
        }
        .boxed()
    }

    /// What becomes of an event.
    fn read(
        &mut self,
        event: Result<ProviderEvent, ProviderError>,
    ) -> Vec<Result<ProviderEvent, ProviderError>> {
        let pieces = match &event {
            Ok(ProviderEvent::Delta(text)) => self.reader.push(text),
            Ok(ProviderEvent::Done { finish, .. }) => self.reader.finish(*finish == Finish::Length),
            _ => return vec![event],
        };
        let mut events = match pieces {
            Ok(pieces) => self.events(pieces),
            Err(what) => return vec![Err(failure::garbled_call(&self.name, what))],
        };
        match event {
            Ok(ProviderEvent::Done {
                finish,
                usage,
                model,
            }) => events.push(Ok(ProviderEvent::Done {
                finish: match finish {
                    Finish::ContentFilter => finish,
                    _ if self.made > 0 => Finish::ToolCalls,
                    _ => finish,
                },
                usage,
                model,
            })),
            // The model is at work on a call.
            _ if events.is_empty() => events.push(Ok(ProviderEvent::Delta(String::new()))),
            _ => {}
        }
        events
    }

    fn next_id(&mut self) -> String {
        let numbers = self.ids.len()..;
        let mut ids = numbers.map(|number| format!("call_{number}"));
        let id = ids.find(|id| !self.ids.contains(id)).unwrap_or_default();
        self.ids.push(id.clone());
        id
    }

    fn events(&mut self, pieces: Vec<Piece>) -> Vec<Result<ProviderEvent, ProviderError>> {
        let mut events = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Text(text) => events.push(Ok(ProviderEvent::Delta(text))),
                Piece::Call { .. } if self.made >= self.most => {}
                Piece::Call { name, arguments } => {
                    events.push(Ok(ProviderEvent::ToolCall(ToolCall {
                        id: self.next_id(),
                        name,
                        arguments,
                        signature: None,
                    })));
                    self.made += 1;
                }
            }
        }
        events
    }
}
