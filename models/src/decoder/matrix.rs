//! Weights of a GGUF file, used where they lie: in the mapped file.

use std::ops::Range;
use std::sync::Arc;

use memmap2::Mmap;

use crate::kernels::quant::{Layout, Unpack};
use crate::kernels::simd::Level;

/// A matrix of `rows` outputs and `depth` inputs, row by row.
#[derive(Clone)]
pub(super) struct Matrix {
    bytes: Bytes,
    pub(super) layout: Layout,
    pub(super) rows: usize,
    pub(super) depth: usize,
}

#[derive(Clone)]
pub(super) enum Bytes {
    Mapped(Arc<Mmap>, Range<usize>),
    /// What had to be converted.
    Owned(Arc<[u8]>),
}

impl Matrix {
    /// `bytes` must hold exactly the rows; none is returned where it does not,
    /// or where rows are not made of whole blocks.
    pub(super) fn new(bytes: Bytes, layout: Layout, rows: usize, depth: usize) -> Option<Self> {
        let matrix = Self {
            bytes,
            layout,
            rows,
            depth,
        };
        let whole = depth.is_multiple_of(layout.block_weights());
        (whole && matrix.all().len() == rows * layout.row_num_bytes(depth)).then_some(matrix)
    }

    fn all(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Mapped(file, range) => &file[range.clone()],
            Bytes::Owned(bytes) => bytes,
        }
    }

    /// The bytes of some rows.
    pub(super) fn rows(&self, rows: Range<usize>) -> &[u8] {
        let row = self.layout.row_num_bytes(self.depth);
        &self.all()[rows.start * row..rows.end * row]
    }

    /// One row as floats; `out` has `depth` of them.
    pub(super) fn unpack_row(&self, row: usize, level: Level, out: &mut [f32]) {
        assert_eq!(out.len(), self.depth);
        level.run(Unpack {
            layout: self.layout,
            weights: self.rows(row..row + 1),
            depth: self.depth,
            from: 0,
            width: self.depth,
            out,
        });
    }
}

/// Some rows of one of several matrices that have the same input.
pub(super) struct Part<'a> {
    pub(super) matrix: &'a Matrix,
    pub(super) rows: Range<usize>,
    /// Where these rows start in the results of all, one after the other.
    pub(super) at: usize,
}

/// How many parts of at most `most` rows the matrices have.
pub(super) fn count_parts(matrices: &[&Matrix], most: usize) -> usize {
    matrices
        .iter()
        .map(|matrix| matrix.rows.div_ceil(most))
        .sum()
}

/// Part `at` of them; the parts of a matrix are of nearly the same size.
pub(super) fn part<'a>(matrices: &[&'a Matrix], most: usize, mut at: usize) -> Part<'a> {
    let mut start = 0;
    for &matrix in matrices {
        let parts = matrix.rows.div_ceil(most);
        if at < parts {
            let rows = at * matrix.rows / parts..(at + 1) * matrix.rows / parts;
            return Part {
                matrix,
                at: start + rows.start,
                rows,
            };
        }
        at -= parts;
        start += matrix.rows;
    }
    unreachable!("part {at} beyond the last matrix")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_all_rows_once() {
        let matrix = |rows: usize| {
            Matrix::new(Bytes::Owned(vec![0; rows * 8].into()), Layout::F32, rows, 2).unwrap()
        };
        let (a, b, c) = (matrix(10), matrix(3), matrix(17));
        let all = [&a, &b, &c];
        for most in [1, 4, 7, 100] {
            let mut next = 0;
            for at in 0..count_parts(&all, most) {
                let part = part(&all, most, at);
                assert_eq!(part.at, next);
                assert!(part.rows.len() <= most && !part.rows.is_empty());
                next += part.rows.len();
            }
            assert_eq!(next, 30);
        }
    }

    #[test]
    fn bytes_that_are_not_whole_rows_are_refused() {
        let bytes = || Bytes::Owned(vec![0; 40].into());
        assert!(Matrix::new(bytes(), Layout::Q4_1, 2, 32).is_some());
        assert!(Matrix::new(bytes(), Layout::Q4_1, 1, 32).is_none());
        assert!(Matrix::new(bytes(), Layout::Q4_1, 1, 48).is_none());
    }
}
