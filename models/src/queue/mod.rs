//! Models behind threads: a model is synchronous and lives on a thread of its
//! own behind a bounded queue. A full queue is an answer, work whose client has
//! gone is not begun, and waiting questions are embedded together.

mod embed;
mod pending;
mod read;
mod rerank;
mod worker;

pub use self::embed::EmbedQueue;
pub use self::pending::Pending;
pub use self::read::ReadQueue;
pub use self::rerank::RerankQueue;
pub use self::worker::Worker;

use crate::{Error, ErrorKind};

fn full(name: &str, capacity: usize) -> Error {
    Error::new(
        ErrorKind::Overloaded,
        format!("{capacity} requests wait for the {name} already; try again in a moment"),
    )
}

fn no_thread(name: &str, cause: std::io::Error) -> Error {
    Error::new(
        ErrorKind::Machine,
        format!("no thread could be started for the {name}"),
    )
    .because(cause)
}
