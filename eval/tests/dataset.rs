//! Reading datasets, good and bad, and a whole evaluation with a retriever
//! whose figures are known.

use std::io::Write as _;
use std::path::Path;

use cairn_eval::{CorpusCheck, Dataset, Hit, Measure, Question, Retrieved, Retriever, evaluate};

const CORPUS: &str = "{\"_id\": \"a\", \"title\": \"A\", \"text\": \"first\"}\n\
                      {\"_id\": 7, \"text\": \"second\"}\n";
const QUERIES: &str = "{\"_id\": \"q1\", \"text\": \"one\", \"metadata\": {\"x\": [1]}}\n\
                       {\"_id\": \"q2\", \"text\": \"two\"}\n\
                       {\"_id\": \"q3\", \"text\": \"not judged\"}\n";
const QRELS: &str = "query-id\tcorpus-id\tscore\nq1\ta\t1\nq2\t7\t2\n";

fn folder(corpus: &str, queries: &str, qrels: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("qrels")).unwrap();
    std::fs::write(dir.path().join("corpus.jsonl"), corpus).unwrap();
    std::fs::write(dir.path().join("queries.jsonl"), queries).unwrap();
    std::fs::write(dir.path().join("qrels/test.tsv"), qrels).unwrap();
    dir
}

fn gzip(path: &Path) {
    let text = std::fs::read(path).unwrap();
    let mut name = path.as_os_str().to_owned();
    name.push(".gz");
    let file = std::fs::File::create(Path::new(&name)).unwrap();
    let mut encoder = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    encoder.write_all(&text).unwrap();
    encoder.finish().unwrap();
    std::fs::remove_file(path).unwrap();
}

#[test]
fn reads_the_questions_that_are_judged() {
    let dir = folder(CORPUS, QUERIES, QRELS);
    let dataset = Dataset::load(dir.path(), "test").unwrap();
    let ids: Vec<_> = dataset.questions.iter().map(|q| q.id.as_str()).collect();
    assert_eq!(ids, ["q1", "q2"]);
    let documents: Vec<_> = dataset.documents().unwrap().map(Result::unwrap).collect();
    assert_eq!(
        (documents[0].id.as_str(), documents[0].title.as_str()),
        ("a", "A")
    );
    assert_eq!(
        (documents[1].id.as_str(), documents[1].title.as_str()),
        ("7", "")
    );
}

#[test]
fn gzipped_files_read_the_same() {
    let dir = folder(CORPUS, QUERIES, QRELS);
    let plain = Dataset::load(dir.path(), "test").unwrap();
    for name in ["corpus.jsonl", "queries.jsonl", "qrels/test.tsv"] {
        gzip(&dir.path().join(name));
    }
    let gzipped = Dataset::load(dir.path(), "test").unwrap();
    assert_eq!(gzipped.questions, plain.questions);
    assert_eq!(gzipped.qrels, plain.qrels);
    assert_eq!(gzipped.documents().unwrap().count(), 2);
}

#[test]
fn what_python_writes_for_no_number_is_read() {
    let corpus = "{\"_id\": \"a\", \"text\": \"NaN \\\"is\\\" kept\", \"x\": [NaN, -Infinity]}\n";
    let dir = folder(corpus, QUERIES, QRELS);
    let dataset = Dataset::load(dir.path(), "test").unwrap();
    let document = dataset.documents().unwrap().next().unwrap().unwrap();
    assert_eq!(document.text, "NaN \"is\" kept");
}

#[test]
fn a_limit_drops_the_judgements_too() {
    let dir = folder(CORPUS, QUERIES, QRELS);
    let mut dataset = Dataset::load(dir.path(), "test").unwrap();
    dataset.limit(1);
    assert_eq!(dataset.questions.len(), 1);
    assert_eq!(dataset.qrels.questions.keys().collect::<Vec<_>>(), ["q1"]);
}

#[test]
fn what_is_wrong_is_named_by_file_and_line() {
    let twice = format!("{CORPUS}{CORPUS}");
    for (corpus, queries, qrels, expected) in [
        (
            "{\"_id\": \"a\", \"text\": 7}\n",
            QUERIES,
            QRELS,
            "corpus.jsonl:1: invalid type",
        ),
        ("\n{\"_id\"\n", QUERIES, QRELS, "corpus.jsonl:2: "),
        (
            "{\"_id\": null, \"text\": \"\"}\n",
            QUERIES,
            QRELS,
            "`_id` must be",
        ),
        (
            &twice,
            QUERIES,
            QRELS,
            "corpus.jsonl:3: the id a is also that of line 1",
        ),
        (
            CORPUS,
            "{\"_id\": \"q1\", \"text\": \" \"}\n",
            "q1\ta\t1\n",
            "1 question has no text and cannot be asked: q1",
        ),
        (
            CORPUS,
            QUERIES,
            "q9\ta\t1\n",
            "1 question is judged and left out, since queries.jsonl does not ask: q9",
        ),
        (CORPUS, QUERIES, "q1\ta\n", "test.tsv:1: expected 3 columns"),
        (CORPUS, QUERIES, "", "no judgement"),
    ] {
        let dir = folder(corpus, queries, qrels);
        let read = || {
            let dataset = Dataset::load(dir.path(), "test")?;
            dataset.documents()?.collect::<Result<Vec<_>, _>>()
        };
        let message = read().unwrap_err().to_string();
        assert!(
            message.contains(expected),
            "expected {expected:?} in {message}"
        );
    }
}

#[test]
fn what_cannot_be_measured_is_noted_and_the_rest_is_measured() {
    let corpus = "{\"_id\": \"a\", \"title\": \"A\", \"text\": null}\n\
                  {\"_id\": \"b\", \"title\": null, \"text\": \"b\"}\n\
                  {\"_id\": \"c\", \"title\": \"\"}\n\
                  {\"_id\": \"q1\", \"title\": \"\", \"text\": \"one\"}\n\
                  {\"_id\": \"2\", \"title\": \"\", \"text\": \"what is not asked\"}\n";
    let queries = "{\"_id\": \"q1\", \"text\": \"one question\"}\n\
                   {\"_id\": 2, \"text\": \"two\"}\n\
                   {\"_id\": \"q3\", \"text\": null}\n{\"_id\": \"q4\"}\n";
    let qrels = "q1\ta\t1.0\n2\tb\t1\n2\tz\t2\nq3\ta\t1\nq4\ta\t1\n\
                 q9\ta\t1\nq8\ta\t1\n";
    let dir = folder(corpus, queries, qrels);
    let mut dataset = Dataset::load(dir.path(), "test").unwrap();
    let documents: Vec<_> = dataset.documents().unwrap().map(Result::unwrap).collect();
    assert_eq!(
        (documents[0].text.as_str(), documents[1].title.as_str()),
        ("", "")
    );
    let mut check = CorpusCheck::new(&dataset);
    documents.iter().for_each(|document| check.see(document));
    check.apply(&mut dataset);
    let asked: Vec<_> = dataset
        .questions
        .iter()
        .map(|q| (q.id.as_str(), q.is_document))
        .collect();
    assert_eq!(
        asked,
        [("q1", true), ("2", false)],
        "2 is a number by chance"
    );
    assert_eq!(
        dataset.qrels.questions.keys().collect::<Vec<_>>(),
        ["2", "q1"]
    );
    assert_eq!(
        dataset.notes,
        [
            "2 questions are judged and left out, since queries.jsonl does not ask: q8, q9",
            "2 questions have no text and cannot be asked: q3, q4",
            "1 document has no text, and the title stands for it: a",
            "1 document has no title: b",
            "1 document has neither title nor text, and cannot be found: c",
            "1 question is a document of the corpus too, which does not count as found for \
             the question itself: q1",
            "1 relevant document is not in the corpus, and so not found: z (of 2)",
        ]
    );
}

#[test]
fn a_line_that_is_not_utf8_is_named() {
    let dir = folder(CORPUS, QUERIES, QRELS);
    std::fs::write(
        dir.path().join("corpus.jsonl"),
        b"{\"_id\": \"a\", \"text\": \"\xff\"}",
    )
    .unwrap();
    let dataset = Dataset::load(dir.path(), "test").unwrap();
    let error = dataset.documents().unwrap().next().unwrap().unwrap_err();
    assert!(
        error.to_string().ends_with("corpus.jsonl:1: is not UTF-8"),
        "{error}"
    );
}

#[test]
fn a_missing_split_lists_those_there_are() {
    let dir = folder(CORPUS, QUERIES, QRELS);
    let message = Dataset::load(dir.path(), "dev").unwrap_err().to_string();
    assert!(message.contains("the splits here are test"), "{message}");
    let message = Dataset::load(&dir.path().join("none"), "test")
        .unwrap_err()
        .to_string();
    assert!(message.contains("no such folder"), "{message}");
}

/// Knows the answer to the first question only.
struct Half;

impl Retriever for Half {
    type Error = std::io::Error;

    fn retrieve(&self, question: &Question, depth: usize) -> Result<Retrieved, Self::Error> {
        assert_eq!(depth, 10);
        let id = if question.text == "one" { "a" } else { "b" };
        Ok(Retrieved {
            hits: vec![Hit {
                id: id.into(),
                score: 1.0,
            }],
            spans: Vec::new(),
            timings_ms: [("total".to_owned(), 2.0)].into(),
            degraded: vec!["half".into()],
        })
    }
}

#[test]
fn an_evaluation_has_figures_latencies_and_a_run() {
    let dir = folder(CORPUS, QUERIES, QRELS);
    let dataset = Dataset::load(dir.path(), "test").unwrap();
    let measure: Measure = "ndcg@10".parse().unwrap();
    let mut asked = 0;
    let result = evaluate(&Half, &dataset, &[measure], 10, || asked += 1).unwrap();
    assert_eq!(asked, 2);
    let figure = result.figure(measure).unwrap();
    assert_eq!((figure.mean, &figure.values[..]), (0.5, &[1.0, 0.0][..]));
    assert!(figure.interval.low <= 0.5 && figure.interval.high >= 0.5);
    assert_eq!(result.latency_ms["total"].p95, 2.0);
    assert_eq!(result.degraded["half"], 2);
    assert_eq!(result.run.ids("q1"), ["a"]);
}

#[test]
fn answers_and_questions_without_one_are_read() {
    let queries = "{\"_id\": \"q1\", \"text\": \"one\", \"metadata\": {\"answers\": [\"x\", \"y\"]}}\n\
                   {\"_id\": \"q2\", \"text\": \"two\", \"metadata\": {\"answer\": \"z\"}}\n\
                   {\"_id\": \"q3\", \"text\": \"nobody knows\"}\n";
    let dir = folder(CORPUS, queries, QRELS);
    std::fs::write(dir.path().join("unanswerable.tsv"), "q3\ta\t0\n").unwrap();
    let dataset = Dataset::load(dir.path(), "test").unwrap();
    assert_eq!(dataset.questions[0].answers, ["x", "y"]);
    assert_eq!(dataset.questions[1].answers, ["z"]);
    assert_eq!(dataset.unanswerable.len(), 1);
    assert_eq!(dataset.unanswerable[0].text, "nobody knows");
}

#[test]
fn samples_and_halves_are_the_same_every_time() {
    let queries: String = (0..20)
        .map(|n| format!("{{\"_id\": \"{n}\", \"text\": \"question {n}\"}}\n"))
        .collect();
    let qrels: String = (0..20).map(|n| format!("{n}\ta\t1\n")).collect();
    let dir = folder(CORPUS, &queries, &qrels);
    let load = || Dataset::load(dir.path(), "test").unwrap();
    let (mut first, mut second) = (load(), load());
    first.sample(5);
    second.sample(5);
    assert_eq!(first.questions, second.questions);
    assert_eq!(first.qrels.questions.len(), 5);
    let (tuning, held_out) = load().halves();
    assert_eq!((tuning.questions.len(), held_out.questions.len()), (10, 10));
    let shared = tuning
        .questions
        .iter()
        .any(|q| held_out.questions.contains(q));
    assert!(!shared);
    assert_eq!(tuning.qrels.questions.len(), 10);
}

#[test]
fn spans_of_chromas_folder_are_characters_of_the_files() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("corpora")).unwrap();
    std::fs::write(
        dir.path().join("corpora/notes.md"),
        "Ünïcode first. Then more.",
    )
    .unwrap();
    let line = |end: usize| {
        format!(
            "{{\"_id\": \"q0\", \"text\": \"what?\", \"corpus\": \"notes\", \
             \"references\": [{{\"content\": \"Then\", \"start_index\": 15, \"end_index\": {end}}}]}}\n"
        )
    };
    std::fs::write(dir.path().join("questions.jsonl"), line(19)).unwrap();
    let dataset = Dataset::load(dir.path(), "test").unwrap();
    let document = dataset.documents().unwrap().next().unwrap().unwrap();
    let span = &dataset.questions[0].spans()[0];
    assert_eq!(&document.text[span.start..span.end], "Then");
    assert_eq!(document.id, span.uri);
    std::fs::write(dir.path().join("questions.jsonl"), line(99)).unwrap();
    let message = Dataset::load(dir.path(), "test").unwrap_err().to_string();
    assert!(
        message.contains("questions.jsonl:1: 15..99 is not part of notes"),
        "{message}"
    );
}
