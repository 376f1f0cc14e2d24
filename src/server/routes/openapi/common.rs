//! What all routes have in common: names of operations, keys, and failures before a handler.

use std::collections::BTreeMap;

use utoipa::Modify;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{Content, OpenApi, Ref, RefOr, Response, ResponseBuilder, Server};

/// Routes that need no key, and do no work that could be refused.
const OPEN: [&str; 2] = ["/health", "/ready"];

/// Statuses of failures that any route may have.
const ANY: [(u16, &str); 1] = [(403, "Forbidden to this key, page or host name")];
/// Those of a route that may be refused work.
const WORKING: [(u16, &str); 6] = [
    (400, "The request is wrong; `param` names the field"),
    (401, "There is no valid API key"),
    (429, "Too many requests, or the budget is spent"),
    (500, "A defect of the service, or a damaged file"),
    (503, "Starting, stopping, or a model failed"),
    (504, "It took longer than `server.request_seconds`"),
];
/// Those of a route whose path names something.
const NAMING: [(u16, &str); 1] = [(404, "There is no such thing, or not for this key")];
/// Those of a route that takes a body.
const TAKING: [(u16, &str); 4] = [
    (408, "The body came too slowly"),
    (413, "The body is larger than the limit"),
    (415, "The media type is not read"),
    (507, "The disk is full"),
];

/// Adds what the routes have in common to the document.
pub(super) struct Common;

impl Modify for Common {
    fn modify(&self, document: &mut OpenApi) {
        document.servers = Some(vec![Server::new("/")]);
        let components = document.components.get_or_insert_default();
        let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        let header = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("x-api-key")));
        let schemes = [("bearer", bearer), ("header", header)];
        for (name, scheme) in schemes {
            let scheme = RefOr::T(scheme);
            components.security_schemes.insert(name.to_owned(), scheme);
        }
        for (status, meaning) in [&ANY[..], &WORKING, &NAMING, &TAKING].concat() {
            let body = Content::new(Some(Ref::from_schema_name("ErrorBody")));
            let response = ResponseBuilder::new().description(meaning);
            let response = response.content("application/json", body).build();
            components
                .responses
                .insert(name_of(status), RefOr::T(response));
        }
        // Either of them, or none while there is no key.
        document.security = Some(vec![
            SecurityRequirement::new("bearer", [""; 0]),
            SecurityRequirement::new("header", [""; 0]),
            SecurityRequirement::default(),
        ]);
        for (path, item) in &mut document.paths.paths {
            for (method, operation) in operations(item) {
                complete(path, method, operation);
            }
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    [
        ("get", &mut item.get),
        ("put", &mut item.put),
        ("post", &mut item.post),
        ("delete", &mut item.delete),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

fn complete(path: &str, method: &str, operation: &mut Operation) {
    // Handlers of several routes have one name.
    let words = path
        .split(['/', '{', '}', '.'])
        .filter(|word| !word.is_empty());
    let words: Vec<_> = std::iter::once(method).chain(words).collect();
    operation.operation_id = Some(words.join("_"));
    let responses = &mut operation.responses.responses;
    add(responses, &ANY);
    if OPEN.contains(&path) {
        operation.security = Some(Vec::new());
        return;
    }
    add(responses, &WORKING);
    if path.contains('{') {
        add(responses, &NAMING);
    }
    if operation.request_body.is_some() {
        add(responses, &TAKING);
    }
}

/// Adds those that the route does not describe itself.
fn add(responses: &mut BTreeMap<String, RefOr<Response>>, more: &[(u16, &str)]) {
    for (status, _) in more {
        let common = || Ref::from_response_name(name_of(*status)).into();
        responses.entry(status.to_string()).or_insert_with(common);
    }
}

fn name_of(status: u16) -> String {
    format!("Failure{status}")
}
