//! `cairn search`: ranked passages on stdout.

use cairn_models::Cancel;
use console::Style;

use super::args::SearchArgs;
use super::context::Context;
use super::failure::BadUsage;
use super::loading::{self, Wanted};
use super::output::{self, printable};
use super::snippet;
use super::{Outcome, interrupt};
use cairn_engine::retrieve::{Expand, Ranks, SearchRequest, SearchResponse, Source, Timings};
use cairn_settings::config::Mode;

/// What to search for.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Words or a question
    #[arg(required = true, num_args = 1.., value_name = "WORDS")]
    words: Vec<String>,
    /// Number of passages to show
    #[arg(short = 'k', long, value_name = "N", default_value_t = 10,
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1000))]
    top_k: usize,
    #[command(flatten)]
    search: SearchArgs,
}

/// Searches and prints.
pub(super) fn run(context: &Context, args: &Args) -> anyhow::Result<Outcome> {
    let request = SearchRequest {
        top_k: args.top_k,
        ..args.search.request(context, args.words.join(" "))
    };
    if matches!(request.expand, Expand::Queries | Expand::Hyde) {
        let message = "--expand queries and hyde ask a language model, which only `cairn query` \
                       does; `cairn search` knows --expand hop";
        return Err(BadUsage::new(message).into());
    }
    let engine = loading::engine(
        context,
        Wanted {
            embedder: request.mode != Mode::Lexical,
            reranker: request.rerank,
        },
    )?;
    let cancel = Cancel::default();
    let token = cancel.clone();
    interrupt::on_interrupt(move || token.cancel())?;
    let found = engine.search_blocking(&request, &cancel)?;
    if context.json {
        output::json(&found)?;
    } else {
        print(context, &request.query, &found)?;
    }
    Ok(Outcome::Done)
}

fn print(context: &Context, query: &str, found: &SearchResponse) -> anyhow::Result<()> {
    let palette = &context.palette;
    let words = snippet::content_words(query);
    for (index, source) in found.sources.iter().enumerate() {
        if index > 0 {
            output::line("")?;
        }
        output::line(heading(context, source))?;
        let at = format!(
            "   {}:{}-{}",
            printable(&source.uri),
            source.start,
            source.end
        );
        let at = format!("{at}  score {:.3}", source.score);
        output::line(palette.dim.apply_to(at).to_string())?;
        if context.verbose > 0 {
            output::line(
                palette
                    .dim
                    .apply_to(format!("   {}", ranks(source.ranks)))
                    .to_string(),
            )?;
        }
        for line in source.columns.iter().flat_map(|columns| columns.lines()) {
            let line = format!("   {}", printable(line));
            output::line(palette.dim.apply_to(line).to_string())?;
        }
        for line in snippet::lines(&source.text, &words, &palette.matched) {
            output::line(format!("   {line}"))?;
        }
    }
    if found.sources.is_empty() {
        context.say("nothing was found; try other words, or `cairn doctor` to see what is indexed");
    }
    for note in &found.degraded {
        context.say(format!("note: {note}"));
    }
    if context.verbose > 0 {
        context.say(timings(&found.timings_ms));
    }
    Ok(())
}

/// ` 1 Title › Heading › Sub-heading, page 3`
pub(super) fn heading(context: &Context, source: &Source) -> String {
    let palette = &context.palette;
    let mut path = String::new();
    for part in &source.heading_path {
        path.push_str(" › ");
        path.push_str(&printable(part));
    }
    if let Some(page) = source.page {
        path.push_str(&format!(", page {page}"));
    }
    match source.copies {
        0 => {}
        1 => path.push_str(", and in another place"),
        copies => path.push_str(&format!(", and in {copies} other places")),
    }
    let paint = |style: &Style, text: String| style.apply_to(text).to_string();
    format!(
        "{} {}{}",
        paint(&palette.mark, format!("{:>2}", source.n)),
        paint(&palette.title, printable(&source.title)),
        paint(&palette.dim, path.replace('\n', " ")),
    )
}

fn ranks(ranks: Ranks) -> String {
    let named = [
        ("words", ranks.lexical),
        ("meaning", ranks.dense),
        ("fused", ranks.fused),
        ("re-ranked", ranks.rerank),
    ];
    let shown = named
        .iter()
        .filter_map(|(name, rank)| rank.map(|rank| format!("{name} #{rank}")));
    shown.collect::<Vec<_>>().join(", ")
}

/// `embed 3.1 ms, lexical 0.4 ms, ...`, with the total last.
pub(super) fn timings(timings: &Timings) -> String {
    let mut stages: Vec<_> = timings.iter().collect();
    stages.sort_by_key(|(stage, _)| *stage == "total");
    let shown = stages
        .iter()
        .map(|(stage, ms)| format!("{} {ms:.1} ms", stage.replace('_', " ")));
    shown.collect::<Vec<_>>().join(", ")
}
