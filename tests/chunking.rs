//! Chunks as the real tokenizer sees them, and folders with the real model.

use std::sync::{Arc, Mutex};

use cairn_indexer::{
    Access, Document, Index, IndexSettings, RunOptions, chunk_document, index_paths,
};
use cairn_models::{Cancel, Embedder, Hub, LoadOptions, Quiet, TokenSpans, load_embedder};

fn mini_lm() -> Arc<dyn Embedder> {
    let hub = Hub::new(None).unwrap();
    load_embedder(&hub, "all-minilm-l6-v2", &LoadOptions::default(), &Quiet).unwrap()
}

/// Prose, Markdown, code and scripts of all kinds: the project's own sources
/// and documentation (cargo runs tests in the package's folder), and some text
/// that is hard to cut.
fn texts() -> Vec<String> {
    let mut texts = Vec::new();
    for name in [
        "ARCHITECTURE.md",
        "config/default.toml",
        "indexer/src/store/writer.rs",
        "Cargo.lock",
    ] {
        texts.push(std::fs::read_to_string(name).unwrap());
    }
    texts.push("Größenänderungsverfahren überprüfen, naïve café. ".repeat(200));
    texts.push("日本語の文章です。これは二番目の文です。".repeat(150));
    texts.push("ภาษาไทยไม่มีช่องว่างระหว่างคำ".repeat(100));
    texts.push("0123456789abcdef".repeat(500));
    texts.push("👩‍👩‍👧‍👦 ﷽ e\u{301} \u{0} \u{200b} ".repeat(200));
    texts
}

#[test]
fn no_chunk_is_longer_than_the_window_and_the_overlap_is_exact() {
    let model = mini_lm();
    let settings = IndexSettings::default();
    for text in texts() {
        let document = Document {
            title: "A title".into(),
            text,
            ..Document::default()
        };
        let chunks = chunk_document(&document, &*model, &settings).unwrap();
        let spans = model.token_spans(&document.text).unwrap();
        let mut covered = 0;
        for chunk in &chunks {
            assert_eq!(document.text[chunk.span.clone()], chunk.text);
            assert!(chunk.span.start <= covered);
            let tokens = model.token_spans(&chunk.text).unwrap().len();
            assert!(
                tokens <= 510,
                "{tokens} tokens: {:?}",
                &chunk.text[..chunk.text.floor_char_boundary(60)]
            );
            // Long unknown words count by their characters; elsewhere, tokens
            // that start in the overlap are fifty.
            let long = spans.iter().any(|span| span.len() > 100);
            if covered > 0 && !long {
                let shared = chunk.span.start..covered;
                let tokens = spans
                    .iter()
                    .filter(|span| shared.contains(&span.start))
                    .count();
                assert_eq!(tokens, 50);
            }
            covered = chunk.span.end;
        }
        assert_eq!(covered, document.text.len());
    }
}

/// The real tokenizer with made-up vectors, which remembers what it was given.
struct Recorder {
    model: Arc<dyn Embedder>,
    seen: Mutex<Vec<String>>,
}

impl Embedder for Recorder {
    fn id(&self) -> &str {
        "recorder"
    }
    fn dimension(&self) -> usize {
        2
    }
    fn window(&self) -> usize {
        self.model.window()
    }
    fn special_tokens(&self) -> usize {
        self.model.special_tokens()
    }
    fn token_spans(&self, text: &str) -> cairn_models::Result<TokenSpans> {
        self.model.token_spans(text)
    }
    fn embed(&self, texts: &[&str], cancel: &Cancel) -> cairn_models::Result<Vec<Vec<f32>>> {
        cancel.check()?;
        self.seen
            .lock()
            .unwrap()
            .extend(texts.iter().map(|text| (*text).to_owned()));
        Ok(vec![vec![0.6, 0.8]; texts.len()])
    }
}

#[test]
fn every_word_of_a_file_is_inside_what_the_model_reads() {
    let model = mini_lm();
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("docs");
    std::fs::create_dir(&folder).unwrap();
    let numbered: String = (0..4000)
        .map(|n| format!("word{n:04}x is here. "))
        .collect();
    std::fs::write(
        folder.join("long.md"),
        format!("# The heading\n\n{numbered}"),
    )
    .unwrap();
    for context in [true, false] {
        let settings = IndexSettings {
            context,
            ..IndexSettings::default()
        };
        let index = Index::open(&dir.path().join(context.to_string()), settings).unwrap();
        let recorder = Arc::new(Recorder {
            model: Arc::clone(&model),
            seen: Mutex::default(),
        });
        let embedder = Arc::clone(&recorder) as Arc<dyn Embedder>;
        let options = RunOptions::default();
        let roots = [folder.clone()];
        let report =
            index_paths(&roots, &index, embedder, &options, &(), &Cancel::never()).unwrap();
        assert_eq!((report.added, report.failed.len()), (1, 0));
        let mut read = String::new();
        for input in recorder.seen.lock().unwrap().iter() {
            let spans = model.token_spans(input).unwrap();
            let end = spans.get(509).map_or(input.len(), |last| last.end);
            read.push_str(&input[..end]);
            read.push('\n');
        }
        for n in 0..4000 {
            assert!(
                read.contains(&format!("word{n:04}x")),
                "word {n} is not embedded"
            );
        }
        let documents = index.snapshot().documents(0, 10, &Access::All).unwrap();
        assert_eq!(documents[0].uri, "docs/long.md");
    }
}
