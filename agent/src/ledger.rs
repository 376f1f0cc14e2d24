//! What was found in a run: each passage once, with the number that answers cite.

use std::collections::HashMap;

use cairn_engine::retrieve::Source;

/// Maximum passages of a run; further ones are found but not kept.
const MAX_SOURCES: usize = 200;

/// The passages of a run, numbered from 1 in the order in which they were found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    sources: Vec<Source>,
    numbers: HashMap<String, u32>,
}

impl Ledger {
    /// Keeps `source`. Returns its number and whether it is new; `None` if the ledger is full.
    pub(crate) fn add(&mut self, mut source: Source) -> Option<(u32, bool)> {
        if let Some(n) = self.numbers.get(&source.chunk_id) {
            return Some((*n, false));
        }
        if self.sources.len() >= MAX_SOURCES {
            return None;
        }
        let n = self.sources.len() as u32 + 1;
        source.n = n;
        self.numbers.insert(source.chunk_id.clone(), n);
        self.sources.push(source);
        Some((n, true))
    }

    /// Whether nothing was found.
    pub(crate) fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// The passages, by their numbers.
    pub(crate) fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// The numbers of passages that `text` cites, without those that do not exist.
    pub(crate) fn cited(&self, text: &str) -> Vec<u32> {
        let most = u32::try_from(self.sources.len()).unwrap_or(u32::MAX);
        cairn_engine::answer::check_citations(&[text], most).1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::{Part, ToolOutput};

    fn source(text: &str) -> Source {
        let output = ToolOutput::evidence("", "t:x".into(), "x".into(), text.into());
        match output.parts.into_iter().next() {
            Some(Part::Evidence(source)) => *source,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_passage_has_one_number() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.add(source("a")), Some((1, true)));
        assert_eq!(ledger.add(source("b")), Some((2, true)));
        assert_eq!(ledger.add(source("a")), Some((1, false)));
        let numbers: Vec<u32> = ledger.sources().iter().map(|source| source.n).collect();
        assert_eq!(numbers, [1, 2]);
        assert_eq!(ledger.cited("Yes [2]. No [3]."), [2]);
    }

    #[test]
    fn there_is_an_end() {
        let mut ledger = Ledger::default();
        for n in 0..MAX_SOURCES {
            assert!(ledger.add(source(&n.to_string())).is_some());
        }
        assert_eq!(ledger.add(source("more")), None);
        assert_eq!(ledger.add(source("7")), Some((8, false)));
    }
}
