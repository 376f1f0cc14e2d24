//! Limits in use, with the time as an argument.

use super::*;

fn amount(tokens: u64, usd: f64) -> Amount {
    Amount {
        tokens,
        cost: Nanos::from_usd(usd),
    }
}

fn meter(limits: KeyLimits, now: Now) -> Meter {
    Meter::new(limits, Spent::default(), now)
}

fn refused(result: Result<Ticket, LimitError>) -> LimitKind {
    result.unwrap_err().kind
}

/// A call of the model `m` that the door did not count.
fn reserve(meter: &Meter, amount: Amount, now: Now) -> Result<Ticket, LimitError> {
    let reserved = meter.reserve(amount, "m", false, now);
    reserved.map(|(ticket, _)| ticket)
}

#[test]
fn requests_count_once() {
    let now = Now::at(0);
    let limits = KeyLimits {
        requests_per_minute: Some(2),
        ..KeyLimits::default()
    };
    let meter = meter(limits, now);
    assert_eq!(meter.enter(now).unwrap().requests.unwrap().remaining, 1);
    // The call inside a request that the door counted costs no second one.
    meter.reserve(amount(1, 0.0), "m", true, now).unwrap();
    meter.reserve(amount(1, 0.0), "m", false, now).unwrap();
    let error = meter.enter(now).unwrap_err();
    assert_eq!(error.kind, LimitKind::Requests);
    assert_eq!(error.retry_after, Some(Duration::from_secs(30)));
    assert_eq!(error.headers.requests.unwrap().remaining, 0);
    meter.enter(Now::at(30)).unwrap();
}

#[test]
fn streams_end() {
    let now = Now::at(0);
    let limits = KeyLimits {
        concurrent_streams: Some(1),
        ..KeyLimits::default()
    };
    let meter = meter(limits, now);
    let held = amount(10, 0.0);
    let first = reserve(&meter, held, now).unwrap();
    assert_eq!(refused(reserve(&meter, held, now)), LimitKind::Streams);
    meter.settle(first, held, true, now);
    reserve(&meter, held, now).unwrap();
}

#[test]
fn tokens_that_were_not_used_come_back() {
    let now = Now::at(0);
    let limits = KeyLimits {
        tokens_per_minute: Some(100),
        ..KeyLimits::default()
    };
    let meter = meter(limits, now);
    assert_eq!(
        refused(reserve(&meter, amount(101, 0.0), now)),
        LimitKind::TooLarge
    );
    let first = reserve(&meter, amount(80, 0.0), now).unwrap();
    let error = reserve(&meter, amount(40, 0.0), now).unwrap_err();
    assert_eq!(error.kind, LimitKind::Tokens);
    assert_eq!(error.retry_after, Some(Duration::from_secs(12)));
    meter.settle(first, amount(30, 0.0), true, now);
    let second = reserve(&meter, amount(70, 0.0), now).unwrap();
    // More than was reserved is owed.
    meter.settle(second, amount(130, 0.0), true, now);
    assert_eq!(
        refused(reserve(&meter, amount(1, 0.0), now)),
        LimitKind::Tokens
    );
}

#[test]
fn budgets_count_what_is_under_way_and_turn_with_the_day() {
    let now = Now::at(0);
    let limits = KeyLimits {
        usd_per_day: Some(1.0),
        tokens_per_month: Some(1000),
        ..KeyLimits::default()
    };
    let meter = meter(limits, now);
    let call = amount(100, 0.6);
    let first = reserve(&meter, call, now).unwrap();
    let error = reserve(&meter, call, now).unwrap_err();
    assert_eq!(error.kind, LimitKind::Day);
    assert_eq!(error.retry_after, Some(Duration::from_secs(86_400)));
    // The call was cheaper than it might have been: there is room again.
    meter.settle(first, amount(100, 0.1), true, now);
    let second = reserve(&meter, call, now).unwrap();
    meter.settle(second, call, true, now);
    assert_eq!(refused(reserve(&meter, call, now)), LimitKind::Day);
    let tomorrow = Now::at(86_400);
    let third = reserve(&meter, call, tomorrow).unwrap();
    meter.settle(third, amount(800, 0.0), true, tomorrow);
    let error = reserve(&meter, call, tomorrow).unwrap_err();
    assert_eq!(error.kind, LimitKind::Month);
    assert_eq!(error.retry_after, Some(Duration::from_secs(30 * 86_400)));
    reserve(&meter, call, Now::at(31 * 86_400)).unwrap();
}

fn nine_hundred_a_day() -> (Meter, Now) {
    let now = Now::at(0);
    let limits = KeyLimits {
        tokens_per_day: Some(900),
        ..KeyLimits::default()
    };
    (meter(limits, now), now)
}

#[test]
fn where_estimates_are_wrong_calls_go_one_by_one() {
    let (meter, now) = nine_hundred_a_day();
    let call = amount(90, 0.0);
    let mut spent = 0;
    for _ in 0..20 {
        let under_way: Vec<_> = (0..20)
            .filter_map(|_| reserve(&meter, call, now).ok())
            .collect();
        for ticket in under_way {
            meter.settle(ticket, amount(460, 0.0), true, now);
            spent += 460;
        }
    }
    assert_eq!(spent, 2 * 460, "the budget, and one call at most");
}

#[test]
fn where_estimates_are_right_calls_go_side_by_side() {
    let (meter, now) = nine_hundred_a_day();
    let call = amount(90, 0.0);
    let first = reserve(&meter, call, now).unwrap();
    // Nothing is known of the model yet.
    assert_eq!(refused(reserve(&meter, call, now)), LimitKind::Held);
    meter.settle(first, call, true, now);
    let under_way: Vec<_> = (0..20)
        .filter_map(|_| reserve(&meter, call, now).ok())
        .collect();
    assert_eq!(under_way.len(), 9);
    assert_eq!(refused(reserve(&meter, call, now)), LimitKind::Day);
}

#[test]
fn far_from_the_budget_nobody_waits() {
    let now = Now::at(0);
    let limits = KeyLimits {
        tokens_per_day: Some(1_000_000),
        ..KeyLimits::default()
    };
    let meter = meter(limits, now);
    for _ in 0..200 {
        reserve(&meter, amount(90, 0.0), now).unwrap();
    }
}

#[test]
fn calls_that_failed_say_nothing_about_estimates() {
    let (meter, now) = nine_hundred_a_day();
    let first = reserve(&meter, amount(90, 0.0), now).unwrap();
    meter.settle(first, amount(30, 0.0), false, now);
    let _second = reserve(&meter, amount(90, 0.0), now).unwrap();
    assert_eq!(
        refused(reserve(&meter, amount(90, 0.0), now)),
        LimitKind::Held
    );
}

#[test]
fn the_later_calls_stop_when_the_earlier_ones_take_more() {
    let (meter, now) = nine_hundred_a_day();
    let call = amount(90, 0.0);
    let none = Amount::default();
    let known = reserve(&meter, call, now).unwrap();
    meter.settle(known, call, true, now);
    let tickets: Vec<_> = (0..4)
        .map(|_| reserve(&meter, call, now).unwrap())
        .collect();
    assert!(
        tickets
            .iter()
            .all(|ticket| meter.goes_on(*ticket, none, now))
    );
    // The first one takes three times as much: so will the others.
    meter.settle(tickets[0], amount(270, 0.0), true, now);
    let go_on = |at: usize| meter.goes_on(tickets[at], none, now);
    assert_eq!([go_on(1), go_on(2), go_on(3)], [true, true, false]);
    // One that writes on and on is counted as it goes.
    assert!(meter.goes_on(tickets[1], amount(400, 0.0), now));
    assert!(!meter.goes_on(tickets[1], amount(100, 0.0), now));
}

#[test]
fn absurd_amounts_do_not_overflow() {
    let (meter, now) = nine_hundred_a_day();
    let most = amount(u64::MAX, f64::MAX);
    let first = reserve(&meter, amount(1, 0.0), now).unwrap();
    meter.goes_on(first, most, now);
    meter.settle(first, most, true, now);
    meter.settle(first, most, true, now);
    assert_eq!(refused(reserve(&meter, most, now)), LimitKind::Day);
    let tomorrow = Now::at(86_400);
    reserve(&meter, amount(1, 0.0), tomorrow).unwrap();
}

#[test]
fn a_restart_knows_what_was_spent() {
    let spent = Spent {
        day: amount(0, 0.9),
        month: amount(0, 0.9),
    };
    let limits = KeyLimits {
        usd_per_day: Some(1.0),
        ..KeyLimits::default()
    };
    let meter = Meter::new(limits, spent, Now::at(0));
    assert_eq!(
        refused(reserve(&meter, amount(1, 0.2), Now::at(0))),
        LimitKind::Day
    );
}
