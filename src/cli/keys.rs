//! `cairn keys`: API keys are made, listed, replaced and taken back. A running
//! service sees a change within a second.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use clap::ArgAction;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::json;

use super::context::Context;
use super::failure::BadUsage;
use super::indexing::count;
use super::{Outcome, output};
use cairn_gateway::accounts::{
    AccountsError, Caller, KeyInfo, Keys, KeysState, NewKey, Scope, Scopes, SecretKey,
};
use cairn_settings::config::KeyLimits;

/// What to do with keys.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Action {
    /// Create a key, and show it this one time
    Create(Box<Create>),
    /// List all keys, without their secrets
    List,
    /// Revoke a key
    Revoke {
        /// ID of the key, from `cairn keys list`
        id: String,
    },
    /// Delete every key and stop requiring keys: from its next start, anyone who can reach
    /// the service may do everything
    Open {
        /// Confirm
        #[arg(long)]
        yes: bool,
    },
    /// Replace the secret of a key; its ID, limits and history stay
    Rotate {
        /// ID of the key, from `cairn keys list`
        id: String,
        /// How long the old secret keeps working, e.g. 1h or 7d
        #[arg(long, value_name = "TIME", default_value = "0s", value_parser = duration)]
        grace: Duration,
    },
}

/// What the key is to be.
#[derive(Debug, clap::Args)]
pub(super) struct Create {
    /// Name, for example of the person or program that uses the key
    name: String,
    /// Tenant that the key belongs to; tenants have separate caches and costs
    #[arg(long, default_value = "")]
    tenant: String,
    /// Let the key read documents with this label, as well as those without labels; `*` for all
    /// documents; may be repeated
    #[arg(long = "label", value_name = "LABEL", action = ArgAction::Append)]
    labels: Vec<String>,
    /// Scopes, separated by commas: search, query, documents:write, jobs, chat, tools, metrics,
    /// admin
    #[arg(long = "scope", value_name = "SCOPE", value_delimiter = ',', default_values = ["search", "query"])]
    scopes: Vec<Scope>,
    /// When the key expires: after a time such as 90d, or at the end of a day (UTC) such as
    /// 2030-01-31 [default: never]
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    expires: Option<SystemTime>,
    #[command(flatten)]
    limits: LimitArgs,
}

/// Limits; those that are not given come from `[limits]` in the configuration.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Limits")]
struct LimitArgs {
    /// Requests per minute
    #[arg(long, value_name = "N")]
    requests_per_minute: Option<u64>,
    /// Answers in progress at a time
    #[arg(long, value_name = "N")]
    concurrent_streams: Option<u32>,
    /// Tokens per minute, of prompts and answers together
    #[arg(long, value_name = "N")]
    tokens_per_minute: Option<u64>,
    /// Tokens per day (UTC)
    #[arg(long, value_name = "N")]
    tokens_per_day: Option<u64>,
    /// Tokens per month (UTC)
    #[arg(long, value_name = "N")]
    tokens_per_month: Option<u64>,
    /// US dollars per day (UTC)
    #[arg(long, value_name = "USD")]
    usd_per_day: Option<f64>,
    /// US dollars per month (UTC)
    #[arg(long, value_name = "USD")]
    usd_per_month: Option<f64>,
}

impl Create {
    fn new_key(&self) -> NewKey {
        let limits = &self.limits;
        NewKey {
            name: self.name.clone(),
            tenant: self.tenant.clone(),
            labels: self.labels.iter().cloned().collect(),
            scopes: self.scopes.iter().copied().collect(),
            limits: KeyLimits {
                requests_per_minute: limits.requests_per_minute,
                concurrent_streams: limits.concurrent_streams,
                tokens_per_minute: limits.tokens_per_minute,
                tokens_per_day: limits.tokens_per_day,
                tokens_per_month: limits.tokens_per_month,
                usd_per_day: limits.usd_per_day,
                usd_per_month: limits.usd_per_month,
            },
            expires_at: self.expires,
        }
    }
}

/// Runs the sub-command.
pub(super) fn run(context: &Context, action: &Action) -> anyhow::Result<Outcome> {
    let data_dir = &context.config.storage.data_dir;
    if let Action::Open { yes: false } = action {
        return Err(BadUsage::new(
            "this deletes every API key and opens the service to everybody who reaches it; say \
             --yes if that is what you want",
        )
        .into());
    }
    let keys = Keys::open(data_dir)?;
    match action {
        Action::Create(create) => {
            let (info, secret) = keys.create(&create.new_key()).map_err(usage)?;
            show_secret(context, &info, &secret)?;
        }
        Action::Rotate { id, grace } => {
            let (info, secret) = keys.rotate(id, *grace).map_err(usage)?;
            show_secret(context, &info, &secret)?;
        }
        Action::Revoke { id } => {
            let info = keys.revoke(id).map_err(usage)?;
            if context.json {
                output::json(&described(&info))?;
            } else {
                output::line(format!("{} ({}) is revoked", info.id, info.name))?;
            }
        }
        Action::List => {
            list(context, &keys.list()?)?;
            if let KeysState::Lost(error) = Keys::state(data_dir) {
                context.say_warning(error.to_string());
            }
        }
        Action::Open { .. } => open(context, &keys)?,
    }
    Ok(Outcome::Done)
}

fn open(context: &Context, keys: &Keys) -> anyhow::Result<()> {
    let deleted = keys.open_to_everybody()?;
    if context.json {
        return output::json(&json!({ "deleted": deleted, "required": false }));
    }
    context.say(format!(
        "{} deleted, and none is required from the next start of the service on.",
        count(deleted, "key"),
    ));
    Ok(())
}

/// What the user asked for makes no sense, as opposed to a database that fails.
fn usage(error: AccountsError) -> anyhow::Error {
    match error {
        AccountsError::Invalid(message) => BadUsage::new(message).into(),
        other => other.into(),
    }
}

/// The one place where a whole key is shown.
fn show_secret(context: &Context, info: &KeyInfo, secret: &SecretKey) -> anyhow::Result<()> {
    if context.json {
        let mut document = described(info);
        document["key"] = json!(secret.expose());
        return output::json(&document);
    }
    output::line(secret.expose())?;
    context.say(format!(
        "Key {} for {}: {}; reads {}. It is not shown again.",
        info.id,
        info.name,
        scopes(&info.scopes),
        readable(info),
    ));
    Ok(())
}

fn described(info: &KeyInfo) -> serde_json::Value {
    let mut document = json!(info);
    document["state"] = json!(info.state());
    document
}

fn list(context: &Context, keys: &[KeyInfo]) -> anyhow::Result<()> {
    if context.json {
        let rows: Vec<_> = keys.iter().map(described).collect();
        return output::json(&json!({ "keys": rows }));
    }
    let head = [
        "ID", "NAME", "TENANT", "STATE", "SCOPES", "READS", "LIMITS", "EXPIRES",
    ];
    let mut rows = vec![head.map(String::from).to_vec()];
    for info in keys {
        let state = match info.state() {
            "active" => context.palette.good.apply_to("active"),
            state => context.palette.dim.apply_to(state),
        };
        rows.push(vec![
            info.id.to_string(),
            output::printable(&info.name),
            output::printable(&info.tenant),
            state.to_string(),
            scopes(&info.scopes),
            output::printable(&readable(info)),
            limits(&info.limits),
            info.expires_at.map(day).unwrap_or_default(),
        ]);
    }
    output::piece(&output::table(&rows))?;
    if keys.is_empty()
        && matches!(
            Keys::state(&context.config.storage.data_dir),
            KeysState::Open
        )
    {
        context.say("No keys: a service on this machine is open to everybody who reaches it.");
    }
    Ok(())
}

fn scopes(scopes: &Scopes) -> String {
    let names: Vec<&str> = scopes.iter().map(Scope::as_str).collect();
    names.join(",")
}

/// What a key reads, in words.
fn readable(info: &KeyInfo) -> String {
    let caller = Caller::new(
        info.id.clone(),
        String::new(),
        &info.labels,
        info.scopes.clone(),
    );
    let named = |labels: &BTreeSet<String>| labels.iter().cloned().collect::<Vec<_>>().join(",");
    match caller.labels() {
        None => "everything".to_owned(),
        Some(labels) if labels.is_empty() => "what has no label".to_owned(),
        Some(labels) => named(labels),
    }
}

fn limits(limits: &KeyLimits) -> String {
    let parts = [
        limits.requests_per_minute.map(|n| format!("{n} req/min")),
        limits.concurrent_streams.map(|n| format!("{n} streams")),
        limits.tokens_per_minute.map(|n| format!("{n} tok/min")),
        limits.tokens_per_day.map(|n| format!("{n} tok/day")),
        limits.tokens_per_month.map(|n| format!("{n} tok/month")),
        limits.usd_per_day.map(|n| format!("${n}/day")),
        limits.usd_per_month.map(|n| format!("${n}/month")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn day(millis: i64) -> String {
    let at = Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH);
    TimeZone::UTC.to_datetime(at).date().to_string()
}

/// `90d`, `12h`, `30m`, `45s`.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a time; write it like 90d, 12h, 30m or 45s");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        'd' => 86_400,
        'h' => 3600,
        'm' => 60,
        's' => 1,
        _ => return Err(wrong()),
    };
    let count: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    let most = 200 * 365 * 86_400;
    count
        .checked_mul(seconds)
        .filter(|seconds| *seconds <= most)
        .map(Duration::from_secs)
        .ok_or_else(wrong)
}

/// A time from now, or the end of a day in UTC.
fn moment(text: &str) -> Result<SystemTime, String> {
    if let Ok(from_now) = duration(text) {
        return Ok(SystemTime::now() + from_now);
    }
    let end = |date: Date| {
        Some(
            date.tomorrow()
                .ok()?
                .to_zoned(TimeZone::UTC)
                .ok()?
                .timestamp(),
        )
    };
    let date: Option<Date> = text.parse().ok();
    date.and_then(end).map(SystemTime::from).ok_or_else(|| {
        format!("`{text}` is neither a time such as 90d nor a day such as 2030-01-31")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7200)));
        assert_eq!(duration("90d"), Ok(Duration::from_secs(90 * 86_400)));
        for bad in ["", "d", "5", "-1d", "1w", "99999999999d", "ä"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        let end = moment("2030-01-31").unwrap();
        let since = end.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(since, Duration::from_secs(1_896_134_400));
        assert!(moment("2030-02-31").is_err());
    }
}
