//! Answers from what an agent's tools gathered instead of one search.

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

/// What to write an answer from.
#[derive(Clone, Debug)]
pub struct Gathered {
    /// The passages, in the order of their numbers from 1, and notes on how they were found.
    pub found: SearchResponse,
    /// An answer that the model already wrote while gathering.
    pub draft: Option<Draft>,
    /// Tokens and cost of the gathering.
    pub usage: Usage,
}

/// An answer that a model has already written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The text, with `[n]` marks for the passages.
    pub text: String,
    /// What wrote it.
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
        // What tools returned is evidence even if it looks unlike the question: the probability is
        // reported, but never causes a refusal.
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

    /// Sends a draft after checking its citations.
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
    /// It was shown; the value says whether each of its sentences is supported by a source.
    Text(bool),
    /// It says that the sources do not contain an answer; nothing was shown.
    NoAnswer,
}
