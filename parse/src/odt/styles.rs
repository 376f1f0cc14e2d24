//! List styles, hidden text, and what paragraph styles stand for.

use std::collections::HashMap;

use crate::Result;
use crate::numerals::Numerals;
use crate::xml::{self, Attributes, Xml};

/// Levels of a list.
pub(super) const LEVELS: usize = 10;
/// Longest text around a number, in characters.
const MAX_AFFIX_CHARS: usize = 30;
/// Longest chain of styles with parents.
const MAX_CHAIN: usize = 12;

/// How one level of a list is numbered.
#[derive(Clone, Debug, Default)]
pub(super) struct Level {
    pub(super) numerals: Numerals,
    pub(super) prefix: String,
    pub(super) suffix: String,
    /// How many levels a number shows, its own included.
    pub(super) shown: usize,
    pub(super) start: u64,
}

/// The levels of a list style, outermost first.
pub(super) type Levels = [Level; LEVELS];

#[derive(Debug, Default)]
struct Style {
    parent: Option<String>,
    list: Option<String>,
    hidden: Option<bool>,
}

/// The styles of a document, those made on the way included.
#[derive(Debug, Default)]
pub(super) struct Styles {
    styles: HashMap<String, Style>,
    lists: HashMap<String, Levels>,
    /// How headings are numbered.
    pub(super) outline: Levels,
}

impl Styles {
    /// Adds the styles of `content.xml` or `styles.xml`.
    pub(super) fn read(&mut self, text: &str) -> Result<()> {
        let mut style: Option<String> = None;
        let mut list: Option<(Option<String>, Levels)> = None;
        xml::read(text, "ODT", |event| {
            match event {
                Xml::Start("style", attributes) => {
                    let name = attributes.get("name").unwrap_or_default();
                    let made = Style {
                        parent: attributes.get("parent-style-name"),
                        list: attributes.get("list-style-name"),
                        hidden: None,
                    };
                    self.styles.insert(name.clone(), made);
                    style = Some(name);
                }
                Xml::End("style") => style = None,
                Xml::Start("text-properties", attributes) => {
                    let style = style.as_ref().and_then(|name| self.styles.get_mut(name));
                    if let (Some(style), Some(display)) = (style, attributes.get("display")) {
                        style.hidden = Some(display == "none");
                    }
                }
                Xml::Start("list-style", attributes) => {
                    list = Some((attributes.get("name"), Levels::default()));
                }
                Xml::Start("outline-style", _) => list = Some((None, Levels::default())),
                Xml::End("list-style" | "outline-style") => match list.take() {
                    Some((Some(name), levels)) => {
                        self.lists.insert(name, levels);
                    }
                    Some((None, levels)) => self.outline = levels,
                    None => {}
                },
                Xml::Start(name, attributes) if name.contains("-level-style") => {
                    if let Some((_, levels)) = &mut list {
                        level(levels, name, &attributes);
                    }
                }
                _ => {}
            }
            Ok(())
        })
    }

    pub(super) fn list(&self, name: &str) -> Option<&Levels> {
        self.lists.get(name)
    }

    /// The list of a paragraph style.
    pub(super) fn list_of(&self, style: &str) -> Option<&str> {
        let mut chain = self.chain(style);
        let list = chain.find_map(|style| style.list.as_deref())?;
        Some(list).filter(|list| !list.is_empty())
    }

    pub(super) fn is_hidden(&self, style: &str) -> bool {
        let mut chain = self.chain(style);
        chain.find_map(|style| style.hidden).unwrap_or(false)
    }

    /// Whether a paragraph style is that of titles.
    pub(super) fn is_title(&self, style: &str) -> bool {
        style == "Title"
            || self
                .chain(style)
                .any(|style| style.parent.as_deref() == Some("Title"))
    }

    /// A style and those that it is based on.
    fn chain(&self, style: &str) -> impl Iterator<Item = &Style> + use<'_> {
        std::iter::successors(self.styles.get(style), |style| {
            self.styles.get(style.parent.as_deref()?)
        })
        .take(MAX_CHAIN)
    }
}

fn level(levels: &mut Levels, name: &str, attributes: &Attributes<'_>) {
    let number = |name: &str| attributes.get(name).and_then(|v| v.parse::<usize>().ok());
    let Some(slot) = number("level").and_then(|level| levels.get_mut(level.checked_sub(1)?)) else {
        return;
    };
    let affix = |name: &str| -> String {
        let affix = attributes.get(name).unwrap_or_default();
        affix.chars().take(MAX_AFFIX_CHARS).collect()
    };
    *slot = Level {
        numerals: match name {
            "list-level-style-bullet" | "list-level-style-image" => Numerals::Bullet,
            _ => numerals(&attributes.get("num-format").unwrap_or_default()),
        },
        prefix: affix("num-prefix"),
        suffix: affix("num-suffix"),
        shown: number("display-levels").unwrap_or(1),
        start: number("start-value").map_or(1, |start| start as u64),
    };
}

/// What the first number of a format stands for.
pub(super) fn numerals(format: &str) -> Numerals {
    match format {
        "" => Numerals::None,
        "a" => Numerals::LowerLetters,
        "A" => Numerals::UpperLetters,
        "i" => Numerals::LowerRoman,
        "I" => Numerals::UpperRoman,
        "1st" => Numerals::Ordinal,
        "①" => Numerals::Circled,
        "一, 二, 三, ..." | "一" => Numerals::Chinese,
        "01, 02, 03, ..." | "01" => Numerals::Decimal(2),
        _ => Numerals::Decimal(0),
    }
}
