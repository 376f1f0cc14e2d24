//! Works batches off: a few items at a time, for as long as the service runs.

use std::collections::{BTreeSet, HashMap};
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::store::{ItemId, Store, Waiting};
use super::{BatchError, BatchInfo, BatchItem, Execute, GIVE_UP, ItemOutcome, MAX_ITEMS, NewItem};
use crate::accounts::{Accounts, Caller, KeyId, Scope};

/// Longest name of an item, in bytes.
const MAX_CUSTOM_ID_BYTES: usize = 128;

/// How long one waits for others to be done with the store.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a store that failed is left alone.
const RETRY: Duration = Duration::from_secs(1);

/// How often old batches are looked for.
const SWEEP: Duration = Duration::from_secs(3600);

/// Batches of one data folder. Clones share everything.
#[derive(Clone)]
pub struct Batches(Arc<Inner>);

struct Inner {
    store: Mutex<Store>,
    /// Whose turn it is to use the store: a caller that waits for a hanging disk waits here, on no
    /// thread.
    turn: Arc<tokio::sync::Mutex<()>>,
    accounts: Accounts,
    parallel: usize,
    keep: Duration,
    submitted: Notify,
    /// Fires for items under way whose batch is cancelled.
    running: Mutex<HashMap<String, CancellationToken>>,
}

type Result<T> = std::result::Result<T, BatchError>;

impl Batches {
    /// The batches in `data_dir`, of which `parallel` items are worked on at the
    /// same time; ended ones are deleted after `keep`.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn open(
        data_dir: &Path,
        accounts: Accounts,
        parallel: usize,
        keep: Duration,
    ) -> Result<Self> {
        Ok(Self(Arc::new(Inner {
            store: Mutex::new(Store::open(data_dir)?),
            turn: Arc::default(),
            accounts,
            parallel: parallel.max(1),
            keep,
            submitted: Notify::new(),
            running: Mutex::default(),
        })))
    }

    /// Stores a batch to be worked off.
    ///
    /// # Errors
    /// [`BatchError::Invalid`] says what makes no sense.
    pub async fn submit(&self, caller: &Caller, items: Vec<NewItem>) -> Result<BatchInfo> {
        check(&items)?;
        let key = caller.key().cloned();
        let info = self
            .with_store(move |store| {
                let id = store.submit(key.as_ref(), &items)?;
                store.get(&id)
            })
            .await?;
        self.0.submitted.notify_one();
        Ok(info)
    }

    /// How far the batch `id` is.
    ///
    /// # Errors
    /// [`BatchError::NotFound`], also for the batch of another key.
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

    /// Cancels what of the batch `id` has not ended.
    ///
    /// # Errors
    /// Those of [`Batches::get`].
    pub async fn cancel(&self, caller: &Caller, id: &str) -> Result<BatchInfo> {
        let info = self.get(caller, id).await?;
        let info = self
            .with_store(move |store| {
                store.cancel(&info.id)?;
                store.get(&info.id)
            })
            .await?;
        if let Some(token) = self.running().remove(&info.id) {
            token.cancel();
        }
        Ok(info)
    }

    /// Works until `stop` fires. Items under way are dropped then, and go on
    /// waiting for the next start.
    pub async fn run(&self, execute: Arc<Execute>, stop: CancellationToken) {
        let read_only = self.with_store(|store| Ok(store.is_read_only())).await;
        if matches!(read_only, Ok(true)) {
            // What waits would be asked for, and paid for, without end.
            return stop.cancelled().await;
        }
        let mut under_way = FuturesUnordered::new();
        let mut taken: BTreeSet<(String, i64)> = BTreeSet::new();
        // Keys that are over a limit, and until when.
        let mut resting: HashMap<Option<KeyId>, Instant> = HashMap::new();
        let mut swept: Option<Instant> = None;
        while !stop.is_cancelled() {
            if swept.is_none_or(|at| at.elapsed() >= SWEEP) {
                swept = Some(Instant::now());
                let keep = self.0.keep;
                if let Err(error) = self.with_store(move |store| store.sweep(keep)).await {
                    tracing::warn!(%error, "old batches could not be deleted");
                }
            }
            resting.retain(|_, until| *until > Instant::now());
            let room = self.0.parallel - under_way.len();
            if room > 0 {
                // Enough to find some that are neither taken nor resting.
                let look = self.0.parallel * 64 + taken.len();
                match self.with_store(move |store| store.waiting(look)).await {
                    Ok(waiting) => {
                        let free = waiting.into_iter().filter(|item| {
                            !taken.contains(&place(&item.id)) && !resting.contains_key(&item.key)
                        });
                        for item in free.take(room).collect::<Vec<_>>() {
                            taken.insert(place(&item.id));
                            under_way.push(self.work(item, Arc::clone(&execute)));
                        }
                    }
                    Err(error) => {
                        tracing::error!(%error, "batches cannot be read; trying again");
                        tokio::time::sleep(RETRY).await;
                    }
                }
            }
            let rested = resting.values().min().copied();
            let wake = rested.unwrap_or_else(|| Instant::now() + SWEEP);
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.0.submitted.notified() => {}
                () = tokio::time::sleep_until(wake) => {}
                Some((id, key, later)) = under_way.next() => {
                    taken.remove(&place(&id));
                    if !taken.iter().any(|(batch, _)| *batch == id.batch) {
                        self.running().remove(&id.batch);
                    }
                    if let Some(wait) = later {
                        resting.insert(key, Instant::now() + wait);
                    }
                }
            }
        }
    }

    /// One item, until its result is stored; with the time to wait where a limit
    /// is reached.
    async fn work(
        &self,
        item: Waiting,
        execute: Arc<Execute>,
    ) -> (ItemId, Option<KeyId>, Option<Duration>) {
        let Waiting {
            id,
            key,
            age,
            request,
        } = item;
        let caller = match self.caller(key.as_ref()) {
            Ok(caller) => caller,
            Err(message) => {
                let error = json!({ "code": "unauthorized", "message": message });
                self.end(&id, "failed", error).await;
                return (id, key, None);
            }
        };
        let token = self.running().entry(id.batch.clone()).or_default().clone();
        let outcome = tokio::select! {
            // What is cancelled is marked so already.
            () = token.cancelled() => return (id, key, None),
            outcome = AssertUnwindSafe(execute(caller, request)).catch_unwind() => outcome,
        };
        // A defect must not end the worker that all batches need.
        let outcome = outcome.unwrap_or_else(|_| {
            let message = "the service failed; its log says why";
            ItemOutcome::Failed(json!({ "code": "internal", "message": message }))
        });
        let later = match outcome {
            ItemOutcome::Done(response) => {
                self.end(&id, "done", response).await;
                None
            }
            ItemOutcome::Failed(error) => {
                self.end(&id, "failed", error).await;
                None
            }
            ItemOutcome::RetryAfter(_, error) if age >= GIVE_UP => {
                self.end(&id, "failed", error).await;
                None
            }
            ItemOutcome::RetryAfter(wait, _) => Some(wait),
        };
        (id, key, later)
    }

    /// Whose item it is, as the key stands now.
    fn caller(&self, key: Option<&KeyId>) -> std::result::Result<Caller, String> {
        match key {
            Some(key) => self
                .0
                .accounts
                .caller(key)
                .map_err(|error| error.to_string()),
            None if self.0.accounts.requires_keys() => {
                Err("this was submitted before the service asked for API keys".to_owned())
            }
            None => Ok(Caller::anonymous()),
        }
    }

    async fn end(&self, id: &ItemId, state: &'static str, result: Value) {
        loop {
            let (item, value) = (id.clone(), result.clone());
            let stored = self
                .with_store(move |store| store.end(&item, state, &value))
                .await;
            match stored {
                Ok(()) => return,
                Err(error) => {
                    tracing::error!(%error, "a result of a batch cannot be stored; trying again");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    pub(super) async fn with_store<T: Send + 'static>(
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

    fn running(&self) -> std::sync::MutexGuard<'_, HashMap<String, CancellationToken>> {
        self.0
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn place(id: &ItemId) -> (String, i64) {
    (id.batch.clone(), id.n)
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
