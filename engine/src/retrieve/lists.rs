//! Fuses the lists of the two searches into one, as configured.

use cairn_indexer::{ChunkRef, Scored};

use super::fusion::{Fused, Method, Ranked, fuse};
use cairn_settings::config::{FusionMethod, Retrieval};

/// Candidates of one search.
pub struct FusedLists {
    /// Best first.
    pub items: Vec<Fused<ChunkRef, 2>>,
    /// What each item contributes in addition to a re-ranker's score: 1 for the best of both lists,
    /// with the weight of words multiplied by `retrieval.rerank.lexical_boost`.
    pub shares: Vec<f32>,
}

/// Fuses both into one list. Chunks are numbered in the order of their ids, so that ties are broken
/// by chunk id. A single list keeps its own order and scores.
pub fn fuse_lists(
    lexical: Option<&[Scored]>,
    dense: Option<&[Scored]>,
    options: &Retrieval,
) -> FusedLists {
    let fusion = &options.fusion;
    let method = match fusion.method {
        FusionMethod::Rrf => Method::Rrf { k: fusion.k },
        FusionMethod::Weighted => Method::Weighted,
    };
    let (items, beside) = match (lexical, dense) {
        (Some(lexical), Some(dense)) => {
            let lists = [
                Ranked {
                    items: &pairs(lexical),
                    weight: fusion.lexical_weight,
                },
                Ranked {
                    items: &pairs(dense),
                    weight: fusion.dense_weight,
                },
            ];
            let boosted = options.rerank.lexical_boost * fusion.lexical_weight;
            (fuse(lists, method), [boosted, fusion.dense_weight])
        }
        (Some(list), None) => (alone(list, 0), [1.0, 0.0]),
        (None, Some(list)) => (alone(list, 1), [0.0, 1.0]),
        (None, None) => (Vec::new(), [0.0; 2]),
    };
    let shares = items
        .iter()
        .map(|item| weighted_mean(item.shares, beside))
        .collect();
    FusedLists { items, shares }
}

fn pairs(list: &[Scored]) -> Vec<(ChunkRef, f32)> {
    list.iter()
        .map(|scored| (scored.chunk, scored.score))
        .collect()
}

/// List `at` of the two, if it is the only one.
fn alone(list: &[Scored], at: usize) -> Vec<Fused<ChunkRef, 2>> {
    let best = list.first().map_or(0.0, |best| best.score);
    let item = |(rank, scored): (u32, &Scored)| {
        let (mut ranks, mut shares) = ([None; 2], [0.0; 2]);
        ranks[at] = Some(rank);
        // If nothing scores above 0, there are no shares.
        if best > 0.0 {
            shares[at] = scored.score / best;
        }
        Fused {
            key: scored.chunk,
            score: scored.score,
            ranks,
            shares,
        }
    };
    (1..).zip(list).map(item).collect()
}

fn weighted_mean(values: [f32; 2], weights: [f32; 2]) -> f32 {
    let all = weights[0] + weights[1];
    if all > 0.0 {
        (values[0] * weights[0] + values[1] * weights[1]) / all
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_settings::config::Config;

    fn scored(list: &[(u32, f32)]) -> Vec<Scored> {
        list.iter()
            .map(|&(chunk, score)| Scored {
                chunk: ChunkRef(chunk),
                score,
            })
            .collect()
    }

    #[test]
    fn words_count_for_more_beside_a_re_ranker() {
        let mut options = Config::default().retrieval;
        options.rerank.lexical_boost = 3.0;
        let (lexical, dense) = (
            scored(&[(1, 9.0), (2, 4.0), (3, 1.0)]),
            scored(&[(2, 0.9), (1, 0.1)]),
        );
        let both = fuse_lists(Some(&lexical), Some(&dense), &options);
        let keys: Vec<u32> = both.items.iter().map(|item| item.key.0).collect();
        assert_eq!(
            keys,
            [2, 1, 3],
            "the boost is not for the searches themselves"
        );
        // A quarter of .375 and of 1; three quarters of 1 and of 0.
        let expected = [0.75 * 0.375 + 0.25, 0.75, 0.0];
        for (share, expected) in both.shares.iter().zip(expected) {
            assert!((share - expected).abs() < 1e-6, "{:?}", both.shares);
        }
    }

    #[test]
    fn a_list_alone_has_all_the_say() {
        let mut options = Config::default().retrieval;
        (options.fusion.lexical_weight, options.fusion.dense_weight) = (0.0, 0.0);
        let list = scored(&[(1, 8.0), (2, 2.0)]);
        for (lexical, dense) in [(Some(&list[..]), None), (None, Some(&list[..]))] {
            let alone = fuse_lists(lexical, dense, &options);
            assert_eq!(alone.shares, [1.0, 0.25]);
            assert_eq!(alone.items[1].score, 2.0);
            assert_eq!(
                alone.items[1].ranks[usize::from(lexical.is_none())],
                Some(2)
            );
        }
        let nothing = scored(&[(1, 0.0), (2, -1.0)]);
        assert_eq!(
            fuse_lists(None, Some(&nothing), &options).shares,
            [0.0, 0.0]
        );
        assert!(fuse_lists(None, None, &options).shares.is_empty());
    }
}
