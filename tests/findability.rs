//! Exact things are found by their words, paraphrases by their meaning: the
//! engine with the real embedder over a small collection of look-alikes.

use cairn_engine::retrieve::{Engine, Mode, SearchRequest};
use cairn_indexer::Document;
use cairn_models::{Cancel, Hub, LoadOptions, Quiet, load_embedder};
use cairn_settings::config::Config;

/// Names and texts; many share parts of what is looked for.
const DOCUMENTS: &[(&str, &str)] = &[
    (
        "timeouts",
        "ERR_CONN_4012 means that the peer closed the connection during the handshake.",
    ),
    (
        "refusals",
        "ERR_CONN_4013 means that the connection was refused. See also the code 4012 of ERR_TLS.",
    ),
    (
        "parsing",
        "Call config::parse_header to read the header of a file.",
    ),
    (
        "printing",
        "Call config::print_header to write the header of a file. Parse it again with header::parse.",
    ),
    ("new release", "Version v1.2.3 mends the scheduler."),
    (
        "old release",
        "Version v1.2.13 and v1.3.2 mend the scheduler and version the protocol.",
    ),
    (
        "job",
        "The job 7f9c24e8-3b1d-4a76-9c0e-5f2b8d61a3e4 copies the archive.",
    ),
    (
        "other job",
        "The job 7f9c24e8-3b1d-4a76-9c0e-5f2b8d61a3e5 deletes the archive.",
    ),
    (
        "daemon",
        "The settings of the daemon are in /etc/ssh/sshd_config on every host.",
    ),
    (
        "client",
        "The settings of the client are in /etc/ssh/ssh_config on every host.",
    ),
    (
        "leave",
        "Employees may take thirty days of paid vacation each year.",
    ),
    (
        "kitchen",
        "Bake the bread for forty minutes until the crust is brown.",
    ),
];

/// What is looked for, and the document that must come first.
const EXACT: &[(&str, &str)] = &[
    ("ERR_CONN_4012", "timeouts"),
    ("what does ERR_CONN_4013 mean?", "refusals"),
    ("config::parse_header", "parsing"),
    ("v1.2.3", "new release"),
    ("7f9c24e8-3b1d-4a76-9c0e-5f2b8d61a3e5", "other job"),
    ("/etc/ssh/sshd_config", "daemon"),
];

fn engine(folder: &std::path::Path) -> Engine {
    let mut config = Config::default();
    config.storage.data_dir = folder.to_owned();
    config.models.reranker = "none".into();
    let hub = Hub::new(None).unwrap();
    let options = LoadOptions::default();
    let embedder = load_embedder(&hub, &config.models.embedder, &options, &Quiet).unwrap();
    let engine = Engine::new(&config, Some(embedder.clone()), None).unwrap();
    let index = engine.create_collection("main").unwrap();
    let mut writer = index.writer(embedder).unwrap();
    let document = |&(title, text): &(&str, &str)| Document {
        uri: title.to_owned(),
        title: title.to_owned(),
        text: text.to_owned(),
        ..Document::default()
    };
    let documents = DOCUMENTS.iter().map(|pair| (document(pair), None));
    writer.put(documents.collect(), &Cancel::never()).unwrap();
    writer.commit().unwrap();
    engine
}

fn found(engine: &Engine, question: &str, mode: Mode) -> Vec<String> {
    let mut request = SearchRequest::new(question, "main");
    request.mode = mode;
    let response = engine.search_blocking(&request, &Cancel::never()).unwrap();
    response
        .sources
        .into_iter()
        .map(|source| source.uri)
        .collect()
}

#[test]
fn exact_things_come_first_and_paraphrases_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(folder.path());
    for (question, expected) in EXACT {
        for mode in [Mode::Lexical, Mode::Hybrid] {
            let found = found(&engine, question, mode);
            assert_eq!(
                found.first().map(String::as_str),
                Some(*expected),
                "{question} {mode:?}"
            );
        }
    }
    let question = "How much holiday do workers get annually?";
    assert!(
        found(&engine, question, Mode::Lexical).is_empty(),
        "no word is shared"
    );
    assert_eq!(found(&engine, question, Mode::Dense)[0], "leave");
    assert_eq!(found(&engine, question, Mode::Hybrid)[0], "leave");
}
