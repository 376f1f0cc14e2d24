//! What tokens cost, from the table in the configuration.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use crate::{LOCAL, Usage};
use cairn_settings::config::PriceConfig;

/// Tokens that a price is for.
const TOKENS: f64 = 1e6;

/// The price table. The first line that fits counts.
#[derive(Debug, Default)]
pub(super) struct Prices {
    lines: Vec<PriceConfig>,
    /// Models that were called without a price, so that each is told once.
    unpriced: Mutex<HashSet<String>>,
}

impl Prices {
    pub(super) fn new(lines: Vec<PriceConfig>) -> Self {
        Self {
            lines,
            unpriced: Mutex::default(),
        }
    }

    /// US dollars for `usage` of a provider's model; 0 where no price is known.
    pub(super) fn price(&self, provider: &str, model: &str, usage: &Usage) -> f64 {
        let name = format!("{provider}/{model}");
        let Some(line) = self.lines.iter().find(|line| fits(&line.model, &name)) else {
            let free = provider == LOCAL || usage.tokens() == 0;
            if !self.lines.is_empty() && !free {
                self.tell(name);
            }
            return 0.0;
        };
        let cached = usage.cached_prompt_tokens.min(usage.prompt_tokens);
        let fresh = usage.prompt_tokens - cached;
        let dollars = fresh as f64 * line.input
            + cached as f64 * line.cached_input.unwrap_or(line.input)
            + usage.completion_tokens as f64 * line.output;
        dollars / TOKENS
    }

    fn tell(&self, name: String) {
        let mut unpriced = self.unpriced.lock().unwrap_or_else(PoisonError::into_inner);
        if unpriced.len() < 1000 && unpriced.insert(name.clone()) {
            tracing::warn!(
                model = name,
                "no line of [[prices]] fits this model: its calls count as free"
            );
        }
    }
}

/// Whether `pattern`, in which `*` stands for any text, fits the whole name.
fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    // Taking the first fit of each middle part leaves most for those after it.
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(model: &str, input: f64, cached_input: Option<f64>, output: f64) -> PriceConfig {
        PriceConfig {
            model: model.into(),
            input,
            cached_input,
            output,
        }
    }

    #[test]
    fn patterns_fit_whole_names() {
        for (pattern, name, expected) in [
            ("openai/gpt-4o", "openai/gpt-4o", true),
            ("openai/gpt-4o", "openai/gpt-4o-mini", false),
            ("openai/gpt-4o*", "openai/gpt-4o-mini", true),
            ("*", "a/b", true),
            ("*/llama*instruct", "x/llama-3-8b-instruct", true),
            ("*/llama*instruct", "x/llama-3-8b", false),
            ("a*a", "a", false),
            ("*ab", "abab", true),
            ("", "x", false),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn cached_input_is_cheaper_and_the_first_line_counts() {
        let prices = Prices::new(vec![
            line("openai/gpt-4o-mini", 0.15, Some(0.075), 0.6),
            line("openai/*", 2.5, None, 10.0),
        ]);
        let usage = Usage {
            prompt_tokens: 1_000_000,
            cached_prompt_tokens: 400_000,
            completion_tokens: 500_000,
            ..Usage::default()
        };
        let price = |model: &str| prices.price("openai", model, &usage);
        assert!((price("gpt-4o-mini") - (0.09 + 0.03 + 0.3)).abs() < 1e-12);
        assert!((price("gpt-4o") - 7.5).abs() < 1e-12);
        assert_eq!(prices.price("local", "smollm2", &usage), 0.0);
        assert_eq!(prices.price("other", "m", &usage), 0.0);
    }
}
