//! What a call can have taken at most. Counts that providers send are not believed
//! beyond it: one absurd number must not empty a budget or break a sum.

use super::super::chat::{ChatRequest, Usage};

/// Tokens that chat formats and tools add to a prompt besides its letters, at most.
const HIDDEN_TOKENS: usize = 2048;
/// Tokens around one message or tool, at most.
const TOKENS_EACH: usize = 128;

/// `usage` within what was sent and asked. No tokenizer makes more than one token of a
/// byte; no provider writes more than it was asked for, or than came. What goes beyond
/// is cut, and counts as estimated.
pub(super) fn bounded(usage: Usage, request: &ChatRequest, received_bytes: usize) -> Usage {
    let prompt_tokens = usage.prompt_tokens.min(most_read(request));
    let completion_tokens = usage
        .completion_tokens
        .min(request.max_tokens.max(received_bytes));
    let cut = (prompt_tokens, completion_tokens) != (usage.prompt_tokens, usage.completion_tokens);
    Usage {
        prompt_tokens,
        completion_tokens,
        cached_prompt_tokens: usage.cached_prompt_tokens.min(prompt_tokens),
        estimated: usage.estimated || cut,
        ..usage
    }
}

fn most_read(request: &ChatRequest) -> usize {
    let messages = request.messages.iter().map(|message| {
        let calls = message.tool_calls.iter();
        let calls: usize = calls
            .map(|call| call.name.len() + call.arguments.len() + TOKENS_EACH)
            .sum();
        message.content.len() + calls
    });
    let tools = request
        .tools
        .iter()
        .map(|tool| tool.name.len() + tool.description.len() + tool.parameters.to_string().len());
    let each = (request.messages.len() + request.tools.len()) * TOKENS_EACH;
    messages.sum::<usize>() + tools.sum::<usize>() + each + HIDDEN_TOKENS
}

#[cfg(test)]
mod tests {
    use super::super::super::chat::{ChatMessage, ChatRole};
    use super::*;

    #[test]
    fn counts_are_believed_within_reason() {
        let request = ChatRequest {
            messages: vec![ChatMessage::text(ChatRole::User, "How high is the tide?")],
            max_tokens: 64,
            ..ChatRequest::default()
        };
        let bound = |prompt_tokens, completion_tokens| {
            let usage = Usage {
                prompt_tokens,
                completion_tokens,
                cached_prompt_tokens: prompt_tokens,
                ..Usage::default()
            };
            bounded(usage, &request, 100)
        };
        let usage = bound(12, 80);
        assert_eq!((usage.prompt_tokens, usage.completion_tokens), (12, 80));
        assert!(!usage.estimated);
        let usage = bound(usize::MAX, usize::MAX);
        assert_eq!(usage.completion_tokens, 100);
        assert!(usage.prompt_tokens < 5000 && usage.cached_prompt_tokens < 5000);
        assert!(usage.estimated);
    }
}
