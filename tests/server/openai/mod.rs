//! OpenAI's surface over the documents, with the official clients for Python and Node.

mod chat;
mod cost;
mod responses;
mod stores;

use std::path::PathBuf;
use std::sync::Arc;

use axum::http::StatusCode;
use cairn_gateway::accounts::Scope;
use serde_json::json;

use crate::peers;
use crate::server::keys::Closed;
use crate::server::{GUIDE, Scripted};

/// A service with the guide, whose model answers with these pieces, and a key that may ask.
async fn served(answer: &[&str]) -> (Closed, String) {
    let closed = Closed::with(Arc::new(Scripted::new(answer)), |_| {});
    let guide = json!({"uri": "guide.md", "title": "Guide", "text": GUIDE});
    let stored = closed.post(&closed.admin, "/documents", &guide).await;
    assert_eq!(stored.status, StatusCode::CREATED, "{}", stored.text());
    let key = closed.key(&[], &[Scope::Query]).await;
    (closed, key)
}

/// A Python with the official client; `None` if it may be missing and is.
async fn with_openai() -> Option<PathBuf> {
    let python = || peers::python("openai", &["openai==3.57.0"], "import openai");
    tokio::task::spawn_blocking(python).await.unwrap()
}

/// The official client for Node.
const NODE: &str = "openai@6.49.0";

/// A folder from which Node finds the official client; `None` if it may be missing and is.
async fn node_modules() -> Option<PathBuf> {
    let folder = || peers::node_modules(NODE);
    tokio::task::spawn_blocking(folder).await.unwrap()
}
