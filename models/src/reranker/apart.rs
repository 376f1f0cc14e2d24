//! A built-in model as one that reads passages without their question.

use std::sync::Arc;

use super::builtin::Builtin;
use super::own::OwnSession;
use super::pairs::{Pairs, PassageWindow};
use super::states::Window;
use crate::{Cancel, Effort, LateInteraction, MIN_READABLE_SHARE, Result};

pub(super) struct Apart {
    pub(super) model: &'static Builtin,
    pub(super) session: OwnSession,
    pub(super) pairs: Arc<Pairs>,
}

impl Apart {
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
        let packing = self.session.packing();
        let windows = windows(&passage, &states).into_iter().enumerate();
        let kept = windows.map(|(at, window)| packing.kept(at, &window).collect());
        let kept: Vec<Vec<bool>> = kept.collect();
        Ok(Unpacked {
            width: packing.width(),
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
        let packing = self.session.packing();
        let mut pack = |passage: &Vec<PassageWindow>| {
            let states: Vec<Vec<f32>> = states.by_ref().take(passage.len()).collect();
            packing.pack(&windows(passage, &states))
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
        self.session.compare(&question, states, cancel)
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
