//! Fields: places where Word computes text, such as links and page numbers.

use crate::ooxml;

/// Deepest fields inside fields; deeper ones are text.
const MAX_DEPTH: usize = 50;
/// Longest instruction that is kept, in bytes.
const MAX_INSTRUCTION: usize = 8192;

#[derive(Debug, Default)]
struct Field {
    instruction: String,
    in_result: bool,
    kind: Kind,
    /// Where its result begins in the paragraph, and how deep that is nested.
    start: usize,
    depth: usize,
    /// What a control of an old form shows.
    control: Option<Control>,
}

#[derive(Debug, Default)]
enum Kind {
    #[default]
    Text,
    PageNumber,
    Link(String),
}

#[derive(Debug)]
enum Control {
    Box(bool),
    Choice(usize, Vec<String>),
}

/// What is to be done where a field ends.
pub(super) enum Ended {
    Nothing,
    PageNumber,
    /// The result from here on leads to the address.
    Link(usize, String),
    /// The value of a control.
    Value(String),
}

/// The open fields, innermost last.
#[derive(Debug, Default)]
pub(super) struct Fields(Vec<Field>);

impl Fields {
    /// Whether text here is an instruction, or a page number.
    pub(super) fn is_silent(&self) -> bool {
        self.0
            .iter()
            .any(|field| !field.in_result || matches!(field.kind, Kind::PageNumber))
    }

    pub(super) fn begin(&mut self, depth: usize) {
        if self.0.len() < MAX_DEPTH {
            self.0.push(Field {
                depth,
                ..Field::default()
            });
        }
    }

    pub(super) fn instruct(&mut self, text: &str) {
        let open = self.0.last_mut().filter(|field| !field.in_result);
        if let Some(field) = open
            && field.instruction.len() + text.len() <= MAX_INSTRUCTION
        {
            field.instruction.push_str(text);
        }
    }

    /// The result begins, at this place of the paragraph.
    pub(super) fn separate(&mut self, start: usize) {
        if let Some(field) = self.0.last_mut() {
            field.in_result = true;
            field.start = start;
            field.kind = kind(&field.instruction);
        }
    }

    /// What an element says about a check box or list of an old form.
    pub(super) fn control(&mut self, element: &str, value: Option<String>) {
        let Some(field) = self.0.last_mut() else {
            return;
        };
        match (element, &mut field.control) {
            ("checkBox", _) => field.control = Some(Control::Box(false)),
            ("ddList", _) => field.control = Some(Control::Choice(0, Vec::new())),
            ("checked" | "default", Some(Control::Box(ticked))) => {
                *ticked = ooxml::is_on(value.as_deref());
            }
            ("result" | "default", Some(Control::Choice(index, _))) => {
                *index = value.and_then(|value| value.parse().ok()).unwrap_or(0);
            }
            ("listEntry", Some(Control::Choice(_, entries))) => entries.extend(value),
            _ => {}
        }
    }

    pub(super) fn end(&mut self) -> Ended {
        let Some(field) = self.0.pop() else {
            return Ended::Nothing;
        };
        let kind = if field.in_result {
            field.kind
        } else {
            kind(&field.instruction)
        };
        match (kind, field.control) {
            (_, Some(Control::Box(true))) => Ended::Value("☒".into()),
            (_, Some(Control::Box(false))) => Ended::Value("☐".into()),
            (_, Some(Control::Choice(index, entries))) => {
                Ended::Value(entries.get(index).cloned().unwrap_or_default())
            }
            (Kind::PageNumber, _) => Ended::PageNumber,
            (Kind::Link(address), _) if field.in_result => Ended::Link(field.start, address),
            _ => Ended::Nothing,
        }
    }

    /// A paragraph ends at this depth: page numbers do not reach beyond it, and
    /// links go on at the start of the next. Returns the links here.
    pub(super) fn end_paragraph(&mut self, depth: usize) -> Vec<(usize, String)> {
        let mut links = Vec::new();
        self.0
            .retain(|field| field.depth != depth || !matches!(field.kind, Kind::PageNumber));
        for field in self.0.iter_mut().filter(|field| field.depth == depth) {
            if let Kind::Link(address) = &field.kind {
                links.push((field.start, address.clone()));
                field.start = 0;
            }
        }
        links
    }
}

fn kind(instruction: &str) -> Kind {
    let words = words(instruction);
    let name = words.first().map(|name| name.to_ascii_uppercase());
    match name.as_deref() {
        Some("PAGE" | "NUMPAGES" | "SECTIONPAGES") => Kind::PageNumber,
        Some("HYPERLINK") => {
            let mut address = String::new();
            let mut words = words.into_iter().skip(1);
            while let Some(word) = words.next() {
                match word.as_str() {
                    "\\l" => {
                        let anchor = words.next().unwrap_or_default();
                        if !address.is_empty() {
                            address = format!("{address}#{anchor}");
                        }
                    }
                    "\\o" | "\\t" => {
                        words.next();
                    }
                    word if word.starts_with('\\') => {}
                    word if address.is_empty() => address = word.to_owned(),
                    _ => {}
                }
            }
            Kind::Link(address)
        }
        _ => Kind::Text,
    }
}

/// The words of an instruction; quotes hold words together.
fn words(instruction: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = instruction.trim_start();
    while !rest.is_empty() {
        let (word, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len())),
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_name_addresses() {
        for (instruction, expected) in [
            (
                r#" HYPERLINK "https://a.example/x y" \o "tip" "#,
                Some("https://a.example/x y"),
            ),
            (
                r#"hyperlink https://a.example \l "part" \t "_blank""#,
                Some("https://a.example#part"),
            ),
            (r#"HYPERLINK \l "part""#, Some("")),
            ("REF x", None),
        ] {
            let found = match kind(instruction) {
                Kind::Link(address) => Some(address),
                _ => None,
            };
            assert_eq!(found.as_deref(), expected, "{instruction}");
        }
        assert!(matches!(kind(r" PAGE \* MERGEFORMAT "), Kind::PageNumber));
    }
}
