//! The lists of the two searches to one, as the configuration has it.

use cairn_indexer::{ChunkRef, Scored};

use super::fusion::{Fused, Method, Ranked, fuse};
use crate::config::{Fusion, FusionMethod};

/// Candidates of one search.
pub(crate) struct FusedLists {
    /// Best first.
    pub(crate) items: Vec<Fused<ChunkRef, 2>>,
    /// The score of a chunk that is the best of both lists; of a single list, the
    /// score of its best one.
    pub(crate) most: f32,
}

/// One list of both. Chunks are numbered in the order of their ids, so that ties
/// break by chunk id. A single list keeps its own order and scores.
pub(crate) fn fuse_lists(
    lexical: Option<&[Scored]>,
    dense: Option<&[Scored]>,
    options: &Fusion,
) -> FusedLists {
    let method = match options.method {
        FusionMethod::Rrf => Method::Rrf { k: options.k },
        FusionMethod::Weighted => Method::Weighted,
    };
    let (lexical, dense) = match (lexical, dense) {
        (Some(lexical), Some(dense)) => (lexical, dense),
        (Some(lexical), None) => return alone(lexical, |rank| [Some(rank), None]),
        (None, Some(dense)) => return alone(dense, |rank| [None, Some(rank)]),
        (None, None) => return alone(&[], |_| [None, None]),
    };
    let pairs = |list: &[Scored]| -> Vec<(ChunkRef, f32)> {
        list.iter()
            .map(|scored| (scored.chunk, scored.score))
            .collect()
    };
    let weights = [options.lexical_weight, options.dense_weight];
    let lists = [
        Ranked {
            items: &pairs(lexical),
            weight: weights[0],
        },
        Ranked {
            items: &pairs(dense),
            weight: weights[1],
        },
    ];
    FusedLists {
        items: fuse(lists, method),
        most: method.most(&weights),
    }
}

/// A list that has nothing to be fused with.
fn alone(list: &[Scored], ranks: impl Fn(u32) -> [Option<u32>; 2]) -> FusedLists {
    let items = (1..)
        .zip(list)
        .map(|(rank, scored)| Fused {
            key: scored.chunk,
            score: scored.score,
            ranks: ranks(rank),
        })
        .collect();
    FusedLists {
        items,
        most: list.first().map_or(0.0, |best| best.score),
    }
}
