//! Combines the re-ranker's scores and the fused ones into one order. Pure.

use super::fusion::min_max;
use super::rerank::Verdict;

/// Orders candidates by the sum of the re-ranker's `scores`, `calibrated`
/// ([`Reranker::calibrated`](cairn_models::Reranker::calibrated), times the configured weight), and
/// their `shares` (`FusedLists`): if the searches disagree about the best one, no share is near 1,
/// and the re-ranker counts for more. Neither is scaled to the range of the candidates that were
/// read, so the order of two candidates does not depend on the others, and reading deeper, to worse
/// candidates, does not move any of them.
///
/// The rest follows in fused order; a candidate that the re-ranker abstains from keeps its fused
/// place, whatever moves around it. Returns positions in `fused` (which is in fused order) and
/// scores: 0.5..=1 for candidates that were read, lower for the others.
pub fn blend(
    fused: &[f32],
    shares: &[f32],
    verdicts: &[Verdict],
    calibrated: impl Fn(f32) -> f32,
) -> Vec<(usize, f32)> {
    let verdict = |at: usize| verdicts.get(at).copied().unwrap_or(Verdict::Unread);
    let abstains = |at: &usize| verdict(*at) == Verdict::Abstains;
    let judged = (0..fused.len()).filter(|at| !abstains(at));
    let (read, unread): (Vec<usize>, Vec<usize>) =
        judged.partition(|&at| verdict(at).score().is_some());
    let mixed = min_max(
        read.iter()
            .filter_map(|&at| Some(calibrated(verdict(at).score()?) + shares[at])),
    );
    let mut ranked: Vec<(usize, f32)> = read
        .into_iter()
        .zip(mixed.into_iter().map(|score| 0.5 + 0.5 * score))
        .collect();
    // Stable: equal scores keep their fused order.
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
    let rest = min_max(unread.iter().map(|&at| fused[at]));
    // Below every candidate that was read, even if all of the rest are equal.
    ranked.extend(
        unread
            .into_iter()
            .zip(rest.into_iter().map(|score| 0.49 * score)),
    );
    in_places(ranked, (0..fused.len()).filter(abstains))
}

/// Inserts candidates at their places, which are ascending, among the other ranked ones; each gets
/// the score of the one above it.
fn in_places(ranked: Vec<(usize, f32)>, places: impl Iterator<Item = usize>) -> Vec<(usize, f32)> {
    let mut placed = Vec::with_capacity(ranked.len());
    let mut ranked = ranked.into_iter();
    for place in places {
        placed.extend(ranked.by_ref().take(place - placed.len()));
        let above = placed
            .last()
            .map_or(1.0, |&(_, score): &(usize, f32)| score);
        placed.push((place, above));
    }
    placed.extend(ranked);
    placed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn as_it_is(score: f32) -> f32 {
        score
    }

    /// The order by shares and calibrated scores.
    fn order(shares: &[f32], verdicts: &[Verdict]) -> Vec<usize> {
        let ranked = blend(shares, shares, verdicts, as_it_is);
        ranked.into_iter().map(|(at, _)| at).collect()
    }

    fn times(weight: f32, scores: &[f32]) -> Vec<Verdict> {
        let times = |score| Verdict::Score(weight * score);
        scores.iter().map(times).collect()
    }

    #[test]
    fn blending_adds_both_scores() {
        let shares = [0.8, 0.6, 0.4, 0.2];
        let scores = [-3.0, 1.0, 5.0, 0.0];
        assert_eq!(order(&shares, &times(0.0, &scores)), [0, 1, 2, 3]);
        assert_eq!(order(&shares, &times(10.0, &scores)), [2, 1, 3, 0]);
        // 0: .5, 1: .7, 2: .9, 3: .2
        assert_eq!(order(&shares, &times(0.1, &scores)), [2, 1, 0, 3]);
    }

    #[test]
    fn the_re_ranker_counts_for_more_where_no_share_is_near_1() {
        let verdicts = [0.0, 0.3].map(Verdict::Score);
        assert_eq!(order(&[1.0, 0.6], &verdicts), [0, 1]);
        assert_eq!(order(&[0.5, 0.3], &verdicts), [1, 0]);
    }

    #[test]
    fn shares_need_not_follow_the_fused_order() {
        let ranked = blend(
            &[0.9, 0.8, 0.7],
            &[0.2, 0.9, 0.5],
            &[Verdict::Score(0.0), Verdict::Score(0.0), Verdict::Unread],
            as_it_is,
        );
        let order: Vec<usize> = ranked.into_iter().map(|(at, _)| at).collect();
        assert_eq!(order, [1, 0, 2]);
    }

    #[test]
    fn a_candidate_more_moves_no_other() {
        let shares = [0.9, 0.8, 0.7, 0.1];
        let scores = [-1.0, 0.5, 0.4, -40.0];
        for weight in [0.05, 0.1, 0.2] {
            let verdicts = times(weight, &scores);
            let few = order(&shares[..3], &verdicts[..3]);
            let more = order(&shares, &verdicts);
            assert_eq!(more[..3], few, "{weight}");
            assert_eq!(more[3], 3);
        }
    }

    #[test]
    fn without_shares_the_re_ranker_decides() {
        let verdicts = [0.0, 2.0, 1.0].map(Verdict::Score);
        assert_eq!(order(&[0.0; 3], &verdicts), [1, 2, 0]);
        assert_eq!(
            order(&[0.5, 0.4], &[f32::NAN, 0.0].map(Verdict::Score)),
            [1, 0]
        );
    }

    #[test]
    fn what_was_not_read_keeps_its_order_below() {
        let fused = [0.9, 0.8, 0.7, 0.6, 0.5];
        let ranked = blend(
            &fused,
            &fused,
            &[
                Verdict::Unread,
                Verdict::Score(0.0),
                Verdict::Unread,
                Verdict::Score(9.0),
            ],
            as_it_is,
        );
        let order: Vec<_> = ranked.iter().map(|&(at, _)| at).collect();
        assert_eq!(order, [3, 1, 0, 2, 4]);
        assert!(
            ranked.windows(2).all(|pair| pair[0].1 > pair[1].1),
            "{ranked:?}"
        );
        assert_eq!(blend(&fused, &fused, &[], as_it_is).len(), 5);
        assert!(blend(&[], &[], &[], as_it_is).is_empty());
    }

    #[test]
    fn what_it_abstains_from_keeps_its_place() {
        use Verdict::{Abstains, Score, Unread};
        let fused = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4];
        for (verdicts, expected) in [
            (
                [
                    Abstains,
                    Score(0.0),
                    Score(5.0),
                    Abstains,
                    Score(9.0),
                    Unread,
                ],
                [0, 4, 2, 3, 1, 5],
            ),
            (
                [Score(0.0), Abstains, Unread, Score(9.0), Unread, Abstains],
                [3, 1, 0, 2, 4, 5],
            ),
            ([Abstains; 6], [0, 1, 2, 3, 4, 5]),
        ] {
            let ranked = blend(&fused, &[0.0; 6], &verdicts, as_it_is);
            let order: Vec<usize> = ranked.iter().map(|&(at, _)| at).collect();
            assert_eq!(order, expected);
            assert!(ranked.is_sorted_by(|a, b| a.1 >= b.1), "{ranked:?}");
        }
    }
}
