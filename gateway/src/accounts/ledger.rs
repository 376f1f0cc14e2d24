//! The ledger: one thread that writes what calls took, in batches, so that no
//! call waits for the disk.
//!
//! A call is written twice: `open` when it is admitted, and whole when it is
//! settled. Only the first settlement of a call counts.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use rusqlite::{Connection, Transaction, params};
use uuid::Uuid;

use super::answers::AnswerRecord;
use super::call::{CallRecord, Outcome};
use super::caller::KeyId;
use super::clock::{Now, unix_millis};
use super::limits::{Amount, Spent};
use super::money::Nanos;
use super::sample::Sample;
use cairn_settings::telemetry::{metrics as names, milliseconds};

/// Entries that may wait for the disk. More are lost, counted and told: a disk that fails
/// or hangs must not stop answers. Limits and budgets count in memory, so they hold all
/// the same until the service is started again.
const QUEUE: usize = 1 << 16;

/// How long a caller waits for the disk. A disk that takes longer hangs.
const FLUSH_PATIENCE: Duration = Duration::from_secs(10);

/// How often it is told that entries are lost.
const TELL_EVERY: Duration = Duration::from_secs(30);

/// Most tokens of one call that are written: more than any model reads or writes, and
/// sums of them fit.
const MAX_TOKENS: i64 = 1 << 40;

/// Most entries of one commit.
const BATCH: usize = 1024;

/// How long the first entry of a batch waits for others. A commit is a flush of
/// the disk, so this bounds them to some forty a second.
const GATHER: Duration = Duration::from_millis(25);

/// How often the thread looks whether keys changed, and tries again what could
/// not be written.
const TICK: Duration = Duration::from_millis(400);

/// How often old samples and calls without an end are looked for.
const SWEEP: Duration = Duration::from_secs(600);

/// No call lasts that long: one that is still open then belongs to a process
/// that was killed.
const ABANDONED: Duration = Duration::from_secs(3600);

/// What is written.
pub(super) enum Entry {
    /// A call was admitted; the record holds its estimate.
    Opened(Box<CallRecord>),
    /// A call ended.
    Settled(Box<CallRecord>),
    /// What became of the answer that some calls wrote.
    Judged {
        calls: Vec<Uuid>,
        refused: bool,
        citations: u32,
    },
    /// A question ended.
    Answered(Box<AnswerRecord>),
    /// The texts of a call, not masked yet.
    Sampled(Box<Sample>),
    /// Everything before it is to be on the disk.
    Flush(SyncSender<()>),
}

/// The way to the ledger's thread. Dropping it writes what waits, and ends it.
#[derive(Debug)]
pub(super) struct Ledger {
    sender: Option<SyncSender<Entry>>,
    thread: Option<JoinHandle<()>>,
    lost: Mutex<Lost>,
}

/// Entries that could not be taken, and when that was told.
#[derive(Debug, Default)]
struct Lost {
    entries: u64,
    told: Option<Instant>,
}

impl Ledger {
    /// Starts the thread. It calls `tick` several times in a second.
    pub(super) fn start(
        connection: Connection,
        path: PathBuf,
        keep_samples: Duration,
        tick: impl FnMut(&Connection) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel(QUEUE);
        let writer = LedgerWriter {
            connection,
            path,
            keep_samples,
            pending: Vec::new(),
            failing: false,
            swept: None,
        };
        let thread = std::thread::Builder::new()
            .name("ledger".into())
            .spawn(move || writer.run(&receiver, tick))?;
        Ok(Self {
            sender: Some(sender),
            thread: Some(thread),
            lost: Mutex::default(),
        })
    }

    /// Hands an entry over. Never waits.
    pub(super) fn send(&self, entry: Entry) {
        let Some(sender) = &self.sender else { return };
        match sender.try_send(entry) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => self.lose("the disk does not keep up"),
            Err(TrySendError::Disconnected(_)) => self.lose("its thread is gone"),
        }
    }

    /// Counts an entry that is not recorded; says so now and then.
    fn lose(&self, why: &str) {
        metrics::counter!(names::LEDGER_LOST).increment(1);
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        lost.entries += 1;
        if lost.told.is_none_or(|at| at.elapsed() >= TELL_EVERY) {
            lost.told = Some(Instant::now());
            let entries = lost.entries;
            tracing::error!(entries, why, "the ledger loses entries; answers go on");
        }
    }

    /// Waits until everything that was handed over is on the disk, or failed; not for
    /// ever.
    pub(super) fn flush(&self) {
        let (done, wait) = sync_channel(1);
        let until = Instant::now() + FLUSH_PATIENCE;
        let Some(sender) = &self.sender else { return };
        let mut entry = Entry::Flush(done);
        loop {
            entry = match sender.try_send(entry) {
                Ok(()) => break,
                Err(TrySendError::Full(back)) if Instant::now() < until => back,
                Err(_) => return,
            };
            std::thread::sleep(GATHER);
        }
        wait.recv_timeout(until.saturating_duration_since(Instant::now()))
            .ok();
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.sender = None;
        let Some(thread) = self.thread.take() else {
            return;
        };
        let until = Instant::now() + FLUSH_PATIENCE;
        while !thread.is_finished() {
            if Instant::now() >= until {
                tracing::error!("the ledger's disk hangs: what was not written is lost");
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        thread.join().ok();
    }
}

struct LedgerWriter {
    connection: Connection,
    path: PathBuf,
    keep_samples: Duration,
    pending: Vec<Entry>,
    /// Whether the last write failed, so that one failure is told once.
    failing: bool,
    swept: Option<Instant>,
}

impl LedgerWriter {
    fn run(mut self, receiver: &Receiver<Entry>, mut tick: impl FnMut(&Connection)) {
        let mut ticked = Instant::now();
        loop {
            let connected = self.gather(receiver, TICK.saturating_sub(ticked.elapsed()));
            self.write();
            if !connected {
                return;
            }
            if ticked.elapsed() >= TICK {
                ticked = Instant::now();
                tick(&self.connection);
                self.sweep();
            }
        }
    }

    /// Waits for a first entry, at most `patience`, and then a moment for more.
    /// False once all senders are gone.
    fn gather(&mut self, receiver: &Receiver<Entry>, patience: Duration) -> bool {
        let full = |pending: &[Entry]| {
            pending.len() >= BATCH || matches!(pending.last(), Some(Entry::Flush(_)))
        };
        // What could not be written waits for its next try.
        if self.pending.len() >= QUEUE {
            std::thread::sleep(patience);
            return true;
        }
        let mut wait = patience;
        let mut until = None;
        loop {
            match receiver.recv_timeout(wait) {
                Ok(entry) => self.pending.push(entry),
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
            if full(&self.pending) {
                return true;
            }
            let until = *until.get_or_insert_with(|| Instant::now() + GATHER);
            wait = until.saturating_duration_since(Instant::now());
        }
    }

    /// Writes what waits in one transaction. What cannot be written waits on.
    fn write(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let result = self.connection.transaction().and_then(|transaction| {
            put_all(&transaction, &self.pending)?;
            transaction.commit()
        });
        match result {
            Ok(()) => {
                self.failing = false;
                for entry in self.pending.drain(..) {
                    reply(entry);
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::error!(%error, file = %self.path.display(), "the ledger cannot be written; trying again");
                }
                // A caller must not wait for the disk for ever.
                let (waiting, kept): (Vec<Entry>, Vec<Entry>) = std::mem::take(&mut self.pending)
                    .into_iter()
                    .partition(|entry| matches!(entry, Entry::Flush(_)));
                self.pending = kept;
                waiting.into_iter().for_each(reply);
            }
        }
    }

    /// Deletes old samples, and ends calls of processes that were killed.
    fn sweep(&mut self) {
        if self.swept.is_some_and(|at| at.elapsed() < SWEEP) {
            return;
        }
        self.swept = Some(Instant::now());
        let before = |age: Duration| unix_millis(SystemTime::now() - age);
        let swept = self
            .connection
            .execute(
                "DELETE FROM samples WHERE at < ?1",
                [before(self.keep_samples)],
            )
            .and_then(|_| {
                let sql = "UPDATE calls SET outcome = ?2, finish = 'process ended' \
                           WHERE outcome = ?3 AND at < ?1";
                let (broken, open) = (Outcome::Broken.as_str(), Outcome::Open.as_str());
                self.connection
                    .execute(sql, params![before(ABANDONED), broken, open])
            });
        if let Err(error) = swept {
            tracing::warn!(%error, "old entries of the ledger could not be swept");
        }
    }
}

fn reply(entry: Entry) {
    if let Entry::Flush(done) = entry {
        done.send(()).ok();
    }
}

fn put_all(transaction: &Transaction<'_>, entries: &[Entry]) -> rusqlite::Result<()> {
    let settled: HashSet<Uuid> = entries
        .iter()
        .filter_map(|entry| match entry {
            Entry::Settled(record) => Some(record.call_id),
            _ => None,
        })
        .collect();
    for entry in entries {
        match entry {
            // Its end is in the same batch.
            Entry::Opened(record) if settled.contains(&record.call_id) => {}
            Entry::Opened(record) | Entry::Settled(record) => put(transaction, record)?,
            // By our own ids: that of the request is the client's to choose, and may be
            // the one of somebody else's.
            Entry::Judged {
                calls,
                refused,
                citations,
            } => {
                let sql = "UPDATE calls SET refused = ?2, citations = ?3 WHERE call_id = ?1";
                let mut statement = transaction.prepare_cached(sql)?;
                for call in calls {
                    statement.execute(params![call.to_string(), refused, citations])?;
                }
            }
            Entry::Answered(record) => record.put(transaction)?,
            Entry::Sampled(sample) => sample.put(transaction)?,
            Entry::Flush(_) => {}
        }
    }
    Ok(())
}

/// Writes a call, unless it is settled already.
fn put(transaction: &Transaction<'_>, record: &CallRecord) -> rusqlite::Result<()> {
    const SQL: &str = "INSERT INTO calls (call_id, at, request_id, key_id, tenant, route, provider, \
        model, prompt_tokens, cached_prompt_tokens, completion_tokens, cost_nanousd, latency_ms, \
        ttft_ms, cache, retries, fallbacks, outcome, finish) \
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19) \
        ON CONFLICT (call_id) DO UPDATE SET provider = excluded.provider, model = excluded.model, \
        prompt_tokens = excluded.prompt_tokens, \
        cached_prompt_tokens = excluded.cached_prompt_tokens, \
        completion_tokens = excluded.completion_tokens, cost_nanousd = excluded.cost_nanousd, \
        latency_ms = excluded.latency_ms, ttft_ms = excluded.ttft_ms, cache = excluded.cache, \
        retries = excluded.retries, fallbacks = excluded.fallbacks, outcome = excluded.outcome, \
        finish = excluded.finish WHERE calls.outcome = 'open'";
    let count = |tokens: usize| i64::try_from(tokens).map_or(MAX_TOKENS, |n| n.min(MAX_TOKENS));
    transaction.prepare_cached(SQL)?.execute(params![
        record.call_id.to_string(),
        unix_millis(record.at),
        record.request_id,
        record.key.as_ref().map(KeyId::as_str),
        record.tenant,
        record.route,
        record.provider,
        record.model,
        count(record.usage.prompt_tokens),
        count(record.usage.cached_prompt_tokens),
        count(record.usage.completion_tokens),
        Nanos::from_usd(record.usage.cost_usd).0,
        milliseconds(record.latency),
        record.ttft.map(milliseconds),
        record.cache.as_str(),
        record.retries,
        record.fallbacks,
        record.outcome.as_str(),
        record.finish,
    ])?;
    Ok(())
}

/// What the key spent in this day and month, as the ledger has it.
pub(super) fn spent(connection: &Connection, key: &KeyId, now: Now) -> rusqlite::Result<Spent> {
    let since = |start: i64| {
        // `total` adds real numbers: no sum of it fails, whatever was booked.
        let sql = "SELECT total(prompt_tokens) + total(completion_tokens), total(cost_nanousd) \
                   FROM calls WHERE key_id = ?1 AND at >= ?2";
        let mut statement = connection.prepare_cached(sql)?;
        statement.query_row(params![key.as_str(), start], |row| {
            Ok(Amount {
                tokens: row.get::<_, f64>(0)? as u64,
                cost: Nanos(row.get::<_, f64>(1)? as i64),
            })
        })
    };
    Ok(Spent {
        day: since(now.day_start())?,
        month: since(now.month_start())?,
    })
}
