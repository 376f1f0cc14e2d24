//! What every part of the service is given, and what an operator sees of it: one
//! configuration, resolved once; logs, metrics and traces; and the redactor that masks
//! text before it reaches any of them.

pub mod config;
pub mod telemetry;
