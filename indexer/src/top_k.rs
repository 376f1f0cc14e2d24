//! The best k of many scored things, in a total order.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// One scored thing. Greater means better: a larger score, then a smaller key.
#[derive(Clone, Copy, Debug)]
struct Entry<K> {
    score: f32,
    key: K,
}

impl<K: Ord> Ord for Entry<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score
            .total_cmp(&other.score)
            .then_with(|| other.key.cmp(&self.key))
    }
}

impl<K: Ord> PartialOrd for Entry<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K: Ord> PartialEq for Entry<K> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<K: Ord> Eq for Entry<K> {}

/// Keeps the `k` best of what it is shown: the largest scores, and among equal
/// scores the smallest keys. The result does not depend on the order of arrival.
pub(crate) struct TopK<K> {
    k: usize,
    heap: BinaryHeap<Reverse<Entry<K>>>,
}

impl<K: Ord> TopK<K> {
    /// An empty list of at most `k`.
    pub(crate) fn new(k: usize) -> Self {
        // The caller's k may be "everything"; memory follows what arrives.
        let heap = BinaryHeap::with_capacity(k.saturating_add(1).min(1024));
        Self { k, heap }
    }

    /// A score below this one cannot enter any more; one equal to it may.
    pub(crate) fn threshold(&self) -> f32 {
        if self.heap.len() < self.k {
            return f32::NEG_INFINITY;
        }
        self.heap
            .peek()
            .map_or(f32::INFINITY, |Reverse(worst)| worst.score)
    }

    /// Shows one scored thing.
    pub(crate) fn push(&mut self, score: f32, key: K) {
        let entry = Entry { score, key };
        if self.heap.len() < self.k {
            self.heap.push(Reverse(entry));
        } else if let Some(mut worst) = self.heap.peek_mut()
            && entry > worst.0
        {
            *worst = Reverse(entry);
        }
    }

    /// The list, best first.
    pub(crate) fn into_sorted(self) -> Vec<(K, f32)> {
        let mut entries = self.heap.into_vec();
        entries.sort_unstable();
        entries
            .into_iter()
            .map(|Reverse(entry)| (entry.key, entry.score))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_best_and_breaks_ties_by_the_smaller_key() {
        let shown = [(1.0, 7_u32), (3.0, 4), (3.0, 2), (2.0, 9), (3.0, 8)];
        let mut forward = TopK::new(3);
        let mut backward = TopK::new(3);
        for &(score, key) in &shown {
            forward.push(score, key);
        }
        for &(score, key) in shown.iter().rev() {
            backward.push(score, key);
        }
        let expected = vec![(2, 3.0), (4, 3.0), (8, 3.0)];
        assert_eq!(forward.into_sorted(), expected);
        assert_eq!(backward.into_sorted(), expected);
    }

    #[test]
    fn a_list_of_none_takes_nothing() {
        let mut none = TopK::new(0);
        assert_eq!(none.threshold(), f32::INFINITY);
        none.push(1.0, 1_u32);
        assert!(none.into_sorted().is_empty());
    }

    #[test]
    fn the_threshold_is_the_worst_of_a_full_list() {
        let mut two = TopK::new(2);
        two.push(5.0, 1_u32);
        assert_eq!(two.threshold(), f32::NEG_INFINITY);
        two.push(4.0, 2);
        assert_eq!(two.threshold(), 4.0);
        two.push(6.0, 3);
        assert_eq!(two.threshold(), 5.0);
    }
}
