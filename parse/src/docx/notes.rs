//! Footnotes, endnotes and comments: where they are referred to, and what they
//! say.

use std::collections::HashMap;

use super::numbering::numerals;
use crate::Result;
use crate::draft::Draft;
use crate::numerals::Numerals;
use crate::ooxml::is_on;
use crate::xml::{self, Attributes, Xml};

/// Longest quotation of what a comment is about, in bytes.
const MAX_QUOTE: usize = 160;
/// Most quotations that are open at once; more only come from broken files.
const MAX_OPEN: usize = 64;

/// How one kind of notes is numbered.
#[derive(Debug)]
struct Count {
    numerals: Numerals,
    next: u64,
}

/// A note that the text refers to.
#[derive(Debug)]
struct Reference {
    id: String,
    /// None where the author wrote a mark.
    mark: Option<String>,
}

/// A note or comment as it was read.
struct Note {
    id: String,
    author: String,
    text: Draft,
}

/// The notes of a document.
pub(super) struct Notes {
    footnotes: Count,
    endnotes: Count,
    footnote_references: Vec<Reference>,
    endnote_references: Vec<Reference>,
    /// What comments are about, by id: open ones grow with the text.
    quotes: HashMap<String, String>,
    open_quotes: Vec<String>,
    /// The note that is being read, and those that were.
    current: Option<(String, String)>,
    read: Vec<Note>,
}

impl Notes {
    /// Numbering as `word/settings.xml` has it.
    pub(super) fn new(settings: &str) -> Result<Self> {
        let mut notes = Self {
            footnotes: Count {
                numerals: Numerals::Decimal(0),
                next: 1,
            },
            endnotes: Count {
                numerals: Numerals::LowerRoman,
                next: 1,
            },
            footnote_references: Vec::new(),
            endnote_references: Vec::new(),
            quotes: HashMap::new(),
            open_quotes: Vec::new(),
            current: None,
            read: Vec::new(),
        };
        let mut kind = None;
        xml::read(settings, "DOCX", |event| {
            match event {
                Xml::Start("footnotePr", _) => kind = Some(true),
                Xml::Start("endnotePr", _) => kind = Some(false),
                Xml::End("footnotePr" | "endnotePr") => kind = None,
                Xml::Start(name @ ("numFmt" | "numStart"), attributes) => {
                    let count = match kind {
                        Some(true) => &mut notes.footnotes,
                        Some(false) => &mut notes.endnotes,
                        None => return Ok(()),
                    };
                    let value = attributes.get("val").unwrap_or_default();
                    if name == "numFmt" {
                        count.numerals = numerals(&value, attributes.get("format").as_deref());
                    } else {
                        count.next = value.parse().unwrap_or(1);
                    }
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok(notes)
    }

    /// The mark of a reference that the text shows; `None` if the author wrote
    /// one.
    pub(super) fn refer(&mut self, name: &str, attributes: &Attributes<'_>) -> Option<String> {
        let (count, references) = if name == "footnoteReference" {
            (&mut self.footnotes, &mut self.footnote_references)
        } else {
            (&mut self.endnotes, &mut self.endnote_references)
        };
        let own = attributes
            .get("customMarkFollows")
            .is_some_and(|value| is_on(Some(&value)));
        let mark = (!own).then(|| {
            let number = count.next;
            count.next = number.saturating_add(1);
            format!("[{}]", count.numerals.write(number))
        });
        references.push(Reference {
            id: attributes.get("id").unwrap_or_default(),
            mark: mark.clone(),
        });
        mark
    }

    pub(super) fn open_quote(&mut self, attributes: &Attributes<'_>) {
        if let Some(id) = attributes.get("id")
            && self.open_quotes.len() < MAX_OPEN
        {
            self.open_quotes.push(id);
        }
    }

    pub(super) fn close_quote(&mut self, attributes: &Attributes<'_>) {
        let id = attributes.get("id");
        self.open_quotes.retain(|open| Some(open) != id.as_ref());
    }

    /// The text goes on, and with it what open comments are about.
    pub(super) fn quote(&mut self, text: &str) {
        for id in &self.open_quotes {
            let quote = self.quotes.entry(id.clone()).or_default();
            if quote.len() <= MAX_QUOTE {
                quote.push_str(&text[..text.floor_char_boundary(MAX_QUOTE)]);
            }
        }
    }

    pub(super) fn begin(&mut self, attributes: &Attributes<'_>) {
        // Separators are notes of a type of their own.
        let kind = attributes.get("type");
        self.current = kind.is_none_or(|kind| kind == "normal").then(|| {
            let id = attributes.get("id").unwrap_or_default();
            (id, attributes.get("author").unwrap_or_default())
        });
    }

    /// Takes what was written into `draft` for the note that ends.
    pub(super) fn end(&mut self, draft: &mut Draft, limit: usize) {
        let text = std::mem::replace(draft, Draft::new(limit));
        if let Some((id, author)) = self.current.take()
            && !text.is_empty()
        {
            self.read.push(Note { id, author, text });
        }
    }

    /// Writes the footnotes that were read, in the order of their references.
    pub(super) fn write_footnotes(&mut self, draft: &mut Draft) {
        let references = std::mem::take(&mut self.footnote_references);
        self.write_referenced(references, draft);
    }

    /// As above, for endnotes.
    pub(super) fn write_endnotes(&mut self, draft: &mut Draft) {
        let references = std::mem::take(&mut self.endnote_references);
        self.write_referenced(references, draft);
    }

    fn write_referenced(&mut self, references: Vec<Reference>, draft: &mut Draft) {
        let read = self.read.drain(..).map(|note| (note.id, note.text));
        let mut read: HashMap<String, Draft> = read.collect();
        for reference in references {
            let Some(note) = read.remove(&reference.id) else {
                continue;
            };
            draft.blank_line();
            if let Some(mark) = reference.mark {
                draft.push(&mark);
                draft.push(" ");
            }
            draft.append(note, 0);
            draft.blank_line();
        }
    }

    /// Writes the comments that were read, each with its author and what it is
    /// about.
    pub(super) fn write_comments(&mut self, draft: &mut Draft) {
        for note in std::mem::take(&mut self.read) {
            draft.blank_line();
            draft.push("Comment");
            if !note.author.trim().is_empty() {
                draft.push(" by ");
                draft.push_words(note.author.trim());
            }
            let quote = self.quotes.get(&note.id).map_or("", |quote| quote.trim());
            if !quote.is_empty() {
                draft.push(" on “");
                draft.push_words(quote);
                if quote.len() > MAX_QUOTE {
                    draft.push("…");
                }
                draft.push("”");
            }
            draft.push(": ");
            draft.append(note.text, 0);
            draft.blank_line();
        }
    }
}
