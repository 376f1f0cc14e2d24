//! JSON Lines, and other values after each other: each is a record, which is
//! written whole or not at all.

use super::super::draft::Draft;
use super::reader::{Fault, Reader};
use super::writer::TextWriter;

/// Lines by which [`are_lines`] judges.
const LINES_TO_JUDGE_BY: usize = 50;
/// How often the text may be read, in all, to look for the end of records that
/// do not end on the line they begin on.
const MAX_PASSES: usize = 4;

/// Whether every line is a record of its own, as far as lines that are damaged
/// let one see.
pub(super) fn are_lines(text: &str) -> bool {
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .take(LINES_TO_JUDGE_BY)
        .collect();
    let begins = |line: &&&str| line.starts_with(['{', '[']) && line.len() > 1;
    let is_whole = |line: &&&str| begins(line) && line.ends_with(['}', ']']);
    let whole = lines.iter().filter(is_whole).count();
    lines.len() > 1 && lines.iter().all(|line| begins(&line)) && whole * 2 >= lines.len()
}

/// Writes the records of `text`; returns what could not be read.
pub(super) fn write(text: &str, draft: &mut Draft) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut budget = text.len().saturating_mul(MAX_PASSES);
    let mut at = 0;
    while let Some(start) = next(text, at, &mut faults) {
        let line_end = text[start..].find('\n').map_or(text.len(), |n| start + n);
        let end = match check(&text[..line_end], start) {
            Err(fault) if fault.is_end && line_end < text.len() && budget > 0 => {
                let read = check(text, start);
                let stop = read.as_ref().map_or_else(|fault| fault.at, |end| *end);
                budget = budget.saturating_sub(stop.saturating_sub(start));
                read.map_err(|_| fault)
            }
            read => read,
        };
        at = match end {
            Ok(end) => {
                draft.blank_line();
                // It was read a moment ago.
                let _ = reader(text, start).value(&mut TextWriter::record(draft));
                draft.blank_line();
                end
            }
            Err(fault) => {
                faults.push(fault);
                line_end
            }
        };
        if draft.is_full() {
            break;
        }
    }
    faults
}

fn reader(text: &str, start: usize) -> Reader<'_> {
    Reader::new(text, start).line_by_line()
}

/// Where the value that begins at `start` ends.
fn check(text: &str, start: usize) -> Result<usize, Fault> {
    let mut reader = reader(text, start);
    reader.value(&mut ()).map(|()| reader.end())
}

/// Where the next record begins; commas between records are not needed.
fn next(text: &str, at: usize, faults: &mut Vec<Fault>) -> Option<usize> {
    let mut reader = Reader::new(text, at);
    while reader.position() < text.len() {
        if !text[reader.end()..].starts_with([',', ';']) {
            return Some(reader.end());
        }
        reader.step_over();
    }
    faults.extend(reader.into_faults());
    None
}
