//! A whole evaluation of a small dataset, with the models' twins.

use std::sync::Arc;

use cairn_engine::retrieve::Engine;
use cairn_models::testing::{HashEmbedder, OverlapReranker};
use clap::Parser as _;
use serde_json::Value;

use super::*;
use crate::cli::eval::replay::Replay;
use crate::cli::style::Palette;
use cairn_settings::config::Config;

#[derive(clap::Parser)]
struct Flags {
    #[command(flatten)]
    args: Args,
}

struct Setup {
    context: Context,
    models: Engine,
    dir: tempfile::TempDir,
}

const CORPUS: &str = r#"{"_id": "cats", "title": "Cats", "text": "They sleep most of the day."}
{"_id": "birds", "title": "", "text": "Birds build a nest in spring."}
{"_id": "errors", "title": "ERR_CONN_4012: the server closed the connection", "text": ""}
"#;

fn setup() -> Setup {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("small");
    std::fs::create_dir_all(data.join("qrels")).unwrap();
    std::fs::write(data.join("corpus.jsonl"), CORPUS).unwrap();
    let questions = "{\"_id\": \"q1\", \"text\": \"which animals build a nest\"}\n\
                     {\"_id\": \"q2\", \"text\": \"ERR_CONN_4012\"}\n\
                     {\"_id\": \"q3\", \"text\": \"cats\"}\n";
    std::fs::write(data.join("queries.jsonl"), questions).unwrap();
    // The third judgement is wrong on purpose: one question of three fails.
    let qrels = "q1\tbirds\t1\nq2\terrors\t1\nq3\tgone\t1\n";
    std::fs::write(data.join("qrels/test.tsv"), qrels).unwrap();
    let mut config = Config::default();
    config.storage.data_dir = dir.path().join("data");
    let models = Engine::new(
        &config,
        Some(Arc::new(HashEmbedder)),
        Some(Arc::new(OverlapReranker)),
    )
    .unwrap();
    let context = Context {
        config,
        layers: Default::default(),
        json: true,
        verbose: 0,
        quiet: true,
        progress: false,
        palette: Palette::new(false),
    };
    Setup {
        context,
        models,
        dir,
    }
}

fn args(setup: &Setup, flags: &[&str]) -> Args {
    let folder = setup.dir.path().join("small");
    let fixed = ["eval", "--dataset", folder.to_str().unwrap()];
    Flags::try_parse_from(fixed.iter().chain(flags))
        .unwrap()
        .args
}

fn evaluate_with(setup: &Setup, flags: &[&str]) -> anyhow::Result<Report> {
    evaluate_args(setup, &args(setup, flags))
}

fn evaluate_args(setup: &Setup, args: &Args) -> anyhow::Result<Report> {
    let plan = Plan::of(args)?;
    let cancel = Cancel::never();
    let origin = origin(&setup.context, args)?;
    let dataset = subject::read(&origin, &args.split)?;
    let config = config(&setup.context, args);
    let context = &setup.context;
    let mut subject = subject::open(context, &config, &origin, dataset, &setup.models, &cancel)?;
    restrict(&mut subject.dataset, args);
    measure(context, &config, args, &plan, &subject, &cancel)
}

fn json(report: &Report) -> Value {
    serde_json::to_value(report).unwrap()
}

#[test]
fn every_mode_is_measured() {
    let setup = setup();
    let report = json(&evaluate_with(&setup, &[]).unwrap());
    assert_eq!(report["documents"], 3);
    assert_eq!(report["questions"], 3);
    let modes: Vec<&str> = report["modes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["mode"].as_str().unwrap())
        .collect();
    let all = [
        "bm25",
        "dense",
        "hybrid",
        "hybrid+rerank",
        "hybrid+hop+rerank",
    ];
    assert_eq!(modes, all);
    for mode in report["modes"].as_array().unwrap() {
        assert_eq!(mode["metrics"]["recall@100"], 0.666667, "{mode}");
        assert_eq!(mode["degraded"], serde_json::json!({}), "{mode}");
        assert!(mode["latency_ms"]["total"]["p95"].as_f64().unwrap() >= 0.0);
    }
    let bm25 = &report["modes"][0];
    assert_eq!(bm25["metrics"]["ndcg@10"], 0.666667);
    assert_eq!(
        bm25["confidence_95"]["ndcg@10"],
        serde_json::json!([0.0, 1.0])
    );
    assert!(report["modes"][3]["latency_ms"]["rerank"].is_object());
    assert_eq!(report["modes"][3]["compared"]["with"], "hybrid");
}

#[test]
fn a_second_run_embeds_nothing_and_a_changed_corpus_is_another_index() {
    let setup = setup();
    let first = json(&evaluate_with(&setup, &["--modes", "bm25"]).unwrap());
    assert_eq!(first["cost"]["embedded_chunks"], 3);
    let second = json(&evaluate_with(&setup, &["--modes", "bm25"]).unwrap());
    assert_eq!(second["cost"]["embedded_chunks"], 0);
    assert_eq!(second["collection"], first["collection"]);
    assert_eq!(second["modes"][0]["metrics"], first["modes"][0]["metrics"]);
    let corpus = setup.dir.path().join("small/corpus.jsonl");
    std::fs::write(&corpus, CORPUS.replace("spring", "autumn")).unwrap();
    let third = json(&evaluate_with(&setup, &["--modes", "bm25"]).unwrap());
    assert_eq!(third["cost"]["embedded_chunks"], 3);
    assert_ne!(third["collection"], first["collection"]);
}

#[test]
fn gates_decide() {
    let setup = setup();
    let passed = |gate| {
        let flags = ["--modes", "bm25,dense", "--fail-if", gate];
        evaluate_with(&setup, &flags).unwrap().passed()
    };
    assert!(passed("ndcg@10<0.6"));
    assert!(!passed("bm25:ndcg@10<0.7"));
    assert!(!passed("mrr@3<=0.67"));
    let flags = ["--modes", "bm25", "--fail-if", "hybrid:ndcg@10<0.7"];
    let error = evaluate_with(&setup, &flags).err().unwrap().to_string();
    assert!(error.contains("looks at hybrid"), "{error}");
}

#[test]
fn runs_are_written_for_other_tools() {
    let setup = setup();
    let file = setup.dir.path().join("run.txt");
    let path = file.to_str().unwrap();
    evaluate_with(
        &setup,
        &["--modes", "bm25", "--run-out", path, "--limit", "2"],
    )
    .unwrap();
    let run = cairn_eval::Run::read(&file).unwrap();
    assert_eq!(run.ids("q1"), ["birds"]);
    assert_eq!(run.rankings.len(), 2);
    evaluate_with(&setup, &["--modes", "bm25,dense", "--run-out", path]).unwrap();
    assert!(setup.dir.path().join("run.txt.bm25").is_file());
    assert!(setup.dir.path().join("run.txt.dense").is_file());
}

#[test]
fn the_table_names_modes_measures_and_verdicts() {
    let setup = setup();
    let flags = [
        "--modes",
        "bm25,hybrid",
        "--fail-if",
        "ndcg@10<0.9",
        "--k",
        "10",
    ];
    let table = table(&evaluate_with(&setup, &flags).unwrap(), &[10]);
    assert!(table.starts_with("small (test): 3 questions, 3 documents, 3 chunks, hash-64"));
    for part in [
        "ndcg@10",
        "0.6667",
        "0.000–1.000",
        "bm25",
        "hybrid",
        "ms (p50 / p95)",
    ] {
        assert!(table.contains(part), "{part} is not in\n{table}");
    }
    assert!(
        table.contains("FAILED: fail if ndcg@10<0.9; bm25 has 0.6667"),
        "{table}"
    );
}

#[test]
fn flags_that_mean_nothing_are_refused() {
    let setup = setup();
    for (flags, expected) in [
        (["--modes", "fuzzy"], "`fuzzy` is none of"),
        (["--k", "0"], "at least 1"),
        (["--k", "5000"], "at most 1000"),
        (["--split", "dev"], "the splits here are test"),
        (["--fail-if", "faithfulness<0.5"], "it needs --answers"),
    ] {
        let error = evaluate_with(&setup, &flags).err().unwrap().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn two_runs_are_the_same_apart_from_time_and_memory() {
    let setup = setup();
    let once = || {
        let mut report = json(&evaluate_with(&setup, &[]).unwrap());
        report["cost"] = Value::Null;
        for mode in report["modes"].as_array_mut().unwrap() {
            mode["latency_ms"] = Value::Null;
        }
        serde_json::to_string_pretty(&report).unwrap()
    };
    let first = once();
    assert!(first.contains("per_query"));
    assert_eq!(once(), first);
}

#[test]
fn a_replayed_configuration_ranks_as_the_engine_does() {
    let setup = setup();
    let context = &setup.context;
    let args = args(&setup, &[]);
    let cancel = Cancel::never();
    let origin = origin(context, &args).unwrap();
    let base = config(context, &args);
    let measures: Vec<Measure> = vec!["ndcg@10".parse().unwrap()];
    let variants = variant::ablation(&base, Ablation::Search).unwrap();
    for variant in variants {
        let dataset = subject::read(&origin, "test").unwrap();
        let config = &variant.config;
        let open = subject::open(context, config, &origin, dataset, &setup.models, &cancel);
        let subject = open.unwrap();
        let reranker = Remembering::new(Arc::new(OverlapReranker), None);
        let candidates = config.retrieval.candidates;
        let mut replay = Replay::new(&subject, Some(&reranker), candidates, 10, &cancel).unwrap();
        let replayed = replay.run(&variant, &measures).unwrap();
        let mode = EvalMode {
            search: variant.mode,
            rerank: variant.rerank,
            hop: false,
        };
        let name = &subject.collection.name;
        let documents = Documents::new(&subject.engine, name, mode, candidates, &cancel);
        let asked = evaluate(&documents, &subject.dataset, &measures, 10, || {}).unwrap();
        assert_eq!(replayed.run, asked.run, "{}", variant.name);
        assert_eq!(replayed.totals_ms.len(), 3);
    }
}

#[test]
fn configurations_are_compared_and_searched() {
    let setup = setup();
    let args = args(&setup, &[]);
    let cancel = Cancel::never();
    let base = config(&setup.context, &args);
    let reranker = Remembering::new(Arc::new(OverlapReranker), None);
    let workshop = Workshop {
        context: &setup.context,
        args: &args,
        loaded: &setup.models,
        reranker: Some(&reranker),
        measure: "ndcg@10".parse().unwrap(),
        depth: 10,
        cancel: &cancel,
    };
    let whole = || part(origin(&setup.context, &args).unwrap(), "test", &args).unwrap();
    let sweep = ["chunking.tokens=128,512".to_owned()];
    let variants = variant::sweep(&base, &sweep).unwrap();
    let found = workshop.compare(&[whole(), whole()], &variants).unwrap();
    assert_eq!(found.rows.len(), 2);
    assert_eq!(found.datasets, ["small", "small"]);
    assert!(
        found
            .rows
            .iter()
            .all(|row| row.index_bytes > 0 && row.latency_ms.is_some())
    );
    let text = ablate::table(&found);
    assert!(
        text.contains("chunking.tokens=128") && text.contains("take this"),
        "{text}"
    );
    let out = setup.dir.path().join("tuned.toml");
    let start = Variant::of("", &base);
    let tuned = tune::run(&workshop, &start, &[whole()], &[whole()], &out).unwrap();
    assert!(
        tuned
            .text(&out)
            .contains("questions that the search did not see")
    );
    cairn_settings::config::Config::load(Some(&out), &[]).unwrap();
}

#[test]
fn answers_are_judged_and_drafted_questions_are_asked() {
    let setup = setup();
    let context = &setup.context;
    let cancel = Cancel::never();
    let args = args(&setup, &[]);
    let config = config(context, &args);
    let mut dataset = Dataset::load(&setup.dir.path().join("small"), "test").unwrap();
    dataset.questions[0].answers = vec!["Birds build a nest in spring".into()];
    dataset.unanswerable.push(cairn_eval::Question {
        id: "u1".into(),
        text: "quantum chromodynamics lattice gauge".into(),
        ..cairn_eval::Question::default()
    });
    let origin = origin(context, &args).unwrap();
    let open = subject::open(
        context,
        &config,
        &origin,
        Some(dataset),
        &setup.models,
        &cancel,
    );
    let subject = open.unwrap();
    let answerer = crate::cli::loading::answerer(context, subject.engine.clone(), false).unwrap();
    let report = answers::judged(context, &config, &subject, &answerer, None, &cancel).unwrap();
    assert_eq!(report.answers.len(), 4);
    assert_eq!(report.provider, "extractive");
    let birds = &report.answers[0];
    assert!(
        !birds.refused && birds.claims[0].cited_supports,
        "{birds:?}"
    );
    assert_eq!(report.metrics["answer_contains"].value, 1.0);
    assert_eq!(report.metrics["first_unit_right"].value, 1.0);
    let extra = &report.metrics["extra_units"];
    assert_eq!(extra.value, birds.units.len() as f64 - 1.0);
    assert_eq!(report.metrics["faithfulness"].value, 1.0);
    assert_eq!(report.metrics["refusal_recall"].of, 1);
    assert!(report.judge.name.starts_with("local") && report.judge.calls > 0);
    let table = answers::table(&report);
    assert!(
        table.contains("citation_precision")
            && table.contains("first_unit_right")
            && table.contains("judged by local"),
        "{table}"
    );
}
