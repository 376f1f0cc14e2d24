//! Tool calls come in fragments: an id and a name first, then pieces of the
//! arguments. Joins them.

use std::collections::BTreeMap;

use super::super::chat::{ProviderEvent, ToolCall};
use super::dialect::Fault;

/// Most calls in one answer.
const MAX_CALLS: usize = 128;

/// The calls of one answer so far, by the provider's index.
#[derive(Debug, Default)]
pub(super) struct ToolCalls(BTreeMap<u64, ToolCall>);

impl ToolCalls {
    /// The call at `index`, begun when it is new.
    pub(super) fn at(&mut self, index: u64) -> Result<&mut ToolCall, Fault> {
        if self.0.len() >= MAX_CALLS && !self.0.contains_key(&index) {
            return Err(Fault::Garbled(format!("more than {MAX_CALLS} tool calls")));
        }
        Ok(self.0.entry(index).or_insert_with(|| ToolCall {
            id: String::new(),
            name: String::new(),
            arguments: String::new(),
            signature: None,
        }))
    }

    /// An index that no call has.
    pub(super) fn next_index(&self) -> u64 {
        self.0.last_key_value().map_or(0, |(index, _)| index + 1)
    }

    /// Whether any call came.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The whole calls, in order. Those without a name are left out: nobody
    /// could run them. A missing id is made up, so that an answer can be
    /// matched to its call.
    pub(super) fn finish(&mut self, out: &mut Vec<ProviderEvent>) {
        for (index, mut call) in std::mem::take(&mut self.0) {
            if call.name.is_empty() {
                continue;
            }
            if call.id.is_empty() {
                call.id = format!("call_{index}");
            }
            if call.arguments.trim().is_empty() {
                call.arguments = "{}".to_owned();
            }
            out.push(ProviderEvent::ToolCall(call));
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
