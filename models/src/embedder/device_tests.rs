//! The embedder on candle's operations, which is what a GPU runs, held on candle's
//! CPU device to our own kernels and to ONNX Runtime.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use super::tests::{cosine, embedder, folder, references};
use super::*;

fn candle() -> &'static BertEmbedder {
    static CANDLE: LazyLock<BertEmbedder> = LazyLock::new(|| {
        let options = LoadOptions::default();
        let id = "all-minilm-l6-v2@53aa5117";
        BertEmbedder::open_on(Some(&Device::Cpu), &folder(), id, &options).unwrap()
    });
    &CANDLE
}

#[test]
fn candles_operations_give_the_vectors_of_our_kernels() {
    let references = references();
    let mut texts: Vec<&str> = references.iter().map(|(text, ..)| text.as_str()).collect();
    texts.extend(["", "the last one"]);
    let lengths: Vec<usize> = texts
        .iter()
        .map(|text| candle().tokens.ids(text).unwrap().len())
        .collect();
    let budget = candle().encoder.tokens_per_batch();
    assert!(candle().encoder.padded());
    assert!(
        batches(&lengths, budget, true).len() > 1,
        "one batch proves nothing of the order"
    );

    let never = Cancel::never();
    let got = candle().embed(&texts, &never).unwrap();
    let wanted = embedder().embed(&texts, &never).unwrap();
    assert_eq!((got.len(), candle().id()), (texts.len(), embedder().id()));
    for ((text, got), wanted) in texts.iter().zip(&got).zip(&wanted) {
        let near = cosine(got, wanted);
        assert!(near > 0.99999, "{text:.40?}: cosine {near}");
        let length = got.iter().map(|x| x * x).sum::<f32>().sqrt();
        assert!((length - 1.0).abs() < 1e-5, "{text:.40?}: length {length}");
    }
    for ((text, _, wanted), got) in references.iter().zip(&got) {
        let near = cosine(got, wanted);
        assert!(near > 0.99999, "{text:.40?}: cosine {near} to ONNX Runtime");
    }
    assert!(candle().embed(&[], &never).unwrap().is_empty());
}

#[test]
fn padding_does_not_change_a_vector() {
    let long = "Restart the gateway after the certificate was renewed. ".repeat(60);
    let texts = ["", "short", &long, "ERR_CONN_4012 in foo::bar v1.2.3"];
    let never = Cancel::never();
    let together = candle().embed(&texts, &never).unwrap();
    for (text, vector) in texts.iter().zip(together) {
        let alone = candle().embed(&[text], &never).unwrap();
        assert!(cosine(&vector, &alone[0]) > 1.0 - 1e-6, "{text:.40?}");
    }
}

#[test]
fn work_stops_between_batches() {
    let cancel = Cancel::never();
    cancel.cancel();
    let error = candle().embed(&["text"], &cancel).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    // Several minutes of work.
    let text = "a long text that fills the window ".repeat(200);
    let soon = Cancel::never().with_deadline(Instant::now() + Duration::from_millis(50));
    let error = candle()
        .embed(&vec![text.as_str(); 2000], &soon)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
}

#[test]
fn bytes_stay_on_the_cpu() {
    let open = |device| {
        let options = LoadOptions {
            precision: Precision::Int8,
            device,
            ..LoadOptions::default()
        };
        BertEmbedder::open(&folder(), "minilm", &options)
    };
    let auto = open(DeviceChoice::Auto).unwrap();
    assert_eq!((auto.device(), auto.id()), ("cpu", "minilm+int8"));
    let error = open(DeviceChoice::Cuda(0)).err().expect("it has no bytes");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("models.precision"), "{error}");
}
