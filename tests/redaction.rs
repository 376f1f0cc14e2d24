//! How much of a labelled set the redactor masks, and how much it masks besides.

use std::collections::BTreeMap;
use std::ops::Range;

use cairn_settings::telemetry::redact::{Kind, Redactor};

const SET: &str = include_str!("fixtures/redaction.txt");

/// A line without its marks, and what is marked.
struct Line {
    text: String,
    marked: Vec<(Kind, Range<usize>)>,
}

fn kind(name: &str) -> Kind {
    let found = Kind::ALL
        .into_iter()
        .find(|kind| kind.mask() == format!("[{name}]"));
    found.unwrap_or_else(|| panic!("{name} is not a kind"))
}

fn read(line: &str) -> Line {
    let (mut text, mut marked) = (String::new(), Vec::new());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("[[") {
        // `[[[`: the first bracket belongs to the text.
        let after = match after.strip_prefix('[') {
            Some(inner) => {
                text.push_str(before);
                text.push('[');
                inner
            }
            None => {
                text.push_str(before);
                after
            }
        };
        let (inner, after) = after.split_once("]]").expect("a mark ends");
        let (name, value) = inner.split_once(':').expect("a mark has a kind");
        let start = text.len();
        text.push_str(value);
        marked.push((kind(name), start..text.len()));
        rest = after;
    }
    text.push_str(rest);
    Line { text, marked }
}

/// The lines of one part of the set.
fn part(name: &str) -> Vec<Line> {
    let (_, after) = SET.split_once(&format!("== {name}\n")).unwrap();
    let body = after.split("\n==").next().unwrap_or_default();
    body.lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with("# "))
        .map(read)
        .collect()
}

#[derive(Clone, Copy, Default)]
struct Counts {
    /// Marked data that are masked whole, as whatever kind.
    masked: usize,
    /// Marked data.
    marked: usize,
    /// Findings of this kind that touch a mark of it.
    right: usize,
    /// Findings of this kind.
    found: usize,
}

impl Counts {
    fn recall(self) -> f64 {
        self.masked as f64 / self.marked.max(1) as f64
    }

    fn precision(self) -> f64 {
        match self.found {
            0 => 1.0,
            found => self.right as f64 / found as f64,
        }
    }
}

fn measure(lines: &[Line]) -> BTreeMap<Kind, Counts> {
    let redactor = Redactor::default();
    let mut counts: BTreeMap<Kind, Counts> = BTreeMap::new();
    for Line { text, marked } in lines {
        let found = redactor.find(text);
        for (kind, span) in marked {
            let covered = |at: usize| found.iter().any(|f| f.span.contains(&at));
            let masked = span.clone().all(covered);
            let entry = counts.entry(*kind).or_default();
            entry.marked += 1;
            entry.masked += usize::from(masked);
            if !masked {
                println!("missed {kind:?} in {text:?}");
            }
        }
        for finding in &found {
            let touches = |span: &Range<usize>| {
                finding.span.start < span.end && span.start < finding.span.end
            };
            let right = marked
                .iter()
                .any(|(kind, span)| *kind == finding.kind && touches(span));
            let entry = counts.entry(finding.kind).or_default();
            entry.found += 1;
            entry.right += usize::from(right);
            if !right {
                println!("wrong {finding:?} in {text:?}");
            }
        }
    }
    for (kind, counts) in &counts {
        println!(
            "{kind:?}: precision {:.2} ({}/{}), recall {:.2} ({}/{})",
            counts.precision(),
            counts.right,
            counts.found,
            counts.recall(),
            counts.masked,
            counts.marked
        );
    }
    counts
}

/// Asserts floors of precision and recall, in hundredths.
fn at_least(counts: &BTreeMap<Kind, Counts>, floors: &[(Kind, u32, u32)]) {
    assert_eq!(floors.len(), Kind::ALL.len());
    for (kind, precision, recall) in floors {
        let counts = counts[kind];
        assert!(
            counts.precision() * 100.0 >= f64::from(*precision),
            "{kind:?}"
        );
        assert!(counts.recall() * 100.0 >= f64::from(*recall), "{kind:?}");
    }
}

#[test]
fn the_set_is_large_and_mixed() {
    let lines: Vec<Line> = [part("tuning"), part("held out")]
        .into_iter()
        .flatten()
        .collect();
    assert!(lines.len() >= 200, "{}", lines.len());
    let negatives = lines.iter().filter(|line| line.marked.is_empty()).count();
    assert!(negatives * 5 >= lines.len() * 2, "{negatives}");
}

#[test]
fn nothing_that_the_rules_were_made_for_is_missed() {
    let counts = measure(&part("tuning"));
    at_least(&counts, &Kind::ALL.map(|kind| (kind, 100, 100)));
}

#[test]
fn most_of_what_was_set_aside_is_found() {
    let counts = measure(&part("held out"));
    // What was measured, rounded down; docs/operations.md has the table.
    at_least(
        &counts,
        &[
            (Kind::Secret, 85, 100),
            (Kind::Email, 100, 100),
            (Kind::Iban, 100, 100),
            (Kind::Card, 100, 100),
            (Kind::NationalId, 100, 100),
            (Kind::Ip, 80, 100),
            (Kind::Phone, 87, 87),
            (Kind::Name, 100, 77),
        ],
    );
}
