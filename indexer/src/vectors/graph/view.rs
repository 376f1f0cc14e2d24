//! A graph as it is in a mapped file.

use crate::vectors::format::{Layout, LevelLayout};

/// One level: compressed lists of neighbours.
#[derive(Clone, Copy)]
pub(in super::super) struct LevelView<'a> {
    /// Row of each place; empty on level 0, where both are the same.
    rows: &'a [u32],
    offsets: &'a [u32],
    neighbours: &'a [u32],
}

impl<'a> LevelView<'a> {
    fn new(map: &'a [u8], layout: &LevelLayout) -> Self {
        Self {
            rows: bytemuck::cast_slice(&map[layout.rows.clone()]),
            offsets: bytemuck::cast_slice(&map[layout.offsets.clone()]),
            neighbours: bytemuck::cast_slice(&map[layout.neighbours.clone()]),
        }
    }

    /// The neighbours of a place; empty if the file names none.
    #[inline]
    pub(super) fn neighbours(&self, place: u32) -> &'a [u32] {
        let place = place as usize;
        match self.offsets.get(place..place + 2) {
            Some(&[start, end]) => self
                .neighbours
                .get(start as usize..end as usize)
                .unwrap_or_default(),
            _ => &[],
        }
    }

    /// The row at a place.
    pub(super) fn row(&self, place: u32) -> Option<u32> {
        if self.rows.is_empty() {
            return Some(place);
        }
        self.rows.get(place as usize).copied()
    }

    /// The place of a row.
    pub(super) fn place(&self, row: u32) -> Option<u32> {
        if self.rows.is_empty() {
            return Some(row);
        }
        self.rows.binary_search(&row).ok().map(|place| place as u32)
    }

    /// Whether every list is in the file and names only places of the level,
    /// and the rows ascend and exist.
    fn is_sound(&self, rows: usize) -> bool {
        let places = self.offsets.len().saturating_sub(1);
        let ends = self.offsets.first() == Some(&0)
            && self.offsets.last().map(|end| *end as usize) == Some(self.neighbours.len());
        ends && self.offsets.windows(2).all(|pair| pair[0] <= pair[1])
            && self
                .neighbours
                .iter()
                .all(|place| (*place as usize) < places)
            && self.rows.windows(2).all(|pair| pair[0] < pair[1])
            && self.rows.last().is_none_or(|last| (*last as usize) < rows)
    }
}

/// A whole graph with the codes of its vectors.
pub(in super::super) struct GraphView<'a> {
    /// Lowest first.
    pub(super) levels: Vec<LevelView<'a>>,
    pub(super) codes: &'a [i8],
    pub(super) scales: &'a [f32],
    pub(super) dimension: usize,
    pub(super) rows: usize,
}

impl<'a> GraphView<'a> {
    /// The graph in a file whose header was read as `layout`.
    pub(in super::super) fn new(map: &'a [u8], layout: &Layout) -> Self {
        let levels = layout.levels.iter();
        Self {
            levels: levels.map(|level| LevelView::new(map, level)).collect(),
            codes: bytemuck::cast_slice(&map[layout.codes.clone()]),
            scales: bytemuck::cast_slice(&map[layout.scales.clone()]),
            dimension: layout.dimension,
            rows: layout.rows,
        }
    }

    /// Whether it can be walked without leaving it.
    pub(in super::super) fn is_sound(&self) -> bool {
        self.levels.iter().all(|level| level.is_sound(self.rows))
    }

    /// The code and the scale of a row.
    #[inline]
    pub(super) fn code(&self, row: u32) -> Option<(&'a [i8], f32)> {
        let start = row as usize * self.dimension;
        let code = self.codes.get(start..start + self.dimension)?;
        Some((code, *self.scales.get(row as usize)?))
    }
}
