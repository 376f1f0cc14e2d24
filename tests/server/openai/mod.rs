//! OpenAI's surface over the documents, with the official clients for Python and Node.

mod chat;
mod cost;
mod responses;
mod stores;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::http::StatusCode;
use cairn_gateway::accounts::Scope;
use serde_json::json;
use tokio::sync::Mutex;

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
    static TURN: Mutex<()> = Mutex::const_new(());
    let _turn = TURN.lock().await;
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("node-{NODE}"));
    if folder.join("node_modules/openai/package.json").is_file() {
        return Some(folder);
    }
    if !peers::are_required() {
        println!("skipped: Node lacks {NODE}; CAIRN_PEERS=require installs it");
        return None;
    }
    std::fs::create_dir_all(&folder).unwrap();
    let prefix = folder.to_str().unwrap().to_owned();
    let install = move || {
        let quiet = ["--silent", "--no-audit", "--no-fund", "--ignore-scripts"];
        let install = [&["install", "--prefix", &prefix], &quiet[..], &[NODE]].concat();
        peers::run(Path::new("npm"), &install)
    };
    let installed = tokio::task::spawn_blocking(install).await.unwrap();
    assert!(installed, "npm does not install {NODE}");
    Some(folder)
}
