//! What an answer took, where the provider says half of it or nothing.

use super::super::call::estimate;
use super::super::chat::{ChatRequest, ProviderEvent, Usage};
use super::counts::Counts;

/// Counts what is read of one answer.
pub(super) struct Tally {
    prompt: usize,
    written: usize,
}

impl Tally {
    /// Of the answer to `request`.
    pub(super) fn new(request: &ChatRequest) -> Self {
        Self {
            prompt: estimate::prompt_tokens(request),
            written: 0,
        }
    }

    /// Notes what was written.
    pub(super) fn note(&mut self, event: &ProviderEvent) {
        self.written += match event {
            ProviderEvent::Delta(text) => estimate::tokens(text),
            ProviderEvent::ToolCall(call) => {
                estimate::tokens(&call.name) + estimate::tokens(&call.arguments)
            }
            ProviderEvent::Done { .. } => 0,
        };
    }

    /// What the provider says that it took, with estimates for what it leaves out; none
    /// where it says nothing at all.
    pub(super) fn usage(&self, said: Counts) -> Option<Usage> {
        if (said.prompt, said.completion) == (None, None) {
            return None;
        }
        let prompt_tokens = said.prompt.unwrap_or(self.prompt);
        Some(Usage {
            prompt_tokens,
            completion_tokens: said.completion.unwrap_or(self.written),
            cached_prompt_tokens: said.cached.unwrap_or(0).min(prompt_tokens),
            estimated: said.prompt.is_none() || said.completion.is_none(),
            ..Usage::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_estimated() {
        let mut tally = Tally::new(&ChatRequest::default());
        tally.note(&ProviderEvent::Delta("The pump holds.".to_owned()));
        let usage = |prompt, completion| {
            let counts = Counts {
                prompt,
                completion,
                cached: Some(9),
            };
            let usage = tally.usage(counts)?;
            Some((
                usage.prompt_tokens,
                usage.cached_prompt_tokens,
                usage.completion_tokens,
                usage.estimated,
            ))
        };
        assert_eq!(usage(Some(5), Some(3)), Some((5, 5, 3, false)));
        assert_eq!(usage(Some(5), None), Some((5, 5, 4, true)));
        assert_eq!(usage(None, Some(3)), Some((0, 0, 3, true)));
        assert_eq!(usage(None, None), None);
    }
}
