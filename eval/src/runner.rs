//! Questions through a retriever, and what came out: rankings, measures with
//! their confidence, and latencies by stage.

use std::collections::BTreeMap;

use crate::{Dataset, Error, Hit, Interval, Latency, Measure, Qrels, Result, Run, bootstrap_mean};

/// Milliseconds by stage of one question.
pub type Timings = BTreeMap<String, f64>;

/// What a retriever found for one question.
#[derive(Clone, Debug, Default)]
pub struct Retrieved {
    /// Documents, best first, each once.
    pub hits: Vec<Hit>,
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
    fn retrieve(&self, question: &str, depth: usize) -> Result<Retrieved, Self::Error>;
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
    let mut run = Run::default();
    let mut stages: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let mut degraded: BTreeMap<String, usize> = BTreeMap::new();
    for question in &dataset.questions {
        let retrieved =
            retriever
                .retrieve(&question.text, depth)
                .map_err(|error| Error::Retriever {
                    question: question.id.clone(),
                    source: error.into(),
                })?;
        for (stage, took) in retrieved.timings_ms {
            stages.entry(stage).or_default().push(took);
        }
        for reason in retrieved.degraded {
            *degraded.entry(reason).or_default() += 1;
        }
        run.rankings.insert(question.id.clone(), retrieved.hits);
        progress();
    }
    let latency = |(stage, took): (String, Vec<f64>)| Some((stage, Latency::of(&took)?));
    Ok(Evaluation {
        figures: score(&run, &dataset.qrels, measures),
        run,
        latency_ms: stages.into_iter().filter_map(latency).collect(),
        degraded,
    })
}

/// Measures a run. The mean is over every question of `qrels` (`trec_eval
/// -c`): one that the run does not have counts as 0.
pub fn score(run: &Run, qrels: &Qrels, measures: &[Measure]) -> Vec<Figure> {
    let rankings: Vec<_> = qrels
        .questions
        .iter()
        .map(|(question, judgements)| (run.ids(question), judgements))
        .collect();
    let figure = |&measure: &Measure| {
        let values: Vec<f64> = rankings
            .iter()
            .map(|(ranking, judgements)| measure.of(ranking, judgements))
            .collect();
        Figure {
            measure,
            mean: values.iter().sum::<f64>() / values.len().max(1) as f64,
            interval: bootstrap_mean(&values),
            values,
        }
    };
    measures.iter().map(figure).collect()
}
