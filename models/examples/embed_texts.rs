//! How fast a file of texts is embedded:
//! `cargo run --release -p cairn-models --example embed_texts -- TEXTS.jsonl [LIMIT] [THREADS] [MODEL]`.
//!
//! Every line of the file is an object with `text` and perhaps `title`. One
//! JSON line is printed for the whole file, tokenization included, and one for
//! a single question.

use std::time::{Duration, Instant};

use cairn_models::{Cancel, Hub, LoadOptions, Quiet, load_embedder};

const QUESTION: &str = "how do I reset my password in the application";
const QUESTIONS: usize = 300;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments
        .next()
        .ok_or("usage: embed_texts TEXTS.jsonl [LIMIT] [THREADS] [MODEL]")?;
    let limit = arguments
        .next()
        .map_or(Ok(usize::MAX), |limit| limit.parse())?;
    let threads = arguments.next().map_or(Ok(0), |threads| threads.parse())?;
    let model = arguments
        .next()
        .unwrap_or_else(|| "all-minilm-l6-v2".to_owned());

    let start = Instant::now();
    let options = LoadOptions {
        threads,
        ..LoadOptions::default()
    };
    let embedder = load_embedder(&Hub::new(None)?, &model, &options, &Quiet)?;
    let opened = start.elapsed();
    let text = |line: &str| -> Result<String, serde_json::Error> {
        let row: serde_json::Value = serde_json::from_str(line)?;
        let field = |name| row[name].as_str().unwrap_or_default();
        Ok(format!("{} {}", field("title"), field("text"))
            .trim()
            .to_owned())
    };
    let file = std::fs::read_to_string(path)?;
    let texts = file
        .lines()
        .take(limit)
        .map(text)
        .collect::<Result<Vec<_>, _>>()?;
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let never = Cancel::never();
    embedder.embed(&["warm up"; 4], &never)?;

    let start = Instant::now();
    embedder.embed(&texts, &never)?;
    let seconds = start.elapsed().as_secs_f64();
    let mut tokens = 0;
    for text in &texts {
        let count = embedder.token_spans(text)?.len() + embedder.special_tokens();
        tokens += count.min(embedder.window());
    }
    let report = serde_json::json!({
        "embedder": embedder.id(),
        "open_ms": opened.as_millis(),
        "texts": texts.len(),
        "tokens": tokens,
        "seconds": seconds,
        "texts_per_s": texts.len() as f64 / seconds,
        "tokens_per_s": tokens as f64 / seconds,
    });
    println!("{report}");

    let mut times = Vec::new();
    for _ in 0..QUESTIONS {
        let start = Instant::now();
        embedder.embed(&[QUESTION], &never)?;
        times.push(start.elapsed());
    }
    times.sort();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let at = |share: usize| ms(times[QUESTIONS * share / 100]);
    let report = serde_json::json!({
        "question": QUESTION, "min_ms": at(0), "p50_ms": at(50), "p95_ms": at(95),
    });
    println!("{report}");
    Ok(())
}
