//! What the configuration may name as a model: an artifact of the list, a
//! local folder, or a repository of the Hugging Face hub.
//!
//! There is no record of what the bytes of a repository should be, so they are
//! trusted on first use: their checksums are recorded alongside them.

use std::path::{Path, PathBuf};

use super::manifest::{ArtifactFile, ArtifactKind, ArtifactSource, HfRepo};
use super::{Hub, Progress, PullEvent, store};
use crate::{Error, ErrorKind, Result};

/// Name of the record of a repository's files.
const RECORD: &str = "cairn-checksums.json";

/// GGUF quantisations, the best trade of size and quality first.
const GGUF_PREFERENCE: [&str; 6] = ["q4_k_m", "q4_0", "q4_1", "q5_k_m", "q6_k", "q8_0"];

/// Whether a reference in the configuration turns the model off.
pub fn is_off(reference: &str) -> bool {
    reference == "none"
}

/// A model whose files are on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Located {
    /// Compiled into the binary, under this name.
    Builtin(String),
    /// A folder; `name` tells models apart, `sha256` is that of the weights
    /// where it is known already.
    Folder {
        name: String,
        folder: PathBuf,
        sha256: Option<String>,
    },
}

impl Hub {
    /// Finds the files of a model, fetching them if need be.
    pub(crate) fn locate(
        &self,
        reference: &str,
        kind: ArtifactKind,
        progress: &dyn Progress,
    ) -> Result<Located> {
        if let Ok(artifact) = self.manifest.get(reference) {
            if artifact.kind != kind {
                let message = format!(
                    "`{reference}` is not for this use: it is a {:?}",
                    artifact.kind
                );
                return Err(Error::new(ErrorKind::InvalidInput, message.to_lowercase()));
            }
            if artifact.builtin {
                return Ok(Located::Builtin(artifact.id.clone()));
            }
            return Ok(Located::Folder {
                name: artifact.id.clone(),
                folder: self.ensure(reference, progress)?,
                sha256: artifact.files.first().map(|file| file.sha256.clone()),
            });
        }
        let path = Path::new(reference);
        if path.is_dir() {
            let absolute = path.canonicalize().unwrap_or_else(|_| path.to_owned());
            let name = absolute.file_name().unwrap_or(absolute.as_os_str());
            return Ok(Located::Folder {
                name: name.to_string_lossy().into_owned(),
                folder: absolute,
                sha256: None,
            });
        }
        match Repository::parse(reference) {
            Some(repository) => self.locate_repository(reference, &repository, kind, progress),
            // The list's own message names what exists.
            None => Err(self.manifest.get(reference).map_or_else(
                |error| {
                    let more = "a Hugging Face id (`org/name`) or an existing folder works too";
                    Error::new(error.kind(), format!("{error}; {more}"))
                },
                |_| Error::new(ErrorKind::Internal, "a model was found and not found"),
            )),
        }
    }

    fn locate_repository(
        &self,
        reference: &str,
        repository: &Repository,
        kind: ArtifactKind,
        progress: &dyn Progress,
    ) -> Result<Located> {
        let folder = self.folder.join("hf").join(repository.folder_name());
        let record_path = folder.join(RECORD);
        let record = match read_record(&record_path)? {
            Some(record) if all_there(&folder, &record) => record,
            _ => self.fetch_repository(reference, repository, kind, &folder, progress)?,
        };
        Ok(Located::Folder {
            name: reference.to_owned(),
            folder,
            sha256: record.first().map(|file| file.sha256.clone()),
        })
    }

    fn fetch_repository(
        &self,
        reference: &str,
        repository: &Repository,
        kind: ArtifactKind,
        folder: &Path,
        progress: &dyn Progress,
    ) -> Result<Vec<ArtifactFile>> {
        let report = |event: PullEvent<'_>| progress.report(reference, event);
        store::create_folder(folder)?;
        let _lock = store::lock(&folder.join(".lock"), || report(PullEvent::Waiting))?;
        if let Some(record) = read_record(&folder.join(RECORD))?
            && all_there(folder, &record)
        {
            return Ok(record);
        }
        let unreachable = |error: Error| {
            let advice = "connect this machine to the Hugging Face hub, set HF_ENDPOINT to a mirror, or name a local folder instead";
            Error::new(
                error.kind(),
                format!("`{reference}` could not be fetched: {error}; {advice}"),
            )
        };
        let source = ArtifactSource::Hf(repository.repo.clone());
        report(PullEvent::Source(&source.name()));
        let names = self
            .fetchers
            .https
            .list(&repository.repo)
            .map_err(unreachable)?;
        let wanted = choose_files(reference, &names, kind, repository.variant.as_deref())?;
        let bytes = |done, total| report(PullEvent::Bytes { done, total });
        let mut files = self
            .fetchers
            .open(&source, folder, &bytes)
            .map_err(unreachable)?;
        let mut record = Vec::new();
        for name in wanted {
            let target = folder.join(&name);
            store::create_folder(target.parent().unwrap_or(folder))?;
            let mut partial = store::partial_beside(&target)?;
            files.fetch(&name, 0, &mut partial).map_err(unreachable)?;
            let sha256 = store::sha256_of(partial.path())?;
            let size = partial.as_file().metadata().map_or(0, |meta| meta.len());
            store::publish(partial, &target)?;
            report(PullEvent::FileReady(&name));
            record.push(ArtifactFile { name, size, sha256 });
        }
        write_record(&folder.join(RECORD), &record)?;
        Ok(record)
    }
}

/// A parsed `org/name`, `org/name@revision` or `org/name:QUANTISATION`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Repository {
    repo: HfRepo,
    variant: Option<String>,
}

impl Repository {
    fn parse(reference: &str) -> Option<Self> {
        let (rest, variant) = match reference.split_once(':') {
            Some((rest, variant)) => (rest, Some(variant)),
            None => (reference, None),
        };
        let (repo, revision) = rest.split_once('@').unwrap_or((rest, "main"));
        let (organisation, name) = repo.split_once('/')?;
        let word = |text: &str| {
            !text.is_empty()
                && !text.starts_with('.')
                && text
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        };
        let sound = word(organisation) && word(name) && word(revision) && variant.is_none_or(word);
        sound.then(|| Self {
            repo: HfRepo {
                repo: repo.to_owned(),
                revision: revision.to_owned(),
            },
            variant: variant.map(str::to_lowercase),
        })
    }

    fn folder_name(&self) -> String {
        let mut name = self.repo.repo.replace('/', "--");
        if self.repo.revision != "main" {
            name = format!("{name}@{}", self.repo.revision);
        }
        match &self.variant {
            Some(variant) => format!("{name}--{variant}"),
            None => name,
        }
    }
}

/// The files of a repository that a model of this kind needs; weights first.
fn choose_files(
    reference: &str,
    names: &[String],
    kind: ArtifactKind,
    variant: Option<&str>,
) -> Result<Vec<String>> {
    let has = |name: &str| names.iter().any(|own| own == name);
    let missing = |what: &str| {
        Error::new(
            ErrorKind::InvalidInput,
            format!("`{reference}` has no {what}, which this use needs; choose another model"),
        )
    };
    let mut chosen = Vec::new();
    let optional: &[&str] = match kind {
        ArtifactKind::Embedder => {
            for name in ["model.safetensors", "tokenizer.json", "config.json"] {
                chosen.push(
                    has(name)
                        .then(|| name.to_owned())
                        .ok_or_else(|| missing(name))?,
                );
            }
            &[
                "modules.json",
                "1_Pooling/config.json",
                "sentence_bert_config.json",
            ]
        }
        ArtifactKind::Reranker => {
            let onnx = choose_onnx(names).ok_or_else(|| missing("ONNX weights"))?;
            let data = [format!("{onnx}_data"), format!("{onnx}.data")];
            chosen.push(onnx.to_owned());
            chosen.extend(data.into_iter().filter(|name| has(name)));
            if !has("tokenizer.json") {
                return Err(missing("tokenizer.json"));
            }
            &["tokenizer.json", "config.json"]
        }
        ArtifactKind::Generator => {
            let what = variant.map_or("GGUF file".to_owned(), |v| format!("GGUF file `{v}`"));
            chosen.push(
                choose_gguf(names, variant)
                    .ok_or_else(|| missing(&what))?
                    .to_owned(),
            );
            &[]
        }
        ArtifactKind::Reader => return Err(missing("reader")),
        ArtifactKind::Library => return Err(missing("library")),
    };
    chosen.extend(
        optional
            .iter()
            .filter(|name| has(name))
            .map(|name| (*name).to_owned()),
    );
    // The names come from outside and become paths.
    let plain = |name: &String| name.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if chosen
        .iter()
        .all(|name| plain(name) && !name.contains(['\\', ':']))
    {
        Ok(chosen)
    } else {
        Err(missing("files with plain names"))
    }
}

pub(crate) fn choose_onnx(names: &[String]) -> Option<&str> {
    let usual = ["onnx/model.onnx", "model.onnx"];
    let found = usual
        .iter()
        .find_map(|usual| names.iter().find(|name| name == usual));
    found
        .or_else(|| names.iter().filter(|name| name.ends_with(".onnx")).min())
        .map(String::as_str)
}

pub(crate) fn choose_gguf<'a>(names: &'a [String], variant: Option<&str>) -> Option<&'a str> {
    let mut whole: Vec<_> = names
        .iter()
        .filter(|name| name.to_lowercase().ends_with(".gguf") && !name.contains("-of-"))
        .collect();
    whole.sort();
    let with = |quantisation: &str| {
        let fits = |name: &&&String| name.to_lowercase().contains(quantisation);
        whole.iter().find(fits).copied()
    };
    match variant {
        Some(variant) => with(variant),
        None => GGUF_PREFERENCE
            .iter()
            .find_map(|q| with(q))
            .or(whole.first().copied()),
    }
    .map(String::as_str)
}

fn all_there(folder: &Path, record: &[ArtifactFile]) -> bool {
    record
        .iter()
        .all(|file| store::has_right_size(&folder.join(&file.name), file))
}

fn read_record(path: &Path) -> Result<Option<Vec<ArtifactFile>>> {
    let Ok(text) = std::fs::read(path) else {
        return Ok(None);
    };
    serde_json::from_slice(&text).map(Some).map_err(|cause| {
        let message = format!(
            "{} is damaged; remove its folder to fetch the model again",
            path.display()
        );
        Error::new(ErrorKind::Corrupt, message).because(cause)
    })
}

fn write_record(path: &Path, record: &[ArtifactFile]) -> Result<()> {
    use std::io::Write;
    let mut partial = store::partial_beside(path)?;
    let text = serde_json::to_string_pretty(record).map_err(|cause| {
        Error::new(ErrorKind::Internal, "a record cannot be written").because(cause)
    })?;
    partial
        .write_all(text.as_bytes())
        .map_err(|cause| store::disk_error(path, cause))?;
    store::publish(partial, path)
}
