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
            self.session.pack(&windows.collect::<Vec<_>>())
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
