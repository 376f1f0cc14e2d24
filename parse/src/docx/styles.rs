//! What styles make of paragraphs and runs.

use std::collections::HashMap;

use super::numbering::Numbering;
use crate::Result;
use crate::ooxml;
use crate::xml::{self, Xml};

/// Longest chain of styles based on others.
const MAX_CHAIN: usize = 12;

/// What a paragraph is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Role {
    #[default]
    Body,
    Title,
    Heading(u8),
    /// A line of a table of contents: a heading that stands elsewhere.
    Contents,
}

#[derive(Default)]
struct Style {
    name: String,
    based_on: Option<String>,
    outline: Option<u8>,
    list: Option<String>,
    level: Option<usize>,
    hidden: Option<bool>,
    is_default: bool,
}

/// What a style comes to, those that it is based on included.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    pub(super) role: Role,
    /// Its list's id, and the level there.
    pub(super) list: Option<(String, usize)>,
    /// Whether its text is hidden.
    pub(super) hidden: bool,
}

/// The styles of a document.
#[derive(Default)]
pub(super) struct Styles {
    resolved: HashMap<String, Resolved>,
    /// The style of paragraphs that name none.
    default: Resolved,
}

impl Styles {
    /// Reads `word/styles.xml`.
    pub(super) fn read(text: &str, numbering: &Numbering) -> Result<Self> {
        let styles = read_styles(text)?;
        let resolved: HashMap<_, _> = styles
            .keys()
            .map(|id| (id.clone(), resolve(&styles, id, numbering)))
            .collect();
        let default = styles
            .iter()
            .find(|(_, style)| style.is_default)
            .map(|(id, _)| resolve(&styles, id, numbering));
        Ok(Self {
            resolved,
            default: default.unwrap_or_default(),
        })
    }

    /// What the style with this id comes to.
    pub(super) fn get(&self, id: &str) -> &Resolved {
        self.resolved.get(id).unwrap_or(&self.default)
    }

    /// What a paragraph of this style is; ids of unknown styles are taken for
    /// names.
    pub(super) fn role(&self, id: &str) -> Role {
        match self.resolved.get(id) {
            Some(style) => style.role,
            None if id.is_empty() => self.default.role,
            None => role_of_name(id).unwrap_or_default(),
        }
    }
}

fn resolve(styles: &HashMap<String, Style>, id: &str, numbering: &Numbering) -> Resolved {
    let mut chain: Vec<(&str, &Style)> = Vec::new();
    let mut next = Some(id);
    while let Some((id, style)) = next.and_then(|id| styles.get_key_value(id)) {
        if chain.len() == MAX_CHAIN {
            break;
        }
        chain.push((id, style));
        next = style.based_on.as_deref();
    }
    let role = chain.iter().find_map(|(_, style)| {
        let outline = style.outline.filter(|level| *level < 9);
        role_of_name(&style.name).or(outline.map(|level| Role::Heading(level + 1)))
    });
    let list = chain.iter().find_map(|(_, style)| style.list.as_deref());
    // List 0 takes a style out of the list of the one it is based on.
    let list = list.filter(|list| *list != "0").map(|list| {
        let own = chain
            .iter()
            .find_map(|(id, _)| numbering.level_of_style(list, id));
        let level = own.or_else(|| chain.iter().find_map(|(_, style)| style.level));
        (list.to_owned(), level.unwrap_or(0))
    });
    Resolved {
        role: role.unwrap_or_default(),
        list,
        hidden: chain
            .iter()
            .find_map(|(_, style)| style.hidden)
            .unwrap_or(false),
    }
}

/// Style names are the same in every language version, ids are not.
fn role_of_name(name: &str) -> Option<Role> {
    let name = name.to_lowercase().replace([' ', '-', '_'], "");
    let level = |digits: &str| digits.parse().ok().filter(|level| (1..=9).contains(level));
    if let Some(rest) = name.strip_prefix("heading") {
        return level(rest).map(Role::Heading);
    }
    if let Some(rest) = name.strip_prefix("toc") {
        return level(rest).map(|_: u8| Role::Contents);
    }
    match name.as_str() {
        "title" => Some(Role::Title),
        "tableoffigures" => Some(Role::Contents),
        _ => None,
    }
}

fn read_styles(text: &str) -> Result<HashMap<String, Style>> {
    let mut styles = HashMap::new();
    let mut current: Option<(String, Style)> = None;
    // Inside what the style was before a tracked change.
    let mut before = 0_usize;
    xml::read(text, "DOCX", |event| {
        match event {
            Xml::Start(name, _) if name.ends_with("PrChange") => before += 1,
            Xml::End(name) if name.ends_with("PrChange") => before = before.saturating_sub(1),
            _ if before > 0 => {}
            Xml::Start("style", attributes) => {
                let style = Style {
                    is_default: attributes.get("type").as_deref() == Some("paragraph")
                        && attributes
                            .get("default")
                            .is_some_and(|value| ooxml::is_on(Some(&value))),
                    ..Style::default()
                };
                current = attributes.get("styleId").map(|id| (id, style));
            }
            Xml::Start(name, attributes) => {
                if let Some((_, style)) = &mut current {
                    property(style, name, attributes.get("val"));
                }
            }
            Xml::End("style") => styles.extend(current.take()),
            _ => {}
        }
        Ok(())
    })?;
    Ok(styles)
}

fn property(style: &mut Style, name: &str, value: Option<String>) {
    match (name, value) {
        ("vanish", value) => style.hidden = Some(ooxml::is_on(value.as_deref())),
        ("name", Some(value)) => style.name = value,
        ("basedOn", Some(value)) => style.based_on = Some(value),
        ("outlineLvl", Some(value)) => style.outline = value.parse().ok(),
        ("numId", Some(value)) => style.list = Some(value),
        ("ilvl", Some(value)) => style.level = value.parse().ok(),
        _ => {}
    }
}
