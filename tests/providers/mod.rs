//! Language models over real HTTP: the wire formats, and endpoints that are
//! slow, silent, cut, garbled, refusing or endless.

mod budgets;
mod cache;
mod conformance;
mod failures;
mod formats;
mod load;
mod real_server;
mod routing;
pub(crate) mod scripted;
mod tls;
mod tolerance;
