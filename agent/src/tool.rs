//! What a tool is, and what it knows about its caller.

use std::collections::BTreeSet;

use async_trait::async_trait;
use cairn_engine::retrieve::{SearchRequest, Source};
use cairn_gateway::accounts::{Caller, Scope};
use cairn_indexer::Access;
use cairn_models::Cancel;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Something that a model can request.
///
/// Every call checks the caller's permission: a model's request proves nothing, since the model may
/// be obeying a document.
#[async_trait]
pub trait Tool: Send + Sync {
    /// The description for the model.
    fn spec(&self) -> &ToolSpec;

    /// Whether it is offered to the caller. The call checks again.
    fn is_open_to(&self, context: &ToolContext) -> bool {
        self.spec().is_open_to(&context.caller)
    }

    /// Does the work; [`Tool::call`] has already checked the scopes. Access to what the arguments
    /// name, such as a database or a document, is checked here. Dropping the future ends the work,
    /// and so does the context's `cancel`.
    ///
    /// # Errors
    /// In words that let a model correct itself.
    async fn run(&self, arguments: Value, context: &ToolContext) -> Result<ToolOutput, ToolError>;

    /// Runs it for a caller with one of its scopes.
    ///
    /// # Errors
    /// [`ToolErrorKind::Forbidden`] for other callers, and those of [`Tool::run`].
    async fn call(&self, arguments: Value, context: &ToolContext) -> Result<ToolOutput, ToolError> {
        context.require(self.spec())?;
        self.run(arguments, context).await
    }
}

/// A tool as a model and an operator see it.
#[derive(Clone, Debug)]
pub struct ToolSpec {
    /// Its name: letters, digits, `_` and `-`.
    pub name: String,
    /// What it does and when to use it.
    pub description: String,
    /// JSON Schema of its arguments, an object.
    pub parameters: Value,
    /// What a call costs.
    pub cost: CostClass,
    /// The scopes, one of which a key needs.
    pub scopes: &'static [Scope],
}

/// What a call of a tool costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CostClass {
    /// Microseconds.
    Free,
    /// Work on this machine.
    Local,
    /// A request to another machine.
    Network,
}

/// The caller, and the purpose of the call.
#[derive(Clone, Debug)]
pub struct ToolContext {
    /// The caller, which determines what may be read and done.
    pub caller: Caller,
    /// The search of the question: its collection and filter also apply to tools.
    pub search: SearchRequest,
    /// Fires when the client disconnects.
    pub cancel: Cancel,
}

impl ToolContext {
    /// Which documents may be read.
    pub fn access(&self) -> Access {
        Access::from(self.caller.labels())
    }

    /// Checks that the caller has one of the scopes of `spec`.
    ///
    /// # Errors
    /// [`ToolErrorKind::Forbidden`].
    fn require(&self, spec: &ToolSpec) -> Result<(), ToolError> {
        if spec.is_open_to(&self.caller) {
            return Ok(());
        }
        let wanted: Vec<&str> = spec.scopes.iter().map(|scope| scope.as_str()).collect();
        let message = format!(
            "the API key may not use {}: it lacks the scope {}",
            spec.name,
            wanted.join(" or ")
        );
        Err(ToolError::forbidden(message))
    }

    /// Whether the caller may use something with these `labels`, by the same rule as for documents.
    pub fn may_use(&self, labels: &BTreeSet<String>) -> bool {
        self.access().allows(labels)
    }
}

impl ToolSpec {
    /// Whether `caller` has one of the scopes.
    pub fn is_open_to(&self, caller: &Caller) -> bool {
        let held = caller.scopes();
        self.scopes.is_empty() || self.scopes.iter().any(|scope| held.allow(*scope))
    }
}

/// What a tool returned.
#[derive(Clone, Debug, Default)]
pub struct ToolOutput {
    /// The parts, in the order in which a model should read them.
    pub parts: Vec<Part>,
    /// One line for people.
    pub summary: String,
    /// How a model can get what is missing.
    pub more: Option<String>,
}

/// A part of what a tool returned.
#[derive(Clone, Debug)]
pub enum Part {
    /// Text that cannot be cited.
    Text(String),
    /// A passage that can be cited; its number is assigned later.
    Evidence(Box<Source>),
}

impl ToolOutput {
    /// A single text that can be cited as `title`.
    pub fn evidence(summary: impl Into<String>, uri: String, title: String, text: String) -> Self {
        let parts = vec![Part::Evidence(Box::new(computed(uri, title, text)))];
        Self {
            parts,
            summary: summary.into(),
            more: None,
        }
    }
}

/// A source that is not a passage of a document.
fn computed(uri: String, title: String, text: String) -> Source {
    // Equal results are one source, whichever call returned them.
    let key = format!("{uri}\n{text}");
    let id = blake3::hash(key.as_bytes()).to_hex()[..16].to_owned();
    Source {
        n: 0,
        chunk_id: format!("{id}-0000"),
        document_id: id,
        uri,
        title,
        heading_path: Vec::new(),
        page: None,
        pages: Vec::new(),
        columns: None,
        code_blocks: Vec::new(),
        start: 0,
        end: text.len(),
        text: text.into(),
        score: 0.0,
        cosine: None,
        copies: 0,
        ranks: cairn_engine::retrieve::Ranks::default(),
    }
}

/// Why a tool did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ToolError {
    /// The kind, for programs.
    pub kind: ToolErrorKind,
    /// The message for the model: what is wrong and what to do instead.
    pub message: String,
}

/// A kind of [`ToolError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToolErrorKind {
    /// The arguments do not match the tool's schema.
    Arguments,
    /// The named thing does not exist for this caller.
    NotFound,
    /// The caller may not do this.
    Forbidden,
    /// It took too long.
    Timeout,
    /// It failed.
    Failed,
}

impl ToolErrorKind {
    /// Its name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Arguments => "arguments",
            Self::NotFound => "not_found",
            Self::Forbidden => "forbidden",
            Self::Timeout => "timeout",
            Self::Failed => "failed",
        }
    }
}

impl ToolError {
    /// An error of this kind.
    pub fn new(kind: ToolErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// Wrong arguments.
    pub fn arguments(message: impl Into<String>) -> Self {
        Self::new(ToolErrorKind::Arguments, message)
    }

    /// Something that does not exist.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ToolErrorKind::NotFound, message)
    }

    /// Something that the caller may not do.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(ToolErrorKind::Forbidden, message)
    }

    /// Something that went wrong.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(ToolErrorKind::Failed, message)
    }
}

/// The arguments as the tool's own type; unknown fields are refused.
///
/// # Errors
/// [`ToolErrorKind::Arguments`] names the argument that is wrong.
pub(crate) fn arguments<T: DeserializeOwned>(value: Value) -> Result<T, ToolError> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        ToolError::arguments(match path.as_str() {
            "." => format!("wrong arguments: {inner}"),
            path => format!("wrong argument `{path}`: {inner}"),
        })
    })
}

/// The JSON Schema of a tool's arguments, without the parts that models do not need.
pub(crate) fn parameters<T: JsonSchema>() -> Value {
    let mut schema = schemars::schema_for!(T).to_value();
    if let Value::Object(fields) = &mut schema {
        fields.remove("$schema");
        fields.remove("title");
        fields.remove("description");
    }
    schema
}

/// Runs work that may block; `cancel` fires when the future is dropped.
///
/// # Errors
/// Its own error, or [`ToolErrorKind::Failed`] if it panicked.
pub(crate) async fn blocking<T: Send + 'static>(
    cancel: &Cancel,
    work: impl FnOnce(Cancel) -> Result<T, ToolError> + Send + 'static,
) -> Result<T, ToolError> {
    let own = cancel.clone();
    let span = tracing::Span::current();
    let done = tokio::task::spawn_blocking(move || span.in_scope(|| work(own))).await;
    done.unwrap_or_else(|error| {
        tracing::error!(%error, "a tool panicked");
        Err(ToolError::failed(
            "the tool failed; the log of the service says why",
        ))
    })
}
