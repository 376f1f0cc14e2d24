//! What is in a collection, as far as a caller may see it: numbers, titles, and questions to try.
//! Read once per commit.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cairn_indexer::{Access, Snapshot, StoredDocument};

use super::engine::Engine;
use super::error::SearchError;
use super::suggest;

/// How many documents are listed for their titles and formats.
const MAX_LISTED: usize = 1000;
/// Maximum number of titles, and of questions to try.
const MAX_TITLES: usize = 3;
const MAX_SUGGESTIONS: usize = 3;
/// Maximum length of a file name extension, in characters.
const MAX_FORMAT_CHARS: usize = 8;
/// How many callers' overviews are remembered.
const MAX_REMEMBERED: usize = 1000;

/// What a caller may read of a collection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overview {
    /// Number of the last commit; 0 if nothing was ever committed.
    pub generation: u64,
    /// Documents.
    pub documents: usize,
    /// Chunks of them.
    pub chunks: usize,
    /// The documents' file name extensions, for example `md`, with their counts, most frequent
    /// first; empty if some documents have none or there are very many documents.
    pub formats: Vec<(String, usize)>,
    /// Titles of the longest documents, or their URIs if they have no title.
    pub titles: Vec<String>,
    /// Questions to try, drawn from its content.
    pub suggestions: Vec<String>,
}

/// A collection, and the labels of its reader; `None` for a reader of everything.
type Audience = (String, Option<BTreeSet<String>>);

/// The overviews of the last commits.
#[derive(Default)]
pub(super) struct Overviews(Mutex<HashMap<Audience, Arc<Overview>>>);

impl Engine {
    /// What `access` may read of the collection `name`. Opens the collection and reads documents,
    /// so it may block; the result is remembered until the next commit.
    ///
    /// # Errors
    ///
    /// Those of [`Engine::collection`].
    pub fn overview(&self, name: &str, access: &Access) -> Result<Arc<Overview>, SearchError> {
        let snapshot = self.collection(name)?.snapshot();
        let labels = match access {
            Access::All => None,
            Access::Labels(labels) => Some(labels.clone()),
        };
        let audience = (name.to_owned(), labels);
        let known = self.overviews().lock().get(&audience).cloned();
        if let Some(known) = known
            && known.generation == snapshot.generation()
        {
            return Ok(known);
        }
        let overview = Arc::new(Overview::read(&snapshot, access)?);
        let mut known = self.overviews().lock();
        if known.len() >= MAX_REMEMBERED {
            known.clear();
        }
        known.insert(audience, Arc::clone(&overview));
        Ok(overview)
    }
}

impl Overviews {
    /// Forgets the collection `name`: another one may get the same name and generations.
    pub(super) fn forget(&self, name: &str) {
        self.lock().retain(|(other, _), _| other != name);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Audience, Arc<Overview>>> {
        // Every statement leaves the map consistent, even in a thread that died.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Overview {
    fn read(snapshot: &Snapshot, access: &Access) -> Result<Self, SearchError> {
        let (documents, chunks) = snapshot.readable_counts(access)?;
        let listed = snapshot.documents(0, MAX_LISTED, access)?;
        Ok(Self {
            generation: snapshot.generation(),
            documents,
            chunks,
            formats: if documents > listed.len() {
                Vec::new()
            } else {
                formats(listed.iter().map(|document| document.uri.as_str()))
            },
            titles: titles(listed),
            suggestions: suggest::questions(snapshot, MAX_SUGGESTIONS, access)?,
        })
    }
}

/// Titles of the longest documents; among equals, the first ones.
fn titles(mut documents: Vec<StoredDocument>) -> Vec<String> {
    documents.sort_by_key(|document| std::cmp::Reverse(document.text_bytes));
    let mut titles: Vec<String> = Vec::new();
    for document in documents {
        if titles.len() == MAX_TITLES {
            break;
        }
        let title = match document.title.trim() {
            "" => document.uri,
            title => title.to_owned(),
        };
        if !titles.contains(&title) {
            titles.push(title);
        }
    }
    titles
}

/// The extensions of URIs with their counts; empty if any URI has none.
fn formats<'a>(uris: impl Iterator<Item = &'a str>) -> Vec<(String, usize)> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for uri in uris {
        let name = uri.rsplit('/').next().unwrap_or(uri);
        let end = match name.rsplit_once('.') {
            Some((before, end)) if !before.is_empty() => end,
            _ => return Vec::new(),
        };
        let is_format = (1..=MAX_FORMAT_CHARS).contains(&end.len())
            && end.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !is_format {
            return Vec::new();
        }
        *counts.entry(end.to_ascii_lowercase()).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_counted_where_every_name_has_one() {
        let of = |uris: &[&str]| formats(uris.iter().copied());
        let count = |name: &str, count| (name.to_owned(), count);
        assert_eq!(
            of(&["docs/a.md", "b.PDF", "docs/v1.2/c.md", "z.html"]),
            [count("md", 2), count("html", 1), count("pdf", 1)]
        );
        for uri in [
            "README",
            "docs.d/README",
            ".profile",
            "a.",
            "a.b c",
            "a.verylongend",
        ] {
            assert_eq!(of(&["docs/a.md", uri]), [], "{uri}");
        }
        assert_eq!(of(&[]), []);
    }
}
