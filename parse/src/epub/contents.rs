//! The table of contents of a book: EPUB 3's navigation page, or EPUB 2's NCX.

use std::collections::{HashMap, HashSet};

use super::resolve;
use crate::Result;
use crate::html::Place;
use crate::xml::{self, Xml};

/// What a table of contents says.
#[derive(Default)]
pub(super) struct Contents {
    /// Places by the file that they are in, in order.
    pub(super) places: HashMap<String, Vec<Place>>,
    /// Files that are a table of contents themselves.
    pub(super) lists: HashSet<String>,
}

impl Contents {
    /// Reads `text`, the file at `path`. One that cannot be read says what stands before
    /// its error.
    pub(super) fn read(path: &str, text: &str) -> Self {
        let mut reader = Reader {
            path,
            found: Self::default(),
            depth: 0,
            in_list: false,
            in_landmarks: false,
            label: String::new(),
            target: None,
        };
        // A book without a readable table of contents is still a book.
        let _ = xml::read(text, "EPUB", |event| reader.event(event));
        reader.found
    }
}

struct Reader<'a> {
    path: &'a str,
    found: Contents,
    /// Depth of lists, or of points of an NCX.
    depth: u8,
    /// Inside the navigation that is the table of contents.
    in_list: bool,
    in_landmarks: bool,
    label: String,
    target: Option<String>,
}

impl Reader<'_> {
    fn event(&mut self, event: Xml<'_>) -> Result<()> {
        match event {
            Xml::Start("nav", attributes) => {
                let kind = attributes.get("type").or(attributes.get("role"));
                let is = |wanted: &str| {
                    let mut words = kind.iter().flat_map(|kind| kind.split_whitespace());
                    words.any(|word| word.trim_start_matches("doc-") == wanted)
                };
                self.in_landmarks = is("landmarks");
                // Others list pages, pictures and landmarks.
                self.in_list = is("toc") || kind.is_none();
                self.depth = 0;
            }
            Xml::End("nav") => (self.in_list, self.in_landmarks) = (false, false),
            Xml::Start("ol", _) | Xml::Start("navPoint", _) => {
                self.depth = self.depth.saturating_add(1);
            }
            Xml::End("ol" | "navPoint") => self.depth = self.depth.saturating_sub(1),
            Xml::Start("a", attributes) => {
                self.label.clear();
                self.target = attributes.get("href");
                if self.in_landmarks && attributes.get("type").as_deref() == Some("toc") {
                    let list = self.target.take();
                    self.found
                        .lists
                        .extend(list.map(|href| resolve(self.path, &href)));
                }
            }
            Xml::End("a") => {
                if let Some(target) = self.target.take().filter(|_| self.in_list) {
                    self.add(&target);
                }
            }
            Xml::Start("navLabel", _) => self.label.clear(),
            // Points are chapters; pages have targets.
            Xml::Start("content", attributes) if self.depth > 0 => {
                if let Some(target) = attributes.get("src") {
                    self.add(&target);
                }
            }
            Xml::Text(text) => self.label.push_str(&text),
            _ => {}
        }
        Ok(())
    }

    fn add(&mut self, target: &str) {
        let label = self.label.trim();
        if label.is_empty() {
            return;
        }
        let id = target
            .split_once('#')
            .map(|(_, id)| super::percent_decode(id));
        let places = self
            .found
            .places
            .entry(resolve(self.path, target))
            .or_default();
        places.push(Place {
            id: id.filter(|id| !id.is_empty()),
            level: self.depth.max(1),
            label: label.to_owned(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(text: &str) -> Vec<(Option<String>, u8, String)> {
        let mut contents = Contents::read("t/nav.xhtml", text);
        let places = contents.places.remove("t/a.xhtml").unwrap_or_default();
        let parts = |place: Place| (place.id, place.level, place.label);
        places.into_iter().map(parts).collect()
    }

    fn place(id: &str, level: u8, label: &str) -> (Option<String>, u8, String) {
        (
            Some(id.to_owned()).filter(|id| !id.is_empty()),
            level,
            label.to_owned(),
        )
    }

    #[test]
    fn navigation_pages_nest() {
        let nav = "<html><body><h1>Contents</h1><nav epub:type='toc'><ol><li><a href='a.xhtml'>One <i>and</i></a>\
            <ol><li><a href='a.xhtml#x%20y'>Two</a></li></ol></li><li><span>Part</span><ol><li>\
            <a href='../t/a.xhtml#z'>Three &amp; more</a></li></ol></li><li><a href='a.xhtml#q'> </a></li></ol></nav>\
            <nav epub:type='page-list'><ol><li><a href='a.xhtml#p1'>1</a></li></ol></nav></body></html>";
        assert_eq!(
            places(nav),
            [
                place("", 1, "One and"),
                place("x y", 2, "Two"),
                place("z", 2, "Three & more")
            ]
        );
    }

    #[test]
    fn points_of_an_ncx_nest_and_pages_do_not_count() {
        let ncx = "<ncx><navMap><navPoint><navLabel><text>One</text></navLabel><content src='a.xhtml'/>\
            <navPoint><navLabel><text>Two</text></navLabel><content src='a.xhtml#b'/></navPoint></navPoint></navMap>\
            <pageList><pageTarget><navLabel><text>9</text></navLabel><content src='a.xhtml#p'/></pageTarget></pageList></ncx>";
        assert_eq!(places(ncx), [place("", 1, "One"), place("b", 2, "Two")]);
    }

    #[test]
    fn landmarks_name_lists_and_damage_ends_the_reading() {
        let nav = "<nav epub:type='landmarks'><ol><li><a epub:type='toc' href='toc.xhtml#x'>Contents</a></li></ol></nav>\
            <nav><ol><li><a href='a.xhtml'>One</a></li></ol></nav><nav><ol><li></nav>";
        assert_eq!(places(nav), [place("", 1, "One")]);
        assert!(
            Contents::read("t/nav.xhtml", nav)
                .lists
                .contains("t/toc.xhtml")
        );
    }
}
