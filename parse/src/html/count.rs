//! The numbers in front of the items of a list.

use html5ever::local_name;

use super::line::View;
use crate::numerals::Numerals;

/// How a list counts, and how far it has come.
pub(super) struct Count {
    numerals: Numerals,
    next: i64,
    /// 1, or -1 for a list that counts down.
    step: i64,
}

impl Count {
    /// How the list at `index` counts.
    pub(super) fn of(view: &View<'_>, index: usize) -> Self {
        let node = &view.tree.nodes[index];
        let start = node.attribute(&local_name!("start"));
        let start = start.and_then(|start| start.trim().parse().ok());
        let is_item = |&child: &usize| {
            let is_shown = !view.selection.skips(child);
            is_shown && view.tree.nodes[child].name() == Some(&local_name!("li"))
        };
        let is_reversed = node.attribute_named("reversed").is_some();
        let first = match is_reversed {
            true => view.tree.children(index).filter(is_item).count() as i64,
            false => 1,
        };
        let attribute = |name| node.attribute(&name).unwrap_or("");
        let style = attribute(local_name!("style"));
        let style = style.split(';').find_map(|declaration| {
            let (property, value) = declaration.split_once(':')?;
            let is_kind = matches!(property.trim(), "list-style-type" | "list-style");
            is_kind.then(|| numerals(value.trim()))?
        });
        let classes = attribute(local_name!("class"));
        let class = classes.split_ascii_whitespace().find_map(numerals);
        Self {
            numerals: style
                .or_else(|| numerals(attribute(local_name!("type")).trim()))
                .or(class)
                .unwrap_or(Numerals::Decimal(1)),
            next: start.unwrap_or(first),
            step: if is_reversed { -1 } else { 1 },
        }
    }

    /// What stands in front of the next item, whose number may be given.
    pub(super) fn next(&mut self, value: Option<&str>) -> String {
        if let Some(value) = value.and_then(|value| value.trim().parse().ok()) {
            self.next = value;
        }
        let number = match u64::try_from(self.next) {
            Ok(number) => self.numerals.write(number),
            Err(_) => self.next.to_string(),
        };
        self.next = self.next.saturating_add(self.step);
        format!("{number}. ")
    }
}

/// The kind of number that a `type`, a style or a class names.
fn numerals(name: &str) -> Option<Numerals> {
    match name {
        "a" => Some(Numerals::LowerLetters),
        "A" => Some(Numerals::UpperLetters),
        "i" => Some(Numerals::LowerRoman),
        "I" => Some(Numerals::UpperRoman),
        "1" => Some(Numerals::Decimal(1)),
        name => Numerals::named(name),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::read;

    #[test]
    fn items_have_the_numbers_that_a_browser_shows() {
        for (html, text) in [
            ("<ol type=a><li>x<li>y</ol>", "a. x\nb. y"),
            ("<ol type=I start=4><li>x</ol>", "IV. x"),
            ("<ol class='loweralpha simple'><li>x</ol>", "a. x"),
            (
                "<ol style='list-style-type: lower-roman'><li>x<li>y</ol>",
                "i. x\nii. y",
            ),
            ("<ol reversed><li>x<li>y</ol>", "2. x\n1. y"),
            ("<ol><li>x<li value=7>y<li>z</ol>", "1. x\n7. y\n8. z"),
        ] {
            assert_eq!(read("a.html", html).text, text, "{html}");
        }
    }
}
