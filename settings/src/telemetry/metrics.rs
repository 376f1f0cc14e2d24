//! Names of all metrics, and the recorder that `/metrics` reads.
//!
//! Rooms record through the `metrics` facade under these names; without a
//! service around them that costs next to nothing. Labels have few values:
//! never a question, a document or a request id.

use std::sync::OnceLock;

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Requests answered, by `method`, `route` and `status`.
pub const HTTP_REQUESTS: &str = "cairn_http_requests_total";
/// Seconds until the head of a response, by `route`.
pub const HTTP_SECONDS: &str = "cairn_http_request_seconds";
/// Requests and streams that are worked on now.
pub const HTTP_IN_FLIGHT: &str = "cairn_http_in_flight";
/// Open connections.
pub const CONNECTIONS: &str = "cairn_connections";
/// Connections that were closed, by `why`: `header`, `idle` or `unread` where they were
/// too slow, `crowded` where they made room for others.
pub const CONNECTIONS_CLOSED: &str = "cairn_connections_closed_total";
/// Bytes of bodies that are held for requests.
pub const BODIES_BYTES: &str = "cairn_http_bodies_bytes";
/// Passages that the re-ranker has read ahead, by `collection`.
pub const PASSAGES_READ: &str = "cairn_passages_read";
/// Passages that it is to read, by `collection`.
pub const PASSAGES: &str = "cairn_passages";
/// Failed requests and streams, by `code` of the table of errors.
pub const ERRORS: &str = "cairn_errors_total";
/// Seconds of one stage (`embed`, `lexical`, `dense`, `fuse`, `rerank`, ...).
pub const STAGE_SECONDS: &str = "cairn_stage_seconds";
/// Seconds from the question to the first word of its answer.
pub const FIRST_TOKEN_SECONDS: &str = "cairn_first_token_seconds";
/// Seconds from the question to the end of its answer.
pub const ANSWER_SECONDS: &str = "cairn_answer_seconds";
/// Answers by `outcome`: `answered`, `refused`, `failed` or `abandoned`.
pub const ANSWERS: &str = "cairn_answers_total";
/// Answers and searches in which a stage was cut short.
pub const DEGRADED: &str = "cairn_degraded_total";
/// Tokens by `kind`, `prompt` or `completion`, and `provider`.
pub const TOKENS: &str = "cairn_tokens_total";
/// Calls to models and caches, by `route`, `provider`, `outcome` and `cache`.
pub const CALLS: &str = "cairn_llm_calls_total";
/// Seconds of one call, by `route` and `provider`.
pub const CALL_SECONDS: &str = "cairn_llm_call_seconds";
/// Seconds until the first token of a call, by `route` and `provider`.
pub const CALL_FIRST_TOKEN_SECONDS: &str = "cairn_llm_first_token_seconds";
/// What calls cost, in billionths of a US dollar, by `provider`.
pub const COST: &str = "cairn_llm_cost_nanousd_total";
/// Requests and calls that a limit of their key refused, by `limit`.
pub const LIMITED: &str = "cairn_limited_total";
/// Calls that the ledger could not take.
pub const LEDGER_LOST: &str = "cairn_ledger_lost_total";
/// Attempts with language models, by `provider` and `outcome`: `begun`, or the
/// kind of the error.
pub const LLM_ATTEMPTS: &str = "cairn_llm_attempts_total";
/// Calls that were answered by another target than the first, by `route`.
pub const LLM_FALLBACKS: &str = "cairn_llm_fallbacks_total";
/// Looks into the cache of answers, by `result`: `exact`, `semantic`, `joined`,
/// `stale` or `miss`.
pub const LLM_CACHE: &str = "cairn_llm_cache_total";
/// Chunks of the last commit, by `collection`.
pub const INDEX_CHUNKS: &str = "cairn_index_chunks";
/// Documents of the last commit, by `collection`.
pub const INDEX_DOCUMENTS: &str = "cairn_index_documents";
/// Number of the last commit, by `collection`.
pub const INDEX_GENERATION: &str = "cairn_index_generation";
/// Uploads and deletions that wait for the writer.
pub const WRITE_QUEUE: &str = "cairn_write_queue";
/// Documents written, by `outcome`: `stored`, `deleted` or `failed`.
pub const DOCUMENTS: &str = "cairn_documents_total";
/// Seconds of one batch of the writer: embed, commit and fsync.
pub const WRITE_SECONDS: &str = "cairn_write_seconds";
/// Jobs that run now, in this process.
pub const JOBS_RUNNING: &str = "cairn_jobs_running";
/// Jobs that a worker could take now.
pub const JOBS_READY: &str = "cairn_jobs_ready";
/// Seconds that the oldest of those has waited.
pub const JOBS_OLDEST_SECONDS: &str = "cairn_jobs_oldest_ready_seconds";
/// Attempts that ended in this process, by `outcome`: `done`, `failed`, `cancelled`,
/// `asked`, `released` or `stale`.
pub const JOBS_ENDED: &str = "cairn_job_attempts_total";
/// Runs of agents.
pub const AGENT_RUNS: &str = "cairn_agent_runs_total";
/// Calls of tools by agents.
pub const TOOL_CALLS: &str = "cairn_tool_calls_total";
/// Time of one call of a tool.
pub const TOOL_SECONDS: &str = "cairn_tool_seconds";

/// Bounds of histograms in seconds: from a word search to a slow answer.
const SECONDS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    60.0, 120.0,
];

/// Starts recording, once in a process, and returns what renders the page.
///
/// # Errors
/// When another recorder is set already, which Cairn itself never does.
pub fn recorder() -> anyhow::Result<&'static PrometheusHandle> {
    static HANDLE: OnceLock<Result<PrometheusHandle, String>> = OnceLock::new();
    let handle = HANDLE.get_or_init(|| {
        let handle = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), SECONDS)
            .and_then(PrometheusBuilder::install_recorder)
            .map_err(|error| format!("metrics cannot be recorded: {error}"))?;
        describe();
        Ok(handle)
    });
    handle.as_ref().map_err(|error| anyhow::anyhow!("{error}"))
}

fn describe() {
    describe_counter!(HTTP_REQUESTS, "Requests answered");
    describe_histogram!(
        HTTP_SECONDS,
        Unit::Seconds,
        "Time to the head of a response"
    );
    describe_gauge!(HTTP_IN_FLIGHT, "Requests and streams being worked on");
    describe_gauge!(CONNECTIONS, "Open connections");
    describe_counter!(
        CONNECTIONS_CLOSED,
        "Connections that were closed, by reason"
    );
    describe_gauge!(
        BODIES_BYTES,
        Unit::Bytes,
        "Bodies that are held for requests"
    );
    describe_counter!(ERRORS, "Failed requests and streams");
    describe_histogram!(
        STAGE_SECONDS,
        Unit::Seconds,
        "Time of one stage of a search"
    );
    describe_histogram!(FIRST_TOKEN_SECONDS, Unit::Seconds, "Question to first word");
    describe_histogram!(ANSWER_SECONDS, Unit::Seconds, "Question to end of answer");
    describe_counter!(ANSWERS, "Answers by outcome");
    describe_counter!(DEGRADED, "Responses in which a stage was cut short");
    describe_counter!(TOKENS, "Tokens read and written by language models");
    describe_counter!(CALLS, "Calls to language models and their caches");
    describe_histogram!(CALL_SECONDS, Unit::Seconds, "Time of one call");
    describe_histogram!(
        CALL_FIRST_TOKEN_SECONDS,
        Unit::Seconds,
        "Call to its first token"
    );
    describe_counter!(COST, "Cost of calls in billionths of a US dollar");
    describe_counter!(LIMITED, "Requests that a limit of their key refused");
    describe_counter!(LEDGER_LOST, "Calls that the ledger could not take");
    describe_counter!(LLM_ATTEMPTS, "Attempts with language models");
    describe_counter!(
        LLM_FALLBACKS,
        "Calls answered by another target than the first"
    );
    describe_counter!(LLM_CACHE, "Looks into the cache of answers");
    describe_gauge!(INDEX_CHUNKS, "Chunks of the last commit");
    describe_gauge!(INDEX_DOCUMENTS, "Documents of the last commit");
    describe_gauge!(INDEX_GENERATION, "Number of the last commit");
    describe_gauge!(PASSAGES_READ, "Passages that the re-ranker has read ahead");
    describe_gauge!(PASSAGES, "Passages that the re-ranker is to read ahead");
    describe_gauge!(WRITE_QUEUE, "Uploads and deletions waiting for the writer");
    describe_counter!(DOCUMENTS, "Documents written or deleted");
    describe_gauge!(JOBS_RUNNING, "Jobs that run in this process");
    describe_gauge!(JOBS_READY, "Jobs that a worker could take now");
    describe_gauge!(
        JOBS_OLDEST_SECONDS,
        Unit::Seconds,
        "Time that the oldest of those has waited"
    );
    describe_counter!(JOBS_ENDED, "Attempts of jobs that ended, by outcome");
    describe_counter!(AGENT_RUNS, "Runs of agents, by outcome");
    describe_counter!(TOOL_CALLS, "Calls of tools by agents, by outcome");
    describe_histogram!(TOOL_SECONDS, Unit::Seconds, "Time of one call of a tool");
    describe_histogram!(
        WRITE_SECONDS,
        Unit::Seconds,
        "Time of one batch of the writer"
    );
}
