//! The tools as the model gets to see them.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use cairn_settings::config::{AgentApi, AgentPath, Config};

use super::*;

/// One call of a tool by a model that then answers with what it got.
async fn one_call(
    tool: &'static str,
    arguments: Value,
    change: impl FnOnce(&mut Config),
) -> (String, Value) {
    let model = Model::new([Call(vec![(tool, arguments)]), Say("It is so [1].")]);
    let bench = Bench::with(model.clone(), change);
    fill(&bench).await;
    let answer = run(&bench, "react").await;
    (model.results()[0].clone(), answer)
}

#[tokio::test]
async fn documents_are_listed_and_read() {
    let (result, answer) = one_call("list_documents", json!({}), |_| {}).await;
    assert!(
        result.contains("ship.md") && result.contains("company.md"),
        "{result}"
    );
    assert_eq!(answer["citations"][0]["n"], 1);
    let contains = json!({"contains": "SHIP"});
    let (result, _) = one_call("list_documents", contains, |_| {}).await;
    assert!(
        result.contains("ship.md") && !result.contains("company.md"),
        "{result}"
    );
    let (result, _) = one_call("read_document", json!({"document": "ship.md"}), |_| {}).await;
    assert!(result.contains("belongs to the Hansen company"), "{result}");
    let beyond = json!({"document": "ship.md", "from_chunk": 7});
    let (result, _) = one_call("read_document", beyond, |_| {}).await;
    assert!(result.contains("there is no chunk 7"), "{result}");
    let heading = json!({"document": "ship.md", "heading": "the albatros"});
    let (result, _) = one_call("read_document", heading, |_| {}).await;
    assert!(result.contains("did you mean `The Albatross`"), "{result}");
}

#[tokio::test]
async fn what_is_computed_can_be_cited() {
    let sum = json!({"expression": "(12500 - 9800) / 9800 to percent"});
    let (result, answer) = one_call("calculate", sum, |_| {}).await;
    assert!(result.contains("27.55"), "{result}");
    assert_eq!(answer["sources"][0]["uri"], "tool:calculate");
    assert_eq!(answer["answer"], "It is so [1].");
}

#[tokio::test]
async fn databases_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ships.sqlite");
    let connection = rusqlite::Connection::open(&path).unwrap();
    let sql = "CREATE TABLE ships (name TEXT, tons INTEGER);
        INSERT INTO ships VALUES ('Albatross', 420), ('Kiwi', 80);";
    connection.execute_batch(sql).unwrap();
    let configured = |config: &mut Config| {
        config.agent.databases = vec![AgentPath {
            name: "ships".into(),
            path: path.clone(),
            description: "Ships and their size".into(),
            labels: Default::default(),
        }];
    };
    let tables = json!({"database": "ships"});
    let (result, _) = one_call("db_query", tables, configured).await;
    assert!(result.contains("CREATE TABLE ships"), "{result}");
    let query = json!({"database": "ships", "sql": "SELECT sum(tons) AS total FROM ships"});
    let (result, answer) = one_call("db_query", query, configured).await;
    assert!(result.contains("total\n500"), "{result}");
    assert_eq!(answer["sources"][0]["uri"], "database:ships");
    let write = json!({"database": "ships", "sql": "DELETE FROM ships"});
    let (result, _) = one_call("db_query", write, configured).await;
    assert!(result.starts_with("ERROR"), "{result}");
    let other = json!({"database": "shops", "sql": "SELECT 1"});
    let (result, _) = one_call("db_query", other, configured).await;
    assert!(result.contains("did you mean `ships`"), "{result}");
    let count: i64 = connection
        .query_row("SELECT count(*) FROM ships", [], |row| row.get(0))
        .unwrap();
    assert_eq!(count, 2);
}

#[tokio::test]
async fn files_are_read_below_their_folder_only() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("reports")).unwrap();
    std::fs::write(dir.path().join("reports/may.txt"), "Freight in May: 12 t").unwrap();
    std::fs::write(dir.path().join("secret.txt"), "TOP SECRET").unwrap();
    let configured = |config: &mut Config| {
        config.agent.folders = vec![AgentPath {
            name: "reports".into(),
            path: dir.path().join("reports"),
            description: String::new(),
            labels: Default::default(),
        }];
    };
    let may = json!({"folder": "reports", "path": "may.txt"});
    let (result, _) = one_call("read_file", may, configured).await;
    assert!(result.contains("12 t"), "{result}");
    let out = json!({"folder": "reports", "path": "../secret.txt"});
    let (result, answer) = one_call("read_file", out, configured).await;
    assert!(
        result.starts_with("ERROR") && !result.contains("TOP SECRET"),
        "{result}"
    );
    assert!(!answer.to_string().contains("TOP SECRET"));
}

/// A system on this machine, with an address that is not to be asked.
async fn system() -> String {
    let pages = Router::new()
        .route(
            "/api/state",
            get(|| async { "{\"state\": \"all ships at sea\"}" }),
        )
        .route("/api/hang", get(std::future::pending::<()>))
        .route("/api/flood", get(|| async { "flood ".repeat(1 << 20) }))
        .route("/api/gone", get(|| async { (StatusCode::NOT_FOUND, "no") }))
        .route("/admin", get(|| async { "ADMIN SECRET" }))
        .route(
            "/api/away",
            get(|| async { axum::response::Redirect::temporary("/admin") }),
        );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, pages).await });
    address
}

#[tokio::test]
async fn addresses_are_asked_below_those_that_are_allowed() {
    let system = system().await;
    let configured = |config: &mut Config| {
        config.agent.allow_private_addresses = true;
        config.agent.tool_seconds = 1;
        config.agent.apis = vec![AgentApi {
            address: format!("{system}/api/"),
            description: "State of ships".into(),
            labels: Default::default(),
        }];
    };
    let url = |path: &str| json!({"url": format!("{system}{path}")});
    let (result, answer) = one_call("api_call", url("/api/state"), configured).await;
    assert!(result.contains("all ships at sea"), "{result}");
    assert_eq!(answer["citations"][0]["n"], 1);
    for (path, expected) in [
        ("/admin", "may not be asked"),
        ("/api/../admin", "may not be asked"),
        // Redirects are judged by the same rule.
        ("/api/away", "not among the addresses"),
        ("/api/hang", "did not answer within"),
        ("/api/flood", "more than"),
        ("/api/gone", "404"),
    ] {
        let (result, answer) = one_call("api_call", url(path), configured).await;
        assert!(result.starts_with("ERROR"), "{path}: {result}");
        assert!(result.contains(expected), "{path}: {result}");
        assert!(!answer.to_string().contains("ADMIN SECRET"), "{path}");
        assert_eq!(answer["steps"][0]["ok"], false, "{path}");
    }
    let (result, _) = one_call("api_call", url("/api/state"), |config| {
        configured(config);
        config.agent.allow_private_addresses = false;
    })
    .await;
    assert!(result.contains("private network"), "{result}");
    tokio::time::sleep(Duration::from_millis(1)).await;
}

#[tokio::test]
async fn long_results_are_cut_and_say_so() {
    let model = Model::new([
        Call(vec![("read_document", json!({"document": "long.md"}))]),
        Say("It is long [1]."),
    ]);
    let bench = Bench::with(model.clone(), |config| config.agent.tool_tokens = 300);
    let text: String = (0..3000).map(|n| format!("word{n} ")).collect();
    let body = json!({"uri": "long.md", "text": text});
    assert_eq!(
        bench.post("/documents", &body).await.status,
        StatusCode::CREATED
    );
    run(&bench, "react").await;
    let result = &model.results()[0];
    assert!(result.len() < 4000, "{}", result.len());
    assert!(result.contains("more bytes were cut"), "{result}");
    assert!(result.contains("from_chunk 4 reads on"), "{result}");
}
