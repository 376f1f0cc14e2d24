//! Which questions need several steps, judged by their words in microseconds.

use cairn_settings::config::AgentMode;

/// Words that compare or collect: several things must be looked up.
const PLAN_PHRASES: &[&str] = &[
    "compare",
    "comparison",
    "difference between",
    "differences between",
    "differ from",
    "versus",
    " vs ",
    " vs. ",
    "pros and cons",
    "each of",
    "for every",
    "across all",
    "summarize all",
    "summarise all",
    "step by step report",
];

/// Words that compute, or lead from one fact to the next.
const REACT_PHRASES: &[&str] = &[
    "how many days",
    "how much more",
    "how much less",
    "how much larger",
    "how many more",
    "in total",
    "the total",
    "sum of",
    "average",
    "percent",
    "percentage",
    "ratio",
    "convert",
    "most often",
    "the latest",
    "the oldest",
    "the largest",
    "the smallest",
];

/// How many occurrences of "of the" make a chain of facts.
const CHAIN: usize = 2;

/// How to answer `question` if `mode` leaves the choice open: comparisons with a plan, computations
/// and chains of facts with single steps, everything else with one retrieval.
pub(crate) fn choose(mode: AgentMode, question: &str) -> AgentMode {
    if mode != AgentMode::Auto {
        return mode;
    }
    let asked = format!(" {} ", question.to_lowercase());
    let has = |phrases: &[&str]| phrases.iter().any(|phrase| asked.contains(phrase));
    let questions = asked.matches('?').count();
    if has(PLAN_PHRASES) || questions > 2 {
        return AgentMode::Plan;
    }
    let chained = asked.matches(" of the ").count() >= CHAIN;
    let nested = [" whose ", " that was ", " which was ", " in which the "];
    let nested = nested.iter().any(|word| asked.contains(word)) && asked.contains(" the ");
    match has(REACT_PHRASES) || chained || nested || questions > 1 || computes(&asked) {
        true => AgentMode::React,
        false => AgentMode::Off,
    }
}

/// Whether there is an operator between two numbers, with spaces around it: versions, dates and
/// ranges do not have spaces.
fn computes(text: &str) -> bool {
    let words: Vec<&str> = text.split_whitespace().collect();
    let is_number = |word: &str| word.trim_matches(['(', ')', '?']).parse::<f64>().is_ok();
    words.windows(3).any(|three| {
        matches!(three[1], "+" | "-" | "*" | "/" | "×" | "÷")
            && is_number(three[0])
            && is_number(three[2])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shape_of_a_question_decides() {
        for (question, expected) in [
            ("How do I install it?", AgentMode::Off),
            ("Which port does the service listen on?", AgentMode::Off),
            ("What does error 404 - not found mean?", AgentMode::Off),
            ("Compare RRF and the weighted sum", AgentMode::Plan),
            (
                "What is the difference between index and up?",
                AgentMode::Plan,
            ),
            ("redis vs memcached", AgentMode::Plan),
            ("What is 15 * 12 in GB?", AgentMode::React),
            (
                "How many days between release 1 and release 2?",
                AgentMode::React,
            ),
            (
                "Who is the head of the owner of the ship?",
                AgentMode::React,
            ),
            (
                "Where was the author whose book won the prize born?",
                AgentMode::React,
            ),
            ("Which port? And which address?", AgentMode::React),
        ] {
            assert_eq!(choose(AgentMode::Auto, question), expected, "{question}");
            assert_eq!(choose(AgentMode::Off, question), AgentMode::Off);
        }
    }
}
