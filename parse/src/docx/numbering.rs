//! Lists: how each level is numbered, and which number comes next.
//!
//! Paragraphs name a list; lists share what an abstract one says, numbers
//! included, and may override levels or begin again.

use std::collections::{HashMap, HashSet};

use crate::Result;
use crate::numerals::Numerals;
use crate::xml::{self, Attributes, Xml};

/// Levels of a list.
const LEVELS: usize = 9;
/// Longest pattern of a number, in characters.
const MAX_PATTERN_CHARS: usize = 100;

/// How one level of a list is numbered.
#[derive(Clone, Debug)]
struct Level {
    start: u64,
    numerals: Numerals,
    /// `%1.%2` and the like; `None` if the file does not say.
    pattern: Option<String>,
    /// What stands between number and text.
    gap: &'static str,
    /// It begins again after a level above this one (counted from 1).
    restart: Option<usize>,
    /// Whether the levels above show as decimal numbers.
    legal: bool,
    style: Option<String>,
}

impl Default for Level {
    fn default() -> Self {
        Self {
            start: 1,
            numerals: Numerals::Decimal(0),
            pattern: None,
            gap: " ",
            restart: None,
            legal: false,
            style: None,
        }
    }
}

type Levels = [Option<Level>; LEVELS];

#[derive(Debug, Default)]
struct Abstract {
    levels: Levels,
    /// The name of a list style, and whether this is its definition.
    style: Option<(String, bool)>,
}

#[derive(Debug, Default)]
struct List {
    base: String,
    overrides: Levels,
    starts: [Option<u64>; LEVELS],
}

/// `word/numbering.xml`.
#[derive(Debug, Default)]
pub(super) struct Numbering {
    abstracts: HashMap<String, Abstract>,
    lists: HashMap<String, List>,
}

/// What stands in front of an item.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Label {
    /// A number as Word shows it, and what stands between it and the text.
    Number(String, &'static str),
    Bullet,
    /// Nothing is shown.
    Blank,
}

impl Numbering {
    pub(super) fn read(text: &str) -> Result<Self> {
        let mut reader = Reader::default();
        xml::read(text, "DOCX", |event| {
            reader.event(event);
            Ok(())
        })?;
        let mut numbering = reader.numbering;
        numbering.follow_styles();
        Ok(numbering)
    }

    /// Lists that refer to a list style count as its definition does.
    fn follow_styles(&mut self) {
        let mut definitions = HashMap::new();
        let mut links = HashMap::new();
        for (id, base) in &self.abstracts {
            match &base.style {
                Some((name, true)) => definitions.insert(name.clone(), id.clone()),
                Some((name, false)) => links.insert(id.clone(), name.clone()),
                None => continue,
            };
        }
        for list in self.lists.values_mut() {
            let target = links.get(&list.base).and_then(|name| definitions.get(name));
            if let Some(target) = target {
                list.base.clone_from(target);
            }
        }
    }

    fn level<'a>(&'a self, list: &'a List, level: usize) -> Option<&'a Level> {
        let own = list.overrides.get(level)?.as_ref();
        own.or_else(|| self.abstracts.get(&list.base)?.levels.get(level)?.as_ref())
    }

    /// The level of a list that belongs to a paragraph style.
    pub(super) fn level_of_style(&self, list: &str, style: &str) -> Option<usize> {
        let list = self.lists.get(list)?;
        (0..LEVELS).find(|&level| {
            let level = self.level(list, level);
            level.and_then(|level| level.style.as_deref()) == Some(style)
        })
    }
}

/// The numbers that a text has reached.
#[derive(Debug, Default)]
pub(super) struct Counters {
    reached: HashMap<String, [Option<u64>; LEVELS]>,
    begun: HashSet<String>,
}

impl Counters {
    /// The label of the next item of `list` at `level`.
    pub(super) fn next(&mut self, numbering: &Numbering, id: &str, level: usize) -> Label {
        let level = level.min(LEVELS - 1);
        let Some(list) = numbering.lists.get(id) else {
            return Label::Bullet;
        };
        let Some(format) = numbering.level(list, level) else {
            return Label::Bullet;
        };
        let reached = self.reached.entry(list.base.clone()).or_default();
        if self.begun.insert(id.to_owned()) {
            for (number, _) in reached
                .iter_mut()
                .zip(&list.starts)
                .filter(|s| s.1.is_some())
            {
                *number = None;
            }
        }
        let start = |level: usize| {
            let own = list.starts[level];
            own.or_else(|| Some(numbering.level(list, level)?.start))
        };
        reached[level] = match reached[level] {
            Some(number) => Some(number.saturating_add(1)),
            None => start(level),
        };
        for (deeper, number) in reached.iter_mut().enumerate().skip(level + 1) {
            let restart = numbering
                .level(list, deeper)
                .and_then(|level| level.restart);
            if level < restart.unwrap_or(deeper) {
                *number = None;
            }
        }
        if format.numerals == Numerals::Bullet {
            return match format.pattern.as_deref() {
                Some("") => Label::Blank,
                _ => Label::Bullet,
            };
        }
        let numbers: Vec<u64> = (0..=level)
            .map(|level| reached[level].or_else(|| start(level)).unwrap_or(0))
            .collect();
        let written = |at: usize| {
            let numerals = match numbering.level(list, at) {
                Some(above) if format.legal && above.numerals.counts() => Numerals::Decimal(0),
                Some(above) => above.numerals,
                None => Numerals::Decimal(0),
            };
            numbers.get(at).map(|number| numerals.write(*number))
        };
        let text = match &format.pattern {
            Some(pattern) => fill(pattern, written),
            None if format.numerals.counts() => {
                format!("{}.", written(level).unwrap_or_default())
            }
            None => String::new(),
        };
        if text.trim().is_empty() {
            Label::Blank
        } else {
            Label::Number(text.trim().to_owned(), format.gap)
        }
    }
}

/// `%1.%2` with the numbers of its levels.
fn fill(pattern: &str, number: impl Fn(usize) -> Option<String>) -> String {
    let mut text = String::new();
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        let digit = chars.peek().and_then(|c| c.to_digit(10));
        match digit.filter(|digit| c == '%' && *digit > 0) {
            Some(digit) => {
                chars.next();
                text.push_str(&number(digit as usize - 1).unwrap_or_default());
            }
            None => text.push(c),
        }
    }
    text
}

/// Which definition the events belong to.
#[derive(Default)]
enum Place {
    #[default]
    Outside,
    Abstract(String),
    List(String),
}

#[derive(Default)]
struct Reader {
    numbering: Numbering,
    place: Place,
    /// The level that is overridden, the one that is read.
    overridden: usize,
    level: Option<(usize, Level)>,
    /// Inside what stands for a newer way to count, in older programs.
    fallback: bool,
}

impl Reader {
    fn event(&mut self, event: Xml<'_>) {
        match event {
            Xml::Start(name, attributes) => self.start(name, &attributes),
            Xml::End("lvl") => self.end_level(),
            Xml::End("Fallback") => self.fallback = false,
            Xml::End("abstractNum" | "num") => self.place = Place::Outside,
            _ => {}
        }
    }

    fn start(&mut self, name: &str, attributes: &Attributes<'_>) {
        let number = |name: &str| attributes.get(name).and_then(|v| v.trim().parse().ok());
        match name {
            "abstractNum" => {
                let id = attributes.get("abstractNumId").unwrap_or_default();
                self.numbering
                    .abstracts
                    .insert(id.clone(), Abstract::default());
                self.place = Place::Abstract(id);
            }
            "num" => {
                let id = attributes.get("numId").unwrap_or_default();
                self.numbering.lists.insert(id.clone(), List::default());
                self.place = Place::List(id);
            }
            "lvlOverride" => self.overridden = number("ilvl").unwrap_or(0),
            "lvl" => {
                self.level = Some((number("ilvl").unwrap_or(0), Level::default()));
            }
            "Fallback" => self.fallback = true,
            _ => self.property(name, attributes),
        }
    }

    fn property(&mut self, name: &str, attributes: &Attributes<'_>) {
        let Some(value) = attributes.get("val") else {
            if let (Some((_, level)), "isLgl") = (&mut self.level, name) {
                level.legal = true;
            }
            return;
        };
        if let Some((_, level)) = &mut self.level {
            return level_property(level, name, value, attributes, self.fallback);
        }
        match (&self.place, name) {
            (Place::Abstract(id), "styleLink" | "numStyleLink") => {
                if let Some(base) = self.numbering.abstracts.get_mut(id) {
                    base.style = Some((value, name == "styleLink"));
                }
            }
            (Place::List(id), "abstractNumId") => {
                if let Some(list) = self.numbering.lists.get_mut(id) {
                    list.base = value;
                }
            }
            (Place::List(id), "startOverride") => {
                let list = self.numbering.lists.get_mut(id);
                if let Some(start) = list.and_then(|l| l.starts.get_mut(self.overridden)) {
                    *start = value.trim().parse().ok();
                }
            }
            _ => {}
        }
    }

    fn end_level(&mut self) {
        let Some((at, level)) = self.level.take() else {
            return;
        };
        let levels = match &self.place {
            Place::Abstract(id) => self.numbering.abstracts.get_mut(id).map(|a| &mut a.levels),
            Place::List(id) => self.numbering.lists.get_mut(id).map(|l| &mut l.overrides),
            Place::Outside => None,
        };
        if let Some(slot) = levels.and_then(|levels| levels.get_mut(at)) {
            *slot = Some(level);
        }
    }
}

fn level_property(
    level: &mut Level,
    name: &str,
    value: String,
    attributes: &Attributes<'_>,
    fallback: bool,
) {
    match name {
        "start" => level.start = value.trim().parse().unwrap_or(1),
        "numFmt" if !fallback => {
            level.numerals = numerals(&value, attributes.get("format").as_deref());
        }
        "lvlText" => level.pattern = Some(value.chars().take(MAX_PATTERN_CHARS).collect()),
        "lvlRestart" => level.restart = value.trim().parse().ok(),
        "isLgl" => level.legal = crate::ooxml::is_on(Some(&value)),
        "suff" if value == "nothing" => level.gap = "",
        "pStyle" => level.style = Some(value),
        _ => {}
    }
}

/// What the names of formats stand for; `custom` is shown by an example, such
/// as `001, 002, 003, ...`.
pub(super) fn numerals(format: &str, custom: Option<&str>) -> Numerals {
    match format {
        "bullet" => Numerals::Bullet,
        "none" => Numerals::None,
        "decimalZero" => Numerals::Decimal(2),
        "lowerLetter" => Numerals::LowerLetters,
        "upperLetter" => Numerals::UpperLetters,
        "lowerRoman" => Numerals::LowerRoman,
        "upperRoman" => Numerals::UpperRoman,
        "ordinal" => Numerals::Ordinal,
        "cardinalText" => Numerals::Words,
        "ordinalText" => Numerals::OrdinalWords,
        "hex" => Numerals::Hexadecimal,
        "chicago" => Numerals::Marks,
        "russianLower" => Numerals::RussianLower,
        "russianUpper" => Numerals::RussianUpper,
        "decimalEnclosedCircle" | "decimalEnclosedCircleChinese" => Numerals::Circled,
        "chineseCounting"
        | "chineseCountingThousand"
        | "ideographDigital"
        | "japaneseCounting"
        | "taiwaneseCounting"
        | "taiwaneseCountingThousand"
        | "koreanDigital2" => Numerals::Chinese,
        "custom" => {
            let first = custom.and_then(|text| text.split(',').next());
            Numerals::Decimal(first.map_or(0, |first| first.trim().len().min(9)))
        }
        _ => Numerals::Decimal(0),
    }
}
