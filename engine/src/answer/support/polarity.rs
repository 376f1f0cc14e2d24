//! Whatever is negated, limited or turned into its opposite must be so on both sides.

use std::collections::{BTreeMap, BTreeSet};

use super::entailment::Pair;
use super::terms::{Kind, Term};

/// How many words after a "not" may contain the one it negates.
const NOT_REACHES: usize = 3;

/// What the "not"s of one side negate: the term, and whether the word directly after the "not" was
/// skipped, as in "is not protected by a password" against "has no password".
type Denied = BTreeMap<usize, bool>;

impl Pair<'_> {
    /// Whether nothing is negated, limited or reversed on only one side. Of the terms that may
    /// match, keeps those that do.
    pub(super) fn polarities_agree(&mut self) -> bool {
        let (ours, theirs) = self.both_denied();
        (0..self.claim.len()).all(|at| {
            let before = self.same[at].len();
            match self.claim[at].kind {
                Kind::Number => self.keep_limits(at),
                _ => self.keep_sides(at, &ours, &theirs),
            }
            before == 0 || !self.same[at].is_empty()
        })
    }

    /// What is negated in the claim and in the statement.
    fn both_denied(&self) -> (Denied, Denied) {
        let ours = denied(self.claim, |at| !self.same[at].is_empty());
        let shared: BTreeSet<usize> = self.same.iter().flatten().copied().collect();
        let mut theirs = denied(self.own, |at| shared.contains(&at));
        // "unless X is given" and "if X is not given" negate the same.
        for (&at, &loose) in &ours {
            if self.same[at].iter().any(|n| theirs.contains_key(n)) {
                continue;
            }
            let moved = self.same[at].iter().find_map(|&n| {
                let near = |other: &&usize| {
                    let close = other.abs_diff(n) <= NOT_REACHES;
                    loose || (close && self.own[**other].clause == self.own[n].clause)
                };
                theirs.keys().find(near).map(|&other| (other, n))
            });
            if let Some((other, n)) = moved {
                theirs.remove(&other);
                theirs.insert(n, loose);
            }
        }
        (ours, theirs)
    }

    /// Keeps the numbers whose limits are not opposite: "at least 5", "at most 5".
    fn keep_limits(&mut self, at: usize) {
        let (limit, own) = (self.claim[at].pole, self.own);
        // "at most 5; longer ones are refused" is about more than 5.
        let compared = own.iter().any(|other| {
            other.compares && other.pole == limit && self.has_word_of_its_own(other.clause)
        });
        // A limit separate from its number: "below which".
        let turned = own.iter().any(|other| {
            other.kind == Kind::Bound && other.key == "bound" && limit * other.pole < 0
        });
        self.same[at].retain(|&n| {
            let limits = limit * own[n].pole;
            compared || limits > 0 || (limits == 0 && !turned)
        });
    }

    /// Whether the claim has a word that occurs only in clause `clause` of the statement.
    fn has_word_of_its_own(&self, clause: usize) -> bool {
        let here = |&n: &usize| self.own[n].clause == clause;
        let mut words = self.same.iter().filter(|same| !same.is_empty());
        words.any(|same| same.iter().all(here))
    }

    /// Keeps terms on the same side: neither negated nor an opposite, or both; and not "to" if the
    /// claim has "from".
    fn keep_sides(&mut self, at: usize, ours: &Denied, theirs: &Denied) {
        let (term, own) = (&self.claim[at], self.own);
        let twins = |terms: &[Term]| -> Vec<usize> {
            let is = |at: &usize| terms[*at].key == term.key && terms[*at].is_content();
            (0..terms.len()).filter(is).collect()
        };
        let (ones, others) = (twins(self.claim), twins(own));
        if ones.len() > 1 && ones.len() == others.len() {
            // Terms that occur twice on both sides match in order: "changing it changes the
            // others".
            let place = ones.iter().position(|&one| one == at);
            self.same[at].retain(|n| place.is_none_or(|place| others[place] == *n));
        }
        let said = side(term, ours.contains_key(&at));
        self.same[at].retain(|&n| {
            side(&own[n], theirs.contains_key(&n)) == said && term.way * own[n].way >= 0
        });
    }
}

/// The side that a term is on: a "not" reverses it.
fn side(term: &Term, is_denied: bool) -> i8 {
    match (term.pole, is_denied) {
        (-1, false) | (0 | 1, true) => -1,
        _ => 1,
    }
}

/// What the "not"s of `terms` negate. `shared` says what both sides have.
fn denied(terms: &[Term], shared: impl Fn(usize) -> bool) -> Denied {
    let mut denied = Denied::new();
    let nots = (0..terms.len()).filter(|&at| terms[at].kind == Kind::Not);
    for at in nots {
        let not = &terms[at];
        let scope = |next: &usize| terms[*next].clause == not.clause;
        let mut after = (at + 1..terms.len()).take_while(scope).peekable();
        if after.peek().is_none() {
            // "from 4 to 3 it is not" negates all of the clause.
            let all = (0..at).filter(scope).filter(|&term| shared(term));
            denied.extend(all.map(|term| (term, false)));
            continue;
        }
        let reach = if not.key == "without" { 1 } else { NOT_REACHES };
        let is_word = |next: &usize| terms[*next].is_content() || terms[*next].kind == Kind::Part;
        let mut words: Vec<usize> = after.filter(is_word).take(reach).collect();
        let passed = |&next: &usize| !shared(next) && terms[next].verb.is_some();
        let loose = words.first().is_some_and(passed);
        words.retain(|&next| shared(next));
        // "no new jobs are started" negates the verb.
        let is_verb = |next: &&usize| not.key == "no" && terms[**next].verb.is_some();
        let what = words.iter().find(is_verb).or(words.first());
        denied.extend(what.map(|&term| (term, loose)));
    }
    denied
}
