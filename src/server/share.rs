//! A bound that all callers share, of which one API key may take a part only.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use cairn_gateway::accounts::KeyId;

/// Keys in use from which those that hold nothing are forgotten.
const FORGET_FROM: usize = 256;

/// So many of something, for all callers together.
#[derive(Debug)]
pub(super) struct Shared {
    all: Arc<Semaphore>,
    /// What one key may hold at most.
    of_a_key: usize,
    keys: Mutex<HashMap<KeyId, Arc<Semaphore>>>,
}

/// Some of it, held until this is dropped.
#[derive(Debug)]
pub(super) struct Held {
    _all: OwnedSemaphorePermit,
    _own: Option<OwnedSemaphorePermit>,
}

/// Why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// Everybody together holds all of it.
    ByAll,
    /// The key holds its part.
    ByKey,
}

impl Shared {
    /// `most` for all, of which one key may hold `share`, but `least` in any case; and not
    /// all, where there is more than one and more than `least`.
    pub(super) fn new(most: usize, share: f64, least: usize) -> Self {
        let most = most.min(Semaphore::MAX_PERMITS);
        let part = (most as f64 * share) as usize;
        let part = match share < 1.0 {
            true => part.min(most.saturating_sub(1)),
            false => most,
        };
        Self {
            all: Arc::new(Semaphore::new(most)),
            of_a_key: part.max(least).max(1),
            keys: Mutex::default(),
        }
    }

    /// What is not taken.
    pub(super) fn semaphore(&self) -> &Arc<Semaphore> {
        &self.all
    }

    /// Takes `amount` at once, or says why not.
    pub(super) fn try_take(&self, amount: u32, key: Option<&KeyId>) -> Result<Held, Taken> {
        let own = key.map(|key| self.of(key).try_acquire_many_owned(amount));
        let own = own.transpose().map_err(|_| Taken::ByKey)?;
        let all = Arc::clone(&self.all).try_acquire_many_owned(amount);
        Ok(Held {
            _all: all.map_err(|_| Taken::ByAll)?,
            _own: own,
        })
    }

    /// Takes `amount` when it is there, in the order of those who wait. None where it
    /// never will be.
    pub(super) async fn take(&self, amount: u32, key: Option<&KeyId>) -> Option<Held> {
        let own = match key {
            Some(key) => {
                let own = self.of(key);
                if amount as usize > self.of_a_key {
                    return None;
                }
                Some(own.acquire_many_owned(amount).await.ok()?)
            }
            None => None,
        };
        let all = Arc::clone(&self.all).acquire_many_owned(amount).await;
        Some(Held {
            _all: all.ok()?,
            _own: own,
        })
    }

    fn of(&self, key: &KeyId) -> Arc<Semaphore> {
        // Each statement leaves the map whole.
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.len() >= FORGET_FROM {
            // A permit that is held or waited for keeps its semaphore.
            keys.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
        }
        let new = || Arc::new(Semaphore::new(self.of_a_key));
        Arc::clone(keys.entry(key.clone()).or_insert_with(new))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_leaves_something_for_others() {
        let (a, b) = (KeyId::new("a"), KeyId::new("b"));
        let shared = Shared::new(4, 0.75, 1);
        let held: Vec<_> = (0..3).map(|_| shared.try_take(1, Some(&a))).collect();
        assert!(held.iter().all(Result::is_ok));
        assert_eq!(shared.try_take(1, Some(&a)).unwrap_err(), Taken::ByKey);
        let other = shared.try_take(1, Some(&b)).unwrap();
        assert_eq!(shared.try_take(1, Some(&b)).unwrap_err(), Taken::ByAll);
        assert_eq!(shared.try_take(1, None).unwrap_err(), Taken::ByAll);
        drop((held, other));
        assert_eq!(shared.semaphore().available_permits(), 4);
        shared.try_take(3, Some(&a)).unwrap();
    }

    #[test]
    fn without_keys_all_of_it_is_one_callers() {
        let shared = Shared::new(4, 0.5, 1);
        shared.try_take(4, None).unwrap();
        // A whole share, or a single place, is not part of anything.
        for shared in [Shared::new(1, 0.5, 1), Shared::new(1, 1.0, 1)] {
            shared.try_take(1, Some(&KeyId::new("a"))).unwrap();
        }
        let share = |share| Shared::new(4, share, 1).of_a_key;
        assert_eq!((share(0.01), share(0.99), share(1.0)), (1, 3, 4));
        assert_eq!(Shared::new(100, 0.5, 80).of_a_key, 80);
    }

    #[tokio::test]
    async fn who_waits_gets_it_in_turn() {
        let shared = Arc::new(Shared::new(4, 1.0, 4));
        let first = shared.take(3, None).await.unwrap();
        let waiting = tokio::spawn({
            let shared = Arc::clone(&shared);
            async move { shared.take(4, None).await.is_some() }
        });
        tokio::task::yield_now().await;
        drop(first);
        assert!(waiting.await.unwrap());
        assert!(shared.take(5, Some(&KeyId::new("a"))).await.is_none());
    }

    #[test]
    fn keys_that_hold_nothing_are_forgotten() {
        let shared = Shared::new(10, 0.5, 1);
        let kept = shared.try_take(1, Some(&KeyId::new("kept"))).unwrap();
        for n in 0..10 * FORGET_FROM {
            shared.of(&KeyId::new(n.to_string()));
        }
        let keys = shared.keys.lock().unwrap();
        assert!(keys.len() <= FORGET_FROM + 1 && keys.contains_key(&KeyId::new("kept")));
        drop(keys);
        drop(kept);
    }
}
