//! Pairs a second of the built-in re-rankers, 20 candidates that fill their
//! windows: `cargo bench -p cairn-models --bench reranker`.

use std::hint::black_box;

use cairn_models::{Cancel, Hub, LoadOptions, Quiet, load_reranker};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const CANDIDATES: usize = 20;

fn bench(criterion: &mut Criterion) {
    let hub = Hub::new(None).expect("a folder for models");
    let options = LoadOptions::default();
    let sentence = "The writer commits words and vectors together, so that a reader never sees \
                    one without the other, whatever the moment at which the process ends. ";
    let passages: Vec<String> = (0..CANDIDATES)
        .map(|at| format!("{at}. {}", sentence.repeat(12)))
        .collect();
    let passages: Vec<&str> = passages.iter().map(String::as_str).collect();
    let mut group = criterion.benchmark_group("reranker");
    group
        .sample_size(10)
        .throughput(Throughput::Elements(CANDIDATES as u64));
    for id in [
        "cairn-late-interaction-v2",
        "cairn-late-interaction-small-v2",
    ] {
        let reranker = load_reranker(&hub, id, &options, &Quiet).expect("a re-ranker");
        group.bench_function(id, |bencher| {
            bencher.iter(|| {
                let query = black_box("what does a reader see after a crash?");
                reranker
                    .score(query, &passages, &Cancel::never())
                    .expect("scores")
            });
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
