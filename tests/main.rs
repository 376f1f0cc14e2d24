//! One integration binary, a module per subject.

mod accounts;
mod answers;
mod architecture;
mod backup;
mod chunking;
mod cli;
mod command;
mod configuration;
mod corpora;
mod evaluation;
mod findability;
#[cfg(unix)]
mod isolation;
mod peers;
mod proposed;
mod providers;
mod redaction;
mod repair;
mod server;
mod trust;
