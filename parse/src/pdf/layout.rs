//! One page as lines in the order of reading, with what is attached to it where
//! it belongs.

use std::collections::{HashMap, HashSet};

use super::annotations::{Annotations, Field, Link, Value};
use super::columns;
use super::glyphs::{Area, Fragment, Glyphs, Turn};

/// Stands for a wide gap inside a line until running lines are found.
pub(super) const GAP: char = '\t';
/// How far from its field a label may stand, in points.
const LABEL_DISTANCE: f32 = 300.0;
/// How far above a field its label may stand, in font sizes.
const LABEL_ABOVE: f32 = 2.0;
/// Most notes of one page that are compared with its text.
const MAX_COMPARED: usize = 200;

/// One line of a page.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Line {
    /// What it says.
    pub(super) text: String,
    /// How far down it stands; comparable on one page.
    pub(super) down: f32,
    /// Font size of its beginning.
    pub(super) size: f32,
    /// Whether it is not read in the page's usual direction.
    pub(super) is_turned: bool,
}

/// One page.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Page {
    pub(super) lines: Vec<Line>,
    /// What is attached to it, to be read after its lines.
    pub(super) notes: Vec<String>,
}

/// Puts a page together. `linked` holds texts and their addresses that earlier
/// pages have shown.
pub(super) fn compose(
    glyphs: &Glyphs,
    mut attached: Annotations,
    linked: &mut HashSet<(String, String)>,
) -> Page {
    let mut inserts = Inserts::default();
    let mut notes = Vec::new();
    link(glyphs, &attached.links, linked, &mut inserts);
    // In reading order, so that several values behind one label stay in order.
    let fields = &mut attached.fields;
    fields.sort_by(|a, b| {
        let rows = b.area.top.total_cmp(&a.area.top);
        rows.then(a.area.left.total_cmp(&b.area.left))
    });
    for field in fields.iter() {
        notes.extend(fill_in(glyphs, field, &mut inserts));
    }
    let texts: Vec<String> = glyphs
        .fragments
        .iter()
        .map(|fragment| inserts.text(glyphs, fragment))
        .collect();
    let lines: Vec<Line> = columns::in_reading_order(&glyphs.fragments, &texts)
        .into_iter()
        .map(|numbers| line(&numbers, &glyphs.fragments, &texts))
        .collect();
    notes.extend(unsaid(attached.notes, &lines));
    Page {
        lines: upright(lines, &glyphs.fragments),
        notes,
    }
}

fn line(numbers: &[usize], fragments: &[Fragment], texts: &[String]) -> Line {
    let first = &fragments[numbers[0]];
    let mut text = String::new();
    for &number in numbers {
        if !text.is_empty() {
            text.push(GAP);
        }
        text.push_str(texts[number].trim_end());
    }
    Line {
        text,
        down: -first.base,
        size: first.size,
        is_turned: first.turn != Turn(0),
    }
}

/// Marks the lines that are not read in the direction of most of the page.
fn upright(mut lines: Vec<Line>, fragments: &[Fragment]) -> Vec<Line> {
    let mut lengths: HashMap<u16, usize> = HashMap::new();
    for fragment in fragments {
        *lengths.entry(fragment.turn.0).or_default() += fragment.glyphs.len();
    }
    let usual = lengths
        .iter()
        .max_by_key(|(turn, length)| (**length, **turn));
    // Lines know only whether they are turned at all, which is enough: pages
    // that mix two turned directions have no running lines worth finding.
    if usual.is_some_and(|(&turn, _)| turn != 0) {
        for line in &mut lines {
            line.is_turned = !line.is_turned;
        }
    }
    lines
}

/// Text that goes before or after a glyph.
#[derive(Default)]
struct Inserts {
    before: HashMap<usize, String>,
    after: HashMap<usize, String>,
}

impl Inserts {
    fn before(&mut self, glyph: usize, text: &str) {
        self.before.entry(glyph).or_default().push_str(text);
    }

    fn after(&mut self, glyph: usize, text: &str) {
        self.after.entry(glyph).or_default().push_str(text);
    }

    fn text(&self, glyphs: &Glyphs, fragment: &Fragment) -> String {
        let mut text = String::with_capacity(fragment.glyphs.len());
        let is_plain = self.before.is_empty() && self.after.is_empty();
        for (at, glyph) in glyphs.all[fragment.glyphs.clone()].iter().enumerate() {
            let at = fragment.glyphs.start + at;
            if !is_plain && let Some(insert) = self.before.get(&at) {
                text.push_str(insert);
            }
            // A tab of the file's own is a space like others.
            text.push(if glyph.char == GAP { ' ' } else { glyph.char });
            if !is_plain && let Some(insert) = self.after.get(&at) {
                text.push_str(insert);
            }
        }
        text
    }
}

/// The glyphs of a fragment that have a place.
fn inked<'a>(
    glyphs: &'a Glyphs,
    fragment: &'a Fragment,
) -> impl DoubleEndedIterator<Item = (usize, char, Area)> + 'a {
    let numbers = fragment.glyphs.clone();
    numbers.filter_map(|at| {
        let glyph = glyphs.all[at];
        Some((at, glyph.char, glyph.area?))
    })
}

/// Writes addresses behind the texts that link to them, where they say more
/// than the text.
fn link(
    glyphs: &Glyphs,
    links: &[Link],
    linked: &mut HashSet<(String, String)>,
    inserts: &mut Inserts,
) {
    let mut rest = links;
    while let Some(first) = rest.first() {
        // A link over several lines is several links to one address.
        let parts = rest.iter().take_while(|link| link.address == first.address);
        let (run, others) = rest.split_at(parts.count());
        rest = others;
        let mut text = String::new();
        let mut last = None;
        for fragment in &glyphs.fragments {
            for part in run.iter().filter(|part| reaches(part, fragment)) {
                for (at, c, area) in inked(glyphs, fragment) {
                    if part.area.holds(&area) {
                        text.push(c);
                        last = Some(at);
                    }
                }
            }
        }
        let Some(last) = last else { continue };
        if says(&text, &first.address) || !linked.insert((text, first.address.clone())) {
            continue;
        }
        inserts.after(last, &format!(" ({})", first.address));
    }
}

fn reaches(link: &Link, fragment: &Fragment) -> bool {
    let seen = fragment.turn.see(&link.area);
    seen.left < fragment.right
        && fragment.left < seen.right
        && seen.bottom < fragment.base + fragment.size
        && fragment.base - fragment.size < seen.top
}

/// Whether the text shows the address itself.
fn says(text: &str, address: &str) -> bool {
    let bare = |text: &str| -> String {
        let lower = text.to_lowercase();
        let lower = lower
            .trim_start_matches("mailto:")
            .trim_start_matches("tel:");
        let rest = lower.split_once("://").map_or(lower, |(_, rest)| rest);
        let rest = rest.trim_start_matches("www.");
        rest.chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, '@' | '?' | '=' | '%'))
            .collect()
    };
    let (text, address) = (bare(text), bare(address));
    text.contains(&address)
}

/// Writes a field's value alongside its label; gives it back as a line of its own
/// where there is no label.
fn fill_in(glyphs: &Glyphs, field: &Field, inserts: &mut Inserts) -> Option<String> {
    let place = Place::of(glyphs, &field.area);
    match &field.value {
        Value::Text(text) => {
            // Some files draw the value, too.
            if squeezed(&place.inside).contains(&squeezed(text)) {
                return None;
            }
            match place.left.map(|(_, at)| at).or(place.above) {
                Some(at) => inserts.after(at, &format!(" {text}")),
                None if field.name.is_empty() => return Some(text.clone()),
                None => return Some(format!("{}: {text}", field.name)),
            }
        }
        Value::Ticked(ticked) => {
            let mark = if *ticked { "[x]" } else { "[ ]" };
            match (place.left, place.right) {
                (left, Some((distance, at))) if left.is_none_or(|(left, _)| distance < left) => {
                    inserts.before(at, &format!("{mark} "));
                }
                (Some((_, at)), _) => inserts.after(at, &format!(" {mark}")),
                _ if field.name.is_empty() => return None,
                _ => return Some(format!("{}: {mark}", field.name)),
            }
        }
    }
    None
}

fn squeezed(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

/// What is printed around an area.
#[derive(Default)]
struct Place {
    /// Distance and number of the nearest glyph on its left.
    left: Option<(f32, usize)>,
    right: Option<(f32, usize)>,
    /// The last glyph of the nearest line above it.
    above: Option<usize>,
    inside: String,
}

impl Place {
    fn of(glyphs: &Glyphs, area: &Area) -> Self {
        let mut place = Self::default();
        let mut nearest_above = f32::MAX;
        for fragment in &glyphs.fragments {
            let seen = fragment.turn.see(area);
            let middle = fragment.base + 0.35 * fragment.size;
            let slack = 0.3 * fragment.size;
            if middle < seen.bottom - slack {
                continue;
            }
            if middle <= seen.top + slack {
                place.beside(glyphs, fragment, &seen);
                continue;
            }
            let rise = middle - seen.top;
            let overlaps = fragment.left < seen.right && seen.left < fragment.right;
            if overlaps && rise < LABEL_ABOVE * fragment.size && rise < nearest_above {
                nearest_above = rise;
                place.above = inked(glyphs, fragment).last().map(|(at, ..)| at);
            }
        }
        place
    }

    /// Looks at a fragment on the same line.
    fn beside(&mut self, glyphs: &Glyphs, fragment: &Fragment, area: &Area) {
        let middle = (area.left + area.right) / 2.0;
        for (at, c, glyph) in inked(glyphs, fragment) {
            let glyph = fragment.turn.see(&glyph);
            let center = (glyph.left + glyph.right) / 2.0;
            if (area.left..=area.right).contains(&center) {
                self.inside.push(c);
            }
            // A label may reach a little into its field.
            if center < middle && glyph.right <= area.left + 2.0 {
                let distance = (area.left - glyph.right).max(0.0);
                let nearer = self.left.is_none_or(|(known, _)| distance <= known);
                if distance < LABEL_DISTANCE && nearer {
                    self.left = Some((distance, at));
                }
            } else if center > middle && glyph.left >= area.right - 2.0 {
                let distance = (glyph.left - area.right).max(0.0);
                let nearer = self.right.is_none_or(|(known, _)| distance < known);
                if distance < LABEL_DISTANCE && nearer {
                    self.right = Some((distance, at));
                }
            }
        }
    }
}

/// The notes that say more than the page and the notes before them.
fn unsaid(notes: Vec<String>, lines: &[Line]) -> Vec<String> {
    if notes.is_empty() {
        return notes;
    }
    let mut said: String = lines.iter().map(|line| squeezed(&line.text)).collect();
    let mut new = Vec::new();
    for (number, note) in notes.into_iter().enumerate() {
        let bare = squeezed(note.strip_prefix("Note: ").unwrap_or(&note));
        if number >= MAX_COMPARED || !said.contains(&bare) {
            said.push_str(&bare);
            said.push('\n');
            new.push(note);
        }
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_the_text_shows_is_not_written_again() {
        assert!(says("https://a.example/x", "https://a.example/x"));
        assert!(says("www.a.example", "http://a.example/"));
        assert!(says("ann@a.example", "mailto:ann@a.example"));
        assert!(says("a.example/ver-", "https://a.example/ver"));
        assert!(!says("the rates", "https://a.example/rates"));
        assert!(!says("a.example", "https://a.example/rates"));
    }

    #[test]
    fn notes_are_said_once() {
        let lines = [Line {
            text: "Clean the keel now".into(),
            ..Line::default()
        }];
        let notes = ["Note: the keel", "Note: new", "new", "other"].map(String::from);
        assert_eq!(unsaid(notes.into(), &lines), ["Note: new", "other"]);
    }
}
