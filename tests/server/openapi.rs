//! The description of the API: whole, and true to the routes.

use axum::http::StatusCode;
use serde_json::Value;

use super::Bench;

/// Every value of the key `$ref` below `value`.
fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                if let ("$ref", Some(target)) = (key.as_str(), value.as_str()) {
                    found.push(target);
                }
                references(value, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[tokio::test]
async fn it_names_every_route_and_every_schema() {
    let reply = Bench::new().get("/openapi.json").await;
    assert_eq!(reply.status, StatusCode::OK);
    let document = reply.json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let paths: Vec<_> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            methods
                .as_object()
                .unwrap()
                .keys()
                .map(move |method| format!("{method} {path}"))
        })
        .collect();
    let expected = [
        "post /query",
        "get /query",
        "post /query/{id}/input",
        "get /traces/{id}",
        "post /search",
        "post /retrieval",
        "post /documents",
        "get /documents",
        "get /documents/{id}",
        "delete /documents/{id}",
        "get /collections",
        "post /v1/chat/completions",
        "post /v1/batches",
        "get /v1/batches",
        "get /v1/batches/{id}",
        "get /v1/batches/{id}/results",
        "post /v1/batches/{id}/cancel",
        "get /v1/models",
        "get /v1/models/{id}",
        "get /v1/files",
        "post /v1/files",
        "get /v1/files/{id}",
        "delete /v1/files/{id}",
        "get /v1/files/{id}/content",
        "get /v1/vector_stores",
        "post /v1/vector_stores",
        "get /v1/vector_stores/{id}",
        "delete /v1/vector_stores/{id}",
        "post /v1/vector_stores/{id}/search",
        "get /v1/vector_stores/{id}/files",
        "post /v1/vector_stores/{id}/files",
        "get /v1/vector_stores/{id}/files/{file_id}",
        "delete /v1/vector_stores/{id}/files/{file_id}",
        "get /v1/vector_stores/{id}/files/{file_id}/content",
        "post /v1/vector_stores/{id}/file_batches",
        "get /v1/vector_stores/{id}/file_batches/{batch_id}",
        "post /v1/vector_stores/{id}/file_batches/{batch_id}/cancel",
        "get /v1/vector_stores/{id}/file_batches/{batch_id}/files",
        "post /v1/responses",
        "post /v1/embeddings",
        "post /v1/rerank",
        "post /v2/rerank",
        "post /embed",
        "post /rerank",
        "get /info",
        "get /jobs",
        "post /jobs",
        "get /jobs/{id}",
        "delete /jobs/{id}",
        "get /jobs/{id}/events",
        "get /jobs/{id}/ws",
        "post /jobs/{id}/cancel",
        "post /jobs/{id}/retry",
        "post /jobs/{id}/input",
        "get /schedules",
        "get /schedules/{name}",
        "put /schedules/{name}",
        "delete /schedules/{name}",
        "get /webhooks",
        "post /webhooks",
        "delete /webhooks/{id}",
        "post /webhooks/{id}/rotate",
        "get /webhooks/{id}/deliveries",
        "get /health",
        "get /ready",
        "put /feedback/{query_id}",
        "delete /feedback/{query_id}",
        "get /feedback",
        "get /usage",
        "get /metrics",
        "get /openapi.json",
    ];
    for route in expected {
        assert!(
            paths.iter().any(|path| path == route),
            "{route} is missing from {paths:?}"
        );
    }
    assert_eq!(paths.len(), expected.len());
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(!found.is_empty());
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(
            document.pointer(pointer).is_some(),
            "{reference} points nowhere"
        );
    }
    for schema in [
        "QueryBody",
        "SearchResponse",
        "Source",
        "Done",
        "Answered",
        "Citation",
        "Error",
        "UploadReport",
    ] {
        assert!(
            document["components"]["schemas"].get(schema).is_some(),
            "{schema} is missing"
        );
    }
}

#[tokio::test]
async fn every_described_operation_exists() {
    let bench = Bench::new();
    let document = bench.get("/openapi.json").await.json();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            assert!(
                !operation["responses"].as_object().unwrap().is_empty(),
                "{method} {path}"
            );
            let path = path.replace("{id}", "0000000000000000");
            let method = method.to_uppercase().parse().unwrap();
            let reply = bench
                .reply(super::request(method, &path, "application/json", "{}"))
                .await;
            assert_ne!(reply.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
            let unrouted =
                reply.status == StatusCode::NOT_FOUND && reply.text().contains("no such route");
            assert!(!unrouted, "{path}");
        }
    }
}

#[tokio::test]
async fn a_question_has_the_same_fields_in_a_body_and_in_a_query_string() {
    let bench = Bench::new();
    let document = bench.get("/openapi.json").await.json();
    let body = &document["components"]["schemas"]["QueryBody"]["properties"];
    let fields = body.as_object().unwrap().keys().map(String::as_str);
    let mut expected: Vec<&str> = fields
        .filter(|field| *field != "history")
        .map(|field| if field == "query" { "q" } else { field })
        .collect();
    let parameters = document["paths"]["/query"]["get"]["parameters"].as_array();
    let described = parameters.unwrap().iter().map(|parameter| {
        assert_eq!(parameter["in"], "query", "{parameter}");
        assert!(parameter["description"].is_string(), "{parameter}");
        assert_eq!(
            parameter["required"],
            parameter["name"] == "q",
            "{parameter}"
        );
        parameter["name"].as_str().unwrap()
    });
    let mut described: Vec<&str> = described.collect();
    expected.sort_unstable();
    described.sort_unstable();
    assert_eq!(described, expected);
    let filter = parameters.unwrap().iter().find(|it| it["name"] == "filter");
    let schema = filter.unwrap()["schema"].to_string();
    assert!(
        schema.contains("string") && !schema.contains("object"),
        "{schema}"
    );
}
