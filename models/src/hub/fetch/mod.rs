//! Bytes of one artifact from one source into temporary files.

pub(super) mod https;
pub(super) mod wheel;

use std::path::Path;

use tempfile::NamedTempFile;

use super::manifest::ArtifactSource;
use crate::Result;

/// How sources are reached on this machine.
#[derive(Clone, Debug)]
pub(super) struct Fetchers {
    /// The Hugging Face hub.
    pub(super) https: https::HfEndpoint,
    /// Python's package installers.
    pub(super) wheel: wheel::Installers,
}

impl Fetchers {
    pub(super) fn of_this_machine() -> Self {
        Self {
            https: https::HfEndpoint::from_env(),
            wheel: wheel::Installers::from_path(),
        }
    }

    /// Opens a source for one artifact. `scratch` is an empty folder on the disk
    /// of the models; what is there is removed afterwards.
    pub(super) fn open<'a>(
        &'a self,
        source: &'a ArtifactSource,
        scratch: &'a Path,
        bytes: &'a (dyn Fn(u64, u64) + Sync),
    ) -> Result<Box<dyn OpenSource + 'a>> {
        Ok(match source {
            ArtifactSource::Hf(repo) => Box::new(self.https.open(repo, bytes)?),
            ArtifactSource::Wheel(folder) => {
                Box::new(self.wheel.open_folder(folder, scratch, bytes)?)
            }
            ArtifactSource::WheelParts(parts) => {
                Box::new(self.wheel.open_parts(parts, scratch, bytes))
            }
        })
    }
}

/// A source that answered.
pub(super) trait OpenSource {
    /// Writes the file of this name; `size` is the expected one.
    fn fetch(&mut self, name: &str, size: u64, into: &mut NamedTempFile) -> Result<()>;
}
