//! What kind of line a line of a document looks like by itself.

/// The kind of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Empty.
    Blank,
    /// The line that opens or closes a fenced block.
    Fence,
    /// A row of a table.
    Row,
    /// A line of code, of output, of a configuration; or a comment there.
    Code,
    /// A part of running text, a list item, a heading.
    Text,
}

/// Looks at a line without its line end.
pub(super) fn form(line: &str) -> Form {
    let bare = line.trim();
    if bare.is_empty() {
        Form::Blank
    } else if is_fence(bare) {
        Form::Fence
    } else if bare.starts_with('|') || has_column(line) || is_tabbed(bare) {
        Form::Row
    } else if is_code(line, bare) {
        Form::Code
    } else {
        Form::Text
    }
}

pub(super) fn is_fence(bare: &str) -> bool {
    bare.starts_with("```") || bare.starts_with("~~~")
}

/// Whether a bar separates two columns, rather than two choices in brackets.
fn has_column(line: &str) -> bool {
    let bars = line.match_indices(" | ");
    let open = |end: usize| {
        let count = |signs: [char; 3]| line[..end].matches(signs).count();
        count(['[', '(', '<']) > count([']', ')', '>'])
    };
    bars.into_iter().any(|(at, _)| !open(at))
}

/// Two tabs with something between them.
fn is_tabbed(bare: &str) -> bool {
    let mut parts = bare.split('\t').map(str::trim);
    parts
        .by_ref()
        .filter(|part| !part.is_empty())
        .take(3)
        .count()
        == 3
}

/// Whether a line is a command behind a shell's or an interpreter's prompt.
pub(super) fn has_prompt(line: &str) -> bool {
    let bare = line.trim_start();
    bare.starts_with("$ ") || bare.starts_with(">>> ")
}

fn is_code(line: &str, bare: &str) -> bool {
    const STARTS: &[&str] = &["$ ", ">>> ", "//", "/*", "export ", "sudo "];
    let is_comment = bare.starts_with('#') && bare.trim_start_matches('#').starts_with([' ', '\t']);
    let after_at = bare.strip_prefix('@').filter(|rest| !rest.ends_with(':'));
    let tag = bare.strip_prefix('<');
    is_comment
        || STARTS.iter().any(|start| bare.starts_with(start))
        || after_at.is_some_and(|rest| rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
        || tag.is_some_and(|rest| {
            rest.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!'))
        })
        || bare.ends_with([';', '{', '}', '\\'])
        || (assigns(line) && !bare.ends_with('.'))
        || is_section(bare)
}

/// `[name]` or `[[name]]`, which opens a section of settings. A citation is a number.
fn is_section(bare: &str) -> bool {
    let inner = bare
        .strip_prefix("[[")
        .and_then(|rest| rest.strip_suffix("]]"))
        .or_else(|| {
            bare.strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'))
        });
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '"' | '\'');
    inner.is_some_and(|name| {
        name.starts_with(|c: char| c.is_alphabetic() || c == '_') && name.chars().all(is_name)
    })
}

/// Maximum number of plain words in the value of a setting.
const MAX_WORDS: usize = 5;

/// `name = value`, also in a comment: a disabled setting shows what it would be.
pub(super) fn assigns(line: &str) -> bool {
    let line = line.trim_start();
    let line = line.strip_prefix(['#', ';']).map_or(line, str::trim_start);
    let is_name = |c: char| {
        c.is_alphanumeric() || matches!(c, '_' | '.' | '/' | '"' | '\'' | '$' | '[' | ']' | '-')
    };
    let name = line.len() - line.trim_start_matches(is_name).len();
    // An option with its argument is a term.
    if name == 0 || line.starts_with('-') {
        return false;
    }
    let rest = line[name..].trim_start();
    let value = [":=", "+=", "=>", "==", "="]
        .iter()
        .find_map(|sign| rest.strip_prefix(sign));
    // A long value of plain words is a line of prose about a setting.
    value.is_some_and(|value| {
        let plain = value
            .split_whitespace()
            .filter(|word| word.len() > 1 && word.chars().all(char::is_alphabetic))
            .count();
        !value.trim().is_empty() && plain <= MAX_WORDS
    })
}

/// Columns before the first character of a line.
pub(super) fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches([' ', '\t']).len()
}

/// Whether a line only underlines, separates or frames others.
pub(super) fn is_rule(text: &str) -> bool {
    let mut marks = text.chars().filter(|c| !c.is_whitespace());
    let Some(first) = marks.next() else {
        return true;
    };
    let same = !first.is_alphanumeric() && marks.all(|c| c == first) && text.trim().len() > 1;
    same || text
        .chars()
        .all(|c| c.is_whitespace() || matches!(c, '|' | ':' | '+' | '=' | '-'))
}

/// Whether a line is reStructuredText markup: a directive or a field.
pub(super) fn is_directive(text: &str) -> bool {
    let field = text
        .strip_prefix(':')
        .and_then(|rest| rest.split_once(':'))
        .is_some_and(|(name, rest)| {
            !name.is_empty() && name.chars().all(char::is_alphanumeric) && !rest.starts_with('`')
        });
    let directive = text
        .strip_prefix(".. ")
        .is_some_and(|rest| rest.starts_with('_') || rest.contains("::"));
    directive || field
}

/// Where the text to the right of a term begins, as in `-v says more`: at most three words, then
/// three spaces or more.
pub(super) fn gap_column(line: &str) -> Option<usize> {
    let start = indent(line);
    let mut at = start;
    for _ in 0..3 {
        let word = line[at..].find(' ')?;
        at += word;
        let spaces = line[at..].len() - line[at..].trim_start_matches(' ').len();
        let after = at + spaces;
        if after == line.len() {
            return None;
        }
        if spaces >= 3 {
            return (at > start).then_some(after);
        }
        if spaces != 1 {
            return None;
        }
        at = after;
    }
    None
}

/// The same if `next` shows that a gap of two spaces is a column gap: it begins directly below what
/// follows the gap.
pub(super) fn gap_column_above(line: &str, next: &str) -> Option<usize> {
    gap_column(line).or_else(|| {
        let column = indent(next);
        let (term, text) = (line.get(..column)?, line.get(column..)?);
        let is_below = column > indent(line) && !next.trim().is_empty();
        let is_gap = term.ends_with("  ") && text.starts_with(|c: char| !c.is_whitespace());
        (is_below && is_gap && term.split_whitespace().count() <= 3).then_some(column)
    })
}

/// Whether a line opens with an option or with a term and a gap.
pub(super) fn is_term(line: &str) -> bool {
    let bare = line.trim_start();
    let option = bare.trim_start_matches('-');
    let dashes = bare.len() - option.len();
    let opens_option =
        (1..=2).contains(&dashes) && option.starts_with(|c: char| c.is_alphanumeric() || c == '_');
    opens_option || gap_column(line).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        for (line, wanted) in [
            ("", Form::Blank),
            ("  ```toml", Form::Fence),
            ("| a | b |", Form::Row),
            ("name | meaning", Form::Row),
            ("$ cargo run", Form::Code),
            ("port = 8620", Form::Code),
            ("#port = 8620", Form::Code),
            ("# Keep seven of them.", Form::Code),
            ("  \"/images/\" => \"access 1 hour\"", Form::Code),
            ("}", Form::Code),
            ("[answer]", Form::Code),
            ("[[routes.\"a b\".targets]]", Form::Text),
            ("[[routes.targets]]", Form::Code),
            ("[12]", Form::Text),
            ("[see below]", Form::Text),
            ("The sum a = b holds.", Form::Text),
            ("x = 1 is what it says.", Form::Text),
            (
                "origins=yes to get extra information. This makes it",
                Form::Text,
            ),
            ("git stash show [-u | --only] [<stash>]", Form::Text),
            ("- an item", Form::Text),
            ("--port=PORT", Form::Text),
        ] {
            assert_eq!(form(line), wanted, "{line:?}");
        }
    }

    #[test]
    fn gaps_and_terms() {
        assert_eq!(gap_column("  -v      Say more."), Some(10));
        assert_eq!(gap_column("0 to 9      Select windows"), Some(12));
        assert_eq!(gap_column("This  text is justified   by spaces"), None);
        assert_eq!(gap_column("word"), None);
        let start = "  start  Start it.  It is";
        assert_eq!(gap_column_above(start, "         searched for."), Some(9));
        assert_eq!(gap_column_above(start, "  stop   Stop it."), None);
        assert_eq!(gap_column_above("  Two  spaces", "  below."), None);
        assert!(is_term("  --port=PORT") && is_term("-x, --long  text"));
        assert!(!is_term("- an item") && !is_term("--- cut ---"));
    }

    #[test]
    fn directives_are_about_the_text() {
        assert!(is_directive(".. contents:: Table of Contents") && is_directive(":Author: N."));
        assert!(is_directive(".. _target: x") && !is_directive(".. and so on"));
        assert!(!is_directive("a: b") && !is_directive(":ref:`x` says more"));
    }

    #[test]
    fn rules_say_nothing() {
        for rule in ["=====", "--- ---", "|---|:--:|", "+===+--+", ""] {
            assert!(is_rule(rule), "{rule:?}");
        }
        assert!(!is_rule("a") && !is_rule("- a") && !is_rule("22"));
    }
}
