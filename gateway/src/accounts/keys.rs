//! API keys in the database: made, listed, rotated and revoked by the operator,
//! also while a service runs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use blake3::Hash;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::Serialize;

use super::caller::{KeyId, Scopes};
use super::clock::unix_millis;
use super::database;
use super::error::AccountsError;
use super::required;
use super::secret_key::SecretKey;
use crate::clock::now_millis;
use cairn_settings::config::KeyLimits;

/// Longest name, tenant or label, in bytes.
const MAX_TEXT_BYTES: usize = 256;

/// What a new key is to be.
#[derive(Clone, Debug, Default)]
pub struct NewKey {
    /// Who or what it is for, for people.
    pub name: String,
    /// Whose it is: calls, caches and bills of tenants are separate.
    pub tenant: String,
    /// Labels of documents that it may read; `*` for all of them.
    pub labels: BTreeSet<String>,
    /// What it may do.
    pub scopes: Scopes,
    /// What it may take.
    pub limits: KeyLimits,
    /// When it ends.
    pub expires_at: Option<SystemTime>,
}

/// What is known of a key; its secret is not.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KeyInfo {
    /// Its public part.
    pub id: KeyId,
    /// Who or what it is for.
    pub name: String,
    /// Whose it is.
    pub tenant: String,
    /// Labels of documents that it may read.
    pub labels: BTreeSet<String>,
    /// What it may do.
    pub scopes: Scopes,
    /// What it may take.
    pub limits: KeyLimits,
    /// Milliseconds since 1970, like the times below.
    pub created_at: i64,
    /// When it ends, if it does.
    pub expires_at: Option<i64>,
    /// When it was revoked, if it was.
    pub revoked_at: Option<i64>,
    /// When its secret was last replaced.
    pub rotated_at: Option<i64>,
}

impl KeyInfo {
    /// `active`, `revoked` or `expired`.
    pub fn state(&self) -> &'static str {
        let now = now_millis();
        match (self.revoked_at, self.expires_at) {
            (Some(_), _) => "revoked",
            (None, Some(at)) if at <= now => "expired",
            _ => "active",
        }
    }
}

/// A key with what proves it.
#[derive(Clone, Debug)]
pub(super) struct StoredKey {
    pub(super) info: KeyInfo,
    pub(super) hash: Hash,
    /// The secret before the last rotation, and until when it works.
    pub(super) old: Option<(Hash, i64)>,
}

/// Whether a data folder requires keys, and whether it has them.
#[derive(Debug)]
pub enum KeysState {
    /// No key was ever made: everybody may do everything.
    Open,
    /// Every route asks for a key.
    Required {
        /// Keys that work now.
        active: usize,
    },
    /// Keys are required, or may be, and cannot be read. The error says the way back.
    Lost(AccountsError),
}

/// The keys of one data folder.
#[derive(Debug)]
pub struct Keys {
    connection: Connection,
    path: PathBuf,
    folder: PathBuf,
}

impl Keys {
    /// Opens the keys in `data_dir`, making the database when there is none.
    ///
    /// # Errors
    /// When the file cannot be made or read.
    pub fn open(data_dir: &Path) -> Result<Self, AccountsError> {
        Ok(Self {
            connection: database::open(data_dir)?,
            path: data_dir.join(database::FILE),
            folder: data_dir.to_owned(),
        })
    }

    /// Whether the keys in `data_dir` are required and there. Makes no file.
    pub fn state(data_dir: &Path) -> KeysState {
        let look = || -> Result<Option<usize>, AccountsError> {
            required::check_database(data_dir)?;
            let Some(connection) = database::open_existing(data_dir)? else {
                return Ok(None);
            };
            let keys = all(&connection).map_err(|cause| AccountsError::Database {
                path: data_dir.join(database::FILE),
                cause,
            })?;
            if keys.is_empty() {
                required::check_keys(data_dir, false)?;
                return Ok(None);
            }
            let active = keys.iter().filter(|key| key.info.state() == "active");
            Ok(Some(active.count()))
        };
        match look() {
            Ok(None) => KeysState::Open,
            Ok(Some(active)) => KeysState::Required { active },
            Err(error) => KeysState::Lost(error),
        }
    }

    /// Deletes every key, and requires none any more: whoever reaches the service may
    /// do everything from its next start on. Returns how many keys there were.
    ///
    /// # Errors
    /// When the database or the note alongside it cannot be written.
    pub fn open_to_everybody(&self) -> Result<usize, AccountsError> {
        // In this order: what is half done is closed.
        let deleted = self
            .connection
            .execute("DELETE FROM keys", [])
            .map_err(|cause| self.failed(cause))?;
        required::clear(&self.folder)?;
        Ok(deleted)
    }

    /// Makes a key. The secret is returned here and never again.
    ///
    /// # Errors
    /// [`AccountsError::Invalid`] says what makes no sense; the database's own.
    pub fn create(&self, new: &NewKey) -> Result<(KeyInfo, SecretKey), AccountsError> {
        check(new)?;
        // Before the key is there: a kill between the two leaves a closed service.
        let was_required = required::is_set(&self.folder);
        required::set(&self.folder)?;
        let made = self.insert(new);
        if made.is_err() && !was_required {
            // A full disk must not close a service that has no key.
            required::clear(&self.folder).ok();
        }
        made
    }

    fn insert(&self, new: &NewKey) -> Result<(KeyInfo, SecretKey), AccountsError> {
        let secret = SecretKey::generate();
        let now = now_millis();
        let hash = secret.hash();
        let values = params![
            secret.id().as_str(),
            hash.as_bytes().as_slice(),
            new.name.trim(),
            new.tenant.trim(),
            json(&new.labels),
            json(&new.scopes),
            json(&new.limits),
            now,
            new.expires_at.map(unix_millis),
        ];
        let sql = "INSERT INTO keys (id, hash, name, tenant, labels, scopes, limits, created_at, \
                   expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
        self.connection
            .execute(sql, values)
            .map_err(|cause| self.failed(cause))?;
        Ok((self.get(secret.id().as_str())?, secret))
    }

    /// All keys, the oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn list(&self) -> Result<Vec<KeyInfo>, AccountsError> {
        let keys = all(&self.connection).map_err(|cause| self.failed(cause))?;
        Ok(keys.into_iter().map(|key| key.info).collect())
    }

    /// The key `id`.
    ///
    /// # Errors
    /// [`AccountsError::NoKey`]; the database's own.
    pub fn get(&self, id: &str) -> Result<KeyInfo, AccountsError> {
        let sql = format!("{SELECT} WHERE id = ?1");
        let found = self.connection.query_row(&sql, [id], read).optional();
        let key = found.map_err(|cause| self.failed(cause))?;
        key.map(|key| key.info)
            .ok_or_else(|| AccountsError::NoKey(id.to_owned()))
    }

    /// Takes a key back. A running service refuses it within a second. What is
    /// revoked already stays as it was.
    ///
    /// # Errors
    /// [`AccountsError::NoKey`]; the database's own.
    pub fn revoke(&self, id: &str) -> Result<KeyInfo, AccountsError> {
        self.get(id)?;
        let sql = "UPDATE keys SET revoked_at = ?2, old_hash = NULL, old_until = NULL \
                   WHERE id = ?1 AND revoked_at IS NULL";
        self.connection
            .execute(sql, params![id, now_millis()])
            .map_err(|cause| self.failed(cause))?;
        self.get(id)
    }

    /// Replaces the secret of a key, which keeps its id, settings and history.
    /// The old secret works for `grace` longer.
    ///
    /// # Errors
    /// [`AccountsError::NoKey`], [`AccountsError::Invalid`] for a revoked key;
    /// the database's own.
    pub fn rotate(&self, id: &str, grace: Duration) -> Result<(KeyInfo, SecretKey), AccountsError> {
        let info = self.get(id)?;
        if info.revoked_at.is_some() {
            let message = format!("the key `{id}` is revoked; create a new one");
            return Err(AccountsError::Invalid(message));
        }
        let secret = SecretKey::with_id(info.id);
        let now = now_millis();
        let until = now.saturating_add(i64::try_from(grace.as_millis()).unwrap_or(i64::MAX));
        // Without time left the old one goes at once.
        let sql = "UPDATE keys SET rotated_at = ?3, old_hash = iif(?4 > ?3, hash, NULL), \
                   old_until = iif(?4 > ?3, ?4, NULL), hash = ?2 WHERE id = ?1";
        self.connection
            .execute(
                sql,
                params![id, secret.hash().as_bytes().as_slice(), now, until],
            )
            .map_err(|cause| self.failed(cause))?;
        Ok((self.get(id)?, secret))
    }

    fn failed(&self, cause: rusqlite::Error) -> AccountsError {
        AccountsError::Database {
            path: self.path.clone(),
            cause,
        }
    }
}

/// A number that changes with every change of a key.
pub(super) fn changes(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("SELECT n FROM key_changes", [], |row| row.get(0))
}

/// All keys, the oldest first.
pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<StoredKey>> {
    let sql = format!("{SELECT} ORDER BY created_at, id");
    let mut statement = connection.prepare(&sql)?;
    statement.query_map([], read)?.collect()
}

const SELECT: &str = "SELECT id, hash, old_hash, old_until, name, tenant, labels, scopes, limits, \
                      created_at, expires_at, revoked_at, rotated_at FROM keys";

fn read(row: &Row<'_>) -> rusqlite::Result<StoredKey> {
    let hash = |at: usize| -> rusqlite::Result<Option<Hash>> {
        let bytes: Option<[u8; 32]> = row.get(at)?;
        Ok(bytes.map(Hash::from_bytes))
    };
    fn parsed<T: serde::de::DeserializeOwned>(row: &Row<'_>, at: usize) -> rusqlite::Result<T> {
        let text: String = row.get(at)?;
        serde_json::from_str(&text).map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(at, rusqlite::types::Type::Text, error.into())
        })
    }
    let id: String = row.get(0)?;
    let old_until: Option<i64> = row.get(3)?;
    Ok(StoredKey {
        hash: hash(1)?.ok_or(rusqlite::Error::InvalidQuery)?,
        old: hash(2)?.zip(old_until),
        info: KeyInfo {
            id: KeyId::new(id),
            name: row.get(4)?,
            tenant: row.get(5)?,
            labels: parsed(row, 6)?,
            scopes: parsed(row, 7)?,
            limits: parsed(row, 8)?,
            created_at: row.get(9)?,
            expires_at: row.get(10)?,
            revoked_at: row.get(11)?,
            rotated_at: row.get(12)?,
        },
    })
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn check(new: &NewKey) -> Result<(), AccountsError> {
    let fits = |text: &str| {
        !text.trim().is_empty()
            && text.len() <= MAX_TEXT_BYTES
            && !text.chars().any(char::is_control)
    };
    let problem = if !fits(&new.name) || !(new.tenant.is_empty() || fits(&new.tenant)) {
        "a key's name and tenant have 1 to 256 bytes and no control characters".to_owned()
    } else if !new.labels.iter().all(|label| fits(label)) {
        "a label has 1 to 256 bytes and no control characters".to_owned()
    } else if new.scopes.iter().next().is_none() {
        "a key without scopes can do nothing; give it at least one".to_owned()
    } else if let Some(limit) = new.limits.problem() {
        format!("the limit {limit} must be positive; leave it out for no limit")
    } else if new.expires_at.is_some_and(|at| at <= SystemTime::now()) {
        "the key would expire in the past".to_owned()
    } else {
        return Ok(());
    };
    Err(AccountsError::Invalid(problem))
}

#[cfg(test)]
mod tests {
    use super::super::caller::Scope;
    use super::*;

    fn new(name: &str) -> NewKey {
        NewKey {
            name: name.into(),
            tenant: "acme".into(),
            labels: ["team:a".to_owned()].into(),
            scopes: [Scope::Search, Scope::Query].into_iter().collect(),
            limits: KeyLimits {
                usd_per_day: Some(2.5),
                ..KeyLimits::default()
            },
            expires_at: None,
        }
    }

    #[test]
    fn a_key_lives_and_its_secret_is_stored_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let keys = Keys::open(dir.path()).unwrap();
        let (info, secret) = keys.create(&new("bot")).unwrap();
        assert_eq!(
            (info.state(), info.limits.usd_per_day),
            ("active", Some(2.5))
        );
        assert_eq!(keys.list().unwrap(), std::slice::from_ref(&info));
        let before = changes(&keys.connection).unwrap();
        let revoked = keys.revoke(info.id.as_str()).unwrap();
        assert_eq!(revoked.state(), "revoked");
        assert_eq!(keys.revoke(info.id.as_str()).unwrap(), revoked);
        assert!(changes(&keys.connection).unwrap() > before);
        drop(keys);

        let part = secret
            .expose()
            .rsplit('_')
            .next()
            .unwrap()
            .as_bytes()
            .to_vec();
        for entry in std::fs::read_dir(dir.path()).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            assert!(!bytes.windows(part.len()).any(|window| window == part));
        }
    }

    #[test]
    fn rotation_keeps_the_old_secret_for_the_grace_alone() {
        let dir = tempfile::tempdir().unwrap();
        let keys = Keys::open(dir.path()).unwrap();
        let (info, first) = keys.create(&new("bot")).unwrap();
        let id = info.id.as_str();
        let (_, second) = keys.rotate(id, Duration::from_secs(60)).unwrap();
        let stored = all(&keys.connection).unwrap().remove(0);
        assert_eq!(stored.hash, second.hash());
        assert_eq!(stored.old.unwrap().0, first.hash());
        keys.rotate(id, Duration::ZERO).unwrap();
        assert!(all(&keys.connection).unwrap()[0].old.is_none());
        keys.revoke(id).unwrap();
        assert!(keys.rotate(id, Duration::ZERO).is_err());
        assert!(matches!(keys.get("nobody"), Err(AccountsError::NoKey(_))));
    }

    #[test]
    fn senseless_keys_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let keys = Keys::open(dir.path()).unwrap();
        let good = new("x");
        for bad in [
            NewKey {
                name: " ".into(),
                ..good.clone()
            },
            NewKey {
                name: "a\nb".into(),
                ..good.clone()
            },
            NewKey {
                scopes: Scopes::default(),
                ..good.clone()
            },
            NewKey {
                labels: ["".to_owned()].into(),
                ..good.clone()
            },
            NewKey {
                expires_at: Some(SystemTime::UNIX_EPOCH),
                ..good.clone()
            },
            NewKey {
                limits: KeyLimits {
                    concurrent_streams: Some(0),
                    ..KeyLimits::default()
                },
                ..good.clone()
            },
        ] {
            let error = keys.create(&bad).unwrap_err();
            assert!(matches!(error, AccountsError::Invalid(_)), "{error}");
        }
        assert!(keys.list().unwrap().is_empty());
    }
}
