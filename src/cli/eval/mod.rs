//! `cairn eval`: how good retrieval and answers are, on public datasets or on
//! questions of one's own, as the product itself indexes and searches.
//!
//! `init` drafts questions by rules, `run` measures, `compare` judges two runs by each other,
//! `judge` a TREC run of any tool. A `subject` is what
//! is measured: questions and the collection that they are asked of.

mod ablate;
mod answers;
mod beir;
mod compare;
mod excerpts;
mod feedback;
mod init;
mod judge;
mod memory;
mod replay;
mod run;
mod scores;
mod subject;
mod table;
mod trec;
mod tune;
mod variant;

use super::Outcome;
use super::context::Context;
use crate::ingest::judging::{library, retriever};

/// What to do.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    run: run::Args,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Draft questions.jsonl from the documents of the collection
    Init(init::Args),
    /// Compare two evaluations question by question
    Compare(compare::Args),
    /// Score a TREC run of any tool, as trec_eval does
    Judge(trec::Args),
}

/// Measures, unless a subcommand says otherwise.
pub(super) fn run(context: &Context, args: &Args) -> anyhow::Result<Outcome> {
    match &args.action {
        None => run::run(context, &args.run),
        Some(Action::Init(args)) => init::run(context, args),
        Some(Action::Compare(args)) => compare::run(context, args),
        Some(Action::Judge(args)) => trec::run(context, args),
    }
}
