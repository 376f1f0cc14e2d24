//! What is kept in memory: bounded in bytes, the least recently used goes first.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use lru::LruCache;

use super::Millis;
use super::answer::Answer;
use super::guard::same_question;
use super::key::{Key, Lookup};
use cairn_models::dot;
use cairn_settings::config;

/// Bytes that an entry takes alongside its texts and vector, about.
const ENTRY_BYTES: usize = 512;
/// Questions of one scope that are compared with a new one; the oldest are
/// forgotten. A scan of so many takes a fraction of embedding one.
const MAX_SCOPE: usize = 2048;

/// One answer with what it is found by.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) answer: Arc<Answer>,
    pub(super) scope: Key,
    pub(super) route: String,
    pub(super) question: Option<String>,
    /// Of length 1.
    pub(super) vector: Option<Arc<[f32]>>,
    pub(super) created: Millis,
}

impl Entry {
    pub(super) fn new(
        lookup: &Lookup,
        vector: Option<Arc<[f32]>>,
        answer: Arc<Answer>,
        created: Millis,
    ) -> Self {
        Self {
            answer,
            scope: lookup.scope,
            route: lookup.route.clone(),
            question: lookup.question.clone(),
            vector,
            created,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        let vector = self.vector.as_ref().map_or(0, |vector| vector.len() * 4);
        let question = self.question.as_ref().map_or(0, String::len);
        ENTRY_BYTES + self.answer.bytes() + question + vector
    }
}

/// The answers.
pub(super) struct Memory {
    entries: LruCache<Key, Entry>,
    bytes: usize,
    max_bytes: usize,
    ttl: Millis,
    stale: Millis,
    /// Keys of entries with vectors, oldest first.
    scopes: HashMap<Key, VecDeque<Key>>,
}

impl Memory {
    pub(super) fn new(settings: &config::Cache) -> Self {
        let milliseconds = |seconds: u64| seconds.saturating_mul(1000);
        Self {
            entries: LruCache::unbounded(),
            bytes: 0,
            max_bytes: settings.max_mb.saturating_mul(1 << 20),
            ttl: milliseconds(settings.ttl_seconds),
            stale: milliseconds(settings.stale_seconds.max(settings.ttl_seconds)),
            scopes: HashMap::new(),
        }
    }

    /// The answer under `key`; with `stale`, also one past its time to live.
    pub(super) fn get(&mut self, key: &Key, now: Millis, stale: bool) -> Option<Arc<Answer>> {
        let age = now.saturating_sub(self.entries.peek(key)?.created);
        if age >= self.stale {
            self.remove(key);
            return None;
        }
        if age >= self.ttl && !stale {
            return None;
        }
        self.entries.get(key).map(|entry| Arc::clone(&entry.answer))
    }

    /// The fresh answer whose question is nearest and means the same.
    pub(super) fn nearest(
        &mut self,
        scope: &Key,
        question: &str,
        vector: &[f32],
        threshold: f32,
        now: Millis,
    ) -> Option<Arc<Answer>> {
        let mut best: Option<(f32, Key)> = None;
        for key in self.scopes.get(scope)? {
            let Some(entry) = self.entries.peek(key) else {
                continue;
            };
            let (Some(asked), Some(other)) = (&entry.question, &entry.vector) else {
                continue;
            };
            // NaN for the vectors of another model, which are then not near.
            let cosine = dot(vector, other);
            let better = best.is_none_or(|(best, _)| cosine > best);
            let fresh = now.saturating_sub(entry.created) < self.ttl;
            if cosine >= threshold && better && fresh && same_question(question, asked) {
                best = Some((cosine, *key));
            }
        }
        let (_, key) = best?;
        self.get(&key, now, false)
    }

    /// Keeps an entry; what is too much after it goes.
    pub(super) fn put(&mut self, key: Key, entry: Entry) {
        self.remove(&key);
        let bytes = entry.bytes();
        if bytes > self.max_bytes {
            return;
        }
        if entry.vector.is_some() {
            let keys = self.scopes.entry(entry.scope).or_default();
            keys.push_back(key);
            if keys.len() > MAX_SCOPE {
                keys.pop_front();
            }
        }
        self.bytes += bytes;
        self.entries.put(key, entry);
        while self.bytes > self.max_bytes {
            let Some(oldest) = self.entries.peek_lru().map(|(key, _)| *key) else {
                break;
            };
            self.remove(&oldest);
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.scopes.clear();
        self.bytes = 0;
    }

    fn remove(&mut self, key: &Key) {
        let Some(entry) = self.entries.pop(key) else {
            return;
        };
        self.bytes -= entry.bytes();
        if entry.vector.is_some()
            && let Some(keys) = self.scopes.get_mut(&entry.scope)
        {
            keys.retain(|other| other != key);
            if keys.is_empty() {
                self.scopes.remove(&entry.scope);
            }
        }
    }
}
