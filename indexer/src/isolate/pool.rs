//! Children that are warm, the turns that documents take, and what the end of a child
//! means.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cairn_models::Cancel;
use cairn_parse::ParseInput;

use super::child::{Child, Lost, end_of};
use super::{Isolation, ParseLimits};
use crate::{Document, Error, ErrorKind, Result};

/// How often a document that waits for its turn looks whether it is still wanted.
const TICK: Duration = Duration::from_millis(100);

/// Documents after which a child is replaced, so that what a library loses of its memory
/// does not add up.
const MOST_SERVED: usize = 1000;

/// Children of one program. They are started when there is work for them.
pub(super) struct Pool {
    isolation: Isolation,
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Default)]
struct State {
    /// Children that wait for a document, the one used last at the end.
    idle: VecDeque<Child>,
    /// Documents that are being parsed.
    running: usize,
}

/// One of the places in which documents are parsed at the same time.
struct Turn<'a>(&'a Pool);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.state().running -= 1;
        self.0.freed.notify_one();
    }
}

impl Pool {
    pub(super) fn new(isolation: Isolation) -> Self {
        Self {
            isolation,
            state: Mutex::default(),
            freed: Condvar::new(),
        }
    }

    pub(super) fn isolation(&self) -> &Isolation {
        &self.isolation
    }

    /// Has a child parse a document, when its turn comes. What a child that served
    /// others before does not survive is given to a fresh one: only that one's end is
    /// the document's doing.
    pub(super) fn parse(
        &self,
        input: &ParseInput<'_>,
        limits: &ParseLimits,
        cancel: &Cancel,
    ) -> Result<Document> {
        let _turn = self.turn(cancel)?;
        let warm = self.state().idle.pop_back();
        if let Some(mut child) = warm {
            match child.parse(input, limits, self.isolation.time, cancel) {
                Ok(reply) => return self.take(child, reply),
                Err(lost @ (Lost::Time | Lost::Cancelled)) => return Err(self.error(&lost)),
                Err(_) => {}
            }
        }
        let mut child = Child::start(&self.isolation).map_err(|error| {
            Error::new(
                ErrorKind::Machine,
                "no process can be started to read documents in; is the machine short of memory or \
                 processes?",
            )
            .because(error)
        })?;
        match child.parse(input, limits, self.isolation.time, cancel) {
            Ok(reply) => self.take(child, reply),
            Err(lost) => Err(self.error(&lost)),
        }
    }

    /// Waits for a turn: the clock of a document does not run meanwhile.
    fn turn(&self, cancel: &Cancel) -> Result<Turn<'_>> {
        let mut state = self.state();
        while state.running >= self.isolation.most {
            cancel.check()?;
            let woken = self.freed.wait_timeout(state, TICK);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        cancel.check()?;
        state.running += 1;
        Ok(Turn(self))
    }

    /// The reply; its child waits for the next document.
    fn take(&self, child: Child, reply: cairn_parse::Result<Document>) -> Result<Document> {
        let machine = reply.as_ref().is_err_and(|error| {
            // It may be this process that has too little left of something.
            error.kind() == cairn_parse::ErrorKind::Machine
        });
        if !machine && child.served < MOST_SERVED {
            self.state().idle.push_back(child);
        }
        Ok(reply?)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn error(&self, lost: &Lost) -> Error {
        /// The kernel's way to end a process when memory is short; we do not send it to
        /// a child whose end we then wait for.
        const KILLED: &str = "signal 9";
        let seconds = self.isolation.time.as_secs();
        let megabytes = self.isolation.memory_num_bytes >> 20;
        let (kind, message) = match lost {
            Lost::Cancelled => (ErrorKind::Cancelled, "cancelled".to_owned()),
            Lost::Time => (
                ErrorKind::ParserStopped,
                format!(
                    "reading it takes more than {seconds} seconds; split the file, export it again, or \
                     raise indexing.parse_seconds"
                ),
            ),
            Lost::Memory => (
                ErrorKind::ParserStopped,
                format!(
                    "reading it takes more than {megabytes} MB of memory; split the file, export it \
                     again, or raise indexing.parse_memory_mb"
                ),
            ),
            Lost::Garbage => (
                ErrorKind::ParserStopped,
                "the process that read it wrote something that is not a document; export the file \
                 again"
                    .to_owned(),
            ),
            Lost::Ended(status) => match end_of(*status) {
                end if end == KILLED => (
                    ErrorKind::Machine,
                    "the system ended the process that read it, perhaps for want of memory; run the \
                     command again"
                        .to_owned(),
                ),
                end => (
                    ErrorKind::ParserStopped,
                    format!(
                        "the process that read it crashed ({end}); export the file again, or raise \
                         indexing.parse_memory_mb if it is very large"
                    ),
                ),
            },
        };
        Error::new(kind, message)
    }

    #[cfg(test)]
    pub(super) fn idle_ids(&self) -> Vec<u32> {
        self.state().idle.iter().map(Child::id).collect()
    }
}
