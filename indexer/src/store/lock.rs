//! One writer to a collection: a lock on a file, which the system lets go of
//! when its process ends, however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use crate::{Error, ErrorKind, Result};

pub(super) const LOCK_FILE: &str = "lock";

/// Held as long as it lives.
#[derive(Debug)]
pub(super) struct WriterLock(#[allow(dead_code)] File);

impl WriterLock {
    /// Takes the lock of the collection in `dir`, or says who has it.
    pub(super) fn acquire(dir: &Path) -> Result<Self> {
        let path = dir.join(LOCK_FILE);
        let mut file = OpenOptions::new()
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
            _ => None,
        }
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
