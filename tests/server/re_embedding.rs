//! Jobs of the kind `re-embed`.

use cairn_models::{Embedder, TokenSpans};

use super::jobs::{ended, id_of, submit};
use super::*;

/// As [`HashEmbedder`], under another name and with fewer dimensions.
struct Other;

impl Embedder for Other {
    fn id(&self) -> &str {
        "other@1"
    }

    fn dimension(&self) -> usize {
        HashEmbedder.dimension() / 2
    }

    fn window(&self) -> usize {
        HashEmbedder.window()
    }

    fn special_tokens(&self) -> usize {
        HashEmbedder.special_tokens()
    }

    fn embed(&self, texts: &[&str], cancel: &Cancel) -> cairn_models::Result<Vec<Vec<f32>>> {
        let vectors = HashEmbedder.embed(texts, cancel)?;
        Ok(vectors
            .into_iter()
            .map(|vector| {
                let mut half = vector[..self.dimension()].to_vec();
                half[0] += 1.0;
                let length = half.iter().map(|value| value * value).sum::<f32>().sqrt();
                half.iter().map(|value| value / length).collect()
            })
            .collect())
    }

    fn token_spans(&self, text: &str) -> cairn_models::Result<TokenSpans> {
        HashEmbedder.token_spans(text)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_gets_the_vectors_of_another_model() {
    let bench = Bench::with(Arc::new(Scripted::citing()), |config| {
        config.jobs.embedders = vec!["other".into(), "missing".into()];
        config.server.bind = "0.0.0.0:0".into();
        config.jobs.max_attempts = 1;
    });
    bench.service.load_embedders_by(|name| match name {
        "other" => Ok(Arc::new(Other)),
        _ => Err(format!("there is no model `{name}`")),
    });
    cairn::server::open_jobs(&bench.service).await;
    tokio::spawn(cairn::server::work_jobs(Arc::clone(&bench.service)));
    bench.upload_guide().await;

    for (model, code) in [
        (json!("elsewhere"), "forbidden"),
        (json!(3), "invalid_request"),
    ] {
        let body = json!({"kind": "re-embed", "model": model});
        assert_eq!(bench.post("/jobs", &body).await.error().0, code);
    }
    let job = submit(&bench, json!({"kind": "re-embed", "model": "missing"})).await;
    let job = ended(&bench, id_of(&job)).await;
    assert_eq!(job["state"], "failed");
    assert!(
        job["failures"].to_string().contains("no model `missing`"),
        "{job}"
    );
    // With its own model there is nothing to do.
    let before = bench.get("/collections").await.json();
    let job = submit(&bench, json!({"kind": "re-embed"})).await;
    let job = ended(&bench, id_of(&job)).await;
    assert_eq!(
        (&job["state"], &job["result"]["chunks"]),
        (&json!("done"), &json!(0)),
        "{job}"
    );
    assert_eq!(bench.get("/collections").await.json(), before);

    let job = submit(&bench, json!({"kind": "re-embed", "model": "other"})).await;
    let job = ended(&bench, id_of(&job)).await;
    assert_eq!(job["state"], "done", "{job}");
    assert_eq!(job["result"]["embedder"], "other@1");
    assert_eq!(job["result"]["before"], HashEmbedder.id());
    assert_eq!(job["progress"]["done"], job["progress"]["total"]);
    // The service still has the old one: it finds by words, and says so.
    let found = bench
        .post("/search", &json!({"query": "writer lock"}))
        .await
        .json();
    assert_eq!(found["sources"][0]["uri"], "guide.md", "{found}");
    assert!(!found["degraded"].as_array().unwrap().is_empty(), "{found}");
    let reply = bench.post("/documents", &json!({"text": "more"})).await;
    assert_eq!(reply.error().0, "collection_mismatch");

    // One that starts with the new model has all of it.
    let engine = Engine::new(bench.service.config(), Some(Arc::new(Other)), None).unwrap();
    let snapshot = engine.collection("main").unwrap().snapshot();
    assert_eq!(
        (snapshot.embedder_id(), snapshot.document_count()),
        (Some("other@1"), 1)
    );
    assert!(snapshot.vector(cairn_indexer::ChunkRef(0)).is_ok());
}
