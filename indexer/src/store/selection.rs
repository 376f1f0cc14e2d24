//! A set of chunks of one snapshot, as bits.

use std::ops::Range;

use super::ChunkRef;

/// The chunks of a snapshot that a filter and a caller's labels leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    words: Vec<u64>,
    len: usize,
}

impl Selection {
    /// The union of ranges of chunks, which do not overlap.
    pub(crate) fn from_ranges(chunks: usize, ranges: impl Iterator<Item = Range<u32>>) -> Self {
        let mut words = vec![0_u64; chunks.div_ceil(64)];
        let mut len = 0;
        for range in ranges {
            len += range.len();
            let (mut at, end) = (range.start as usize, range.end as usize);
            while at < end {
                let (word, bit) = (at / 64, at % 64);
                let count = (64 - bit).min(end - at);
                words[word] |= (u64::MAX >> (64 - count)) << bit;
                at += count;
            }
        }
        Self { words, len }
    }

    /// Takes `chunk` out.
    pub(crate) fn remove(&mut self, chunk: ChunkRef) {
        if self.contains(chunk) {
            self.words[chunk.0 as usize / 64] &= !(1 << (chunk.0 % 64));
            self.len -= 1;
        }
    }

    /// Chunks in it.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether `chunk` is in it.
    pub fn contains(&self, chunk: ChunkRef) -> bool {
        let at = chunk.0 as usize;
        self.words
            .get(at / 64)
            .is_some_and(|word| word >> (at % 64) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_the_ranges_hold() {
        let ranges = [0..3, 60..70, 128..192, 199..200];
        let selection = Selection::from_ranges(200, ranges.iter().cloned());
        for chunk in 0..300 {
            let expected = ranges.iter().any(|range| range.contains(&chunk));
            assert_eq!(selection.contains(ChunkRef(chunk)), expected, "{chunk}");
        }
        assert_eq!(selection.len(), 3 + 10 + 64 + 1);
        assert!(Selection::from_ranges(0, std::iter::empty()).is_empty());
    }
}
