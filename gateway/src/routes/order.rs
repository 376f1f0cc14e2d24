//! The order in which a plan's targets are asked for one call. Pure, except for
//! what is known of the targets' health.

use tokio::time::Instant;

use super::Target;

/// What one call needs of a target.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Need<'a> {
    /// Decides between weighted targets: the same id has the same order.
    pub(crate) id: &'a str,
    /// Tokens of prompt and longest answer together.
    pub(crate) tokens: usize,
    /// For what is known of the targets' latency.
    pub(crate) now: Instant,
}

/// A target that does not take a call, and why, for messages.
#[derive(Debug, PartialEq)]
pub(crate) struct Skipped(pub(crate) String);

/// Indices of `targets` in the order in which to ask them.
///
/// The chain's order, except that the first place is drawn among the targets
/// with weights. Left out are those whose context is too small and those that
/// would cost more than they may, by `cost`. Those that are too slow of late
/// come last: late is better than never.
pub(crate) fn order(
    targets: &[Target],
    need: Need<'_>,
    cost: impl Fn(&Target) -> f64,
) -> (Vec<usize>, Vec<Skipped>) {
    let mut skipped = Vec::new();
    let mut fitting = Vec::new();
    for (at, target) in targets.iter().enumerate() {
        let room = target.provider.context_tokens();
        if need.tokens > room {
            skipped.push(Skipped(format!(
                "{} takes {room} tokens and this call needs {}",
                target.label(),
                need.tokens
            )));
            continue;
        }
        if let Some(most) = target.max_cost_usd {
            let price = cost(target);
            if price > most {
                skipped.push(Skipped(format!(
                    "{} may cost {price:.6} US dollars and its max_cost_usd is {most}",
                    target.label()
                )));
                continue;
            }
        }
        fitting.push(at);
    }
    if let Some(first) = draw(targets, &fitting, need.id) {
        fitting.retain(|at| *at != first);
        fitting.insert(0, first);
    }
    let is_slow = |at: &usize| {
        let target = &targets[*at];
        let (Some(most), Some(usual)) = (target.max_latency, target.health.latency(need.now))
        else {
            return false;
        };
        usual > most
    };
    let (slow, mut order): (Vec<_>, Vec<_>) = fitting.into_iter().partition(is_slow);
    order.extend(slow);
    (order, skipped)
}

/// One of the weighted targets, by the hash of `id`.
fn draw(targets: &[Target], among: &[usize], id: &str) -> Option<usize> {
    let weighted: Vec<(usize, f64)> = among
        .iter()
        .filter_map(|at| Some((*at, targets[*at].weight?)))
        .filter(|(_, weight)| *weight > 0.0)
        .collect();
    let total: f64 = weighted.iter().map(|(_, weight)| weight).sum();
    let mut point = fraction(&[id.as_bytes()]) * total;
    for (at, weight) in &weighted {
        if point < *weight {
            return Some(*at);
        }
        point -= weight;
    }
    weighted.last().map(|(at, _)| *at)
}

/// A number of 0..1 that depends on every byte of `parts`.
pub(crate) fn fraction(parts: &[&[u8]]) -> f64 {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    // 53 bits are what a double holds exactly.
    (u64::from_le_bytes(first) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use cairn_models::Cancel;

    use super::*;
    use crate::chat::{ChatRequest, Provider, ProviderStream};

    struct Named(&'static str, usize);

    impl Provider for Named {
        fn name(&self) -> &str {
            self.0
        }

        fn context_tokens(&self) -> usize {
            self.1
        }

        fn chat(&self, _: ChatRequest, _: Cancel) -> ProviderStream {
            Box::pin(futures::stream::empty())
        }
    }

    fn target(name: &'static str, weight: Option<f64>) -> Target {
        Target {
            provider: Arc::new(Named(name, 1000)),
            model: "m".to_owned(),
            local: false,
            weight,
            max_cost_usd: None,
            max_latency: None,
            health: Arc::default(),
        }
    }

    fn at(targets: &[Target], id: &str, tokens: usize, now: Instant) -> Vec<usize> {
        order(targets, Need { id, tokens, now }, |_| 0.5).0
    }

    fn ordered(targets: &[Target], id: &str, tokens: usize) -> Vec<usize> {
        at(targets, id, tokens, Instant::now())
    }

    #[test]
    fn weights_draw_the_first_and_the_rest_keep_their_order() {
        let targets = [
            target("a", Some(90.0)),
            target("b", Some(10.0)),
            target("c", None),
        ];
        let mut first = [0; 3];
        for n in 0..10_000 {
            let id = format!("request-{n}");
            let order = ordered(&targets, &id, 1);
            assert_eq!(
                order,
                ordered(&targets, &id, 1),
                "the same id, the same order"
            );
            let rest: Vec<usize> = (0..3).filter(|at| *at != order[0]).collect();
            assert_eq!(order[1..], rest);
            first[order[0]] += 1;
        }
        assert_eq!(first[2], 0);
        assert!((850..1150).contains(&first[1]), "{first:?}");
    }

    #[test]
    fn without_weights_the_chain_is_the_order() {
        let targets = [target("a", None), target("b", None)];
        assert_eq!(ordered(&targets, "x", 1), [0, 1]);
        let targets = [target("a", Some(0.0)), target("b", Some(1.0))];
        assert_eq!(ordered(&targets, "x", 1), [1, 0]);
    }

    #[test]
    fn what_does_not_fit_is_left_out_and_named() {
        let mut targets = [target("a", Some(1.0)), target("b", None)];
        targets[0].provider = Arc::new(Named("a", 10));
        targets[1].max_cost_usd = Some(0.4);
        let need = Need {
            id: "x",
            tokens: 11,
            now: Instant::now(),
        };
        let (order, skipped) = order(&targets, need, |_| 0.5);
        assert!(order.is_empty());
        assert!(skipped[0].0.contains("a/m takes 10 tokens"), "{skipped:?}");
        assert!(skipped[1].0.contains("max_cost_usd is 0.4"), "{skipped:?}");
    }

    #[test]
    fn slow_targets_come_last_until_that_is_old_news() {
        let now = Instant::now();
        let mut targets = [target("a", None), target("b", None)];
        targets[0].max_latency = Some(Duration::from_millis(100));
        let permit = targets[0].health.admit(now).unwrap();
        permit.first_token(Duration::from_millis(300), now);
        assert_eq!(at(&targets, "x", 1, now), [1, 0]);
        assert_eq!(at(&targets, "x", 1, now + Duration::from_secs(60)), [0, 1]);
    }
}
