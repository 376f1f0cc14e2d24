//! The embedder on seeded texts: one question, and passages of 128 and 512
//! tokens on all cores. Throughput is in tokens.

use cairn_models::{Cancel, Hub, LoadOptions, Quiet, load_embedder};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

const SEED: u64 = 7;
const PASSAGES: usize = 16;
/// Each is one token of BERT's vocabulary.
const WORDS: [&str; 12] = [
    "server", "index", "memory", "query", "the", "of", "river", "treaty", "protein", "and", "new",
    "fast",
];

fn passage(tokens: usize, random: &mut StdRng) -> String {
    let words: Vec<&str> = (0..tokens)
        .filter_map(|_| WORDS.choose(random).copied())
        .collect();
    words.join(if random.random_bool(0.5) { " " } else { "\n" })
}

fn embed(c: &mut Criterion) {
    let hub = Hub::new(None).expect("a folder for models");
    let embedder = load_embedder(&hub, "all-minilm-l6-v2", &LoadOptions::default(), &Quiet)
        .expect("the embedder loads");
    let specials = embedder.special_tokens();
    let mut random = StdRng::seed_from_u64(SEED);
    let mut group = c.benchmark_group("embed");
    group.sample_size(20);
    for (name, texts, tokens) in [
        ("question", 1, 12),
        ("passages", PASSAGES, 128),
        ("passages", PASSAGES, 512),
    ] {
        let texts: Vec<String> = (0..texts)
            .map(|_| passage(tokens - specials, &mut random))
            .collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        group.throughput(Throughput::Elements((texts.len() * tokens) as u64));
        group.bench_with_input(BenchmarkId::new(name, tokens), &texts, |b, texts| {
            b.iter(|| {
                embedder
                    .embed(texts, &Cancel::never())
                    .expect("texts embed")
            });
        });
    }
    group.finish();
}

criterion_group!(benches, embed);
criterion_main!(benches);
