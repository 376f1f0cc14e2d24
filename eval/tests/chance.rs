//! A ranking without any skill must score as chance would.

use cairn_eval::{Hit, Measure, Qrels, Run, score};
use rand::SeedableRng as _;
use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::SliceRandom as _;

const DOCUMENTS: usize = 200;
const QUESTIONS: usize = 400;
const RELEVANT: usize = 10;

fn shuffled(seed: u64) -> (Run, Qrels) {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let (mut run, mut qrels) = (Run::default(), Qrels::default());
    for question in 0..QUESTIONS {
        let id = format!("q{question}");
        let mut documents: Vec<String> = (0..DOCUMENTS).map(|n| format!("d{n}")).collect();
        documents.shuffle(&mut random);
        let judged = documents.iter().take(RELEVANT).map(|id| (id.clone(), 1));
        qrels.questions.insert(id.clone(), judged.collect());
        documents.shuffle(&mut random);
        let hit = |(at, id): (usize, String)| Hit {
            id,
            score: (DOCUMENTS - at) as f32,
        };
        let ranking = documents.into_iter().enumerate().map(hit).collect();
        run.rankings.insert(id, ranking);
    }
    (run, qrels)
}

#[test]
fn a_shuffled_ranking_scores_as_chance_would() {
    let (run, qrels) = shuffled(7);
    let mean = |measure: &str| {
        let measure: Measure = measure.parse().unwrap();
        score(&run, &qrels, &[measure])[0].mean
    };
    let share = RELEVANT as f64 / DOCUMENTS as f64;
    // Every rank is relevant with the same probability, so the expected nDCG@10
    // is that probability times the ideal gain, divided by the ideal gain.
    for (measure, expected) in [
        ("precision@10", share),
        ("ndcg@10", share),
        ("recall@100", 0.5),
        ("r-precision", share),
    ] {
        let found = mean(measure);
        // Four standard errors of a mean over 400 questions.
        assert!(
            (found - expected).abs() < 0.015,
            "{measure}: {found} for {expected}"
        );
    }
    // One minus the share of draws of ten that miss all relevant ones.
    let missed: f64 = (0..10)
        .map(|n| (DOCUMENTS - RELEVANT - n) as f64 / (DOCUMENTS - n) as f64)
        .product();
    assert!((mean("hit@10") - (1.0 - missed)).abs() < 0.1);
}
