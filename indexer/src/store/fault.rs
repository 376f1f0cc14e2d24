//! Tantivy's errors as ours: whose fault it is, and which file.

use std::io;
use std::path::Path;

use tantivy::TantivyError;
use tantivy::directory::error::{OpenReadError, OpenWriteError};

use crate::{Error, ErrorKind, Result};
use cairn_parse::catch;

const DAMAGED: &str = "the word index is damaged; run `cairn doctor`";

impl From<TantivyError> for Error {
    fn from(error: TantivyError) -> Self {
        convert(error, Path::new(""))
    }
}

/// An error of the word index in `dir`.
pub(super) fn convert(error: TantivyError, dir: &Path) -> Error {
    let error = match error {
        TantivyError::OpenReadError(OpenReadError::FileDoesNotExist(path)) => {
            let message = "a file of the word index is missing; run `cairn doctor`";
            Error::new(ErrorKind::Corrupt, message).at(dir.join(path))
        }
        TantivyError::OpenReadError(OpenReadError::IncompatibleIndex(what)) => Error::new(
            ErrorKind::Mismatch,
            format!("the word index was written by another version of Cairn ({what:?})"),
        ),
        TantivyError::OpenReadError(OpenReadError::IoError { io_error, filepath })
        | TantivyError::OpenWriteError(OpenWriteError::IoError { io_error, filepath }) => {
            from_io(&io_error).at(dir.join(filepath))
        }
        TantivyError::IoError(io_error) => from_io(&io_error),
        TantivyError::DataCorruption(damage) => {
            Error::new(ErrorKind::Corrupt, DAMAGED).because(format!("{damage:?}"))
        }
        TantivyError::LockFailure(..) => Error::new(
            ErrorKind::Locked,
            "another process is writing to this collection; wait until it is done, or stop it",
        )
        .because(error),
        other => match os_error(&other.to_string()) {
            Some(io_error) => io_error.into(),
            None => Error::new(ErrorKind::Internal, "the word index failed").because(other),
        },
    };
    if dir.as_os_str().is_empty() {
        error
    } else {
        error.at(dir)
    }
}

/// The system's error in a message: Tantivy hands on some of them as text.
fn os_error(message: &str) -> Option<io::Error> {
    let (_, code) = message.rsplit_once("(os error ")?;
    let digits = code.split(')').next()?;
    Some(io::Error::from_raw_os_error(digits.parse().ok()?))
}

/// Tantivy trusts its files and panics over some damaged ones: that is an error
/// here, whose message says what to do.
pub(super) fn guarded<T>(dir: &Path, read: impl FnOnce() -> Result<T>) -> Result<T> {
    match catch(read) {
        Ok(result) => result.map_err(|error| error.inside(dir)),
        Err(_) => Err(Error::new(ErrorKind::Corrupt, DAMAGED)),
    }
}

/// The same error, out of the `Arc` that Tantivy keeps it in.
fn from_io(error: &std::io::Error) -> Error {
    if matches!(
        error.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
    ) {
        return Error::new(ErrorKind::Corrupt, DAMAGED).because(error.to_string());
    }
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code).into(),
        None => io::Error::new(error.kind(), error.to_string()).into(),
    }
}
