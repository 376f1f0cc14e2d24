//! `cairn worker`: works on the jobs of a data folder, without serving anything.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::context::Context;
use super::loading::{self, Models, Wanted};
use super::{Outcome, interrupt, serve};
use crate::ingest::batches::Chats;
use crate::ingest::worker::Worker;
use crate::ingest::{notify, setup};
use crate::server::answering_chats;
use cairn_gateway::accounts::Accounts;
use cairn_gateway::batch::Batches;

/// How long jobs may take to end after a signal before they are given back.
const DRAIN: Duration = Duration::from_secs(10);

/// Works until a signal.
pub(super) fn run(context: &Context) -> anyhow::Result<Outcome> {
    let runtime = serve::runtime()?;
    let stop = CancellationToken::new();
    let (token, quiet) = (stop.clone(), context.quiet);
    interrupt::on_interrupt(move || {
        if !quiet {
            super::progress::line("Stopping: jobs may end; press Ctrl-C again to abort");
        }
        token.cancel();
    })?;
    let wanted = Wanted {
        embedder: true,
        reranker: false,
    };
    let engine = loading::engine(context, wanted)?;
    let parser = Models::new(context)?.parser()?;
    let config = &context.config;
    let fetcher = setup::fetcher(config)?;
    let writes = setup::writes(config, engine.clone());
    let accounts = Accounts::open(config)?;
    let mut gateway = None;
    if !config.providers.is_empty() {
        let opened = loading::caching_gateway(context, &engine, true, accounts.clone())?;
        gateway = Some(Arc::new(opened));
    }
    let (of_tools, fetch) = (accounts.clone(), fetcher.clone());
    let mut tools = setup::tools(config, engine, writes, parser, fetch, of_tools);
    if let Some(gateway) = &gateway {
        let batches = Batches::open(&config.storage.data_dir)?;
        let answer = answering_chats(Arc::clone(gateway));
        tools.chats = Some(Chats::new(&config.batches, batches, answer));
    }
    runtime.block_on(async {
        let jobs = setup::open(config).await?;
        let worker = Worker::new(jobs.queue, tools, config.jobs.clone())?;
        let told = tokio::spawn(notify::run(jobs.webhooks, fetcher));
        context.say("Working on jobs until Ctrl-C.");
        worker.run(stop, DRAIN).await;
        told.abort();
        anyhow::Ok(())
    })?;
    accounts.flush();
    if let Some(gateway) = gateway {
        gateway.flush();
    }
    Ok(Outcome::Done)
}
