//! How often a semantic hit is right, on pairs of questions with the real
//! embedder: no false friend may be a hit, at whatever threshold the guard alone
//! leaves, and at the default one.

use cairn_models::{Cancel, Hub, LoadOptions, Quiet, dot, load_embedder};

use super::guard::same_question;
use cairn_settings::config::Config;

const PAIRS: &str = include_str!("pairs.tsv");

struct Pair {
    same: bool,
    first: &'static str,
    second: &'static str,
    cosine: f32,
}

fn pairs() -> Vec<Pair> {
    let config = Config::default();
    let hub = Hub::new(None).unwrap();
    let embedder = load_embedder(
        &hub,
        &config.models.embedder,
        &LoadOptions::default(),
        &Quiet,
    )
    .unwrap();
    let lines = PAIRS.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            let [label, first, second] = fields[..] else {
                panic!("three fields in {line:?}");
            };
            let vectors = embedder.embed(&[first, second], &Cancel::never()).unwrap();
            Pair {
                same: match label {
                    "same" => true,
                    "different" => false,
                    other => panic!("no label: {other}"),
                },
                first,
                second,
                cosine: dot(&vectors[0], &vectors[1]),
            }
        })
        .collect()
}

#[test]
fn no_false_friend_is_a_hit() {
    let threshold = Config::default().cache.threshold;
    let pairs = pairs();
    let count = |same: bool, hit: &dyn Fn(&Pair) -> bool| {
        pairs
            .iter()
            .filter(|pair| pair.same == same && hit(pair))
            .count()
    };
    let (same, different) = (count(true, &|_| true), count(false, &|_| true));
    assert!(same >= 40 && different >= 80, "{same} {different}");
    // The table of docs/gateway.md.
    for at in [0.8, 0.85, 0.9, 0.95, 0.98] {
        let near = |pair: &Pair| pair.cosine >= at;
        let guarded = |pair: &Pair| near(pair) && same_question(pair.first, pair.second);
        println!(
            "cosine {at:.2}: alone {} of {same} right, {} of {different} wrong; with the guard {} right, {} wrong",
            count(true, &near),
            count(false, &near),
            count(true, &guarded),
            count(false, &guarded),
        );
    }
    for pair in &pairs {
        let alike = same_question(pair.first, pair.second);
        if pair.same && !(alike && pair.cosine >= threshold) {
            println!(
                "missed ({:.3}, {alike}): {} | {}",
                pair.cosine, pair.first, pair.second
            );
        }
        // The guard alone must do: the threshold is the second lock.
        assert!(pair.same || !alike, "{} | {}", pair.first, pair.second);
    }
    let hit = |pair: &Pair| pair.cosine >= threshold && same_question(pair.first, pair.second);
    assert_eq!(count(false, &hit), 0);
    assert!(count(true, &hit) * 2 >= same, "at least half are found");
}
