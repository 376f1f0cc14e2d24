//! What a message says: a text, or parts of which some are the model's reasoning.

use serde_json::Value;

/// Levels of parts within parts.
const MAX_DEPTH: usize = 4;

/// The text of a message.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// What belongs to the answer.
    pub(super) answer: String,
    /// Whether there was reasoning, which does not.
    pub(super) reasoning: bool,
}

/// Reads a `content`: a text, a part, or a list of them. What is neither says nothing.
pub(super) fn said(content: &Value) -> Said {
    let mut said = Said::default();
    gather(content, MAX_DEPTH, &mut said);
    said
}

fn gather(content: &Value, depth: usize, said: &mut Said) {
    match content {
        Value::String(text) => said.answer.push_str(text),
        Value::Array(parts) if depth > 0 => {
            parts.iter().for_each(|part| gather(part, depth - 1, said));
        }
        Value::Object(part) if depth > 0 => {
            let kind = part.get("type").and_then(Value::as_str).unwrap_or("text");
            let has = |word: &str| kind.contains(word);
            if has("think")
                || has("reason")
                || has("thought")
                || part.get("thought") == Some(&Value::Bool(true))
            {
                said.reasoning = true;
            } else if has("text") || has("refusal") {
                // Some servers wrap the text once more, as `{"value": ..}`.
                let fields = ["text", "value", "content", "refusal"];
                if let Some(text) = fields.iter().find_map(|field| part.get(*field)) {
                    gather(text, depth - 1, said);
                }
            }
        }
        _ => {}
    }
}
