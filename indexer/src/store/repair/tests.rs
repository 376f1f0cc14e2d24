//! Every kind of file of a collection damaged, then repaired: what is left is found as
//! before, what is not is named, and what was whole is not written to.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cairn_models::testing::HashEmbedder;
use cairn_models::{Cancel, Embedder};

use super::{Means, Prognosis, Repaired, prognosis, repair};
use crate::store::tests::writer;
use crate::{
    Access, Bm25, Document, DocumentId, ErrorKind, Index, IndexSettings, Result, Section, doctor,
};

fn settings() -> IndexSettings {
    IndexSettings {
        chunk_tokens: 40,
        chunk_overlap: 6,
        embed_window: 24,
        ..IndexSettings::default()
    }
}

/// A document of some chunks with words of its own, headings, labels and facts.
fn document(name: &str, version: usize) -> Document {
    let text: String = (0..12)
        .map(|n| format!("# Part {n}\n\nThe {name}{n} of version{version} runs over the hill.\n\n"))
        .collect();
    let starts = text.match_indices("# Part").map(|(at, _)| at);
    let starts: Vec<usize> = starts.collect();
    let ends = starts[1..].iter().copied().chain([text.len()]);
    let sections = starts.iter().zip(ends).enumerate();
    Document {
        uri: format!("notes/{name}"),
        title: format!("About {name}"),
        sections: sections
            .map(|(n, (&start, end))| Section {
                heading: format!("Part {n}"),
                level: 1,
                span: start..end,
            })
            .collect(),
        labels: [format!("team:{name}")].into(),
        metadata: [("version".to_owned(), version.into())].into(),
        text,
        ..Document::default()
    }
}

fn put(index: &Index, documents: Vec<Document>) {
    let mut writer = writer(index);
    let documents = documents.into_iter().map(|document| (document, None));
    writer.put(documents.collect(), &Cancel::never()).unwrap();
    writer.commit().unwrap();
}

/// What is in the first segment only.
const FIRST: [&str; 4] = ["notes/ant", "notes/cat", "notes/dog", "notes/fox"];

/// Three commits: [`FIRST`] with `owl`, then a new `owl` with `elk`, then `bee`, a document
/// without text, and one that says the words of `bee` again.
fn build(dir: &Path) {
    let index = Index::open(dir, settings()).unwrap();
    let first = ["ant", "cat", "dog", "fox", "owl"];
    put(&index, first.map(|name| document(name, 0)).into());
    put(&index, vec![document("owl", 1), document("elk", 0)]);
    let empty = Document {
        uri: "notes/empty".into(),
        title: "Empty".into(),
        ..Document::default()
    };
    let twin = Document {
        uri: "notes/twin".into(),
        ..document("bee", 0)
    };
    put(&index, vec![document("bee", 0), empty, twin]);
}

/// How many documents [`build`] leaves.
const ALL: usize = 9;

/// Everything that a collection says of its documents.
#[derive(Debug, PartialEq)]
struct Contents {
    /// Title, text, labels, facts and vectors by URI.
    documents: BTreeMap<String, String>,
    /// What searches for words and vectors give, with scores.
    found: Vec<String>,
}

impl Contents {
    fn of(dir: &Path) -> Self {
        let snapshot = Index::open(dir, settings()).unwrap().snapshot();
        let documents = snapshot.documents(0, usize::MAX, &Access::All).unwrap();
        let documents = documents.into_iter().map(|stored| {
            let text = snapshot.document_text(stored.id, &Access::All).unwrap();
            let chunks = snapshot.document_chunks(stored.id, &Access::All).unwrap();
            let vectors: Vec<_> = chunks
                .unwrap()
                .iter()
                .map(|chunk| {
                    let at = snapshot.chunk_named(&chunk.chunk_id).unwrap();
                    snapshot.vector(at).unwrap()
                })
                .collect();
            let all = format!(
                "{:?} {:?} {:?} {text:?} {vectors:?}",
                stored.title, stored.labels, stored.metadata
            );
            (stored.uri, all)
        });
        let documents = documents.collect();
        let mut found = Vec::new();
        for name in ["fox", "owl", "elk", "bee"] {
            let question = format!("{name}3 {name}7 hill");
            let words = snapshot.lexical(&question, 50, Bm25::default(), None);
            let vector = HashEmbedder.embed(&[&question], &Cancel::never());
            let vector = vector.unwrap().remove(0);
            let near = snapshot.dense(&vector, 50, 64, true, None);
            for hit in words.unwrap().into_iter().chain(near.unwrap()) {
                let chunk = snapshot.chunk(hit.chunk).unwrap();
                found.push(format!("{question} {} {:.5}", chunk.chunk_id, hit.score));
            }
        }
        Self { documents, found }
    }

    fn uris(&self) -> BTreeSet<&str> {
        self.documents.keys().map(String::as_str).collect()
    }
}

fn mend_with(dir: &Path, embedder: Arc<dyn Embedder>) -> Result<Option<Repaired>> {
    let mut embedder = || Ok(Arc::clone(&embedder));
    let means = Means {
        settings: settings(),
        embedder: &mut embedder,
        on_start: &mut |_| {},
        on_vectors: &mut |_| {},
    };
    repair(dir, means, &Cancel::never())
}

/// Says what a repair would do, makes it, and examines what came of it.
fn repaired(dir: &Path) -> Prognosis {
    assert!(!doctor::check(dir).unwrap().is_healthy());
    let said = prognosis(dir).unwrap().expect("there is damage");
    let before = bytes(dir);
    assert_eq!(doctor::check(dir).unwrap().repair.as_ref(), Some(&said));
    assert_eq!(bytes(dir), before, "saying it has changed something");
    let done = mend_with(dir, Arc::new(HashEmbedder)).unwrap().unwrap();
    assert_eq!(done.outcome, said, "the repair did something else");
    let found = doctor::check(dir).unwrap();
    assert!(found.is_healthy(), "{:?}", found.findings);
    assert_eq!(found.generation, done.generation);
    assert!(mend_with(dir, Arc::new(HashEmbedder)).unwrap().is_none());
    // What was there and is whole has the same bytes still.
    let damaged: Vec<_> = said.files.iter().collect();
    let after = bytes(dir);
    for (path, bytes) in &before {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let is_whole = !damaged.contains(&path) && !name.ends_with(".json") && name != "lock";
        assert!(
            !is_whole || after.get(path) == Some(bytes),
            "{}",
            path.display()
        );
    }
    said
}

fn bytes(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        match entry.path().is_dir() {
            true => found.extend(bytes(&entry.path())),
            false => {
                found.insert(entry.path(), fs::read(entry.path()).unwrap());
            }
        }
    }
    found
}

/// The files below `folder` with this ending, in the order in which they were made.
fn files(dir: &Path, folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dir.join(folder))
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(ending))
        .collect();
    files.sort_by_key(|path| fs::metadata(path).unwrap().modified().unwrap());
    files
}

type Damage = fn(&Path);

/// The ways in which a file is damaged.
const WAYS: [(&str, Damage); 4] = [
    ("removed", |file| fs::remove_file(file).unwrap()),
    ("emptied", |file| fs::write(file, "").unwrap()),
    ("cut", |file| {
        let bytes = fs::read(file).unwrap();
        fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
    }),
    ("flipped", |file| {
        let mut bytes = fs::read(file).unwrap();
        let at = bytes.len() / 3;
        bytes[at] ^= 0x20;
        fs::write(file, bytes).unwrap();
    }),
];

#[test]
fn words_and_vectors_are_made_again_and_nothing_is_lost() {
    let place = tempfile::tempdir().unwrap();
    build(place.path());
    let whole = bytes(place.path());
    let before = Contents::of(place.path());
    assert_eq!(before.documents.len(), ALL);
    for (folder, ending) in [
        ("words", "idx"),
        ("words", "pos"),
        ("words", "term"),
        ("words", "fieldnorm"),
        ("vectors", "vec"),
    ] {
        for number in 0..files(place.path(), folder, ending).len() {
            for (way, damage) in WAYS {
                let dir = tempfile::tempdir().unwrap();
                copy(&whole, place.path(), dir.path());
                let mut files = files(dir.path(), folder, ending);
                files.sort();
                damage(&files[number]);
                let said = repaired(dir.path());
                let what = format!("{way}: {} {number}", ending);
                assert!(said.loses_nothing(), "{what}: {said:?}");
                assert_eq!(said.kept(), ALL, "{what}: {said:?}");
                match folder {
                    "vectors" => assert!(said.vectors_lost > 0 && said.read_again == 0, "{what}"),
                    _ => assert!(said.vectors_lost == 0 && said.read_again > 0, "{what}"),
                }
                let after = Contents::of(dir.path());
                assert_eq!(after.documents, before.documents, "{what}");
                // Scores count deleted chunks until their segment is merged away.
                let names = |found: &[String]| -> BTreeSet<String> {
                    let name = |hit: &String| hit.rsplit_once(' ').unwrap().0.to_owned();
                    found.iter().map(name).collect()
                };
                assert_eq!(names(&after.found), names(&before.found), "{what}");
            }
        }
    }
}

fn copy(files: &BTreeMap<PathBuf, Vec<u8>>, from: &Path, to: &Path) {
    for (path, bytes) in files {
        let target = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::write(target, bytes).unwrap();
    }
}

#[test]
fn lost_texts_and_records_cost_their_documents_and_no_other() {
    for (ending, named) in [("store", true), ("fast", false)] {
        for (way, damage) in WAYS {
            let dir = tempfile::tempdir().unwrap();
            build(dir.path());
            let before = Contents::of(dir.path());
            damage(&files(dir.path(), "words", ending)[0]);
            let said = repaired(dir.path());
            let kept = ALL - FIRST.len();
            assert_eq!((said.kept(), said.read_again), (kept, 0), "{way}: {said:?}");
            if named {
                assert_eq!(uris(&said), FIRST, "{said:?}");
                assert_eq!(said.lost[3].id, DocumentId::of_uri("notes/fox"));
            } else {
                assert!(said.lost.is_empty() && said.nameless_chunks > 0, "{said:?}");
            }
            let after = Contents::of(dir.path());
            let mut expected = before.uris();
            expected.retain(|uri| !FIRST.contains(uri));
            assert_eq!(after.uris(), expected);
            for (uri, contents) in &after.documents {
                assert_eq!(Some(contents), before.documents.get(uri));
            }
            // They can be put again.
            let index = Index::open(dir.path(), settings()).unwrap();
            let again = ["ant", "cat", "dog", "fox"].map(|name| document(name, 0));
            put(&index, again.into());
            assert_eq!(Contents::of(dir.path()).documents, before.documents);
        }
    }
}

/// The documents that are lost by name.
fn uris(said: &Prognosis) -> Vec<&str> {
    said.lost
        .iter()
        .filter_map(|lost| lost.uri.as_deref())
        .collect()
}

#[test]
fn deletions_are_never_taken_back() {
    // All that was deleted from the first segment is known to be replaced.
    let dir = tempfile::tempdir().unwrap();
    build(dir.path());
    let before = Contents::of(dir.path());
    let lists = files(dir.path(), "words", ".del");
    assert_eq!(lists.len(), 1, "{lists:?}");
    fs::remove_file(&lists[0]).unwrap();
    let said = repaired(dir.path());
    assert!(
        said.loses_nothing() && said.read_again == FIRST.len(),
        "{said:?}"
    );
    assert_eq!(Contents::of(dir.path()).documents, before.documents);

    // A document that was deleted and one that was not cannot be told apart.
    let dir = tempfile::tempdir().unwrap();
    let index = Index::open(dir.path(), settings()).unwrap();
    let first = ["ant", "cat", "dog", "fox", "owl"];
    put(&index, first.map(|name| document(name, 0)).into());
    put(&index, vec![document("elk", 0)]);
    let mut writer = writer(&index);
    assert!(writer.delete(DocumentId::of_uri("notes/fox")).unwrap());
    writer.commit().unwrap();
    drop(writer);
    fs::remove_file(&files(dir.path(), "words", ".del")[0]).unwrap();
    let said = repaired(dir.path());
    let lost = [
        "notes/ant",
        "notes/cat",
        "notes/dog",
        "notes/fox",
        "notes/owl",
    ];
    assert_eq!(uris(&said), lost);
    assert_eq!(Contents::of(dir.path()).uris(), ["notes/elk"].into());
}

#[test]
fn a_lost_description_is_told_from_the_folder() {
    for (way, damage) in WAYS {
        let dir = tempfile::tempdir().unwrap();
        build(dir.path());
        let before = Contents::of(dir.path());
        let meta = dir.path().join("words/meta.json");
        match way {
            // Any byte of it may be one that is read as another name, so the first.
            "flipped" => fs::write(
                &meta,
                fs::read_to_string(&meta).unwrap().replacen('{', "[", 1),
            )
            .unwrap(),
            _ => damage(&meta),
        }
        let said = repaired(dir.path());
        assert!(said.without_description && said.loses_nothing(), "{said:?}");
        assert_eq!((said.kept(), said.vectors_lost), (ALL, 0), "{said:?}");
        assert_eq!(Contents::of(dir.path()).documents, before.documents);
    }
    // One name in it was changed.
    let dir = tempfile::tempdir().unwrap();
    build(dir.path());
    let before = Contents::of(dir.path());
    let meta = dir.path().join("words/meta.json");
    let store = files(dir.path(), "words", ".store")[1].clone();
    let name = store.file_stem().unwrap().to_string_lossy().into_owned();
    let description = fs::read_to_string(&meta).unwrap();
    let dashed: String = description
        .split('"')
        .find(|part| part.replace('-', "") == name)
        .unwrap()
        .into();
    let other = match dashed.strip_prefix('0') {
        Some(rest) => format!("1{rest}"),
        None => format!("0{}", &dashed[1..]),
    };
    fs::write(&meta, description.replace(&dashed, &other)).unwrap();
    let said = repaired(dir.path());
    assert!(said.loses_nothing() && said.read_again > 0, "{said:?}");
    assert_eq!(Contents::of(dir.path()).documents, before.documents);
}

#[test]
fn several_losses_at_once_are_added_up() {
    let dir = tempfile::tempdir().unwrap();
    build(dir.path());
    let before = Contents::of(dir.path());
    fs::remove_file(&files(dir.path(), "words", ".term")[1]).unwrap();
    fs::remove_file(&files(dir.path(), "words", ".store")[2]).unwrap();
    for file in files(dir.path(), "vectors", ".vec") {
        fs::remove_file(file).unwrap();
    }
    let said = repaired(dir.path());
    assert_eq!(uris(&said), ["notes/bee", "notes/twin"]);
    // The text of one that has none cannot be lost.
    assert_eq!((said.untouched, said.read_again), (4, 3), "{said:?}");
    let after = Contents::of(dir.path());
    let mut expected = before.uris();
    expected.retain(|uri| !uris(&said).contains(uri));
    assert_eq!(after.uris(), expected);
    for (uri, contents) in &after.documents {
        assert_eq!(Some(contents), before.documents.get(uri));
    }
}

/// The hash embedder under another name, or one that ends the work.
struct Twin {
    id: &'static str,
    stops: bool,
}

const OTHER: Twin = Twin {
    id: "other",
    stops: false,
};
const STOPS: Twin = Twin {
    id: "hash-64",
    stops: true,
};

impl Embedder for Twin {
    fn id(&self) -> &str {
        self.id
    }

    fn dimension(&self) -> usize {
        HashEmbedder.dimension()
    }

    fn window(&self) -> usize {
        HashEmbedder.window()
    }

    fn special_tokens(&self) -> usize {
        HashEmbedder.special_tokens()
    }

    fn token_spans(&self, text: &str) -> cairn_models::Result<cairn_models::TokenSpans> {
        HashEmbedder.token_spans(text)
    }

    fn embed(&self, texts: &[&str], cancel: &Cancel) -> cairn_models::Result<Vec<Vec<f32>>> {
        assert!(!self.stops, "killed here");
        HashEmbedder.embed(texts, cancel)
    }
}

#[test]
fn vectors_of_another_embedder_are_not_mixed_in() {
    let dir = tempfile::tempdir().unwrap();
    build(dir.path());
    let whole = bytes(dir.path());
    for lost in [
        &files(dir.path(), "vectors", ".vec")[0],
        &dir.path().join("words/meta.json"),
    ] {
        fs::remove_file(lost).unwrap();
        let before = bytes(dir.path());
        let error = mend_with(dir.path(), Arc::new(OTHER)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Mismatch, "{error}");
        assert_eq!(bytes(dir.path()), before);
        copy(&whole, dir.path(), dir.path());
    }
    // Words need no embedder.
    fs::remove_file(&files(dir.path(), "words", ".term")[0]).unwrap();
    assert!(mend_with(dir.path(), Arc::new(OTHER)).unwrap().is_some());
}

#[test]
fn nothing_is_made_of_nothing_and_a_whole_or_empty_collection_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(prognosis(dir.path()).unwrap(), None);
    build(dir.path());
    let whole = bytes(dir.path());
    assert_eq!(prognosis(dir.path()).unwrap(), None);
    assert!(
        mend_with(dir.path(), Arc::new(HashEmbedder))
            .unwrap()
            .is_none()
    );
    assert_eq!(bytes(dir.path()).len(), whole.len());
    fs::remove_dir_all(dir.path().join("words")).unwrap();
    let error = mend_with(dir.path(), Arc::new(HashEmbedder)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    // A writer is waited for, and its commit is not touched.
    copy(&whole, dir.path(), dir.path());
    let index = Index::open(dir.path(), settings()).unwrap();
    let busy = writer(&index);
    let cancelled = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| mend_with(dir.path(), Arc::new(HashEmbedder)));
        std::thread::sleep(std::time::Duration::from_millis(200));
        assert!(!waiting.is_finished());
        drop(busy);
        waiting.join().unwrap()
    });
    assert!(cancelled.unwrap().is_none());
}

#[test]
fn a_repair_that_ends_half_way_leaves_what_was_there() {
    let dir = tempfile::tempdir().unwrap();
    build(dir.path());
    let before = Contents::of(dir.path());
    fs::remove_file(&files(dir.path(), "vectors", ".vec")[0]).unwrap();
    let damaged = bytes(dir.path());
    let dead = std::panic::catch_unwind(|| mend_with(dir.path(), Arc::new(STOPS)));
    assert!(dead.is_err());
    // What a kill leaves, which runs no destructor: a folder that the next repair removes.
    fs::create_dir_all(dir.path().join(".repair-left/words")).unwrap();
    fs::write(dir.path().join(".repair-left/words/meta.json"), "{}").unwrap();
    let mut left = bytes(dir.path());
    left.retain(|path, _| !path.to_string_lossy().contains(".repair-left"));
    assert_eq!(left, damaged);
    repaired(dir.path());
    assert_eq!(Contents::of(dir.path()).documents, before.documents);
    assert!(!dir.path().join(".repair-left").exists());
}
