//! Parsing and writing single documents for jobs.

use cairn_indexer::{Document, DocumentId, ParseInput};
use serde_json::{Value, json};

use super::kinds::Marks;
use super::task::{Stop, Task};
use super::writer::{Conflict, Receipt, Work, WriteError};
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
    task.stage("embed");
    let replace = Conflict::Refuse { replace: true };
    let stored = put_all(vec![document], replace, payload, task)?;
    Ok(json!({ "generation": stored.generation, "documents": stored.documents }))
}

/// What [`put_all`] did.
pub(super) struct Stored {
    /// The commit that holds the documents.
    pub(super) generation: u64,
    /// Each document that was stored, as a result shows it.
    pub(super) documents: Vec<Value>,
    /// The URIs of those that were left out.
    pub(super) refused: Vec<String>,
}

/// Stores `documents` with one commit, by `conflict` where the caller may not replace one.
///
/// # Errors
/// Those of the disk, the embedder and the writer.
pub(super) fn put_all(
    documents: Vec<Document>,
    conflict: Conflict,
    payload: &Payload,
    task: &Task,
) -> Result<Stored, Stop> {
    put_all_telling(documents, conflict, payload, task, &mut |_, _| ())
}

/// The same; `on_embedded` is told how many chunks are embedded, of how many.
///
/// # Errors
/// Those of [`put_all`].
pub(super) fn put_all_telling(
    documents: Vec<Document>,
    conflict: Conflict,
    payload: &Payload,
    task: &Task,
    on_embedded: &mut dyn FnMut(usize, usize),
) -> Result<Stored, Stop> {
    let index = task.collection(payload)?;
    let embedder = task.embedder()?;
    let documents =
        index.prepare_telling(documents, embedder.as_ref(), task.cancel(), on_embedded)?;
    let described: Vec<_> = documents.documents().map(describe).collect();
    let work = Work::Put {
        documents,
        conflict,
    };
    let receipt = write(work, payload, task)?;
    let is_stored = |document: &Value| {
        let uri = document["uri"].as_str();
        !receipt
            .left_out
            .iter()
            .any(|left| Some(left.as_str()) == uri)
    };
    let mut documents: Vec<Value> = described.into_iter().filter(is_stored).collect();
    for (document, report) in documents.iter_mut().zip(&receipt.put) {
        document["chunks"] = json!(report.chunks);
    }
    Ok(Stored {
        generation: receipt.generation,
        documents,
        refused: receipt.left_out,
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
            Ok(document) => self.push(document, input.bytes.len()),
            Err(Stop::Failed(failure)) => {
                self.fail(input.uri, "parse", failure.chain.join(": "));
                Ok(())
            }
            Err(stop) => Err(stop),
        }
    }

    /// Takes a document that was made of so many bytes, and commits when enough of them wait.
    ///
    /// # Errors
    /// Those of [`Batch::commit`].
    pub(super) fn push(&mut self, document: Document, bytes: usize) -> Result<(), Stop> {
        self.bytes += bytes;
        self.waiting.push(document);
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
        self.task.stage("embed");
        let stored = put_all(documents, Conflict::LeaveOut, self.payload, self.task)?;
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

/// Waits for the turn of `work`, and for its commit.
fn write(work: Work, payload: &Payload, task: &Task) -> Result<Receipt, Stop> {
    task.stage("commit");
    let writes = &task.tools().writes;
    let access = payload.access();
    Ok(task.wait(writes.write(&payload.collection, work, &access))??)
}

/// Why a document that the caller may not read is not replaced.
pub(super) fn refusal(uri: &str) -> String {
    WriteError::Forbidden(uri.to_owned()).to_string()
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
    // A collection that is not there yet has nothing to delete, and comes to be.
    task.collection(payload)?;
    let receipt = write(Work::Delete(ids.to_vec()), payload, task)?;
    Ok((receipt.generation, receipt.deleted))
}
