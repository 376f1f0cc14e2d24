//! The exact scan: every row that may be returned is scored.

use rayon::prelude::*;

use super::RowSet;
use super::kernel::dot;
use crate::top_k::TopK;

/// Rows that one task scores. Fewer rows than two of these are scanned on the
/// caller's thread: handing work over costs more than it saves.
const ROWS_OF_A_TASK: usize = 32_768;

/// The `k` best rows by inner product, best first; ties by row.
///
/// `vectors` holds rows of `query.len()` floats.
pub(super) fn scan(
    vectors: &[f32],
    query: &[f32],
    k: usize,
    allowed: Option<&RowSet>,
) -> Vec<(u32, f32)> {
    let dimension = query.len();
    let rows = vectors.len() / dimension;
    if let Some(allowed) = allowed
        && allowed.len() < rows / 2
    {
        let mut best = TopK::new(k);
        for row in allowed.iter().take_while(|row| (*row as usize) < rows) {
            let start = row as usize * dimension;
            best.push(dot(query, &vectors[start..start + dimension]), row);
        }
        return best.into_sorted();
    }
    let scan_from = |first: usize, part: &[f32]| {
        let mut best = TopK::new(k);
        for (row, vector) in (first as u32..).zip(part.chunks_exact(dimension)) {
            if allowed.is_none_or(|allowed| allowed.contains(row)) {
                best.push(dot(query, vector), row);
            }
        }
        best
    };
    if rows < 2 * ROWS_OF_A_TASK {
        return scan_from(0, vectors).into_sorted();
    }
    let parts: Vec<Vec<(u32, f32)>> = vectors
        .par_chunks(ROWS_OF_A_TASK * dimension)
        .enumerate()
        .map(|(index, part)| scan_from(index * ROWS_OF_A_TASK, part).into_sorted())
        .collect();
    let mut best = TopK::new(k);
    for (row, score) in parts.into_iter().flatten() {
        best.push(score, row);
    }
    best.into_sorted()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn naive(vectors: &[f32], query: &[f32], k: usize, allowed: &dyn Fn(u32) -> bool) -> Vec<u32> {
        let mut scored: Vec<(f32, u32)> = vectors
            .chunks(query.len())
            .zip(0..)
            .filter(|(_, row)| allowed(*row))
            .map(|(vector, row)| {
                let products = vector.iter().zip(query).map(|(a, b)| a * b);
                // A sum of nothing but -0 is -0, which sorts below 0.
                (products.sum::<f32>() + 0.0, row)
            })
            .collect();
        scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        scored.into_iter().take(k).map(|(_, row)| row).collect()
    }

    proptest! {
        // Small whole numbers: sums are exact in any order, so that ranks are equal.
        #[test]
        fn equals_the_naive_scan(
            rows in prop::collection::vec(prop::collection::vec(-3_i8..=3, 5), 0..60),
            query in prop::collection::vec(-3_i8..=3, 5),
            k in 0_usize..70,
            every in 1_u32..8,
        ) {
            let vectors: Vec<f32> = rows.iter().flatten().map(|x| f32::from(*x)).collect();
            let query: Vec<f32> = query.iter().map(|x| f32::from(*x)).collect();
            let keep = |row: u32| row.is_multiple_of(every);
            let set = RowSet::from_fn(rows.len(), keep);
            let rows_of = |found: Vec<(u32, f32)>| -> Vec<u32> {
                found.into_iter().map(|(row, _)| row).collect()
            };
            prop_assert_eq!(
                rows_of(scan(&vectors, &query, k, None)),
                naive(&vectors, &query, k, &|_| true)
            );
            prop_assert_eq!(
                rows_of(scan(&vectors, &query, k, Some(&set))),
                naive(&vectors, &query, k, &keep)
            );
        }
    }

    #[test]
    fn a_scan_in_parts_equals_a_scan_in_one() {
        let rows = 2 * ROWS_OF_A_TASK + 17;
        let vectors: Vec<f32> = (0..rows * 2).map(|i| ((i * 7919) % 1013) as f32).collect();
        let query = [1.0, -2.0];
        let found = scan(&vectors, &query, 25, None);
        let found: Vec<u32> = found.into_iter().map(|(row, _)| row).collect();
        assert_eq!(found, naive(&vectors, &query, 25, &|_| true));
    }
}
