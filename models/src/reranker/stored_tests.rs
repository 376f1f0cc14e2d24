//! Packed states of the built-in models against what they are packed from.

use std::sync::LazyLock;

use super::*;
use crate::{Effort, LoadOptions};

static MODELS: LazyLock<[CrossEncoder; 2]> = LazyLock::new(|| {
    let open = |id| CrossEncoder::builtin(id, &LoadOptions::default()).unwrap();
    [
        "cairn-late-interaction-v2",
        "cairn-late-interaction-small-v2",
    ]
    .map(open)
});

const PASSAGES: [&str; 6] = [
    "To rotate the API key, open Settings, choose Keys and press Rotate; the old key works for one hour more.",
    "The office is closed on public holidays.",
    "Keys on the keyboard can be remapped in the accessibility panel.",
    "Rate limits are counted per minute and per organisation.",
    "The keeper of the lighthouse wrote down the wind every four hours, and the height of the waves.",
    "`retry_after` says in how many seconds a client may ask again; it is missing where the service does not know.",
];

const QUESTIONS: [(&str, usize); 5] = [
    ("How do I rotate an API key?", 0),
    ("is the office open on a public holiday", 1),
    ("how often was the wind written down?", 4),
    ("when may a client try again", 5),
    ("are rate limits per organisation?", 3),
];

fn states(model: &CrossEncoder, passages: &[(&str, &str)]) -> Vec<Vec<u8>> {
    let late = model.late_interaction().unwrap();
    late.read_passages(passages, Effort::Full, &Cancel::never())
        .unwrap()
}

fn compare(model: &CrossEncoder, question: &str, states: &[Vec<u8>]) -> Vec<Option<f32>> {
    let states: Vec<&[u8]> = states.iter().map(Vec::as_slice).collect();
    let late = model.late_interaction().unwrap();
    late.compare(question, &states, &Cancel::never()).unwrap()
}

#[test]
fn packed_states_score_nearly_as_the_model_itself() {
    for model in &*MODELS {
        let stored = states(model, &PASSAGES.map(|text| ("", text)));
        let (mut errors, mut spread) = (0.0, 0.0);
        for (question, best) in QUESTIONS {
            let exact = model.score(question, &PASSAGES, &Cancel::never()).unwrap();
            let packed: Vec<f32> = compare(model, question, &stored)
                .into_iter()
                .map(Option::unwrap)
                .collect();
            let first = (0..packed.len()).max_by(|&a, &b| packed[a].total_cmp(&packed[b]));
            assert_eq!(first, Some(best), "{}: {question} {packed:?}", model.id());
            let mean = exact.iter().sum::<f32>() / exact.len() as f32;
            for (exact, packed) in exact.iter().zip(&packed) {
                errors += (exact - packed).powi(2);
                spread += (exact - mean).powi(2);
            }
        }
        // As a share of what scores differ by.
        assert!(
            errors < 0.1 * spread,
            "{}: {errors} of {spread}",
            model.id()
        );
    }
}

#[test]
fn the_same_passage_gives_the_same_states_beside_others_and_on_one_core() {
    let model = &MODELS[0];
    let long = PASSAGES.join(" ").repeat(4);
    let all = states(model, &[("Keys", PASSAGES[0]), ("", ""), ("Notes", &long)]);
    let late = model.late_interaction().unwrap();
    let one = late
        .read_passages(&[("Notes", &long)], Effort::OneCore, &Cancel::never())
        .unwrap();
    assert_eq!(one[0], all[2]);
    assert!(all[1].is_empty());
    // Packed, and not some hundred bytes for each token.
    let tokens = model.token_spans(&long).unwrap().len();
    let num_bytes = all[2].len();
    assert!(
        tokens > 400 && num_bytes < 21 * tokens,
        "{tokens} {num_bytes}"
    );
}

#[test]
fn what_is_said_late_in_a_long_passage_is_compared_too() {
    let model = &MODELS[0];
    let filler = "The harbour was quiet, and the boats lay at their moorings. ".repeat(25);
    let with = format!("{filler}{} {filler}", PASSAGES[0]);
    let stored = states(model, &[("", &with), ("", &filler)]);
    let scores = compare(model, QUESTIONS[0].0, &stored);
    assert!(scores[0] > scores[1], "{scores:?}");
}

#[test]
fn what_cannot_be_read_has_no_states_and_what_is_no_state_no_score() {
    let model = &MODELS[0];
    let stored = states(model, &[("", "缆绳存放在北码头仓库"), ("", PASSAGES[1])]);
    assert!(stored[0].is_empty() && !stored[1].is_empty());
    let mut cut = stored[1].clone();
    cut.pop();
    let mut absurd = stored[1].clone();
    absurd[2..4].fill(0xff);
    let broken = [
        vec![],
        vec![0; 4],
        vec![1, 2],
        cut,
        absurd,
        stored[1].clone(),
    ];
    let scores = compare(model, "when is the office closed", &broken);
    assert_eq!(scores.iter().filter(|score| score.is_some()).count(), 1);
    assert!(scores[5].is_some());
}

#[test]
fn a_cancelled_reading_ends() {
    let cancel = Cancel::default();
    cancel.cancel();
    let late = MODELS[0].late_interaction().unwrap();
    let error = late
        .read_passages(&[("", PASSAGES[0])], Effort::Full, &cancel)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert!(late.compare("office", &[], &cancel).is_err());
}
