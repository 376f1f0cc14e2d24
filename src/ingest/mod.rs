//! Ingestion as durable jobs: what can be asked for, and the workers that do it.
//!
//! A [`kinds::Kind`] checks what a client asks for before it is accepted, and does the work
//! later. [`submit`] puts accepted work into the queue; [`worker::Worker`] takes it out.
//! This room knows documents and nothing of HTTP; the queue (`cairn-jobs`) knows neither.

pub(crate) mod bounds;
pub(crate) mod fetch;
mod git;
pub(crate) mod judging;
pub(crate) mod kinds;
mod liveness;
pub(crate) mod notify;
mod payload;
mod refusal;
mod report;
pub(crate) mod schedules;
pub(crate) mod setup;
mod sitemap;
mod store;
mod submit;
pub(crate) mod task;
pub(crate) mod uploads;
pub(crate) mod worker;

pub(crate) use payload::Payload;
pub(crate) use refusal::{Refusal, Why};
pub(crate) use submit::{Asker, Request, new_job};
