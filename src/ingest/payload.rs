//! What a job remembers until it runs.

use std::collections::BTreeSet;

use cairn_gateway::accounts::{Accounts, AuthError, Caller, KeyId};
use cairn_indexer::Access;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::task::Stop;

/// The payload of every ingestion job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Payload {
    /// Where the documents go.
    pub collection: String,
    /// Labels that the caller holds: documents with others are not touched. `None` for a
    /// caller who may read everything.
    #[serde(default)]
    pub held: Option<BTreeSet<String>>,
    /// The API key that asked, without which the job does not run; `None` where no key was
    /// needed, and for the operator of the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What the kind was asked to do, checked by it.
    pub input: Value,
}

impl Payload {
    /// Which documents the job may replace or delete.
    pub(crate) fn access(&self) -> Access {
        Access::from(self.held.as_ref())
    }

    /// The holder of the key that asked, with the rights of now; `None` where there was none.
    ///
    /// # Errors
    /// Why that key is not valid any more.
    pub(crate) fn caller(&self, accounts: &Accounts) -> Result<Option<Caller>, AuthError> {
        let key = self.key.as_ref().map(KeyId::new);
        key.map(|key| accounts.caller(&key)).transpose()
    }

    /// Whose rights and budget count when the job asks a language model, as they are now.
    ///
    /// # Errors
    /// When the key is gone, or there was none and now one is needed.
    pub(crate) fn asker(&self, accounts: &Accounts) -> Result<Caller, Stop> {
        match self.caller(accounts)? {
            Some(caller) => Ok(caller),
            None if accounts.requires_keys() => Err(Stop::permanent(
                "the job was submitted without an API key, and the service needs one now",
            )),
            None => Ok(Caller::anonymous()),
        }
    }
}
