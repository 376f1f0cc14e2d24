//! Uploads that wait for a worker: one file each in the data folder, whole and durable before
//! its job is accepted, and gone when the job needs it no more.
//!
//! A file holds the length of its head as eight bytes, the head as JSON, the bytes of the
//! files one after the other, and the BLAKE3 of all that.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use cairn_files::private;
use cairn_jobs::{Filter, Queue, State};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::kinds::Marks;
use super::upload::{File, FileName, Upload};

/// The folder in the data folder.
const FOLDER: &str = "spool";

/// Where damaged ones are put aside.
const ASIDE: &str = "spool-damaged";

/// The kind of job that reads it.
pub(super) const KIND: &str = "upload";

/// Uploads that may wait, however small they are.
const MOST: usize = 10_000;

/// Longest head: the names of 256 files, and what is said of all.
const MAX_HEAD_BYTES: u64 = 4 << 20;

/// Length of the checksum at the end.
const CHECK_BYTES: usize = blake3::OUT_LEN;

/// A file that no job names may belong to one that is just being submitted.
const YOUNG: Duration = Duration::from_secs(600);

/// Jobs of a page while all are looked through.
const PAGE: usize = 1000;

/// Where uploads wait.
#[derive(Debug)]
pub(crate) struct Spool {
    folder: PathBuf,
    /// Bytes of all that wait together.
    most: u64,
    /// Held while there is made sure of room, and it is taken.
    turn: Mutex<()>,
}

/// Why an upload cannot wait.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpoolError {
    /// Others take all the room.
    #[error(
        "uploads that wait for a worker take all of jobs.spool_mb; try again when some are done"
    )]
    Full,
    /// The disk does not take or give it.
    #[error("an upload that waits for a worker cannot be written or read")]
    Disk(#[from] io::Error),
    /// It was stored, and is there no more.
    #[error("the uploaded files are not kept any more; upload them again")]
    Gone,
}

#[derive(Serialize, Deserialize)]
struct Head {
    replace: bool,
    marks: Marks,
    files: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    #[serde(flatten)]
    name: FileName,
    bytes: u64,
}

impl Spool {
    /// That of `data_dir`, which may hold `most` bytes.
    pub(crate) fn new(data_dir: &Path, most: u64) -> Self {
        Self {
            folder: data_dir.join(FOLDER),
            most,
            turn: Mutex::default(),
        }
    }

    /// Keeps an upload; it is durable when this returns. Blocks.
    ///
    /// # Errors
    /// `Full`, and those of the disk.
    pub(crate) fn put(&self, upload: &Upload) -> Result<Uuid, SpoolError> {
        let entry = |file: &File| Entry {
            name: file.name.clone(),
            bytes: file.bytes.len() as u64,
        };
        let head = Head {
            replace: upload.replace,
            marks: upload.marks.clone(),
            files: upload.files.iter().map(entry).collect(),
        };
        let head = serde_json::to_vec(&head).map_err(io::Error::other)?;
        // One at a time: the disk is not faster for two.
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        // Every file in it is the owner's alone: that is looked at once.
        if !self.folder.is_dir() {
            private::folder(&self.folder)?;
        }
        let (waiting, bytes) = self.load()?;
        let own = (8 + head.len() + CHECK_BYTES) as u64 + upload.bytes();
        if waiting >= MOST || bytes.saturating_add(own) > self.most {
            return Err(SpoolError::Full);
        }
        let mut temporary = tempfile::NamedTempFile::new_in(&self.folder)?;
        let mut hasher = blake3::Hasher::new();
        let length = (head.len() as u64).to_le_bytes();
        let files = upload.files.iter().map(|file| &file.bytes[..]);
        for part in [&length[..], &head].into_iter().chain(files) {
            hasher.update(part);
            temporary.write_all(part)?;
        }
        temporary.write_all(hasher.finalize().as_bytes())?;
        let name = Uuid::now_v7();
        cairn_files::publish(temporary, &self.path(name))?;
        Ok(name)
    }

    /// What waits under `name`. Blocks.
    ///
    /// # Errors
    /// `Gone`, and those of the disk.
    pub(crate) fn read(&self, name: Uuid) -> Result<Upload, SpoolError> {
        read(&self.path(name)).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => SpoolError::Gone,
            _ => SpoolError::Disk(error),
        })
    }

    /// Lets go of what no job needs any more.
    pub(crate) fn remove(&self, name: Uuid) {
        if let Err(error) = fs::remove_file(self.path(name))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "an upload that is done stays on the disk");
        }
    }

    /// Removes what no job names that could still run: a process was killed before it
    /// submitted the job, or somebody called the job off or forgot it.
    ///
    /// # Errors
    /// Those of the queue; then nothing is removed.
    pub(crate) async fn sweep(&self, queue: &dyn Queue) -> cairn_jobs::Result<usize> {
        // Looked at before the jobs are, so that what comes meanwhile is not seen.
        let old: Vec<PathBuf> = self.old();
        if old.is_empty() {
            return Ok(0);
        }
        let needed = needed(queue).await?;
        let mut removed = 0;
        for path in old {
            let name = path.file_name().and_then(|name| name.to_str());
            let name = name.and_then(|name| name.parse::<Uuid>().ok());
            if name.is_none_or(|name| !needed.contains(&name)) && fs::remove_file(&path).is_ok() {
                removed += 1;
            }
        }
        Ok(removed)
    }

    fn old(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return Vec::new();
        };
        let now = SystemTime::now();
        let is_old = |entry: &fs::DirEntry| {
            let modified = entry.metadata().and_then(|data| data.modified()).ok();
            let age = modified.and_then(|modified| now.duration_since(modified).ok());
            age.is_some_and(|age| age > YOUNG)
        };
        let old = entries.flatten().filter(is_old);
        old.map(|entry| entry.path()).collect()
    }

    /// Files, and bytes of all.
    fn load(&self) -> io::Result<(usize, u64)> {
        let (mut files, mut bytes) = (0, 0_u64);
        for entry in fs::read_dir(&self.folder)? {
            files += 1;
            // One that a worker has just removed takes no room.
            bytes += entry?.metadata().map_or(0, |data| data.len());
        }
        Ok((files, bytes))
    }

    fn path(&self, name: Uuid) -> PathBuf {
        self.folder.join(name.to_string())
    }
}

/// The upload in the file `path`.
fn read(path: &Path) -> io::Result<Upload> {
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, "the file is damaged");
    let mut file = fs::File::open(path)?;
    let mut length = [0; 8];
    file.read_exact(&mut length)?;
    let mut hasher = blake3::Hasher::new();
    hasher.update(&length);
    let length = u64::from_le_bytes(length);
    if length > MAX_HEAD_BYTES {
        return Err(damaged());
    }
    let mut head = Vec::new();
    (&mut file).take(length).read_to_end(&mut head)?;
    hasher.update(&head);
    let head: Head = serde_json::from_slice(&head)?;
    let mut rest = Vec::new();
    file.read_to_end(&mut rest)?;
    let mut rest = Bytes::from(rest);
    let mut files = Vec::with_capacity(head.files.len());
    for entry in head.files {
        let bytes = usize::try_from(entry.bytes).unwrap_or(usize::MAX);
        if bytes > rest.len() {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        let bytes = rest.split_to(bytes);
        hasher.update(&bytes);
        files.push(File {
            name: entry.name,
            bytes,
        });
    }
    // What was put there before there were checksums has none.
    if !rest.is_empty() && rest != hasher.finalize().as_bytes()[..] {
        return Err(damaged());
    }
    Ok(Upload {
        replace: head.replace,
        marks: head.marks,
        files,
    })
}

/// Reads what waits below `data_dir` and changes nothing: how many uploads are whole, and which
/// files are damaged, with what is wrong.
///
/// # Errors
/// Those of the disk.
pub(crate) fn examine(data_dir: &Path) -> io::Result<(usize, Vec<(PathBuf, String)>)> {
    let (mut whole, mut damaged) = (0, Vec::new());
    for path in uploads_in(&data_dir.join(FOLDER))? {
        match read(&path) {
            Ok(_) => whole += 1,
            // Its job has ended meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => damaged.push((path, error.to_string())),
        }
    }
    Ok((whole, damaged))
}

/// Puts damaged files aside, so that their jobs say that they are not there, and returns where
/// to.
///
/// # Errors
/// Those of the disk.
pub(crate) fn set_aside(data_dir: &Path, damaged: &[(PathBuf, String)]) -> io::Result<PathBuf> {
    let aside = data_dir.join(ASIDE);
    let names = damaged.iter().filter_map(|(path, _)| path.file_name());
    cairn_files::move_aside(&data_dir.join(FOLDER), &aside, names)?;
    Ok(aside)
}

/// How many uploads that jobs in `queue` need are not below `data_dir`.
///
/// # Errors
/// Those of the queue.
pub(crate) async fn count_missing(data_dir: &Path, queue: &dyn Queue) -> cairn_jobs::Result<usize> {
    let folder = data_dir.join(FOLDER);
    let needed = needed(queue).await?.into_iter();
    let is_missing = |name: &Uuid| !folder.join(name.to_string()).exists();
    let missing: Vec<Uuid> = needed.filter(is_missing).collect();
    if missing.is_empty() {
        return Ok(0);
    }
    // A job that has ended since then needed it no more.
    let again = self::needed(queue).await?;
    Ok(missing.iter().filter(|name| again.contains(name)).count())
}

/// The files of uploads in `folder`, which may not be there.
fn uploads_in(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        if name
            .to_str()
            .is_some_and(|name| name.parse::<Uuid>().is_ok())
        {
            paths.push(entry.path());
        }
    }
    Ok(paths)
}

/// What jobs name that may run or be tried again.
async fn needed(queue: &dyn Queue) -> cairn_jobs::Result<BTreeSet<Uuid>> {
    let mut needed = BTreeSet::new();
    let mut filter = Filter {
        states: vec![
            State::Queued,
            State::Running,
            State::InputRequired,
            State::Failed,
        ],
        kind: Some(KIND.to_owned()),
        ..Filter::default()
    };
    loop {
        let page = queue.list(filter.clone(), PAGE).await?;
        let Some(last) = page.last() else {
            return Ok(needed);
        };
        filter.before = Some(last.id);
        needed.extend(page.iter().filter_map(|job| named_in(&job.payload)));
    }
}

fn named_in(payload: &serde_json::Value) -> Option<Uuid> {
    payload["input"]["spool"].as_str()?.parse().ok()
}

/// Copies what waits below `data_dir` to `target`, but for what is there already. Called before
/// and after the queue is copied, it has everything that the copied jobs name.
///
/// # Errors
/// Those of the disk.
pub(crate) fn back_up(data_dir: &Path, target: &Path) -> io::Result<()> {
    let to = target.join(FOLDER);
    for path in uploads_in(&data_dir.join(FOLDER))? {
        let copy = to.join(path.file_name().unwrap_or_default());
        if copy.exists() {
            continue;
        }
        private::folder(&to)?;
        let mut temporary = tempfile::NamedTempFile::new_in(&to)?;
        match fs::File::open(&path) {
            Ok(mut file) => io::copy(&mut file, &mut temporary)?,
            // Its job has ended meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        cairn_files::publish(temporary, &copy)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use cairn_jobs::{Claim, NewJob, Options, SqliteQueue};
    use serde_json::json;

    use super::*;

    fn upload(text: &str) -> Upload {
        let file = |n: usize| File {
            name: FileName {
                uri: format!("{n}.md"),
                title: (n == 1).then(|| "One".to_owned()),
                content_type: None,
            },
            bytes: Bytes::from(format!("{text} {n}")),
        };
        Upload {
            replace: true,
            marks: Marks {
                labels: ["a".to_owned()].into(),
                ..Marks::default()
            },
            files: (0..3).map(file).collect(),
        }
    }

    fn make_old(spool: &Spool) {
        let before = SystemTime::now() - 2 * YOUNG;
        for entry in fs::read_dir(&spool.folder).unwrap() {
            let file = fs::File::options().append(true).open(entry.unwrap().path());
            file.unwrap().set_modified(before).unwrap();
        }
    }

    #[test]
    fn what_waits_comes_back_whole_until_it_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::new(dir.path(), 1 << 20);
        let name = spool.put(&upload("text")).unwrap();
        // Another process has the same.
        let read = Spool::new(dir.path(), 0).read(name).unwrap();
        assert!(read.replace && read.marks == upload("").marks);
        let texts: Vec<_> = read.files.iter().map(|file| &file.bytes[..]).collect();
        assert_eq!(texts, [b"text 0", b"text 1", b"text 2"]);
        assert_eq!(read.files[1].name, upload("").files[1].name);

        let copy = tempfile::tempdir().unwrap();
        back_up(dir.path(), copy.path()).unwrap();
        spool.remove(name);
        assert!(matches!(spool.read(name), Err(SpoolError::Gone)));
        Spool::new(copy.path(), 0).read(name).unwrap();
        spool.remove(name);
    }

    #[test]
    fn what_was_put_survives_a_power_cut() {
        let dir = tempfile::tempdir().unwrap();
        let durable = std::sync::Arc::new(Mutex::new(Vec::new()));
        let seen = std::sync::Arc::clone(&durable);
        let _observation = cairn_files::observe::observe(dir.path(), move |event| {
            let (cairn_files::observe::Event::File(path)
            | cairn_files::observe::Event::Folder(path)) = event;
            seen.lock().unwrap().push(path.to_owned());
        });
        let spool = Spool::new(dir.path(), 1 << 20);
        let name = spool.put(&upload("text")).unwrap();
        // The folder's name, the bytes of the file, and then its name, all before the reply, and
        // so before there is a job.
        let file = spool.path(name);
        let expected = [dir.path(), &file, &spool.folder];
        assert_eq!(*durable.lock().unwrap(), expected);
    }

    #[test]
    fn damage_is_an_error_and_room_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::new(dir.path(), 1000);
        let name = spool.put(&upload("text")).unwrap();
        let whole = fs::read(spool.path(name)).unwrap();
        for cut in [0, 5, 20, whole.len() - 1] {
            fs::write(spool.path(name), &whole[..cut]).unwrap();
            assert!(
                matches!(spool.read(name), Err(SpoolError::Disk(_))),
                "{cut}"
            );
        }
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 4;
            fs::write(spool.path(name), bytes).unwrap();
            assert!(matches!(spool.read(name), Err(SpoolError::Disk(_))), "{at}");
        }
        // What was put there before there were checksums.
        fs::write(spool.path(name), &whole[..whole.len() - CHECK_BYTES]).unwrap();
        assert_eq!(spool.read(name).unwrap().files.len(), 3);
        fs::write(spool.path(name), [0xff; 100]).unwrap();
        assert!(matches!(spool.read(name), Err(SpoolError::Disk(_))));

        let large = upload(&"x".repeat(300));
        assert!(matches!(spool.put(&large), Err(SpoolError::Full)));
        assert_eq!(fs::read_dir(&spool.folder).unwrap().count(), 1);
        let small = spool.put(&upload("small")).unwrap();

        let (whole, damaged) = examine(dir.path()).unwrap();
        assert_eq!((whole, damaged.len()), (1, 1));
        set_aside(dir.path(), &damaged).unwrap();
        assert!(matches!(spool.read(name), Err(SpoolError::Gone)));
        spool.read(small).unwrap();
    }

    #[tokio::test]
    async fn only_what_no_job_may_still_read_is_swept() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::new(dir.path(), 1 << 20);
        let queue = SqliteQueue::open(dir.path(), Options::default())
            .await
            .unwrap();
        let mut names = Vec::new();
        for attempts in [1, 1, 5] {
            let name = spool.put(&upload("text")).unwrap();
            let payload = json!({"collection": "main", "input": {"spool": name}});
            let job = NewJob {
                max_attempts: Some(attempts),
                ..NewJob::new(KIND, payload)
            };
            let job = queue.submit(vec![job]).await.unwrap().remove(0).job;
            names.push((name, job.id));
        }
        // One is called off, one fails and may be retried, one waits, and one has no job.
        queue.cancel(names[0].1).await.unwrap();
        let lease = queue.claim(Claim::one("w")).await.unwrap().remove(0);
        assert_eq!(lease.job.id, names[1].1);
        let failure = cairn_jobs::Failure::transient("the disk was full");
        queue.fail(lease.token, failure).await.unwrap();
        let orphan = spool.put(&upload("text")).unwrap();
        fs::write(spool.folder.join(".tmpHalf"), "half").unwrap();

        assert_eq!(spool.sweep(&queue).await.unwrap(), 0, "all are young");
        make_old(&spool);
        assert_eq!(spool.sweep(&queue).await.unwrap(), 3);
        for (name, there) in [
            (names[0].0, false),
            (names[1].0, true),
            (names[2].0, true),
            (orphan, false),
        ] {
            assert_eq!(spool.read(name).is_ok(), there);
        }
    }
}
