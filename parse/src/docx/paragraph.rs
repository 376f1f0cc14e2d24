//! The paragraph that is being read.

use crate::{links, running};

/// Longest text of a link to which the next part is added, in bytes.
const MAX_LINK_TEXT: usize = 1000;

/// What a paragraph's properties say.
#[derive(Clone, Debug, Default)]
pub(super) struct Properties {
    pub(super) style: String,
    pub(super) outline: Option<u8>,
    pub(super) list: Option<String>,
    pub(super) level: Option<usize>,
    /// Its mark is deleted or moved away: it goes on in the next paragraph.
    pub(super) is_joined: bool,
    /// Its mark is hidden.
    pub(super) is_hidden: bool,
}

/// A paragraph's text and properties so far.
#[derive(Debug, Default)]
pub(super) struct Paragraph {
    pub(super) text: String,
    pub(super) properties: Properties,
    /// The properties of the paragraph whose text this one goes on with.
    before: Option<Properties>,
    has_page_number: bool,
    /// The last address that was written, and where its text begins and ends.
    link: Option<(String, usize, usize)>,
}

impl Paragraph {
    /// A paragraph that goes on where `before` was joined to it.
    pub(super) fn after(before: Option<Self>) -> Self {
        let Some(before) = before else {
            return Self::default();
        };
        let has_text = !before.text.trim().is_empty();
        let properties = before.before.or(Some(before.properties));
        Self {
            before: properties.filter(|_| has_text),
            text: before.text,
            has_page_number: before.has_page_number,
            ..Self::default()
        }
    }

    /// What the whole paragraph is: what its first part was.
    pub(super) fn settled(&self) -> &Properties {
        self.before.as_ref().unwrap_or(&self.properties)
    }

    pub(super) fn push_page_mark(&mut self) {
        self.has_page_number = true;
        self.text.push(running::MARK);
    }

    /// Where a link to `address` begins. One that goes on with the link before
    /// it is a part of it: Word cuts links where the look of the text changes.
    pub(super) fn begin_link(&mut self, address: &str) -> usize {
        match &self.link {
            Some((last, start, end))
                if last == address
                    && end - start <= MAX_LINK_TEXT
                    && self.text.len()
                        == end + links::suffix(address, &self.text[*start..*end]).len() =>
            {
                self.text.truncate(*end);
                *start
            }
            _ => self.text.len(),
        }
    }

    /// Writes the address that the text from `start` on leads to.
    pub(super) fn end_link(&mut self, start: usize, address: &str) {
        let Some(text) = self.text.get(start..) else {
            return;
        };
        if text.trim().is_empty() {
            return;
        }
        let end = self.text.len();
        let suffix = links::suffix(address, text);
        self.text.push_str(&suffix);
        self.link = Some((address.to_owned(), start, end));
    }

    /// The text as it is written.
    pub(super) fn finished(&self) -> std::borrow::Cow<'_, str> {
        if self.has_page_number {
            running::without_page_numbers(&self.text).into()
        } else {
            self.text.trim_end().into()
        }
    }
}
