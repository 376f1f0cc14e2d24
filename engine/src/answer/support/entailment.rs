//! Does one statement of a source say what a claim says?
//!
//! Both are rows of terms, split into clauses. A statement supports a claim if
//!
//! 1. it, or its place (title and headings), has the claim's words: each name, identifier and unit,
//!    and all but a share of [`PARAPHRASED`] of the others, which may be paraphrased (here);
//! 2. it has every number of the claim, in the same unit and counting the same thing; the claim
//!    does not mix two clauses; and subject and object are not swapped (`relation`); and
//! 3. nothing is negated, limited or turned into its opposite in only one of them (`polarity`).

use super::statements::{Statement, subject};
use super::terms::{Kind, Term, Voice};
use crate::answer::words::{is_number, is_part};

/// Share of a claim's words that may be paraphrased.
const PARAPHRASED: f32 = 0.3;
/// With this many words found, one verb may be paraphrased, whatever its share.
const VERB_NEEDS: usize = 3;
/// Keys that say hardly more than "is": they may be paraphrased although other statements have
/// them.
const PALE: &str = "keep";

/// What a statement says about a claim, and how much of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Verdict {
    Bears(f32),
    /// It says the opposite.
    Contradicts(f32),
    Silent,
}

/// What `statement` says about `claim`.
pub(super) fn judge(claim: &[Term], statement: &Statement) -> Verdict {
    let mut pair = Pair::of(claim, statement);
    let Some(share) = pair.share() else {
        return Verdict::Silent;
    };
    // Words that only repeat the question need not be related to the answer.
    let answer: Vec<Term>;
    if claim.iter().any(|term| term.is_asked) {
        answer = claim
            .iter()
            .filter(|term| !term.is_asked)
            .cloned()
            .collect();
        pair = Pair::of(&answer, statement);
    }
    let numbers = pair.numbers_agree();
    if !pair.polarities_agree() || pair.is_swapped() {
        // With other numbers it is about something else.
        return match numbers {
            true => Verdict::Contradicts(share),
            false => Verdict::Silent,
        };
    }
    match numbers && pair.is_one_relation() && !pair.generalises() {
        true => Verdict::Bears(share),
        false => Verdict::Silent,
    }
}

/// A claim compared with a statement.
pub(super) struct Pair<'a> {
    pub(super) claim: &'a [Term],
    pub(super) own: &'a [Term],
    pub(super) statement: &'a Statement,
    /// For each term of the claim, the terms of the statement that may match it.
    pub(super) same: Vec<Vec<usize>>,
}

impl<'a> Pair<'a> {
    fn of(claim: &'a [Term], statement: &'a Statement) -> Self {
        let own = &statement.terms[..];
        let same = |term: &Term| {
            (0..own.len())
                .filter(|&at| are_same(term, &own[at]))
                .collect()
        };
        Self {
            claim,
            own,
            statement,
            same: claim.iter().map(same).collect(),
        }
    }

    /// Whether the statement's place supplies a term of the claim.
    pub(super) fn is_supplied(&self, term: &Term) -> bool {
        self.statement.supplies(&term.key)
            || (term.kind == Kind::Exact && self.statement.supplies_part(&term.key))
            || (term.key == "default" && self.statement.is_setting)
    }

    /// Whether the claim has the statement's term `own`.
    pub(super) fn is_told(&self, own: usize) -> bool {
        self.same.iter().any(|same| same.contains(&own))
    }

    /// Share of the claim's words that are found; `None` if too few are, or if a word is missing
    /// that cannot be paraphrased.
    fn share(&self) -> Option<f32> {
        let (mut held, mut own, mut missing, mut verbs) = (0, 0, 0, 0);
        let (mut asked_held, mut asked_missing) = (0, 0);
        for (at, term) in self.claim.iter().enumerate() {
            let is_held = !self.same[at].is_empty() || self.is_supplied(term);
            asked_held += usize::from(term.is_asked && is_held);
            if term.is_asked && !is_held {
                asked_missing += 1;
            } else if term.kind == Kind::Number {
                held += 1;
                own += 1;
            } else if !term.is_content() {
            } else if !self.same[at].is_empty() {
                held += 1;
                own += 1;
            } else if self.is_supplied(term) {
                // The title applies to everything, so this counts neither for nor against.
                held += usize::from(self.statement.near.contains(&term.key));
                let is_subject = !self.claim[..at].iter().any(Term::is_content);
                let is_weak = is_subject && self.statement.is_weak(&term.key);
                missing += usize::from(is_weak && self.has_other_subject());
            } else if term.is_free() {
            } else if self.is_wrong(at) {
                return None;
            } else {
                missing += 1;
                verbs += usize::from(!matches!(term.verb, None | Some(Voice::State)));
            }
        }
        let share = held as f32 / (held + missing).max(1) as f32;
        let one_verb = missing == 1 && verbs == 1 && held >= VERB_NEEDS;
        // It must be about what the question asks.
        if asked_missing > 0 && asked_missing >= asked_held {
            return None;
        }
        // The place alone is not enough.
        let is_own = own > 0 && 2 * own >= held && !self.invents_clause();
        (is_own && (share >= 1.0 - PARAPHRASED || one_verb)).then_some(share)
    }

    /// Whether the statement is about a noun that the claim does not have.
    fn has_other_subject(&self) -> bool {
        subject(self.own)
            .into_iter()
            .any(|own| !self.own[own].is_frame && !self.is_told(own))
    }

    /// Whether the missing word at `at` cannot be a paraphrase: a fact, a word of other statements,
    /// or one in whose place the statement has another word.
    fn is_wrong(&self, at: usize) -> bool {
        let term = &self.claim[at];
        term.is_fact
            || (self.statement.is_said_elsewhere(term) && term.key != PALE)
            || self.is_replaced(at)
            || (term.is_noun && self.has_another(at))
    }

    /// Whether a term of the statement is a noun that the claim does not have.
    fn is_other(&self, own: usize) -> bool {
        self.own.get(own).is_some_and(|term| {
            term.kind == Kind::Word && term.verb.is_none() && !term.is_frame && !self.is_told(own)
        })
    }

    /// Whether the missing word at `at` is the subject or object of a verb that has a different one
    /// in the statement: "compares videos" against "compares pictures".
    fn is_replaced(&self, at: usize) -> bool {
        let missing = &self.claim[at];
        let replaces = |verb: Option<usize>, step: isize| {
            let verb = verb.filter(|&verb| {
                let term = self.claim.get(verb);
                term.is_some_and(|term| term.clause == missing.clause)
            });
            verb.is_some_and(|verb| {
                self.same[verb].iter().any(|&own| {
                    let is_verb = self.claim[verb].verb.is_some() || self.own[own].verb.is_some();
                    let other = own
                        .checked_add_signed(step)
                        .filter(|&other| self.is_other(other));
                    let near = |other: usize| self.own[other].clause == self.own[own].clause;
                    is_verb && other.is_some_and(near)
                })
            })
        };
        missing.verb.is_none() && (replaces(Some(at + 1), -1) || replaces(at.checked_sub(1), 1))
    }

    /// Whether the statement has another noun in place of the claim's missing one at `at`: between
    /// the same neighbours.
    fn has_another(&self, at: usize) -> bool {
        let clause = self.claim[at].clause;
        let beside = |at: &usize| self.claim[*at].clause == clause && !self.same[*at].is_empty();
        let left = (0..at).rev().find(beside);
        let right = (at + 1..self.claim.len()).find(beside);
        let between =
            |from: usize, to: usize| (from.min(to) + 1..from.max(to)).any(|own| self.is_other(own));
        let stays = |own: usize, other: usize| self.own[own].clause == self.own[other].clause;
        match (left, right) {
            (Some(left), Some(right)) => self.same[left]
                .iter()
                .any(|&from| self.same[right].iter().any(|&to| between(from, to))),
            (Some(left), None) => self.same[left].iter().any(|&from| {
                let mut after = (from + 1..self.own.len()).take_while(|&own| stays(own, from));
                after.any(|own| self.is_other(own))
            }),
            (None, Some(right)) => self.same[right].iter().any(|&to| {
                let mut before = (0..to).rev().take_while(|&own| stays(own, to));
                before.any(|own| self.is_other(own))
            }),
            (None, None) => true,
        }
    }

    /// Whether nothing of some clause of the claim is found.
    fn invents_clause(&self) -> bool {
        let says = |at: &usize| {
            let term = &self.claim[*at];
            (term.is_content() && !term.is_free()) || term.kind == Kind::Number
        };
        let holds = |at: usize| !self.same[at].is_empty() || self.is_supplied(&self.claim[at]);
        let mut end = 0;
        let mut clauses = self.claim.chunk_by(|one, other| one.clause == other.clause);
        clauses.any(|clause| {
            let range = end..end + clause.len();
            end = range.end;
            let mut said = range.filter(says).peekable();
            said.peek().is_some() && !said.any(holds)
        })
    }
}

/// Whether two terms may match, whatever their polarity.
fn are_same(claim: &Term, own: &Term) -> bool {
    use Kind::{Bound, Exact, Is, Number, Part, Word};
    match (claim.kind, own.kind) {
        // "a maximum of 5" is "at most 5".
        (Word, Number | Bound) if claim.key == "minimum" => claim.pole == own.pole,
        // "start" is not the opposite of "nine stops".
        (Word, Word) if claim.pole * own.pole < 0 => {
            claim.key == own.key && claim.is_counted == own.is_counted
        }
        (Word | Part, Word | Part) | (Number, Number) | (Bound, Bound) | (Is, Is) => {
            claim.key == own.key
        }
        (Exact, Exact) => claim.key == own.key || is_part(&own.key, &claim.key),
        // "one hour" is "an hour", "a day" is "one day".
        (Number, Word) => claim.key == "1" && claim.measure == Some(own.key.as_str()),
        (Word, Number) => own.key == "1" && own.measure == Some(claim.key.as_str()),
        // A number may be part of an address.
        (Number, Exact) => !is_number(&own.key) && is_part(&own.key, &claim.key),
        (Exact, Word | Part) => claim.key == own.key,
        _ => false,
    }
}
