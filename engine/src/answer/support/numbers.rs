//! Numbers of a statement: their values, units and limits.

use super::lexicon::{measure, number};
use super::terms::{Kind, Reader, Term};
use super::tokens::parts_clauses;
use crate::answer::words::{is_number, is_stop_word, normal_exact};

/// Words that make the number next to them a limit.
const AT_LEAST: &str = "above beyond exceed exceeds exceeding over least more minimum min";
const AT_MOST: &str = "below under most less fewer maximum max";
/// Limits that do not need a number next to them: "below which".
const SIDES: &str = "above below under beyond";
/// Comparatives that mean less.
const SMALLER: &str = "shorter smaller lower younger earlier";

/// Whether `word` is in a space-separated list.
fn has(list: &str, word: &str) -> bool {
    list.split(' ').any(|entry| entry == word)
}

impl Reader<'_> {
    /// The number at `at`, and the unit attached to it.
    pub(super) fn value(&self, at: usize) -> Option<(String, Option<&'static str>)> {
        let word = self.lower(at);
        if matches!(word, "a" | "an") && self.before(at) == "than" {
            // "older than a day".
            let counts = measure(self.lower(at + 1), true).is_some();
            return counts.then(|| ("1".to_owned(), None));
        }
        if let Some(digits) = number(word) {
            let counts = word != "one" || self.counts(at + 1);
            return counts.then(|| (digits.to_owned(), None));
        }
        if !word.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        if is_number(word) {
            return Some((normal_exact(word), None));
        }
        let digits = word.len()
            - word
                .trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | ','))
                .len();
        // `30s`, `5MB`, and `30-second`.
        let unit = measure(word[digits..].trim_start_matches('-'), true)?;
        Some((normal_exact(&word[..digits]), Some(unit)))
    }

    /// Whether "one" before the token at `at` counts something.
    fn counts(&self, at: usize) -> bool {
        let next = self.lower(at);
        measure(next, true).is_some() || (!next.is_empty() && !is_stop_word(next))
    }

    /// The unit of the number at `at`.
    pub(super) fn measure_after(&self, at: usize) -> Option<&'static str> {
        let after = self.raw[at].after.trim_start();
        for sign in ["%", "°", "€", "$"] {
            if after.starts_with(sign) {
                return measure(sign, true);
            }
        }
        let next = self.raw.get(at + 1)?;
        let near = next.gap.trim_matches('-').trim().is_empty();
        near.then(|| measure(&next.lower, true))
            .flatten()
            .or_else(|| {
                // In "40 to 60 percent" the unit applies to both.
                let range = near && matches!(self.lower(at + 1), "to" | "or" | "and");
                let other = range.then(|| self.value(at + 2)).flatten()?;
                other.1.or_else(|| self.measure_after(at + 2))
            })
    }

    /// Whether the word at `at` is the unit of the number before it.
    pub(super) fn is_measure_of_number(&self, at: usize) -> bool {
        let near = self.raw[at].gap.trim_matches('-').trim().is_empty();
        at > 0 && near && measure(self.lower(at), true).is_some() && self.value(at - 1).is_some()
    }

    /// Reads a limit if the word at `at` is one.
    pub(super) fn bound(&mut self, at: usize) -> bool {
        let word = self.lower(at);
        let next = self.lower(at + 1);
        let near = |distance| self.value(at + distance).is_some();
        // "at least 5", "at least version 5", "more than 5", "a maximum of 5".
        let after_at = self.before(at) == "at";
        let before_number = near(1) || (near(2) && (after_at || matches!(next, "than" | "of")));
        // "12 or more".
        let after_number = self.before(at) == "or" && at > 1 && self.value(at - 2).is_some();
        let is_side = has(SIDES, word);
        let is_up_to = word == "up" && next == "to" && near(2);
        let is_longer = word.ends_with("er") && next == "than" && near(2);
        let limits = before_number || after_at || after_number || is_side;
        let pole = if is_up_to || (has(AT_MOST, word) && limits) {
            -1
        } else if has(AT_LEAST, word) && limits {
            1
        } else if is_longer || (after_number && matches!(word, "newer" | "later")) {
            if has(SMALLER, word) { -1 } else { 1 }
        } else {
            return false;
        };
        // "must not be more than" is "at most".
        let is_no = matches!(self.before(at), "no" | "not");
        let here = |term: &Term| term.kind == Kind::Not && term.clause == self.clause;
        let not = self.terms.iter().rposition(here);
        let not = not.filter(|_| pole > 0 && before_number);
        let pole = if is_no || not.is_some() { -pole } else { pole };
        if let Some(not) = not {
            self.terms.remove(not);
        }
        if before_number || is_longer || is_up_to {
            self.limit = pole;
            return true;
        }
        let mut before = self.terms.iter_mut().rev();
        let number = before.find(|term| term.kind == Kind::Number);
        let free = |number: &&mut Term| number.clause == self.clause && number.pole == 0;
        match number.filter(free).filter(|_| !is_side) {
            Some(number) => number.pole = pole,
            None => {
                let mut term = Term::new(Kind::Bound, "bound", self.clause);
                term.pole = pole;
                self.push(term);
            }
        }
        true
    }

    /// Reads "on" and "off", "up" and "down" if they are particles of a verb.
    pub(super) fn particle(&mut self, at: usize) -> bool {
        let (key, pole) = match self.lower(at) {
            "on" => ("on", 1),
            "off" => ("on", -1),
            "up" => ("up", 1),
            "down" => ("up", -1),
            _ => return false,
        };
        let next = self.raw.get(at + 1);
        let ends = next.is_none_or(|next| next.lower == "by" || parts_clauses(next.gap));
        if ends {
            let mut term = Term::new(Kind::Bound, key, self.clause);
            term.pole = pole;
            self.push(term);
        }
        ends
    }
}
