//! The files of a folder that are worth parsing, in a fixed order.
//!
//! `.gitignore` (inside a repository or not) and `.cairnignore` are honoured,
//! hidden files are left out, symbolic links are never followed, and files
//! that cannot hold text are told by name or by their first bytes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::{Error, ErrorKind, Result};
use cairn_parse::{SNIFF_BYTES, binary_kind, is_known_binary_name, is_known_name};

/// What to leave out besides ignored and hidden files.
#[derive(Clone, Debug)]
pub struct WalkOptions {
    /// Larger files are skipped with [`SkipReason::TooLarge`].
    pub max_file_bytes: u64,
    /// Folders and files not to enter, such as the data folder itself.
    pub exclude: Vec<PathBuf>,
}

impl Default for WalkOptions {
    fn default() -> Self {
        Self {
            max_file_bytes: 64 << 20,
            exclude: Vec::new(),
        }
    }
}

/// A file to be parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalkedFile {
    /// Where it lies: the root joined with its place below it.
    pub path: PathBuf,
    /// Its place below the root, with `/`; the file name when the root is a
    /// file. Unique within the walk, even for names that are not UTF-8.
    pub uri: String,
    /// Its size.
    pub bytes: u64,
    /// When it last changed; `None` if the file system does not say.
    pub modified: Option<SystemTime>,
}

/// A file that is not to be parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedFile {
    /// Where it lies.
    pub path: PathBuf,
    /// As [`WalkedFile::uri`].
    pub uri: String,
    /// Why.
    pub reason: SkipReason,
    /// What it is, or what went wrong, for people.
    pub detail: String,
}

/// Why a file is not parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SkipReason {
    /// No bytes in it.
    Empty,
    /// An image, archive, program or other content without text.
    Binary,
    /// It turned out to be no document when it was parsed: a binary with a
    /// text's name, a page that only leads to another one.
    Unsupported,
    /// A symbolic link.
    Symlink,
    /// A device, socket or pipe.
    Special,
    /// Larger than the limit.
    TooLarge,
    /// It cannot be read.
    Unreadable,
}

impl SkipReason {
    /// Whether someone should do something about it, as opposed to a file that
    /// was never going to be indexed.
    pub fn is_problem(self) -> bool {
        matches!(self, Self::TooLarge | Self::Unreadable)
    }
}

/// What a walk found. Both lists are in the order of their URIs' bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Walk {
    /// To be parsed.
    pub files: Vec<WalkedFile>,
    /// Not to be parsed; ignored and hidden files are not listed.
    pub skipped: Vec<SkippedFile>,
}

impl Walk {
    /// How many files were skipped for each reason.
    pub fn skipped_by_reason(&self) -> BTreeMap<SkipReason, usize> {
        let mut counts = BTreeMap::new();
        for file in &self.skipped {
            *counts.entry(file.reason).or_default() += 1;
        }
        counts
    }
}

/// Lists the files under `root`, or `root` itself when it is a file.
///
/// A root that is a symbolic link is followed, since the caller named it; links
/// below it are not.
///
/// # Errors
/// `NotFound` when there is no `root`, `Machine` when it cannot be read. What
/// cannot be read below it is in [`Walk::skipped`].
pub fn walk(root: &Path, options: &WalkOptions) -> Result<Walk> {
    let metadata = std::fs::metadata(root).map_err(|e| Error::from(e).at(root))?;
    let mut found = Walk::default();
    if metadata.is_file() {
        let name = root.file_name().unwrap_or(root.as_os_str());
        classify(
            root,
            uri_of(Path::new(name)),
            &metadata,
            options,
            &mut found,
        );
        return Ok(found);
    }
    if !metadata.is_dir() {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            "neither a file nor a folder; name a folder of documents",
        )
        .at(root));
    }
    std::fs::read_dir(root).map_err(|e| Error::from(e).at(root))?;
    for entry in entries(root, options) {
        match entry {
            Ok(entry) => visit(root, &entry, options, &mut found),
            Err(error) => unreadable(root, &error, &mut found),
        }
    }
    found.files.sort_by(|a, b| a.uri.cmp(&b.uri));
    found.skipped.sort_by(|a, b| a.uri.cmp(&b.uri));
    Ok(found)
}

fn entries(root: &Path, options: &WalkOptions) -> ignore::Walk {
    let excluded: Vec<PathBuf> = options
        .exclude
        .iter()
        .filter_map(|p| p.canonicalize().ok())
        .collect();
    ignore::WalkBuilder::new(root)
        .hidden(true)
        .parents(true)
        .git_ignore(true)
        .git_exclude(true)
        // What one user ignores everywhere must not change what a team finds.
        .git_global(false)
        .require_git(false)
        .ignore(false)
        .add_custom_ignore_filename(".cairnignore")
        .follow_links(false)
        .filter_entry(move |entry| {
            let is_dir_or_file = entry.file_type().is_some_and(|kind| !kind.is_symlink());
            excluded.is_empty()
                || !is_dir_or_file
                || !entry
                    .path()
                    .canonicalize()
                    .is_ok_and(|path| excluded.contains(&path))
        })
        .build()
}

fn visit(root: &Path, entry: &ignore::DirEntry, options: &WalkOptions, found: &mut Walk) {
    let path = entry.path();
    let Some(kind) = entry.file_type() else {
        return;
    };
    if kind.is_dir() || entry.depth() == 0 {
        return;
    }
    let uri = uri_of(path.strip_prefix(root).unwrap_or(path));
    if kind.is_symlink() {
        return skip(
            path,
            uri,
            SkipReason::Symlink,
            "a symbolic link".into(),
            found,
        );
    }
    if !kind.is_file() {
        return skip(
            path,
            uri,
            SkipReason::Special,
            "not a regular file".into(),
            found,
        );
    }
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() => classify(path, uri, &metadata, options, found),
        // It changed while we looked: a link now, or gone.
        Ok(_) => skip(
            path,
            uri,
            SkipReason::Special,
            "not a regular file".into(),
            found,
        ),
        Err(error) => skip(path, uri, SkipReason::Unreadable, error.to_string(), found),
    }
}

fn classify(
    path: &Path,
    uri: String,
    metadata: &std::fs::Metadata,
    options: &WalkOptions,
    found: &mut Walk,
) {
    let bytes = metadata.len();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if bytes == 0 {
        return skip(
            path,
            uri,
            SkipReason::Empty,
            "the file is empty".into(),
            found,
        );
    }
    if is_known_binary_name(&name) {
        return skip(
            path,
            uri,
            SkipReason::Binary,
            "a name of files without text".into(),
            found,
        );
    }
    if bytes > options.max_file_bytes {
        let detail = format!(
            "{} MB, more than the limit of {} MB",
            bytes.div_ceil(1 << 20),
            options.max_file_bytes >> 20
        );
        return skip(path, uri, SkipReason::TooLarge, detail, found);
    }
    if !is_known_name(&name) {
        match sniff(path) {
            Ok(None) => {}
            Ok(Some(kind)) => return skip(path, uri, SkipReason::Binary, kind.into(), found),
            Err(error) => {
                return skip(path, uri, SkipReason::Unreadable, error.to_string(), found);
            }
        }
    }
    found.files.push(WalkedFile {
        path: path.to_owned(),
        uri,
        bytes,
        modified: metadata.modified().ok(),
    });
}

fn skip(path: &Path, uri: String, reason: SkipReason, detail: String, found: &mut Walk) {
    found.skipped.push(SkippedFile {
        path: path.to_owned(),
        uri,
        reason,
        detail,
    });
}

/// An error of the walk itself: a folder that cannot be opened. A broken line
/// in an ignore file is only a warning of the library's, and not one of these.
fn unreadable(root: &Path, error: &ignore::Error, found: &mut Walk) {
    let path = error_path(error).unwrap_or(root);
    let uri = uri_of(path.strip_prefix(root).unwrap_or(path));
    skip(path, uri, SkipReason::Unreadable, error.to_string(), found);
}

fn error_path(error: &ignore::Error) -> Option<&Path> {
    match error {
        ignore::Error::WithPath { path, .. } => Some(path),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => {
            error_path(err)
        }
        ignore::Error::Loop { child, .. } => Some(child),
        _ => None,
    }
}

/// What the first bytes say a file without a telling name is; `None` for text.
fn sniff(path: &Path) -> std::io::Result<Option<&'static str>> {
    let mut head = Vec::with_capacity(SNIFF_BYTES);
    File::open(path)?
        .take(SNIFF_BYTES as u64)
        .read_to_end(&mut head)?;
    Ok(binary_kind(&head))
}

/// A relative path with `/`. A name that is not UTF-8 is written as well as it
/// can be, with a hash of its bytes to keep it apart from others.
fn uri_of(relative: &Path) -> String {
    let parts: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
    let uri = parts.join("/");
    if relative.to_str().is_some() {
        return uri;
    }
    let hash = blake3::hash(relative.as_os_str().as_encoded_bytes()).to_hex();
    let hash = &hash[..8];
    let name_at = uri.rfind('/').map_or(0, |slash| slash + 1);
    match uri[name_at..].rfind('.').filter(|dot| *dot > 0) {
        Some(dot) => {
            let (stem, extension) = uri.split_at(name_at + dot);
            format!("{stem}~{hash}{extension}")
        }
        None => format!("{uri}~{hash}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn write(root: &Path, path: &str, bytes: impl AsRef<[u8]>) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn uris(found: &Walk) -> Vec<&str> {
        found.files.iter().map(|file| file.uri.as_str()).collect()
    }

    fn skipped(found: &Walk) -> Vec<(&str, SkipReason)> {
        found
            .skipped
            .iter()
            .map(|file| (file.uri.as_str(), file.reason))
            .collect()
    }

    #[test]
    fn ignore_files_are_honoured_without_a_repository() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        write(root, ".gitignore", "build/\n*.tmp\n!keep.tmp\n");
        write(root, ".cairnignore", "secret.md\n");
        write(root, "sub/.cairnignore", "/local.md\n");
        for path in [
            "b.md",
            "a b/c%20.md",
            "build/out.md",
            "x.tmp",
            "keep.tmp",
            "secret.md",
            "sub/local.md",
            "sub/secret.md",
            "sub/ok.md",
            ".hidden.md",
            ".git/config",
        ] {
            write(root, path, "text");
        }
        let found = walk(root, &WalkOptions::default()).unwrap();
        assert_eq!(
            uris(&found),
            ["a b/c%20.md", "b.md", "keep.tmp", "sub/ok.md"]
        );
        assert!(found.skipped.is_empty());
        assert_eq!(found.files[0].path, root.join("a b").join("c%20.md"));
        assert_eq!(found.files[0].bytes, 4);
        assert!(found.files[0].modified.is_some());
    }

    #[test]
    fn what_holds_no_text_is_skipped_with_a_reason() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        write(root, "photo.jpg", "named so");
        write(root, "unnamed", b"\x7fELF\x02\x01\x01\0\0\0");
        write(root, "zeros.xyz", [0; 100]);
        write(root, "utf16.xyz", b"\xff\xfeh\0i\0");
        write(root, "empty.md", "");
        write(root, "large.md", vec![b'x'; 2000]);
        let options = WalkOptions {
            max_file_bytes: 1000,
            ..Default::default()
        };
        let found = walk(root, &options).unwrap();
        assert_eq!(uris(&found), ["utf16.xyz"]);
        assert_eq!(
            skipped(&found),
            [
                ("empty.md", SkipReason::Empty),
                ("large.md", SkipReason::TooLarge),
                ("photo.jpg", SkipReason::Binary),
                ("unnamed", SkipReason::Binary),
                ("zeros.xyz", SkipReason::Binary),
            ]
        );
        assert_eq!(found.skipped_by_reason()[&SkipReason::Binary], 3);
        let problems: Vec<_> = found
            .skipped
            .iter()
            .filter(|f| f.reason.is_problem())
            .collect();
        assert_eq!(problems.len(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn links_are_reported_and_never_followed() {
        use std::os::unix::fs::symlink;
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let root = dir.path();
        write(outside.path(), "secret.md", "text");
        write(root, "real.md", "text");
        symlink(outside.path(), root.join("out")).unwrap();
        symlink(outside.path().join("secret.md"), root.join("out.md")).unwrap();
        symlink(root, root.join("loop")).unwrap();
        symlink("nowhere", root.join("broken")).unwrap();
        let found = walk(root, &WalkOptions::default()).unwrap();
        assert_eq!(uris(&found), ["real.md"]);
        let links = ["broken", "loop", "out", "out.md"].map(|uri| (uri, SkipReason::Symlink));
        assert_eq!(skipped(&found), links);
        let through_link = walk(&root.join("loop"), &WalkOptions::default()).unwrap();
        assert_eq!(uris(&through_link), ["real.md"]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn names_that_are_not_utf8_stay_apart() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;
        let dir = tempfile::tempdir().unwrap();
        for name in [b"caf\xe9.md", b"caf\xe8.md"] {
            fs::write(dir.path().join(OsStr::from_bytes(name)), "text").unwrap();
        }
        let found = walk(dir.path(), &WalkOptions::default()).unwrap();
        assert_eq!(found.files.len(), 2);
        assert_ne!(found.files[0].uri, found.files[1].uri);
        assert!(
            found
                .files
                .iter()
                .all(|file| file.uri.starts_with("caf\u{fffd}~") && file.uri.ends_with(".md"))
        );
        assert!(found.files.iter().all(|file| file.path.exists()));
    }

    #[test]
    fn a_file_is_a_root_and_folders_can_be_excluded() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        write(root, "docs/a.md", "text");
        write(root, "data/index.txt", "text");
        let one = walk(&root.join("docs/a.md"), &WalkOptions::default()).unwrap();
        assert_eq!(uris(&one), ["a.md"]);
        let options = WalkOptions {
            exclude: vec![root.join("docs/../data")],
            ..Default::default()
        };
        assert_eq!(uris(&walk(root, &options).unwrap()), ["docs/a.md"]);
        let error = walk(&root.join("none"), &WalkOptions::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
}
