//! Tokens of texts without a tokenizer: for prices and limits before a call,
//! and for providers that do not count.

use super::super::chat::{ChatRequest, Usage};

/// Tokens that a chat format puts around one message.
const MESSAGE_TOKENS: usize = 4;

/// About the tokens of `text`: four ASCII bytes for one, as in English prose and
/// code with current tokenizers, and one for every other character, of which
/// CJK takes about that many.
pub(crate) fn tokens(text: &str) -> usize {
    let ascii = text.bytes().filter(u8::is_ascii).count();
    let others = text.chars().count() - ascii;
    ascii.div_ceil(4) + others
}

/// About the tokens of a whole prompt, tools included.
pub(crate) fn prompt_tokens(request: &ChatRequest) -> usize {
    let messages = request.messages.iter().map(|message| {
        let calls = message.tool_calls.iter();
        let calls: usize = calls.map(|c| tokens(&c.name) + tokens(&c.arguments)).sum();
        MESSAGE_TOKENS + tokens(&message.content) + calls
    });
    let tools = request.tools.iter().map(|tool| {
        tokens(&tool.name) + tokens(&tool.description) + tokens(&tool.parameters.to_string())
    });
    messages.sum::<usize>() + tools.sum::<usize>()
}

/// The most that a call may take: its prompt by estimate, and its longest answer.
pub(crate) fn most(request: &ChatRequest) -> Usage {
    usage(request, request.max_tokens)
}

/// The usage of a call whose provider did not say.
pub(crate) fn usage(request: &ChatRequest, completion_tokens: usize) -> Usage {
    Usage {
        prompt_tokens: prompt_tokens(request),
        completion_tokens,
        estimated: true,
        ..Usage::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn about_right_for_prose_and_for_other_scripts() {
        // GPT-4o's tokenizer gives 10 and 5.
        assert_eq!(tokens("The quick brown fox jumps over the lazy dog."), 11);
        assert_eq!(tokens("どこですか"), 5);
        assert_eq!(tokens(""), 0);
    }
}
