//! What can go wrong with the queue, and whose fault it is.

use std::path::PathBuf;
use std::sync::Arc;

use crate::JobId;

/// Why the queue did not do what it was asked. Cheap to clone: requests that were
/// committed together fail together.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The caller's: what was asked makes no sense or is too large.
    #[error("{0}")]
    Invalid(String),
    /// The caller's: the job is unknown, or was purged.
    #[error("there is no job {0}; terminal jobs are kept 30 days by default")]
    NotFound(JobId),
    /// The caller's: the job is in a state that does not allow this.
    #[error("job {id} is {state}: it cannot {wanted}")]
    WrongState {
        /// The job.
        id: JobId,
        /// Its state.
        state: crate::State,
        /// What was asked, as a verb.
        wanted: &'static str,
    },
    /// The caller's: there is no such endpoint.
    #[error("there is no webhook endpoint {0}")]
    NoEndpoint(String),
    /// The caller's: there is no such delivery.
    #[error("there is no webhook delivery {0}; those that ended are kept 30 days by default")]
    NoDelivery(String),
    /// The worker's: its lease ended (it was reaped, cancelled or finished), so whatever
    /// it says about the job counts no more. It must stop its work.
    #[error(
        "the lease of job {0} is over: another attempt may be under way, so this worker must stop"
    )]
    StaleLease(JobId),
    /// The worker's: the job may not cost that much.
    #[error(
        "job {id} may cost {cap} millionths of a dollar, of which {spent} are spent: {asked} more are refused"
    )]
    CostCap {
        /// The job.
        id: JobId,
        /// What it may cost, in millionths of a dollar.
        cap: u64,
        /// What was spent.
        spent: u64,
        /// What was asked for.
        asked: u64,
    },
    /// The machine's: too many requests wait for the disk. Trying again later helps.
    #[error("the queue is overloaded: too many requests wait for its disk; try again")]
    Overloaded,
    /// The machine's: another process holds the file for longer than the limit.
    #[error("the queue {} is held by another process; try again", path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// The machine's: the disk is full.
    #[error("the disk of the queue {} is full: free some space; nothing accepted before is lost", path.display())]
    DiskFull {
        /// The file.
        path: PathBuf,
    },
    /// The machine's: the file cannot be written.
    #[error("the queue {} cannot be written: check the permissions of the file and of its folder, and whether the disk is mounted read-only", path.display())]
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// The machine's: the file cannot be opened, read or written.
    #[error("the queue {} cannot be used: {cause}; check the disk, or restore the file from a backup", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        cause: Arc<rusqlite::Error>,
    },
    /// The machine's: SQLite found the file damaged.
    #[error("the queue {} is damaged: {said}; check the disk, and restore the file from a backup", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        said: String,
    },
    /// A newer Cairn made the file.
    #[error("the queue {} was made by a newer Cairn (format {found}, this one reads {known}); use that version", path.display())]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest that this version reads.
        known: u32,
    },
    /// The folder or the file cannot be made.
    #[error("the queue's folder {} cannot be made: {cause}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        cause: Arc<std::io::Error>,
    },
    /// The machine's: the NATS servers do not answer. Whether the change was made may be
    /// unknown.
    #[error(
        "the NATS servers {server} cannot be reached: {cause}; nothing accepted before is lost, and trying again helps once they are back"
    )]
    Unreachable {
        /// Their addresses.
        server: String,
        /// What happened.
        cause: String,
    },
    /// The machine's: the servers have no room for more.
    #[error(
        "the stream {stream} of the queue is full: {cause}; raise its limits or those of the account; nothing accepted before is lost"
    )]
    StreamFull {
        /// The stream.
        stream: String,
        /// What the server said.
        cause: String,
    },
    /// The machine's: the servers cannot be used as they are.
    #[error("the queue on NATS cannot be used: {0}")]
    Server(String),
    /// Ours or the machine's: the thread of the queue has ended or cannot be started.
    #[error("the queue is closed")]
    Closed,
}

impl Error {
    /// Whether trying the same again later may help.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Overloaded
                | Self::Busy { .. }
                | Self::DiskFull { .. }
                | Self::Unreachable { .. }
                | Self::StreamFull { .. }
        )
    }
}

/// What the queue replies.
pub type Result<T, E = Error> = std::result::Result<T, E>;
