//! Tags of site generators in Markdown: Hugo's shortcodes (`{{< note >}}`, `{{% tab %}}`) and
//! Liquid's tags (`{% hint style="info" %}`), as Jekyll, GitBook and others have them.

use std::borrow::Cow;

use super::blocks::label_of;

/// How tags begin and end. The longer signs stand first.
const SIGNS: [(&str, &str); 3] = [("{{<", ">}}"), ("{{%", "%}}"), ("{%", "%}")];

/// What such tags begin with.
pub(super) const TRACES: [&str; 2] = ["{{<", "{%"];

/// What names a part that a tag opens.
const TITLES: [&str; 5] = ["title", "header", "heading", "name", "summary"];
/// What a tag shows where it stands.
const WORDS: [&str; 5] = ["text", "caption", "alt", "url", "link"];
/// What says which kind of note a tag opens.
const KINDS: [&str; 3] = ["style", "type", "kind"];

/// What a line that holds nothing but a tag is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// The first line of code in this language.
    Code(&'a str),
    /// A note, a tab or a foldable part begins: its label, and its title.
    Part(String, &'a str),
    /// These words.
    Words(&'a str),
    /// Nothing that is shown, or the end of a part.
    Nothing,
}

/// What stands between the signs.
struct Tag<'a> {
    name: &'a str,
    is_end: bool,
    arguments: &'a str,
}

/// The tag at the start of `text`, and what follows it.
fn tag(text: &str) -> Option<(Tag<'_>, &str)> {
    let (start, end) = SIGNS.iter().find(|(start, _)| text.starts_with(start))?;
    let (inner, rest) = text[start.len()..].split_once(end)?;
    let inner = inner.trim_matches(|c: char| c == '-' || c.is_whitespace());
    let (is_slashed, inner) = match inner.strip_prefix('/') {
        Some(inner) => (true, inner.trim_start()),
        None => (false, inner),
    };
    let length = inner.find(char::is_whitespace).unwrap_or(inner.len());
    let (name, arguments) = inner.split_at(length);
    let (is_end, name) = match name.strip_prefix("end") {
        Some(name) if *start == "{%" => (true, name),
        _ => (is_slashed, name),
    };
    let is_name = name.starts_with(char::is_alphabetic);
    let tag = Tag {
        name,
        is_end,
        arguments,
    };
    (is_name || is_end).then_some((tag, rest))
}

impl<'a> Tag<'a> {
    /// The value of the first of `names` that has one.
    fn value(&self, names: &[&str]) -> Option<&'a str> {
        names.iter().find_map(|name| {
            let mut parts = self.arguments.match_indices(name);
            parts.find_map(|(at, _)| {
                let before = self.arguments[..at].chars().next_back();
                let value = self.arguments[at + name.len()..].trim_start();
                let value = value.strip_prefix('=')?.trim_start();
                let is_whole = before.is_none_or(char::is_whitespace);
                is_whole.then(|| unquoted(value)).filter(|v| !v.is_empty())
            })
        })
    }

    /// The first argument without a name, if it stands in quotes.
    fn quoted(&self) -> Option<&'a str> {
        let first = self.arguments.trim_start();
        first.starts_with('"').then(|| unquoted(first))
    }

    fn line(&self) -> Line<'a> {
        if self.is_end {
            return Line::Nothing;
        }
        if matches!(self.name, "highlight" | "code-block") {
            let language = self.arguments.split_whitespace().next().unwrap_or("");
            let is_language = |c: char| c.is_alphanumeric() || matches!(c, '-' | '+' | '#');
            let language = Some(language).filter(|name| name.chars().all(is_language));
            return Line::Code(language.unwrap_or(""));
        }
        let kind = self.value(&KINDS).and_then(label_of);
        let label = kind.or_else(|| label_of(self.name));
        let may_be_titled = label.is_some() || matches!(self.name, "tab" | "expand");
        let title = self
            .value(&TITLES)
            .or_else(|| self.quoted().filter(|_| may_be_titled));
        match (label, title, self.value(&WORDS)) {
            (None, None, None) => Line::Nothing,
            (None, None, Some(words)) => Line::Words(words),
            (label, title, _) => Line::Part(label.unwrap_or_default(), title.unwrap_or_default()),
        }
    }
}

/// The value at the start of `text`, which may stand in quotes.
fn unquoted(text: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(text) = text.strip_prefix(quote) {
            return text.split(quote).next().unwrap_or(text);
        }
    }
    text.split_whitespace().next().unwrap_or("")
}

/// What `line` is, if it holds one tag and nothing else.
pub(super) fn whole_line(line: &str) -> Option<Line<'_>> {
    let (tag, rest) = tag(line.trim())?;
    rest.is_empty().then(|| tag.line())
}

/// Whether `line` ends the code that [`Line::Code`] began.
pub(super) fn ends_code(line: &str) -> bool {
    tag(line.trim()).is_some_and(|(tag, _)| tag.is_end)
}

/// `line` with the words that its tags show. What stands in backticks is code.
pub(super) fn shown(line: &str) -> Cow<'_, str> {
    if !TRACES.iter().any(|trace| line.contains(trace)) {
        return Cow::Borrowed(line);
    }
    let mut kept = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find(['`', '{']) {
        kept.push_str(&rest[..at]);
        rest = &rest[at..];
        if rest.starts_with('`') {
            let length = super::remarks::code_span(rest);
            kept.push_str(&rest[..length]);
            rest = &rest[length..];
        } else if let Some((tag, behind)) = tag(rest) {
            let names: [&[&str]; 2] = [&WORDS[..3], &TITLES];
            let words = names.iter().find_map(|names| tag.value(names));
            kept.push_str(words.filter(|_| !tag.is_end).unwrap_or(""));
            rest = behind;
        } else if SIGNS.iter().any(|(start, _)| rest.starts_with(start)) {
            // It does not end on this line, and nothing behind it does.
            break;
        } else {
            kept.push('{');
            rest = &rest[1..];
        }
    }
    kept.push_str(rest);
    Cow::Owned(kept)
}

#[cfg(test)]
mod tests {
    use crate::testing::read;

    #[test]
    fn tags_of_site_generators() {
        for (markdown, text) in [
            (
                "{{< note >}}\nBack it up.\n{{< /note >}}\nNext.",
                "Note: Back it up.\n\nNext.",
            ),
            (
                "{{% alert title=\"Careful\" color=\"red\" %}}\nHot.\n{{% /alert %}}",
                "Careful\n\nHot.",
            ),
            (
                "{% hint style=\"danger\" %}\nHot.\n{% endhint %}",
                "Danger: Hot.",
            ),
            (
                "{{< tab \"Linux\" >}}\nUse apt.\n{{< /tab >}}",
                "Linux\n\nUse apt.",
            ),
            (
                "A {{< glossary_tooltip text=\"node\" term_id=\"node\" >}} runs pods.",
                "A node runs pods.",
            ),
            (
                "{{< figure src=\"a.png\" caption=\"The parts\" >}}",
                "The parts",
            ),
            (
                "{% embed url=\"https://a.example/x\" %}",
                "https://a.example/x",
            ),
            (
                "Before\n\n{% include nav.html %}\n\nafter",
                "Before\n\nafter",
            ),
            ("See [it]({{< ref \"it.md\" >}}).", "See it."),
            (
                "Write `{{< note >}}` and `{% raw %}`.",
                "Write {{< note >}} and {% raw %}.",
            ),
            ("```\n{{< note >}}\n```", "{{< note >}}"),
            (
                "{% highlight sh %}\nls # a\n{% endhighlight %}\nDone.",
                "ls # a\n\nDone.",
            ),
            ("{{< not closed\n{% nor this", "{{< not closed {% nor this"),
            (
                "A {{ name }} stays, {%raw%}so{%endraw%} does this.",
                "A {{ name }} stays, so does this.",
            ),
        ] {
            assert_eq!(read("a.md", markdown).text, text, "{markdown}");
        }
    }
}
