//! What every part of the service is given, and what an operator sees of it: one
//! configuration, resolved once; logs, metrics and traces; the redactor that masks text
//! before it reaches any of them; and folders and files that are their owner's alone.

pub mod config;
pub mod private;
pub mod telemetry;
