//! The connections of the service: how many there are, how long each may be idle or
//! slow, and which one goes when there are too many.
//!
//! `axum::serve` sets none of these bounds. Here every connection keeps a few times
//! ([`activity`]), one task looks at all of them several times in a second
//! ([`registry`]), and [`accept`] serves them through hyper, over [`tls`] if there is a
//! certificate.

pub(super) mod accept;
mod activity;
mod registry;
pub(super) mod tls;
mod watched;

pub(super) use registry::{Connection, Working};
