//! Which lines at the edges of pages are not the text: running titles and page
//! numbers.
//!
//! A running title says the same on many pages. A page number counts with the
//! pages. A line that differs from page to page only in its digits is neither:
//! `Invoice no. 4103`, `Room 12` and `3. Step` are what the page is about.

use crate::spaces::single_spaced;
use std::collections::HashMap;

use super::layout::{GAP, Line, Page};
use super::numbers::{self, Printed};

/// Pages from which a repeated line counts as running.
const MIN_PAGES: usize = 4;
/// Rows at the top and at the bottom that may be running.
const EDGE_ROWS: usize = 2;
/// A bare number this far from its page's own is one only when it stands apart.
const USUAL_OFFSET: i64 = 24;
/// A row stands apart whose distance is so many times that of the others.
const APART: f32 = 1.3;
/// The same in font sizes, where there are no others.
const APART_ALONE: f32 = 1.9;
/// A title this much larger than the text is a heading.
const HEADING: f32 = 1.15;

/// One line at an edge.
struct Edge {
    page: usize,
    line: usize,
    is_top: bool,
    /// 0 is the outermost row.
    row: usize,
    /// Whether a gap divides it from the text.
    is_apart: bool,
    is_large: bool,
    text: String,
    number: Option<Printed>,
    titled: Option<Printed>,
}

/// Takes running titles and page numbers out.
pub(super) fn remove(pages: &mut [Page]) {
    let edges: Vec<Edge> = pages
        .iter()
        .enumerate()
        .flat_map(|(number, page)| edges(number, page))
        .collect();
    let mut running = vec![false; edges.len()];
    count(&edges, pages, &mut running);
    repeat(&edges, pages.len(), &mut running);
    let mut dropped: Vec<Vec<usize>> = vec![Vec::new(); pages.len()];
    for (edge, _) in edges.iter().zip(&running).filter(|(_, running)| **running) {
        dropped[edge.page].push(edge.line);
    }
    // Where nothing would be left, the lines were the text.
    let is_text_left = pages
        .iter()
        .zip(&dropped)
        .any(|(page, dropped)| page.lines.len() > dropped.len() || !page.notes.is_empty());
    if !is_text_left {
        return;
    }
    for (page, dropped) in pages.iter_mut().zip(&dropped) {
        let mut number = 0;
        page.lines.retain(|_| {
            number += 1;
            !dropped.contains(&(number - 1))
        });
    }
}

/// The lines in the outermost rows of a page.
fn edges(number: usize, page: &Page) -> Vec<Edge> {
    let rows = rows(&page.lines);
    let gaps: Vec<f32> = rows
        .windows(2)
        .map(|pair| page.lines[pair[1][0]].down - page.lines[pair[0][0]].down)
        .collect();
    let inner = gaps.get(1..gaps.len().saturating_sub(1)).unwrap_or(&[]);
    let usual = median(inner.iter().copied());
    let sizes = page.lines.iter().filter(|line| !line.is_turned);
    let size = median(sizes.map(|line| line.size)).unwrap_or(0.0);
    let wide = |gap: Option<&f32>, size: f32| match (gap, usual) {
        (Some(gap), Some(usual)) => *gap > APART * usual,
        (Some(gap), None) => *gap > APART_ALONE * size,
        (None, _) => false,
    };
    // On a short page only the first and the last row can be running.
    let depth = if rows.len() > 2 * EDGE_ROWS {
        EDGE_ROWS
    } else {
        1
    };
    let mut found = Vec::new();
    let mut add = |row: usize, at: usize, is_top: bool, is_apart: bool| {
        for &line in &rows[at] {
            let Line {
                text, size: own, ..
            } = &page.lines[line];
            found.push(Edge {
                page: number,
                line,
                is_top,
                row,
                is_apart,
                is_large: *own > HEADING * size,
                text: single_spaced(text),
                number: numbers::whole(text),
                titled: numbers::beside_title(text),
            });
        }
    };
    for (row, lines) in rows.iter().enumerate().take(depth) {
        let size = page.lines[lines[0]].size;
        add(row, row, true, wide(gaps.get(row), size));
    }
    for row in 0..depth {
        let Some(at) = rows.len().checked_sub(row + 1).filter(|at| *at >= depth) else {
            break;
        };
        let size = page.lines[rows[at][0]].size;
        let gap = at.checked_sub(1).and_then(|gap| gaps.get(gap));
        add(row, at, false, wide(gap, size));
    }
    found
}

/// Lines by the height on which they stand, from the top.
fn rows(lines: &[Line]) -> Vec<Vec<usize>> {
    let mut upright: Vec<usize> = (0..lines.len())
        .filter(|&line| !lines[line].is_turned && !lines[line].text.trim().is_empty())
        .collect();
    upright.sort_by(|&a, &b| lines[a].down.total_cmp(&lines[b].down));
    let mut rows: Vec<Vec<usize>> = Vec::new();
    for line in upright {
        let same = rows.last_mut().filter(|row| {
            let first = &lines[row[0]];
            lines[line].down - first.down < 0.3 * first.size
        });
        match same {
            Some(row) => row.push(line),
            None => rows.push(vec![line]),
        }
    }
    rows
}

fn median(values: impl Iterator<Item = f32>) -> Option<f32> {
    let mut values: Vec<f32> = values.filter(|value| value.is_finite()).collect();
    values.sort_by(f32::total_cmp);
    values.get(values.len() / 2).copied()
}

/// Marks the numbers that count with the pages.
fn count(edges: &[Edge], pages: &[Page], running: &mut [bool]) {
    let single = pages.iter().filter(|page| page.lines.len() == 1).count();
    let are_single = single * 2 > pages.len();
    let mut sequences: HashMap<(bool, bool, i64), Vec<usize>> = HashMap::new();
    for (at, edge) in edges.iter().enumerate() {
        let of_page = |found: Printed| found.number - (edge.page as i64 + 1);
        if let Some(found) = edge.number {
            let offset = of_page(found);
            let counts = found.is_explicit
                || (pages.len() >= MIN_PAGES
                    && !are_single
                    && (offset.abs() <= USUAL_OFFSET || edge.is_apart));
            if counts {
                sequences
                    .entry((edge.is_top, false, offset))
                    .or_default()
                    .push(at);
            }
        } else if let Some(found) = edge.titled {
            let offset = of_page(found);
            let counts = pages.len() >= MIN_PAGES
                && edge.row == 0
                && !edge.is_large
                && (found.is_explicit || (edge.is_apart && offset.abs() <= USUAL_OFFSET));
            if counts {
                sequences
                    .entry((edge.is_top, true, offset))
                    .or_default()
                    .push(at);
            }
        }
    }
    for members in sequences.into_values() {
        let mut on: Vec<usize> = members.iter().map(|&at| edges[at].page).collect();
        on.dedup();
        let (first, last) = (on[0], on[on.len() - 1]);
        let enough = if pages.len() < MIN_PAGES { 2 } else { 3 };
        // Facing pages may have theirs at different places, so every second counts.
        if on.len() >= enough && on.len() * 3 > last - first {
            members.into_iter().for_each(|at| running[at] = true);
        }
    }
}

/// Marks the lines that say the same on at least every third page (left and
/// right pages often differ).
fn repeat(edges: &[Edge], pages: usize, running: &mut [bool]) {
    if pages < MIN_PAGES {
        return;
    }
    let enough = (pages / 3).max(MIN_PAGES - 1);
    let mut counts: HashMap<(bool, &str), (usize, usize)> = HashMap::new();
    for edge in edges {
        let (count, last) = counts
            .entry((edge.is_top, &edge.text))
            .or_insert((0, usize::MAX));
        if *last != edge.page {
            *count += 1;
            *last = edge.page;
        }
    }
    let says_the_same = |edge: &Edge| {
        let letters = edge.text.chars().any(char::is_alphabetic);
        (letters || edge.is_apart) && counts[&(edge.is_top, edge.text.as_str())].0 >= enough
    };
    for row in 0..EDGE_ROWS {
        // An inner row is running only below an outer one that is.
        let mut open: HashMap<(usize, bool), bool> = HashMap::new();
        for (at, edge) in edges.iter().enumerate() {
            if edge.row + 1 == row {
                let outer = open.entry((edge.page, edge.is_top)).or_insert(true);
                *outer &= running[at];
            }
        }
        for (at, edge) in edges.iter().enumerate().filter(|(_, edge)| edge.row == row) {
            let is_outer =
                row == 0 || (edge.is_apart && open.get(&(edge.page, edge.is_top)) == Some(&true));
            running[at] |= is_outer && says_the_same(edge);
        }
    }
}

/// A line as it reads once running lines are gone.
pub(super) fn plain(line: &str) -> String {
    line.replace(GAP, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pages of lines that all stand equally far apart, except after `~`.
    fn pages(pages: &[&str]) -> Vec<Page> {
        let page = |text: &&str| {
            let mut down = 0.0;
            let mut lines = Vec::new();
            for line in text.lines() {
                if line == "~" {
                    down += 20.0;
                    continue;
                }
                down += 14.0;
                lines.push(Line {
                    text: line.into(),
                    down,
                    size: 11.0,
                    is_turned: false,
                });
            }
            Page {
                lines,
                notes: Vec::new(),
            }
        };
        pages.iter().map(page).collect()
    }

    fn left(texts: &[String]) -> Vec<String> {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let mut pages = pages(&texts);
        remove(&mut pages);
        pages
            .iter()
            .map(|page| {
                let lines: Vec<_> = page.lines.iter().map(|line| line.text.as_str()).collect();
                lines.join("/")
            })
            .collect()
    }

    fn made(count: usize, page: impl Fn(usize) -> String) -> Vec<String> {
        left(&(1..=count).map(page).collect::<Vec<_>>())
    }

    const BODY: &str = "Some text\nthat goes on\nfor a while\nand ends";

    fn body(n: usize) -> String {
        format!("Unique {0}\n{BODY}\nlast {0}", "x".repeat(n))
    }

    #[test]
    fn titles_and_page_numbers_go() {
        for number in [
            "N",
            "- N -",
            "Page N",
            "Page N of 9",
            "N/9",
            "Seite N von 9",
            "[N]",
        ] {
            let found = made(9, |n| {
                let number = number.replace('N', &n.to_string());
                format!("The Guide\n{}\n{number}", body(n))
            });
            assert_eq!(found[2], body(3).replace('\n', "/"), "{number}");
        }
    }

    #[test]
    fn roman_numbers_before_arabic_ones_go() {
        let romans = ["i", "ii", "iii", "iv"];
        let found = made(12, |n| match romans.get(n - 1) {
            Some(roman) => format!("{}\n{roman}", body(n)),
            None => format!("{}\n{}", body(n), n - 4),
        });
        assert_eq!(found[1], body(2).replace('\n', "/"));
        assert_eq!(found[8], body(9).replace('\n', "/"));
    }

    #[test]
    fn lines_that_differ_in_digits_stay() {
        for line in [
            "Invoice no. 410N",
            "Room N",
            "N. Step",
            "Step N",
            "Torque: N0 Nm",
            "Due on 1N June",
            "Ticket N",
            "Chapter N The Guide",
        ] {
            let line = |n: usize| line.replace('N', &n.to_string());
            let top = made(6, |n| format!("{}\n{}", line(n), body(n)));
            let bottom = made(6, |n| format!("{}\n{}", body(n), line(n)));
            for n in 1..=6 {
                assert!(top[n - 1].starts_with(&line(n)), "{top:?}");
                assert!(bottom[n - 1].ends_with(&line(n)), "{bottom:?}");
            }
        }
    }

    #[test]
    fn the_text_of_short_pages_stays() {
        assert_eq!(made(6, |n| format!("Room {n}"))[3], "Room 4");
        assert_eq!(made(6, |n| format!("{}", 100 + n))[3], "104");
        assert_eq!(made(6, |_| "Fragile".into())[3], "Fragile");
        assert_eq!(
            made(6, |n| format!("Slide {n}\nPoint {n}"))[3],
            "Slide 4/Point 4"
        );
        // The number of a room opens the page; the page's own stands apart below.
        let rooms = made(6, |n| format!("{}\n{}\n~\n{n}", 200 + n, body(n)));
        assert!(rooms[2].starts_with("203/Unique"), "{rooms:?}");
        assert!(rooms[2].ends_with("last xxx"), "{rooms:?}");
    }

    #[test]
    fn numbers_beside_titles_go_where_they_stand_apart() {
        let found = made(8, |n| format!("The Guide\t{n}\n~\n{}", body(n)));
        assert_eq!(found[4], body(5).replace('\n', "/"));
        let found = made(8, |n| format!("Receipt\t{n}\n{}", body(n)));
        assert!(found[4].starts_with("Receipt\t5"));
        let found = made(8, |n| format!("Invoice\t{}\n~\n{}", 4100 + n, body(n)));
        assert!(found[4].starts_with("Invoice\t4105"));
    }

    #[test]
    fn two_running_rows_go_and_the_text_below_stays() {
        let found = made(6, |n| {
            format!("Company\nThe Guide\n~\nTerms apply\n{}", body(n))
        });
        assert!(found[2].starts_with("Terms apply/Unique xxx"), "{found:?}");
        let found = made(6, |n| {
            format!("{}\nPayable in thirty days.\nDue on 1{n} June", body(n))
        });
        assert!(found[2].ends_with("Payable in thirty days./Due on 13 June"));
    }

    #[test]
    fn few_pages_lose_only_what_says_that_it_is_a_page_number() {
        let letter = |n: usize| format!("{}\n~\nPage {n} of 2", body(n));
        assert_eq!(made(2, letter)[1], body(2).replace('\n', "/"));
        assert_eq!(left(&["1\na".into(), "2\na".into()]), ["1/a", "2/a"]);
        assert_eq!(made(1, |_| "Page 1 of 1\nx".into()), ["Page 1 of 1/x"]);
    }

    #[test]
    fn headings_that_count_stay() {
        let mut found = pages(&[
            "Lesson\t1\n~\na\nb\nc\nd\ne",
            "Lesson\t2\n~\na\nb\nc\nd\ne",
            "Lesson\t3\n~\nb\nc\nd\ne\nf",
            "Lesson\t4\n~\nb\nc\nd\ne\nf",
        ]);
        for page in &mut found {
            page.lines[0].size = 20.0;
        }
        remove(&mut found);
        assert!(
            found
                .iter()
                .all(|page| page.lines[0].text.starts_with("Lesson"))
        );
    }
}
