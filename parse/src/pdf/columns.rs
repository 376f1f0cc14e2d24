//! The order of reading where columns are drawn row by row.
//!
//! Most files draw one column after the other, and what they draw is what is
//! read. Some draw line by line across the whole page. Then fragments alternate
//! between areas that no fragment joins, and each area reads on by itself: its
//! lines are full, and end inside sentences. A table alternates too, but its
//! cells do not read on, so it stays in rows.

use std::collections::HashMap;

use super::glyphs::Fragment;

/// Narrowest space between columns, in font sizes.
const GUTTER: f32 = 0.8;
/// More columns than this are a table.
const MAX_COLUMNS: usize = 6;
/// Fewest lines of a column.
const MIN_LINES: usize = 3;
/// Lines of one paragraph are at most this many font sizes apart.
const LEADING: f32 = 1.9;
/// Paragraphs of one column are at most this many font sizes apart.
const PARAGRAPHS: f32 = 3.2;

/// One line of a column: fragments that follow each other on it.
type Row = Vec<usize>;

#[derive(Default)]
struct Column {
    left: f32,
    right: f32,
    rows: Vec<Row>,
}

/// A run of fragments in columns.
struct Block {
    end: usize,
    columns: Vec<Column>,
    /// How often a fragment stands in another column than the one before.
    changes: usize,
}

/// The numbers of the fragments in reading order, by line. `texts` are what the
/// fragments say.
pub(super) fn in_reading_order(fragments: &[Fragment], texts: &[String]) -> Vec<Vec<usize>> {
    let mut lines: Vec<Vec<usize>> = Vec::new();
    let mut at = 0;
    while at < fragments.len() {
        let block = block(fragments, at);
        if block.columns.len() > 1 && reads_on(&block, fragments, texts) {
            lines.extend(block.columns.into_iter().flat_map(|column| column.rows));
        } else {
            for (number, fragment) in fragments.iter().enumerate().take(block.end).skip(at) {
                match lines.last_mut().filter(|_| fragment.continues) {
                    Some(line) => line.push(number),
                    None => lines.push(vec![number]),
                }
            }
        }
        at = block.end;
    }
    lines
}

/// The longest run of fragments from `start` on that stand in columns alongside
/// each other; at least one fragment.
fn block(fragments: &[Fragment], start: usize) -> Block {
    let first = &fragments[start];
    let mut columns = vec![Column {
        left: first.left,
        right: first.right,
        rows: vec![vec![start]],
    }];
    let (mut changes, mut last, mut end) = (0, 0, start + 1);
    for (number, next) in fragments.iter().enumerate().skip(start + 1) {
        if next.turn != first.turn || !next.left.is_finite() || !next.base.is_finite() {
            break;
        }
        let gutter = GUTTER * first.size.max(next.size);
        let mut beside = columns.iter().enumerate().filter(|(_, column)| {
            next.left < column.right + gutter && column.left < next.right + gutter
        });
        let column = match (beside.next(), beside.next()) {
            (Some(_), Some(_)) => break,
            (Some((column, _)), None) => {
                if !continues(&mut columns[column], number, fragments) {
                    break;
                }
                column
            }
            (None, _) => {
                let is_first_row = columns.iter().all(|column| column.rows.len() == 1)
                    && columns.iter().all(|column| column.right < next.left)
                    && (first.base - next.base).abs() < PARAGRAPHS * first.size;
                if !is_first_row || columns.len() == MAX_COLUMNS {
                    break;
                }
                columns.push(Column {
                    left: next.left,
                    right: next.right,
                    rows: vec![vec![number]],
                });
                columns.len() - 1
            }
        };
        // One line below the other is the common page: nothing to find.
        if columns.len() == 1 {
            break;
        }
        changes += usize::from(column != last);
        last = column;
        end = number + 1;
    }
    Block {
        end,
        columns,
        changes,
    }
}

/// Adds a fragment to a column, if it stands on its last line or below.
fn continues(column: &mut Column, number: usize, fragments: &[Fragment]) -> bool {
    let next = &fragments[number];
    let Some(row) = column.rows.last_mut() else {
        return false;
    };
    let before = &fragments[row[row.len() - 1]];
    let down = before.base - next.base;
    let size = before.size.max(next.size);
    if down.abs() < 0.3 * size && next.left > before.right {
        row.push(number);
    } else if down > 0.3 * size && down < PARAGRAPHS * size {
        column.rows.push(vec![number]);
    } else {
        return false;
    }
    column.left = column.left.min(next.left);
    column.right = column.right.max(next.right);
    true
}

fn reads_on(block: &Block, fragments: &[Fragment], texts: &[String]) -> bool {
    let shortest = block.columns.iter().map(|column| column.rows.len()).min();
    let shortest = shortest.unwrap_or(0);
    // Columns that are drawn one after the other change once.
    if shortest < MIN_LINES || block.changes * 10 < shortest * 2 * 6 {
        return false;
    }
    let columns: Vec<Vec<Line<'_>>> = block
        .columns
        .iter()
        .map(|column| lines(column, fragments, texts))
        .collect();
    columns.iter().all(|lines| is_prose(lines)) && !starts_together(&columns)
}

/// A line of a column as the test for prose needs it.
struct Line<'a> {
    first: &'a str,
    last: &'a str,
    words: usize,
    base: f32,
    size: f32,
    /// Width that the next line's first word would have found at its end.
    room: f32,
    /// Width of its own first word.
    first_word: f32,
}

fn lines<'a>(column: &Column, fragments: &[Fragment], texts: &'a [String]) -> Vec<Line<'a>> {
    let line = |row: &Row| {
        let (start, end) = (&fragments[row[0]], &fragments[row[row.len() - 1]]);
        let (first, last) = (texts[row[0]].trim(), texts[row[row.len() - 1]].trim());
        let word = first.split(' ').next().unwrap_or("");
        let (letters, all) = (word.chars().count(), first.chars().count());
        let width = start.right - start.left;
        Line {
            first,
            last,
            words: row.iter().map(|&at| words(texts[at].trim())).sum(),
            base: start.base,
            size: start.size,
            room: column.right - end.right,
            first_word: width * letters as f32 / all.max(1) as f32,
        }
    };
    column.rows.iter().map(line).collect()
}

/// Words of a text; two characters count as one where no spaces are written.
fn words(text: &str) -> usize {
    let unspaced = text.chars().filter(|&c| is_caseless(c)).count();
    text.split_whitespace().count().max(unspaced / 2)
}

/// Letters of scripts without capitals.
fn is_caseless(c: char) -> bool {
    c.is_alphabetic() && !c.is_lowercase() && !c.is_uppercase()
}

/// Whether a sentence goes on from one line to the next.
fn goes_on(line: &Line<'_>, next: &Line<'_>) -> bool {
    if line
        .last
        .ends_with(['-', '\u{2010}', '\u{ad}', '\u{2}', '\u{fffe}'])
    {
        return true;
    }
    let ends = line
        .last
        .ends_with(['.', '!', '?', ':', ';', '。', '！', '？']);
    let mut letters = next.first.chars().skip_while(|c| !c.is_alphanumeric());
    let starts = letters.next();
    !ends && starts.is_some_and(|c| c.is_lowercase() || is_caseless(c))
}

fn is_paragraph(line: &Line<'_>, next: &Line<'_>) -> bool {
    line.base - next.base <= LEADING * line.size.max(next.size)
}

fn is_prose(lines: &[Line<'_>]) -> bool {
    let words: usize = lines.iter().map(|line| line.words).sum();
    if words * 10 < lines.len() * 25 {
        return false;
    }
    let mut starts: HashMap<&str, usize> = HashMap::new();
    for line in lines {
        let word = line.first.split(' ').next().unwrap_or("");
        *starts.entry(word).or_default() += 1;
    }
    let repeated = starts.values().max().copied().unwrap_or(0);
    let pairs: Vec<_> = lines
        .windows(2)
        .filter(|pair| is_paragraph(&pair[0], &pair[1]))
        .collect();
    let joined = pairs.iter().filter(|pair| goes_on(&pair[0], &pair[1]));
    let full = pairs
        .iter()
        .filter(|pair| pair[0].room < pair[1].first_word + 0.8 * pair[0].size);
    let (joined, full) = (joined.count(), full.count());
    pairs.len() * 2 >= lines.len() - 1
        && joined > 0
        && joined * 10 >= pairs.len() * 3
        && full * 10 >= pairs.len() * 6
        && (repeated <= 2 || repeated * 10 < lines.len() * 6)
}

/// Whether sentences start side by side again and again: cells of several lines.
fn starts_together(columns: &[Vec<Line<'_>>]) -> bool {
    let starts: Vec<Vec<f32>> = columns
        .iter()
        .map(|lines| {
            let pairs = lines.windows(2);
            let starts = pairs.filter(|pair| !goes_on(&pair[0], &pair[1]));
            starts.map(|pair| pair[1].base).collect()
        })
        .collect();
    let size = columns[0][0].size;
    let (first, rest) = (&starts[0], &starts[1..]);
    let shared = first
        .iter()
        .filter(|&&base| {
            rest.iter()
                .all(|others| others.iter().any(|other| (other - base).abs() < 0.3 * size))
        })
        .count();
    let most = starts.iter().map(Vec::len).max().unwrap_or(0);
    shared >= 2 && shared * 10 >= most * 8
}
