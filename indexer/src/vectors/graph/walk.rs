//! The walk: from the entry towards the query, level by level.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::super::RowSet;
use super::super::kernel::{dot_codes, prefetch};
use super::codes::encode;
use super::refine::ENTRY;
use super::view::{GraphView, LevelView};

/// How broad a walk is and what it may return.
pub(in super::super) struct Walk<'a> {
    /// Rows to find; the walk ends when nothing nearer than all of them is left.
    pub(in super::super) ef: usize,
    /// Rows that count; the others are walked over.
    pub(in super::super) allowed: Option<&'a RowSet>,
    /// Rows that may be scored before the walk gives up.
    pub(in super::super) budget: usize,
}

/// Memory that a walk uses, kept for the next one.
#[derive(Default)]
pub(in super::super) struct Scratch {
    visited: Vec<u8>,
    stamp: u8,
    query: Vec<i8>,
    near: Vec<u32>,
    /// Rows to look at, nearest on top.
    open: BinaryHeap<u64>,
    /// The best rows so far, the worst on top.
    found: BinaryHeap<Reverse<u64>>,
}

impl Scratch {
    /// Forgets which of `rows` rows were visited.
    fn begin(&mut self, rows: usize) {
        if self.visited.len() < rows || self.stamp == u8::MAX {
            self.visited.clear();
            self.visited.resize(rows, 0);
            self.stamp = 0;
        }
        self.stamp += 1;
        self.open.clear();
        self.found.clear();
    }

    /// Marks a row; true if it is the first time, false for unknown rows.
    #[inline]
    fn visit(&mut self, row: u32) -> bool {
        match self.visited.get_mut(row as usize) {
            Some(mark) if *mark != self.stamp => {
                *mark = self.stamp;
                true
            }
            _ => false,
        }
    }
}

/// The rows that the walk found, best first by their codes; `None` if the
/// budget ended it.
pub(in super::super) fn walk(
    graph: &GraphView<'_>,
    query: &[f32],
    walk: &Walk<'_>,
    scratch: &mut Scratch,
) -> Option<Vec<u32>> {
    scratch.begin(graph.rows);
    scratch.query.clear();
    encode(query, &mut scratch.query);
    let (ground, upper) = graph.levels.split_first()?;
    let mut row = upper.last().unwrap_or(ground).row(ENTRY)?;
    for level in upper.iter().rev() {
        row = descend(graph, level, row, &scratch.query)?;
    }
    search_ground(graph, ground, row, walk, scratch)?;
    let mut found: Vec<u64> = scratch.found.drain().map(|Reverse(key)| key).collect();
    found.sort_unstable_by(|a, b| b.cmp(a));
    Some(found.into_iter().map(row_of).collect())
}

/// Goes from neighbour to nearer neighbour until there is none.
fn descend(graph: &GraphView<'_>, level: &LevelView<'_>, row: u32, query: &[i8]) -> Option<u32> {
    let mut place = level.place(row)?;
    let mut best = key(score(graph, row, query)?, row);
    loop {
        let before = best;
        for &near in level.neighbours(place) {
            let row = level.row(near)?;
            let nearer = key(score(graph, row, query)?, row);
            if nearer > best {
                (best, place) = (nearer, near);
            }
        }
        if best == before {
            return Some(row_of(best));
        }
    }
}

/// Algorithm 2 of the paper on the lowest level: best first, until the nearest
/// open row is farther than the `ef` rows that were found.
fn search_ground(
    graph: &GraphView<'_>,
    ground: &LevelView<'_>,
    entry: u32,
    walk: &Walk<'_>,
    scratch: &mut Scratch,
) -> Option<()> {
    let counts = |row: u32| walk.allowed.is_none_or(|allowed| allowed.contains(row));
    let mut left = walk.budget;
    let entry_key = key(score(graph, entry, &scratch.query)?, entry);
    scratch.visit(entry);
    scratch.open.push(entry_key);
    if counts(entry) {
        scratch.found.push(Reverse(entry_key));
    }
    let mut worst = 0;
    while let Some(nearest) = scratch.open.pop() {
        if nearest < worst {
            break;
        }
        let mut near = std::mem::take(&mut scratch.near);
        near.clear();
        for &row in ground.neighbours(row_of(nearest)) {
            if scratch.visit(row) {
                if let Some((code, _)) = graph.code(row) {
                    prefetch(code);
                }
                near.push(row);
            }
        }
        left = left.checked_sub(near.len())?;
        for &row in &near {
            let key = key(score(graph, row, &scratch.query)?, row);
            if key <= worst {
                continue;
            }
            scratch.open.push(key);
            if counts(row) {
                scratch.found.push(Reverse(key));
                if scratch.found.len() > walk.ef {
                    scratch.found.pop();
                }
                if scratch.found.len() == walk.ef {
                    worst = scratch.found.peek().map_or(0, |Reverse(key)| *key);
                }
            }
        }
        scratch.near = near;
    }
    Some(())
}

/// Inner product of the codes, in units of the query's scale.
#[inline]
fn score(graph: &GraphView<'_>, row: u32, query: &[i8]) -> Option<f32> {
    let (code, scale) = graph.code(row)?;
    Some(dot_codes(query, code) * scale)
}

/// One number that orders as (score, then smaller row) and is never 0 for a
/// score that is a number.
#[inline]
fn key(score: f32, row: u32) -> u64 {
    let bits = score.to_bits();
    // Negative floats order backwards: flip them; then lift the positive ones
    // above them.
    let ordered = if bits >> 31 == 1 {
        !bits
    } else {
        bits | 1 << 31
    };
    u64::from(ordered) << 32 | u64::from(!row)
}

#[inline]
fn row_of(key: u64) -> u32 {
    !(key as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_order_by_score_then_row() {
        let scores = [-2.0, -1.0, -0.5, 0.0, 0.25, 1.0, 3.0];
        for pair in scores.windows(2) {
            assert!(key(pair[0], 0) < key(pair[1], 9));
        }
        assert!(key(0.5, 3) > key(0.5, 4));
        assert_eq!(row_of(key(-1.5, 77)), 77);
        assert!(key(f32::NEG_INFINITY, u32::MAX - 1) > 0);
    }
}
