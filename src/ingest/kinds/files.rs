//! `files`: files that were uploaded before, into the collection.

use cairn_indexer::{DocumentId, ParseInput};
use cairn_jobs::Progress;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Checks, Kind, Marks, Plan, input, order_of, read};
use crate::ingest::task::{Stop, Task};
use crate::ingest::{Payload, Refusal, bounds, store, uploads};

/// Most files of one job.
pub(crate) const MAX_FILES: usize = 2_000;

/// Stores uploaded files.
#[derive(Debug)]
pub(super) struct Files;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    files: Vec<Named>,
}

/// A file, and what is said of the document that it becomes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Named {
    /// The id of the document that it becomes, 16 hexadecimal digits.
    pub(crate) id: String,
    #[serde(flatten)]
    pub(crate) marks: Marks,
}

#[derive(Debug, Serialize, Deserialize)]
struct Input {
    files: Vec<Named>,
    /// Who uploaded them: a caller may only store its own files.
    key: Option<String>,
}

/// The files of a job of this kind, in the order of the request.
pub(crate) fn files_of(payload: &Value) -> Vec<DocumentId> {
    let payload: Option<Payload> = serde_json::from_value(payload.clone()).ok();
    let input = payload.and_then(|payload| input::<Input>(&payload).ok());
    let files = input.into_iter().flat_map(|input| input.files);
    files
        .filter_map(|file| DocumentId::parse(&file.id))
        .collect()
}

impl Kind for Files {
    fn name(&self) -> &'static str {
        "files"
    }

    fn check(&self, fields: Value, checks: &Checks<'_>) -> Result<Plan, Refusal> {
        let Fields { files } = read(fields)?;
        if !(1..=MAX_FILES).contains(&files.len()) {
            let message = format!("`files` takes 1 to {MAX_FILES} files, not {}", files.len());
            return Err(Refusal::invalid("files", message));
        }
        let mut first = None;
        for file in &files {
            let id = DocumentId::parse(&file.id).ok_or_else(|| {
                let message = "the id of an uploaded file has 16 hexadecimal digits here";
                Refusal::invalid("files", message)
            })?;
            first.get_or_insert(id);
            bounds::check_metadata(&file.marks.metadata)?;
            bounds::check_labels(&file.marks.labels)?;
            bounds::check_held(&file.marks.labels, checks.asker.held.as_ref())?;
        }
        let key = checks.asker.key.clone();
        Ok(Plan {
            input: json!(Input { files, key }),
            ordering_key: first.map(|id| order_of(checks.collection, id)),
            unique_key: None,
            source: None,
        })
    }

    fn run(&self, payload: &Payload, task: &Task) -> Result<Value, Stop> {
        let Input { files, key } = input(payload)?;
        let total = files.len() as u64;
        let mut batch = store::Batch::new(payload, task);
        // What only waits for a commit is not in.
        let show = |batch: &store::Batch<'_>| {
            task.progress(Progress {
                done: batch.settled(),
                total: Some(total),
                ..Progress::default()
            });
        };
        for file in files {
            task.stage("parse");
            let id = DocumentId::parse(&file.id);
            let found = id.map(|id| uploads::read(&task.tools().data_dir, id));
            let found = match found.transpose() {
                Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                    let why = "the uploaded file is damaged on the disk; upload it again";
                    batch.fail(&file.id, "parse", why.to_owned());
                    show(&batch);
                    continue;
                }
                found => found.map_err(cairn_indexer::Error::from)?,
            };
            match found.flatten().filter(|(upload, _)| upload.key == key) {
                Some((upload, bytes)) => {
                    let mut parse = ParseInput::new(&upload.uri, &bytes);
                    parse.content_type = upload.content_type.as_deref();
                    batch.add(&parse, &file.marks)?;
                }
                None => batch.fail(&file.id, "parse", "the file was deleted".to_owned()),
            }
            show(&batch);
        }
        batch.commit()?;
        show(&batch);
        Ok(json!({
            "generation": batch.generation,
            "stored": batch.stored,
            "failed": batch.failed,
        }))
    }
}
