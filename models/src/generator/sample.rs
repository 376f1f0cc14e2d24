//! From logits to the next token: repetition penalty, temperature, nucleus.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::{Error, ErrorKind, GenerateRequest, Result};

/// How far back a token counts as a repetition.
const REPEAT_WINDOW_TOKENS: usize = 64;

/// Tokens with their weights.
type Weighed = Vec<(u32, f32)>;

/// The choices of one generation.
pub(super) struct Sampler {
    temperature: f32,
    top_p: f32,
    repeat_penalty: f32,
    random: StdRng,
}

impl Sampler {
    /// # Errors
    /// `InvalidInput` when a figure of the request is out of its range.
    pub(super) fn new(request: &GenerateRequest) -> Result<Self> {
        let rules = [
            ("temperature", request.temperature, 0.0..=f32::MAX),
            ("top_p", request.top_p, f32::MIN_POSITIVE..=1.0),
            (
                "repeat_penalty",
                request.repeat_penalty,
                f32::MIN_POSITIVE..=f32::MAX,
            ),
        ];
        for (name, value, range) in rules {
            if !range.contains(&value) {
                let message = format!("{name} is {value}; it must lie between {range:?}");
                return Err(Error::new(ErrorKind::InvalidInput, message));
            }
        }
        Ok(Self {
            temperature: request.temperature,
            top_p: request.top_p,
            repeat_penalty: request.repeat_penalty,
            random: StdRng::seed_from_u64(request.seed),
        })
    }

    /// Chooses the token after `written`. The logits are changed on the way.
    pub(super) fn next(&mut self, logits: &mut [f32], written: &[u32]) -> u32 {
        self.penalise(logits, written);
        if self.temperature == 0.0 {
            return greatest(logits);
        }
        let (inside, _) = self.nucleus(logits);
        self.draw(&inside)
    }

    /// Chooses among the tokens that `admits` lets pass: the most likely of them, or one of
    /// those in the nucleus by their shares, or the most likely beyond it. `None` if there
    /// are none. The logits are changed on the way.
    pub(super) fn next_among(
        &mut self,
        logits: &mut [f32],
        written: &[u32],
        admits: &mut dyn FnMut(u32) -> bool,
    ) -> Option<u32> {
        self.penalise(logits, written);
        if self.temperature == 0.0 {
            // Whether a token is admitted costs more than to compare it: only those are
            // asked about that would be taken.
            let mut best: Option<(u32, f32)> = None;
            for (token, &logit) in (0..).zip(&*logits) {
                if best.is_none_or(|(_, best)| logit > best) && admits(token) {
                    best = Some((token, logit));
                }
            }
            return best.map(|(token, _)| token);
        }
        let (mut inside, beyond) = self.nucleus(logits);
        inside.retain(|(token, _)| admits(*token));
        if inside.is_empty() {
            let mut tokens = beyond.into_iter().map(|(token, _)| token);
            return tokens.find(|token| admits(*token));
        }
        Some(self.draw(&inside))
    }

    /// The penalty of CTRL (Keskar et al., 2019), once for each token. It looks
    /// at what was written only: words of the question are welcome in an answer.
    fn penalise(&self, logits: &mut [f32], written: &[u32]) {
        let mut recent = written[written.len().saturating_sub(REPEAT_WINDOW_TOKENS)..].to_vec();
        recent.sort_unstable();
        recent.dedup();
        for token in recent {
            if let Some(logit) = logits.get_mut(token as usize) {
                *logit = if *logit > 0.0 {
                    *logit / self.repeat_penalty
                } else {
                    *logit * self.repeat_penalty
                };
            }
        }
    }

    /// The most likely tokens whose mass reaches `top_p` (Holtzman et al., 2020), and the
    /// others, each with its weight, in the order of these.
    fn nucleus(&self, logits: &[f32]) -> (Weighed, Weighed) {
        let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut candidates: Weighed = (0..)
            .zip(logits)
            .map(|(token, logit)| (token, ((logit - most) / self.temperature).exp()))
            .collect();
        // Ties break by token, so that a seed gives one text.
        candidates.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let all: f32 = candidates.iter().map(|(_, weight)| weight).sum();
        let mut mass = 0.0;
        let inside = candidates
            .iter()
            .position(|(_, weight)| {
                mass += weight;
                mass >= self.top_p * all
            })
            .map_or(candidates.len(), |last| last + 1);
        let beyond = candidates.split_off(inside);
        (candidates, beyond)
    }

    /// One of `candidates` by its share of their weights.
    fn draw(&mut self, candidates: &[(u32, f32)]) -> u32 {
        let mass: f32 = candidates.iter().map(|(_, weight)| weight).sum();
        let mut left = self.random.random::<f32>() * mass;
        for &(token, weight) in candidates {
            left -= weight;
            if left <= 0.0 {
                return token;
            }
        }
        // Rounding left a sliver above the last candidate.
        candidates.last().map_or(0, |&(token, _)| token)
    }
}

/// The token with the largest logit, the first of several.
fn greatest(logits: &[f32]) -> u32 {
    let mut best = (0, f32::NEG_INFINITY);
    for (token, &logit) in (0..).zip(logits) {
        if logit > best.1 {
            best = (token, logit);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampler(temperature: f32, top_p: f32, seed: u64) -> Sampler {
        Sampler::new(&GenerateRequest {
            temperature,
            top_p,
            seed,
            repeat_penalty: 2.0,
            ..Default::default()
        })
        .unwrap()
    }

    #[test]
    fn greedy_takes_the_largest_and_the_first_of_equals() {
        assert_eq!(
            sampler(0.0, 1.0, 0).next(&mut [1.0, 3.0, 3.0, -1.0], &[]),
            1
        );
    }

    #[test]
    fn the_penalty_pushes_down_both_signs_once_and_only_within_its_window() {
        let mut logits = [2.0, -2.0, 1.0];
        sampler(0.0, 1.0, 0).penalise(&mut logits, &[0, 0, 1, 9]);
        assert_eq!(logits, [1.0, -4.0, 1.0]);
        let mut far = vec![0];
        far.extend([2; REPEAT_WINDOW_TOKENS]);
        let mut logits = [2.0, 0.0, 1.0];
        sampler(0.0, 1.0, 0).penalise(&mut logits, &far);
        assert_eq!(logits, [2.0, 0.0, 0.5]);
    }

    #[test]
    fn a_small_nucleus_is_greedy_and_a_large_one_is_not() {
        let logits = [0.0, 0.1, 0.2, 0.3];
        for seed in 0..50 {
            assert_eq!(sampler(1.0, 0.01, seed).next(&mut logits.clone(), &[]), 3);
        }
        let drawn: std::collections::HashSet<_> = (0..50)
            .map(|seed| sampler(1.0, 1.0, seed).next(&mut logits.clone(), &[]))
            .collect();
        assert_eq!(drawn.len(), 4);
    }

    #[test]
    fn only_admitted_tokens_are_chosen_by_their_share_among_themselves() {
        let logits = [9.0, 0.0, 9.0, 2.0_f32.ln()];
        let mut odd = |token: u32| token % 2 == 1;
        assert_eq!(
            sampler(0.0, 1.0, 0).next_among(&mut logits.clone(), &[], &mut odd),
            Some(3)
        );
        let mut sampler = sampler(1.0, 1.0, 7);
        let threes = (0..3000)
            .map(|_| sampler.next_among(&mut logits.clone(), &[], &mut odd))
            .inspect(|token| assert!(matches!(token, Some(1 | 3)), "{token:?}"))
            .filter(|token| *token == Some(3))
            .count();
        assert!((1900..2100).contains(&threes), "{threes}, expected 2000");
        let none = sampler.next_among(&mut logits.clone(), &[], &mut |_| false);
        assert_eq!(none, None);
    }

    #[test]
    fn frequencies_follow_the_softmax() {
        let logits = [0.0_f32, 2.0_f32.ln()];
        let mut sampler = sampler(1.0, 1.0, 7);
        let ones: u32 = (0..3000)
            .map(|_| sampler.next(&mut logits.clone(), &[]))
            .sum();
        assert!(
            (1900..2100).contains(&ones),
            "{ones} of 3000, expected 2000"
        );
    }

    #[test]
    fn figures_out_of_range_are_named() {
        for (request, name) in [
            (
                GenerateRequest {
                    temperature: -1.0,
                    ..Default::default()
                },
                "temperature",
            ),
            (
                GenerateRequest {
                    temperature: f32::NAN,
                    ..Default::default()
                },
                "temperature",
            ),
            (
                GenerateRequest {
                    top_p: 0.0,
                    ..Default::default()
                },
                "top_p",
            ),
            (
                GenerateRequest {
                    top_p: 1.1,
                    ..Default::default()
                },
                "top_p",
            ),
            (
                GenerateRequest {
                    repeat_penalty: 0.0,
                    ..Default::default()
                },
                "repeat_penalty",
            ),
        ] {
            let error = Sampler::new(&request).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().starts_with(name), "{error}");
        }
    }
}
