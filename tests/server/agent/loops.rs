//! Both loops, and what a model may do wrong in them.

use super::*;
use crate::providers::scripted::{self, Answer, bytes};
use cairn_gateway::open_provider;
use std::collections::BTreeSet;

#[tokio::test]
async fn a_chain_of_two_documents_is_followed() {
    let model = Model::new([
        Call(vec![search("owner of the Albatross")]),
        Call(vec![search("Hansen company founded")]),
        Say("The Hansen company [1], founded in Flensburg [2], owns it [1]."),
    ]);
    let bench = Bench::with(model.clone(), |_| {});
    fill(&bench).await;
    let reply = ask(
        &bench,
        json!({"query": "Where was the owner of the Albatross founded?", "agent": "react"}),
    )
    .await;
    let frames = frames(reply.text());
    let names: Vec<&str> = frames.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names[..3], ["step", "step", "sources"]);
    assert_eq!(names.last(), Some(&"done"));
    let step = &frames[0].1;
    assert_eq!((&step["n"], &step["tool"]), (&json!(1), &json!("search")));
    assert_eq!(step["arguments"]["query"], "owner of the Albatross");
    assert!(
        step["ok"].as_bool().unwrap() && step["milliseconds"].is_f64(),
        "{step}"
    );
    let sources = &frames[2].1;
    let uris: Vec<&str> = sources["sources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|source| source["uri"].as_str().unwrap())
        .collect();
    // Each passage once, although both searches found both.
    assert_eq!(uris.len(), 2, "{uris:?}");
    let done = &frames.last().unwrap().1;
    assert_eq!(done["citations"].as_array().unwrap().len(), 3, "{done}");
    assert_eq!(done["query_id"], sources["query_id"]);
    assert!(done["answerability"].as_f64().unwrap() > 0.0, "{done}");
    // Three turns, and nothing was written a second time.
    assert_eq!(done["usage"]["prompt_tokens"], 300);
    assert_eq!(
        (&done["provider"], &done["model"]),
        (&json!("script"), &json!("script-1"))
    );
    assert_eq!(model.asked().len(), 3);
    let results = model.results();
    assert!(
        results[0].contains("belongs to the Hansen company"),
        "{}",
        results[0]
    );
    assert!(results[1].contains("as above") || results[1].contains("Flensburg"));
}

#[tokio::test]
async fn a_plan_is_made_worked_on_and_changed() {
    let model = Model::new([
        Say("1. Find who owns the Albatross\n2. Find the captain"),
        Call(vec![search("owner of the Albatross")]),
        Say("The Hansen company owns it [1]."),
        Say("NO_ANSWER"),
        Say("PLAN\n1. Find where the Hansen company was founded"),
        Call(vec![("calculate", json!({"expression": "2026 - 1873"}))]),
        Say("It was founded in Flensburg [2]."),
        Say("Its owner was founded in Flensburg [2]."),
    ]);
    let bench = Bench::with(model.clone(), |config| config.agent.max_iterations = 12);
    fill(&bench).await;
    let answer = run(&bench, "plan").await;
    assert_eq!(
        tools_of(&answer),
        ["plan", "search", "plan", "calculate"],
        "{answer}"
    );
    let plan = &answer["steps"][2]["arguments"]["steps"];
    assert_eq!(plan.as_array().unwrap().len(), 3, "{plan}");
    assert_eq!(answer["answer"], "Its owner was founded in Flensburg [2].");
    assert!(notes(&answer).contains("nothing was found for a step of the plan: Find the captain"));
    // The plan itself is made without tools.
    assert!(model.asked()[0].tools.is_empty() && !model.asked()[1].tools.is_empty());
    let trace = bench
        .get(&format!("/traces/{}", answer["query_id"].as_str().unwrap()))
        .await
        .json();
    let findings: Vec<&str> = trace["plan"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["finding"].as_str().unwrap())
        .collect();
    assert_eq!(findings, ["grounded", "missing", "grounded"]);
}

#[tokio::test]
async fn a_model_that_calls_wrongly_is_told_how_to_call() {
    for (turn, expected) in [
        (Raw("search", "{\"query\": ".into()), "not JSON"),
        (Raw("search", "[1]".into()), "one JSON object"),
        (Raw("serach", "{}".into()), "did you mean `search`"),
        (
            Call(vec![("search", json!({"q": "x"}))]),
            "unknown field `q`",
        ),
        (Call(vec![("search", json!({"query": 7}))]), "`query`"),
        (
            Call(vec![("search", json!({"query": "x", "top_k": 99}))]),
            "1..=10",
        ),
        (
            Call(vec![(
                "search",
                json!({"query": "x", "filter": {"nope": 1}}),
            )]),
            "nope",
        ),
        (
            Call(vec![("read_document", json!({"document": "shop.md"}))]),
            "did you mean `ship.md`",
        ),
        (
            Call(vec![("db_query", json!({"database": "x"}))]),
            "there is no tool `db_query`",
        ),
    ] {
        let model = Model::new([turn, Call(vec![search("Albatross")]), Say("Hansen [1].")]);
        let bench = Bench::with(model.clone(), |_| {});
        fill(&bench).await;
        let answer = run(&bench, "react").await;
        let results = model.results();
        assert!(results[0].starts_with("ERROR: "), "{}", results[0]);
        assert!(results[0].contains(expected), "{expected}: {}", results[0]);
        assert_eq!(answer["steps"][0]["ok"], false, "{expected}");
        assert_eq!(answer["answer"], "Hansen [1].", "{expected}: {answer}");
    }
}

#[tokio::test]
async fn the_same_call_is_made_once() {
    let again = Call(vec![("search", json!({"top_k": 3, "query": "Albatross"}))]);
    let once = Call(vec![("search", json!({"query": "Albatross", "top_k": 3}))]);
    let model = Model::new([once, again, Say("Hansen [1].")]);
    let bench = Bench::with(model.clone(), |_| {});
    fill(&bench).await;
    let answer = run(&bench, "react").await;
    assert!(
        model.results()[1].contains("was made before"),
        "{:?}",
        model.results()
    );
    assert_eq!(answer["steps"][1]["ok"], false);
    assert_eq!(answer["answer"], "Hansen [1].");
}

#[tokio::test]
async fn calls_of_one_turn_run_together_and_are_told_in_order() {
    let calls = ["Albatross", "Hansen company", "Flensburg"].map(search);
    let model = Model::new([Call(calls.to_vec()), Say("Hansen [1].")]);
    let bench = Bench::with(model.clone(), |_| {});
    fill(&bench).await;
    let answer = run(&bench, "react").await;
    assert_eq!(tools_of(&answer), ["search"; 3]);
    let last = model.asked().pop().unwrap();
    let ids: Vec<_> = last
        .messages
        .iter()
        .filter_map(|one| one.tool_call_id.clone())
        .collect();
    assert_eq!(ids, ["call_1_0", "call_1_1", "call_1_2"]);
    for step in answer["steps"].as_array().unwrap() {
        assert_eq!(step["turn"], 1, "{step}");
    }
}

#[tokio::test]
async fn what_rests_on_nothing_is_not_shown() {
    // It searches, and then answers from its own head.
    let model = Model::new([
        Call(vec![search("Albatross")]),
        Say("It was founded in Atlantis."),
        Say("The ship belongs to the Hansen company [1]."),
    ]);
    let bench = Bench::with(model.clone(), |_| {});
    fill(&bench).await;
    let answer = run(&bench, "react").await;
    assert!(!answer.to_string().contains("Atlantis"), "{answer}");
    assert_eq!(
        answer["answer"],
        "The ship belongs to the Hansen company [1]."
    );
    // It never searches: the plain answer is given.
    let model = Model::new([Say("Atlantis.")]);
    let bench = Bench::with(model, |_| {});
    fill(&bench).await;
    let answer = run(&bench, "react").await;
    assert!(answer["sources"].as_array().unwrap().len() == 2, "{answer}");
    // A number that no result has is not a citation.
    let model = Model::new([
        Call(vec![search("Albatross")]),
        Say("Hansen [1], Atlantis [9]."),
    ]);
    let bench = Bench::with(model, |_| {});
    fill(&bench).await;
    let answer = run(&bench, "react").await;
    assert_eq!(answer["citations"].as_array().unwrap().len(), 1, "{answer}");
    assert!(notes(&answer).contains("point at no source"), "{answer}");
    assert_eq!(answer["grounded"], false);
}

#[tokio::test]
async fn nothing_found_is_a_refusal() {
    let model = Model::new([Call(vec![search("Albatross")]), Say("NO_ANSWER")]);
    let bench = Bench::with(model, |_| {});
    fill(&bench).await;
    let answer = run(&bench, "react").await;
    assert_eq!(
        (&answer["refused"], &answer["finish_reason"]),
        (&json!(true), &json!("refused"))
    );
    assert_eq!(answer["citations"], json!([]));
}

#[tokio::test]
async fn the_shape_of_the_question_decides() {
    let model = Model::new([Say("The ship belongs to the Hansen company [1].")]);
    let bench = Bench::with(model.clone(), |_| {});
    fill(&bench).await;
    let plain = json!({"query": "Who owns the Albatross?", "agent": "auto", "stream": false});
    let answer = ask(&bench, plain).await.json();
    assert!(answer.get("steps").is_none(), "{answer}");
    assert!(model.asked()[0].tools.is_empty());
    let compare = json!({"query": "Compare the Albatross and the Hansen company",
        "agent": "auto", "stream": false});
    ask(&bench, compare).await;
    let said = format!("{:?}", model.asked()[1].messages);
    assert!(said.contains("Before any tool is called"), "{said}");
    // No agent was asked for: the configuration says off.
    let asked = model.asked().len();
    let none = json!({"query": "Compare the Albatross and the Hansen company", "stream": false});
    ask(&bench, none).await;
    assert_eq!(model.asked().len(), asked + 1);
    let bad = bench
        .post("/query", &json!({"query": "x", "agent": "yes"}))
        .await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);
    assert_eq!(bad.error().1.as_deref(), Some("agent"));
}

#[tokio::test]
async fn without_a_model_one_retrieval_answers_and_says_so() {
    let model = Model::new([Say("x")]);
    let bench = Bench::with(model.clone(), |_| {});
    fill(&bench).await;
    let body = json!({"query": "Who owns the ship Albatross?", "agent": "react",
        "generate": false, "stream": false});
    let answer = ask(&bench, body).await.json();
    assert!(model.asked().is_empty());
    assert!(
        notes(&answer).contains("an agent needs a language model"),
        "{answer}"
    );
    assert!(
        answer["answer"].as_str().unwrap().contains("Hansen"),
        "{answer}"
    );
}

/// A turn as an OpenAI-compatible endpoint streams it, with arguments in pieces.
fn streamed(deltas: &[Value], finish: &str) -> Answer {
    let frames = deltas.iter().map(|delta| {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": null});
        format!("data: {}\n\n", json!({"model": "m-9", "choices": [choice]}))
    });
    let last = json!({"model": "m-9", "choices": [{"index": 0, "delta": {}, "finish_reason": finish}],
        "usage": {"prompt_tokens": 50, "completion_tokens": 5}});
    let text: String = frames.collect();
    Answer::stream(&[bytes(format!("{text}data: {last}\n\ndata: [DONE]\n\n"))])
}

#[tokio::test]
async fn calls_that_an_endpoint_streams_in_pieces_are_joined() {
    let piece = |fields: Value| json!({"tool_calls": [fields]});
    let first = streamed(
        &[
            json!({"role": "assistant", "content": "I look for both."}),
            piece(json!({"index": 0, "id": "a", "function": {"name": "search", "arguments": ""}})),
            piece(json!({"index": 0, "function": {"arguments": "{\"query\": \"owner of"}})),
            piece(
                json!({"index": 1, "id": "b", "function": {"name": "search", "arguments": "{\"query\""}}),
            ),
            piece(json!({"index": 0, "function": {"arguments": " the Albatross\"}"}})),
            piece(json!({"index": 1, "function": {"arguments": ": \"Hansen company\"}"}})),
        ],
        "tool_calls",
    );
    let second = streamed(
        &[json!({"content": "It is the Hansen company [1]."})],
        "stop",
    );
    let endpoint = scripted::serve(&[first, second]).await;
    let mut config = scripted::config("openai", &endpoint.base_url);
    config.key_env = None;
    config.context_tokens = 100_000;
    let bench = Bench::with(open_provider(&config, None).unwrap(), |_| {});
    fill(&bench).await;
    let body = json!({"query": "Who owns the Albatross?", "agent": "react", "model": "endpoint",
        "stream": false});
    let answer = ask(&bench, body).await.json();
    assert_eq!(tools_of(&answer), ["search", "search"], "{answer}");
    assert_eq!(answer["steps"][0]["thought"], "I look for both.");
    let queries: BTreeSet<&str> = answer["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["arguments"]["query"].as_str().unwrap())
        .collect();
    assert_eq!(queries, ["Hansen company", "owner of the Albatross"].into());
    assert_eq!(answer["answer"], "It is the Hansen company [1].");
    assert_eq!(answer["usage"]["prompt_tokens"], 100);
    // What the tools returned went back under the ids of their calls.
    let sent = endpoint.seen()[1].body["messages"].clone();
    let tools: Vec<&Value> = sent
        .as_array()
        .unwrap()
        .iter()
        .filter(|m| m["role"] == "tool")
        .collect();
    assert_eq!(
        (&tools[0]["tool_call_id"], &tools[1]["tool_call_id"]),
        (&json!("a"), &json!("b"))
    );
}
