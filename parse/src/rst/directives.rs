//! Directives: which are read, which are shown as they stand, which say nothing.

use serde_json::Value;

use super::{Reader, indent_of};
use crate::{front_matter, links};

/// Directives whose content is code or preformatted.
const LITERAL: &[&str] = &[
    "code",
    "code-block",
    "sourcecode",
    "parsed-literal",
    "productionlist",
    "math",
    "doctest",
    "testcode",
    "testoutput",
    "prompt",
    "highlight-block",
    "graphviz",
    "ipython",
];

/// Directives that say nothing to a reader of the text.
const SILENT: &[&str] = &[
    "toctree",
    "contents",
    "include",
    "literalinclude",
    "highlight",
    "index",
    "default-role",
    "role",
    "raw",
    "currentmodule",
    "sectnum",
    "tabularcolumns",
    "target-notes",
    "testsetup",
    "testcleanup",
    "automodule",
    "autosummary",
    "unicode",
];

/// Directives around content that is read like the rest; their argument says
/// when or how it is shown.
const TRANSPARENT: &[&str] = &[
    "only",
    "ifconfig",
    "container",
    "class",
    "rst-class",
    "cssclass",
    "compound",
    "highlights",
    "pull-quote",
    "epigraph",
    "hlist",
    "tabs",
    "tab-set",
    "grid",
    "table",
];

/// Directives whose argument is part of the text.
const TITLED: &[&str] = &[
    "note",
    "warning",
    "tip",
    "hint",
    "important",
    "caution",
    "danger",
    "attention",
    "error",
    "seealso",
    "admonition",
    "topic",
    "sidebar",
    "rubric",
    "deprecated",
    "versionadded",
    "versionchanged",
    "versionremoved",
    "centered",
    "figure-caption",
    "glossary",
    "describe",
    "table",
    "list-table",
    "csv-table",
    "epigraph",
    "todo",
];

/// A directive's options: name and value.
type Options = Vec<(String, String)>;

impl Reader<'_> {
    /// Writes a directive whose block is `at..end`; returns where to go on.
    pub(super) fn directive(
        &mut self,
        mut at: usize,
        end: usize,
        name: &str,
        argument: &str,
    ) -> usize {
        // Names may carry a domain: `py:function`, `c:macro`.
        let bare = name.rsplit(':').next().unwrap_or(name);
        let options = self.options(&mut at, end);
        let option = |name: &str| {
            let found = options.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.as_str())
        };
        if bare == "meta" {
            self.meta(&options);
            return end;
        }
        if bare == "image" || bare == "figure" {
            if let Some(alt) = option("alt") {
                let target = option("target").unwrap_or_default();
                let target = target
                    .strip_suffix('_')
                    .and_then(|name| self.names.target(name))
                    .unwrap_or(target);
                let suffix = links::suffix(target, alt);
                self.draft.blank_line();
                self.draft.push(&format!("{}{suffix}", alt.trim()));
            }
            self.draft.blank_line();
            return if bare == "image" { end } else { at };
        }
        if SILENT.contains(&bare) {
            return end;
        }
        self.draft.blank_line();
        if LITERAL.contains(&bare) {
            if let Some(caption) = option("caption") {
                let caption = self.clean(caption);
                self.draft.push(&caption);
                self.draft.push("\n");
            }
            self.draft.open_code();
            // What is short may stand on the line of the directive.
            if bare == "math" && !argument.is_empty() {
                self.draft.push(argument);
                self.draft.push("\n");
            }
            self.as_it_stands(at, end);
            self.draft.close_code();
            return end;
        }
        if bare == "list-table" || bare == "csv-table" {
            let caption = self.clean(argument);
            self.draft.push(&caption);
            self.draft.blank_line();
            let block = self.dedented(at, end);
            if bare == "list-table" {
                self.list_table(&options, &block);
            } else {
                self.csv_table(&options, &block);
            }
            return end;
        }
        if let Some(label) = label(bare) {
            self.draft.push(label);
            self.draft
                .push(if argument.is_empty() { ":\n" } else { ": " });
        }
        // Signatures (`function`, `option`, `envvar`, …) and titles are text;
        // what follows is read like the rest of the page.
        let argument = if TITLED.contains(&bare) {
            self.clean(argument)
        } else if TRANSPARENT.contains(&bare) {
            while at < end && self.line(at).is_empty() {
                at += 1;
            }
            String::new()
        } else {
            argument.to_owned()
        };
        if !argument.is_empty() {
            self.draft.push(&argument);
            self.draft.push("\n");
        }
        at
    }

    /// The options at the start of a block; `at` moves behind them.
    fn options(&self, at: &mut usize, end: usize) -> Options {
        let mut options: Options = Vec::new();
        let mut indent = 0;
        while *at < end {
            let line = self.line(*at);
            if is_option(line) {
                indent = indent_of(line);
                let body = line.trim_start().trim_start_matches(':');
                let (name, value) = body.split_once(':').unwrap_or((body, ""));
                options.push((name.to_owned(), value.trim().to_owned()));
            } else if !line.is_empty()
                && indent_of(line) > indent
                && let Some((_, value)) = options.last_mut()
            {
                // A value may go on in deeper lines.
                value.push(' ');
                value.push_str(line.trim());
            } else {
                break;
            }
            *at += 1;
        }
        options
    }

    fn meta(&mut self, options: &Options) {
        for (name, value) in options {
            if matches!(
                name.as_str(),
                "description" | "keywords" | "author" | "date"
            ) {
                front_matter::fact(name, &Value::String(value.clone()), self.draft, 0);
            }
        }
    }

    /// The lines of a block without the indentation that all of them have.
    fn dedented(&self, mut at: usize, end: usize) -> Vec<String> {
        while at < end && self.line(at).is_empty() {
            at += 1;
        }
        let lines = &self.lines[at..end];
        let filled = lines.iter().filter(|line| !line.is_empty());
        let indent = filled.map(|line| indent_of(line)).min().unwrap_or(0);
        lines
            .iter()
            .map(|line| line.get(indent..).unwrap_or_default().to_owned())
            .collect()
    }

    fn as_it_stands(&mut self, at: usize, end: usize) {
        for line in self.dedented(at, end) {
            self.draft.push(&line);
            self.draft.push("\n");
        }
        self.draft.blank_line();
    }
}

/// What stands in front of an admonition.
fn label(directive: &str) -> Option<&'static str> {
    Some(match directive {
        "note" => "Note",
        "warning" => "Warning",
        "tip" => "Tip",
        "hint" => "Hint",
        "important" => "Important",
        "caution" => "Caution",
        "danger" => "Danger",
        "attention" => "Attention",
        "error" => "Error",
        "seealso" => "See also",
        "deprecated" => "Deprecated since version",
        "versionadded" => "Added in version",
        "versionchanged" => "Changed in version",
        "versionremoved" => "Removed in version",
        "todo" => "To do",
        _ => return None,
    })
}

/// The name and argument of `name:: argument`.
pub(super) fn parts(body: &str) -> Option<(&str, &str)> {
    let (name, argument) = body.split_once("::")?;
    // `|name| image:: x` defines a substitution.
    let valid = !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_:.+".contains(&b));
    valid.then_some((name, argument.trim()))
}

fn is_option(line: &str) -> bool {
    let line = line.trim_start();
    line.strip_prefix(':').is_some_and(|rest| {
        rest.split_once(':').is_some_and(|(name, value)| {
            !name.is_empty() && !name.contains(' ') && (value.is_empty() || value.starts_with(' '))
        })
    })
}
