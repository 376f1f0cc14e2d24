//! Does a source say what a sentence says?
//!
//! This check defines `grounded`. A source is split into single statements (`statements`):
//! sentences, rows with the names of their columns, settings with their comments, list items. It
//! supports a claim if one statement supports all of it (`entailment`) or, if the claim joins
//! several clauses, if a statement supports each clause. Numbers, units, names, negation, opposites
//! and the relation between them must agree; other words may be paraphrased. `lexicon` has the
//! English words that this needs.
//!
//! Text in other languages, code, and sentences that only introduce something are compared by words
//! (`gist`): exact tokens, words close together, and no lost "not".
//!
//! The check compares words. It does not find what follows from a statement only by inference (that
//! three weeks are 21 days).

mod entailment;
mod gist;
mod lexicon;
#[cfg(test)]
mod measured;
mod numbers;
mod polarity;
mod relation;
mod statements;
mod terms;
mod tokens;

use std::collections::HashSet;

use super::sentences::{is_item, sentences};
use super::words::{Content, Words, is_stop_word, is_unspaced, tokens};
use crate::retrieve::Source;
use entailment::{Verdict, judge};
use gist::Gist;
use statements::{Statement, plain, statements};
use terms::{Kind, Term, terms};

/// An English sentence of this many words has at least one without content.
const SPEAKS: usize = 8;
/// Minimum number of terms for a clause to be a statement of its own.
const CLAUSE_TERMS: usize = 2;

/// A source, ready to be compared.
pub(super) struct Evidence {
    /// The source's number.
    pub(super) n: u32,
    gist: Gist,
    statements: Vec<Statement>,
    options: HashSet<String>,
}

/// What a sentence claims.
pub(super) struct Claim {
    /// Its content words.
    pub(super) content: Content,
    pieces: Vec<Piece>,
    /// Command options in it, `--dry-run`: they occur in code, where the rules for sentences do not
    /// apply.
    options: Vec<String>,
}

/// A part of a claim that must be supported separately: a sentence, a row, a block of code.
struct Piece {
    /// Its tokens in lower case.
    text: String,
    content: Content,
    negated: bool,
    /// `None` if only words are compared.
    terms: Option<Vec<Term>>,
}

impl Claim {
    /// The claim of `text`, which has no marks.
    pub(super) fn of(text: &str, words: &Words) -> Self {
        let pieces = pieces(text)
            .into_iter()
            .map(|(piece, is_strict)| Piece {
                text: plain(piece),
                content: words.content(piece),
                negated: words.is_negated(piece),
                terms: (is_strict && words.is_english() && speaks_english(piece))
                    .then(|| terms(piece, words)),
            })
            .filter(|piece| !piece.content.is_empty())
            .collect();
        Self {
            content: words.content(text),
            pieces,
            options: options(text).map(str::to_lowercase).collect(),
        }
    }
}

/// The long options in a text, without their values.
fn options(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && !matches!(c, '-' | '_'))
        .filter(|word| word.len() > 3 && word.starts_with("--") && !word.ends_with('-'))
}

impl Claim {
    /// The claim of `text` as an answer to `question`: words repeated from the question need not
    /// occur in the source. This does not apply if the claim gives a number, which is right only
    /// for what it refers to, or if it says nothing else.
    pub(super) fn answering(text: &str, question: &str, words: &Words) -> Self {
        let mut claim = Self::of(text, words);
        let asked: HashSet<String> = terms(question, words)
            .into_iter()
            .filter(|term| term.kind == Kind::Word)
            .map(|term| term.key)
            .collect();
        let is_asked =
            |term: &Term| term.kind == Kind::Word && !term.is_fact && asked.contains(&term.key);
        for piece in &mut claim.pieces {
            let Some(terms) = &mut piece.terms else {
                continue;
            };
            let has_number = terms.iter().any(|term| term.kind == Kind::Number);
            let adds = |term: &Term| term.is_content() && !term.is_free() && !is_asked(term);
            if has_number || !terms.iter().any(adds) {
                continue;
            }
            for term in &mut *terms {
                term.is_asked = is_asked(term);
            }
            // For a clause that only repeats the question ("To do so without a key, ..."), only its
            // words count.
            let asks: HashSet<usize> = terms
                .chunk_by(|one, other| one.clause == other.clause)
                .filter(|clause| {
                    clause
                        .iter()
                        .all(|term| term.is_asked || !term.is_content())
                })
                .map(|clause| clause[0].clause)
                .collect();
            terms.retain(|term| term.is_asked || !asks.contains(&term.clause));
            for term in terms {
                if asks.contains(&term.clause) {
                    term.pole = 0;
                    term.verb = None;
                }
            }
        }
        claim
    }
}

/// Sentences, items, rows and blocks of code of a claim, and whether each must be supported word by
/// word. Introductions and code need not: models word introductions freely.
fn pieces(text: &str) -> Vec<(&str, bool)> {
    let mut found = Vec::new();
    for range in sentences(text) {
        let sentence = &text[range];
        let (prose, _) = sentence.split_once("```").unwrap_or((sentence, ""));
        let leads = sentence.ends_with(':') || prose.len() < sentence.len();
        if leads && prose.contains(|c: char| c.is_ascii_digit()) {
            // A sentence with a number is a statement, whatever it introduces.
            found.push((prose.trim(), true));
        }
        if let Some((header, rows)) = sentence.split_once("\n|") {
            found.push((header, false));
            found.extend(rows.lines().map(|row| (row, true)));
            continue;
        }
        found.push((sentence, !leads && !has_list(sentence)));
        if has_list(sentence) {
            found.extend(sentence.split_once(": ").map(|(_, item)| (item, true)));
        }
    }
    found
}

/// Whether an introduction and its first item form one sentence.
fn has_list(sentence: &str) -> bool {
    sentence
        .split_once(": ")
        .is_some_and(|(_, rest)| is_item(rest))
}

/// Whether the rules for English apply: not to sentences in languages whose function words are
/// unknown, even if one of them looks English.
fn speaks_english(text: &str) -> bool {
    let (mut all, mut small) = (0, 0);
    for token in tokens(text) {
        all += 1;
        small += usize::from(is_stop_word(&token.to_lowercase()));
    }
    (all < SPEAKS || small > 1 || small * SPEAKS >= all) && !text.contains(is_unspaced)
}

impl Evidence {
    /// Prepares one source.
    pub(super) fn of(source: &Source, words: &Words) -> Self {
        Self {
            n: source.n,
            options: options(&source.text).map(str::to_lowercase).collect(),
            gist: Gist::of(source, words),
            statements: match words.is_english() {
                true => statements(source, words),
                false => Vec::new(),
            },
        }
    }

    /// How well the source supports `claim`, in 0..=1; `None` if it does not. A claim without
    /// content is never supported.
    pub(super) fn support(&self, claim: &Claim) -> Option<f32> {
        let knows = |option| self.options.contains(option);
        if !claim.options.iter().all(knows) {
            return None;
        }
        let mut least = None;
        for piece in &claim.pieces {
            let quotes = |statement: &Statement| statement.text == piece.text;
            let share = match &piece.terms {
                _ if self.statements.iter().any(quotes) => Some(1.0),
                Some(terms) => self.says(terms),
                None => self.gist.bears(&piece.content, piece.negated),
            }?;
            least = Some(share.min(least.unwrap_or(1.0)));
        }
        least
    }

    /// How well one statement supports the terms of a sentence, or several statements its clauses.
    fn says(&self, claim: &[Term]) -> Option<f32> {
        let whole = self.bears(claim);
        if whole.is_some() {
            return whole;
        }
        let parts = clauses(claim);
        if parts.len() < 2 {
            return None;
        }
        let mut least = 1.0_f32;
        for part in parts {
            least = least.min(self.bears(&part)?);
        }
        Some(least)
    }

    /// How well a statement supports `claim`; `None` if another statement contradicts more of it.
    fn bears(&self, claim: &[Term]) -> Option<f32> {
        let (mut borne, mut denied) = (None, 0.0_f32);
        for statement in &self.statements {
            match judge(claim, statement) {
                Verdict::Bears(share) => borne = Some(share.max(borne.unwrap_or(0.0))),
                Verdict::Contradicts(share) => denied = denied.max(share),
                Verdict::Silent => {}
            }
        }
        borne.filter(|borne| *borne > denied || denied == 0.0)
    }
}

/// The clauses of a claim as separate claims. A clause that opens with its verb, or has none, takes
/// the subject of the first.
fn clauses(claim: &[Term]) -> Vec<Vec<Term>> {
    let weight = |part: &[Term]| {
        let counts = |term: &&Term| term.is_content() || term.kind == Kind::Number;
        part.iter().filter(counts).count()
    };
    let mut parts: Vec<Vec<Term>> = Vec::new();
    for clause in claim.chunk_by(|one, other| one.clause == other.clause) {
        match parts.last_mut() {
            Some(last) if weight(last) < CLAUSE_TERMS || weight(clause) < CLAUSE_TERMS => {
                last.extend_from_slice(clause);
            }
            _ => parts.push(clause.to_vec()),
        }
    }
    let words = |term: &&Term| term.is_content();
    let subject = claim
        .iter()
        .filter(words)
        .find(|term| term.key != "default")
        .cloned();
    for part in parts.iter_mut().skip(1) {
        let opens_with_verb = part
            .iter()
            .find(words)
            .is_some_and(|term| term.verb.is_some());
        let has_verb = part.iter().any(|term| term.verb.is_some());
        if let Some(mut subject) = subject.clone().filter(|_| opens_with_verb || !has_verb) {
            subject.is_fact = true;
            part.insert(0, subject);
        }
    }
    parts
}

/// The source that supports `claim` best; among equals the earlier one.
pub(super) fn best_support(claim: &Claim, evidence: &[Evidence]) -> Option<u32> {
    let mut best: Option<(f32, u32)> = None;
    for source in evidence {
        if let Some(support) = source.support(claim)
            && best.is_none_or(|(most, _)| support > most)
        {
            best = Some((support, source.n));
        }
    }
    best.map(|(_, n)| n)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::source;
    use super::*;

    fn supported(claim: &str) -> Option<u32> {
        let words = Words::new("english");
        let texts = [
            "Cairn listens on port 8620. It keeps its data in the folder .cairn. Restart it with `cairn serve`.",
            "Rust's ownership rules: each value has one owner. When the owner goes out of scope, the value is dropped.",
        ];
        let evidence: Vec<Evidence> = (1..)
            .zip(texts)
            .map(|(n, text)| Evidence::of(&source(n, text), &words))
            .collect();
        best_support(&Claim::of(claim, &words), &evidence)
    }

    #[test]
    fn an_option_that_the_source_does_not_have_is_noticed_in_code_too() {
        let words = Words::new("english");
        let text =
            "To copy a folder again, run:\n\n    sync -av --delete --max-size=5m src/ dest/\n";
        let evidence = [Evidence::of(&source(1, text), &words)];
        let check = |claim: &str| best_support(&Claim::of(claim, &words), &evidence).is_some();
        assert!(check(
            "To copy a folder again, run: ```sync -av --delete src/ dest/```"
        ));
        assert!(!check(
            "To copy a folder again, run: ```sync -av --watch src/ dest/```"
        ));
    }

    #[test]
    fn an_answer_may_say_the_question_again() {
        let words = Words::new("english");
        let text = "--no-commit: This flag applies the changes of each picked commit to your working tree, without making any commit. The collector listens on port 4318.";
        let evidence = [Evidence::of(&source(1, text), &words)];
        let check = |claim: &str, question: &str| {
            best_support(&Claim::answering(claim, question, &words), &evidence).is_some()
        };
        let pick = "How can I pick a commit without committing it immediately?";
        let claim =
            "To pick a commit without committing it immediately, use the `--no-commit` flag.";
        assert!(check(claim, pick));
        // Another flag, a number of something else, and a claim that does not answer the question.
        assert!(!check(&claim.replace("no-commit", "dry-run"), pick));
        assert!(!check(
            "The default port of Cairn is 4318.",
            "What is the default port of Cairn?"
        ));
        assert!(!check(
            "To encrypt a backup with a passphrase, use `--no-commit`.",
            "How do I encrypt a backup with a passphrase?"
        ));
    }

    #[test]
    fn what_a_source_says_is_supported() {
        assert_eq!(
            supported("The port that Cairn listens on is 8620."),
            Some(1)
        );
        assert_eq!(
            supported("A value is dropped when its owner leaves the scope."),
            Some(2)
        );
    }

    #[test]
    fn what_none_says_is_not() {
        assert_eq!(supported("Cairn listens on port 9000."), None);
        assert_eq!(
            supported("Cairn supports PostgreSQL clusters and replication."),
            None
        );
        assert_eq!(supported("Restart it with `cairn_restart`."), None);
        assert_eq!(supported("It is so."), None);
    }

    #[test]
    fn a_number_must_stand_near_its_words() {
        let words = Words::new("english");
        let text = "A char has a size of 4 bytes. It holds a scalar value. Strings are different. They are encoded. An ASCII letter takes 1 of them.";
        let evidence = [Evidence::of(&source(1, text), &words)];
        let check = |claim: &str| best_support(&Claim::of(claim, &words), &evidence);
        assert_eq!(check("The size of a char is 4 bytes."), Some(1));
        assert_eq!(check("The size of a char is 1 byte."), None);
    }

    #[test]
    fn a_lost_or_added_not_is_noticed() {
        assert_eq!(
            supported("The value is not dropped when the owner goes out of scope."),
            None
        );
        assert_eq!(supported("Cairn doesn't listen on port 8620."), None);
        assert_eq!(
            supported("When the owner goes out of scope, its value is dropped."),
            Some(2)
        );
    }

    /// What the source, under the title "Page B", says about a claim.
    fn bears(text: &str, claim: &str) -> bool {
        let words = Words::new("english");
        let evidence = Evidence::of(&source(1, text), &words);
        evidence.support(&Claim::of(claim, &words)).is_some()
    }

    #[test]
    fn a_number_of_something_else_is_no_proof() {
        let text = "Cairn sends traces to http://localhost:4318 when `telemetry.otlp` is set. \
            The service listens on port 8620.";
        assert!(bears(text, "The service listens on port 8620."));
        assert!(!bears(text, "The default port for Cairn is 4318."));
        assert!(!bears(text, "The service listens on port 4318."));
        assert!(bears(
            "Full backups are kept for 90 days, partial ones for 14.",
            "Full backups are kept for 90 days."
        ));
        assert!(!bears(
            "Full backups are kept for 90 days, partial ones for 14.",
            "Partial backups are kept for 90 days."
        ));
    }

    #[test]
    fn measures_limits_and_opposites_must_agree() {
        let text = "A file may have at most 5 MB. It is kept for 30 seconds after the upload.";
        assert!(bears(text, "A file can have up to 5 megabytes."));
        assert!(bears(
            text,
            "A file is kept for thirty seconds after the upload."
        ));
        for claim in [
            "A file may have at most 5 GB.",
            "A file must have at least 5 MB.",
            "It is kept for 30 minutes after the upload.",
            "It is kept for 30 seconds before the upload.",
            "It is not kept after the upload.",
        ] {
            assert!(!bears(text, claim), "{claim}");
        }
    }

    #[test]
    fn subject_and_object_do_not_change_places() {
        let text = "The primary sends its log to the replicas.";
        assert!(bears(
            text,
            "The log is sent to the replicas by the primary."
        ));
        assert!(!bears(text, "The replicas send their log to the primary."));
    }

    #[test]
    fn rows_and_settings_are_statements() {
        let table = "| plan | users | price |\n|---|---|---|\n| Free | 3 | 0 EUR |\n| Team | 25 | 40 EUR |\n";
        assert!(bears(table, "The Team plan has 25 users."));
        assert!(!bears(table, "The Free plan has 25 users."));
        let settings = "```\n[cache]\n# Seconds until an entry is stale.\nttl = 600\nfollow_links = false\n```\n";
        assert!(bears(
            settings,
            "An entry of the cache is stale after 600 seconds."
        ));
        assert!(!bears(
            settings,
            "An entry of the cache is stale after 600 minutes."
        ));
        assert!(bears(settings, "Links are not followed."));
        assert!(!bears(settings, "Links are followed."));
    }

    #[test]
    fn lead_ins_lists_and_code_may_be_worded_freely() {
        let text = "To start the service again, run:\n\n```\ncairn serve --port 8620\n```\n\n\
            There are two modes:\n\n- fast mode skips the check\n- safe mode keeps it\n";
        let code = "You can restart the service by running: ```\ncairn serve --port 8620\n```";
        assert!(bears(text, code));
        assert!(!bears(text, &code.replace("8620", "9000")));
        assert!(bears(
            text,
            "The service has these modes: - fast mode skips the check"
        ));
        assert!(!bears(
            text,
            "The service has these modes: - safe mode skips the check"
        ));
    }

    #[test]
    fn a_figure_in_a_lead_in_is_checked() {
        let text = "Cairn sends traces to port 4318. The service listens on port 8620.";
        assert!(bears(text, "The service listens on port 8620:"));
        assert!(!bears(text, "The service listens on port 4318:"));
    }

    #[test]
    fn other_languages_are_compared_by_their_words() {
        let text = "Der Dienst lauscht auf Port 8620. Seine Daten liegen in einem Ordner.";
        assert!(bears(
            text,
            "Die Daten liegen in einem Ordner, den der Dienst hat."
        ));
        assert!(bears(text, "Der Dienst lauscht auf dem Port 8620."));
        assert!(!bears(text, "Der Dienst lauscht auf dem Port 9000."));
    }

    proptest! {
        #[test]
        fn any_text_is_compared(
            text in "[ A-Ca-c0-9.:,`|#=%°é_/\\-\n'\"]{0,80}",
            claim in "[ a-c0-9.:,`|%°é_/-]{0,40}",
        ) {
            bears(&text, &claim);
        }
    }
}
