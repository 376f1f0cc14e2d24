//! Text to terms, for indexing and for questions alike.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rust_stemmers::Stemmer;
use tantivy::tokenizer::{TextAnalyzer, Token, TokenStream, Tokenizer};

use super::fold::{is_unspaced, lower, strip_accents, write_out};
use super::language::Language;
use super::number;
use super::split::{Piece, next_run, pieces};
use crate::Result;

/// Longer terms are cut to this many bytes, in documents and questions alike.
const MAX_TERM_BYTES: usize = 256;

/// Distinct terms of one question that are searched; a page pasted into the
/// search box stays as fast as a long sentence.
pub const MAX_QUERY_TERMS: usize = 256;

/// Turns text into terms. The same analyzer must read documents and questions.
///
/// A term is lower-cased and without accents. Words are stemmed; identifiers,
/// versions, paths and addresses are kept whole alongside their parts. A number in groups
/// is there without separators too, and a word with an umlaut also as it is written
/// out: only on the side that has the groups or the umlaut, so that no other word
/// becomes another one.
#[derive(Clone)]
pub struct Analyzer {
    words: WordTokenizer,
    stop_terms: Arc<HashSet<String>>,
}

impl Analyzer {
    /// An analyzer for a Snowball language such as `english`, or `none`.
    ///
    /// # Errors
    /// `InvalidInput` for an unknown language; the message lists the known ones.
    pub fn new(language: &str) -> Result<Self> {
        let language = Language::parse(language)?;
        let words = WordTokenizer { language };
        let mut stop_terms = HashSet::new();
        for word in language.stop_words() {
            words.clone().token_stream(word).process(&mut |token| {
                stop_terms.insert(token.text.clone());
            });
        }
        Ok(Self {
            words,
            stop_terms: Arc::new(stop_terms),
        })
    }

    /// The same analyzer, whose questions keep their stop words. Documents
    /// always do.
    #[must_use]
    pub fn keeping_stop_words(mut self) -> Self {
        self.stop_terms = Arc::default();
        self
    }

    /// For Tantivy's tokenizer manager.
    pub fn text_analyzer(&self) -> TextAnalyzer {
        TextAnalyzer::from(self.words.clone())
    }

    /// The distinct terms of a question in the order of their first occurrence,
    /// at most [`MAX_QUERY_TERMS`]. Stop words are left out, unless there is
    /// nothing else.
    pub fn query_terms(&self, question: &str) -> Vec<QueryTerm> {
        let mut terms: Vec<QueryTerm> = Vec::new();
        let mut known: HashMap<String, usize> = HashMap::new();
        // Pieces that may hold the next ones: where they are, and their terms.
        let mut open: Vec<(usize, usize, usize)> = Vec::new();
        let mut words = self.words.clone();
        let mut stream = words.token_stream(question);
        while stream.advance() {
            let token = stream.token();
            let (from, to) = (token.offset_from, token.offset_to);
            open.retain(|(_, end, _)| to <= *end);
            let holds = |(start, ..): &&(usize, usize, usize)| *start <= from;
            let inside = open.iter().rfind(holds).map(|(.., term)| *term);
            for &(start, end, term) in open.iter().filter(holds) {
                // In the same place it is another spelling and not a part.
                terms[term].has_parts |= end - start > to - from;
            }
            let index = match known.get(&token.text) {
                Some(&index) => index,
                None if terms.len() == MAX_QUERY_TERMS => break,
                None => {
                    known.insert(token.text.clone(), terms.len());
                    terms.push(QueryTerm::new(&token.text));
                    terms.len() - 1
                }
            };
            terms[index].occurrences.push(inside);
            open.push((from, to, index));
        }
        if terms.iter().any(|term| !self.is_stop_term(term)) {
            // Their places stay, since other terms point at them by index.
            for term in &mut terms {
                if self.stop_terms.contains(&term.text) {
                    term.occurrences.clear();
                }
            }
        }
        terms
    }

    fn is_stop_term(&self, term: &QueryTerm) -> bool {
        self.stop_terms.contains(&term.text)
    }
}

/// One distinct term of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryTerm {
    /// As it stands in the index.
    pub text: String,
    /// For each occurrence, the index of the term that it is a part of, such as
    /// `err_conn_4012` for `conn`, or another spelling of. Empty for a stop word.
    pub occurrences: Vec<Option<usize>>,
    /// Whether other terms are parts of it.
    pub has_parts: bool,
}

impl QueryTerm {
    fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            occurrences: Vec::new(),
            has_parts: false,
        }
    }
}

/// Tantivy's interface to [`super::split`].
#[derive(Clone)]
struct WordTokenizer {
    language: Language,
}

impl Tokenizer for WordTokenizer {
    type TokenStream<'a> = WordStream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> WordStream<'a> {
        WordStream {
            text,
            language: self.language,
            stemmer: self.language.algorithm().map(Stemmer::create),
            at: 0,
            position: 0,
            pieces: Vec::new(),
            next: 0,
            numbers_end: 0,
            is_written_out: false,
            token: Token::default(),
            scratch: String::new(),
        }
    }
}

struct WordStream<'a> {
    text: &'a str,
    language: Language,
    stemmer: Option<Stemmer>,
    at: usize,
    position: usize,
    pieces: Vec<Piece>,
    next: usize,
    /// Where the last number that is longer than a run ends.
    numbers_end: usize,
    /// Whether the next piece was given as it is written out, and comes again as it is.
    is_written_out: bool,
    token: Token,
    scratch: String,
}

impl WordStream<'_> {
    /// Writes the term of a piece into the token.
    fn write_term(&mut self, piece: &Piece) {
        let term = &mut self.token.text;
        if let Some(number) = &piece.term {
            term.clear();
            term.push_str(number);
            return;
        }
        let raw = &self.text[piece.span.clone()];
        let raw = &raw[..raw.floor_char_boundary(MAX_TERM_BYTES)];
        lower(raw, term);
        let writes_out = self.language.writes_out_umlauts() && !self.is_written_out;
        self.is_written_out = writes_out && write_out(term, &mut self.scratch);
        if self.is_written_out {
            std::mem::swap(term, &mut self.scratch);
        }
        if piece.parts > 1 {
            join_hyphens(term, &mut self.scratch);
        }
        drop_apostrophes(term);
        if self.language.folds_before_stemming() {
            strip_accents(term, &mut self.scratch);
        }
        if let Some(stemmer) = &self.stemmer
            && term.chars().all(|c| c.is_alphabetic() && !is_unspaced(c))
        {
            let stem = stemmer.stem(term).into_owned();
            *term = stem;
        }
        strip_accents(term, &mut self.scratch);
    }
}

impl TokenStream for WordStream<'_> {
    fn advance(&mut self) -> bool {
        loop {
            if let Some(piece) = self.pieces.get(self.next).cloned() {
                self.write_term(&piece);
                self.next += usize::from(!self.is_written_out);
                if self.token.text.is_empty() {
                    continue;
                }
                self.token.offset_from = piece.span.start;
                self.token.offset_to = piece.span.end;
                self.token.position = piece.position;
                self.token.position_length = piece.parts;
                return true;
            }
            let Some(run) = next_run(self.text, self.at) else {
                return false;
            };
            self.at = run.end;
            self.next = 0;
            self.pieces.clear();
            if run.start >= self.numbers_end {
                for number in number::after_run(self.text, &run) {
                    self.numbers_end = self.numbers_end.max(number.span.end);
                    let piece = Piece::number(number.span, self.position, number.term);
                    self.pieces.push(piece);
                }
            }
            let elides = self.language.elides();
            self.position = pieces(self.text, run, self.position, elides, &mut self.pieces);
        }
    }

    fn token(&self) -> &Token {
        &self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.token
    }
}

/// `e-mail` and `email`, `no-verify` and `noverify` are one term; the hyphens
/// of `2024-11-22` stay.
fn join_hyphens(term: &mut String, scratch: &mut String) {
    let is_hyphen = |c: char| matches!(c, '-' | '\u{2010}' | '\u{2011}');
    if !term.contains(is_hyphen) {
        return;
    }
    scratch.clear();
    let mut before = None;
    let mut rest = term.chars().peekable();
    while let Some(c) = rest.next() {
        let mut between_digits = || {
            before.is_some_and(|c: char| c.is_ascii_digit())
                && rest.peek().is_some_and(char::is_ascii_digit)
        };
        if !is_hyphen(c) {
            scratch.push(c);
        } else if between_digits() {
            scratch.push('-');
        }
        before = Some(c);
    }
    std::mem::swap(term, scratch);
}

/// `Cairn's` is `cairn`, `don't` is `dont`.
fn drop_apostrophes(term: &mut String) {
    let is_apostrophe = |c: char| matches!(c, '\'' | '’');
    if let Some(owner) = term
        .strip_suffix('s')
        .and_then(|t| t.strip_suffix(is_apostrophe))
    {
        let length = owner.len();
        term.truncate(length);
    }
    term.retain(|c| !is_apostrophe(c));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn terms(language: &str, text: &str) -> Vec<String> {
        let mut analyzer = Analyzer::new(language).unwrap().text_analyzer();
        let mut out = Vec::new();
        analyzer
            .token_stream(text)
            .process(&mut |token| out.push(token.text.clone()));
        out
    }

    #[test]
    fn words_are_stemmed_and_identifiers_are_not() {
        assert_eq!(
            terms("english", "Connections failing: ERR_CONN_4012"),
            ["connect", "fail", "err_conn_4012", "err", "conn", "4012"]
        );
        assert_eq!(terms("none", "Connections"), ["connections"]);
        // The spelling without umlauts is a word alongside the one with them.
        assert_eq!(
            terms("german", "Häuser Straße"),
            ["haeus", "haus", "strass"]
        );
        assert_eq!(terms("french", "l'avion"), ["lavion", "l", "avion"]);
    }

    #[test]
    fn one_term_for_each_way_to_write_it() {
        for (one, other) in [
            ("e-mail", "email"),
            ("re\u{2010}ranking", "reranking"),
            ("don’t", "don't"),
            ("Café", "cafe\u{301}"),
            ("naïve", "naive"),
            ("camelCaseName", "CAMELCASENAME"),
            ("/etc/hosts", "etc/hosts/"),
            ("Cairn's", "cairn"),
        ] {
            assert_eq!(
                terms("english", one)[0],
                terms("english", other)[0],
                "{one}"
            );
        }
    }

    #[test]
    fn a_spelling_is_found_by_the_others() {
        let finds = |language: &str, question: &str, text: &str| {
            let analyzer = Analyzer::new(language).unwrap();
            let held = terms(language, text);
            analyzer
                .query_terms(question)
                .iter()
                .any(|term| !term.occurrences.is_empty() && held.contains(&term.text))
        };
        for [one, other] in [
            ["Mueller", "Müller"],
            ["Groesser", "Größer"],
            ["Groessen-Aenderung", "Größen-Änderung"],
            ["Aarhus", "Århus"],
            ["Tromsoe", "Tromsø"],
            ["9780306406157", "978-0-306-40615-7"],
            ["978 0 306 40615 7", "978-0306406157"],
            ["2788964", "2,788,964"],
            ["2.788.964", "2 788 964"],
            ["1234567.89", "1.234.567,89"],
            ["1,234,567.89 dollars", "1234567,89"],
            ["+49301234567", "+49 (0)30 123 45 67"],
            [
                "DE89370400440532013000",
                "IBAN: DE89 3704 0044 0532 0130 00.",
            ],
            ["4012888888881881", "4012-8888-8888-1881"],
            ["ISBN:9780306406157", "ISBN:978-0-306-40615-7"],
            ["ﾎﾟﾝﾌﾟ", "ポンプは二号室"],
            ["ﾊﾞﾙﾌﾞ", "バルブ"],
            ["المضخة", "المِضَخَّة جديد"],
            ["احمد", "أَحْمَد"],
            ["שלום", "שָׁלוֹם"],
            ["ปั๊ม", "เปิดปั๊มน้ำทุกวัน"],
            ["ປະຕູ", "ເປີດປະຕູ"],
            ["펌프", "펌프는 이호실에"],
        ] {
            for language in ["english", "none", "german"] {
                assert!(finds(language, one, other), "{language}: {one} in {other}");
                assert!(finds(language, other, one), "{language}: {other} in {one}");
            }
        }
        for [one, other] in [
            ["Muller", "Mueller"],
            ["pom", "poem"],
            ["blu", "blue"],
            ["1.2.3", "123"],
            ["10.0.0.1", "10001"],
            ["20241122", "2024-11-22"],
        ] {
            assert!(!finds("none", one, other), "{one} in {other}");
        }
        assert_eq!(terms("english", "Samuel does"), ["samuel", "doe"]);
    }

    #[test]
    fn another_spelling_counts_for_little_and_is_no_part() {
        let analyzer = Analyzer::new("english").unwrap();
        let terms = analyzer.query_terms("Müller 2-788-9641");
        let of = |text: &str| terms.iter().find(|term| term.text == text).unwrap();
        let at = |text: &str| terms.iter().position(|term| term.text == text);
        assert_eq!(of("muller").occurrences, [at("mueller")]);
        assert!(!of("mueller").has_parts);
        assert_eq!(of("27889641").occurrences, [at("2-788-9641")]);
        assert!(of("27889641").has_parts && of("2-788-9641").has_parts);
        assert_eq!(of("788").occurrences, [at("27889641")]);
    }

    #[test]
    fn long_terms_are_cut_the_same_way_everywhere() {
        let long = "é".repeat(10_000);
        let terms = terms("none", &long);
        assert_eq!(terms.len(), 1);
        assert!(terms[0].len() <= MAX_TERM_BYTES);
    }

    #[test]
    fn stop_words_go_unless_nothing_else_is_there() {
        let analyzer = Analyzer::new("english").unwrap();
        let live = |question: &str| -> Vec<String> {
            let terms = analyzer.query_terms(question);
            let live = terms
                .into_iter()
                .filter(|term| !term.occurrences.is_empty());
            live.map(|term| term.text).collect()
        };
        assert_eq!(live("what is the index"), ["index"]);
        assert_eq!(live("to be or not to be"), ["to", "be", "or", "not"]);
        let keeping = analyzer.clone().keeping_stop_words();
        assert_eq!(keeping.query_terms("the index").len(), 2);
        assert!(
            keeping
                .query_terms("the")
                .iter()
                .all(|t| !t.occurrences.is_empty())
        );
    }

    #[test]
    fn parts_know_their_whole() {
        let analyzer = Analyzer::new("english").unwrap();
        let terms = analyzer.query_terms("err_conn conn a/b_c");
        let of = |text: &str| terms.iter().find(|term| term.text == text).unwrap();
        assert_eq!(of("err_conn").occurrences, [None]);
        assert_eq!(of("conn").occurrences, [Some(0), None]);
        let whole = terms.iter().position(|term| term.text == "b_c").unwrap();
        assert_eq!(of("c").occurrences, [Some(whole)]);
    }

    #[test]
    fn a_huge_question_has_a_bounded_number_of_terms() {
        let question: String = (0..100_000).map(|i| format!("word{i} ")).collect();
        let terms = Analyzer::new("english").unwrap().query_terms(&question);
        assert_eq!(terms.len(), MAX_QUERY_TERMS);
    }

    fn check(language: &str, text: &str) {
        let analyzer = Analyzer::new(language).unwrap();
        let mut last = 0;
        analyzer
            .text_analyzer()
            .token_stream(text)
            .process(&mut |token| {
                assert!(!token.text.is_empty());
                assert!(text.get(token.offset_from..token.offset_to).is_some());
                // Tantivy writes positions as differences: they may not go back.
                assert!(token.position >= last);
                last = token.position;
            });
        analyzer.query_terms(text);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>(), language in 0..19_usize) {
            let names = [
                "none", "arabic", "danish", "dutch", "english", "finnish", "french", "german",
                "greek", "hungarian", "italian", "norwegian", "portuguese", "romanian", "russian",
                "spanish", "swedish", "tamil", "turkish",
            ];
            check(names[language], &text);
        }

        #[test]
        fn no_identifier_panics(text in "[a-zA-Z0-9éßİ検ก_./:@'’+#-]{0,80}") {
            check("english", &text);
            check("french", &text);
            check("turkish", &text);
        }
    }
}
