//! Remarks (`%%…%%`) and marked words (`==…==`) of note-taking programs.

/// What is open from one line to the next.
#[derive(Default)]
pub(super) struct Remarks {
    /// Whether a remark goes over several lines.
    open: bool,
    /// Whether no remark is closed below.
    exhausted: bool,
}

impl Remarks {
    /// A line without remarks and without the signs around marked words. `below`
    /// is the text after it.
    pub(super) fn take(&mut self, line: &str, below: &str) -> String {
        let mut line = line;
        if self.open {
            let Some((_, rest)) = line.split_once("%%") else {
                return String::new();
            };
            self.open = false;
            line = rest;
        }
        let mut kept = String::with_capacity(line.len());
        while let Some(at) = line.find(['`', '%', '=']) {
            kept.push_str(&line[..at]);
            let rest = &line[at..];
            let step = self.sign(rest, &mut kept, below);
            line = &rest[step..];
        }
        kept.push_str(line);
        kept
    }

    /// Writes what is kept of the sign that `rest` begins with; returns how many
    /// bytes that takes.
    fn sign(&mut self, rest: &str, kept: &mut String, below: &str) -> usize {
        if rest.starts_with('`') {
            let length = code_span(rest);
            kept.push_str(&rest[..length]);
            return length;
        }
        let is_apart = !kept.ends_with(|c: char| c.is_alphanumeric() || c == '%' || c == '=');
        if let Some(remark) = rest.strip_prefix("%%")
            && is_apart
        {
            if let Some(end) = remark.find("%%") {
                let length = 2 + end + 2;
                // One space is enough where two stood around it.
                let is_between = kept.ends_with(' ') && rest[length..].starts_with(' ');
                return length + usize::from(is_between);
            }
            if kept.trim().is_empty() && !self.exhausted {
                self.exhausted = !below.contains("%%");
                self.open = !self.exhausted;
                if self.open {
                    return rest.len();
                }
            }
        }
        if let Some(length) = marked(rest).filter(|_| is_apart) {
            kept.push_str(&rest[2..length - 2]);
            return length;
        }
        // The whole run, so that a part of it does not begin another sign.
        let sign = rest.chars().next().unwrap_or_default();
        let run = rest.len() - rest.trim_start_matches(sign).len();
        kept.push_str(&rest[..run]);
        run
    }
}

/// Length of the code in backticks that `rest` begins with; of the backticks
/// alone, if they open none.
pub(super) fn code_span(rest: &str) -> usize {
    let run = rest.len() - rest.trim_start_matches('`').len();
    let (ticks, inside) = rest.split_at(run);
    let mut from = 0;
    while let Some(found) = inside[from..].find(ticks) {
        let at = from + found;
        let length = inside[at..].len() - inside[at..].trim_start_matches('`').len();
        if length == run {
            return run + at + run;
        }
        from = at + length;
    }
    run
}

/// Length of the marked words that `rest` begins with, signs included.
fn marked(rest: &str) -> Option<usize> {
    let inside = rest.strip_prefix("==")?;
    if inside.starts_with(|c: char| c.is_whitespace() || c == '=') {
        return None;
    }
    let end = inside.find("==")?;
    let is_whole = end > 0
        && !inside[..end].ends_with(char::is_whitespace)
        && !inside[end + 2..].starts_with(|c: char| c.is_alphanumeric() || c == '=');
    is_whole.then_some(2 + end + 2)
}
