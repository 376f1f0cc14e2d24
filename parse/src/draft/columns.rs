//! Which lines of a text name the columns of the table below them.

use std::collections::HashSet;
use std::ops::Range;

use crate::document::Table;

/// Longest line of columns that is kept with a table, in bytes: a chunk repeats it.
const MAX_COLUMNS_BYTES: usize = 600;

/// Longest name of a column where a table has to be guessed, in bytes.
const MAX_NAME_BYTES: usize = 60;
/// Rows that a guess looks at.
const SAMPLED_ROWS: usize = 20;

/// Remembers `line`, which has just been written, as the columns of what follows. A
/// second line of names right below the first belongs to the same table.
pub(super) fn add(lines: &mut Vec<Range<usize>>, line: Range<usize>) {
    match lines.last_mut() {
        Some(last) if last.end >= line.end => {}
        Some(last) if last.end + 1 == line.start => last.end = line.end,
        _ => lines.push(line),
    }
}

/// The tables below the lines in `lines`: each reaches to the next blank line.
pub(super) fn close(lines: &[Range<usize>], text: &str) -> Vec<Table> {
    let nexts = lines.iter().skip(1).map(|line| line.start);
    lines
        .iter()
        .zip(nexts.chain([text.len()]))
        .filter_map(|(line, next)| {
            let rows = &text[line.end..next];
            let end = line.end + rows.find("\n\n").unwrap_or(rows.len());
            let names = text[line.clone()].trim();
            (end > line.end && names.contains(char::is_alphanumeric)).then(|| Table {
                columns: shortened(names).to_owned(),
                span: line.start..end,
            })
        })
        .collect()
}

/// Whether the first of some rows names the columns of the others, in a table that does
/// not say so: names are short and differ, and below some of them are only numbers.
pub(crate) fn first_row_names(rows: &[Vec<String>]) -> bool {
    let Some((first, rest)) = rows.split_first() else {
        return false;
    };
    let has_digit = |cell: &str| cell.contains(|c: char| c.is_ascii_digit());
    let is_name = |cell: &String| {
        (1..=MAX_NAME_BYTES).contains(&cell.len()) && !has_digit(cell) && !cell.ends_with('.')
    };
    let differ: HashSet<&String> = first.iter().collect();
    let is_number = |row: &Vec<String>, at: usize| row.get(at).is_some_and(|cell| has_digit(cell));
    let rest = &rest[..rest.len().min(SAMPLED_ROWS)];
    first.len() > 1
        && rest.len() > 1
        && differ.len() == first.len()
        && first.iter().all(is_name)
        && (0..first.len()).any(|at| rest.iter().all(|row| is_number(row, at)))
}

/// As many whole columns as may be repeated.
fn shortened(columns: &str) -> &str {
    if columns.len() <= MAX_COLUMNS_BYTES {
        return columns;
    }
    let head = &columns[..columns.floor_char_boundary(MAX_COLUMNS_BYTES)];
    head.rfind(" | ").map_or(head, |at| &head[..at])
}

#[cfg(test)]
mod tests {
    use crate::document::Table;
    use crate::draft::Draft;
    use crate::formats;

    fn tables(draft: Draft) -> Vec<(String, String)> {
        let document = draft.finish("a", "a.txt", &formats::PLAIN).unwrap();
        let pair = |table: Table| (table.columns, document.text[table.span].to_owned());
        document.tables.into_iter().map(pair).collect()
    }

    fn table(draft: &mut Draft, heads: &[&str], rows: &str) {
        draft.blank_line();
        for head in heads {
            draft.break_line();
            draft.push(head);
            draft.name_columns();
        }
        draft.break_line();
        draft.push(rows);
        draft.blank_line();
    }

    #[test]
    fn a_table_reaches_to_the_next_blank_line() {
        let mut draft = Draft::new(1000);
        draft.name_columns();
        table(&mut draft, &["A | B"], "1 | 2\n3 | 4");
        draft.push("Text behind it.");
        draft.blank_line();
        table(&mut draft, &["C | D"], "");
        table(&mut draft, &["E | F | F", "g | h | i"], "5 | 6 | 7");
        assert_eq!(
            tables(draft),
            [
                ("A | B".into(), "A | B\n1 | 2\n3 | 4".into()),
                (
                    "E | F | F\ng | h | i".into(),
                    "E | F | F\ng | h | i\n5 | 6 | 7".into()
                ),
            ]
        );
    }

    #[test]
    fn tables_of_an_inner_document_come_along() {
        let mut inner = Draft::new(1000);
        inner.heading(1, "Inner");
        table(&mut inner, &["A | B", "a | b"], "1 | 2");
        inner.heading(2, "Next");
        inner.push("x");
        let mut draft = Draft::new(1000);
        draft.push("Outer");
        draft.blank_line();
        draft.append(inner, 0);
        assert_eq!(
            tables(draft),
            [("A | B\na | b".into(), "A | B\na | b\n1 | 2".into())]
        );
    }

    #[test]
    fn a_row_above_numbers_names_them() {
        let rows = |text: &str| -> Vec<Vec<String>> {
            let cells = |line: &str| line.split('|').map(str::to_owned).collect();
            text.lines().map(cells).collect()
        };
        for text in ["Key|Copies\nK|1\nL|2", "a|b|c\n1|x|y\n2||z"] {
            assert!(super::first_row_names(&rows(text)), "{text}");
        }
        for text in [
            "",
            "a|b",
            "a|b\n1|2",
            "a|b\nc|d\ne|f",
            "a1|b\n1|2\n3|4",
            "a|a\n1|2\n3|4",
            "a|\n1|2\n3|4",
            "a\n1\n2",
        ] {
            assert!(!super::first_row_names(&rows(text)), "{text}");
        }
    }

    #[test]
    fn many_columns_are_cut_between_two() {
        let mut draft = Draft::new(10_000);
        let names: Vec<String> = (0..300).map(|n| format!("column{n}")).collect();
        table(&mut draft, &[&names.join(" | ")], "1 | 2");
        let found = tables(draft);
        assert!(
            found[0].0.len() <= super::MAX_COLUMNS_BYTES
                && found[0].0.ends_with(|c: char| c.is_ascii_digit())
        );
    }
}
