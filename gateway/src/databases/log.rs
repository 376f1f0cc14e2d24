//! The log of an SQLite file (`-wal`), and the index of the log (`-shm`).
//!
//! SQLite reads a log up to the first frame whose checksum is wrong and takes that for its
//! end: after a kill it is. Damage further up loses commits that were acknowledged, without
//! a word, and so does a header that cannot be read. Here frames behind the damage are
//! looked at too.
//!
//! The layouts are those of <https://www.sqlite.org/walformat.html>. Numbers in the log are
//! big-endian, those in its index have the machine's order.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom};
use std::path::Path;

use super::header::PAGE_BYTES;

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;

/// The first word of a log whose checksums are of little-endian words; the last bit says
/// that they are big-endian.
const MAGIC: u32 = 0x377f_0682;
const VERSION: u32 = 3_007_000;

/// A checksum, and the random numbers of one filling of a log.
type Pair = [u32; 2];

/// What was found in a log.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// What is wrong with it that lost commits; `None` if nothing is.
    pub(super) fault: Option<String>,
    /// Something that a power cut leaves, too.
    pub(super) warning: Option<String>,
    /// Where in the log the last version of each page is, up to the last commit that
    /// can be read.
    pub(super) pages: BTreeMap<u32, u64>,
    /// Pages of the database after that commit; 0 if there is none.
    pub(super) num_pages: u32,
    /// Frames up to that commit.
    frames: u32,
    salt: Pair,
}

/// One frame.
struct Frame {
    page: u32,
    /// Pages of the database if it ends a commit, else 0.
    num_pages: u32,
    salt: Pair,
    /// Of the frame and all before it, as it stands in the file.
    stored: Pair,
    /// Its own part of what the checksum is of.
    bytes: Vec<u8>,
}

impl Log {
    /// Reads the log `path`, which may not be there, and compares it with its index, which
    /// may not be there either. No other process may use them.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn read(path: &Path, index: &Path) -> io::Result<Self> {
        let mut log = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::default(),
            file => {
                let file = file?;
                match file.metadata()?.len() {
                    0 => Self::default(),
                    _ => Self::of(&mut BufReader::with_capacity(1 << 18, file))?,
                }
            }
        };
        if let Some(index) = Index::read(index)
            && log.fault.is_none()
        {
            let is_same = log.frames == 0 || log.salt == index.salt;
            if is_same && index.frames > log.frames.max(index.copied) {
                log.fault = Some(format!(
                    "its log is cut off: {} of {} frames are there",
                    log.frames, index.frames
                ));
            }
        }
        Ok(log)
    }

    fn of(file: &mut BufReader<File>) -> io::Result<Self> {
        let mut header = [0; HEADER_BYTES];
        if !fill(file, &mut header)? {
            return Ok(Self {
                fault: Some("its log is too short to be read".into()),
                ..Self::default()
            });
        }
        let words: Vec<u32> = header.chunks_exact(4).map(word).collect();
        let is_whole = words[0] & !1 == MAGIC
            && words[1] == VERSION
            && words[2] == PAGE_BYTES as u32
            && checksum([0, 0], &header[..24], words[0] & 1 == 1) == [words[6], words[7]];
        if is_whole {
            let mut log = Self::default();
            log.walk(
                file,
                [words[6], words[7]],
                [words[4], words[5]],
                words[0] & 1 == 1,
            )?;
            return Ok(log);
        }
        Self::without_header(file, &header, &words)
    }

    /// A log whose header is damaged: the frames say what it must have been.
    fn without_header(
        file: &mut BufReader<File>,
        header: &[u8; HEADER_BYTES],
        words: &[u32],
    ) -> io::Result<Self> {
        let mut best = Self::default();
        for is_big in [false, true] {
            // Either the sum is damaged, or what it is of.
            for seed in [
                [words[6], words[7]],
                checksum([0, 0], &header[..24], is_big),
            ] {
                file.seek(SeekFrom::Start(HEADER_BYTES as u64))?;
                let Some(first) = frame(file)? else { continue };
                file.seek(SeekFrom::Start(HEADER_BYTES as u64))?;
                let mut log = Self::default();
                log.walk(file, seed, first.salt, is_big)?;
                if log.frames > best.frames {
                    best = log;
                }
            }
        }
        let what = match best.frames {
            0 => "the header of its log is damaged, and so are the changes in it".to_owned(),
            frames => format!("the header of its log is damaged ({frames} frames are whole)"),
        };
        best.fault = Some(what);
        Ok(best)
    }

    /// Reads frames to the last commit that can be read, and looks at what is behind it.
    fn walk(
        &mut self,
        file: &mut BufReader<File>,
        seed: Pair,
        salt: Pair,
        is_big: bool,
    ) -> io::Result<()> {
        self.salt = salt;
        let mut sum = seed;
        let mut is_whole = true;
        let (mut number, mut lost) = (0_u32, 0_u32);
        let mut pages = BTreeMap::new();
        let mut is_cut = false;
        while let Some(frame) = frame(file)? {
            let offset =
                HEADER_BYTES as u64 + u64::from(number) * (FRAME_HEADER_BYTES + PAGE_BYTES) as u64;
            number += 1;
            let is_right = frame.salt == salt
                && frame.page != 0
                && checksum(sum, &frame.bytes, is_big) == frame.stored;
            // A log is filled again from its beginning: old frames behind the new ones are not damage.
            let is_old = frame.salt != salt && !is_right;
            if is_whole && is_right {
                pages.insert(frame.page, offset + FRAME_HEADER_BYTES as u64);
                if frame.num_pages > 0 {
                    self.pages.append(&mut pages);
                    self.num_pages = frame.num_pages;
                    self.frames = number;
                }
            } else if is_right {
                lost += u32::from(frame.num_pages > 0);
            } else {
                is_cut |= is_whole && !is_old;
                is_whole = false;
            }
            sum = frame.stored;
        }
        if lost > 0 {
            self.fault = Some(format!(
                "its log is damaged behind frame {}, and {lost} later commits in it cannot be used",
                self.frames
            ));
        } else if is_cut {
            self.warning = Some(
                "the last change in its log is not whole and does not count: a kill or a power cut \
                 leaves that, and so does damage"
                    .into(),
            );
        }
        Ok(())
    }

    /// The page at `offset` of the log `file`.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn page(file: &mut File, offset: u64) -> io::Result<Vec<u8>> {
        file.seek(SeekFrom::Start(offset))?;
        let mut page = vec![0; PAGE_BYTES];
        file.read_exact(&mut page)?;
        Ok(page)
    }
}

/// The next frame; `None` at the end, which may be within one.
fn frame(file: &mut impl Read) -> io::Result<Option<Frame>> {
    let mut bytes = vec![0; FRAME_HEADER_BYTES + PAGE_BYTES];
    if !fill(file, &mut bytes)? {
        return Ok(None);
    }
    let words: Vec<u32> = bytes[..FRAME_HEADER_BYTES]
        .chunks_exact(4)
        .map(word)
        .collect();
    // The sum is of the first two words and of the page.
    bytes.drain(8..FRAME_HEADER_BYTES);
    Ok(Some(Frame {
        page: words[0],
        num_pages: words[1],
        salt: [words[2], words[3]],
        stored: [words[4], words[5]],
        bytes,
    }))
}

/// Whether there was enough to fill `buffer`.
fn fill(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(buffer) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| true),
    }
}

fn word(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .fold(0, |word, byte| word << 8 | u32::from(*byte))
}

/// SQLite's checksum of a log, continued over `bytes`, whose number is a multiple of eight.
fn checksum(sum: Pair, bytes: &[u8], is_big: bool) -> Pair {
    let read = |bytes: &[u8]| match is_big {
        true => word(bytes),
        false => word(bytes).swap_bytes(),
    };
    let [mut a, mut b] = sum;
    for pair in bytes.chunks_exact(8) {
        a = a.wrapping_add(read(&pair[..4])).wrapping_add(b);
        b = b.wrapping_add(read(&pair[4..])).wrapping_add(a);
    }
    [a, b]
}

/// What the index of a log says of it.
struct Index {
    /// Frames up to the last commit.
    frames: u32,
    /// Frames that are in the database already.
    copied: u32,
    salt: Pair,
}

impl Index {
    /// Bytes of the part that is there twice.
    const PART: usize = 48;

    /// `None` if it is not there or not whole: SQLite makes it again.
    fn read(path: &Path) -> Option<Self> {
        let mut bytes = [0; 2 * Self::PART + 4];
        File::open(path).ok()?.read_exact(&mut bytes).ok()?;
        let (first, second) = bytes[..2 * Self::PART].split_at(Self::PART);
        let words: Vec<u32> = bytes
            .chunks_exact(4)
            .map(|word| u32::from_ne_bytes([word[0], word[1], word[2], word[3]]))
            .collect();
        // The sum is of words in the machine's order, as all numbers here.
        let sum = checksum([0, 0], &first[..40], cfg!(target_endian = "big"));
        let is_whole = first == second && words[0] == VERSION && sum == [words[10], words[11]];
        // The random numbers are copied from the log byte by byte.
        let salt = [word(&first[32..36]), word(&first[36..40])];
        is_whole.then_some(Self {
            frames: words[4],
            copied: words[24],
            salt,
        })
    }
}

/// Whether the index of a log at `path` is not what belongs to `log`.
pub(super) fn is_stale(path: &Path, log: &Log) -> bool {
    match (path.is_file(), Index::read(path)) {
        (false, _) => path.symlink_metadata().is_ok(),
        (true, None) => path.metadata().is_ok_and(|file| file.len() > 0),
        (true, Some(index)) => {
            // Without frames it is of a log that will be filled from its beginning.
            index.frames > 0 && (index.frames != log.frames || index.salt != log.salt)
        }
    }
}
