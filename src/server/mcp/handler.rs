//! What a client asks and gets: lists, calls, resources. The work is in the other files of this folder.

use std::sync::Arc;

use cairn_models::CancelOnDrop;
use rmcp::handler::server::ServerHandler;
use rmcp::model::{
    CacheScope, CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock,
    Implementation, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
    ReadResourceRequestParams, ReadResourceResponse, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{ask, documents};
use crate::server::auth;
use crate::server::error::{ApiError, Code};
use crate::server::state::Service;
use cairn_gateway::accounts::{Caller, Scope};

/// Every tool.
const TOOLS: [&str; 3] = ["search", "fetch", "ask"];

/// How long lists may be kept by the client of one key.
const FRESH_MS: u64 = 60_000;

const INSTRUCTIONS: &str = "Search over a collection of documents. `search` finds passages and \
    `fetch` reads around one; `ask` answers a question from them, with checked citations.";

/// One client.
#[derive(Clone)]
pub(super) struct Handler {
    service: Arc<Service>,
    /// The caller, if requests do not say.
    caller: Option<Caller>,
}

/// One request on its way.
pub(super) struct Asked {
    pub(super) service: Arc<Service>,
    pub(super) caller: Caller,
    pub(super) cancel: CancelOnDrop,
}

impl Asked {
    /// Checks that the caller may do this.
    pub(super) fn require(&self, scope: Scope) -> Result<(), ApiError> {
        auth::require(&self.caller, scope)
    }
}

impl Handler {
    pub(super) fn new(service: Arc<Service>, caller: Option<Caller>) -> Self {
        Self { service, caller }
    }

    fn asked(&self, context: &RequestContext<RoleServer>) -> Result<Asked, ErrorData> {
        let parts = context.extensions.get::<axum::http::request::Parts>();
        let caller = parts.and_then(|parts| parts.extensions.get::<Caller>());
        let caller = caller.or(self.caller.as_ref()).cloned();
        Ok(Asked {
            service: Arc::clone(&self.service),
            // The guard in front of the route has put it there.
            caller: caller
                .ok_or_else(|| ErrorData::internal_error("the request has no caller", None))?,
            cancel: CancelOnDrop::default(),
        })
    }
}

/// The arguments of a call as a tool's own type, whose unknown fields are refused.
fn arguments<T: DeserializeOwned>(given: Option<Map<String, Value>>) -> Result<T, ApiError> {
    let given = Value::Object(given.unwrap_or_default());
    serde_path_to_error::deserialize(given).map_err(|error| {
        let path = error.path().to_string();
        ApiError::invalid(&path, format!("wrong arguments: {}", error.into_inner()))
    })
}

/// A tool, whose result has the shape `R`.
fn tool<A: JsonSchema, R: JsonSchema>(name: &'static str, description: &'static str) -> Tool {
    let mut tool = Tool::new(name, description, schema::<A>());
    tool.output_schema = Some(Arc::new(schema::<R>()));
    tool
}

fn schema<T: JsonSchema>() -> Map<String, Value> {
    let mut schema = schemars::schema_for!(T).to_value();
    match &mut schema {
        Value::Object(fields) => {
            for name in ["$schema", "title", "description"] {
                fields.remove(name);
            }
            std::mem::take(fields)
        }
        _ => Map::new(),
    }
}

impl ServerHandler for Handler {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_resources()
            .build();
        let mut implementation = Implementation::new("cairn", env!("CARGO_PKG_VERSION"));
        implementation.title = Some("Cairn".into());
        ServerConfig::new(capabilities)
            .with_server_info(implementation)
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let scopes = self.asked(&context)?.caller.scopes().clone();
        let mut tools = Vec::new();
        if scopes.allow(Scope::Search) {
            tools.push(tool::<documents::SearchArgs, documents::Found>(
                "search",
                documents::SEARCH,
            ));
            tools.push(tool::<documents::FetchArgs, documents::Fetched>(
                "fetch",
                documents::FETCH,
            ));
        }
        if scopes.allow(Scope::Query) {
            tools.push(tool::<ask::AskArgs, ask::Reply>("ask", ask::ASK));
        }
        Ok(ListToolsResult::with_all_items(tools)
            .with_ttl_ms(FRESH_MS)
            .with_cache_scope(CacheScope::Private))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let asked = self.asked(&context)?;
        let given = request.arguments;
        if !TOOLS.contains(&&*request.name) {
            let name: String = request.name.chars().take(80).collect();
            // An error of the protocol, by its specification ("Error Handling" of tools).
            let message = format!("Unknown tool: {name}; there are {}", TOOLS.join(", "));
            return Err(ErrorData::invalid_params(message, None));
        }
        let work = async {
            match &*request.name {
                "search" => documents::search(&asked, arguments(given)?).await,
                "fetch" => documents::fetch(&asked, arguments(given)?).await,
                _ => ask::ask(&asked, arguments(given)?).await,
            }
        };
        let result = tokio::select! {
            result = work => result,
            () = context.ct.cancelled() => Err(ApiError::new(Code::Cancelled, "the call was cancelled")),
        };
        // What went wrong is for the model, which sees results and not errors of the protocol.
        Ok(match result {
            Ok(value) => CallToolResult::structured(value),
            Err(error) => CallToolResult::error(vec![ContentBlock::text(error.message)]),
        }
        .into())
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let asked = self.asked(&context)?;
        let cursor = request.and_then(|request| request.cursor);
        let (resources, next) = documents::list(&asked, cursor.as_deref())
            .await
            .map_err(wrong)?;
        let mut result = ListResourcesResult::with_all_items(resources)
            .with_ttl_ms(FRESH_MS)
            .with_cache_scope(CacheScope::Private);
        result.next_cursor = next;
        Ok(result)
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let asked = self.asked(&context)?;
        let read = documents::read(&asked, &request.uri).await.map_err(wrong)?;
        Ok(read
            .with_ttl_ms(FRESH_MS)
            .with_cache_scope(CacheScope::Private)
            .into())
    }
}

/// An error of a list or a resource, which has no result to say it in.
fn wrong(error: ApiError) -> ErrorData {
    match error.code {
        Code::InvalidRequest => ErrorData::invalid_params(error.message, None),
        Code::NotFound => ErrorData::resource_not_found(error.message, None),
        _ => ErrorData::internal_error(error.message, None),
    }
}
