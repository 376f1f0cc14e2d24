//! The queue from outside: what every implementation must do, and what this one does under
//! damage.

mod conformance;
mod kill;
mod notify;
mod peer;
mod processes;
mod property;
