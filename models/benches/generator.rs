//! Tokens a second of a generator, reading and writing:
//! `cargo bench -p cairn-models --bench generator`. Another model than the
//! default is named by `CAIRN_BENCH_GENERATOR`.

use cairn_models::{
    Cancel, GenerateRequest, Hub, LoadOptions, Message, Quiet, Role, load_generator,
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const WRITTEN_TOKENS: usize = 32;

/// A request whose prompt starts with `number`, so that nothing of it is known.
fn request(number: usize, sentences: usize, max_tokens: usize) -> GenerateRequest {
    let text = "The lazy dog sleeps while the quick brown fox jumps over it again. ";
    GenerateRequest {
        messages: vec![Message {
            role: Role::System,
            content: format!("{number}. {} Tell a long story.", text.repeat(sentences)),
        }],
        max_tokens,
        // Greedy text of small models ends early; this goes on.
        repeat_penalty: 1.3,
        ..GenerateRequest::default()
    }
}

fn bench(criterion: &mut Criterion) {
    let name = std::env::var("CAIRN_BENCH_GENERATOR");
    let name = name.as_deref().unwrap_or("smollm2-135m-instruct");
    let hub = Hub::new(None).expect("a folder for models");
    let generator =
        load_generator(&hub, name, &LoadOptions::default(), &Quiet).expect("a generator");
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10);

    let mut number = 0;
    let mut run = |sentences, max_tokens| {
        number += 1;
        let request = request(number, sentences, max_tokens);
        generator
            .generate(&request, &Cancel::never(), &mut |_| {})
            .expect("a text")
    };
    let read = run(40, 1).prompt_tokens;
    group.throughput(Throughput::Elements(read as u64));
    group.bench_function(format!("read {read} tokens"), |bencher| {
        bencher.iter(|| run(40, 1))
    });

    let written = run(1, WRITTEN_TOKENS).completion_tokens;
    group.throughput(Throughput::Elements(written as u64));
    group.bench_function(format!("read a few tokens, write {written}"), |bencher| {
        bencher.iter(|| run(1, WRITTEN_TOKENS));
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
