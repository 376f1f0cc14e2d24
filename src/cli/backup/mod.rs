//! `cairn backup`: a copy of the data folder that can be taken while a service runs, and
//! `cairn restore`, which puts one back.

mod create;
mod manifest;
mod restore;

pub(super) use create::{Args as BackupArgs, run as backup};
pub(super) use restore::{Args as RestoreArgs, run as restore};

use std::path::Path;

use indicatif::ProgressBar;

use super::context::Context;
use super::failure::Advised;
use super::progress::{self, Display};

const COPYING: &str = "Copying [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec}, {eta} left";

/// A bar over bytes, on a terminal only.
fn bar(context: &Context, total: u64) -> Option<ProgressBar> {
    let is_shown = Display::choose(context.progress) == Display::Bar;
    is_shown.then(|| progress::bar(total, COPYING))
}

/// Refuses a place that holds something already. `what` names it.
fn check_is_free(folder: &Path, what: &str) -> anyhow::Result<()> {
    let is_free = match std::fs::read_dir(folder) {
        Ok(mut inside) => inside.next().is_none(),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    };
    if is_free {
        return Ok(());
    }
    Err(Advised::new(
        format!("{what} {} is not empty", folder.display()),
        "name a folder that does not exist yet, or move what is there away",
    )
    .into())
}

/// Where a folder that is to become `target` is made: alongside it, so that one rename puts
/// it into place.
fn scratch(target: &Path) -> anyhow::Result<tempfile::TempDir> {
    let parent = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let make = || {
        cairn_files::create_folders(parent)?;
        tempfile::Builder::new()
            .prefix(".cairn-")
            .tempdir_in(parent)
    };
    make().map_err(|error| cannot_write(parent, &error))
}

/// Makes `scratch` the folder `target`.
fn put_into_place(scratch: tempfile::TempDir, target: &Path) -> anyhow::Result<()> {
    let made = scratch.keep();
    let moved = std::fs::rename(&made, target)
        .and_then(|()| cairn_files::sync_folder(target.parent().unwrap_or(Path::new(""))));
    moved.map_err(|error| cannot_write(target, &error))
}

fn cannot_write(path: &Path, error: &std::io::Error) -> anyhow::Error {
    Advised::new(
        format!("cannot write {}: {error}", path.display()),
        "see to the disk or the permissions and try again",
    )
    .into()
}
