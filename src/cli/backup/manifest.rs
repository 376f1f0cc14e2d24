//! What a backup consists of: `backup.json`, written last.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Component, Path, PathBuf};

use anyhow::Context as _;
use cairn_models::Cancel;
use serde::{Deserialize, Serialize};

use crate::cli::failure::Advised;

/// The file's name inside the backup.
pub(super) const FILE: &str = "backup.json";

/// The version of backups; a larger one is refused.
const FORMAT: u32 = 1;

/// Largest description that is read.
const MAX_BYTES: u64 = 64 << 20;

const BUFFER_BYTES: usize = 1 << 20;

/// The description of a backup.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    format: u32,
    /// The version that made it.
    pub(super) cairn: String,
    /// When it was finished, RFC 3339.
    pub(super) created: String,
    /// The generation of each collection.
    pub(super) collections: BTreeMap<String, u64>,
    pub(super) files: Vec<Entry>,
}

/// One file of a backup.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    /// Relative to the backup, with `/`.
    path: String,
    pub(super) bytes: u64,
    /// Of its bytes, hexadecimal.
    blake3: String,
}

impl Manifest {
    /// Describes everything in `folder`.
    pub(super) fn of(folder: &Path, collections: BTreeMap<String, u64>) -> io::Result<Self> {
        let mut files = Vec::new();
        for path in files_below(folder)? {
            let relative = path.strip_prefix(folder).map_err(io::Error::other)?;
            let parts: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
            files.push(Entry {
                path: parts.join("/"),
                bytes: path.metadata()?.len(),
                blake3: hash(&path)?,
            });
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self {
            format: FORMAT,
            cairn: env!("CARGO_PKG_VERSION").to_owned(),
            created: jiff::Timestamp::now().to_string(),
            collections,
            files,
        })
    }

    /// Writes it into `folder`, durably.
    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        let mut temporary = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer_pretty(&mut temporary, self)?;
        temporary.write_all(b"\n")?;
        cairn_files::publish(temporary, &folder.join(FILE))
    }

    /// Reads that of the backup in `folder`.
    pub(super) fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(FILE);
        let file = File::open(&path).map_err(|error| {
            Advised::new(
                format!("{} is not a backup: {FILE} cannot be read ({error})", folder.display()),
                "name a folder that `cairn backup` made; one whose backup broke off has no such file",
            )
        })?;
        let mut json = Vec::new();
        file.take(MAX_BYTES).read_to_end(&mut json)?;
        let manifest: Self = serde_json::from_slice(&json)
            .with_context(|| format!("{} cannot be read", path.display()))?;
        anyhow::ensure!(
            manifest.format == FORMAT,
            "the backup has format {}, this Cairn reads format {FORMAT}; use Cairn {}",
            manifest.format,
            manifest.cairn
        );
        Ok(manifest)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|entry| entry.bytes).sum()
    }
}

impl Entry {
    /// Copies the file from the backup into `target` and checks it.
    pub(super) fn copy(
        &self,
        backup: &Path,
        target: &Path,
        cancel: &Cancel,
        on_bytes: &mut dyn FnMut(u64),
    ) -> anyhow::Result<()> {
        let relative = self.relative()?;
        let (from, to) = (backup.join(&relative), target.join(&relative));
        if let Some(folder) = to.parent() {
            cairn_files::create_folders(folder)
                .map_err(|error| super::cannot_write(folder, &error))?;
        }
        let mut source = File::open(&from)
            .with_context(|| format!("{} cannot be read; the backup is damaged", from.display()))?;
        let mut out = File::create(&to).map_err(|error| super::cannot_write(&to, &error))?;
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            cancel.check()?;
            let read = source.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            hasher.update(&buffer[..read]);
            out.write_all(&buffer[..read])
                .map_err(|error| super::cannot_write(&to, &error))?;
            on_bytes(read as u64);
        }
        out.sync_all()
            .map_err(|error| super::cannot_write(&to, &error))?;
        if hasher.finalize().to_hex().as_str() != self.blake3 {
            return Err(Advised::new(
                format!("{} is not as it was backed up", from.display()),
                "nothing was restored; use another backup",
            )
            .into());
        }
        Ok(())
    }

    /// A backup may come from anywhere: it must not write outside the data folder.
    fn relative(&self) -> anyhow::Result<PathBuf> {
        let path = PathBuf::from(&self.path);
        let is_inside = path
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        anyhow::ensure!(
            is_inside && !self.path.is_empty(),
            "the backup names `{}`, which is outside of it",
            self.path
        );
        Ok(path)
    }
}

fn files_below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        match path.is_dir() {
            true => found.extend(files_below(&path)?),
            false => found.push(path),
        }
    }
    Ok(found)
}

fn hash(path: &Path) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path)?)?;
    Ok(hasher.finalize().to_hex().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_cannot_write_outside_the_data_folder() {
        for path in ["../x", "/etc/x", "a/../../x", "", "a/./../b"] {
            let entry = Entry {
                path: path.into(),
                bytes: 0,
                blake3: String::new(),
            };
            assert!(entry.relative().is_err(), "{path}");
        }
    }
}
