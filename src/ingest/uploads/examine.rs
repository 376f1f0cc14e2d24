//! Looks at all uploaded files of a data folder, for `cairn doctor`, and copies them, for
//! `cairn backup`.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use cairn_files::private;
use cairn_indexer::DocumentId;

use super::{FOLDER, UploadedFile, record};

/// Where damaged files are put aside.
const ASIDE: &str = "uploads-damaged";

/// Bytes without a record may be of an upload that is just coming in.
const YOUNG: Duration = Duration::from_secs(600);

/// A file that cannot be used as it was uploaded.
#[derive(Debug)]
pub(crate) struct Damaged {
    /// What is known of it; if nothing is, its bytes.
    pub(crate) path: PathBuf,
    /// What its owner calls it, if that is known.
    pub(crate) name: Option<String>,
    /// What is wrong with it.
    pub(crate) what: String,
    id: String,
}

/// What was found among the uploaded files.
#[derive(Debug, Default)]
pub(crate) struct Examined {
    /// Files that are whole.
    pub(crate) whole: usize,
    /// Files that are not.
    pub(crate) damaged: Vec<Damaged>,
    /// Whether an API key uploaded one of them.
    pub(crate) has_keys: bool,
}

/// Reads every uploaded file in `data_dir` and changes nothing.
///
/// # Errors
/// Those of the disk.
pub(crate) fn examine(data_dir: &Path) -> io::Result<Examined> {
    let dir = data_dir.join(FOLDER);
    let mut found = Examined::default();
    let (records, others) = names(&dir)?;
    for id in &records {
        let path = dir.join(format!("{id}.json"));
        let upload = match read_record(&path, id) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            upload => upload,
        };
        found.has_keys |= upload.as_ref().is_ok_and(|upload| upload.key.is_some());
        let name = upload.as_ref().ok().map(|upload| upload.name.clone());
        let whole = upload.and_then(|upload| {
            let bytes = std::fs::read(dir.join(id))?;
            record::check_bytes(&upload, &bytes)
        });
        let what = match whole {
            Ok(()) => {
                found.whole += 1;
                continue;
            }
            // Deleted meanwhile.
            Err(_) if !path.exists() => continue,
            Err(error) if error.kind() == io::ErrorKind::NotFound => "its bytes are missing".into(),
            Err(error) if name.is_none() => format!("what was known of it is damaged ({error})"),
            Err(error) => format!("its bytes are damaged ({error})"),
        };
        found.damaged.push(Damaged {
            path,
            name,
            what,
            id: id.clone(),
        });
    }
    for id in others.difference(&records) {
        let path = dir.join(id);
        let modified = path.metadata().and_then(|data| data.modified());
        let age = modified.map(|at| SystemTime::now().duration_since(at).unwrap_or_default());
        if age.is_ok_and(|age| age > YOUNG) && DocumentId::parse(id).is_some() {
            found.damaged.push(Damaged {
                path,
                name: None,
                what: "nothing is known of it: its upload was not finished, or its record is lost"
                    .into(),
                id: id.clone(),
            });
        }
    }
    Ok(found)
}

/// Puts damaged files aside, so that they are not there any more for clients and jobs, and
/// returns where to.
///
/// # Errors
/// Those of the disk.
pub(crate) fn set_aside(data_dir: &Path, damaged: &[Damaged]) -> io::Result<PathBuf> {
    let aside = data_dir.join(ASIDE);
    // First the record: a file is there as long as its record is.
    let names = damaged
        .iter()
        .flat_map(|file| [format!("{}.json", file.id), file.id.clone()]);
    cairn_files::move_aside(&data_dir.join(FOLDER), &aside, names)?;
    Ok(aside)
}

/// Copies the uploaded files in `data_dir` to `target`, which has none. What is uploaded or
/// deleted meanwhile is in the copy whole or not at all. Called after the queue is copied, it
/// has every file that a copied job names and that was not deleted.
///
/// # Errors
/// Those of the disk.
pub(crate) fn back_up(data_dir: &Path, target: &Path) -> io::Result<()> {
    let (from, to) = (data_dir.join(FOLDER), target.join(FOLDER));
    for id in names(&from)?.0 {
        let name = format!("{id}.json");
        let record = match std::fs::read(from.join(&name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            record => record?,
        };
        let mut bytes = match std::fs::File::open(from.join(&id)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            bytes => bytes?,
        };
        private::folder(&to)?;
        // The bytes first, as when a file is kept.
        let mut copy = tempfile::NamedTempFile::new_in(&to)?;
        io::copy(&mut bytes, &mut copy)?;
        cairn_files::publish(copy, &to.join(&id))?;
        cairn_files::write(&to.join(&name), &record)?;
    }
    Ok(())
}

/// The record of the file `id`, at `path`.
fn read_record(path: &Path, id: &str) -> io::Result<UploadedFile> {
    let upload = record::read(&std::fs::read(path)?)?;
    if upload.id().to_string() != id {
        return Err(record::damaged("it is of a file with another name"));
    }
    Ok(upload)
}

/// Names of records, without their ending, and of other files.
fn names(dir: &Path) -> io::Result<(BTreeSet<String>, BTreeSet<String>)> {
    let mut names = (BTreeSet::new(), BTreeSet::new());
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(names),
        entries => entries?,
    };
    for entry in entries {
        if let Ok(name) = entry?.file_name().into_string() {
            match name.strip_suffix(".json") {
                Some(id) => names.0.insert(id.to_owned()),
                None => names.1.insert(name),
            };
        }
    }
    Ok(names)
}
