//! Tool calls come in fragments: an id and a name first, then pieces of the
//! arguments. Joins them, also where a server leaves out the index, gives every
//! call the same one, or says id and name again with every piece.

use serde_json::Value;

use super::super::chat::{ProviderEvent, ToolCall};
use super::dialect::Fault;

/// Most calls in one answer.
const MAX_CALLS: usize = 128;

/// A piece of a call, in OpenAI's terms. Any part may be missing.
#[derive(Debug, Default)]
pub(super) struct Fragment<'a> {
    pub(super) index: Option<u64>,
    pub(super) id: &'a str,
    pub(super) name: &'a str,
    /// A piece of JSON text; a whole object from servers that parse it themselves.
    pub(super) arguments: Option<&'a Value>,
}

/// The calls of one answer so far, as they began.
#[derive(Debug, Default)]
pub(super) struct ToolCalls(Vec<Begun>);

/// A call that has begun.
#[derive(Debug)]
struct Begun {
    /// The provider's index.
    index: u64,
    call: ToolCall,
    /// How far its arguments are, where they come in pieces.
    progress: Progress,
}

impl ToolCalls {
    /// The latest call at `index`, begun when there is none.
    pub(super) fn at(&mut self, index: u64) -> Result<&mut ToolCall, Fault> {
        match self.0.iter().rposition(|begun| begun.index == index) {
            Some(place) => Ok(&mut self.0[place].call),
            None => Ok(&mut self.begin(index)?.call),
        }
    }

    /// An index that no call has.
    pub(super) fn next_index(&self) -> u64 {
        let indices = self.0.iter().map(|begun| begun.index);
        indices.max().map_or(0, |index| index.saturating_add(1))
    }

    /// Whether any call came.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a piece to the call that it belongs to.
    pub(super) fn join(&mut self, fragment: &Fragment<'_>) -> Result<(), Fault> {
        let place = self.place(fragment);
        let begun = match place {
            Some(place) => &mut self.0[place],
            None => {
                let next = self.next_index();
                self.begin(fragment.index.unwrap_or(next))?
            }
        };
        let call = &mut begun.call;
        if call.id.is_empty() {
            fragment.id.clone_into(&mut call.id);
        }
        if call.arguments.is_empty() {
            // Some servers send the name in pieces, some as far as it has come.
            match fragment.name.starts_with(&call.name) {
                true => fragment.name.clone_into(&mut call.name),
                false => call.name.push_str(fragment.name),
            }
        }
        match fragment.arguments {
            Some(Value::String(text)) => {
                begun.progress.follow(text);
                call.arguments.push_str(text);
            }
            Some(Value::Null) | None => {}
            Some(whole) => {
                call.arguments = whole.to_string();
                begun.progress = Progress::WHOLE;
            }
        }
        Ok(())
    }

    /// The call that a fragment goes on with; `None` if it begins one.
    fn place(&self, fragment: &Fragment<'_>) -> Option<usize> {
        let among = |begun: &Begun| fragment.index.is_none_or(|at| at == begun.index);
        let last = self.0.iter().rposition(among)?;
        let known = |(at, begun): &(usize, &Begun)| {
            *at != last && among(begun) && !fragment.id.is_empty() && begun.call.id == fragment.id
        };
        if let Some((place, _)) = self.0.iter().enumerate().find(known) {
            return Some(place);
        }
        let Begun { call, progress, .. } = &self.0[last];
        let says_more = fragment.arguments.is_some_and(|value| match value {
            Value::String(text) => !text.trim().is_empty(),
            value => !value.is_null(),
        });
        let other_id = !fragment.id.is_empty() && !call.id.is_empty() && fragment.id != call.id;
        let begins = if progress.is_whole {
            // Nothing can follow whole arguments but another call.
            other_id || (!fragment.name.is_empty() && says_more)
        } else if call.arguments.is_empty() {
            let other_name = !call.name.is_empty()
                && !fragment.name.is_empty()
                && fragment.index.is_none()
                && fragment.id.is_empty()
                && fragment.name != call.name;
            // An id alone may be drawn again for every piece.
            (other_id && !fragment.name.is_empty()) || other_name
        } else {
            other_id && !fragment.name.is_empty() && fragment.name != call.name
        };
        (!begins).then_some(last)
    }

    fn begin(&mut self, index: u64) -> Result<&mut Begun, Fault> {
        if self.0.len() >= MAX_CALLS {
            return Err(Fault::Garbled(format!("more than {MAX_CALLS} tool calls")));
        }
        let place = self.0.len();
        self.0.push(Begun {
            index,
            call: ToolCall {
                id: String::new(),
                name: String::new(),
                arguments: String::new(),
                signature: None,
            },
            progress: Progress::default(),
        });
        Ok(&mut self.0[place])
    }

    /// The whole calls, in order. Those without a name are left out: nobody
    /// could run them. An id that is missing or was given before is made up, so
    /// that an answer can be matched to its call.
    pub(super) fn finish(&mut self, out: &mut Vec<ProviderEvent>) {
        let mut calls = std::mem::take(&mut self.0);
        calls.sort_by_key(|begun| begun.index);
        let mut ids: Vec<String> = Vec::new();
        for (place, Begun { mut call, .. }) in calls.into_iter().enumerate() {
            if call.name.is_empty() {
                continue;
            }
            let mut made_up = place;
            while call.id.is_empty() || ids.contains(&call.id) {
                call.id = format!("call_{made_up}");
                made_up += MAX_CALLS;
            }
            ids.push(call.id.clone());
            if matches!(call.arguments.trim(), "" | "null") {
                call.arguments = "{}".to_owned();
            }
            out.push(ProviderEvent::ToolCall(call));
        }
    }
}

/// How far JSON text has come, piece by piece.
#[derive(Debug, Default)]
struct Progress {
    /// Objects and lists that are open.
    depth: usize,
    in_text: bool,
    escaped: bool,
    /// What was opened first is closed.
    is_whole: bool,
}

impl Progress {
    const WHOLE: Self = Self {
        depth: 0,
        in_text: false,
        escaped: false,
        is_whole: true,
    };

    fn follow(&mut self, piece: &str) {
        for byte in piece.bytes() {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_text => self.escaped = true,
                b'"' => self.in_text = !self.in_text,
                _ if self.in_text => {}
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    self.is_whole |= self.depth == 0;
                }
                _ => {}
            }
        }
    }
}

/// Arguments as an object, for formats that carry them as JSON. What a model
/// wrote may be no JSON at all: it is passed on as a text.
pub(super) fn arguments_object(call: &ToolCall) -> serde_json::Value {
    match serde_json::from_str(&call.arguments) {
        Ok(value @ serde_json::Value::Object(_)) => value,
        _ => serde_json::json!({"arguments": call.arguments}),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Joins fragments written as `[index, id, name, arguments]`.
    fn joined(fragments: Value) -> Vec<(String, String, String)> {
        let mut calls = ToolCalls::default();
        for fragment in fragments.as_array().unwrap() {
            let fragment = Fragment {
                index: fragment[0].as_u64(),
                id: fragment[1].as_str().unwrap_or_default(),
                name: fragment[2].as_str().unwrap_or_default(),
                arguments: fragment.get(3),
            };
            calls.join(&fragment).unwrap();
        }
        let mut out = Vec::new();
        calls.finish(&mut out);
        out.into_iter()
            .map(|event| match event {
                ProviderEvent::ToolCall(call) => (call.id, call.name, call.arguments),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    fn call(id: &str, name: &str, arguments: &str) -> (String, String, String) {
        (id.to_owned(), name.to_owned(), arguments.to_owned())
    }

    #[test]
    fn pieces_find_their_call() {
        let kiel = r#"{"port":"Kiel"}"#;
        let rostock = r#"{"port":"Rostock"}"#;
        let one = vec![call("a", "tide", kiel)];
        let two = vec![call("a", "tide", kiel), call("b", "tide", rostock)];
        for (what, fragments, expected) in [
            (
                "no index",
                json!([
                    [null, "a", "tide", ""],
                    [null, null, null, "{\"port\":"],
                    [null, null, null, "\"Kiel\"}"]
                ]),
                &one,
            ),
            (
                "the id again and again",
                json!([
                    [null, "a", "tide", ""],
                    [null, "a", null, "{\"port\":"],
                    [null, "a", "", "\"Kiel\"}"]
                ]),
                &one,
            ),
            (
                "the name again and again",
                json!([
                    [0, "a", "tide", ""],
                    [0, "a", "tide", "{\"port\":"],
                    [0, "a", "tide", "\"Kiel\"}"],
                    [0, "a", "tide", ""]
                ]),
                &one,
            ),
            (
                "another id with each piece",
                json!([
                    [0, "a", "tide", ""],
                    [0, "x", null, "{\"port\":"],
                    [0, "y", null, "\"Kiel\"}"]
                ]),
                &one,
            ),
            (
                "a name in pieces",
                json!([
                    [0, "a", "ti", ""],
                    [0, null, "de", ""],
                    [0, null, null, kiel]
                ]),
                &one,
            ),
            (
                "a name that grows",
                json!([
                    [0, "a", "ti", ""],
                    [0, null, "tide", ""],
                    [0, null, null, kiel]
                ]),
                &one,
            ),
            (
                "an object",
                json!([[0, "a", "tide", {"port": "Kiel"}]]),
                &one,
            ),
            (
                "an object twice",
                json!([[0, "a", "tide", {}], [0, "a", null, {"port": "Kiel"}]]),
                &one,
            ),
            (
                "one index",
                json!([[0, "a", "tide", kiel], [0, "b", "tide", rostock]]),
                &two,
            ),
            (
                "one index, in pieces",
                json!([
                    [0, "a", "tide", ""],
                    [0, null, null, kiel],
                    [0, "b", "tide", ""],
                    [0, null, null, "{\"port\":"],
                    [0, null, null, "\"Rostock\"}"]
                ]),
                &two,
            ),
            (
                "one index, by turns",
                json!([
                    [0, "a", "tide", ""],
                    [0, "b", "tide", ""],
                    [0, "a", null, "{\"port\":"],
                    [0, "b", null, rostock],
                    [0, "a", null, "\"Kiel\"}"]
                ]),
                &two,
            ),
            (
                "no index, by id",
                json!([
                    [null, "a", "tide", ""],
                    [null, "b", "tide", ""],
                    [null, "a", null, kiel],
                    [null, "b", null, rostock]
                ]),
                &two,
            ),
            (
                "indices out of order",
                json!([[1, "b", "tide", rostock], [0, "a", "tide", kiel]]),
                &two,
            ),
        ] {
            assert_eq!(joined(fragments), *expected, "{what}");
        }
    }

    #[test]
    fn whole_calls_without_index_and_id() {
        let found = joined(json!([
            [null, null, "tide", {"port": "Kiel"}],
            [null, null, "tide", {"port": "Rostock"}],
            [null, null, "wind", {}],
        ]));
        let names: Vec<&str> = found.iter().map(|(_, name, _)| name.as_str()).collect();
        assert_eq!(names, ["tide", "tide", "wind"]);
        assert_eq!(found[1].2, r#"{"port":"Rostock"}"#);
        let mut ids: Vec<&str> = found.iter().map(|(id, _, _)| id.as_str()).collect();
        ids.dedup();
        assert_eq!(ids.len(), 3, "{ids:?}");
        // The same id twice is made another.
        let found = joined(json!([[0, "x", "tide", "{}"], [1, "x", "wind", "{}"]]));
        assert_ne!(found[0].0, found[1].0);
        assert_eq!(
            joined(json!([[0, "a", "now", null]])),
            [call("a", "now", "{}")]
        );
    }

    #[test]
    fn calls_without_end_are_refused() {
        let mut calls = ToolCalls::default();
        let mut last = Ok(());
        for _ in 0..=MAX_CALLS {
            last = calls.join(&Fragment {
                name: "x",
                arguments: Some(&json!({"a": 1})),
                ..Fragment::default()
            });
        }
        assert!(last.is_err());
    }
}
