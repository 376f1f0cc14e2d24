//! The head of the built-in model, late interaction: what a question's states and a
//! passage's, read apart, say of each other. models/train/model.py is the same in
//! torch, and trains it.
//!
//! score = mix · (cosine of the means,
//!                sum over the question's tokens of weight × best cosine with a
//!                token of the passage,
//!                best cosine of the question's mean with that of [`SPAN`] tokens in
//!                a row) + bias
//!
//! It is the log-odds of relevance, calibrated on held-out pairs of its training.
//! A token's weight is a softmax of its log idf in the training corpus plus a linear
//! term of its state; the special tokens have none.

use std::borrow::Cow;

use super::graph::Graph;
use crate::Result;
use crate::encoder::Tensors;
use crate::kernels::likeness::{BestSpan, MaxSim, Normalize};
use crate::kernels::rows::SumRows;
use crate::kernels::rows::dot_in_order;
use crate::kernels::simd::Level;

/// Tokens of a span.
pub(super) const SPAN: usize = 32;

pub(super) struct Head {
    level: Level,
    /// Floats of a state.
    width: usize,
    mix: [f32; 3],
    bias: f32,
    weigh: Vec<f32>,
    log_idf: Vec<f32>,
}

/// A question, ready to be compared.
pub(super) struct Question {
    /// States of its tokens without the special ones, of length 1.
    pub(super) rows: Vec<f32>,
    /// Their weights, which sum to 1.
    pub(super) weights: Vec<f32>,
    /// Mean of all its states, of length 1.
    pub(super) mean: Vec<f32>,
}

impl Head {
    pub(super) fn open(graph: &Graph, vocabulary: usize, width: usize) -> Result<Self> {
        let floats = |name, count| graph.get(name, &[count]).map(Cow::into_owned);
        let mix = floats("mix", 3)?;
        Ok(Self {
            level: Level::best(),
            width,
            mix: [mix[0], mix[1], mix[2]],
            bias: floats("bias", 1)?[0],
            weigh: floats("weigh", width)?,
            log_idf: floats("log_idf", vocabulary)?,
        })
    }

    /// Floats of a state.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// A question of the tokens `ids`, special ones at both ends, and their states.
    pub(super) fn question(&self, ids: &[u32], states: &[f32]) -> Question {
        let mean = self.mean(states);
        let last = ids.len().saturating_sub(1).max(1);
        let mut rows = states[self.width..last * self.width].to_vec();
        let mut weights: Vec<f32> = ids[1..last]
            .iter()
            .zip(rows.chunks_exact(self.width))
            .map(|(&id, row)| self.log_idf[id as usize] + dot_in_order(row, &self.weigh))
            .collect();
        softmax(&mut weights);
        self.normalize(&mut rows);
        Question {
            rows,
            weights,
            mean,
        }
    }

    /// How well a passage of these states answers. Its rows are used up.
    pub(super) fn score(&self, question: &Question, states: &mut [f32]) -> f32 {
        let mean = self.mean(states);
        let whole = dot_in_order(&question.mean, &mean);
        let span = self.level.run(BestSpan {
            direction: &question.mean,
            rows: states,
            span: SPAN,
        });
        self.normalize(states);
        let best = self.level.run(MaxSim {
            query: &question.rows,
            passage: states,
            width: self.width,
        });
        self.mix([whole, dot_in_order(&best, &question.weights), span])
    }

    /// The score of its three parts.
    pub(super) fn mix(&self, parts: [f32; 3]) -> f32 {
        dot_in_order(&self.mix, &parts) + self.bias
    }

    fn mean(&self, states: &[f32]) -> Vec<f32> {
        let mut sum = self.level.run(SumRows {
            rows: states,
            width: self.width,
        });
        // The sum has the direction of the mean.
        self.normalize(&mut sum);
        sum
    }

    fn normalize(&self, rows: &mut [f32]) {
        let width = self.width;
        self.level.run(Normalize { rows, width });
    }
}

/// To weights that sum to 1; none stay none.
fn softmax(logits: &mut [f32]) {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for logit in &mut *logits {
        *logit = (*logit - most).exp();
        sum += *logit;
    }
    for weight in logits {
        *weight /= sum;
    }
}
