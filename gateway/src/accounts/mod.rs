//! Callers: what they may take, and what it costs.
//!
//! [`Accounts::admit`] stands in front of every call to a model: it checks the
//! limits of the caller's key against an estimate and returns a
//! [`Reservation`], which is settled with a [`CallRecord`] when the call ends.
//! A reservation that is dropped books what is known until then, so a stream
//! that breaks is paid for too.
//!
//! Keys and the ledger are in `gateway.sqlite` in the data folder; that keys are
//! required is noted alongside it (`required`). [`Keys`]
//! changes keys, also while a service runs; [`usage`] reads the ledger.

mod answers;
mod backup;
mod buckets;
mod call;
mod caller;
mod clock;
pub(crate) mod database;
mod error;
pub mod feedback;
mod headers;
mod keys;
mod ledger;
mod limits;
mod money;
mod prices;
mod required;
mod reservation;
mod sample;
mod secret_key;
mod service;
mod table;
#[cfg(test)]
mod tests;
mod trace;
mod trust;
pub mod usage;

pub use answers::{AnswerOutcome, AnswerRecord};
pub use backup::back_up;
pub use call::{CacheUse, CallIds, CallInfo, CallRecord, Estimate, Outcome};
pub use caller::{Caller, EVERY_LABEL, KeyId, Scope, Scopes};
pub use error::{AccountsError, AuthError, LimitError, LimitKind};
pub use headers::{Rate, RateHeaders};
pub use keys::{KeyInfo, Keys, KeysState, NewKey};
pub use required::{fault_of_note, require_keys};
pub use reservation::Reservation;
pub use secret_key::{PREFIX as KEY_PREFIX, SecretKey};
pub use service::Accounts;
