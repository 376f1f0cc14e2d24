//! What a service pays at start and for each question, measured in a process of
//! its own, so that building the collection leaves no trace in the memory.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use cairn_engine::retrieve::{Engine, SearchRequest};
use cairn_models::{Cancel, Embedder, Reranker};
use cairn_settings::config::Config;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::data;

/// Names the data folder for the process that measures.
const FOLDER: &str = "CAIRN_BENCH_SERVE";

/// Words of a question, which make about 12 tokens.
const QUESTION_WORDS: usize = 4;

/// Runs this program again over the collection in `folder`.
pub(crate) fn measure(folder: &Path) {
    let program = std::env::current_exe().expect("this program has a path");
    let status = std::process::Command::new(program)
        .env(FOLDER, folder)
        .status()
        .expect("this program runs again");
    assert!(status.success());
}

/// Whether this process was started by [`measure`]: then its data folder.
pub(crate) fn folder() -> Option<std::ffi::OsString> {
    std::env::var_os(FOLDER)
}

/// Opens the collection in `folder`, asks it questions, and prints.
pub(crate) fn report(folder: &Path, embedder: Arc<dyn Embedder>, reranker: Arc<dyn Reranker>) {
    let mut rng = StdRng::seed_from_u64(data::SEED + 2);
    let questions: Vec<String> = (0..2_500)
        .map(|_| data::text(&mut rng, QUESTION_WORDS))
        .collect();
    let (warm, questions) = questions.split_at(300);
    let never = Cancel::never();
    // The models' own buffers are not the collection's.
    for question in &warm[..20] {
        embedder.embed(&[question], &never).unwrap();
        reranker.score(question, &[question], &never).unwrap();
    }

    let mut config = Config::default();
    config.storage.data_dir = folder.to_owned();
    let before = Memory::now();
    let start = Instant::now();
    let model = data::clustered(embedder, 0);
    let engine = Engine::new(&config, Some(model), Some(reranker)).unwrap();
    let chunks = engine.collection("main").unwrap().snapshot().chunk_count();
    let opened = start.elapsed();

    let ask = |question: &String, rerank: bool| {
        let mut request = SearchRequest::new(question.clone(), "main");
        request.rerank = rerank;
        let start = Instant::now();
        engine.search_blocking(&request, &never).unwrap();
        start.elapsed().as_secs_f64() * 1e3
    };
    warm.iter().for_each(|question| {
        ask(question, false);
    });
    let hybrid = Percentiles::of(questions.iter().map(|question| ask(question, false)));
    let after = Memory::now();
    let sources = Percentiles::of(questions[..200].iter().map(|question| ask(question, true)));
    eprintln!(
        "serving/{chunks}: opened in {:.0} ms",
        opened.as_secs_f64() * 1e3
    );
    eprintln!("serving/{chunks}: hybrid, question of 12 tokens embedded: {hybrid}");
    eprintln!("serving/{chunks}: question to sources, re-ranked: {sources}");
    eprintln!(
        "serving/{chunks}: memory beyond the models: {} MiB of its own, {} MiB of mapped files",
        (after.own - before.own) >> 10,
        (after.mapped - before.mapped) >> 10,
    );
}

/// Resident memory of this process, in KiB.
struct Memory {
    own: i64,
    mapped: i64,
}

impl Memory {
    fn now() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name));
            let number = line.and_then(|line| line.split_whitespace().nth(1));
            number.and_then(|number| number.parse().ok()).unwrap_or(0)
        };
        Self {
            own: field("RssAnon:"),
            mapped: field("RssFile:"),
        }
    }
}

/// Milliseconds, sorted.
struct Percentiles(Vec<f64>);

impl Percentiles {
    fn of(took: impl Iterator<Item = f64>) -> Self {
        let mut took: Vec<f64> = took.collect();
        took.sort_by(f64::total_cmp);
        Self(took)
    }

    fn at(&self, percent: usize) -> f64 {
        self.0[(self.0.len() - 1) * percent / 100]
    }
}

impl std::fmt::Display for Percentiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (p50, p95, p99) = (self.at(50), self.at(95), self.at(99));
        write!(f, "p50 {p50:.2} ms, p95 {p95:.2} ms, p99 {p99:.2} ms")
    }
}
