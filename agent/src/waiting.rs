//! Runs that wait for a person to allow a call.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cairn_gateway::accounts::Caller;

use crate::session::Session;

/// Maximum waiting runs; beyond that, the one that has waited longest is dropped.
const MAX_WAITING: usize = 100;

/// Why a run cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResumeError {
    /// The run does not exist, belongs to another caller, or has waited too long.
    #[error("no run with this id waits for you; it may have ended or waited too long: ask again")]
    Unknown,
    /// What the key may read has changed in the meantime.
    #[error("what this key may read has changed since the run began: ask again")]
    RightsChanged,
}

#[derive(Default)]
pub(crate) struct Waiting(Mutex<HashMap<String, Waiter>>);

struct Waiter {
    session: Session,
    since: Instant,
    until: Instant,
}

impl Waiting {
    /// Keeps a run for `patience`.
    pub(crate) fn keep(&self, session: Session, patience: Duration) {
        let now = Instant::now();
        let mut all = self.lock();
        all.retain(|_, waiter| waiter.until > now);
        if all.len() >= MAX_WAITING {
            let oldest = all.iter().min_by_key(|(_, waiter)| waiter.since);
            if let Some(id) = oldest.map(|(id, _)| id.clone()) {
                all.remove(&id);
            }
        }
        let waiter = Waiter {
            since: now,
            until: now + patience,
            session,
        };
        all.insert(waiter.session.id.clone(), waiter);
    }

    /// Takes the run `id` of `caller`, who has its current rights.
    ///
    /// # Errors
    /// [`ResumeError`]; a run whose caller's rights have changed is dropped.
    pub(crate) fn take(&self, id: &str, caller: &Caller) -> Result<Session, ResumeError> {
        let mut all = self.lock();
        let waiter = all.get(id).ok_or(ResumeError::Unknown)?;
        let asked = waiter.session.request.caller();
        if waiter.until <= Instant::now()
            || asked.key() != caller.key()
            || asked.tenant() != caller.tenant()
        {
            return Err(ResumeError::Unknown);
        }
        let same_rights = asked.labels() == caller.labels();
        let waiter = all.remove(id).ok_or(ResumeError::Unknown)?;
        drop(all);
        if !same_rights {
            return Err(ResumeError::RightsChanged);
        }
        let mut session = waiter.session;
        session.meter.resume(waiter.since.elapsed());
        session.request.search_mut().deadline = Some(session.meter.until);
        session.request.set_caller(caller.clone());
        Ok(session)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Waiter>> {
        // Every statement leaves the map consistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
