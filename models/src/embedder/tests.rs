//! The embedder against vectors of another implementation.

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use super::*;

/// A text, its number of tokens after cutting, and its vector.
pub(super) type Reference = (String, usize, Vec<f32>);

pub(super) fn folder() -> PathBuf {
    let hub = crate::Hub::new(None).unwrap();
    hub.ensure("all-minilm-l6-v2", &crate::Quiet).unwrap()
}

/// Opened once: the tests share it, as the callers of a service do.
pub(super) fn embedder() -> &'static BertEmbedder {
    static EMBEDDER: LazyLock<BertEmbedder> = LazyLock::new(|| {
        BertEmbedder::open(
            &folder(),
            "all-minilm-l6-v2@53aa5117",
            &LoadOptions::default(),
        )
        .unwrap()
    });
    &EMBEDDER
}

pub(super) fn references() -> Vec<Reference> {
    #[derive(serde::Deserialize)]
    struct Row {
        text: String,
        tokens: usize,
    }
    #[derive(serde::Deserialize)]
    struct File {
        texts: Vec<Row>,
    }
    let file: File =
        serde_json::from_str(include_str!("../../tests/fixtures/minilm_reference.json")).unwrap();
    let floats: Vec<f32> = include_bytes!("../../tests/fixtures/minilm_reference.f32")
        .chunks_exact(4)
        .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()))
        .collect();
    assert_eq!(floats.len(), file.texts.len() * 384);
    let row = |(row, vector): (Row, &[f32])| (row.text, row.tokens, vector.to_vec());
    file.texts
        .into_iter()
        .zip(floats.chunks_exact(384))
        .map(row)
        .collect()
}

pub(super) fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter()
            .zip(b)
            .map(|(&x, &y)| f64::from(x) * f64::from(y))
            .sum()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn vectors_are_those_of_onnx_runtime() {
    let embedder = embedder();
    let references = references();
    assert!(references.len() >= 50);
    let texts: Vec<&str> = references.iter().map(|(text, ..)| text.as_str()).collect();
    let batch = embedder.embed(&texts, &Cancel::never()).unwrap();
    assert_eq!(batch.len(), texts.len());
    for ((text, tokens, wanted), vector) in references.iter().zip(&batch) {
        let name: String = text.chars().take(40).collect();
        assert_eq!(
            embedder.tokens.ids(text).unwrap().len(),
            *tokens,
            "{name:?}"
        );
        assert_eq!(vector.len(), embedder.dimension());
        let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        assert!((length - 1.0).abs() < 1e-5, "{name:?} has length {length}");
        let near = cosine(vector, wanted);
        assert!(near > 0.99999, "{name:?}: cosine {near}");
    }
}

#[test]
fn a_text_does_not_depend_on_its_neighbours_or_the_order() {
    let embedder = embedder();
    let references = references();
    let texts: Vec<&str> = references
        .iter()
        .map(|(text, ..)| text.as_str())
        .step_by(4)
        .collect();
    let forward = embedder.embed(&texts, &Cancel::never()).unwrap();
    let backward: Vec<&str> = texts.iter().rev().copied().collect();
    let backward = embedder.embed(&backward, &Cancel::never()).unwrap();
    for ((text, vector), other) in texts.iter().zip(&forward).zip(backward.iter().rev()) {
        let single = embedder.embed(&[text], &Cancel::never()).unwrap();
        assert!(cosine(vector, other) > 1.0 - 1e-6, "{text:?}");
        assert!(cosine(vector, &single[0]) > 1.0 - 1e-6, "{text:?}");
    }
    assert!(embedder.embed(&[], &Cancel::never()).unwrap().is_empty());
}

#[test]
fn calls_from_several_threads_do_not_disturb_each_other() {
    let embedder = embedder();
    let texts = [
        "one small text",
        "another text, with more words in it than the first",
    ];
    let alone = embedder.embed(&texts, &Cancel::never()).unwrap();
    std::thread::scope(|scope| {
        let call = || scope.spawn(|| embedder.embed(&texts, &Cancel::never()).unwrap());
        for call in [call(), call(), call()] {
            for (vector, wanted) in call.join().unwrap().iter().zip(&alone) {
                assert!(cosine(vector, wanted) > 1.0 - 1e-6);
            }
        }
    });
}

#[test]
fn a_long_text_is_read_as_far_as_the_window() {
    let embedder = embedder();
    let long = "words and more words, again and again. ".repeat(30_000);
    let words: String = long.chars().take(20_000).collect();
    let ids = embedder.tokens.ids(&long).unwrap();
    assert_eq!(ids.len(), embedder.window());
    assert_eq!(ids, embedder.tokens.ids(&words).unwrap());
    // One word of a megabyte is one unknown token.
    assert_eq!(embedder.tokens.ids(&"x".repeat(1 << 20)).unwrap().len(), 3);
}

#[test]
fn spans_are_the_bytes_of_the_tokens() {
    let embedder = embedder();
    let text = "Größe: 日本 🙂 unbelievably";
    let spans = embedder.token_spans(text).unwrap();
    let pieces: Vec<&str> = spans.iter().map(|span| &text[span.clone()]).collect();
    assert_eq!(
        pieces,
        [
            "Gr", "ö", "ße", ":", "日", "本", "🙂", "un", "bel", "ie", "va", "bly"
        ]
    );
    assert_eq!(embedder.special_tokens(), 2);
    assert_eq!(spans.len() + 2, embedder.tokens.ids(text).unwrap().len());
    assert!(embedder.token_spans("").unwrap().is_empty());
    let long = "word ".repeat(2000);
    assert_eq!(embedder.token_spans(&long).unwrap().len(), 2000);
}

#[test]
fn cancelled_work_stops() {
    let embedder = embedder();
    let cancel = Cancel::never();
    cancel.cancel();
    assert_eq!(
        embedder.embed(&["text"], &cancel).unwrap_err().kind(),
        ErrorKind::Cancelled
    );
    let soon = Cancel::never().with_deadline(Instant::now() + Duration::from_millis(20));
    let text = "a long text that fills the window ".repeat(200);
    let error = embedder
        .embed(&vec![text.as_str(); 2000], &soon)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
}

#[test]
fn the_id_tells_weights_apart() {
    let hub = crate::Hub::new(None).unwrap();
    let load = |name: &str| {
        crate::load_embedder(&hub, name, &crate::LoadOptions::default(), &crate::Quiet)
    };
    assert_eq!(
        load("all-minilm-l6-v2").unwrap().id(),
        "all-minilm-l6-v2@53aa5117"
    );
    let folder = folder();
    assert_eq!(
        load(folder.to_str().unwrap()).unwrap().id(),
        "all-minilm-l6-v2@53aa5117"
    );
    assert_eq!(
        load("none").err().map(|e| e.kind()),
        Some(ErrorKind::InvalidInput)
    );
}

#[test]
fn a_broken_folder_is_named() {
    let good = folder();
    let kind_without = |missing: &str, contents: Option<&[u8]>| {
        let bad = tempfile::tempdir().unwrap();
        for name in ["config.json", "tokenizer.json", "model.safetensors"] {
            match contents {
                _ if name != missing => {
                    std::fs::copy(good.join(name), bad.path().join(name))
                        .map(drop)
                        .unwrap();
                }
                Some(contents) => std::fs::write(bad.path().join(name), contents).unwrap(),
                None => {}
            }
        }
        let error = BertEmbedder::open(bad.path(), "id", &LoadOptions::default())
            .err()
            .expect("the folder is broken");
        assert!(error.to_string().contains(missing), "{error}");
        error.kind()
    };
    for missing in ["config.json", "tokenizer.json", "model.safetensors"] {
        assert_eq!(kind_without(missing, None), ErrorKind::NotFound);
        assert_eq!(kind_without(missing, Some(b"not this")), ErrorKind::Corrupt);
    }
}

#[test]
fn batches_hold_every_text_once_and_keep_the_budget() {
    let lengths = [5, 90, 3, 40, 40, 2, 130, 7];
    for padded in [false, true] {
        let batches = batches(&lengths, 100, padded);
        let mut seen: Vec<usize> = batches.concat();
        for batch in &batches {
            let total: usize = match padded {
                true => batch.len() * lengths[batch[0]],
                false => batch.iter().map(|&at| lengths[at]).sum(),
            };
            assert!(total <= 100 || batch.len() == 1, "{batch:?}");
        }
        let sorted: Vec<usize> = seen.iter().map(|&at| lengths[at]).collect();
        assert!(sorted.is_sorted_by(|a, b| a >= b), "{sorted:?}");
        seen.sort_unstable();
        assert_eq!(seen, (0..lengths.len()).collect::<Vec<_>>());
        assert!(super::batches(&[], 100, padded).is_empty());
    }
}

#[test]
fn other_arithmetic_gives_nearly_the_same_vectors() {
    let open = |precision| {
        let options = LoadOptions {
            precision,
            ..LoadOptions::default()
        };
        BertEmbedder::open(&folder(), "minilm", &options).unwrap()
    };
    let [floats, auto, bytes] = [Precision::F32, Precision::Auto, Precision::Int8].map(open);
    let ids = [&floats, &auto, &bytes].map(|embedder| embedder.id().to_owned());
    // Only bytes are so different that an index of the others would suffer.
    assert_eq!(ids, ["minilm", "minilm", "minilm+int8"]);
    let texts = [
        "How do I rotate an API key?",
        "The mitochondrion is the powerhouse of the cell.",
        "ERR_CONN_4012 in foo::bar v1.2.3",
        &"Restart the gateway after the certificate was renewed. ".repeat(40),
    ];
    let embed = |embedder: &BertEmbedder| embedder.embed(&texts, &Cancel::never()).unwrap();
    let wanted = embed(&floats);
    for (embedder, least) in [(&auto, 0.999_99), (&bytes, 0.998)] {
        for (a, b) in embed(embedder).iter().zip(&wanted) {
            let cosine: f32 = a.iter().zip(b).map(|(a, b)| a * b).sum();
            assert!(cosine > least, "{}: {cosine}", embedder.id());
        }
    }
}
