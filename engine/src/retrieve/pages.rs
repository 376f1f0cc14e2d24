//! Which page of a passage contains a statement: a passage may span several pages.

use cairn_indexer::Chunk;

use super::api::{PageStart, Source};
use super::windows::Terms;

/// The pages of a chunk that spans several.
pub(super) fn of_chunk(chunk: &Chunk) -> Vec<PageStart> {
    let Some(first) = chunk.page.filter(|_| !chunk.page_starts.is_empty()) else {
        return Vec::new();
    };
    let mut pages = vec![PageStart {
        number: first,
        start: 0,
    }];
    let (mut bytes, mut characters) = (0, 0);
    for next in &chunk.page_starts {
        // A stored chunk may be damaged; then only its first page is known.
        let Some(text) = chunk.text.get(bytes..next.start) else {
            break;
        };
        bytes = next.start;
        characters += text.chars().count();
        pages.push(PageStart {
            number: next.number,
            start: characters,
        });
    }
    pages
}

/// The page of `text` that shares most with `said`: rare words count more than those on every page.
/// The first among equals; `None` without `pages`.
pub(super) fn saying(said: &str, text: &str, pages: &[PageStart]) -> Option<u32> {
    let parts = parts(text, pages);
    let terms = Terms::new(said, &parts);
    let mut best: Option<(f32, u32)> = None;
    for (part, page) in parts.iter().zip(pages) {
        let weight = terms.weight_in(part);
        if best.is_none_or(|(most, _)| weight > most) {
            best = Some((weight, page.number));
        }
    }
    best.map(|(_, page)| page)
}

/// The text of each page.
fn parts<'a>(text: &'a str, pages: &[PageStart]) -> Vec<&'a str> {
    let mut at = text
        .char_indices()
        .map(|(byte, _)| byte)
        .chain([text.len()]);
    let mut characters = 0;
    let mut starts: Vec<usize> = pages
        .iter()
        .map(|page| {
            let skipped = page.start.saturating_sub(characters);
            characters = page.start + 1;
            at.nth(skipped).unwrap_or(text.len())
        })
        .collect();
    starts.push(text.len());
    starts
        .windows(2)
        .map(|pair| text.get(pair[0]..pair[1]).unwrap_or(""))
        .collect()
}

impl Source {
    /// The page of the character at index `character` in `text`.
    pub fn page_at(&self, character: usize) -> Option<u32> {
        let after = self.pages.partition_point(|page| page.start <= character);
        match after.checked_sub(1) {
            Some(page) => Some(self.pages[page].number),
            None => self.page,
        }
    }

    /// The page that shares most words with `said`.
    pub fn page_saying(&self, said: &str) -> Option<u32> {
        saying(said, &self.text, &self.pages).or(self.page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_indexer as indexer;

    fn chunk(pages: &[&str]) -> Chunk {
        let mut text = String::new();
        let mut page_starts = Vec::new();
        for (number, page) in (4..).zip(pages) {
            if number > 4 {
                let start = text.len();
                page_starts.push(indexer::PageStart { number, start });
            }
            text.push_str(page);
        }
        Chunk {
            ordinal: 0,
            span: 0..text.len(),
            text,
            heading_path: Vec::new(),
            page: Some(4),
            page_starts,
            columns: None,
            code_blocks: Vec::new(),
            token_count: 1,
            hash: String::new(),
        }
    }

    #[test]
    fn the_page_with_the_rare_words_is_named() {
        let chunk = chunk(&[
            "Die Prüfung des Ankers.\n\n",
            "Die Prüfung der Leine.\n\n",
            "Die Prüfung der Boje.",
        ]);
        let pages = of_chunk(&chunk);
        let starts: Vec<_> = pages.iter().map(|page| (page.number, page.start)).collect();
        assert_eq!(starts, [(4, 0), (5, 25), (6, 49)]);
        let saying = |said| saying(said, &chunk.text, &pages);
        assert_eq!(saying("Wie ist die Prüfung der Boje?"), Some(6));
        assert_eq!(saying("die Leine"), Some(5));
        assert_eq!(saying("nothing of it"), Some(4));
    }

    #[test]
    fn one_page_needs_no_list() {
        let mut one = chunk(&["text"]);
        assert_eq!(of_chunk(&one), []);
        assert_eq!(saying("text", &one.text, &[]), None);
        // An offset that is not a character boundary.
        one.page_starts = vec![indexer::PageStart {
            number: 9,
            start: 99,
        }];
        assert_eq!(of_chunk(&one).len(), 1);
    }
}
