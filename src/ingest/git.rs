//! Reading a revision of a git repository on disk, through the program `git`.
//!
//! A repository is somebody else's: its configuration may name programs. Nothing here lets git
//! run one. Only objects are read (`rev-parse`, `ls-tree`, `cat-file`): no work tree, no index,
//! no filter, no hook, no network, and no configuration but the repository's own, in which what
//! could matter is overruled.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// Most bytes of the list of a revision's files.
const MAX_LIST_BYTES: u64 = 64 << 20;
/// Most bytes of what git says when it fails.
const MAX_ERROR_BYTES: u64 = 4 << 10;
/// Most bytes of a revision's name.
pub(super) const MAX_REVISION_BYTES: usize = 256;

/// A repository: a folder with `.git` in it, or a bare one.
#[derive(Clone, Debug)]
pub(super) struct Repository {
    /// Where the objects and references are.
    dir: PathBuf,
}

/// A file of a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Blob {
    /// Its object.
    pub(super) id: String,
    /// Bytes.
    pub(super) bytes: u64,
    /// Its path, with `/`.
    pub(super) path: String,
}

impl Repository {
    /// The repository at `path`, all of which is where `permits` says that jobs may read.
    ///
    /// # Errors
    /// Says what it is instead.
    pub(super) fn open(path: &Path, permits: impl Fn(&Path) -> bool) -> Result<Self, String> {
        let inside = path.join(".git");
        let dir = match inside.is_dir() {
            true => inside,
            false if inside.exists() => {
                return Err(format!(
                    "{} is a work tree whose repository is elsewhere: name that repository",
                    path.display()
                ));
            }
            false => path.to_owned(),
        };
        let real = |name: &str| dir.join(name).canonicalize();
        let parts = [real("objects"), real("refs"), real("HEAD")];
        let [Ok(objects), Ok(refs), Ok(head)] = parts else {
            return Err(format!("{} is not a git repository", path.display()));
        };
        // Links and borrowed objects lead to other folders.
        let borrows = [
            "commondir",
            "objects/info/alternates",
            "objects/info/http-alternates",
        ];
        if let Some(name) = borrows.iter().find(|name| dir.join(name).exists()) {
            return Err(format!(
                "{} takes objects from elsewhere ({name}): make a full clone of it",
                path.display()
            ));
        }
        if ![objects, refs, head].iter().all(|part| permits(part)) {
            return Err(format!(
                "parts of {} are links to outside of the folders that jobs may read",
                path.display()
            ));
        }
        let dir = dir.canonicalize().map_err(|error| error.to_string())?;
        Ok(Self { dir })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        let path = std::env::var_os("PATH").unwrap_or_default();
        command
            .env_clear()
            .env("PATH", path)
            .env("LC_ALL", "C")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_TERMINAL_PROMPT", "0")
            // A partial clone would fetch what it lacks, by a program that it names.
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_ALLOW_PROTOCOL", "none")
            .arg("--no-pager")
            .arg("--no-replace-objects")
            .args(["-c", "safe.directory=*"])
            .args(["-c", "core.hooksPath=/dev/null"])
            .args(["-c", "core.fsmonitor=false"])
            .args(["-c", "protocol.allow=never"])
            .arg("--git-dir")
            .arg(&self.dir)
            .args(arguments)
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A job that is told to stop drops what it waits for.
            .kill_on_drop(true);
        command
    }

    /// The output of git, at most `max` bytes.
    async fn run(&self, arguments: &[&str], max: u64) -> Result<Vec<u8>, String> {
        let mut child = spawn(&mut self.command(arguments))?;
        let (mut text, mut errors) = (Vec::new(), Vec::new());
        let stdout = child.stdout.take().ok_or("git has no output")?;
        let stderr = child.stderr.take().ok_or("git has no errors")?;
        let mut stdout = stdout.take(max + 1);
        let mut stderr = stderr.take(MAX_ERROR_BYTES);
        let (read, said) = tokio::join!(
            stdout.read_to_end(&mut text),
            stderr.read_to_end(&mut errors)
        );
        read.and(said).map_err(|error| error.to_string())?;
        if text.len() as u64 > max {
            return Err(format!("git says more than {max} bytes"));
        }
        let status = child.wait().await.map_err(|error| error.to_string())?;
        match status.success() {
            true => Ok(text),
            false => Err(String::from_utf8_lossy(&errors).trim().to_owned()),
        }
    }

    /// The commit that `revision` names.
    ///
    /// # Errors
    /// What git says.
    pub(super) async fn commit(&self, revision: &str) -> Result<String, String> {
        let wanted = format!("{revision}^{{commit}}");
        let arguments = ["rev-parse", "--verify", "--end-of-options", &wanted];
        let id = self.run(&arguments, 256).await?;
        let id = String::from_utf8_lossy(&id).trim().to_owned();
        let is_id = id.len() >= 40 && id.bytes().all(|c| c.is_ascii_hexdigit());
        is_id
            .then_some(id)
            .ok_or_else(|| format!("git does not say which commit `{revision}` is"))
    }

    /// The files of `commit`: no links, no submodules.
    ///
    /// # Errors
    /// What git says, and when there are too many.
    pub(super) async fn files(&self, commit: &str) -> Result<Vec<Blob>, String> {
        let arguments = ["ls-tree", "-r", "-z", "-l", "--full-tree", commit];
        let list = self.run(&arguments, MAX_LIST_BYTES).await?;
        let lines = list
            .split(|byte| *byte == 0)
            .filter(|line| !line.is_empty());
        let blobs = lines.map(|line| {
            let line = std::str::from_utf8(line).ok();
            line.and_then(Blob::read)
        });
        Ok(blobs.flatten().collect())
    }

    /// A reader of files, one after the other.
    ///
    /// # Errors
    /// When git cannot be started.
    pub(super) fn reader(&self) -> Result<BlobReader, String> {
        let mut command = self.command(&["cat-file", "--batch"]);
        command.stdin(Stdio::piped()).stderr(Stdio::null());
        let mut child = spawn(&mut command)?;
        Ok(BlobReader {
            asked: child.stdin.take().ok_or("git takes no input")?,
            told: BufReader::new(child.stdout.take().ok_or("git has no output")?),
            _child: child,
        })
    }
}

fn spawn(command: &mut Command) -> Result<Child, String> {
    command.spawn().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            "the program `git` is not installed where this worker runs".to_owned()
        }
        _ => format!("git cannot be started: {error}"),
    })
}

impl Blob {
    /// A line of `ls-tree -l`: mode, kind, object, size, a tabulator, path. None for what is no
    /// plain file, and for paths that no repository should have.
    fn read(line: &str) -> Option<Self> {
        let (facts, path) = line.split_once('\t')?;
        let mut facts = facts.split_ascii_whitespace();
        let (mode, kind, id, bytes) = (facts.next()?, facts.next()?, facts.next()?, facts.next()?);
        let is_plain = kind == "blob" && matches!(mode, "100644" | "100755");
        let is_odd = |part: &str| part.is_empty() || part == "." || part == "..";
        if !is_plain || path.split('/').any(is_odd) || path.chars().any(char::is_control) {
            return None;
        }
        Some(Self {
            id: id.to_owned(),
            bytes: bytes.parse().ok()?,
            path: path.to_owned(),
        })
    }
}

/// Reads files of a repository.
pub(super) struct BlobReader {
    asked: ChildStdin,
    told: BufReader<ChildStdout>,
    _child: Child,
}

impl BlobReader {
    /// The bytes of `blob`.
    ///
    /// # Errors
    /// When the repository does not have it, or git ends.
    pub(super) async fn read(&mut self, blob: &Blob) -> Result<Vec<u8>, String> {
        let failed = |error: std::io::Error| format!("git ended early: {error}");
        let line = format!("{}\n", blob.id);
        self.asked
            .write_all(line.as_bytes())
            .await
            .map_err(failed)?;
        self.asked.flush().await.map_err(failed)?;
        let mut head = Vec::new();
        let mut line = (&mut self.told).take(256);
        line.read_until(b'\n', &mut head).await.map_err(failed)?;
        let expected = format!("{} blob {}\n", blob.id, blob.bytes);
        if head != expected.as_bytes() {
            let said = String::from_utf8_lossy(&head).trim().to_owned();
            return Err(format!("the object cannot be read: {said}"));
        }
        let length = usize::try_from(blob.bytes).map_err(|error| error.to_string())?;
        let mut bytes = vec![0; length + 1];
        self.told.read_exact(&mut bytes).await.map_err(failed)?;
        bytes.pop();
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_files_with_plain_paths_are_taken() {
        let id = "8baef1b4abc478178b004d62031cf7fe6db6f903";
        let line =
            |mode: &str, kind: &str, path: &str| format!("{mode} {kind} {id}      12\t{path}");
        let found = Blob::read(&line("100755", "blob", "a/ü b.md")).unwrap();
        assert_eq!((found.bytes, found.path.as_str()), (12, "a/ü b.md"));
        for (mode, kind, path) in [
            ("120000", "blob", "link"),
            ("160000", "commit", "submodule"),
            ("100644", "blob", "../up"),
            ("100644", "blob", "a//b"),
            ("100644", "blob", "a\nb"),
        ] {
            assert_eq!(Blob::read(&line(mode, kind, path)), None, "{path:?}");
        }
    }

    #[test]
    fn what_leads_elsewhere_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let repository = dir.path().join("r");
        for name in ["objects/info", "refs"] {
            std::fs::create_dir_all(repository.join(name)).unwrap();
        }
        let open = |permits: bool| Repository::open(&repository, |_| permits);
        assert!(open(true).unwrap_err().contains("not a git repository"));
        std::fs::write(repository.join("HEAD"), "ref: refs/heads/main\n").unwrap();
        open(true).unwrap();
        assert!(open(false).unwrap_err().contains("outside"));
        std::fs::write(repository.join("objects/info/alternates"), "/x").unwrap();
        assert!(open(true).unwrap_err().contains("full clone"));
        let tree = dir.path().join("tree");
        std::fs::create_dir(&tree).unwrap();
        std::fs::write(tree.join(".git"), "gitdir: /elsewhere").unwrap();
        let refused = Repository::open(&tree, |_| true).unwrap_err();
        assert!(refused.contains("elsewhere"), "{refused}");
    }
}
