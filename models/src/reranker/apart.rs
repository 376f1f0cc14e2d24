//! A built-in model as one that reads passages without their question.

use std::sync::Arc;

use super::builtin::Builtin;
use super::own::OwnSession;
use super::pairs::{Pairs, PassageWindows};
use super::states::Window;
use crate::{Cancel, Effort, LateInteraction, MIN_READABLE_SHARE, Result};

pub(super) struct Apart {
    pub(super) model: &'static Builtin,
    pub(super) session: OwnSession,
    pub(super) pairs: Arc<Pairs>,
}

impl Apart {
    fn windows(&self, (title, text): &(&str, &str)) -> Result<PassageWindows> {
        match self.pairs.readable_share(text)? {
            share if share < MIN_READABLE_SHARE => Ok(PassageWindows::default()),
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
        let PassageWindows { ids, title } = self.pairs.windows("", passage)?;
        let windows: Vec<&[u32]> = ids.iter().map(|ids| &ids[..]).collect();
        let states = self.session.read(&windows, Effort::Full, &never)?;
        let packing = self.session.packing();
        let window = |(at, (ids, states)): (usize, (&Vec<u32>, Vec<f32>))| {
            let window = Window {
                ids,
                states: &states,
                title,
            };
            let kept = packing.kept(at, &window).collect();
            (states, kept)
        };
        Ok(Unpacked {
            width: packing.width(),
            question,
            weights,
            windows: ids.iter().zip(states).enumerate().map(window).collect(),
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
        let passages: Vec<PassageWindows> = passages
            .iter()
            .map(|it| self.windows(it))
            .collect::<Result<_>>()?;
        let windows = passages.iter().flat_map(|passage| &passage.ids);
        let windows: Vec<&[u32]> = windows.map(|ids| &ids[..]).collect();
        let mut states = self.session.read(&windows, effort, cancel)?.into_iter();
        let mut pack = |passage: &PassageWindows| {
            let states: Vec<Vec<f32>> = states.by_ref().take(passage.ids.len()).collect();
            let windows = passage.ids.iter().zip(&states).map(|(ids, states)| Window {
                ids,
                states,
                title: passage.title,
            });
            self.session.packing().pack(&windows.collect::<Vec<_>>())
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
