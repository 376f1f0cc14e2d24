//! What a run would do, written down: to be looked at, and to be done later as it stands.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use cairn_models::Cancel;
use serde::{Deserialize, Serialize};

use crate::walk::{SkipReason, WalkOptions, WalkedFile, walk};
use crate::{DocumentId, Error, ErrorKind, Index, Metadata, Result};

use super::RunOptions;
use super::compare::{Gone, Listing, is_untouched, modified_ns};
use super::scope::resolve;
use super::update::{inputs, inputs_of};

/// The version of manifests; others are refused.
const FORMAT: u32 = 1;

/// Largest manifest that is read, in bytes.
const MAX_BYTES: u64 = 1 << 30;

/// What becomes of a file or a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It becomes a document.
    Add,
    /// It becomes the new version of its document.
    Change,
    /// The document goes: its file is gone.
    Remove,
    /// The file is gone and its document stays: most of its folder is gone.
    Keep,
    /// It does not become a document.
    Skip,
}

/// One file or document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What becomes of it.
    pub action: Action,
    /// Where the file is; missing where it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The document; missing where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    /// Bytes of the file.
    #[serde(default)]
    pub bytes: u64,
    /// BLAKE3 of its contents, where they are read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// Why, where that does not go without saying.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Files of one sort.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    /// How many.
    pub files: usize,
    /// Bytes of all.
    pub bytes: u64,
}

/// What a run would do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    format: u32,
    /// The files and folders.
    pub roots: Vec<PathBuf>,
    /// Labels of every document.
    pub labels: BTreeSet<String>,
    /// Metadata of every document.
    pub metadata: Metadata,
    /// The commit that it was compared with.
    pub generation: u64,
    /// Files that are as they were.
    pub unchanged: Sum,
    /// All others, by what becomes of them.
    pub sums: BTreeMap<Action, Sum>,
    /// These, one by one, in the order of their paths and URIs.
    pub entries: Vec<Entry>,
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// `InvalidInput` for what is none, or of another version; those of the disk.
    pub fn read(path: &Path) -> Result<Self> {
        let at = |error: std::io::Error| Error::from(error).at(path);
        let file = File::open(path).map_err(at)?;
        let wrong = |what: String| Error::new(ErrorKind::InvalidInput, what).at(path);
        if file.metadata().map_err(at)?.len() > MAX_BYTES {
            return Err(wrong(format!("it has more than {MAX_BYTES} bytes")));
        }
        let read = serde_json::from_reader(std::io::BufReader::new(file));
        let manifest: Self =
            read.map_err(|error| wrong(format!("this is not a manifest of a run: {error}")))?;
        match manifest.format == FORMAT {
            true => Ok(manifest),
            false => Err(wrong(format!(
                "the manifest has format {}, this Cairn reads {FORMAT}; make another",
                manifest.format
            ))),
        }
    }

    fn push(&mut self, entry: Entry) {
        let sum = self.sums.entry(entry.action).or_default();
        sum.files += 1;
        sum.bytes += entry.bytes;
        self.entries.push(entry);
    }

    /// What is to become of each document of which a file is to be read: the hash of its
    /// contents, by its URI.
    pub(super) fn wanted(&self) -> BTreeMap<&str, (&str, &str)> {
        let reads = |entry: &Entry| matches!(entry.action, Action::Add | Action::Change);
        let entries = self.entries.iter().filter(|entry| reads(entry));
        entries
            .filter_map(|entry| {
                let file = (entry.path.as_deref()?, entry.hash.as_deref()?);
                Some((entry.uri.as_deref()?, file))
            })
            .collect()
    }

    /// The URIs of documents that are to go.
    pub(super) fn removed(&self) -> BTreeSet<&str> {
        let removes = |entry: &&Entry| entry.action == Action::Remove;
        let entries = self.entries.iter().filter(removes);
        entries.filter_map(|entry| entry.uri.as_deref()).collect()
    }
}

/// What [`super::index_paths`] would do with `roots`, without doing it: folders are walked and
/// files that may have changed are read, but nothing is parsed, embedded, written or locked.
///
/// # Errors
/// `NotFound` when a root is not there, `Cancelled`, and those of reading the collection.
pub fn plan_paths(
    roots: &[PathBuf],
    index: &Index,
    options: &RunOptions,
    cancel: &Cancel,
) -> Result<Manifest> {
    index.refresh()?;
    let base = index.snapshot();
    let mut known = base.roots();
    let (scopes, absorbed) = resolve(roots, &mut known)?;
    let mut exclude = options.exclude.clone();
    exclude.push(index.dir().to_owned());
    let walking = WalkOptions {
        max_file_bytes: options.parser.limits().max_bytes as u64,
        exclude,
    };
    let mut manifest = Manifest {
        format: FORMAT,
        roots: roots.to_vec(),
        labels: options.labels.clone(),
        metadata: options.metadata.clone(),
        generation: base.generation(),
        unchanged: Sum::default(),
        sums: BTreeMap::new(),
        entries: Vec::new(),
    };
    let own = inputs(options);
    let mut listings = Vec::new();
    for scope in scopes {
        cancel.check()?;
        let walk = walk(&scope.path, &walking)?;
        for file in &walk.files {
            cancel.check()?;
            let uri = scope.uri_of(&file.uri);
            let stored = base.file(DocumentId::of_uri(&uri));
            let same = stored.filter(|(known, _)| known.inputs == own);
            let mut unchanged = same.is_some_and(|(known, at)| is_untouched(known, at, file));
            let mut hash = None;
            let failed = known
                .get(&scope.root)
                .and_then(|root| root.failed.get(&uri));
            let failed = failed.filter(|failed| {
                failed.bytes == file.bytes
                    && Some(failed.modified_ns) == modified_ns(file)
                    && failed.inputs == inputs_of(&own, options, failed.kind)
            });
            if let Some(failed) = failed.filter(|_| !unchanged) {
                let why = format!("it could not be read before: {}", failed.message);
                manifest.push(skipped(&file.path, file.bytes, &why));
                continue;
            }
            if !unchanged {
                match hash_of(file) {
                    Ok(found) => hash = Some(found),
                    Err(error) => {
                        manifest.push(skipped(&file.path, file.bytes, error.message()));
                        continue;
                    }
                }
                unchanged = same.is_some_and(|(known, _)| Some(&known.hash) == hash.as_ref());
            }
            if unchanged {
                manifest.unchanged.files += 1;
                manifest.unchanged.bytes += file.bytes;
                continue;
            }
            manifest.push(Entry {
                action: match stored {
                    Some(_) => Action::Change,
                    None => Action::Add,
                },
                path: Some(file.path.display().to_string()),
                uri: Some(uri),
                bytes: file.bytes,
                hash,
                reason: None,
            });
        }
        for file in &walk.skipped {
            let detail = match file.detail.as_str() {
                "" => skip_name(file.reason),
                detail => detail.to_owned(),
            };
            manifest.push(skipped(&file.path, 0, &detail));
        }
        listings.push(Listing { scope, walk });
    }
    let gone = Gone::new(&listings, &absorbed);
    let most = match options.remove_most {
        true => Vec::new(),
        false => gone.most_of(&base.files().map(|(_, uri)| uri).collect::<Vec<_>>()),
    };
    for (_, uri) in base.files().filter(|(_, uri)| gone.holds(uri)) {
        let is_kept = most.iter().any(|(scope, ..)| scope.covers(uri));
        manifest.push(Entry {
            action: if is_kept {
                Action::Keep
            } else {
                Action::Remove
            },
            path: None,
            uri: Some(uri.to_owned()),
            bytes: 0,
            hash: None,
            reason: is_kept
                .then(|| "most of its folder is gone, which may only not be mounted".to_owned()),
        });
    }
    manifest
        .entries
        .sort_by(|a, b| (&a.path, &a.uri).cmp(&(&b.path, &b.uri)));
    Ok(manifest)
}

fn skipped(path: &Path, bytes: u64, reason: &str) -> Entry {
    Entry {
        action: Action::Skip,
        path: Some(path.display().to_string()),
        uri: None,
        bytes,
        hash: None,
        reason: Some(reason.to_owned()),
    }
}

fn skip_name(reason: SkipReason) -> String {
    let name = serde_json::to_value(reason).ok();
    let name = name.as_ref().and_then(|name| name.as_str());
    name.unwrap_or_default().replace('_', " ")
}

fn hash_of(file: &WalkedFile) -> Result<String> {
    let at = |error: std::io::Error| Error::from(error).at(&file.path);
    let mut hasher = blake3::Hasher::new();
    hasher
        .update_reader(File::open(&file.path).map_err(at)?)
        .map_err(at)?;
    Ok(hasher.finalize().to_hex().to_string())
}
