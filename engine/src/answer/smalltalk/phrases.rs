//! Which messages are small talk: only complete messages from closed lists.

/// The kind of a message that is not a question about the documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SmallTalk {
    Greeting,
    Thanks,
    /// What is here, and what can be asked?
    Collection,
}

/// Maximum length of small talk, in characters.
const MAX_CHARS: usize = 64;

/// Phrases, separated by slashes.
struct Phrases(&'static str);

impl Phrases {
    fn iter(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.0.split(" / ")
    }

    fn has(&self, said: &str) -> bool {
        self.iter().any(|phrase| phrase == said)
    }
}

/// English, German, French, Spanish; in lower case, without final punctuation.
const GREETINGS: Phrases = Phrases(
    "hello / hello there / hello again / hello cairn / hello everyone / hello all / hello \
     how are you / hi / hi there / hi again / hi cairn / hi everyone / hi all / hi how \
     are you / hey / hey there / hey cairn / hiya / howdy / greetings / good morning / \
     good afternoon / good evening / good day / how are you / how are you doing / hallo / \
     hallo zusammen / moin / servus / grüß gott / grüezi / guten morgen / guten tag / \
     guten abend / bonjour / bonsoir / salut / coucou / hola / buenas / buenos días / \
     buenos dias / buenas tardes / buenas noches",
);

const THANKS: Phrases = Phrases(
    "thanks / thanks a lot / thanks so much / thanks very much / thanks again / thanks \
     for the help / thanks for your help / thanks that helps / thanks that helped / that \
     helps thanks / that helped thanks / many thanks / ok thanks / okay thanks / great \
     thanks / perfect thanks / cool thanks / thank you / thank you so much / thank you \
     very much / thank you for the help / thank you for your help / ok thank you / okay \
     thank you / great thank you / perfect thank you / thx / danke / danke schön / danke \
     sehr / vielen dank / besten dank / herzlichen dank / merci / merci beaucoup / merci \
     bien / gracias / muchas gracias / mil gracias",
);

/// Nothing that could also be asked about a document: `how many files are there` may be about
/// chess, `what is in the collection` about a museum.
const COLLECTION: Phrases = Phrases(
    "what is here / what's here / whats here / what is in here / what's in here / what is \
     in this collection / what's in this collection / what does this collection contain / \
     what documents are here / what documents are there / what documents are in here / \
     what documents are in this collection / what documents do you have / which documents \
     are here / which documents are there / which documents are in here / which documents \
     are in this collection / which documents do you have / how many documents are here / \
     how many documents are there / how many documents are in here / how many documents \
     are in this collection / how many documents are indexed / how many documents do you \
     have / how many documents does this collection have / how many documents does this \
     collection contain / what can i ask / what can i ask you / what can i ask you about \
     / what can i ask here / what can i ask about / what can i ask about here / what \
     should i ask / what questions can i ask / what questions can i ask here / which \
     questions can i ask / what questions can you answer / which questions can you answer \
     / what can you answer / what can you tell me",
);

/// What the message is, if it is not about the documents.
pub(super) fn recognise(message: &str) -> Option<SmallTalk> {
    let said = said(message)?;
    let said = said.as_str();
    if GREETINGS.has(said) {
        return Some(SmallTalk::Greeting);
    }
    if THANKS.has(said) {
        return Some(SmallTalk::Thanks);
    }
    // `Hello, what can I ask?`
    let asked = GREETINGS
        .iter()
        .filter_map(|greeting| said.strip_prefix(greeting)?.strip_prefix(' '));
    std::iter::once(said)
        .chain(asked)
        .any(|asked| COLLECTION.has(asked))
        .then_some(SmallTalk::Collection)
}

/// The message in lower case, without punctuation at the ends of words and sentences; `None` if it
/// is too long. Everything else stays, so that `hello.c` is not a greeting.
fn said(message: &str) -> Option<String> {
    if message.chars().nth(MAX_CHARS).is_some() {
        return None;
    }
    let lower = message.to_lowercase().replace('’', "'");
    let ends = [
        '.', ',', '!', '?', '…', '👋', '🙂', '😊', '🙏', '👍', '\u{fe0f}',
    ];
    let words: Vec<&str> = lower
        .split_whitespace()
        .map(|word| word.trim_start_matches(['¡', '¿']).trim_end_matches(ends))
        .filter(|word| !word.is_empty())
        .collect();
    Some(words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_talk_is_a_whole_message() {
        use SmallTalk::{Collection, Greeting, Thanks};
        for (message, expected) in [
            ("hello", Greeting),
            ("Hello!", Greeting),
            ("  hi there 👋 ", Greeting),
            ("Hey, Cairn!!", Greeting),
            ("Good morning.", Greeting),
            ("Guten Tag!", Greeting),
            ("Bonjour", Greeting),
            ("¡Hola!", Greeting),
            ("¡Buenos días!", Greeting),
            ("Hi, how are you?", Greeting),
            ("thanks!", Thanks),
            ("OK, thanks.", Thanks),
            ("Thank you very much!", Thanks),
            ("Thanks, that helps", Thanks),
            ("Vielen Dank!", Thanks),
            ("Merci beaucoup", Thanks),
            ("muchas gracias", Thanks),
            ("What is here?", Collection),
            ("What’s in here?", Collection),
            ("what can I ask", Collection),
            ("Hello, what can I ask you about?", Collection),
            ("How many documents are there?", Collection),
            ("Which documents do you have?", Collection),
        ] {
            assert_eq!(recognise(message), Some(expected), "{message}");
        }
    }

    #[test]
    fn whatever_asks_something_stays_a_question() {
        for message in [
            "",
            "?",
            "hello world",
            "hello.c",
            "`hello`",
            "hello -h",
            "HELLO packet",
            "what is hello?",
            "hello, how do I install it?",
            "hi thanks for nothing, why does it crash?",
            "HI-6 error",
            "thanks file",
            "thanks to whom?",
            "thank you page",
            "no thanks",
            "how do I say thank you?",
            "what is here-doc?",
            "what is here document?",
            "what is where?",
            "what is in the collection?",
            "what is in it?",
            "what can I ask for?",
            "what can I ask the support for?",
            "what can I ask about backups?",
            "how many documents?",
            "how many documents are there in a batch?",
            "how many documents can I upload per request?",
            "how many files are there?",
            "how many documents are indexed per second?",
            "which documents do you have to sign?",
            "which documents are there for operators?",
            "documents",
            "help",
            "morning",
            "hello\u{0}",
            "hello_there",
        ] {
            assert_eq!(recognise(message), None, "{message}");
        }
        assert_eq!(recognise(&"hello ".repeat(1000)), None);
    }
}
