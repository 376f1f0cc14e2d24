//! One integration binary, a module per subject.

mod answers;
mod architecture;
mod cli;
mod providers;
mod server;
