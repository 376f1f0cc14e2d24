//! One child process, as its parent sees it.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use cairn_models::Cancel;
use cairn_parse::ParseInput;

use super::wire::{self, Reply, Request};
use super::{Isolation, ParseLimits};
use crate::Document;

/// How often a cancellation and the clock are looked at while a child works.
const TICK: Duration = Duration::from_millis(50);

/// Variables of the environment that a child gets: how libraries are found, and what
/// local time is. Keys of providers and whatever else there is stay here.
const VARIABLES: [&str; 3] = ["LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TZ"];

/// Bytes of what a child said on stderr that are looked at.
const STDERR_NUM_BYTES: usize = 4096;

/// Why a child was given up.
#[derive(Debug)]
pub(super) enum Lost {
    /// It took longer than it may.
    Time,
    /// The document is no longer waited for.
    Cancelled,
    /// It could not get the memory that it asked for.
    Memory,
    /// Its process ended.
    Ended(ExitStatus),
    /// What it wrote is not a reply.
    Garbage,
}

/// A running child. Dropping it ends its process.
pub(super) struct Child {
    process: std::process::Child,
    socket: UnixStream,
    stderr: UnixStream,
    /// Documents that it was asked for.
    pub(super) served: usize,
}

impl Child {
    /// Starts a process.
    ///
    /// # Errors
    /// When the machine has none, or the program is not there.
    pub(super) fn start(isolation: &Isolation) -> io::Result<Self> {
        // The socket is its stdin, so that whatever a library prints is not taken for a
        // reply; stderr that is not read in time is dropped and does not block the child.
        let (socket, stdin) = UnixStream::pair()?;
        let (stderr, its_stderr) = UnixStream::pair()?;
        stderr.set_nonblocking(true)?;
        its_stderr.set_nonblocking(true)?;
        socket.set_read_timeout(Some(TICK))?;
        socket.set_write_timeout(Some(TICK))?;
        let kept = VARIABLES.map(|name| (name, std::env::var_os(name)));
        let process = Command::new(&isolation.program)
            .args(&isolation.args)
            .env_clear()
            .envs(
                kept.into_iter()
                    .filter_map(|(name, value)| Some((name, value?))),
            )
            // An arena for each thread would take 64 MB of addresses, which are counted.
            .env("MALLOC_ARENA_MAX", "1")
            .current_dir("/")
            // Ctrl-C in a terminal is for us: the documents under way are to be finished.
            .process_group(0)
            .stdin(Stdio::from(OwnedFd::from(stdin)))
            .stdout(Stdio::null())
            .stderr(Stdio::from(OwnedFd::from(its_stderr)))
            .spawn()?;
        Ok(Self {
            process,
            socket,
            stderr,
            served: 0,
        })
    }

    /// Has one document parsed. After an error the child is of no more use.
    pub(super) fn parse(
        &mut self,
        input: &ParseInput<'_>,
        limits: &ParseLimits,
        time: Duration,
        cancel: &Cancel,
    ) -> Result<cairn_parse::Result<Document>, Lost> {
        self.served += 1;
        let mut timed = Timed {
            socket: &self.socket,
            deadline: Instant::now() + time,
            cancel,
            over: None,
        };
        let result = exchange(&mut timed, input, limits, time);
        let over = timed.over;
        match result {
            Ok(Some(reply)) => {
                // Only what was said about the last document counts.
                self.said();
                Ok(reply)
            }
            Err(_) if over.is_some() => Err(over.unwrap_or(Lost::Time)),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(Lost::Garbage),
            Ok(None) | Err(_) => Err(self.cause_of_death()),
        }
    }

    /// What stderr holds.
    fn said(&mut self) -> String {
        let mut bytes = Vec::new();
        // The socket does not block: an error means that nothing is left to read.
        let mut block = [0; STDERR_NUM_BYTES];
        while let Ok(count @ 1..) = self.stderr.read(&mut block) {
            bytes.extend_from_slice(&block[..count]);
            let surplus = bytes.len().saturating_sub(STDERR_NUM_BYTES);
            bytes.drain(..surplus);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn cause_of_death(&mut self) -> Lost {
        // It closed the socket, so it is about to end, if it has not been ended.
        let patience = Instant::now() + Duration::from_secs(1);
        let status = loop {
            match self.process.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if Instant::now() < patience => std::thread::sleep(TICK / 10),
                _ => return Lost::Garbage,
            }
        };
        // The words of Rust's allocator, and of C++'s.
        let said = self.said();
        match said.contains("memory allocation of") || said.contains("bad_alloc") {
            true => Lost::Memory,
            false => Lost::Ended(status),
        }
    }

    #[cfg(test)]
    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn exchange(
    timed: &mut Timed<'_>,
    input: &ParseInput<'_>,
    limits: &ParseLimits,
    time: Duration,
) -> io::Result<Option<cairn_parse::Result<Document>>> {
    let request = Request {
        uri: input.uri.to_owned(),
        name: input.name.map(ToOwned::to_owned),
        content_type: input.content_type.map(ToOwned::to_owned),
        max_bytes: limits.max_bytes,
        max_text_bytes: limits.max_text_bytes,
        max_archive_entries: limits.max_archive_entries,
        // Our clock decides, whatever the format.
        max_seconds: time.as_secs().saturating_mul(2).max(1),
        pdfium: limits
            .pdfium
            .as_deref()
            .map(std::path::absolute)
            .transpose()?,
    };
    wire::write(timed, &request, input.bytes)?;
    // Headings and facts are part of the text, more or less.
    let most = limits.max_text_bytes.saturating_mul(2).max(1 << 20);
    let Some((reply, text)) = wire::read::<Reply>(timed, most, most)? else {
        return Ok(None);
    };
    Ok(Some(match reply {
        Reply::Document(head) => Ok(wire::document(*head, text, input.uri)?),
        Reply::NoMemory => {
            timed.over = Some(Lost::Memory);
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        Reply::Error(kind, message) => Err(cairn_parse::Error::new(kind, message)),
    }))
}

/// The socket until a moment, or until somebody cancels.
struct Timed<'a> {
    socket: &'a UnixStream,
    deadline: Instant,
    cancel: &'a Cancel,
    /// Why it was given up.
    over: Option<Lost>,
}

impl Timed<'_> {
    /// Tries until it works, fails, or the time is up. A child that sends a byte now
    /// and then gains nothing.
    fn persist<T>(&mut self, mut step: impl FnMut(&UnixStream) -> io::Result<T>) -> io::Result<T> {
        loop {
            if self.cancel.is_cancelled() {
                self.over = Some(Lost::Cancelled);
            } else if Instant::now() >= self.deadline {
                self.over = Some(Lost::Time);
            }
            if self.over.is_some() {
                return Err(io::Error::other("given up"));
            }
            match step(self.socket) {
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                    ) => {}
                result => return result,
            }
        }
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.persist(|mut socket| socket.read(buffer))
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.persist(|mut socket| socket.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The signal that ended a process, in words.
pub(super) fn end_of(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("signal {signal}"),
        (None, Some(code)) => format!("exit code {code}"),
        (None, None) => "an unknown reason".to_owned(),
    }
}
