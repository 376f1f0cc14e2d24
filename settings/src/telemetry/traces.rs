//! Traces over OTLP: the span of each request, and of each call to a model in
//! it, with the names of OpenTelemetry's HTTP and GenAI conventions.
//!
//! Spans wait in a bounded queue for a thread of their own. A collector that is
//! slow or gone costs spans, and never time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use http::{HeaderMap, HeaderName};
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{Status, TraceContextExt as _, TracerProvider as _};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, SpanData, SpanExporter as Export};
use tracing::{Level, Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use crate::config::Otel;

/// How long one delivery may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How long the last delivery may hold up the end of the process.
const SHUTDOWN: Duration = Duration::from_secs(3);

/// Spans with this target are for traces and of no use in the log.
pub const TRACE_TARGET: &str = "cairn::trace";

/// Name of the span of a request.
pub const REQUEST_SPAN: &str = "request";

/// Whether traces are sent by this process.
static ON: AtomicBool = AtomicBool::new(false);

/// What [`finish_traces`] ends.
static RUNNING: Mutex<Option<Traces>> = Mutex::new(None);

/// Sends spans to a collector.
#[derive(Clone, Debug)]
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// Starts sending to the collector of `config`. No connection is made yet.
    ///
    /// # Errors
    /// When the endpoint or a header cannot be used.
    pub fn start(config: &Otel) -> anyhow::Result<Self> {
        let base = config.endpoint.trim_end_matches('/');
        let endpoint = match base.ends_with("/v1/traces") {
            true => base.to_owned(),
            false => format!("{base}/v1/traces"),
        };
        anyhow::ensure!(
            endpoint.starts_with("http://") || endpoint.starts_with("https://"),
            "telemetry.otel.endpoint must begin with http:// or https://, not `{}`",
            config.endpoint
        );
        let exporter = SpanExporter::builder()
            .with_http()
            .with_endpoint(endpoint)
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(TIMEOUT)
            .with_headers(headers(config)?)
            .build()
            .context("telemetry.otel cannot be used")?;
        let resource = Resource::builder()
            .with_service_name(config.service_name.clone())
            .build();
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(config.sample)));
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(Told {
                inner: exporter,
                failing: Arc::default(),
            })
            .with_sampler(sampler)
            .with_resource(resource)
            .build();
        ON.store(true, Ordering::Relaxed);
        Ok(Self(provider))
    }

    /// The layer that turns spans of this crate into traces. Events stay in the
    /// log: they may hold what an operator allowed for the log alone.
    pub fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        let wanted = filter_fn(|metadata| {
            let known = metadata.target() == TRACE_TARGET || metadata.name() == REQUEST_SPAN;
            metadata.is_span() && known && *metadata.level() <= Level::INFO
        });
        tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer("cairn"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(wanted)
    }

    /// Sends what waits, within seconds, and ends.
    pub fn finish(&self) {
        if let Err(error) = self.0.shutdown_with_timeout(SHUTDOWN) {
            tracing::debug!(%error, "the last traces were not sent");
        }
    }

    /// Keeps it until [`finish_traces`].
    pub(super) fn keep(self) {
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        *running = Some(self);
    }
}

/// Sends the traces that wait, before the process ends. Blocks for seconds at
/// most.
pub fn finish_traces() {
    let running = RUNNING
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    if let Some(traces) = running {
        traces.finish();
    }
}

/// The headers of a request, as the propagator reads them.
struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

/// Makes `span` the server's part of the trace that a caller began, if `headers`
/// hold a `traceparent`. Does nothing where no traces are sent.
pub fn begin_request(span: &Span, method: &str, route: &str, headers: &HeaderMap) {
    if !ON.load(Ordering::Relaxed) {
        return;
    }
    let parent = TraceContextPropagator::new().extract(&Headers(headers));
    if parent.span().span_context().is_valid() {
        // It fails for spans that are not traced alone.
        span.set_parent(parent).ok();
    }
    span.record("otel.name", format!("{method} {route}"));
    span.record("otel.kind", "server");
    span.set_attribute("http.request.method", method.to_owned());
    span.set_attribute("http.route", route.to_owned());
}

/// Notes the status of a request that [`begin_request`] began.
pub fn end_request(span: &Span, status: u16) {
    if !ON.load(Ordering::Relaxed) {
        return;
    }
    span.set_attribute("http.response.status_code", i64::from(status));
    if status >= 500 {
        span.set_status(Status::error(""));
    }
}

/// The headers of the configuration, and those of the environment variable that
/// it names.
fn headers(config: &Otel) -> anyhow::Result<HashMap<String, String>> {
    let mut headers: HashMap<String, String> = config.headers.clone().into_iter().collect();
    let variable = &config.headers_env;
    let secret = match variable.is_empty() {
        true => String::new(),
        false => std::env::var(variable).unwrap_or_default(),
    };
    for pair in secret.split(',').filter(|pair| !pair.trim().is_empty()) {
        // The value is a secret, and is not repeated here.
        let (name, value) = pair
            .split_once('=')
            .with_context(|| format!("{variable} must be written like name=value,name=value"))?;
        headers.insert(name.trim().to_owned(), value.trim().to_owned());
    }
    Ok(headers)
}

/// Says once when a collector cannot be reached, and when it is back.
#[derive(Debug)]
struct Told<E> {
    inner: E,
    failing: Arc<AtomicBool>,
}

impl<E: Export> Export for Told<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let result = self.inner.export(batch).await;
        let failed = result.is_err();
        if self.failing.swap(failed, Ordering::Relaxed) != failed {
            match &result {
                Ok(()) => tracing::info!("traces are sent again"),
                Err(error) => tracing::warn!(
                    %error,
                    "traces cannot be sent and are dropped; check telemetry.otel.endpoint"
                ),
            }
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn an_endpoint_that_is_no_url_is_named() {
        let mut otel = Config::default().telemetry.otel;
        otel.endpoint = "collector:4318".into();
        let error = Traces::start(&otel).unwrap_err().to_string();
        assert!(error.contains("collector:4318"), "{error}");
    }

    #[test]
    fn headers_come_from_both_places() {
        let mut otel = Config::default().telemetry.otel;
        otel.headers.insert("x-team".into(), "search".into());
        // A variable that every machine has and that holds no pair.
        otel.headers_env = "PATH".into();
        let error = headers(&otel).unwrap_err().to_string();
        assert!(error.starts_with("PATH must be"), "{error}");
        otel.headers_env = String::new();
        assert_eq!(headers(&otel).unwrap()["x-team"], "search");
    }
}
