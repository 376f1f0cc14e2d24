//! `git`: the files of a revision of a repository on this machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cairn_indexer::{Access, Document, DocumentId, ErrorKind, Index, ParseInput};
use cairn_jobs::Progress;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::folder::permitted;
use super::{Checks, Kind, Marks, Plan, input, read_marked};
use crate::ingest::git::{Blob, BlobReader, MAX_REVISION_BYTES, Repository};
use crate::ingest::task::{Stop, Task};
use crate::ingest::writer::Conflict;
use crate::ingest::{Payload, Refusal, bounds, store};

/// Most files of a revision.
const MAX_FILES: usize = 200_000;
/// Documents and bytes that one commit brings, but for one document.
const BATCH: usize = 32;
const BATCH_BYTES: u64 = 16 << 20;
/// Documents of one look into the collection.
const PAGE: usize = 1_000;
/// The fact that says of which object a document was made, and in which way.
const MADE_OF: &str = "git_blob";

/// Indexes a revision.
#[derive(Debug)]
pub(super) struct Git;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    path: PathBuf,
    #[serde(default)]
    revision: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    remove_most: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Input {
    path: PathBuf,
    revision: String,
    /// The first part of the documents' URIs.
    name: String,
    /// Folders in which all of the repository must lie; none for any.
    roots: Option<Vec<PathBuf>>,
    remove_most: bool,
    #[serde(flatten)]
    marks: Marks,
}

impl Input {
    fn repository(&self) -> Result<Repository, String> {
        Repository::open(&self.path, |part| {
            let inside =
                |root: &PathBuf| root.canonicalize().is_ok_and(|root| part.starts_with(root));
            self.roots
                .as_ref()
                .is_none_or(|roots| roots.iter().any(inside))
        })
    }
}

impl Kind for Git {
    fn name(&self) -> &'static str {
        "git"
    }

    fn check(&self, fields: Value, checks: &Checks<'_>) -> Result<Plan, Refusal> {
        let (fields, marks): (Fields, Marks) = read_marked(fields, checks)?;
        let path = permitted(&fields.path, checks)?;
        let revision = fields.revision.unwrap_or_else(|| "HEAD".into());
        let is_odd = revision.is_empty()
            || revision.len() > MAX_REVISION_BYTES
            || revision.starts_with('-')
            || revision
                .chars()
                .any(|c| c.is_control() || c.is_whitespace());
        if is_odd {
            let message = "`revision` is a branch, a tag or a commit, like `main`";
            return Err(Refusal::invalid("revision", message));
        }
        let name = fields.name.unwrap_or_else(|| name_of(&path));
        if name.contains('/') {
            return Err(Refusal::invalid("name", "`name` holds no `/`"));
        }
        bounds::check_uri("name", &format!("git:{name}"))?;
        let roots = (!checks.asker.any_folder).then(|| checks.settings.roots.clone());
        let input = Input {
            path,
            revision,
            name,
            roots,
            remove_most: fields.remove_most,
            marks,
        };
        input
            .repository()
            .map_err(|why| Refusal::invalid("path", why))?;
        Ok(Plan {
            // Two repositories of one name would take turns at deleting each other's documents.
            ordering_key: Some(format!("git:{}:{}", checks.collection, input.name)),
            unique_key: Some(format!("git:{}:{}", checks.collection, json!(input))),
            input: json!(input),
            source: None,
        })
    }

    fn run(&self, payload: &Payload, task: &Task) -> Result<Value, Stop> {
        let input: Input = input(payload)?;
        // Whoever reads only some documents must not delete others with a run.
        if payload.held.is_some() {
            return Err(Stop::permanent(
                "a repository is indexed by callers who may read every document",
            ));
        }
        task.stage("scan");
        let repository = input.repository().map_err(Stop::permanent)?;
        let commit = task
            .wait(repository.commit(&input.revision))?
            .map_err(Stop::permanent)?;
        let files = task
            .wait(repository.files(&commit))?
            .map_err(Stop::permanent)?;
        if files.len() > MAX_FILES {
            let count = files.len();
            let why = format!("the revision has {count} files, and {MAX_FILES} are the most");
            return Err(Stop::permanent(why));
        }
        let files = files
            .into_iter()
            .filter(|file| !is_hidden(&file.path))
            .collect();
        let index = task.collection(payload)?;
        let run = Run {
            task,
            payload,
            known: known(&index, &input.name)?,
            manner: manner(&input.marks),
            input: &input,
            counts: Counts::default(),
        };
        run.go(
            files,
            task.wait(async { repository.reader() })?
                .map_err(Stop::permanent)?,
            &commit,
        )
    }
}

/// The default name of a repository: that of its folder.
fn name_of(path: &Path) -> String {
    let name = path.file_name().map(|name| name.to_string_lossy());
    let name = name.unwrap_or_default();
    name.strip_suffix(".git").unwrap_or(&name).to_owned()
}

/// As in folders, what begins with a dot is not for readers.
fn is_hidden(path: &str) -> bool {
    path.split('/').any(|part| part.starts_with('.'))
}

/// Documents of the repository called `name`: the URI, and what it was made of.
fn known(index: &Index, name: &str) -> Result<BTreeMap<String, String>, Stop> {
    let (snapshot, prefix) = (index.snapshot(), prefix(name));
    let mut known = BTreeMap::new();
    let mut offset = 0;
    loop {
        let page = snapshot.documents(offset, PAGE, &Access::All)?;
        if page.is_empty() {
            return Ok(known);
        }
        offset += page.len();
        for document in page {
            if document.uri.starts_with(&prefix) {
                let made_of = document.metadata.get(MADE_OF).and_then(Value::as_str);
                let made_of = made_of.unwrap_or_default().to_owned();
                known.insert(document.uri, made_of);
            }
        }
    }
}

fn prefix(name: &str) -> String {
    format!("git:{name}/")
}

/// In which way documents are made of objects: another version or other marks make others.
fn manner(marks: &Marks) -> String {
    let said = json!([env!("CARGO_PKG_VERSION"), marks]).to_string();
    blake3::hash(said.as_bytes()).to_hex()[..16].to_owned()
}

#[derive(Debug, Default)]
struct Counts {
    added: usize,
    updated: usize,
    unchanged: usize,
    skipped: usize,
    failed: usize,
    generation: Option<u64>,
}

struct Run<'a> {
    task: &'a Task,
    payload: &'a Payload,
    input: &'a Input,
    known: BTreeMap<String, String>,
    manner: String,
    counts: Counts,
}

impl Run<'_> {
    fn go(mut self, files: Vec<Blob>, mut reader: BlobReader, commit: &str) -> Result<Value, Stop> {
        let bytes_total: u64 = files.iter().map(|file| file.bytes).sum();
        let mut gone = self.known.clone();
        let (mut waiting, mut held, mut read) = (Vec::new(), 0, 0);
        for (at, file) in files.iter().enumerate() {
            self.task.stage("index");
            let uri = format!("{}{}", prefix(&self.input.name), file.path);
            gone.remove(&uri);
            if let Some(document) = self.document(&uri, file, &mut reader)? {
                waiting.push(document);
                held += file.bytes;
            }
            if waiting.len() >= BATCH || held >= BATCH_BYTES {
                self.put(std::mem::take(&mut waiting))?;
                held = 0;
            }
            read += file.bytes;
            self.task.progress(Progress {
                done: at as u64 + 1,
                total: Some(files.len() as u64),
                bytes: read,
                bytes_total: Some(bytes_total),
            });
        }
        self.put(waiting)?;
        let gone: Vec<String> = gone.into_keys().collect();
        let is_most = gone.len() * 2 > self.known.len();
        let may = !is_most || self.input.remove_most || self.task.is_confirmed();
        if !may && self.task.answer().is_none() {
            return Err(Stop::Asks(json!({
                "question": "Most documents of this repository are not in the revision. Are they \
                             to be deleted?",
                "folders": [{ "folder": self.input.name, "gone": gone.len(), "of": self.known.len() }],
            })));
        }
        let deleted = if may { self.delete(&gone)? } else { 0 };
        let counts = &self.counts;
        Ok(json!({
            "generation": counts.generation,
            "commit": commit,
            "files": files.len(),
            "added": counts.added,
            "updated": counts.updated,
            "unchanged": counts.unchanged,
            "skipped": counts.skipped,
            "deleted": deleted,
            "failed": counts.failed,
        }))
    }

    /// The document that `file` is; none when it is as it was, no document, or broken.
    fn document(
        &mut self,
        uri: &str,
        file: &Blob,
        reader: &mut BlobReader,
    ) -> Result<Option<Document>, Stop> {
        let made_of = format!("{}-{}", file.id, self.manner);
        if self.known.get(uri) == Some(&made_of) {
            self.counts.unchanged += 1;
            return Ok(None);
        }
        let parser = &self.task.tools().parser;
        let max = parser.limits().max_bytes;
        if file.bytes > max as u64 {
            let message =
                format!("it has more than {max} bytes, the limit of indexing.max_file_mb");
            self.fail(uri, "parse", message);
            return Ok(None);
        }
        let bytes = match self.task.wait(reader.read(file))? {
            Ok(bytes) => bytes,
            // Whether git ended or the repository is broken, there is no going on.
            Err(why) => return Err(Stop::permanent(format!("{}: {why}", file.path))),
        };
        let mut document = match parser.parse(&ParseInput::new(uri, &bytes), self.task.cancel()) {
            Ok(document) => document,
            Err(error) => match error.kind() {
                ErrorKind::Cancelled => return Err(Stop::Cancelled),
                ErrorKind::Unsupported => {
                    self.counts.skipped += 1;
                    return Ok(None);
                }
                _ => {
                    self.fail(uri, "parse", error.to_string());
                    return Ok(None);
                }
            },
        };
        document.metadata.insert(MADE_OF.into(), made_of.into());
        match store::mark(&mut document, &self.input.marks) {
            Ok(()) => Ok(Some(document)),
            Err(Stop::Failed(failure)) => {
                self.fail(uri, "parse", failure.chain.join(": "));
                Ok(None)
            }
            Err(stop) => Err(stop),
        }
    }

    fn put(&mut self, documents: Vec<Document>) -> Result<(), Stop> {
        if documents.is_empty() {
            return Ok(());
        }
        self.task.stage("embed");
        let (new, changed): (Vec<_>, Vec<_>) = documents
            .iter()
            .partition(|document| !self.known.contains_key(&document.uri));
        let (new, changed) = (new.len(), changed.len());
        let stored = store::put_all(documents, Conflict::LeaveOut, self.payload, self.task)?;
        self.counts.added += new;
        self.counts.updated += changed;
        self.counts.generation = Some(stored.generation);
        Ok(())
    }

    fn delete(&mut self, uris: &[String]) -> Result<usize, Stop> {
        if uris.is_empty() {
            return Ok(0);
        }
        let ids: Vec<_> = uris.iter().map(|uri| DocumentId::of_uri(uri)).collect();
        let (generation, deleted) = store::delete_all(&ids, self.payload, self.task)?;
        self.counts.generation = Some(generation);
        Ok(deleted)
    }

    fn fail(&mut self, uri: &str, stage: &str, message: String) {
        self.counts.failed += 1;
        self.task.document_failed(uri, stage, message);
    }
}
