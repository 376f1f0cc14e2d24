//! The journal of a queue that many machines share: a stream of JetStream.
//!
//! Each entry is what one transaction did to the tables. It is appended on the condition that
//! the last message of the stream is the last one that the tables hold, so that all processes
//! have the same history; who was overtaken applies what came before and asks again.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use rusqlite::Connection;
use tokio::runtime::Runtime;

use super::capture::Capture;
use super::changes::{Changes, ChangesError};
use super::replica::{self, Folder};
use super::server::{Piece, Server};
use super::settings::NatsSettings;
use super::snapshot::{self, Maker, Snapshots, Work};
use crate::error::{Error, Result};
use crate::options::Options;
use crate::sqlite::journal::{Journal, Verdict};
use crate::sqlite::open;

/// How often to look at the log without being notified.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long to leave a server in peace that did not answer.
const REST: Duration = Duration::from_millis(500);
/// How long to wait for an entry that is there, and that the asked server has not seen yet.
const LAG: Duration = Duration::from_millis(5);
/// How often to look whether the log is long.
const MEASURE_EVERY: Duration = Duration::from_secs(30);
/// Bytes of the log that are not worth a snapshot.
const SHORT_BYTES: u64 = 32 << 20;

/// The journal.
pub(super) struct Log {
    server: Server,
    snapshots: Snapshots,
    applier: Connection,
    capture: Capture,
    path: PathBuf,
    /// The last message that somebody told of.
    heard: Arc<AtomicU64>,
    /// Whether an entry of somebody else is known to be in the log.
    is_behind: bool,
    looked: Option<Instant>,
    failed: Option<Instant>,
    measured: (Instant, u64),
    maker: Maker,
    patience: Duration,
    // Dropped last: the connection lives on it, and the file is in the folder.
    runtime: Runtime,
    _folder: Folder,
}

impl Log {
    /// Connects, and brings a new copy of the tables in `folder` up to date. Returns the
    /// connection to the copy that does what is asked, too.
    ///
    /// Called on a thread that may wait, outside of any runtime.
    pub(super) fn open(
        settings: &NatsSettings,
        folder: Folder,
        options: &Options,
    ) -> Result<(Self, Connection, PathBuf)> {
        // Its own, so that it serves whatever becomes of the caller's.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("jobs-nats")
            .enable_all()
            .build()
            .map_err(|_| Error::Closed)?;
        let (server, snapshots) = runtime.block_on(async {
            let server = Server::connect(settings).await?;
            let snapshots = Snapshots::open(&server, settings.replicas).await?;
            snapshots.fetch(&folder.path.join(open::FILE)).await?;
            Ok::<_, Error>((server, snapshots))
        })?;
        let (asked, applier, path) = replica::open(&folder.path, options)?;
        let capture = Capture::new(&asked, replica::TABLE);
        let heard = Arc::new(AtomicU64::new(0));
        runtime.block_on(listen(&server, heard.clone()))?;
        let mut log = Self {
            maker: Maker::new(Work {
                snapshots: snapshots.clone(),
                runtime: runtime.handle().clone(),
                path: path.clone(),
                options: options.clone(),
                after: settings.snapshot_after,
            }),
            server,
            snapshots,
            applier,
            capture: capture.map_err(|cause| open::failed(&path, cause))?,
            path: path.clone(),
            heard,
            is_behind: false,
            looked: None,
            failed: None,
            measured: (Instant::now(), 0),
            patience: settings.patience,
            runtime,
            _folder: folder,
        };
        log.catch_up()?;
        log.measured.1 = log.seq()?;
        Ok((log, asked, path))
    }

    fn seq(&self) -> Result<u64> {
        replica::seq(&self.applier).map_err(|cause| self.sql(cause))
    }

    fn sql(&self, cause: rusqlite::Error) -> Error {
        open::failed(&self.path, cause)
    }

    /// Applies what can be read now; whether that was anything.
    fn read_on(&mut self) -> Result<bool> {
        let mut is_news = false;
        // Parts of an entry whose rest is still to be read.
        let mut parts: Vec<Piece> = Vec::new();
        loop {
            let next = self.seq()? + 1 + parts.len() as u64;
            let read = self.runtime.block_on(self.server.read(next))?;
            if read.is_cut {
                self.begin_anew()?;
                (parts, is_news) = (Vec::new(), true);
                continue;
            }
            if read.pieces.is_empty() {
                return Ok(is_news);
            }
            parts.extend(read.pieces);
            is_news |= self.apply(&mut parts)?;
        }
    }

    /// Applies the whole entries at the beginning of `pieces`, and takes them out; whether
    /// there was one.
    fn apply(&mut self, pieces: &mut Vec<Piece>) -> Result<bool> {
        let entries = split(pieces)?;
        let Some(last) = entries.last().map(|entry| entry.last) else {
            return Ok(false);
        };
        let transact = || {
            let transaction = rusqlite::Transaction::new_unchecked(
                &self.applier,
                rusqlite::TransactionBehavior::Immediate,
            )?;
            for entry in &entries {
                if let Some(bytes) = &entry.bytes {
                    Changes::decode(bytes)?.apply(&transaction)?;
                }
            }
            replica::set_seq(&transaction, last)?;
            transaction.commit()?;
            Ok(())
        };
        transact().map_err(|error| match error {
            ChangesError::Sql(cause) => self.sql(cause),
            error => Error::Server(format!(
                "the log {} cannot be followed: {error}",
                self.server.stream
            )),
        })?;
        Ok(true)
    }

    /// Takes the tables from the newest snapshot: the log begins after what they hold.
    fn begin_anew(&mut self) -> Result<()> {
        let file = self.path.with_extension("fetched");
        let before = self.seq()?;
        let fetched = self.runtime.block_on(self.snapshots.fetch(&file))?;
        if !fetched {
            return Err(snapshot::lost(&self.server));
        }
        snapshot::replace(&mut self.applier, &file)?;
        std::fs::remove_file(&file).ok();
        match self.seq()? > before {
            true => Ok(()),
            false => Err(snapshot::lost(&self.server)),
        }
    }

    /// Begins a snapshot when the log is long.
    fn measure(&mut self) -> Result<()> {
        let (at, seq) = self.measured;
        let grown = self.seq()? - seq;
        if grown < self.maker.after() && (grown == 0 || at.elapsed() < MEASURE_EVERY) {
            return Ok(());
        }
        let state = self.runtime.block_on(self.server.state())?;
        self.measured = (Instant::now(), self.seq()?);
        let tables = std::fs::metadata(&self.path).map_or(0, |meta| meta.len());
        if state.messages >= self.maker.after() || state.bytes > SHORT_BYTES.max(tables) {
            self.maker.start();
        }
        Ok(())
    }
}

impl Journal for Log {
    fn append(&mut self, sql: &Connection) -> Result<Verdict> {
        let failed = |cause| open::failed(&self.path, cause);
        let changes = self.capture.take(sql).map_err(failed)?;
        if changes.is_empty() {
            return Ok(Verdict::Counts);
        }
        let after = replica::seq(sql).map_err(failed)?;
        let append = self.server.append(after, open::KNOWN, changes.encode());
        match self.runtime.block_on(append)? {
            Some(last) => {
                replica::set_seq(sql, last).map_err(failed)?;
                self.runtime.block_on(self.server.tell(last));
                Ok(Verdict::Counts)
            }
            None => {
                self.is_behind = true;
                Ok(Verdict::Overtaken)
            }
        }
    }

    fn catch_up(&mut self) -> Result<()> {
        let begun = Instant::now();
        while !self.read_on()? && self.is_behind {
            if begun.elapsed() < self.patience {
                std::thread::sleep(LAG);
                continue;
            }
            let (last, ours) = (
                self.runtime.block_on(self.server.state())?.last_sequence,
                self.seq()?,
            );
            return Err(match last < ours {
                true => Error::Server(format!(
                    "the log {} ends before what this process knows of it: it was replaced; \
                     start again",
                    self.server.stream
                )),
                false => self
                    .server
                    .unreachable("it shows no server the newest entries"),
            });
        }
        self.is_behind = false;
        self.looked = Some(Instant::now());
        Ok(())
    }

    fn look(&mut self) -> Result<()> {
        if self.failed.is_some_and(|at| at.elapsed() < REST) {
            return Ok(());
        }
        let is_old = |at: Instant| at.elapsed() >= LOOK_EVERY;
        if self.heard.load(Ordering::SeqCst) <= self.seq()? && !self.looked.is_none_or(is_old) {
            return Ok(());
        }
        let looked = self.catch_up().and_then(|()| self.measure());
        self.failed = looked.is_err().then(Instant::now);
        looked
    }
}

/// Hears of news for as long as the connection is there.
async fn listen(server: &Server, heard: Arc<AtomicU64>) -> Result<()> {
    let news = server.client.subscribe(server.news.clone()).await;
    let mut news = news.map_err(|error| server.unreachable(error.to_string()))?;
    tokio::spawn(async move {
        while let Some(message) = news.next().await {
            let text = std::str::from_utf8(&message.payload).unwrap_or_default();
            if let Ok(seq) = text.parse() {
                heard.fetch_max(seq, Ordering::SeqCst);
            }
        }
    });
    Ok(())
}

/// An entry of the log, put together.
struct Entry {
    /// The number of its last message.
    last: u64,
    /// Its bytes; `None` if it is not ours.
    bytes: Option<Vec<u8>>,
}

/// Takes the whole entries at the beginning of `pieces` out of it.
fn split(pieces: &mut Vec<Piece>) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut taken = 0;
    while let Some(first) = pieces.get(taken) {
        let (part, of) = first.part;
        let (Some(name), 1, 1..) = (&first.entry, part, of) else {
            tracing::warn!(seq = first.seq, "a message in the queue's log is not ours");
            let last = first.seq;
            entries.push(Entry { last, bytes: None });
            taken += 1;
            continue;
        };
        if first.format > open::KNOWN {
            return Err(Error::Server(format!(
                "the log of the queue was written by a newer Cairn (format {}, this one reads \
                 {}): use that version",
                first.format,
                open::KNOWN
            )));
        }
        let rest = &pieces[taken..];
        let is_next = |(i, piece): &(usize, &Piece)| {
            piece.entry.as_ref() == Some(name) && piece.part == (i + 1, of)
        };
        let fitting = rest.iter().take(of).enumerate().take_while(is_next).count();
        if fitting < of && fitting == rest.len() {
            break; // The others are still to be read.
        }
        let bytes = (fitting == of).then(|| {
            let parts = rest[..of]
                .iter()
                .map(|piece| piece.message.payload.as_ref());
            parts.collect::<Vec<_>>().concat()
        });
        // A part without the others says nothing; the server stores all or none.
        let count = if bytes.is_some() { of } else { fitting };
        let last = rest[count - 1].seq;
        entries.push(Entry { last, bytes });
        taken += count;
    }
    pieces.drain(..taken);
    Ok(entries)
}
