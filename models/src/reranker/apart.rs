//! A built-in model as one that reads passages without their question.

use std::sync::Arc;

use rayon::prelude::*;

use super::builtin::Builtin;
use super::late_interaction::LateInteractionSession;
use super::pairs::{Pairs, PassageWindow};
use super::states::{Packing, Window};
use crate::{Cancel, Effort, LateInteraction, MIN_READABLE_SHARE, Result};

/// Passages that one thread compares: fewer are not worth a second one.
const COMPARED_TOGETHER: usize = 8;

pub(super) struct Apart {
    model: &'static Builtin,
    pub(super) session: LateInteractionSession,
    pairs: Arc<Pairs>,
    packing: Packing,
}

impl Apart {
    pub(super) fn new(
        model: &'static Builtin,
        session: LateInteractionSession,
        pairs: Arc<Pairs>,
    ) -> Result<Self> {
        Ok(Self {
            packing: Packing::open(model, session.head.width(), pairs.tokenizer())?,
            model,
            session,
            pairs,
        })
    }

    fn windows(&self, (title, text): &(&str, &str)) -> Result<Vec<PassageWindow>> {
        match self.pairs.readable_share(text)? {
            share if share < MIN_READABLE_SHARE => Ok(Vec::new()),
            _ => self.pairs.windows(title, text),
        }
    }
}

/// What a model makes of a question and a passage, unpacked: what packing is measured on.
#[derive(Clone, Debug)]
pub struct Unpacked {
    /// Floats of a state.
    pub width: usize,
    /// The question's states, special tokens among them: `[tokens, width]`.
    pub question: Vec<f32>,
    /// What each of the question's tokens but the special ones counts.
    pub weights: Vec<f32>,
    /// The states of each window of the passage, and which of its tokens are stored.
    pub windows: Vec<(Vec<f32>, Vec<bool>)>,
}

impl Apart {
    pub(super) fn unpacked(&self, question: &str, passage: &str) -> Result<Unpacked> {
        let never = Cancel::never();
        let (question, weights) = self
            .session
            .question(&self.pairs.question(question)?, &never)?;
        let passage = self.pairs.windows("", passage)?;
        let ids: Vec<&[u32]> = passage.iter().map(|window| &window.ids[..]).collect();
        let states = self.session.read(&ids, Effort::Full, &never)?;
        let windows = windows(&passage, &states).into_iter().enumerate();
        let kept = windows.map(|(at, window)| self.packing.kept(at, &window).collect());
        let kept: Vec<Vec<bool>> = kept.collect();
        Ok(Unpacked {
            width: self.session.head.width(),
            question,
            weights,
            windows: states.into_iter().zip(kept).collect(),
        })
    }
}

impl LateInteraction for Apart {
    fn states_id(&self) -> &str {
        self.model.states_id
    }

    fn read_passages(
        &self,
        passages: &[(&str, &str)],
        effort: Effort,
        cancel: &Cancel,
    ) -> Result<Vec<Vec<u8>>> {
        let passages: Vec<Vec<PassageWindow>> = passages
            .iter()
            .map(|it| self.windows(it))
            .collect::<Result<_>>()?;
        let ids: Vec<&[u32]> = passages
            .iter()
            .flatten()
            .map(|window| &window.ids[..])
            .collect();
        let mut states = self.session.read(&ids, effort, cancel)?.into_iter();
        let mut pack = |passage: &Vec<PassageWindow>| {
            let states: Vec<Vec<f32>> = states.by_ref().take(passage.len()).collect();
            self.packing.pack(&windows(passage, &states))
        };
        Ok(passages.iter().map(&mut pack).collect())
    }

    fn compare(
        &self,
        question: &str,
        states: &[&[u8]],
        cancel: &Cancel,
    ) -> Result<Vec<Option<f32>>> {
        cancel.check()?;
        let question = self.pairs.question(question)?;
        let asked = self.session.ask(&question, cancel)?;
        cancel.check()?;
        let asked = self.packing.ask(&asked.question);
        let score = |states: &&[u8]| {
            let parts = self.packing.compare(&asked, states)?;
            Some(self.session.head.mix(parts))
        };
        let states = states.par_iter().with_min_len(COMPARED_TOGETHER);
        Ok(self.session.pool.install(|| states.map(score).collect()))
    }
}

fn windows<'a>(passage: &'a [PassageWindow], states: &'a [Vec<f32>]) -> Vec<Window<'a>> {
    let windows = passage.iter().zip(states);
    let window = |(window, states): (&'a PassageWindow, &'a Vec<f32>)| Window {
        ids: &window.ids,
        states,
        title: window.title,
    };
    windows.map(window).collect()
}
