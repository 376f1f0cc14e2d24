//! One writer to a collection: a lock on a file, which the system lets go of
//! when its process ends, however it ends.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::{Error, ErrorKind, Result};
use cairn_files::private;
use cairn_models::Cancel;

pub(super) const LOCK_FILE: &str = "lock";

/// How long `acquire` waits for `holder`, which has the lock while it looks.
const PROBE_TIMEOUT: Duration = Duration::from_millis(50);

const RETRY_INTERVAL: Duration = Duration::from_millis(5);

/// Calls `take` until it gives anything but `Locked`, for as long as `most`.
pub(crate) fn wait<T>(most: Duration, mut take: impl FnMut() -> Result<T>) -> Result<T> {
    let begun = Instant::now();
    loop {
        match take() {
            Err(error) if error.kind() == ErrorKind::Locked && begun.elapsed() < most => {
                std::thread::sleep(RETRY_INTERVAL);
            }
            result => return result,
        }
    }
}

/// Locked, and shared, by those who wait for the writer.
const WAITING_FILE: &str = "waiting";

/// Takes the lock of the collection in `dir` by `take`, for as long as `most` and until
/// `cancel` fires. Meanwhile the writer that has it sees that it is wanted.
pub(super) fn wait_in_line<T>(
    dir: &Path,
    most: Duration,
    cancel: &Cancel,
    mut take: impl FnMut() -> Result<T>,
) -> Result<T> {
    match take() {
        Err(error) if error.kind() == ErrorKind::Locked && !most.is_zero() => {}
        result => return result,
    }
    // A folder that takes no file takes no writer either: `take` says so.
    let line = waiting(dir).ok();
    let line = line.inspect(|file| drop(file.lock_shared()));
    let result = wait(most, || {
        cancel.check().map_err(Error::from).and_then(|()| take())
    });
    drop(line);
    result
}

/// Whether somebody waits for the lock of `dir`.
pub(super) fn is_wanted(dir: &Path) -> bool {
    let Ok(file) = waiting(dir) else { return false };
    match file.try_lock() {
        Err(error) => matches!(error, TryLockError::WouldBlock),
        Ok(()) => {
            let _ = file.unlock();
            false
        }
    }
}

fn waiting(dir: &Path) -> std::io::Result<File> {
    private::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(dir.join(WAITING_FILE))
}

/// Held as long as it lives.
#[derive(Debug)]
pub(super) struct WriterLock(File);

impl WriterLock {
    /// Takes the lock of the collection in `dir`, or says which process has it.
    pub(super) fn acquire(dir: &Path) -> Result<Self> {
        wait(PROBE_TIMEOUT, || Self::try_acquire(dir))
    }

    fn try_acquire(dir: &Path) -> Result<Self> {
        let path = dir.join(LOCK_FILE);
        let mut file = private::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| Error::from(error).at(&path))?;
        match file.try_lock() {
            Ok(()) => {
                // The number only serves the other side's message.
                let written = file
                    .set_len(0)
                    .and_then(|()| file.rewind())
                    .and_then(|()| write!(file, "{}", std::process::id()));
                written.map_err(|error| Error::from(error).at(&path))?;
                Ok(Self(file))
            }
            Err(TryLockError::WouldBlock) => Err(locked(&mut file).at(&path)),
            Err(TryLockError::Error(error)) => Err(Error::from(error).at(&path)),
        }
    }

    /// The process that holds the lock of `dir`, if one does: its id, or `None`
    /// inside where it did not say.
    pub(super) fn holder(dir: &Path) -> Option<Option<u32>> {
        let mut file = File::open(dir.join(LOCK_FILE)).ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => Some(process(&mut file)),
            Ok(()) => {
                let _ = file.unlock();
                None
            }
            Err(TryLockError::Error(_)) => None,
        }
    }
}

impl Drop for WriterLock {
    /// Closing the file is not enough: a process that this one is just starting has
    /// a copy of its handle until it runs its own program, and would keep the lock.
    fn drop(&mut self) {
        // The process that the file names has the lock no longer.
        let _ = self.0.set_len(0);
        let _ = self.0.unlock();
    }
}

fn process(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn locked(file: &mut File) -> Error {
    let who = process(file).map_or_else(
        || "another process".to_owned(),
        |id| {
            if id == std::process::id() {
                "this process".into()
            } else {
                format!("process {id}")
            }
        },
    );
    Error::new(
        ErrorKind::Locked,
        format!("{who} is writing to this collection; wait until it is done, or stop it"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_is_let_go_though_a_copy_of_its_handle_lives() {
        let dir = tempfile::tempdir().unwrap();
        let lock = WriterLock::acquire(dir.path()).unwrap();
        let _copy = lock.0.try_clone().unwrap();
        assert_eq!(
            WriterLock::holder(dir.path()),
            Some(Some(std::process::id()))
        );
        drop(lock);
        assert_eq!(WriterLock::holder(dir.path()), None);
        WriterLock::acquire(dir.path()).unwrap();
    }

    #[test]
    fn a_look_at_the_lock_is_waited_for_and_a_writer_is_not() {
        let dir = tempfile::tempdir().unwrap();
        drop(WriterLock::acquire(dir.path()).unwrap());
        let look = File::open(dir.path().join(LOCK_FILE)).unwrap();
        look.try_lock_shared().unwrap();
        let looking = std::thread::spawn(move || {
            std::thread::sleep(RETRY_INTERVAL);
            drop(look);
        });
        let _lock = wait(Duration::MAX, || WriterLock::try_acquire(dir.path())).unwrap();
        looking.join().unwrap();
        let error = WriterLock::acquire(dir.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Locked);
    }
}
