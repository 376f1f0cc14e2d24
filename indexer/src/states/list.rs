//! The list of a folder's files of states. Only its writer changes it: a file that it names
//! and that is not there was lost, and not merged into another.

use std::io::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind, Result};

pub(super) const LIST_FILE: &str = "files.json";

/// Most bytes of a list that are read: some ten thousand names.
const MAX_BYTES: u64 = 1 << 20;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    files: Vec<String>,
}

/// The names in the list in `dir`, which is empty if the file is missing: folders of older
/// versions have no list.
///
/// # Errors
/// `Corrupt` if the list is damaged; those of the disk.
pub(super) fn read(dir: &Path) -> Result<Vec<String>> {
    let path = dir.join(LIST_FILE);
    let damaged = |what: String| Error::new(ErrorKind::Corrupt, what).at(&path);
    let bytes = match std::fs::metadata(&path) {
        Ok(found) if found.len() > MAX_BYTES => return Err(damaged("the list is too long".into())),
        Ok(_) => std::fs::read(&path),
        Err(error) => Err(error),
    };
    match bytes {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Error::from(error).at(&path)),
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(|list: List| list.files)
            .map_err(|error| damaged(format!("the list is damaged ({error})"))),
    }
}

/// Makes `names` the list in `dir`, durably, if it is not already.
///
/// # Errors
/// Those of the disk.
pub(super) fn write(dir: &Path, names: &[String]) -> Result<()> {
    if read(dir).is_ok_and(|listed| listed == names) {
        return Ok(());
    }
    let path = dir.join(LIST_FILE);
    let list = List {
        files: names.to_vec(),
    };
    let save = || -> std::io::Result<()> {
        // A temporary file is its owner's alone, as every file of the index.
        let mut temporary = tempfile::Builder::new().prefix(".tmp-").tempfile_in(dir)?;
        temporary.write_all(&serde_json::to_vec(&list)?)?;
        cairn_files::publish(temporary, &path)
    };
    save().map_err(|error| Error::from(error).at(&path))
}
