//! The child's side: reads requests from the socket that is its stdin, parses, replies.

use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use cairn_parse::{Error, ParseInput, ParseLimits};

use super::wire::{self, Reply, Request};
use crate::Document;

/// A child that was not asked for this long ends; the parent starts another one.
const IDLE: Duration = Duration::from_secs(60);

/// Parses what the parent asks for, until it is gone or has nothing to ask for a minute.
/// For the process that [`super::Isolation`] names, and for nothing else: it takes memory
/// and files away from the whole process, and ends it when the parent dies.
///
/// # Errors
/// When stdin is not the socket of a parent, or the limits cannot be set.
pub fn serve(memory_num_bytes: u64) -> io::Result<()> {
    serve_with(memory_num_bytes, cairn_parse::parse)
}

/// The same with another parser, for tests.
pub(super) fn serve_with(
    memory_num_bytes: u64,
    parse: impl Fn(&ParseInput<'_>, &ParseLimits) -> Result<Document, Error>,
) -> io::Result<()> {
    limit(libc::RLIMIT_AS as _, memory_num_bytes)?;
    // It writes into its socket alone, and leaves no image of what it read behind.
    limit(libc::RLIMIT_FSIZE as _, 0)?;
    limit(libc::RLIMIT_CORE as _, 0)?;
    let mut parent = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    parent.set_read_timeout(Some(IDLE))?;
    let mut requests = parent.try_clone()?;
    // A number and not a flag: the next request may be there before the reply to this one is
    // accounted for.
    let open = Arc::new(AtomicUsize::new(0));
    let (sender, receiver) = sync_channel(1);
    let unanswered = Arc::clone(&open);
    // Reads on while a document is parsed, and so sees the end of the parent whatever
    // the parser does, also when nothing could be told to it.
    let reader = move || {
        loop {
            let read =
                wire::read::<Request>(&mut requests, wire::REQUEST_HEAD_NUM_BYTES, usize::MAX);
            match read {
                Ok(Some(request)) => {
                    unanswered.fetch_add(1, Ordering::SeqCst);
                    if sender.send(request).is_err() {
                        return;
                    }
                }
                Err(error) if is_pause(&error) && unanswered.load(Ordering::SeqCst) > 0 => {}
                // `exit` would wait for what the parser holds.
                _ if unanswered.load(Ordering::SeqCst) > 0 => std::process::abort(),
                _ => return,
            }
        }
    };
    std::thread::Builder::new()
        .name("requests".into())
        .spawn(reader)?;
    for (request, bytes) in receiver {
        let (head, text) = answer(&request, &bytes, &parse, memory_num_bytes);
        drop(bytes);
        wire::write(&mut parent, &head, text.as_bytes())?;
        open.fetch_sub(1, Ordering::SeqCst);
    }
    parent.flush()
}

/// Whether a read ended because nothing came for a while.
fn is_pause(error: &io::Error) -> bool {
    use io::ErrorKind::{TimedOut, WouldBlock};
    matches!(error.kind(), TimedOut | WouldBlock)
}

fn answer(
    request: &Request,
    bytes: &[u8],
    parse: impl Fn(&ParseInput<'_>, &ParseLimits) -> Result<Document, Error>,
    memory_num_bytes: u64,
) -> (Reply, String) {
    let limits = ParseLimits {
        max_bytes: request.max_bytes,
        max_text_bytes: request.max_text_bytes,
        max_archive_entries: request.max_archive_entries,
        max_time: Duration::from_secs(request.max_seconds),
        pdfium: request.pdfium.clone(),
    };
    let input = ParseInput {
        uri: &request.uri,
        name: request.name.as_deref(),
        content_type: request.content_type.as_deref(),
        bytes,
    };
    match parse(&input, &limits) {
        Ok(mut document) => {
            let text = std::mem::take(&mut document.text);
            (Reply::Document(Box::new(document)), text)
        }
        Err(error) if is_want_of_memory(&error, memory_num_bytes) => {
            (Reply::NoMemory, String::new())
        }
        Err(error) => {
            let reply = Reply::Error(error.kind(), error.message().to_owned());
            (reply, String::new())
        }
    }
}

/// Whether an error may say less of the file than of this process: not every allocation
/// that fails ends it. `std` gives readers an error of its own, which parsers pass on as
/// the reason; what libraries in C make of it cannot be told from other errors, but
/// they come close to the limit first.
fn is_want_of_memory(error: &Error, memory_num_bytes: u64) -> bool {
    let message = error.message();
    let peak = || {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmPeak:"))?;
        let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kilobytes << 10)
    };
    message.contains("out of memory")
        || message.contains("memory allocation failed")
        || peak().is_some_and(|peak| peak > memory_num_bytes / 8 * 7)
}

/// Takes the process's right to more of `resource` than `most`.
fn limit(resource: i32, most: u64) -> io::Result<()> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    #[allow(unsafe_code)]
    // SAFETY: both calls are given one struct of the type that they ask for, which lives
    // until they return, and keep nothing of it.
    let done = unsafe {
        if libc::getrlimit(resource as _, &raw mut limit) == 0 {
            // What somebody else forbade stays so.
            limit.rlim_max = limit.rlim_max.min(most);
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(resource as _, &raw const limit) == 0
        } else {
            false
        }
    };
    match done {
        true => Ok(()),
        false => Err(io::Error::last_os_error()),
    }
}
