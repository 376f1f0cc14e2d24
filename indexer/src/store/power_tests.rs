//! A power cut at every moment: what was acknowledged is there, and nothing is half there.
//!
//! The disk is a second folder, the mirror, that holds only what a power cut cannot undo:
//! the bytes of a file once it was flushed, its name once the folder was. After each such
//! step the collection is opened from the mirror as it was before the step and as it is
//! after it; and once more without the files that are deleted meanwhile, because deletions
//! that was not flushed may be on the disk or not.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cairn_files::observe::{Event, observe};
use cairn_models::Cancel;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::store::tests::writer;
use crate::{Access, Document, DocumentId, Index, IndexSettings};

const ROUNDS: u64 = 25;
const DOCUMENTS: u64 = 8;

/// Texts by URI.
type State = BTreeMap<String, String>;

/// What the disk would hold after a power cut.
struct Mirror {
    real: PathBuf,
    durable: PathBuf,
    /// Bytes that were flushed, by the path of their file; durable once it is named.
    flushed: HashMap<PathBuf, Vec<u8>>,
    /// What a collection may hold: what was acknowledged, and what is being committed.
    allowed: Vec<State>,
    failures: Vec<String>,
    cuts: usize,
}

impl Mirror {
    fn apply(&mut self, event: Event<'_>) {
        match event {
            Event::File(path) => {
                let bytes = std::fs::read(path).unwrap();
                self.flushed.insert(path.to_owned(), bytes);
            }
            Event::Folder(folder) => {
                self.cut("before");
                self.name(folder);
                self.cut("after");
            }
        }
    }

    /// Makes the names in `folder` durable.
    fn name(&self, folder: &Path) {
        let Ok(inside) = folder.strip_prefix(&self.real) else {
            return;
        };
        let durable = self.durable.join(inside);
        if !durable.is_dir() {
            return; // Its own name is not durable.
        }
        for entry in std::fs::read_dir(&durable).unwrap().flatten() {
            if !folder.join(entry.file_name()).exists() && entry.path().is_file() {
                std::fs::remove_file(entry.path()).unwrap();
            }
        }
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let (real, durable) = (entry.path(), durable.join(entry.file_name()));
            if real.is_dir() {
                std::fs::create_dir_all(durable).unwrap();
            } else {
                // A file that was never flushed may be there without its bytes.
                let bytes = self.flushed.get(&real).map_or(&[][..], Vec::as_slice);
                std::fs::write(durable, bytes).unwrap();
            }
        }
    }

    /// Opens what a cut at this moment would have left.
    fn cut(&mut self, when: &str) {
        self.cuts += 1;
        self.check(when, |_| true);
        self.check(when, |real| real.exists());
    }

    /// Opens a copy of the mirror with those of its files that are `kept`.
    fn check(&mut self, when: &str, kept: impl Fn(&Path) -> bool) {
        let place = tempfile::tempdir().unwrap();
        copy(&self.durable, place.path(), &self.real, &kept);
        match contents(&place.path().join("data/collection")) {
            Ok(found) if self.allowed.contains(&found) => {}
            Ok(found) => self.failures.push(format!(
                "cut {} ({when}): {found:?} is none of {:?}",
                self.cuts, self.allowed
            )),
            Err(error) => self
                .failures
                .push(format!("cut {} ({when}): {error}", self.cuts)),
        }
    }
}

fn copy(from: &Path, to: &Path, real: &Path, kept: &impl Fn(&Path) -> bool) {
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let (to, real) = (to.join(entry.file_name()), real.join(entry.file_name()));
        if entry.path().is_dir() {
            std::fs::create_dir(&to).unwrap();
            copy(&entry.path(), &to, &real, kept);
        } else if kept(&real) {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn settings() -> IndexSettings {
    IndexSettings {
        chunk_tokens: 24,
        chunk_overlap: 4,
        context: false,
        graph_min_rows: 60,
        ..IndexSettings::default()
    }
}

/// What is in the collection, which must also be searchable.
fn contents(dir: &Path) -> crate::Result<State> {
    let snapshot = Index::open(dir, settings())?.snapshot();
    let mut found = State::new();
    for document in snapshot.documents(0, usize::MAX, &Access::All)? {
        let id = DocumentId::of_uri(&document.uri);
        let text = snapshot.document_text(id, &Access::All)?;
        found.insert(document.uri, text.unwrap_or_default());
    }
    if !found.is_empty() {
        let hits = snapshot.lexical("stone", 10, crate::Bm25::default(), None)?;
        assert!(!hits.is_empty(), "the words are not searchable");
    }
    Ok(found)
}

fn document(number: u64, version: u64) -> Document {
    let words: Vec<String> = (0..40)
        .map(|word| format!("stone{} {number}{version}{word}", word % 7))
        .collect();
    Document {
        uri: format!("doc-{number}"),
        text: format!("stone {}", words.join(" ")),
        ..Document::default()
    }
}

fn lock(mirror: &Mutex<Mirror>) -> MutexGuard<'_, Mirror> {
    mirror.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn a_power_cut_at_any_moment_loses_nothing_acknowledged() {
    let (real, durable) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mirror = Arc::new(Mutex::new(Mirror {
        real: real.path().to_owned(),
        durable: durable.path().to_owned(),
        flushed: HashMap::new(),
        allowed: vec![State::new()],
        failures: Vec::new(),
        cuts: 0,
    }));
    let told = Arc::clone(&mirror);
    let _observation = observe(real.path(), move |event| lock(&told).apply(event));

    let mut random = StdRng::seed_from_u64(7);
    let mut state = State::new();
    let collection = real.path().join("data/collection");
    let index = Index::open(&collection, settings()).unwrap();
    let mut writer_now = writer(&index);
    for round in 0..ROUNDS {
        let mut next = state.clone();
        for _ in 0..random.random_range(1..4) {
            let number = random.random_range(0..DOCUMENTS);
            let document = document(number, round);
            if random.random_bool(0.25) {
                next.remove(&document.uri);
                writer_now
                    .delete(DocumentId::of_uri(&document.uri))
                    .unwrap();
            } else {
                next.insert(document.uri.clone(), document.text.clone());
                let work = vec![(document, None)];
                writer_now.put(work, &Cancel::never()).unwrap();
            }
        }
        lock(&mirror).allowed = vec![state, next.clone()];
        writer_now.commit().unwrap();
        state = next;
        {
            let mut mirror = lock(&mirror);
            mirror.allowed = vec![state.clone()];
            mirror.cut("acknowledged");
        }
        if random.random_bool(0.2) {
            drop(writer_now);
            writer_now = writer(&index);
        }
    }
    writer_now.close().unwrap();
    let mut mirror = lock(&mirror);
    mirror.cut("closed");
    assert!(mirror.cuts > 4 * ROUNDS as usize, "{} cuts", mirror.cuts);
    let failures = &mirror.failures;
    assert!(
        failures.is_empty(),
        "{} of {} cuts: {}",
        failures.len(),
        mirror.cuts,
        failures[0]
    );
}
