//! Jupyter notebooks: what was written and run, cell by cell, and what came out.
//!
//! nbformat 4 keeps a list of cells; nbformat 3 keeps them in worksheets and
//! names some fields otherwise. Pictures and other data are left out.

use std::borrow::Cow;

use serde_json::Value;

use super::draft::Draft;
use super::format::Format;
use super::{Input, front_matter, html, json, malformed, markdown};
use crate::Result;

/// Notebooks of Jupyter and its relatives.
pub(super) const FORMAT: Format = Format {
    name: "notebook",
    extensions: &["ipynb"],
    content_types: &["application/x-ipynb+json"],
    prose: true,
    title_from_heading: true,
    looks_like: |text| {
        text.starts_with('{')
            && text.contains("\"nbformat\"")
            && (text.contains("\"cells\"") || text.contains("\"worksheets\""))
            && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
    },
    no_text: "the notebook has no cell with text; there is nothing to index",
    ..Format::new(parse)
};

fn parse(source: &Input<'_>, draft: &mut Draft) -> Result<()> {
    let text = source.text();
    let text = text.trim_start_matches('\u{feff}');
    let notebook = match serde_json::from_str(text) {
        Ok(notebook) => notebook,
        Err(error) => {
            let (notebook, faults) = json::read_damaged(text);
            for fault in faults {
                draft.warn(fault);
            }
            notebook.ok_or_else(|| malformed("a notebook", error))?
        }
    };
    facts(&notebook, draft);
    let cells = cells(&notebook).ok_or_else(|| malformed("a notebook", "it has no cells"))?;
    for cell in cells {
        write(cell, draft)?;
        if draft.is_full() {
            break;
        }
    }
    Ok(())
}

fn facts(notebook: &Value, draft: &mut Draft) {
    let metadata = &notebook["metadata"];
    if let Some(title) = metadata["title"].as_str() {
        draft.propose_title(title);
    }
    let language = [
        &metadata["language_info"]["name"],
        &metadata["kernelspec"]["language"],
    ];
    if let Some(language) = language.into_iter().find_map(Value::as_str) {
        draft.fact("programming_language", language.to_lowercase());
    }
    let authors = metadata["authors"].as_array().into_iter().flatten();
    let authors: Vec<Value> = authors
        .filter_map(|author| {
            author
                .get("name")
                .or(Some(author))
                .filter(|n| n.is_string())
        })
        .take(64)
        .cloned()
        .collect();
    draft.fact("author", authors);
}

/// The cells in order, wherever this version keeps them.
fn cells(notebook: &Value) -> Option<Vec<&Value>> {
    if let Some(cells) = notebook["cells"].as_array() {
        return Some(cells.iter().collect());
    }
    let sheets = notebook["worksheets"].as_array()?;
    let cells = sheets.iter().filter_map(|sheet| sheet["cells"].as_array());
    Some(cells.flatten().collect())
}

fn write(cell: &Value, draft: &mut Draft) -> Result<()> {
    let source = [&cell["source"], &cell["input"]];
    let source = source.into_iter().find_map(text).unwrap_or_default();
    draft.blank_line();
    let kind = cell["cell_type"].as_str().unwrap_or("code");
    let source = match kind {
        "raw" | "markdown" if draft.is_empty() => front_matter::take(&source, draft),
        _ => &*source,
    };
    match kind {
        "markdown" => markdown::push(source, draft)?,
        "heading" => {
            let level = cell["level"]
                .as_u64()
                .and_then(|level| u8::try_from(level).ok());
            draft.heading(level.unwrap_or(1), source);
        }
        "html" => html::fragment(source, draft)?,
        "code" => {
            draft.open_code();
            draft.push(source.trim_end());
            draft.close_code();
            for output in cell["outputs"].as_array().into_iter().flatten() {
                draft.blank_line();
                write_output(output, draft)?;
            }
        }
        _ => draft.push(source),
    }
    draft.blank_line();
    Ok(())
}

fn write_output(output: &Value, draft: &mut Draft) -> Result<()> {
    if let Some(name) = output["ename"].as_str() {
        let value = output["evalue"].as_str().unwrap_or_default();
        draft.push(&without_colours(&format!("{name}: {value}")));
        return Ok(());
    }
    // Version 3 has the data of results, and both have the text of streams, in
    // the output itself.
    let data = match &output["data"] {
        Value::Object(_) => &output["data"],
        _ => output,
    };
    let find = |names: [&str; 2]| names.into_iter().find_map(|name| text(&data[name]));
    if let Some(source) = find(["text/markdown", "markdown"]) {
        return markdown::push(&source, draft);
    }
    let plain = find(["text/plain", "text"]).map(|plain| shown(&plain));
    if let Some(plain) = plain.filter(|plain| !is_placeholder(plain)) {
        draft.push(plain.trim_end());
    } else if let Some(page) = find(["text/html", "html"]) {
        html::fragment(&page, draft)?;
    }
    Ok(())
}

/// A text, or the lines of one.
fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(text.into()),
        Value::Array(lines) => Some(lines.iter().filter_map(Value::as_str).collect()),
        _ => None,
    }
}

/// `<Figure size 640x480>`: what stands for something that is not text.
fn is_placeholder(plain: &str) -> bool {
    let plain = plain.trim();
    plain.is_empty() || (plain.starts_with('<') && plain.ends_with('>') && !plain.contains('\n'))
}

/// What a terminal shows in the end: no colours, and of a line that was written
/// over and over, such as a progress bar, the last state.
fn shown(output: &str) -> String {
    let output = without_colours(output);
    let lines = output.split('\n').map(|line| {
        let line = line.trim_end_matches('\r');
        line.rsplit('\r').next().unwrap_or(line)
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// `text` without the escape sequences of terminals (ECMA-48).
fn without_colours(text: &str) -> Cow<'_, str> {
    if !text.contains('\u{1b}') {
        return Cow::Borrowed(text);
    }
    let mut kept = String::with_capacity(text.len());
    let mut pieces = text.split('\u{1b}');
    kept.extend(pieces.next());
    for piece in pieces {
        kept.push_str(after_escape(piece));
    }
    Cow::Owned(kept)
}

/// What follows an escape sequence whose first character was cut off.
fn after_escape(piece: &str) -> &str {
    if let Some(rest) = piece.strip_prefix('[') {
        let end = rest.find(|c: char| ('@'..='~').contains(&c));
        return end.map_or("", |end| &rest[end + 1..]);
    }
    if let Some(rest) = piece.strip_prefix(']') {
        // A title or a link: up to the bell, or to an escape, which ends the piece.
        return rest.split_once('\u{7}').map_or("", |(_, rest)| rest);
    }
    let mut chars = piece.chars();
    chars.next();
    chars.as_str()
}

#[cfg(test)]
mod tests {
    use crate::testing::{headings, read, read_err};
    use serde_json::json;

    #[test]
    fn cells_are_text_code_and_output() {
        let notebook = json!({
            "nbformat": 4,
            "metadata": {"kernelspec": {"language": "Python"}},
            "cells": [
                {"cell_type": "raw", "source": "---\nauthor: Bo\n---"},
                {"cell_type": "markdown", "source": ["# Waves\n", "\n", "Two *kinds*."],
                 "attachments": {"a.png": {"image/png": "QUJD"}}},
                {"cell_type": "code", "source": "x = 1\nif x:\n    print(x)\n", "outputs": [
                    {"output_type": "stream", "name": "stdout",
                     "text": ["10%\r50%\r100%\n", "\u{1b}[31mred\u{1b}[0m line\n"]},
                    {"output_type": "execute_result",
                     "data": {"text/plain": ["   a\n", "0  1"], "text/html": "<table></table>"}},
                    {"output_type": "display_data",
                     "data": {"image/png": "QUJD", "text/plain": "<Figure size 1x1>"}},
                    {"output_type": "display_data", "data": {"text/html": "<b>bold</b>"}},
                    {"output_type": "error", "ename": "KeyError", "evalue": "'tide'",
                     "traceback": ["\u{1b}[0;31mKeyError\u{1b}[0m Traceback"]}]},
                {"cell_type": "raw", "source": "as it is"},
                {"cell_type": "markdown", "source": "## Next\n\nend"}]
        });
        let document = read("waves.ipynb", notebook.to_string());
        assert_eq!(
            document.text,
            "Waves\n\nTwo kinds.\n\nx = 1\nif x:\n    print(x)\n\n100%\nred line\n\n   a\n0  1\n\n\
             bold\n\nKeyError: 'tide'\n\nas it is\n\nNext\n\nend"
        );
        assert_eq!(document.title, "Waves");
        assert_eq!(headings(&document), [(1, "Waves"), (2, "Next")]);
        assert_eq!(document.metadata["author"], "Bo");
        assert_eq!(document.metadata["programming_language"], "python");
        assert_eq!(
            read("upload", notebook.to_string()).metadata["format"],
            "notebook"
        );
    }

    #[test]
    fn version_3_keeps_cells_in_worksheets() {
        let notebook = json!({"nbformat": 3, "worksheets": [{"cells": [
            {"cell_type": "heading", "level": 2, "source": ["Old ways"]},
            {"cell_type": "code", "input": ["y = 2"], "outputs": [
                {"output_type": "pyout", "text": ["2"], "png": "QUJD"},
                {"output_type": "pyerr", "ename": "ValueError", "evalue": "no",
                 "traceback": ["x"]}]}]}]});
        let document = read("a.ipynb", notebook.to_string());
        assert_eq!(document.text, "Old ways\n\ny = 2\n\n2\n\nValueError: no");
        assert_eq!(headings(&document), [(2, "Old ways")]);
    }

    #[test]
    fn damaged_notebooks_are_read_as_far_as_they_go() {
        let cut = r##"{"nbformat": 4, "cells": [{"cell_type": "markdown", "source": "# One"},
            {"cell_type": "code", "source": "two()"}, {"cell_type": "co"##;
        let document = read("a.ipynb", cut);
        assert_eq!(document.text, "One\n\ntwo()");
        assert!(
            document.warnings[0].contains("line 2"),
            "{:?}",
            document.warnings
        );
        assert!(read_err("a.ipynb", "{}").to_string().contains("no cells"));
        assert!(read_err("a.ipynb", "[1]").to_string().contains("no cells"));
    }
}
