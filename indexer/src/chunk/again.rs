//! What the embedder read of a chunk that is stored already.

use cairn_models::{Cancel, Embedder};

use crate::{Chunk, Document, IndexSettings, Result};

use super::boundary::Boundaries;
use super::context::{context, shortened};
use super::grid::Grid;
use super::{Budget, cut_between, hash, join};

/// What of `text`, whose first byte is at `start` of its document, the chunks before it do
/// not have, which reach to `covered`.
pub(crate) fn own(text: &str, start: usize, covered: usize) -> &str {
    text.get(covered.saturating_sub(start)..).unwrap_or(text)
}

/// Most ways of dividing one chunk into windows that are tried.
const MAX_TRIED: usize = 500;

/// The inputs of a chunk and their hash, where the document is called `title` and the
/// chunks before it reach to the byte `covered`.
///
/// A window may have been cut in front of a heading, and where headings are inside a chunk
/// is not stored. So windows are tried until the hash is that of the chunk. Where none is
/// (the chunk is of another embedder, say), or it has none, they are those of a text without
/// headings.
pub(crate) fn inputs(
    title: &str,
    chunk: &Chunk,
    covered: usize,
    embedder: &dyn Embedder,
    settings: &IndexSettings,
) -> Result<(Vec<String>, [u8; 32])> {
    let budget = Budget::new(settings, embedder);
    let context = match settings.context {
        true => {
            let own = own(&chunk.text, chunk.span.start, covered);
            context(title, &chunk.heading_path, chunk.columns.as_deref(), own)
        }
        false => String::new(),
    };
    let (short, _) = shortened(&context, embedder, budget.context)?;
    let grid = Grid::new(&chunk.text, embedder, &Cancel::never())?;
    let boundaries = Boundaries::new(&grid, &Document::default());
    let read = |ends: &[usize]| {
        let mut start = 0;
        let mut inputs = Vec::with_capacity(ends.len());
        for &end in ends {
            let text = &chunk.text[grid.byte(start)..grid.byte(end)];
            inputs.push(join(short, text));
            start = end;
        }
        let hash = hash(embedder.id(), budget.window, &inputs);
        (inputs, hash)
    };
    let wanted = blake3::Hash::from_hex(&chunk.hash).ok();
    let mut tried = Vec::new();
    let mut windows = Windows {
        boundaries: &boundaries,
        end: grid.len(),
        room: budget.room(short),
        left: MAX_TRIED,
        accepts: &mut |ends: &[usize]| {
            let (inputs, hash) = read(ends);
            // Without a hash there is nothing to look for.
            let fits = wanted.is_none_or(|wanted| wanted == hash);
            if fits || tried.is_empty() {
                tried.push((inputs, hash));
            }
            fits
        },
    };
    windows.search(&mut Vec::new());
    Ok(tried.pop().unwrap_or_else(|| read(&[grid.len()])))
}

/// The ways in which a chunk can have been divided into windows.
struct Windows<'a> {
    boundaries: &'a Boundaries<'a>,
    end: usize,
    room: usize,
    /// How many more are tried.
    left: usize,
    accepts: &'a mut dyn FnMut(&[usize]) -> bool,
}

impl Windows<'_> {
    /// Tries what may follow windows with these `ends`; whether one was accepted.
    fn search(&mut self, ends: &mut Vec<usize>) -> bool {
        let start = ends.last().copied().unwrap_or(0);
        if self.end - start <= self.room {
            if self.left == 0 {
                return false;
            }
            self.left -= 1;
            ends.push(self.end);
            let is_accepted = (self.accepts)(ends);
            ends.pop();
            return is_accepted;
        }
        let (from, to) = cut_between(start, self.end, self.room);
        let plain = self.boundaries.cut(start, from, to, 0);
        let headings = self.boundaries.line_starts(from.max(start + 1), to);
        let headings: Vec<usize> = headings.filter(|&token| token != plain).collect();
        for end in std::iter::once(plain).chain(headings) {
            ends.push(end);
            let is_accepted = self.search(ends);
            ends.pop();
            if is_accepted || self.left == 0 {
                return is_accepted;
            }
        }
        false
    }
}
