//! `cairn keys` and `cairn usage` as a user meets them.

use crate::command::{json, run, text};

#[test]
fn a_key_is_shown_once_and_lives_until_it_is_revoked() {
    let dir = tempfile::tempdir().unwrap();
    let create = [
        "keys",
        "create",
        "search bot",
        "--label",
        "team:a",
        "--scope",
        "search,chat",
        "--usd-per-day",
        "2.5",
        "--expires",
        "90d",
        "--json",
    ];
    let made = json(&run(dir.path(), &create));
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    assert!(key.starts_with(&format!("cairn_{id}_")));
    assert_eq!(made["scopes"], serde_json::json!(["search", "chat"]));
    assert_eq!(made["limits"]["usd_per_day"], 2.5);

    let listed = run(dir.path(), &["keys", "list"]);
    assert!(text(&listed.stdout).contains("$2.5/day"));
    assert!(text(&listed.stdout).contains("search,chat"));
    assert!(!text(&listed.stdout).contains(key));
    let listed = json(&run(dir.path(), &["keys", "list", "--json"]));
    assert!(listed["keys"][0].get("key").is_none());
    assert_eq!(listed["keys"][0]["state"], "active");

    let rotated = run(dir.path(), &["keys", "rotate", id, "--grace", "1h", "-q"]);
    let new = text(&rotated.stdout).trim();
    assert!(new.starts_with(&format!("cairn_{id}_")) && new != key);
    let revoked = json(&run(dir.path(), &["keys", "revoke", id, "--json"]));
    assert_eq!(revoked["state"], "revoked");
}

#[test]
fn bad_keys_are_bad_usage_and_unknown_ones_fail() {
    let dir = tempfile::tempdir().unwrap();
    for (args, code, said) in [
        (
            &["keys", "create", "x", "--scope", "root"][..],
            2,
            "documents:write",
        ),
        (&["keys", "create", "x", "--expires", "soon"], 2, "soon"),
        (
            &["keys", "create", "x", "--usd-per-day", "0"],
            2,
            "usd_per_day",
        ),
        (&["keys", "create", " "], 2, "name"),
        (&["keys", "revoke", "nobody"], 1, "keys list"),
        (&["usage", "--by", "moon"], 2, "moon"),
        (&["usage", "--since", "2026-02-30"], 2, "2026-02-30"),
    ] {
        let output = run(dir.path(), args);
        assert_eq!(output.status.code(), Some(code), "{args:?}");
        assert!(
            text(&output.stderr).contains(said),
            "{}",
            text(&output.stderr)
        );
    }
}

#[test]
fn usage_of_an_empty_folder_is_nothing_and_makes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let document = json(&run(dir.path(), &["usage", "--json"]));
    assert_eq!(document["rows"], serde_json::json!([]));
    let csv = run(dir.path(), &["usage", "--csv", "--by", "model"]);
    assert_eq!(text(&csv.stdout).lines().count(), 1);
    assert!(text(&csv.stdout).starts_with("model,calls,"));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn usage_sums_what_the_ledger_has() {
    use cairn_gateway::accounts::{Accounts, CallInfo, Caller, Estimate, Outcome};
    use cairn_settings::config::Config;

    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.storage.data_dir = dir.path().join(".cairn");
    let accounts = Accounts::open(&config).unwrap();
    for model in ["m1", "m2", "m2"] {
        let call = CallInfo {
            route: "chat".into(),
            provider: "p".into(),
            model: model.into(),
            ..CallInfo::default()
        };
        let reservation = accounts
            .admit(&Caller::anonymous(), Estimate::default(), call)
            .unwrap();
        let mut record = reservation.draft();
        record.usage.prompt_tokens = 10;
        record.usage.cost_usd = 0.25;
        record.outcome = Outcome::Done;
        reservation.settle(record);
    }
    drop(accounts);
    let document = json(&run(dir.path(), &["usage", "--by", "model", "--json"]));
    assert_eq!(document["cost_usd"], 0.75);
    assert_eq!(document["rows"][1]["group"], "p/m2");
    assert_eq!(document["rows"][1]["calls"], 2);
    let calls = json(&run(dir.path(), &["usage", "--calls", "2", "--json"]));
    assert_eq!(calls["calls"].as_array().unwrap().len(), 2);
    let before = json(&run(
        dir.path(),
        &["usage", "--until", "2020-01-01", "--json"],
    ));
    assert_eq!(before["rows"], serde_json::json!([]));
    let table = run(dir.path(), &["usage", "--by", "route"]);
    assert!(
        text(&table.stdout).contains("0.750000"),
        "{}",
        text(&table.stdout)
    );
}
