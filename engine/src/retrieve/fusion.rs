//! Fuses ranked lists into one. Pure: no clock, no index, no model.
//!
//! - [`Method::Rrf`]: reciprocal rank fusion, the sum of weight / (k + rank) over the lists that
//!   hold the item (Cormack, Clarke and Büttcher, SIGIR 2009). It does not use scores, so different
//!   scales need not be compared.
//! - [`Method::Weighted`]: the sum of weight × score, each list's scores
//!   min-max normalised to 0..=1; a list that lacks the item adds 0.

use std::collections::BTreeMap;

/// How the lists are fused.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    /// Reciprocal rank fusion with this k: the larger k, the flatter the ranks.
    Rrf {
        /// Added to every rank.
        k: f32,
    },
    /// Weighted sum of min-max normalised scores.
    Weighted,
}

/// One list: items and scores, best first, each item once.
#[derive(Clone, Copy, Debug)]
pub struct Ranked<'a, K> {
    /// The list.
    pub items: &'a [(K, f32)],
    /// Its weight.
    pub weight: f32,
}

/// An item of the fused list.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fused<K, const N: usize> {
    /// The item.
    pub key: K,
    /// The score that ordered the list; larger is better.
    pub score: f32,
    /// Its rank in each list, from 1.
    pub ranks: [Option<u32>; N],
    /// What each list contributes, as a share of what it contributes to its best item: 0..=1.
    pub shares: [f32; N],
}

/// Fuses `lists`; best first, ties by key, each key once.
pub fn fuse<K: Copy + Ord, const N: usize>(
    lists: [Ranked<'_, K>; N],
    method: Method,
) -> Vec<Fused<K, N>> {
    let mut sums: BTreeMap<K, (f64, Fused<K, N>)> = BTreeMap::new();
    for (at, list) in lists.iter().enumerate() {
        let normal = min_max(list.items.iter().map(|&(_, score)| score));
        for (rank, (&(key, _), normal)) in (1..).zip(list.items.iter().zip(normal)) {
            let (given, most) = match method {
                Method::Rrf { k } => {
                    let k = f64::from(k);
                    (1.0 / (k + f64::from(rank)), 1.0 / (k + 1.0))
                }
                Method::Weighted => (f64::from(normal), 1.0),
            };
            let nothing = Fused {
                key,
                score: 0.0,
                ranks: [None; N],
                shares: [0.0; N],
            };
            let (sum, item) = sums.entry(key).or_insert((0.0, nothing));
            *sum += f64::from(list.weight) * given;
            item.ranks[at] = Some(rank);
            item.shares[at] = (given / most) as f32;
        }
    }
    let mut fused: Vec<_> = sums
        .into_values()
        .map(|(sum, item)| Fused {
            score: sum as f32,
            ..item
        })
        .collect();
    // The map yields keys in order and the sort is stable: ties stay by key.
    fused.sort_by(|a, b| b.score.total_cmp(&a.score));
    fused
}

/// Maps scores to 0..=1, the largest to 1. If all scores are equal, all map to 1: each is the best.
/// A score that is not a number counts as the lowest.
pub(super) fn min_max(scores: impl Iterator<Item = f32> + Clone) -> Vec<f32> {
    let finite = scores.clone().filter(|score| score.is_finite());
    let low = finite.clone().fold(f32::INFINITY, f32::min);
    let high = finite.fold(f32::NEG_INFINITY, f32::max);
    let scale = |score: f32| match score {
        _ if !score.is_finite() => 0.0,
        _ if high > low => (score - low) / (high - low),
        _ => 1.0,
    };
    scores.map(scale).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list(items: &[(u32, f32)], weight: f32) -> Ranked<'_, u32> {
        Ranked { items, weight }
    }

    fn keys<const N: usize>(fused: &[Fused<u32, N>]) -> Vec<u32> {
        fused.iter().map(|item| item.key).collect()
    }

    #[test]
    fn rrf_adds_reciprocal_ranks() {
        let lexical = [(7, 9.0), (3, 8.0)];
        let dense = [(3, 0.9), (5, 0.8)];
        let fused = fuse(
            [list(&lexical, 1.0), list(&dense, 2.0)],
            Method::Rrf { k: 60.0 },
        );
        assert_eq!(keys(&fused), [3, 5, 7]);
        assert!((fused[0].score - (1.0 / 62.0 + 2.0 / 61.0)).abs() < 1e-7);
        assert_eq!(fused[0].ranks, [Some(2), Some(1)]);
        assert!((fused[0].shares[0] - 61.0 / 62.0).abs() < 1e-7);
        assert_eq!(fused[0].shares[1], 1.0);
        assert_eq!(
            (fused[2].ranks, fused[2].shares),
            ([Some(1), None], [1.0, 0.0])
        );
    }

    #[test]
    fn weighted_adds_normalised_scores() {
        let lexical = [(1, 30.0), (2, 20.0), (3, 10.0)];
        let dense = [(3, 0.8), (1, 0.2)];
        let fused = fuse([list(&lexical, 0.5), list(&dense, 0.5)], Method::Weighted);
        assert_eq!(keys(&fused), [1, 3, 2]);
        let scores: Vec<_> = fused.iter().map(|item| item.score).collect();
        assert_eq!(scores, [0.5, 0.5, 0.25]);
    }

    #[test]
    fn ties_break_by_key_and_empty_lists_are_nothing() {
        let first = [(9, 1.0)];
        let second = [(4, 1.0)];
        let fused = fuse(
            [list(&first, 1.0), list(&second, 1.0)],
            Method::Rrf { k: 60.0 },
        );
        assert_eq!(keys(&fused), [4, 9]);
        let nothing = fuse([list(&[], 1.0), list(&[], 1.0)], Method::Weighted);
        assert!(nothing.is_empty());
    }

    #[test]
    fn min_max_takes_equal_and_broken_scores() {
        assert_eq!(min_max([2.0, 2.0].into_iter()), [1.0, 1.0]);
        assert_eq!(min_max([f32::NAN, 1.0, 3.0].into_iter()), [0.0, 0.0, 1.0]);
        assert!(min_max([].into_iter()).is_empty());
    }

    fn ranked() -> impl Strategy<Value = Vec<(u32, f32)>> {
        proptest::collection::btree_map(0..40_u32, 0.0..9.0_f32, 0..20).prop_map(|scores| {
            let mut items: Vec<_> = scores.into_iter().collect();
            items.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            items
        })
    }

    proptest! {
        #[test]
        fn the_result_is_a_total_order_over_the_union(
            a in ranked(), b in ranked(), k in 1.0..100.0_f32, rrf: bool,
        ) {
            let method = if rrf { Method::Rrf { k } } else { Method::Weighted };
            let fused = fuse([list(&a, 1.0), list(&b, 0.7)], method);
            let mut seen = keys(&fused);
            seen.sort_unstable();
            let mut union: Vec<_> = a.iter().chain(&b).map(|item| item.0).collect();
            union.sort_unstable();
            union.dedup();
            prop_assert_eq!(seen, union);
            for pair in fused.windows(2) {
                let ordered = pair[0].score > pair[1].score
                    || (pair[0].score == pair[1].score && pair[0].key < pair[1].key);
                prop_assert!(ordered);
            }
            prop_assert_eq!(&fused, &fuse([list(&a, 1.0), list(&b, 0.7)], method));
        }

        #[test]
        fn one_list_keeps_its_order(a in ranked()) {
            let expected: Vec<_> = a.iter().map(|item| item.0).collect();
            let fused = fuse([list(&a, 1.0)], Method::Rrf { k: 60.0 });
            prop_assert_eq!(keys(&fused), expected);
        }
    }
}
