//! Answers from what was gathered by other means than one search: by an agent's tools.

use std::time::Instant;

use cairn_models::Cancel;
use tokio::sync::mpsc;

use super::events::AnswerEvent;
use super::opening::Opening;
use super::refusal::answerability;
use super::request::{AnswerRequest, Failure};
use super::run::{AnswerRun, send};
use super::stream::{Parts, refuse};
use crate::retrieve::SearchResponse;
use cairn_gateway::{AnswerBackend, Usage};

/// What an answer is to be written from.
#[derive(Clone, Debug)]
pub struct Gathered {
    /// The passages, in the order of their numbers from 1, and what is to be said of how
    /// they were found.
    pub found: SearchResponse,
    /// An answer that a model has written while it gathered.
    pub draft: Option<Draft>,
    /// Tokens and money of the gathering.
    pub usage: Usage,
}

/// An answer that a model has written already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The text, with `[n]` marks for the passages.
    pub text: String,
    /// Who wrote it.
    pub provider: String,
    /// The model that wrote it, as the provider says.
    pub model: String,
}

impl Parts {
    pub(super) async fn run_gathered(
        self: &std::sync::Arc<Self>,
        request: &AnswerRequest,
        gathered: Gathered,
        cancel: &Cancel,
        out: &mpsc::Sender<AnswerEvent>,
    ) -> Result<(), Failure> {
        let Gathered {
            found,
            draft,
            usage,
        } = gathered;
        let start = Instant::now();
        let (writer, note) = self.writer(request)?;
        send(out, AnswerEvent::Sources(found.clone())).await;
        let mut run = AnswerRun::new(&found, start, out.clone());
        run.usage = usage;
        run.degraded.extend(note);
        let question = &request.search.query;
        if found.sources.is_empty() {
            refuse(run, request, &found).await;
            return Ok(());
        }
        // What tools were called for is evidence, however little it looks like the question:
        // this is said of the answer and refuses nothing.
        let choice = self
            .choose(question, &found, request, cancel, &mut run)
            .await?;
        run.answerability = answerability(&choice.signals);
        if let Some(draft) = draft
            && matches!(writer, AnswerBackend::Model(_))
        {
            match self.show_draft(&draft, request, &found, &mut run).await? {
                Shown::Text(grounded) => run.done("stop", false, grounded).await,
                Shown::NoAnswer => refuse(run, request, &found).await,
            }
            return Ok(());
        }
        self.write_or_quote(&writer, request, question, &found, &choice, cancel, run)
            .await
    }

    /// Sends a draft through the check of its citations.
    async fn show_draft(
        self: &std::sync::Arc<Self>,
        draft: &Draft,
        request: &AnswerRequest,
        found: &SearchResponse,
        run: &mut AnswerRun,
    ) -> Result<Shown, Failure> {
        let mut opening = Opening::default();
        let mut text = opening.push(&draft.text).unwrap_or_default();
        text.push_str(&opening.finish().unwrap_or_default());
        run.written_by(&draft.provider, &draft.model);
        if opening.refused() {
            return Ok(Shown::NoAnswer);
        }
        run.write(&text).await;
        run.close().await;
        let question = &request.search.query;
        let evidence = self.evidence(found).await?;
        let grounded = self.is_grounded(run, question, evidence).await?;
        Ok(Shown::Text(grounded))
    }
}

/// What became of a draft.
enum Shown {
    /// It was shown; whether each of its sentences rests on a source.
    Text(bool),
    /// It says that the sources hold no answer; nothing was shown.
    NoAnswer,
}
