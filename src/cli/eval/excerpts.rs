//! Beginnings of what a report names: documents, passages, spans.

use std::collections::BTreeMap;

use cairn_eval::Target;
use cairn_eval::report::Excerpt;
use cairn_indexer::{Access, DocumentId, Snapshot};

use super::subject::Subject;

/// Letters of an excerpt.
const CHARS: usize = 240;

/// Excerpts of `ids`, each a document's URI, a passage's id or the id of a span
/// that a question has. What is not there, such as a judged document that the
/// corpus lacks, has none.
pub(super) fn of(subject: &Subject, ids: &[String]) -> anyhow::Result<BTreeMap<String, Excerpt>> {
    let index = subject.engine.collection(&subject.collection.name)?;
    let snapshot = index.snapshot();
    let spans: BTreeMap<String, &Target> = subject
        .dataset
        .questions
        .iter()
        .flat_map(|question| &question.targets)
        .filter(|target| matches!(target, Target::Span(_)))
        .map(|target| (target.id(), target))
        .collect();
    let mut excerpts = BTreeMap::new();
    for id in ids {
        let found = match spans.get(id) {
            Some(Target::Span(span)) => {
                let text = document_text(&snapshot, &span.uri)?;
                let part = text.and_then(|text| text.get(span.start..span.end).map(start));
                part.map(|text| (span.uri.clone(), text))
            }
            _ => passage_or_document(&snapshot, id)?,
        };
        if let Some((title, text)) = found {
            excerpts.insert(id.clone(), Excerpt { title, text });
        }
    }
    Ok(excerpts)
}

fn passage_or_document(snapshot: &Snapshot, id: &str) -> anyhow::Result<Option<(String, String)>> {
    let document = DocumentId::of_uri(id);
    if let Some(stored) = snapshot.document(document, &Access::All)? {
        let text = document_text(snapshot, id)?.unwrap_or_default();
        return Ok(Some((stored.title, start(&text))));
    }
    let Some((document, ordinal)) = id.rsplit_once('-') else {
        return Ok(None);
    };
    let (Some(document), Ok(ordinal)) = (DocumentId::parse(document), ordinal.parse::<usize>())
    else {
        return Ok(None);
    };
    let passages = snapshot.document_chunks(document, &Access::All)?;
    let passage = passages.and_then(|passages| passages.into_iter().nth(ordinal));
    Ok(passage.map(|passage| (passage.uri, start(&passage.chunk.text))))
}

fn document_text(snapshot: &Snapshot, uri: &str) -> anyhow::Result<Option<String>> {
    Ok(snapshot.document_text(DocumentId::of_uri(uri), &Access::All)?)
}

/// The first letters, on one line.
fn start(text: &str) -> String {
    cairn_engine::text::one_line_within(text, CHARS)
}
