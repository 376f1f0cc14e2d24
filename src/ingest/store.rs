//! Parsing and writing single documents for jobs.

use std::time::Duration;

use cairn_indexer::{Document, DocumentId, ParseInput};
use serde_json::{Value, json};

use super::kinds::Marks;
use super::task::{Stop, Task};
use super::{Payload, bounds};

/// How long a document waits for another writer before its job is put back.
const LOCK_PATIENCE: Duration = Duration::from_secs(60);

/// Parses a document.
///
/// # Errors
/// Permanent where its contents are to blame.
pub(super) fn parse(input: &ParseInput<'_>, task: &Task) -> Result<Document, Stop> {
    Ok(task.tools().parser.parse(input, task.cancel())?)
}

/// Stores `document`, replacing the one with its URI.
///
/// # Errors
/// Permanent when the caller may not read the one that it would replace.
pub(super) fn put(
    mut document: Document,
    marks: Marks,
    payload: &Payload,
    task: &Task,
) -> Result<Value, Stop> {
    document.metadata.extend(marks.metadata);
    document.labels.extend(marks.labels);
    // Together with what the file says of itself.
    bounds::check_metadata(&document.metadata).map_err(|error| Stop::permanent(error.message))?;
    let (id, uri, title) = (document.id(), document.uri.clone(), document.title.clone());
    let warnings = document.warnings.clone();
    let index = task.collection(payload)?;
    let embedder = task.embedder()?;
    task.stage("embed");
    let ready = index.prepare(vec![document], embedder.as_ref(), task.cancel())?;
    task.stage("commit");
    let mut writer = index.writer_within(&embedder, LOCK_PATIENCE)?;
    // Asked while the lock is held, so nothing changes in between.
    if !index.snapshot().may_touch(id, &payload.access())? {
        return Err(Stop::permanent(format!(
            "this API key may not replace the document `{uri}`; use another uri"
        )));
    }
    let report = writer.put_ready(ready, task.cancel())?;
    let generation = writer.commit()?;
    Ok(json!({
        "generation": generation,
        "documents": [{
            "id": id.to_string(),
            "uri": uri,
            "title": title,
            "chunks": report.first().map_or(0, |report| report.chunks),
            "warnings": warnings,
        }],
    }))
}

/// Deletes a document. One that is not there, or that the caller may not read, is not.
pub(super) fn delete(id: DocumentId, payload: &Payload, task: &Task) -> Result<Value, Stop> {
    let index = task.collection(payload)?;
    task.stage("commit");
    let mut writer = index.writer_within(&task.embedder()?, LOCK_PATIENCE)?;
    let deleted = index.snapshot().may_touch(id, &payload.access())? && writer.delete(id)?;
    let generation = writer.commit()?;
    Ok(json!({ "generation": generation, "deleted": deleted }))
}
