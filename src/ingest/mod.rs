//! Ingestion as durable jobs: what can be asked for, and the workers that do it.
//!
//! A [`kinds::Kind`] checks what a client asks for before it is accepted, and does the work
//! later. [`submit`] puts accepted work into the queue; [`worker::Worker`] takes it out. Single
//! documents, of jobs and of requests, reach their collection through [`writer::Writes`].
//! This room knows documents and nothing of HTTP; the queue (`cairn-jobs`) knows neither.

pub(crate) mod batches;
pub(crate) mod bounds;
mod bucket;
pub(crate) mod fetch;
mod git;
pub(crate) mod judging;
pub(crate) mod kinds;
mod liveness;
mod mirror;
pub(crate) mod notify;
mod payload;
mod refusal;
mod report;
pub(crate) mod schedules;
pub(crate) mod setup;
mod sitemap;
pub(crate) mod spool;
mod store;
mod submit;
pub(crate) mod task;
pub(crate) mod upload;
pub(crate) mod uploads;
pub(crate) mod worker;
pub(crate) mod writer;

pub(crate) use payload::Payload;
pub(crate) use refusal::{Refusal, Why};
pub(crate) use submit::{Asker, Request, new_job};
