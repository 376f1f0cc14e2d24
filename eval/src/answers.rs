//! How good are answers? Measures with the names of RAGAS where it has them (Es
//! et al., EACL 2024), of ALCE for citations (Gao et al., EMNLP 2023) and of
//! SQuAD for right answers (Rajpurkar et al., 2016).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use crate::statistics::rounded;
use crate::{Interval, bootstrap_mean};

/// Every figure that there may be.
pub const NAMES: &[&str] = &[
    "faithfulness",
    "citation_recall",
    "citation_precision",
    "answer_relevancy",
    "answer_f1",
    "answer_exact_match",
    "answer_contains",
    "first_unit_right",
    "extra_units",
    "refusal_precision",
    "refusal_recall",
    "wrong_refusals",
];

/// A part of an answer that says something, and who bears it out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JudgedClaim {
    /// The claim, without its marks.
    pub text: String,
    /// Whether what it cites, taken together, bears it out.
    pub cited_supports: bool,
    /// Whether anything that was retrieved bears it out.
    pub any_supports: bool,
    /// Whether each cited source bears it out, alone.
    pub citations: Vec<bool>,
}

/// One answer, judged.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct JudgedAnswer {
    /// The question's id.
    pub id: String,
    /// The question.
    pub question: String,
    /// The answer without its marks.
    pub answer: String,
    /// Right answers, where they are known.
    pub gold: Vec<String>,
    /// Whether the documents answer the question.
    pub answerable: bool,
    /// Whether there was a refusal instead of an answer.
    pub refused: bool,
    /// What the answer says.
    pub claims: Vec<JudgedClaim>,
    /// What people read of it one after the other: sentences, and blocks (code, lists,
    /// tables) with the sentence that introduces them.
    pub units: Vec<String>,
    /// How much the answer is about the question, from 0 to 1.
    pub relevancy: Option<f64>,
    /// Probability that the sources answer, as the refusal sees it.
    #[serde(default)]
    pub answerability: f32,
}

/// A mean and what it is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AnswerMetric {
    /// The mean.
    pub value: f64,
    /// Its 95 % interval.
    pub confidence_95: [f64; 2],
    /// Answers, or questions, that it is over.
    pub of: usize,
}

/// Who judged, and what that took.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JudgeReport {
    /// Its name.
    pub name: String,
    /// Questions that it was asked.
    pub calls: usize,
    /// Tokens that it read and wrote, where it counts them.
    pub tokens: usize,
    /// US dollars.
    pub cost_usd: f64,
}

/// Figures of all answers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct AnswerReport {
    /// Who wrote them.
    pub provider: String,
    /// Who judged them.
    pub judge: JudgeReport,
    /// Figures by name; one that has nothing to be a mean of is left out.
    pub metrics: BTreeMap<String, AnswerMetric>,
    /// The answers, in the order of their questions.
    pub answers: Vec<JudgedAnswer>,
}

impl AnswerReport {
    /// Puts judged answers together.
    pub fn of(provider: String, judge: JudgeReport, answers: Vec<JudgedAnswer>) -> Self {
        Self {
            provider,
            judge,
            metrics: metrics(&answers),
            answers,
        }
    }
}

fn metrics(answers: &[JudgedAnswer]) -> BTreeMap<String, AnswerMetric> {
    let mut all = BTreeMap::new();
    let mut add = |name: &str, values: Vec<f64>| {
        if values.is_empty() {
            return;
        }
        let Interval { low, high } = bootstrap_mean(&values);
        let metric = AnswerMetric {
            value: rounded(values.iter().sum::<f64>() / values.len() as f64),
            confidence_95: [rounded(low), rounded(high)],
            of: values.len(),
        };
        all.insert(name.to_owned(), metric);
    };
    let yes = |is: bool| f64::from(u8::from(is));
    let share = |claims: &[JudgedClaim], is: fn(&JudgedClaim) -> bool| {
        claims.iter().filter(|claim| is(claim)).count() as f64 / claims.len().max(1) as f64
    };
    let answered = || {
        answers
            .iter()
            .filter(|a| !a.refused && !a.claims.is_empty())
    };
    add(
        "faithfulness",
        answered()
            .map(|a| share(&a.claims, |claim| claim.any_supports))
            .collect(),
    );
    add(
        "citation_recall",
        answered()
            .map(|a| share(&a.claims, |claim| claim.cited_supports))
            .collect(),
    );
    let cited = |answer: &JudgedAnswer| {
        let marks: Vec<bool> = answer
            .claims
            .iter()
            .flat_map(|c| c.citations.clone())
            .collect();
        let right = marks.iter().filter(|right| **right).count();
        (!marks.is_empty()).then(|| right as f64 / marks.len() as f64)
    };
    add("citation_precision", answered().filter_map(cited).collect());
    add(
        "answer_relevancy",
        answered().filter_map(|a| a.relevancy).collect(),
    );
    let with_gold = || {
        answers
            .iter()
            .filter(|a| a.answerable && !a.gold.is_empty())
    };
    // A refusal is a wrong answer to a question that has one.
    let right = |of: fn(&str, &[String]) -> f64| {
        with_gold()
            .map(|a| {
                if a.refused {
                    0.0
                } else {
                    of(&a.answer, &a.gold)
                }
            })
            .collect()
    };
    add("answer_f1", right(token_f1));
    add(
        "answer_exact_match",
        right(|a, gold| f64::from(u8::from(exact_match(a, gold)))),
    );
    add(
        "answer_contains",
        right(|a, gold| f64::from(u8::from(contains(a, gold)))),
    );
    let first_right = |a: &JudgedAnswer| {
        let first = a.units.first().filter(|_| !a.refused);
        yes(first.is_some_and(|first| contains(first, &a.gold)))
    };
    add("first_unit_right", with_gold().map(first_right).collect());
    add(
        "extra_units",
        with_gold()
            .filter(|a| !a.refused)
            .filter_map(|a| extra_units(&a.units, &a.gold))
            .map(|extra| extra as f64)
            .collect(),
    );
    let refused = answers.iter().filter(|a| a.refused);
    let unanswerable = answers.iter().filter(|a| !a.answerable);
    let answerable = answers.iter().filter(|a| a.answerable);
    if answers.iter().any(|a| !a.answerable) {
        add(
            "refusal_precision",
            refused.map(|a| yes(!a.answerable)).collect(),
        );
        add(
            "refusal_recall",
            unanswerable.map(|a| yes(a.refused)).collect(),
        );
    }
    add(
        "wrong_refusals",
        answerable.map(|a| yes(a.refused)).collect(),
    );
    all
}

/// SQuAD's token F1 with the best of `gold`.
pub fn token_f1(answer: &str, gold: &[String]) -> f64 {
    let said = words(answer);
    let of = |gold: &String| {
        let right = words(gold);
        if said.is_empty() || right.is_empty() {
            return f64::from(u8::from(said == right));
        }
        let mut left: HashMap<&String, usize> = HashMap::new();
        for word in &right {
            *left.entry(word).or_default() += 1;
        }
        let shared = said.iter().filter(|word| match left.get_mut(word) {
            Some(count) if *count > 0 => {
                *count -= 1;
                true
            }
            _ => false,
        });
        let shared = shared.count() as f64;
        // 2PR / (P + R) with P = shared / said and R = shared / right.
        2.0 * shared / (said.len() + right.len()) as f64
    };
    gold.iter().map(of).fold(0.0, f64::max)
}

/// Whether the answer is one of `gold`, as SQuAD normalises both.
pub fn exact_match(answer: &str, gold: &[String]) -> bool {
    let said = words(answer);
    gold.iter().any(|gold| words(gold) == said)
}

/// Whether the words of one of `gold` stand in the answer, side by side.
pub fn contains(answer: &str, gold: &[String]) -> bool {
    let said = words(answer);
    gold.iter().any(|gold| {
        let right = words(gold);
        !right.is_empty() && said.windows(right.len()).any(|part| part == right)
    })
}

/// How many units an answer has beyond the shortest run of them that contains one of
/// `gold`; `None` if even the whole answer contains none.
pub fn extra_units(units: &[String], gold: &[String]) -> Option<usize> {
    let holds = |count: &usize| {
        let mut parts = units.windows(*count);
        parts.any(|part| contains(&part.join(" "), gold))
    };
    let fewest = (1..=units.len()).find(holds)?;
    Some(units.len() - fewest)
}

/// Words as SQuAD's script compares them: lower case, without punctuation and
/// articles.
pub fn words(text: &str) -> Vec<String> {
    let plain: String = text
        .to_lowercase()
        .chars()
        .filter(|c| !c.is_ascii_punctuation())
        .collect();
    plain
        .split_whitespace()
        .filter(|word| !matches!(*word, "a" | "an" | "the"))
        .map(str::to_owned)
        .collect()
}

/// The local judge's rule: does `evidence` bear out `claim`? Every number of the
/// claim must be in it, and either nearly all of its words are ([`QUOTED`]), or
/// enough of them ([`SHARED`]) while `similarity`, the best cosine of the claim
/// with a passage of the evidence, is at least [`SIMILAR`].
///
/// It is another rule than the one that the product checks its own sentences by.
pub fn is_supported(claim: &str, evidence: &str, similarity: f32) -> bool {
    let held: BTreeSet<String> = words(evidence).into_iter().collect();
    let said: BTreeSet<String> = words(claim).into_iter().collect();
    if said.is_empty() {
        return false;
    }
    let numbers = said
        .iter()
        .filter(|word| word.chars().any(char::is_numeric));
    if numbers.into_iter().any(|number| !held.contains(number)) {
        return false;
    }
    let share = said.intersection(&held).count() as f32 / said.len() as f32;
    share >= QUOTED || (share >= SHARED && similarity >= SIMILAR)
}

/// Share of a claim's words from which it counts as a quotation.
pub const QUOTED: f32 = 0.9;
/// Share that is asked for alongside a similar meaning.
pub const SHARED: f32 = 0.5;
/// Cosine from which two texts say similar things.
pub const SIMILAR: f32 = 0.6;

#[cfg(test)]
mod tests {
    use super::*;

    fn gold(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn right_answers_as_squad_counts_them() {
        let answers = gold(&["the 10th century", "10th and 11th centuries"]);
        assert!(exact_match("The 10th century.", &answers));
        assert!(!exact_match("in the 10th century", &answers));
        assert!(contains("It was in the 10th century, they say.", &answers));
        assert!(!contains("It was in the 110th century", &answers));
        // 2 shared words of 3 said and 2 right.
        assert!((token_f1("in 10th century", &answers) - 0.8).abs() < 1e-9);
        assert_eq!(token_f1("nothing", &answers), 0.0);
        assert_eq!(token_f1("", &gold(&[""])), 1.0);
    }

    #[test]
    fn units_beyond_the_right_ones_are_extra() {
        let right = gold(&["thirty days", "a month"]);
        for (units, expected) in [
            (&["They are kept for thirty days."][..], Some(0)),
            (&["They are kept.", "For a month.", "Then not."], Some(2)),
            // It stands in two of them.
            (&["They are kept for thirty", "days.", "Then not."], Some(1)),
            (&["Nobody knows."], None),
            (&[], None),
        ] {
            assert_eq!(extra_units(&gold(units), &right), expected, "{units:?}");
        }
    }

    #[test]
    fn the_first_unit_counts_where_an_answer_is_known() {
        let said = |units: &[&str], refused| JudgedAnswer {
            gold: gold(&["thirty days"]),
            answerable: true,
            refused,
            units: gold(units),
            ..JudgedAnswer::default()
        };
        let all = [
            said(&["Thirty days.", "And then?"], false),
            said(&["At first.", "Thirty days."], false),
            said(&["Never."], false),
            said(&["\"Thirty days\" is nearest."], true),
            answer(false, false, &[]),
        ];
        let found = metrics(&all);
        let value = |name: &str| (found[name].value, found[name].of);
        assert_eq!(value("first_unit_right"), (0.25, 4));
        assert_eq!(value("extra_units"), (1.0, 2));
        assert!(found.keys().all(|name| NAMES.contains(&name.as_str())));
    }

    #[test]
    fn the_local_judge_wants_numbers_and_words() {
        let source = "Backups are kept for 30 days. After that they are removed.";
        assert!(is_supported("Backups are kept for 30 days.", source, 0.0));
        assert!(!is_supported("Backups are kept for 60 days.", source, 0.99));
        assert!(is_supported(
            "We keep backups 30 days, after that not.",
            source,
            0.8
        ));
        assert!(!is_supported(
            "We keep backups 30 days, after that not.",
            source,
            0.3
        ));
        assert!(!is_supported("", source, 1.0));
    }

    fn answer(answerable: bool, refused: bool, claims: &[(bool, bool, &[bool])]) -> JudgedAnswer {
        JudgedAnswer {
            answer: "thirty days".into(),
            gold: if answerable {
                gold(&["thirty days"])
            } else {
                Vec::new()
            },
            answerable,
            refused,
            claims: claims
                .iter()
                .map(|(cited, any, marks)| JudgedClaim {
                    cited_supports: *cited,
                    any_supports: *any,
                    citations: marks.to_vec(),
                    ..JudgedClaim::default()
                })
                .collect(),
            ..JudgedAnswer::default()
        }
    }

    #[test]
    fn figures_are_means_over_what_they_are_about() {
        let all = [
            answer(
                true,
                false,
                &[(true, true, &[true, false]), (false, true, &[false])],
            ),
            answer(true, true, &[]),
            answer(false, true, &[]),
            answer(false, false, &[(false, false, &[])]),
        ];
        let found = metrics(&all);
        assert!(found.keys().all(|name| NAMES.contains(&name.as_str())));
        let value = |name: &str| (found[name].value, found[name].of);
        assert_eq!(value("faithfulness"), (0.5, 2));
        assert_eq!(value("citation_recall"), (0.25, 2));
        assert_eq!(value("citation_precision"), (rounded(1.0 / 3.0), 1));
        assert_eq!(value("answer_exact_match"), (0.5, 2));
        assert_eq!(value("refusal_precision"), (0.5, 2));
        assert_eq!(value("refusal_recall"), (0.5, 2));
        assert_eq!(value("wrong_refusals"), (0.5, 2));
        assert!(!found.contains_key("answer_relevancy"));
    }
}
