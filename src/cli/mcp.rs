//! `cairn mcp`: the documents for a program that speaks the Model Context Protocol, on
//! standard input and output.

use super::context::Context;
use super::{Outcome, loading, serve};
use crate::server::{self, Service};
use cairn_gateway::accounts::Accounts;

/// Serves until standard input closes. Nothing but the protocol goes to standard output.
pub(super) fn run(context: &Context) -> anyhow::Result<Outcome> {
    let runtime = serve::runtime()?;
    let accounts = Accounts::open(&context.config)?;
    let service = Service::starting(context.config.clone(), accounts);
    // Whoever may start this process may read the data folder.
    let entered = runtime.enter();
    loading::start(context, &service)?;
    drop(entered);
    let result = runtime.block_on(server::serve_stdio(std::sync::Arc::clone(&service)));
    service.accounts().flush();
    result.map(|()| Outcome::Done)
}
