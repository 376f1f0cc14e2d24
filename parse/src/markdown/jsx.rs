//! Tags of components and expressions in braces, taken out of Markdown.

/// Attributes of components that readers see.
const VISIBLE: &[&str] = &["title", "label", "summary", "heading", "caption", "alt"];
/// Longest tag or expression, in bytes.
const MAX_NUM_BYTES: usize = 64 * 1024;
/// Longest code in backticks, in bytes.
const MAX_SPAN_NUM_BYTES: usize = 4096;
/// Deepest nesting of expressions with tags inside.
const MAX_DEPTH: usize = 4;
/// Tags and expressions that may turn out not to be closed before no more are
/// looked for: each costs a search.
const MAX_UNCLOSED: usize = 200;

/// Collects Markdown without JSX.
#[derive(Default)]
pub(super) struct Jsx {
    kept: String,
    /// Columns by which the content of each open component is indented, once its
    /// first line is read.
    open: Vec<Option<usize>>,
    unclosed: usize,
}

/// A tag.
struct Tag<'a> {
    /// Empty for fragments.
    name: &'a str,
    attributes: &'a str,
    is_end: bool,
    is_empty: bool,
    /// Bytes that it takes.
    length: usize,
}

impl Jsx {
    pub(super) fn finish(self) -> String {
        self.kept
    }

    /// A line of code, or the fence around it.
    pub(super) fn code_line(&mut self, line: &str) {
        let content = line.trim_start_matches([' ', '\t']);
        let own = line.len() - content.len();
        let cut = match self.open.last_mut() {
            Some(innermost) if !content.is_empty() => *innermost.get_or_insert(own),
            _ => 0,
        };
        self.kept.push_str(&line[own.min(cut)..]);
        self.kept.push('\n');
    }

    /// Markdown outside of code.
    pub(super) fn markdown(&mut self, text: &str) {
        self.text(text, 0);
    }

    fn text(&mut self, text: &str, depth: usize) {
        let mut rest = text;
        while !rest.is_empty() {
            if self.kept.is_empty() || self.kept.ends_with('\n') {
                rest = self.dedent(rest);
            }
            let stop = rest.find(['`', '{', '<', '\\', '\n']).unwrap_or(rest.len());
            self.kept.push_str(&rest[..stop]);
            rest = &rest[stop..];
            let step = self.sign(rest, depth);
            rest = &rest[step..];
        }
    }

    /// Reads the sign that `rest` begins with; returns how many bytes it takes.
    fn sign(&mut self, rest: &str, depth: usize) -> usize {
        let length = match rest.as_bytes().first() {
            None => return 0,
            Some(b'`') => code_span(rest),
            Some(b'\\') => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            Some(b'{') if self.unclosed < MAX_UNCLOSED => match braces(rest) {
                Some(length) => {
                    self.expression(&rest[1..length - 1], depth);
                    return length;
                }
                None => {
                    self.unclosed += 1;
                    1
                }
            },
            Some(b'<') if self.unclosed < MAX_UNCLOSED => match tag(rest) {
                Some(tag) => {
                    self.tag(&tag);
                    return tag.length;
                }
                None => 1,
            },
            Some(_) => 1,
        };
        self.kept.push_str(&rest[..length]);
        length
    }

    /// What an expression shows: a text in quotes, or the words of the tags in it.
    fn expression(&mut self, code: &str, depth: usize) {
        let code = code.trim();
        let quote = code.chars().next().unwrap_or_default();
        if matches!(quote, '"' | '\'' | '`')
            && let Some(inside) = code[1..].strip_suffix(quote)
            && !inside.contains(quote)
        {
            self.kept.push_str(inside);
        } else if !code.starts_with("/*")
            && depth < MAX_DEPTH
            && let (Some(start), Some(end)) = (code.find('<'), code.rfind('>'))
            && start < end
            && tag(&code[start..]).is_some()
        {
            self.text(&code[start..=end], depth + 1);
        }
    }

    fn tag(&mut self, tag: &Tag<'_>) {
        let is_component = tag.name.is_empty()
            || tag.name.starts_with(|c: char| c.is_ascii_uppercase())
            || tag.name.contains('.');
        // Boxes around Markdown: it is not read as such inside of HTML.
        let is_box = matches!(tag.name, "div" | "section" | "article" | "main" | "center");
        if !is_component && !is_box {
            self.html(tag);
            return;
        }
        if tag.is_end {
            self.open.pop();
        } else if !tag.is_empty {
            self.open.push(None);
        }
        if is_component && !tag.is_end {
            for words in visible(tag.attributes) {
                self.kept.push_str("\n\n");
                self.kept.push_str(words);
                self.kept.push_str("\n\n");
            }
        }
    }

    /// An element of HTML, without the expressions in its attributes.
    fn html(&mut self, tag: &Tag<'_>) {
        self.kept.push_str(if tag.is_end { "</" } else { "<" });
        self.kept.push_str(tag.name);
        let mut rest = tag.attributes;
        while let Some(at) = rest.find('{') {
            self.kept.push_str(&rest[..at]);
            rest = &rest[at..];
            let length = braces(rest).unwrap_or(rest.len());
            self.kept.push_str("\"\"");
            rest = &rest[length..];
        }
        self.kept.push_str(rest.trim_end());
        self.kept.push_str(if tag.is_empty { " />" } else { ">" });
    }

    /// A line without the indentation of the component that it is inside of,
    /// which would make code of it.
    fn dedent<'a>(&mut self, line: &'a str) -> &'a str {
        let content = line.trim_start_matches([' ', '\t']);
        if content.is_empty() || content.starts_with('\n') {
            return line;
        }
        let own = line.len() - content.len();
        let is_tag = content.starts_with('<');
        let Some(innermost) = self.open.last_mut() else {
            return if is_tag { content } else { line };
        };
        if is_tag && tag(content).is_some() {
            return content;
        }
        &line[own.min(*innermost.get_or_insert(own))..]
    }
}

/// The tag that `rest` begins with; `None` for addresses in angle brackets, and for
/// signs of comparison.
fn tag(rest: &str) -> Option<Tag<'_>> {
    let body = rest.strip_prefix('<')?;
    let (is_end, body) = match body.strip_prefix('/') {
        Some(body) => (true, body),
        None => (false, body),
    };
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ':');
    let name_length = body.find(|c| !is_part(c)).unwrap_or(body.len());
    let (name, after) = body.split_at(name_length);
    let begins_well = name.is_empty() || name.starts_with(|c: char| c.is_ascii_alphabetic());
    if !begins_well || name.ends_with(':') || !after.starts_with(['>', '/', ' ', '\n', '\t']) {
        return None;
    }
    if name.is_empty() && !after.starts_with('>') {
        return None;
    }
    let end = end_of_tag(after)?;
    let attributes = &after[..end];
    let is_empty = attributes.ends_with('/');
    Some(Tag {
        name,
        attributes: attributes.trim_end_matches('/'),
        is_end,
        is_empty,
        length: rest.len() - after.len() + end + 1,
    })
}

/// Where the `>` of a tag stands: not inside of quotes or braces.
fn end_of_tag(attributes: &str) -> Option<usize> {
    let mut at = 0;
    while let Some(&byte) = attributes.as_bytes().get(at) {
        match byte {
            _ if at > MAX_NUM_BYTES => return None,
            b'>' => return Some(at),
            b'"' | b'\'' => at += 1 + attributes[at + 1..].find(char::from(byte))?,
            b'{' => at += braces(&attributes[at..])? - 1,
            b'<' => return None,
            _ => {}
        }
        at += 1;
    }
    None
}

/// Length of the expression in braces that `rest` begins with.
fn braces(rest: &str) -> Option<usize> {
    let bytes = rest.as_bytes();
    let mut depth = 0usize;
    let mut at = 0;
    while at < bytes.len().min(MAX_NUM_BYTES) {
        match bytes[at] {
            b'{' => depth += 1,
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            b'/' if bytes.get(at + 1) == Some(&b'*') => {
                at += 2 + rest.get(at + 2..)?.find("*/")? + 1;
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// Length of the code in backticks that `rest` begins with, which ends in the
/// same paragraph; of the backticks alone, if they open none.
fn code_span(rest: &str) -> usize {
    let run = rest.len() - rest.trim_start_matches('`').len();
    let near = &rest[..rest.floor_char_boundary(run + MAX_SPAN_NUM_BYTES)];
    let paragraph = near.find("\n\n").unwrap_or(near.len());
    let (ticks, inside) = near[..paragraph.max(run)].split_at(run);
    inside.find(ticks).map_or(run, |at| run + at + run)
}

/// Texts of attributes that readers see.
fn visible(attributes: &str) -> impl Iterator<Item = &str> {
    VISIBLE.iter().filter_map(move |name| {
        let key = format!("{name}=");
        let at = attributes
            .match_indices(&key)
            .find(|(at, _)| attributes[..*at].ends_with(|c: char| c.is_whitespace()))?;
        let value = &attributes[at.0 + key.len()..];
        let value = value.strip_prefix('{').unwrap_or(value);
        let quote = value
            .chars()
            .next()
            .filter(|c| matches!(c, '"' | '\'' | '`'))?;
        let words = value[1..].split(quote).next()?.trim();
        (!words.is_empty()).then_some(words)
    })
}
