//! Documents of a collection that follow files elsewhere: a revision of a repository, a bucket.
//! What is as it was is not even read, what has gone there goes here, and a run that would
//! remove most of them asks first.

use std::collections::BTreeMap;

use cairn_indexer::{Access, Document, DocumentId, ErrorKind, ParseInput};
use cairn_jobs::Progress;
use serde_json::{Value, json};

use super::kinds::Marks;
use super::store::Batch;
use super::task::{Stop, Task};
use super::{Payload, store};

/// Documents of one look into the collection.
const PAGE: usize = 1_000;

/// What is followed.
pub(super) struct MirrorSource<'a> {
    /// The beginning of the URIs of its documents, which no other source has.
    pub(super) root: String,
    /// The beginning of those that this run is about.
    pub(super) scope: String,
    /// The fact that says of which version of a file a document was made, and in which way.
    pub(super) fact: &'static str,
    /// What is said of each document.
    pub(super) marks: &'a Marks,
    /// Whether most of its documents may go without a question.
    pub(super) remove_most: bool,
}

/// A file of the source, as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    /// Its path below the source, with `/`.
    pub(super) path: String,
    /// What changes when its contents do.
    pub(super) version: String,
    /// Its size.
    pub(super) bytes: u64,
}

/// What a file holds.
pub(super) struct Contents {
    pub(super) bytes: Vec<u8>,
    /// The media type, where the source knows one.
    pub(super) content_type: Option<String>,
}

/// Why a file could not be read.
pub(super) enum Unread {
    /// It alone could not be.
    File(String),
    /// Nothing can be read any more.
    Source(Stop),
}

#[derive(Debug, Default)]
struct Counts {
    added: usize,
    updated: usize,
    unchanged: usize,
    skipped: usize,
}

/// One run that brings the collection up to date.
pub(super) struct Mirror<'a> {
    task: &'a Task,
    payload: &'a Payload,
    source: MirrorSource<'a>,
    /// The URIs of documents that are there, and what each was made of.
    known: BTreeMap<String, String>,
    manner: String,
    counts: Counts,
    batch: Batch<'a>,
}

impl<'a> Mirror<'a> {
    pub(super) fn new(
        source: MirrorSource<'a>,
        payload: &'a Payload,
        task: &'a Task,
    ) -> Result<Self, Stop> {
        // Whoever reads only some documents must not delete others with a run.
        if payload.held.is_some() {
            return Err(Stop::permanent(
                "this is done for callers who may read every document",
            ));
        }
        Ok(Self {
            known: known(&source, payload, task)?,
            manner: manner(source.marks),
            batch: Batch::new(payload, task),
            task,
            payload,
            source,
            counts: Counts::default(),
        })
    }

    /// Makes documents of `items`, which are all that there is, and removes those of files that
    /// are gone. The result says how many of each.
    ///
    /// # Errors
    /// Those of the collection and of `read`; a question where most would go.
    pub(super) fn follow(
        mut self,
        items: &[Item],
        mut read: impl FnMut(&Item) -> Result<Contents, Unread>,
    ) -> Result<Value, Stop> {
        let bytes_total: u64 = items.iter().map(|item| item.bytes).sum();
        let mut gone = self.known.clone();
        let mut done = 0;
        for (at, item) in items.iter().enumerate() {
            self.task.stage("index");
            let uri = format!("{}{}", self.source.root, item.path);
            gone.remove(&uri);
            if let Some(document) = self.document(&uri, item, &mut read)? {
                match self.known.contains_key(&uri) {
                    true => self.counts.updated += 1,
                    false => self.counts.added += 1,
                }
                let bytes = usize::try_from(item.bytes).unwrap_or(usize::MAX);
                self.batch.push(document, bytes)?;
            }
            done += item.bytes;
            self.task.progress(Progress {
                done: at as u64 + 1,
                total: Some(items.len() as u64),
                bytes: done,
                bytes_total: Some(bytes_total),
            });
        }
        self.batch.commit()?;
        let deleted = self.remove(gone.into_keys().collect())?;
        let counts = &self.counts;
        Ok(json!({
            "generation": self.batch.generation,
            "files": items.len(),
            "added": counts.added,
            "updated": counts.updated,
            "unchanged": counts.unchanged,
            "skipped": counts.skipped,
            "deleted": deleted,
            "failed": self.batch.failed,
        }))
    }

    /// The document that `item` is; `None` if it is as it was, no document, or broken.
    fn document(
        &mut self,
        uri: &str,
        item: &Item,
        read: &mut impl FnMut(&Item) -> Result<Contents, Unread>,
    ) -> Result<Option<Document>, Stop> {
        let made_of = format!("{}-{}", item.version, self.manner);
        if self.known.get(uri) == Some(&made_of) {
            self.counts.unchanged += 1;
            return Ok(None);
        }
        let parser = &self.task.tools().parser;
        let max = parser.limits().max_bytes;
        if item.bytes > max as u64 {
            let message =
                format!("it has more than {max} bytes, the limit of indexing.max_file_mb");
            self.batch.fail(uri, "parse", message);
            return Ok(None);
        }
        let contents = match read(item) {
            Ok(contents) => contents,
            Err(Unread::File(why)) => {
                self.batch.fail(uri, "fetch", why);
                return Ok(None);
            }
            Err(Unread::Source(stop)) => return Err(stop),
        };
        let mut parse = ParseInput::new(uri, &contents.bytes);
        parse.content_type = contents.content_type.as_deref();
        let mut document = match parser.parse(&parse, self.task.cancel()) {
            Ok(document) => document,
            Err(error) => match error.kind() {
                ErrorKind::Cancelled => return Err(Stop::Cancelled),
                ErrorKind::Unsupported => {
                    self.counts.skipped += 1;
                    return Ok(None);
                }
                _ => {
                    self.batch.fail(uri, "parse", error.to_string());
                    return Ok(None);
                }
            },
        };
        let fact = self.source.fact.to_owned();
        document.metadata.insert(fact, made_of.into());
        match store::mark(&mut document, self.source.marks) {
            Ok(()) => Ok(Some(document)),
            Err(Stop::Failed(failure)) => {
                self.batch.fail(uri, "parse", failure.chain.join(": "));
                Ok(None)
            }
            Err(stop) => Err(stop),
        }
    }

    /// Deletes the documents of files that are gone, unless they are most of them and nobody
    /// has agreed.
    fn remove(&mut self, gone: Vec<String>) -> Result<usize, Stop> {
        if gone.is_empty() {
            return Ok(0);
        }
        let of = self.known.len();
        let is_most = gone.len() * 2 > of;
        if is_most && !self.source.remove_most && !self.task.is_confirmed() {
            if self.task.answer().is_some() {
                return Ok(0);
            }
            let name = self.source.scope.trim_end_matches('/');
            return Err(Stop::Asks(json!({
                "question": "Most documents of this source are not in it any more. Are they to be \
                             deleted?",
                "folders": [{ "folder": name, "gone": gone.len(), "of": of }],
            })));
        }
        let ids: Vec<_> = gone.iter().map(|uri| DocumentId::of_uri(uri)).collect();
        let (generation, deleted) = store::delete_all(&ids, self.payload, self.task)?;
        self.batch.generation = Some(generation);
        Ok(deleted)
    }
}

/// Documents of the source: the URI, and what each was made of.
fn known(
    source: &MirrorSource<'_>,
    payload: &Payload,
    task: &Task,
) -> Result<BTreeMap<String, String>, Stop> {
    let index = task.collection(payload)?;
    index.refresh()?;
    let snapshot = index.snapshot();
    let mut known = BTreeMap::new();
    let mut offset = 0;
    loop {
        let page = snapshot.documents(offset, PAGE, &Access::All)?;
        if page.is_empty() {
            return Ok(known);
        }
        offset += page.len();
        for document in page {
            if document.uri.starts_with(&source.scope) {
                let made_of = document.metadata.get(source.fact).and_then(Value::as_str);
                let made_of = made_of.unwrap_or_default().to_owned();
                known.insert(document.uri, made_of);
            }
        }
    }
}

/// In which way documents are made of files: another version or other marks make others.
fn manner(marks: &Marks) -> String {
    let said = json!([env!("CARGO_PKG_VERSION"), marks]).to_string();
    blake3::hash(said.as_bytes()).to_hex()[..16].to_owned()
}
