//! Messages that do not ask anything about the documents: greetings, thanks, and questions about
//! the collection itself. They get a plain reply instead of a quotation or a refusal.
//!
//! A message counts only if all of it is in the lists of `phrases`. A message that is also a
//! document's title or a heading remains a question about that document. So does any message with a
//! filter, since a filter selects documents.

mod phrases;
mod reply;

use std::time::Instant;

use cairn_models::Cancel;
use tokio::sync::mpsc;

use self::phrases::{SmallTalk, recognise};
use self::reply::reply;
use super::events::AnswerEvent;
use super::request::{AnswerRequest, Failure};
use super::run::{AnswerRun, send};
use super::stream::Parts;
use crate::retrieve::Source;

/// How many passages' titles and headings are checked.
const LOOKED_AT: usize = 20;

impl Parts {
    /// Replies to a message that is not about the documents. If it may be, returns false and sends
    /// nothing.
    pub(in crate::answer) async fn chats(
        &self,
        request: &AnswerRequest,
        start: Instant,
        cancel: &Cancel,
        out: &mpsc::Sender<AnswerEvent>,
    ) -> Result<bool, Failure> {
        let search = &request.search;
        if search.filter.is_some() {
            return Ok(false);
        }
        let Some(talk) = recognise(&search.query) else {
            return Ok(false);
        };
        let overview = self.search.overview(&search.collection, &search.access);
        let Some(overview) = overview.await? else {
            return Ok(false);
        };
        let look = search.by_words(LOOKED_AT);
        let mut found = self.search.search(look, cancel.clone()).await?;
        if is_subject(talk, &search.query, &found.sources) {
            return Ok(false);
        }
        found.sources.clear();
        send(out, AnswerEvent::Sources(found.clone())).await;
        let mut run = AnswerRun::new(&found, start, out.clone());
        // It is based on the collection's own figures.
        run.answerability = 1.0;
        run.say(&reply(talk, &found.collection, &overview)).await;
        run.close().await;
        run.done("stop", false, true).await;
        Ok(true)
    }
}

/// Whether documents have the message as their subject. Thanks are excluded: they are never asked
/// about, but many pages end with a heading for them.
fn is_subject(talk: SmallTalk, message: &str, sources: &[Source]) -> bool {
    let plain = |text: &str| {
        let words = text.split(|c: char| !c.is_alphanumeric());
        let words = words.filter(|word| !word.is_empty());
        words.collect::<Vec<_>>().join(" ").to_lowercase()
    };
    let message = plain(message);
    let is_title = |source: &Source| plain(&source.title) == message;
    let is_heading = |source: &Source| {
        let mut headings = source.heading_path.iter();
        headings.any(|heading| plain(heading) == message)
    };
    match talk {
        SmallTalk::Thanks => false,
        SmallTalk::Greeting => sources.iter().any(is_title),
        SmallTalk::Collection => sources
            .iter()
            .any(|source| is_title(source) || is_heading(source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::testing::source;

    #[test]
    fn a_subject_of_the_documents_is_no_small_talk() {
        let titled = |title: &str, heading: &str| {
            let mut found = source(1, "x");
            found.title = title.to_owned();
            found.heading_path = vec![heading.to_owned()];
            [found]
        };
        let greeting = titled("hello", "Greetings");
        assert!(is_subject(SmallTalk::Greeting, "Hello?", &greeting));
        assert!(!is_subject(SmallTalk::Greeting, "Greetings!", &greeting));
        let asked = titled("FAQ", "What can I ask?");
        assert!(is_subject(SmallTalk::Collection, "what can i ask", &asked));
        assert!(!is_subject(SmallTalk::Collection, "what is here?", &asked));
        let thanked = titled("README", "Thanks");
        assert!(!is_subject(SmallTalk::Thanks, "Thanks", &thanked));
    }
}
