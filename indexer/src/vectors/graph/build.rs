//! Finds the neighbours of every vector with hnsw_rs.
//!
//! Each level is a graph of its own over a nested random sample of the rows,
//! built as a single-layer hnsw_rs index. That is the same structure as one
//! index with many layers, and it avoids a lock order in hnsw_rs 0.3.5 by which
//! two threads that insert close neighbours on several layers can wait for each
//! other for ever.

use cairn_models::Cancel;
use hnsw_rs::anndists::dist::distances::Distance;
use hnsw_rs::hnsw::Hnsw;
use rayon::prelude::*;

use super::super::BuildSettings;
use super::super::format::MAX_LEVELS;
use super::super::kernel::dot;
use super::{Level, refine};
use crate::Result;

/// Rows that are inserted between two looks at the cancel flag.
const BATCH: usize = 1024;

/// Rows of `dimension` floats, by number.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub(super) vectors: &'a [f32],
    pub(super) dimension: usize,
}

impl Rows<'_> {
    pub(super) fn similarity(&self, a: u32, b: u32) -> f32 {
        dot(self.row(a), self.row(b))
    }

    fn row(&self, row: u32) -> &[f32] {
        let start = row as usize * self.dimension;
        &self.vectors[start..start + self.dimension]
    }
}

/// hnsw_rs stores row numbers; this looks the vectors up, so that they are not
/// copied.
impl Distance<u32> for Rows<'_> {
    fn eval(&self, a: &[u32], b: &[u32]) -> f32 {
        // hnsw_rs wants distances of 0 and more.
        (1.0 - self.similarity(a[0], b[0])).max(0.0)
    }
}

/// The levels of a graph over `vectors`, lowest first; empty if there are no vectors.
pub(in super::super) fn build(
    vectors: &[f32],
    dimension: usize,
    settings: &BuildSettings,
    cancel: &Cancel,
) -> Result<Vec<Level>> {
    let rows = Rows { vectors, dimension };
    let count = (vectors.len() / dimension) as u32;
    let neighbours = settings.neighbours.clamp(4, 100);
    let mut levels = Vec::new();
    let mut members: Vec<u32> = (0..count).collect();
    while !members.is_empty() && levels.len() < MAX_LEVELS {
        let most = if levels.is_empty() {
            2 * neighbours
        } else {
            neighbours
        };
        let lists = neighbours_within(rows, &members, most, settings.breadth, cancel)?;
        let lists = refine::refine(rows, &members, lists, most, cancel)?;
        let level = levels.len() as u32 + 1;
        let above = |row: &u32| level_of(*row, neighbours) >= level;
        let next = members.iter().copied().filter(above).collect();
        levels.push(Level {
            rows: members,
            lists,
        });
        members = next;
    }
    Ok(levels)
}

/// The highest level of a row: exponentially distributed, from its number.
fn level_of(row: u32, neighbours: usize) -> u32 {
    // 53 random bits make a number in (0, 1].
    let uniform = ((scramble(u64::from(row)) >> 11) + 1) as f64 / (1_u64 << 53) as f64;
    (-uniform.ln() / (neighbours as f64).ln()) as u32
}

/// SplitMix64 (Steele, Lea and Flood, 2014): a number to random-looking bits.
fn scramble(number: u64) -> u64 {
    let mut z = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// For each member the places of its neighbours, about `most` of them.
fn neighbours_within(
    rows: Rows<'_>,
    members: &[u32],
    most: usize,
    breadth: usize,
    cancel: &Cancel,
) -> Result<Vec<Vec<u32>>> {
    // On its lowest layer, the only one here, hnsw_rs keeps twice its M.
    let index = Hnsw::<u32, Rows<'_>>::new(most / 2, members.len(), 1, breadth, rows);
    // Neighbours in the file are often neighbours in meaning: inserted in that
    // order, a late topic would hang on the rest by a few links.
    let mut order: Vec<usize> = (0..members.len()).collect();
    order.sort_unstable_by_key(|place| scramble(members[*place].into()));
    // Alone, so that the others find it.
    let (first, others) = order.split_at(1);
    index.insert_slice((&members[first[0]..][..1], first[0]));
    for batch in others.chunks(BATCH) {
        cancel.check()?;
        batch
            .par_iter()
            .for_each(|&place| index.insert_slice((&members[place..][..1], place)));
    }
    let mut lists = vec![Vec::new(); members.len()];
    for point in index.get_point_indexation().get_layer_iterator(0) {
        let found = point.get_neighborhood_id();
        let found = found.first().into_iter().flatten();
        lists[point.get_origin_id()] = found.map(|n| n.get_origin_id() as u32).collect();
    }
    Ok(lists)
}
