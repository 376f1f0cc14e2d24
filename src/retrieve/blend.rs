//! The re-ranker's scores and the fused ones to one order. Pure.

use super::fusion::min_max;

/// Orders candidates by what the re-ranker's scores are `worth`
/// ([`Reranker::worth`](cairn_models::Reranker::worth), times the configured weight) +
/// the fused score as a share of `most`, the most that the lists can give: so where they
/// disagree about the best one, the re-ranker counts for more. Both are taken as they
/// are, and not from the worst to the best of those that were read: the order of two
/// candidates does not depend on the others, and a deeper reading, with worse candidates
/// at its end, moves none of them.
///
/// The rest follows in fused order. Gives positions in `fused` (which is in fused
/// order) and scores: those that were read in 0.5..=1, the others below.
pub(crate) fn blend(fused: &[f32], most: f32, worth: &[Option<f32>]) -> Vec<(usize, f32)> {
    let is_read = |at: &usize| worth.get(*at).is_some_and(Option::is_some);
    let (read, unread): (Vec<usize>, Vec<usize>) = (0..fused.len()).partition(is_read);
    // Where nothing can score above 0, there are no shares, and the re-ranker decides.
    let share = |at: usize| if most > 0.0 { fused[at] / most } else { 0.0 };
    let mixed = min_max(
        read.iter()
            .filter_map(|&at| worth[at].map(|worth| worth + share(at))),
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

    fn order(fused: &[f32], worth: &[Option<f32>]) -> Vec<usize> {
        let ranked = blend(fused, 1.0, worth);
        ranked.into_iter().map(|(at, _)| at).collect()
    }

    fn times(weight: f32, scores: &[f32]) -> Vec<Option<f32>> {
        scores.iter().map(|score| Some(weight * score)).collect()
    }

    #[test]
    fn blending_adds_both_scores() {
        let fused = [0.8, 0.6, 0.4, 0.2];
        let scores = [-3.0, 1.0, 5.0, 0.0];
        assert_eq!(order(&fused, &times(0.0, &scores)), [0, 1, 2, 3]);
        assert_eq!(order(&fused, &times(10.0, &scores)), [2, 1, 3, 0]);
        // 0: .5, 1: .7, 2: .9, 3: .2
        assert_eq!(order(&fused, &times(0.1, &scores)), [2, 1, 0, 3]);
    }

    #[test]
    fn the_re_ranker_counts_for_more_where_the_best_is_not_best_in_every_list() {
        let worth = [Some(0.0), Some(0.3)];
        assert_eq!(order(&[1.0, 0.6], &worth), [0, 1]);
        assert_eq!(order(&[0.5, 0.3], &worth), [1, 0]);
        let rrf = blend(&[0.5, 0.3], 0.5, &worth);
        assert_eq!(rrf[0].0, 0, "half of the scale, half of the most");
    }

    #[test]
    fn a_candidate_more_moves_no_other() {
        let fused = [0.9, 0.8, 0.7, 0.1];
        let scores = [-1.0, 0.5, 0.4, -40.0];
        for weight in [0.05, 0.1, 0.2] {
            let worth = times(weight, &scores);
            let few = order(&fused[..3], &worth[..3]);
            let more = order(&fused, &worth);
            assert_eq!(more[..3], few, "{weight}");
            assert_eq!(more[3], 3);
        }
    }

    #[test]
    fn without_shares_the_re_ranker_decides() {
        let worth = [Some(0.0), Some(2.0), Some(1.0)];
        for fused in [[0.0, 0.0, 0.0], [-0.1, -0.2, -0.3]] {
            let ranked = blend(&fused, 0.0, &worth);
            let order: Vec<usize> = ranked.into_iter().map(|(at, _)| at).collect();
            assert_eq!(order, [1, 2, 0], "{fused:?}");
        }
        assert_eq!(order(&[0.5, 0.4], &[Some(f32::NAN), Some(0.0)]), [1, 0]);
    }

    #[test]
    fn what_was_not_read_keeps_its_order_below() {
        let fused = [0.9, 0.8, 0.7, 0.6, 0.5];
        let ranked = blend(&fused, 1.0, &[None, Some(0.0), None, Some(9.0)]);
        let order: Vec<_> = ranked.iter().map(|&(at, _)| at).collect();
        assert_eq!(order, [3, 1, 0, 2, 4]);
        assert!(
            ranked.windows(2).all(|pair| pair[0].1 > pair[1].1),
            "{ranked:?}"
        );
        assert_eq!(blend(&fused, 1.0, &[]).len(), 5);
        assert!(blend(&[], 1.0, &[]).is_empty());
    }
}
