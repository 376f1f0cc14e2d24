//! Answer events as server-sent events: pure text, no network.
//!
//! The wire form is the contract with front ends: an agent's `step`s, `sources`, then
//! `delta` and `citation`, then `done`, `input_required` or `error`, each with one line of
//! JSON.

use serde::Serialize;

use cairn_engine::answer::AnswerEvent;

/// Sent at once, so that proxies pass the headers on, and every
/// [`KEEP_ALIVE_SECONDS`] of silence, so that they do not close the stream.
pub const COMMENT: &str = ": cairn\n\n";

/// Longest silence of a stream, in seconds.
pub const KEEP_ALIVE_SECONDS: u64 = 15;

/// Id of the last event of a stream. An `EventSource` that reconnects after the
/// end sends it as `Last-Event-ID`, which tells it apart from a new question.
pub const END_ID: &str = "end";

#[derive(Serialize)]
struct DeltaData<'a> {
    text: &'a str,
}

#[derive(Serialize)]
struct ErrorData<'a> {
    error: ErrorFields<'a>,
}

#[derive(Serialize)]
struct ErrorFields<'a> {
    code: &'a str,
    message: &'a str,
    retryable: bool,
}

/// The event as it goes over the wire, blank line included.
pub fn encode(event: &AnswerEvent) -> String {
    match event {
        AnswerEvent::Step(step) => frame("step", step, false),
        AnswerEvent::Sources(found) => frame("sources", found, false),
        AnswerEvent::Delta { text } => frame("delta", &DeltaData { text }, false),
        AnswerEvent::Citation(citation) => frame("citation", citation, false),
        AnswerEvent::Done(done) => frame("done", done, true),
        AnswerEvent::InputRequired(required) => frame("input_required", required, true),
        AnswerEvent::Error {
            code,
            message,
            retryable,
        } => error(code, message, *retryable),
    }
}

/// An `error` event, which ends a stream.
pub fn error(code: &str, message: &str, retryable: bool) -> String {
    let error = ErrorFields {
        code,
        message,
        retryable,
    };
    frame("error", &ErrorData { error }, true)
}

fn frame(name: &str, data: &impl Serialize, last: bool) -> String {
    // The types hold strings, numbers and lists only, which always serialize;
    // JSON escapes line ends, so the data is one line whatever a text holds.
    let json = serde_json::to_string(data).unwrap_or_else(|_| "{}".into());
    let id = if last {
        format!("id: {END_ID}\n")
    } else {
        String::new()
    };
    format!("event: {name}\n{id}data: {json}\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_engine::answer::{Citation, Done};
    use cairn_engine::retrieve::{Ranks, SearchResponse, Source};
    use cairn_gateway::Usage;

    /// Name and data of one frame, checked to be one frame.
    fn decode(frame: &str) -> (String, serde_json::Value) {
        assert!(
            frame.ends_with("\n\n") && frame.matches("\n\n").count() == 1,
            "{frame:?}"
        );
        let field = |name: &str| frame.lines().find_map(|l| l.strip_prefix(name)).unwrap();
        (
            field("event: ").into(),
            serde_json::from_str(field("data: ")).unwrap(),
        )
    }

    #[test]
    fn text_with_line_ends_stays_one_frame() {
        let text = "one\n\nevent: done\r\ndata: {}\u{2028}".to_owned();
        let (name, data) = decode(&encode(&AnswerEvent::Delta { text: text.clone() }));
        assert_eq!((name.as_str(), &data["text"]), ("delta", &text.into()));
    }

    #[test]
    fn sources_have_the_documented_fields() {
        let source = Source {
            n: 1,
            chunk_id: "00000000000000aa-0000".into(),
            document_id: "00000000000000aa".into(),
            uri: "a.md".into(),
            title: "A".into(),
            heading_path: vec!["H".into()],
            page: None,
            pages: Vec::new(),
            columns: None,
            code_blocks: Vec::new(),
            start: 0,
            end: 4,
            text: "text".into(),
            score: 0.5,
            cosine: None,
            copies: 0,
            ranks: Ranks {
                lexical: Some(1),
                ..Ranks::default()
            },
        };
        let found = SearchResponse {
            query_id: "q".into(),
            collection: "main".into(),
            generation: 3,
            sources: vec![source],
            timings_ms: [("embed".to_owned(), 1.5)].into(),
            degraded: vec![],
        };
        let (name, data) = decode(&encode(&AnswerEvent::Sources(found)));
        assert_eq!(name, "sources");
        assert_eq!(
            data,
            serde_json::json!({
                "query_id": "q", "collection": "main", "generation": 3,
                "sources": [{
                    "n": 1, "chunk_id": "00000000000000aa-0000",
                    "document_id": "00000000000000aa", "uri": "a.md", "title": "A",
                    "heading_path": ["H"], "start": 0, "end": 4, "text": "text", "score": 0.5,
                    "ranks": {"lexical": 1, "dense": null, "fused": null, "rerank": null},
                }],
                "timings_ms": {"embed": 1.5}, "degraded": [],
            })
        );
    }

    #[test]
    fn the_last_event_carries_the_id_of_the_end() {
        let done = Done {
            query_id: "q".into(),
            answer: "Yes [1].".into(),
            citations: vec![Citation {
                n: 1,
                chunk_id: "c".into(),
                start: 4,
                end: 7,
                source_start: None,
                source_end: None,
                page: None,
            }],
            refused: false,
            grounded: true,
            answerability: 1.0,
            finish_reason: "stop".into(),
            provider: "local".into(),
            model: "m".into(),
            usage: Usage::default(),
            cache: Default::default(),
            timings_ms: [].into(),
            degraded: vec![],
        };
        let frame = encode(&AnswerEvent::Done(Box::new(done)));
        assert!(frame.contains("id: end\n"));
        let (name, data) = decode(&frame);
        assert_eq!(name, "done");
        let fields: Vec<_> = data.as_object().unwrap().keys().cloned().collect();
        assert_eq!(
            fields,
            [
                "query_id",
                "answer",
                "citations",
                "refused",
                "grounded",
                "answerability",
                "finish_reason",
                "provider",
                "model",
                "usage",
                "timings_ms",
                "degraded",
            ]
        );
        assert_eq!(
            data["citations"][0],
            serde_json::json!({"n":1,"chunk_id":"c","start":4,"end":7})
        );

        let frame = error("overloaded", "later", true);
        assert!(frame.contains("id: end\n"));
        let (name, data) = decode(&frame);
        assert_eq!(name, "error");
        assert_eq!(
            data,
            serde_json::json!({"error": {"code":"overloaded","message":"later","retryable":true}})
        );
    }
}
