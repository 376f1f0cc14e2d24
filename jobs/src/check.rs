//! The bounds of what comes in.

use serde_json::Value;

use crate::error::{Error, Result};
use crate::job::{DocumentError, NewJob};
use crate::lease::{Claim, Failure};

/// Bytes of JSON in a payload, a result or an input.
pub(crate) const MAX_JSON_BYTES: usize = 256 * 1024;
/// Jobs in one submission.
pub(crate) const MAX_SUBMISSION: usize = 1_000;
/// Bytes of the payloads of one submission.
pub(crate) const MAX_SUBMISSION_BYTES: usize = 16 * 1024 * 1024;
/// Bytes of an error that an event carries.
const MAX_EVENT_ERROR_BYTES: usize = 1_024;
/// Jobs and kinds in a claim.
const MAX_CLAIMED: usize = 64;
/// Bytes of a worker's name.
const MAX_WORKER_BYTES: usize = 256;
/// Bytes of a kind.
const MAX_KIND_BYTES: usize = 64;
/// Bytes of a key, a tenant or a source.
const MAX_KEY_BYTES: usize = 1_024;
/// The most attempts.
const MAX_ATTEMPTS: u32 = 100;
/// Bytes of one message that is kept.
const MAX_MESSAGE_BYTES: usize = 2_048;
/// Messages of a chain.
const MAX_CHAIN: usize = 16;

/// Checks a job.
pub(crate) fn job(job: &NewJob) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.:".contains(c);
    if job.kind.is_empty() || job.kind.len() > MAX_KIND_BYTES || !job.kind.chars().all(plain) {
        return Err(Error::Invalid(format!(
            "`kind` has 1 to {MAX_KIND_BYTES} letters, digits and `_-.:`"
        )));
    }
    let keys = [
        ("tenant", Some(&job.tenant)),
        ("ordering_key", job.ordering_key.as_ref()),
        ("unique_key", job.unique_key.as_ref()),
        ("idempotency_key", job.idempotency_key.as_ref()),
        ("source", job.source.as_ref()),
    ];
    for (name, key) in keys {
        key.map_or(Ok(()), |key| text(name, key, MAX_KEY_BYTES))?;
    }
    if !(1..=MAX_ATTEMPTS).contains(&job.max_attempts.unwrap_or(1)) {
        return Err(Error::Invalid(format!(
            "`max_attempts` is 1 to {MAX_ATTEMPTS}"
        )));
    }
    if job.cost_cap.is_some_and(|cap| i64::try_from(cap).is_err()) {
        return Err(Error::Invalid("`cost_cap` is too large".into()));
    }
    Ok(())
}

/// Checks that `text` is not longer than `max` bytes.
pub(crate) fn text(name: &str, text: &str, max: usize) -> Result<()> {
    match text.len() <= max {
        true => Ok(()),
        false => Err(Error::Invalid(format!(
            "`{name}` is longer than {max} bytes"
        ))),
    }
}

/// `value` as it is stored.
pub(crate) fn json(name: &str, value: &Value) -> Result<String> {
    let text = value.to_string();
    match text.len() <= MAX_JSON_BYTES {
        true => Ok(text),
        false => Err(Error::Invalid(format!(
            "`{name}` has {} bytes of JSON, and {MAX_JSON_BYTES} are the most: jobs carry references, not bodies",
            text.len()
        ))),
    }
}

/// Checks a claim.
pub(crate) fn claim(claim: &Claim) -> Result<()> {
    let max = MAX_CLAIMED;
    if claim.limit == 0 || claim.limit > max || claim.kinds.len() > max {
        let why = format!("a claim is for 1 to {max} jobs of at most {max} kinds");
        return Err(Error::Invalid(why));
    }
    text("worker", &claim.worker, MAX_WORKER_BYTES)
}

/// The errors of `chain` in one line within its bounds.
pub(crate) fn event_error(chain: &[String]) -> String {
    let mut line = chain.join(": ");
    cut(&mut line, MAX_EVENT_ERROR_BYTES);
    line
}

/// `failure` within its bounds.
pub(crate) fn failure(mut failure: Failure) -> Failure {
    failure.chain.truncate(MAX_CHAIN);
    failure
        .chain
        .iter_mut()
        .for_each(|text| cut(text, MAX_MESSAGE_BYTES));
    if failure.chain.is_empty() {
        failure.chain.push("the worker gave no reason".into());
    }
    failure
}

/// `error` within its bounds.
pub(crate) fn document_error(mut error: DocumentError) -> DocumentError {
    cut(&mut error.document, MAX_MESSAGE_BYTES);
    cut(&mut error.message, MAX_MESSAGE_BYTES);
    if let Some(stage) = &mut error.stage {
        cut(stage, MAX_KIND_BYTES);
    }
    error
}

/// `stage` within its bounds.
pub(crate) fn stage(stage: &str) -> String {
    let mut stage = stage.to_owned();
    cut(&mut stage, MAX_KIND_BYTES);
    stage
}

/// Shortens `text` to at most `max` bytes, at a character.
fn cut(text: &mut String, max: usize) {
    if text.len() > max {
        let end = text.floor_char_boundary(max - '…'.len_utf8());
        text.truncate(end);
        text.push('…');
    }
}
