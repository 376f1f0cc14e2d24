//! What each stage costs: `cargo bench --bench engine [FILTER]`.
//!
//! Data is seeded and made here; models are the real ones, fetched when missing.
//! `CAIRN_BENCH_CHUNKS` sets the size of the collection (default 100,000).

#![allow(missing_docs)] // criterion's macros make undocumented functions

mod data;
mod serving;

use std::hint::black_box;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use cairn_engine::retrieve::{Engine, SearchRequest, fusion};
use cairn_indexer::vectors::{BuildSettings, Search, Segment, write_segment};
use cairn_indexer::{Bm25, Index, IndexSettings, chunk_document};
use cairn_models::{
    Cancel, Embedder, Hub, LoadOptions, Quiet, Reranker, load_embedder, load_reranker,
};
use cairn_settings::config::Config;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

/// Words of a chunk of the large collection.
const CHUNK_WORDS: usize = 120;

fn collection_size() -> usize {
    let wanted = std::env::var("CAIRN_BENCH_CHUNKS").ok();
    wanted.and_then(|text| text.parse().ok()).unwrap_or(100_000)
}

fn embedder() -> Arc<dyn Embedder> {
    static LOADED: OnceLock<Arc<dyn Embedder>> = OnceLock::new();
    let load = || {
        let hub = Hub::new(None).expect("a models folder");
        let options = LoadOptions::default();
        load_embedder(&hub, &Config::default().models.embedder, &options, &Quiet)
            .expect("the embedder loads")
    };
    Arc::clone(LOADED.get_or_init(load))
}

fn reranker() -> Arc<dyn Reranker> {
    static LOADED: OnceLock<Arc<dyn Reranker>> = OnceLock::new();
    let load = || {
        let hub = Hub::new(None).expect("a models folder");
        let options = LoadOptions::default();
        load_reranker(&hub, &Config::default().models.reranker, &options, &Quiet)
            .expect("the re-ranker loads")
    };
    Arc::clone(LOADED.get_or_init(load))
}

fn chunking(c: &mut Criterion) {
    let document = data::documents(1, 200_000).remove(0);
    let settings = IndexSettings::default();
    let embedder = embedder();
    let mut group = c.benchmark_group("chunking");
    group.throughput(Throughput::Bytes(document.text.len() as u64));
    group.sample_size(10);
    group.bench_function("one document", |b| {
        b.iter(|| chunk_document(black_box(&document), &*embedder, &settings).unwrap());
    });
    group.finish();
}

fn embedding(c: &mut Criterion) {
    let embedder = embedder();
    let mut rng = StdRng::seed_from_u64(data::SEED);
    let never = Cancel::never();
    let mut group = c.benchmark_group("embedding");
    group.sample_size(10);
    for (name, words, count) in [("question of 12 tokens", 4, 1), ("full chunks", 400, 16)] {
        let texts: Vec<String> = (0..count).map(|_| data::text(&mut rng, words)).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        group.throughput(Throughput::Elements(count));
        group.bench_function(name, |b| b.iter(|| embedder.embed(&texts, &never).unwrap()));
    }
    group.finish();
}

/// Whether the filter of the command line may mean `group`: what takes minutes
/// to build is not built for the benches of others.
fn wanted(group: &str) -> bool {
    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    filter.is_none_or(|filter| filter.starts_with(group))
}

fn graph_against_flat(c: &mut Criterion) {
    if !wanted("vectors") {
        return;
    }
    let rows = collection_size();
    let folder = tempfile::tempdir().unwrap();
    let ids: Vec<u64> = (0..rows as u64).collect();
    let vectors = data::vectors(rows + 256);
    let (vectors, queries) = vectors.split_at(rows * data::DIMENSION);
    let meta = write_segment(
        folder.path(),
        &ids,
        vectors,
        data::DIMENSION,
        &BuildSettings::default(),
        &Cancel::never(),
    )
    .unwrap();
    let segment = Segment::open(folder.path(), &meta).unwrap();
    let queries: Vec<&[f32]> = queries.chunks(data::DIMENSION).collect();
    let search = |at: usize, ef: usize, exact: bool| {
        let search = Search {
            query: queries[at % queries.len()],
            k: 10,
            ef,
            exact,
            allowed: None,
        };
        segment.search(&search).unwrap()
    };

    let mut group = c.benchmark_group(format!("vectors/{rows}"));
    group.sample_size(20);
    for ef in [32, 64, 96, 128] {
        let found = |at| {
            let truth = search(at, ef, true);
            let near = search(at, ef, false);
            near.iter()
                .filter(|(row, _)| truth.iter().any(|(other, _)| other == row))
                .count()
        };
        let hits: usize = (0..queries.len()).map(found).sum();
        let recall = hits as f64 / (10 * queries.len()) as f64;
        eprintln!("vectors/{rows}/graph/{ef}: recall@10 {recall:.4}");
        let mut at = 0;
        group.bench_function(BenchmarkId::new("graph", ef), |b| {
            b.iter(|| {
                at += 1;
                search(at, ef, false)
            });
        });
    }
    let mut at = 0;
    group.bench_function("flat", |b| {
        b.iter(|| {
            at += 1;
            search(at, 10, true)
        });
    });
    group.finish();
}

fn fusing(c: &mut Criterion) {
    let list = |step: u32| -> Vec<(u32, f32)> {
        (1..=50).map(|i| (i * step % 997, 1.0 / i as f32)).collect()
    };
    let (words, meaning) = (list(7), list(11));
    c.bench_function("fusion/RRF of 50 and 50", |b| {
        b.iter(|| {
            let ranked = |items| fusion::Ranked { items, weight: 1.0 };
            let lists = [
                ranked(black_box(&words[..])),
                ranked(black_box(&meaning[..])),
            ];
            fusion::fuse(lists, fusion::Method::Rrf { k: 60.0 })
        });
    });
}

fn reranking(c: &mut Criterion) {
    let reranker = reranker();
    let mut rng = StdRng::seed_from_u64(data::SEED);
    let passages: Vec<String> = (0..20).map(|_| data::text(&mut rng, 60)).collect();
    let passages: Vec<&str> = passages.iter().map(String::as_str).collect();
    let never = Cancel::never();
    let mut group = c.benchmark_group("rerank");
    group.sample_size(10);
    group.throughput(Throughput::Elements(20));
    group.bench_function("20 passages, full window", |b| {
        b.iter(|| {
            reranker
                .score("which word comes first?", &passages, &never)
                .unwrap()
        });
    });
    group.finish();
}

/// A collection of [`collection_size`] chunks, and an engine over it.
fn large_collection() -> (tempfile::TempDir, Engine, Index) {
    let folder = tempfile::tempdir().unwrap();
    let count = collection_size();
    let mut config = Config::default();
    config.storage.data_dir = folder.path().to_owned();
    let embedder = data::clustered(embedder(), count);
    let engine = Engine::new(&config, Some(Arc::clone(&embedder)), Some(reranker())).unwrap();
    let index = engine.create_collection("main").unwrap();
    let mut writer = index.writer(embedder).unwrap();
    for batch in data::documents(count, CHUNK_WORDS).chunks(10_000) {
        let batch = batch.iter().map(|document| (document.clone(), None));
        writer.put(batch.collect(), &Cancel::never()).unwrap();
        writer.commit().unwrap();
    }
    writer.close().unwrap();
    (folder, engine, index)
}

fn searching(c: &mut Criterion) {
    if !wanted("search") && !wanted("serving") {
        return;
    }
    let (folder, engine, index) = large_collection();
    serving::measure(folder.path());
    let mut rng = StdRng::seed_from_u64(data::SEED + 1);
    let questions: Vec<String> = (0..4_000).map(|_| data::text(&mut rng, 4)).collect();
    let snapshot = index.snapshot();
    let mut group = c.benchmark_group(format!("search/{}", snapshot.chunk_count()));
    group
        .sample_size(50)
        .measurement_time(Duration::from_secs(8));

    let mut at = 0;
    let mut next = || {
        at += 1;
        questions[at % questions.len()].clone()
    };
    group.bench_function("BM25, 50 candidates", |b| {
        b.iter(|| {
            snapshot
                .lexical(&next(), 50, Bm25::default(), None)
                .unwrap()
        });
    });
    for (name, rerank) in [
        ("hybrid, question embedded", false),
        ("question to sources, re-ranked", true),
    ] {
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut request = SearchRequest::new(next(), "main");
                request.rerank = rerank;
                engine.search_blocking(&request, &Cancel::never()).unwrap()
            });
        });
    }
    group.finish();
}

criterion_group!(
    benches,
    chunking,
    embedding,
    fusing,
    reranking,
    graph_against_flat,
    searching
);
fn main() {
    if let Some(folder) = serving::folder() {
        serving::report(folder.as_ref(), embedder(), reranker());
        return;
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
}
