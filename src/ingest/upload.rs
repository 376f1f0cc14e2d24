//! What a client uploads: files, checked, that become documents.

use bytes::Bytes;
use cairn_indexer::{Document, Error, ParseInput, Parser};
use cairn_models::Cancel;
use serde::{Deserialize, Serialize};

use super::kinds::Marks;
use super::{Refusal, bounds};

/// A file before it is parsed.
#[derive(Clone, Debug)]
pub(crate) struct File {
    /// What is said of it.
    pub name: FileName,
    /// Its contents.
    pub bytes: Bytes,
}

/// What is said of a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct FileName {
    /// Identity of its document.
    pub uri: String,
    /// Title of its document, where that is not to come from its contents.
    pub title: Option<String>,
    /// Its media type, where the client says one.
    pub content_type: Option<String>,
}

/// A checked upload.
#[derive(Clone, Debug, Default)]
pub(crate) struct Upload {
    /// Whether it replaces documents of the same names and another text.
    pub replace: bool,
    /// What is said of every document.
    pub marks: Marks,
    /// The files.
    pub files: Vec<File>,
}

/// Why a file did not become a document.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unread {
    /// Its contents are to blame.
    #[error(transparent)]
    Contents(Error),
    /// What is said of it, together with what it says of itself, is.
    #[error(transparent)]
    Marks(#[from] Refusal),
}

impl Upload {
    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes.len() as u64).sum()
    }

    /// The documents, and what could not be read with its URI. Once `cancel` fires, what
    /// is left is not read. `done` is called after each file.
    pub(crate) fn parse(
        self,
        parser: &Parser,
        cancel: &Cancel,
        mut done: impl FnMut(),
    ) -> (Vec<Document>, Vec<(String, Unread)>) {
        let (mut documents, mut failed) = (Vec::new(), Vec::new());
        for file in self.files {
            let FileName {
                uri,
                title,
                content_type,
            } = file.name;
            let mut input = ParseInput::new(&uri, &file.bytes);
            input.content_type = content_type.as_deref();
            match parser.parse(&input, cancel) {
                Ok(mut document) => {
                    if let Some(title) = title {
                        document.title = title;
                    }
                    document.metadata.extend(self.marks.metadata.clone());
                    document.labels.extend(self.marks.labels.iter().cloned());
                    // Together with what the file says of itself.
                    match bounds::check_metadata(&document.metadata) {
                        Ok(()) => documents.push(document),
                        Err(refusal) => failed.push((uri, refusal.into())),
                    }
                }
                Err(error) => failed.push((uri, Unread::Contents(error))),
            }
            done();
        }
        (documents, failed)
    }
}
