//! From a request to a job that can be queued.

use std::collections::BTreeSet;

use cairn_jobs::NewJob;
use cairn_settings::config::Jobs;
use serde_json::{Map, Value};

use super::fetch::Fetcher;
use super::kinds::{self, Checks, Spooled};
use super::{Payload, Refusal, Why};

/// Most bytes of a payload, as JSON: jobs carry references and short texts.
const MAX_PAYLOAD_BYTES: usize = 240 << 10;

/// Longest key of the queue that stands in it as it is, in bytes.
const MAX_KEY_BYTES: usize = 512;

/// The caller, and what it may do.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asker {
    /// Its share of the queue.
    pub tenant: String,
    /// Labels that it holds; `None` reads everything.
    pub held: Option<BTreeSet<String>>,
    /// Whether any folder of this machine may be indexed.
    pub any_folder: bool,
    /// The API key, if one was used.
    pub key: Option<String>,
    /// Whether it may ask questions.
    pub may_ask: bool,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The name of a kind.
    pub kind: String,
    /// Where the documents go.
    pub collection: String,
    /// What that kind needs to know.
    pub fields: Map<String, Value>,
    /// Repeating the request with the same key gives the first job.
    pub idempotency_key: Option<String>,
    /// Files that came with it.
    pub spooled: Option<Spooled>,
}

/// Checks a request and makes a job of it, which is not in the queue yet.
///
/// # Errors
/// Names the field that is wrong.
pub(crate) fn new_job(
    request: Request,
    asker: &Asker,
    settings: &Jobs,
    fetcher: &Fetcher,
) -> Result<NewJob, Refusal> {
    let kind = kinds::find(&request.kind).ok_or_else(|| {
        let known: Vec<_> = kinds::KINDS.iter().map(|kind| kind.name()).collect();
        let message = format!(
            "there is no kind of job `{}`; kinds are {}",
            request.kind.chars().take(64).collect::<String>(),
            known.join(", ")
        );
        Refusal::invalid("kind", message)
    })?;
    let checks = Checks {
        asker,
        settings,
        fetcher,
        collection: &request.collection,
        spooled: request.spooled.as_ref(),
    };
    let plan = kind.check(Value::Object(request.fields), &checks)?;
    let payload = Payload {
        collection: request.collection,
        held: asker.held.clone(),
        key: asker.key.clone(),
        input: plan.input,
    };
    let payload = serde_json::to_value(&payload)
        .map_err(|error| Refusal::invalid("kind", error.to_string()))?;
    if payload.to_string().len() > MAX_PAYLOAD_BYTES {
        return Err(Refusal {
            why: Why::TooLarge,
            field: "kind".into(),
            message: format!(
                "a job carries at most {MAX_PAYLOAD_BYTES} bytes; send the text to POST /documents"
            ),
        });
    }
    Ok(NewJob {
        tenant: asker.tenant.clone(),
        ordering_key: plan.ordering_key.map(short),
        // What another key asked for is not the same: it ends when that key does.
        unique_key: plan.unique_key.map(|unique| {
            short(format!(
                "{unique} {}",
                asker.key.as_deref().unwrap_or_default()
            ))
        }),
        unique: cairn_jobs::Unique::Waiting,
        idempotency_key: request.idempotency_key,
        source: plan.source,
        max_attempts: Some(settings.max_attempts),
        ..NewJob::new(kind.name(), payload)
    })
}

/// `key`, or what stands for one that is too long for the queue.
fn short(key: String) -> String {
    match key.len() <= MAX_KEY_BYTES {
        true => key,
        false => blake3::hash(key.as_bytes()).to_hex().to_string(),
    }
}
