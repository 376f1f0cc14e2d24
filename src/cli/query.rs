//! `cairn query`: the answer as it is written, its sources below.

use std::collections::BTreeSet;

use anyhow::Context as _;
use cairn_models::Cancel;
use futures::StreamExt as _;

use super::args::SearchArgs;
use super::context::Context;
use super::failure::Advised;
use super::loading::{self, Wanted};
use super::output::{self, printable};
use super::search::{heading, timings};
use super::{Outcome, interrupt};
use crate::server::tools;
use cairn_engine::answer::{AnswerEvent, AnswerRequest, Answered, Done, Step};
use cairn_engine::retrieve::{SearchRequest, SearchResponse, Source};
use cairn_settings::config::{AgentMode, Mode};

/// What to ask.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The question
    #[arg(required = true, num_args = 1.., value_name = "QUESTION")]
    words: Vec<String>,
    /// Number of passages to answer from [default: `retrieval.top_k`, 8 unless you change it]
    #[arg(short = 'k', long, value_name = "N",
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=100))]
    top_k: Option<usize>,
    /// Answer with quotations, without a language model
    #[arg(long, conflicts_with = "model")]
    extractive: bool,
    /// Answer in several steps, in which a language model calls tools: auto, react, plan or off
    /// [default: `agent.default`; --agent alone means auto]
    #[arg(long, value_name = "MODE", num_args = 0..=1, default_missing_value = "auto",
        require_equals = true, value_parser = agent_mode)]
    agent: Option<AgentMode>,
    /// Provider, route or model that writes the answer [default: `answer.provider`]
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    #[command(flatten)]
    search: SearchArgs,
}

/// Asks, and prints while the answer comes.
pub(super) fn run(context: &Context, args: &Args) -> anyhow::Result<Outcome> {
    let search = SearchRequest {
        top_k: args.top_k.unwrap_or(context.config.retrieval.top_k),
        ..args.search.request(context, args.words.join(" "))
    };
    let wanted = Wanted {
        embedder: search.mode != Mode::Lexical,
        reranker: search.rerank,
    };
    let engine = loading::engine(context, wanted)?;
    let search = engine.prepare_blocking(search)?;
    let local = !args.extractive && loading::writes_locally(context, args.model.as_deref());
    // Only calls to models have anything to book.
    let asks = local || !(args.extractive || context.config.providers.is_empty());
    let accounts = loading::accounts(context, asks)?;
    let answerer = loading::caching_answerer(context, engine.clone(), local, accounts.clone())?;
    let agent = tools::agent(&context.config, &engine, &answerer);
    let mut request = AnswerRequest::new(search);
    request.generate = !args.extractive;
    request.model.clone_from(&args.model);
    let cancel = Cancel::default();
    let token = cancel.clone();
    interrupt::on_interrupt(move || token.cancel())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let events = agent.answer(request, args.agent, cancel);
    let result = runtime.block_on(print(context, events));
    // A model that is in the middle of a token must not hold the prompt back.
    runtime.shutdown_background();
    accounts.flush();
    answerer.gateway().flush();
    result
}

async fn print(
    context: &Context,
    events: impl futures::Stream<Item = AnswerEvent>,
) -> anyhow::Result<Outcome> {
    let mut events = std::pin::pin!(events);
    let mut found: Option<SearchResponse> = None;
    let mut steps = Vec::new();
    let mut written = false;
    while let Some(event) = events.next().await {
        match event {
            AnswerEvent::Step(step) => {
                context.say(step_line(&step));
                steps.push(*step);
            }
            AnswerEvent::InputRequired(required) => {
                let tools: Vec<&str> = required.calls.iter().map(|call| &*call.tool).collect();
                let message = format!("a person must allow the agent to call {}", tools.join(", "));
                let hint = "ask the service with POST /query, which waits for a decision, or take the \
                            tool out of agent.approve";
                return Err(Advised::new(message, hint).into());
            }
            AnswerEvent::Sources(response) => {
                if context.verbose > 0 {
                    context.say(timings(&response.timings_ms));
                }
                found = Some(response);
            }
            AnswerEvent::Delta { text } if !context.json => {
                written = true;
                output::piece(&printable(&text))?;
            }
            AnswerEvent::Delta { .. } | AnswerEvent::Citation(_) => {}
            AnswerEvent::Done(done) if context.json => {
                let found = found.context("the answer came before its sources")?;
                let answered = Answered {
                    steps,
                    ..Answered::new(*done, found)
                };
                output::json(&answered)?;
                return Ok(outcome(&answered.done));
            }
            AnswerEvent::Done(done) => {
                if !written {
                    output::piece(&printable(&done.answer))?;
                }
                output::line("")?;
                let sources = found.map(|found| found.sources).unwrap_or_default();
                finish(context, &done, &sources)?;
                return Ok(outcome(&done));
            }
            AnswerEvent::Error {
                message, retryable, ..
            } => {
                if written {
                    output::line("")?;
                }
                let hint = match retryable {
                    true => "try again in a moment, or use --extractive",
                    false => "`cairn query --help` lists the flags",
                };
                return Err(Advised::new(message, hint).into());
            }
        }
    }
    anyhow::bail!("the answer ended without its last event")
}

fn agent_mode(text: &str) -> Result<AgentMode, String> {
    match text {
        "off" => Ok(AgentMode::Off),
        "auto" => Ok(AgentMode::Auto),
        "react" => Ok(AgentMode::React),
        "plan" => Ok(AgentMode::Plan),
        _ => Err("one of auto, react, plan, off".to_owned()),
    }
}

/// What an agent did, on one line.
fn step_line(step: &Step) -> String {
    let arguments = printable(&step.arguments.to_string());
    let mark = if step.ok { "" } else { "failed: " };
    format!(
        "step {}: {} {arguments} -> {mark}{} ({:.0} ms)",
        step.n,
        printable(&step.tool),
        printable(&step.result),
        step.milliseconds
    )
}

fn outcome(done: &Done) -> Outcome {
    match done.finish_reason.as_str() {
        "cancelled" => Outcome::Failed,
        _ => Outcome::Done,
    }
}

/// The sources that the answer cites, or the best ones where it cites none.
fn finish(context: &Context, done: &Done, sources: &[Source]) -> anyhow::Result<()> {
    let cited: BTreeSet<u32> = done.citations.iter().map(|citation| citation.n).collect();
    let shown: Vec<&Source> = match cited.is_empty() {
        true => sources.iter().take(3).collect(),
        false => sources
            .iter()
            .filter(|source| cited.contains(&source.n))
            .collect(),
    };
    if !shown.is_empty() {
        let title = if cited.is_empty() {
            "Closest passages"
        } else {
            "Sources"
        };
        output::line("")?;
        output::line(context.palette.title.apply_to(title).to_string())?;
        for source in shown {
            let uri = format!(
                "  {}:{}-{}",
                printable(&source.uri),
                source.start,
                source.end
            );
            output::line(format!(
                "{}{}",
                heading(context, source),
                context.palette.dim.apply_to(uri)
            ))?;
        }
    }
    if done.finish_reason == "length" {
        context.say("note: the answer was cut at answer.max_tokens");
    }
    if !done.grounded && !done.refused {
        context.say("note: not every sentence rests on a cited source");
    }
    for note in &done.degraded {
        context.say(format!("note: {note}"));
    }
    if context.verbose > 0 {
        context.say(format!(
            "{} ({}): {}",
            done.provider,
            done.model,
            timings(&done.timings_ms)
        ));
    }
    Ok(())
}
