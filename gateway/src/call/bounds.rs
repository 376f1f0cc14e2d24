//! What a call can have taken at most. Counts that providers send are not believed
//! beyond it: one absurd number must not empty a budget or break a sum.

use super::super::chat::{ChatRequest, Usage};

/// Tokens that chat formats and tools add to a prompt besides its letters, at most.
const HIDDEN_TOKENS: usize = 2048;
/// Tokens around one message or tool, at most.
const TOKENS_EACH: usize = 128;

/// `usage`, if a call can have taken that much: no tokenizer makes more than one token of
/// a byte, and no provider writes more than it was asked for, or than came. `None` if not:
/// an estimate is nearer to the truth.
pub(super) fn believable(
    usage: Usage,
    request: &ChatRequest,
    received_bytes: usize,
) -> Option<Usage> {
    let most_written = request.max_tokens.max(received_bytes);
    let is_possible =
        usage.prompt_tokens <= most_read(request) && usage.completion_tokens <= most_written;
    is_possible.then(|| Usage {
        cached_prompt_tokens: usage.cached_prompt_tokens.min(usage.prompt_tokens),
        ..usage
    })
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
            believable(usage, &request, 100)
        };
        let usage = bound(12, 80).unwrap();
        assert_eq!((usage.prompt_tokens, usage.completion_tokens), (12, 80));
        assert!(!usage.estimated);
        assert!(bound(12, 101).is_none());
        assert!(bound(usize::MAX, 80).is_none());
        assert!(bound(usize::MAX, usize::MAX).is_none());
    }
}
