//! A set of rows of one segment.

/// A bit for each row of one segment: the rows that may be returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowSet {
    words: Vec<u64>,
    len: usize,
}

impl RowSet {
    /// The rows below `rows` for which `contains` is true.
    pub fn from_fn(rows: usize, mut contains: impl FnMut(u32) -> bool) -> Self {
        let mut words = vec![0_u64; rows.div_ceil(64)];
        let mut len = 0;
        for row in 0..rows {
            if contains(row as u32) {
                words[row / 64] |= 1 << (row % 64);
                len += 1;
            }
        }
        Self { words, len }
    }

    /// Rows in it.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no row is in it.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether `row` is in it.
    pub fn contains(&self, row: u32) -> bool {
        self.words
            .get(row as usize / 64)
            .is_some_and(|word| word >> (row % 64) & 1 == 1)
    }

    /// Its rows, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().enumerate().flat_map(|(index, &word)| {
            let mut rest = word;
            std::iter::from_fn(move || {
                let bit = rest.trailing_zeros();
                rest &= rest.checked_sub(1)?;
                Some(index as u32 * 64 + bit)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_it_was_given() {
        let set = RowSet::from_fn(200, |row| row % 63 == 0);
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 63, 126, 189]);
        assert_eq!(set.len(), 4);
        assert!(set.contains(126) && !set.contains(127) && !set.contains(10_000));
        assert!(RowSet::from_fn(0, |_| true).is_empty());
    }
}
