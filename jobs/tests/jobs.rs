//! The queue from outside: what every implementation must do, and what each does under
//! damage.

mod conformance;
mod kill;
mod nats;
mod notify;
mod peer;
mod processes;
mod property;
