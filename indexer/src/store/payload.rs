//! What a commit says about itself: the JSON payload of Tantivy's commit, the
//! one place from which everything else in a collection is found.

use std::collections::BTreeMap;
use std::path::Path;

use cairn_models::Embedder;
use serde::{Deserialize, Serialize};

use crate::vectors::SegmentMeta;
use crate::{Error, ErrorKind, Result};

use super::{IndexSettings, Root};

/// Version of the on-disk format. A larger one on disk is refused.
pub(super) const FORMAT: u32 = 1;

/// The model whose vectors are inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct EmbedderEntry {
    pub(super) id: String,
    pub(super) dimension: usize,
}

/// One committed state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Payload {
    pub(super) format: u32,
    /// When the first commit was made, nanoseconds since 1970: tells a
    /// collection from one that was in the same folder before.
    pub(super) created_ns: u64,
    /// Counts commits, from 1.
    pub(super) generation: u64,
    pub(super) embedder: EmbedderEntry,
    pub(super) settings: IndexSettings,
    /// Version of the analysis that read the words.
    #[serde(default = "first_analysis")]
    pub(super) analysis: u32,
    /// Vector segments, oldest first.
    pub(super) vectors: Vec<SegmentMeta>,
    /// No chunk has had this vector id or a larger one.
    pub(super) next_vector_id: u64,
    /// Indexed files and folders by the prefix of their documents' URIs.
    #[serde(default)]
    pub(super) roots: BTreeMap<String, Root>,
}

/// That of collections from before there were versions of it.
pub(super) fn first_analysis() -> u32 {
    1
}

const ADVICE: &str = "To use the new one, delete the collection's folder and run `cairn index` \
                      again, or index into another `--collection`.";

impl Payload {
    /// Reads the payload of a commit; `meta` is the file that it came from.
    pub(super) fn read(json: &str, meta: &Path) -> Result<Self> {
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let corrupt = |error: serde_json::Error| {
            Error::new(
                ErrorKind::Corrupt,
                "the commit's description cannot be read; run `cairn doctor`",
            )
            .at(meta)
            .because(error)
        };
        let version: Version = serde_json::from_str(json).map_err(corrupt)?;
        if version.format != FORMAT {
            return Err(Error::new(
                ErrorKind::Mismatch,
                format!(
                    "the collection was written by {} Cairn: it has format {}, this one reads \
                     {FORMAT}; use the Cairn that wrote it, or index into another `--collection`",
                    match version.format > FORMAT {
                        true => "a newer",
                        false => "an older",
                    },
                    version.format
                ),
            )
            .at(meta));
        }
        serde_json::from_str(json).map_err(corrupt)
    }

    /// Fails unless documents of this embedder and these settings belong into
    /// the collection.
    pub(super) fn check(&self, settings: &IndexSettings, embedder: &dyn Embedder) -> Result<()> {
        let stored = &self.embedder;
        if stored.id != embedder.id() || stored.dimension != embedder.dimension() {
            let message = format!(
                "the collection was embedded by {} ({} dimensions), not by {} ({} dimensions). A \
                 job of the kind `re-embed` embeds it again. {ADVICE}",
                stored.id,
                stored.dimension,
                embedder.id(),
                embedder.dimension()
            );
            return Err(Error::new(ErrorKind::Mismatch, message));
        }
        self.check_settings(settings)
    }

    /// Fails unless documents under these settings belong into the collection, whoever embeds
    /// them.
    pub(super) fn check_settings(&self, settings: &IndexSettings) -> Result<()> {
        match self.settings.conflict(settings) {
            Some((name, stored, wanted)) => Err(Error::new(
                ErrorKind::Mismatch,
                format!(
                    "the collection was built with {name} = {stored}, the configuration says \
                     {wanted}. {ADVICE}"
                ),
            )),
            None => Ok(()),
        }
    }

    /// The payload as it is stored.
    pub(super) fn write(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|error| {
            Error::new(ErrorKind::Internal, "a commit could not be described").because(error)
        })
    }
}
