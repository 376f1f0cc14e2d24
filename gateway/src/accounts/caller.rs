//! A caller: a key's identity, what it may do and what it may read.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A label in a key that lets it read every document.
pub const EVERY_LABEL: &str = "*";

/// The public part of a key: it names the key in lists, ledgers and logs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(Arc<str>);

impl KeyId {
    /// The id with this text.
    pub fn new(id: impl AsRef<str>) -> Self {
        Self(id.as_ref().into())
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One thing that a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Scope {
    /// Search, list and read documents.
    #[serde(rename = "search")]
    Search,
    /// Ask questions.
    #[serde(rename = "query")]
    Query,
    /// Add and delete documents.
    #[serde(rename = "documents:write")]
    DocumentsWrite,
    /// Submit and follow jobs, which add and delete documents.
    #[serde(rename = "jobs")]
    Jobs,
    /// Use the OpenAI-compatible routes.
    #[serde(rename = "chat")]
    Chat,
    /// Let an agent use the databases, folders and addresses of the configuration.
    #[serde(rename = "tools")]
    Tools,
    /// Read `/metrics`.
    #[serde(rename = "metrics")]
    Metrics,
    /// Everything, on every document.
    #[serde(rename = "admin")]
    Admin,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 8] = [
        Self::Search,
        Self::Query,
        Self::DocumentsWrite,
        Self::Jobs,
        Self::Chat,
        Self::Tools,
        Self::Metrics,
        Self::Admin,
    ];

    /// The scope as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Search => "search",
            Self::Query => "query",
            Self::DocumentsWrite => "documents:write",
            Self::Jobs => "jobs",
            Self::Chat => "chat",
            Self::Tools => "tools",
            Self::Metrics => "metrics",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|scope| scope.as_str() == text);
        found.ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            format!("`{text}` is not a scope; scopes are {known}")
        })
    }
}

/// What a key may do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Scopes(BTreeSet<Scope>);

impl Scopes {
    /// Whether `scope` is among them; `admin` is all of them.
    pub fn allow(&self, scope: Scope) -> bool {
        self.0.contains(&scope) || self.0.contains(&Scope::Admin)
    }

    /// In their order.
    pub fn iter(&self) -> impl Iterator<Item = Scope> {
        self.0.iter().copied()
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().collect())
    }
}

/// A caller. Clones share everything.
#[derive(Clone, Debug)]
pub struct Caller {
    identity: Arc<Identity>,
    /// Whether the door of the service counted this request already.
    pub(super) counted: bool,
}

#[derive(Debug)]
struct Identity {
    key: Option<KeyId>,
    tenant: String,
    /// Labels whose documents may be read; `None` where everything may.
    labels: Option<BTreeSet<String>>,
    scopes: Scopes,
}

impl Caller {
    /// The caller if no key is configured: the command line, and an open
    /// service on this machine. May do and read everything, without limits.
    pub fn anonymous() -> Self {
        Self::from_parts(
            None,
            String::new(),
            None,
            [Scope::Admin].into_iter().collect(),
        )
    }

    /// The holder of a key. `labels` are those of the key: `*` among them, or
    /// the scope `admin`, reads every document.
    pub fn new(key: KeyId, tenant: String, labels: &BTreeSet<String>, scopes: Scopes) -> Self {
        let all = scopes.allow(Scope::Admin) || labels.contains(EVERY_LABEL);
        Self::from_parts(Some(key), tenant, (!all).then(|| labels.clone()), scopes)
    }

    fn from_parts(
        key: Option<KeyId>,
        tenant: String,
        labels: Option<BTreeSet<String>>,
        scopes: Scopes,
    ) -> Self {
        Self {
            identity: Arc::new(Identity {
                key,
                tenant,
                labels,
                scopes,
            }),
            counted: false,
        }
    }

    /// The key, if there is one.
    pub fn key(&self) -> Option<&KeyId> {
        self.identity.key.as_ref()
    }

    /// Whose key it is; empty where no key is used.
    pub fn tenant(&self) -> &str {
        &self.identity.tenant
    }

    /// The labels whose documents the caller may read, besides those that have no
    /// label; `None` if the caller may read every document.
    pub fn labels(&self) -> Option<&BTreeSet<String>> {
        self.identity.labels.as_ref()
    }

    /// What the caller may do.
    pub fn scopes(&self) -> &Scopes {
        &self.identity.scopes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(labels: &[&str], scopes: &[Scope]) -> Caller {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        let scopes = scopes.iter().copied().collect();
        Caller::new(KeyId::new("k"), "t".into(), &labels, scopes)
    }

    #[test]
    fn labels_bind_all_but_admins_and_stars() {
        let nothing = BTreeSet::new();
        assert_eq!(caller(&[], &[Scope::Search]).labels(), Some(&nothing));
        assert_eq!(caller(&["*"], &[Scope::Search]).labels(), None);
        assert_eq!(caller(&["a"], &[Scope::Admin]).labels(), None);
        assert_eq!(Caller::anonymous().labels(), None);
    }

    #[test]
    fn scopes_read_back_and_admin_is_all() {
        for scope in Scope::ALL {
            assert_eq!(scope.as_str().parse(), Ok(scope));
            assert_eq!(serde_json::json!(scope), scope.as_str());
            assert!(Caller::anonymous().scopes().allow(scope));
        }
        assert!(
            "root"
                .parse::<Scope>()
                .unwrap_err()
                .contains("documents:write")
        );
        assert!(!caller(&[], &[Scope::Search]).scopes().allow(Scope::Query));
    }
}
