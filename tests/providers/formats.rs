//! Exchanges in every wire format, written by hand after the providers' API
//! references: OpenAI "The chat completion chunk object", Azure OpenAI "Chat
//! completions", Anthropic "Streaming messages" and "Tool use", Gemini
//! "Generating content" and "Function calling".

use super::scripted::{Part, bytes};

/// One wire format: what its endpoint sends, and what it wants to be sent.
pub(crate) struct Format {
    pub(crate) kind: &'static str,
    /// Path and query of a request for the model `m-2`.
    pub(crate) uri: &'static str,
    /// Header of the key, and its value for `sk-secret`.
    pub(crate) key: (&'static str, &'static str),
    /// "größe 👍🏽", 12 prompt tokens of which 8 cached, 3 written, by `m-1`.
    pub(crate) text: &'static [&'static str],
    /// The same without any usage.
    pub(crate) no_usage: &'static [&'static str],
    /// Calls `search` with `{"q":"größe","k":2}` and `now` with `{}`.
    pub(crate) tools: &'static [&'static str],
    /// "Hi", cut at the limit of tokens.
    pub(crate) length: &'static [&'static str],
    /// "Hi." in one piece of JSON, with 2 and 1 tokens.
    pub(crate) whole: &'static str,
    /// An error with the code or type `server_error`, as an event after text.
    pub(crate) error: &'static [&'static str],
    /// The body of `question()`.
    pub(crate) request: &'static str,
    /// The body of a conversation with tools.
    pub(crate) tool_request: &'static str,
}

/// Each event as a frame of its own.
pub(crate) fn frames(events: &[&str]) -> Vec<Part> {
    let frame = |event: &&str| bytes(format!("data: {event}\n\n"));
    events.iter().map(frame).collect()
}

const OPENAI: Format = Format {
    kind: "openai",
    uri: "/v1/chat/completions",
    key: ("authorization", "Bearer sk-secret"),
    text: &[
        r#"{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m-1","choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}],"usage":null}"#,
        r#"{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m-1","choices":[{"index":0,"delta":{"content":"größe "},"logprobs":null,"finish_reason":null}],"usage":null}"#,
        r#"{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m-1","choices":[{"index":0,"delta":{"content":"👍🏽"},"logprobs":null,"finish_reason":null}],"usage":null}"#,
        r#"{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m-1","choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],"usage":null}"#,
        r#"{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m-1","choices":[],"usage":{"prompt_tokens":12,"completion_tokens":3,"total_tokens":15,"prompt_tokens_details":{"cached_tokens":8,"audio_tokens":0}}}"#,
        "[DONE]",
    ],
    no_usage: &[
        r#"{"model":"m-1","choices":[{"index":0,"delta":{"content":"größe 👍🏽"},"finish_reason":null}]}"#,
        r#"{"model":"m-1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
        "[DONE]",
    ],
    tools: &[
        r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"call_a","type":"function","function":{"name":"search","arguments":""}}]},"finish_reason":null}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"q\":\"grö"}}]},"finish_reason":null}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"call_b","type":"function","function":{"name":"now","arguments":""}}]},"finish_reason":null}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"ße\",\"k\":2}"}}]},"finish_reason":null}]}"#,
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#,
        "[DONE]",
    ],
    length: &[
        r#"{"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"length"}]}"#,
        "[DONE]",
    ],
    whole: r#"{"id":"chatcmpl-1","object":"chat.completion","model":"m-1","choices":[{"index":0,"message":{"role":"assistant","content":"Hi.","refusal":null},"finish_reason":"stop"}],"usage":{"prompt_tokens":2,"completion_tokens":1,"total_tokens":3}}"#,
    error: &[
        r#"{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}"#,
        r#"{"error":{"message":"org-1 is over its quota","type":"server_error","code":null}}"#,
    ],
    request: r#"{"model":"m-2","max_tokens":64,"temperature":0.0,"stream":true,"stop":["\n\n"],"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"Secret question?"}]}"#,
    tool_request: r#"{"model":"m-2","max_tokens":64,"temperature":0.0,"stream":true,"stream_options":{"include_usage":true},
        "messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Size?"},
            {"role":"assistant","content":null,"tool_calls":[{"id":"call_a","type":"function","function":{"name":"search","arguments":"{\"q\":\"x\"}"}}]},
            {"role":"tool","tool_call_id":"call_a","content":"3 cm"}],
        "tools":[{"type":"function","function":{"name":"search","description":"Finds.","parameters":{"type":"object","properties":{"q":{"type":"string"}}}}}],
        "tool_choice":{"type":"function","function":{"name":"search"}}}"#,
};

const AZURE: Format = Format {
    kind: "azure",
    uri: "/v1/openai/deployments/m-2/chat/completions?api-version=2024-10-21",
    key: ("api-key", "sk-secret"),
    text: &[
        r#"{"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[{"prompt_index":0,"content_filter_results":{"hate":{"filtered":false,"severity":"safe"}}}]}"#,
        r#"{"id":"c","object":"chat.completion.chunk","model":"m-1","choices":[{"index":0,"delta":{"content":"größe "},"content_filter_results":{},"finish_reason":null}]}"#,
        r#"{"id":"c","object":"chat.completion.chunk","model":"m-1","choices":[{"index":0,"delta":{"content":"👍🏽"},"content_filter_results":{},"finish_reason":null}]}"#,
        r#"{"id":"c","object":"chat.completion.chunk","model":"m-1","choices":[{"index":0,"delta":{},"content_filter_results":{},"finish_reason":"stop"}]}"#,
        r#"{"id":"c","object":"chat.completion.chunk","model":"m-1","choices":[],"usage":{"prompt_tokens":12,"completion_tokens":3,"total_tokens":15,"prompt_tokens_details":{"cached_tokens":8}}}"#,
        "[DONE]",
    ],
    ..OPENAI
};

const ANTHROPIC: Format = Format {
    kind: "anthropic",
    uri: "/v1/messages",
    key: ("x-api-key", "sk-secret"),
    text: &[
        r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","content":[],"model":"m-1","stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":3,"cache_creation_input_tokens":1,"cache_read_input_tokens":8,"output_tokens":1}}}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"ping"}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"größe "}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"👍🏽"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":3}}"#,
        r#"{"type":"message_stop"}"#,
    ],
    no_usage: &[
        r#"{"type":"message_start","message":{"type":"message","role":"assistant","content":[],"model":"m-1"}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"größe 👍🏽"}}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"}}"#,
        r#"{"type":"message_stop"}"#,
    ],
    tools: &[
        r#"{"type":"message_start","message":{"type":"message","role":"assistant","content":[],"model":"m-1","usage":{"input_tokens":3,"output_tokens":1}}}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Hm."}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"call_a","name":"search","input":{}}}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":""}}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"q\":\"grö"}}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"ße\",\"k\":2}"}}"#,
        r#"{"type":"content_block_stop","index":1}"#,
        r#"{"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"call_b","name":"now","input":{}}}"#,
        r#"{"type":"content_block_stop","index":2}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":20}}"#,
        r#"{"type":"message_stop"}"#,
    ],
    length: &[
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"max_tokens"},"usage":{"output_tokens":1}}"#,
        r#"{"type":"message_stop"}"#,
    ],
    whole: r#"{"id":"msg_1","type":"message","role":"assistant","model":"m-1","content":[{"type":"text","text":"Hi."}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":2,"output_tokens":1}}"#,
    error: &[
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}"#,
        r#"{"type":"error","error":{"type":"server_error","message":"org-1 is over its quota"}}"#,
    ],
    request: r#"{"model":"m-2","max_tokens":64,"temperature":0.0,"stream":true,"stop_sequences":["\n\n"],"messages":[{"role":"user","content":[{"type":"text","text":"Secret question?"}]}]}"#,
    tool_request: r#"{"model":"m-2","max_tokens":64,"temperature":0.0,"stream":true,"system":"Be brief.",
        "messages":[{"role":"user","content":[{"type":"text","text":"Size?"}]},
            {"role":"assistant","content":[{"type":"tool_use","id":"call_a","name":"search","input":{"q":"x"}}]},
            {"role":"user","content":[{"type":"tool_result","tool_use_id":"call_a","content":"3 cm"}]}],
        "tools":[{"name":"search","description":"Finds.","input_schema":{"type":"object","properties":{"q":{"type":"string"}}}}],
        "tool_choice":{"type":"tool","name":"search"}}"#,
};

const GEMINI: Format = Format {
    kind: "gemini",
    uri: "/v1/models/m-2:streamGenerateContent?alt=sse",
    key: ("x-goog-api-key", "sk-secret"),
    text: &[
        r#"{"candidates":[{"content":{"parts":[{"text":"Let me see.","thought":true}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":12,"totalTokenCount":12},"modelVersion":"m-1"}"#,
        r#"{"candidates":[{"content":{"parts":[{"text":"größe "}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":12,"totalTokenCount":12},"modelVersion":"m-1"}"#,
        r#"{"candidates":[{"content":{"parts":[{"text":"👍🏽"}],"role":"model"},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":12,"candidatesTokenCount":2,"thoughtsTokenCount":1,"cachedContentTokenCount":8,"totalTokenCount":15},"modelVersion":"m-1","responseId":"r"}"#,
    ],
    no_usage: &[
        r#"{"candidates":[{"content":{"parts":[{"text":"größe 👍🏽"}],"role":"model"},"finishReason":"STOP","index":0}],"modelVersion":"m-1"}"#,
    ],
    tools: &[
        r#"{"candidates":[{"content":{"parts":[{"functionCall":{"id":"call_a","name":"search","args":{"q":"größe","k":2}},"thoughtSignature":"c2ln"}],"role":"model"},"index":0}],"modelVersion":"m-1"}"#,
        r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"now","args":{}}}],"role":"model"},"finishReason":"STOP","index":0}],"modelVersion":"m-1"}"#,
    ],
    length: &[
        r#"{"candidates":[{"content":{"parts":[{"text":"Hi"}],"role":"model"},"finishReason":"MAX_TOKENS","index":0}]}"#,
    ],
    whole: r#"{"candidates":[{"content":{"parts":[{"text":"Hi."}],"role":"model"},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":2,"candidatesTokenCount":1,"totalTokenCount":3},"modelVersion":"m-1"}"#,
    error: &[
        r#"{"candidates":[{"content":{"parts":[{"text":"a"}],"role":"model"},"index":0}]}"#,
        r#"{"error":{"code":500,"message":"org-1 is over its quota","status":"server_error"}}"#,
    ],
    request: r#"{"contents":[{"role":"user","parts":[{"text":"Secret question?"}]}],"generationConfig":{"maxOutputTokens":64,"temperature":0.0,"stopSequences":["\n\n"]}}"#,
    tool_request: r#"{"contents":[{"role":"user","parts":[{"text":"Size?"}]},
            {"role":"model","parts":[{"functionCall":{"name":"search","args":{"q":"x"}},"thoughtSignature":"c2ln"}]},
            {"role":"user","parts":[{"functionResponse":{"name":"search","response":{"result":"3 cm"}}}]}],
        "systemInstruction":{"parts":[{"text":"Be brief."}]},
        "generationConfig":{"maxOutputTokens":64,"temperature":0.0},
        "tools":[{"functionDeclarations":[{"name":"search","description":"Finds.","parametersJsonSchema":{"type":"object","properties":{"q":{"type":"string"}}}}]}],
        "toolConfig":{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["search"]}}}"#,
};

/// Every format that providers speak.
pub(crate) const FORMATS: [Format; 4] = [OPENAI, AZURE, ANTHROPIC, GEMINI];
