//! Copies of the tables in the server's object store, so that the log need not be read from
//! its beginning, and can be cut.

use std::io;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use async_nats::jetstream::object_store::{Config, ObjectStore};
use futures::StreamExt as _;
use rusqlite::Connection;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::replica;
use super::server::Server;
use crate::error::{Error, Result};
use crate::options::Options;
use crate::sqlite::open;

/// Snapshots that are kept: whoever loads the older one is not interrupted.
const KEPT: usize = 2;
/// How long all of a snapshot may take to be stored or fetched.
const TIMEOUT: Duration = Duration::from_secs(300);
/// How long to wait at most before one is made: of several processes one is enough.
const MAX_DELAY: Duration = Duration::from_secs(2);

/// Where the snapshots of a queue are.
#[derive(Clone)]
pub(super) struct Snapshots {
    server: Server,
    store: ObjectStore,
}

impl Snapshots {
    /// Opens the bucket, and makes it where it is missing.
    pub(super) async fn open(server: &Server, replicas: usize) -> Result<Self> {
        let config = Config {
            bucket: server.stream.clone(),
            description: Some("The tables of a queue of Cairn".into()),
            num_replicas: replicas,
            ..Config::default()
        };
        let store = server.patiently(async || {
            if let Ok(found) = server.context.get_object_store(&config.bucket).await {
                return Ok(found);
            }
            let made = server.context.create_object_store(config.clone()).await;
            made.map_err(|error| error.to_string())
        });
        Ok(Self {
            store: store.await?,
            server: server.clone(),
        })
    }

    /// The numbers of the snapshots, the newest first: how far in the log each goes.
    async fn list(&self) -> Result<Vec<u64>> {
        let list = self.server.patiently(async || {
            let listed = self.store.list().await.map_err(|error| error.to_string())?;
            let listed: Vec<_> = listed.collect().await;
            let names = listed
                .into_iter()
                .map(|object| object.map(|info| info.name));
            let names: std::result::Result<Vec<_>, _> = names.collect();
            names.map_err(|error| error.to_string())
        });
        let names = list.await?;
        let mut found: Vec<u64> = names.iter().filter_map(|name| name.parse().ok()).collect();
        found.sort_unstable_by_key(|seq| std::cmp::Reverse(*seq));
        Ok(found)
    }

    /// Writes the newest snapshot to `path`; whether there is one.
    pub(super) async fn fetch(&self, path: &Path) -> Result<bool> {
        let mut tries = 0;
        loop {
            let Some(newest) = self.list().await?.into_iter().next() else {
                return Ok(false);
            };
            let fetched = tokio::time::timeout(TIMEOUT, self.fetch_one(newest, path)).await;
            match fetched {
                Ok(Ok(())) => return Ok(true),
                // Somebody may have stored a newer one, and deleted this.
                Ok(Err(_)) | Err(_) if tries < 3 => tries += 1,
                Ok(Err(error)) => return Err(self.server.unreachable(error.to_string())),
                Err(_) => return Err(self.server.unreachable("a snapshot takes too long")),
            }
        }
    }

    async fn fetch_one(&self, seq: u64, path: &Path) -> io::Result<()> {
        let object = self.store.get(name(seq)).await;
        let mut object = object.map_err(io::Error::other)?;
        let file = cairn_files::private::options()
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)?;
        let mut file = tokio::fs::File::from_std(file);
        // Fails at the end if the bytes are not those that were stored.
        tokio::io::copy(&mut object, &mut file).await?;
        file.sync_all().await
    }

    /// Stores `file`, which goes up to message `seq`, and cuts the log, but for the last
    /// `keep` messages of it: whoever is a little behind need not begin again.
    async fn store(&self, file: &Path, seq: u64, keep: u64) -> Result<()> {
        let failed = |error: String| self.server.unreachable(error);
        let mut bytes = tokio::fs::File::open(file)
            .await
            .map_err(|error| failed(error.to_string()))?;
        let name = name(seq);
        let put = self.store.put(name.as_str(), &mut bytes);
        let put = tokio::time::timeout(TIMEOUT, put).await;
        put.map_err(|_| failed("a snapshot takes too long".into()))?
            .map_err(|error| failed(error.to_string()))?;
        for old in self.list().await?.into_iter().skip(KEPT) {
            self.store.delete(self::name(old)).await.ok();
        }
        self.server
            .patiently(async || {
                let stream = self.server.context.get_stream(&self.server.stream).await;
                let stream = stream.map_err(|error| error.to_string())?;
                let cut = stream.purge().sequence(seq.saturating_sub(keep).max(1));
                cut.await.map(drop).map_err(|error| error.to_string())
            })
            .await
    }
}

/// Numbers of equal length, so that they sort.
fn name(seq: u64) -> String {
    format!("{seq:020}")
}

/// Makes snapshots alongside the queue, one at a time. Dropped, it breaks off.
pub(super) struct Maker {
    work: Work,
    thread: Option<JoinHandle<()>>,
    stop: watch::Sender<bool>,
}

/// What a snapshot is made of.
#[derive(Clone)]
pub(super) struct Work {
    pub(super) snapshots: Snapshots,
    pub(super) runtime: Handle,
    /// The copy.
    pub(super) path: PathBuf,
    pub(super) options: Options,
    /// After how many messages one is due.
    pub(super) after: u64,
}

impl Maker {
    /// Makes none yet.
    pub(super) fn new(work: Work) -> Self {
        Self {
            work,
            thread: None,
            stop: watch::Sender::new(false),
        }
    }

    /// After how many messages one is due.
    pub(super) fn after(&self) -> u64 {
        self.work.after
    }

    /// Begins a snapshot, unless one is being made.
    pub(super) fn start(&mut self) {
        if self
            .thread
            .as_ref()
            .is_some_and(|thread| !thread.is_finished())
        {
            return;
        }
        let (work, stop) = (self.work.clone(), self.stop.subscribe());
        let make = move || {
            if let Err(error) = work.make(stop) {
                tracing::warn!(%error, "the queue's log cannot be cut yet");
            }
        };
        self.thread = std::thread::Builder::new()
            .name("jobs-snapshot".into())
            .spawn(make)
            .ok();
    }
}

impl Drop for Maker {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        // It uses the runtime and the folder, which go next.
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

impl Work {
    fn make(&self, mut stop: watch::Receiver<bool>) -> Result<()> {
        // Somebody else may be faster.
        let looked = self.unless(&mut stop, async {
            tokio::time::sleep(MAX_DELAY.mul_f64(rand::random())).await;
            self.snapshots.server.state().await
        });
        let Some(state) = looked.transpose()? else {
            return Ok(());
        };
        if state.messages < self.after {
            return Ok(());
        }
        let file = self.path.with_extension("snapshot");
        std::fs::remove_file(&file).ok();
        let seq = copy(&self.path, &file, &self.options)?;
        let store = self.snapshots.store(&file, seq, self.after / 4);
        let stored = self.unless(&mut stop, store);
        std::fs::remove_file(&file).ok();
        if let Some(stored) = stored {
            stored?;
            tracing::info!(seq, "the queue's log was replaced by a snapshot");
        }
        Ok(())
    }

    /// What `future` gives; `None` if it is to stop first.
    fn unless<T>(
        &self,
        stop: &mut watch::Receiver<bool>,
        future: impl Future<Output = T>,
    ) -> Option<T> {
        self.runtime.block_on(async {
            tokio::select! {
                value = future => Some(value),
                _ = stop.wait_for(|stop| *stop) => None,
            }
        })
    }
}

/// Copies the tables at `path` as they stand into the new `file`; returns how far they go.
fn copy(path: &Path, file: &Path, options: &Options) -> Result<u64> {
    let tables = open::connect(path, options)?;
    let copy = || {
        tables.execute("VACUUM INTO ?1", [file.to_string_lossy()])?;
        let copied = Connection::open(file)?;
        replica::seq(&copied)
    };
    copy().map_err(|cause| open::failed(file, cause))
}

/// Replaces the tables of `sql` by those of the snapshot in `file`, in one step for whoever
/// reads them.
pub(super) fn replace(sql: &mut Connection, file: &Path) -> Result<()> {
    let mut replace = || {
        let from = Connection::open(file)?;
        let backup = rusqlite::backup::Backup::new(&from, sql)?;
        backup.run_to_completion(1_000_000, Duration::ZERO, None)
    };
    replace().map_err(|cause| open::failed(file, cause))?;
    open::migrate(sql, file)
}

/// That neither log nor snapshots hold what is missing.
pub(super) fn lost(server: &Server) -> Error {
    Error::Server(format!(
        "the log {} begins after what this process knows, and no snapshot holds what is \
         between: restore the stream and its bucket from a backup",
        server.stream
    ))
}
