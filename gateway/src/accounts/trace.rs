//! The span of one call, with the attributes of OpenTelemetry's GenAI
//! conventions. Without an exporter it costs next to nothing.

use tracing::{Span, field};

use super::call::{CacheUse, CallRecord, Outcome};
use cairn_settings::telemetry::milliseconds;
use cairn_settings::telemetry::redact::Redacted;

/// A span from admission to settlement, a child of the span it started in.
pub(super) struct CallSpan(Span);

impl CallSpan {
    pub(super) fn start(record: &CallRecord) -> Self {
        Self(tracing::info_span!(
            target: cairn_settings::telemetry::TRACE_TARGET,
            "chat",
            otel.name = field::Empty,
            otel.kind = "client",
            otel.status_code = field::Empty,
            gen_ai.operation.name = "chat",
            gen_ai.provider.name = field::Empty,
            gen_ai.request.model = record.model,
            gen_ai.response.model = field::Empty,
            gen_ai.response.finish_reasons = field::Empty,
            gen_ai.usage.input_tokens = field::Empty,
            gen_ai.usage.cache_read.input_tokens = field::Empty,
            gen_ai.usage.output_tokens = field::Empty,
            gen_ai.input.messages = field::Empty,
            gen_ai.output.messages = field::Empty,
            error.r#type = field::Empty,
            cairn.call_id = %record.call_id,
            cairn.route = record.route,
            cairn.tenant = record.tenant,
            cairn.cost_usd = field::Empty,
            cairn.ttft_ms = field::Empty,
            cairn.cache = field::Empty,
            cairn.retries = field::Empty,
            cairn.fallbacks = field::Empty,
            cairn.outcome = field::Empty,
        ))
    }

    /// Ends it. Texts are prompt and answer, and only ever masked ones.
    pub(super) fn end(&mut self, record: &CallRecord, texts: Option<&(Redacted, Redacted)>) {
        let span = std::mem::replace(&mut self.0, Span::none());
        if span.is_disabled() {
            return;
        }
        let usage = &record.usage;
        span.record("otel.name", format!("chat {}", record.model));
        span.record("gen_ai.provider.name", &*record.provider);
        span.record("gen_ai.response.model", &*record.model);
        span.record("gen_ai.usage.input_tokens", usage.prompt_tokens as u64);
        span.record("gen_ai.usage.output_tokens", usage.completion_tokens as u64);
        if usage.cached_prompt_tokens > 0 {
            let cached = usage.cached_prompt_tokens as u64;
            span.record("gen_ai.usage.cache_read.input_tokens", cached);
        }
        span.record("cairn.cost_usd", usage.cost_usd);
        if let Some(ttft) = record.ttft {
            span.record("cairn.ttft_ms", milliseconds(ttft));
        }
        if record.cache != CacheUse::None {
            span.record("cairn.cache", record.cache.as_str());
        }
        span.record("cairn.retries", record.retries);
        span.record("cairn.fallbacks", record.fallbacks);
        span.record("cairn.outcome", record.outcome.as_str());
        if record.outcome == Outcome::Done {
            span.record("gen_ai.response.finish_reasons", &*record.finish);
        } else {
            let kind = match record.finish.as_str() {
                "" => record.outcome.as_str(),
                kind => kind,
            };
            span.record("error.type", kind);
            span.record("otel.status_code", "ERROR");
        }
        if let Some((prompt, answer)) = texts {
            span.record("gen_ai.input.messages", message("user", prompt));
            span.record("gen_ai.output.messages", message("assistant", answer));
        }
    }
}

/// One message in the JSON that the conventions ask for.
fn message(role: &str, text: &Redacted) -> String {
    let part = serde_json::json!({ "type": "text", "content": text.as_str() });
    serde_json::json!([{ "role": role, "parts": [part] }]).to_string()
}
