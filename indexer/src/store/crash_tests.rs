//! A process that is killed at any moment, and a disk that is full: what was
//! acknowledged is there, and nothing is half there.
//!
//! The test starts its own executable again as the process that is killed; an
//! environment variable tells the two apart.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use cairn_models::testing::HashEmbedder;
use cairn_models::{Cancel, Embedder};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::store::doctor;
use crate::store::index::WORDS_DIR;
use crate::store::tests::writer;
use crate::{
    Access, Bm25, ChunkRef, Document, DocumentId, ErrorKind, Index, IndexSettings, Writer,
};

const DIR: &str = "CAIRN_TEST_CRASH_DIR";
const SEED: &str = "CAIRN_TEST_CRASH_SEED";
const KILLS: u64 = 60;
const DOCUMENTS: u64 = 30;

/// Versions of the documents that are there, by number.
type State = BTreeMap<u64, u64>;

fn settings() -> IndexSettings {
    // Small enough that graphs are built and merged while documents come.
    IndexSettings {
        chunk_tokens: 24,
        chunk_overlap: 4,
        context: false,
        graph_min_rows: 150,
        ..IndexSettings::default()
    }
}

/// A number in letters, so that it is one word for every analyzer.
fn letters(mut number: u64) -> String {
    let mut word = String::from("zq");
    for _ in 0..6 {
        word.push(char::from(b'a' + (number % 26) as u8));
        number /= 26;
    }
    word
}

/// A word that only this version of this document has.
fn mark(number: u64, version: u64) -> String {
    letters(version * DOCUMENTS + number)
}

fn document(number: u64, version: u64) -> Document {
    // The first half is the same in every version, so that its chunks are kept.
    let same = (0..30).map(|word| letters(1_000_000 + number * 100 + word));
    let own = (0..20).map(|word| format!("{} {}", mark(number, version), letters(word * version)));
    let words: Vec<_> = same.chain(own).collect();
    Document {
        uri: format!("doc-{number}"),
        title: format!("Document {number}"),
        text: words.join(" "),
        ..Document::default()
    }
}

/// The child: commits again and again, says what it is about to commit, and
/// says so again when it has.
fn write_until_killed(dir: &Path, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let index = Index::open(dir, settings()).unwrap();
    let mut writer = writer(&index);
    say("ready");
    for round in 0.. {
        let mut changes = Vec::new();
        for _ in 0..random.random_range(1..5) {
            let number = random.random_range(0..DOCUMENTS);
            let version = if random.random_bool(0.2) {
                0
            } else {
                1 + seed * 1000 + round
            };
            changes.push(format!("{number}={version}"));
            if version == 0 {
                writer
                    .delete(DocumentId::of_uri(&format!("doc-{number}")))
                    .unwrap();
            } else {
                put(&mut writer, document(number, version)).unwrap();
            }
        }
        say(&format!(
            "try {} {}",
            index.snapshot().generation() + 1,
            changes.join(" ")
        ));
        let generation = writer.commit().unwrap();
        say(&format!("ack {generation}"));
    }
}

fn put(writer: &mut Writer, document: Document) -> crate::Result<()> {
    writer
        .put(vec![(document, None)], &Cancel::never())
        .map(|_| ())
}

/// Writes a line at once, whatever the test harness does with `println!`.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\ncrash: {line}").unwrap();
    out.flush().unwrap();
}

fn again(test: &str, program: &OsStr, arguments: &[&OsStr], dir: &Path, seed: u64) -> Child {
    Command::new(program)
        .args(arguments)
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(DIR, dir)
        .env(SEED, seed.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

fn lines(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    let out = BufReader::new(child.stdout.take().unwrap());
    out.lines()
        .map_while(Result::ok)
        .filter_map(|line| Some(line.strip_prefix("crash: ")?.to_owned()))
}

/// The commits that a child announced, and the last one that it acknowledged.
fn follow(
    mut child: Child,
    commits: usize,
    patience: Duration,
) -> (BTreeMap<u64, Vec<(u64, u64)>>, u64) {
    let mut lines = lines(&mut child);
    assert_eq!(lines.next().as_deref(), Some("ready"));
    let (sender, receiver) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let said = lines.inspect(|line| {
            if line.starts_with("ack") {
                // They are not counted after the kill.
                sender.send(()).ok();
            }
        });
        said.collect::<Vec<_>>()
    });
    for _ in 0..commits {
        receiver.recv().unwrap();
    }
    std::thread::sleep(patience);
    child.kill().unwrap();
    child.wait().unwrap();
    let (mut tried, mut acknowledged) = (BTreeMap::new(), 0);
    for line in reader.join().unwrap() {
        let mut words = line.split(' ');
        let what = words.next().unwrap();
        // The last line may have been cut off by the kill.
        let Some(Ok(generation)) = words.next().map(str::parse::<u64>) else {
            break;
        };
        if what == "ack" {
            acknowledged = generation;
        } else {
            let changes = words.map(|change| {
                let (number, version) = change.split_once('=').unwrap();
                (number.parse().unwrap(), version.parse().unwrap())
            });
            tried.insert(generation, changes.collect::<Vec<_>>());
        }
    }
    (tried, acknowledged)
}

fn apply(state: &mut State, changes: &[(u64, u64)]) {
    for &(number, version) in changes {
        if version == 0 {
            state.remove(&number);
        } else {
            state.insert(number, version);
        }
    }
}

/// Every document of `state` is found by its words and by its vectors, whole,
/// and there is no other.
fn examine(dir: &Path, state: &State) {
    let index = Index::open(dir, settings()).unwrap();
    let snapshot = index.snapshot();
    assert_eq!(snapshot.document_count(), state.len());
    let mut chunks = 0;
    for (&number, &version) in state {
        let expected = document(number, version);
        let text = snapshot.document_text(expected.id(), &Access::All).unwrap();
        assert_eq!(text.as_deref(), Some(expected.text.as_str()));
        let hits = snapshot
            .lexical(&mark(number, version), 1, Bm25::default(), None)
            .unwrap();
        assert_eq!(snapshot.chunk(hits[0].chunk).unwrap().uri, expected.uri);
        chunks += snapshot
            .document(expected.id(), &Access::All)
            .unwrap()
            .unwrap()
            .chunk_count;
    }
    assert_eq!(snapshot.chunk_count(), chunks as usize);
    for chunk in (0..chunks).map(ChunkRef) {
        let text = snapshot.chunk(chunk).unwrap().chunk.text;
        let vector = HashEmbedder
            .embed(&[&text], &Cancel::never())
            .unwrap()
            .remove(0);
        assert_eq!(snapshot.vector(chunk).unwrap(), vector);
        let nearest = snapshot.dense(&vector, 1, 64, true, None).unwrap();
        assert!(nearest[0].score > 0.999);
    }
    let diagnosis = doctor::check(dir).unwrap();
    assert!(diagnosis.is_healthy(), "{:?}", diagnosis.findings);
}

#[test]
fn a_kill_at_any_moment_loses_nothing_that_was_acknowledged() {
    if let (Some(dir), Ok(seed)) = (std::env::var_os(DIR), std::env::var(SEED)) {
        return write_until_killed(Path::new(&dir), seed.parse().unwrap());
    }
    let test = "store::crash_tests::a_kill_at_any_moment_loses_nothing_that_was_acknowledged";
    let dir = tempfile::tempdir().unwrap();
    let program = std::env::current_exe().unwrap();
    let mut random = StdRng::seed_from_u64(7);
    let (mut state, mut generation, mut between) = (State::new(), 0, 0);
    for seed in 1..=KILLS {
        let child = again(test, program.as_os_str(), &[], dir.path(), seed);
        let patience = Duration::from_micros(random.random_range(0..60_000));
        let (tried, acknowledged) = follow(child, random.random_range(0..4), patience);
        let now = Index::open(dir.path(), settings())
            .unwrap()
            .snapshot()
            .generation();
        assert!(
            now >= acknowledged && now >= generation,
            "{now} {acknowledged} {generation}"
        );
        // A commit may have happened whose acknowledgement did not.
        assert!(now <= acknowledged.max(generation) + 1);
        between += u64::from(now > acknowledged.max(generation));
        for (_, changes) in tried
            .iter()
            .filter(|(tried, _)| (generation + 1..=now).contains(tried))
        {
            apply(&mut state, changes);
        }
        generation = now;
        examine(dir.path(), &state);
    }
    assert!(
        generation >= KILLS / 2,
        "too few commits to have tested anything: {generation}"
    );
    println!("{KILLS} kills, {generation} commits, {between} of them before their acknowledgement");
}

/// The moment that the test above meets seldom: the list of deleted documents is
/// on disk, the commit that names it is not.
#[test]
fn work_that_a_kill_cut_off_inside_a_commit_can_be_done_again() {
    let whole = tempfile::tempdir().unwrap();
    let cut_off = tempfile::tempdir().unwrap();
    let words = |dir: &tempfile::TempDir| dir.path().join(WORDS_DIR);
    let again = |dir: &tempfile::TempDir| {
        let index = Index::open(dir.path(), settings()).unwrap();
        let mut writer = writer(&index);
        put(&mut writer, document(1, 2)).unwrap();
        writer.commit()
    };
    {
        let index = Index::open(whole.path(), settings()).unwrap();
        let mut writer = writer(&index);
        for number in 0..DOCUMENTS {
            put(&mut writer, document(number, 1)).unwrap();
        }
        writer.commit().unwrap();
    }
    copy_dir(whole.path(), cut_off.path());
    again(&whole).unwrap();
    let is_written_first = |name: &str| name == ".managed.json" || name.ends_with(".del");
    let mut lists = 0;
    for entry in std::fs::read_dir(words(&whole)).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if is_written_first(&name) {
            std::fs::copy(words(&whole).join(&name), words(&cut_off).join(&name)).unwrap();
            lists += usize::from(name.ends_with(".del"));
        }
    }
    assert_eq!(lists, 1);
    again(&cut_off).unwrap();
    let mut state: State = (0..DOCUMENTS).map(|number| (number, 1)).collect();
    state.insert(1, 2);
    examine(cut_off.path(), &state);
}

fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let copy = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &copy);
        } else {
            std::fs::copy(entry.path(), copy).unwrap();
        }
    }
}

#[cfg(unix)]
#[test]
fn a_full_disk_leaves_the_last_commit_and_a_writer_that_works() {
    if let Some(dir) = std::env::var_os(DIR) {
        return fill_the_disk(Path::new(&dir));
    }
    let test = "store::crash_tests::a_full_disk_leaves_the_last_commit_and_a_writer_that_works";
    let dir = tempfile::tempdir().unwrap();
    let program = std::env::current_exe().unwrap();
    // The shell lets no file grow beyond 200 blocks, and turns the signal that
    // a process gets for trying into an error.
    let script = OsStr::new("trap '' XFSZ; ulimit -f 200; exec \"$0\" \"$@\"");
    let arguments = [OsStr::new("-c"), script, program.as_os_str()];
    let mut child = again(test, OsStr::new("sh"), &arguments, dir.path(), 0);
    let said: Vec<_> = lines(&mut child).collect();
    child.wait().unwrap();
    assert_eq!(
        said,
        [
            "committed",
            "failed Machine",
            "nothing half there",
            "committed again"
        ]
    );
    examine(dir.path(), &State::from([(1, 1), (2, 2)]));
}

#[cfg(unix)]
fn fill_the_disk(dir: &Path) {
    let index = Index::open(dir, settings()).unwrap();
    let mut writer = index.writer(Arc::new(HashEmbedder)).unwrap();
    put(&mut writer, document(1, 1)).unwrap();
    writer.commit().unwrap();
    say("committed");
    let mut failed = None;
    for number in 10..100 {
        let mut large = document(number, 1);
        large.text = (0..3000)
            .map(|word| letters(number * 100_003 * word) + " ")
            .collect();
        if let Err(error) = put(&mut writer, large) {
            failed = Some(error);
            break;
        }
    }
    let error = failed.unwrap_or_else(|| writer.commit().unwrap_err());
    assert!(error.to_string().contains("disk is full"), "{error}");
    say(&format!("failed {:?}", error.kind()));
    assert_eq!(error.kind(), ErrorKind::Machine);
    assert_eq!(index.snapshot().document_count(), 1);
    assert!(
        writer
            .delete(DocumentId::of_uri("doc-10"))
            .is_ok_and(|there| !there)
    );
    say("nothing half there");
    put(&mut writer, document(2, 2)).unwrap();
    writer.commit().unwrap();
    say("committed again");
}
