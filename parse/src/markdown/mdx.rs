//! MDX: Markdown with JavaScript in it. Imports, exports, expressions and the tags
//! of components go; the words inside of them stay.

use super::jsx::Jsx;

/// Lines in which a file that is not named so is looked through for imports.
const LINES_TO_JUDGE_BY: usize = 60;
/// Longest statement, in lines.
const MAX_STATEMENT_LINES: usize = 400;

/// Whether a file is MDX: by its name, or by what it imports.
pub(super) fn is_mdx(name: &str, markdown: &str) -> bool {
    if name.to_ascii_lowercase().ends_with(".mdx") {
        return true;
    }
    let mut in_code = false;
    markdown.lines().take(LINES_TO_JUDGE_BY).any(|line| {
        in_code ^= line.trim_start().starts_with("```");
        !in_code && line.starts_with("import ") && is_import(line)
    })
}

/// MDX as plain Markdown.
pub(super) fn to_markdown(mdx: &str) -> String {
    let lines: Vec<&str> = mdx.lines().collect();
    let mut jsx = Jsx::default();
    let mut text = String::new();
    let mut fence: Option<&str> = None;
    let mut at_block_start = true;
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at];
        if let Some(open) = fence {
            if line.trim().starts_with(open)
                && line.trim().trim_start_matches(['`', '~']).is_empty()
            {
                fence = None;
            }
            jsx.code_line(line);
        } else if let Some(open) = fence_of(line) {
            jsx.markdown(&std::mem::take(&mut text));
            jsx.code_line(line);
            fence = Some(open);
        } else if at_block_start && let Some(length) = statement(&lines[at..]) {
            // The next statement may follow without an empty line.
            at += length;
            continue;
        } else {
            text.push_str(line);
            text.push('\n');
        }
        at_block_start = line.trim().is_empty();
        at += 1;
    }
    jsx.markdown(&text);
    jsx.finish()
}

fn fence_of(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let sign = line.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let length = line.len() - line.trim_start_matches(sign).len();
    (length >= 3 && !line[length..].contains('`')).then(|| &line[..length])
}

/// Lines of the import or export that `lines` begin with.
fn statement(lines: &[&str]) -> Option<usize> {
    let first = lines.first()?;
    let is_export = first.strip_prefix("export ").is_some_and(|rest| {
        let words = [
            "const ",
            "let ",
            "var ",
            "default ",
            "function ",
            "function* ",
            "async ",
            "class ",
            "type ",
            "interface ",
            "enum ",
            "{",
            "*",
        ];
        words.iter().any(|word| rest.trim_start().starts_with(word))
    });
    let begins_import = first.starts_with("import ") || first.starts_with("import{");
    if !is_export && !begins_import {
        return None;
    }
    let mut depth = 0i64;
    let mut length = 0;
    for line in lines.iter().take(MAX_STATEMENT_LINES) {
        if line.trim().is_empty() && depth <= 0 {
            break;
        }
        depth += brackets(line);
        length += 1;
        if depth <= 0 && line.trim_end().ends_with([';', '\'', '"', '}', ')']) {
            break;
        }
    }
    if depth > 0 {
        // Brackets that are never closed: the statement is its paragraph.
        let blank = lines.iter().position(|line| line.trim().is_empty());
        length = blank.unwrap_or(length).min(MAX_STATEMENT_LINES);
    }
    (is_export || is_import(&lines[..length].join(" "))).then_some(length)
}

/// Whether a statement that begins with `import` is one, and no sentence.
fn is_import(statement: &str) -> bool {
    let rest = statement["import".len()..].trim_start();
    let quoted = |text: &str| text.trim_start().starts_with(['\'', '"']);
    quoted(rest)
        || rest
            .rsplit_once("from")
            .is_some_and(|(names, module)| quoted(module) && are_names(names))
}

/// What an import may name: `A`, `{B, C as D}`, `* as E`, and these with commas
/// between them.
fn are_names(names: &str) -> bool {
    let outside = match (names.find('{'), names.rfind('}')) {
        (Some(start), Some(end)) if start < end => {
            format!("{}{}", &names[..start], &names[end + 1..])
        }
        _ => names.to_owned(),
    };
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$');
    outside.split(',').all(|name| {
        let name = name.trim();
        let name = name.strip_prefix("type ").unwrap_or(name);
        let name = name.strip_prefix("* as ").unwrap_or(name);
        name.trim().chars().all(is_word)
    })
}

/// Brackets that a line opens less those that it closes; those in texts do not
/// count.
fn brackets(line: &str) -> i64 {
    let mut depth = 0;
    let mut quote = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(_), '\\') => {
                chars.next();
            }
            (Some(open), _) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"' | '`') => quote = Some(c),
            (None, '{' | '[' | '(') => depth += 1,
            (None, '}' | ']' | ')') => depth -= 1,
            (None, _) => {}
        }
    }
    depth
}
