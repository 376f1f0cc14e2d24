//! Batches as callers and workers see them.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use super::store::Store;
use super::{BatchError, BatchInfo, BatchItem, Begun, MAX_ITEMS, NewItem, Waiting};
use crate::accounts::{Caller, Scope};

/// Longest name of an item, in bytes.
const MAX_CUSTOM_ID_BYTES: usize = 128;

/// How long one waits for others to be done with the store.
const PATIENCE: Duration = Duration::from_secs(10);

/// Batches of one data folder. Clones share everything.
#[derive(Clone)]
pub struct Batches(Arc<Inner>);

struct Inner {
    store: Mutex<Store>,
    /// Whose turn it is to use the store: a caller that waits for a hanging disk waits here, on no
    /// thread.
    turn: Arc<tokio::sync::Mutex<()>>,
}

type Result<T> = std::result::Result<T, BatchError>;

/// What callers do. Each may fail as the database does.
impl Batches {
    /// The batches in `data_dir`.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn open(data_dir: &Path) -> Result<Self> {
        Ok(Self(Arc::new(Inner {
            store: Mutex::new(Store::open(data_dir)?),
            turn: Arc::default(),
        })))
    }

    /// Stores a batch, which nobody works on yet: see [`Batches::queued`].
    ///
    /// # Errors
    /// [`BatchError::Invalid`] says what makes no sense.
    pub async fn submit(&self, caller: &Caller, items: Vec<NewItem>) -> Result<BatchInfo> {
        check(&items)?;
        let key = caller.key().cloned();
        self.with_store(move |store| {
            let id = store.submit(key.as_ref(), &items)?;
            store.get(&id)
        })
        .await
    }

    /// How far the batch `id` is.
    ///
    /// # Errors
    /// [`BatchError::NotFound`], also for the batch of another key, unless the caller is an
    /// administrator.
    pub async fn get(&self, caller: &Caller, id: &str) -> Result<BatchInfo> {
        let wanted = id.to_owned();
        let info = self.with_store(move |store| store.get(&wanted)).await?;
        match is_of(&info, caller) {
            true => Ok(info),
            false => Err(BatchError::NotFound(id.to_owned())),
        }
    }

    /// The caller's latest batches, the newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list(&self, caller: &Caller, limit: usize) -> Result<Vec<BatchInfo>> {
        let all = caller.scopes().allow(Scope::Admin);
        let key = caller.key().filter(|_| !all).cloned();
        self.with_store(move |store| store.list(key.as_ref(), limit))
            .await
    }

    /// Items of the batch `id` in the order they were submitted in.
    ///
    /// # Errors
    /// Those of [`Batches::get`].
    pub async fn items(
        &self,
        caller: &Caller,
        id: &str,
        offset: usize,
        limit: usize,
    ) -> Result<Vec<BatchItem>> {
        let info = self.get(caller, id).await?;
        self.with_store(move |store| store.items(&info.id, offset, limit))
            .await
    }
}

/// What workers do, and those who look after the queue of their jobs. Each may fail as the
/// database does.
impl Batches {
    /// Notes the job that answers the batch `id`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn queued(&self, id: &str, job: String) -> Result<BatchInfo> {
        let id = id.to_owned();
        self.with_store(move |store| {
            store.queued(&id, &job)?;
            store.get(&id)
        })
        .await
    }

    /// Forgets the batch `id`, which nobody will work on.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn withdraw(&self, id: &str) -> Result<()> {
        let id = id.to_owned();
        self.with_store(move |store| store.withdraw(&id)).await
    }

    /// Begins to work on the batch `id`, or goes on. What was cancelled or dropped waits again:
    /// its job is tried once more.
    ///
    /// # Errors
    /// [`BatchError::NotFound`]; also when nothing can be written, so that nothing is asked
    /// whose answer could not be stored.
    pub async fn begin(&self, id: &str) -> Result<Begun> {
        let id = id.to_owned();
        self.with_store(move |store| store.begin(&id)).await
    }

    /// The first `limit` waiting items of the batch `id` behind the `after`th.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn waiting(&self, id: &str, after: i64, limit: usize) -> Result<Vec<Waiting>> {
        let id = id.to_owned();
        self.with_store(move |store| store.waiting(&id, after, limit))
            .await
    }

    /// Stores the response or the error of the `n`th item of the batch `id`, unless it has ended
    /// already.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn end(
        &self,
        id: &str,
        n: i64,
        result: std::result::Result<Value, Value>,
    ) -> Result<()> {
        let id = id.to_owned();
        self.with_store(move |store| match &result {
            Ok(response) => store.end(&id, n, "done", response),
            Err(error) => store.end(&id, n, "failed", error),
        })
        .await
    }

    /// Whether the batch `id` was cancelled, or is not kept any more.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn is_cancelled(&self, id: &str) -> Result<bool> {
        let id = id.to_owned();
        self.with_store(move |store| store.is_cancelled(&id)).await
    }

    /// Cancels what waits of the batch `id`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn cancel(&self, id: &str) -> Result<BatchInfo> {
        let id = id.to_owned();
        self.with_store(move |store| {
            store.cancel(&id)?;
            store.get(&id)
        })
        .await
    }

    /// Lets what waits of the batch `id` fail with `error`, until somebody [begins](Self::begin)
    /// again.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn drop_rest(&self, id: &str, error: Value) -> Result<BatchInfo> {
        let id = id.to_owned();
        self.with_store(move |store| {
            store.drop_rest(&id, &error)?;
            store.get(&id)
        })
        .await
    }

    /// All that have not ended.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn unended(&self) -> Result<Vec<BatchInfo>> {
        self.with_store(|store| store.unended()).await
    }

    /// Deletes batches that ended longer than `keep` ago, with their texts.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sweep(&self, keep: Duration) -> Result<()> {
        self.with_store(move |store| store.sweep(keep)).await
    }

    async fn with_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Store) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let inner = Arc::clone(&self.0);
        // On a task of its own: whoever waits for it may not be polled for a while, and must
        // not keep the turn from the others meanwhile.
        let task = tokio::spawn(async move {
            let turn = Arc::clone(&inner.turn).lock_owned();
            let turn = tokio::time::timeout(PATIENCE, turn).await;
            let turn = turn.map_err(|_| BatchError::Busy)?;
            tokio::task::spawn_blocking(move || {
                // Kept until the work is done, even if nothing waits for it any more.
                let _turn = turn;
                // Each piece of work is one transaction.
                let mut store = inner.store.lock().unwrap_or_else(PoisonError::into_inner);
                work(&mut store)
            })
            .await
            .unwrap_or(Err(BatchError::Internal))
        });
        task.await.unwrap_or(Err(BatchError::Internal))
    }
}

fn is_of(info: &BatchInfo, caller: &Caller) -> bool {
    caller.scopes().allow(Scope::Admin) || info.key.as_ref() == caller.key()
}

fn check(items: &[NewItem]) -> Result<()> {
    let invalid = |message: String| Err(BatchError::Invalid(message));
    if items.is_empty() || items.len() > MAX_ITEMS {
        return invalid(format!("a batch has 1 to {MAX_ITEMS} requests"));
    }
    let mut seen = BTreeSet::new();
    for item in items {
        let id = item.custom_id.as_str();
        if id.is_empty() || id.len() > MAX_CUSTOM_ID_BYTES || id.chars().any(char::is_control) {
            return invalid("a custom_id has 1 to 128 bytes and no control characters".to_owned());
        }
        if !seen.insert(id) {
            return invalid(format!("the custom_id `{id}` comes twice"));
        }
    }
    Ok(())
}
