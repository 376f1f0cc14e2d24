//! The body of `POST /v1/responses`, and what of it is a question to the documents.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::super::search::{self, Ranking};
use super::super::{asks, refuse};
use super::format::Shape;
use crate::server::error::{ApiError, Result};
use crate::server::routes::chat::documents::{Conversation, Named, note};
use crate::server::routes::query::QueryBody;
use cairn_gateway::{ChatMessage, ChatRole, Gateway};

/// What `include` may ask for.
const RESULTS: &str = "file_search_call.results";

/// Why what would be kept is refused.
const KEPT: &str = "responses are not kept; send the conversation in `input`";

/// A question to the documents. A field that is not known is refused.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResponseBody {
    /// `cairn`, `cairn/COLLECTION`, either with `@WRITER` behind it; or, with the tool
    /// `file_search`, a route, a provider or a model that writes.
    model: String,
    /// A question, or messages and earlier calls of `file_search` that end with one.
    #[schema(value_type = Object)]
    input: Input,
    /// Server-sent events, or one object.
    pub(super) stream: Option<bool>,
    /// At most one tool, `file_search`, with one vector store.
    #[serde(default)]
    tools: Option<Vec<Tool>>,
    /// `auto`, `required` or `{"type": "file_search"}`.
    #[schema(value_type = Option<Object>)]
    tool_choice: Option<Value>,
    /// `file_search_call.results` shows what was found.
    include: Option<Vec<String>>,
    /// Text only.
    #[schema(value_type = Option<Object>)]
    text: Option<Value>,
    /// Not followed.
    instructions: Option<Value>,
    /// Refused: nothing is kept.
    previous_response_id: Option<Value>,
    /// Refused: nothing is kept.
    #[schema(value_type = Option<Object>)]
    conversation: Option<Value>,
    /// Must be false.
    background: Option<bool>,
    /// Refused.
    #[schema(value_type = Option<Object>)]
    prompt: Option<Value>,
    /// Has no effect: nothing is kept.
    store: Option<bool>,
    /// Not followed.
    max_output_tokens: Option<u64>,
    /// Not followed.
    max_tool_calls: Option<u64>,
    /// Not followed.
    temperature: Option<f64>,
    /// Not followed.
    top_p: Option<f64>,
    /// Not followed.
    #[schema(value_type = Option<Object>)]
    reasoning: Option<Value>,
    /// Not followed.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
    /// Not followed.
    user: Option<String>,
    /// Not followed.
    safety_identifier: Option<String>,
    /// Not followed.
    prompt_cache_key: Option<String>,
    /// Has no effect: there is one tool.
    #[serde(rename = "parallel_tool_calls")]
    #[schema(value_type = Option<bool>)]
    _parallel_tool_calls: Option<bool>,
    /// `auto`, `disabled`.
    truncation: Option<String>,
    /// Not followed.
    service_tier: Option<String>,
    /// Not followed.
    #[schema(value_type = Option<Object>)]
    stream_options: Option<Value>,
}

/// A question, or a conversation.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Input {
    Text(String),
    Items(Vec<Item>),
}

/// A message, or what a response held.
#[derive(Debug, Deserialize)]
struct Item {
    #[serde(rename = "type")]
    kind: Option<String>,
    role: Option<String>,
    content: Option<Content>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Debug, Deserialize)]
struct Part {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
}

/// The tool `file_search`.
#[derive(Clone, Debug, Deserialize, ToSchema)]
struct Tool {
    /// `file_search`.
    #[serde(rename = "type")]
    kind: String,
    /// One collection.
    vector_store_ids: Option<Vec<String>>,
    /// As of `POST /v1/vector_stores/{id}/search`.
    #[schema(value_type = Option<Object>)]
    filters: Option<Value>,
    /// Passages that the answer may rest on, 1 to 50.
    max_num_results: Option<usize>,
    /// Without `score_threshold`: the check of the answer says what is good enough.
    ranking_options: Option<Ranking>,
    #[serde(flatten)]
    #[schema(ignore)]
    rest: Map<String, Value>,
}

/// What a request asks.
pub(super) struct Asked {
    pub(super) query: QueryBody,
    pub(super) shape: Shape,
    /// What of it is not followed.
    pub(super) note: Option<String>,
    /// Whether the client wants to see what was found.
    pub(super) with_results: bool,
}

impl ResponseBody {
    /// What it asks.
    ///
    /// # Errors
    /// `invalid_request` names what cannot be done.
    pub(super) fn read(mut self, gateway: &Gateway) -> Result<Asked> {
        self.refuse()?;
        let note = note(&self.not_followed());
        let tools = self.tools.take().unwrap_or_default();
        let shown = tools.iter().map(Tool::shown).collect();
        let tool = match <[Tool; 1]>::try_from(tools) {
            Ok([tool]) => Some(tool),
            Err(tools) if tools.is_empty() => None,
            Err(_) => {
                let message = "`tools` takes one tool, `file_search`";
                return Err(ApiError::invalid("tools", message));
            }
        };
        let store = tool.as_ref().map(Tool::store).transpose()?;
        let named = match (Named::read(&self.model), &tool) {
            (Some(named), _) => named,
            (None, Some(_)) => Named {
                collection: None,
                writer: Some(self.model.clone()),
            },
            (None, None) => {
                let message = "without the tool `file_search`, `model` is `cairn` or \
                               `cairn/COLLECTION`; other models answer at /v1/chat/completions";
                return Err(ApiError::invalid("model", message));
            }
        };
        if named.collection.is_some() && store.is_some() && named.collection != store {
            let message = "`model` and `file_search` name different collections";
            return Err(ApiError::invalid("tools[0].vector_store_ids", message));
        }
        let named = Named {
            collection: store.or(named.collection),
            ..named
        };
        let conversation = Conversation::read("input", self.input.into_messages()?)?;
        let question = conversation.question.clone();
        let mut query = named.ask(conversation, gateway)?;
        if let Some(tool) = tool {
            tool.apply(&mut query)?;
        }
        Ok(Asked {
            query,
            shape: Shape::new(self.model, shown, question),
            note,
            with_results: self.include.is_some_and(|include| !include.is_empty()),
        })
    }

    fn refuse(&self) -> Result<()> {
        refuse(
            &[
                (
                    "previous_response_id",
                    asks(self.previous_response_id.as_ref()),
                ),
                ("conversation", asks(self.conversation.as_ref())),
                ("background", self.background == Some(true)),
            ],
            KEPT,
        )?;
        refuse(
            &[("prompt", asks(self.prompt.as_ref()))],
            "the service has no stored prompts",
        )?;
        let format = self.text.as_ref().map(|text| &text["format"]["type"]);
        let other = format.is_some_and(|format| !format.is_null() && *format != "text");
        refuse(&[("text.format", other)], "answers are text")?;
        let include = self.include.iter().flatten();
        if include.into_iter().any(|name| name != RESULTS) {
            let message = format!("`include` knows `{RESULTS}` and nothing else");
            return Err(ApiError::invalid("include", message));
        }
        let choice = self.tool_choice.as_ref().filter(|choice| !choice.is_null());
        let fits = choice.is_none_or(|choice| {
            matches!(choice.as_str(), Some("auto" | "required")) || choice["type"] == "file_search"
        });
        refuse(
            &[("tool_choice", !fits)],
            "answers from the documents always search, and call nothing else",
        )
    }

    /// The names of what has no part in the answer.
    fn not_followed(&self) -> Vec<String> {
        let given = [
            ("instructions", asks(self.instructions.as_ref())),
            ("store", self.store == Some(true)),
            ("max_output_tokens", self.max_output_tokens.is_some()),
            ("max_tool_calls", self.max_tool_calls.is_some()),
            ("temperature", self.temperature.is_some_and(|t| t != 0.0)),
            ("top_p", self.top_p.is_some_and(|p| p != 1.0)),
            ("reasoning", asks(self.reasoning.as_ref())),
            ("metadata", asks(self.metadata.as_ref())),
            ("user", self.user.is_some()),
            ("safety_identifier", self.safety_identifier.is_some()),
            ("prompt_cache_key", self.prompt_cache_key.is_some()),
            ("service_tier", self.service_tier.is_some()),
            ("truncation", self.truncation.as_deref() == Some("auto")),
            ("stream_options", asks(self.stream_options.as_ref())),
            ("system messages", self.input.has_system()),
        ];
        let given = given.into_iter().filter(|(_, given)| *given);
        given.map(|(name, _)| name.to_owned()).collect()
    }
}

impl Input {
    fn has_system(&self) -> bool {
        let is_system = |item: &Item| matches!(item.role.as_deref(), Some("system" | "developer"));
        matches!(self, Self::Items(items) if items.iter().any(is_system))
    }

    /// The turns of the conversation. What `file_search` found before is left out: it is
    /// searched again.
    fn into_messages(self) -> Result<Vec<ChatMessage>> {
        let items = match self {
            Self::Text(text) => return Ok(vec![message(ChatRole::User, text)]),
            Self::Items(items) => items,
        };
        let mut messages = Vec::new();
        for (at, item) in items.into_iter().enumerate() {
            match item.kind.as_deref() {
                Some("file_search_call" | "reasoning") => continue,
                None | Some("message") => {}
                Some(kind) => {
                    let kind: String = kind.chars().take(80).collect();
                    let message = format!(
                        "an item of type `{kind}` is not taken: answers from the documents call \
                         no other tools"
                    );
                    return Err(ApiError::invalid(format!("input[{at}].type"), message));
                }
            }
            let role = match item.role.as_deref() {
                Some("user") => ChatRole::User,
                Some("assistant") => ChatRole::Assistant,
                Some("system" | "developer") => ChatRole::System,
                _ => {
                    let message = "`role` is one of user, assistant, system, developer";
                    return Err(ApiError::invalid(format!("input[{at}].role"), message));
                }
            };
            let text = match item.content {
                None => String::new(),
                Some(Content::Text(text)) => text,
                Some(Content::Parts(parts)) => {
                    let texts = parts.into_iter().map(|part| match part.kind.as_str() {
                        "input_text" | "output_text" | "text" => part.text,
                        _ => None,
                    });
                    let texts: Option<Vec<String>> = texts.collect();
                    let message = "only parts of type `input_text` and `output_text` are taken";
                    texts
                        .ok_or_else(|| ApiError::invalid(format!("input[{at}].content"), message))?
                        .join("\n")
                }
            };
            messages.push(message(role, text));
        }
        Ok(messages)
    }
}

fn message(role: ChatRole, content: String) -> ChatMessage {
    ChatMessage {
        role,
        content,
        tool_calls: Vec::new(),
        tool_call_id: None,
    }
}

impl Tool {
    /// The collection that it searches.
    fn store(&self) -> Result<String> {
        if self.kind != "file_search" {
            let message = "the only tool here is `file_search`; leave others out";
            return Err(ApiError::invalid("tools[0].type", message));
        }
        if let Some(name) = self.rest.keys().next() {
            let name: String = name.chars().take(80).collect();
            let message = format!("`file_search` knows no `{name}`; leave it out");
            return Err(ApiError::invalid(format!("tools[0].{name}"), message));
        }
        match self.vector_store_ids.as_deref() {
            Some([store]) => Ok(store.clone()),
            _ => {
                let message = "`vector_store_ids` names one vector store: an answer is made from \
                               one collection";
                Err(ApiError::invalid("tools[0].vector_store_ids", message))
            }
        }
    }

    /// Puts what it says of the search into `query`.
    fn apply(&self, query: &mut QueryBody) -> Result<()> {
        let at = |error: ApiError| ApiError {
            param: error.param.map(|param| format!("tools[0].{param}")),
            ..error
        };
        let ranking = self.ranking_options.clone().unwrap_or_default();
        let threshold = ranking.score_threshold.is_some_and(|least| least > 0.0);
        refuse(
            &[("ranking_options.score_threshold", threshold)],
            "the check of the answer says what is good enough",
        )
        .map_err(at)?;
        let store = query.collection.as_deref().unwrap_or_default();
        let filters = self.filters.as_ref();
        let asked = search::question(
            String::new(),
            store,
            filters,
            self.max_num_results,
            &ranking,
        )
        .map_err(at)?;
        query.top_k = self.max_num_results;
        query.filter = asked.filter;
        query.mode = asked.mode;
        query.rerank = asked.rerank;
        Ok(())
    }

    /// As the response repeats it.
    fn shown(&self) -> Value {
        json!({
            "type": self.kind, "vector_store_ids": self.vector_store_ids,
            "filters": self.filters, "max_num_results": self.max_num_results,
        })
    }
}

/// Names the fields as a response has them.
pub(super) fn blame(error: ApiError) -> ApiError {
    let param = match error.param.as_deref() {
        Some("query" | "history") => Some("input".to_owned()),
        Some("collection") => Some("model".to_owned()),
        Some("filter") => Some("tools[0].filters".to_owned()),
        _ => return search::blame(error),
    };
    ApiError { param, ..error }
}
