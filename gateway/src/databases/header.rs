//! The first hundred bytes of an SQLite file, as far as they never change in Cairn's files:
//! what they say otherwise is not true, and can be put right.
//!
//! The layout is that of <https://www.sqlite.org/fileformat2.html>, section 1.3. Numbers are
//! big-endian.

/// Length of the header in bytes.
pub(super) const HEADER_BYTES: usize = 100;

/// SQLite's default, which Cairn never changes.
pub(super) const PAGE_BYTES: usize = 4096;

/// What is at an offset in each file of Cairn's, and what that says.
const CONSTANTS: [(usize, &[u8], &str); 9] = [
    (0, b"SQLite format 3\0", "the words that it begins with"),
    (16, &[0x10, 0x00], "the size of a page"),
    // Bytes that each page leaves free, and how full pages may be.
    (20, &[0, 64, 32, 32], "how pages are filled"),
    (44, &[0, 0, 0, 4], "the format of its tables"),
    // The size of a cache, which is left to whoever opens the file.
    (48, &[0; 4], "the size of a cache"),
    // No page is moved at a deletion.
    (52, &[0; 4], "how pages are set free"),
    (56, &[0, 0, 0, 1], "the encoding of its texts"),
    (64, &[0; 8], "how pages are set free, or whose file it is"),
    (72, &[0; 20], "what is kept for later versions"),
];

/// What is zero as long as the first table is in the log only.
const NOT_YET: [usize; 2] = [44, 56];

/// Where the versions for writing and reading are: 1 without a log, 2 with one.
const MODES: std::ops::Range<usize> = 18..20;
/// Where changes are counted, and the count at which the size was noted.
const CHANGES: std::ops::Range<usize> = 24..28;
const SIZED_AT: std::ops::Range<usize> = 92..96;
/// Where the number of pages is.
const PAGES: std::ops::Range<usize> = 28..32;

/// What is wrong with the header, in words. `page` is the first page or the beginning of it.
pub(super) fn faults(page: &[u8]) -> Vec<&'static str> {
    let Some(header) = page.get(..HEADER_BYTES) else {
        return vec!["it is cut off"];
    };
    let mut faults: Vec<&str> = CONSTANTS
        .into_iter()
        .filter(|(at, wanted, _)| {
            let found = &header[*at..*at + wanted.len()];
            let is_new = NOT_YET.contains(at) && found.iter().all(|byte| *byte == 0);
            found != *wanted && !is_new
        })
        .map(|(_, _, what)| what)
        .collect();
    if !matches!(header[MODES], [1, 1] | [2, 2]) {
        faults.push("whether it has a log");
    }
    faults
}

/// Puts right what of the header never changes, and says that the file has `pages` pages.
pub(super) fn put_right(page: &mut [u8], pages: u32) {
    let Some(header) = page.get_mut(..HEADER_BYTES) else {
        return;
    };
    for (at, wanted, _) in CONSTANTS {
        header[at..at + wanted.len()].copy_from_slice(wanted);
    }
    header[MODES].copy_from_slice(&[1, 1]);
    header[PAGES].copy_from_slice(&pages.to_be_bytes());
    header.copy_within(CHANGES, SIZED_AT.start);
}
