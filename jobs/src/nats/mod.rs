//! The queue for many machines: its history is a stream of NATS JetStream, and every process
//! keeps a copy of the tables that follows it.
//!
//! What a call does is what it does to one file ([`crate::SqliteQueue`]): the same statements
//! on the same tables. The difference is who decides whether that counts. A transaction runs on
//! the copy, is told as the rows that it changed ([`capture`], [`changes`]), and is appended to
//! the stream on the condition that nothing was appended since ([`server`]); if something was,
//! it is undone, the copy is brought up to date, and it runs again ([`log`]). So all calls of all
//! machines have one order, and each sees all before it.

mod capture;
mod changes;
mod log;
mod replica;
mod server;
mod settings;
mod snapshot;

use std::path::Path;
use std::sync::Arc;

pub use settings::{Credentials, NatsSettings};

use crate::error::{Error, Result};
use crate::options::Options;
use crate::sqlite::{Tabled, Tables, Writer, blocking};
use log::Log;

/// The queue on NATS. Clones are the same queue.
#[derive(Clone)]
pub struct NatsQueue(Tables);

impl NatsQueue {
    /// Opens the queue that `settings` name, making its stream where it is missing. This
    /// process's copy is kept below `folder` while it is open.
    ///
    /// # Errors
    /// When the servers cannot be reached, do not let us in or have no JetStream, a newer
    /// Cairn wrote the log, or the copy cannot be written.
    pub async fn open(settings: NatsSettings, folder: &Path, options: Options) -> Result<Self> {
        let folder = folder.to_owned();
        blocking(move || {
            let own = replica::Folder::new(&folder).map_err(|cause| Error::Folder {
                path: folder,
                cause: Arc::new(cause),
            })?;
            let (log, sql, path) = Log::open(&settings, own, &options)?;
            let writer = Writer::start(sql, path, options, Some(Box::new(log)))?;
            Ok(Self(Tables::new(writer)))
        })
        .await
    }
}

impl Tabled for NatsQueue {
    fn tables(&self) -> &Tables {
        &self.0
    }
}
