//! Tantivy's writer, which leaves no merge unfinished and no file behind.

use std::ops::{Deref, DerefMut};

use tantivy::IndexWriter;

/// Tantivy's writer. It merges segments in the background after a commit and
/// throws running merges away when it is dropped; a program that opens a writer
/// for each change would never merge anything. This one waits for them.
pub(super) struct PostingsWriter(Option<IndexWriter>);

impl PostingsWriter {
    pub(super) fn new(writer: IndexWriter) -> tantivy::Result<Self> {
        remove_unlisted(&writer)?;
        Ok(Self(Some(writer)))
    }

    /// Back to the last commit.
    pub(super) fn rollback(&mut self) -> tantivy::Result<()> {
        (**self).rollback()?;
        remove_unlisted(self)
    }
}

/// Removes files that no commit lists: those of a commit that a kill or a full
/// disk ended. Tantivy names a list of deleted documents after the number of
/// the operation, which starts again from the last commit, and refuses to write
/// over a file: the same work again would fail again, and for ever.
fn remove_unlisted(writer: &IndexWriter) -> tantivy::Result<()> {
    writer.garbage_collect_files().wait()?;
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
