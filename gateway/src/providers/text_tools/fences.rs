//! Where blocks that may be calls begin and end in a text.

/// Labels of blocks that are meant as calls.
const MEANT: &[&str] = &[
    "tool_call",
    "tool_calls",
    "tool_code",
    "tool",
    "tool_use",
    "function_call",
    "function_calls",
    "function",
];
/// Labels of blocks that may be.
const MAYBE: &[&str] = &["", "json", "json5", "jsonc", "javascript", "js"];
const OPEN_TAG: &str = "<tool_call>";
const CLOSE_TAG: &str = "</tool_call>";
/// What ends a block.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// As many backticks.
    Fence(usize),
    Tag,
    /// The bracket that closes the first one.
    Bracket,
}

/// What a line begins with.
pub(super) enum Opening {
    Block {
        meant: bool,
        end: End,
        start: usize,
    },
    /// A fence of so many backticks and bytes.
    Code {
        ticks: usize,
        len: usize,
    },
    Text,
    /// More must come before that is known.
    Unknown,
}

/// What `held`, which begins a line, begins with.
pub(super) fn opening(held: &str) -> Opening {
    let line = held.trim_start_matches([' ', '\t']);
    let indent = held.len() - line.len();
    let bare = |wanted: &dyn Fn(char) -> bool| match line[1..].trim_start().chars().next() {
        None => Opening::Unknown,
        Some(next) if wanted(next) => Opening::Block {
            meant: false,
            end: End::Bracket,
            start: indent,
        },
        Some(_) => Opening::Text,
    };
    match line.chars().next() {
        None => Opening::Unknown,
        Some('`') => fence(held, indent),
        Some('{') => bare(&|next| matches!(next, '"' | '\'') || next.is_ascii_alphabetic()),
        Some('[') => bare(&|next| next == '{'),
        Some('<') if line.starts_with(OPEN_TAG) => Opening::Block {
            meant: true,
            end: End::Tag,
            start: indent + OPEN_TAG.len(),
        },
        Some('<') if OPEN_TAG.starts_with(line) => Opening::Unknown,
        Some(_) => Opening::Text,
    }
}

/// A line that begins with backticks after `indent` bytes.
fn fence(held: &str, indent: usize) -> Opening {
    let rest = held[indent..].trim_start_matches('`');
    let ticks = held.len() - indent - rest.len();
    if ticks < 3 {
        return match rest.is_empty() {
            true => Opening::Unknown,
            false => Opening::Text,
        };
    }
    let named = rest.trim_start_matches(' ');
    let is_label = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+' | '#' | '.');
    let content = named.trim_start_matches(is_label);
    if content.is_empty() {
        return Opening::Unknown;
    }
    let label = named[..named.len() - content.len()].to_ascii_lowercase();
    let (end, start) = (End::Fence(ticks), held.len() - content.len());
    if MEANT.contains(&label.as_str()) {
        return Opening::Block {
            meant: true,
            end,
            start,
        };
    }
    let first = content.trim_start().chars().next();
    match first {
        None if MAYBE.contains(&label.as_str()) => Opening::Unknown,
        Some('{' | '[') if MAYBE.contains(&label.as_str()) => Opening::Block {
            meant: false,
            end,
            start,
        },
        _ => Opening::Code {
            ticks,
            len: indent + ticks,
        },
    }
}

/// Where the content of a block ends, and where its end does; `None` if it is not there.
pub(super) fn closed(content: &str, end: End) -> Option<(usize, usize)> {
    match end {
        End::Tag => content.find(CLOSE_TAG).map(|at| (at, at + CLOSE_TAG.len())),
        End::Bracket => {
            let mut json = Json::default();
            let last = content.bytes().position(|byte| {
                json.follow(byte);
                json.depth == 0 && matches!(byte, b'}' | b']')
            })?;
            Some((last + 1, last + 1))
        }
        End::Fence(ticks) => {
            let fence = "`".repeat(ticks);
            let mut json = Json::default();
            let mut is_line = false;
            for (at, byte) in content.bytes().enumerate() {
                let may_close = is_line || (json.depth == 0 && !json.in_text);
                if byte == b'`' && may_close && content[at..].starts_with(&fence) {
                    return Some((at, at + ticks));
                }
                json.follow(byte);
                is_line = byte == b'\n' || (is_line && byte.is_ascii_whitespace());
            }
            None
        }
    }
}

/// How deep in JSON a text is.
#[derive(Default)]
struct Json {
    depth: usize,
    in_text: bool,
    escaped: bool,
}

impl Json {
    fn follow(&mut self, byte: u8) {
        match byte {
            // No string goes over a line; one that seems to was not a string.
            b'\n' => (self.in_text, self.escaped) = (false, false),
            _ if self.escaped => self.escaped = false,
            b'\\' if self.in_text => self.escaped = true,
            b'"' => self.in_text = !self.in_text,
            _ if self.in_text => {}
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
    }
}
