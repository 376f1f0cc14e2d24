//! Parsing and writing single documents for jobs.

use cairn_indexer::{Document, DocumentId, ParseInput};
use serde_json::{Value, json};

use super::kinds::Marks;
use super::task::{LOCK_PATIENCE, Stop, Task};
use super::{Payload, bounds};

/// Parses a document.
///
/// # Errors
/// Permanent where its contents are to blame.
pub(super) fn parse(input: &ParseInput<'_>, task: &Task) -> Result<Document, Stop> {
    Ok(task.tools().parser.parse(input, task.cancel())?)
}

/// Adds what the client said of its documents.
///
/// # Errors
/// Permanent when that and what the file says of itself are too much together.
pub(super) fn mark(document: &mut Document, marks: &Marks) -> Result<(), Stop> {
    let Marks { metadata, labels } = marks.clone();
    document.metadata.extend(metadata);
    document.labels.extend(labels);
    bounds::check_metadata(&document.metadata).map_err(|error| Stop::permanent(error.message))
}

/// Stores `document`, replacing the one with its URI.
///
/// # Errors
/// Permanent when the caller may not read the one that it would replace.
pub(super) fn put(
    mut document: Document,
    marks: &Marks,
    payload: &Payload,
    task: &Task,
) -> Result<Value, Stop> {
    mark(&mut document, marks)?;
    let uri = document.uri.clone();
    task.stage("embed");
    let stored = put_all(vec![document], payload, task)?;
    if stored.documents.is_empty() {
        return Err(Stop::permanent(refusal(&uri)));
    }
    Ok(json!({ "generation": stored.generation, "documents": stored.documents }))
}

/// What [`put_all`] did.
pub(super) struct Stored {
    /// The commit that holds the documents.
    pub(super) generation: u64,
    /// Each document that was stored, as a result shows it.
    documents: Vec<Value>,
    /// The URIs of those that the caller may not replace.
    refused: Vec<String>,
}

/// Stores `documents` with one commit, but for those that the caller may not replace.
///
/// # Errors
/// Those of the disk, the embedder and the lock of the writer.
pub(super) fn put_all(
    documents: Vec<Document>,
    payload: &Payload,
    task: &Task,
) -> Result<Stored, Stop> {
    let index = task.collection(payload)?;
    let embedder = task.embedder()?;
    let access = payload.access();
    let mut ready = index.prepare(documents, embedder.as_ref(), task.cancel())?;
    task.stage("commit");
    let mut writer = index.writer_within(&embedder, LOCK_PATIENCE)?;
    // Asked while the lock is held, so nothing changes in between.
    let snapshot = index.snapshot();
    let mut refused = Vec::new();
    for document in ready.documents() {
        if !snapshot.may_touch(document.id(), &access)? {
            refused.push(document.uri.clone());
        }
    }
    ready.retain(|document| !refused.contains(&document.uri));
    let mut documents: Vec<_> = ready.documents().map(describe).collect();
    let reports = writer.put_ready(ready, task.cancel())?;
    let generation = writer.commit()?;
    for (document, report) in documents.iter_mut().zip(reports) {
        document["chunks"] = json!(report.chunks);
    }
    Ok(Stored {
        generation,
        documents,
        refused,
    })
}

/// Documents that one commit brings.
const BATCH: usize = 16;
/// Bytes of files that one commit brings, but for one file.
const BATCH_BYTES: usize = 8 << 20;

/// Documents of one job on their way into the collection, some of which may fail.
pub(super) struct Batch<'a> {
    task: &'a Task,
    payload: &'a Payload,
    waiting: Vec<Document>,
    bytes: usize,
    /// Those that were stored.
    pub(super) stored: usize,
    /// Those that failed.
    pub(super) failed: usize,
    /// The last commit.
    pub(super) generation: Option<u64>,
}

impl<'a> Batch<'a> {
    /// An empty one.
    pub(super) fn new(payload: &'a Payload, task: &'a Task) -> Self {
        Self {
            task,
            payload,
            waiting: Vec::new(),
            bytes: 0,
            stored: 0,
            failed: 0,
            generation: None,
        }
    }

    /// Parses a document, and commits when enough of them wait. One that cannot be read
    /// fails alone.
    ///
    /// # Errors
    /// When the job is to stop; those of [`Batch::commit`].
    pub(super) fn add(&mut self, input: &ParseInput<'_>, marks: &Marks) -> Result<(), Stop> {
        let parsed = parse(input, self.task).and_then(|mut document| {
            mark(&mut document, marks)?;
            Ok(document)
        });
        match parsed {
            Ok(document) => {
                self.bytes += input.bytes.len();
                self.waiting.push(document);
            }
            Err(Stop::Failed(failure)) => self.fail(input.uri, "parse", failure.chain.join(": ")),
            Err(stop) => return Err(stop),
        }
        if self.waiting.len() >= BATCH || self.bytes >= BATCH_BYTES {
            self.commit()?;
        }
        Ok(())
    }

    /// Stores the documents that wait.
    ///
    /// # Errors
    /// Those of [`put_all`].
    pub(super) fn commit(&mut self) -> Result<(), Stop> {
        let documents = std::mem::take(&mut self.waiting);
        self.bytes = 0;
        if documents.is_empty() {
            return Ok(());
        }
        let stored = put_all(documents, self.payload, self.task)?;
        self.stored += stored.documents.len();
        self.generation = Some(stored.generation);
        for uri in stored.refused {
            let why = refusal(&uri);
            self.fail(&uri, "commit", why);
        }
        Ok(())
    }

    /// Documents that are in, or will never be.
    pub(super) fn settled(&self) -> u64 {
        (self.stored + self.failed) as u64
    }

    /// Counts and reports a document that failed.
    pub(super) fn fail(&mut self, document: &str, stage: &str, message: String) {
        self.failed += 1;
        self.task.document_failed(document, stage, message);
    }
}

/// Why a document that the caller may not read is not replaced.
fn refusal(uri: &str) -> String {
    format!("this API key may not replace the document `{uri}`; use another uri")
}

fn describe(document: &Document) -> Value {
    json!({
        "id": document.id().to_string(),
        "uri": document.uri,
        "title": document.title,
        "chunks": 0,
        "warnings": document.warnings,
    })
}

/// Deletes a document. One that is not there, or that the caller may not read, is not.
pub(super) fn delete(id: DocumentId, payload: &Payload, task: &Task) -> Result<Value, Stop> {
    let (generation, deleted) = delete_all(&[id], payload, task)?;
    Ok(json!({ "generation": generation, "deleted": deleted > 0 }))
}

/// Deletes documents with one commit; returns its generation, and how many were there and may
/// be read by the caller.
pub(super) fn delete_all(
    ids: &[DocumentId],
    payload: &Payload,
    task: &Task,
) -> Result<(u64, usize), Stop> {
    let index = task.collection(payload)?;
    task.stage("commit");
    let mut writer = index.writer_within(&task.embedder()?, LOCK_PATIENCE)?;
    let snapshot = index.snapshot();
    let mut deleted = 0;
    for id in ids {
        if snapshot.may_touch(*id, &payload.access())? && writer.delete(*id)? {
            deleted += 1;
        }
    }
    Ok((writer.commit()?, deleted))
}
