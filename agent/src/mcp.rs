//! Tools of the configured MCP servers, which are started or connected to when a run first needs
//! them. Their tools are offered together with our own as `SERVER__TOOL`.
//!
//! Tested with rmcp 3.11.0 against the Python package mcp 2.3.0: the client's default is protocol
//! 2025-11-25; wrong arguments, unknown names and exceptions of a tool all arrive as results with
//! `isError`, not as protocol errors; a server writes its own log to stderr.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use cairn_gateway::accounts::Scope;
use cairn_settings::config::AgentMcp;
use rmcp::model::{CallToolRequestParams, ContentBlock, ResourceContents};
use rmcp::service::{Peer, RunningService};
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::transport::{StreamableHttpClientTransport, TokioChildProcess};
use rmcp::{RoleClient, ServiceExt as _};
use serde_json::Value;
use tokio::sync::Mutex;

use crate::tool::{CostClass, Tool, ToolContext, ToolError, ToolOutput, ToolSpec};

/// How long a server may take to start and to list its tools.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a failed server is not tried again.
const PAUSE: Duration = Duration::from_secs(30);
/// How long its list of tools is considered current.
const FRESH: Duration = Duration::from_secs(60);
/// Maximum tools of one server.
const MAX_TOOLS: usize = 64;
/// Maximum bytes of a description, and of a schema, since every turn of the model reads them.
const MAX_DESCRIPTION_BYTES: usize = 1024;
const MAX_SCHEMA_BYTES: usize = 8 << 10;
/// Longest tool name that providers accept.
const MAX_NAME_BYTES: usize = 64;
/// Maximum bytes of a result.
const MAX_RESULT_BYTES: usize = 256 << 10;
/// Maximum bytes of a message over HTTP.
const MAX_MESSAGE_BYTES: usize = 4 << 20;

/// The servers of an installation.
#[derive(Clone, Default)]
pub(crate) struct Servers(Arc<Vec<Server>>);

struct Server {
    settings: AgentMcp,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    running: Option<RunningService<RoleClient, ()>>,
    tools: Vec<Arc<dyn Tool>>,
    /// When its tools were listed, or it failed.
    asked: Option<Instant>,
}

impl Servers {
    pub(crate) fn new(settings: &[AgentMcp]) -> Self {
        let servers = settings.iter().map(|settings| Server {
            settings: settings.clone(),
            state: Mutex::default(),
        });
        Self(Arc::new(servers.collect()))
    }

    /// The tools of all servers that answer.
    pub(crate) async fn tools(&self) -> Vec<Arc<dyn Tool>> {
        let asked = self.0.iter().map(Server::tools);
        let all = futures::future::join_all(asked).await;
        all.into_iter().flatten().collect()
    }
}

impl Server {
    async fn tools(&self) -> Vec<Arc<dyn Tool>> {
        let mut state = self.state.lock().await;
        let is_up = state.running.as_ref().is_some_and(|one| !one.is_closed());
        let age = state.asked.map(|asked| asked.elapsed());
        if age.is_some_and(|age| age < if is_up { FRESH } else { PAUSE }) {
            return state.tools.clone();
        }
        let name = &self.settings.name;
        let listed = tokio::time::timeout(PATIENCE, self.list(&mut state, is_up)).await;
        state.asked = Some(Instant::now());
        match listed {
            Ok(Ok(tools)) => state.tools = tools,
            Ok(Err(message)) => {
                tracing::warn!(server = name, message, "an MCP server is not used");
                state.tools.clear();
                state.running = None;
            }
            Err(_) => {
                tracing::warn!(server = name, "an MCP server does not answer");
                state.tools.clear();
                state.running = None;
            }
        }
        state.tools.clone()
    }

    async fn list(&self, state: &mut State, is_up: bool) -> Result<Vec<Arc<dyn Tool>>, String> {
        if !is_up {
            state.running = Some(self.connect().await?);
        }
        let Some(running) = &state.running else {
            return Ok(Vec::new());
        };
        let listed = running.list_all_tools().await;
        let listed = listed.map_err(|error| error.to_string())?;
        let peer = running.peer().clone();
        let chosen = &self.settings.tools;
        let tools = listed
            .into_iter()
            .filter(|tool| chosen.is_empty() || chosen.contains(&*tool.name));
        let tools = tools.filter_map(|tool| self.tool(&tool, &peer));
        Ok(tools.take(MAX_TOOLS).collect())
    }

    async fn connect(&self) -> Result<RunningService<RoleClient, ()>, String> {
        let settings = &self.settings;
        let variable = |name: &String| std::env::var(name).ok().filter(|value| !value.is_empty());
        let running = match (settings.command.split_first(), &settings.url) {
            (Some((program, arguments)), _) => {
                let mut command = tokio::process::Command::new(program);
                // It must not see the keys of providers.
                command.args(arguments).env_clear();
                let passed = ["PATH", "HOME", "LANG", "TMPDIR", "SYSTEMROOT"].map(str::to_owned);
                for name in passed.iter().chain(&settings.pass_env) {
                    if let Some(value) = variable(name) {
                        command.env(name, value);
                    }
                }
                let (transport, _) = TokioChildProcess::builder(command)
                    .stderr(Stdio::null())
                    .spawn()
                    .map_err(|error| format!("`{program}` cannot be started: {error}"))?;
                ().serve(transport).await
            }
            (None, Some(url)) => {
                let mut config = StreamableHttpClientTransportConfig::with_uri(url.clone())
                    .max_sse_event_size(MAX_MESSAGE_BYTES)
                    .max_json_response_size(MAX_MESSAGE_BYTES);
                if let Some(key) = settings.key_env.as_ref().and_then(variable) {
                    config = config.auth_header(key);
                }
                let client = reqwest::Client::builder()
                    // A redirect would send the key elsewhere.
                    .redirect(reqwest::redirect::Policy::none())
                    .build()
                    .map_err(|error| error.to_string())?;
                let transport = StreamableHttpClientTransport::with_client(client, config);
                ().serve(transport).await
            }
            (None, None) => return Err("it has neither `command` nor `url`".to_owned()),
        };
        running.map_err(|error| error.to_string())
    }

    fn tool(&self, listed: &rmcp::model::Tool, peer: &Peer<RoleClient>) -> Option<Arc<dyn Tool>> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        let tail: String = listed
            .name
            .chars()
            .map(|c| if is_plain(c) { c } else { '_' })
            .collect();
        let name = format!("{}__{tail}", self.settings.name);
        let parameters = Value::Object((*listed.input_schema).clone());
        if name.len() > MAX_NAME_BYTES || parameters.to_string().len() > MAX_SCHEMA_BYTES {
            tracing::warn!(
                name,
                "a tool of an MCP server has too long a name or schema"
            );
            return None;
        }
        let said = listed.description.as_deref().unwrap_or_default();
        let end = said.floor_char_boundary(MAX_DESCRIPTION_BYTES.min(said.len()));
        Some(Arc::new(McpTool {
            spec: ToolSpec {
                name,
                description: format!("{} (of {})", &said[..end], self.settings.name),
                parameters,
                cost: CostClass::Network,
                scopes: &[Scope::Tools],
            },
            server: self.settings.name.clone(),
            labels: self.settings.labels.clone(),
            name: listed.name.to_string(),
            peer: peer.clone(),
        }))
    }
}

struct McpTool {
    spec: ToolSpec,
    server: String,
    labels: BTreeSet<String>,
    /// The server's own name for it.
    name: String,
    peer: Peer<RoleClient>,
}

#[async_trait]
impl Tool for McpTool {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn is_open_to(&self, context: &ToolContext) -> bool {
        self.spec.is_open_to(&context.caller) && context.may_use(&self.labels)
    }

    async fn run(&self, given: Value, context: &ToolContext) -> Result<ToolOutput, ToolError> {
        if !context.may_use(&self.labels) {
            return Err(ToolError::not_found(format!(
                "there is no tool `{}`",
                self.spec.name
            )));
        }
        let mut params = CallToolRequestParams::new(self.name.clone());
        if let Value::Object(fields) = given {
            params.arguments = Some(fields);
        }
        let result = self.peer.call_tool_once(params).await;
        let result =
            result.map_err(|error| ToolError::failed(format!("{}: {error}", self.server)))?;
        let rmcp::model::CallToolResponse::Complete(result) = result else {
            let message = format!(
                "{} wants something of a person; that is not supported",
                self.name
            );
            return Err(ToolError::failed(message));
        };
        let mut text: String = result
            .content
            .iter()
            .map(shown)
            .collect::<Vec<_>>()
            .join("\n");
        if text.trim().is_empty()
            && let Some(structured) = &result.structured_content
        {
            text = structured.to_string();
        }
        text.truncate(text.floor_char_boundary(MAX_RESULT_BYTES.min(text.len())));
        if result.is_error == Some(true) {
            return Err(ToolError::failed(text));
        }
        let summary = format!("{} bytes from {}", text.len(), self.server);
        let uri = format!("mcp:{}/{}", self.server, self.name);
        let title = format!("{} of {}", self.name, self.server);
        Ok(ToolOutput::evidence(summary, uri, title, text))
    }
}

/// A block of a result as text.
fn shown(block: &ContentBlock) -> String {
    match block {
        ContentBlock::Text(text) => text.text.clone(),
        ContentBlock::Resource(resource) => match &resource.resource {
            ResourceContents::TextResourceContents { text, .. } => text.clone(),
            _ => "(a file that is not text)".to_owned(),
        },
        ContentBlock::ResourceLink(link) => format!("{} ({})", link.name, link.uri),
        _ => "(not text)".to_owned(),
    }
}
