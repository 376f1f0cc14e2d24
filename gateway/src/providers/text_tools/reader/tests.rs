//! Answers of models, whole and cut anywhere.

use proptest::prelude::*;

use super::*;

/// The text and the calls of an answer that comes in `pieces`.
fn read(pieces: &[&str], cut: bool) -> Result<(String, Vec<(String, String)>), Fault> {
    let mut reader = Reader::new(true);
    let mut all = Vec::new();
    for piece in pieces {
        all.extend(reader.push(piece)?);
    }
    all.extend(reader.finish(cut)?);
    let (mut text, mut calls) = (String::new(), Vec::new());
    for piece in all {
        match piece {
            Piece::Text(piece) => {
                assert!(calls.is_empty(), "text after a call: {piece}");
                text.push_str(&piece);
            }
            Piece::Call { name, arguments } => calls.push((name, arguments)),
        }
    }
    Ok((text, calls))
}

fn names(text: &str) -> (String, String) {
    let (text, calls) = read(&[text], false).unwrap();
    let names: Vec<String> = calls.into_iter().map(|call| call.0).collect();
    (text, names.join(" "))
}

#[test]
fn calls_are_taken_out_wherever_models_put_them() {
    for (answer, text, calls) in [
        (
            "```tool_call\n{\"tool\": \"f\", \"arguments\": {}}\n```",
            "",
            "f",
        ),
        (
            "I look.\n\n```tool_call\n{\"tool\": \"f\"}\n```\n",
            "I look.",
            "f",
        ),
        (
            "```json\n{\"tool\": \"f\", \"arguments\": {}}\n```",
            "",
            "f",
        ),
        ("```\n{\"name\": \"f\", \"arguments\": {}}\n```", "", "f"),
        ("``` Function\n{\"name\": \"f\"}\n```", "", "f"),
        ("````tool_call\n{\"tool\": \"f\"}\n````", "", "f"),
        ("```tool_call {\"tool\": \"f\"}```", "", "f"),
        ("  ```tool_call\n  {\"tool\": \"f\"}\n  ```", "", "f"),
        (
            "{\"tool\": \"f\", \"arguments\": {\"q\": \"a } b\"}}",
            "",
            "f",
        ),
        (
            "Well:\n{'tool': 'f', 'arguments': {'q': 1,},}",
            "Well:",
            "f",
        ),
        (
            "[{\"tool\": \"f\", \"arguments\": {}}, {\"tool\": \"g\", \"arguments\": {}}]",
            "",
            "f g",
        ),
        (
            "<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>",
            "",
            "f",
        ),
        (
            "```tool_call\n{\"tool\": \"f\"}\n{\"tool\": \"g\"}\n```",
            "",
            "f g",
        ),
        (
            "```tool_call\n{\"tool\": \"f\"}\n```\n\n```tool_call\n{\"tool\": \"g\"}\n```",
            "",
            "f g",
        ),
        (
            "{\"tool\": \"f\", \"arguments\": {}},\n{\"tool\": \"g\", \"arguments\": {}}",
            "",
            "f g",
        ),
        // The end may be missing, or a string may look like one.
        (
            "```tool_call\n{\"tool\": \"f\", \"arguments\": {}}",
            "",
            "f",
        ),
        ("<tool_call>{\"tool\": \"f\"}", "", "f"),
        (
            "```tool_call\n{\"tool\": \"f\", \"arguments\": {\"q\": \"```\"}}\n```",
            "",
            "f",
        ),
    ] {
        assert_eq!(
            names(answer),
            (text.to_owned(), calls.to_owned()),
            "{answer}"
        );
    }
}

#[test]
fn what_follows_a_call_is_made_up() {
    let answer = "```tool_call\n{\"tool\": \"f\"}\n```\nResult of `f`:\n12\n\n\
                  ```tool_call\n{\"tool\": \"g\"}\n```\nSo it is 12.";
    assert_eq!(names(answer), (String::new(), "f".to_owned()));
}

#[test]
fn other_text_stays_as_it_is() {
    for text in [
        "",
        "Plain words.\n",
        "```rust\nlet a = {1};\n```\nand `b`\n\n",
        "```json\n{\"depth\": 3}\n```\nis the depth",
        "```\n[1, 2]\n```\n",
        "```\nplain\n```",
        "````\n```\n{\"tool\": \"f\", \"arguments\": {}}\n```\n````\n",
        "{\"name\": \"Kiel\", \"depth\": 3}",
        "[1] says so. {x}",
        "[{\"a\": 1}] and more",
        "{ 1 }\n{",
        "``",
        "<tool",
        "<tool_callers> x",
        "Write {\"tool\": \"f\", \"arguments\": {}} in a line of its own.",
        "  indented\n    more\n",
    ] {
        assert_eq!(
            read(&[text], false),
            Ok((text.to_owned(), Vec::new())),
            "{text}"
        );
    }
}

#[test]
fn broken_calls_are_passed_on_if_they_name_a_function() {
    let (text, calls) = read(
        &["Hm.\n```tool_call\n{\"tool\": \"f\", \"arguments\": {\"a\" 1}}\n```"],
        false,
    )
    .unwrap();
    assert_eq!(text, "Hm.");
    assert_eq!(calls, [("f".to_owned(), "{\"a\" 1}}".to_owned())]);
    assert!(read(&["```tool_call\nf(1)\n```"], false).is_err());
    assert!(read(&["```tool_call\n{\"to"], false).is_err());
    let endless = format!("```tool_call\n{{\"tool\": \"{}", "x".repeat(2 * MAX_HELD));
    assert!(read(&[&endless], false).is_err());
    let long = format!("{{\"a\": \"{}\"}}", "x".repeat(2 * MAX_HELD));
    assert_eq!(read(&[&long], false), Ok((long.clone(), Vec::new())));
}

#[test]
fn half_a_call_is_none() {
    let cut = "One.\n```tool_call\n{\"tool\": \"f\", \"arguments\": {\"a\": \"b";
    assert_eq!(read(&[cut], true), Ok(("One.\n".to_owned(), Vec::new())));
    let after = "```tool_call\n{\"tool\": \"f\"}\n```\n```tool_call\n{\"tool\": \"g";
    let (_, calls) = read(&[after], true).unwrap();
    assert_eq!(calls, [("f".to_owned(), "{}".to_owned())]);
    // It was not meant as one.
    let json = "{\"depth\": [1, 2";
    assert_eq!(read(&[json], true), Ok((json.to_owned(), Vec::new())));
}

#[test]
fn nothing_is_read_where_nothing_is_offered() {
    let text = "```tool_call\n{\"tool\": \"f\"}\n```";
    let mut reader = Reader::new(false);
    assert_eq!(reader.push(text), Ok(vec![Piece::Text(text.to_owned())]));
    assert_eq!(reader.finish(false), Ok(Vec::new()));
}

proptest! {
    #[test]
    fn cuts_change_nothing(
        pieces in proptest::collection::vec(
            prop_oneof![
                Just("```"), Just("tool_call"), Just("json"), Just("\n"), Just(" "), Just("`"),
                Just("{\"tool\": \"f\", \"arguments\": {\"a\": \"}\"}}"), Just("{"), Just("}"),
                Just("["), Just("]"), Just("\""), Just("word"), Just("é"), Just(","),
                Just("<tool_call>"), Just("</tool_call>"), Just("'tool': 'g'"),
            ],
            0..20,
        ),
        size in 1usize..7,
        cut in any::<bool>(),
    ) {
        let text = pieces.concat();
        let letters: Vec<char> = text.chars().collect();
        let cuts: Vec<String> = letters.chunks(size).map(|part| part.iter().collect()).collect();
        let cuts: Vec<&str> = cuts.iter().map(String::as_str).collect();
        prop_assert_eq!(read(&cuts, cut), read(&[&text], cut));
    }
}
