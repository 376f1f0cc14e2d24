//! `cairn eval judge RUN QRELS`: a run of another tool, judged as `trec_eval` does.

use std::path::PathBuf;

use cairn_eval::{Qrels, Run, trec};
use serde_json::json;

use crate::cli::context::Context;
use crate::cli::{Outcome, output};

/// What to judge, and by what.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
RUN is a TREC run (query Q0 document rank score tag). QRELS are judgements in the
format of TREC (query 0 document grade) or BEIR (query, document, grade). Both may be
compressed (.gz). As in trec_eval, documents are sorted by score, a 32-bit float; for
equal scores the larger document ID comes first, and ranks are ignored.

Examples:
  cairn eval judge run.txt qrels.txt
  cairn eval judge run.txt qrels/test.tsv --complete --per-query
  cairn eval judge run.txt qrels.txt --json")]
pub(super) struct Args {
    /// File with the run
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// File with the judgements
    #[arg(value_name = "QRELS")]
    qrels: PathBuf,
    /// Count judged questions that are missing from the run as 0, as trec_eval -c does
    #[arg(long)]
    complete: bool,
    /// Also print the values of every question, as trec_eval -q does
    #[arg(long)]
    per_query: bool,
}

/// Judges and prints.
pub(super) fn run(context: &Context, args: &Args) -> anyhow::Result<Outcome> {
    let qrels = Qrels::read(&args.qrels)?;
    let (run, repeated) = Run::read_counting(&args.run)?;
    let mut judged = trec::judge(&run, &qrels, args.complete);
    if repeated > 0 {
        judged.notes.push(format!(
            "left out as they repeat a document of their question, which counts where it stands \
             best: {repeated} of the run's lines"
        ));
    }
    anyhow::ensure!(
        judged.num_q > 0,
        "{} and {} have no question in common",
        args.run.display(),
        args.qrels.display()
    );
    if context.json {
        let mut value = json!(judged);
        if let Some(fields) = value.as_object_mut() {
            fields.insert("run".into(), json!(args.run));
            fields.insert("qrels".into(), json!(args.qrels));
        }
        output::json(&value)?;
        return Ok(Outcome::Done);
    }
    for note in &judged.notes {
        context.say(format!("note: {note}"));
    }
    output::piece(&text(&judged, args.per_query))?;
    Ok(Outcome::Done)
}

/// In the columns of `trec_eval`.
fn text(judged: &trec::Judged, per_query: bool) -> String {
    let mut text = String::new();
    let mut line = |name: &str, question: &str, value: String| {
        text.push_str(&format!("{name:<22}\t{question}\t{value}\n"));
    };
    let measures = trec::measures();
    for (question, values) in judged.per_query.iter().filter(|_| per_query) {
        for (name, _) in &measures {
            line(name, question, format!("{:.4}", values[name]));
        }
    }
    for (name, count) in [
        ("num_q", judged.num_q),
        ("num_ret", judged.num_ret),
        ("num_rel", judged.num_rel),
        ("num_rel_ret", judged.num_rel_ret),
    ] {
        line(name, "all", count.to_string());
    }
    for (name, _) in &measures {
        line(name, "all", format!("{:.4}", judged.metrics[name]));
    }
    text
}
