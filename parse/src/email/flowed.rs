//! Text that was wrapped for sending (RFC 3676, `format=flowed`).

use mail_parser::{MessagePart, MimeHeaders};

/// How a part was wrapped.
pub(super) struct Flow {
    /// Whether the space at the end of a wrapped line belongs to the wrapping.
    delete_space: bool,
}

/// How `part` was wrapped; `None` if its lines are what they are.
pub(super) fn of(part: &MessagePart<'_>) -> Option<Flow> {
    let kind = part.content_type()?;
    let says = |name: &str, value: &str| {
        kind.attribute(name)
            .is_some_and(|said| said.trim().eq_ignore_ascii_case(value))
    };
    says("format", "flowed").then(|| Flow {
        delete_space: says("delsp", "yes"),
    })
}

impl Flow {
    /// `text` with its paragraphs on one line each.
    pub(super) fn unwrap(&self, text: &str) -> String {
        let mut unwrapped = String::with_capacity(text.len());
        // Quote depth of the line above, if it goes on.
        let mut open: Option<usize> = None;
        for (number, line) in text.lines().enumerate() {
            let depth = line.bytes().take_while(|&b| b == b'>').count();
            let content = &line[depth..];
            // A space that keeps `From` or `>` from meaning something.
            let content = content.strip_prefix(' ').unwrap_or(content);
            let is_signature = content == "-- ";
            if open != Some(depth) || is_signature {
                if number > 0 {
                    unwrapped.push('\n');
                }
                if depth > 0 {
                    unwrapped.extend(std::iter::repeat_n('>', depth));
                    unwrapped.push(' ');
                }
            }
            let goes_on = content.ends_with(' ') && !is_signature;
            let delete = goes_on && self.delete_space;
            unwrapped.push_str(&content[..content.len() - usize::from(delete)]);
            open = goes_on.then_some(depth);
        }
        unwrapped
    }
}
