//! OpenAI's surface over the documents, with the official clients for Python and Node.

mod chat;
mod responses;
mod stores;

use std::path::PathBuf;

use crate::peers;

/// A Python with the official client; `None` if it may be missing and is.
async fn with_openai() -> Option<PathBuf> {
    let python = || peers::python("openai", &["openai==3.57.0"], "import openai");
    tokio::task::spawn_blocking(python).await.unwrap()
}

/// A folder from which Node finds the official client; `None` if it may be missing and is.
async fn node_modules() -> Option<PathBuf> {
    let folder = || peers::node("openai@6.49.0");
    tokio::task::spawn_blocking(folder).await.unwrap()
}
