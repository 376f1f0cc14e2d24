//! Reads all stored states of a collection and says which files are damaged.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::list::LIST_FILE;
use super::segment::{Segment, Unusable};
use super::{States, file_names, list};
use crate::{Error, ErrorKind, Result};

/// What was found in the folder of a collection's states.
#[derive(Debug, Default)]
pub(crate) struct Examined {
    /// Files that are damaged, and what is wrong with each.
    pub(crate) damaged: Vec<(PathBuf, String)>,
    /// How many of the live chunks have states, of the model that has read most of them.
    pub(crate) stored: usize,
}

/// Reads every file in `dir`, of the collection whose first commit was made at `created_ns`
/// and whose live chunks have the vector ids `live`. Changes nothing.
pub(crate) fn examine(dir: &Path, created_ns: u64, live: &BTreeSet<u64>) -> Examined {
    let mut examined = Examined::default();
    let mut read: BTreeMap<[u8; 32], BTreeSet<u64>> = BTreeMap::new();
    for name in file_names(dir) {
        match ids(dir, &name) {
            Ok((created, model, ids)) if created == created_ns => {
                let ids = ids.into_iter().filter(|id| live.contains(id));
                read.entry(model).or_default().extend(ids);
            }
            // Of a collection that had this place before: the next writer removes it.
            Ok(_) => {}
            // Merged away meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => examined
                .damaged
                .push((dir.join(&name), error.message().to_owned())),
        }
    }
    examined.stored = read.values().map(BTreeSet::len).max().unwrap_or(0);
    examined.damaged.extend(lost(dir));
    examined
}

/// The files in the list of `dir` that are not there, or the list if it is damaged.
fn lost(dir: &Path) -> Vec<(PathBuf, String)> {
    let listed = match list::read(dir) {
        Ok(listed) => listed,
        Err(error) => return vec![(dir.join(LIST_FILE), error.message().to_owned())],
    };
    let is_gone = |name: &String| !dir.join(name).exists();
    let mut gone: Vec<String> = listed.into_iter().filter(is_gone).collect();
    if !gone.is_empty() {
        // A writer at work takes a file off the list before it removes it.
        let still = list::read(dir).unwrap_or_default();
        gone.retain(|name| still.contains(name));
    }
    let missing = |name| (dir.join(name), "the file is missing".to_owned());
    gone.into_iter().map(missing).collect()
}

/// Whose file it is, and the ids of its rows, all of which were read.
fn ids(dir: &Path, name: &str) -> Result<(u64, [u8; 32], Vec<u64>)> {
    let opened = Segment::open_any(dir, name);
    let (segment, owner) = opened.map_err(|unusable| match unusable {
        Unusable::Damaged(error) => error,
        Unusable::Foreign => Error::new(ErrorKind::Corrupt, "the file is of another collection"),
    })?;
    for id in segment.ids() {
        segment.get(*id)?;
    }
    Ok((owner.created_ns, owner.model, segment.ids().to_vec()))
}

/// Removes the damaged files in `dir` and takes them, and lost ones, off the list; returns
/// which. What they held is read again. Nothing is done if another process holds the right to
/// write there.
///
/// # Errors
/// Those of the disk.
pub(crate) fn remove_damaged(dir: &Path) -> Result<Vec<PathBuf>> {
    let damaged = examine(dir, 0, &BTreeSet::new()).damaged;
    if damaged.is_empty() {
        return Ok(Vec::new());
    }
    let Some(_lock) = States::open(dir.to_owned(), 0, "").lock()? else {
        return Ok(Vec::new());
    };
    let mut removed = Vec::new();
    for (path, _) in damaged {
        cairn_files::remove(&path).map_err(|error| Error::from(error).at(&path))?;
        removed.push(path);
    }
    list::write(dir, &file_names(dir))?;
    Ok(removed)
}
