//! The re-ranker's scores and the fused ones to one order. Pure.

use super::fusion::min_max;

/// Orders candidates by `weight` × the re-ranker's score + the fused one as a share of
/// the best. Both are taken as they are, and not from the worst to the best of those
/// that were read: so the order of two candidates does not depend on the others, and a
/// deeper reading, with worse candidates at its end, moves none of them.
///
/// The rest follows in fused order. Gives positions in `fused` (which is in fused
/// order) and scores: those that were read in 0.5..=1, the others below.
pub(crate) fn blend(fused: &[f32], scores: &[Option<f32>], weight: f32) -> Vec<(usize, f32)> {
    let is_read = |at: &usize| scores.get(*at).is_some_and(Option::is_some);
    let (read, unread): (Vec<usize>, Vec<usize>) = (0..fused.len()).partition(is_read);
    // Where nothing scores above 0, there are no shares, and the re-ranker decides.
    let best = fused.first().copied().filter(|&best| best > 0.0);
    let share = |at: usize| best.map_or(0.0, |best| fused[at] / best);
    let mixed = min_max(
        read.iter()
            .filter_map(|&at| scores[at].map(|score| weight * score + share(at))),
    );
    let mut ranked: Vec<(usize, f32)> = read
        .into_iter()
        .zip(mixed.into_iter().map(|score| 0.5 + 0.5 * score))
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

    fn order(fused: &[f32], scores: &[Option<f32>], weight: f32) -> Vec<usize> {
        let ranked = blend(fused, scores, weight);
        ranked.into_iter().map(|(at, _)| at).collect()
    }

    #[test]
    fn blending_mixes_both_scores() {
        let fused = [0.8, 0.6, 0.4, 0.2];
        let all = [Some(-3.0), Some(1.0), Some(5.0), Some(0.0)];
        assert_eq!(order(&fused, &all, 0.0), [0, 1, 2, 3]);
        assert_eq!(order(&fused, &all, 10.0), [2, 1, 3, 0]);
        // 0: .7, 1: .85, 2: 1.0, 3: .25
        assert_eq!(order(&fused, &all, 0.1), [2, 1, 0, 3]);
    }

    #[test]
    fn a_candidate_more_moves_no_other() {
        let fused = [0.9, 0.8, 0.7, 0.1];
        let scores = [Some(-1.0), Some(0.5), Some(0.4), Some(-40.0)];
        for weight in [0.05, 0.1, 0.2] {
            let few = order(&fused[..3], &scores[..3], weight);
            let more = order(&fused, &scores, weight);
            assert_eq!(more[..3], few, "{weight}");
            assert_eq!(more[3], 3);
        }
    }

    #[test]
    fn scores_without_a_share_are_the_re_rankers() {
        let scores = [Some(0.0), Some(2.0), Some(1.0)];
        for fused in [[0.0, 0.0, 0.0], [-0.1, -0.2, -0.3]] {
            assert_eq!(order(&fused, &scores, 0.1), [1, 2, 0], "{fused:?}");
        }
        assert_eq!(
            order(&[0.5, 0.4], &[Some(f32::NAN), Some(0.0)], 0.1),
            [1, 0]
        );
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
