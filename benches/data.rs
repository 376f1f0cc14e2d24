//! Seeded data for the benches: text with a natural spread of words, documents,
//! and an embedder whose vectors for documents are in clusters.

use std::sync::{Arc, Mutex};

use cairn_indexer::Document;
use cairn_models::testing::ScriptedEmbedder;
use cairn_models::{Cancel, Embedder};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// Seed of everything below.
pub(crate) const SEED: u64 = 20;

/// Floats of a vector, as in MiniLM.
pub(crate) const DIMENSION: usize = 384;

/// Distinct words of the texts.
const VOCABULARY: usize = 30_000;

/// A word by its rank in the vocabulary; low ranks are short and frequent.
fn word(rank: usize) -> String {
    const SYLLABLES: [&str; 16] = [
        "ka", "to", "mi", "ren", "sol", "va", "pe", "lun", "dor", "shi", "bar", "eth", "qui",
        "nor", "zam", "fel",
    ];
    let mut rest = rank;
    let mut text = String::new();
    loop {
        text.push_str(SYLLABLES[rest % SYLLABLES.len()]);
        rest /= SYLLABLES.len();
        if rest == 0 {
            return text;
        }
    }
}

/// `words` words whose frequencies follow Zipf's law, in sentences and
/// paragraphs.
pub(crate) fn text(rng: &mut StdRng, words: usize) -> String {
    let mut text = String::new();
    for at in 1..=words {
        // The inverse of the distribution of ranks with weight 1/rank.
        let rank = (VOCABULARY as f64).powf(rng.random::<f64>()) as usize;
        text.push_str(&word(rank));
        text.push_str(match at {
            _ if at % 90 == 0 => ".\n\n",
            _ if at % 15 == 0 => ". ",
            _ => " ",
        });
    }
    text
}

/// `count` documents of `words` words.
pub(crate) fn documents(count: usize, words: usize) -> Vec<Document> {
    let mut rng = StdRng::seed_from_u64(SEED);
    let document = |at| Document {
        uri: format!("bench/{at:06}.txt"),
        title: word(at),
        text: text(&mut rng, words),
        ..Document::default()
    };
    (0..count).map(document).collect()
}

/// `count` unit vectors around `count / 50` centres, one after the other.
pub(crate) fn vectors(count: usize) -> Vec<f32> {
    let mut rng = StdRng::seed_from_u64(SEED);
    let centres: Vec<Vec<f32>> = (0..count.div_ceil(50))
        .map(|_| gaussian(&mut rng))
        .collect();
    let mut all = Vec::with_capacity(count * DIMENSION);
    for _ in 0..count {
        let centre = &centres[rng.random_range(0..centres.len())];
        let noise = gaussian(&mut rng);
        let mut vector: Vec<f32> = centre.iter().zip(noise).map(|(c, n)| c + 0.7 * n).collect();
        let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        vector.iter_mut().for_each(|x| *x /= norm);
        all.extend(vector);
    }
    all
}

fn gaussian(rng: &mut StdRng) -> Vec<f32> {
    // A sum of uniform numbers is near enough to a normal one here.
    let mut normal = || (0..6).map(|_| rng.random::<f32>() - 0.5).sum::<f32>();
    (0..DIMENSION).map(|_| normal()).collect()
}

/// Gives documents the vectors of [`vectors`] (for `count` chunks) in the order
/// in which they come, and later texts (the questions) those of a real model, so
/// that a search costs what it costs. Chunks are cut by words, which is cheap.
pub(crate) fn clustered(real: Arc<dyn Embedder>, count: usize) -> Arc<dyn Embedder> {
    let supply = Mutex::new(vectors(count).into_iter());
    let window = real.window();
    let embed = move |texts: &[&str], cancel: &Cancel| {
        let mut supply = supply.lock().expect("no holder panics");
        if supply.len() < texts.len() * DIMENSION {
            drop(supply);
            return real.embed(texts, cancel);
        }
        let take = |_| supply.by_ref().take(DIMENSION).collect();
        Ok(texts.iter().map(take).collect())
    };
    Arc::new(ScriptedEmbedder {
        id: "clustered".to_owned(),
        dimension: DIMENSION,
        window,
        ..ScriptedEmbedder::new(embed)
    })
}
