//! Extends a segment to a unit that can be read by itself: a sentence with the option it describes,
//! a row with its column names, code with the line that introduces it, the items of a list with the
//! line that ends in a colon.

use super::segments::{Kind, Segment};

/// Maximum lines of a block that is quoted completely; of a longer one only the chosen part is
/// quoted.
const MAX_BLOCK_LINES: usize = 9;
const MAX_BLOCK_BYTES: usize = 480;
/// Maximum lines of comment included above a line of code.
const MAX_COMMENT_LINES: usize = 4;
/// Maximum items of a list that is quoted completely.
const MAX_ITEMS: usize = 14;
const MAX_LIST_BYTES: usize = 700;
/// Longest line that introduces a block, in bytes.
const MAX_LEAD: usize = 260;
/// Longest name of a column, in bytes.
const MAX_NAME: usize = 40;
/// An item of at most this many bytes cannot be read by itself.
const SHORT_ITEM: usize = 60;
/// Longest item that only names what the next sentence explains, in bytes.
const SHORT_NAME: usize = 32;
/// Maximum number of blocks between a term and a paragraph that belongs to it.
const MAX_TERM_DISTANCE: usize = 6;

/// How a unit is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::answer) enum Shape {
    Prose,
    List,
    Table,
    Code,
}

/// What to quote for one segment. All numbers are positions in the list of segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::answer) struct Unit {
    pub(in crate::answer) shape: Shape,
    /// Terms that the body describes.
    pub(in crate::answer) terms: Vec<usize>,
    /// What introduces the body.
    pub(in crate::answer) lead: Option<usize>,
    /// What is quoted, in reading order; never empty.
    pub(in crate::answer) body: Vec<usize>,
}

/// The segments of one text, ready to be composed.
pub(in crate::answer) struct Composer<'t> {
    text: &'t str,
    segments: &'t [Segment],
    /// Whether the text may begin in the middle of a line.
    is_cut: bool,
    /// Whether the text begins with rows of a table whose header is elsewhere.
    continues: bool,
}

impl<'t> Composer<'t> {
    /// `is_cut` says that the text comes from the middle of a document.
    pub(in crate::answer) fn new(text: &'t str, segments: &'t [Segment], is_cut: bool) -> Self {
        Self {
            text,
            segments,
            is_cut,
            continues: false,
        }
    }

    /// Sets whether the text begins with rows of a table whose header is elsewhere.
    pub(in crate::answer) fn continuing(mut self, continues: bool) -> Self {
        self.continues = continues;
        self
    }

    fn str(&self, at: usize) -> &'t str {
        &self.text[self.segments[at].range.clone()]
    }

    /// The unit around segment `at`. `whole` asks for all items of its list.
    pub(in crate::answer) fn unit(&self, at: usize, whole: bool) -> Unit {
        if self.str(at).ends_with('?')
            && let Some(unit) = self.replied(at)
        {
            return unit;
        }
        match self.segments[at].kind {
            Kind::Code | Kind::Row => self.block(at),
            Kind::Item => self.item(at, whole),
            Kind::Label => self.label(at),
            Kind::Sentence => self.sentence(at),
        }
    }

    fn sentence(&self, at: usize) -> Unit {
        if self.announces(at)
            && let Some(unit) = self.announced(at)
        {
            return unit;
        }
        let terms = self.terms(at);
        let mut body = vec![at];
        if !terms.is_empty() {
            body.extend(self.default_of(at));
        }
        Unit {
            shape: Shape::Prose,
            terms,
            lead: None,
            body,
        }
    }

    /// The line that gives the default of the setting that `at` describes.
    fn default_of(&self, at: usize) -> Option<usize> {
        let indent = self.segments[at].indent;
        let scope = (at + 1..self.segments.len())
            .take(MAX_TERM_DISTANCE)
            .take_while(|&next| self.segments[next].indent >= indent);
        let mut lines = scope.filter(|&next| {
            let text = self.str(next).to_ascii_lowercase();
            text.starts_with("default") && text.contains([':', '=']) && text.len() <= SHORT_ITEM
        });
        lines.next()
    }

    /// Whether the segment ends by announcing what follows.
    fn announces(&self, at: usize) -> bool {
        self.str(at).ends_with(':')
    }

    /// The line `at`, which ends in a colon, together with what follows it.
    fn announced(&self, at: usize) -> Option<Unit> {
        let next = self.segments.get(at + 1)?;
        match next.kind {
            Kind::Code | Kind::Row => Some(self.led_block(at)),
            Kind::Item => Some(self.item(at + 1, true)),
            Kind::Sentence | Kind::Label => {
                let body = self.short_lines(at + 1);
                let shape = if body.len() > 1 {
                    Shape::List
                } else {
                    Shape::Prose
                };
                let body = if body.is_empty() { vec![at + 1] } else { body };
                let terms = self.terms(at);
                Some(Unit {
                    shape,
                    terms,
                    lead: Some(at),
                    body,
                })
            }
        }
    }

    /// The first sentences under a heading that is a question.
    fn replied(&self, at: usize) -> Option<Unit> {
        let is_heading = self.segments.get(at + 1)?.block != self.segments[at].block;
        let next = self.segments[at + 1].kind;
        // A list of questions is a table of contents.
        let asks_again = self.str(at + 1).ends_with('?');
        if !is_heading || asks_again || !matches!(next, Kind::Sentence | Kind::Item) {
            return None;
        }
        let block = self.segments[at + 1].block;
        let goes_on = |two: &Segment| two.block == block;
        let mut body = vec![at + 1];
        // "No." alone says little.
        if self.str(at + 1).len() <= SHORT_ITEM && self.segments.get(at + 2).is_some_and(goes_on) {
            body.push(at + 2);
        }
        Some(Unit {
            shape: Shape::Prose,
            terms: Vec::new(),
            lead: None,
            body,
        })
    }

    /// Short separate lines from `at` on, which are a list without markers.
    fn short_lines(&self, at: usize) -> Vec<usize> {
        let is_short = |&at: &usize| {
            let segment = &self.segments[at];
            let text = self.str(at);
            matches!(segment.kind, Kind::Label | Kind::Sentence)
                && text.len() <= SHORT_ITEM
                && !text.ends_with('.')
        };
        let many: Vec<usize> = (at..self.segments.len())
            .take_while(is_short)
            .take(MAX_ITEMS)
            .collect();
        if many.len() > 1 { many } else { Vec::new() }
    }

    fn label(&self, at: usize) -> Unit {
        let next = at + 1;
        match self.segments.get(next).map(|segment| segment.kind) {
            Some(Kind::Code | Kind::Row) => self.led_block(at),
            Some(Kind::Item) => {
                let mut unit = self.item(next, true);
                unit.lead = Some(at);
                unit
            }
            Some(Kind::Label) if self.is_named(at) => {
                // `-f`, `--force`, followed by what they do.
                let mut unit = self.label(next);
                if !unit.terms.contains(&at) {
                    unit.terms.insert(0, at);
                }
                unit
            }
            Some(Kind::Sentence) => {
                let mut unit = self.sentence(next);
                if unit.terms.is_empty() && self.is_term(at, next) {
                    unit.terms = vec![at];
                }
                unit
            }
            _ => Unit {
                shape: Shape::Prose,
                terms: match self.is_named(at) {
                    true => Vec::new(),
                    false => self.terms(at),
                },
                lead: None,
                body: vec![at],
            },
        }
    }

    /// The items of the list that contains item `at`.
    fn list(&self, at: usize) -> Vec<usize> {
        let own = &self.segments[at];
        let belongs = |segment: &Segment| {
            matches!(segment.kind, Kind::Item | Kind::Sentence) && segment.indent >= own.indent
        };
        let is_item = |&at: &usize| {
            self.segments[at].kind == Kind::Item && self.segments[at].indent == own.indent
        };
        let mut first = at;
        while first > 0
            && belongs(&self.segments[first - 1])
            && (self.segments[first - 1].kind == Kind::Item || self.continues_item(first - 1))
        {
            first -= 1;
        }
        let end = (at + 1..self.segments.len())
            .find(|&next| {
                !(belongs(&self.segments[next])
                    && (self.segments[next].kind == Kind::Item || self.continues_item(next)))
            })
            .unwrap_or(self.segments.len());
        (first..end).filter(is_item).collect()
    }

    /// Items that consist only of a name, each with the sentence after it.
    fn with_explanations(&self, items: Vec<usize>) -> Vec<usize> {
        let explained = |&item: &usize| {
            let next = self.segments.get(item + 1)?;
            let same = next.block == self.segments[item].block && next.kind == Kind::Sentence;
            (same && self.str(item).len() <= SHORT_NAME).then_some(item + 1)
        };
        let more: Vec<usize> = items.iter().filter_map(explained).collect();
        let bytes: usize = items
            .iter()
            .chain(&more)
            .map(|&at| self.str(at).len())
            .sum();
        let mut body = items;
        if bytes <= MAX_LIST_BYTES {
            body.extend(more);
            body.sort_unstable();
        }
        body
    }

    /// Whether the sentence `at` is in the paragraph of a list item.
    fn continues_item(&self, at: usize) -> bool {
        let block = self.segments[at].block;
        (0..at)
            .rev()
            .take_while(|&before| self.segments[before].block == block)
            .any(|before| self.segments[before].kind == Kind::Item)
    }

    fn item(&self, at: usize, whole: bool) -> Unit {
        let items = self.list(at);
        let first = items.first().copied().unwrap_or(at);
        let lead = first.checked_sub(1).filter(|&before| {
            let text = self.str(before);
            let opens = self.announces(before)
                || (self.segments[before].kind == Kind::Label && !self.is_named(before));
            opens && text.len() <= MAX_LEAD
        });
        let bytes: usize = items.iter().map(|&item| self.str(item).len()).sum();
        if whole && items.len() > 1 && items.len() <= MAX_ITEMS && bytes <= MAX_LIST_BYTES {
            return Unit {
                shape: Shape::List,
                terms: Vec::new(),
                lead,
                body: self.with_explanations(items),
            };
        }
        let text = self.str(at);
        let alone = text.ends_with(['.', '!', '?']) && text.len() > SHORT_ITEM;
        let next = self.segments.get(at + 1).map(|next| next.kind);
        if self.announces(at) && matches!(next, Some(Kind::Code | Kind::Row)) {
            return self.led_block(at);
        }
        Unit {
            shape: if alone { Shape::Prose } else { Shape::List },
            terms: Vec::new(),
            lead: lead.filter(|_| !alone),
            body: vec![at],
        }
    }

    /// The block after `at`, which introduces it; of a long block of code, its beginning.
    fn led_block(&self, at: usize) -> Unit {
        let mut unit = self.block(at + 1);
        if unit.shape == Shape::Code {
            let beginning = self.beginning(at + 1);
            if beginning.len() > unit.body.len() {
                unit.body = beginning;
            }
        }
        Unit {
            lead: Some(at),
            ..unit
        }
    }

    /// As many lines of code from `start` on as may be quoted at once, with or without empty lines
    /// between them.
    fn beginning(&self, start: usize) -> Vec<usize> {
        let opens = self.segments[start].range.start;
        let fits = |&at: &usize| {
            let segment = &self.segments[at];
            segment.kind == Kind::Code && segment.range.end - opens <= MAX_BLOCK_BYTES
        };
        (start..self.segments.len())
            .take_while(fits)
            .take(MAX_BLOCK_LINES)
            .collect()
    }

    fn block(&self, at: usize) -> Unit {
        let block = self.segments[at].block;
        let start = (0..at)
            .rev()
            .take_while(|&before| self.segments[before].block == block)
            .last()
            .unwrap_or(at);
        let end = (at..self.segments.len())
            .take_while(|&next| self.segments[next].block == block)
            .last()
            .unwrap_or(at);
        let bytes = self.segments[end].range.end - self.segments[start].range.start;
        let is_row = self.segments[at].kind == Kind::Row;
        let body = if end - start < MAX_BLOCK_LINES && bytes <= MAX_BLOCK_BYTES && !is_row {
            (start..=end).collect()
        } else if is_row {
            self.rows(start, at)
        } else {
            self.lines(start, at, end)
        };
        Unit {
            shape: if is_row { Shape::Table } else { Shape::Code },
            terms: self.terms(start),
            lead: self.lead(start),
            body,
        }
    }

    /// A row and the names of its columns, if the first row looks like names.
    fn rows(&self, start: usize, at: usize) -> Vec<usize> {
        let names = cells(self.str(start))
            .all(|cell| cell.len() <= MAX_NAME && !cell.starts_with('-') && !cell.ends_with('.'));
        let headless = self.continues && start == 0;
        if at == start || headless || !names {
            vec![at]
        } else {
            vec![start, at]
        }
    }

    /// Whether a segment is the header row of a table: every cell is a word or two, beginning with
    /// a capital.
    pub(in crate::answer) fn names_columns(&self, at: usize) -> bool {
        let row = &self.segments[at];
        let is_in_table = |other: usize| {
            let other = self.segments.get(other);
            other.is_some_and(|other| other.kind == Kind::Row && other.block == row.block)
        };
        let is_first = at == 0 || !is_in_table(at - 1);
        let is_name = |cell: &str| {
            cell.starts_with(char::is_uppercase)
                && cell.chars().all(|c| c.is_alphabetic() || c == ' ')
                && cell.split(' ').count() <= 3
        };
        row.kind == Kind::Row
            && is_first
            && is_in_table(at + 1)
            && !(self.continues && at == 0)
            && cells(self.str(at)).all(is_name)
    }

    /// A line of a long block: the comment above it, and what it opens.
    fn lines(&self, start: usize, at: usize, end: usize) -> Vec<usize> {
        let is_comment = |line: usize| {
            self.str(line).starts_with(['#', ';']) || self.str(line).starts_with("//")
        };
        let mut first = at;
        while first > start && at - first < MAX_COMMENT_LINES && is_comment(first - 1) {
            first -= 1;
        }
        let mut last = at;
        // A comment was chosen: include what it describes.
        while last < end && is_comment(last) && last - at < MAX_COMMENT_LINES {
            last += 1;
        }
        let mut open = self.opened(last);
        while open > 0 && last < end && last - at < MAX_BLOCK_LINES {
            last += 1;
            open += self.opened(last);
        }
        while last < end && self.str(last).ends_with('\\') && last - at < MAX_BLOCK_LINES {
            last += 1;
        }
        (first..=last).collect()
    }

    fn opened(&self, line: usize) -> i32 {
        self.str(line)
            .chars()
            .map(|c| match c {
                '{' | '(' | '[' => 1,
                '}' | ')' | ']' => -1,
                _ => 0,
            })
            .sum()
    }

    /// What introduces the block that begins at `start`.
    fn lead(&self, start: usize) -> Option<usize> {
        let before = start.checked_sub(1)?;
        let is_text = !matches!(self.segments[before].kind, Kind::Code | Kind::Row);
        (is_text && self.str(before).len() <= MAX_LEAD).then_some(before)
    }

    /// The options or terms that the paragraph of segment `at` describes: the nearest line above
    /// with less indentation or, if nothing is indented, the nearest that looks like a name.
    fn terms(&self, at: usize) -> Vec<usize> {
        let own = &self.segments[at];
        let near = (0..at).rev().take_while(|&before| {
            own.block.saturating_sub(self.segments[before].block) <= 2 * MAX_TERM_DISTANCE
        });
        for before in near {
            let segment = &self.segments[before];
            if segment.block == own.block || segment.kind != Kind::Label {
                if segment.indent < own.indent
                    && segment.block != own.block
                    && segment.kind != Kind::Code
                {
                    // A less indented paragraph ends the scope of a term.
                    return Vec::new();
                }
                continue;
            }
            if !self.is_term(before, at) {
                if segment.indent == own.indent && own.indent > 0 {
                    // A line of the description without a full stop.
                    continue;
                }
                return Vec::new();
            }
            let mut terms = vec![before];
            while let Some(above) = terms[0].checked_sub(1)
                && self.segments[above].kind == Kind::Label
                && self.segments[above].indent == segment.indent
                && self.is_named(above)
                && terms.len() < 3
            {
                terms.insert(0, above);
            }
            return terms;
        }
        Vec::new()
    }

    /// Whether the label `before` is what the paragraph of segment `at` describes: further left and
    /// not a heading or, if nothing is indented, a name.
    fn is_term(&self, before: usize, at: usize) -> bool {
        let (label, own) = (self.segments[before].indent, self.segments[at].indent);
        let plain = self.str(before).starts_with(|c: char| !c.is_uppercase());
        if self.is_cut && before == 0 {
            return false;
        }
        match label < own {
            true => self.is_named(before) || plain,
            false => label == own && self.is_named(before),
        }
    }

    /// Whether a label is the name of something rather than a heading: an option, a
    /// setting, a command with its arguments.
    fn is_named(&self, at: usize) -> bool {
        let text = self.str(at);
        let one_word = !text.contains(char::is_whitespace);
        text.starts_with('-')
            || (one_word && text.contains(['_', '.', '-', '=', '/', '$', '@', ':']))
            || (!one_word && text.contains(['[', '<', '=']))
    }
}

/// The cells of a row.
fn cells(row: &str) -> impl Iterator<Item = &str> {
    row.trim_matches('|').split('|').map(str::trim)
}

#[cfg(test)]
#[path = "compose_tests.rs"]
mod tests;
