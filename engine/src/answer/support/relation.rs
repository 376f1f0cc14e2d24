//! What belongs together in a claim must belong together in the statement: a number and what it
//! refers to, the words of a clause, a verb and its subject.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::entailment::Pair;
use super::terms::{Kind, Term, Voice};

/// Share of a clause's words from which the clause counts as stated.
const ALL: f32 = 0.99;

impl Pair<'_> {
    /// Whether each number occurs in the statement, with its unit and what it counts. Keeps only
    /// those of its occurrences that agree.
    pub(super) fn numbers_agree(&mut self) -> bool {
        (0..self.claim.len()).all(|at| {
            let number = &self.claim[at];
            if number.kind != Kind::Number {
                return true;
            }
            // "one" often just means "a", and "version 4" may be from the title.
            let may_lack = (number.is_frame && self.same[at].is_empty())
                || (number.measure.is_none() && self.statement.supplies(&number.key));
            let mut same = std::mem::take(&mut self.same[at]);
            same.retain(|&own| self.measures_agree(number, own) && self.counts_agree(at, own));
            self.same[at] = same;
            may_lack || !self.same[at].is_empty()
        })
    }

    fn measures_agree(&self, number: &Term, own: usize) -> bool {
        let names = |term: &&Term| matches!(term.kind, Kind::Word | Kind::Part);
        let says = |name: &str| self.own.iter().filter(names).any(|term| term.key == name);
        match (number.measure, self.own[own].measure) {
            (None, _) => true,
            (Some(one), Some(other)) => one == other,
            // The unit is in the comment or in the name of the column.
            (Some(one), None) => self.own[own].kind == Kind::Word || says(one),
        }
    }

    /// "two leaders" is not supported by "one leader and two followers": there another number
    /// counts the leaders.
    fn counts_agree(&self, at: usize, own: usize) -> bool {
        let counted = head(self.claim, at);
        let elsewhere = |n: usize| {
            self.own[n].kind == Kind::Number
                && self.own[n].key != self.claim[at].key
                && head(self.own, n) == counted
        };
        counted.is_none()
            || self.claim[at].measure.is_some()
            || head(self.own, own) == counted
            || !(0..self.own.len()).any(elsewhere)
    }

    /// Whether the words and numbers of each clause of the claim also belong together in the
    /// statement.
    pub(super) fn is_one_relation(&self) -> bool {
        let is_number = |at: &usize| self.claim[*at].kind == Kind::Number;
        let whole: Vec<usize> = (0..self.claim.len()).collect();
        let several = whole.iter().filter(|at| is_number(at)).count() > 1;
        let mut clauses =
            whole.chunk_by(|&one, &other| self.claim[one].clause == self.claim[other].clause);
        clauses.all(|part| {
            // A single number belongs to the whole claim.
            let has_words = part.iter().any(|&at| self.claim[at].is_content());
            let about = if several && has_words { part } else { &whole };
            let mut numbers = part.iter().copied().filter(is_number);
            self.words_belong(part) && numbers.all(|at| self.number_belongs(at, about))
        })
    }

    /// Share of the words of a clause of the statement that the claim's terms `part` contain; for a
    /// bare number, of the clause before it.
    fn told(&self, clause: usize, part: &[usize], but_verbs: bool) -> f32 {
        let is = |own: &usize| {
            let term = &self.own[*own];
            term.clause == clause && term.is_content() && !term.is_frame
        };
        let mut words: Vec<usize> = (0..self.own.len()).filter(is).collect();
        let is_thing = |own: &usize| self.own[*own].verb.is_none();
        if but_verbs && words.iter().any(is_thing) {
            words.retain(is_thing);
        }
        if words.is_empty() {
            return match clause {
                0 => 1.0,
                _ => self.told(clause - 1, part, but_verbs),
            };
        }
        let is_said = |own: &&usize| {
            part.iter().any(|&at| self.same[at].contains(own))
                || self.statement.supplies(&self.own[**own].key)
        };
        words.iter().filter(is_said).count() as f32 / words.len() as f32
    }

    /// Whether no other number of the statement is described better by the claim's words, one of
    /// which occurs only in that number's clause.
    fn number_belongs(&self, at: usize, part: &[usize]) -> bool {
        let clauses = |ours: bool| -> Vec<usize> {
            (0..self.own.len())
                .filter(|&own| self.own[own].kind == Kind::Number)
                .filter(|own| self.same[at].contains(own) == ours)
                .map(|own| self.own[own].clause)
                .collect()
        };
        let (ours, others) = (clauses(true), clauses(false));
        let told = |clause: usize| self.told(clause, part, false);
        let most = ours.iter().map(|&clause| told(clause)).fold(0.0, f32::max);
        let only_here = |clause: usize| {
            !ours.contains(&clause)
                && part.iter().any(|&word| {
                    let mut places = self.same[word].iter().map(|&own| self.own[own].clause);
                    self.claim[word].is_content()
                        && !self.same[word].is_empty()
                        && places.all(|place| place == clause)
                })
        };
        let is_better = |&clause: &usize| told(clause) > most && only_here(clause);
        self.same[at].is_empty() || !others.iter().any(is_better)
    }

    /// Whether the claim's words are in one clause; or all of one clause is stated, and the
    /// remaining words come from before it and are omitted there: "incremental ones for 14 days".
    fn words_belong(&self, part: &[usize]) -> bool {
        let is_word = |at: &usize| {
            let term = &self.claim[*at];
            let stands = !self.same[*at].is_empty() && !self.is_supplied(term);
            term.is_content() && !term.is_frame && stands
        };
        let words: Vec<usize> = part.iter().copied().filter(is_word).collect();
        // The cells of a row all belong to its first cell.
        if words.len() < 2 || self.statement.is_row {
            return true;
        }
        let clauses: BTreeSet<usize> = self.own.iter().map(|term| term.clause).collect();
        clauses
            .into_iter()
            .any(|clause| self.clause_bears(clause, &words, part))
    }

    fn clause_bears(&self, clause: usize, words: &[usize], part: &[usize]) -> bool {
        let places = |at: usize| self.same[at].iter().map(|&own| &self.own[own]);
        let stand = |from: usize| {
            words.iter().all(|&at| {
                // "by default" at the end applies to everything.
                places(at).any(|own| {
                    (from..=clause).contains(&own.clause)
                        || (own.clause > clause && own.key == "default")
                })
            })
        };
        if stand(clause) {
            return true;
        }
        // A clause whose verb is not stated must not take one from another clause.
        let takes_verb = words.iter().any(|&at| {
            self.claim[at].verb.is_some()
                && places(at).all(|own| own.clause != clause && own.verb.is_some())
        });
        let here = words
            .iter()
            .filter(|&&at| places(at).any(|own| own.clause == clause));
        let is_mostly_here = 2 * here.count() >= words.len();
        let has_pronoun = self
            .own
            .iter()
            .any(|own| own.kind == Kind::Pronoun && own.clause == clause);
        let told = |but_verbs: bool| self.told(clause, part, but_verbs) >= ALL;
        stand(0)
            && (told(false) || (!takes_verb && (told(true) || (has_pronoun && is_mostly_here))))
    }

    /// Whether the subject of the claim lacks the word that distinguishes it from others: "tokens"
    /// for "refresh tokens".
    pub(super) fn generalises(&self) -> bool {
        let is_subject = |term: &Term| term.kind == Kind::Word && term.key != "default";
        self.claim.iter().position(is_subject).is_some_and(|at| {
            let lacks =
                |&own: &usize| self.statement.told_apart.contains(&own) && !self.is_told(own - 1);
            !self.same[at].is_empty() && self.same[at].iter().all(lacks)
        })
    }

    /// Whether subject and object are on opposite sides of the same verb, and not because one of
    /// the two is in the passive.
    pub(super) fn is_swapped(&self) -> bool {
        let is_word = |at: &usize| {
            let term = &self.claim[*at];
            (term.is_content() || term.kind == Kind::Is) && !self.same[*at].is_empty()
        };
        let words: Vec<usize> = (0..self.claim.len()).filter(is_word).collect();
        words.iter().any(|&verb| {
            self.same[verb].iter().any(|&own| {
                let (ours, theirs) = (self.claim[verb].verb, self.own[own].verb);
                let is_verb = ours.is_some() || theirs.is_some();
                let is_clear = ours != Some(Voice::Past) && theirs != Some(Voice::Past);
                let turned = (ours == Some(Voice::Passive)) != (theirs == Some(Voice::Passive));
                let near = |at: &&usize| self.claim[**at].clause == self.claim[verb].clause;
                let changes = |here: Ordering, there: Ordering| {
                    let mut beside = words
                        .iter()
                        .filter(near)
                        .filter(|at| (*at).cmp(&verb) == here);
                    beside.any(|&at| self.side_of(at, own) == Some(there))
                };
                is_verb
                    && is_clear
                    && !turned
                    && changes(Ordering::Less, Ordering::Greater)
                    && changes(Ordering::Greater, Ordering::Less)
            })
        })
    }

    /// The side of the statement's term `verb` on which the claim's term `at` is, if only one. A
    /// term that only an earlier clause has comes before the verb.
    fn side_of(&self, at: usize, verb: usize) -> Option<Ordering> {
        let clause = |n: &usize| self.own[*n].clause;
        let mut here = self.same[at].iter().filter(|n| clause(n) == clause(&verb));
        match here.next().map(|n| n.cmp(&verb)) {
            Some(first) => here.all(|n| n.cmp(&verb) == first).then_some(first),
            None => {
                let earlier = |n: &usize| clause(n) < clause(&verb);
                self.same[at].iter().any(earlier).then_some(Ordering::Less)
            }
        }
    }
}

/// What a number counts: the next word of its clause.
fn head(terms: &[Term], at: usize) -> Option<&String> {
    let next = terms.get(at + 1)?;
    let is_noun = next.kind == Kind::Word && next.verb.is_none();
    (is_noun && next.clause == terms[at].clause).then_some(&next.key)
}
