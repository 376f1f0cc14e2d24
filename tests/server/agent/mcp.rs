//! Tools of a real MCP server: the package `mcp` for Python, over its standard streams and over
//! HTTP.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use cairn_gateway::accounts::Scope;
use cairn_settings::config::{AgentMcp, Config};

use super::super::keys::Closed;
use super::*;
use crate::peers;

const PACKAGE: &str = "mcp==2.3.0";

const SERVER: &str = r#"
import os, sys, time
from mcp.server import MCPServer
server = MCPServer("tickets")

@server.tool()
def count_tickets(state: str) -> str:
    """Counts the tickets in a state."""
    return {"open": "There are 17 open tickets."}.get(state, "There are none.")

@server.tool()
def broken() -> str:
    """Fails."""
    raise ValueError("on purpose")

@server.tool()
def slow() -> str:
    """Takes long."""
    time.sleep(60)
    return "late"

@server.tool()
def environment() -> str:
    """Names the variables it was given."""
    return " ".join(sorted(os.environ))

if len(sys.argv) > 1:
    server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
else:
    server.run("stdio")
"#;

/// A Python that has the package; `None` if it may be missing and is.
fn python() -> Option<PathBuf> {
    peers::python("mcp", &[PACKAGE], "from mcp.server import MCPServer")
}

/// The server's program, in a folder of its own.
fn program() -> Option<(tempfile::TempDir, Vec<String>)> {
    let python = python()?;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("server.py");
    std::fs::write(&file, SERVER).unwrap();
    let command = [python.as_path(), file.as_path()];
    let command = command.map(|part| part.to_str().unwrap().to_owned());
    Some((dir, command.into()))
}

fn tickets() -> AgentMcp {
    AgentMcp {
        name: "tickets".into(),
        command: Vec::new(),
        pass_env: Vec::new(),
        url: None,
        key_env: None,
        tools: Default::default(),
        labels: Default::default(),
    }
}

async fn one_call(tool: &'static str, given: Value, server: AgentMcp) -> (String, Value) {
    let model = Model::new([Call(vec![(tool, given)]), Say("There are 17 [1].")]);
    let bench = Bench::with(model.clone(), |config| {
        config.agent.mcp = vec![server];
        config.agent.tool_seconds = 2;
    });
    fill(&bench).await;
    let answer = run(&bench, "react").await;
    (model.results()[0].clone(), answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn tools_of_a_server_are_called_over_its_streams() {
    let Some((_dir, command)) = program() else {
        return;
    };
    let server = || AgentMcp {
        command: command.clone(),
        ..tickets()
    };
    let open = json!({"state": "open"});
    let (result, answer) = one_call("tickets__count_tickets", open.clone(), server()).await;
    assert!(result.contains("17 open tickets"), "{result}");
    assert_eq!(answer["sources"][0]["uri"], "mcp:tickets/count_tickets");
    assert_eq!(answer["answer"], "There are 17 [1].");
    let (result, _) = one_call("tickets__count_tickets", json!({}), server()).await;
    assert!(
        result.starts_with("ERROR") && result.contains("state"),
        "{result}"
    );
    let (result, _) = one_call("tickets__broken", json!({}), server()).await;
    assert!(result.starts_with("ERROR"), "{result}");
    let (result, _) = one_call("tickets__slow", json!({}), server()).await;
    assert!(result.contains("did not answer within"), "{result}");
    let (result, _) = one_call("tickets__count_ticket", open, server()).await;
    assert!(
        result.contains("did you mean `tickets__count_tickets`"),
        "{result}"
    );
    // The keys of providers stay here.
    let (result, _) = one_call("tickets__environment", json!({}), server()).await;
    assert!(
        result.contains("PATH") && !result.contains("CARGO"),
        "{result}"
    );
}

struct Stop(Child);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tools_of_a_server_are_called_over_http() {
    let Some((_dir, command)) = program() else {
        return;
    };
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let child = Command::new(&command[0])
        .args([&command[1], &port.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let _stop = Stop(child.unwrap());
    for _ in 0..600 {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let server = AgentMcp {
        url: Some(format!("http://127.0.0.1:{port}/mcp")),
        ..tickets()
    };
    let open = json!({"state": "open"});
    let (result, _) = one_call("tickets__count_tickets", open, server).await;
    assert!(result.contains("17 open tickets"), "{result}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_for_those_who_may_use_it() {
    let Some((_dir, command)) = program() else {
        return;
    };
    let call = || Call(vec![("tickets__count_tickets", json!({"state": "open"}))]);
    let model = Model::new([call(), Say("There are 17 [1].")]);
    let closed = Closed::with(model.clone(), |config: &mut Config| {
        config.agent.mcp = vec![AgentMcp {
            command: command.clone(),
            labels: ["desk".to_owned()].into(),
            ..tickets()
        }];
    });
    let scopes = [Scope::Query, Scope::Tools];
    let body = json!({"uri": "ship.md", "text": SHIP});
    let reply = closed.post(&closed.admin, "/documents", &body).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.text());
    for (labels, scopes, may) in [
        (&["desk"][..], &scopes[..], true),
        (&["desk"], &scopes[..1], false),
        (&["crew"], &scopes[..], false),
    ] {
        let turns: VecDeque<Turn> = [call(), Say("There are 17 [1].")].into();
        model.turns.lock().unwrap().clone_from(&turns);
        let key = closed.key(labels, scopes).await;
        let body = json!({"query": "How many tickets are open?", "agent": "react",
            "stream": false});
        let reply = closed.post(&key, "/query", &body).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
        assert_eq!(reply.text().contains("17 open tickets"), may, "{labels:?}");
    }
}

#[tokio::test]
async fn a_server_that_cannot_be_had_is_left_out() {
    let server = AgentMcp {
        command: vec!["/nothing/here".into()],
        ..tickets()
    };
    let (result, answer) = one_call("tickets__count_tickets", json!({}), server).await;
    assert!(result.contains("there is no tool"), "{result}");
    assert!(!answer["answer"].as_str().unwrap().is_empty());
}
