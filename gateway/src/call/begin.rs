//! The way to the first text: order, attempts, waits, and the next target.

use std::time::Duration;

use cairn_models::Cancel;
use metrics::counter;
use tokio::time::Instant;

use super::attempt::{Patience, attempt};
use super::backoff::wait;
use super::metering::Metered;
use super::{Call, estimate};
use crate::chat::{ChatRequest, ProviderError, ProviderErrorKind, ProviderEvent, ProviderStream};
use crate::routes::{Need, Plan, Route, Skipped, Target, TargetPermit, order};
use cairn_settings::telemetry::metrics as names;

/// A target that has begun to write.
pub(super) struct Begun {
    pub(super) target: Target,
    pub(super) first: ProviderEvent,
    pub(super) stream: ProviderStream,
    pub(super) permit: TargetPermit,
    pub(super) route: std::sync::Arc<Route>,
    /// When the whole call must be over.
    pub(super) end: Instant,
    pub(super) retries: u32,
    pub(super) fallbacks: u32,
    pub(super) notes: Vec<String>,
}

/// What was tried so far.
#[derive(Default)]
struct Tried {
    retries: u32,
    errors: Vec<ProviderError>,
    notes: Vec<String>,
}

/// Asks the targets of `plan` in order until one begins to write.
///
/// The time until the first text is shared: each target may use an equal part
/// of what is left, so that a silent one leaves time for those after it.
///
/// # Errors
/// Of the last target when all failed; at once when the request itself is
/// wrong, the caller cancelled, or no target takes the request.
pub(super) async fn begin(
    plan: &Plan,
    request: &ChatRequest,
    call: &Call,
    cancel: &Cancel,
    metered: &mut Metered,
) -> Result<Begun, ProviderError> {
    let start = Instant::now();
    let limits = plan.route.limits;
    let end = start + limits.total;
    let first_by = start + limits.first_token.min(limits.total);
    let id = match call.request_id.is_empty() {
        false => call.request_id.clone(),
        true => uuid::Uuid::now_v7().to_string(),
    };
    let need = Need {
        id: &id,
        tokens: estimate::prompt_tokens(request).saturating_add(request.max_tokens),
        now: start,
    };
    let (order, skipped) = order(&plan.targets, need, |target| metered.most(target, request));
    if order.is_empty() {
        return Err(no_target(&plan.route.name, &skipped));
    }
    let order = taking(plan, order, request)?;
    let mut tried = Tried::default();
    for (place, at) in order.iter().enumerate() {
        let target = &plan.targets[*at];
        let left = u32::try_from(order.len() - place).unwrap_or(u32::MAX);
        let share = first_by.saturating_duration_since(Instant::now()) / left;
        let patience = Patience {
            until: Instant::now() + share,
            pause: limits.token,
            end,
        };
        let asked = ask(
            target,
            request,
            &id,
            patience,
            left > 1,
            plan,
            cancel,
            &mut tried,
        )
        .await;
        match asked {
            Ok((first, stream, permit)) => {
                if *at != 0 || place != 0 {
                    metered.retarget(target.provider.name(), &target.model);
                }
                if let Some(last) = tried.errors.last() {
                    let label = target.label();
                    let note = format!("{label} answered instead: {}", last.message);
                    tried.notes.push(note);
                    counter!(names::LLM_FALLBACKS, "route" => plan.route.name.clone()).increment(1);
                }
                return Ok(Begun {
                    target: target.clone(),
                    first,
                    stream,
                    permit,
                    route: std::sync::Arc::clone(&plan.route),
                    end,
                    retries: tried.retries,
                    fallbacks: u32::try_from(tried.errors.len()).unwrap_or(u32::MAX),
                    notes: tried.notes,
                });
            }
            Err(error) if !error.kind.falls_over() => {
                metered.target_failed(&error);
                return Err(error);
            }
            Err(error) => {
                metered.target_failed(&error);
                tracing::warn!(
                    route = plan.route.name,
                    target = target.label(),
                    kind = error.kind.as_str(),
                    "a target did not answer: {error}"
                );
                tried.errors.push(error);
            }
        }
    }
    Err(all_failed(tried.errors))
}

/// The targets that know every parameter of `request`: none may be dropped in silence.
///
/// # Errors
/// `Rejected`, with the parameter's name, when there is no such target.
fn taking(
    plan: &Plan,
    order: Vec<usize>,
    request: &ChatRequest,
) -> Result<Vec<usize>, ProviderError> {
    let refuses = |at: &usize| plan.targets[*at].provider.refuses(request);
    let takes: Vec<usize> = order
        .iter()
        .copied()
        .filter(|at| refuses(at).is_none())
        .collect();
    let Some(first) = order.first().filter(|_| takes.is_empty()) else {
        return Ok(takes);
    };
    let name = plan.targets[*first].provider.name();
    let parameter = refuses(first).unwrap_or_default();
    let message = format!("{name} does not know `{parameter}`; leave it out or ask another model");
    Err(ProviderError::new(
        ProviderErrorKind::Rejected,
        name,
        message,
    ))
}

type Asked = (ProviderEvent, ProviderStream, TargetPermit);

/// One target with its attempts.
#[allow(clippy::too_many_arguments)]
async fn ask(
    target: &Target,
    request: &ChatRequest,
    id: &str,
    patience: Patience,
    others: bool,
    plan: &Plan,
    cancel: &Cancel,
    tried: &mut Tried,
) -> Result<Asked, ProviderError> {
    let mut retry = 0;
    loop {
        let permit = target
            .health
            .admit(Instant::now())
            .map_err(|wait| left_alone(target, wait))?;
        let start = Instant::now();
        let error = match attempt(target, request, patience, cancel).await {
            Ok((first, stream)) => {
                permit.first_token(start.elapsed(), Instant::now());
                count(target, "begun");
                return Ok((first, stream, permit));
            }
            Err(error) => error,
        };
        count(target, error.kind.as_str());
        match error.kind {
            // No one's fault: the permit is returned without a verdict.
            ProviderErrorKind::Cancelled => drop(permit),
            kind if kind.blames_target() => permit.failed(error.retry_after, Instant::now()),
            _ => permit.succeeded(),
        }
        if !error.kind.retryable() || retry >= plan.route.retries {
            return Err(error);
        }
        let wait = wait(id, retry, error.retry_after);
        // One that asks to be left alone is left alone, where there are others.
        let asks = others && error.retry_after.is_some_and(|wait| !wait.is_zero());
        if asks || Instant::now() + wait >= patience.until {
            return Err(error);
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = cancel.cancelled() => return Err(ProviderError::cancelled()),
        }
        retry += 1;
        tried.retries += 1;
    }
}

fn count(target: &Target, outcome: &'static str) {
    let provider = target.provider.name().to_owned();
    counter!(names::LLM_ATTEMPTS, "provider" => provider, "outcome" => outcome).increment(1);
}

fn left_alone(target: &Target, wait: Duration) -> ProviderError {
    let label = target.label();
    let name = target.provider.name();
    let message = format!(
        "{label} failed again and again and is left alone for {:.0} s",
        wait.as_secs_f32().ceil()
    );
    ProviderError {
        retry_after: Some(wait),
        ..ProviderError::new(ProviderErrorKind::Unreachable, name, message)
    }
}

fn no_target(route: &str, skipped: &[Skipped]) -> ProviderError {
    let reasons: Vec<&str> = skipped.iter().map(|skipped| skipped.0.as_str()).collect();
    ProviderError::new(
        ProviderErrorKind::NoTarget,
        "",
        format!(
            "no target of route `{route}` takes this call: {}",
            reasons.join("; ")
        ),
    )
}

/// One error for those of all targets.
fn all_failed(mut errors: Vec<ProviderError>) -> ProviderError {
    let Some(last) = errors.pop() else {
        return ProviderError::new(ProviderErrorKind::NoTarget, "", "no target was asked");
    };
    if errors.is_empty() {
        return last;
    }
    errors.push(last.clone());
    let messages: Vec<&str> = errors.iter().map(|error| error.message.as_str()).collect();
    ProviderError {
        message: format!("no provider answered: {}", messages.join("; ")),
        retry_after: errors.iter().filter_map(|error| error.retry_after).min(),
        ..last
    }
}
