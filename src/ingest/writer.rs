//! The one way of single documents into collections: uploads, deletions and jobs that bring
//! documents go through a thread for each collection that is written to. What waits shares
//! one commit, and every receipt comes after the commit that makes its documents durable.
//!
//! The writer lock of a collection is held only while a batch is written, so that folder
//! runs of this and other processes can write in between, and while vectors are being
//! merged into a graph, which would be lost otherwise. Who finds the lock taken waits for
//! its turn, and holds up no other collection.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cairn_engine::retrieve::{Engine, SearchError};
use cairn_indexer::{
    Access, Document, DocumentId, Error, ErrorKind, PutReport, Ready, Snapshot, Writer,
};
use cairn_models::{Cancel, CancelOnDrop};
use cairn_settings::telemetry::metrics as names;
use metrics::{counter, gauge, histogram};
use tokio::sync::oneshot;

/// Orders that may wait or be worked on, of all collections; more are [`WriteError::Full`].
const MOST: usize = 64;

/// Most orders of one commit, so that the first one does not wait for long.
const BATCH: usize = 32;

/// How often a batch that waits for its turn checks for clients that left or waited too long.
const LOOK: Duration = Duration::from_millis(200);

/// How often it is looked whether a merge is done while nothing is written.
const MERGE_LOOK: Duration = Duration::from_secs(1);

/// How long a receipt waits for segments that are being merged.
const MERGE_PATIENCE: Duration = Duration::from_millis(200);

/// What to write.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    /// Add documents, which are cut and embedded already.
    Put {
        /// The documents.
        documents: Ready,
        /// What happens to those that the caller may not replace.
        conflict: Conflict,
    },
    /// Remove documents; those that are not there, or that the caller may not read, are not.
    Delete(Vec<DocumentId>),
}

/// What happens where a document would replace one that it may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conflict {
    /// Nothing of the order is written. Unless it may `replace`, a document with the same
    /// URI and another text is in the way, too.
    Refuse {
        /// Whether documents replace those with another text.
        replace: bool,
    },
    /// The document is left out, and the others are written.
    LeaveOut,
}

/// What was written, once it is durable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Receipt {
    /// The commit that holds it.
    pub(crate) generation: u64,
    /// What each document took that was written, in the order of [`Work::Put`]'s.
    pub(crate) put: Vec<PutReport>,
    /// The URIs of those that were left out.
    pub(crate) left_out: Vec<String>,
    /// How many documents were deleted.
    pub(crate) deleted: usize,
}

/// Why nothing was written.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// Too much waits.
    #[error("too many uploads wait for the index; try again in a moment")]
    Full,
    /// A document would replace one that the caller may not read.
    #[error("this API key may not replace the document `{0}`; use another uri")]
    Forbidden(String),
    /// A document would replace one with another text.
    #[error(
        "there is a document `{0}` with another text; nothing was stored: upload under another \
         name, or with `replace` set to true"
    )]
    Exists(String),
    /// There is nothing to embed documents with.
    #[error("documents need an embedder; set models.embedder")]
    NoEmbedder,
    /// What the index says; `Locked` when another writer did not end in time.
    #[error(transparent)]
    Index(Arc<Error>),
    /// What the collection says.
    #[error(transparent)]
    Search(Arc<SearchError>),
    /// A defect.
    #[error("{0}")]
    Defect(&'static str),
}

impl From<Error> for WriteError {
    fn from(error: Error) -> Self {
        Self::Index(Arc::new(error))
    }
}

impl From<SearchError> for WriteError {
    fn from(error: SearchError) -> Self {
        Self::Search(Arc::new(error))
    }
}

type Result<T> = std::result::Result<T, WriteError>;

/// The way to the writers. Clones are the same way.
#[derive(Clone)]
pub(crate) struct Writes(Arc<Shared>);

struct Shared {
    engine: Engine,
    /// How long an order waits for its turn.
    patience: Duration,
    /// Orders that have no reply yet.
    orders: AtomicUsize,
    /// The thread of each collection that is written to. Whoever sends and a thread that
    /// ends hold this, so that no order goes to a thread that has ended.
    lanes: Mutex<HashMap<String, Sender<Order>>>,
}

/// One order on its way.
struct Order {
    work: Work,
    access: Access,
    /// Fires when the receiver of the reply is gone.
    cancel: Cancel,
    /// Until when it waits for its turn.
    until: Instant,
    reply: oneshot::Sender<Result<Receipt>>,
}

/// A place among [`MOST`], given back when it is dropped.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(orders: &'a AtomicUsize) -> Option<Self> {
        let more = |taken: usize| (taken < MOST).then_some(taken + 1);
        let taken = orders.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more);
        gauge!(names::WRITE_QUEUE).set(taken.map_or(MOST, |taken| taken + 1) as f64);
        taken.ok().map(|_| Self(orders))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let left = self.0.fetch_sub(1, Ordering::SeqCst) - 1;
        gauge!(names::WRITE_QUEUE).set(left as f64);
    }
}

impl Writes {
    /// Writers of the collections of `engine`, who wait up to `patience` for their turn.
    pub(crate) fn new(engine: Engine, patience: Duration) -> Self {
        Self(Arc::new(Shared {
            engine,
            patience,
            orders: AtomicUsize::new(0),
            lanes: Mutex::default(),
        }))
    }

    /// How long an order waits for its turn.
    pub(crate) fn patience(&self) -> Duration {
        self.0.patience
    }

    /// Writes what `access` allows, and returns after the commit. Where the future is
    /// dropped before its turn comes, nothing is written.
    ///
    /// # Errors
    /// `Full`, `Forbidden` and `Exists` as `work` says, and `Locked` of the index when
    /// another writer holds the collection for longer than there is patience.
    pub(crate) async fn write(
        &self,
        collection: &str,
        work: Work,
        access: &Access,
    ) -> Result<Receipt> {
        let _place = Place::take(&self.0.orders).ok_or(WriteError::Full)?;
        let (reply, receipt) = oneshot::channel();
        // A client that goes away does not hold up others with what it sent.
        let cancel = CancelOnDrop::default();
        let order = Order {
            work,
            access: access.clone(),
            cancel: cancel.token(),
            until: Instant::now() + self.0.patience,
            reply,
        };
        self.send(collection, order)?;
        let dropped = Err(WriteError::Defect("the writer dropped an order"));
        receipt.await.unwrap_or(dropped)
    }

    /// Hands an order to the thread of its collection, which is started if there is none.
    fn send(&self, collection: &str, order: Order) -> Result<()> {
        let mut lanes = self.0.lanes();
        let order = match lanes.get(collection) {
            None => order,
            Some(lane) => match lane.send(order) {
                Ok(()) => return Ok(()),
                Err(unsent) => unsent.0,
            },
        };
        let (sender, orders) = channel();
        // The receiver is here.
        sender.send(order).ok();
        let mut lane = Lane {
            shared: Arc::clone(&self.0),
            collection: collection.to_owned(),
            merging: None,
        };
        let started = std::thread::Builder::new()
            .name("writer".into())
            .spawn(move || lane.run(&orders));
        started.map_err(|_| WriteError::Defect("the machine has no thread for a writer"))?;
        lanes.insert(collection.to_owned(), sender);
        Ok(())
    }
}

impl Shared {
    fn lanes(&self) -> MutexGuard<'_, HashMap<String, Sender<Order>>> {
        // Each statement leaves the map whole.
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread that writes into one collection. It ends when there is nothing to write.
struct Lane {
    shared: Arc<Shared>,
    collection: String,
    /// The writer whose merges are under way.
    merging: Option<Writer>,
}

impl Lane {
    fn run(&mut self, orders: &Receiver<Order>) {
        while let Some(first) = self.next(orders) {
            let mut batch = vec![first];
            batch.extend(orders.try_iter().take(BATCH - 1));
            self.write_batch(batch);
        }
    }

    /// The next order; `None` if the thread is to end.
    fn next(&mut self, orders: &Receiver<Order>) -> Option<Order> {
        loop {
            if let Some(writer) = &mut self.merging {
                match orders.recv_timeout(MERGE_LOOK) {
                    Ok(order) => return Some(order),
                    Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                        if !keep_merging(&self.collection, writer) {
                            self.merging = None;
                        }
                    }
                }
                continue;
            }
            let mut lanes = self.shared.lanes();
            return match orders.try_recv() {
                Ok(order) => Some(order),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => {
                    lanes.remove(&self.collection);
                    None
                }
            };
        }
    }

    /// Writes orders in one commit; when that fails, each in its own, so that one bad
    /// upload fails alone.
    fn write_batch(&mut self, mut batch: Vec<Order>) {
        let writer = match self.open(&mut batch) {
            Ok(Some(writer)) => writer,
            // The client is gone.
            Ok(None) => return,
            Err(error) => {
                for order in batch {
                    answer(order, Err(error.clone()));
                }
                return;
            }
        };
        let all: Vec<&Order> = batch.iter().collect();
        let results: Vec<Result<Receipt>> = match self.attempt(writer, &all) {
            Ok(receipts) => receipts.into_iter().map(Ok).collect(),
            Err(error) if batch.len() == 1 => vec![Err(error)],
            Err(_) => all.iter().map(|order| self.alone(order)).collect(),
        };
        for (order, result) in batch.into_iter().zip(results) {
            answer(order, result);
        }
    }

    fn alone(&mut self, order: &Order) -> Result<Receipt> {
        let left = order.until.saturating_duration_since(Instant::now());
        let writer = match self.merging.take() {
            Some(writer) => writer,
            None => take(&self.shared.engine, &self.collection, left, &order.cancel)?,
        };
        let receipts = self.attempt(writer, &[order])?;
        let receipt = receipts.into_iter().next();
        receipt.ok_or(WriteError::Defect("the writer lost a receipt"))
    }

    /// Waits for the turn of the batch. Orders whose senders have gone, or that have waited
    /// long enough, leave it; `None` if all have.
    fn open(&mut self, batch: &mut Vec<Order>) -> Result<Option<Writer>> {
        if let Some(writer) = self.merging.take() {
            batch.retain(|order| !order.reply.is_closed());
            if batch.is_empty() {
                self.merging = Some(writer);
                return Ok(None);
            }
            return Ok(Some(writer));
        }
        loop {
            batch.retain(|order| !order.reply.is_closed());
            let Some(first) = batch.iter().map(|order| order.until).min() else {
                return Ok(None);
            };
            let left = first.saturating_duration_since(Instant::now()).min(LOOK);
            let never = Cancel::never();
            match take(&self.shared.engine, &self.collection, left, &never) {
                Err(WriteError::Index(error)) if error.kind() == ErrorKind::Locked => {
                    let now = Instant::now();
                    for order in batch.extract_if(.., |order| order.until <= now) {
                        answer(order, Err(WriteError::Index(Arc::clone(&error))));
                    }
                }
                result => return result.map(Some),
            }
        }
    }

    fn attempt(&mut self, writer: Writer, orders: &[&Order]) -> Result<Vec<Receipt>> {
        let start = Instant::now();
        // A defect must not end the thread that all uploads need.
        let result =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.write(writer, orders)));
        histogram!(names::WRITE_SECONDS).record(start.elapsed());
        result.unwrap_or(Err(WriteError::Defect("the writer panicked")))
    }

    /// One receipt for each order, after one commit. On an error nothing of them is
    /// committed.
    fn write(&mut self, mut writer: Writer, orders: &[&Order]) -> Result<Vec<Receipt>> {
        // Before anything is written, so that a refusal costs nobody anything.
        let judged = match judge(&self.shared.engine, &self.collection, orders) {
            Ok(judged) => judged,
            Err(error) => {
                self.merging = Some(writer).filter(Writer::is_merging);
                return Err(error);
            }
        };
        let mut receipts = Vec::with_capacity(orders.len());
        for (order, untouchable) in orders.iter().zip(judged) {
            let mut receipt = Receipt::default();
            match &order.work {
                Work::Put { documents, .. } => {
                    let mut documents = documents.clone();
                    documents.retain(|document| {
                        let keep = !untouchable.contains(&document.id());
                        if !keep {
                            receipt.left_out.push(document.uri.clone());
                        }
                        keep
                    });
                    receipt.put = writer.put_ready(documents, &order.cancel)?;
                }
                Work::Delete(ids) => {
                    for id in ids.iter().filter(|id| !untouchable.contains(id)) {
                        receipt.deleted += usize::from(writer.delete(*id)?);
                    }
                }
            }
            receipts.push(receipt);
        }
        let generation = writer.commit()?;
        for receipt in &mut receipts {
            receipt.generation = generation;
        }
        // A reply finds the disk quiet where that costs little.
        match writer.close_within(MERGE_PATIENCE) {
            Ok(still_merging) => self.merging = still_merging,
            // What was asked for is committed.
            Err(error) => {
                let collection = &self.collection;
                tracing::warn!(%error, collection, "merged vectors could not be committed");
            }
        }
        Ok(receipts)
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

fn take(engine: &Engine, collection: &str, patience: Duration, cancel: &Cancel) -> Result<Writer> {
    let embedder = engine.embedder().ok_or(WriteError::NoEmbedder)?;
    let index = engine.create_collection(collection)?;
    Ok(index.writer_within(embedder, patience, cancel)?)
}

fn answer(order: Order, result: Result<Receipt>) {
    count(&order.work, &result);
    // A client that went away after the commit loses only the receipt.
    order.reply.send(result).ok();
}

fn count(work: &Work, result: &Result<Receipt>) {
    let (outcome, documents) = match (work, result) {
        (Work::Put { .. }, Ok(receipt)) => ("stored", receipt.put.len()),
        (Work::Put { documents, .. }, Err(_)) => ("failed", documents.documents().len()),
        (Work::Delete(_), Ok(receipt)) => ("deleted", receipt.deleted),
        (Work::Delete(ids), Err(_)) => ("failed", ids.len()),
    };
    counter!(names::DOCUMENTS, "outcome" => outcome).increment(documents as u64);
}

/// Documents that the caller of each order may not replace or delete, and that are to be left
/// alone. Looked at while the writer's lock is held, so nothing changes in between.
///
/// # Errors
/// `Forbidden` and `Exists` for orders that are written whole or not at all.
fn judge(engine: &Engine, collection: &str, orders: &[&Order]) -> Result<Vec<Vec<DocumentId>>> {
    let is_free = |order: &&Order| {
        let refuse = Conflict::Refuse { replace: false };
        let may_conflict = matches!(&order.work, Work::Put { conflict, .. } if *conflict == refuse);
        order.access == Access::All && !may_conflict
    };
    if orders.iter().all(is_free) {
        return Ok(vec![Vec::new(); orders.len()]);
    }
    let index = engine.collection(collection)?;
    index.refresh()?;
    let snapshot: Arc<Snapshot> = index.snapshot();
    // Documents that this batch puts before.
    let mut put: BTreeMap<DocumentId, &Document> = BTreeMap::new();
    let mut judged = Vec::with_capacity(orders.len());
    for order in orders {
        let mut untouchable = Vec::new();
        let may_touch = |id, put: &BTreeMap<DocumentId, &Document>| -> Result<bool> {
            if let Some(before) = put.get(&id) {
                return Ok(order.access.allows(&before.labels));
            }
            Ok(snapshot.may_touch(id, &order.access)?)
        };
        match &order.work {
            Work::Delete(ids) => {
                for id in ids {
                    if !may_touch(*id, &put)? {
                        untouchable.push(*id);
                    }
                }
            }
            Work::Put {
                documents,
                conflict,
            } => {
                for document in documents.documents() {
                    let id = document.id();
                    let has_other_text = || -> Result<bool> {
                        if let Some(before) = put.get(&id) {
                            return Ok(before.text != document.text);
                        }
                        let before = snapshot.document_text(id, &Access::All)?;
                        Ok(before.is_some_and(|text| text != document.text))
                    };
                    match (may_touch(id, &put)?, conflict) {
                        (false, Conflict::LeaveOut) => {
                            untouchable.push(id);
                            continue;
                        }
                        (false, Conflict::Refuse { .. }) => {
                            return Err(WriteError::Forbidden(document.uri.clone()));
                        }
                        (true, Conflict::Refuse { replace: false }) if has_other_text()? => {
                            return Err(WriteError::Exists(document.uri.clone()));
                        }
                        (true, _) => {}
                    }
                    put.insert(id, document);
                }
            }
        }
        judged.push(untouchable);
    }
    Ok(judged)
}
