//! A reader for many clients, who take turns.

use std::ops::Range;
use std::sync::Arc;

use super::worker::Worker;
use crate::{Cancel, Reader, ReaderPassage, Result};

/// A reader on a thread of its own, whose calls take turns in the order in which they
/// come.
///
/// It is a [`Reader`] itself, whose `read` waits for its turn, and fails with
/// `Overloaded` when too many wait already.
pub struct ReadQueue {
    reader: Arc<dyn Reader>,
    worker: Worker,
}

impl ReadQueue {
    /// Starts the thread. At most `capacity` calls wait.
    ///
    /// # Errors
    /// `Machine` when no thread can be started.
    pub fn start(reader: Arc<dyn Reader>, capacity: usize) -> Result<Self> {
        let worker = Worker::start("reader", capacity)?;
        Ok(Self { reader, worker })
    }
}

/// A passage that outlives its caller.
struct Owned {
    place: String,
    text: String,
    segments: Vec<Range<usize>>,
}

impl Reader for ReadQueue {
    fn id(&self) -> &str {
        self.reader.id()
    }

    fn read(
        &self,
        question: &str,
        passages: &[ReaderPassage<'_>],
        cancel: &Cancel,
    ) -> Result<Vec<Vec<f32>>> {
        let (reader, question) = (Arc::clone(&self.reader), question.to_owned());
        let owned = |passage: &ReaderPassage<'_>| Owned {
            place: passage.place.to_owned(),
            text: passage.text.to_owned(),
            segments: passage.segments.to_vec(),
        };
        let (passages, token): (Vec<Owned>, _) =
            (passages.iter().map(owned).collect(), cancel.clone());
        let pending = self.worker.submit(move || {
            let passages: Vec<ReaderPassage<'_>> = passages
                .iter()
                .map(|owned| ReaderPassage {
                    place: &owned.place,
                    text: &owned.text,
                    segments: &owned.segments,
                })
                .collect();
            reader.read(&question, &passages, &token)
        })?;
        pending.wait_until(cancel)
    }
}
