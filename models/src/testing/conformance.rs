//! What every implementation of a contract must do, twin or real model. Each
//! function panics at the first promise that is broken.

use std::sync::Mutex;

use crate::dot;
use crate::{
    Cancel, Embedder, ErrorKind, FinishReason, GenerateRequest, Generator, Message, Reranker, Role,
    TokenSpans,
};

const TEXTS: [&str; 7] = [
    "",
    " ",
    "a",
    "The quick brown fox jumps over the lazy dog.",
    "Grüße aus Zürich, 你好, 😀 and ERR_CONN_4012 in foo::bar v1.2.3",
    "line one\r\nline two\ttabbed\u{0}\u{7f}",
    "short again",
];

/// The promises of [`Embedder`].
pub fn check_embedder(embedder: &dyn Embedder) {
    let never = Cancel::never();
    assert!(!embedder.id().is_empty());
    assert!(embedder.window() > embedder.special_tokens());
    check_spans(&|text| embedder.token_spans(text).expect("tokens"));

    assert!(embedder.embed(&[], &never).expect("no text").is_empty());
    let long = TEXTS[3].repeat(embedder.window());
    let texts = [&TEXTS[..], &[&long]].concat();
    let together = embedder.embed(&texts, &never).expect("vectors");
    assert_eq!(together.len(), texts.len());
    for (text, vector) in texts.iter().zip(&together) {
        assert_eq!(vector.len(), embedder.dimension());
        let length = dot(vector, vector).sqrt();
        assert!(
            (length - 1.0).abs() < 1e-3,
            "length {length} for {text:.40?}"
        );
        let alone = embedder.embed(&[text], &never).expect("a vector").remove(0);
        let cosine = dot(vector, &alone);
        assert!(cosine > 1.0 - 1e-5, "alone {cosine} for {text:.40?}");
    }
    let longer = format!("{long}{}", "Something else. ".repeat(50));
    let cut = embedder
        .embed(&[&longer], &never)
        .expect("a vector")
        .remove(0);
    let cosine = dot(&cut, &together[texts.len() - 1]);
    assert!(cosine > 1.0 - 1e-5, "beyond the window: {cosine}");

    let error = embedder.embed(&texts, &fired()).expect_err("cancelled");
    assert_eq!(error.kind(), ErrorKind::Cancelled);
}

/// The promises of [`Reranker`].
pub fn check_reranker(reranker: &dyn Reranker) {
    let never = Cancel::never();
    let query = "how does the fox jump?";
    assert!(!reranker.id().is_empty());
    check_spans(&|text| reranker.token_spans(text).expect("tokens"));

    assert!(
        reranker
            .score(query, &[], &never)
            .expect("no passage")
            .is_empty()
    );
    let scores = reranker.score(query, &TEXTS, &never).expect("scores");
    assert_eq!(scores.len(), TEXTS.len());
    assert!(scores.iter().all(|score| score.is_finite()), "{scores:?}");
    let best = (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    assert_eq!(best, Some(3), "{scores:?}");
    assert_eq!(
        scores,
        reranker.score(query, &TEXTS, &never).expect("scores"),
        "twice"
    );
    let long = "the fox ".repeat(2 * reranker.window());
    for (query, passage) in [
        ("", ""),
        (long.as_str(), long.as_str()),
        (query, long.as_str()),
    ] {
        let score = reranker.score(query, &[passage], &never).expect("a score")[0];
        assert!(score.is_finite());
    }
    let error = reranker
        .score(query, &TEXTS, &fired())
        .expect_err("cancelled");
    assert_eq!(error.kind(), ErrorKind::Cancelled);
}

/// The promises of [`Generator`].
pub fn check_generator(generator: &dyn Generator) {
    assert!(!generator.id().is_empty());
    assert!(generator.context_tokens() > 0);
    assert_eq!(generator.count_tokens("").expect("a count"), 0);
    assert!(generator.count_tokens(TEXTS[3]).expect("a count") >= 9);

    let request = GenerateRequest {
        messages: vec![Message {
            role: Role::User,
            content: "Tell me about foxes.".to_owned(),
        }],
        max_tokens: 12,
        ..GenerateRequest::default()
    };
    let (whole, reason) = write(generator, &request, &Cancel::never());
    assert!(!whole.is_empty());
    assert_eq!(
        (&whole, reason),
        (&write(generator, &request, &Cancel::never()).0, reason),
        "twice"
    );

    let shorter = GenerateRequest {
        max_tokens: 2,
        ..request.clone()
    };
    let (start, reason) = write(generator, &shorter, &Cancel::never());
    assert_eq!(reason, FinishReason::Length);
    assert!(
        whole.starts_with(&start) && start.len() < whole.len(),
        "{start:?} of {whole:?}"
    );

    let at = whole.len() / 2;
    let at = (at..whole.len())
        .find(|&at| whole.is_char_boundary(at))
        .unwrap_or(0);
    let stop: String = whole[at..].chars().take(2).collect();
    let stopping = GenerateRequest {
        stop: vec![stop.clone()],
        ..request.clone()
    };
    let (text, reason) = write(generator, &stopping, &Cancel::never());
    assert_eq!(reason, FinishReason::Stop);
    assert_eq!(Some(text.as_str()), whole.split(&stop).next());

    let (text, reason) = write(generator, &request, &fired());
    assert_eq!((text.as_str(), reason), ("", FinishReason::Cancelled));
    let cancel = Cancel::never();
    let seen = Mutex::new(0);
    let generation = generator.generate(&request, &cancel, &mut |_| {
        *seen.lock().expect("one thread") += 1;
        cancel.cancel();
    });
    assert_eq!(
        generation.expect("an end").finish_reason,
        FinishReason::Cancelled
    );
    assert_eq!(
        seen.into_inner().expect("one thread"),
        1,
        "pieces after the cancellation"
    );
}

fn write(
    generator: &dyn Generator,
    request: &GenerateRequest,
    cancel: &Cancel,
) -> (String, FinishReason) {
    let mut text = String::new();
    let mut keep = |piece: &str| {
        assert!(!piece.is_empty(), "an empty piece");
        text.push_str(piece);
    };
    let generation = generator
        .generate(request, cancel, &mut keep)
        .expect("a text");
    assert!(generation.completion_tokens <= request.max_tokens);
    assert!(generation.prompt_tokens > 0);
    (text, generation.finish_reason)
}

/// Spans are in order, inside the text, on the borders of characters, and cover
/// every letter and digit of plain English.
fn check_spans(spans_of: &dyn Fn(&str) -> TokenSpans) {
    for text in TEXTS {
        let mut end = 0;
        for span in spans_of(text) {
            assert!(
                end <= span.start && span.start <= span.end,
                "{span:?} in {text:?}"
            );
            assert!(text.get(span.clone()).is_some(), "{span:?} in {text:?}");
            end = span.end;
        }
    }
    let covered: String = spans_of(TEXTS[3])
        .into_iter()
        .map(|span| &TEXTS[3][span])
        .collect();
    let plain = |text: &str| text.replace(' ', "");
    assert_eq!(plain(&covered), plain(TEXTS[3]));
}

fn fired() -> Cancel {
    let cancel = Cancel::never();
    cancel.cancel();
    cancel
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{HashEmbedder, OverlapReranker, ScriptedGenerator};
    use crate::{Hub, LoadOptions, Quiet, load_embedder};

    #[test]
    fn the_twins_keep_the_contracts() {
        check_embedder(&HashEmbedder);
        check_reranker(&OverlapReranker);
        let script = "Foxes are small, quick and clever; they hunt at night and sleep by day.";
        check_generator(&ScriptedGenerator(script.to_owned()));
    }

    #[test]
    fn the_default_embedder_keeps_the_contract() {
        let hub = Hub::new(None).expect("a folder");
        let options = LoadOptions::default();
        let embedder = load_embedder(&hub, "all-minilm-l6-v2", &options, &Quiet).expect("a model");
        assert_eq!(embedder.id(), "all-minilm-l6-v2@53aa5117");
        check_embedder(&*embedder);
    }
}
