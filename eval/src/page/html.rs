//! HTML that is put together from parts which are escaped on their way in.

use std::fmt::Write as _;

/// Markup. Text goes in through [`Html::text`] alone.
#[derive(Default)]
pub(super) struct Html(String);

impl Html {
    /// Markup of our own.
    pub(super) fn raw(&mut self, markup: &str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Text of whoever.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        self.0.push_str(&escape(text));
        self
    }

    /// `<tag>text</tag>`; `tag` may carry attributes.
    pub(super) fn element(&mut self, tag: &str, text: &str) -> &mut Self {
        let name = tag.split(' ').next().unwrap_or(tag);
        self.raw(&format!("<{tag}>")).text(text);
        self.raw(&format!("</{name}>"))
    }

    /// A table; the first row is its head. Cells are markup.
    pub(super) fn table(&mut self, rows: &[Vec<String>]) {
        self.raw("<div class=\"wide\"><table>\n");
        for (at, row) in rows.iter().enumerate() {
            let cell = if at == 0 { "th" } else { "td" };
            self.raw(match at {
                0 => "<thead><tr>",
                1 => "<tbody>\n<tr>",
                _ => "<tr>",
            });
            for text in row {
                self.raw(&format!("<{cell}>{text}</{cell}>"));
            }
            self.raw("</tr>\n");
            if at == 0 {
                self.raw("</thead>\n");
            }
        }
        self.raw(if rows.len() > 1 {
            "</tbody></table></div>\n"
        } else {
            "</table></div>\n"
        });
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// `text` as it stands in an element or in a quoted attribute.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // No page shows them, and XML forbids them.
            c if c.is_control() && c != '\n' && c != '\t' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// A number with `digits` behind the point.
pub(super) fn number(value: f64, digits: usize) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    write!(text, "{value:.digits$}").ok();
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_out_of_its_place() {
        assert_eq!(
            escape("<a href=\"x\">&'</a>\u{1}"),
            "&lt;a href=&quot;x&quot;&gt;&amp;&#39;&lt;/a&gt;\u{fffd}"
        );
        let mut html = Html::default();
        html.element("p class=\"x\"", "<b>");
        assert_eq!(html.as_str(), "<p class=\"x\">&lt;b&gt;</p>");
    }
}
