//! Drafts questions from tables and lists of settings, options and routes: what is the default,
//! what does it do?

use super::words::{is_identifier, purpose_of};
use super::{Drafted, quoted};
use crate::text::one_line;

/// Questions from one table.
const MAX_ROWS: usize = 4;
/// Maximum length of a default value, in characters.
const MAX_VALUE_CHARS: usize = 40;
/// Minimum length of a description, in characters.
const MIN_DESCRIPTION_CHARS: usize = 12;

/// Values that mean "no default".
const NO_VALUE: &[&str] = &[
    "",
    "-",
    "–",
    "configured",
    "n/a",
    "no",
    "none",
    "no default",
    "not set",
    "required",
    "unset",
];

/// What can be asked about a table or a list entry; `next` is the paragraph after it.
pub(super) fn of_paragraph(paragraph: &str, next: &str) -> Vec<Drafted> {
    if paragraph.contains(" | ") {
        return of_table(paragraph);
    }
    let mut found = assigned(paragraph);
    found.extend(described(paragraph));
    found.extend(defaulted(paragraph, next));
    found
}

/// Rows of a table whose header describes its columns.
fn of_table(table: &str) -> Vec<Drafted> {
    let mut lines = table.lines();
    let header: Vec<String> = cells(lines.next().unwrap_or_default())
        .iter()
        .map(|cell| cell.to_lowercase())
        .collect();
    let column = |names: &[&str]| {
        let mut columns = header.iter().skip(1);
        Some(columns.position(|name| names.contains(&name.as_str()))? + 1)
    };
    let default = column(&["default", "default value", "defaults to"]);
    let purpose = column(&[
        "description",
        "effect",
        "meaning",
        "purpose",
        "what it does",
        "what it is for",
    ]);
    let mut found = Vec::new();
    for line in lines {
        let cells = cells(line);
        let name = cells[0];
        let mut words = name.split(' ');
        let is_route = ["DELETE", "GET", "PATCH", "POST", "PUT"]
            .contains(&words.next().unwrap_or_default())
            && words.next().is_some_and(|path| path.starts_with('/'))
            && words.next().is_none();
        if cells.len() != header.len() || !(is_identifier(name) || is_route) {
            continue;
        }
        let cell = |column: Option<usize>| column.and_then(|at| cells.get(at)).copied();
        let question = match (cell(default), cell(purpose)) {
            (Some(value), _) if is_value(value) => {
                Some((format!("What is the default of {name}?"), value))
            }
            (_, Some(what)) if what.len() >= MIN_DESCRIPTION_CHARS => {
                Some((purpose_of(name), what))
            }
            _ => None,
        };
        found.extend(question.map(|(question, answer)| Drafted {
            question,
            answer: Some(answer.to_owned()),
            text: line.trim().to_owned(),
        }));
        if found.len() == MAX_ROWS {
            break;
        }
    }
    found
}

fn cells(line: &str) -> Vec<&str> {
    line.trim()
        .trim_matches('|')
        .split('|')
        .map(str::trim)
        .collect()
}

fn is_value(value: &str) -> bool {
    let lower = value.to_lowercase();
    let lower = lower.trim_end_matches('.');
    value.chars().count() <= MAX_VALUE_CHARS && !NO_VALUE.contains(&lower)
}

/// A comment and the setting below it: `# Most sources.` and `top_k = 8`.
fn assigned(paragraph: &str) -> Vec<Drafted> {
    let lines: Vec<&str> = paragraph.lines().map(str::trim).collect();
    let pairs = lines.windows(2).filter_map(|pair| {
        let comment = pair[0].strip_prefix('#')?.trim();
        let (name, value) = pair[1].split_once(" = ")?;
        let is_key = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_.-".contains(c);
        let is_name = is_identifier(name) && name.chars().all(is_key) && !name.starts_with('-');
        let is_plain = is_value(value) && !value.contains('$');
        (is_name && is_plain && comment.contains(' ')).then(|| Drafted {
            question: format!("What is the default of {name}?"),
            answer: Some(value.trim_matches('"').to_owned()),
            text: format!("{}\n{}", pair[0], pair[1]),
        })
    });
    pairs.take(MAX_ROWS).collect()
}

/// The name on the first line of a paragraph, and its description on the others.
fn entry(paragraph: &str) -> Option<(&str, String)> {
    let (first, rest) = paragraph.split_once('\n')?;
    let first = first.trim();
    let mut names = first
        .split([' ', ',', '='])
        .filter(|word| is_identifier(word));
    let name = match first.starts_with('-') {
        // The long form in `-k, --top-k N`.
        true => first
            .split([' ', ',', '=', '['])
            .filter(|word| is_identifier(word))
            .max_by_key(|word| word.starts_with("--"))?,
        false if first.contains(' ') => return None,
        false => names.next()?,
    };
    let description = one_line(rest);
    let is_prose = description.len() >= MIN_DESCRIPTION_CHARS
        && description.split(' ').count() >= 3
        && description.starts_with(char::is_alphabetic)
        && !description.contains(";;")
        && first.split_whitespace().count() <= 5;
    is_prose.then_some((name, description))
}

/// `--keep N`, and below it what it does.
fn described(paragraph: &str) -> Option<Drafted> {
    let (name, description) = entry(paragraph)?;
    let end = description
        .find(". ")
        .map_or(description.len(), |at| at + 1);
    Some(Drafted {
        question: purpose_of(name),
        answer: Some(description[..end].to_owned()),
        text: quoted(paragraph),
    })
}

/// A setting, its description, and `Default: 8` in the next paragraph.
fn defaulted(paragraph: &str, next: &str) -> Option<Drafted> {
    let (name, _) = entry(paragraph)?;
    let line = next.lines().next()?.trim();
    let value = line
        .strip_prefix("Default: ")
        .or_else(|| line.strip_prefix("default: "))?;
    let text = format!("{paragraph}\n\n{line}");
    (is_value(value) && text.len() < super::QUOTED_CHARS).then(|| Drafted {
        question: format!("What is the default of {name}?"),
        answer: Some(value.trim_matches('"').to_owned()),
        text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(paragraph: &str, next: &str) -> Vec<(String, String)> {
        let found = of_paragraph(paragraph, next).into_iter();
        found
            .map(|draft| (draft.question, draft.answer.unwrap_or_default()))
            .collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |&(question, answer): &(&str, &str)| (question.to_owned(), answer.to_owned());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn rows_of_settings_and_routes_are_asked_for() {
        let table = "field | default | meaning\ntop_k | 8 | contexts for the answer\n\
                     query | required | the question\ndeadline_ms | none | stages are cut short";
        assert_eq!(
            asked(table, ""),
            pairs(&[
                ("What is the default of top_k?", "8"),
                ("What does deadline_ms do?", "stages are cut short"),
            ])
        );
        let table = "route | what it does\nGET /documents | lists all of them\nx | y";
        assert_eq!(
            asked(table, ""),
            pairs(&[("What does GET /documents do?", "lists all of them")])
        );
        // Figures are not settings.
        let table = "set | default | mean\nnq-utd | .80 | .69";
        assert_eq!(asked(table, ""), []);
    }

    #[test]
    fn entries_of_manuals_are_asked_for() {
        assert_eq!(
            asked("-k, --top-k N\n    Passages to show. At most 100.", ""),
            pairs(&[("What does --top-k do?", "Passages to show.")])
        );
        assert_eq!(
            asked(
                "server.max-size\n  largest request, in kbytes",
                "Default: 64\n\nmore"
            ),
            pairs(&[
                (
                    "What does server.max-size do?",
                    "largest request, in kbytes"
                ),
                ("What is the default of server.max-size?", "64"),
            ])
        );
        assert_eq!(
            asked(
                "[search]\n# Sources of an answer.\ntop_k = 8\nother = 3",
                ""
            ),
            pairs(&[("What is the default of top_k?", "8")])
        );
        for paragraph in [
            "one line",
            "Two words\nand a text below",
            "-v\n-q",
            "a.b\n= 3",
        ] {
            assert_eq!(asked(paragraph, "Default: none"), [], "{paragraph}");
        }
    }
}
