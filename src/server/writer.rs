//! What is uploaded or deleted over HTTP goes through one thread behind a
//! bounded queue: uploads that wait share one commit, and every reply comes
//! after the commit that makes the document durable.
//!
//! The writer lock of a collection is held only while a batch is written, so
//! that `cairn index` and the watcher can write in between, and while vectors
//! are being merged into a graph, which would be lost otherwise.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cairn_indexer::{Access, Document, DocumentId, PutReport, Ready, Snapshot, Writer};
use cairn_models::Cancel;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
use metrics::{counter, gauge, histogram};
use tokio::sync::oneshot;

use super::error::{ApiError, Code, Result};
use super::limits::CancelOnDrop;
use cairn_engine::retrieve::Engine;
use cairn_settings::telemetry::metrics as names;

/// Uploads and deletions that may wait; more are "overloaded".
const QUEUE: usize = 64;

/// Most jobs of one commit, so that the first one does not wait for long.
const BATCH: usize = 32;

/// How long a batch waits for another writer of its collection. A folder run lets it in
/// after some seconds of embedding.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// How often it looks whether a merge is done while nothing is uploaded.
const MERGE_LOOK: Duration = Duration::from_secs(1);

/// How long a reply waits for segments that are being merged.
const MERGE_PATIENCE: Duration = Duration::from_millis(200);

/// What to write.
#[derive(Clone, Debug)]
pub enum Work {
    /// Add documents, which are cut and embedded already. One whose URI has a document with
    /// another text is refused, unless these `replace` what is there.
    Put {
        /// The documents.
        documents: Ready,
        /// Whether they replace others.
        replace: bool,
    },
    /// Remove a document.
    Delete(DocumentId),
}

/// What was written, once it is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The commit that holds it.
    pub generation: u64,
    /// What each document took, in the order of [`Work::Put`]'s.
    pub put: Vec<PutReport>,
    /// Whether there was a document to delete.
    pub deleted: bool,
}

struct Job {
    collection: String,
    work: Work,
    access: Access,
    /// Fires when nobody waits for the reply any more.
    cancel: Cancel,
    reply: oneshot::Sender<Result<Receipt>>,
}

/// The way to the writer. Dropping the last one ends its thread.
#[derive(Clone, Debug)]
pub struct WriteQueue(Sender<Job>);

impl WriteQueue {
    /// Starts the thread that writes into the collections of `engine`.
    ///
    /// # Errors
    /// When the machine has no thread for it.
    pub fn start(engine: Engine) -> std::io::Result<Self> {
        let (sender, receiver) = bounded(QUEUE);
        std::thread::Builder::new()
            .name("writer".into())
            .spawn(move || run(&engine, &receiver))?;
        Ok(Self(sender))
    }

    /// Writes what `access` allows, and returns after the commit. A caller that goes away before its
    /// turn comes takes its work along.
    ///
    /// # Errors
    /// `overloaded` when the queue is full, `collection_locked` while another
    /// writer holds the collection, `forbidden` when a document is to replace one
    /// that the caller may not read, `document_exists` when it may not replace
    /// another, and what the index says.
    pub async fn write(&self, collection: &str, work: Work, access: &Access) -> Result<Receipt> {
        let (reply, receipt) = oneshot::channel();
        // A client that goes away holds nobody up with what it sent.
        let cancel = CancelOnDrop::default();
        let job = Job {
            collection: collection.to_owned(),
            work,
            access: access.clone(),
            cancel: cancel.token(),
            reply,
        };
        self.0.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => ApiError::new(
                Code::Overloaded,
                "too many uploads wait for the index; try again in a moment",
            ),
            TrySendError::Disconnected(_) => ApiError::internal("the writer has ended"),
        })?;
        gauge!(names::WRITE_QUEUE).set(self.0.len() as f64);
        receipt
            .await
            .unwrap_or_else(|_| Err(ApiError::internal("the writer dropped a job")))
    }
}

/// What to write, for whom, and until when.
type Order<'a> = (&'a Work, &'a Access, &'a Cancel);

/// Writers whose merges are under way, by collection.
type Merging = BTreeMap<String, Writer>;

fn run(engine: &Engine, queue: &Receiver<Job>) {
    let mut merging = Merging::new();
    loop {
        let first = if merging.is_empty() {
            queue.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            queue.recv_timeout(MERGE_LOOK)
        };
        let first = match first {
            Ok(first) => first,
            Err(RecvTimeoutError::Timeout) => {
                merging.retain(|name, writer| keep_merging(name, writer));
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let mut batch = vec![first];
        batch.extend(queue.try_iter().take(BATCH - 1));
        gauge!(names::WRITE_QUEUE).set(queue.len() as f64);
        batch.retain(|job| !job.reply.is_closed());
        // One commit for each collection; jobs of one keep their order.
        batch.sort_by(|a, b| a.collection.cmp(&b.collection));
        while let Some(first) = batch.first() {
            let name = first.collection.clone();
            let rest = batch.split_off(batch.partition_point(|job| job.collection == name));
            let jobs = std::mem::replace(&mut batch, rest);
            write_group(engine, &mut merging, &name, jobs);
        }
    }
}

/// Takes over the result of a merge that is done; false when nothing is left to
/// wait for.
fn keep_merging(collection: &str, writer: &mut Writer) -> bool {
    match writer.commit() {
        Ok(_) => writer.is_merging(),
        Err(error) => {
            tracing::warn!(%error, collection, "merged vectors could not be committed");
            false
        }
    }
}

/// Writes jobs of one collection in one commit; when that fails, each in its
/// own, so that one bad upload fails alone.
fn write_group(engine: &Engine, merging: &mut Merging, collection: &str, jobs: Vec<Job>) {
    let mut attempt = |work: &[Order<'_>]| {
        let start = Instant::now();
        // A defect must not end the thread that all uploads need.
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            write(engine, merging, collection, work)
        }));
        histogram!(names::WRITE_SECONDS).record(start.elapsed());
        result.unwrap_or_else(|_| Err(ApiError::internal("the writer panicked")))
    };
    let all: Vec<Order<'_>> = jobs
        .iter()
        .map(|job| (&job.work, &job.access, &job.cancel))
        .collect();
    let results: Vec<Result<Receipt>> = match attempt(&all) {
        Ok(receipts) => receipts.into_iter().map(Ok).collect(),
        Err(error) if jobs.len() == 1 || error.code == Code::CollectionLocked => {
            vec![Err(error); jobs.len()]
        }
        Err(_) => all
            .iter()
            .map(|work| attempt(&[*work]).map(|mut receipts| receipts.swap_remove(0)))
            .collect(),
    };
    for (job, result) in jobs.into_iter().zip(results) {
        count(&job.work, &result);
        // A client that went away after the commit loses only the receipt.
        job.reply.send(result).ok();
    }
}

fn count(work: &Work, result: &Result<Receipt>) {
    let (outcome, documents) = match (work, result) {
        (Work::Put { documents, .. }, Ok(_)) => ("stored", documents.documents().len()),
        (Work::Put { documents, .. }, Err(_)) => ("failed", documents.documents().len()),
        (Work::Delete(_), Ok(receipt)) => ("deleted", usize::from(receipt.deleted)),
        (Work::Delete(_), Err(_)) => ("failed", 1),
    };
    counter!(names::DOCUMENTS, "outcome" => outcome).increment(documents as u64);
}

/// One receipt for each piece of work, after one commit. On an error nothing of
/// it is committed.
fn write(
    engine: &Engine,
    merging: &mut Merging,
    collection: &str,
    work: &[Order<'_>],
) -> Result<Vec<Receipt>> {
    let mut writer = match merging.remove(collection) {
        Some(writer) => writer,
        None => open(engine, collection)?,
    };
    // Before anything is written, so that a refusal costs nobody anything.
    let allowed = match allowed(engine, collection, work) {
        Ok(allowed) => allowed,
        Err(error) => {
            if writer.is_merging() {
                merging.insert(collection.to_owned(), writer);
            }
            return Err(error);
        }
    };
    let mut receipts = Vec::with_capacity(work.len());
    for ((work, _, cancel), allowed) in work.iter().zip(allowed) {
        let mut receipt = Receipt {
            generation: 0,
            put: Vec::new(),
            deleted: false,
        };
        match work {
            Work::Put { documents, .. } => {
                receipt.put = writer.put_ready(documents.clone(), cancel)?;
            }
            Work::Delete(_) if !allowed => {}
            Work::Delete(id) => receipt.deleted = writer.delete(*id)?,
        }
        receipts.push(receipt);
    }
    let generation = writer.commit()?;
    receipts
        .iter_mut()
        .for_each(|receipt| receipt.generation = generation);
    // A reply finds the disk quiet where that costs little.
    match writer.close_within(MERGE_PATIENCE) {
        Ok(None) => {}
        Ok(Some(writer)) => {
            merging.insert(collection.to_owned(), writer);
        }
        // What was asked for is committed.
        Err(error) => tracing::warn!(%error, collection, "merged vectors could not be committed"),
    }
    Ok(receipts)
}

/// Which of `work` touches only documents that its caller may read, or that are
/// not there. Looked at while the writer's lock is held, so nothing changes in
/// between.
///
/// # Errors
/// `forbidden` when a document would replace one that the caller may not read;
/// `document_exists` when it would replace one with another text, and may not.
fn allowed(engine: &Engine, collection: &str, work: &[Order<'_>]) -> Result<Vec<bool>> {
    let is_free = |(work, access, _): &Order<'_>| {
        **access == Access::All && !matches!(work, Work::Put { replace: false, .. })
    };
    if work.iter().all(is_free) {
        return Ok(vec![true; work.len()]);
    }
    let index = engine.collection(collection)?;
    index.refresh()?;
    let snapshot: Arc<Snapshot> = index.snapshot();
    // Documents that this batch puts before.
    let mut put: BTreeMap<DocumentId, &Document> = BTreeMap::new();
    let mut results = Vec::with_capacity(work.len());
    for (work, access, _) in work {
        let may_touch = |id, put: &BTreeMap<DocumentId, &Document>| -> Result<bool> {
            if let Some(before) = put.get(&id) {
                return Ok(access.allows(&before.labels));
            }
            Ok(snapshot.may_touch(id, access)?)
        };
        match work {
            Work::Delete(id) => results.push(may_touch(*id, &put)?),
            Work::Put { documents, replace } => {
                for document in documents.documents() {
                    let id = document.id();
                    if !may_touch(id, &put)? {
                        return Err(ApiError::new(
                            Code::Forbidden,
                            format!(
                                "this API key may not replace the document `{}`; use another uri",
                                document.uri
                            ),
                        ));
                    }
                    let has_other_text = || -> Result<bool> {
                        if let Some(before) = put.get(&id) {
                            return Ok(before.text != document.text);
                        }
                        let before = snapshot.document_text(id, &Access::All)?;
                        Ok(before.is_some_and(|text| text != document.text))
                    };
                    if !replace && has_other_text()? {
                        return Err(ApiError::new(
                            Code::DocumentExists,
                            format!(
                                "there is a document `{}` with another text; nothing was stored: \
                                 upload under another name, or with `replace` set to true",
                                document.uri
                            ),
                        ));
                    }
                    put.insert(id, document);
                }
                results.push(true);
            }
        }
    }
    Ok(results)
}

fn open(engine: &Engine, collection: &str) -> Result<Writer> {
    let embedder = engine.embedder().ok_or_else(|| {
        ApiError::new(
            Code::ModelFailed,
            "documents need an embedder; set models.embedder",
        )
    })?;
    let index = engine.create_collection(collection)?;
    Ok(index.writer_within(embedder, LOCK_PATIENCE)?)
}
