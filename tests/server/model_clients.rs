//! Embeddings and re-ranking through clients that are not ours: the Python packages
//! `openai`, `langchain-openai` and `cohere`, over a real port.

use std::path::PathBuf;
use std::sync::Arc;

use cairn_gateway::accounts::Scope;
use serde_json::{Value, json};

use super::embeddings::vectors;
use super::keys::Closed;
use super::talk;
use crate::peers;

const PACKAGES: [&str; 3] = ["openai==3.57.0", "langchain-openai==1.7.4", "cohere==7.3.1"];

/// What the clients make of the service at the first argument, with the key of the second.
const SCRIPT: &str = r#"
import json, sys
import cohere, openai
from langchain_openai import OpenAIEmbeddings

url, key = sys.argv[1:]
texts = ["the writer lock", "", "élan und Öl"]
documents = ["a blue whale", "a red fox", "the red house"]
said = {}

client = openai.OpenAI(base_url=url + "/v1", api_key=key)
for name, options in [("default", {}), ("float", {"encoding_format": "float"})]:
    reply = client.embeddings.create(model="hash-64", input=texts, **options)
    said["openai " + name] = [item.embedding for item in reply.data]
said["openai usage"] = reply.usage.prompt_tokens
said["openai order"] = [item.index for item in reply.data]
said["openai models"] = [model.id for model in client.models.list()]
said["openai kinds"] = [client.models.retrieve(id).type for id in ["script/script-1", "hash-64", "overlap"]]
for name, options in [
    ("tokens", {"model": "hash-64", "input": [[1, 2], [3]]}),
    ("dimensions", {"model": "hash-64", "input": "x", "dimensions": 3}),
    ("model", {"model": "text-embedding-3-small", "input": "x"}),
]:
    try:
        client.embeddings.create(**options)
    except openai.APIStatusError as error:
        said["openai " + name] = [type(error).__name__, error.code, error.param]

embeddings = OpenAIEmbeddings(
    model="hash-64", base_url=url + "/v1", api_key=key, check_embedding_ctx_length=False
)
said["langchain"] = embeddings.embed_documents(texts)
said["langchain query"] = embeddings.embed_query(texts[0])

def results(reply):
    return [[result.index, result.relevance_score] for result in reply.results]

first = cohere.Client(api_key=key, base_url=url)
reply = first.rerank(
    query="red fox", documents=[{"text": text} for text in documents], return_documents=True
)
said["cohere 1"] = results(reply)
said["cohere 1 texts"] = [result.document.text for result in reply.results]
second = cohere.ClientV2(api_key=key, base_url=url)
reply = second.rerank(model="overlap", query="red fox", documents=documents, top_n=2)
said["cohere 2"] = results(reply)
said["cohere 2 version"] = reply.meta.api_version.version
said["cohere 2 tokens"] = reply.meta.tokens.input_tokens
try:
    second.rerank(model="rerank-v3.5", query="red fox", documents=documents)
except cohere.NotFoundError as error:
    said["cohere model"] = error.body["error"]["param"]

print(json.dumps(said))
"#;

/// A Python that has the packages; `None` if they may be missing and are.
fn python() -> Option<PathBuf> {
    peers::python(
        "clients",
        &PACKAGES,
        "import cohere, langchain_openai, openai",
    )
}

fn same(got: &Value, expected: &[Vec<f32>]) {
    let got: Vec<Vec<f32>> = serde_json::from_value(got.clone()).unwrap();
    assert_eq!(got, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_people_have_embed_and_rerank() {
    let Some(python) = tokio::task::spawn_blocking(python).await.unwrap() else {
        return;
    };
    let closed = Closed::with(Arc::new(super::Scripted::citing()), |_| {});
    let key = closed.key(&[], &[Scope::Chat]).await;
    let said = talk(&closed.bench, super::python(&python, SCRIPT), &[&key]).await;

    let expected = vectors(&["the writer lock", "", "élan und Öl"]);
    for name in ["openai default", "openai float", "langchain"] {
        same(&said[name], &expected);
    }
    same(&json!([said["langchain query"]]), &expected[..1]);
    assert_eq!(said["openai usage"], 6);
    assert_eq!(said["openai order"], json!([0, 1, 2]));
    assert_eq!(said["openai models"], json!(["script", "script/script-1"]));
    assert_eq!(said["openai kinds"], json!(["chat", "embedding", "rerank"]));
    for (name, error, code, param) in [
        ("tokens", "BadRequestError", "invalid_request", "input"),
        (
            "dimensions",
            "BadRequestError",
            "invalid_request",
            "dimensions",
        ),
        ("model", "NotFoundError", "not_found", "model"),
    ] {
        assert_eq!(said[format!("openai {name}")], json!([error, code, param]));
    }
    let probability = |score: f64| 1.0 / (1.0 + (-score).exp());
    let ranked = [(1, 1.0), (2, 0.5), (0, 0.0)].map(|(at, score)| (at, probability(score)));
    for (name, expected) in [("cohere 1", &ranked[..]), ("cohere 2", &ranked[..2])] {
        let got: Vec<(usize, f64)> = serde_json::from_value(said[name].clone()).unwrap();
        let near = |(got, expected): (&(usize, f64), &(usize, f64))| {
            got.0 == expected.0 && (got.1 - expected.1).abs() < 1e-9
        };
        assert!(
            got.len() == expected.len() && got.iter().zip(expected).all(near),
            "{name}: {got:?}"
        );
    }
    let texts = json!(["a red fox", "the red house", "a blue whale"]);
    assert_eq!(said["cohere 1 texts"], texts);
    assert_eq!(said["cohere 2 version"], "2");
    assert_eq!(said["cohere 2 tokens"], 11.0);
    assert_eq!(said["cohere model"], "model");
}
