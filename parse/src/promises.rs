//! What holds for every document that [`crate::parse`] returns, whatever the bytes were.

use crate::Document;

/// The first promise that `document` breaks, in words.
///
/// # Errors
/// That promise.
pub fn check_promises(document: &Document) -> Result<(), String> {
    let held = check_text(document)
        .and_then(|()| check_sections(document))
        .and_then(|()| check_spans(document));
    held.map_err(|broken| format!("{broken} in {:?}", document.uri))
}

fn check_text(document: &Document) -> Result<(), &'static str> {
    let (text, title) = (&document.text, &document.title);
    let is_plain = |c: char| !c.is_control() || c == '\n' || c == '\t';
    holds(!text.is_empty() && !title.is_empty(), "no text or title")?;
    holds(!title.contains('\n'), "a title of several lines")?;
    holds(
        !text.contains("\n\n\n\n") && !text.ends_with('\n') && !text.starts_with('\n'),
        "empty lines that say nothing",
    )?;
    holds(text.chars().all(is_plain), "a control character")?;
    holds(document.metadata.contains_key("format"), "no format")
}

fn check_sections(document: &Document) -> Result<(), &'static str> {
    let (text, sections) = (&document.text, &document.sections);
    let mut before = 0;
    // The sections that are open, outermost first.
    let mut open: Vec<usize> = Vec::new();
    for (at, section) in sections.iter().enumerate() {
        let inside = text.get(section.span.clone());
        holds(
            inside.is_some_and(|text| !text.is_empty()),
            "a section without text",
        )?;
        holds(section.span.start >= before, "sections out of order")?;
        holds(
            section.level >= 1 && !section.heading.is_empty(),
            "no heading",
        )?;
        holds(
            !section.heading.contains('\n'),
            "a heading of several lines",
        )?;
        before = section.span.start;
        while let Some(last) = open.pop_if(|last| sections[*last].level >= section.level) {
            holds(sections[last].span.end == before, ENDS_ELSEWHERE)?;
        }
        open.push(at);
    }
    let all_end = open.iter().all(|&at| sections[at].span.end == text.len());
    holds(all_end, ENDS_ELSEWHERE)
}

const ENDS_ELSEWHERE: &str = "a section that does not end where the next one begins";

fn check_spans(document: &Document) -> Result<(), &'static str> {
    let text = &document.text;
    let mut end = 0;
    for page in &document.pages {
        let is_inside = page.span.start >= end && text.get(page.span.clone()).is_some();
        holds(is_inside, "pages out of order")?;
        end = page.span.end;
    }
    let mut end = 0;
    for table in &document.tables {
        let rows = text.get(table.span.clone());
        let is_inside = table.span.start >= end && rows.is_some_and(|rows| !rows.is_empty());
        holds(is_inside, "tables out of order")?;
        holds(!table.columns.is_empty(), "a table without columns")?;
        end = table.span.end;
    }
    let mut end = 0;
    for block in &document.code_blocks {
        let code = text.get(block.clone());
        let is_inside = block.start >= end && code.is_some_and(|code| !code.trim().is_empty());
        holds(is_inside, "blocks of code out of order")?;
        end = block.end;
    }
    Ok(())
}

fn holds(promise: bool, broken: &'static str) -> Result<(), &'static str> {
    if promise { Ok(()) } else { Err(broken) }
}
