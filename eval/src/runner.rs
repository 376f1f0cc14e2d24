//! Questions through a retriever, and what came out: rankings, measures with
//! their confidence, and latencies by stage.

use std::collections::BTreeMap;

use crate::{
    Dataset, Error, Hit, Interval, Judgements, Latency, Measure, Qrels, Question, Result, Run,
    Span, bootstrap_mean,
};

/// Milliseconds by stage of one question.
pub type Timings = BTreeMap<String, f64>;

/// What a retriever found for one question.
#[derive(Clone, Debug, Default)]
pub struct Retrieved {
    /// Documents, best first, each once.
    pub hits: Vec<Hit>,
    /// Where the passages stand that brought them, best first; may be left empty
    /// where no spans are judged.
    pub spans: Vec<Span>,
    /// Milliseconds by stage.
    pub timings_ms: Timings,
    /// What was cut short or missing, in words.
    pub degraded: Vec<String>,
}

/// Something that ranks documents for a question.
pub trait Retriever {
    /// What went wrong.
    type Error: Into<Box<dyn std::error::Error + Send + Sync>>;

    /// The `depth` best documents for `question`.
    ///
    /// # Errors
    ///
    /// When the question cannot be answered; that ends the evaluation, since a
    /// mean over some of the questions says nothing.
    fn retrieve(&self, question: &Question, depth: usize) -> Result<Retrieved, Self::Error>;
}

/// One measure over all questions.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// What was measured.
    pub measure: Measure,
    /// The mean over the questions.
    pub mean: f64,
    /// How sure the mean is.
    pub interval: Interval,
    /// The value of each question, in the order of the judgements.
    pub values: Vec<f64>,
}

/// What a retriever did on a dataset.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// The rankings.
    pub run: Run,
    /// The measures, in the order in which they were asked for.
    pub figures: Vec<Figure>,
    /// Latencies by stage.
    pub latency_ms: BTreeMap<String, Latency>,
    /// Milliseconds of the whole, question by question (the stage `total`).
    pub totals_ms: Vec<f64>,
    /// How many questions were answered with less than everything, by reason.
    pub degraded: BTreeMap<String, usize>,
}

impl Evaluation {
    /// The figure of `measure`, if it was asked for.
    pub fn figure(&self, measure: Measure) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.measure == measure)
    }
}

/// Asks every question of `dataset`, one after the other (so that latencies
/// are those of one user), and measures. `progress` is called after each.
///
/// # Errors
///
/// [`Error::Retriever`] for the first question that failed.
pub fn evaluate<R: Retriever>(
    retriever: &R,
    dataset: &Dataset,
    measures: &[Measure],
    depth: usize,
    mut progress: impl FnMut(),
) -> Result<Evaluation> {
    let mut retrieved = Vec::with_capacity(dataset.questions.len());
    for question in &dataset.questions {
        let found = retriever
            .retrieve(question, depth)
            .map_err(|error| Error::Retriever {
                question: question.id.clone(),
                source: error.into(),
            })?;
        retrieved.push(found);
        progress();
    }
    Ok(Evaluation::of(dataset, retrieved, measures))
}

impl Evaluation {
    /// Measures what was `retrieved` for the questions of `dataset`, in their
    /// order.
    pub fn of(dataset: &Dataset, retrieved: Vec<Retrieved>, measures: &[Measure]) -> Self {
        let mut run = Run::default();
        let mut spans: BTreeMap<&str, Vec<Span>> = BTreeMap::new();
        let mut stages: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        let mut degraded: BTreeMap<String, usize> = BTreeMap::new();
        for (question, found) in dataset.questions.iter().zip(retrieved) {
            for (stage, took) in found.timings_ms {
                stages.entry(stage).or_default().push(took);
            }
            for reason in found.degraded {
                *degraded.entry(reason).or_default() += 1;
            }
            spans.insert(&question.id, found.spans);
            run.rankings.insert(question.id.clone(), found.hits);
        }
        let (of_spans, of_rankings): (Vec<Measure>, Vec<Measure>) =
            measures.iter().partition(|measure| measure.is_of_spans());
        let mut figures = score(&run, &dataset.qrels, &of_rankings);
        figures.extend(score_spans(dataset, &spans, &of_spans));
        let latency = |(stage, took): (String, Vec<f64>)| Some((stage, Latency::of(&took)?));
        Self {
            figures,
            run,
            totals_ms: stages.get("total").cloned().unwrap_or_default(),
            latency_ms: stages.into_iter().filter_map(latency).collect(),
            degraded,
        }
    }
}

/// Measures a run. The mean is over every question of `qrels` (`trec_eval
/// -c`): one that the run does not have counts as 0.
pub fn score(run: &Run, qrels: &Qrels, measures: &[Measure]) -> Vec<Figure> {
    let rankings: Vec<_> = qrels
        .questions
        .iter()
        .map(|(question, judgements)| (run.ids(question), judgements))
        .collect();
    let values = |measure: Measure| {
        let of = |(ranking, judgements): &(Vec<&str>, &Judgements)| measure.of(ranking, judgements);
        rankings.iter().map(of).collect()
    };
    let figure = |&measure: &Measure| Figure::of(measure, values(measure));
    measures.iter().map(figure).collect()
}

/// The same for measures of spans, in the order of the judgements too.
fn score_spans(
    dataset: &Dataset,
    retrieved: &BTreeMap<&str, Vec<Span>>,
    measures: &[Measure],
) -> Vec<Figure> {
    let mut relevant: BTreeMap<&str, Vec<Span>> = BTreeMap::new();
    for question in &dataset.questions {
        relevant.insert(&question.id, question.spans());
    }
    let values = |measure: Measure| {
        let of = |(id, wanted): (&&str, &Vec<Span>)| {
            measure.of_spans(retrieved.get(id).map_or(&[], Vec::as_slice), wanted)
        };
        relevant.iter().map(of).collect()
    };
    let figure = |&measure: &Measure| Figure::of(measure, values(measure));
    measures.iter().map(figure).collect()
}

impl Figure {
    /// The mean of `values` and how sure it is.
    pub fn of(measure: Measure, values: Vec<f64>) -> Self {
        Self {
            measure,
            mean: values.iter().sum::<f64>() / values.len().max(1) as f64,
            interval: bootstrap_mean(&values),
            values,
        }
    }
}
