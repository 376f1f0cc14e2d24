//! The one thread that writes. It takes all requests that wait, does them in one
//! transaction, and replies when that is on the disk: many submissions share one flush.
//! Between requests it looks whether another process has changed something, and does what
//! is due.
//!
//! Where others decide whether a transaction counts ([`Journal`]), one that came too late is
//! undone, what the others did is applied, and its requests are done again. So is one in which a
//! request is refused: what refuses it may be past.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::{Notify, oneshot, watch};

use super::journal::{Journal, Verdict};
use super::{maintenance, open, schedules};
use crate::error::{Error, Result};
use crate::job::JobId;
use crate::options::Options;

/// Requests in one transaction.
const MAX_BATCH: usize = 256;
/// Requests that wait; more are refused.
const MAX_WAITING: usize = 4_096;
/// Notifiers that the waiters for events share.
const EVENT_SHARDS: usize = 64;
/// How often a transaction is done again because others came before it.
const MAX_OVERTAKEN: u32 = 200;

/// Why a request failed: SQLite's own errors get the path where they leave this room.
pub(crate) enum Fail {
    Sql(rusqlite::Error),
    Say(Error),
}

impl From<rusqlite::Error> for Fail {
    fn from(cause: rusqlite::Error) -> Self {
        Self::Sql(cause)
    }
}

impl From<Error> for Fail {
    fn from(error: Error) -> Self {
        Self::Say(error)
    }
}

/// What a request sees.
pub(crate) struct Tx<'a> {
    pub(crate) sql: &'a Connection,
    pub(crate) shared: &'a Shared,
    /// Milliseconds since 1970.
    pub(crate) now: i64,
    /// Jobs with new events.
    pub(crate) touched: Vec<JobId>,
    /// Whether a claim may find more than before, or a time to be kept is new.
    pub(crate) is_ready: Cell<bool>,
    /// Whether there may be messages to send.
    pub(crate) has_messages: Cell<bool>,
    /// What is to be counted once the transaction counts.
    figures: RefCell<Vec<Box<dyn FnOnce()>>>,
}

impl Tx<'_> {
    /// Counts something if the transaction counts: it may be undone and done again.
    pub(crate) fn count(&self, figure: impl FnOnce() + 'static) {
        self.figures.borrow_mut().push(Box::new(figure));
    }
}

/// What the thread and the callers know in common.
pub(crate) struct Shared {
    pub(crate) path: PathBuf,
    pub(crate) options: Options,
    pub(crate) draining: AtomicBool,
    /// Whether the file is a copy of what others have a part in.
    pub(crate) is_copy: bool,
    changes: watch::Sender<u64>,
    messages: watch::Sender<u64>,
    events: [Notify; EVENT_SHARDS],
}

impl Shared {
    /// Wakes whoever waits for something to claim.
    pub(crate) fn changed(&self) {
        self.changes.send_modify(|n| *n = n.wrapping_add(1));
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Changes when there may be messages to send.
    pub(crate) fn messages(&self) -> watch::Receiver<u64> {
        self.messages.subscribe()
    }

    fn messages_changed(&self) {
        self.messages.send_modify(|n| *n = n.wrapping_add(1));
    }

    /// Where the waiters for events of `id` wait, and some others.
    pub(crate) fn events(&self, id: JobId) -> &Notify {
        &self.events[id.0.as_u128() as usize % EVENT_SHARDS]
    }

    pub(crate) fn failed(&self, fail: Fail) -> Error {
        match fail {
            Fail::Sql(cause) => open::failed(&self.path, cause),
            Fail::Say(error) => error,
        }
    }
}

/// A request that waits for the thread.
trait Work: Send {
    /// Does it, perhaps not for the first time. After an error nothing that it wrote is
    /// kept.
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<()>;
    /// Replies; returns what is to be done if the receiver is gone.
    fn reply(self: Box<Self>, commit: Result<()>) -> Option<Box<dyn Work>>;
    /// Whether the receiver of the reply is gone.
    fn is_abandoned(&self) -> bool;
}

type Undo<T> = fn(&T, &mut Tx<'_>) -> Result<(), Fail>;

struct Request<T, F> {
    run: F,
    result: Option<Result<T>>,
    reply: Option<oneshot::Sender<Result<T>>>,
    /// Takes back a result that was not received.
    undo: Option<Undo<T>>,
}

impl<T, F> Work for Request<T, F>
where
    T: Send + 'static,
    F: FnMut(&mut Tx<'_>) -> Result<T, Fail> + Send + 'static,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<()> {
        let result = (self.run)(tx).map_err(|fail| tx.shared.failed(fail));
        let said = result.as_ref().map(drop).map_err(Error::clone);
        self.result = Some(result);
        said
    }

    fn reply(self: Box<Self>, commit: Result<()>) -> Option<Box<dyn Work>> {
        let result = match (commit, self.result) {
            (Ok(()), Some(result)) => result,
            // Its own error says more than that of the transaction.
            (Err(_), Some(Err(error))) | (Err(error), _) => Err(error),
            (Ok(()), None) => Err(Error::Closed),
        };
        let unheard = match self.reply {
            Some(reply) => reply.send(result).err()?,
            None => return None,
        };
        let (value, undo) = (unheard.ok()?, self.undo?);
        Some(Box::new(TakeBack(value, undo)))
    }

    fn is_abandoned(&self) -> bool {
        self.reply.as_ref().is_some_and(oneshot::Sender::is_closed)
    }
}

/// What a caller asked for and did not receive.
struct TakeBack<T>(T, Undo<T>);

impl<T: Send> Work for TakeBack<T> {
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<()> {
        (self.1)(&self.0, tx).map_err(|fail| tx.shared.failed(fail))
    }

    fn reply(self: Box<Self>, _: Result<()>) -> Option<Box<dyn Work>> {
        None
    }

    fn is_abandoned(&self) -> bool {
        false
    }
}

/// What the thread does by itself.
fn unasked(run: impl FnMut(&mut Tx<'_>) -> Result<(), Fail> + Send + 'static) -> Box<dyn Work> {
    Box::new(Request {
        run,
        result: None,
        reply: None,
        undo: None,
    })
}

/// The way to the thread. It ends when the last of these is dropped.
pub(crate) struct Writer {
    sender: SyncSender<Box<dyn Work>>,
    pub(crate) shared: Arc<Shared>,
}

impl Writer {
    /// Starts the thread on `connection`; `journal` decides what counts, where the file
    /// alone does not.
    pub(crate) fn start(
        connection: Connection,
        path: PathBuf,
        options: Options,
        journal: Option<Box<dyn Journal>>,
    ) -> Result<Self> {
        let (sender, receiver) = sync_channel(MAX_WAITING);
        let shared = Arc::new(Shared {
            path,
            options,
            draining: AtomicBool::new(false),
            is_copy: journal.is_some(),
            changes: watch::Sender::new(0),
            messages: watch::Sender::new(0),
            events: std::array::from_fn(|_| Notify::new()),
        });
        let thread = Thread {
            connection,
            shared: shared.clone(),
            receiver,
            version: None,
            due: None,
            upkeep: maintenance::Upkeep::default(),
            journal,
        };
        std::thread::Builder::new()
            .name("jobs".into())
            .spawn(move || thread.run())
            .map_err(|_| Error::Closed)?;
        Ok(Self { sender, shared })
    }

    /// Does `run` in a transaction; returns when it is durable.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        run: impl FnMut(&mut Tx<'_>) -> Result<T, Fail> + Send + 'static,
    ) -> Result<T> {
        self.send(run, None).await
    }

    /// As [`Self::call`]; `undo` takes back the result if its receiver is gone.
    pub(crate) async fn call_or_undo<T: Send + 'static>(
        &self,
        run: impl FnMut(&mut Tx<'_>) -> Result<T, Fail> + Send + 'static,
        undo: Undo<T>,
    ) -> Result<T> {
        self.send(run, Some(undo)).await
    }

    async fn send<T: Send + 'static>(
        &self,
        run: impl FnMut(&mut Tx<'_>) -> Result<T, Fail> + Send + 'static,
        undo: Option<Undo<T>>,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let call = Request {
            run,
            result: None,
            reply: Some(reply),
            undo,
        };
        self.sender
            .try_send(Box::new(call))
            .map_err(|refused| match refused {
                TrySendError::Full(_) => Error::Overloaded,
                TrySendError::Disconnected(_) => Error::Closed,
            })?;
        answer.await.map_err(|_| Error::Closed)?
    }
}

struct Thread {
    connection: Connection,
    shared: Arc<Shared>,
    receiver: Receiver<Box<dyn Work>>,
    /// SQLite's count of what other connections committed.
    version: Option<i64>,
    /// When the next delayed job or schedule is due, in milliseconds since 1970.
    due: Option<i64>,
    upkeep: maintenance::Upkeep,
    journal: Option<Box<dyn Journal>>,
}

impl Thread {
    fn run(mut self) {
        self.look();
        loop {
            match self.receiver.recv_timeout(self.patience()) {
                Ok(work) => {
                    let more = self.receiver.try_iter().take(MAX_BATCH - 1);
                    let batch = std::iter::once(work).chain(more);
                    let batch = batch.filter(|work| !work.is_abandoned()).collect();
                    self.commit(batch);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.look();
        }
    }

    /// How long to sleep at most.
    fn patience(&self) -> Duration {
        let options = &self.shared.options;
        let left = self
            .due
            .map(|due| due.saturating_sub(options.clock.millis()));
        let left = left.and_then(|left| u64::try_from(left).ok());
        let left = left.map_or(options.poll, Duration::from_millis);
        left.clamp(Duration::from_millis(1), options.poll)
    }

    /// Does `works` in one transaction and replies.
    fn commit(&mut self, mut works: Vec<Box<dyn Work>>) {
        let mut overtaken = 0;
        let mut is_fresh = self.journal.is_none();
        while !works.is_empty() {
            let shared = self.shared.clone();
            let mut tx = Tx {
                sql: &self.connection,
                shared: &shared,
                now: shared.options.clock.millis(),
                touched: Vec::new(),
                is_ready: Cell::new(false),
                has_messages: Cell::new(false),
                figures: RefCell::default(),
            };
            let journal = self.journal.as_deref_mut();
            let verdict = transact(&mut tx, &mut works, journal, is_fresh).map_err(|fail| {
                self.roll_back();
                shared.failed(fail)
            });
            let (touched, figures) = (tx.touched, tx.figures.into_inner());
            let (is_ready, has_messages) = (tx.is_ready.get(), tx.has_messages.get());
            let commit = match verdict {
                Ok(Verdict::Counts) => Ok(()),
                Ok(Verdict::Overtaken) => match self.make_up(&mut overtaken) {
                    Ok(()) => {
                        is_fresh = true;
                        continue;
                    }
                    Err(error) => Err(error),
                },
                Err(error) => Err(error),
            };
            if commit.is_ok() {
                figures.into_iter().for_each(|figure| figure());
            }
            // First the replies: whoever submits is not to wait for those who wake.
            let unheard = works
                .drain(..)
                .filter_map(|work| work.reply(commit.clone()));
            works = unheard.collect();
            if commit.is_err() {
                continue;
            }
            for id in &touched {
                shared.events(*id).notify_waiters();
            }
            if is_ready || !touched.is_empty() {
                self.find_due();
            }
            // Only then: each of these wakes every worker.
            if is_ready {
                shared.changed();
            }
            if has_messages {
                shared.messages_changed();
            }
        }
    }

    fn roll_back(&self) {
        if !self.connection.is_autocommit() {
            self.connection.execute_batch("ROLLBACK").ok();
        }
    }

    /// Undoes a transaction that came too late, and applies those that came before it.
    fn make_up(&mut self, overtaken: &mut u32) -> Result<()> {
        self.roll_back();
        *overtaken += 1;
        if *overtaken > MAX_OVERTAKEN {
            return Err(Error::Overloaded);
        }
        match &mut self.journal {
            Some(journal) => journal.catch_up(),
            None => Ok(()),
        }
    }

    /// Looks whether something is due, or changed by another process.
    fn look(&mut self) {
        if let Some(journal) = &mut self.journal
            && let Err(error) = journal.look()
        {
            tracing::warn!(%error, "what others did to the queue cannot be read yet");
        }
        let statement = self.connection.prepare_cached("PRAGMA data_version");
        let version = statement.and_then(|mut sql| sql.query_row([], |row| row.get::<_, i64>(0)));
        match version {
            Ok(version) if self.version != Some(version) => {
                self.version = Some(version);
                self.find_due();
                self.shared.changed();
                self.shared.messages_changed();
                self.shared.events.iter().for_each(Notify::notify_waiters);
            }
            Ok(_) => {}
            Err(cause) => tracing::warn!(%cause, "the queue's file cannot be read"),
        }
        let now = self.shared.options.clock.millis();
        let is_due = self.due.is_some_and(|due| due <= now);
        if self.shared.options.maintenance {
            if self.upkeep.is_due(Instant::now()) {
                let every = self.shared.options.reap_every;
                self.upkeep.start(Instant::now(), every);
                self.commit(vec![unasked(maintenance::run)]);
            } else if is_due {
                self.commit(vec![unasked(|tx| schedules::tick(tx).map(drop))]);
            }
        }
        if is_due {
            self.find_due();
            self.shared.changed();
        }
    }

    fn find_due(&mut self) {
        // One that is due and was told of already is not told of again.
        let now = self.shared.options.clock.millis();
        let with_schedules = self.shared.options.maintenance;
        self.due =
            maintenance::next_due(&self.connection, now, with_schedules).unwrap_or_else(|cause| {
                tracing::warn!(%cause, "the queue's file cannot be read");
                None
            });
    }
}

/// Begins, runs each of `works` within a savepoint, and commits if that counts. Refusals count
/// only if what others did `is_fresh`.
fn transact(
    tx: &mut Tx<'_>,
    works: &mut [Box<dyn Work>],
    journal: Option<&mut (dyn Journal + 'static)>,
    is_fresh: bool,
) -> Result<Verdict, Fail> {
    let run = |tx: &Tx<'_>, sql: &str| tx.sql.prepare_cached(sql)?.execute([]);
    run(tx, "BEGIN IMMEDIATE")?;
    for work in works {
        run(tx, "SAVEPOINT work")?;
        if let Err(error) = work.run(tx) {
            // A full disk, for one, rolls the whole transaction back.
            if tx.sql.is_autocommit() {
                return Err(error.into());
            }
            if !is_fresh {
                return Ok(Verdict::Overtaken);
            }
            run(tx, "ROLLBACK TO work")?;
        }
        run(tx, "RELEASE work")?;
    }
    if let Some(journal) = journal
        && journal.append(tx.sql)? == Verdict::Overtaken
    {
        return Ok(Verdict::Overtaken);
    }
    run(tx, "COMMIT")?;
    Ok(Verdict::Counts)
}
