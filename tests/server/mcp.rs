//! `/mcp` and `cairn mcp`: messages of both revisions as they are on the wire, and the official
//! Python client of each.

use std::path::Path;
use std::process::{Command, Stdio};

use cairn_gateway::accounts::Scope;

use super::keys::Closed;
use super::*;
use crate::command::command;
use crate::peers;

const MODERN: &str = "2026-07-28";
const OLDER: &str = "2025-11-25";

/// One message of the stateless revision, with what it wants in `_meta` and headers.
fn modern(method: &str, name: Option<&str>, mut params: Value) -> Request<Body> {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let mut request = post(&body);
    let headers = request.headers_mut();
    headers.insert("mcp-protocol-version", MODERN.parse().unwrap());
    headers.insert("mcp-method", method.parse().unwrap());
    if let Some(name) = name {
        headers.insert("mcp-name", name.parse().unwrap());
    }
    request
}

/// One message of the older revision.
fn older(method: &str, params: Value) -> Request<Body> {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let mut request = post(&body);
    request
        .headers_mut()
        .insert("mcp-protocol-version", OLDER.parse().unwrap());
    request
}

fn post(body: &Value) -> Request<Body> {
    let mut request = json_request("/mcp", body);
    let headers = request.headers_mut();
    headers.insert(
        "accept",
        "application/json, text/event-stream".parse().unwrap(),
    );
    headers.insert("host", "127.0.0.1:8620".parse().unwrap());
    request
}

/// A client sends `tools/call` by either revision.
fn call(revision: &str, tool: &str, arguments: Value) -> Request<Body> {
    let params = json!({"name": tool, "arguments": arguments});
    match revision {
        MODERN => modern("tools/call", Some(tool), params),
        _ => older("tools/call", params),
    }
}

async fn result(bench: &Bench, request: Request<Body>) -> Value {
    let reply = bench.reply(request).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    let body = reply.json();
    assert!(body.get("error").is_none(), "{body}");
    body["result"].clone()
}

#[tokio::test]
async fn the_stateless_revision_is_spoken() {
    let bench = Bench::new();
    bench.upload_guide().await;
    let discovered = result(&bench, modern("server/discover", None, json!({}))).await;
    let versions = discovered["supportedVersions"].to_string();
    assert!(
        versions.contains(MODERN) && versions.contains(OLDER),
        "{discovered}"
    );
    assert!(
        discovered["capabilities"]["tools"].is_object(),
        "{discovered}"
    );
    let listed = result(&bench, modern("tools/list", None, json!({}))).await;
    assert_eq!(listed["resultType"], "complete", "{listed}");
    assert_eq!(
        (&listed["ttlMs"], &listed["cacheScope"]),
        (&json!(60_000), &json!("private"))
    );
    let names: Vec<&str> = listed["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["search", "fetch", "ask"]);
    // Every client reads all definitions: they must be few tokens, of four bytes each.
    let size = listed["tools"].to_string().len();
    assert!(size < 4 * 4000, "{size} bytes");

    // An unknown revision is refused with those that there are.
    let mut unknown = modern("tools/list", None, json!({}));
    unknown
        .headers_mut()
        .insert("mcp-protocol-version", "2031-01-01".parse().unwrap());
    let reply = bench.reply(unknown).await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{}", reply.text());
    // What a header says must be what the body says.
    let mut differs = modern("tools/list", None, json!({}));
    differs
        .headers_mut()
        .insert("mcp-method", "tools/call".parse().unwrap());
    let reply = bench.reply(differs).await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{}", reply.text());
    assert_eq!(reply.json()["error"]["code"], -32020, "{}", reply.text());
    let reply = bench.reply(modern("nothing/there", None, json!({}))).await;
    assert_eq!(reply.status, StatusCode::NOT_FOUND, "{}", reply.text());
}

#[tokio::test]
async fn tools_answer_in_both_revisions() {
    let bench = Bench::new();
    bench.upload_guide().await;
    for revision in [MODERN, OLDER] {
        let found = call(
            revision,
            "search",
            json!({"query": "Who holds the writer lock?"}),
        );
        let found = result(&bench, found).await;
        let hits = found["structuredContent"]["results"]
            .as_array()
            .unwrap()
            .clone();
        let fields: Vec<&String> = hits[0].as_object().unwrap().keys().collect();
        assert_eq!(fields, ["id", "title", "url"], "{found}");
        // The same as one text, for clients that read no structure.
        let text = found["content"][0]["text"].as_str().unwrap();
        let text: Value = serde_json::from_str(text).unwrap();
        assert_eq!(text, found["structuredContent"]);
        assert_eq!(found["content"].as_array().unwrap().len(), 1);

        let id = hits[0]["id"].as_str().unwrap();
        let fetched = result(&bench, call(revision, "fetch", json!({"id": id}))).await;
        let fetched = &fetched["structuredContent"];
        let fields: Vec<&String> = fetched.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["id", "title", "text", "url", "metadata"]);
        assert!(
            fetched["text"]
                .as_str()
                .unwrap()
                .contains("one process at a time")
        );

        let question = json!({"question": "Who holds the writer lock?"});
        let answer = result(&bench, call(revision, "ask", question)).await;
        let answer = &answer["structuredContent"];
        let said = answer["answer"].as_str().unwrap();
        assert!(said.contains("one process at a time [1]"), "{answer}");
        assert_eq!(answer["sources"][0]["uri"], "guide.md");

        for (tool, arguments, expected) in [
            (
                "search",
                json!({"query": "x", "limit": 3}),
                "unknown field `limit`",
            ),
            ("search", json!({}), "missing field `query`"),
            ("fetch", json!({"id": "nothing"}), "there is no passage"),
        ] {
            let wrong = result(&bench, call(revision, tool, arguments)).await;
            assert_eq!(wrong["isError"], true, "{wrong}");
            let said = wrong["content"][0]["text"].as_str().unwrap();
            assert!(said.contains(expected), "{said}");
        }
        let reply = bench.reply(call(revision, "serach", json!({}))).await;
        let error = &reply.json()["error"];
        assert_eq!(error["code"], -32602, "{}", reply.text());
        assert!(
            error["message"]
                .as_str()
                .unwrap()
                .contains("search, fetch, ask")
        );
    }
}

#[tokio::test]
async fn documents_are_resources() {
    let bench = Bench::new();
    bench.upload_guide().await;
    let listed = result(&bench, modern("resources/list", None, json!({}))).await;
    let guide = &listed["resources"][0];
    assert_eq!(guide["name"], "guide.md", "{listed}");
    let uri = guide["uri"].as_str().unwrap();
    let request = modern("resources/read", Some(uri), json!({"uri": uri}));
    let read = result(&bench, request).await;
    let text = read["contents"][0]["text"].as_str().unwrap();
    assert!(text.contains("one process at a time"), "{read}");
    let gone = "cairn://documents/0000000000000000";
    let reply = bench
        .reply(modern("resources/read", Some(gone), json!({"uri": gone})))
        .await;
    assert!(reply.json()["error"].is_object(), "{}", reply.text());
    let wrong = modern("resources/list", None, json!({"cursor": "x"}));
    let reply = bench.reply(wrong).await;
    assert!(reply.json()["error"].is_object(), "{}", reply.text());
}

#[tokio::test]
async fn a_key_sees_and_does_what_it_may() {
    let closed = Closed::with(Arc::new(Scripted::citing()), |_| {});
    for (uri, labels) in [("open.md", json!([])), ("hidden.md", json!(["secret"]))] {
        let text = format!("The treasure of {uri} is under the oak.");
        let body = json!({"uri": uri, "text": text, "labels": labels});
        let reply = closed.post(&closed.admin, "/documents", &body).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.text());
    }
    let with_key = |mut request: Request<Body>, key: &str| {
        let value = format!("Bearer {key}").parse().unwrap();
        request.headers_mut().insert("authorization", value);
        request
    };
    let key = closed.key(&[], &[Scope::Search]).await;
    let bench = &closed.bench;
    let listed = result(bench, with_key(modern("tools/list", None, json!({})), &key)).await;
    assert_eq!(listed["tools"].as_array().unwrap().len(), 2, "{listed}");
    let ask = call(MODERN, "ask", json!({"question": "Where is the treasure?"}));
    let refused = result(bench, with_key(ask, &key)).await;
    assert!(
        refused["content"][0]["text"]
            .as_str()
            .unwrap()
            .contains("scope `query`")
    );
    let found = call(MODERN, "search", json!({"query": "treasure"}));
    let found = result(bench, with_key(found, &key)).await;
    assert!(!found.to_string().contains("hidden"), "{found}");
    let resources = modern("resources/list", None, json!({}));
    let resources = result(bench, with_key(resources, &key)).await;
    assert!(!resources.to_string().contains("hidden"), "{resources}");
    let listed = closed.get(&closed.admin, "/documents").await.json();
    let hidden = listed["documents"].as_array().unwrap().iter();
    let hidden = hidden
        .clone()
        .find(|one| one["uri"] == "hidden.md")
        .unwrap()["id"]
        .clone();
    let fetched = call(MODERN, "fetch", json!({"id": hidden}));
    let fetched = result(bench, with_key(fetched, &key)).await;
    assert_eq!(fetched["isError"], true, "{fetched}");
    let reply = bench.reply(modern("tools/list", None, json!({}))).await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    // The guards of every route are in front of this one, too.
    let mut foreign = with_key(modern("tools/list", None, json!({})), &key);
    foreign
        .headers_mut()
        .insert("origin", "https://evil.example".parse().unwrap());
    let reply = bench.reply(foreign).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN, "{}", reply.text());
    let mut foreign = with_key(modern("tools/list", None, json!({})), &key);
    foreign
        .headers_mut()
        .insert("host", "evil.example".parse().unwrap());
    let reply = bench.reply(foreign).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN, "{}", reply.text());
    assert!(
        reply.text().contains("server.allowed_hosts"),
        "{}",
        reply.text()
    );
}

/// Asks as a program would, and prints what came; by the client of mcp 2.x, which speaks the
/// stateless revision where the server does.
const MODERN_CLIENT: &str = r#"
import asyncio, json, sys
from mcp import Client, StdioServerParameters

async def main():
    where = sys.argv[1]
    server = where if where.startswith("http") else StdioServerParameters(command=where, args=sys.argv[2:])
    async with Client(server) as client:
        tools = (await client.list_tools()).tools
        found = await client.call_tool("search", {"query": "writer lock"})
        hit = found.structured_content["results"][0]["id"]
        fetched = await client.call_tool("fetch", {"id": hit})
        wrong = await client.call_tool("fetch", {"id": "nothing"})
        resources = (await client.list_resources()).resources
        read = await client.read_resource(resources[0].uri)
        print(json.dumps({
            "version": client.protocol_version,
            "tools": [tool.name for tool in tools],
            "text": fetched.structured_content["text"],
            "wrong": wrong.is_error,
            "resource": read.contents[0].text,
        }))

asyncio.run(main())
"#;

/// The same by the client of mcp 1.x.
const OLDER_CLIENT: &str = r#"
import asyncio, json, sys
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamablehttp_client

async def use(read, write):
    async with ClientSession(read, write) as session:
        started = await session.initialize()
        tools = (await session.list_tools()).tools
        found = await session.call_tool("search", {"query": "writer lock"})
        hit = found.structuredContent["results"][0]["id"]
        fetched = await session.call_tool("fetch", {"id": hit})
        wrong = await session.call_tool("fetch", {"id": "nothing"})
        resources = (await session.list_resources()).resources
        read = await session.read_resource(resources[0].uri)
        print(json.dumps({
            "version": started.protocolVersion,
            "tools": [tool.name for tool in tools],
            "text": fetched.structuredContent["text"],
            "wrong": wrong.isError,
            "resource": read.contents[0].text,
        }))

async def main():
    where = sys.argv[1]
    if where.startswith("http"):
        async with streamablehttp_client(where) as (read, write, _):
            await use(read, write)
    else:
        async with stdio_client(StdioServerParameters(command=where, args=sys.argv[2:])) as (read, write):
            await use(read, write)

asyncio.run(main())
"#;

/// The clients that can be had: their Python, their script, and the revision they speak.
fn clients() -> Vec<(std::path::PathBuf, &'static str, &'static str)> {
    let modern = peers::python("mcp", &["mcp==2.3.0"], "from mcp import Client");
    let older = peers::python(
        "mcp1",
        &["mcp==1.30.0"],
        "from mcp.client.streamable_http import streamablehttp_client; import mcp.server.fastmcp",
    );
    let modern = modern.map(|python| (python, MODERN_CLIENT, MODERN));
    let older = older.map(|python| (python, OLDER_CLIENT, OLDER));
    modern.into_iter().chain(older).collect()
}

async fn said(python: &Path, script: &str, arguments: &[&str], folder: &Path) -> Value {
    let mut command = Command::new(python);
    command
        .args(["-c", script])
        .args(arguments)
        .current_dir(folder)
        .stderr(Stdio::piped());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

fn check(said: &Value, revision: &str) {
    assert_eq!(said["version"], revision, "{said}");
    assert_eq!(said["tools"], json!(["search", "fetch", "ask"]));
    assert!(
        said["text"]
            .as_str()
            .unwrap()
            .contains("one process at a time")
    );
    assert_eq!(said["wrong"], true);
    assert!(said["resource"].as_str().unwrap().contains("Writer lock"));
}

#[tokio::test(flavor = "multi_thread")]
async fn real_clients_are_served_over_http() {
    for (python, script, revision) in clients() {
        let bench = Bench::new();
        bench.upload_guide().await;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let router = bench.router.clone();
        let serving = tokio::spawn(async move { axum::serve(listener, router).await });
        let said = said(&python, script, &[&url], bench.dir.path()).await;
        check(&said, revision);
        serving.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn real_clients_are_served_on_standard_streams() {
    let clients = clients();
    if clients.is_empty() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    // Words are enough here: no model has to be fetched.
    let config = "[models]\nembedder = \"none\"\nreranker = \"none\"\ngenerator = \"none\"\n";
    std::fs::write(folder.join("words.toml"), config).unwrap();
    // An index needs vectors: those of a twin that is made here.
    let bench = Bench::with(Arc::new(Scripted::citing()), |config| {
        config.storage.data_dir = folder.join("data");
    });
    bench.upload_guide().await;
    drop(bench);
    let arguments = ["mcp", "--config", "words.toml", "--data-dir", "data", "-q"];
    let cairn = command(folder, &arguments);
    let program = cairn.get_program().to_str().unwrap().to_owned();
    for (python, script, revision) in clients {
        let mut all = vec![program.as_str()];
        all.extend(arguments);
        let said = said(&python, script, &all, folder).await;
        check(&said, revision);
    }
}
