//! What all Office files since 2007 have in common: parts that refer to each
//! other, and core properties.

use std::collections::HashMap;

use serde_json::Value;

use super::archive::Archive;
use super::draft::Draft;
use super::front_matter;
use super::xml::{self, Xml};
use crate::Result;

/// What one part refers to.
#[derive(Debug)]
pub(super) struct Relation {
    /// The last word of its type: `hyperlink`, `header`, `slide`.
    pub(super) kind: String,
    /// Path inside the archive, or an address when it is external.
    pub(super) target: String,
    /// Whether it leads out of the file.
    pub(super) external: bool,
}

/// The relations of one part, by id.
#[derive(Debug, Default)]
pub(super) struct Relations {
    by_id: HashMap<String, Relation>,
    order: Vec<String>,
}

impl Relations {
    /// The relations of `part`; the package's own when it is empty.
    pub(super) fn read(archive: &mut Archive<'_>, part: &str, format: &str) -> Result<Self> {
        let (folder, file) = part.rsplit_once('/').unwrap_or(("", part));
        let slash = if folder.is_empty() { "" } else { "/" };
        let Some(text) = archive.text(&format!("{folder}{slash}_rels/{file}.rels"))? else {
            return Ok(Self::default());
        };
        let mut relations = Self::default();
        xml::read(&text, format, |event| {
            if let Xml::Start("Relationship", attributes) = event {
                let kind = attributes.get("Type").unwrap_or_default();
                let target = attributes.get("Target").unwrap_or_default();
                let external = attributes.get("TargetMode").as_deref() == Some("External");
                let id = attributes.get("Id").unwrap_or_default();
                let relation = Relation {
                    kind: kind.rsplit('/').next().unwrap_or_default().to_owned(),
                    target: if external {
                        target
                    } else {
                        resolve(folder, &target)
                    },
                    external,
                };
                relations.order.push(id.clone());
                relations.by_id.insert(id, relation);
            }
            Ok(())
        })?;
        Ok(relations)
    }

    pub(super) fn get(&self, id: &str) -> Option<&Relation> {
        self.by_id.get(id)
    }

    /// The address of an external link.
    pub(super) fn address(&self, id: &str) -> Option<&str> {
        let relation = self.get(id).filter(|relation| relation.external)?;
        Some(&relation.target)
    }

    /// The path of the first part of this kind.
    pub(super) fn first(&self, kind: &str) -> Option<&str> {
        let mut relations = self.order.iter().filter_map(|id| self.by_id.get(id));
        relations
            .find(|relation| relation.kind == kind && !relation.external)
            .map(|relation| relation.target.as_str())
    }
}

/// The path inside the archive of `target`, which is relative to `folder`.
fn resolve(folder: &str, target: &str) -> String {
    let target = target.split('#').next().unwrap_or_default();
    let mut path: Vec<&str> = if target.starts_with('/') {
        Vec::new()
    } else {
        folder.split('/').filter(|name| !name.is_empty()).collect()
    };
    for name in target.split('/') {
        match name {
            "" | "." => {}
            ".." => {
                path.pop();
            }
            name => path.push(name),
        }
    }
    path.join("/")
}

/// Takes the facts of `docProps/core.xml`.
pub(super) fn properties(archive: &mut Archive<'_>, format: &str, draft: &mut Draft) -> Result<()> {
    let Some(properties) = archive.text("docProps/core.xml")? else {
        return Ok(());
    };
    for (name, value) in xml::leaves(&properties, format)? {
        if let Some(fact) = fact_name(&name) {
            front_matter::fact(fact, &Value::String(value), draft, 0);
        }
    }
    Ok(())
}

/// The fact that a core property states.
fn fact_name(property: &str) -> Option<&'static str> {
    Some(match property {
        "title" => "title",
        "creator" => "author",
        "created" => "date",
        "modified" => "modified",
        "keywords" => "tags",
        "category" => "categories",
        "language" => "language",
        "description" => "description",
        _ => return None,
    })
}

/// Whether a switch is on: present without a value, or with one that is true.
pub(super) fn is_on(value: Option<&str>) -> bool {
    !matches!(value, Some("0" | "false" | "off" | "none"))
}

#[cfg(test)]
mod tests {
    use super::resolve;

    #[test]
    fn targets_are_relative_to_their_part() {
        assert_eq!(resolve("word", "header1.xml"), "word/header1.xml");
        assert_eq!(resolve("ppt/slides", "../notes/n.xml#x"), "ppt/notes/n.xml");
        assert_eq!(resolve("ppt", "/ppt/slides/s.xml"), "ppt/slides/s.xml");
        assert_eq!(resolve("", "../../x.xml"), "x.xml");
    }
}
