//! One file for each group of routes: read the request, call the room that does
//! the work, shape the response.

pub(super) mod agent;
pub(super) mod batches;
pub(super) mod chat;
pub(super) mod collections;
pub(super) mod deletion;
pub(super) mod dify;
pub(super) mod documents;
pub(super) mod embeddings;
pub(super) mod feedback;
pub(super) mod follow;
pub(super) mod health;
pub(super) mod inference;
pub(super) mod jobs;
pub(super) mod metrics;
pub(super) mod models;
pub(super) mod openai;
pub(super) mod openapi;
pub(super) mod query;
pub(super) mod rerank;
pub(super) mod schedules;
pub(super) mod search;
pub(super) mod ui;
pub(super) mod usage;
pub(super) mod webhooks;
