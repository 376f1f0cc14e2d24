//! What was read of passages, for the next question that finds them.
//!
//! Late interaction reads a passage without its question, and reading is nearly all
//! of its time. So a passage that is found again, by a question about the same subject
//! or by the same one, costs next to nothing. States are kept in bytes, each token's
//! with a scale of its own; a passage that was just read is rounded too, so that it
//! scores the same the second time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lru::LruCache;

/// Largest magnitude of a byte.
const MOST: f32 = 127.0;

/// What an entry takes alongside its numbers: the nodes of map and list.
const ENTRY_NUM_BYTES: usize = 128;

/// States of a passage's tokens, rounded.
pub(super) struct States {
    /// `[tokens, width]`.
    bytes: Box<[i8]>,
    /// One for each token.
    scales: Box<[f32]>,
}

impl States {
    /// Rounds `[tokens, width]` floats.
    pub(super) fn round(floats: &[f32], width: usize) -> Self {
        let mut bytes = Vec::with_capacity(floats.len());
        let mut scales = Vec::with_capacity(floats.len() / width);
        for row in floats.chunks_exact(width) {
            let largest = row.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
            let factor = if largest > 0.0 { MOST / largest } else { 0.0 };
            bytes.extend(row.iter().map(|x| (x * factor).round_ties_even() as i8));
            scales.push(largest / MOST);
        }
        Self {
            bytes: bytes.into(),
            scales: scales.into(),
        }
    }

    /// `[tokens, width]` floats.
    pub(super) fn floats(&self) -> Vec<f32> {
        let width = self.bytes.len() / self.scales.len().max(1);
        let mut floats = Vec::with_capacity(self.bytes.len());
        for (row, scale) in self.bytes.chunks_exact(width.max(1)).zip(&self.scales) {
            floats.extend(row.iter().map(|&byte| f32::from(byte) * scale));
        }
        floats
    }

    fn num_bytes(&self) -> usize {
        self.bytes.len() + size_of_val(&*self.scales)
    }
}

/// The passages that were read or found again last, by their token ids.
pub(super) struct Passages {
    most_num_bytes: usize,
    held: Mutex<Held>,
}

struct Held {
    states: LruCache<Box<[u32]>, Arc<States>>,
    num_bytes: usize,
}

impl Passages {
    /// Holds at most so many bytes; 0 remembers nothing.
    pub(super) fn new(most_num_bytes: usize) -> Self {
        Self {
            most_num_bytes,
            held: Mutex::new(Held {
                states: LruCache::unbounded(),
                num_bytes: 0,
            }),
        }
    }

    pub(super) fn get(&self, ids: &[u32]) -> Option<Arc<States>> {
        self.held().states.get(ids).map(Arc::clone)
    }

    /// Remembers a passage, and evicts the least recently used ones.
    pub(super) fn put(&self, ids: &[u32], states: &Arc<States>) {
        let num_bytes = cost(ids, states);
        if num_bytes > self.most_num_bytes {
            return;
        }
        let mut held = self.held();
        held.num_bytes += num_bytes;
        if let Some((ids, old)) = held.states.push(ids.into(), Arc::clone(states)) {
            held.num_bytes -= cost(&ids, &old);
        }
        while held.num_bytes > self.most_num_bytes
            && let Some((ids, old)) = held.states.pop_lru()
        {
            held.num_bytes -= cost(&ids, &old);
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cost(ids: &[u32], states: &States) -> usize {
    size_of_val(ids) + states.num_bytes() + ENTRY_NUM_BYTES
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn states(tokens: usize) -> Arc<States> {
        Arc::new(States::round(&vec![1.0; tokens * 8], 8))
    }

    proptest! {
        #[test]
        fn rounding_is_within_half_a_step_of_its_row(
            rows in prop::collection::vec(prop::collection::vec(-9.0_f32..9.0, 8), 0..9),
        ) {
            let floats = rows.concat();
            let back = States::round(&floats, 8).floats();
            prop_assert_eq!(back.len(), floats.len());
            for (row, back) in floats.chunks(8).zip(back.chunks(8)) {
                let step = row.iter().fold(0.0_f32, |most, x| most.max(x.abs())) / MOST;
                for (x, y) in row.iter().zip(back) {
                    prop_assert!((x - y).abs() <= step * 0.5001, "{} {} {}", x, y, step);
                }
            }
        }
    }

    #[test]
    fn zeros_stay_zeros() {
        assert_eq!(States::round(&[0.0; 16], 8).floats(), [0.0; 16]);
    }

    #[test]
    fn the_passage_that_was_not_asked_for_longest_is_forgotten() {
        let one = cost(&[1, 2], &states(2));
        let passages = Passages::new(2 * one);
        passages.put(&[1, 2], &states(2));
        passages.put(&[3, 4], &states(2));
        assert!(passages.get(&[1, 2]).is_some());
        passages.put(&[5, 6], &states(2));
        assert!(passages.get(&[3, 4]).is_none());
        assert!(passages.get(&[1, 2]).is_some() && passages.get(&[5, 6]).is_some());
        // The same again takes no more room.
        for _ in 0..9 {
            passages.put(&[5, 6], &states(2));
        }
        assert!(passages.get(&[1, 2]).is_some());
        assert_eq!(passages.held().num_bytes, 2 * one);
    }

    #[test]
    fn what_is_larger_than_all_is_not_kept_and_pushes_nothing_out() {
        let passages = Passages::new(cost(&[1], &states(1)));
        passages.put(&[1], &states(1));
        passages.put(&[2, 3], &states(2));
        assert!(passages.get(&[1]).is_some() && passages.get(&[2, 3]).is_none());
        let none = Passages::new(0);
        none.put(&[1], &states(1));
        assert!(none.get(&[1]).is_none());
    }
}
