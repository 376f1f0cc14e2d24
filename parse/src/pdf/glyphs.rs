//! What pdfium knows of the characters on a page, cut into fragments: runs of
//! characters on one line that no wide gap divides.

use pdfium_render::prelude::{PdfPage, PdfPageText, PdfPageTextChar, PdfPageTextChars, PdfRect};

/// A gap of more than this many font sizes may be the space between two columns.
const WIDE_GAP: f32 = 0.9;
/// Height of a capital letter in font sizes, for fonts that do not say theirs.
const CAPITAL_HEIGHT: f32 = 0.72;
/// A line has ended when the next word stands this many font sizes off it.
const LINE_SHIFT: f32 = 0.6;

/// A rectangle in the page's own coordinates: y grows upwards.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Area {
    pub(super) left: f32,
    pub(super) bottom: f32,
    pub(super) right: f32,
    pub(super) top: f32,
}

impl Area {
    pub(super) fn of(rect: &PdfRect) -> Self {
        Self {
            left: rect.left().value.min(rect.right().value),
            bottom: rect.bottom().value.min(rect.top().value),
            right: rect.right().value.max(rect.left().value),
            top: rect.top().value.max(rect.bottom().value),
        }
    }

    fn touches(&self, other: &Self) -> bool {
        self.left <= other.right
            && other.left <= self.right
            && self.bottom <= other.top
            && other.bottom <= self.top
    }

    /// The area that lies `part` of the way to `other`.
    fn between(&self, other: &Self, part: f32) -> Self {
        let mix = |from: f32, to: f32| from + (to - from) * part;
        Self {
            left: mix(self.left, other.left),
            bottom: mix(self.bottom, other.bottom),
            right: mix(self.right, other.right),
            top: mix(self.top, other.top),
        }
    }

    /// Whether the middle of `other` is inside.
    pub(super) fn holds(&self, other: &Self) -> bool {
        let (x, y) = (
            (other.left + other.right) / 2.0,
            (other.bottom + other.top) / 2.0,
        );
        (self.left..=self.right).contains(&x) && (self.bottom..=self.top).contains(&y)
    }
}

/// The direction in which a line is read, as degrees clockwise from the x axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Turn(pub(super) u16);

impl Turn {
    fn of(char: &PdfPageTextChar<'_>) -> Self {
        let degrees = char.angle_degrees().unwrap_or(0.0).round();
        Self(degrees.rem_euclid(360.0) as u16)
    }

    /// `area` as someone sees it who reads this line: x grows along the line.
    pub(super) fn see(self, area: &Area) -> Area {
        let (sin, cos) = match self.0 {
            0 => return *area,
            90 => (1.0, 0.0),
            180 => (0.0, -1.0),
            270 => (-1.0, 0.0),
            degrees => f32::from(degrees).to_radians().sin_cos(),
        };
        let turned = |x: f32, y: f32| (x * cos - y * sin, x * sin + y * cos);
        let (a, b) = turned(area.left, area.bottom);
        let (c, d) = turned(area.right, area.top);
        Area {
            left: a.min(c),
            bottom: b.min(d),
            right: a.max(c),
            top: b.max(d),
        }
    }
}

/// One character; white space has no area, nor has what none was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Glyph {
    pub(super) char: char,
    pub(super) area: Option<Area>,
}

/// A run of characters on one line.
#[derive(Clone, Debug)]
pub(super) struct Fragment {
    /// Its glyphs.
    pub(super) glyphs: std::ops::Range<usize>,
    pub(super) turn: Turn,
    /// Where it lies, seen along the line.
    pub(super) left: f32,
    pub(super) right: f32,
    /// The line that its letters stand on.
    pub(super) base: f32,
    /// Font size.
    pub(super) size: f32,
    /// Whether the fragment before it stands on the same line.
    pub(super) continues: bool,
}

/// The characters of a page, in the order in which they are drawn.
#[derive(Default)]
pub(super) struct Glyphs {
    pub(super) all: Vec<Glyph>,
    pub(super) fragments: Vec<Fragment>,
}

/// Reads the characters of a page that are on it. Only with `places` does every letter
/// get an area; else the first and the last of a word, since each is a call.
pub(super) fn read(page: &PdfPage<'_>, text: &PdfPageText<'_>, places: bool) -> Glyphs {
    // What is cut off is not seen; boxes that leave nothing are a mistake.
    let visible = page.boundaries().bounding();
    let visible = visible.ok().map(|found| Area::of(&found.bounds));
    let visible = visible.filter(|area| area.left < area.right && area.bottom < area.top);
    let mut cutter = Cutter {
        places,
        ..Cutter::default()
    };
    let chars = text.chars();
    for index in 0..chars.len() {
        let Ok(char) = chars.get(index) else { break };
        match char.unicode_char() {
            None | Some('\0' | '\r') => {}
            Some('\n') => cutter.end_line(&chars),
            Some(c) if c.is_whitespace() => cutter.space(c, &chars),
            Some(c) if cutter.letter(c, index) => {}
            Some(c) => {
                let area = area(&char);
                if visible.is_none_or(|visible| visible.touches(&area)) {
                    cutter.word(c, area, index, &char);
                }
            }
        }
    }
    cutter.end_line(&chars);
    cutter.glyphs
}

fn area(char: &PdfPageTextChar<'_>) -> Area {
    let area = char.tight_bounds().map(|bounds| Area::of(&bounds));
    area.unwrap_or_default()
}

#[derive(Default)]
struct Cutter {
    glyphs: Glyphs,
    open: Option<Fragment>,
    word: Option<Word>,
    places: bool,
}

/// The word that is being read.
struct Word {
    /// Its first glyph and where that lies.
    first: usize,
    area: Area,
    /// pdfium's numbers of its first and its last letter.
    start: usize,
    end: usize,
}

impl Cutter {
    fn space(&mut self, c: char, chars: &PdfPageTextChars<'_>) {
        self.end_word(chars);
        if self.open.is_some() {
            self.push(c, None);
        }
    }

    /// The first letter of a word.
    fn word(&mut self, c: char, area: Area, number: usize, char: &PdfPageTextChar<'_>) {
        self.divide(&area, char);
        let first = self.glyphs.all.len();
        self.open.get_or_insert_with(|| start(first, &area, char));
        self.push(c, Some(area));
        self.extend(first, &area);
        self.word = Some(Word {
            first,
            area,
            start: number,
            end: number,
        });
    }

    /// A letter inside a word; false where no word is open.
    fn letter(&mut self, c: char, number: usize) -> bool {
        let Some(word) = &mut self.word else {
            return false;
        };
        word.end = number;
        self.push(c, None);
        true
    }

    fn push(&mut self, char: char, area: Option<Area>) {
        self.glyphs.all.push(Glyph { char, area });
    }

    /// The fragment reaches to this glyph.
    fn extend(&mut self, glyph: usize, area: &Area) {
        if let Some(fragment) = &mut self.open {
            let seen = fragment.turn.see(area);
            fragment.left = fragment.left.min(seen.left);
            fragment.right = fragment.right.max(seen.right);
            fragment.glyphs.end = glyph + 1;
        }
    }

    fn end_word(&mut self, chars: &PdfPageTextChars<'_>) {
        let Some(word) = self.word.take().filter(|word| word.end > word.start) else {
            return;
        };
        let Ok(last) = chars.get(word.end).map(|char| area(&char)) else {
            return;
        };
        let end = self.glyphs.all.len() - 1;
        self.glyphs.all[end].area = Some(last);
        self.extend(end, &last);
        if self.places {
            let steps = (end - word.first) as f32;
            for at in word.first + 1..end {
                let part = (at - word.first) as f32 / steps;
                self.glyphs.all[at].area = Some(word.area.between(&last, part));
            }
        }
    }

    /// Ends the fragment where the next word does not stand alongside it.
    fn divide(&mut self, area: &Area, char: &PdfPageTextChar<'_>) {
        let Some(fragment) = &self.open else { return };
        let seen = fragment.turn.see(area);
        let size = fragment.size.max((seen.top - seen.bottom) / CAPITAL_HEIGHT);
        let is_wide = seen.left - fragment.right > WIDE_GAP * fragment.size;
        // pdfium does not end every line: not where columns are drawn by rows, and
        // not where lines are turned. Most words stand where they must.
        let may_be_off = is_wide || (seen.bottom - fragment.base).abs() > 0.4 * size;
        let ends_line = may_be_off
            && (Turn::of(char) != fragment.turn
                || (base(char, fragment.turn, area) - fragment.base).abs() > LINE_SHIFT * size);
        if ends_line {
            self.end_fragment();
        } else if is_wide {
            self.end_fragment();
            let at = self.glyphs.all.len();
            let mut next = start(at, area, char);
            next.continues = true;
            self.open = Some(next);
        }
    }

    fn end_line(&mut self, chars: &PdfPageTextChars<'_>) {
        self.end_word(chars);
        self.end_fragment();
    }

    fn end_fragment(&mut self) {
        self.glyphs.fragments.extend(self.open.take());
    }
}

fn start(at: usize, area: &Area, char: &PdfPageTextChar<'_>) -> Fragment {
    let turn = Turn::of(char);
    let seen = turn.see(area);
    let named = match turn {
        Turn(0) => char.scaled_font_size().value.abs(),
        _ => 0.0,
    };
    let size = if named >= 1.0 {
        named
    } else {
        ((seen.top - seen.bottom) / CAPITAL_HEIGHT).max(1.0)
    };
    Fragment {
        glyphs: at..at,
        turn,
        left: seen.left,
        right: seen.right,
        base: base(char, turn, area),
        size,
        continues: false,
    }
}

fn base(char: &PdfPageTextChar<'_>, turn: Turn, area: &Area) -> f32 {
    let origin = char.origin().map(|(x, y)| Area {
        left: x.value,
        bottom: y.value,
        right: x.value,
        top: y.value,
    });
    turn.see(&origin.unwrap_or(*area)).bottom
}
