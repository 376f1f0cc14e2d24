//! Chats over the documents, in OpenAI's format: the last message is a question, those before
//! it are its history, and the answer is that of `/query`, with its citations as annotations.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use cairn_models::CancelOnDrop;
use futures::{Stream, StreamExt as _};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use super::request::ChatBody;
use super::response::{self, Ending, Head};
use crate::server::answering::{self, Observed};
use crate::server::auth::require;
use crate::server::error::{ApiError, Code, Result};
use crate::server::limits::{Permit, check_model_name, shutting_down};
use crate::server::links::link;
use crate::server::routes::query::{MAX_HISTORY_TURNS, QueryBody, Turn, TurnRole};
use crate::server::state::Service;
use crate::server::{event_stream, observe, sse};
use cairn_engine::answer::{AnswerEvent, AnswerRequest, Answered, Citation, Done, Failure, Step};
use cairn_engine::retrieve::{SearchResponse, Source, Timings};
use cairn_gateway::accounts::{Caller, Scope};
use cairn_gateway::{CacheUse, ChatMessage, ChatRole, DOCUMENTS, Gateway, routes};

/// What else an OpenAI client says that has no part in an answer from the documents: it is
/// named in `cairn.degraded`, since it is not followed.
const NOT_FOLLOWED: &[&str] = &[
    "frequency_penalty",
    "logit_bias",
    "max_completion_tokens",
    "max_tokens",
    "metadata",
    "parallel_tool_calls",
    "presence_penalty",
    "prompt_cache_key",
    "reasoning_effort",
    "safety_identifier",
    "seed",
    "service_tier",
    "store",
    "temperature",
    "top_p",
    "user",
    "verbosity",
];

/// Which documents a model's name stands for, and who writes: `cairn`, `cairn/COLLECTION`,
/// either with `@WRITER` behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::server) struct Named {
    /// The default collection if none.
    pub(in crate::server) collection: Option<String>,
    /// A route, a provider, a model, or `extractive`; the configured one if none.
    pub(in crate::server) writer: Option<String>,
}

impl Named {
    /// What `model` stands for, if it is a name of documents.
    pub(in crate::server) fn read(model: &str) -> Option<Self> {
        let rest = model.strip_prefix(DOCUMENTS)?;
        let (place, writer) = match rest.split_once('@') {
            Some((place, writer)) => (place, Some(writer.to_owned())),
            None => (rest, None),
        };
        let collection = match place {
            "" => None,
            _ => Some(place.strip_prefix('/')?.to_owned()),
        };
        Some(Self { collection, writer })
    }

    /// The question that a conversation ends with, to be answered from these documents.
    ///
    /// # Errors
    /// `invalid_request` for an unknown `model`.
    pub(in crate::server) fn ask(
        self,
        conversation: Conversation,
        gateway: &Gateway,
    ) -> Result<QueryBody> {
        if let Some(writer) = &self.writer {
            check_model_name(writer)?;
            let selected = gateway.select(routes::ANSWER, Some(writer));
            selected.map_err(|error| response::failure(error).0)?;
        }
        let Conversation { question, history } = conversation;
        Ok(QueryBody {
            query: question,
            collection: self.collection,
            model: self.writer,
            history: Some(history),
            ..QueryBody::default()
        })
    }
}

/// A question and what was said before it.
pub(in crate::server) struct Conversation {
    pub(in crate::server) question: String,
    /// The latest turns, oldest first.
    pub(in crate::server) history: Vec<Turn>,
}

impl Conversation {
    /// Of `messages`, without what a system message says: instructions are not the caller's
    /// to give. `field` names the list in errors.
    ///
    /// # Errors
    /// `invalid_request` names the message that is no turn of a conversation.
    pub(in crate::server) fn read(field: &str, messages: Vec<ChatMessage>) -> Result<Self> {
        let mut turns = Vec::new();
        for (at, message) in messages.into_iter().enumerate() {
            let role = match message.role {
                ChatRole::System => continue,
                ChatRole::User => TurnRole::User,
                ChatRole::Assistant if message.tool_calls.is_empty() => TurnRole::Assistant,
                ChatRole::Assistant | ChatRole::Tool => {
                    let what = match message.role {
                        ChatRole::Tool => "role",
                        _ => "tool_calls",
                    };
                    let message = "answers from the documents call no tools; leave their calls \
                                   and results out";
                    return Err(ApiError::invalid(format!("{field}[{at}].{what}"), message));
                }
            };
            let content = message.content;
            turns.push(Turn { role, content });
        }
        match turns.pop() {
            Some(Turn {
                role: TurnRole::User,
                content,
            }) => Ok(Self {
                question: content,
                history: turns.split_off(turns.len().saturating_sub(MAX_HISTORY_TURNS)),
            }),
            _ => Err(ApiError::invalid(
                field,
                format!("`{field}` ends with the user's question"),
            )),
        }
    }
}

/// What of a request is not followed, in one sentence for `degraded`.
pub(in crate::server) fn note(not_followed: &[String]) -> Option<String> {
    let named = not_followed.join(", ");
    (!named.is_empty()).then(|| format!("answers from the documents do not follow: {named}"))
}

/// What `body` asks, and a note of what of it is not followed.
fn question(
    body: ChatBody,
    named: Named,
    service: &Service,
    caller: Caller,
    request_id: String,
) -> Result<(AnswerRequest, Option<String>)> {
    let mut not_followed = body.given();
    let refused = |name: &&String| !NOT_FOLLOWED.contains(&name.as_str());
    if let Some(name) = not_followed.iter().find(refused) {
        let name: String = name.chars().take(100).collect();
        let message = format!("answers from the documents know no `{name}`; leave it out");
        return Err(ApiError::invalid(name, message));
    }
    let request = body.into_request()?;
    let is_system = |message: &ChatMessage| message.role == ChatRole::System;
    if request.messages.iter().any(is_system) {
        not_followed.push("system messages".into());
    }
    let conversation = Conversation::read("messages", request.messages)?;
    let gateway = service.core()?.answerer.gateway();
    let asked = named.ask(conversation, gateway)?;
    let request = asked.into_answer(service.config(), caller, request_id)?;
    Ok((request, note(&not_followed)))
}

/// Names the fields as a chat has them.
fn blame(error: ApiError) -> ApiError {
    let param = match error.param.as_deref() {
        Some("query" | "history") => Some("messages".to_owned()),
        Some("collection") => Some("model".to_owned()),
        None if error.code == Code::NotFound => Some("model".to_owned()),
        _ => return error,
    };
    ApiError { param, ..error }
}

/// Answers a chat whose model is `named`.
///
/// # Errors
/// Those of `POST /query`; `forbidden` without the scope `query`.
pub(super) async fn complete(
    service: &Arc<Service>,
    permit: Permit,
    caller: Caller,
    headers: &HeaderMap,
    body: ChatBody,
    named: Named,
) -> Result<Response> {
    require(&caller, Scope::Query)?;
    let head = Head::new(body.model.clone());
    let (stream, with_usage) = (body.stream, body.wants_usage());
    let id = observe::id_of(headers).to_owned();
    let (request, note) = question(body, named, service, caller, id).map_err(blame)?;
    let cancel = CancelOnDrop::default();
    let begun = answering::begin(service, request, None, &cancel).await;
    let events = begun.map_err(blame)?;
    if !stream {
        let answered = answering::answered(events).await.map_err(blame)?;
        let found = &answered.sources;
        let message = json!({
            "role": "assistant",
            "content": answered.done.answer,
            "refusal": null,
            "annotations": annotations(&answered.done, found),
        });
        let ending = ending(&answered, note);
        return Ok(Json(head.completion(&message, &ending)).into_response());
    }
    let begun = Begun::wait(events).await?;
    let frames = frames(head, begun, with_usage, note);
    let stopped = response::error(&shutting_down());
    Ok(event_stream::kept_alive(
        frames,
        service,
        stopped,
        (cancel, permit),
    ))
}

/// An answer whose search is over.
pub(in crate::server) struct Begun {
    /// What was found, if that is known yet.
    pub(in crate::server) found: Option<SearchResponse>,
    /// The first event that clients of other formats are told of, if it came in time.
    pub(in crate::server) first: Option<AnswerEvent>,
    pub(in crate::server) rest: Observed,
}

impl Begun {
    /// Waits for the first words, so that a failure before them has a status; no longer than
    /// proxies wait for a head.
    ///
    /// # Errors
    /// That of the answer.
    pub(in crate::server) async fn wait(mut events: Observed) -> Result<Self> {
        let (mut found, mut first) = (None, None);
        let patience = Duration::from_secs(sse::KEEP_ALIVE_SECONDS);
        let begins = async {
            while let Some(event) = events.next().await {
                match event {
                    AnswerEvent::Step(_) => {}
                    AnswerEvent::Sources(sources) => found = Some(sources),
                    AnswerEvent::Error { .. } | AnswerEvent::InputRequired(_) => {
                        return Err(error_of(event));
                    }
                    event => {
                        first = Some(event);
                        break;
                    }
                }
            }
            Ok(())
        };
        // Without words in time the head is sent all the same.
        timeout(patience, begins).await.unwrap_or(Ok(()))?;
        Ok(Self {
            found,
            first,
            rest: events,
        })
    }
}

/// What a stream of another format is told of an answer.
pub(in crate::server) enum Told {
    /// Some text.
    Text(String),
    /// All of it.
    Whole(Box<Answered>),
    /// Why there is none.
    Failed(ApiError),
}

impl Begun {
    /// The text as it comes, then the whole answer or why there is none.
    pub(in crate::server) fn tell(self) -> impl Stream<Item = Told> + Send {
        let Self {
            mut found,
            mut first,
            mut rest,
        } = self;
        async_stream::stream! {
            loop {
                let event = match first.take() {
                    Some(event) => Some(event),
                    None => rest.next().await,
                };
                match event {
                    Some(AnswerEvent::Step(_) | AnswerEvent::Citation(_)) => {}
                    Some(AnswerEvent::Sources(sources)) => found = Some(sources),
                    Some(AnswerEvent::Delta { text }) => yield Told::Text(text),
                    Some(AnswerEvent::Done(done)) => {
                        yield match found.take() {
                            Some(found) => Told::Whole(Box::new(Answered::new(*done, found))),
                            None => Told::Failed(ApiError::internal("an answer without sources")),
                        };
                        return;
                    }
                    Some(event) => {
                        yield Told::Failed(error_of(event));
                        return;
                    }
                    None => {
                        let error = ApiError::internal("an answer ended without its last event");
                        yield Told::Failed(error);
                        return;
                    }
                }
            }
        }
    }
}

/// Why there is no answer after `event`.
fn error_of(event: AnswerEvent) -> ApiError {
    match event {
        AnswerEvent::Error {
            code,
            message,
            retryable,
        } => Failure {
            code,
            message,
            retryable,
        }
        .into(),
        _ => answering::waits_for_a_person(),
    }
}

fn frames(
    head: Head,
    begun: Begun,
    with_usage: bool,
    note: Option<String>,
) -> impl Stream<Item = String> + Send {
    async_stream::stream! {
        yield head.first();
        let mut told = std::pin::pin!(begun.tell());
        while let Some(told) = told.next().await {
            yield match told {
                Told::Text(text) => head.delta(&text),
                Told::Whole(answered) => {
                    // In one piece: clients put pieces of lists together in different ways.
                    let cited = annotations(&answered.done, &answered.sources);
                    let frame = match cited.is_empty() {
                        true => String::new(),
                        false => head.annotations(&cited),
                    };
                    frame + &head.last(&ending(&answered, note.clone()), with_usage)
                }
                Told::Failed(error) => response::error(&error),
            };
        }
    }
}

/// Each citation as OpenAI's `url_citation`, in the order of the text. Indices count Unicode
/// characters, from that of the mark to the one behind it.
pub(in crate::server) fn citations<'a>(
    done: &'a Done,
    sources: &'a [Source],
) -> impl Iterator<Item = (&'a Source, Map<String, Value>)> {
    done.citations.iter().filter_map(|citation| {
        let source = sources.iter().find(|source| source.n == citation.n)?;
        let place = json!({
            "start_index": citation.start,
            "end_index": citation.end,
            "url": link(&source.document_id, &source.uri),
            "title": source.title,
        });
        Some((source, place.as_object().cloned()?))
    })
}

fn annotations(done: &Done, sources: &[Source]) -> Vec<Value> {
    let annotate =
        |(_, place)| json!({"type": "url_citation", "url_citation": Value::Object(place)});
    citations(done, sources).map(annotate).collect()
}

/// How an answer ended, and what is known of it that the format has no words for.
fn ending(answered: &Answered, note: Option<String>) -> Ending<'_, About<'_>> {
    Ending {
        // What was refused is said in words; what the deadline cut is not whole.
        finish: match answered.done.finish_reason.as_str() {
            "length" | "cancelled" => "length",
            _ => "stop",
        },
        usage: &answered.done.usage,
        about: About::new(answered, Some(&answered.sources), note),
    }
}

/// The answer's own facts, under `cairn`.
#[derive(Serialize)]
pub(in crate::server) struct About<'a> {
    query_id: &'a str,
    collection: &'a str,
    generation: u64,
    refused: bool,
    grounded: bool,
    answerability: f32,
    citations: &'a [Citation],
    #[serde(skip_serializing_if = "Option::is_none")]
    sources: Option<&'a [Source]>,
    #[serde(skip_serializing_if = "<[Step]>::is_empty")]
    steps: &'a [Step],
    provider: &'a str,
    model: &'a str,
    cost_usd: f64,
    #[serde(skip_serializing_if = "CacheUse::is_none")]
    cache: CacheUse,
    timings_ms: &'a Timings,
    degraded: Vec<String>,
}

impl<'a> About<'a> {
    /// Of an answer: with these of its sources, and a note of what was not followed.
    pub(in crate::server) fn new(
        answered: &'a Answered,
        sources: Option<&'a [Source]>,
        note: Option<String>,
    ) -> Self {
        let done = &answered.done;
        Self {
            query_id: &done.query_id,
            collection: &answered.collection,
            generation: answered.generation,
            refused: done.refused,
            grounded: done.grounded,
            answerability: done.answerability,
            citations: &done.citations,
            sources,
            steps: &answered.steps,
            provider: &done.provider,
            model: &done.model,
            cost_usd: done.usage.cost_usd,
            cache: done.cache,
            timings_ms: &done.timings_ms,
            degraded: done.degraded.iter().cloned().chain(note).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_collection_and_writer() {
        let read = |name: &str| {
            Named::read(name).map(|named| {
                let text = |text: Option<String>| text.unwrap_or_else(|| "-".into());
                format!("{} {}", text(named.collection), text(named.writer))
            })
        };
        for (name, expected) in [
            ("cairn", Some("- -")),
            ("cairn/docs", Some("docs -")),
            ("cairn@extractive", Some("- extractive")),
            ("cairn/docs@openai/gpt-4.1", Some("docs openai/gpt-4.1")),
            ("cairn/", Some(" -")),
            ("cairn-late-interaction-v2", None),
            ("gpt-4.1", None),
            ("Cairn", None),
        ] {
            assert_eq!(read(name).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn a_conversation_ends_with_a_question() {
        let message = |role, content: &str| ChatMessage {
            role,
            content: content.into(),
            tool_calls: Vec::new(),
            tool_call_id: None,
        };
        let turns = (0..60).flat_map(|n| {
            [
                message(ChatRole::User, &format!("q{n}")),
                message(ChatRole::Assistant, &format!("a{n}")),
            ]
        });
        let system = message(ChatRole::System, "Be brief.");
        let mut messages: Vec<_> = [system].into_iter().chain(turns).collect();
        assert!(Conversation::read("messages", messages.clone()).is_err());
        messages.push(message(ChatRole::User, "last"));
        let read = Conversation::read("messages", messages).unwrap();
        assert_eq!(read.question, "last");
        assert_eq!(read.history.len(), MAX_HISTORY_TURNS);
        assert_eq!(read.history[0].content, "q35");
        let tool = vec![message(ChatRole::Tool, "x"), message(ChatRole::User, "y")];
        let error = Conversation::read("input", tool).err().unwrap();
        assert_eq!(error.param.as_deref(), Some("input[0].role"));
    }
}
