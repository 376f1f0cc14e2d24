//! `upload`: files that were sent with `POST /documents` and wait in the spool.

use cairn_indexer::{DocumentId, Error, ErrorKind};
use cairn_jobs::Progress;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Checks, Kind, Plan, input, order_of};
use crate::ingest::spool::{KIND, SpoolError};
use crate::ingest::task::{Stop, Task, Tools};
use crate::ingest::upload::Unread;
use crate::ingest::writer::Conflict;
use crate::ingest::{Payload, Refusal, store};

/// Stores uploaded files.
#[derive(Debug)]
pub(super) struct Files;

/// An upload that waits.
#[derive(Clone, Debug)]
pub(crate) struct Spooled {
    /// Its name in the spool.
    pub name: Uuid,
    /// The URIs of its files.
    pub uris: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Input {
    spool: Uuid,
    files: usize,
    /// Of the first file, for people.
    uri: String,
}

impl Kind for Files {
    fn name(&self) -> &'static str {
        KIND
    }

    fn check(&self, _: Value, checks: &Checks<'_>) -> Result<Plan, Refusal> {
        let Some(Spooled { name, uris }) = checks.spooled else {
            let message = "files are sent to POST /documents; with `Prefer: respond-async` they \
                           become a job";
            return Err(Refusal::invalid("kind", message));
        };
        let order = match uris.as_slice() {
            [uri] => order_of(checks.collection, DocumentId::of_uri(uri)),
            _ => format!("upload:{}", checks.collection),
        };
        let input = Input {
            spool: *name,
            files: uris.len(),
            uri: uris.first().cloned().unwrap_or_default(),
        };
        Ok(Plan {
            input: json!(input),
            ordering_key: Some(order),
            unique_key: None,
            source: None,
        })
    }

    fn run(&self, payload: &Payload, task: &Task) -> Result<Value, Stop> {
        let Input { spool, files, .. } = input(payload)?;
        task.stage("parse");
        let upload = task.tools().spool.read(spool)?;
        let replace = upload.replace;
        let bytes = upload.bytes();
        let mut done = 0;
        let (documents, failed) = upload.parse(&task.tools().parser, task.cancel(), || {
            done += 1;
            task.progress(Progress {
                done,
                total: Some(files as u64),
                bytes,
                bytes_total: Some(bytes),
            });
        });
        if task.cancel().is_cancelled() {
            return Err(Stop::Cancelled);
        }
        let mut told = Vec::new();
        let mut first = None;
        for (uri, why) in failed {
            let message = match why {
                Unread::Marks(refusal) => refusal.message,
                Unread::Contents(error) if is_of_the_file(&error) => error.message().to_owned(),
                // They are stored together: what another attempt may read is waited for.
                Unread::Contents(error) => return Err(error.into()),
            };
            task.document_failed(&uri, "parse", message.clone());
            told.push(json!({ "uri": uri, "error": message }));
            first.get_or_insert(message);
        }
        if documents.is_empty() {
            let message = first.unwrap_or_else(|| "the upload has no file".to_owned());
            return Err(Stop::permanent(message));
        }
        task.stage("embed");
        let conflict = Conflict::Refuse { replace };
        let files = files as u64;
        // They are stored together, so none is done before all are; bytes tell how far it is.
        let mut on_embedded = |embedded: usize, chunks: usize| {
            let share = embedded as f64 / chunks.max(1) as f64;
            task.progress(Progress {
                done: 0,
                total: Some(files),
                bytes: (bytes as f64 * share) as u64,
                bytes_total: Some(bytes),
            });
        };
        on_embedded(0, 1);
        let stored = store::put_all_telling(documents, conflict, payload, task, &mut on_embedded)?;
        task.progress(Progress {
            done: files,
            total: Some(files),
            bytes,
            bytes_total: Some(bytes),
        });
        Ok(json!({
            "generation": stored.generation,
            "documents": stored.documents,
            "failed": told,
        }))
    }

    fn forget(&self, payload: &Payload, tools: &Tools) {
        if let Ok(Input { spool, .. }) = input(payload) {
            tools.spool.remove(spool);
        }
    }
}

/// Whether a file is to blame for `error`, and will be again. A parser that was stopped has
/// been given a second chance already.
fn is_of_the_file(error: &Error) -> bool {
    use ErrorKind::{Encrypted, InvalidInput, ParserStopped, TooLarge, Unsupported};
    let kinds = [
        Encrypted,
        InvalidInput,
        ParserStopped,
        TooLarge,
        Unsupported,
    ];
    kinds.contains(&error.kind())
}

impl From<SpoolError> for Stop {
    fn from(error: SpoolError) -> Self {
        let permanent = matches!(error, SpoolError::Gone);
        Self::Failed(cairn_jobs::Failure::of(&error, permanent))
    }
}
