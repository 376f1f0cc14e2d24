//! XML as a stream of three events, for the formats that are made of it.
//!
//! Names come without their prefix. Entities that a document defines itself are
//! never expanded, so none can grow.

use std::borrow::Cow;

use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::QName;

use super::malformed;
use crate::Result;

/// What a reader of XML sees.
pub(super) enum Xml<'a> {
    /// An element starts.
    Start(&'a str, Attributes<'a>),
    /// The innermost open element ends.
    End(&'a str),
    /// Characters.
    Text(Cow<'a, str>),
}

/// The attributes of an element.
pub(super) struct Attributes<'a>(&'a BytesStart<'a>);

impl Attributes<'_> {
    /// The value of the attribute with this name, whatever its prefix.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        self.find(|key| key.local_name().into_inner() == name)
    }

    /// The value of the attribute with this name and a prefix, such as `r:id`
    /// alongside `id`.
    pub(super) fn get_prefixed(&self, name: &str) -> Option<String> {
        self.find(|key| key.prefix().is_some() && key.local_name().into_inner() == name)
    }

    fn find(&self, is_wanted: impl Fn(QName<'_>) -> bool) -> Option<String> {
        let attribute = self
            .0
            .attributes()
            .with_checks(false)
            .flatten()
            .find(|attribute| is_wanted(attribute.key))?;
        let value = quick_xml::escape::unescape(&attribute.value)
            .ok()
            .map(Cow::into_owned);
        Some(value.unwrap_or_else(|| attribute.value.into_owned()))
    }
}

/// Calls `visit` with every event of `text`; `format` names it in errors.
pub(super) fn read(
    text: &str,
    format: &str,
    mut visit: impl FnMut(Xml<'_>) -> Result<()>,
) -> Result<()> {
    let mut reader = quick_xml::Reader::from_str(text);
    loop {
        match reader.read_event().map_err(|e| malformed(format, e))? {
            Event::Start(tag) => {
                visit(Xml::Start(tag.local_name().into_inner(), Attributes(&tag)))?;
            }
            Event::Empty(tag) => {
                let name = tag.local_name().into_inner();
                visit(Xml::Start(name, Attributes(&tag)))?;
                visit(Xml::End(name))?;
            }
            Event::End(tag) => visit(Xml::End(tag.local_name().into_inner()))?,
            Event::Text(text) => visit(Xml::Text(text.xml10_content()))?,
            Event::CData(text) => visit(Xml::Text(text.xml10_content()))?,
            Event::GeneralRef(reference) => {
                if let Ok(Some(c)) = reference.resolve_char_ref() {
                    visit(Xml::Text(Cow::Owned(c.to_string())))?;
                } else if let Some(text) = resolve_predefined_entity(&reference.xml10_content()) {
                    visit(Xml::Text(Cow::Borrowed(text)))?;
                }
            }
            Event::Eof => return Ok(()),
            Event::Decl(_) | Event::PI(_) | Event::DocType(_) | Event::Comment(_) => {}
        }
    }
}

/// Pairs of element name and trimmed text, for flat files of facts.
pub(super) fn leaves(text: &str, format: &str) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    let mut current = String::new();
    read(text, format, |event| {
        match event {
            Xml::Start(..) => current.clear(),
            Xml::Text(text) => current.push_str(&text),
            Xml::End(name) => {
                let value = current.trim();
                if !value.is_empty() {
                    found.push((name.to_owned(), value.to_owned()));
                }
                current.clear();
            }
        }
        Ok(())
    })?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_entities_are_not_expanded() {
        let bomb = "<!DOCTYPE a [<!ENTITY x 'xxxxxxxxxx'><!ENTITY y '&x;&x;&x;&x;&x;'>]>\
                    <a b='1&amp;2'>&y;&lt;&#65;&nbsp;<c/></a>";
        let mut seen = String::new();
        read(bomb, "test", |event| {
            match event {
                Xml::Start(name, attributes) => {
                    seen += &format!("<{name} {:?}>", attributes.get("b"));
                }
                Xml::End(name) => seen += &format!("</{name}>"),
                Xml::Text(text) => seen += &text,
            }
            Ok(())
        })
        .unwrap();
        assert_eq!(seen, "<a Some(\"1&2\")><A<c None></c></a>");
    }

    #[test]
    fn broken_xml_is_an_error() {
        let error = read("<a><b></a>", "DOCX", |_| Ok(())).unwrap_err();
        assert!(
            error.to_string().contains("not readable as DOCX"),
            "{error}"
        );
    }
}
