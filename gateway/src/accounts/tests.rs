//! Accounts as a whole: admission, settlement, revocation, and the ledger after
//! a kill.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::usage::{Group, Period, UsageReader};
use super::*;
use crate::Usage;
use cairn_settings::config::{Config, KeyLimits, PriceConfig};

fn config(dir: &Path) -> Config {
    let mut config = Config::default();
    config.storage.data_dir = dir.to_owned();
    config.prices = vec![PriceConfig {
        model: "p/*".into(),
        input: 1.0,
        cached_input: None,
        output: 2.0,
    }];
    config
}

fn call() -> CallInfo {
    CallInfo {
        request_id: "r1".into(),
        route: "answer".into(),
        provider: "p".into(),
        model: "m".into(),
    }
}

fn estimate(prompt_tokens: usize, max_completion_tokens: usize) -> Estimate {
    Estimate {
        prompt_tokens,
        max_completion_tokens,
    }
}

fn new_key(limits: KeyLimits) -> NewKey {
    NewKey {
        name: "bot".into(),
        tenant: "acme".into(),
        scopes: [Scope::Query].into_iter().collect(),
        limits,
        ..NewKey::default()
    }
}

/// Waits for what the ledger's thread does in its own time.
fn eventually(mut test: impl FnMut() -> bool) {
    let start = Instant::now();
    while !test() {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "it never happened"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn done(reservation: Reservation, prompt: usize, completion: usize, accounts: &Accounts) {
    let mut record = reservation.draft();
    record.usage = Usage {
        prompt_tokens: prompt,
        completion_tokens: completion,
        ..Usage::default()
    };
    record.usage.cost_usd = accounts.price(&record.provider, &record.model, &record.usage);
    record.outcome = Outcome::Done;
    record.finish = "stop".into();
    reservation.settle(record);
}

#[test]
fn absurd_counts_break_no_sum() {
    let dir = tempfile::tempdir().unwrap();
    let accounts = Accounts::open(&config(dir.path())).unwrap();
    let limits = KeyLimits {
        tokens_per_day: Some(1000),
        ..KeyLimits::default()
    };
    let keys = Keys::open(dir.path()).unwrap();
    let (_, secret) = keys.create(&new_key(limits)).unwrap();
    eventually(|| accounts.authenticate(secret.expose()).is_ok());
    let caller = accounts.authenticate(secret.expose()).unwrap();
    for _ in 0..3 {
        let reservation = accounts
            .admit(&Caller::anonymous(), estimate(1, 1), call())
            .unwrap();
        done(reservation, usize::MAX, usize::MAX, &accounts);
    }
    let reservation = accounts.admit(&caller, estimate(1, 1), call()).unwrap();
    done(reservation, usize::MAX, usize::MAX, &accounts);
    accounts.flush();
    let reader = UsageReader::open(dir.path()).unwrap();
    let sums = reader.sums(Group::Route, Period::default()).unwrap();
    // No row holds more than 2^40.
    assert_eq!((sums[0].calls, sums[0].prompt_tokens), (4, 4 << 40));
    // What was spent is read again by the next process.
    drop(accounts);
    let accounts = Accounts::open(&config(dir.path())).unwrap();
    let caller = accounts.authenticate(secret.expose()).unwrap();
    assert!(accounts.admit(&caller, estimate(1, 1), call()).is_err());
}

#[test]
fn a_call_is_booked_once_with_what_it_took() {
    let dir = tempfile::tempdir().unwrap();
    let accounts = Accounts::open(&config(dir.path())).unwrap();
    let caller = Caller::anonymous();
    let reservation = accounts
        .admit(&caller, estimate(1000, 500), call())
        .unwrap();
    accounts.flush();
    let reader = UsageReader::open(dir.path()).unwrap();
    let open = reader.calls(10, Period::default()).unwrap().remove(0);
    // While it is under way, its prompt is on the bill.
    assert_eq!((open.outcome.as_str(), open.prompt_tokens), ("open", 1000));
    assert!((open.cost_usd - 0.001).abs() < 1e-12);

    assert!(reservation.streamed(3));
    let ids = CallIds::default();
    ids.add(reservation.call_id());
    done(reservation, 900, 100, &accounts);
    accounts.judge(&ids, false, 2);
    accounts.flush();
    let calls = reader.calls(10, Period::default()).unwrap();
    assert_eq!(calls.len(), 1);
    let row = &calls[0];
    assert_eq!(
        (row.outcome.as_str(), row.finish.as_str()),
        ("done", "stop")
    );
    assert_eq!((row.prompt_tokens, row.completion_tokens), (900, 100));
    assert!((row.cost_usd - 0.0011).abs() < 1e-12);
    assert_eq!((row.refused, row.citations), (Some(false), Some(2)));
    assert!(row.ttft_ms.is_some());
    for group in Group::ALL {
        if group == Group::Collection {
            continue;
        }
        let sums = reader.sums(group, Period::default()).unwrap();
        assert_eq!((sums.len(), sums[0].calls, sums[0].failed), (1, 1, 0));
        assert_eq!(sums[0].completion_tokens, 100);
    }
}

#[test]
fn a_call_is_judged_by_its_own_id_and_not_by_one_that_clients_choose() {
    let dir = tempfile::tempdir().unwrap();
    let accounts = Accounts::open(&config(dir.path())).unwrap();
    let admit = || {
        accounts
            .admit(&Caller::anonymous(), estimate(1, 1), call())
            .unwrap()
    };
    // Two requests that came with one `x-request-id`.
    let (one, other) = (admit(), admit());
    let (ids, own) = (CallIds::default(), one.call_id().to_string());
    ids.add(one.call_id());
    done(one, 1, 1, &accounts);
    done(other, 1, 1, &accounts);
    accounts.judge(&ids, true, 0);
    accounts.flush();
    let reader = UsageReader::open(dir.path()).unwrap();
    let calls = reader.calls(10, Period::default()).unwrap();
    assert_eq!(calls.len(), 2);
    for call in calls {
        let expected = (call.call_id == own).then_some(true);
        assert_eq!((call.request_id.as_str(), call.refused), ("r1", expected));
    }
}

#[test]
fn a_dropped_stream_pays_for_what_was_streamed() {
    let dir = tempfile::tempdir().unwrap();
    let accounts = Accounts::open(&config(dir.path())).unwrap();
    let mut reservation = accounts
        .admit(&Caller::anonymous(), estimate(100, 500), call())
        .unwrap();
    assert!(reservation.streamed(7) && reservation.streamed(4));
    reservation.retarget("p", "other");
    drop(reservation);
    accounts.flush();
    let reader = UsageReader::open(dir.path()).unwrap();
    let row = reader.calls(1, Period::default()).unwrap().remove(0);
    assert_eq!(
        (row.outcome.as_str(), row.model.as_str()),
        ("broken", "other")
    );
    assert_eq!(
        (row.prompt_tokens, row.completion_tokens, row.fallbacks),
        (100, 11, 1)
    );
    assert!((row.cost_usd - 0.000_122).abs() < 1e-12);
}

#[test]
fn keys_made_and_revoked_elsewhere_are_seen() {
    let dir = tempfile::tempdir().unwrap();
    let accounts = Accounts::open(&config(dir.path())).unwrap();
    assert!(!accounts.requires_keys());
    let keys = Keys::open(dir.path()).unwrap();
    let (info, secret) = keys.create(&new_key(KeyLimits::default())).unwrap();
    eventually(|| accounts.requires_keys());
    let caller = accounts.authenticate(secret.expose()).unwrap();
    assert_eq!((caller.key(), caller.tenant()), (Some(&info.id), "acme"));

    // Another last letter than the secret's, which is any.
    let (most, last) = secret.expose().split_at(secret.expose().len() - 1);
    let wrong = format!("{most}{}", if last == "x" { 'y' } else { 'x' });
    for text in ["", "x", wrong.as_str()] {
        assert_eq!(accounts.authenticate(text).unwrap_err(), AuthError::Unknown);
    }
    let (_, rotated) = keys.rotate(info.id.as_str(), Duration::ZERO).unwrap();
    eventually(|| accounts.authenticate(rotated.expose()).is_ok());
    assert_eq!(
        accounts.authenticate(secret.expose()).unwrap_err(),
        AuthError::Unknown
    );

    keys.revoke(info.id.as_str()).unwrap();
    eventually(|| accounts.authenticate(rotated.expose()).is_err());
    assert_eq!(
        accounts.authenticate(rotated.expose()).unwrap_err(),
        AuthError::Revoked
    );
    // The last key is gone, and the service stays closed.
    assert!(accounts.requires_keys());
}

#[test]
fn budgets_hold_across_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let keys = Keys::open(dir.path()).unwrap();
    let limits = KeyLimits {
        tokens_per_day: Some(1000),
        ..KeyLimits::default()
    };
    let (_, secret) = keys.create(&new_key(limits)).unwrap();
    let accounts = Accounts::open(&config).unwrap();
    let caller = accounts.authenticate(secret.expose()).unwrap();
    let first = accounts.admit(&caller, estimate(300, 300), call()).unwrap();
    let refused = accounts.admit(&caller, estimate(300, 300), call());
    assert_eq!(refused.err().unwrap().kind, LimitKind::Day);
    done(first, 300, 100, &accounts);
    let second = accounts.admit(&caller, estimate(300, 300), call()).unwrap();
    done(second, 300, 200, &accounts);
    drop(accounts);

    let accounts = Accounts::open(&config).unwrap();
    let refused = accounts.admit(&caller, estimate(100, 1), call());
    assert_eq!(refused.err().unwrap().kind, LimitKind::Day);
    accounts.admit(&caller, estimate(99, 1), call()).unwrap();
}

#[test]
fn samples_hold_masked_text_and_only_when_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    for (share, expected) in [(0.0, 0), (1.0, 1)] {
        config.telemetry.samples.share = share;
        let accounts = Accounts::open(&config).unwrap();
        let mut reservation = accounts
            .admit(&Caller::anonymous(), estimate(1, 1), call())
            .unwrap();
        assert_eq!(reservation.wants_text(), share > 0.0);
        reservation.prompt(|| "Write to jane@example.com".into());
        reservation.answer("Call ");
        reservation.answer("+49 30 1234567.");
        done(reservation, 1, 1, &accounts);
        drop(accounts);
        let reader = UsageReader::open(dir.path()).unwrap();
        let rows = reader.samples(10, Period::default()).unwrap();
        assert_eq!(rows.len(), expected);
        assert!(
            rows.iter()
                .all(|row| row.prompt == "Write to [EMAIL]" && row.answer == "Call [PHONE].")
        );
    }
}

/// The folder of the ledger that [`writes_until_it_is_killed`] writes.
const VICTIM: &str = "CAIRN_TEST_LEDGER";

/// Not a test of its own: the process that [`a_killed_process_loses_nothing_that_was_flushed`]
/// kills.
#[test]
fn writes_until_it_is_killed() {
    let Some(dir) = std::env::var_os(VICTIM) else {
        return;
    };
    let accounts = Accounts::open(&config(Path::new(&dir))).unwrap();
    loop {
        let settled = accounts
            .admit(&Caller::anonymous(), estimate(10, 10), call())
            .unwrap();
        // One that is under way all the time.
        let open = accounts
            .admit(&Caller::anonymous(), estimate(5, 10), call())
            .unwrap();
        let id = settled.draft().call_id;
        done(settled, 10, 3, &accounts);
        accounts.flush();
        println!("flushed {id}");
        std::mem::forget(open);
    }
}

#[test]
fn a_killed_process_loses_nothing_that_was_flushed() {
    let dir = tempfile::tempdir().unwrap();
    let name = "accounts::tests::writes_until_it_is_killed";
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(VICTIM, dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut flushed = Vec::new();
    for line in BufReader::new(victim.stdout.take().unwrap()).lines() {
        if let Some((_, id)) = line.unwrap().split_once("flushed ") {
            flushed.push(id.to_owned());
        }
        if flushed.len() == 20 {
            victim.kill().unwrap();
        }
    }
    victim.wait().unwrap();

    let accounts = Accounts::open(&config(dir.path())).unwrap();
    let reader = UsageReader::open(dir.path()).unwrap();
    let rows = reader.calls(usize::MAX, Period::default()).unwrap();
    for id in &flushed {
        let found: Vec<_> = rows.iter().filter(|row| row.call_id == *id).collect();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].outcome, "done");
    }
    // Calls that were under way are on the bill with their prompts.
    let open = rows.iter().filter(|row| row.outcome == "open").count();
    assert!(open >= flushed.len(), "{open}");
    let sum = |rows: &[usage::UsageRow]| rows[0].prompt_tokens;
    let before = reader.sums(Group::Route, Period::default()).unwrap();
    assert!(sum(&before) >= 15 * flushed.len() as u64);

    // The same settlement again, as a process that repeats its work would do.
    let mut again = accounts
        .admit(&Caller::anonymous(), estimate(10, 10), call())
        .unwrap()
        .draft();
    accounts.flush();
    let before = reader.sums(Group::Route, Period::default()).unwrap();
    again.call_id = flushed[0].parse().unwrap();
    again.outcome = Outcome::Done;
    again.usage.prompt_tokens = 1_000_000;
    accounts.record(super::ledger::Entry::Settled(Box::new(again)));
    accounts.flush();
    assert_eq!(
        reader.sums(Group::Route, Period::default()).unwrap(),
        before
    );
}
