//! `--answers`: every question through the product's own answerer, and what the
//! judge says.

use std::sync::Arc;

use cairn_eval::Question;
use cairn_eval::answers::{AnswerReport, JudgedAnswer, JudgedClaim};
use cairn_models::Cancel;

use super::judge::{Judge, LocalJudge, ModelJudge};
use super::subject::Subject;
use crate::cli::context::Context;
use crate::cli::output;
use crate::cli::ticker::Ticker;
use cairn_engine::answer::{AnswerRequest, Answerer, Done, Whole, checks, whole};
use cairn_engine::retrieve::{SearchRequest, Source};
use cairn_settings::config::Config;

/// Asks, and judges by `judge`: a provider's name, or `None` for the local one.
pub(super) fn judged(
    context: &Context,
    config: &Config,
    subject: &Subject,
    answerer: &Answerer,
    judge: Option<&str>,
    cancel: &Cancel,
) -> anyhow::Result<AnswerReport> {
    let judge: Box<dyn Judge + '_> = match (judge, subject.engine.embedder()) {
        (Some(name), _) => Box::new(ModelJudge::new(answerer.gateway(), name, cancel)?),
        (None, Some(embedder)) => Box::new(LocalJudge::new(Arc::clone(embedder), cancel)),
        (None, None) => anyhow::bail!("the local judge needs the embedder"),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let dataset = &subject.dataset;
    let all = dataset.questions.iter().map(|question| (question, true));
    let all = all.chain(
        dataset
            .unanswerable
            .iter()
            .map(|question| (question, false)),
    );
    let count = dataset.questions.len() + dataset.unanswerable.len();
    let mut ticker = Ticker::new(context, "answers", count);
    let mut provider = String::new();
    let mut answers = Vec::with_capacity(count);
    for (question, answerable) in all {
        cancel.check()?;
        let request = request(config, subject, question);
        let (sources, done) = runtime.block_on(ask(answerer, request))?;
        provider.clone_from(&done.provider);
        answers.push(judge_one(
            question,
            answerable,
            &sources,
            &done,
            judge.as_ref(),
        )?);
        ticker.add(1);
    }
    Ok(AnswerReport::of(provider, judge.report(), answers))
}

/// What a user's question asks for.
fn request(config: &Config, subject: &Subject, question: &Question) -> AnswerRequest {
    let (retrieval, collection) = (&config.retrieval, &subject.collection.name);
    AnswerRequest::new(SearchRequest::default_of(
        retrieval,
        &question.text,
        collection,
    ))
}

async fn ask(answerer: &Answerer, request: AnswerRequest) -> anyhow::Result<(Vec<Source>, Done)> {
    // The answerer fires its token at the end, so the run's own is not for it.
    match whole(answerer.answer(request, Cancel::default()), |_| {}).await? {
        Whole::Answered(answered) => Ok((answered.sources, answered.done)),
        Whole::Waits(..) => anyhow::bail!("an answer waits for a person"),
    }
}

fn judge_one(
    question: &Question,
    answerable: bool,
    sources: &[Source],
    done: &Done,
    judge: &dyn Judge,
) -> anyhow::Result<JudgedAnswer> {
    let mut judged = JudgedAnswer {
        id: question.id.clone(),
        question: question.text.clone(),
        gold: question.answers.clone(),
        answerable,
        refused: done.refused,
        answerability: done.answerability,
        ..JudgedAnswer::default()
    };
    let claims = checks::claims(&done.answer, &done.citations);
    let texts: Vec<&str> = claims.iter().map(|claim| claim.text.as_str()).collect();
    judged.answer = texts.join(" ");
    judged.units = checks::units(&done.answer);
    if done.refused {
        return Ok(judged);
    }
    judged.relevancy = Some(judge.relevancy(&question.text, &judged.answer)?);
    for claim in claims {
        judged
            .claims
            .push(judge_claim(&claim.text, &claim.cites, sources, judge)?);
    }
    Ok(judged)
}

fn judge_claim(
    text: &str,
    cites: &[u32],
    sources: &[Source],
    judge: &dyn Judge,
) -> anyhow::Result<JudgedClaim> {
    let evidence = |source: &Source| {
        let headings = source.heading_path.join(" ");
        format!("{}\n{headings}\n{}", source.title, source.text)
    };
    let cited = sources.iter().filter(|source| cites.contains(&source.n));
    let cited: Vec<String> = cited.map(evidence).collect();
    let mut citations = Vec::with_capacity(cited.len());
    for source in &cited {
        citations.push(judge.supports(text, source)?);
    }
    let cited_supports = match cited.len() {
        // Two sources may bear out together what neither does alone.
        2.. if !citations.contains(&true) => judge.supports(text, &cited.join("\n\n"))?,
        _ => citations.contains(&true),
    };
    let mut any_supports = cited_supports;
    for source in sources.iter().filter(|source| !cites.contains(&source.n)) {
        any_supports = any_supports || judge.supports(text, &evidence(source))?;
    }
    Ok(JudgedClaim {
        text: text.to_owned(),
        cited_supports,
        any_supports,
        citations,
    })
}

/// The figures for a terminal.
pub(super) fn table(report: &AnswerReport) -> String {
    let mut rows = vec![
        ["answers", "mean", "95 %", "over"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for (name, metric) in &report.metrics {
        let [low, high] = metric.confidence_95;
        rows.push(vec![
            name.clone(),
            format!("{:.4}", metric.value),
            format!("{low:.3}–{high:.3}"),
            metric.of.to_string(),
        ]);
    }
    let judge = &report.judge;
    format!(
        "\n{}\nWritten by {}; judged by {} ({} verdicts, {} tokens, ${:.4}).\n",
        output::table(&rows),
        report.provider,
        judge.name,
        judge.calls,
        judge.tokens,
        judge.cost_usd
    )
}
