//! A child that misbehaves as the bytes that it is given say. It is this test binary
//! itself, which is told to run [`double`] alone.

use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cairn_models::Cancel;
use cairn_parse::{Error, ParseInput, ParseLimits};

use super::{Isolation, Parser, pool::Pool, worker};
use crate::{Document, ErrorKind, Result};

/// An argument that no test is called, and that marks a child.
const CHILD: &str = "parse-double";

/// The same for a process that has a child, and hangs.
const PARENT: &str = "parent-of-a-double";

const MEMORY: u64 = 1 << 30;

fn is_started_as(what: &str) -> bool {
    std::env::args().any(|argument| argument == what)
}

fn isolation() -> Isolation {
    Isolation {
        program: std::env::current_exe().unwrap(),
        args: ["--exact", "isolate::tests::double", CHILD]
            .map(Into::into)
            .into(),
        memory_num_bytes: MEMORY,
        time: Duration::from_secs(20),
        most: 2,
    }
}

/// A parser whose documents have `time` each.
pub(crate) fn parser(time: Duration) -> Parser {
    let isolation = Isolation {
        time,
        ..isolation()
    };
    Parser::isolated(ParseLimits::default(), isolation)
}

fn parse(parser: &Parser, bytes: &[u8]) -> Result<Document> {
    parser.parse(&ParseInput::new("a.txt", bytes), &Cancel::never())
}

/// The process of the child; passes at once in an ordinary run of the tests.
#[test]
fn double() {
    if is_started_as(CHILD) {
        worker::serve_with(MEMORY, misbehave).unwrap();
    }
}

fn misbehave(input: &ParseInput<'_>, limits: &ParseLimits) -> Result<Document, Error> {
    let text = String::from_utf8_lossy(input.bytes);
    let socket = || UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned().unwrap());
    let said = |text: String| {
        Ok(Document {
            uri: input.uri.to_owned(),
            text,
            ..Document::default()
        })
    };
    let has = |word: &str| text.contains(word);
    if has("HANG") {
        std::thread::sleep(Duration::from_secs(3600));
    } else if has("SPIN") {
        while std::hint::black_box(true) {}
    } else if has("CRASH") {
        std::process::abort();
    } else if has("OVERFLOW") {
        return said(format!("{}", deeper(0)));
    } else if has("LEAVE") {
        std::process::exit(3);
    } else if has("FLOOD") {
        let mut kept = Vec::new();
        loop {
            kept.push(vec![1_u8; 10 << 20]);
        }
    } else if has("GRACEFUL") {
        let failed = Vec::<u8>::new().try_reserve(2 << 30).unwrap_err();
        return Err(Error::new(
            cairn_parse::ErrorKind::InvalidInput,
            failed.to_string(),
        ));
    } else if has("ALMOST") {
        let mut kept: Vec<Vec<u8>> = Vec::new();
        let mut block = Vec::new();
        while block.try_reserve_exact(10 << 20).is_ok() {
            kept.push(std::mem::take(&mut block));
        }
        drop(kept);
        return Err(Error::new(cairn_parse::ErrorKind::InvalidInput, "broken"));
    } else if has("GARBAGE") {
        socket().write_all(&[b'x'; 100]).unwrap();
    } else if has("TRICKLE") {
        loop {
            socket().write_all(b"C").ok();
            std::thread::sleep(Duration::from_millis(20));
        }
    } else if has("PRINT") {
        println!("on stdout");
        (0..100_000).for_each(|_| eprintln!("pdfium has an opinion about this file"));
    } else if has("ENVIRONMENT") {
        return said(format!("{:?}", std::env::vars().collect::<Vec<_>>()));
    } else if has("WRITE") {
        let path = text.trim_start_matches("WRITE ");
        return said(format!("{}", std::fs::write(path, "x").is_ok()));
    } else if has("PROCESS") {
        return said(std::process::id().to_string());
    } else if has("KILLED") {
        let kill = ["-c", "kill -9 $PPID"];
        Command::new("/bin/sh").args(kill).status().unwrap();
    }
    cairn_parse::parse(input, limits)
}

/// Recursion that no compiler makes a loop of.
fn deeper(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 512]);
    match frame[1] {
        u64::MAX => 0,
        depth => deeper(depth + 1) + frame[7],
    }
}

#[test]
fn a_child_that_fails_is_ended_named_and_replaced() {
    let parser = parser(Duration::from_secs(20));
    for (bytes, kind, expected) in [
        ("CRASH", ErrorKind::ParserStopped, "crashed (signal 6)"),
        ("OVERFLOW", ErrorKind::ParserStopped, "crashed (signal"),
        ("LEAVE", ErrorKind::ParserStopped, "exit code 3"),
        ("FLOOD", ErrorKind::ParserStopped, "1024 MB of memory"),
        ("GRACEFUL", ErrorKind::ParserStopped, "1024 MB of memory"),
        ("ALMOST", ErrorKind::ParserStopped, "1024 MB of memory"),
        ("GARBAGE", ErrorKind::ParserStopped, "not a document"),
        ("KILLED", ErrorKind::Machine, "the system ended"),
    ] {
        let error = parse(&parser, bytes.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), kind, "{bytes}: {error}");
        assert!(error.message().contains(expected), "{bytes}: {error}");
        assert!(parse(&parser, b"fine").is_ok(), "after {bytes}");
    }
    // An error about the contents is the parser's, word for word.
    let here = Parser::default();
    for bytes in [&b""[..], b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"] {
        let (one, other) = (parse(&parser, bytes), parse(&here, bytes));
        let (one, other) = (one.unwrap_err(), other.unwrap_err());
        assert_eq!((one.kind(), one.message()), (other.kind(), other.message()));
    }
}

#[test]
fn time_is_counted_from_the_turn_and_ends_whatever_runs() {
    let time = Duration::from_millis(700);
    let parser = parser(time);
    // Six documents in two places: the last ones wait for longer than they may take.
    let start = Instant::now();
    std::thread::scope(|scope| {
        let parser = &parser;
        let hanging = ["HANG", "SPIN", "TRICKLE", "HANG"];
        let hanging = hanging.map(|bytes| scope.spawn(move || parse(parser, bytes.as_bytes())));
        for (at, result) in hanging.into_iter().enumerate() {
            match (at, result.join().unwrap()) {
                // What it writes is not a frame, which may be seen first.
                (2, Err(error)) => assert_eq!(error.kind(), ErrorKind::ParserStopped),
                (_, result) => {
                    let error = result.unwrap_err();
                    assert!(error.message().contains("more than 0 seconds"), "{error}");
                }
            }
        }
    });
    assert!(start.elapsed() >= time, "nothing ended before its time");
    assert!(parse(&parser, b"fine").is_ok());
}

#[test]
fn a_document_that_nobody_waits_for_is_given_up() {
    let parser = parser(Duration::from_secs(600));
    let cancel = Cancel::never();
    let start = Instant::now();
    std::thread::scope(|scope| {
        // Two run, one waits for its turn.
        let hanging: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| parser.parse(&ParseInput::new("a.txt", b"HANG"), &cancel)))
            .collect();
        std::thread::sleep(Duration::from_millis(300));
        cancel.cancel();
        for result in hanging {
            let error = result.join().unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Cancelled);
        }
    });
    assert!(start.elapsed() < Duration::from_secs(60));
}

#[test]
fn children_are_kept_warm_and_serve_many() {
    let pool = Pool::new(isolation());
    let limits = ParseLimits::default();
    let parse = |bytes: &[u8]| {
        let input = ParseInput::new("a.txt", bytes);
        pool.parse(&input, &limits, &Cancel::never())
    };
    assert!(pool.idle_ids().is_empty(), "no document was parsed yet");
    let first = parse(b"PROCESS").unwrap().text;
    assert_eq!(parse(b"PROCESS").unwrap().text, first);
    // Noise of libraries is not a reply, and more of it than fits blocks nothing.
    assert!(parse(b"PRINT").unwrap().text.contains("PRINT"));
    assert_eq!(parse(b"PROCESS").unwrap().text, first);
    // One that ended meanwhile is not the next document's fault.
    let [child] = pool.idle_ids()[..] else {
        panic!("one child is warm")
    };
    let kill = ["-9", &child.to_string()].map(ToOwned::to_owned);
    assert!(Command::new("kill").args(kill).status().unwrap().success());
    let second = parse(b"PROCESS").unwrap().text;
    assert_ne!(second, first);
    drop(pool);
    assert!(!is_alive(&second), "dropping the pool ends its children");
}

#[test]
fn a_child_has_no_secrets_and_writes_no_files() {
    let parser = parser(Duration::from_secs(20));
    let variables = parse(&parser, b"ENVIRONMENT").unwrap().text;
    assert!(variables.contains("MALLOC_ARENA_MAX"), "{variables}");
    for (name, _) in std::env::vars() {
        let kept = ["TZ", "MALLOC_ARENA_MAX"].contains(&name.as_str()) || name.contains("LIBRARY");
        let shown = format!("(\"{name}\"");
        assert!(kept || !variables.contains(&shown), "{name}: {variables}");
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x");
    let order = format!("WRITE {}", file.display());
    let result = parse(&parser, order.as_bytes());
    assert!(result.is_err() || result.is_ok_and(|document| document.text == "false"));
    assert_eq!(std::fs::read(file).unwrap_or_default(), b"");
}

#[test]
fn a_program_that_is_not_there_is_the_machines_fault() {
    let isolation = Isolation {
        program: "/nowhere/cairn".into(),
        ..isolation()
    };
    let parser = Parser::isolated(ParseLimits::default(), isolation);
    let error = parse(&parser, b"fine").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Machine);
}

/// A parent that is killed while its child hangs; passes at once in an ordinary run.
#[test]
fn parent() {
    if is_started_as(PARENT) {
        let parser = parser(Duration::from_secs(3600));
        println!("child {}", parse(&parser, b"PROCESS").unwrap().text);
        parse(&parser, b"SPIN").unwrap_err();
    }
}

#[test]
fn children_die_with_a_parent_that_is_killed() {
    use std::io::BufRead as _;
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "isolate::tests::parent", "--nocapture", PARENT])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = std::io::BufReader::new(parent.stdout.take().unwrap()).lines();
    let child = lines
        .map_while(Result::<_, std::io::Error>::ok)
        .find_map(|line| Some(line.split_once("child ")?.1.trim().to_owned()))
        .expect("the parent names its child");
    // It is at work on the document that never ends.
    std::thread::sleep(Duration::from_millis(300));
    assert!(is_alive(&child));
    parent.kill().unwrap();
    parent.wait().unwrap();
    let patience = Instant::now() + Duration::from_secs(30);
    while is_alive(&child) && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(!is_alive(&child), "the child outlives its parent");
}

/// Whether a process runs; one that has ended and was not waited for does not.
fn is_alive(process: &str) -> bool {
    let states = Command::new("ps")
        .args(["-o", "stat=", "-p", process])
        .output()
        .unwrap();
    let state = String::from_utf8_lossy(&states.stdout).trim().to_owned();
    !state.is_empty() && !state.starts_with('Z')
}

/// [`is_alive`] must be able to see.
#[test]
fn the_reader_of_processes_sees_them() {
    assert!(is_alive(&std::process::id().to_string()));
    assert!(Path::new("/bin/sh").exists());
}
