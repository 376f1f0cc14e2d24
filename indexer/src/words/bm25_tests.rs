//! BM25 against a naive implementation, and on identifiers.

use std::collections::HashMap;

use tantivy::schema::{
    FieldType, IndexRecordOption, Schema, TextFieldIndexing, TextOptions, Value,
};
use tantivy::{DocAddress, Index, IndexWriter, Searcher, TantivyDocument, Term, doc};

use super::*;
use crate::{Bm25, ErrorKind};

/// An index in memory whose documents are committed in `batches`, one Tantivy
/// segment each; documents that hold a word of `deleted` are deleted.
fn searcher(analyzer: &Analyzer, batches: &[&[&str]], deleted: &[&str]) -> Searcher {
    let indexing = TextFieldIndexing::default()
        .set_tokenizer("words")
        .set_index_option(IndexRecordOption::WithFreqsAndPositions);
    let options = TextOptions::default()
        .set_indexing_options(indexing)
        .set_stored();
    let mut schema = Schema::builder();
    let body = schema.add_text_field("body", options);
    let index = Index::create_in_ram(schema.build());
    index
        .tokenizers()
        .register("words", analyzer.text_analyzer());
    let mut writer: IndexWriter = index.writer_with_num_threads(1, 20_000_000).unwrap();
    writer.set_merge_policy(Box::new(tantivy::merge_policy::NoMergePolicy));
    for batch in batches {
        for text in *batch {
            writer.add_document(doc!(body => *text)).unwrap();
        }
        writer.commit().unwrap();
    }
    for word in deleted {
        writer.delete_term(Term::from_field_text(body, word));
    }
    writer.commit().unwrap();
    index.reader().unwrap().searcher()
}

fn search<'a>(searcher: &'a Searcher, analyzer: &'a Analyzer, params: Bm25) -> WordSearch<'a> {
    let (field, _) = searcher.schema().fields().next().unwrap();
    WordSearch {
        searcher,
        field,
        analyzer,
        params,
    }
}

fn text(searcher: &Searcher, address: DocAddress) -> String {
    let document: TantivyDocument = searcher.doc(address).unwrap();
    let (field, entry) = searcher.schema().fields().next().unwrap();
    assert!(matches!(entry.field_type(), FieldType::Str(_)));
    document
        .get_first(field)
        .unwrap()
        .as_str()
        .unwrap()
        .to_owned()
}

fn ranked(
    searcher: &Searcher,
    analyzer: &Analyzer,
    query: &str,
    params: Bm25,
) -> Vec<(String, f32)> {
    let found = search(searcher, analyzer, params)
        .top_k(query, 100, |_, _| true, |_| None, |a| a)
        .unwrap();
    found
        .into_iter()
        .map(|(address, score)| (text(searcher, address), score))
        .collect()
}

fn tokens(analyzer: &Analyzer, text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut words = analyzer.text_analyzer();
    words
        .token_stream(text)
        .process(&mut |token| out.push(token.text.clone()));
    out
}

/// BM25 as its formula says, for questions without identifiers.
fn naive(analyzer: &Analyzer, documents: &[&str], query: &str, params: Bm25) -> Vec<(String, f32)> {
    let bags: Vec<Vec<String>> = documents
        .iter()
        .map(|text| tokens(analyzer, text))
        .collect();
    let n = bags.len() as f64;
    let average = bags.iter().map(Vec::len).sum::<usize>() as f64 / n;
    let mut query_counts: HashMap<String, f64> = HashMap::new();
    for token in tokens(analyzer, query) {
        *query_counts.entry(token).or_default() += 1.0;
    }
    let (k1, b) = (f64::from(params.k1), f64::from(params.b));
    let mut scored = Vec::new();
    for (bag, text) in bags.iter().zip(documents) {
        let mut score = 0.0;
        for (term, times) in &query_counts {
            let df = bags.iter().filter(|bag| bag.contains(term)).count() as f64;
            let tf = bag.iter().filter(|token| *token == term).count() as f64;
            if tf == 0.0 {
                continue;
            }
            let idf = (1.0 + (n - df + 0.5) / (df + 0.5)).ln();
            let length = 1.0 - b + b * bag.len() as f64 / average;
            score += times * idf * tf * (k1 + 1.0) / (tf + k1 * length);
        }
        if score > 0.0 {
            scored.push(((*text).to_owned(), score as f32));
        }
    }
    scored.sort_by(|a, b| b.1.total_cmp(&a.1));
    scored
}

const FIRST: [&str; 4] = [
    "the cat sat on the mat and the other cat slept",
    "a dog chased a cat through the garden",
    "gardens need water and patience and water again",
    "nothing here",
];
const SECOND: [&str; 3] = [
    "dogs and cats and mice",
    "water boils at a hundred degrees in a pot of water",
    "the patient gardener waters her garden",
];

#[test]
fn scores_equal_the_formula() {
    let analyzer = Analyzer::new("english").unwrap().keeping_stop_words();
    let searcher = searcher(&analyzer, &[&FIRST, &SECOND], &[]);
    assert_eq!(searcher.segment_readers().len(), 2);
    let all = [&FIRST[..], &SECOND[..]].concat();
    for (k1, b) in [(1.2, 0.75), (0.9, 0.4), (0.0, 0.0), (2.0, 1.0)] {
        for query in [
            "cat",
            "water in the garden",
            "dog dog cats",
            "unknown",
            "",
            "\u{0}\"(*",
        ] {
            let params = Bm25 { k1, b };
            let found = ranked(&searcher, &analyzer, query, params);
            let expected = naive(&analyzer, &all, query, params);
            assert_eq!(found.len(), expected.len(), "{query}");
            for ((_, score), (_, wanted)) in found.iter().zip(&expected) {
                assert!((score - wanted).abs() < 1e-5, "{query}: {score} {wanted}");
            }
        }
    }
}

#[test]
fn deleted_and_unaccepted_documents_are_not_returned() {
    let analyzer = Analyzer::new("english").unwrap();
    let searcher = searcher(&analyzer, &[&FIRST, &SECOND], &["dog"]);
    let find = |k: usize, accept: &dyn Fn(u32, u32) -> bool| -> Vec<DocAddress> {
        let params = Bm25::default();
        let found = search(&searcher, &analyzer, params)
            .top_k("cat", k, accept, |_| None, |a| a)
            .unwrap();
        found.into_iter().map(|(address, _)| address).collect()
    };
    assert_eq!(find(10, &|_, _| true), [DocAddress::new(0, 0)]);
    assert!(find(10, &|segment, _| segment == 1).is_empty());
    assert!(find(0, &|_, _| true).is_empty());
}

#[test]
fn ties_follow_the_key_of_the_caller() {
    let analyzer = Analyzer::new("english").unwrap();
    let same = ["one word"; 5];
    let searcher = searcher(&analyzer, &[&same, &same], &[]);
    let params = Bm25::default();
    let backwards = |a: DocAddress| std::cmp::Reverse((a.segment_ord, a.doc_id));
    let found =
        search(&searcher, &analyzer, params).top_k("word", 3, |_, _| true, |_| None, backwards);
    let found: Vec<DocAddress> = found.unwrap().into_iter().map(|(a, _)| a).collect();
    let expected = [4, 3, 2].map(|doc| DocAddress::new(1, doc));
    assert_eq!(found, expected);
}

#[test]
fn parameters_without_meaning_are_refused() {
    let analyzer = Analyzer::new("english").unwrap();
    let searcher = searcher(&analyzer, &[&FIRST], &[]);
    for (k1, b) in [(-1.0, 0.5), (f32::NAN, 0.5), (1.2, 1.5), (1.2, f32::NAN)] {
        let params = Bm25 { k1, b };
        let found =
            search(&searcher, &analyzer, params).top_k("cat", 3, |_, _| true, |_| None, |a| a);
        assert_eq!(found.unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}

#[test]
fn an_exact_identifier_comes_first() {
    let analyzer = Analyzer::new("english").unwrap();
    let corpus = [
        "When the proxy gives up it logs ERR_CONN_4012 and closes the socket, as every client of the old protocol expects it to do after half a minute without an answer.",
        "conn conn conn err err 4012 4012 4012",
        "ERR_CONN_4013 and ERR_CONN_4011: conn 4012 err",
        "Call store::open_segment before the first search; it checks the header and maps the file, which takes a moment on a cold disk.",
        "open segment open segment store store segment",
        "store::close_segment and store::open_index open a store segment",
        "Since v1.12.3 the writer takes a lock. Upgrade from an older release by indexing again.",
        "1 12 3 1 12 3 v1 v12 v3",
        "v1.12.4 v1.12.2 v3.12.1 and 12.3.1 version 1.12",
        "Request 550e8400-e29b-41d4-a716-446655440000 was refused because its token had expired the day before.",
        "550e8400 e29b 41d4 a716 446655440001 and 550e8400-e29b-41d4-a716-446655440009",
        "Permissions are read from /etc/ssh/sshd_config at start, unless another file is named on the command line.",
        "etc ssh sshd config etc ssh sshd config",
        "/etc/ssh/ssh_config and /usr/etc/sshd.config and sshd_config.d ssh etc",
        "Write to jane.doe@example.com when nothing helps.",
        "jane doe example com john.doe@example.com jane.roe@example.com",
    ];
    let searcher = searcher(&analyzer, &[&corpus[..7], &corpus[7..]], &[]);
    for (query, place) in [
        ("ERR_CONN_4012", 0),
        ("what does err_conn_4012 mean?", 0),
        ("store::open_segment", 3),
        ("how do I call store::open_segment()", 3),
        ("v1.12.3", 6),
        ("1.12.3", 6),
        ("550e8400-e29b-41d4-a716-446655440000", 9),
        ("/etc/ssh/sshd_config", 11),
        ("jane.doe@example.com", 14),
    ] {
        let found = ranked(&searcher, &analyzer, query, Bm25::default());
        assert_eq!(found[0].0, corpus[place], "{query}");
        assert!(found.len() > 1, "{query}: its parts are found, too");
    }
}

#[test]
fn of_a_group_the_best_is_returned() {
    let analyzer = Analyzer::new("english").unwrap();
    let first = ["a word among others here", "word word", "word"];
    let searcher = searcher(&analyzer, &[&first, &["word again", "word"]], &[]);
    // The last of each segment are one group, and so are the two before them.
    let group = |at: DocAddress| match (at.segment_ord, at.doc_id) {
        (0, 2) | (1, 1) => Some(7),
        (0, 1) | (1, 0) => Some(8),
        _ => None,
    };
    let found = search(&searcher, &analyzer, Bm25::default())
        .top_k("word", 9, |_, _| true, group, |a| a)
        .unwrap();
    let mut found: Vec<(u32, u32)> = found
        .iter()
        .map(|(at, _)| (at.segment_ord, at.doc_id))
        .collect();
    found.sort_unstable();
    assert_eq!(found, [(0, 0), (0, 1), (0, 2)]);
}

#[test]
fn numbers_and_umlauts_are_found_as_others_write_them() {
    let analyzer = Analyzer::new("english").unwrap();
    let corpus = [
        "Dock 1 cost 2,788,964 euros to build.",
        "Dock 2 cost 2,788,694 euros to build, 964 of them for 788 lamps.",
        "ISBN 978-9-361-56993-8 is on its back.",
        "ISBN 978-9-361-56998-3 is on its back; 93 has 8.",
        "Kapitän Müller prüft den Kran.",
        "Kapitän Muster prüft den Kran, Mulle und alle.",
        "Release 1.2.3 of 2024-11-22 listens on 10.0.0.1.",
        "Release 12.3 of 2024-11-02 listens on 100.0.0.1, with 123 others.",
    ];
    let searcher = searcher(&analyzer, &[&corpus], &[]);
    for (query, place) in [
        ("2788964", 0),
        ("2 788 964", 0),
        ("which dock cost 2.788.964 euros", 0),
        ("9789361569938", 2),
        ("978 93 6156 993 8", 2),
        ("Mueller", 4),
        ("Kapitaen Müller", 4),
        ("1.2.3", 6),
        ("2024-11-22", 6),
        ("10.0.0.1", 6),
    ] {
        let found = ranked(&searcher, &analyzer, query, Bm25::default());
        assert_eq!(found[0].0, corpus[place], "{query}");
    }
}

#[test]
fn a_huge_question_is_answered() {
    let analyzer = Analyzer::new("english").unwrap();
    let searcher = searcher(&analyzer, &[&FIRST, &SECOND], &[]);
    let question = "cat garden ".repeat(100_000);
    let found = ranked(&searcher, &analyzer, &question, Bm25::default());
    assert_eq!(found.len(), 5);
}
