//! Every kind of mark, and everything that merely looks like one.

use proptest::prelude::*;

use super::*;

/// Checks a whole text at once.
fn check(text: &str, chunk_ids: &[String]) -> (String, Vec<Citation>) {
    let checker = CitationChecker::new(chunk_ids.iter().cloned()).reading(TEXTS);
    read(checker, &[text])
}

/// The answer and the citations that `checker` makes of a text in `pieces`.
fn read(mut checker: CitationChecker, pieces: &[&str]) -> (String, Vec<Citation>) {
    let mut steps: Vec<Checked> = pieces
        .iter()
        .flat_map(|piece| checker.push(piece))
        .collect();
    steps.extend(checker.finish());
    let mut answer = String::new();
    let mut citations = Vec::new();
    for step in steps {
        match step {
            Checked::Text(text) => answer.push_str(&text),
            Checked::Citation(citation) => citations.push(citation),
        }
    }
    (answer, citations)
}

const TEXTS: [&str; 3] = [
    "The bilge pump is greased every Monday by the crew, as GitHub says; see args[1] and args.",
    "The crane lifts five tons.",
    "Fees",
];

fn three() -> Vec<String> {
    ["a-0000", "b-0001", "c-0002"].map(str::to_owned).to_vec()
}

fn answer(text: &str) -> String {
    check(text, &three()).0
}

fn cited(text: &str) -> Vec<u32> {
    check(text, &three())
        .1
        .iter()
        .map(|citation| citation.n)
        .collect()
}

#[test]
fn every_way_of_writing_a_mark() {
    for mark in [
        "[1, 2]",
        "[1][2]",
        "[1,2]",
        "[1; 2]",
        "【1】【2】",
        "[1-2]",
        "[Source 1, Source 2]",
        "[source 1][2]",
        "【1†a.md】[2]",
        "[1–2]",
        "[1, 1, 2]",
        "[Source: 1][Source: 2]",
        "[Source: 1, 2]",
        "[ID:1][ID:2]",
        "[Document 1, page 3][Doc. 2]",
        "[1 and 2]",
        "［1］［2］",
        "【1†source】【2】",
        "[1] [2]",
    ] {
        assert_eq!(
            answer(&format!("So it is {mark}.")).replace("] [", "]["),
            "So it is [1][2].",
            "{mark}"
        );
        assert_eq!(cited(&format!("So it is {mark}.")), [1, 2], "{mark}");
    }
}

#[test]
fn offsets_count_scalar_values_of_the_final_answer() {
    let text = "Größe [9] zählt 【2】 — 👍🏽 [1, 3].";
    let (answer, citations) = check(text, &three());
    assert_eq!(answer, "Größe zählt [2] — 👍🏽 [1][3].");
    let characters: Vec<char> = answer.chars().collect();
    for citation in &citations {
        let mark: String = characters[citation.start..citation.end].iter().collect();
        assert_eq!(mark, format!("[{}]", citation.n));
        assert_eq!(citation.chunk_id, three()[citation.n as usize - 1]);
    }
    assert_eq!(citations.len(), 3);
}

#[test]
fn marks_that_point_nowhere_leave_no_trace() {
    assert_eq!(answer("It is so [9]. And so [0]!"), "It is so. And so!");
    assert_eq!(answer("It [9] is"), "It is");
    assert_eq!(answer("It [9][1] is"), "It [1] is");
    assert_eq!(answer("It [1, 9] is"), "It [1] is");
    assert_eq!(answer("[7] It is"), "It is");
    assert_eq!(answer("a\n [7] It is"), "a\nIt is");
    assert_eq!(answer("It is [9]\nso [8]"), "It is\nso");
    assert_eq!(answer("one [9] two"), "one two");
    assert_eq!(answer("one [8] [9] two"), "one two");
    assert_eq!(answer("(see [9])"), "(see)");
}

#[test]
fn other_brackets_are_text() {
    for text in [
        "a [note] b",
        "in [2024] it",
        "[",
        "x [1",
        "x [1,",
        "[]",
        "[a][b]",
        "[ ] todo",
        "[1.5]",
        "[link](url)",
        "[[x]]",
        "[1-900]",
    ] {
        assert_eq!(answer(text), text);
        assert!(cited(text).is_empty(), "{text}");
    }
}

#[test]
fn code_is_text() {
    for text in [
        "use `args[1]` here",
        "```rust\nlet a = v[9];\n```\nend",
        "``a`[9]`` b",
    ] {
        assert_eq!(answer(text), text);
        assert!(cited(text).is_empty(), "{text}");
    }
    assert_eq!(answer("use `a[9]` here [9]."), "use `a[9]` here.");
    assert_eq!(answer("```\nx\n```\ndone [2][9]"), "```\nx\n```\ndone [2]");
    assert_eq!(
        answer("a stray ` tick\n\nthen [9] text"),
        "a stray ` tick\n\nthen text"
    );
}

#[test]
fn indices_types_and_intervals_are_text() {
    for text in [
        "Read buf[7] first, then rows[1]. Done.",
        "It is a[1], a[i][2], m[1][2] and x.y[3].",
        "call f(x)[1] or args[1] or $[1] or .[1]",
        "int[3] and [3]int and vec![1, 2] and Vec<u8>[1]",
        "The range [3, 8] is safe.",
        "The range [1, 2] is safe.",
        "The safe range is [3, 8].",
        "[1, 3] is the safe range.",
        "Take [5-9] mg, [1-2] mg or [1] kg of it.",
        "It matches [0-9]+ and [1-3]{2}.",
        "x = [1, 2] and [1, 3] ∪ [2, 3]",
        "The matrix [[1, 2], [2, 3]] and [[1], [2]].",
        "From 0 to 1: [0, 1] it is.",
        "The digits [1-9] are meant.",
    ] {
        assert_eq!(answer(text), text);
        assert!(cited(text).is_empty(), "{text}");
    }
}

#[test]
fn links_and_notes_are_text() {
    for text in [
        "See [1](https://example.com/a) and [the book](http://x/y[2]).",
        "See [1](a.md \"A title\") and ![1](b.png).",
        "[[9]](https://example.com)",
        "<https://example.com/[1]> and <code>a [1]</code>",
        "[1]: https://example.com/a",
        "A note.[^1]\n\n[^1]: What it says [is] so.",
        "A note.[^9]",
        "\\[1\\] and \\(x [1]\\) and $y \\in [1]$ and $$\n[1]\n$$",
    ] {
        assert_eq!(answer(text), text);
        assert!(cited(text).is_empty(), "{text}");
    }
    // A footnote that the text does not explain cites a source.
    let text = "It is greased.[^1] And so[^2].";
    assert_eq!(answer(text), text);
    assert_eq!(cited(text), [1, 2]);
    // Prices are not a formula.
    assert_eq!(cited("It costs $5 [1] and $6 [2]."), [1, 2]);
}

#[test]
fn marks_without_a_space_are_told_by_what_the_sources_say() {
    for (text, expected) in [
        ("It is greased every Monday[1].", &[1][..]),
        ("It is greased on Mondays[1].", &[1]),
        ("It is greased.[1] The crane lifts five tons[2].", &[1, 2]),
        ("It says GitHub[1].", &[1]),
        ("**It is greased**[1] (by the crew)[1]", &[1, 1]),
        ("It is 50%[1] or 2024[2].", &[1, 2]),
        ("It is greased every Monday[1] and washed[2].", &[1, 2]),
        ("毎週月曜日です[1]。", &[1]),
        ("It is greased[2].", &[]),
        ("It is greased[9].", &[]),
        ("See args[1].", &[]),
    ] {
        assert_eq!(answer(text), text);
        assert_eq!(cited(text), expected, "{text}");
    }
}

#[test]
fn lists_of_marks_are_no_intervals() {
    for text in [
        "The range is described in [1, 2].",
        "It is so [1, 2] and so.",
        "It is so. [1, 2] The crane lifts.",
        "As said in [1, 2] it is.",
    ] {
        assert_eq!(cited(text), [1, 2], "{text}");
    }
}

#[test]
fn made_up_lists_go_only_where_nothing_else_can_be_meant() {
    assert_eq!(answer("It is so. [7, 8]"), "It is so.");
    assert_eq!(answer("It is so [1][8, 9]."), "It is so [1].");
    assert_eq!(answer("It is so [Source 7]."), "It is so.");
    assert_eq!(answer("It is so [7 and 8]."), "It is so.");
    assert_eq!(answer("It is so [7, 8]."), "It is so [7, 8].");
}

#[test]
fn blocks_of_code_are_text() {
    for text in [
        "~~~js\nq[5] = r [1]\n~~~\n",
        "````\n```\na [1]\n```\nb [1]\n````\n",
        "~~~\n```\n[1]\n~~~\n",
        "So:\n\n    x [1]\n\n    y [2]\n",
        "So:\n\n\tx [1]\n",
        "- a\n\n      x [1]\n",
        "1. a\n   ```\n   x [1]\n   ```\n",
        "> ```\n> x [1]\n> ```\n",
        "```\nnever closed [1]\n",
        "``a `[1]` b``",
        "`a\nb [1]`",
    ] {
        assert_eq!(answer(&format!("{text}x")), format!("{text}x"));
        assert!(cited(text).is_empty(), "{text}");
        if !text.contains("never") {
            assert_eq!(cited(&format!("{text}\nDone [2].")), [2], "{text}");
        }
    }
    for text in [
        "- a\n\n  b [1]\n- c",
        "- a\n    - b [1]",
        "1. a\n\n   b [1]",
        "a\n    b [1]",
        "a ` stray tick [1].",
        "- 5` long [1]\n- x` wide",
        "> ```\n> x\n\nThen [1].",
        "| a [1] | b |",
        "a ~~~ b [1]",
        "```x``` and [1].",
    ] {
        assert_eq!(answer(text), text);
        assert_eq!(cited(text), [1], "{text}");
    }
}

#[test]
fn what_is_quoted_is_not_read() {
    let mut checker = CitationChecker::new(three());
    let mut steps = checker.verbatim("So a [2] b ");
    steps.extend(checker.cite(1));
    steps.extend(checker.verbatim(".\n"));
    steps.extend(checker.finish());
    let citations: Vec<&Checked> = steps
        .iter()
        .filter(|step| matches!(step, Checked::Citation(_)))
        .collect();
    assert!(matches!(
        citations[..],
        [Checked::Citation(Citation {
            n: 1,
            start: 11,
            end: 14,
            ..
        })]
    ));
}

proptest! {
    /// However the text arrives, the answer and its citations are the same.
    #[test]
    fn chunking_changes_nothing(
        pieces in proptest::collection::vec(
            prop_oneof![
                Just("[1]"), Just("[9]"), Just("["), Just("]"), Just(" "), Just("1, 2"),
                Just("【3】"), Just("`"), Just("```"), Just("\n"), Just("é"), Just("word"),
                Just("."), Just("[^2]"), Just("👍🏽"), Just("~~~"), Just("    "), Just("- "),
                Just("> "), Just("(http://x"), Just(")"), Just("$"), Just("\\"), Just("[Source: 1]"),
                Just("[1-3]"), Just(" mg"), Just("<code>"), Just("</code>"), Just("[["), Just(":"),
                Just("Monday"), Just("1. "), Just("\t"), Just("[^2]: "), Just("="), Just("（"),
            ],
            0..40,
        ),
        cuts in proptest::collection::vec(0usize..160, 0..20),
    ) {
        let text = pieces.concat();
        let whole = check(&text, &three());
        let characters: Vec<char> = text.chars().collect();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(characters.len())).collect();
        cuts.extend([0, characters.len()]);
        cuts.sort_unstable();
        let pieces: Vec<String> = cuts
            .windows(2)
            .map(|pair| characters[pair[0]..pair[1]].iter().collect())
            .collect();
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
        let checker = || CitationChecker::new(three()).reading(TEXTS);
        prop_assert_eq!(&read(checker(), &pieces), &whole);
        let single: Vec<String> = characters.iter().map(char::to_string).collect();
        let single: Vec<&str> = single.iter().map(String::as_str).collect();
        prop_assert_eq!(&read(checker(), &single), &whole);
    }

    /// A text without source numbers is not changed, except that prose loses its trailing spaces;
    /// those of code, as in a fence that is not closed, stay.
    #[test]
    fn nothing_else_is_altered(text in "[ a\\[\\](){},.`~\n>*=+$<-]{0,60}") {
        let (answer, citations) = check(&text, &three());
        prop_assert!(citations.is_empty());
        let bare = text.trim_end_matches([' ', '\t']);
        prop_assert!(answer == bare || answer == text, "{answer:?}");
    }

    /// Every citation is at its stated position and cites an existing source.
    #[test]
    fn citations_lie_on_their_marks(text in "[ a\\[\\]0-9,.`\n^]{0,60}") {
        let (answer, citations) = check(&text, &three());
        let characters: Vec<char> = answer.chars().collect();
        for citation in citations {
            let mark: String = characters[citation.start..citation.end].iter().collect();
            let note = mark.starts_with("[^");
            prop_assert!(note || mark == format!("[{}]", citation.n), "{mark}");
            prop_assert!((1..=3).contains(&citation.n));
        }
    }
}

#[test]
fn long_texts_are_read_at_once() {
    // Text that is never closed must not be read again from the beginning each time.
    let mut checker = CitationChecker::new(three());
    for piece in ["`", "[1, ", "$x", "\\(", "[[", "<code>"] {
        for _ in 0..2_000 {
            checker.push(piece);
        }
    }
    checker.finish();
}
