//! Makes the neighbour lists of one level good to walk.
//!
//! hnsw_rs adds links back to a new node by dropping the farthest one, without
//! the heuristic that keeps links in different directions. So the lists are made
//! symmetric, pruned by that heuristic, and at last every node is made reachable
//! from the entry.

use std::collections::VecDeque;

use cairn_models::Cancel;
use rayon::prelude::*;

use super::build::Rows;
use crate::Result;

/// Where walks begin on each level: the place of its first row.
pub(super) const ENTRY: u32 = 0;

/// The refined lists, nearest first, of at most `most` neighbours each, save
/// for the few links that reach what nothing else links to.
pub(super) fn refine(
    rows: Rows<'_>,
    members: &[u32],
    lists: Vec<Vec<u32>>,
    most: usize,
    cancel: &Cancel,
) -> Result<Vec<Vec<u32>>> {
    let both = symmetric(lists);
    let mut pruned: Vec<Vec<u32>> = both
        .into_par_iter()
        .enumerate()
        .map(|(place, list)| {
            cancel.check()?;
            Ok(prune(rows, members, place as u32, list, most))
        })
        .collect::<Result<_>>()?;
    connect(rows, members, &mut pruned, most);
    Ok(pruned)
}

/// Each list and all places that link to it; without doubles and itself.
fn symmetric(lists: Vec<Vec<u32>>) -> Vec<Vec<u32>> {
    let mut both = lists.clone();
    for (place, list) in lists.iter().enumerate() {
        for &neighbour in list {
            both[neighbour as usize].push(place as u32);
        }
    }
    for (place, list) in both.iter_mut().enumerate() {
        list.sort_unstable();
        list.dedup();
        list.retain(|neighbour| *neighbour as usize != place);
    }
    both
}

/// The heuristic of the HNSW paper (its algorithm 4): nearest first, a
/// candidate stays if no neighbour that stays is nearer to it than the node is.
/// What was dropped fills the places that are left, nearest first.
fn prune(rows: Rows<'_>, members: &[u32], place: u32, list: Vec<u32>, most: usize) -> Vec<u32> {
    let row_of = |place: u32| members[place as usize];
    let mut candidates: Vec<(f32, u32)> = list
        .into_iter()
        .map(|other| (rows.similarity(row_of(place), row_of(other)), other))
        .collect();
    candidates.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let mut kept: Vec<u32> = Vec::with_capacity(most);
    let mut dropped = Vec::new();
    for (similarity, other) in candidates {
        let covered = |near: &u32| rows.similarity(row_of(*near), row_of(other)) >= similarity;
        if kept.len() < most && !kept.iter().any(covered) {
            kept.push(other);
        } else {
            dropped.push(other);
        }
    }
    let free = most - kept.len();
    kept.extend(dropped.into_iter().take(free));
    kept
}

/// Adds links until every place can be reached from [`ENTRY`].
fn connect(rows: Rows<'_>, members: &[u32], lists: &mut [Vec<u32>], most: usize) {
    let mut reached = vec![false; lists.len()];
    let mut left = lists.len();
    left -= flood(lists, ENTRY, &mut reached);
    while left > 0 {
        let before = left;
        for place in 0..lists.len() as u32 {
            if reached[place as usize] {
                continue;
            }
            let anchor = lists[place as usize]
                .iter()
                .copied()
                .filter(|near| reached[*near as usize])
                .min_by_key(|near| lists[*near as usize].len().max(most));
            if let Some(anchor) = anchor {
                lists[anchor as usize].push(place);
                left -= flood(lists, place, &mut reached);
            }
        }
        if left == before {
            // An island that links to nothing outside: a bridge to the nearest.
            left -= bridge(rows, members, lists, &mut reached);
        }
    }
}

/// Links the first unreached place with the reached one that is nearest to it.
fn bridge(rows: Rows<'_>, members: &[u32], lists: &mut [Vec<u32>], reached: &mut [bool]) -> usize {
    let Some(place) = reached.iter().position(|reached| !reached) else {
        return 0;
    };
    let similarity = |other: &usize| rows.similarity(members[place], members[*other]);
    let nearest = (0..members.len())
        .filter(|other| reached[*other])
        .max_by(|a, b| similarity(a).total_cmp(&similarity(b)));
    if let Some(nearest) = nearest {
        lists[nearest].push(place as u32);
        lists[place].push(nearest as u32);
    }
    flood(lists, place as u32, reached)
}

/// Marks everything that can be reached from `start`; returns how many are new.
fn flood(lists: &[Vec<u32>], start: u32, reached: &mut [bool]) -> usize {
    let mut new = 1;
    reached[start as usize] = true;
    let mut queue = VecDeque::from([start]);
    while let Some(place) = queue.pop_front() {
        for &next in &lists[place as usize] {
            if !std::mem::replace(&mut reached[next as usize], true) {
                new += 1;
                queue.push_back(next);
            }
        }
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Unit vectors at these angles, in degrees.
    fn at(degrees: &[f32]) -> Vec<f32> {
        let point = |angle: &f32| [angle.to_radians().cos(), angle.to_radians().sin()];
        degrees.iter().flat_map(point).collect()
    }

    fn refined(degrees: &[f32], lists: Vec<Vec<u32>>, most: usize) -> Vec<Vec<u32>> {
        let vectors = at(degrees);
        let rows = Rows {
            vectors: &vectors,
            dimension: 2,
        };
        let members: Vec<u32> = (0..degrees.len() as u32).collect();
        refine(rows, &members, lists, most, &Cancel::never()).unwrap()
    }

    #[test]
    fn links_in_different_directions_stay() {
        // From 0: 10 and 20 are in one direction, -30 in the other.
        let lists = refined(&[0.0, 10.0, 20.0, -30.0], vec![vec![1, 2, 3]; 4], 2);
        assert_eq!(lists[0], [1, 3]);
    }

    #[test]
    fn links_go_both_ways() {
        let lists = refined(&[0.0, 50.0, 100.0], vec![vec![1], vec![2], vec![]], 4);
        assert_eq!(lists, [vec![1], vec![0, 2], vec![1]]);
    }

    #[test]
    fn islands_and_lonely_places_are_reached() {
        let degrees = [0.0, 1.0, 90.0, 91.0, 200.0];
        let lists = vec![vec![1], vec![0], vec![3], vec![2], vec![]];
        let lists = refined(&degrees, lists, 2);
        let mut reached = vec![false; 5];
        assert_eq!(flood(&lists, ENTRY, &mut reached), 5);
        assert!(lists[1].contains(&2), "the bridge is between the nearest");
    }

    #[test]
    fn many_equal_vectors_are_all_reached() {
        let degrees = [7.0; 300];
        let lists = refined(&degrees, vec![vec![0, 1]; 300], 4);
        let mut reached = vec![false; 300];
        assert_eq!(flood(&lists, ENTRY, &mut reached), 300);
    }
}
