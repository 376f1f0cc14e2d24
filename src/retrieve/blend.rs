//! The re-ranker's scores and the fused ones to one order. Pure.

use super::fusion::min_max;

/// Orders candidates by `blend` × the re-ranker's score + (1 - `blend`) ×
/// the fused one, both min-max normalised over those that were read. The rest
/// follows in fused order. Gives positions in `fused` (which is in fused
/// order) and scores: those that were read in 0.5..=1, the others below.
pub(crate) fn blend(fused: &[f32], scores: &[Option<f32>], blend: f32) -> Vec<(usize, f32)> {
    let is_read = |at: &usize| scores.get(*at).is_some_and(Option::is_some);
    let (read, unread): (Vec<usize>, Vec<usize>) = (0..fused.len()).partition(is_read);
    let heard = min_max(read.iter().filter_map(|&at| scores[at]));
    let found = min_max(read.iter().map(|&at| fused[at]));
    let mut ranked: Vec<(usize, f32)> = read
        .iter()
        .zip(heard.iter().zip(&found))
        .map(|(&at, (heard, found))| (at, 0.5 + 0.5 * (blend * heard + (1.0 - blend) * found)))
        .collect();
    // Stable: equal scores keep their fused order.
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
    let rest = min_max(unread.iter().map(|&at| fused[at]));
    // Below every candidate that was read, also when all of the rest are equal.
    ranked.extend(
        unread
            .into_iter()
            .zip(rest.into_iter().map(|score| 0.49 * score)),
    );
    ranked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blending_mixes_both_scores() {
        let fused = [0.9, 0.8, 0.7, 0.6];
        let order = |scores: &[Option<f32>], a| {
            blend(&fused, scores, a)
                .into_iter()
                .map(|(at, _)| at)
                .collect::<Vec<_>>()
        };
        let all = [Some(-3.0), Some(1.0), Some(5.0), Some(0.0)];
        assert_eq!(order(&all, 0.0), [0, 1, 2, 3]);
        assert_eq!(order(&all, 1.0), [2, 1, 3, 0]);
        // 0: .5, 1: .583, 2: .667, 3: .188
        assert_eq!(order(&all, 0.5), [2, 1, 0, 3]);
    }

    #[test]
    fn what_was_not_read_keeps_its_order_below() {
        let fused = [0.9, 0.8, 0.7, 0.6, 0.5];
        let ranked = blend(&fused, &[None, Some(0.0), None, Some(9.0)], 1.0);
        let order: Vec<_> = ranked.iter().map(|&(at, _)| at).collect();
        assert_eq!(order, [3, 1, 0, 2, 4]);
        assert!(
            ranked.windows(2).all(|pair| pair[0].1 > pair[1].1),
            "{ranked:?}"
        );
        assert_eq!(blend(&fused, &[], 0.3).len(), 5);
        assert!(blend(&[], &[], 0.3).is_empty());
    }
}
