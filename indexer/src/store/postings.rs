//! Tantivy's writer, which leaves no merge unfinished and no file behind.

use std::ops::{Deref, DerefMut};

use tantivy::IndexWriter;

/// Tantivy's writer. It merges segments in the background after a commit and
/// throws running merges away when it is dropped; a program that opens a writer
/// for each change would never merge anything. This one waits for them.
pub(super) struct PostingsWriter(Option<IndexWriter>);

impl PostingsWriter {
    pub(super) fn new(writer: IndexWriter) -> tantivy::Result<Self> {
        settle(&writer)?;
        Ok(Self(Some(writer)))
    }

    /// Back to the last commit.
    pub(super) fn rollback(&mut self) -> tantivy::Result<()> {
        (**self).rollback()?;
        settle(self)
    }
}

/// What a writer needs that starts from a commit.
fn settle(writer: &IndexWriter) -> tantivy::Result<()> {
    remove_unlisted(writer)?;
    step_past_commit(writer)
}

/// Removes files that no commit lists: those of a commit that a kill or a full
/// disk ended. Tantivy names a list of deleted documents after the number of
/// the operation, which starts again from the last commit, and refuses to write
/// over a file: the same work again would fail again, and for ever.
fn remove_unlisted(writer: &IndexWriter) -> tantivy::Result<()> {
    writer.garbage_collect_files().wait()?;
    Ok(())
}

/// Uses up the number of the last commit, which Tantivy would give to the first
/// operation after it. A merge of committed segments applies deletions up to and with
/// that number to those of them that the commit changed nothing in, and thinks that the
/// others have them: there, the first deletion would be lost, and a document that was
/// put again would be there twice.
fn step_past_commit(writer: &IndexWriter) -> tantivy::Result<()> {
    writer.run(Vec::new())?;
    Ok(())
}

const TAKEN_IN_DROP: &str = "the writer is there until it is dropped";

impl Deref for PostingsWriter {
    type Target = IndexWriter;

    fn deref(&self) -> &IndexWriter {
        self.0.as_ref().expect(TAKEN_IN_DROP)
    }
}

impl DerefMut for PostingsWriter {
    fn deref_mut(&mut self) -> &mut IndexWriter {
        self.0.as_mut().expect(TAKEN_IN_DROP)
    }
}

impl Drop for PostingsWriter {
    fn drop(&mut self) {
        if let Some(writer) = self.0.take()
            && let Err(error) = writer.wait_merging_threads()
        {
            // The segments that were to be merged are all there still.
            tracing::warn!(%error, "merging the word index failed");
        }
    }
}

#[cfg(test)]
mod tests {
    use tantivy::index::SegmentMeta;
    use tantivy::indexer::{MergeCandidate, MergePolicy, NoMergePolicy};
    use tantivy::schema::{Field, STRING, Schema};
    use tantivy::{Index, TantivyDocument, Term};

    use super::*;

    /// Merges everything, segments without deletions first.
    #[derive(Debug)]
    struct MergeAll;

    impl MergePolicy for MergeAll {
        fn compute_merge_candidates(&self, segments: &[SegmentMeta]) -> Vec<MergeCandidate> {
            let mut segments: Vec<_> = segments.iter().collect();
            segments.sort_by_key(|segment| segment.num_deleted_docs());
            match segments.len() {
                0 | 1 => Vec::new(),
                _ => vec![MergeCandidate(
                    segments.iter().map(|one| one.id()).collect(),
                )],
            }
        }
    }

    fn open(index: &Index) -> PostingsWriter {
        let writer = index.writer_with_num_threads(1, 15_000_000).unwrap();
        let writer = PostingsWriter::new(writer).unwrap();
        writer.set_merge_policy(Box::new(NoMergePolicy));
        writer
    }

    fn add(writer: &PostingsWriter, field: Field, names: &[&str]) {
        for name in names {
            let mut document = TantivyDocument::new();
            document.add_text(field, name);
            writer.add_document(document).unwrap();
        }
    }

    /// The first deletion after opening or going back, of a document in a segment that
    /// the last commit deleted another one from, while all segments are merged.
    fn the_first_deletion_counts(goes_back: bool) {
        let mut schema = Schema::builder();
        let name = schema.add_text_field("name", STRING);
        let index = Index::create_in_ram(schema.build());
        let term = |text: &str| Term::from_field_text(name, text);
        let mut writer = open(&index);
        add(&writer, name, &["a", "b"]);
        writer.commit().unwrap();
        add(&writer, name, &["c", "d", "e"]);
        writer.commit().unwrap();
        writer.delete_term(term("c"));
        writer.commit().unwrap();
        if goes_back {
            writer.rollback().unwrap();
        } else {
            drop(writer);
            writer = open(&index);
        }
        writer.set_merge_policy(Box::new(MergeAll));
        writer.delete_term(term("d"));
        add(&writer, name, &["d"]);
        writer.commit().unwrap();
        drop(writer);
        let searcher = index.reader().unwrap().searcher();
        assert_eq!(searcher.doc_freq(&term("d")).unwrap(), 1);
        assert_eq!(searcher.num_docs(), 4);
    }

    #[test]
    fn the_first_deletion_of_a_writer_counts_in_every_segment() {
        the_first_deletion_counts(false);
    }

    #[test]
    fn the_first_deletion_after_going_back_counts_in_every_segment() {
        the_first_deletion_counts(true);
    }
}
