//! One call: admitted, looked up in the cache, joined to an equal one under way,
//! or run; and settled, however it ends.
//!
//! To run is to ask the targets of a plan in order, each with its attempts, until
//! one begins to write; then to pass on what it writes, under the deadlines.
//! Before the first text a failure is invisible: it costs time and is told in
//! the notes of the last event. After it the stream ends with an error that
//! says how far it got.

mod attempt;
mod backoff;
mod begin;
mod bounds;
pub(crate) mod estimate;
mod flight;
mod metering;
mod relay;
mod replay;
mod run;
mod thinking;
mod written;

use super::accounts::{Accounts, CallIds, Caller, RateHeaders};
use super::cache::Cache;

pub(super) use flight::Flights;
pub(super) use run::run;
pub(super) use thinking::apart as without_reasoning;

/// What a call is made for.
#[derive(Clone, Debug)]
pub struct Call {
    /// The caller, who pays for it.
    pub caller: Caller,
    /// The `x-request-id` of the request that it belongs to. Calls with the same
    /// id draw the same target among weighted ones; without one each is drawn
    /// again.
    pub request_id: String,
    /// Told the ids under which the ledger has what is done for this call.
    pub ids: CallIds,
    /// When an earlier answer will do.
    pub reuse: Reuse,
    /// Told, before the first event, how the limits of the caller's key stand.
    pub limits: Option<LimitsCell>,
}

/// Where [`Call::limits`] are written.
pub type LimitsCell = std::sync::Arc<std::sync::OnceLock<RateHeaders>>;

impl Default for Call {
    fn default() -> Self {
        Self {
            caller: Caller::anonymous(),
            request_id: String::new(),
            ids: CallIds::default(),
            reuse: Reuse::default(),
            limits: None,
        }
    }
}

/// When an earlier answer will do. By default: when every message is the same,
/// and the same caller's labels, route, targets and parameters.
#[derive(Clone, Debug, Default)]
pub struct Reuse {
    /// Never, not even for the next one.
    pub never: bool,
    /// Collection and generation that the messages were made from: an answer
    /// ends with them.
    pub sources: Option<(String, u64)>,
    /// What is asked, where the messages hold something random.
    pub basis: Option<Basis>,
}

/// What stands for messages that are never twice the same.
#[derive(Clone, Debug)]
pub struct Basis {
    /// The question; one of the same meaning may stand for it where the route
    /// allows that.
    pub question: String,
    /// Everything else: must be equal.
    pub rest: String,
}

/// What every call goes through.
#[derive(Clone)]
pub(super) struct CallContext {
    pub(super) accounts: Accounts,
    pub(super) cache: Option<Cache>,
    pub(super) flights: Flights,
}
