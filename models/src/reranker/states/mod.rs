//! What is stored of a passage that was read, and how a question is compared with it.
//!
//! A state has 384 floats, and a full chunk 550 of them: 800 KB. Three things make that 6 KB,
//! and change no ranking beyond noise (docs/notes/retrieval.md has the table):
//!
//! - **Fewer dimensions.** A question asks for dot products only. Of all maps into 192
//!   dimensions, one for questions and another one for passages, those are taken that keep
//!   the products of a training set's questions and passages best (models/train/pack.py).
//! - **Fewer bits.** One a dimension for tokens and four for sums of tokens, each between
//!   the levels that lose least of a normal distribution.
//! - **Fewer rows.** Punctuation and the commonest words are not stored, and a title that
//!   stands before every window is stored once. Spans begin at every sixteenth token.
//!
//! What the maps lose makes all three parts of the score smaller; a straight line for each,
//! through the training set's pairs, makes up for it, so that scores stay log-odds.

mod bits;
mod weights;

use std::collections::HashSet;

use tokenizers::Tokenizer;

use self::bits::{FOUR_BITS, ONE_BIT};
use self::weights::Weights;
use super::builtin::Builtin;
use super::late::{Question, SPAN};
use crate::Result;
use crate::kernels::likeness::{MaxSim, Normalize};
use crate::kernels::project::Project;
use crate::kernels::rows::SumRows;
use crate::kernels::rows::dot_in_order;
use crate::kernels::simd::Level;

/// Dimensions of a packed state.
const DIMENSIONS: usize = 192;

/// Tokens between the beginnings of two spans.
const STRIDE: usize = 16;

/// Bytes of a token's state, and of a sum of states.
const ROW_BYTES: usize = DIMENSIONS / 8;
const SUM_BYTES: usize = DIMENSIONS / 2;

/// Numbers of rows and of spans, before everything else.
const HEAD_BYTES: usize = 4;

/// Words of which a passage's states say little, whatever it is about.
const COMMON_WORDS: &str = "the a an of to in and is that for it as was with be by on not he his \
                            but at are this have from or had were they which one you their has \
                            her she will would there been if all who its";

/// Packs passages and compares questions.
pub(super) struct Packing {
    level: Level,
    /// Floats of a state.
    width: usize,
    weights: Weights,
    /// Tokens that are not stored.
    skipped: HashSet<u32>,
}

/// One window of a passage as it was read.
pub(super) struct Window<'a> {
    /// Its tokens, special ones among them.
    pub(super) ids: &'a [u32],
    /// `[tokens, width]`.
    pub(super) states: &'a [f32],
    /// Tokens from the second one on that are the title.
    pub(super) title: usize,
}

/// A question in the space of packed states.
pub(super) struct Asked {
    /// Its tokens, times the scale of each dimension.
    rows: Vec<f32>,
    /// What each of them counts.
    token_weights: Vec<f32>,
    /// Its mean, times the scale of each dimension of sums.
    mean: Vec<f32>,
    /// Its mean's product with what all sums have in common.
    common: f32,
}

impl Packing {
    /// Of a built-in model, whose states have `width` floats and whose tokens are those of
    /// `tokenizer`.
    pub(super) fn open(model: &Builtin, width: usize, tokenizer: &Tokenizer) -> Result<Self> {
        let weights = Weights::read(model.packing, width)?;
        let vocabulary = tokenizer.get_vocab(false);
        let common: HashSet<&str> = COMMON_WORDS.split_ascii_whitespace().collect();
        let says_little = |word: &str| {
            let bare = word.trim_start_matches("##");
            common.contains(word) || !bare.chars().any(char::is_alphanumeric)
        };
        let skipped = vocabulary.into_iter().filter(|(word, _)| says_little(word));
        Ok(Self {
            level: Level::best(),
            width,
            weights,
            skipped: skipped.map(|(_, id)| id).collect(),
        })
    }

    /// Which tokens of the window at place `at` are stored.
    pub(super) fn kept(&self, at: usize, window: &Window<'_>) -> impl Iterator<Item = bool> {
        let repeated = if at == 0 { 0..0 } else { 1..1 + window.title };
        let ids = window.ids.iter().enumerate();
        ids.map(move |(token, id)| !self.skipped.contains(id) && !repeated.contains(&token))
    }

    /// The packed states of a passage; none of one without windows.
    pub(super) fn pack(&self, windows: &[Window<'_>]) -> Vec<u8> {
        let (mut rows, mut spans, mut means) = (Vec::new(), Vec::new(), Vec::new());
        for (at, window) in windows.iter().enumerate() {
            let kept = self.kept(at, window);
            let kept = window.states.chunks_exact(self.width).zip(kept);
            rows.extend(kept.filter(|(_, kept)| *kept).flat_map(|(row, _)| row));
            spans.extend(self.spans(window.states));
            means.extend(self.sum(window.states));
        }
        let num_rows = (rows.len() / self.width).min(usize::from(u16::MAX));
        let num_spans = (spans.len() / self.width).min(usize::from(u16::MAX));
        if num_spans == 0 {
            return Vec::new();
        }
        let mut packed =
            Vec::with_capacity(HEAD_BYTES + num_rows * ROW_BYTES + (1 + num_spans) * SUM_BYTES);
        packed.extend((num_rows as u16).to_le_bytes());
        packed.extend((num_spans as u16).to_le_bytes());
        // Sums have the directions of means, and only those count.
        let whole = self.sum(&self.normalized(means));
        let sums = self.projected([whole, spans].concat());
        let rows = self.projected(rows);
        let w = &self.weights;
        for row in sums.chunks_exact(DIMENSIONS).take(1 + num_spans) {
            FOUR_BITS.pack(row, Some(&w.sum_means), &w.sum_scales, &mut packed);
        }
        for row in rows.chunks_exact(DIMENSIONS).take(num_rows) {
            ONE_BIT.pack(row, None, &w.row_scales, &mut packed);
        }
        packed
    }

    /// A question, ready to be compared.
    pub(super) fn ask(&self, question: &Question) -> Asked {
        let axes = &self.weights.question;
        let project = |rows: &[f32]| {
            let width = self.width;
            self.level.run(Project { rows, axes, width })
        };
        let scaled = |mut rows: Vec<f32>, scales: &[f32]| {
            for row in rows.chunks_exact_mut(DIMENSIONS) {
                row.iter_mut()
                    .zip(scales)
                    .for_each(|(x, scale)| *x *= scale);
            }
            rows
        };
        let mean = project(&question.mean);
        Asked {
            rows: scaled(project(&question.rows), &self.weights.row_scales),
            token_weights: question.weights.clone(),
            common: dot_in_order(&mean, &self.weights.sum_means),
            mean: scaled(mean, &self.weights.sum_scales),
        }
    }

    /// The three parts of the score, see [`super::late`]; `None` if `packed` is not what
    /// [`Packing::pack`] gives of a passage with tokens.
    pub(super) fn compare(&self, asked: &Asked, packed: &[u8]) -> Option<[f32; 3]> {
        let (head, rest) = packed.split_at_checked(HEAD_BYTES)?;
        let num_rows = usize::from(u16::from_le_bytes([head[0], head[1]]));
        let num_spans = usize::from(u16::from_le_bytes([head[2], head[3]]));
        let (sums, rows) = rest.split_at_checked((1 + num_spans) * SUM_BYTES)?;
        if num_spans == 0 || rows.len() != num_rows * ROW_BYTES {
            return None;
        }
        let sums = FOUR_BITS.unpack(sums);
        let mut cosines = sums
            .chunks_exact(DIMENSIONS)
            .map(|sum| asked.common + dot_in_order(sum, &asked.mean));
        let whole = cosines.next()?;
        let span = cosines.fold(f32::NEG_INFINITY, f32::max);
        let best = self.level.run(MaxSim {
            query: &asked.rows,
            passage: &ONE_BIT.unpack(rows),
            width: DIMENSIONS,
        });
        let tokens = match num_rows {
            0 => 0.0,
            _ => dot_in_order(&best, &asked.token_weights),
        };
        let [a, b, c] = self.weights.lines;
        let on = |[slope, offset]: [f32; 2], part: f32| slope * part + offset;
        Some([on(a, whole), on(b, tokens), on(c, span)])
    }

    fn sum(&self, states: &[f32]) -> Vec<f32> {
        let width = self.width;
        self.level.run(SumRows {
            rows: states,
            width,
        })
    }

    /// Sums of the spans of one window: at every [`STRIDE`]th token, and the last one.
    fn spans(&self, states: &[f32]) -> Vec<f32> {
        let tokens = states.len() / self.width;
        if tokens == 0 {
            return Vec::new();
        }
        let last = tokens.saturating_sub(SPAN);
        let starts = (0..last).step_by(STRIDE).chain([last]);
        starts
            .flat_map(|start| {
                let end = (start + SPAN).min(tokens);
                self.sum(&states[start * self.width..end * self.width])
            })
            .collect()
    }

    /// Rows of length 1.
    fn normalized(&self, mut rows: Vec<f32>) -> Vec<f32> {
        self.level.run(Normalize {
            rows: &mut rows,
            width: self.width,
        });
        rows
    }

    /// Rows of length 1 in the space of packed passages.
    fn projected(&self, rows: Vec<f32>) -> Vec<f32> {
        self.level.run(Project {
            rows: &self.normalized(rows),
            axes: &self.weights.passage,
            width: self.width,
        })
    }
}
