//! Which styles are headings and titles, and which lists have numbers.

use std::collections::HashMap;

use crate::Result;
use crate::parse::xml::{self, Xml};

/// Longest chain of styles based on others.
const MAX_CHAIN: usize = 12;

/// What a paragraph is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Body,
    Title,
    Heading(u8),
    /// Its list's id, the list's default indentation level.
    List,
}

#[derive(Default)]
struct Style {
    name: String,
    based_on: Option<String>,
    outline: Option<u8>,
    number: Option<String>,
}

/// The styles and lists of a document.
#[derive(Default)]
pub(super) struct Styles {
    styles: HashMap<String, Style>,
    /// List id to whether it counts, by level; a missing level has bullets.
    counted: HashMap<String, Vec<bool>>,
}

impl Styles {
    /// Reads `word/styles.xml` and `word/numbering.xml`.
    pub(super) fn read(styles: &str, numbering: &str) -> Result<Self> {
        Ok(Self {
            styles: read_styles(styles)?,
            counted: read_numbering(numbering)?,
        })
    }

    /// What the style makes of a paragraph.
    pub(super) fn role(&self, style: &str) -> Role {
        let mut id = style;
        for _ in 0..MAX_CHAIN {
            let known = self.styles.get(id);
            let name = known.map_or(id, |style| style.name.as_str());
            if let Some(role) = role_of_name(name) {
                return role;
            }
            let Some(known) = known else { break };
            if let Some(outline) = known.outline.filter(|level| *level < 9) {
                return Role::Heading(outline + 1);
            }
            if known.number.is_some() {
                return Role::List;
            }
            let Some(base) = &known.based_on else { break };
            id = base;
        }
        Role::Body
    }

    /// The list that a style puts its paragraphs into.
    pub(super) fn list_of(&self, style: &str) -> Option<&str> {
        let mut id = style;
        for _ in 0..MAX_CHAIN {
            let known = self.styles.get(id)?;
            if let Some(number) = &known.number {
                return Some(number);
            }
            id = known.based_on.as_ref()?;
        }
        None
    }

    /// Whether the list has numbers at this level.
    pub(super) fn is_counted(&self, list: &str, level: usize) -> bool {
        let levels = self.counted.get(list);
        levels
            .and_then(|levels| levels.get(level))
            .copied()
            .unwrap_or(false)
    }
}

/// Style names are the same in every language version, ids are not.
fn role_of_name(name: &str) -> Option<Role> {
    let name = name.to_lowercase().replace([' ', '-', '_'], "");
    if let Some(level) = name.strip_prefix("heading") {
        return level
            .parse()
            .ok()
            .filter(|level| (1..=9).contains(level))
            .map(Role::Heading);
    }
    match name.as_str() {
        "title" => Some(Role::Title),
        "listparagraph" => None,
        _ => None,
    }
}

fn read_styles(text: &str) -> Result<HashMap<String, Style>> {
    let mut styles = HashMap::new();
    let mut current: Option<(String, Style)> = None;
    xml::read(text, "DOCX", |event| {
        match event {
            Xml::Start("style", attributes) => {
                current = attributes.get("styleId").map(|id| (id, Style::default()));
            }
            Xml::Start(name, attributes) => {
                if let (Some((_, style)), Some(value)) = (&mut current, attributes.get("val")) {
                    match name {
                        "name" => style.name = value,
                        "basedOn" => style.based_on = Some(value),
                        "outlineLvl" => style.outline = value.parse().ok(),
                        "numId" => style.number = Some(value),
                        _ => {}
                    }
                }
            }
            Xml::End("style") => styles.extend(current.take()),
            _ => {}
        }
        Ok(())
    })?;
    Ok(styles)
}

fn read_numbering(text: &str) -> Result<HashMap<String, Vec<bool>>> {
    // Lists refer to abstract ones, which say how each level looks.
    let mut formats: HashMap<String, Vec<bool>> = HashMap::new();
    let mut lists = HashMap::new();
    let (mut abstract_id, mut list_id) = (String::new(), String::new());
    xml::read(text, "DOCX", |event| {
        match event {
            Xml::Start("abstractNum", attributes) => {
                abstract_id = attributes.get("abstractNumId").unwrap_or_default();
            }
            Xml::Start("numFmt", attributes) => {
                let format = attributes.get("val").unwrap_or_default();
                let levels = formats.entry(abstract_id.clone()).or_default();
                levels.push(format != "bullet" && format != "none");
            }
            Xml::Start("num", attributes) => {
                list_id = attributes.get("numId").unwrap_or_default();
            }
            Xml::Start("abstractNumId", attributes) => {
                let target = attributes.get("val").unwrap_or_default();
                lists.insert(list_id.clone(), target);
            }
            _ => {}
        }
        Ok(())
    })?;
    let counted = lists
        .into_iter()
        .filter_map(|(list, target)| Some((list, formats.get(&target)?.clone())));
    Ok(counted.collect())
}
