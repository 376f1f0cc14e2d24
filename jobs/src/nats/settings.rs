//! Where the queue's log is, and how to get in.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Error, Result};

/// Bytes of the name of a queue.
const MAX_NAME_BYTES: usize = 64;
/// Servers that are named.
const MAX_SERVERS: usize = 32;

/// Who says that it is who it is.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Credentials {
    /// Nobody asks.
    #[default]
    None,
    /// A token.
    Token(String),
    /// A user and a password.
    Password {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
    /// The text of a credentials file, as `nsc` writes it.
    File(String),
    /// The seed of an NKey.
    NKey(String),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Token(_) => "Token(***)",
            Self::Password { .. } => "Password(***)",
            Self::File(_) => "File(***)",
            Self::NKey(_) => "NKey(***)",
        })
    }
}

/// Where the queue's log is.
#[derive(Clone, Debug)]
pub struct NatsSettings {
    /// Addresses of servers of one cluster, `nats://host:port` or `tls://host:port`.
    pub servers: Vec<String>,
    /// The name of the queue: letters, digits, `_` and `-`, at most 64 bytes. Processes with
    /// the same one share a queue.
    pub name: String,
    /// On how many servers a new log is kept: 1, 3 or 5.
    pub replicas: usize,
    /// Who says that it is who it is.
    pub credentials: Credentials,
    /// A file with the certificates of authorities that are trusted alongside the machine's.
    pub authorities: Option<PathBuf>,
    /// How long a change is tried while the servers do not answer. An election takes some
    /// seconds.
    pub patience: Duration,
    /// After how many entries the log is replaced by a copy of the tables.
    pub snapshot_after: u64,
}

impl NatsSettings {
    /// Those of one server without credentials.
    pub fn new(server: impl Into<String>) -> Self {
        Self {
            servers: vec![server.into()],
            name: "cairn".into(),
            replicas: 1,
            credentials: Credentials::None,
            authorities: None,
            patience: Duration::from_secs(20),
            snapshot_after: 20_000,
        }
    }

    /// Checks the bounds.
    pub(super) fn check(&self) -> Result<()> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let name = &self.name;
        if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.chars().all(plain) {
            return Err(Error::Invalid(format!(
                "the name of a queue has 1 to {MAX_NAME_BYTES} letters, digits, `_` and `-`"
            )));
        }
        if self.servers.is_empty() || self.servers.len() > MAX_SERVERS {
            let why = format!("1 to {MAX_SERVERS} NATS servers are named");
            return Err(Error::Invalid(why));
        }
        if !matches!(self.replicas, 1 | 3 | 5) {
            let why = "the log of a queue is kept on 1, 3 or 5 servers";
            return Err(Error::Invalid(why.into()));
        }
        Ok(())
    }

    /// The servers as they may be shown: without what may be a password.
    pub(super) fn shown(&self) -> String {
        let shown = self.servers.iter().map(|server| {
            let (scheme, rest) = server.split_once("://").unwrap_or(("nats", server));
            let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
            format!("{scheme}://{host}")
        });
        shown.collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let mut settings = NatsSettings::new("nats://user:hunter2@host:4222");
        settings.credentials = Credentials::Token("hunter2".into());
        assert_eq!(settings.shown(), "nats://host:4222");
        assert!(!format!("{:?}", settings.credentials).contains("hunter2"));
        settings.check().unwrap();
        for (name, replicas) in [("", 1), ("a.b", 1), ("a", 2)] {
            let bad = NatsSettings {
                name: name.into(),
                replicas,
                ..settings.clone()
            };
            assert!(bad.check().is_err(), "{name} {replicas}");
        }
    }
}
