//! What the arithmetic of `models.precision` costs and brings: speed of embedding a
//! file of texts, and the cosine of each text's vector to that in f32.
//!
//! `cargo run --release -p cairn-models --example precisions -- TEXTS.jsonl [ROUNDS]`
//!
//! Every line of the file is an object with `text` and perhaps `title`. The precisions
//! take turns, and each one's best round counts, so that other work on the machine
//! matters less. One JSON line is printed for each.

use std::error::Error;
use std::time::Instant;

use cairn_models::{Cancel, Hub, LoadOptions, Precision, Quiet, load_embedder};

const PRECISIONS: [(&str, Precision); 3] = [
    ("f32", Precision::F32),
    ("auto", Precision::Auto),
    ("int8", Precision::Int8),
];

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments
        .next()
        .ok_or("usage: precisions TEXTS.jsonl [ROUNDS]")?;
    let rounds: usize = arguments.next().map_or(Ok(3), |rounds| rounds.parse())?;
    let texts = texts(&path)?;
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let hub = Hub::new(None)?;
    let open = |(_, precision)| {
        let options = LoadOptions {
            precision,
            ..LoadOptions::default()
        };
        load_embedder(&hub, "all-minilm-l6-v2", &options, &Quiet)
    };
    let embedders = PRECISIONS.map(open).into_iter();
    let embedders = embedders.collect::<Result<Vec<_>, _>>()?;
    let mut found = vec![(f64::INFINITY, Vec::new()); embedders.len()];
    for _ in 0..rounds.max(1) {
        for (embedder, (best, vectors)) in embedders.iter().zip(&mut found) {
            let start = Instant::now();
            *vectors = embedder.embed(&texts, &Cancel::never())?;
            *best = start.elapsed().as_secs_f64().min(*best);
        }
    }
    let exact = &found[0].1;
    for ((name, _), (seconds, vectors)) in PRECISIONS.iter().zip(&found) {
        let cosines = vectors.iter().zip(exact).map(|(a, b)| dot(a, b));
        let least = cosines.clone().fold(1.0, f64::min);
        let report = serde_json::json!({
            "precision": name,
            "texts_per_s": texts.len() as f64 / seconds,
            "mean_cosine": cosines.sum::<f64>() / texts.len() as f64,
            "least_cosine": least,
        });
        println!("{report}");
    }
    Ok(())
}

fn texts(path: &str) -> Result<Vec<String>, Box<dyn Error>> {
    let file = std::fs::read_to_string(path)?;
    let text = |line: &str| -> Result<String, serde_json::Error> {
        let row: serde_json::Value = serde_json::from_str(line)?;
        let field = |name| row[name].as_str().unwrap_or_default();
        Ok(format!("{} {}", field("title"), field("text"))
            .trim()
            .to_owned())
    };
    let texts: Vec<String> = file.lines().map(text).collect::<Result<_, _>>()?;
    if texts.is_empty() {
        return Err(format!("{path} holds no text").into());
    }
    Ok(texts)
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    let products = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b));
    products.sum()
}
