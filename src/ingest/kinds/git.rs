//! `git`: the files of a revision of a repository on this machine.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::folder::permitted;
use super::{Checks, Kind, Marks, Plan, input, read_marked};
use crate::ingest::git::{Blob, MAX_REVISION_BYTES, Repository};
use crate::ingest::mirror::{Contents, Item, Mirror, MirrorSource, Unread};
use crate::ingest::task::{Stop, Task};
use crate::ingest::{Payload, Refusal, bounds};

/// Most files of a revision.
const MAX_FILES: usize = 200_000;
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
    /// Folders in which all of the repository must lie; `None` for any.
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
        let shown = files.into_iter().filter(|file| !is_hidden(&file.path));
        let items: Vec<Item> = shown.map(item).collect();
        let source = MirrorSource {
            root: format!("git:{}/", input.name),
            scope: format!("git:{}/", input.name),
            fact: MADE_OF,
            marks: &input.marks,
            remove_most: input.remove_most,
        };
        let mirror = Mirror::new(source, payload, task)?;
        let mut reader = task
            .wait(async { repository.reader() })?
            .map_err(Stop::permanent)?;
        let mut done = mirror.follow(&items, |item| {
            let blob = Blob {
                id: item.version.clone(),
                bytes: item.bytes,
                path: item.path.clone(),
            };
            match task.wait(reader.read(&blob)).map_err(Unread::Source)? {
                Ok(bytes) => Ok(Contents {
                    bytes,
                    content_type: None,
                }),
                // Whether git ended or the repository is broken, there is no going on.
                Err(why) => {
                    let why = format!("{}: {why}", item.path);
                    Err(Unread::Source(Stop::permanent(why)))
                }
            }
        })?;
        done["commit"] = commit.into();
        Ok(done)
    }
}

fn item(file: Blob) -> Item {
    Item {
        path: file.path,
        version: file.id,
        bytes: file.bytes,
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
