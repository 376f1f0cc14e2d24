//! The built-in model on real pairs, and graphs that are none.

use std::sync::LazyLock;

use super::*;
use crate::{Hub, LoadOptions, Quiet};

const ID: &str = "cairn-late-interaction-v2";

static RERANKER: LazyLock<CrossEncoder> =
    LazyLock::new(|| CrossEncoder::builtin(ID, &LoadOptions::default()).unwrap());
static ONNX: LazyLock<CrossEncoder> =
    LazyLock::new(|| CrossEncoder::builtin_onnx(ID, &runtime(), 2).unwrap());

fn runtime() -> std::path::PathBuf {
    Hub::new(None)
        .unwrap()
        .library("onnxruntime", &Quiet)
        .unwrap()
}

fn model() -> &'static Builtin {
    Builtin::find(ID).unwrap()
}

fn score(query: &str, passages: &[&str]) -> Vec<f32> {
    RERANKER.score(query, passages, &Cancel::never()).unwrap()
}

#[test]
fn the_passage_that_answers_wins() {
    let passages = [
        "To rotate the API key, open Settings, choose Keys and press Rotate; the old key works for one hour more.",
        "The office is closed on public holidays.",
        "Keys on the keyboard can be remapped in the accessibility panel.",
        "Rate limits are counted per minute and per organisation.",
    ];
    for (query, best) in [
        ("How do I rotate an API key?", 0),
        ("is anybody in the office at christmas", 1),
        ("remap a key of the keyboard", 2),
        ("how many requests may I send", 3),
    ] {
        let scores = score(query, &passages);
        let winner = (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b]));
        assert_eq!(winner, Some(best), "{query}: {scores:?}");
    }
}

#[test]
fn a_batch_gives_what_single_calls_give() {
    let long = "a sentence about nothing in particular; ".repeat(60);
    let passages = [
        "short",
        long.as_str(),
        "a passage of middling length about graphs",
        "x y z",
    ];
    let together = score("what is a graph?", &passages);
    for (passage, together) in passages.iter().zip(together) {
        let alone = score("what is a graph?", &[passage])[0];
        assert!(
            (alone - together).abs() < 1e-4,
            "{passage:.20}: {alone} {together}"
        );
    }
}

#[test]
fn nothing_to_score_is_no_score() {
    assert_eq!(score("query", &[]), Vec::<f32>::new());
    assert!(score("", &["passage"])[0].is_finite());
    assert!(score("", &[""])[0].is_finite());
}

#[test]
fn a_blank_passage_is_no_better_than_the_worst() {
    let passages = [
        "Rotate the API key under Settings.",
        "",
        "The office is closed.",
        " \n",
    ];
    let scores = score("how do I rotate an API key?", &passages);
    assert!(scores[0] > scores[2], "{scores:?}");
    assert_eq!((scores[1], scores[3]), (scores[2], scores[2]));
}

#[test]
fn a_query_longer_than_the_window_leaves_room_for_the_passage() {
    let query = "how do I rotate an API key? ".repeat(5000);
    let scores = score(
        &query,
        &[
            "Rotate the API key under Settings.",
            "The office is closed.",
        ],
    );
    assert!(scores[0] > scores[1], "{scores:?}");
    let pairs = &RERANKER.pairs;
    let pair = pairs
        .pair(&pairs.query(&query).unwrap(), &"word ".repeat(9999))
        .unwrap();
    assert_eq!(pair.len(), RERANKER.window());
    assert!(
        pair.segments
            .iter()
            .filter(|&&segment| segment == 1)
            .count()
            > 90
    );
}

#[test]
fn batches_hold_every_pair_once_and_keep_to_the_budget() {
    let pair = |len: usize| Pair {
        ids: vec![1; len],
        segments: vec![0; len],
        passage: len,
        blank: false,
    };
    let pairs: Vec<_> = [5, 192, 30, 192, 7, 100, 192, 192, 192].map(pair).into();
    let batches = batches(&pairs, (0..pairs.len()).collect(), 768);
    let mut all: Vec<_> = batches.concat();
    all.sort_unstable();
    assert_eq!(all, (0..pairs.len()).collect::<Vec<_>>());
    for batch in batches {
        assert!(batch.len() * pairs[batch[0]].len() <= 768);
    }
}

#[test]
fn a_cancelled_call_does_no_work() {
    let cancel = Cancel::never();
    cancel.cancel();
    let error = RERANKER.score("query", &["passage"], &cancel).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    let late = Cancel::never().with_deadline(std::time::Instant::now());
    let error = RERANKER.score("query", &["passage"], &late).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
}

#[test]
fn a_folder_with_the_same_model_scores_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let open = || CrossEncoder::open(folder.path(), "local", &runtime(), 1);
    assert_eq!(open().err().unwrap().kind(), ErrorKind::NotFound);
    std::fs::create_dir(folder.path().join("onnx")).unwrap();
    std::fs::write(folder.path().join("onnx/model.onnx"), model().model).unwrap();
    assert_eq!(open().err().unwrap().kind(), ErrorKind::NotFound);
    std::fs::write(folder.path().join("tokenizer.json"), builtin::TOKENIZER).unwrap();
    assert_eq!(open().unwrap().window(), DEFAULT_WINDOW);
    std::fs::write(
        folder.path().join("config.json"),
        r#"{"max_position_embeddings":192}"#,
    )
    .unwrap();
    let local = open().unwrap();
    assert_eq!((local.id(), local.window()), ("local", 192));
    let passages = [
        "Rotate the API key under Settings.",
        "The office is closed.",
    ];
    let scores = local
        .score("rotate key", &passages, &Cancel::never())
        .unwrap();
    let builtin = ONNX
        .score("rotate key", &passages, &Cancel::never())
        .unwrap();
    for (local, builtin) in scores.iter().zip(builtin) {
        assert!((local - builtin).abs() < 1e-3, "{local} {builtin}");
    }
}

#[test]
fn truncated_weights_are_corrupt_and_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tokenizer.json"), builtin::TOKENIZER).unwrap();
    for bytes in [&model().model[..1_000_000], b"", b"not a graph at all"] {
        std::fs::write(folder.path().join("model.onnx"), bytes).unwrap();
        let error = CrossEncoder::open(folder.path(), "cut", &runtime(), 1)
            .err()
            .unwrap();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(error.to_string().contains("model.onnx"), "{error}");
    }
    std::fs::write(folder.path().join("model.onnx"), model().model).unwrap();
    std::fs::write(folder.path().join("tokenizer.json"), "{}").unwrap();
    let error = CrossEncoder::open(folder.path(), "cut", &runtime(), 1)
        .err()
        .unwrap();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
}

#[test]
fn it_keeps_the_contract_on_both_engines() {
    crate::testing::conformance::check_reranker(&*RERANKER);
    crate::testing::conformance::check_reranker(&*ONNX);
}

#[test]
fn our_kernels_give_the_scores_of_onnx_runtime() {
    for model in &builtin::ALL {
        agree_with_onnx_runtime(model);
    }
}

fn agree_with_onnx_runtime(model: &'static Builtin) {
    let runtime = CrossEncoder::builtin_onnx(model.id, &runtime(), 2).unwrap();
    let long = "Restart the gateway after the certificate was renewed. ".repeat(40);
    let passages = [
        "To rotate the API key, open Settings, choose Keys and press Rotate.",
        "The office is closed on public holidays.",
        "Keys on the keyboard can be remapped in the accessibility panel.",
        "x",
        long.as_str(),
    ];
    // Scores are between -20 and 20. ONNX Runtime rounds activations to 8 bits
    // with one scale for the whole batch, our bytes with one for each token.
    let engines = [Precision::F32, Precision::Auto, Precision::Int8]
        .map(|precision| CrossEncoder::on_kernels(model, 2, precision).unwrap());
    let mut off = [0.0, 0.0];
    let mut count = 0.0;
    for query in [
        "How do I rotate an API key?",
        "office",
        "certificate renewal",
    ] {
        for passage in passages {
            let score = |engine: &CrossEncoder| {
                engine.score(query, &[passage], &Cancel::never()).unwrap()[0]
            };
            let [floats, auto, bytes] = engines.each_ref().map(score);
            let onnx = score(&runtime);
            let what = format!(
                "{}: {query} {passage:.20}: {floats} {bytes} {onnx}",
                model.id
            );
            assert!((floats - onnx).abs() < 1.5, "{what}");
            assert!((floats - auto).abs() < 0.02, "{what} {auto}");
            assert!((floats - bytes).abs() < 0.75, "{what}");
            off[0] += (floats - onnx).abs();
            off[1] += (floats - bytes).abs();
            count += 1.0;
        }
    }
    let off = off.map(|sum| sum / count);
    assert!(off[0] < 0.5 && off[1] < 0.25, "{}: {off:?}", model.id);
}

#[test]
fn passages_that_were_read_before_score_as_they_did() {
    let options = LoadOptions {
        threads: 1,
        reranker_cache_num_bytes: 1 << 20,
        ..LoadOptions::default()
    };
    let remembers = CrossEncoder::builtin(ID, &options).unwrap();
    let passages = [
        "To rotate the API key, press Rotate.",
        "The office is closed.",
        "Keys can be remapped.",
    ];
    let score = |engine: &CrossEncoder, query: &str, passages: &[&str]| {
        engine.score(query, passages, &Cancel::never()).unwrap()
    };
    let queries = ["How do I rotate a key?", "When is the office open?"];
    // The second one is new, between two that are not.
    score(&remembers, queries[0], &[passages[0], passages[2]]);
    for query in queries {
        let wanted = score(&RERANKER, query, &passages);
        let found = score(&remembers, query, &passages);
        for (wanted, found) in wanted.iter().zip(&found) {
            assert!((wanted - found).abs() < 1e-3, "{query}: {wanted} {found}");
        }
        // To the bit, where nothing is read.
        assert_eq!(score(&remembers, query, &passages), found, "{query}");
    }
}

#[test]
fn a_question_that_was_read_before_scores_as_it_did() {
    let passages = [
        "To rotate the API key, press Rotate.",
        "The office is closed.",
    ];
    let score = |engine: &CrossEncoder, query: &str| {
        engine.score(query, &passages, &Cancel::never()).unwrap()
    };
    let open = || CrossEncoder::on_kernels(model(), 1, Precision::F32).unwrap();
    let engine = open();
    let asked = ["How do I rotate a key?", "Is the office open?"];
    let wanted = asked.map(|query| score(&open(), query));
    assert_ne!(wanted[0], wanted[1]);
    for at in [0, 0, 1, 0, 1, 1] {
        assert_eq!(score(&engine, asked[at]), wanted[at]);
    }
}

#[test]
fn candles_operations_give_the_scores_of_our_kernels() {
    let candle = CrossEncoder::on_candle(model(), 2, &Device::Cpu).unwrap();
    assert_eq!((candle.device(), candle.id()), ("cpu", RERANKER.id()));
    crate::testing::conformance::check_reranker(&candle);
    let ours = CrossEncoder::on_kernels(model(), 2, Precision::F32).unwrap();
    // Lengths that need padding and several batches, and a passage of nothing.
    let long = "Restart the gateway after the certificate was renewed. ".repeat(40);
    let passages = [
        "x",
        long.as_str(),
        "",
        "To rotate the API key, open Settings, choose Keys and press Rotate.",
        &long[..300],
        &long,
        &long[..700],
        &long[..900],
        "The office is closed on public holidays.",
    ];
    let never = Cancel::never();
    for query in ["How do I rotate an API key?", "office", ""] {
        let wanted = ours.score(query, &passages, &never).unwrap();
        let got = candle.score(query, &passages, &never).unwrap();
        for (at, (got, wanted)) in got.iter().zip(&wanted).enumerate() {
            // Scores are between -20 and 20.
            assert!((got - wanted).abs() < 1e-3, "{query} {at}: {got} {wanted}");
        }
    }
}
