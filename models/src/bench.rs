//! What this machine can do with a model: the measurements behind
//! `cairn models bench` and the tables of `docs/notes/inference.md`.
//!
//! Every figure is measured by wall clock on the texts that are given, or on
//! seeded ones; nothing is estimated.

use std::time::{Duration, Instant};

use candle_core::{Device, Tensor};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

use crate::kernels::gemm::Finish;
use crate::kernels::parallel::{self, Matrix};
use crate::kernels::simd::Level;
use crate::{
    Cancel, Embedder, Error, ErrorKind, GenerateRequest, Generator, Message, Precision, Reranker,
    Result, Role,
};

/// A question of 12 tokens for BERT's vocabulary, special tokens included.
pub const QUESTION: &str = "how do I reset my password in the application?";

/// Repetitions of a short call, whose median and 95th percentile are reported.
const SHORT_CALLS: usize = 200;

/// Repetitions of a long call.
const LONG_CALLS: usize = 5;

/// Rows and columns of the matrices whose product is the measure of the machine:
/// large enough that reading them costs nothing.
const PEAK_SIZE: usize = 1536;

const SEED: u64 = 7;

/// Each is one token of BERT's vocabulary.
const WORDS: [&str; 12] = [
    "server", "index", "memory", "query", "the", "of", "river", "treaty", "protein", "and", "new",
    "fast",
];

/// The machine, as far as matrices are concerned.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Machine {
    /// Threads that were used.
    pub threads: usize,
    /// Instruction set of our kernels.
    pub instructions: &'static str,
    /// 10^9 floating-point operations a second of the product of two large f32
    /// matrices: the best that our kernels or the `gemm` crate reached.
    pub matrix_gflop_per_s: f64,
    /// What the embedder multiplies in here: `f32`, `int16` or `int8`.
    pub arithmetic: &'static str,
    /// The same product in that arithmetic, in our kernels; the best of both where it
    /// is f32.
    pub arithmetic_gflop_per_s: f64,
}

/// How fast an embedder reads documents.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Embedding {
    /// Id of the weights.
    pub model: String,
    /// Where it computed: `cpu`, `cuda:0` or `metal`.
    pub device: String,
    /// Texts embedded.
    pub texts: usize,
    /// Their tokens, as far as the model reads them, special tokens included.
    pub tokens: usize,
    /// Wall time of all, tokenization included.
    pub seconds: f64,
    /// Texts a second.
    pub texts_per_s: f64,
    /// Tokens a second.
    pub tokens_per_s: f64,
    /// Useful 10^9 operations a second; `None` if the model does not say.
    pub gflop_per_s: Option<f64>,
}

/// How long calls took.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Latency {
    /// Tokens of one call.
    pub tokens: usize,
    /// Median in milliseconds.
    pub p50_ms: f64,
    /// 95th percentile in milliseconds.
    pub p95_ms: f64,
}

/// How fast a re-ranker reads candidates.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Reranking {
    /// Id of the weights.
    pub model: String,
    /// Where it computed: `cpu`, `cuda:0` or `metal`.
    pub device: String,
    /// Candidates of one call; each fills the model's window.
    pub pairs: usize,
    /// Tokens of one pair.
    pub window: usize,
    /// Pairs a second.
    pub pairs_per_s: f64,
    /// Median of one call in milliseconds.
    pub p50_ms: f64,
    /// The slowest call in milliseconds.
    pub max_ms: f64,
}

/// How fast a generator reads and writes.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Generating {
    /// Id of the weights.
    pub model: String,
    /// Tokens of the prompt, none of which was known from before.
    pub prompt_tokens: usize,
    /// Prompt tokens read a second.
    pub prompt_tokens_per_s: f64,
    /// From the call to the first word of the answer.
    pub first_token_ms: f64,
    /// Tokens of the answer.
    pub written_tokens: usize,
    /// Tokens written a second, after the first.
    pub written_tokens_per_s: f64,
}

/// Multiplies large matrices on `threads` threads (0: all cores), in floats and in
/// what `precision` makes of them.
///
/// # Errors
/// `Machine` when the threads cannot be started.
pub fn machine(threads: usize, precision: Precision) -> Result<Machine> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|cause| {
            Error::new(ErrorKind::Machine, "no threads could be started").because(cause)
        })?;
    let level = Level::best();
    let size = PEAK_SIZE;
    let mut random = StdRng::seed_from_u64(SEED);
    let mut matrix = || -> Vec<f32> { (0..size * size).map(|_| random.random()).collect() };
    let (left, right) = (matrix(), matrix());
    let pack = |precision| Matrix::pack(level, precision, size, size, |k, j| right[k * size + j]);
    let (packed, chosen) = (pack(Precision::F32), pack(precision));
    let mut out = vec![0.0; size * size];
    let failed = |cause| Error::new(ErrorKind::Internal, "candle's product failed").because(cause);
    let tensor = |floats: &[f32]| Tensor::from_slice(floats, (size, size), &Device::Cpu);
    let (left_tensor, right_tensor) = (
        tensor(&left).map_err(failed)?,
        tensor(&right).map_err(failed)?,
    );
    let (mut best, mut best_chosen) = (Duration::MAX, Duration::MAX);
    pool.install(|| {
        for _ in 0..LONG_CALLS {
            let mut ours =
                |matrix| timed(|| parallel::product(level, &left, matrix, Finish::Plain, &mut out));
            best_chosen = best_chosen.min(ours(&chosen));
            best = best.min(ours(&packed));
            let start = Instant::now();
            left_tensor.matmul(&right_tensor).map_err(failed)?;
            best = best.min(start.elapsed());
        }
        Ok::<_, Error>(())
    })?;
    if chosen.arithmetic() == packed.arithmetic() {
        best_chosen = best;
    }
    let speed = |time: Duration| 2.0 * (size as f64).powi(3) / time.as_secs_f64() / 1e9;
    Ok(Machine {
        threads: pool.current_num_threads(),
        instructions: level.name(),
        matrix_gflop_per_s: speed(best),
        arithmetic: chosen.arithmetic(),
        arithmetic_gflop_per_s: speed(best_chosen),
    })
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

/// Seeded texts of 32 to 480 words for measurements without a file.
pub fn texts(count: usize) -> Vec<String> {
    let mut random = StdRng::seed_from_u64(SEED);
    (0..count)
        .map(|_| {
            let words = random.random_range(32..=480);
            passage(words, &mut random)
        })
        .collect()
}

fn passage(words: usize, random: &mut StdRng) -> String {
    let words: Vec<&str> = (0..words)
        .filter_map(|_| WORDS.choose(random).copied())
        .collect();
    words.join(" ")
}

/// Embeds all `texts` in calls of a few hundred; `done` hears how many are.
///
/// # Errors
/// Those of the embedder.
pub fn embedding(
    embedder: &dyn Embedder,
    texts: &[String],
    done: &mut dyn FnMut(usize),
) -> Result<Embedding> {
    /// Texts of one call, as many as an indexing run gives.
    const TEXTS_PER_CALL: usize = 512;
    let never = Cancel::never();
    embedder.embed(&["warm up"; 4], &never)?;
    // Sorted, so that every call has texts of like lengths.
    let mut order: Vec<&str> = texts.iter().map(String::as_str).collect();
    let start = Instant::now();
    order.sort_by_key(|text| text.len());
    let mut count = 0;
    for call in order.chunks(TEXTS_PER_CALL) {
        embedder.embed(call, &never)?;
        count += call.len();
        done(count);
    }
    let seconds = start.elapsed().as_secs_f64();
    let (mut tokens, mut operations) = (0, 0.0);
    for text in texts {
        let count = tokens_of(embedder, text)?;
        tokens += count;
        operations += embedder.operations(count);
    }
    Ok(Embedding {
        model: embedder.id().to_owned(),
        device: embedder.device().to_owned(),
        texts: texts.len(),
        tokens,
        seconds,
        texts_per_s: texts.len() as f64 / seconds,
        tokens_per_s: tokens as f64 / seconds,
        gflop_per_s: (operations > 0.0).then_some(operations / seconds / 1e9),
    })
}

fn tokens_of(embedder: &dyn Embedder, text: &str) -> Result<usize> {
    let count = embedder.token_spans(text)?.len() + embedder.special_tokens();
    Ok(count.min(embedder.window()))
}

/// Embeds [`QUESTION`] alone, again and again.
///
/// # Errors
/// Those of the embedder.
pub fn question(embedder: &dyn Embedder) -> Result<Latency> {
    let never = Cancel::never();
    embedder.embed(&[QUESTION], &never)?;
    let mut times = Vec::with_capacity(SHORT_CALLS);
    for _ in 0..SHORT_CALLS {
        let start = Instant::now();
        embedder.embed(&[QUESTION], &never)?;
        times.push(start.elapsed());
    }
    times.sort();
    Ok(Latency {
        tokens: tokens_of(embedder, QUESTION)?,
        p50_ms: milliseconds(times[times.len() / 2]),
        p95_ms: milliseconds(times[times.len() * 95 / 100]),
    })
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Scores `pairs` passages that fill the window of the re-ranker.
///
/// # Errors
/// Those of the re-ranker.
pub fn reranking(reranker: &dyn Reranker, pairs: usize) -> Result<Reranking> {
    let mut random = StdRng::seed_from_u64(SEED);
    let passages: Vec<String> = (0..pairs)
        .map(|_| passage(reranker.window(), &mut random))
        .collect();
    let passages: Vec<&str> = passages.iter().map(String::as_str).collect();
    let never = Cancel::never();
    let mut times = Vec::new();
    // The first call warms up.
    for _ in 0..=LONG_CALLS {
        let start = Instant::now();
        reranker.score(QUESTION, &passages, &never)?;
        times.push(start.elapsed());
    }
    times.remove(0);
    times.sort();
    let median = times[times.len() / 2];
    Ok(Reranking {
        model: reranker.id().to_owned(),
        device: reranker.device().to_owned(),
        pairs,
        window: reranker.window(),
        pairs_per_s: pairs as f64 / median.as_secs_f64(),
        p50_ms: milliseconds(median),
        max_ms: milliseconds(times[times.len() - 1]),
    })
}

/// Reads a prompt of about `prompt_tokens` and writes up to `written_tokens`;
/// the best of three runs, each with a prompt that starts differently.
///
/// # Errors
/// Those of the generator.
pub fn generating(
    generator: &dyn Generator,
    prompt_tokens: usize,
    written_tokens: usize,
) -> Result<Generating> {
    const SENTENCE: &str = "The lazy dog sleeps while the quick brown fox jumps over it again. ";
    let one = generator.count_tokens(SENTENCE)?.max(1);
    let most = generator.context_tokens().saturating_sub(written_tokens);
    let sentences = prompt_tokens.min(most * 9 / 10) / one;
    let never = Cancel::never();
    let mut measured = Generating {
        model: generator.id().to_owned(),
        prompt_tokens: 0,
        prompt_tokens_per_s: 0.0,
        first_token_ms: f64::INFINITY,
        written_tokens: 0,
        written_tokens_per_s: 0.0,
    };
    for run in 0..3 {
        let request = GenerateRequest {
            messages: vec![Message {
                role: Role::System,
                content: format!("{run}. {}Tell a long story.", SENTENCE.repeat(sentences)),
            }],
            max_tokens: written_tokens,
            // Greedy text of small models ends early; this goes on.
            repeat_penalty: 1.3,
            ..GenerateRequest::default()
        };
        let start = Instant::now();
        let generation = generator.generate(&request, &never, &mut |_| {})?;
        let writing = (start.elapsed() - generation.first_token).as_secs_f64();
        let reading = generation.first_token.as_secs_f64();
        let after_first = generation.completion_tokens.saturating_sub(1) as f64;
        measured.prompt_tokens = generation.prompt_tokens;
        measured.written_tokens = generation.completion_tokens;
        measured.first_token_ms = measured.first_token_ms.min(reading * 1e3);
        measured.prompt_tokens_per_s = measured
            .prompt_tokens_per_s
            .max(generation.prompt_tokens as f64 / reading);
        measured.written_tokens_per_s = measured.written_tokens_per_s.max(after_first / writing);
    }
    Ok(measured)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{HashEmbedder, OverlapReranker, ScriptedGenerator};

    #[test]
    fn every_text_is_counted_as_far_as_it_is_read() {
        let long = "word ".repeat(1000);
        let given = ["one two three".to_owned(), long, String::new()];
        let mut heard = 0;
        let measured = embedding(&HashEmbedder, &given, &mut |done| heard = done).unwrap();
        assert_eq!((measured.texts, heard), (3, 3));
        assert_eq!(measured.device, "cpu");
        assert_eq!(measured.tokens, 5 + HashEmbedder.window() + 2);
        assert_eq!(measured.gflop_per_s, None, "the twin does not say");
        assert!(measured.tokens_per_s > 0.0);
        let latency = question(&HashEmbedder).unwrap();
        assert!(latency.p50_ms <= latency.p95_ms);
    }

    #[test]
    fn seeded_texts_stay_the_same() {
        assert_eq!(texts(5), texts(5));
        assert!(texts(20).iter().all(|text| text.split(' ').count() >= 32));
    }

    #[test]
    fn rerankers_and_generators_are_measured_through_their_contracts() {
        let measured = reranking(&OverlapReranker, 3).unwrap();
        assert_eq!((measured.pairs, measured.window), (3, 192));
        assert!(measured.p50_ms <= measured.max_ms);
        let script = ScriptedGenerator("a story of many words and no end".to_owned());
        let measured = generating(&script, 300, 4).unwrap();
        assert_eq!(measured.written_tokens, 4);
        assert!((150..400).contains(&measured.prompt_tokens));
    }

    #[test]
    fn the_machine_has_threads_and_multiplies() {
        for (precision, arithmetic) in [(Precision::F32, "f32"), (Precision::Int8, "int8")] {
            let machine = machine(1, precision).unwrap();
            assert_eq!((machine.threads, machine.arithmetic), (1, arithmetic));
            assert!(machine.matrix_gflop_per_s > 0.0 && machine.arithmetic_gflop_per_s > 0.0);
        }
    }
}
