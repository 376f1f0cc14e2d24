//! The grammar of the command line. Parsing has no effects: what the flags
//! mean is resolved once, in [`super::context`].

use std::path::PathBuf;

use clap::{ArgAction, Parser, Subcommand, ValueEnum};

use super::context::Context;
use cairn_engine::retrieve::{Expand, SearchRequest};
use cairn_settings::config::Mode;

const EXAMPLES: &str = "\
Examples:
  cairn up                        index this folder, watch it, serve http://127.0.0.1:8620
  cairn index docs/ notes.pdf     index a folder and a file
  cairn query \"how do I ...?\"     answer with numbered sources
  cairn search -k 5 --json error  ranked passages as JSON

Settings come from built-in defaults, then --config FILE or the cairn.toml of the
current folder once you trust it (`cairn trust`), then environment variables such as
CAIRN__SERVER__BIND, then flags; later ones override earlier ones.
Exit codes: 0 success, 1 failure, 2 wrong usage.";

/// Search your documents and get answers that cite their sources.
#[derive(Debug, Parser)]
#[command(name = "cairn", version, after_help = EXAMPLES, propagate_version = true)]
#[command(disable_help_subcommand = true, max_term_width = 100)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// Flags that every command takes.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
pub(super) struct Global {
    /// Data folder [default: .cairn]
    #[arg(long, global = true, value_name = "DIR")]
    pub(super) data_dir: Option<PathBuf>,
    /// Collection to use [default: main]
    #[arg(long, global = true, value_name = "NAME")]
    pub(super) collection: Option<String>,
    /// Configuration file [default: cairn.toml in the current folder, if you trust it]
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Print one JSON document instead of text
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Print more on stderr; repeat for details
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(super) verbose: u8,
    /// Print only errors and warnings on stderr
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(super) quiet: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Index a folder, watch it for changes, and serve the web page and the API
    Up(super::up::Args),
    /// Index files and folders
    Index(super::index::Args),
    /// Serve the web page and the API for the indexed documents
    Serve(super::serve::Args),
    /// Search for passages, without writing an answer
    Search(super::search::Args),
    /// Answer a question and cite numbered sources
    Query(super::query::Args),
    /// Measure the quality and speed of retrieval and answers
    Eval(Box<super::eval::Args>),
    /// List, download, verify and benchmark models
    Models {
        #[command(subcommand)]
        action: super::models::Action,
    },
    /// Count or delete cached answers of language models
    Cache {
        #[command(subcommand)]
        action: super::cache::Action,
    },
    /// Create, list, rotate and revoke API keys
    Keys {
        #[command(subcommand)]
        action: super::keys::Action,
    },
    /// Trust the cairn.toml in this folder until it changes
    Trust(super::trust::Args),
    /// Show the tokens and cost of language models, and statistics of answers
    Usage(super::usage::Args),
    /// List, follow, cancel, retry and schedule background jobs
    Jobs {
        #[command(subcommand)]
        action: super::jobs::Action,
    },
    /// Run background jobs without serving the API
    Worker,
    /// Serve an MCP client on standard input and output
    Mcp,
    /// Check the data folder, collections and models for damage, and repair data
    Doctor(super::doctor::Args),
    /// Back up collections, keys, ledger, jobs and uploaded files, even while a service runs
    Backup(super::backup::BackupArgs),
    /// Restore a backup into an empty data folder
    Restore(super::backup::RestoreArgs),
    /// Print a completion script for a shell
    Completions(super::completions::Args),
    /// Print the manual page (`cairn man | man -l -`)
    Man,
    /// Parse documents for a parent process of Cairn, which starts this command
    #[command(hide = true)]
    ParseWorker(super::parse_worker::Args),
}

impl Command {
    /// Settings that flags of this command override, by their dotted keys.
    pub(super) fn settings(&self) -> Vec<(&'static str, serde_json::Value)> {
        match self {
            Self::Up(args) => args.serve.settings(),
            Self::Serve(args) => args.settings(),
            // Milliseconds are those of passages that were not read before.
            Self::Eval(_) => vec![("retrieval.rerank.cache_mb", 0.into())],
            _ => Vec::new(),
        }
    }
}

/// `--mode` of `search` and `query`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum ModeArg {
    /// Both lexical and dense search, fused
    Hybrid,
    /// Lexical search only (BM25)
    Lexical,
    /// Dense search only (vectors)
    Dense,
}

impl From<ModeArg> for Mode {
    fn from(mode: ModeArg) -> Self {
        match mode {
            ModeArg::Hybrid => Self::Hybrid,
            ModeArg::Lexical => Self::Lexical,
            ModeArg::Dense => Self::Dense,
        }
    }
}

/// `--expand` of `search` and `query`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ExpandArg {
    /// No expansion
    None,
    /// Also documents whose titles the question or the first hits mention
    Hop,
    /// Also questions that a language model splits the question into (`query` only)
    Queries,
    /// Also a hypothetical answer that a language model writes (`query` only)
    Hyde,
}

impl From<ExpandArg> for Expand {
    fn from(expand: ExpandArg) -> Self {
        match expand {
            ExpandArg::None => Self::None,
            ExpandArg::Hop => Self::Hop,
            ExpandArg::Queries => Self::Queries,
            ExpandArg::Hyde => Self::Hyde,
        }
    }
}

/// How to search: the same flags for `search` and `query`.
#[derive(Debug, clap::Args)]
pub(super) struct SearchArgs {
    /// Search mode [default: `retrieval.mode`, hybrid unless you change it]
    #[arg(long, value_enum)]
    pub(super) mode: Option<ModeArg>,
    /// Do not re-rank the best candidates
    #[arg(long)]
    pub(super) no_rerank: bool,
    /// What to search for besides the question [default: none, or hop if `retrieval.hop` is true]
    #[arg(long, value_enum)]
    pub(super) expand: Option<ExpandArg>,
    /// Search only documents whose metadata match, e.g. '{"language": "en"}'
    #[arg(long, value_name = "JSON", value_parser = parse_filter)]
    pub(super) filter: Option<cairn_indexer::Filter>,
}

impl SearchArgs {
    /// The search for `query` in the collection of the configuration.
    pub(super) fn request(&self, context: &Context, query: String) -> SearchRequest {
        let retrieval = &context.config.retrieval;
        SearchRequest {
            mode: self.mode.map_or(retrieval.mode, Into::into),
            rerank: retrieval.rerank.enabled && !self.no_rerank,
            expand: self
                .expand
                .map_or(Expand::default_of(retrieval), Into::into),
            filter: self.filter.clone(),
            ..SearchRequest::default_of(retrieval, query, &context.config.storage.collection)
        }
    }
}

fn parse_filter(text: &str) -> Result<cairn_indexer::Filter, String> {
    let json = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
    cairn_indexer::Filter::parse(&json).map_err(|error| error.message().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_grammar_is_sound() {
        Cli::command().debug_assert();
    }
}
