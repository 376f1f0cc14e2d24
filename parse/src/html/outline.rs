//! Sections that a table of contents outside of the page names: those of a book.

use std::collections::HashMap;

use html5ever::local_name;

use super::is_heading;
use super::tree::{ROOT, Tree};
use crate::draft::Draft;

/// A place of a page that a table of contents names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The id at which it begins; `None` for the beginning of the page.
    pub(crate) id: Option<String>,
    /// Its depth in the table of contents, from 1.
    pub(crate) level: u8,
    /// What the table of contents calls it.
    pub(crate) label: String,
}

/// Opens the sections of a page where they begin.
#[derive(Default)]
pub(super) struct Outline<'a> {
    /// Places by the node that begins them.
    places: HashMap<usize, Vec<&'a Place>>,
    /// Places that were passed, and open at the next text.
    waiting: Vec<&'a Place>,
    /// Level of the last place, and how much deeper than they say headings are.
    level: u8,
    deeper: i16,
}

impl<'a> Outline<'a> {
    pub(super) fn new(tree: &Tree, places: &'a [Place]) -> Self {
        let mut outline = Self::default();
        if places.is_empty() {
            return outline;
        }
        let mut by_id: HashMap<&str, Vec<&Place>> = HashMap::new();
        for place in places {
            match &place.id {
                None => outline.waiting.push(place),
                Some(id) => by_id.entry(id).or_default().push(place),
            }
        }
        for (index, node) in tree.nodes.iter().enumerate() {
            let ids = [local_name!("id"), local_name!("name")];
            let mut ids = ids.iter().filter_map(|id| node.attribute(id));
            if let Some(places) = ids.find_map(|id| by_id.remove(id)) {
                let at = outline.places.entry(start(tree, index)).or_default();
                at.extend(places);
            }
        }
        // What the page does not have is at its beginning.
        let is_lost = |place: &&Place| place.id.as_deref().is_some_and(|id| by_id.contains_key(id));
        outline.waiting.extend(places.iter().filter(is_lost));
        outline.waiting.sort_by_key(|place| place.level);
        outline
    }

    /// The renderer comes to a node.
    pub(super) fn pass(&mut self, node: usize) {
        if let Some(places) = self.places.remove(&node) {
            self.waiting.extend(places);
        }
    }

    /// Text follows: sections that begin here open.
    pub(super) fn open(&mut self, draft: &mut Draft) {
        for place in self.waiting.drain(..) {
            draft.open_section(place.level, &place.label);
            self.level = place.level;
            self.deeper = place.level.into();
        }
    }

    /// Writes a heading, as the section that the table of contents names where it is one.
    pub(super) fn heading(&mut self, level: u8, heading: &str, draft: &mut Draft) {
        let named = self.waiting.pop_if(|place| is_same(&place.label, heading));
        self.open(draft);
        match named {
            None => {
                let deeper = i16::from(level) + self.deeper;
                let level = deeper.clamp(i16::from(self.level) + 1, u8::MAX.into());
                draft.heading(level as u8, heading);
            }
            Some(place) => {
                self.level = place.level;
                self.deeper = i16::from(place.level) - i16::from(level);
                draft.blank_line();
                let is_shorter = heading.contains(&place.label);
                let name = if is_shorter { heading } else { &place.label };
                draft.open_section(place.level, name);
                draft.push_words(heading.trim());
                draft.blank_line();
            }
        }
    }
}

/// Where a place begins: with the heading or table row around it, if it is in one.
fn start(tree: &Tree, index: usize) -> usize {
    let mut at = index;
    let mut start = index;
    while at != ROOT {
        let name = tree.nodes[at].name();
        if name.is_some_and(|name| is_heading(name) || matches!(&**name, "table")) {
            start = at;
        }
        at = tree.nodes[at].parent as usize;
    }
    start
}

/// Whether a heading says what the table of contents says.
fn is_same(label: &str, heading: &str) -> bool {
    let letters = |text: &str| -> String {
        let letters = text.chars().filter(|c| c.is_alphanumeric());
        letters.flat_map(char::to_lowercase).collect()
    };
    let (label, heading) = (letters(label), letters(heading));
    !label.is_empty()
        && !heading.is_empty()
        && (label.contains(&heading) || heading.contains(&label))
}
