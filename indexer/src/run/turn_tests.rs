//! Writers take turns, and nothing of either is lost.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use cairn_models::testing::{HashEmbedder, WatchedEmbedder};
use cairn_models::{Cancel, Embedder};

use super::*;
use crate::{Access, Document, ErrorKind, IndexSettings};

/// Takes its time, as a model does, and counts its calls.
fn slow(calls: &Arc<AtomicUsize>) -> Arc<dyn Embedder> {
    let calls = Arc::clone(calls);
    Arc::new(WatchedEmbedder(move |_: &[&str]| {
        calls.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(40));
        Ok(())
    }))
}

fn collection(dir: &std::path::Path) -> Index {
    let settings = IndexSettings {
        chunk_tokens: 64,
        chunk_overlap: 8,
        ..IndexSettings::default()
    };
    Index::open(&dir.join("data"), settings).unwrap()
}

fn folder(dir: &std::path::Path, name: &str, files: usize) -> PathBuf {
    let folder = dir.join(name);
    fs::create_dir_all(&folder).unwrap();
    for n in 0..files {
        let text = format!("{name} document number {n} speaks of subject {n}");
        fs::write(folder.join(format!("{n:04}.txt")), text).unwrap();
    }
    folder
}

#[test]
fn an_upload_gets_in_while_a_folder_is_embedded() {
    let dir = tempfile::tempdir().unwrap();
    let index = collection(dir.path());
    let docs = folder(dir.path(), "docs", 1500);
    let calls = Arc::new(AtomicUsize::new(0));
    let embedder = slow(&calls);
    let running = AtomicBool::new(true);
    std::thread::scope(|scope| {
        let run = scope.spawn(|| {
            let (options, cancel) = (RunOptions::default(), Cancel::never());
            let embedder = embedder.clone();
            let report = index_paths(&[docs], &index, embedder, &options, &(), &cancel);
            running.store(false, Ordering::SeqCst);
            report.unwrap()
        });
        while calls.load(Ordering::Relaxed) < 2 {
            std::thread::sleep(Duration::from_millis(1));
        }
        let hash: Arc<dyn Embedder> = Arc::new(HashEmbedder);
        let mut writer = index
            .writer_within(&hash, Duration::from_secs(30), &Cancel::never())
            .unwrap();
        assert!(running.load(Ordering::SeqCst), "the run let nobody in");
        let upload = Document {
            uri: "upload.md".into(),
            text: "An upload beside the run".into(),
            ..Document::default()
        };
        writer.put(vec![(upload, None)], &Cancel::never()).unwrap();
        writer.commit().unwrap();
        drop(writer);
        let report = run.join().unwrap();
        assert_eq!((report.added, report.failed.len()), (1500, 0));
    });
    index.refresh().unwrap();
    let documents = index.snapshot().documents(0, 2000, &Access::All).unwrap();
    assert_eq!(documents.len(), 1501);
    // A second run finds everything as it was: the folder is known.
    let report = index_paths(
        &[dir.path().join("docs")],
        &index,
        Arc::new(HashEmbedder),
        &RunOptions::default(),
        &(),
        &Cancel::never(),
    )
    .unwrap();
    assert_eq!((report.unchanged, report.added), (1500, 0));
}

/// Parses in a process that takes `time` for each file and then is ended.
#[cfg(unix)]
fn stuck(time: Duration) -> Parser {
    let isolation = crate::Isolation {
        program: "/bin/sleep".into(),
        args: vec!["600".into()],
        memory_num_bytes: 1 << 30,
        time,
        most: 1,
    };
    Parser::isolated(crate::ParseLimits::default(), isolation)
}

#[cfg(unix)]
#[test]
fn an_upload_gets_in_while_a_file_is_parsed() {
    let dir = tempfile::tempdir().unwrap();
    let index = collection(dir.path());
    let docs = folder(dir.path(), "docs", 1);
    let time = Duration::from_secs(4);
    std::thread::scope(|scope| {
        let run = scope.spawn(|| {
            let options = RunOptions {
                parser: stuck(time),
                ..RunOptions::default()
            };
            let (embedder, cancel) = (Arc::new(HashEmbedder), Cancel::never());
            index_paths(&[docs], &index, embedder, &options, &(), &cancel).unwrap()
        });
        let hash: Arc<dyn Embedder> = Arc::new(HashEmbedder);
        while index.writer(Arc::clone(&hash)).is_ok() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let begun = std::time::Instant::now();
        let mut writer = index.writer_within(&hash, time, &Cancel::never()).unwrap();
        assert!(
            begun.elapsed() < time / 2,
            "the run kept the lock while it waited"
        );
        let upload = Document {
            uri: "upload.md".into(),
            text: "An upload beside the run".into(),
            ..Document::default()
        };
        writer.put(vec![(upload, None)], &Cancel::never()).unwrap();
        writer.commit().unwrap();
        drop(writer);
        let report = run.join().unwrap();
        assert_eq!(report.failed[0].kind, ErrorKind::ParserStopped);
    });
    index.refresh().unwrap();
    assert_eq!(
        index
            .snapshot()
            .documents(0, 9, &Access::All)
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn who_waits_for_its_turn_stops_when_it_is_told_to() {
    let dir = tempfile::tempdir().unwrap();
    let index = collection(dir.path());
    let hash: Arc<dyn Embedder> = Arc::new(HashEmbedder);
    let _writer = index.writer(Arc::clone(&hash)).unwrap();
    let cancel = Cancel::default();
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| index.writer_within(&hash, Duration::MAX, &cancel).err());
        std::thread::sleep(Duration::from_millis(50));
        cancel.cancel();
        assert_eq!(waits.join().unwrap().unwrap().kind(), ErrorKind::Cancelled);
    });
}

#[test]
fn two_runs_into_one_collection_both_arrive() {
    let dir = tempfile::tempdir().unwrap();
    let index = collection(dir.path());
    let folders = [folder(dir.path(), "a", 700), folder(dir.path(), "b", 700)];
    std::thread::scope(|scope| {
        let runs = folders.map(|folder| {
            let index = &index;
            scope.spawn(move || {
                let embedder = slow(&Arc::default());
                let (options, cancel) = (RunOptions::default(), Cancel::never());
                index_paths(&[folder], index, embedder, &options, &(), &cancel).unwrap()
            })
        });
        for run in runs {
            assert_eq!(run.join().unwrap().added, 700);
        }
    });
    index.refresh().unwrap();
    let documents = index.snapshot().documents(0, 2000, &Access::All).unwrap();
    assert_eq!(documents.len(), 1400);
    let report = index_paths(
        &[dir.path().join("a"), dir.path().join("b")],
        &index,
        Arc::new(HashEmbedder),
        &RunOptions::default(),
        &(),
        &Cancel::never(),
    )
    .unwrap();
    assert_eq!((report.unchanged, report.deleted), (1400, 0));
}

#[test]
fn a_writer_that_stays_is_waited_for_and_then_named() {
    let dir = tempfile::tempdir().unwrap();
    let index = collection(dir.path());
    let docs = folder(dir.path(), "docs", 1);
    let _writer = index.writer(Arc::new(HashEmbedder)).unwrap();
    let options = RunOptions {
        lock_patience: Duration::from_millis(50),
        ..RunOptions::default()
    };
    let run = |cancel: &Cancel| {
        let docs = std::slice::from_ref(&docs);
        index_paths(docs, &index, Arc::new(HashEmbedder), &options, &(), cancel)
    };
    assert_eq!(run(&Cancel::never()).unwrap_err().kind(), ErrorKind::Locked);
    let cancel = Cancel::default();
    cancel.cancel();
    let patient = RunOptions::default();
    let docs = std::slice::from_ref(&docs);
    let report = index_paths(docs, &index, Arc::new(HashEmbedder), &patient, &(), &cancel).unwrap();
    assert!(report.cancelled);
}

#[test]
fn most_of_a_folder_goes_only_when_that_is_meant() {
    let dir = tempfile::tempdir().unwrap();
    let index = collection(dir.path());
    let docs = folder(dir.path(), "docs", 4);
    let run = |remove_most: bool| {
        let options = RunOptions {
            remove_most,
            ..RunOptions::default()
        };
        let docs = std::slice::from_ref(&docs);
        let (embedder, cancel) = (Arc::new(HashEmbedder), Cancel::never());
        index_paths(docs, &index, embedder, &options, &(), &cancel).unwrap()
    };
    assert_eq!(run(false).added, 4);
    // Half of them may go.
    for n in 0..2 {
        fs::remove_file(docs.join(format!("{n:04}.txt"))).unwrap();
    }
    let report = run(false);
    assert_eq!((report.deleted, report.kept.len()), (2, 0));
    // All of what is left, as when a disk is not mounted, may not; what is new comes.
    for n in 2..4 {
        fs::remove_file(docs.join(format!("{n:04}.txt"))).unwrap();
    }
    fs::write(docs.join("new.txt"), "something new").unwrap();
    let report = run(false);
    assert_eq!((report.deleted, report.added), (0, 1));
    assert_eq!((report.kept[0].gone, report.kept[0].of), (2, 2));
    assert_eq!(report.kept[0].root, "docs");
    let report = run(true);
    assert_eq!((report.deleted, report.kept.len()), (2, 0));
}
