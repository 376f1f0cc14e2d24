//! The keys as a running service sees them: found by id, with their limits in
//! use. Read again when they change in the database.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use blake3::Hash;
use rusqlite::Connection;

use super::caller::{Caller, KeyId};
use super::clock::Now;
use super::error::AuthError;
use super::keys::{self, StoredKey};
use super::ledger;
use super::limits::Meter;
use super::secret_key;
use crate::clock::now_millis;
use cairn_settings::config::KeyLimits;

/// All keys, replaced as a whole when one changes.
#[derive(Debug, Default)]
pub(super) struct KeyTable {
    snapshot: RwLock<Arc<Snapshot>>,
    /// Whether keys are required. Never taken back: keys that go, whoever takes them, do
    /// not open a running service.
    closed: AtomicBool,
}

#[derive(Debug, Default)]
struct Snapshot {
    changes: i64,
    keys: HashMap<KeyId, Entry>,
    by_text: HashMap<String, KeyId>,
}

#[derive(Clone, Debug)]
struct Entry {
    hash: Hash,
    old: Option<(Hash, i64)>,
    expires_at: Option<i64>,
    revoked: bool,
    caller: Caller,
    meter: Arc<Meter>,
}

impl KeyTable {
    /// Reads the keys again if they changed. Limits in use stay in use.
    pub(super) fn refresh(
        &self,
        connection: &Connection,
        defaults: KeyLimits,
    ) -> rusqlite::Result<()> {
        let changes = keys::changes(connection)?;
        let before = self.get();
        if before.changes == changes {
            return Ok(());
        }
        let now = Now::get();
        let mut after = Snapshot {
            changes,
            ..Snapshot::default()
        };
        for stored in keys::all(connection)? {
            let id = stored.info.id.clone();
            let limits = stored.info.limits.or(defaults);
            let meter = match before.keys.get(&id) {
                Some(known) => {
                    known.meter.set_limits(limits, now);
                    Arc::clone(&known.meter)
                }
                None => Arc::new(Meter::new(
                    limits,
                    ledger::spent(connection, &id, now)?,
                    now,
                )),
            };
            after.by_text.insert(id.as_str().to_owned(), id.clone());
            after.keys.insert(id, Entry::new(stored, meter));
        }
        if !after.keys.is_empty() {
            self.close();
        }
        *self
            .snapshot
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::new(after);
        Ok(())
    }

    /// Whether there is or was a key, be it revoked or expired: taking the last key back
    /// must not open the service.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Requires keys from now on.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Whose key `text` is.
    pub(super) fn authenticate(&self, text: &str) -> Result<Caller, AuthError> {
        let keys = self.get();
        let entry = secret_key::id_of(text)
            .and_then(|id| keys.keys.get(keys.by_text.get(id)?))
            .ok_or(AuthError::Unknown)?;
        let now = now_millis();
        let hash = secret_key::hash(text);
        // BLAKE3's hashes compare in constant time.
        let known = entry.hash == hash
            || matches!(entry.old, Some((old, until)) if old == hash && now < until);
        match known {
            true => entry.caller(now),
            false => Err(AuthError::Unknown),
        }
    }

    /// The holder of the key `id`.
    pub(super) fn caller(&self, id: &KeyId) -> Result<Caller, AuthError> {
        let keys = self.get();
        let entry = keys.keys.get(id).ok_or(AuthError::Unknown)?;
        entry.caller(now_millis())
    }

    /// The limits of a key in use; `None` if there is no such key.
    pub(super) fn meter(&self, key: &KeyId) -> Option<Arc<Meter>> {
        Some(Arc::clone(&self.get().keys.get(key)?.meter))
    }

    fn get(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Entry {
    /// Its holder, unless its time is over.
    fn caller(&self, now: i64) -> Result<Caller, AuthError> {
        match (self.revoked, self.expires_at) {
            (true, _) => Err(AuthError::Revoked),
            (false, Some(at)) if at <= now => Err(AuthError::Expired),
            (false, _) => Ok(self.caller.clone()),
        }
    }

    fn new(stored: StoredKey, meter: Arc<Meter>) -> Self {
        let info = stored.info;
        Self {
            hash: stored.hash,
            old: stored.old,
            expires_at: info.expires_at,
            revoked: info.revoked_at.is_some(),
            caller: Caller::new(info.id, info.tenant, &info.labels, info.scopes),
            meter,
        }
    }
}
