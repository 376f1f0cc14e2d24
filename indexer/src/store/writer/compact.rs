//! Writes what is live into as few files as there can be. Merges alongside the work keep a collection
//! fit all by themselves; this is for one that changes no more, or gave up much.

use std::time::{Duration, Instant};

use cairn_models::Cancel;
use tantivy::index::SegmentMeta;

use super::Writer;
use crate::store::fault;
use crate::store::index::WORDS_DIR;
use crate::{Error, ErrorKind, Result};

/// How often a merge is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// How many segments a collection had and has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// The commit that holds them.
    pub generation: u64,
    /// Segments of vectors, before and after.
    pub vectors: (usize, usize),
    /// Segments of words, before and after.
    pub words: (usize, usize),
    /// Rows and records of what is no longer there, which were left out.
    pub dropped: u64,
}

impl Writer {
    /// Merges all segments of vectors, and all of words, into one each, without what is no
    /// longer there. A kill or a cancellation leaves the collection as it is, or half done.
    ///
    /// # Errors
    /// `Cancelled`, and those of the disk.
    pub fn compact(mut self, cancel: &Cancel) -> Result<Compacted> {
        self.commit()?;
        self.finish_merges(cancel)?;
        let loads = self.base.loads();
        let dead: usize = loads.iter().map(|load| load.rows - load.alive).sum();
        if loads.len() > 1 || dead > 0 {
            self.merge = self.merge_of((0..loads.len()).collect())?;
            self.finish_merges(cancel)?;
        }
        let words = self.word_segments()?;
        let deleted: u32 = words.iter().map(SegmentMeta::num_deleted_docs).sum();
        if words.len() > 1 || deleted > 0 {
            cancel.check()?;
            let ids: Vec<_> = words.iter().map(SegmentMeta::id).collect();
            let words_dir = self.shared.dir.join(WORDS_DIR);
            let failed = |error| fault::convert(error, &words_dir);
            self.words.merge(&ids).wait().map_err(failed)?;
            self.words.garbage_collect_files().wait().map_err(failed)?;
        }
        Ok(Compacted {
            generation: self.base.generation(),
            vectors: (loads.len(), self.base.loads().len()),
            words: (words.len(), self.word_segments()?.len()),
            dropped: dead as u64 + u64::from(deleted),
        })
    }

    /// Waits for merges, and commits what comes of them.
    fn finish_merges(&mut self, cancel: &Cancel) -> Result<()> {
        while let Some(merge) = &self.merge {
            while !merge.wait_until(Instant::now() + LOOK) {
                cancel.check()?;
            }
            self.commit()?;
        }
        match self.merge_failed {
            true => Err(Error::new(
                ErrorKind::Machine,
                "vector segments could not be merged; the log says why",
            )),
            false => Ok(()),
        }
    }

    fn word_segments(&self) -> Result<Vec<SegmentMeta>> {
        let words_dir = self.shared.dir.join(WORDS_DIR);
        let segments = self.handle.index.searchable_segment_metas();
        segments.map_err(|error| fault::convert(error, &words_dir))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cairn_models::testing::HashEmbedder;

    use super::*;
    use crate::store::tests::writer;
    use crate::{Bm25, Document, DocumentId, Index, IndexSettings, doctor};

    #[test]
    fn many_commits_become_one_segment_of_each() {
        let dir = tempfile::tempdir().unwrap();
        let index = Index::open(dir.path(), IndexSettings::default()).unwrap();
        let never = Cancel::never();
        for n in 0..6 {
            let mut writer = writer(&index);
            for part in 0..2 {
                let document = Document {
                    uri: format!("{n}-{part}.md"),
                    text: format!("The kettle number {n} of row {part} boils."),
                    ..Document::default()
                };
                writer.put(vec![(document, None)], &never).unwrap();
            }
            writer.commit().unwrap();
        }
        let mut writer_of_some = writer(&index);
        for n in 0..6 {
            let id = DocumentId::of_uri(&format!("{n}-1.md"));
            assert!(writer_of_some.delete(id).unwrap());
        }
        writer_of_some.commit().unwrap();
        drop(writer_of_some);
        let before = index.snapshot();
        let search = |index: &Index| {
            let snapshot = index.snapshot();
            let hits = snapshot
                .lexical("kettle row", 20, Bm25::default(), None)
                .unwrap();
            let mut uris: Vec<_> = hits
                .iter()
                .map(|hit| snapshot.chunk(hit.chunk).unwrap().uri)
                .collect();
            uris.sort();
            uris
        };
        let expected = search(&index);
        assert_eq!(expected.len(), 6);

        let done = writer(&index).compact(&never).unwrap();
        assert_eq!((done.vectors.1, done.words.1), (1, 1), "{done:?}");
        assert!(
            done.dropped > 0 && done.generation > before.generation(),
            "{done:?}"
        );
        assert_eq!(search(&index), expected);
        // Whoever reads the commit before goes on, and whoever opens it again finds the same.
        let hits = before.lexical("kettle", 20, Bm25::default(), None).unwrap();
        assert_eq!(hits.len(), 6);
        let again = Index::open(dir.path(), IndexSettings::default()).unwrap();
        assert_eq!(search(&again), expected);
        assert!(doctor::check(dir.path()).unwrap().is_healthy());

        let nothing = writer(&index).compact(&never).unwrap();
        assert_eq!((nothing.dropped, nothing.generation), (0, done.generation));
        // It can be written to as before.
        let mut more = index.writer(Arc::new(HashEmbedder)).unwrap();
        let id = DocumentId::of_uri("3-0.md");
        assert!(more.delete(id).unwrap());
        more.commit().unwrap();
        assert_eq!(search(&index).len(), 5);
    }

    #[test]
    fn a_cancelled_one_leaves_the_collection() {
        let dir = tempfile::tempdir().unwrap();
        let index = Index::open(dir.path(), IndexSettings::default()).unwrap();
        let never = Cancel::never();
        for n in 0..3 {
            let mut writer = writer(&index);
            let document = Document {
                uri: format!("{n}.md"),
                text: format!("Text {n}."),
                ..Document::default()
            };
            writer.put(vec![(document, None)], &never).unwrap();
            writer.commit().unwrap();
        }
        let cancel = Cancel::default();
        cancel.cancel();
        let result = writer(&index).compact(&cancel);
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Cancelled);
        assert_eq!(index.snapshot().document_count(), 3);
        assert!(doctor::check(dir.path()).unwrap().is_healthy());
    }
}
