//! The tables of a queue, in SQLite, and the statements that are its behaviour.
//!
//! [`SqliteQueue`] is one file in WAL mode, whose lock decides which transaction counts. What
//! else has these tables ([`Tabled`]) is a queue too, and differs in who decides
//! ([`journal::Journal`]).
//!
//! One thread writes (`writer`): it does all requests that wait in one transaction, so that
//! they share its flush. Reads take a connection of a small pool, on a blocking thread.
//! Several processes may share the file; each sees what the others commit by SQLite's count
//! of changes, which costs a look into shared memory.

mod backup;
mod breaker;
mod claim;
mod control;
mod events;
pub(crate) mod journal;
mod maintenance;
pub(crate) mod open;
mod outbox;
mod read;
mod rows;
mod schedules;
mod submit;
mod worker;
mod writer;

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::Connection;
use serde_json::Value;
use tokio::sync::watch;

pub use open::{FILE, MIGRATIONS, REPAIR_SQL, SOUND_ROWS};
pub(crate) use writer::{Fail, Tx, Writer};

use crate::error::{Error, Result};
use crate::event::Event;
use crate::job::{DocumentError, Job, JobId, NewJob, Submitted};
use crate::lease::{Claim, Failure, Fate, Heartbeat, Lease, Token, Update};
use crate::options::Options;
use crate::queue::{Filter, Purge, Queue};
use crate::schedule::{NewSchedule, Schedule};
use crate::stats::Stats;

/// Connections for reading that are kept.
const MAX_READERS: usize = 4;

/// The embedded queue. Clones are the same queue.
#[derive(Clone)]
pub struct SqliteQueue(Tables);

/// A file with the tables, and the thread that writes to it. Clones are the same.
#[derive(Clone)]
pub struct Tables {
    writer: Arc<Writer>,
    readers: Arc<Mutex<Vec<Connection>>>,
}

/// What has the tables of a queue, and therefore is one.
pub trait Tabled: Send + Sync {
    /// The tables.
    fn tables(&self) -> &Tables;
}

impl Tabled for SqliteQueue {
    fn tables(&self) -> &Tables {
        &self.0
    }
}

impl SqliteQueue {
    /// Opens the queue in `folder`, making both when they are not there.
    ///
    /// # Errors
    /// When the file cannot be made, read or written, or a newer Cairn made it.
    pub async fn open(folder: &Path, options: Options) -> Result<Self> {
        let folder = folder.to_owned();
        blocking(move || {
            let (connection, path) = open::open(&folder, &options)?;
            let writer = Writer::start(connection, path, options, None)?;
            Ok(Self(Tables::new(writer)))
        })
        .await
    }
}

impl Tables {
    /// Those that `writer` writes to.
    pub(crate) fn new(writer: Writer) -> Self {
        Self {
            writer: Arc::new(writer),
            readers: Arc::default(),
        }
    }

    /// Does `run` in a transaction; returns when it is durable.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        run: impl FnMut(&mut Tx<'_>) -> Result<T, Fail> + Send + 'static,
    ) -> Result<T> {
        self.writer.call(run).await
    }

    /// Changes when there may be messages to send.
    pub(crate) fn messages(&self) -> watch::Receiver<u64> {
        self.writer.shared.messages()
    }

    /// Milliseconds since 1970 by the queue's clock.
    pub(crate) fn now(&self) -> i64 {
        self.writer.shared.options.clock.millis()
    }

    /// Asks something of a connection that only reads.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Connection) -> Result<T, Fail> + Send + 'static,
    ) -> Result<T> {
        let (shared, readers) = (self.writer.shared.clone(), self.readers.clone());
        blocking(move || {
            let lock = || readers.lock().unwrap_or_else(PoisonError::into_inner);
            let kept = lock().pop();
            let connection = match kept {
                Some(connection) => connection,
                None => open::connect(&shared.path, &shared.options)?,
            };
            let answer = ask(&connection).map_err(|fail| shared.failed(fail));
            let mut readers = lock();
            if readers.len() < MAX_READERS {
                readers.push(connection);
            }
            answer
        })
        .await
    }
}

/// Runs `work` on a thread that may wait.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let joined = tokio::task::spawn_blocking(work).await;
    joined.unwrap_or(Err(Error::Closed))
}

#[async_trait]
impl<T: Tabled> Queue for T {
    async fn submit(&self, jobs: Vec<NewJob>) -> Result<Vec<Submitted>> {
        let checked = submit::check_all(jobs)?;
        let submit = move |tx: &mut Tx<'_>| {
            let submitted = checked.iter().map(|checked| submit::submit(tx, checked));
            submitted.collect()
        };
        self.tables().call(submit).await
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<Lease>> {
        crate::check::claim(&claim)?;
        let run = move |tx: &mut Tx<'_>| claim::claim(tx, &claim);
        self.tables().writer.call_or_undo(run, claim::undo).await
    }

    async fn heartbeat(&self, token: Token) -> Result<Heartbeat> {
        self.tables()
            .call(move |tx| worker::heartbeat(tx, token))
            .await
    }

    async fn progress(&self, token: Token, update: Update) -> Result<Heartbeat> {
        self.tables()
            .call(move |tx| worker::progress(tx, token, &update))
            .await
    }

    async fn spend(&self, token: Token, cost: u64) -> Result<Heartbeat> {
        self.tables()
            .call(move |tx| worker::spend(tx, token, cost))
            .await
    }

    async fn complete(&self, token: Token, result: Value) -> Result<()> {
        let text = worker::text("result", &result)?;
        self.tables()
            .call(move |tx| worker::complete(tx, token, &text))
            .await
    }

    async fn fail(&self, token: Token, failure: Failure) -> Result<Fate> {
        self.tables()
            .call(move |tx| worker::fail(tx, token, &failure))
            .await
    }

    async fn release(&self, token: Token) -> Result<()> {
        self.tables()
            .call(move |tx| worker::release(tx, token))
            .await
    }

    async fn confirm_cancel(&self, token: Token) -> Result<()> {
        self.tables()
            .call(move |tx| worker::confirm_cancel(tx, token))
            .await
    }

    async fn ask_input(&self, token: Token, question: Value) -> Result<()> {
        let text = worker::text("question", &question)?;
        self.tables()
            .call(move |tx| worker::ask_input(tx, token, &text))
            .await
    }

    async fn give_input(&self, id: JobId, input: Value) -> Result<Job> {
        let text = worker::text("input", &input)?;
        self.tables()
            .call(move |tx| control::give_input(tx, id, &text))
            .await
    }

    async fn get(&self, id: JobId) -> Result<Option<Job>> {
        let tables = self.tables();
        let found = tables.read(move |sql| Ok(rows::by_id(sql, id)?)).await?;
        if found.is_some() || !tables.writer.shared.is_copy {
            return Ok(found);
        }
        // Another process may have submitted it just now.
        let look = move |tx: &mut Tx<'_>| {
            let found = rows::by_id(tx.sql, id)?;
            found.ok_or_else(|| Error::NotFound(id).into())
        };
        match tables.call(look).await {
            Ok(job) => Ok(Some(job)),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn list(&self, filter: Filter, limit: usize) -> Result<Vec<Job>> {
        self.tables()
            .read(move |sql| read::list(sql, &filter, limit))
            .await
    }

    async fn document_errors(
        &self,
        id: JobId,
        after: usize,
        limit: usize,
    ) -> Result<Vec<DocumentError>> {
        self.tables()
            .read(move |sql| read::document_errors(sql, id, after, limit))
            .await
    }

    async fn cancel(&self, id: JobId) -> Result<Job> {
        self.tables().call(move |tx| control::cancel(tx, id)).await
    }

    async fn retry(&self, id: JobId) -> Result<Job> {
        self.tables().call(move |tx| control::retry(tx, id)).await
    }

    async fn purge(&self, purge: Purge) -> Result<u64> {
        let mut deleted = 0;
        loop {
            let part = purge.clone();
            let run = move |tx: &mut Tx<'_>| control::purge(tx, &part);
            let (some, is_more) = self.tables().call(run).await?;
            deleted += some;
            if !is_more {
                return Ok(deleted);
            }
        }
    }

    async fn events_after(&self, id: JobId, seq: u64) -> Result<Vec<Event>> {
        let (events, _) = self.tables().events(id, seq).await?;
        Ok(events)
    }

    async fn wait_events(&self, id: JobId, seq: u64, wait: Duration) -> Result<Vec<Event>> {
        let wait_for_one = async {
            loop {
                // Before the look, so that nothing is missed.
                let notified = self.tables().writer.shared.events(id).notified();
                tokio::pin!(notified);
                notified.as_mut().enable();
                let (events, is_over) = self.tables().events(id, seq).await?;
                if !events.is_empty() || is_over {
                    return Ok(events);
                }
                notified.await;
            }
        };
        let waited = tokio::time::timeout(wait, wait_for_one).await;
        waited.unwrap_or(Ok(Vec::new()))
    }

    async fn stats(&self) -> Result<Stats> {
        let now = self.tables().now();
        self.tables().read(move |sql| read::stats(sql, now)).await
    }

    async fn pause(&self, reason: &str) -> Result<()> {
        crate::check::text("reason", reason, 1_024)?;
        let reason = reason.to_owned();
        self.tables()
            .call(move |tx| Ok(control::pause(tx, Some(&reason))?))
            .await
    }

    async fn resume(&self) -> Result<()> {
        self.tables().call(|tx| Ok(control::pause(tx, None)?)).await
    }

    fn drain(&self) {
        self.tables()
            .writer
            .shared
            .draining
            .store(true, Ordering::SeqCst);
    }

    async fn reap(&self) -> Result<u64> {
        self.tables().call(maintenance::reap).await
    }

    async fn reclaim(&self, prefix: &str) -> Result<u64> {
        let prefix = prefix.to_owned();
        self.tables()
            .call(move |tx| maintenance::reclaim(tx, &prefix))
            .await
    }

    async fn put_schedule(&self, schedule: NewSchedule) -> Result<Schedule> {
        self.tables()
            .call(move |tx| schedules::put(tx, &schedule))
            .await
    }

    async fn schedules(&self) -> Result<Vec<Schedule>> {
        self.tables().read(|sql| Ok(schedules::all(sql)?)).await
    }

    async fn delete_schedule(&self, name: &str) -> Result<bool> {
        let name = name.to_owned();
        self.tables()
            .call(move |tx| Ok(schedules::delete(tx, &name)?))
            .await
    }

    async fn tick(&self) -> Result<u64> {
        self.tables().call(schedules::tick).await
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.tables().writer.shared.changes()
    }
}

impl Tables {
    async fn events(&self, id: JobId, seq: u64) -> Result<(Vec<Event>, bool)> {
        let found = self
            .read(move |sql| Ok(events::after(sql, id, seq)?))
            .await?;
        found.ok_or(Error::NotFound(id))
    }
}
