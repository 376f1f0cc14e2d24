//! Threads for one call of a model.

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::{Error, ErrorKind, Result};

/// `count` threads named after `name`; 0 takes every core. `model` says in an error
/// whose they are.
pub(crate) fn pool(count: usize, name: &'static str, model: &str) -> Result<ThreadPool> {
    ThreadPoolBuilder::new()
        .num_threads(count)
        .thread_name(move |at| format!("{name}-{at}"))
        .build()
        .map_err(|cause| {
            let message = format!("the {model}'s threads cannot be started");
            Error::new(ErrorKind::Machine, message).because(cause)
        })
}
